// Writing of TIFF files that ImageJ opens with their pixel size.

// The bytes of a float32 TIFF, with the pixel size as ImageJ keeps it.
function writeTiff(image, height, width, pixelSizeNm = null) {
  const unit = pixelSizeNm === null ? "" : "unit=micron\n";
  const text = new TextEncoder().encode(`ImageJ=1.11a\nimages=1\n${unit}mode=grayscale\n\0`);
  // prettier-ignore
  const tags = [
    [TAG.width, 4, width], [TAG.height, 4, height], [TAG.bits, 3, 32], [TAG.compression, 3, 1], [TAG.photometric, 3, 1],
    [TAG.description, 2, text], [TAG.strips, 4, 0], [TAG.samples, 3, 1], [TAG.rows, 4, height],
    [TAG.stripBytes, 4, 4 * height * width], [TAG.xResolution, 5, null], [TAG.yResolution, 5, null], [TAG.unit, 3, 1],
    [TAG.format, 3, 3],
  ].filter(([, type]) => type !== 5 || pixelSizeNm !== null);
  const fraction = 8 + 2 + 12 * tags.length + 4;
  const textAt = fraction + 8;
  const pixelsAt = Math.ceil((textAt + text.length) / 16) * 16;
  const bytes = new Uint8Array(pixelsAt + 4 * image.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x49, 0x49, 42, 0, 8]);
  view.setUint16(8, tags.length, true);
  tags.forEach(([tag, type, value], i) => {
    const at = 10 + 12 * i;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, type === 2 ? text.length : 1, true);
    const address = {
      [TAG.strips]: pixelsAt,
      [TAG.description]: textAt,
      [TAG.xResolution]: fraction,
      [TAG.yResolution]: fraction,
    };
    view.setUint32(at + 8, address[tag] ?? value, true);
  });
  if (pixelSizeNm !== null) {
    const below = Math.max(1, Math.floor(2 ** 31 / Math.max(1, 1000 / pixelSizeNm))); // pixels a micron, as a fraction
    view.setUint32(fraction, Math.round((1000 / pixelSizeNm) * below), true);
    view.setUint32(fraction + 4, below, true);
  }
  bytes.set(text, textAt);
  image.forEach((value, i) => view.setFloat32(pixelsAt + 4 * i, value, true));
  return bytes;
}
