"""Model files: what is saved comes back, and nothing else is ever taken for a model."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddpm_micro.checkpoint import SHIPPED, load_model, save_model, shipped_models
from ddpm_micro.intensity import Percentiles
from ddpm_micro.model import EPS_LIMIT, Model
from ddpm_micro.schedule import cosine_schedule, q_sample, target
from ddpm_micro.simulate import NAMES
from ddpm_micro.unet import UNetConfig

TINY = UNetConfig(8, (1, 2), 1, (1,))


def tiny(prediction: str = "v") -> Model:
    torch.manual_seed(0)
    model = Model(
        TINY, cosine_schedule(30), prediction=prediction, percentiles=Percentiles(2, 99, 1), info={"data": "none"}
    )
    torch.nn.init.ones_(model.unet.gain_out)
    return model.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(tiny(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def test_round_trip(saved: Path) -> None:
    model, again = tiny(), load_model(saved)
    assert (again.prediction, again.percentiles, again.info) == (model.prediction, model.percentiles, model.info)
    assert again.schedule.config == model.schedule.config and again.unet.config == TINY and not again.training
    x, t = torch.randn(2, 1, 9, 6), torch.tensor([3, 29])
    torch.testing.assert_close(again(x, t, -x), model(x, t, -x), rtol=0, atol=1e-6)


def test_what_a_model_was_trained_for_is_kept_and_read_from_earlier_sidecars(tmp_path: Path) -> None:
    path, config = tmp_path / "model.safetensors", {"training": {"method": "n2v"}}
    save_model(Model(TINY, cosine_schedule(30), prediction="x0", method="care", info=config), path)
    assert load_model(path).method == load_model(tmp_path).method == "care"  # a run's folder stands for its model
    sidecar = json.loads(path.with_suffix(".json").read_text())
    del sidecar["method"]
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    assert load_model(path).method == "n2v"
    assert load_model("synapses").method == "ddpm"
    with pytest.raises(ValueError, match=r"no model .*expected"):
        load_model(tmp_path.parent)


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    state = torch.get_rng_state()
    load_model(saved)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("prediction", ["v", "x0", "eps"])
def test_the_model_turns_its_output_into_x0(prediction: str, monkeypatch) -> None:
    """With a network that answers right, the denoiser returns the clean image at every t, in float32."""
    model = tiny(prediction)
    x0, eps = torch.rand(3, 1, 5, 5) * 2 - 1, torch.randn(3, 1, 5, 5)
    t = torch.tensor([0, 15, 28 if prediction == "eps" else 29])
    x_t = q_sample(model.schedule, x0, t, eps)
    monkeypatch.setattr(model, "output", lambda *_: target(model.schedule, x0, t, eps, prediction))
    x0_hat = model(x_t, t, x0)
    assert x0_hat.dtype == torch.float32
    torch.testing.assert_close(x0_hat, x0, rtol=0, atol=2e-4)


def test_the_network_is_shown_the_best_linear_guess_and_at_the_end_nothing() -> None:
    model, x_t, t = tiny(), torch.randn(2, 1, 6, 6), torch.tensor([8, 29])
    alpha_bar = model.schedule.alpha_bar(t).reshape(-1, 1, 1, 1).float()
    of_unit_power = alpha_bar.sqrt() / (alpha_bar + (1 - alpha_bar)) * x_t  # E[x0 | x_t] of standard normal pixels
    torch.testing.assert_close(model.inputs(x_t, t, x_t)[0], of_unit_power)
    answers = [model.output(noise[1:], t[1:], torch.zeros(1, 1, 6, 6)) for noise in (x_t, -x_t)]
    torch.testing.assert_close(*answers, rtol=0, atol=0.01)


def test_a_model_of_eps_sees_the_noise_as_it_is() -> None:
    x_t = torch.randn(1, 1, 6, 6)
    assert torch.equal(tiny("eps").inputs(x_t, torch.tensor([29]), x_t)[0], x_t)


def test_an_eps_model_is_held_in_bounds_at_the_end(monkeypatch) -> None:
    model = tiny("eps")
    monkeypatch.setattr(model, "output", lambda x_t, *_: x_t + 0.01)
    x0_hat = model(torch.randn(1, 1, 4, 4), torch.tensor([29]), torch.zeros(1, 1, 4, 4))
    assert x0_hat.abs().max() == EPS_LIMIT
    with pytest.raises(ValueError, match="got eps, which at t = T says nothing"):
        model.posterior_mean(np.zeros((4, 4)))


def edit(path: Path, **changes: object) -> None:
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | changes))


CURVE = {"settings": {}, "spread": [0.1], "error": [0.1], "factors": {}, "before": {}, "after": {}, "fields": {}}


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: cut(p, 1000), "not those the sidecar describes"),
        (lambda p: cut(p, 0), "not those the sidecar describes"),
        (lambda p: p.with_suffix(".json").unlink(), "expected tiny.json beside tiny.safetensors"),
        (lambda p: cut(p.with_suffix(".json"), 100), "cannot read the model"),
        (lambda p: p.with_suffix(".json").write_text("[]"), "cannot read the model"),
        (lambda p: p.with_suffix(".json").write_bytes(b"\xff\xfe\x00"), "cannot read the model"),
        (lambda p: edit(p, unet={"base_channels": 16, "channel_mults": [1, 2], "num_res_blocks": 1, "attn_levels": [1]}), "size mismatch"),
        (lambda p: edit(p, percentiles={"low": None, "high": 99.9, "smoothing_px": 1.5}), r"percentiles\.low: null, expected numbers of 0 to 100"),
        (lambda p: edit(p, percentiles={"low": 99.9, "high": 1.0, "smoothing_px": 1.5}), "expected it below"),
        (lambda p: edit(p, percentiles={"low": 1.0, "high": float("nan"), "smoothing_px": True}), r"high: NaN, .*; percentiles\.smoothing_px: true"),
        (lambda p: edit(p, unet={"base_channels": 8, "channel_mults": [1, 2], "num_res_blocks": 10**9, "attn_levels": [1]}), r"num_res_blocks: 1000000000, expected whole numbers of 1 to 64"),
        (lambda p: edit(p, unet={"base_channels": 8, "channel_mults": [1, "2"], "num_res_blocks": 1, "attn_levels": 1e300}), r"channel_mults: \[1, \"2\"\].*attn_levels: 1e\+300"),
        (lambda p: edit(p, schedule=None), "schedule: null, expected an object"),
        (lambda p: edit(p, info=[]), r"info: \[\], expected an object"),
        (lambda p: edit(p, calibration={"spread": [0, None]}), r"calibration\.spread: \[0, null\]"),
        (lambda p: edit(p, calibration=CURVE | {"error": []}), "as many spreads as errors"),
        (lambda p: edit(p, calibration=CURVE | {"factors": {"90": "much"}}), "as many spreads as errors, and factors"),
        (lambda p: edit(p, residual_check={"lowest": [0], "middle": [0], "highest": [0], "threshold": 1, "windows": 1, "applies": True}), "a residual check of"),
        (lambda p: edit(p, unet={"base_channels": 8}), "cannot read the model"),
        (lambda p: edit(p, schedule={"kind": "sigmoid"}), "sigmoid"),
        (lambda p: edit(p, prediction="noise"), "'noise'"),
        (lambda p: edit(p, method="gan"), "'gan'"),
        (lambda p: edit(p, method="care"), "expected prediction x0 of a care network"),
    ],
)  # fmt: skip
def test_damaged_models_are_refused_in_one_line(saved: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(saved)
    with pytest.raises(ValueError, match=message) as error:
        load_model(saved)
    assert "\n" not in str(error.value)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = tiny()
    torch.nn.init.constant_(model.unet.gain_out, float("nan"))
    save_model(model, tmp_path / "nan.safetensors")
    with pytest.raises(ValueError, match="the weights gain_out are NaN or infinite"):
        load_model(tmp_path / "nan.safetensors")


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "exploded",))

    for name in ("model.pt", "model.safetensors"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(ValueError, match=r"safetensors|beside"):
            load_model(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_random_files_are_refused(tmp_path_factory, weights: bytes, sidecar: bytes) -> None:
    path = tmp_path_factory.mktemp("random") / "model.safetensors"
    path.write_bytes(weights)
    path.with_suffix(".json").write_bytes(sidecar)
    with pytest.raises(ValueError, match="cannot read the model"):
        load_model(path)


def test_unknown_names_get_the_near_ones() -> None:
    with pytest.raises(ValueError, match=r"no model 'no_such_model': expected a \.safetensors file or one of"):
        load_model("no_such_model")
    with pytest.raises(ValueError, match="did you mean 'generalist'"):
        load_model("generalits")


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_load_and_say_how_they_were_made(name: str) -> None:
    model = load_model(name)
    for file in (SHIPPED / f"{name}.safetensors", SHIPPED / f"{name}.json"):
        assert file.stat().st_size < 4 * 2**20
    assert {"data", "training", "steps", "seconds", "machine", "validation"} <= model.info.keys()
    errors = [entry["mae"] for entry in model.info["validation"]]
    assert min(errors[len(errors) // 2 :]) < errors[0]
    assert abs(errors[-2] - errors[-1]) < 0.01 * errors[-1]  # the curve has stopped falling
    training, kept = model.info["training"], model.info["steps"]
    assert training["steps"] >= 6000
    assert training["steps"] >= kept >= training["steps"] - training["val_every"]  # the best weights came at the end


def test_a_generalist_and_a_specialist_for_each_set_are_shipped() -> None:
    assert shipped_models() == sorted(["generalist", *NAMES])


def test_saving_elsewhere_than_safetensors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ends in \.safetensors, got model\.pt"):
        save_model(tiny(), tmp_path / "model.pt")


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_saving_that_is_killed_leaves_the_older_or_the_newer_model(saved: Path, monkeypatch, stop: int) -> None:
    """The names change in three steps; after each a reader finds weights and a sidecar that belong together."""
    newer, older = tiny("x0"), load_model(saved).fingerprint()
    torch.nn.init.zeros_(newer.unet.gain_out)
    replace, done = os.replace, []

    def counted(*paths: object) -> None:
        if len(done) == stop - 1:
            raise SystemExit("killed")
        replace(*paths)
        done.append(paths)

    monkeypatch.setattr("ddpm_micro.files.atomic.os.replace", counted)
    if stop < 4:
        with pytest.raises(SystemExit):
            save_model(newer, saved)
    else:
        save_model(newer, saved)
    found = load_model(saved)
    expected = ("v", older) if stop < 3 else ("x0", newer.fingerprint())
    assert (found.prediction, found.fingerprint()) == expected
    monkeypatch.undo()
    save_model(newer, saved)
    assert "before" not in json.loads(saved.with_suffix(".json").read_text())


def test_a_broken_pair_is_said(saved: Path, tmp_path: Path) -> None:
    other = tiny("x0")
    torch.nn.init.zeros_(other.unet.gain_out)
    save_model(other, tmp_path / "other.safetensors")
    (tmp_path / "other.safetensors").rename(saved)
    with pytest.raises(ValueError, match="the weights are not those the sidecar describes"):
        load_model(saved)
