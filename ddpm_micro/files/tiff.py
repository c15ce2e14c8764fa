"""Micrographs in TIFF files: read with axes and pixel size, written so that ImageJ shows the same."""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.files.damage import broken_chain, missing_data

_NM = {"pm": 1e-3, "å": 0.1, "angstrom": 0.1, "nm": 1.0, "nanometer": 1.0, "mm": 1e6, "cm": 1e7, "m": 1e9, "in": 2.54e7}
_NM |= dict.fromkeys(("um", "µm", "\\u00b5m", "micron", "micrometer"), 1e3) | {"millimeter": 1e6, "inch": 2.54e7}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_COARSEST_PRINT_NM = 10_000.0  # 2540 dpi: a coarser "resolution" per inch or cm is a screen, printer or scanner default
_NM_RANGE, _S_RANGE = (1e-3, 1e7), (1e-9, 1e9)  # any microscope, and what TIFF's fractions hold without loss
IMAGEJ_LIMIT = 2**32 - 2**25  # a classic TIFF addresses 4 GiB; ImageJ reads no BigTIFF hyperstacks
_WRITABLE = {"YX", "TYX", "ZYX", "QYX", "CYX", "TCYX", "ZCYX", "QCYX"}


@dataclass(frozen=True, eq=False)
class Micrograph:
    """A grey-level image or stack and what its file says about its scale.

    Attributes
    ----------
    image : ndarray, shape (H, W) or (N, H, W)
        Stored grey values in the file's dtype and native byte order, finite.
    axes : str
        "YX", or "TYX" (time), "ZYX" (depth), "QYX" (a stack that does not say of what).
    pixel_size_nm : float or None
        Edge of a square pixel in nanometres; None when the file holds no credible one.
    z_step_nm, frame_interval_s : float or None
        Distance between the planes of a "ZYX" and time between those of a "TYX" stack.
    """

    image: np.ndarray
    axes: str
    pixel_size_nm: float | None = None
    z_step_nm: float | None = None
    frame_interval_s: float | None = None


