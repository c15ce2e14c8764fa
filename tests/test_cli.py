"""The command line, from files to files; every mistake is one line and exit code 2, and nothing is lost."""

import inspect
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ddpm_micro.checkpoint import load_model, save_model
from ddpm_micro.cli import main
from ddpm_micro.cli.options import default_of
from ddpm_micro.cli.train import FINE_TUNING
from ddpm_micro.files import tiff
from ddpm_micro.files.results import Results
from ddpm_micro.model import AUTO_TILE, Model
from ddpm_micro.restore import restore
from ddpm_micro.samplers import SAMPLERS
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.train import TrainConfig
from ddpm_micro.unet import UNetConfig

IMAGE = np.random.default_rng(0).poisson(40, (24, 30)).astype(np.uint16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    network = Model(UNetConfig(8, (1, 2), 1, (1,)), cosine_schedule(20), info={"data": "none"})
    torch.nn.init.constant_(network.unet.gain_out, 0.5)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(network, path)
    return str(path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    tiff.write(tmp_path / "in.tif", IMAGE, axes="YX", pixel_size_nm=65.0)
    return tmp_path / "in.tif"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """Run a command that must fail; its one line on stderr."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("ddpm-micro: ") and err.count("\n") == 1 and "Traceback" not in err
    return err


@pytest.mark.parametrize("antithetic", [False, True])
def test_restore_writes_mean_and_std_in_the_units_and_scale_of_the_file(
    antithetic: bool, image: Path, model: str
) -> None:
    out = image.with_name("out.tif")
    options = [
        "--model",
        model,
        "--samples",
        "4",
        "--steps",
        "4",
        "--seed",
        "5",
        "--antithetic" if antithetic else "--no-antithetic",
    ]
    assert main(["restore", str(image), str(out), *options]) == 0
    expected = restore(load_model(model), IMAGE, samples=4, steps=4, seed=5, antithetic=antithetic, progress=False)
    for path, plane in ((out, expected.mean), (image.with_name("out.std.tif"), expected.std)):
        written = tiff.read(path)
        np.testing.assert_allclose(written.image, plane, rtol=1e-5)
        assert written.image.dtype == np.float32 and written.axes == "YX" and written.pixel_size_nm == pytest.approx(65)
    with tifffile.TiffFile(out) as file:
        assert file.is_imagej
    assert sorted(contents(image.parent)) == ["in.tif", "out.std.tif", "out.tif"]


def test_an_old_deviation_does_not_stay_beside_a_new_mean(image: Path, model: str) -> None:
    command = ["restore", str(image), str(image.with_name("out.tif")), "--model", model, "--steps", "2"]
    assert main([*command, "--samples", "2"]) == 0
    assert main([*command, "--samples", "1", "--overwrite"]) == 0
    assert sorted(contents(image.parent)) == ["in.tif", "out.tif"]


def test_ctrl_c_in_restore_is_one_line(image: Path, model: str, monkeypatch, capsys) -> None:
    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ddpm_micro.restore.restore", interrupted)
    assert main(["restore", str(image), str(image.with_name("out.tif")), "--model", model]) == 130
    assert capsys.readouterr().err == "ddpm-micro: interrupted\n"


def test_out_of_memory_is_one_line(image: Path, model: str, monkeypatch, capsys) -> None:
    def hungry(*_args: object, **_options: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("ddpm_micro.restore.restore", hungry)
    assert "smaller --tile" in refused(
        capsys, ["restore", str(image), str(image.with_name("out.tif")), "--model", model]
    )


@pytest.mark.parametrize("method", ["one-call", "care", "n2v"])
def test_one_answer_is_written_without_a_deviation(method: str, image: Path, model: str) -> None:
    """A rival of the diffusion model answers once; so does a diffusion model if asked. A run's folder names its model."""
    options = {"prediction": "v"} if method == "one-call" else {"prediction": "x0", "method": method}
    network = Model(UNetConfig(8, (1, 2), 1, (1,)), cosine_schedule(20), **options)
    torch.nn.init.constant_(network.unet.gain_out, 0.5)
    run = image.parent / "run"
    run.mkdir()
    save_model(network, run / "model.safetensors")
    out = image.with_name("out.tif")
    assert main(["restore", str(image), str(out), "--model", str(run), *["--one-call"] * (method == "one-call")]) == 0
    np.testing.assert_allclose(tiff.read(out).image, network.posterior_mean(IMAGE), rtol=1e-5)
    assert not image.with_name("out.std.tif").exists()


def test_one_sample_has_no_std_file(image: Path, model: str) -> None:
    assert (
        main(["restore", str(image), str(image.with_name("o.tif")), "--model", model, "--samples", "1", "--steps", "2"])
        == 0
    )
    assert sorted(contents(image.parent)) == ["in.tif", "o.tif"]


@pytest.mark.parametrize("existing", ["out.tif", "out.std.tif"])
def test_existing_output_is_refused_unless_told(image: Path, model: str, existing: str, capsys) -> None:
    (image.parent / existing).write_text("precious")
    command = [
        "restore",
        str(image),
        str(image.with_name("out.tif")),
        "--model",
        model,
        "--samples",
        "2",
        "--steps",
        "2",
    ]
    assert existing in refused(capsys, command)
    assert (image.parent / existing).read_text() == "precious"
    assert main([*command, "--overwrite"]) == 0
    assert tiff.read(image.parent / existing).image.shape == IMAGE.shape


def spoil(path: Path, change: str) -> None:
    if change == "rgb":
        tifffile.imwrite(path, np.arange(192, dtype=np.uint8).reshape(8, 8, 3), photometric="rgb")
    elif change == "nan":
        tifffile.imwrite(path, np.full((8, 8), np.nan, np.float32))
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    elif change == "text":
        path.write_text("not an image")
    elif change == "missing":
        path.unlink()


@pytest.mark.parametrize("change", ["rgb", "nan", "cut", "text", "missing"])
def test_bad_images_are_refused(image: Path, model: str, change: str, capsys) -> None:
    spoil(image, change)
    before = contents(image.parent)
    message = refused(
        capsys, ["restore", str(image), str(image.with_name("out.tif")), "--model", model, "--steps", "2"]
    )
    assert "in.tif" in message
    assert contents(image.parent) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--samples", "0"], "samples >= 1, got 0"),
        (["--steps", "21"], "1..20"),
        (["--seed", "-1"], "seed >= 0"),
        (["--tile", "0"], "tile=0"),
        (["--model", "generalits"], "did you mean 'generalist'"),
        (["--model", "nowhere/model.safetensors"], "no model"),
    ],
)
def test_bad_options_are_refused(image: Path, model: str, options: list[str], message: str, capsys) -> None:
    assert message in refused(
        capsys, ["restore", str(image), str(image.with_name("out.tif")), "--model", model, *options]
    )
    assert sorted(contents(image.parent)) == ["in.tif"]


