// Between the grey levels of a file and the values a network works with (ddpm_micro/intensity.py, `Percentiles`).

// Limit of the scaled range. A bright spot may be too small for the percentiles to see: then the scale grows until no two
// smoothed pixels lie more than 20 times the percentiles' range apart.
const MOST_ABOVE = 20;

// The scaling { offset, scale, faulty, grey } of one image: network value = (grey - offset) / scale. It puts two percentiles
// of the smoothed image at -1 and 1. Faulty pixels have no say in it, and keep their grey levels on the way back.
function fitScaling(grey, height, width, { low, high, smoothing_px: smoothing }) {
  const faulty = faultyPixels(grey, height, width);
  const smooth = gaussianFilter(repaired(grey, faulty, height, width), height, width, smoothing, repeated);
  const seen = (faulty.includes(0) ? smooth.filter((_, i) => !faulty[i]) : smooth).sort();
  const [lowest, highest] = [percentile(seen, low), percentile(seen, high)];
  const half = Math.max((highest - lowest) / 2, (seen[seen.length - 1] - seen[0]) / 2 / MOST_ABOVE);
  // Smoothing a constant image leaves rounding errors, which must not be blown up to an image.
  const flat = half <= 1e-9 * Math.max(Math.abs(lowest), Math.abs(highest), 1e-300);
  return { offset: (lowest + highest) / 2, scale: flat ? 1 : half, faulty, grey };
}

// Grey levels to network values, and back.
function toValues({ offset, scale, faulty, grey }, height, width) {
  return Float32Array.from(repaired(grey, faulty, height, width), (value) => (value - offset) / scale);
}
function toGrey({ offset, scale, faulty, grey }, values) {
  return Float64Array.from(values, (value, i) => (faulty[i] ? grey[i] : value * scale + offset));
}

// numpy.percentile of sorted numbers.
function percentile(sorted, percent) {
  const rank = (percent / 100) * (sorted.length - 1);
  const below = Math.floor(rank);
  return sorted[below] + (rank - below) * (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]);
}

// Beyond the edge the last pixel is repeated, or the image is mirrored: scipy's "nearest" and "reflect".
const repeated = (i, side) => Math.min(Math.max(i, 0), side - 1);
function mirrored(i, side) {
  const at = ((i % (2 * side)) + 2 * side) % (2 * side);
  return at < side ? at : 2 * side - 1 - at;
}

// scipy.ndimage.gaussian_filter of a (height, width) image, in float64.
function gaussianFilter(image, height, width, sigma, beyond) {
  const radius = Math.trunc(4 * sigma + 0.5);
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, i) => Math.exp((-0.5 * (i - radius) ** 2) / sigma ** 2));
  const total = kernel.reduce((sum, weight) => sum + weight);
  const alongColumns = new Float64Array(height * width);
  const smooth = new Float64Array(height * width);
  for (let y = 0; y < height; y++)
    for (let i = -radius; i <= radius; i++) {
      const row = beyond(y + i, height) * width;
      const weight = kernel[i + radius] / total;
      for (let x = 0; x < width; x++) alongColumns[y * width + x] += weight * image[row + x];
    }
  for (let x = 0; x < width; x++)
    for (let i = -radius; i <= radius; i++) {
      const column = beyond(x + i, width);
      const weight = kernel[i + radius] / total;
      for (let y = 0; y < height; y++) smooth[y * width + x] += weight * alongColumns[y * width + column];
    }
  return smooth;
}
