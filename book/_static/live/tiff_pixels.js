// The pixels of one page of a TIFF file: its strips or tiles, unpacked and put together.

// Grey levels as a Float64Array. `page` is a table of tags from tiff.js.
async function readPage(page, bytes, little, damaged) {
  const [height, width] = [page.get(TAG.height), page.get(TAG.width)];
  const [bits, format, compression] = [page.get(TAG.bits, 1), page.get(TAG.format, 1), page.get(TAG.compression, 1)];
  const predictor = page.get(TAG.predictor, 1);
  const inTiles = page.list(TAG.tiles).length > 0;
  const w = inTiles ? page.get(TAG.tileWidth) : width;
  const h = inTiles ? page.get(TAG.tileHeight) : Math.min(page.get(TAG.rows, height), height);
  const offsets = page.list(inTiles ? TAG.tiles : TAG.strips);
  const counts = page.list(inTiles ? TAG.tileBytes : TAG.stripBytes);
  const across = Math.ceil(width / w);
  if (offsets.length < across * Math.ceil(height / h) || counts.length < offsets.length) damaged("pixel data missing");
  const image = new Float64Array(height * width);
  for (let top = 0, n = 0; top < height; top += h)
    for (let left = 0; left < width; left += w, n++) {
      if (!offsets[n] || !counts[n] || offsets[n] + counts[n] > bytes.length) damaged("pixel data cut off");
      const rows = inTiles ? h : Math.min(h, height - top);
      const needed = (rows * w * bits) / 8;
      const raw = await unpack(bytes.subarray(offsets[n], offsets[n] + counts[n]), compression, needed, damaged);
      if (raw.length < needed) damaged("pixel data cut off");
      const values = undoPredictor(raw.subarray(0, needed), w, bits, format, little, predictor);
      for (let y = 0; y < Math.min(rows, height - top); y++)
        image.set(values.subarray(y * w, y * w + Math.min(w, width - left)), (top + y) * width + left);
    }
  return image;
}

async function unpack(packed, compression, needed, damaged) {
  try {
    const how = COMPRESSIONS[compression];
    if (how === "Deflate") return await inflate(packed);
    if (how === "LZW") return unpackLzw(packed, needed);
    return how === "PackBits" ? unpackBits(packed) : packed;
  } catch {
    return damaged(`${COMPRESSIONS[compression]} data that cannot be unpacked`);
  }
}

function decodeNumbers(bytes, bits, format, little) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const get = view[`get${["", "Uint", "Int", "Float"][format]}${bits}`].bind(view);
  return Float64Array.from({ length: (bytes.length * 8) / bits }, (_, i) => get((i * bits) / 8, little));
}

// Files that are to be packed well hold differences between neighbours in a row: of whole numbers (predictor 2), or of the
// bytes of real numbers, of which all first bytes come first (predictor 3).
function undoPredictor(bytes, width, bits, format, little, predictor) {
  if (predictor === 1) return decodeNumbers(bytes, bits, format, little);
  const fits = predictor === (format === 3 ? 3 : 2);
  expect(fits, "a predictor for its kind of numbers", `predictor ${predictor}`, "save it uncompressed");
  if (predictor === 2) {
    const values = decodeNumbers(bytes, bits, 1, little);
    for (let i = 0; i < values.length; i++) if (i % width) values[i] = (values[i] + values[i - 1]) % 2 ** bits;
    return format === 2 ? values.map((value) => (value < 2 ** (bits - 1) ? value : value - 2 ** bits)) : values;
  }
  const [each, row] = [bits / 8, (width * bits) / 8];
  const sums = bytes.slice();
  for (let i = 0; i < sums.length; i++) if (i % row) sums[i] += sums[i - 1];
  const ordered = sums.map((_, i) => sums[i - (i % row) + (i % each) * width + Math.floor((i % row) / each)]);
  return decodeNumbers(ordered, bits, format, false);
}

function finite(image) {
  const bad = image.reduce((count, value) => count + !(Math.abs(value) < 1e37), 0);
  const holes = `${bad} that are NaN, infinite or larger, of ${image.length}`;
  expect(!bad, "grey values below 1e37", holes, "replace them, for example by local medians");
  return image;
}