@pytest.mark.parametrize("output", ["out.png", "no/such/folder/out.tif"])
def test_bad_outputs_are_refused_before_the_work(image: Path, model: str, output: str, capsys) -> None:
    message = refused(capsys, ["restore", str(image), str(image.parent / output), "--model", model])
    assert "expected an" in message


def test_a_full_disk_leaves_nothing_half_written(image: Path, model: str, capsys, monkeypatch) -> None:
    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device", str(image.with_name("out.tif")))

    monkeypatch.setattr(tifffile, "memmap", full)
    message = refused(
        capsys,
        ["restore", str(image), str(image.with_name("out.tif")), "--model", model, "--samples", "2", "--steps", "2"],
    )
    assert "No space left on device" in message and "out.tif" in message
    assert sorted(contents(image.parent)) == ["in.tif"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(np.zeros((1, 1, 1), np.uint8))  # whose axes tifffile calls XYX
@example(np.full((2, 2), 3.40282357e38))  # more than float32 holds
@example(np.stack([np.zeros((2, 2)), np.full((2, 2), 3.40282357e38)]))  # found when a plane is done
@given(
    st.one_of(
        st.binary(max_size=300),
        arrays(
            st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64, np.bool_]),
            array_shapes(min_dims=2, max_dims=4, max_side=5),
        ),
    )
)
def test_random_files_and_arrays(tmp_path_factory, model: str, capsys, content: bytes | np.ndarray) -> None:
    """Whatever the file holds, there is an image of its shape or one line; the file itself is never touched."""
    folder = tmp_path_factory.mktemp("random")
    path, out = folder / "in.tif", folder / "out.tif"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        tifffile.imwrite(path, content, photometric="minisblack")
    before = path.read_bytes()
    capsys.readouterr()
    code = main(["restore", str(path), str(out), "--model", model, "--samples", "2", "--steps", "2"])
    err = capsys.readouterr().err
    assert path.read_bytes() == before
    if code == 0:
        assert np.prod(tiff.read(out).image.shape) == content.size
    else:
        assert code == 2 and err.startswith("ddpm-micro: ") and err.count("\n") == 1
        assert sorted(contents(folder)) == ["in.tif"]


