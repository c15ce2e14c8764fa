"""Error bars: the coverage they promise, in worlds where it is known, and what is kept beside the weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from ddpm_micro import calibrate, checkpoint, simulate
from ddpm_micro.calibrate import Calibration, conformal_factor
from ddpm_micro.cli import main
from ddpm_micro.files import tiff
from ddpm_micro.model import Model
from ddpm_micro.residual import ResidualCheck
from ddpm_micro.restore import restore
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig

SETTINGS = {"samples": 8, "antithetic": True, "sampler": "dpmpp_2m", "steps": 8}


def world(seed: int, fields: int, pixels: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, mean and spread: the error is 0.1 + twice the spread, times a factor that a field's pixels share."""
    rng = np.random.default_rng(seed)
    std = rng.gamma(1, 0.3, (fields, pixels))
    together = rng.lognormal(0, 0.3, (fields, 1))
    truth = together * (0.1 + 2 * std) * rng.normal(size=std.shape)
    return truth, np.zeros_like(truth), std


def test_intervals_hold_what_they_promise_on_average_over_calibrations() -> None:
    """The guarantee itself: over many draws of few fields, the mean coverage of a new field is at least the level."""
    held = []
    for seed in range(400):
        truth, mean, std = world(seed, 13)
        new = np.arange(13) == 12
        held.append((np.abs(truth[new]) <= conformal_factor(truth, mean, std, new, 0.8) * std[new]).mean())
    assert 0.8 < np.mean(held) < 0.88
    assert np.std(held) / 20 < 0.01  # so the lower bound is no luck


def test_few_fields_ask_for_more_and_too_few_for_everything() -> None:
    truth, mean, std = world(0, 20)
    kept = np.zeros(20, bool)
    plain = np.quantile(np.abs(truth) / std, 0.9)
    assert conformal_factor(truth, mean, std, kept, 0.9) > plain
    assert conformal_factor(truth, mean, std, np.arange(20) >= 9, 0.9) == (np.abs(truth) / std)[:9].max()
    assert conformal_factor(truth, mean, std, np.arange(20) >= 8, 0.9) == np.inf


def test_held_out_fields_change_nothing() -> None:
    truth, mean, std = world(0, 40)
    held_out = np.arange(40) % 3 == 0
    before = conformal_factor(truth, mean, std, held_out, 0.9)
    truth[held_out] = 1e6
    assert conformal_factor(truth, mean, std, held_out, 0.9) == before


def test_the_curve_finds_the_error_and_coverage_is_right_where_it_was_far_off() -> None:
    truth, mean, std = world(1, 400)
    found = calibrate.calibrate(truth, mean, std, settings=SETTINGS)
    spread = np.array([0.05, 0.2, 0.5, 1.0])
    np.testing.assert_allclose(found.expected_error(spread), 1.09 * (0.1 + 2 * spread), rtol=0.15)
    assert found.before["90"][0] < 0.8
    for level in calibrate.LEVELS:
        share, error = found.after[str(level)]
        assert abs(share - level / 100) < 4 * error + 0.01 and 0 < error < 0.02
    assert found.fields == {"curve": 50, "factors": 250, "check": 100}


def test_the_curve_rises_and_goes_on_in_proportion() -> None:
    truth, mean, std = world(2, 16)
    found = calibrate.calibrate(truth, mean, std, settings=SETTINGS)
    errors = found.expected_error(np.linspace(0, 1.5 * found.spread[-1], 200))
    assert (np.diff(errors) >= 0).all() and errors[0] > 0
    assert found.expected_error(2 * found.spread[-1]) == pytest.approx(2 * found.error[-1])


def test_the_noise_of_the_truth_is_taken_off() -> None:
    truth, mean, std = world(3, 400)
    exact = calibrate.calibrate(truth, mean, std, settings=SETTINGS)
    noisy = truth + 0.5 * np.random.default_rng(0).normal(size=truth.shape)
    found = calibrate.calibrate(noisy, mean, std, 0.25, settings=SETTINGS)
    naive = calibrate.calibrate(noisy, mean, std, settings=SETTINGS)
    spread = np.array([0.2, 0.5, 1.0])
    np.testing.assert_allclose(found.expected_error(spread), exact.expected_error(spread), rtol=0.1)
    assert naive.expected_error(0.2) > 1.2 * exact.expected_error(0.2)
    assert found.factors["90"] == pytest.approx(exact.factors["90"], rel=0.1)


