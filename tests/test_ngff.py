"""OME-Zarr: what another library writes comes back from a restoring, and several processes write one result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from ddpm_micro import files
from ddpm_micro.checkpoint import save_model
from ddpm_micro.cli import main
from ddpm_micro.files.planes import Description
from ddpm_micro.model import Model
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig

zarr = pytest.importorskip("zarr", reason="zarr 3 takes Python 3.11; pip install ddpm_micro[zarr]")
STACK = np.random.default_rng(0).poisson(50, (3, 2, 24, 30)).astype(np.uint16)  # (T, C, Y, X)
WINDOW = {"min": 0, "max": 65535, "start": 10, "end": 900}
CHANNELS = [
    {"label": name, "color": colour, "window": WINDOW} for name, colour in (("mem", "00FF00"), ("nuc", "FF0000"))
]


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    network = Model(UNetConfig(8, (1, 2), 1, (1,)), cosine_schedule(20))
    torch.nn.init.constant_(network.unet.gain_out, 0.5)
    path = tmp_path_factory.mktemp("ngff") / "tiny.safetensors"
    save_model(network, path)
    return str(path)


def written(path: Path, version: str, stack: np.ndarray = STACK) -> Path:
    """A film as NGFF's specification describes it, by hand: a pyramid of which the first level is the image."""
    old = version == "0.4"
    group = zarr.open_group(path, mode="w", zarr_format=2 if old else 3)
    axes = [{"name": "t", "type": "time", "unit": "minute"}, {"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "nanometer"} for name in "yx"]
    levels = [{"path": f"s{n}", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 1, s, s]}]}
              for n, s in enumerate((90, 180))]  # fmt: skip
    for level, image in zip(levels, (stack, stack[..., ::2, ::2])):
        keys = {"chunk_key_encoding": {"name": "v2", "separator": "/"}} if old else {}
        group.create_array(level["path"], shape=image.shape, chunks=(2, 2, 16, 16), dtype=image.dtype, **keys)[:] = (
            image
        )
    said = {"multiscales": [{"axes": axes, "datasets": levels, "version": version}], "omero": {"channels": CHANNELS}}
    group.attrs.update(said if old else {"ome": said | {"version": version}})
    return path


def command(source: Path, target: Path, model: str, *more: str) -> list[str]:
    return ["restore", str(source), str(target), "--model", model, "--samples", "2", "--steps", "2", *more]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_axes_names_and_scale_are_kept(version: str, tmp_path: Path, model: str) -> None:
    source, out = written(tmp_path / "in.ome.zarr", version), tmp_path / "out.ome.zarr"
    np.testing.assert_array_equal(files.read(source).image, STACK)
    assert main(command(source, out, model)) == 0
    before, after, std = (files.read(path) for path in (source, out, tmp_path / "out.std.ome.zarr"))
    assert (after.axes, after.form, after.metadata) == ("TCYX", f"ngff {version}", before.metadata)
    assert (after.pixel_size_nm, after.frame_interval_s) == (pytest.approx(90), pytest.approx(30))
    assert after.image.dtype == np.float32 and (std.image >= 0).all()
    group = zarr.open_group(out, mode="r")
    assert group["0"].chunks == (1, 1, 24, 30) and group.metadata.zarr_format == (2 if version == "0.4" else 3)
    np.testing.assert_array_equal(group["0"][:], after.image)
    assert main(command(source, tmp_path / "one.ome.zarr", model, "--channel", "2")) == 0
    alone = files.read(tmp_path / "one.ome.zarr")
    assert alone.axes == "TYX" and alone.channel_names() == ["nuc"]


def test_tiff_and_ngff_hold_the_same(tmp_path: Path, model: str) -> None:
    meta = {"axes": "TZCYX", "unit": "micron", "spacing": 0.5, "Labels": ["mem", "nuc"] * 6}
    tifffile.imwrite(
        tmp_path / "in.tif", np.stack([STACK, STACK + 1], axis=1), imagej=True, metadata=meta, resolution=(10, 10)
    )
    for name in ("a.tif", "a.ome.zarr"):
        assert main(command(tmp_path / "in.tif", tmp_path / name, model)) == 0
    tiff, ngff = files.read(tmp_path / "a.tif"), files.read(tmp_path / "a.ome.zarr")
    assert (ngff.axes, ngff.form, ngff.channel_names()) == ("TCZYX", "ngff 0.4", ["mem", "nuc"])
    assert (ngff.pixel_size_nm, ngff.z_step_nm) == (pytest.approx(100), pytest.approx(500))
    np.testing.assert_array_equal(ngff.image, tiff.image.swapaxes(1, 2))
    assert main(command(tmp_path / "a.ome.zarr", tmp_path / "b.ome.tif", model, "--one-call")) == 0
    back = files.read(tmp_path / "b.ome.tif")
    assert (back.axes, back.form, back.channel_names()) == ("TCZYX", "ome", ["mem", "nuc"])
    assert (back.pixel_size_nm, back.z_step_nm) == (pytest.approx(100), pytest.approx(500))


