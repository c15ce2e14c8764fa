// Pixels that tell nothing of the specimen, and what stands in for them (ddpm_micro/intensity.py, `faulty_pixels` and
// `repaired`). A mask is a Uint8Array of the image's pixels, 1 where a pixel is faulty.

// A gap between neighbouring grey values is a fault if it is wider than this many times the range on its other side.
const GAP_ABOVE = 1.5;
const GAP_BELOW = 0.5;
const FEWEST_VALUES = 6; // with fewer grey values there is no telling what stands apart

function faultyPixels(image, height, width) {
  const values = Float64Array.from(new Set(image)).sort();
  const n = values.length;
  if (n < FEWEST_VALUES) return new Uint8Array(image.length).fill(n === 1 ? 1 : 0);
  // Most faulty pixels share few values, so what lies between the quarters is inside the rest.
  const [a, b] = [Math.floor(n / 4), Math.floor((3 * n) / 4)];
  let [above, below] = [b, a - 1];
  while (above < n - 1 && values[above + 1] - values[above] <= GAP_ABOVE * (values[above] - values[a])) above++;
  while (below >= 0 && values[below + 1] - values[below] <= GAP_BELOW * (values[b] - values[below + 1])) below--;
  const [lowest, highest] = [values[below + 1], values[above]];
  const faulty = Uint8Array.from(image, (value) => value < lowest || value > highest);

  // Blocks of 3 x 3 pixels and more of one value that is found nearly nowhere else: masks, borders and saturation.
  const block = inBlocks(image, height, width);
  const counts = new Map();
  image.forEach((value, i) => block[i] && !faulty[i] && counts.set(value, (counts.get(value) ?? 0) + 1));
  if (!counts.size) return faulty;
  const most = Math.max(...counts.values());
  const value = Math.min(...[...counts].filter(([, count]) => count === most).map(([one]) => one));
  const solid = widened(
    block.map((inside, i) => inside && image[i] === value),
    height,
    width,
  );
  const sum = (mask) => mask.reduce((total, one) => total + one, 0);
  if (sum(solid) <= 0.95 * image.reduce((total, one) => total + (one === value), 0)) return faulty;
  solid.forEach((one, i) => (faulty[i] |= one));
  // A saturated bead has a halo: what is joined to it and far above the rest.
  const good = image.filter((_, i) => !faulty[i]).sort();
  const [dark, bright] = good.length ? [percentile(good, 5), percentile(good, 95)] : [value, value];
  if (value !== values[n - 1] || value - bright <= MOST_ABOVE * (bright - dark)) return faulty;
  for (let before = -1; sum(faulty) !== before;) {
    before = sum(faulty);
    const near = widened(faulty, height, width);
    near.forEach((one, i) => one && image[i] > 2 * bright - dark && (faulty[i] = 1));
  }
  return faulty;
}

// 1 where all nine pixels around have one value; beyond the edge the last row and column are repeated.
function inBlocks(image, height, width) {
  const row = image.map((value, i) => {
    const [left, right] = [image[i % width ? i - 1 : i], image[(i + 1) % width ? i + 1 : i]];
    return left === value && right === value ? 1 : 0;
  });
  return Uint8Array.from(image, (value, i) => {
    const [up, down] = [i >= width ? i - width : i, i < (height - 1) * width ? i + width : i];
    return row[i] && row[up] && row[down] && image[up] === value && image[down] === value;
  });
}

// A mask with the eight neighbours of each of its pixels.
function widened(mask, height, width) {
  const row = mask.map((one, i) => one | (i % width ? mask[i - 1] : 0) | ((i + 1) % width ? mask[i + 1] : 0));
  return row.map((one, i) => one | (row[i - width] ?? 0) | (row[i + width] ?? 0));
}

// The image with good pixels near by, averaged, in place of faulty ones; the median of all where none is near.
function repaired(image, faulty, height, width) {
  if (!faulty.includes(1) || !faulty.includes(0)) return image;
  const weight = gaussianFilter(
    faulty.map((one) => 1 - one),
    height,
    width,
    1.5,
    mirrored,
  );
  const near = gaussianFilter(
    image.map((value, i) => (faulty[i] ? 0 : value)),
    height,
    width,
    1.5,
    mirrored,
  );
  const good = image.filter((_, i) => !faulty[i]).sort();
  const median = percentile(good, 50);
  return image.map((value, i) =>
    !faulty[i] ? value : weight[i] > 1e-3 ? near[i] / Math.max(weight[i], 1e-6) : median,
  );
}
