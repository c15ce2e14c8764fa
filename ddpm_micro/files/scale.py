"""What a TIFF file says of its scale: pixel size, z step and frame interval, wherever its writer put them."""

from __future__ import annotations

from functools import lru_cache
from xml.etree import ElementTree

import numpy as np
import tifffile

_NM = {"pm": 1e-3, "å": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "mm": 1e6, "cm": 1e7, "m": 1e9, "in": 2.54e7}
_NM |= {"picometer": 1e-3, "centimeter": 1e7, "meter": 1e9}
_NM |= dict.fromkeys(("um", "µm", "\\u00b5m", "micron", "micrometer", "u"), 1e3) | {"millimeter": 1e6, "inch": 2.54e7}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "msec": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0}
_SECONDS |= {"nanosecond": 1e-9, "microsecond": 1e-6, "millisecond": 1e-3}
_SECONDS |= {"min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0}
_COARSEST_PRINT_NM = 10_000.0  # 2540 dpi: a coarser "resolution" per inch or cm is a screen, printer or scanner default
NM_RANGE, S_RANGE = (1e-3, 1e7), (1e-9, 1e9)  # any microscope, and what TIFF's fractions hold without loss

Steps = dict[str, "float | None"]  # x, y and z in nm, t in s


def scale(tif: tifffile.TiffFile) -> tuple[float | None, float | None, float | None, list[str]]:
    """Pixel size in nm, z step in nm and frame interval in s, None for what is not there; and what cannot be kept."""
    steps: Steps = dict.fromkeys("xyzt")
    for source in (_ome, _imagej, _metamorph, _lsm, _sem, _tags):
        found = source(tif)
        steps = {axis: found.get(axis) if value is None else value for axis, value in steps.items()}
    pixel, lost = square(steps["x"], steps["y"])
    return pixel, steps["z"], steps["t"], lost


def square(x: float | None, y: float | None) -> tuple[float | None, list[str]]:
    """The edge of a pixel of these sides in nm, None if it is not square; and what is to be said of that."""
    if x is None or y is None or abs(x - y) <= 0.01 * x:
        return x, []
    return None, [f"pixels of {x:g} nm x {y:g} nm are not square: the pixel size is not kept"]


def xml_of(tif: tifffile.TiffFile) -> ElementTree.Element | None:
    """The OME-XML of a file, parsed once however often it is asked for."""
    return _parsed(tif.ome_metadata) if tif.is_ome else None


@lru_cache(maxsize=1)
def _parsed(text: str | None) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, TypeError):
        return None


def _ome(tif: tifffile.TiffFile) -> Steps:
    xml = xml_of(tif)
    elements = [] if xml is None else list(xml.iter())
    pixels = next((e.attrib for e in elements if e.tag.endswith("}Pixels") or e.tag == "Pixels"), {})
    steps = {
        a: times(pixels.get(f"PhysicalSize{a.upper()}"), nanometres(pixels.get(f"PhysicalSize{a.upper()}Unit", "µm")))
        for a in "xyz"
    }
    steps["t"] = times(pixels.get("TimeIncrement"), seconds(pixels.get("TimeIncrementUnit", "s")), S_RANGE)
    if steps["t"] is None:  # then perhaps each plane has its time
        first = [e.attrib for e in elements if e.tag.endswith("Plane") and e.get("TheC") == e.get("TheZ") == "0"]
        found = sorted((int(p["TheT"]), float(p["DeltaT"])) for p in first if "DeltaT" in p and "TheT" in p)
        unit = seconds(first[0].get("DeltaTUnit", "s")) if first else None
        steps["t"] = times(np.median(np.diff([time for _, time in found])), unit, S_RANGE) if len(found) > 1 else None
    return steps


