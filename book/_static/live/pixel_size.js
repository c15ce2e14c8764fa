// The size of a pixel on the specimen, from what a TIFF file says about its scale.

// prettier-ignore
const NM = { pm: 1e-3, å: 0.1, angstrom: 0.1, nm: 1, nanometer: 1, um: 1e3, µm: 1e3, "\\u00b5m": 1e3, micron: 1e3,
  micrometer: 1e3, mm: 1e6, millimeter: 1e6, cm: 1e7, m: 1e9, in: 2.54e7, inch: 2.54e7 };
const COARSEST_PRINT_NM = 10_000; // a coarser "resolution" per inch or cm is a default of screens, printers or scanners

// Edge of a square pixel in nm from the metadata of OME or ImageJ, or from the resolution tags; null if there is none.
function pixelSize(page, description) {
  const nm = (unit) => {
    const name = unit.trim().toLowerCase().replace("μ", "µ").replace("metre", "meter");
    return NM[name] ?? NM[name.replace(/s$/, "")] ?? NaN;
  };
  const pixels = /<(?:\w+:)?Pixels\b[^>]*>/.exec(description)?.[0];
  let sides;
  if (pixels && /\bPhysicalSizeX=/.test(pixels)) {
    const value = (name) => new RegExp(`\\b${name}="([^"]*)"`).exec(pixels)?.[1];
    sides = ["X", "Y"].map((a) => Number(value(`PhysicalSize${a}`)) * nm(value(`PhysicalSize${a}Unit`) ?? "µm"));
  } else {
    const named = description.startsWith("ImageJ=") && /^unit=(.*)$/m.exec(description)?.[1];
    const unit = nm(named || { 2: "inch", 3: "cm" }[page.get(TAG.unit, 2)] || "");
    sides = [TAG.xResolution, TAG.yResolution].map((tag) => unit / page.get(tag));
    if ((unit === NM.inch || unit === NM.cm) && sides[0] > COARSEST_PRINT_NM) return null;
  }
  const [x, y] = sides.map((side) => (side >= 1e-3 && side <= 1e7 ? side : null));
  return x !== null && (y === null || Math.abs(x - y) <= 0.01 * x) ? x : null;
}
