// Between the grey levels of a file and the values a network works with (ddpm_micro/intensity.py).

const MOST_ABOVE = 20; // limit of the scaled range, see `Percentiles.fit`

// The scaling { offset, scale } of one image: network value = (grey - offset) / scale. It puts two percentiles of the
// smoothed image at -1 and 1. Where the bright part is too small for the percentiles to see, the extremes decide.
function fitScaling(grey, height, width, { low, high, smoothing_px: smoothing }) {
  const sorted = gaussianFilter(grey, height, width, smoothing).sort();
  const percentile = (percent) => {
    const rank = (percent / 100) * (sorted.length - 1);
    const below = Math.floor(rank);
    return sorted[below] + (rank - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
  };
  const [lowest, highest] = [percentile(low), percentile(high)];
  const range = sorted[sorted.length - 1] - sorted[0];
  const half = Math.max((highest - lowest) / 2, range / 2 / MOST_ABOVE);
  // Smoothing a constant image leaves rounding errors, which must not be blown up to an image.
  const flat = half <= 1e-9 * Math.max(Math.abs(lowest), Math.abs(highest), 1e-300);
  return { offset: (lowest + highest) / 2, scale: flat ? 1 : half };
}

// scipy.ndimage.gaussian_filter(image, sigma, mode="nearest") of a (height, width) image, in float64.
function gaussianFilter(image, height, width, sigma) {
  const radius = Math.trunc(4 * sigma + 0.5);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp((-0.5 * (i - radius) ** 2) / sigma ** 2));
  const total = kernel.reduce((sum, weight) => sum + weight);
  const alongColumns = new Float64Array(height * width);
  const smooth = new Float64Array(height * width);
  for (let y = 0; y < height; y++)
    for (let i = -radius; i <= radius; i++) {
      const row = Math.min(Math.max(y + i, 0), height - 1) * width; // beyond the edge the last row is repeated
      const weight = kernel[i + radius] / total;
      for (let x = 0; x < width; x++) alongColumns[y * width + x] += weight * image[row + x];
    }
  for (let x = 0; x < width; x++)
    for (let i = -radius; i <= radius; i++) {
      const column = Math.min(Math.max(x + i, 0), width - 1);
      const weight = kernel[i + radius] / total;
      for (let y = 0; y < height; y++) smooth[y * width + x] += weight * alongColumns[y * width + column];
    }
  return smooth;
}