def hyperstack(path: Path, form: str) -> np.ndarray:
    """A film of two channels of which one is dimmer, as ImageJ or OME-TIFF."""
    stack = np.random.default_rng(1).poisson(40, (3, 2, 24, 30)).astype(np.uint16)
    stack[:, 1] //= 4
    if form == "imagej":
        meta = {"axes": "TCYX", "unit": "micron", "finterval": 30.0, "Labels": ["membranes", "nuclei"] * 3}
        tifffile.imwrite(path, stack, imagej=True, resolution=(10, 10), metadata=meta)
    else:
        meta = {"axes": "TCYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "TimeIncrement": 30.0}
        meta["Channel"] = {"Name": ["membranes", "nuclei"]}
        tifffile.imwrite(path, stack, ome=True, photometric="minisblack", metadata=meta)
    return stack


@pytest.mark.parametrize("form", ["imagej", "ome"])
def test_restore_keeps_planes_channels_names_and_form(form: str, tmp_path: Path, model: str) -> None:
    path, out = tmp_path / "in.tif", tmp_path / "out.tif"
    stack, network = hyperstack(path, form), load_model(model)
    assert main(["restore", str(path), str(out), "--model", model, "--one-call"]) == 0
    before, after = tiff.read(path), tiff.read(out)
    assert (after.axes, after.form, after.metadata) == ("TCYX", form, before.metadata)
    assert (after.pixel_size_nm, after.frame_interval_s) == (pytest.approx(100), pytest.approx(30))
    for place in np.ndindex(3, 2):
        np.testing.assert_allclose(after.image[place], network.posterior_mean(stack[place]), rtol=1e-5)
    assert main(["restore", str(path), str(out), "--model", model, "--one-call", "--channel", "2", "--overwrite"]) == 0
    alone = tiff.read(out)
    assert alone.axes == "TYX" and "membranes" not in str(alone.metadata) and "nuclei" in str(alone.metadata)
    np.testing.assert_array_equal(alone.image, after.image[:, 1])


def test_a_channel_that_is_not_there_and_the_input_as_output_are_refused(tmp_path: Path, model: str, capsys) -> None:
    path = tmp_path / "in.tif"
    hyperstack(path, "imagej")
    before = contents(tmp_path)
    command = ["restore", str(path), "--model", model]
    assert "a channel of 1 to 2" in refused(capsys, [*command, str(tmp_path / "out.tif"), "--channel", "3"])
    assert "another file" in refused(capsys, [*command, str(path), "--overwrite"])
    (tmp_path / "link.tif").symlink_to(path)
    assert "another file" in refused(capsys, [*command, str(tmp_path / "link.tif"), "--overwrite"])
    (tmp_path / "link.tif").unlink()
    assert contents(tmp_path) == before


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_stack_that_was_stopped_goes_on_with_the_same_result(tmp_path, model, monkeypatch, capsys, stop) -> None:
    path, out = tmp_path / "in.tif", tmp_path / "out.tif"
    hyperstack(path, "imagej")
    command = ["restore", str(path), "--model", model, "--samples", "2", "--steps", "2"]
    assert main([*command, str(tmp_path / "whole.tif")]) == 0
    drawn = []

    def stopped(*arguments: object, plane: int, **options: object):
        if plane == 3 and drawn.count(3) == 0:
            drawn.append(3)
            raise stop
        drawn.append(plane)
        return restore(*arguments, plane=plane, **options)

    monkeypatch.setattr("ddpm_micro.restore.restore", stopped)
    assert main([*command, str(out)]) == (130 if stop is KeyboardInterrupt else 2)
    assert not out.exists() and (tmp_path / ".out.tif.part").exists()
    assert main([*command, str(out)]) == 0
    assert drawn == [0, 1, 2, 3, 3, 4, 5], "a plane that is done is not done again"
    for kind in ("", ".std"):
        whole, resumed = (tiff.read(tmp_path / f"{name}{kind}.tif").image for name in ("whole", "out"))
        np.testing.assert_array_equal(whole, resumed)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("step", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", ["link", "unlink"])
def test_a_run_that_stops_while_its_files_appear_goes_on(image, model, monkeypatch, name, number, step) -> None:
    """Whenever it stops, no mean is there without its deviation; and the same command ends well."""
    out, calls, right = image.with_name("out.tif"), [], {"link": os.link, "unlink": Path.unlink}[name]
    command = ["restore", str(image), str(out), "--model", model, "--samples", "2", "--steps", "2"]

    def stopped(path: Path, *others: object, **options: object) -> None:
        calls.append(path)
        if len(calls) == number and step == "before":
            raise KeyboardInterrupt
        right(path, *others, **options)
        if len(calls) == number:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "link") if name == "link" else (Path, "unlink")), stopped)
        assert main(command) == 130
    assert not out.exists() or out.with_name("out.std.tif").exists()
    assert main(command) == 0
    assert sorted(contents(image.parent)) == ["in.tif", "out.std.tif", "out.tif"]


