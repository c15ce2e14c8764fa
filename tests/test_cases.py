"""What happens to people's files: situations that users of restoration tools reported, each with the right value.

The network here returns its input, so what is tested is everything around it. Where the field's cases are tested in
full elsewhere (pairs of two exposures, a hot pixel in a truth: test_check.py; noise of planes: test_restore.py), only
their kind is tested here. DAMAGED_FILES and KILLS raise the numbers of the two random tests.
"""

from __future__ import annotations

import os
import random
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddpm_micro import files
from ddpm_micro.checkpoint import save_model
from ddpm_micro.cli import main
from ddpm_micro.files.matching import fit_brightness
from ddpm_micro.files.pairs import read_pairs
from ddpm_micro.files.planes import Micrograph
from ddpm_micro.metrics import psnr
from ddpm_micro.model import Model
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig


def rings(side: int = 64, seed: int = 0) -> np.ndarray:
    """Rings like cell outlines: about 8 to 150 grey levels."""
    rng, (row, column) = np.random.default_rng(seed), np.mgrid[:side, :side]
    image = np.full((side, side), 8.0)
    for y, x, radius in rng.uniform((8, 8, 6), (side - 8, side - 8, 16), (side // 8, 3)):
        image += 90 * np.exp(-((np.hypot(row - y, column - x) - radius) ** 2) / 5)
    return image


def noisy(clean: np.ndarray, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).poisson(clean).astype(np.uint16)


@pytest.fixture(scope="session")
def mirror(tmp_path_factory) -> str:
    """A model to be used with `identity`."""
    path = tmp_path_factory.mktemp("mirror") / "mirror.safetensors"
    network = Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(20), prediction="x0", method="care")
    save_model(network, path)
    return str(path)


@pytest.fixture
def identity(mirror: str, monkeypatch, capsys):
    """Restore with a network that returns its input; the result, and what was said on stderr."""
    monkeypatch.setattr(Model, "output", lambda self, x_t, t, cond: cond)

    def restore(source: Path, target: Path | None = None, *more: str) -> tuple[Micrograph, str]:
        target = target or source.parent / f"restored_{source.name.removesuffix(source.suffix)}.tif"
        capsys.readouterr()
        assert main(["restore", str(source), str(target), "--model", mirror, "--overwrite", *more]) == 0
        return files.read(target), capsys.readouterr().err

    return restore


def imagej(path: Path, planes: list[np.ndarray], description: str) -> Path:
    """A stack whose ImageJ description is given word for word, 10 pixels per unit."""
    with tifffile.TiffWriter(path, byteorder=">") as tif:
        for number, plane in enumerate(planes):
            tif.write(
                plane, photometric="minisblack", description=None if number else description, resolution=(10, 10),
                resolutionunit=1, metadata=None, contiguous=False, software=None,
            )  # fmt: skip
    return path


def test_a_file_of_a_set_is_the_planes_that_lie_in_it(tmp_path: Path, identity) -> None:
    """Micro-Manager and others write a file for each time point, and describe the whole series in each."""
    names = [f"pos_T{t}.ome.tif" for t in range(4)]
    data = "".join(
        f'<TiffData FirstT="{t}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{t}</UUID></TiffData>'
        for t, name in enumerate(names)
    )
    for side in ("low", "high"):
        (tmp_path / side).mkdir()
        for t, name in enumerate(names):
            xml = (
                f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
                f'UUID="urn:uuid:{t}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" '
                f'SizeX="64" SizeY="64" SizeZ="1" SizeC="1" SizeT="4" PhysicalSizeX="0.1" PhysicalSizeY="0.1">'
                f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{data}</Pixels></Image></OME>'
            )
            tifffile.imwrite(tmp_path / side / name, noisy(rings(seed=t)), metadata=None, description=xml)
    assert len(read_pairs(tmp_path)) == 4
    alone = tmp_path / names[2]
    (tmp_path / "low" / names[2]).rename(alone)
    restored, _ = identity(alone)
    assert restored.axes == "YX" and restored.pixel_size_nm == pytest.approx(100)
    np.testing.assert_allclose(restored.image, noisy(rings(seed=2)), atol=1e-2)


def test_two_exposures_are_put_on_one_brightness() -> None:
    clean = [rings(96, seed) for seed in range(4)]
    found = fit_brightness([noisy(one, 1) + 100 for one in clean], [20 * one + 100 for one in clean])
    assert found.needed and found.gain == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("fault", ["columns", "pixels", "bead", "border"])
def test_a_few_pixels_do_not_spoil_the_rest(fault: str, tmp_path: Path) -> None:
    clean = rings(128) + 1000
    image = noisy(clean)
    spoiled = image.copy()
    where = {
        "columns": np.s_[:, 10:12],
        "pixels": np.s_[[3, 20], [9, 70]],
        "bead": np.s_[8:16, 8:16],
        "border": np.s_[:12],
    }
    spoiled[where[fault]] = 0 if fault == "border" else 65535
    for name, one in (("good", image), ("bad", spoiled)):
        tifffile.imwrite(tmp_path / f"{name}.tif", one, metadata=None)
        assert main(["restore", str(tmp_path / f"{name}.tif"), str(tmp_path / f"{name}_out.tif"), "--one-call"]) == 0
    good, bad = (files.read(tmp_path / f"{name}_out.tif").image[48:, 48:] for name in ("good", "bad"))
    truth = clean[48:, 48:].astype(np.float32)
    assert psnr(truth, bad, data_range=150) > psnr(truth, good, data_range=150) - 0.3
    np.testing.assert_array_equal(files.read(tmp_path / "bad_out.tif").image[where[fault]], spoiled[where[fault]])


def test_a_frame_every_five_minutes(tmp_path: Path, identity) -> None:
    words = "ImageJ=1.53t\nimages=4\nframes=4\nunit=micron\nfinterval=5\ntunit=min\nloop=false\n"
    restored, _ = identity(imagej(tmp_path / "minutes.tif", [noisy(rings(seed=s)) for s in range(4)], words))
    assert (restored.axes, restored.frame_interval_s, restored.pixel_size_nm) == ("TYX", 300, pytest.approx(100))


def test_a_dropped_frame_is_left_out_by_name(tmp_path: Path) -> None:
    high = np.stack([rings(seed=s) + 100 for s in range(4)])
    low = np.stack([noisy(one) for one in high])
    low[2] = 0
    for side, stack in (("low", low), ("high", high.astype(np.uint16))):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / "a.tif", stack, photometric="minisblack")
    pairs = read_pairs(tmp_path)
    assert len(pairs) == 3 and pairs.left_out == ["a.tif plane 3 of low"]


