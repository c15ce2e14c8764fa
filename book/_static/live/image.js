// The reader's image: which kind of file it is, and whether this page can take it.

const SMALLEST = 8; // pixels a side
const LARGEST = 1024;
const LARGEST_FILE = 1e9; // bytes, since a browser holds a file whole

// { planes, height, width, pixelSizeNm, read } of a TIFF or PNG file's bytes; see openTiff. Throws Refused in one line.
async function openImage(bytes) {
  const starts = (...signature) => signature.every((byte, i) => bytes[i] === byte);
  const isTiff = [42, 43].some((version) => starts(0x49, 0x49, version, 0) || starts(0x4d, 0x4d, 0, version));
  const isPng = starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const came = starts(0xff, 0xd8) ? "a JPEG, which has changed the grey levels" : "another kind of file";
  expect(isTiff || isPng, "a TIFF or PNG file", came, "export the image as TIFF");
  const image = await (isTiff ? openTiff(bytes) : openPng(bytes));
  const { height, width } = image;
  const fits = Math.min(height, width) >= SMALLEST && Math.max(height, width) <= LARGEST;
  const remedy =
    Math.max(height, width) > LARGEST ? "crop it, or use the command ddpm-micro restore" : "give a larger image";
  expect(fits, `${SMALLEST} to ${LARGEST} pixels a side`, `${width} x ${height}`, remedy);
  return image;
}