def test_too_few_fields_are_refused_and_a_level_that_they_cannot_give() -> None:
    with pytest.raises(ValueError, match="at least 8 fields"):
        calibrate.calibrate(*world(0, 7))
    found = calibrate.calibrate(*world(0, 8), settings=SETTINGS)
    assert found.factors["95"] is None and found.factors["50"] > 0
    with pytest.raises(ValueError, match="interval of 50, 80 %, got 95"):
        found.factor(95)
    with pytest.raises(ValueError, match="got 70"):
        found.factor(70)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(8))
    torch.nn.init.constant_(model.unet.gain_out, 0.5)
    checkpoint.save_model(model, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def calibration(model: Model, **changes: object) -> Calibration:
    found = calibrate.calibrate(*world(0, 80), settings=SETTINGS, weights_sha256=model.fingerprint())
    return Calibration(**vars(found) | changes)


def test_restore_gives_error_and_interval_in_the_units_of_the_image(tiny: Path) -> None:
    model = checkpoint.load_model(tiny)
    model.calibration = calibration(model)
    image = np.random.default_rng(0).poisson(20, (2, 16, 20)).astype(float)
    drawn = restore(model, image, samples=8, antithetic=True, progress=False)
    scaled = restore(model, 16 * image + 1000, samples=8, antithetic=True, progress=False)
    assert drawn.error.shape == image.shape and drawn.error.dtype == np.float32
    np.testing.assert_allclose(scaled.error, 16 * drawn.error, rtol=1e-3)
    scale = model.percentiles.fit(image[1]).scale
    expected = scale * model.calibration.expected_error(drawn.std[1].astype(float) / scale)
    np.testing.assert_allclose(drawn.error[1], expected, rtol=1e-4)
    lower, upper = drawn.interval(95)
    np.testing.assert_allclose(upper - drawn.mean, model.calibration.factor(95) * drawn.error, rtol=1e-3)
    np.testing.assert_allclose(lower + upper, 2 * drawn.mean, rtol=1e-4)


def test_no_error_without_a_calibration_or_with_other_settings(tiny: Path) -> None:
    model = checkpoint.load_model(tiny)
    image = np.random.default_rng(0).poisson(20, (24, 30))
    drawn = restore(model, image, samples=8, antithetic=True, progress=False)
    assert drawn.error is None
    with pytest.raises(ValueError, match="not calibrated"):
        drawn.interval(90)
    model.calibration = calibration(model)
    drawn = restore(model, image, samples=8, antithetic=True, steps=5, progress=False)
    assert drawn.error is None
    with pytest.raises(ValueError, match="for steps=8; with steps=5 the spread"):
        drawn.interval(90)


def test_a_calibration_stays_with_its_weights(tiny: Path) -> None:
    model = checkpoint.load_model(tiny)
    model.calibration = calibration(model)
    checkpoint.save_model(model, tiny)
    assert checkpoint.load_model(tiny).calibration == model.calibration
    torch.nn.init.constant_(model.unet.gain_out, 0.4)
    checkpoint.save_model(model, tiny)
    assert checkpoint.load_model(tiny).calibration is None

    described = json.loads(tiny.with_suffix(".json").read_text())
    for change, message in (({"weights_sha256": "0"}, "other weights"), ({"version": 2}, "version 1, got 2")):
        foreign = vars(model.calibration) | change
        tiny.with_suffix(".json").write_text(json.dumps(described | {"calibration": foreign}))
        with pytest.raises(ValueError, match=message):
            checkpoint.load_model(tiny)


def test_the_command_calibrates_by_pairs_once(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "pairs")
    assert main(["simulate", "zebrafish", folder, "--pairs", "9", "--size", "16"]) == 0
    before = tiny.read_bytes()
    assert main(["calibrate", folder, "--model", str(tiny)]) == 0
    out = capsys.readouterr().out
    assert "checked on 2 others" in out and "too few fields" in out and "residual" in out
    found = checkpoint.load_model(tiny).calibration
    assert found.data == f"9 fields of {folder}" and len(found.data_sha256) == 64 and tiny.read_bytes() == before
    assert restore(checkpoint.load_model(tiny), np.eye(20), **SETTINGS, progress=False).error is not None

    kept = tiny.with_suffix(".json").read_bytes()
    assert main(["calibrate", folder, "--model", str(tiny)]) == 2
    assert "is calibrated" in capsys.readouterr().err and tiny.with_suffix(".json").read_bytes() == kept


def test_the_command_calibrates_by_repeated_frames(tiny: Path, tmp_path: Path) -> None:
    """With the truth in hand, error and factors are much the same as from frames, which know it only roughly."""
    rng, shape = np.random.default_rng(0), (5, 24, 24)
    for i in range(16):
        clean = simulate.make_pairs("zebrafish", 1, size=24, seed=i).high[0] + 20
        drawn = rng.poisson(clean, shape).astype(np.float32)
        for folder, image in (("frames", drawn), ("pairs/low", drawn[0]), ("pairs/high", clean)):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            axes = "TYX" if image.ndim == 3 else "YX"
            tiff.write(tmp_path / folder / f"{i:02d}.tif", image.astype(np.float32), axes=axes)
    found = []
    for name in ("frames", "pairs"):
        copy = tmp_path / f"{name}.safetensors"
        shutil.copy(tiny, copy)
        shutil.copy(tiny.with_suffix(".json"), copy.with_suffix(".json"))
        assert main(["calibrate", str(tmp_path / name), "--model", str(copy)]) == 0
        found.append(checkpoint.load_model(copy).calibration)
    np.testing.assert_allclose(found[0].error[5:-2], found[1].error[5:-2], rtol=0.25)
    assert found[0].factors["80"] == pytest.approx(found[1].factors["80"], rel=0.15)


@pytest.mark.parametrize("frames", [None, 3])
def test_a_folder_without_fields_is_told(
    tiny: Path, tmp_path: Path, frames: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fields").mkdir()
    if frames:
        tiff.write(tmp_path / "fields/a.tif", np.ones((frames, 8, 8), np.float32), axes="TYX")
    assert main(["calibrate", str(tmp_path / "fields"), "--model", str(tiny)]) == 2
    assert ("4 or more frames" if frames else "TIFF files") in capsys.readouterr().err
    assert checkpoint.load_model(tiny).calibration is None


def test_restore_writes_error_and_interval_of_a_calibrated_model(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = checkpoint.load_model(tiny)
    image, out = np.random.default_rng(0).poisson(20, (2, 64, 70)).astype(np.uint16), tmp_path / "out.tif"
    tiff.write(tmp_path / "in.tif", image, axes="ZYX")
    command = ["restore", str(tmp_path / "in.tif"), str(out), "--model", str(tiny)]
    assert main([*command, "--interval", "90"]) == 2
    assert "not calibrated" in capsys.readouterr().err and not out.exists()
    assert main(command) == 0
    assert "not an error bar" in capsys.readouterr().out and not (tmp_path / "out.error.tif").exists()

    model.calibration = calibration(model)
    model.residual_check = ResidualCheck([-1.0] * 11, [0.0] * 11, [1.0] * 11, threshold=0.5, windows=100, applies=True)
    checkpoint.save_model(model, tiny)
    command.append("--overwrite")
    assert main([*command, "--interval", "90", "--residual"]) == 0
    said = capsys.readouterr().out
    assert said.count("ALARM, ") == 2 and "plane 1 has" in said and "not an error bar" not in said
    drawn = restore(model, image, **SETTINGS, progress=False)
    lower, upper = drawn.interval(90)
    for name, expected in {"error": drawn.error, "lower": lower, "upper": upper, "std": drawn.std}.items():
        np.testing.assert_allclose(tiff.read(tmp_path / f"out.{name}.tif").image, expected, rtol=1e-3, atol=1e-3)
    assert tiff.read(tmp_path / "out.residual.tif").image.std() == pytest.approx(1, abs=0.2)

    assert main([*command, "--steps", "4"]) == 0
    said = capsys.readouterr().out
    assert "calibrated for steps=8; with steps=4" in said and said.count("residual check") == 1
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.std.tif", "out.tif"]
    assert main([*command, "--steps", "4", "--interval", "90"]) == 2
    assert main([*command, "--one-call", "--interval", "90"]) == 2


RESULTS = json.loads((Path(__file__).parents[1] / "book/results/calibration.json").read_text("utf-8"))


@pytest.mark.parametrize("name", checkpoint.shipped_models())
def test_shipped_models_are_calibrated_and_the_results_are_theirs(name: str) -> None:
    model = checkpoint.load_model(name)
    own = next(record for record in RESULTS if (record["model"], record["case"]) == (name, "own"))
    assert own["before"] == model.calibration.before and own["after"] == model.calibration.after
    assert 0.88 < own["after"]["90"][0] < 0.92 and own["before"]["90"][0] < 0.75
    assert model.calibration.settings == {"samples": 8, "antithetic": True, "sampler": "dpmpp_2m", "steps": 10}
    assert model.residual_check.applies == (name != "synapses")
