// Grey-level PNG files. The browser's own reader would turn 16 bits into 8 and apply a gamma: grey levels have to come out
// as they are in the file. Colour is taken where red, green and blue are equal, as in a screenshot of a grey image.

async function openPng(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const damaged = (reason) => expect(false, "a whole PNG file", `a damaged one (${reason})`, "copy or export it again");
  const chunks = { IDAT: [] };
  for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + view.getUint32(at));
    if (name === "IDAT") chunks.IDAT.push(data);
    else chunks[name] = data;
  }
  if (!chunks.IHDR || !chunks.IEND || chunks.IHDR.length < 13) damaged("cut off");
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const [bits, colour, , , interlaced] = chunks.IHDR.subarray(8);
  const save = "save it as a grey-level TIFF";
  expect(bits === 8 || bits === 16, "a PNG of 8 or 16 bits", `one of ${bits}`, save);
  expect(colour !== 3 && !interlaced, "a plain PNG", colour === 3 ? "one with a palette" : "an interlaced one", save);
  const samples = { 0: 1, 2: 3, 4: 2, 6: 4 }[colour];
  return { planes: 1, height, width, pixelSizeNm: null, read };

  async function read() {
    const packed = new Uint8Array(await new Blob(chunks.IDAT).arrayBuffer());
    const raw = await inflate(packed).catch(() => damaged("data that cannot be unpacked"));
    const each = (samples * bits) / 8;
    const rows = unfilter(raw, height, width * each, each, damaged);
    const values = decodeNumbers(rows, bits, 1, false);
    const image = new Float64Array(height * width).map((_, i) => values[i * samples]);
    const grey =
      samples < 3 || image.every((red, i) => red === values[i * samples + 1] && red === values[i * samples + 2]);
    expect(grey, "one grey value a pixel", "colour (RGB)", "split the channels");
    return image;
  }
}

// Undo the filters (PNG specification, section 9): a row is stored as differences from its left or upper neighbours.
function unfilter(raw, height, length, each, damaged) {
  if (raw.length < height * (length + 1)) damaged("cut off");
  const rows = new Uint8Array(height * length);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (length + 1)];
    for (let i = 0; i < length; i++) {
      const at = y * length + i;
      const left = i >= each ? rows[at - each] : 0;
      const above = y ? rows[at - length] : 0;
      const aboveLeft = y && i >= each ? rows[at - length - each] : 0;
      const guess = [0, left, above, (left + above) >> 1, paeth(left, above, aboveLeft)][filter];
      rows[at] = raw[y * (length + 1) + 1 + i] + guess;
    }
  }
  return rows;
}

function paeth(left, above, aboveLeft) {
  const guess = left + above - aboveLeft;
  const [a, b, c] = [left, above, aboveLeft].map((value) => Math.abs(guess - value));
  return a <= b && a <= c ? left : b <= c ? above : aboveLeft;
}