def _imagej(tif: tifffile.TiffFile) -> Steps:
    meta = (tif.imagej_metadata or {}) if tif.is_imagej else {}
    if not meta:
        return {}
    units = {a: nanometres(meta.get(f"{a}unit", meta.get("unit"))) for a in "xyz"}
    fps = meta.get("fps")
    interval = times(meta.get("finterval"), seconds(meta.get("tunit", "s")), S_RANGE)
    if interval is None and isinstance(fps, (int, float)) and fps > 0:
        interval = times(1 / fps, 1.0, S_RANGE)
    x, y = (times(_inverse(tif, tag), units[a]) for a, tag in (("x", "XResolution"), ("y", "YResolution")))
    printed = units["x"] in (_NM["inch"], _NM["cm"]) and x is not None and x > _COARSEST_PRINT_NM
    spacing = meta.get("spacing")
    z = times(abs(spacing) if isinstance(spacing, (int, float)) else None, units["z"])  # downwards it is negative
    return {"x": None if printed else x, "y": None if printed else y, "z": z, "t": interval}


def _metamorph(tif: tifffile.TiffFile) -> Steps:
    meta = tif.stk_metadata if tif.is_stk else None
    if not meta:
        return {}
    unit, distances = nanometres(meta.get("CalibrationUnits")), np.abs(np.ravel(meta.get("ZDistance", 0)))
    created = np.diff(np.ravel(meta.get("TimeCreated", 0)).astype(float))
    return {
        "x": times(meta.get("XCalibration"), unit), "y": times(meta.get("YCalibration"), unit),
        "z": times(np.median(distances), unit), "t": times(np.median(created), 1e-3, S_RANGE) if len(created) else None,
    }  # fmt: skip


def _lsm(tif: tifffile.TiffFile) -> Steps:
    meta = tif.lsm_metadata if tif.is_lsm else None
    if not meta:
        return {}
    steps = {a: times(meta.get(f"VoxelSize{a.upper()}"), 1e9) for a in "xyz"}
    return steps | {"t": times(meta.get("TimeIntervall", meta.get("TimeInterval")), 1.0, S_RANGE)}


def _sem(tif: tifffile.TiffFile) -> Steps:
    if tif.is_sem and tif.sem_metadata:  # Zeiss
        value = tif.sem_metadata.get("ap_image_pixel_size", tif.sem_metadata.get("ap_pixel_size"))
        size = times(value[1], nanometres(value[2])) if isinstance(value, tuple) and len(value) == 3 else None
        return {"x": size, "y": size}
    scan = ((tif.fei_metadata or {}) if tif.is_fei else {}).get("Scan") or {}
    return {"x": times(scan.get("PixelWidth"), 1e9), "y": times(scan.get("PixelHeight"), 1e9)}


def _tags(tif: tifffile.TiffFile) -> Steps:
    if tif.is_imagej:
        return {}
    tag = tif.pages[0].tags.get("ResolutionUnit")
    unit = {2: _NM["inch"], 3: _NM["cm"]}.get(2 if tag is None else tag.value)
    x, y = (times(_inverse(tif, name), unit) for name in ("XResolution", "YResolution"))
    return {} if x is None or x > _COARSEST_PRINT_NM else {"x": x, "y": y}


def nanometres(unit: object) -> float | None:
    """How many nm a unit of length has; None for a name that is unknown."""
    name = str(unit).strip().lower().replace("μ", "µ").replace("metre", "meter")
    return _NM.get(name, _NM.get(name.removesuffix("s")))


def seconds(unit: object) -> float | None:
    """How many s a unit of time has; None for a name that is unknown."""
    name = str(unit).strip().lower().replace("μ", "µ")
    return _SECONDS.get(name, _SECONDS.get(name.removesuffix("s")))


def _inverse(tif: tifffile.TiffFile, tag: str) -> float | None:
    try:
        numerator, denominator = tif.pages[0].tags[tag].value
        return denominator / numerator
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def times(value: object, unit: float | None, within: tuple[float, float] = NM_RANGE) -> float | None:
    """A number of a file times its unit; None for what is no number or not credible."""
    try:
        product = float(value) * unit
    except (TypeError, ValueError):
        return None
    return product if within[0] <= product <= within[1] else None
