// Standard normal noise from a key of whole numbers, the same numbers that Python draws (ddpm_micro/noise.py, `seeded` and
// `noise_like`). Three steps lead from the key to the noise, and each repeats a published algorithm exactly: numpy's
// SeedSequence, the Mersenne Twister, and the Box-Muller transform as torch.randn applies it.

// numpy's SeedSequence (O'Neill 2015) hashes the key into a pool of four 32-bit words, then draws words from the pool.
// PyTorch takes the first two words as one 64-bit number, halved; its generator uses the low 32 bits of that number.
function seedSequence(key) {
  let hashConstant = 0x43b0d7e5;
  const hash = (word) => {
    word = (word ^ hashConstant) >>> 0;
    hashConstant = Math.imul(hashConstant, 0x931e8875) >>> 0;
    word = Math.imul(word, hashConstant) >>> 0;
    return (word ^ (word >>> 16)) >>> 0;
  };
  const mix = (a, b) => {
    const mixed = (Math.imul(0xca01f9dd, a) - Math.imul(0x4973f715, b)) >>> 0;
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
  const words = key.flatMap((number) =>
    number > 0xffffffff ? [number >>> 0, Math.floor(number / 2 ** 32)] : [number],
  );
  const pool = [0, 1, 2, 3].map((i) => hash(i < words.length ? words[i] : 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const word of words.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word));

  hashConstant = 0x8b51f9dd;
  const [low, high] = pool.slice(0, 2).map((word) => {
    word = (word ^ hashConstant) >>> 0;
    hashConstant = Math.imul(hashConstant, 0x58f38ded) >>> 0;
    word = Math.imul(word, hashConstant) >>> 0;
    return (word ^ (word >>> 16)) >>> 0;
  });
  return ((low >>> 1) | ((high & 1) << 31)) >>> 0;
}

// The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998): a function that returns the next 32-bit number.
function mersenneTwister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let next = 624;
  return () => {
    if (next === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      next = 0;
    }
    let y = state[next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

// `size` standard normal numbers, at least 16. torch.randn first fills the array with uniform numbers. Then it turns each
// block of 16 into normal ones: the first eight give the radius, the last eight the angle. What is left over at the end
// belongs to a last block, which overlaps the one before it and is drawn anew.
function normalNoise(size, ...key) {
  if (size < 16) throw new Error(`expected at least 16 pixels, got ${size}`);
  const draw = mersenneTwister(seedSequence(key));
  const uniform = () => (draw() & 0xffffff) / 2 ** 24;
  const noise = Float32Array.from({ length: size }, uniform);
  const boxMuller = (start) => {
    for (let i = start; i < start + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - noise[i]));
      const angle = 2 * Math.PI * noise[i + 8];
      noise[i] = radius * Math.cos(angle);
      noise[i + 8] = radius * Math.sin(angle);
    }
  };
  for (let start = 0; start + 16 <= size; start += 16) boxMuller(start);
  if (size % 16) {
    for (let i = size - 16; i < size; i++) noise[i] = uniform();
    boxMuller(size - 16);
  }
  return noise;
}
