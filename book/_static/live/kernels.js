// kernels.wasm with its memory: arrays are handed out one behind the other and given back all at once, like a stack.

// The compiled kernels. Where the browser can multiply and add in one instruction it gets the binary that does.
async function loadKernels({ plain, relaxed }) {
  const binary = relaxed && WebAssembly.validate(relaxed) ? relaxed : plain;
  const { exports } = (await WebAssembly.instantiate(binary)).instance;
  const { memory } = exports;
  let top = exports.__heap_base.value;
  return {
    ...exports,
    bytes: () => memory.buffer.byteLength,
    mark: () => top,
    release: (mark) => (top = mark),
    floats: (at, size) => new Float32Array(memory.buffer, at, size),
    // Address of `size` numbers. Behind them lie 16 more, since the kernels load a few numbers past an array's end.
    alloc(size) {
      const at = Math.ceil(top / 16) * 16;
      top = at + 4 * (size + 16);
      const missing = top - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / 65536));
      return at;
    },
  };
}

// Sizes of kernels.c, and the room that its `attend` needs.
const [OUTPUTS, WIDTH, KEYS] = [4, 8, 128];
const attentionScratch = (channels, size) =>
  2 * (channels + OUTPUTS) * (size + OUTPUTS) + (2 * (channels + OUTPUTS) + KEYS) * WIDTH;

// A filter bank (outputs, inputs, side, side) in the order in which `multiply` in kernels.c reads it: OUTPUTS outputs next
// to each other, for each term and input. A filter of 1 x 1 has one term, its weight. One of 3 x 3 has the sixteen terms
// G g G' of Winograd's filtering, see kernels.c.
function filterTerms(filters, outputs, inputs, side) {
  const count = side === 1 ? 1 : 16;
  const terms = new Float32Array(Math.ceil(outputs / OUTPUTS) * count * inputs * OUTPUTS);
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++) {
      const from = (o * inputs + i) * side * side;
      const to = (Math.floor(o / OUTPUTS) * count * inputs + i) * OUTPUTS + (o % OUTPUTS);
      if (side === 1) terms[to] = filters[from];
      else winogradTerms(filters, from, terms, to, inputs * OUTPUTS);
    }
  return terms;
}

function winogradTerms(filters, from, terms, to, step) {
  const columns = new Float64Array(12); // G g, four rows of three
  for (let x = 0; x < 3; x++)
    alongOneAxis(filters[from + x], filters[from + x + 3], filters[from + x + 6], columns, x, 3);
  for (let y = 0; y < 4; y++)
    alongOneAxis(columns[3 * y], columns[3 * y + 1], columns[3 * y + 2], terms, to + 4 * y * step, step);
}

// The matrix G: four terms of three taps.
function alongOneAxis(a, b, c, out, at, step) {
  out[at] = a;
  out[at + step] = (a + b + c) / 2;
  out[at + 2 * step] = (a - b + c) / 2;
  out[at + 3 * step] = c;
}