def read(path: str | os.PathLike[str]) -> Micrograph:
    """Read a grey-level TIFF: plain, ImageJ or OME-TIFF, of one plane or one stack.

    Axes of length one are dropped. An ImageJ colour table is ignored: the grey values are what was measured. The
    pixel size comes from OME or ImageJ metadata, else from the resolution tags unless it is coarser than 10 µm,
    which no microscope camera has but 72, 96 or 300 dpi defaults do.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    Micrograph

    Raises
    ------
    FileNotFoundError, PermissionError
        No such file, or not ours to read.
    ValueError
        Not a TIFF, damaged or cut short, colour or several channels, more than one stack axis or image series,
        complex or boolean, empty, NaN or infinite.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: expected a TIFF file, got a folder; give one of its files")
    try:
        with _quiet(), tifffile.TiffFile(path) as tif:
            return _read_open(path, tif)
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "no such TIFF file; check the name", str(path)) from None
    except (_Refused, PermissionError):
        raise
    except MemoryError:
        raise ValueError(f"{path}: too large for this computer's memory; cut it into smaller files") from None
    except Exception as error:  # tifffile meets damage with nearly any exception there is
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if "imagecodecs" in reason:
            remedy = "save it uncompressed, or: pip install imagecodecs"
            raise ValueError(f"{path}: expected a compression that tifffile reads alone ({reason}); {remedy}") from None
        remedy = "copy or export it again as TIFF"
        raise ValueError(f"{path}: expected a whole TIFF file, got an unreadable one ({reason}); {remedy}") from None


class _Refused(ValueError):
    """A ValueError of ours, told apart from those of tifffile."""


def _read_open(path: Path, tif: tifffile.TiffFile) -> Micrograph:
    def check(fits: object, expected: str, came: object, remedy: str) -> None:
        if not fits:
            raise _Refused(f"{path}: expected {expected}, got {came}; {remedy}")

    damage = broken_chain(tif) or (None if tif.series else "no image in it")
    check(not damage, "a whole TIFF file", f"a damaged one ({damage})", "copy or export it again")
    series = tif.series[0]
    shape, axes = series.get_shape(squeeze=False), series.get_axes(squeeze=False)
    kept = [(axis, size) for axis, size in zip(axes, shape) if axis in "YX" or size > 1]
    names, sizes = "".join(axis for axis, _ in kept), tuple(size for _, size in kept)
    came = f"axes {names} of shape {sizes}"
    check(len(tif.series) == 1, "one image or stack", f"{len(tif.series)} different ones", "save the wanted one alone")
    check(0 not in shape, "an image with pixels", f"shape {shape}", "export it again")
    number = f"dtype {series.dtype}"
    check(series.dtype.kind in "uif", "integer or real grey values", number, "convert it to 16 or 32 bit")
    check("S" not in names, "one grey value a pixel", f"colour (RGB), {came}", "split the channels, restore one by one")
    unmix = "split the channels; if they are frames, say so in ImageJ under Image > Properties"
    check("C" not in names, "one channel", f"several channels, {came}", unmix)
    check(names[-2:] == "YX" and len(names) <= 3, "an image YX or a stack of them", came, "save each stack alone")
    damage = missing_data(tif, series)
    check(not damage, "a whole TIFF file", f"a damaged one ({damage})", "copy or export it again")

    image = series.asarray().reshape(sizes)
    image = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
    bad = 0 if image.dtype.kind in "ui" else np.count_nonzero(~np.isfinite(image))
    holes = f"{bad} NaN or infinite of {image.size}"
    check(not bad, "finite grey values", holes, "replace them, for example by local medians")
    unnamed = tif.is_imagej and tif.imagej_metadata.get("stack") == "unnamed"  # our own note, see write()
    stack = "" if len(names) == 2 else names[0] if names[0] in "TZ" and not unnamed else "Q"
    pixel, z_step, interval = _scale(tif)
    return Micrograph(image, stack + "YX", pixel, z_step if stack == "Z" else None, interval if stack == "T" else None)


def _scale(tif: tifffile.TiffFile) -> tuple[float | None, float | None, float | None]:
    """Return pixel size in nm, z step in nm, frame interval in s; None for what is not there."""
    if tif.is_ome:
        try:
            pixels = next(e.attrib for e in ElementTree.fromstring(tif.ome_metadata).iter() if e.tag.endswith("Pixels"))
        except (ElementTree.ParseError, StopIteration, TypeError):
            pixels = {}
        x, y, z = (_times(pixels.get(f"PhysicalSize{a}"), _nm(pixels.get(f"PhysicalSize{a}Unit", "µm"))) for a in "XYZ")
        second = _SECONDS.get(pixels.get("TimeIncrementUnit", "s"))
        if x is not None:
            return _square(x, y), z, _times(pixels.get("TimeIncrement"), second, _S_RANGE)
    tags, meta = tif.pages[0].tags, (tif.imagej_metadata or {}) if tif.is_imagej else {}
    name = meta.get("unit") or {2: "inch", 3: "cm"}.get(tags["ResolutionUnit"].value if "ResolutionUnit" in tags else 2)
    nm = _nm(name)
    x, y = (_times(_inverse(tags[tag].value), nm) if tag in tags else None for tag in ("XResolution", "YResolution"))
    if x is not None and nm in (_NM["inch"], _NM["cm"]) and x > _COARSEST_PRINT_NM:
        x = None
    return _square(x, y), _times(meta.get("spacing"), nm), _times(meta.get("finterval"), 1.0, _S_RANGE)


def _nm(unit: object) -> float | None:
    name = str(unit).strip().lower().replace("μ", "µ").replace("metre", "meter")
    return _NM.get(name, _NM.get(name.removesuffix("s")))


def _inverse(rational: object) -> float | None:
    try:
        return rational[1] / rational[0]
    except (TypeError, IndexError, ZeroDivisionError):
        return None


def _times(value: object, unit: float | None, within: tuple[float, float] = _NM_RANGE) -> float | None:
    try:
        product = float(value) * unit
    except (TypeError, ValueError):
        return None
    return product if within[0] <= product <= within[1] else None


def _square(x: float | None, y: float | None) -> float | None:
    if x is None or y is None or abs(x - y) <= 0.01 * x:
        return x
    logging.getLogger(__name__).warning("pixels of %g nm x %g nm are not square: the pixel size is not kept", x, y)
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile from reporting damage on stderr that we report as an error."""
    tifffile_log = logging.getLogger("tifffile")
    mute = logging.Filter("nothing is called this")
    tifffile_log.addFilter(mute)
    try:
        yield
    finally:
        tifffile_log.removeFilter(mute)