def test_a_killed_run_goes_on_and_an_unfinished_result_is_no_image(tmp_path: Path, model: str, capsys) -> None:
    stack = np.random.default_rng(1).poisson(50, (24, 1, 64, 64)).astype(np.uint16)
    source, out = written(tmp_path / "in.zarr", "0.5", stack), tmp_path / "out.zarr"
    assert main(command(source, tmp_path / "whole.zarr", model)) == 0
    run = subprocess.Popen(
        [sys.executable, "-m", "ddpm_micro.cli", *command(source, out, model)], stdout=subprocess.DEVNULL
    )
    chunks = out / "0" / "c"
    while len(list(chunks.glob("*"))) < 3:
        assert run.poll() is None
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert files.state(out) == "begun"
    with pytest.raises(ValueError, match="finished first"):
        files.read(out)
    kept = {path: path.stat().st_mtime_ns for path in chunks.rglob("*") if path.is_file() and path.suffix == ""}
    assert main(command(source, out, model, "--seed", "1")) == 2, "another run's result is not gone on with"
    assert "--overwrite" in capsys.readouterr().err
    assert main(command(source, out, model)) == 0
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "a plane that is done is not done again"
    for kind in ("", ".std"):
        whole, resumed = (files.read(tmp_path / f"{name}{kind}.zarr").image for name in ("whole", "out"))
        np.testing.assert_array_equal(whole, resumed)
    assert main(command(source, out, model)) == 2 and "--overwrite" in capsys.readouterr().err
    assert main(command(source, out, model, "--overwrite", "--one-call")) == 0
    assert not (tmp_path / "out.std.zarr").exists(), "a deviation of an earlier result does not stay beside a new mean"


def test_a_plane_counts_when_all_its_images_are_there(tmp_path: Path) -> None:
    about = Description(axes="TYX", shape=(2, 8, 8), dtype=np.dtype(np.float32))
    results = files.results_at([tmp_path / "out.zarr", tmp_path / "out.std.zarr"], about, "key")
    results._arrays[1] = None  # the deviation cannot be written
    with pytest.raises(TypeError):
        results.put(1, np.ones((8, 8)), np.ones((8, 8)))
    assert not results.done(1) and sorted(results.todo()) == [0, 1]


def test_processes_that_know_nothing_of_each_other_share_the_planes(tmp_path: Path, model: str) -> None:
    stack = np.random.default_rng(1).poisson(50, (24, 1, 32, 32)).astype(np.uint16)
    source, out = written(tmp_path / "in.zarr", "0.4", stack), tmp_path / "out.zarr"
    assert main(command(source, tmp_path / "whole.zarr", model)) == 0
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "ddpm_micro.cli", *command(source, out, model)],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for _ in range(2)
    ]
    codes = [run.wait(120) for run in runs]
    assert 0 in codes and set(codes) <= {0, 2}, "the slower one may find all done, and then the result is there already"
    np.testing.assert_array_equal(files.read(out).image, files.read(tmp_path / "whole.zarr").image)


@pytest.mark.parametrize("change", ["no image", "version 0.1", "bad json", "lacking array", "a broken chunk"])
def test_what_is_no_image_is_told_in_one_line(change: str, tmp_path: Path, model: str, capsys) -> None:
    source = written(tmp_path / "in.zarr", "0.4")
    attributes = source / ".zattrs"
    if change == "no image":
        attributes.write_text("{}")
    elif change == "version 0.1":
        attributes.write_text(attributes.read_text().replace('"0.4"', '"0.1"'))
    elif change == "bad json":
        attributes.write_text("{")
    elif change == "lacking array":
        (source / "s0" / ".zarray").unlink()
    else:
        (source / "s0/0/0/0/0").write_bytes(b"rubbish")
    assert main(command(source, tmp_path / "out.zarr", model)) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(source) in err
    assert not (tmp_path / "out.zarr").exists()


def test_without_zarr_the_remedy_is_told(tmp_path: Path, model: str, capsys, monkeypatch) -> None:
    source = written(tmp_path / "in.zarr", "0.4")
    monkeypatch.setitem(sys.modules, "zarr", None)
    assert main(command(source, tmp_path / "out.zarr", model)) == 2
    assert 'pip install "ddpm_micro[zarr]"' in capsys.readouterr().err


def test_what_is_no_image_is_neither_read_nor_replaced(tmp_path: Path, model: str, capsys) -> None:
    source, other = written(tmp_path / "in.ome.zarr", "0.4"), tmp_path / "other.zarr"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    for more in ([], ["--overwrite"]):
        assert main(command(source, other, model, *more)) == 2
        assert "expected an OME-Zarr, got something else" in capsys.readouterr().err
    assert [path.name for path in other.iterdir()] == ["precious.txt"]
    assert main(command(source, source / "out.ome.zarr", model)) == 2
    assert "expected another file for the result" in capsys.readouterr().err
    said = zarr.open_group(source, mode="r").attrs.asdict()
    said["multiscales"][0]["datasets"][0]["path"] = "../elsewhere.zarr/0"
    written(tmp_path / "elsewhere.zarr", "0.4")
    zarr.open_group(source, mode="r+").attrs.update(said)
    with pytest.raises(ValueError, match="an image in this folder"):
        files.read(source)


def test_chunks_that_are_not_there_are_said(tmp_path: Path, model: str, capsys) -> None:
    """Writers leave out chunks of zeros, so these may be the image or a loss."""
    source = written(tmp_path / "in.ome.zarr", "0.4")
    chunks = sorted(path for path in (source / "s0").rglob("*") if path.is_file() and not path.name.startswith("."))
    chunks[0].unlink()
    assert main(command(source, tmp_path / "out.ome.zarr", model, "--one-call")) == 0
    assert f"1 of its {len(chunks)} chunks are not there and count as empty" in capsys.readouterr().err
