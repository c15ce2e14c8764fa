"""TIFF in, TIFF out, with tifffile as the oracle; damaged and unfit files are refused in one line."""

import math
import os
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ddpm_micro.files import atomic, tiff
from ddpm_micro.files.output import PlaneWriter

RAMP = np.arange(6 * 5, dtype=np.uint16).reshape(6, 5) * 7 + 1
STACK = np.stack([RAMP, RAMP + 100, RAMP + 200])


@pytest.fixture(autouse=True, scope="module")
def no_waiting_for_the_disk():
    """test_atomic.py sees to fsync; hundreds of small files here need not wait for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_sync", lambda path, flags: None)
        yield


def check_line(error, *words):
    assert "\n" not in str(error)
    for word in words:
        assert str(word) in str(error)


def refused(path, match, error=ValueError, call=None):
    """Call, by default `read`, and check for one clear line that names the file."""
    with pytest.raises(error, match=match) as caught:
        (call or tiff.read)(path)
    check_line(caught.value, path)


# Writing: what tifffile finds in our files.


@pytest.mark.parametrize("dtype", ["float32", "uint16", "uint8", ">f4", ">u2"])
@pytest.mark.parametrize(
    ("axes", "shape", "planes"),
    [
        ("YX", (6, 5), {}),
        ("TYX", (3, 6, 5), {"frames": 3}),
        ("ZYX", (3, 6, 5), {"slices": 3}),
        ("QYX", (3, 6, 5), {"slices": 3}),
        ("CYX", (2, 6, 5), {"channels": 2}),
        ("TCYX", (3, 2, 6, 5), {"frames": 3, "channels": 2}),
        ("ZCYX", (3, 2, 6, 5), {"slices": 3, "channels": 2}),
        ("QYX", (4, 6, 3), {"slices": 4}),  # a width of 3 is not RGB,
        ("TYX", (4, 6, 1), {"frames": 4}),  # and a width of 1 is not one image of 4 columns
        ("TCYX", (3, 2, 1, 1), {"frames": 3, "channels": 2}),
        ("YX", (1, 1), {}),
    ],
)
def test_tifffile_reads_what_we_write(tmp_path, axes, shape, planes, dtype):
    path = tmp_path / "a.tif"
    image = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    names = ("mean", "std") if "C" in axes else ()
    scale = {"pixel_size_nm": 65.0, "z_step_nm": 200.0, "frame_interval_s": 0.5, "channel_names": names}
    tiff.write(path, image, axes=axes, **scale)
    with tifffile.TiffFile(path) as tif:
        page, meta, series = tif.pages[0], tif.imagej_metadata, tif.series[0]
        assert tif.is_imagej
        assert series.kind == "imagej"
        assert series.axes == axes.replace("Q", "Z")
        assert series.shape == shape
        assert series.dtype == image.dtype.newbyteorder("=")
        assert np.array_equal(series.asarray(), image)
        assert {key: meta[key] for key in ("frames", "slices", "channels") if key in meta} == planes
        assert (meta["unit"], meta["spacing"], meta["finterval"]) == ("micron", 0.2, 0.5)
        assert [page.tags[f"{a}Resolution"].value[0] / page.tags[f"{a}Resolution"].value[1] for a in "XY"] == [
            pytest.approx(1e3 / 65, rel=1e-6)
        ] * 2
        assert page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        if names:
            assert meta["Labels"] == list(names) * (math.prod(shape[:-3]))
    if "C" not in axes:
        back = tiff.read(path)
        assert back.axes == axes
        assert np.array_equal(back.image, image)
        assert back.image.dtype.isnative
        assert back.image.dtype == image.dtype.newbyteorder("=")
        assert back.pixel_size_nm == pytest.approx(65.0, rel=1e-6)
        assert (back.z_step_nm, back.frame_interval_s) == (
            pytest.approx(200.0) if axes == "ZYX" else None,
            pytest.approx(0.5) if axes == "TYX" else None,
        )


@given(
    image=hnp.arrays(
        st.sampled_from(["f4", "u2", "u1", ">f4", "f8", "f2", "i4", "?", "c8", "O", "u8"]),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    letters=st.text("QTZCYXS", max_size=4) | st.sampled_from(["YX", "QYX", "TYX", "TCYX"]),
    pixel=st.none() | st.floats() | st.floats(1e-3, 1e7),
)
@settings(deadline=None, max_examples=100)
def test_any_array_comes_back_the_same_or_is_refused(tmp_path_factory, image, letters, pixel):
    path = tmp_path_factory.mktemp("any") / "a.tif"
    try:
        tiff.write(path, image, axes=letters, pixel_size_nm=pixel)
    except ValueError as error:
        check_line(error, "expected", "got", ";")
        assert os.listdir(path.parent) == []
        return
    assert letters[-2:] == "YX"
    assert image.dtype.newbyteorder("=") in (np.float32, np.uint16, np.uint8)
    back = tiff.read(path)
    assert np.array_equal(back.image, image.reshape([n for a, n in zip(letters, image.shape) if a in "YX" or n > 1]))
    assert back.image.dtype == image.dtype.newbyteorder("=")
    assert back.axes == "".join(a for a, n in zip(letters, image.shape) if a in "YX" or n > 1)
    assert back.pixel_size_nm == (None if pixel is None else pytest.approx(pixel, rel=1e-5))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"axes": "XY"}, "expected axes YX after"),
        ({"axes": "CTYX"}, "expected axes YX after"),
        ({"axes": "ZYX"}, r"expected 3 axes ZYX.*got shape \(6, 5\)"),
        ({"image": RAMP[:0]}, "with pixels"),
        ({"image": RAMP.astype(float)}, "got float64.*astype"),
        ({"image": RAMP > 3}, "got bool"),
        ({"image": np.full((2, 2), np.inf, "f4")}, "expected finite"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm of 0.001 to 1e"),
        ({"pixel_size_nm": math.nan}, "pixel_size_nm of 0.001 to 1e"),
        ({"z_step_nm": -1.0}, "z_step_nm of 0.001 to 1e"),
        ({"frame_interval_s": 0}, "frame_interval_s of 1e-09 to"),
        ({"channel_names": ["mean", "std"]}, "expected 1 channel_names, got 2"),
        ({"image": np.broadcast_to(np.uint8(0), (70_000, 70_000))}, "less than 4 GB"),
    ],
)
def test_unfit_arrays_are_refused_before_a_file_exists(tmp_path, change, match):
    with pytest.raises(ValueError, match=match) as caught:
        tiff.write(tmp_path / "a.tif", **({"image": RAMP, "axes": "YX"} | change))
    check_line(caught.value)
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_kept_unless_told(tmp_path):
    path = tmp_path / "a.tif"
    tiff.write(path, RAMP, axes="YX")
    refused(path, "exists already", FileExistsError, lambda p: tiff.write(p, RAMP + 1, axes="YX"))
    assert np.array_equal(tiff.read(path).image, RAMP)
    tiff.write(path, RAMP + 1, axes="YX", overwrite=True)
    assert np.array_equal(tiff.read(path).image, RAMP + 1)
    assert os.listdir(tmp_path) == ["a.tif"]


def test_a_full_disk_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")  # a limit on the size of files stops write() as a full disk does
    path = tmp_path / "a.tif"
    tiff.write(path, RAMP, axes="YX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        large = np.zeros((300, 300), np.float32)
        refused(path, "could not be written", OSError, lambda p: tiff.write(p, large, axes="YX", overwrite=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["a.tif"]
    assert np.array_equal(tiff.read(path).image, RAMP)


# Reading: files that tifffile writes for us, in the ways others do.


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("byteorder", "<>")
def test_dtype_is_kept_and_native(tmp_path, dtype, byteorder):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP.astype(dtype), byteorder=byteorder)
    back = tiff.read(path)
    assert back.image.dtype == np.dtype(dtype)
    assert back.image.dtype.isnative
    assert back.image.flags.c_contiguous
    assert np.array_equal(back.image, RAMP.astype(dtype))
    assert (back.axes, back.pixel_size_nm) == ("YX", None)


@pytest.mark.parametrize(
    "options",
    [
        {"metadata": None},
        {"compression": "zlib"},
        {"tile": (16, 16), "metadata": None},
        {"tile": (16, 16), "compression": "zlib"},
        {"rowsperstrip": 2, "metadata": None},
        {"bigtiff": True},
        {"imagej": True},
        {"ome": True},
        {"contiguous": False, "metadata": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("image", [RAMP, STACK, RAMP[:1, :1]], ids=lambda a: str(a.shape))
def test_every_container_gives_the_same_pixels(tmp_path, image, options):
    path = tmp_path / "a.tif"
    named = {} if "metadata" in options else {"metadata": {"axes": "TYX"[-image.ndim :]}}  # else channels, by guess
    tifffile.imwrite(path, image, photometric="minisblack", **options, **named)
    back = tiff.read(path)
    assert np.array_equal(back.image, image)
    assert back.axes[-2:] == "YX"
    assert len(back.axes) == image.ndim


def test_pages_written_one_by_one_are_a_stack(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in STACK:
            writer.write(plane, contiguous=False, metadata=None)
    back = tiff.read(path)
    assert back.axes == "QYX"
    assert np.array_equal(back.image, STACK)


def test_single_axes_are_dropped_and_colour_tables_ignored(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP[None, None, None], imagej=True, metadata={"axes": "TZCYX"})
    assert tiff.read(path).axes == "YX"
    table = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(path, RAMP.astype("u1"), photometric="palette", colormap=table)
    assert np.array_equal(tiff.read(path).image, RAMP.astype("u1"))


@pytest.mark.parametrize(
    ("options", "nm"),
    [
        ({"imagej": True, "resolution": (10, 10), "metadata": {"unit": "um"}}, 100.0),
        ({"imagej": True, "resolution": (10, 10), "metadata": {"unit": "micron"}}, 100.0),
        ({"imagej": True, "resolution": (10, 10), "metadata": {"unit": "\\u00B5m"}}, 100.0),  # as ImageJ writes µm
        ({"imagej": True, "resolution": (0.02, 0.02), "metadata": {"unit": "nm"}}, 50.0),
        ({"imagej": True, "resolution": (0.02, 0.02), "metadata": {"unit": "micron"}}, 50_000.0),  # said, so believed
        ({"imagej": True, "resolution": (10, 10), "metadata": {"unit": "pixel"}}, None),
        ({"imagej": True, "resolution": (10, 10)}, None),
        ({"imagej": True, "resolution": (72, 72), "metadata": {"unit": "inch"}}, None),
        ({"imagej": True, "resolution": (10, 5), "metadata": {"unit": "um"}}, None),  # not square
        ({"ome": True, "metadata": {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}}, 100.0),
        ({"ome": True, "metadata": {"PhysicalSizeX": 65, "PhysicalSizeXUnit": "nm"}}, 65.0),
        ({"ome": True, "metadata": {"PhysicalSizeX": 1e-4, "PhysicalSizeXUnit": "mm"}}, 100.0),
        ({"ome": True, "metadata": {"PhysicalSizeX": 3, "PhysicalSizeXUnit": "pixel"}}, None),
        ({"ome": True, "metadata": {}}, None),
        ({"resolution": (1e5, 1e5), "resolutionunit": "CENTIMETER"}, 100.0),
        ({"resolution": (254_000, 254_000), "resolutionunit": "INCH"}, 100.0),
        ({"resolution": (254_000, 254_000), "resolutionunit": "NONE"}, None),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (96, 96), "resolutionunit": "INCH"}, None),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"resolution": (118, 118), "resolutionunit": "CENTIMETER"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_pixel_size_from_every_source(tmp_path, options, nm):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, **options)
    got = tiff.read(path).pixel_size_nm
    assert got == (None if nm is None else pytest.approx(nm, rel=1e-5))


def test_ome_steps_and_a_round_trip_through_our_writer(tmp_path):
    meta = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.08,
        "PhysicalSizeY": 0.08,
        "PhysicalSizeZ": 300,
        "PhysicalSizeZUnit": "nm",
    }
    tifffile.imwrite(tmp_path / "z.ome.tif", STACK, metadata=meta)
    meta = {"axes": "TYX", "TimeIncrement": 50, "TimeIncrementUnit": "ms", "PhysicalSizeX": 0.08}
    tifffile.imwrite(tmp_path / "t.ome.tif", STACK, metadata=meta)
    for name, expected in (("z", ("ZYX", 80, 300, None)), ("t", ("TYX", 80, None, 0.05))):
        first = tiff.read(tmp_path / f"{name}.ome.tif")
        steps = {"z_step_nm": first.z_step_nm, "frame_interval_s": first.frame_interval_s}
        tiff.write(tmp_path / f"{name}.tif", first.image, axes=first.axes, pixel_size_nm=first.pixel_size_nm, **steps)
        for got in (first, tiff.read(tmp_path / f"{name}.tif")):
            assert got.axes == expected[0]
            assert np.array_equal(got.image, STACK)
            for value, wanted in zip((got.pixel_size_nm, got.z_step_nm, got.frame_interval_s), expected[1:]):
                assert value == (None if wanted is None else pytest.approx(wanted, rel=1e-5))


# Bad input.


@pytest.mark.parametrize(
    ("image", "options", "match"),
    [
        (np.moveaxis(STACK, 0, -1).astype("u1"), {"photometric": "rgb"}, "RGB.*Split Channels"),
        (np.arange(120).reshape(6, 5, 4).astype("u2"), {"photometric": "rgb", "extrasamples": ["unassalpha"]}, "RGB"),
        (STACK.astype("u1"), {"photometric": "rgb", "planarconfig": "separate"}, "RGB"),
        (RAMP > 9, {}, "got dtype bool"),
        (RAMP.astype("c8"), {}, "got dtype complex64"),
        (np.array([[1, np.nan]], "f4"), {}, "got 1 NaN or infinite of 2"),
        (np.array([[np.inf, -np.inf]], "f8"), {}, "got 2 NaN or infinite of 2"),
    ],
    ids=lambda x: "" if isinstance(x, np.ndarray) else str(x),
)
def test_unfit_images_are_refused(tmp_path, image, options, match):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, **options)
    refused(path, match)


@pytest.mark.filterwarnings("ignore:.*zero-size")
def test_an_image_without_pixels_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((0, 4), "u1"))
    refused(tmp_path / "a.tif", "with pixels, got shape")


def test_files_that_are_no_image(tmp_path):
    refused(tmp_path / "missing.tif", "no such image", FileNotFoundError)
    refused(tmp_path, "got a folder")
    for content in (b"", b"II", b"\x89PNG\r\n\x1a\n" + bytes(99), b"a\nb\n", b"II*\0\0\0\0\0", b"II*\0\x08\0\0\0"):
        (tmp_path / "a.tif").write_bytes(content)
        refused(tmp_path / "a.tif", "expected a whole (image|TIFF) file, got .*again")


def test_a_compression_beyond_tifffile_is_named(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, metadata=None, byteorder="<")
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["Compression"].overwrite(34887)  # LERC
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        refused(path, "pip install imagecodecs")
    else:
        refused(path, "expected a whole image file")


def test_two_images_of_different_size_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RAMP)
        writer.write(RAMP[:3])
    refused(tmp_path / "a.tif", "got 2 different")


def test_planes_that_ome_promises_but_the_file_lacks_are_not_made_up(tmp_path):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, STACK, metadata={"axes": "TYX"})
    xml = tifffile.tiffcomment(path)
    tifffile.tiffcomment(path, xml.replace('SizeT="3"', 'SizeT="5"').encode())
    assert not tifffile.imread(path)[3:].any()  # tifffile makes up zeros
    back = tiff.read(path)
    assert np.array_equal(back.image, STACK)
    assert "speaks of 5 planes, 3 are in the file" in back.notes[0]


@pytest.mark.parametrize(
    ("axes", "options"),
    [
        ("TZCYX", {"imagej": True}),
        ("ZCYX", {"imagej": True}),
        ("TZCYX", {"ome": True}),
        ("TCZYX", {"ome": True}),
        ("CTZYX", {"ome": True}),
        ("ZTYX", {"ome": True}),
    ],
)
@pytest.mark.parametrize("extra", [{}, {"compression": "zlib"}], ids=str)
def test_a_hyperstack_is_written_plane_by_plane_as_it_was(tmp_path, axes, options, extra):
    shape = tuple({"T": 2, "Z": 3, "C": 2, "Y": 6, "X": 5}[axis] for axis in axes)
    image = np.arange(math.prod(shape), dtype=np.uint16).reshape(shape)
    if options == {"imagej": True}:
        meta = {
            "unit": "micron",
            "spacing": 0.5,
            "finterval": 30.0,
            "Labels": ["a", "b"] * (math.prod(shape[:-2]) // 2),
        }
        options = options | {"resolution": (10, 10)}
    else:
        meta = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": 0.5, "TimeIncrement": 30.0}
        meta |= {"Channel": {"Name": ["a", "b"]}} if "C" in axes else {}
    tifffile.imwrite(
        tmp_path / "a.tif", image, photometric="minisblack", metadata={"axes": axes, **meta}, **options, **extra
    )
    with tiff.opened(tmp_path / "a.tif") as planes:
        about = planes.about
        writer = PlaneWriter(tmp_path / "b.tif", about)
        for number in reversed(range(len(planes))):
            writer.put(number, planes[number])
    for path in (tmp_path / "a.tif", tmp_path / "b.tif"):
        back = tiff.read(path)
        assert (back.axes, back.form) == (axes, about.form)
        assert np.array_equal(back.image, image)
        assert back.metadata == about.metadata and back.notes == ()
        steps = back.pixel_size_nm, back.z_step_nm, back.frame_interval_s
        assert steps == (pytest.approx(100), pytest.approx(500), pytest.approx(30) if "T" in axes else None)
    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), image)


def test_grey_rgb_is_grey_and_what_was_white_is_white(tmp_path):
    path = tmp_path / "a.tif"
    grey = RAMP.astype("u1")
    tifffile.imwrite(path, np.stack([grey] * 3, axis=-1), photometric="rgb")
    assert np.array_equal(tiff.read(path).image, grey)
    tifffile.imwrite(path, np.stack([grey] * 3), photometric="rgb", planarconfig="separate")
    assert np.array_equal(tiff.read(path).image, grey)
    tifffile.imwrite(path, grey, photometric="miniswhite", metadata=None)
    assert np.array_equal(tiff.read(path).image, 255 - grey)


def test_thumbnails_and_pyramids_are_passed_over(tmp_path):
    path, large = tmp_path / "a.tif", np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    with tifffile.TiffWriter(path) as writer:
        writer.write(large, metadata=None)
        writer.write(large[::8, ::8], subfiletype=1, metadata=None)
        writer.write(large[::4, ::4], metadata=None)  # not marked, but half the size or less, and of the same shape
    assert np.array_equal(tiff.read(path).image, large)
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(large, subifds=1, metadata={"axes": "YX"})
        writer.write(large[::2, ::2], subfiletype=1)
    assert np.array_equal(tiff.read(path).image, large)


@pytest.mark.parametrize(
    ("description", "steps"),
    [
        ("unit=micron\nfinterval=5\ntunit=min", (100, None, 300)),
        ("unit=micron\nfps=20", (100, None, 0.05)),
        ("unit=nm\nframes=2\nfinterval=500\ntunit=ms", (0.1, None, 0.5)),
    ],
)
def test_units_of_imagej(tmp_path, description, steps):
    text = f"ImageJ=1.53t\nimages=3\nframes=3\n{description}\nloop=false\n"
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=">") as writer:
        for number, plane in enumerate(STACK):
            options = {"description": text if number == 0 else None, "resolution": (10, 10), "resolutionunit": 1}
            writer.write(plane, metadata=None, contiguous=False, **options)
    back = tiff.read(tmp_path / "a.tif")
    assert (back.pixel_size_nm, back.z_step_nm, back.frame_interval_s) == pytest.approx(steps)


def test_tables_of_strips_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    for change in ({"StripByteCounts": 8}, {"ImageWidth": -1}, {"ImageLength": -2}, {"Compression": 4}):
        tifffile.imwrite(path, RAMP, metadata=None, byteorder="<")
        with tifffile.TiffFile(path, mode="r+b") as tif:
            for name, more in change.items():
                tag = tif.pages[0].tags[name]
                tag.overwrite((tag.value[0] + more,) if isinstance(tag.value, tuple) else tag.value + more)
        refused(path, "expected a whole (image|TIFF) file")


CONTAINERS = {
    "plain": {"metadata": None, "contiguous": False},
    "shaped": {},
    "big-endian": {"byteorder": ">", "metadata": None},
    "imagej": {"imagej": True, "metadata": {"axes": "TYX"}},
    "imagej-virtual": {"imagej": True, "truncate": True, "metadata": {"axes": "ZYX"}},  # one list entry, all planes
    "ome": {"ome": True, "metadata": {"axes": "TYX"}},
    "strips": {"rowsperstrip": 2, "metadata": None},
    "zlib": {"compression": "zlib", "metadata": None},
    "tiles": {"tile": (16, 16), "bigtiff": True, "metadata": None},
}


@pytest.fixture(params=CONTAINERS)
def container(request, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **CONTAINERS[request.param])
    return path


def test_a_file_cut_anywhere_is_whole_or_refused(container, capfd, caplog):
    content = container.read_bytes()
    for length in [*range(0, len(content), 7), *range(len(content) - 7, len(content))]:
        container.write_bytes(content[:length])
        try:
            image = tiff.read(container).image
        except ValueError as error:
            check_line(error, container)
        else:
            assert np.array_equal(image, STACK), f"cut to {length} of {len(content)} bytes"
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []  # pytest holds what would otherwise stand on stderr


@given(data=st.data())
@settings(deadline=None, max_examples=40)
def test_flipped_bytes_never_raise_anything_but_one_line(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("flip") / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **CONTAINERS[data.draw(st.sampled_from([*CONTAINERS]))])
    content = bytearray(path.read_bytes())
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1, max_size=4)
    ):
        content[place] = value
    path.write_bytes(content)
    try:
        assert tiff.read(path).image.ndim >= 2
    except ValueError as error:
        check_line(error, path)


def test_a_list_of_pages_in_a_circle_ends(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RAMP, metadata=None, byteorder="<")
    content = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", content, 4)
    (tags,) = struct.unpack_from("<H", content, first)
    struct.pack_into("<I", content, first + 2 + 12 * tags, first)
    path.write_bytes(content)
    refused(path, "circle")