def write(
    path: str | os.PathLike[str],
    image: np.ndarray,
    *,
    axes: str,
    pixel_size_nm: float | None = None,
    z_step_nm: float | None = None,
    frame_interval_s: float | None = None,
    channel_names: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write an image or stack as a TIFF that ImageJ opens with axes and scale, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file to make; its folder must exist.
    image : ndarray of float32, uint16 or uint8, shape as `axes`
        Finite grey values, of either byte order.
    axes : str
        "YX", "TYX", "ZYX" or "QYX" for one grey value a pixel, "CYX", "TCYX", "ZCYX" or "QCYX" for several channels,
        for example mean and standard deviation. ImageJ knows no unnamed stacks: it shows "Q" as slices, `read` as "Q".
    pixel_size_nm : float, optional
        Edge of a pixel in nm, stored as pixels per micron.
    z_step_nm : float, optional
        Distance of slices in nm. ImageJ has one unit for both, so it is kept only beside a pixel size.
    frame_interval_s : float, optional
        Time between frames in s.
    channel_names : sequence of str, optional
        One label a channel, shown above the image in ImageJ.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    FileExistsError
        The file exists and `overwrite` is false.
    ValueError
        Axes, shape, dtype, scale or number of names do not fit, empty, NaN or infinite, more than 4 GB.
    OSError
        See `ddpm_micro.files.atomic.atomic_write`.
    """
    image = np.asarray(image)
    steps = {"pixel_size_nm": pixel_size_nm, "z_step_nm": z_step_nm, "frame_interval_s": frame_interval_s}
    if axes not in _WRITABLE:
        raise ValueError(f"expected axes of {', '.join(sorted(_WRITABLE))}, got {axes!r}; reorder or split the array")
    if image.ndim != len(axes) or image.size == 0:
        raise ValueError(f"expected {len(axes)} axes {axes} with pixels in them, got shape {image.shape}; reshape it")
    if image.dtype.newbyteorder("=") not in (np.float32, np.uint16, np.uint8):
        raise ValueError(f"expected float32, uint16 or uint8, got {image.dtype}; ImageJ reads no other: use .astype()")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError("expected finite grey values, got NaN or infinite ones; find out where they arose")
    if image.nbytes > IMAGEJ_LIMIT:
        raise ValueError(f"expected less than 4 GB for an ImageJ TIFF, got {image.nbytes / 1e9:.1f} GB; write parts")
    for name, value in steps.items():
        least, most = _S_RANGE if name.endswith("_s") else _NM_RANGE
        if value is not None and not least <= value <= most:
            raise ValueError(f"expected {name} of {least:g} to {most:g}, got {value}; leave it out when unknown")
    channels = image.shape[axes.index("C")] if "C" in axes else 1
    if channel_names and len(channel_names) != channels:
        raise ValueError(f"expected {channels} channel_names, got {len(channel_names)}; give one a channel")

    metadata: dict[str, object] = {"axes": axes.replace("Q", "Z") + "S", "mode": "grayscale"}
    if "Q" in axes:
        metadata["stack"] = "unnamed"  # ImageJ skips words it does not know
    resolution = None
    if pixel_size_nm is not None:
        metadata["unit"], resolution = "micron", (1e3 / pixel_size_nm,) * 2
        if z_step_nm is not None:
            metadata["spacing"] = z_step_nm / 1e3
    if frame_interval_s is not None:
        metadata["finterval"] = frame_interval_s
    if channel_names:
        planes = math.prod(image.shape[:-2])
        metadata["Labels"] = [str(name) for name in channel_names] * (planes // channels)
    with atomic_write(path, overwrite=overwrite) as temporary:
        options = {"photometric": "minisblack", "resolution": resolution, "metadata": metadata}
        # One sample a pixel is said aloud: else tifffile takes a stack of width 1 for one image of N columns.
        tifffile.imwrite(temporary, image[..., None], imagej=True, **options)