def test_another_run_does_not_go_on_over_files_that_appeared(image, model, monkeypatch, capsys) -> None:
    command = ["restore", str(image), str(image.with_name("out.tif")), "--model", model, "--steps", "2", "--samples"]

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stopped)  # the deviation has its name by now
        assert main([*command, "2"]) == 130
    assert "out.std.tif" in refused(capsys, [*command, "4"])


@pytest.mark.parametrize("once", [[], ["--one-call"]])
def test_planes_that_are_restored_together_come_out_as_alone(tmp_path, model, monkeypatch, once) -> None:
    path, found = tmp_path / "in.tif", []
    stack = hyperstack(path, "imagej")
    stack[1, 1] = 7  # nothing to restore
    tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "TCYX"})
    for together in (1, 4):  # 4: two planes are left
        monkeypatch.setattr(Model, "planes_at_once", lambda *_, together=together: together)  # as on a GPU
        command = ["restore", str(path), str(tmp_path / "out.tif"), "--model", model, "--overwrite", *once]
        assert main([*command, "--samples", "2", "--steps", "2"]) == 0
        found.append([tiff.read(file).image for file in sorted(tmp_path.glob("out*"))])
    assert (found[0][-1][1, 1] == 7).all() and len(found[0]) == (1 if once else 2)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-4)


def test_numbers_of_16_bits_are_taken_where_they_are_faster_and_told(
    tmp_path, image, model, monkeypatch, capsys
) -> None:
    found = []
    for gain, options in ((0.1, []), (2.0, []), (2.0, ["--precision", "float32"])):
        monkeypatch.setattr("ddpm_micro.device._cpu_bf16_gain", lambda gain=gain: gain)
        command = ["restore", str(image), str(tmp_path / "out.tif"), "--model", model, "--one-call", "--overwrite"]
        assert main([*command, *options]) == 0
        told = "computing in bf16: measured 2 times as fast" in capsys.readouterr().err
        assert told == (gain > 1 and not options)
        found.append(tiff.read(tmp_path / "out.tif").image)
    np.testing.assert_array_equal(found[0], found[2])
    assert 0 < np.abs(found[1] - found[0]).max() < 0.02 * np.ptp(found[0])


def test_two_runs_that_write_one_file_are_noticed(tmp_path: Path, model: str, capsys) -> None:
    path, out = tmp_path / "in.tif", tmp_path / "out.tif"
    hyperstack(path, "imagej")
    with tiff.opened(path) as planes:
        other = Results([out], planes.about, "another run")
        with other.kept_if_begun():
            assert "another run is writing out.tif" in refused(
                capsys, ["restore", str(path), str(out), "--model", model]
            )
            other.put(0, planes[0])
            assert other.todo() == [1, 2, 3, 4, 5]


def test_a_folder_is_restored_and_a_bad_file_costs_only_itself(tmp_path: Path, model: str, capsys) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.tif", "b.TIF"):
        tiff.write(folder / name, IMAGE, axes="YX")
    (folder / "bad.tif").write_text("not an image")
    (folder / "notes.txt").write_text("no image at all")
    tifffile.imwrite(folder / "far.tif", IMAGE * 1e300)  # which no result can hold
    command = ["restore", str(folder), str(out), "--model", model, "--one-call"]
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "bad.tif" in err and "far.tif: expected grey levels below" in err
    assert err.endswith("2 of 4 files could not be restored\n")
    assert sorted(contents(out)) == ["a.tif", "b.TIF"]
    (folder / "bad.tif").unlink()
    (folder / "far.tif").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.count("is there already") == 2
    assert "a folder for the results" in refused(capsys, [*command[:2], str(folder / "out.tif"), "--model", model])
    assert "another folder" in refused(capsys, [*command[:2], str(folder), "--model", model])


