// Grey-level TIFF files: read one plane at a time, and written so that ImageJ shows the pixel size (ddpm_micro/files/tiff.py).
// It reads strips and tiles, both byte orders, BigTIFF, integers of 8, 16 and 32 bits, float32 and float64, no compression,
// Deflate, LZW and PackBits, and the stacks that ImageJ writes behind a single page. All else is refused in one line.

class Refused extends Error {}

function expect(fits, expected, came, remedy) {
  if (!fits) throw new Refused(`expected ${expected}, got ${came}; ${remedy}`);
}

// prettier-ignore
const TAG = { width: 256, height: 257, bits: 258, compression: 259, photometric: 262, description: 270, strips: 273,
  samples: 277, rows: 278, stripBytes: 279, xResolution: 282, yResolution: 283, unit: 296, predictor: 317,
  tileWidth: 322, tileHeight: 323, tiles: 324, tileBytes: 325, format: 339 };
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8];
const COMPRESSIONS = { 1: "none", 5: "LZW", 8: "Deflate", 32946: "Deflate", 32773: "PackBits" };

// { planes, height, width, pixelSizeNm, read(plane): grey levels as a Float64Array } of a file's bytes.
async function openTiff(bytes) {
  const damaged = (reason) =>
    expect(false, "a whole TIFF file", `a damaged one (${reason})`, "copy or export it again");
  try {
    return openPages(bytes, damaged);
  } catch (error) {
    if (error instanceof RangeError) damaged("its list of pages leads out of the file"); // DataView's way of saying so
    throw error;
  }
}

function openPages(bytes, damaged) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  const pages = listPages(view, little, damaged);
  if (!pages.length) damaged("no image in it");
  const shapeOf = (page) => `${page.get(TAG.height)} x ${page.get(TAG.width)}`;
  const shapes = new Set(pages.map(shapeOf));
  expect(shapes.size === 1, "one image or stack", `${shapes.size} different ones`, "save the wanted one alone");
  const page = pages[0];
  const [height, width] = [page.get(TAG.height), page.get(TAG.width)];
  expect(height > 0 && width > 0, "an image with pixels", `shape ${shapeOf(page)}`, "export it again");
  const samples = page.get(TAG.samples, 1);
  expect(samples === 1, "one grey value a pixel", `${samples} (colour or channels)`, "split the channels");
  const [bits, format] = [page.get(TAG.bits, 1), page.get(TAG.format, 1)];
  const known =
    format === 3 ? bits === 32 || bits === 64 : (format === 1 || format === 2) && [8, 16, 32].includes(bits);
  const kind = ["", "unsigned", "signed", "floating-point", "untyped", "complex", "complex"][format] ?? "unknown";
  expect(
    known,
    "integers of 8, 16 or 32 bits, or real numbers",
    `${bits}-bit ${kind} ones`,
    "convert it to 16 or 32 bit",
  );
  const compression = page.get(TAG.compression, 1);
  const name = `compression ${compression}`;
  expect(compression in COMPRESSIONS, "no compression, Deflate, LZW or PackBits", name, "save it uncompressed");

  const description = page.text(TAG.description);
  const promised = promisedPlanes(description, height * width);
  // ImageJ writes large stacks as one page, with the other planes behind it. Nothing else may promise more than there is.
  const size = (height * width * bits) / 8;
  const behind = pages.length === 1 && promised > 1 && compression === 1;
  const there = behind ? Math.floor((bytes.length - page.get(TAG.strips)) / size) : pages.length;
  if (promised > there) damaged(`its metadata promise ${promised} planes, ${there} are there`);

  // Where 0 is white, the grey levels are turned round, so that 0 is black.
  const whiteIsZero = format === 1 && page.get(TAG.photometric, 1) === 0;
  async function read(plane) {
    let image;
    if (behind) {
      const from = page.get(TAG.strips) + plane * size;
      image = decodeNumbers(bytes.subarray(from, from + size), bits, format, little);
    } else {
      image = await readPage(pages[plane], bytes, little, damaged);
    }
    return finite(whiteIsZero ? image.map((value) => 2 ** bits - 1 - value) : image);
  }
  return { planes: behind ? promised : pages.length, height, width, pixelSizeNm: pixelSize(page, description), read };
}

// Follow the list of pages to its end. A page is a table of tags with the functions `get`, `list` and `text`.
function listPages(view, little, damaged) {
  const big = view.getUint16(2, little) === 43;
  const long = (at) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  const pages = [];
  const seen = new Set();
  for (let at = long(big ? 8 : 4); at !== 0;) {
    if (seen.has(at)) damaged("the list of pages goes in a circle");
    seen.add(at);
    const count = big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little);
    at += big ? 8 : 2;
    const tags = new Map();
    for (let i = 0; i < count; i++, at += big ? 20 : 12) {
      const type = view.getUint16(at + 2, little);
      const length = long(at + 4);
      const room = big ? 8 : 4;
      const value = at + 4 + room;
      const inside = length * (TYPE_BYTES[type] ?? 0) <= room;
      tags.set(view.getUint16(at, little), { type, length, at: inside ? value : long(value) });
    }
    const list = (tag) => {
      const { type, length, at: from } = tags.get(tag) ?? { length: 0 };
      return Array.from({ length }, (_, i) => tagValue(view, type, from + i * TYPE_BYTES[type], little));
    };
    const text = (tag) => new TextDecoder().decode(Uint8Array.from(list(tag))).replace(/\0+$/, "");
    pages.push({
      list,
      text,
      get: (tag, otherwise) =>
        tags.has(tag) ? tagValue(view, tags.get(tag).type, tags.get(tag).at, little) : otherwise,
    });
    at = long(at);
  }
  return pages;
}

function tagValue(view, type, at, little) {
  if (type === 3) return view.getUint16(at, little);
  if (type === 4 || type === 13) return view.getUint32(at, little);
  if (type === 5) return view.getUint32(at, little) / view.getUint32(at + 4, little);
  if (type === 16 || type === 18) return Number(view.getBigUint64(at, little));
  return view.getUint8(at);
}

// How many planes the description of ImageJ or tifffile speaks of.
function promisedPlanes(description, size) {
  if (description.startsWith("ImageJ=")) return Number(/^images=(\d+)/m.exec(description)?.[1] ?? 1);
  const shape = /^\{"shape": \[([\d, ]+)\]/.exec(description);
  return shape ? shape[1].split(",").reduce((product, side) => product * Number(side), 1) / size : 1;
}
