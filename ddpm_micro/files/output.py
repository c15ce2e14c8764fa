"""Writing TIFF files: at once, whole or not at all, or plane by plane."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.files.planes import Description
from ddpm_micro.files.scale import NM_RANGE, S_RANGE

IMAGEJ_LIMIT = 2**32 - 2**25  # a classic TIFF addresses 4 GiB; ImageJ reads no BigTIFF hyperstacks


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
        "YX" after any of T, Z and C, in this order, for example "TZCYX"; or "Q" in place of "Z" for a stack that is not
        named. ImageJ knows no unnamed stacks: it shows "Q" as slices, `read` as "Q".
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
        See ``atomic_write``.
    """
    image = np.asarray(image)
    steps = {"pixel_size_nm": pixel_size_nm, "z_step_nm": z_step_nm, "frame_interval_s": frame_interval_s}
    if not _imagej_axes(axes):
        raise ValueError(f"expected axes YX after any of T, Z or Q, and C, got {axes!r}; reorder or split the array")
    if image.ndim != len(axes) or image.size == 0:
        raise ValueError(f"expected {len(axes)} axes {axes} with pixels in them, got shape {image.shape}; reshape it")
    if image.dtype.newbyteorder("=") not in (np.float32, np.uint16, np.uint8):
        raise ValueError(f"expected float32, uint16 or uint8, got {image.dtype}; ImageJ reads no other: use .astype()")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError("expected finite grey values, got NaN or infinite ones; find out where they arose")
    if image.nbytes > IMAGEJ_LIMIT:
        raise ValueError(f"expected less than 4 GB for an ImageJ TIFF, got {image.nbytes / 1e9:.1f} GB; write parts")
    for name, value in steps.items():
        least, most = S_RANGE if name.endswith("_s") else NM_RANGE
        if value is not None and not least <= value <= most:
            raise ValueError(f"expected {name} of {least:g} to {most:g}, got {value}; leave it out when unknown")
    channels = image.shape[axes.index("C")] if "C" in axes else 1
    if channel_names and len(channel_names) != channels:
        raise ValueError(f"expected {channels} channel_names, got {len(channel_names)}; give one a channel")
    metadata = {"Labels": [str(name) for name in channel_names] * (math.prod(image.shape[:-2]) // channels)}
    options = _imagej(axes, steps, metadata if channel_names else {})
    with atomic_write(path, overwrite=overwrite) as temporary:
        # One sample a pixel is said aloud: else tifffile takes a stack of width 1 for one image of N columns.
        tifffile.imwrite(temporary, image[..., None], **options)


class PlaneWriter:
    """A float32 TIFF of known shape whose planes are written one at a time, in any order.

    It has the form and metadata that the description gives, except where an ImageJ file could not hold it.

    Parameters
    ----------
    path : path-like
        Is replaced, unless ``resume``, which goes on with the file that is there.
    about : Description
        Of the file to write: axes, shape, scale, form, names and colours.
    """

    def __init__(self, path: Path, about: Description, *, resume: bool = False) -> None:
        self.path = path
        if not resume:
            size = 4 * math.prod(about.shape)
            options = _options(about, size)
            shape = about.shape if options.get("ome") else (*about.shape, 1)
            tifffile.memmap(path, shape=shape, dtype=np.float32, **options).flush()
        with tifffile.TiffFile(path) as tif:
            self._offset = tif.pages[0].dataoffsets[0]
            self._dtype = np.dtype(np.float32).newbyteorder(tif.byteorder)
        self._shape = about.shape[-2:]

    def put(self, number: int, plane: np.ndarray) -> None:
        """Write plane ``number``, counted in the order of the axes, of shape (H, W)."""
        data = np.ascontiguousarray(plane, self._dtype).reshape(self._shape)
        with open(self.path, "r+b") as file:
            file.seek(self._offset + number * data.nbytes)
            file.write(data.tobytes())


def _imagej_axes(axes: str) -> bool:
    """Whether axes stand in ImageJ's order, each at most once."""
    order = "TZCYX" if "Q" not in axes else "TQCYX"
    return axes == "".join(a for a in order if a in axes) and axes[-2:] == "YX"


def _options(about: Description, size: int) -> dict[str, Any]:
    """What tifffile's writer needs for a file of the form of ``about``, or of the next that can hold it."""
    steps = {name: getattr(about, name) for name in ("pixel_size_nm", "z_step_nm", "frame_interval_s")}
    big = {"bigtiff": size > IMAGEJ_LIMIT}
    if about.form != "ome" and _imagej_axes(about.axes) and not big["bigtiff"]:
        return _imagej(about.axes, steps, about.metadata if about.form == "imagej" else {})
    letters = about.axes[:-2].replace("Q", "Z", 1)
    if len(set(letters)) < len(letters) or "Q" in letters:  # OME has no names for these
        return big | {"photometric": "minisblack", "metadata": {"axes": about.axes + "S"}}
    known = about.metadata.get("Channel", {})
    channels = {key: known[key] for key in ("Name", "Color") if known.get(key)}
    metadata: dict[str, Any] = {"axes": letters + "YX"} | ({"Channel": channels} if channels else {})
    for axis, name, unit in (("X", "pixel_size_nm", 1e3), ("Y", "pixel_size_nm", 1e3), ("Z", "z_step_nm", 1e3)):
        if steps[name] is not None:
            metadata[f"PhysicalSize{axis}"] = steps[name] / unit
    if steps["frame_interval_s"] is not None:
        metadata["TimeIncrement"] = steps["frame_interval_s"]
    return big | {"ome": True, "photometric": "minisblack", "metadata": metadata}


def _imagej(axes: str, steps: dict[str, float | None], kept: dict[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes.replace("Q", "Z") + "S", "mode": "grayscale", **kept}
    if "Q" in axes:
        metadata["stack"] = "unnamed"  # ImageJ skips words it does not know
    resolution = None
    if steps["pixel_size_nm"] is not None:
        metadata["unit"], resolution = "micron", (1e3 / steps["pixel_size_nm"],) * 2
        if steps["z_step_nm"] is not None:
            metadata["spacing"] = steps["z_step_nm"] / 1e3
    if steps["frame_interval_s"] is not None:
        metadata["finterval"] = steps["frame_interval_s"]
    return {"imagej": True, "photometric": "minisblack", "resolution": resolution, "metadata": metadata}
