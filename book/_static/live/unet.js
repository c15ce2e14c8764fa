// The denoising network, a magnitude-preserving U-Net (ddpm_micro/unet.py): the same layers under the same names, without
// PyTorch. A feature map is { at, channels, height, width }: its address in the kernels' memory, and its shape.

const SILU_GAIN = 1 / 0.596; // SiLU's output on normal input has root mean square 0.596
const BRANCH = 0.3; // weight of a block's branch in the sum with its input, which gets 1 - BRANCH
const NORM = Math.hypot(1 - BRANCH, BRANCH);

// A function (x_t, noise level, cond, height, width) -> output of the network, each image a Float32Array of pixels.
function makeUnet(kernels, tensors, config) {
  const channels = config.channel_mults.map((mult) => mult * config.base_channels);
  const multiple = 2 ** (channels.length - 1);
  const newMap = (count, height, width) => ({
    at: kernels.alloc(count * height * width),
    channels: count,
    height,
    width,
  });

  // --- Layers, read once: a filter for each output, scaled to root mean square 1, times gain / sqrt(its length).
  function unitWeight(name, gain) {
    const { shape, data } = tensors[`${name}.weight`];
    const length = data.length / shape[0];
    const weight = new Float64Array(data);
    for (let start = 0; start < weight.length; start += length) {
      const filter = weight.subarray(start, start + length);
      const rms = Math.sqrt(filter.reduce((sum, value) => sum + value * value, 0) / length);
      filter.forEach((value, i) => (filter[i] = (value * gain) / Math.sqrt(length) / (rms + 1e-4)));
    }
    return { weight, outputs: shape[0], inputs: shape[1], side: shape[2] ?? 0 };
  }
  function conv(name, gain = 1) {
    const { weight, outputs, inputs, side } = unitWeight(name, gain);
    const terms = filterTerms(weight, outputs, inputs, side);
    const at = kernels.alloc(terms.length);
    kernels.floats(at, terms.length).set(terms);
    return { at, outputs, inputs, side };
  }
  const maybe = (name, layer) => (`${name}.weight` in tensors ? layer() : null);
  const block = (name) => ({
    shortcut: maybe(`${name}.shortcut`, () => conv(`${name}.shortcut`)),
    conv0: conv(`${name}.conv_0`, SILU_GAIN),
    modulation: unitWeight(`${name}.modulation`, tensors[`${name}.modulation_gain`].data[0]),
    conv1: conv(`${name}.conv_1`, (SILU_GAIN * BRANCH) / NORM),
    qkv: maybe(`${name}.attention.qkv`, () => conv(`${name}.attention.qkv`)),
    proj: maybe(`${name}.attention.proj`, () => conv(`${name}.attention.proj`, BRANCH / NORM)),
  });
  const blocks = (name, count) => Array.from({ length: count }, (_, i) => block(`${name}.${i}`));
  const convIn = conv("conv_in");
  const down = channels.map((_, level) => blocks(`down.${level}`, config.num_res_blocks));
  const middle = blocks("middle", 2);
  const up = channels.map((_, level) => blocks(`up.${level}`, config.num_res_blocks + 1));
  const convOut = conv("conv_out", tensors.gain_out.data[0]);
  const embeddingLinear = unitWeight("embedding.linear", 1);

  // --- What the layers do.
  const silu = (x) => x / (1 + Math.exp(-x));
  const linear = ({ weight, outputs, inputs }, x) =>
    Array.from({ length: outputs }, (_, o) => x.reduce((sum, value, i) => sum + weight[o * inputs + i] * value, 0));

  // Fourier features of the noise level through a small network: what every block is told of the noise.
  function embedding(noiseLevel) {
    const phases = tensors["embedding.phases"].data;
    const angles = Array.from(tensors["embedding.frequencies"].data, (f, i) => noiseLevel * f + phases[i]);
    const features = angles.map((angle) => Math.SQRT2 * Math.cos(2 * Math.PI * angle));
    return linear(embeddingLinear, features).map((value) => SILU_GAIN * silu(value));
  }
  const unit = (x) => (kernels.unit(x.at, x.channels, x.height * x.width), x);

  // out = layer(x), or layer(silu(scale x)) if `scale` is given, one factor a channel. With `add` it is the residual sum.
  function apply(layer, x, out, { scale = null, add = null } = {}) {
    const { at, inputs, outputs, side } = layer;
    const { height, width } = x;
    const ofAdd = [add ? add.at : 0, (1 - BRANCH) / NORM];
    const mark = kernels.mark();
    const scratch = kernels.alloc(16 * inputs * WIDTH);
    if (side === 1) {
      kernels.conv1(x.at, at, out.at, inputs, outputs, height * width, ...ofAdd, scratch);
    } else {
      const [rows, stride] = [height + 3, width + 12];
      const framed = kernels.alloc(inputs * rows * stride);
      const factors = kernels.alloc(inputs);
      kernels.floats(factors, inputs).set(scale ?? new Float32Array(inputs).fill(1));
      kernels.frame(x.at, framed, inputs, height, width, rows, stride, scale ? 1 : 0, factors);
      kernels.conv3(framed, at, out.at, inputs, outputs, height, width, rows, stride, ...ofAdd, scratch);
    }
    kernels.release(mark);
    return out;
  }

  // A residual block, modulated by the noise level, with optional self-attention; it leaves each pixel at unit magnitude.
  function residual({ shortcut, conv0, modulation, conv1, qkv, proj }, x, embed) {
    const { height, width } = x;
    const out = newMap(conv0.outputs, height, width);
    const mark = kernels.mark();
    const like = () => newMap(out.channels, height, width);
    const y = apply(conv0, x, like(), { scale: new Float32Array(x.channels).fill(1) });
    const add = shortcut ? apply(shortcut, x, like()) : x;
    const scale = linear(modulation, embed).map((value) => 1 + value);
    const sum = apply(conv1, y, qkv ? like() : out, { scale, add });
    if (qkv) apply(proj, attention(qkv, sum), out, { add: sum });
    kernels.release(mark);
    return unit(out);
  }
  function attention(qkv, x) {
    const size = x.height * x.width;
    const out = newMap(x.channels, x.height, x.width);
    const asked = apply(qkv, x, newMap(3 * x.channels, x.height, x.width));
    for (const part of [0, 1, 2]) kernels.unit(asked.at + 4 * part * x.channels * size, x.channels, size);
    const scratch = kernels.alloc(attentionScratch(x.channels, size));
    kernels.attend(asked.at, out.at, x.channels, size, scratch);
    return out;
  }
  // Concatenate over channels so that both contribute equally, however many channels each has.
  function concatenate(a, b) {
    const size = a.height * a.width;
    const out = newMap(a.channels + b.channels, a.height, a.width);
    const factor = (x) => Math.sqrt(out.channels / 2 / x.channels);
    kernels.scaled(a.at, out.at, a.channels * size, factor(a));
    kernels.scaled(b.at, out.at + 4 * a.channels * size, b.channels * size, factor(b));
    return out;
  }
  function resize(kernel, x, factor) {
    const out = newMap(x.channels, x.height * factor, x.width * factor);
    kernels[kernel](x.at, out.at, x.channels, x.height, x.width);
    return out;
  }
  // x_t, cond and a constant 1 in place of biases; the last row and column are repeated until both sides can be halved.
  function inputs(xt, cond, height, width) {
    const x = newMap(3, Math.ceil(height / multiple) * multiple, Math.ceil(width / multiple) * multiple);
    const size = x.height * x.width;
    const pixels = kernels.floats(x.at, 3 * size);
    for (let row = 0, to = 0; row < x.height; row++)
      for (let column = 0; column < x.width; column++, to++) {
        const from = Math.min(row, height - 1) * width + Math.min(column, width - 1);
        pixels[to] = xt[from];
        pixels[size + to] = cond[from];
        pixels[2 * size + to] = 1;
      }
    return x;
  }

  return function unet(xt, noiseLevel, cond, height, width) {
    const mark = kernels.mark();
    const embed = embedding(noiseLevel);
    const skips = [];
    let x = inputs(xt, cond, height, width);
    x = unit(apply(convIn, x, newMap(channels[0], x.height, x.width)));
    down.forEach((levelBlocks, level) => {
      if (level) x = unit(resize("halve", x, 1 / 2)); // averaging shrinks
      skips.push(x);
      for (const one of levelBlocks) skips.push((x = residual(one, x, embed)));
    });
    for (const one of middle) x = residual(one, x, embed);
    up.forEach((levelBlocks, level) => {
      if (level) x = resize("twice", x, 2);
      for (const one of levelBlocks) x = residual(one, concatenate(x, skips.pop()), embed);
    });
    x = apply(convOut, x, newMap(1, x.height, x.width));
    const output = new Float32Array(height * width);
    for (let row = 0; row < height; row++) output.set(kernels.floats(x.at + 4 * row * x.width, width), row * width);
    kernels.release(mark);
    return output;
  };
}
