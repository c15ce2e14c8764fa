"""Find what is missing in a TIFF file that tifffile would read without complaint.

tifffile is made for salvage: it takes a broken list of pages for a shorter one, and fills what is absent with zeros.
A restored image must not rest on made-up pixels, so each function here returns a reason to refuse, or None.
"""

from __future__ import annotations

import math
import struct

import tifffile

from ddpm_micro.files.scale import xml_of

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BOMB_BYTES, _BOMB_RATIO = 2**28, 100  # a plane of a quarter gigabyte that is packed tighter than this is no image


def broken_chain(tif: tifffile.TiffFile) -> str | None:
    """Follow the list of pages to its end, and see that all that its tags point to lies in the file."""
    file, tiff, seen = tif.filehandle, tif.tiff, set()
    entry = struct.Struct(tiff.byteorder + ("HHQQ" if tiff.is_bigtiff else "HHII"))
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
        tags = file.read(struct.unpack(tiff.tagnoformat, count)[0] * tiff.tagsize)
        for _, kind, items, value in entry.iter_unpack(tags[: len(tags) // entry.size * entry.size]):
            size = _TYPE_BYTES.get(kind, 1) * items
            if size > tiff.offsetsize and value + size > file.size:
                return f"what describes page {len(seen)} is cut off"


def missing_data(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str | None:
    """Find planes and strips that are absent, and tables of strips that do not fit the image's size."""
    shape, size = series.get_shape(False), tif.filehandle.size
    if series.dataoffset is not None:
        if series.dataoffset + math.prod(shape) * series.dtype.itemsize > size:
            return "pixel data cut off"
        pages = [series.keyframe]
    else:
        pages = list(series)
    for number, page in enumerate(pages, 1):
        if page is not None:
            reason = _misfit(page, page.keyframe, size)
            if reason:
                return f"{reason} of plane {number}"
    promised = promised_planes(tif, series)
    if tif.is_imagej and len(tif.pages) == 1 and promised > 1 and series.kind != "imagej":
        page = tif.pages[0]  # all planes follow the first: if more than that one is there, the rest was cut off
        if page.offset < page.dataoffsets[0] and page.dataoffsets[0] + page.nbytes < size:
            return f"pixel data cut off: {promised} planes are promised"
    return None


def promised_planes(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> int:
    """How many planes the file's description speaks of."""
    if tif.is_imagej:
        meta = tif.imagej_metadata or {}
        return math.prod(int(meta.get(name, 1)) for name in ("frames", "slices", "channels"))
    if tif.is_ome:
        xml = xml_of(tif)
        pixels = [] if xml is None else [p.attrib for p in xml.iter() if p.tag.endswith("Pixels")]
        sizes = [math.prod(int(p.get(f"Size{axis}", 1)) for axis in "ZCT") for p in pixels[:1]]
        return max(1, *sizes, 1) // max(1, series.keyframe.samplesperpixel)
    if tif.is_shaped:
        return math.prod(tif.shaped_metadata[0]["shape"]) // max(1, math.prod(series.keyframe.shape))
    return 1


def _misfit(page: tifffile.TiffPage, key: tifffile.TiffPage, size: int) -> str | None:
    """Compare a page's table of strips or tiles with what its header promises."""
    offsets, counts = page.dataoffsets, page.databytecounts
    segments = math.prod(key.chunked)
    tags = getattr(page, "tags", {})  # a page that is like the first has none of its own
    tables = [tags[code] for code in (273, 279, 324, 325) if code in tags]  # tifffile cuts long ones short
    if any(tag.dtype not in (3, 4, 13, 16, 18) for tag in tables) or len({tag.count for tag in tables}) > 1:
        return "the tables of strips or tiles cannot be"
    if tables and key is page and tables[0].count != segments:
        return f"{tables[0].count} offsets for {segments} strips or tiles"
    if not offsets or any(c <= 0 or o <= 0 or o + c > size for o, c in zip(offsets, counts)):
        return "pixel data cut off"
    if len(offsets) != len(counts) or len(offsets) != segments:
        return f"{len(offsets)} offsets and {len(counts)} sizes for {segments} strips or tiles"
    stored = sum(counts)
    if key.nbytes > max(_BOMB_BYTES, _BOMB_RATIO * stored):  # before memory is asked for
        return f"{stored} bytes that would unpack to {key.nbytes}, as no image does,"
    if key.compression in (2, 3, 4) and key.bitspersample != 1:
        return "a compression for black and white alone, unlike the grey levels,"
    if key.compression != 1:
        return None
    bits = key.bitspersample if isinstance(key.bitspersample, int) else key.bitspersample[0]
    samples = key.samplesperpixel if key.planarconfig == 1 else 1
    across = key.tilewidth if key.is_tiled else key.imagewidth
    row = -(-across * samples * bits // 8)
    planes = key.samplesperpixel // samples * max(1, key.imagedepth)
    exact = segments * key.tiledepth * key.tilelength * row if key.is_tiled else key.imagelength * row * planes
    full = exact if key.is_tiled else segments * key.rowsperstrip * row
    if stored not in (exact, exact + exact % 2, full):
        return f"{stored} bytes instead of {exact}"
    return None
