"""Micrographs in TIFF files: the planes that lie in a file, with their axes, channels and scale."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import tifffile

from ddpm_micro.files.damage import broken_chain, missing_data, promised_planes
from ddpm_micro.files.output import IMAGEJ_LIMIT, write
from ddpm_micro.files.planes import Description, Micrograph, Planes, told_of
from ddpm_micro.files.scale import scale, xml_of

__all__ = ["IMAGEJ_LIMIT", "Description", "Micrograph", "Planes", "TiffPlanes", "opened", "read", "write"]


class TiffPlanes(Planes):
    """The planes of an open TIFF file."""

    def __init__(self, path: Path, tif: tifffile.TiffFile) -> None:
        self.path, self._tif = path, tif
        series = self._series = self._one_series()
        self._pages = [page for page in series.pages if page is not None]
        shape, axes = series.get_shape(False), series.get_axes(False)
        self._check(0 not in shape, "an image with pixels", f"shape {shape}", "export it again")
        number = f"dtype {series.dtype}"
        self._check(series.dtype.kind in "uif", "integer or real grey values", number, "convert it to 16 or 32 bit")
        damage = missing_data(tif, series)
        self._check(not damage, "a whole TIFF file", f"a damaged one ({damage})", "copy or export it again")
        # tifffile may call further axes of length one X or Y as well: the last of each is meant.
        last = {axes.rfind("Y"), axes.rfind("X")}
        kept = [
            (axis, size) for n, (axis, size) in enumerate(zip(axes, shape)) if n in last or (size > 1 and axis != "S")
        ]
        names, sizes = "".join(axis for axis, _ in kept), tuple(size for _, size in kept)
        came = f"axes {names} of shape {sizes}"
        self._check(names[-2:] == "YX", "planes YX", came, "reorder its axes")
        self._per_page = math.prod(series.keyframe.shape) // math.prod(shape[axes.index(a)] for a in "YX")
        self._samples = shape[axes.index("S")] if "S" in axes else 1
        self._per_page //= self._samples
        here, promised = self._count(sizes), max(promised_planes(tif, series), math.prod(sizes[:-2]))
        notes = []
        if here < promised:
            names, sizes = "Q" * (here > 1) + "YX", (here,) * (here > 1) + sizes[-2:]
            notes.append(
                f"its description speaks of {promised} planes, {here} {'are' if here > 1 else 'is'} in the file"
            )
        if tif.is_ome and xml_of(tif) is None:
            notes.append("its OME description cannot be read")
        elif tif.is_ome and series.kind != "ome":
            notes.append("its OME description does not fit its planes and was not used")
        elif tif.is_ome and (more := len(tif.pages) - sum(len(part.pages) for part in tif.series)) > 0:
            notes.append(
                f"its OME description leaves {more} of its {len(tif.pages)} planes out, and so does the result"
            )
        if series.keyframe.photometric == 0 and series.dtype.kind == "u":
            notes.append("0 was white; in the result 0 is black")
        pixel, z_step, interval, lost = scale(tif)
        form = "imagej" if tif.is_imagej else "ome" if tif.is_ome else "plain"
        # "stack": our own note of an unnamed axis, see `output.write`.
        unnamed = form == "imagej" and (tif.imagej_metadata or {}).get("stack") == "unnamed"
        names = "".join(a if a in "TZCYX" and not (unnamed and a == "Z") else "Q" for a in names)
        metadata, dropped = _names_and_colours(tif) if here == promised else ({}, [])
        self.about = Description(
            axes=names, shape=sizes, dtype=series.dtype.newbyteorder("="), pixel_size_nm=pixel,
            z_step_nm=z_step if "Z" in names else None, frame_interval_s=interval if "T" in names else None,
            form=form, metadata=metadata, notes=(*notes, *lost, *dropped),
        )  # fmt: skip
        self[0]  # what cannot be restored is told at once

    def _one_series(self) -> tifffile.TiffPageSeries:
        """The series of full size; thumbnails and the levels of a pyramid are passed over."""
        damage = broken_chain(self._tif) or (None if self._tif.series else "no image in it")
        self._check(not damage, "a whole TIFF file", f"a damaged one ({damage})", "copy or export it again")
        pages = [(series, series.keyframe) for series in self._tif.series]
        full = [series for series, page in pages if not (page.is_reduced or page.is_mask)] or self._tif.series[:1]
        height, width = full[0].keyframe.imagelength, full[0].keyframe.imagewidth

        def smaller(series: tifffile.TiffPageSeries) -> bool:
            """Whether the series shows the first one at half its size or less."""
            factor = width / series.keyframe.imagewidth
            return factor >= 2 and abs(series.keyframe.imagelength * factor - height) <= 2 * factor

        others = [series for series in full[1:] if not smaller(series)]
        remedy = "save the wanted one alone"
        self._check(not others, "one image or stack", f"{len(others) + 1} different ones", remedy)
        return full[0]

    def _count(self, sizes: tuple[int, ...]) -> int:
        return math.prod(sizes[:-2]) if self._series.dataoffset is not None else len(self._pages) * self._per_page

    def _read(self, number: int) -> np.ndarray:
        series, (height, width) = self._series, self.about.shape[-2:]
        if series.dataoffset is not None and self._samples == 1:
            dtype = series.dtype.newbyteorder(self._tif.byteorder)
            offset = series.dataoffset + number * height * width * dtype.itemsize
            self._tif.filehandle.seek(offset)
            plane = np.frombuffer(self._tif.filehandle.read(height * width * dtype.itemsize), dtype)
        else:
            page, within = divmod(number, self._per_page)
            plane = self._pages[page].asarray()
            if self._samples > 1:
                plane = self._grey(plane)
            plane = plane.reshape(self._per_page, height, width)[within]
        plane = plane.reshape(height, width)
        if series.keyframe.photometric == 0 and plane.dtype.kind == "u":
            plane = plane.dtype.type(2**series.keyframe.bitspersample - 1) - plane  # also 12 bits in 16
        return plane

    def _grey(self, samples: np.ndarray) -> np.ndarray:
        """One of the samples of a colour image if red, green and blue are the same."""
        axis = self._pages[0].axes.index("S")
        colours = np.moveaxis(samples, axis, 0)[: 3 if self._samples >= 3 else 1]
        grey = all(np.array_equal(colours[0], colour) for colour in colours[1:])
        remedy = "split the channels (ImageJ: Image > Color > Split Channels) and save them as one stack of channels"
        self._check(grey, "one grey value a pixel", f"colour (RGB) of shape {samples.shape}", remedy)
        return colours[0]


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[TiffPlanes]:
    """Open a TIFF file to read its planes one by one; raises as `read` does, also while planes are read."""
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: expected a TIFF file, got a folder or a device; give a file")
    with _quiet(), ExitStack() as stack:
        with told_of(path):
            # _multifile: a file of a set is the planes that lie in it, not those that its metadata place elsewhere.
            tif = stack.enter_context(tifffile.TiffFile(path, _multifile=False))
            planes = TiffPlanes(path, tif)
        yield planes


def read(path: str | os.PathLike[str]) -> Micrograph:
    """Read a grey-level TIFF: plain, ImageJ, OME, MetaMorph or LSM, of any number of planes in T, Z and C.

    Axes of length one are dropped. An ImageJ colour table is ignored: the grey values are what was measured. Of several
    images in one file, thumbnails and the levels of a pyramid are passed over. The pixel size comes from the
    microscope's or ImageJ's metadata, else from the resolution tags unless it is coarser than 10 µm, which no
    microscope camera has but 72, 96 or 300 dpi defaults do.

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
        Not a TIFF, damaged or cut short, true colour, several images of different sizes, complex or boolean, empty,
        NaN or infinite.
    """
    with opened(path) as planes:
        return planes.stack()


def _names_and_colours(tif: tifffile.TiffFile) -> tuple[dict, list[str]]:
    """Names and colours of channels for tifffile's writer, and what of the file's metadata is not kept."""
    lost: list[str] = []
    metadata: dict[str, object] = {}
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        metadata = {key: meta[key] for key in ("Labels", "LUTs", "Ranges", "mode") if key in meta}
        lost = [key for key in ("ROI", "Overlays", "Info", "Properties") if key in meta]
        lost += ["the calibration of grey levels"] * ("c0" in meta)
    elif tif.is_ome and (xml := xml_of(tif)) is not None:
        tags = {element.tag.rpartition("}")[2] for element in xml}
        channels = [element.attrib for element in xml.iter() if element.tag.endswith("Channel")]
        names = [channel.get("Name", "") for channel in channels]
        numbers = [re.fullmatch(r"-?\d{1,10}", channel.get("Color", "")) for channel in channels]
        colours = [int(number[0]) if number else -1 for number in numbers]  # -1 is white
        metadata["Channel"] = {"Name": names} if any(names) else {}
        metadata["Channel"] |= {"Color": colours} if any(numbers) else {}
        lost = sorted(tags & {"Instrument", "Experimenter", "ROI", "StructuredAnnotations"})
    return metadata, [f"not kept of its metadata: {', '.join(lost)}"] if lost else []


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
