// A denoiser over tiles, which is itself a denoiser (ddpm_micro/tiling.py). The sampler sees one image and one noise field,
// so a sample has no seams; only the network sees the image through windows.

const TILE = 192; // pixels: larger images are worked on in tiles of this side

// `denoiseWindow(x, cond, t, height, width)` works on one window; the result is a denoiser (x_t, t) -> x0_hat of the image.
function tiled(denoiseWindow, cond, height, width, tile = TILE) {
  const rows = windows(height, tile);
  const columns = windows(width, tile);
  if (rows.length * columns.length === 1) return (x, t) => denoiseWindow(x, cond, t, height, width);
  return (x, t) => {
    const x0Hat = new Float32Array(height * width);
    for (const row of rows)
      for (const column of columns) {
        const [h, w] = [row.weights.length, column.weights.length];
        const cut = (image) => {
          const window = new Float32Array(h * w);
          for (let y = 0; y < h; y++) {
            const start = (row.start + y) * width + column.start;
            window.set(image.subarray(start, start + w), y * w);
          }
          return window;
        };
        const part = denoiseWindow(cut(x), cut(cond), t, h, w);
        for (let y = 0; y < h; y++)
          for (let i = 0; i < w; i++)
            x0Hat[(row.start + y) * width + column.start + i] += row.weights[y] * column.weights[i] * part[y * w + i];
      }
    return x0Hat;
  };
}

// Start and weights of each window along a side; at every pixel the weights add up to 1. Neighbours share a sixth of a
// window at least, across which one fades into the next.
function windows(side, tile, overlap = Math.floor(tile / 6)) {
  if (side <= tile) return [{ start: 0, weights: new Float64Array(side).fill(1) }];
  const count = Math.ceil((side - overlap) / (tile - overlap));
  const starts = Array.from({ length: count }, (_, i) => roundHalfToEven(i * ((side - tile) / (count - 1))));
  // A trapezoid, so that the pixels next to a window's edge, which lack surroundings, count least.
  const trapezoid = Float64Array.from({ length: tile }, (_, i) => Math.min(i + 1, tile - i, overlap + 1));
  const total = new Float64Array(side);
  for (const start of starts) trapezoid.forEach((weight, i) => (total[start + i] += weight));
  return starts.map((start) => ({ start, weights: trapezoid.map((weight, i) => weight / total[start + i]) }));
}
