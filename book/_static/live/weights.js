// Weights from a .safetensors file: eight bytes with the length of a JSON table, the table, then the numbers of all tensors.

// { name: { shape, data: Float32Array } }; half-precision numbers become float32.
function readSafetensors(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const table = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  delete table.__metadata__;
  const tensors = {};
  for (const [
    name,
    {
      dtype,
      shape,
      data_offsets: [from, to],
    },
  ] of Object.entries(table)) {
    const { buffer } = bytes.slice(start + from, start + to);
    tensors[name] = {
      shape,
      data: dtype === "F32" ? new Float32Array(buffer) : Float32Array.from(new Uint16Array(buffer), half),
    };
  }
  return tensors;
}

// The number that 16 bits stand for: one bit for the sign, five for the exponent, ten for the fraction.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction) : sign * 2 ** -14 * fraction;
}

// The bytes that a text in base64 stands for.
function fromBase64(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
