"""Find what is missing in a TIFF file that tifffile would read without complaint.

tifffile is made for salvage: it takes a broken list of pages for a shorter one, and fills what is absent with zeros.
A restored image must not rest on made-up pixels, so each function here returns a reason to refuse, or None.
"""

from __future__ import annotations

import math
import os
import struct

import tifffile


def broken_chain(tif: tifffile.TiffFile) -> str | None:
    """Follow the list of pages to its end; tifffile takes a broken list for a shorter one."""
    file, tiff, seen = tif.filehandle, tif.tiff, set()
    file.seek(8 if tiff.is_bigtiff else 4)
    while True:
        link = file.read(tiff.offsetsize)
        if len(link) < tiff.offsetsize:
            return "the list of pages is cut off"
        (offset,) = struct.unpack(tiff.offsetformat, link)
        if offset == 0:
            return None
        if offset in seen:
            return "the list of pages goes in a circle"
        seen.add(offset)
        file.seek(offset)
        count = file.read(tiff.tagnosize)
        if len(count) < tiff.tagnosize:
            return f"page {len(seen)} lies behind the end of the file"
        file.seek(struct.unpack(tiff.tagnoformat, count)[0] * tiff.tagsize, os.SEEK_CUR)


def missing_data(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str | None:
    """Find planes and strips that are absent; tifffile would fill them with zeros or return fewer planes."""
    planes = math.prod(size for axis, size in zip(series.get_axes(False), series.get_shape(False)) if axis not in "YXS")
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        promised = math.prod(int(meta.get(name, 1)) for name in ("frames", "slices", "channels"))
    elif tif.is_shaped:
        promised = math.prod(tif.shaped_metadata[0]["shape"]) // max(1, math.prod(series.keyframe.shape))
    else:
        promised = planes
    if promised > planes:
        return f"its metadata promise {promised} planes, {planes} are there"
    if series.dataoffset is not None:
        short = series.dataoffset + math.prod(series.get_shape(False)) * series.dtype.itemsize > tif.filehandle.size
        return "pixel data cut off" if short else None
    for number, page in enumerate(series, 1):
        if page is None:
            return f"plane {number} of {planes} is missing"
        stored, end = sum(page.databytecounts), page.parent.filehandle.size
        segments = list(zip(page.dataoffsets, page.databytecounts))
        if not segments or any(count <= 0 or offset <= 0 or offset + count > end for offset, count in segments):
            return f"pixel data of plane {number} cut off"
        key = page.keyframe
        bits = key.bitspersample if isinstance(key.bitspersample, int) else sum(key.bitspersample)
        if key.compression == 1 and stored < math.prod(key.shape) * bits // 8:
            return f"pixel data of plane {number} cut off"
        if key.nbytes > max(2**28, 10_000 * stored):  # before memory is asked for
            return f"plane {number} claims {key.nbytes} bytes and stores {stored}"
    return None
