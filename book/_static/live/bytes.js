// Decompression: three ways in which TIFF and PNG files store bytes in less room.

// zlib's format, which TIFF calls Deflate. The browser has it built in.
async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// PackBits: a count n, then n + 1 bytes as they are; or a negative count -n, then one byte that stands n + 1 times.
function unpackBits(bytes) {
  const out = [];
  for (let at = 0; at < bytes.length;) {
    const count = (bytes[at++] << 24) >> 24;
    if (count >= 0) for (let i = 0; i <= count; i++) out.push(bytes[at++]);
    else if (count > -128) for (let i = bytes[at++], n = 0; n <= -count; n++) out.push(i);
  }
  return Uint8Array.from(out);
}

// LZW as TIFF has it (specification 6.0, section 13): codes of 9 to 12 bits, the most significant bit first. Code 256 empties
// the table, 257 ends the data. Entry n of the table is a stretch of the output: where it starts, and how long it is.
function unpackLzw(bytes, size) {
  const out = new Uint8Array(size);
  const starts = new Int32Array(4097);
  const lengths = new Int32Array(4097);
  let [next, width, previous, written, bits, held] = [258, 9, -1, 0, 0, 0];
  for (let at = 0; at < bytes.length && written < size;) {
    while (held < width && at < bytes.length) [bits, held] = [((bits << 8) | bytes[at++]) & 0xfffff, held + 8];
    if (held < width) break;
    const code = (bits >> (held -= width)) & ((1 << width) - 1);
    if (code === 257) break;
    if (code === 256) {
      [next, width, previous] = [258, 9, -1];
      continue;
    }
    if (code > next || (previous < 0 && code > 255)) throw new Error("the LZW codes make no sense");
    const start = written;
    if (previous >= 0) {
      // A new entry: the stretch of the code before, and the byte behind it, which is the first of this code's.
      starts[next] = previous;
      lengths[next] = start - previous + 1;
      next++;
    }
    if (code < 256) out[written++] = code;
    else for (let i = 0; i < lengths[code] && written < size; i++) out[written++] = out[starts[code] + i];
    previous = start;
    if (next >= (1 << width) - 1 && width < 12) width++;
  }
  return out.subarray(0, written);
}