def test_what_was_white_stays_white_in_every_plane(tmp_path: Path, identity) -> None:
    dim, bright = np.clip(noisy(rings()), 0, 255).astype(np.uint8), np.clip(noisy(2 * rings()), 0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", np.stack([dim, bright]), photometric="miniswhite", metadata=None)
    restored, said = identity(tmp_path / "a.tif")
    np.testing.assert_allclose(restored.image, 255 - np.stack([dim, bright]).astype(float), atol=1e-2)
    assert "0 was white" in said


def test_a_description_of_planes_that_are_not_there_is_told(tmp_path: Path, identity) -> None:
    words = "ImageJ=1.53t\nimages=50\nslices=50\nunit=micron\nspacing=0.5\nloop=false\n"
    restored, said = identity(imagej(tmp_path / "stale.tif", [noisy(rings())], words))
    assert restored.axes == "YX" and "50 planes" in said
    np.testing.assert_allclose(restored.image, noisy(rings()), atol=1e-2)


def test_memory_does_not_grow_with_the_planes(tmp_path: Path, identity) -> None:
    peaks = {}
    for planes in (2, 2, 64):  # the first run loads modules
        stack = np.random.default_rng(0).integers(0, 255, (planes, 128, 128)).astype(np.uint8)
        tifffile.imwrite(tmp_path / "film.tif", stack, photometric="minisblack")
        del stack
        tracemalloc.start()
        identity(tmp_path / "film.tif", tmp_path / "out.tif")
        peaks[planes] = tracemalloc.get_traced_memory()[1] - 8 * planes * 128**2  # the test itself reads the result
        tracemalloc.stop()
    assert peaks[64] < peaks[2] + 2**21, peaks


def metamorph(path: Path, planes: list[np.ndarray]) -> Path:
    """A MetaMorph stack: 0.1 µm a pixel, 0.5 µm between planes (tags UIC1 to UIC3)."""
    side, count = len(planes[0]), len(planes)
    body = bytearray(b"II*\0" + bytes(4) + np.stack(planes).astype("<u2").tobytes())
    places = []
    for part in (
        struct.pack("<6I", 1, 2, 2451545, 0, 2451545, 0) * count, struct.pack("<2I", 488, 1) * count,
        struct.pack("<2I", 1, 10), struct.pack("<I", 2) + b"um",
    ):  # fmt: skip
        places.append(len(body))
        body += part
    uic2, uic3, calibration, unit = places
    uic1 = len(body)
    body += b"".join(struct.pack("<2I", *x) for x in ((4, calibration), (5, calibration), (6, unit)))
    body += b"\0" * (len(body) % 2)
    body[4:8] = struct.pack("<I", len(body))
    tags = [
        (254, 4, 1, 0), (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, 2 * side * side), (33628, 4, 3, uic1),
        (33629, 5, count, uic2), (33630, 5, count, uic3),
    ]  # fmt: skip
    body += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path.write_bytes(body)
    return path


def test_the_scale_of_metamorph(tmp_path: Path, identity) -> None:
    stack = [noisy(rings(seed=s)) for s in range(3)]
    restored, _ = identity(metamorph(tmp_path / "a.stk", stack))
    assert (restored.pixel_size_nm, restored.z_step_nm) == (pytest.approx(100), pytest.approx(500))
    np.testing.assert_allclose(restored.image, stack, atol=1e-2)


def lsm(path: Path, stack: np.ndarray, scan: int) -> Path:
    """A Zeiss LSM file of axes TZCYX, 0.1 µm a pixel, 0.5 µm between planes, 30 s between frames, with thumbnails."""
    times, depth, channels, height, width = stack.shape
    info = np.zeros(1, tifffile.TIFF.CZ_LSMINFO)
    values = {
        "MagicNumber": 67127628, "StructureSize": info.nbytes, "DimensionX": width, "DimensionY": height,
        "DimensionZ": depth, "DimensionChannels": channels, "DimensionTime": times, "ThumbnailX": 16, "ThumbnailY": 16,
        "VoxelSizeX": 1e-7, "VoxelSizeY": 1e-7, "VoxelSizeZ": 5e-7, "ScanType": scan, "TimeIntervall": 30.0,
    }  # fmt: skip
    for name, value in values.items():
        info[name] = value
    common = {"metadata": None, "contiguous": False, "software": None}
    with tifffile.TiffWriter(path, byteorder="<") as tif:
        for number, planes in enumerate(stack.reshape(-1, channels, height, width)):
            planes, apart = (planes, "separate") if channels > 1 else (planes[0], None)
            tags = [] if number else [(34412, 1, info.nbytes, info.tobytes(), True)]
            tif.write(planes, photometric="minisblack", planarconfig=apart, extratags=tags, **common)
            tif.write(np.zeros((16, 16, 3), np.uint8), photometric="rgb", subfiletype=1, **common)
    if channels == 2:  # Zeiss keeps the bits of two channels elsewhere, although they fit into their tag
        body = path.read_bytes()
        inside, outside = (
            struct.pack("<HHI", 258, 3, 2) + struct.pack(*bits) for bits in (("<HH", 8, 8), ("<I", len(body)))
        )
        path.write_bytes(body.replace(inside, outside) + struct.pack("<HH", 8, 8))
    return path


@pytest.mark.parametrize(
    ("scan", "shape", "axes", "kept"),
    [
        (6, (3, 2, 2, 24, 30), "TZCYX", (500, 30)), (3, (4, 1, 2, 24, 30), "TCYX", (None, 30)),
        (0, (1, 4, 1, 24, 30), "ZYX", (500, None)), (0, (1, 2, 3, 24, 30), "ZCYX", (500, None)),
    ],
)  # fmt: skip
def test_thumbnails_of_lsm_are_passed_over_and_its_scale_is_kept(scan, shape, axes, kept, tmp_path, identity) -> None:
    stack = np.random.default_rng(0).poisson(50, shape).astype(np.uint8)
    restored, said = identity(lsm(tmp_path / "a.lsm", stack, scan))
    assert (restored.axes, restored.pixel_size_nm) == (axes, pytest.approx(100)) and said == ""
    assert (restored.z_step_nm, restored.frame_interval_s) == kept
    np.testing.assert_allclose(restored.image, stack.squeeze(), atol=1e-2)


def test_the_scale_of_an_electron_microscope(tmp_path: Path, identity) -> None:
    fei = "[Scan]\r\nPixelWidth=5e-009\r\nPixelHeight=5e-009\r\n"
    tifffile.imwrite(tmp_path / "sem.tif", noisy(rings()), metadata=None, extratags=[(34682, 2, 0, fei, True)])
    restored, _ = identity(tmp_path / "sem.tif")
    assert restored.pixel_size_nm == pytest.approx(5)


def ome(sizes: str, channels: str = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>') -> str:
    """An OME description of planes (Y, X) = (24, 30) and of these sizes."""
    return (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels'
        f' ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" {sizes}>{channels}<TiffData/></Pixels></Image></OME>'
    )


TWO = "".join(
    f'<Channel ID="Channel:0:{n}" SamplesPerPixel="1" {more}/>' for n, more in enumerate(('Name="a" Color="red"', ""))
)
ODD = {  # name: (planes, options of tifffile's writer, what the result is compared with, what is said)
    "half floats": (4, {"dtype": np.float16}, None, ""),
    "tiles of several planes": (4, {"volumetric": True, "tile": (4, 16, 16)}, None, ""),
    "description of fewer planes": (
        4, {"description": ome('SizeX="30" SizeY="24" SizeZ="2" SizeC="1" SizeT="1"')}, slice(2),
        "leaves 2 of its 4 planes out",
    ),
    "description of another size": (
        4, {"description": ome('SizeX="400" SizeY="300" SizeZ="4" SizeC="1" SizeT="1"')}, None, "was not used",
    ),
    "colours that are no numbers": (
        2, {"description": ome('SizeX="30" SizeY="24" SizeZ="1" SizeC="2" SizeT="1"', TWO)}, None, "",
    ),
    "calibrated grey levels": (
        4, {"description": "ImageJ=1.53t\nimages=4\nslices=4\ncf=0\nc0=-32768\nc1=1\n"}, None,
        "not kept of its metadata: the calibration of grey levels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_restored_and_what_does_not_fit_is_said(kind: str, tmp_path: Path, identity) -> None:
    planes, options, part, text = ODD[kind]
    stack = np.random.default_rng(0).poisson(50, (planes, 24, 30)).astype(options.pop("dtype", np.uint16))
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None, **options)
    restored, said = identity(tmp_path / "a.tif")
    np.testing.assert_allclose(restored.image, stack[part or slice(None)].astype(float), atol=1e-2)
    assert text in said and said.count("\n") == bool(text)
    assert restored.channel_names() == (["a", ""] if "colours" in kind else [])


def test_a_mask_beside_an_image_is_passed_over(tmp_path: Path, identity) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noisy(rings()), photometric="minisblack")
        tif.write(rings() > 50, subfiletype=4)
    restored, _ = identity(tmp_path / "a.tif")
    np.testing.assert_allclose(restored.image, noisy(rings()), atol=1e-2)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are a thing of Unix")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="a folder or a device"):
        files.read(tmp_path / "a.tif")


def test_a_file_that_would_unpack_to_more_than_any_image_is_refused_before(tmp_path: Path) -> None:
    """40,000 x 40,000 pixels in one strip of a few bytes: nothing of the 3.2 GB is asked for."""
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint16), compression="zlib", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages[0].tags[name].overwrite(40_000, dtype="I")
    tracemalloc.start()
    with pytest.raises(ValueError, match="bytes that would unpack to 3200000000, as no image does"):
        files.read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_the_input_is_never_replaced(tmp_path: Path, mirror: str, capsys) -> None:
    tifffile.imwrite(tmp_path / "raw.tif", noisy(rings()))
    before = (tmp_path / "raw.tif").read_bytes()
    assert (
        main(["restore", str(tmp_path / "raw.tif"), str(tmp_path / "raw.tif"), "--model", mirror, "--overwrite"]) == 2
    )
    assert (tmp_path / "raw.tif").read_bytes() == before and "got the input" in capsys.readouterr().err


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_hyperstack_comes_back_as_it_was(data: st.DataObject, tmp_path: Path, identity) -> None:
    """Grey values, axes, names and scale of random hyperstacks that tifffile wrote as ImageJ and as OME."""
    form = data.draw(st.sampled_from(["imagej", "ome"]))
    letters = data.draw(st.sets(st.sampled_from("TZC")).map(sorted))
    letters = [a for a in "TZC" if a in letters] if form == "imagej" else data.draw(st.permutations(letters))
    axes, shape = "".join(letters) + "YX", tuple(data.draw(st.integers(2, 3)) for _ in letters)
    shape += data.draw(st.tuples(st.integers(5, 9), st.integers(5, 9)))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    pixel, z_step, interval = (data.draw(st.floats(1, 1000)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    stack = rng.integers(0, 200, shape).astype(dtype)
    names = [f"dye {n}" for n in range(shape[axes.index("C")])] if "C" in axes else []
    path = tmp_path / ("a.ome.tif" if form == "ome" else "a.tif")
    if form == "imagej":
        meta = {"axes": axes, "unit": "micron", "spacing": z_step / 1e3, "finterval": interval}
        if names:
            meta["Labels"] = names * (int(np.prod(shape[:-2])) // len(names))
        tifffile.imwrite(path, stack, imagej=True, resolution=(1e3 / pixel,) * 2, metadata=meta)
    else:
        meta = {"axes": axes, "PhysicalSizeX": pixel / 1e3, "PhysicalSizeY": pixel / 1e3, "PhysicalSizeZ": z_step / 1e3}
        meta |= {"TimeIncrement": interval} | ({"Channel": {"Name": names}} if names else {})
        tifffile.imwrite(path, stack, ome=True, photometric="minisblack", metadata=meta)
    before = files.read(path)
    after, _ = identity(path, tmp_path / "out.tif")
    assert before.axes == after.axes == axes and after.form == form and after.channel_names() == names
    np.testing.assert_array_equal(before.image, stack)
    np.testing.assert_allclose(after.image, stack, atol=1e-2)
    assert after.pixel_size_nm == pytest.approx(pixel, rel=1e-5)
    assert after.z_step_nm == (pytest.approx(z_step, rel=1e-5) if "Z" in axes else None)
    assert after.frame_interval_s == (pytest.approx(interval, rel=1e-5) if "T" in axes else None)


TABLES = {
    256,
    257,
    258,
    259,
    273,
    277,
    278,
    279,
}  # sizes, bits, compression, offsets, samples, rows and bytes of strips


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """The file cut off, or with a wrong bit in a tag that says where and how large its strips are."""
    if rng.random() < 0.3:
        return whole[: rng.randrange(len(whole))]
    (first,) = struct.unpack_from("<I", whole, 4)
    count = struct.unpack_from("<H", whole, first)[0]
    entries = [first + 2 + 12 * n for n in range(count)]
    entry = rng.choice([at for at in entries if struct.unpack_from("<H", whole, at)[0] in TABLES])
    place, changed = entry + rng.randrange(12), bytearray(whole)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def test_damaged_files_give_one_line_or_the_right_image(tmp_path: Path) -> None:
    rng, image = random.Random(0), noisy(rings(40))
    kinds = [{"rowsperstrip": 8}, {"rowsperstrip": 40}, {"compression": "zlib", "rowsperstrip": 16}, {"imagej": True}]
    wrong, number = [], int(os.environ.get("DAMAGED_FILES", "80"))
    for trial in range(number):
        tifffile.imwrite(tmp_path / "whole.tif", image, byteorder="<", **kinds[trial % len(kinds)])
        (tmp_path / "a.tif").write_bytes(damaged((tmp_path / "whole.tif").read_bytes(), rng))
        try:
            found = files.read(tmp_path / "a.tif").image
        except ValueError as error:
            if "\n" in str(error) or str(tmp_path / "a.tif") not in str(error):
                wrong.append(trial)
        else:
            if not np.array_equal(found, image):
                wrong.append(trial)
    assert not wrong, f"{len(wrong)} of {number} files gave another image: {wrong[:10]}"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_restoring_that_is_killed_goes_on_with_the_same_result(tmp_path: Path, measured) -> None:
    """Each run goes on from the one that was killed before it; a run that ends in time is followed by a new result."""
    source, whole, rng = tmp_path / "film.tif", tmp_path / "whole.tif", random.Random()
    tifffile.imwrite(source, np.stack([noisy(rings(seed=s)) for s in range(40)]), photometric="minisblack")
    options = ["--samples", "2", "--steps", "2"]
    assert main(["restore", str(source), str(whole), *options]) == 0
    wanted, kills, left, results = int(os.environ.get("KILLS", "2")), 0, [], [tmp_path / "out0.tif"]
    while kills < wanted:
        out, said = results[-1], tmp_path / f".{results[-1].name}.done"
        command = [sys.executable, "-m", "ddpm_micro.cli", "restore", str(source), str(out), *options]
        before, run = said.read_bytes() if said.exists() else b"", subprocess.Popen(command, stdout=subprocess.DEVNULL)
        if rng.random() < 0.8:  # else it is killed wherever it is, while it starts for example
            while run.poll() is None and (not said.exists() or said.read_bytes() == before):
                time.sleep(0.01)
        time.sleep(rng.uniform(0, 1))
        run.kill()
        killed = run.wait() == -signal.SIGKILL
        kills += killed
        left.append(said.read_bytes().count(b"\0") if said.exists() else 0)
        if not killed:
            results.append(tmp_path / f"out{len(results)}.tif")
    assert main(["restore", str(source), str(results[-1]), *options]) == 0
    for out in results:
        for ours, theirs in ((out, whole), (out.with_suffix(".std.tif"), whole.with_suffix(".std.tif"))):
            np.testing.assert_array_equal(files.read(ours).image, files.read(theirs).image)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
    measured(f"{kills} kills, {len(results)} results; planes left after each of {len(left)} runs: {left}")


def test_the_network_that_returns_its_input_does_so(mirror: str, monkeypatch) -> None:
    monkeypatch.setattr(Model, "output", lambda self, x_t, t, cond: cond)
    x = torch.rand(1, 1, 8, 8)
    model = Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(20), prediction="x0", method="care")
    assert torch.equal(model(0 * x, torch.tensor([3]), x), x)
