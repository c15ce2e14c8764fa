// Pictures of the page: images on canvases, with their description in words, and the curve over the number of samples.

// Grey values 0..255 of pixels: `low` is black, `high` is white.
const shades = (pixels, low, high) => Uint8ClampedArray.from(pixels, (value) => (255 * (value - low)) / (high - low));

function drawImage(canvas, shadesOfGrey, { height, width }, words) {
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  shadesOfGrey.forEach((shade, i) => pixels.data.set([shade, shade, shade, 255], 4 * i));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  canvas.setAttribute("aria-label", words);
}

// Peak signal-to-noise ratio in dB of an image whose truth is known, over the truth's range.
function psnr(truth, image) {
  let [least, most, sum] = [Infinity, -Infinity, 0];
  truth.forEach((value, i) => {
    [least, most] = [Math.min(least, value), Math.max(most, value)];
    sum += (value - image[i]) ** 2;
  });
  return 10 * Math.log10((most - least) ** 2 / (sum / truth.length));
}

// PSNR of the mean of 1, 2, ... samples as an SVG, with a dashed line for the one-call mean and a ring at the number shown.
function drawCurve(svg, { values, oneCall, shown, samples }) {
  const all = [...values, oneCall];
  const [least, most] = [Math.min(...all) - 0.2, Math.max(...all) + 0.2];
  const x = (n) => 40 + (270 * (n - 1)) / Math.max(1, samples - 1);
  const y = (value) => 130 - (115 * (value - least)) / (most - least);
  const points = values.map((value, i) => `${x(i + 1)},${y(value)}`);
  const label = (at, value) => `<text x="${at}" y="${y(value) + 4}" text-anchor="end">${value.toFixed(1)}</text>`;
  svg.innerHTML = `
    <line x1="40" x2="310" y1="${y(oneCall)}" y2="${y(oneCall)}" class="dashed"/>
    <polyline points="${points.join(" ")}"/>
    ${points.map((point) => `<circle cx="${point.split(",")[0]}" cy="${point.split(",")[1]}" r="2"/>`).join("")}
    <circle cx="${x(shown)}" cy="${y(values[shown - 1])}" r="6" class="ring"/>
    ${label(34, least + 0.2)} ${label(34, most - 0.2)}
    <text x="40" y="150">1</text><text x="310" y="150" text-anchor="end">${samples} samples</text>`;
  const told = `mean of ${shown}: ${values[shown - 1].toFixed(2)} dB; one call: ${oneCall.toFixed(2)} dB`;
  svg.setAttribute("aria-label", `PSNR against the truth over the number of samples. ${told}`);
  return told;
}