def test_faulty_pixels_are_said_once_and_come_back(tmp_path: Path, model: str, capsys) -> None:
    stack = np.stack([IMAGE] * 3)
    stack[:, 5, 7] = 65535
    tiff.write(tmp_path / "in.tif", stack, axes="TYX")
    assert main(["restore", str(tmp_path / "in.tif"), str(tmp_path / "out.tif"), "--model", model, "--one-call"]) == 0
    assert capsys.readouterr().err.count("kept as they were") == 1
    assert (tiff.read(tmp_path / "out.tif").image[:, 5, 7] == 65535).all()


def test_two_processes_share_the_planes(tmp_path: Path, model: str) -> None:
    path, alone, shared = (tmp_path / f"{name}.tif" for name in ("in", "alone", "shared"))
    hyperstack(path, "imagej")
    options = ["--model", model, "--samples", "2", "--steps", "2"]
    assert main(["restore", str(path), str(alone), *options]) == 0
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "ddpm_micro.cli",
    ]
    done = subprocess.run(
        [*launch, "restore", str(path), str(shared), *options], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mean of 2 samples") == 1
    for kind in ("", ".std"):
        images = [tiff.read(one.with_suffix(f"{kind}.tif")).image for one in (alone, shared)]
        np.testing.assert_allclose(*images, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_processes_that_did_not_come_are_said(tmp_path: Path, image: Path, model: str) -> None:
    """On a CPU `accelerate launch` starts one process, whatever number it is asked for."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes"]
    out = image.with_name("out.tif")
    restoring = ["restore", str(image), str(out), "--model", model, "--one-call", "--overwrite"]
    training = ["train", str(tmp_path), str(tmp_path / "run")]  # a mistake: there is no folder low
    for number, command, code in ((2, restoring, 0), (1, restoring, 0), (2, training, 1)):
        done = subprocess.run(
            [*launch, str(number), "-m", "ddpm_micro.cli", *command], capture_output=True, text=True, timeout=240
        )
        assert done.returncode == code, done.stderr
        told = "ddpm-micro: accelerate was asked for several processes and started one; torchrun"
        assert done.stderr.count(told) == (number > 1)


def test_simulate_train_evaluate_and_info(tmp_path: Path, capsys) -> None:
    """From nothing to a table: folders of TIFFs train a model, and it is evaluated on others."""
    for part, seed in (("train", "0"), ("test", "1")):
        assert (
            main(["simulate", "microtubules", str(tmp_path / part), "--pairs", "3", "--size", "64", "--seed", seed])
            == 0
        )
    assert len(list((tmp_path / "train" / "low").glob("*.tif"))) == 3
    assert tiff.read(tmp_path / "train" / "low" / "microtubules_0000.tif").pixel_size_nm == pytest.approx(25)
    run = tmp_path / "run"
    train = ["train", str(tmp_path / "train"), str(run), "--steps", "2", "--batch-size", "1", "--patch", "16"]
    assert main(train) == 0
    model = str(run / "model.safetensors")
    assert load_model(model).info["data"] == {"pairs": 2, "held_out": 1, "left_out": []}
    assert "steps was 2, now 3" in refused(capsys, [*train[:3], "--steps", "3", "--batch-size", "1", "--patch", "16"])
    assert main([*train[:2], str(tmp_path / "tuned"), *train[3:], "--start", str(run)]) == 0
    rates = [load_model(folder).info["training"]["lr"] for folder in (run, tmp_path / "tuned")]
    assert rates == [TrainConfig().lr, FINE_TUNING]  # further training goes gently
    command = [
        "evaluate",
        str(tmp_path / "test"),
        "--model",
        model,
        "--samples",
        "2",
        "--images",
        "2",
        "--json",
        str(tmp_path / "r.json"),
    ]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert (
        all(method in out for method in ("raw", "gaussian_oracle", "ddpm", "ddpm_avg", "one_call")) and "median" in out
    )
    records = json.loads((tmp_path / "r.json").read_text())
    assert {"set", "method", "metric", "median", "low", "high", "n", "seconds_per_image"} <= records[0].keys()
    assert "r.json" in refused(capsys, command)
    assert main(["info", model]) == 0
    assert json.loads(capsys.readouterr().out)["prediction"] == "v"


def test_a_file_is_no_folder_for_a_trained_model(tmp_path: Path, capsys) -> None:
    (tmp_path / "run").write_text("precious")
    assert "expected a folder for the trained model" in refused(capsys, ["train", "zebrafish", str(tmp_path / "run")])
    assert (tmp_path / "run").read_text() == "precious"


def test_info_and_fetch(capsys, monkeypatch, tmp_path: Path) -> None:
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "device     cpu" in out or "device     cuda" in out
    assert "generalist" in out
    monkeypatch.setenv("DDPM_MICRO_DATA", str(tmp_path))
    assert str(tmp_path) in refused(capsys, ["fetch", "fmd"])


def test_fetch_finds_the_real_images(fmd_root: Path, capsys) -> None:
    assert main(["fetch", "fmd"]) == 0
    assert capsys.readouterr().out.strip().endswith("test_mix: 6 scenes")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulate", "zebrafsh", "out"], "did you mean 'zebrafish'"),
        (["simulate", "zebrafish", "out", "--pairs", "0"], "n >= 1"),
        (["train", "nowhere", "out"], "got nowhere, which has no folder low"),
        (["train", "zebrafish", "out", "--steps", "0"], "steps > 0"),
        (["evaluate", "nowhere", "--model", "MODEL"], "got nowhere, which has no folder low"),
        (["info", "nothing"], "no model 'nothing'"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], message: str, model: str, capsys, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, [model if argument == "MODEL" else argument for argument in arguments])
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    "arguments", [[], ["restore"], ["frobnicate"], ["restore", "a", "b", "--samples", "many"], ["fetch", "fmf"]]
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.startswith("ddpm-micro: ") and err.count("\n") == 1


@pytest.mark.parametrize("command", ["restore", "check", "train", "calibrate", "evaluate", "simulate", "fetch", "info"])
def test_help_tells_units_and_defaults(command: str, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    out = capsys.readouterr().out
    assert stop.value.code == 0
    assert {"restore": "default: 8", "train": "pixels", "simulate": "pixels"}.get(command, "usage") in out


def run(arguments: list[str], **options: object) -> subprocess.Popen[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ddpm_micro.cli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def test_ctrl_c_stops_a_training_that_can_be_resumed(tmp_path: Path) -> None:
    assert main(["simulate", "zebrafish", str(tmp_path / "data"), "--pairs", "3", "--size", "32"]) == 0
    command = [
        "train",
        str(tmp_path / "data"),
        str(tmp_path / "run"),
        "--patch",
        "8",
        "--batch-size",
        "1",
        "--steps",
        "100000",
    ]
    process = run(command)
    shown = ""
    while not re.search(r"\| [1-9]\d*/100000", shown):  # the bar has counted a step
        shown += process.stderr.read(1)
        assert process.poll() is None, shown
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped at step" in err.splitlines()[-1] and "Traceback" not in err
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["step"] >= 1


def test_ctrl_c_while_the_command_line_loads_is_one_line(tmp_path: Path) -> None:
    """A module that is imported first stands for the moment at which the key is pressed."""
    (tmp_path / "argparse.py").write_text("raise KeyboardInterrupt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "ddpm_micro", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (130, "ddpm-micro: interrupted\n")


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["restore", "--help"], ["train", "--help"], ["restore", "a"], ["frobnicate"],
     ["restore", "no/such.tif", "out.tif"], ["train", "no/such", "out"], ["evaluate", "no/such"], ["simulate", "zebrafish", "out", "--pairs", "1", "--size", "32"]],
    ids=" ".join,
)  # fmt: skip
def test_what_needs_no_network_loads_no_large_library(arguments: list[str], tmp_path: Path) -> None:
    """PyTorch alone takes seconds. Only the simulation needs NumPy, SciPy and tifffile."""
    large = {"torch", "accelerate", "skimage"} | (
        {"numpy", "scipy", "tifffile"} if arguments[0] != "simulate" else set()
    )
    code = (
        "import sys\nfrom ddpm_micro.cli import main\n"
        f"try: main({arguments})\nexcept SystemExit: pass\n"
        f"print({large} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_defaults_that_are_shown_are_those_of_the_package():
    """They are read from the source, so that help loads no library; here the libraries are loaded and asked."""
    config = TrainConfig()
    for name in ("steps", "batch_size", "patch", "lr", "seed", "method", "prediction"):
        assert default_of("train", "TrainConfig", name) == getattr(config, name)
    for name, sample in SAMPLERS.items():
        steps = inspect.signature(sample).parameters["steps"].default
        assert default_of("samplers", f"sample_{name}", "steps") == steps
    assert default_of("model", "AUTO_TILE") == AUTO_TILE
    with pytest.raises(LookupError, match="no NOTHING"):
        default_of("model", "NOTHING")
