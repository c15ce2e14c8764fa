"""Training: resumes bit for bit, draws t uniformly, averages, keeps the best, stops cleanly, learns."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ddpm_micro import device
from ddpm_micro.checkpoint import load_model
from ddpm_micro.data import PairedPatches
from ddpm_micro.model import Model
from ddpm_micro.noise import seeded
from ddpm_micro.objectives import draw_t_eps, loss
from ddpm_micro.schedule import cosine_schedule, q_sample
from ddpm_micro.simulate import make_pairs
from ddpm_micro.train import TrainConfig, decay_at, ema_update, fit, validate
from ddpm_micro.unet import UNetConfig

TINY = TrainConfig(
    steps=12, batch_size=2, patch=8, lr=1e-2, val_every=4, num_train_timesteps=20, precision="no",
    unet=UNetConfig(8, (1, 2), 1, (1,), dropout=0.1),
)  # fmt: skip


@pytest.fixture(scope="module")
def patches() -> tuple[PairedPatches, PairedPatches]:
    train, val = make_pairs("zebrafish", 6, size=16, seed=0), make_pairs("zebrafish", 3, size=16, seed=1)
    return PairedPatches(train.low, train.high, 8), PairedPatches(val.low, val.high, 8)


def same_weights(first: Path, second: Path) -> bool:
    a, b = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def stop_at(step: int, number: int) -> Callable[[int, Model], None]:
    def on_validation(now: int, _model: Model) -> None:
        if now == step:
            os.kill(os.getpid(), number)

    return on_validation


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_resuming_gives_the_same_weights_bit_for_bit(patches, tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    fit(TINY, *patches, tmp_path / "whole", progress=False)
    with pytest.raises(KeyboardInterrupt, match="stopped at step 4 of 12"):
        fit(TINY, *patches, tmp_path / "parts", progress=False, on_validation=stop_at(4, number))
    torch.rand(3)  # the state of the global generator must not matter
    fit(TINY, *patches, tmp_path / "parts", progress=False)
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
    states = [torch.load(tmp_path / run / "last.pt", weights_only=True) for run in ("whole", "parts")]
    assert all(torch.equal(states[0]["model"][name], states[1]["model"][name]) for name in states[0]["model"])
    assert torch.equal(states[0]["average"], states[1]["average"])
    logs = [[{k: v for k, v in line.items() if k != "seconds"} for line in state["log"]] for state in states]
    assert logs[0] == logs[1] and [line["step"] for line in logs[0]] == [4, 8, 12]
    assert signal.getsignal(number) is before


def test_a_finished_run_is_not_trained_further(patches, tmp_path: Path) -> None:
    fit(TINY, *patches, tmp_path, progress=False)
    before = (tmp_path / "model.safetensors").read_bytes()
    fit(TINY, *patches, tmp_path, progress=False)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_a_run_of_another_configuration_is_refused(patches, tmp_path: Path) -> None:
    fit(replace(TINY, steps=1), *patches, tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"another run \(steps was 1, now 12; lr was 0.01, now 0.1\)"):
        fit(replace(TINY, lr=0.1), *patches, tmp_path, progress=False)
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"cannot go on from .*last\.pt: it is damaged"):
        fit(TINY, *patches, tmp_path, progress=False)


def test_a_start_gives_its_weights_and_is_part_of_the_run(patches, tmp_path: Path) -> None:
    first = fit(TINY, *patches, tmp_path / "first", progress=False)
    before = first.fingerprint()
    still = replace(TINY, steps=1, lr=1e-12)
    second = fit(still, *patches, tmp_path / "second", start=first, progress=False)
    assert first.fingerprint() == before == second.info["start"]
    assert before == json.loads((tmp_path / "first" / "model.json").read_text())["weights_sha256"]
    inputs = torch.randn(1, 1, 8, 8), torch.tensor([7]), torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(second(*inputs), first(*inputs), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match=r"another run .*start was"):
        fit(still, *patches, tmp_path / "second", progress=False)
    for other, what in (
        (replace(TINY, unet=UNetConfig(8, (1, 1), 1, ())), "unet"),
        (replace(TINY, num_train_timesteps=10), "schedule"),
        (replace(TINY, prediction="eps"), "prediction"),
    ):
        with pytest.raises(ValueError, match=f"expected start to have this run's {what}"):
            fit(other, *patches, tmp_path / what, start=first, progress=False)


def test_the_callers_random_state_is_left_alone(patches, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(TINY, *patches, tmp_path, progress=False)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_t_is_uniform_over_all_timesteps() -> None:
    schedule = cosine_schedule(200)
    draws = torch.cat([draw_t_eps(schedule, torch.zeros(64, 1, 1, 1), seeded(0, step))[0] for step in range(625)])
    counts = torch.bincount(draws, minlength=200).double()
    assert draws.min() == 0 and draws.max() == 199
    chi_square = ((counts - 200) ** 2 / 200).sum().item()  # 40,000 draws; 199 degrees of freedom, sd 20
    assert 199 - 5 * 20 < chi_square < 199 + 5 * 20


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_loss_is_zero_for_the_right_answer_and_the_error_squared_for_a_wrong_one(prediction: str) -> None:
    schedule, generator = cosine_schedule(20), seeded(1)
    x0, cond = torch.randn(2, 3, 1, 4, 4, generator=generator)
    t, eps = draw_t_eps(schedule, x0, generator)
    alpha_bar = schedule.alphas_cumprod[t].reshape(-1, 1, 1, 1).float()
    answers = {"eps": eps, "x0": x0, "v": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x0}

    def output(x_t: torch.Tensor, time: torch.Tensor, condition: torch.Tensor, off: float = 0.0) -> torch.Tensor:
        torch.testing.assert_close(x_t, q_sample(schedule, x0, t, eps))
        assert torch.equal(time, t) and torch.equal(condition, cond)
        return answers[prediction] + off

    assert loss(output, schedule, prediction, x0, cond, t, eps).item() == pytest.approx(0, abs=1e-10)
    off = loss(lambda *a: output(*a, off=0.5), schedule, prediction, x0, cond, t, eps)
    assert off.item() == pytest.approx(0.25, rel=1e-4)


def test_average_is_exponential_after_its_warm_up() -> None:
    average, expected = torch.tensor([0.0]), 0.0
    for step in range(200):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        average = ema_update(average, torch.tensor([float(step)]), decay_at(step, 0.9))
    assert average.item() == pytest.approx(expected, rel=1e-4)
    assert average.item() == pytest.approx(199 - 9, abs=0.1)  # lags by decay / (1 - decay)


def test_it_learns_keeps_the_best_and_anneals_once(patches, tmp_path: Path) -> None:
    seen = {}

    def on_validation(step: int, model: Model) -> None:
        seen[step] = {name: tensor.clone() for name, tensor in model.unet.state_dict().items()}

    config = replace(TINY, steps=120, batch_size=4, val_every=10, unet=replace(TINY.unet, dropout=0.0))
    model = fit(config, *patches, tmp_path, data="a test", progress=False, on_validation=on_validation)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    errors = {line["step"]: line["val_mae"] for line in log}
    best = min(errors, key=errors.get)
    assert errors[best] < 0.75 * errors[10]
    for name, tensor in model.unet.state_dict().items():
        assert torch.equal(tensor.cpu(), seen[best][name]), "the weights of the lowest validation MAE are saved"
    assert validate(model, patches[1]) == pytest.approx(errors[best], rel=1e-4)
    rates = [line["lr"] for line in log]
    assert rates[-1] < 1e-3 * config.lr and max(rates) > 0.4 * config.lr
    assert model.info["data"] == "a test" and model.info["training"]["steps"] == 120


def test_a_loss_that_is_not_finite_is_told(patches, tmp_path: Path) -> None:
    train, val = patches
    broken = PairedPatches(train.cond, train.x0, 8)
    for image in broken.x0:
        image[:] = np.nan
    with pytest.raises(FloatingPointError, match="loss is nan at step 10; lower lr"):
        fit(TINY, broken, val, tmp_path, progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps > 0, got 0"),
        ({"lr": -1.0}, "lr > 0, got -1.0"),
        ({"lr": float("nan")}, "lr > 0, got nan"),
        ({"ema_decay": 1.0}, r"ema_decay in \[0, 1\), got 1.0"),
        ({"prediction": "noise"}, "'noise'"),
        ({"seed": -1}, "seed in 0"),
        ({"precision": "fp8"}, "precision auto, no or bf16, got 'fp8'"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**options)


@pytest.mark.parametrize(("gain", "expected"), [(1.8, "bf16"), (0.02, "no")])
def test_cpu_precision_is_what_was_measured_to_be_faster(monkeypatch, gain: float, expected: str) -> None:
    monkeypatch.setattr(device, "_cpu_bf16_gain", lambda: gain)
    precision, reason = device.choose_precision(torch.device("cpu"))
    assert precision == expected and f"measured {gain:.2g} times" in reason


def test_bf16_trains_too(patches, tmp_path: Path) -> None:
    model = fit(replace(TINY, steps=2, val_every=2, precision="bf16"), *patches, tmp_path, progress=False)
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in model.parameters())


TWO_PROCESSES = """
import sys
from pathlib import Path
from accelerate import PartialState
from tests.test_train import TINY, PairedPatches, fit, make_pairs
pairs = make_pairs("zebrafish", 6, size=16, seed=0)
patches = PairedPatches(pairs.low, pairs.high, 8)
fit(TINY, patches, patches, sys.argv[1], progress=False)
# A file each: what two processes print at once can end up in one line.
Path(sys.argv[1], f"rank {PartialState().process_index} of {PartialState().num_processes}").touch()
"""


def test_several_processes_train_one_model(tmp_path: Path) -> None:
    """Started as chapter 10 says; torchrun is torch.distributed.run."""
    root, script = Path(__file__).parent.parent, tmp_path / "train.py"
    words = re.search(r"\$ torchrun (.+) -m ddpm_micro", (root / "notebooks" / "10_bigger.md").read_text("utf-8"))[1]
    script.write_text(TWO_PROCESSES)
    launcher = [sys.executable, "-m", "torch.distributed.run", *words.split()]
    command, environment = (
        [*launcher, str(script), str(tmp_path / "run")],
        {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    done = subprocess.run(
        command, cwd=root, env=os.environ | environment | {"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(path.name for path in (tmp_path / "run").glob("rank *")) == ["rank 0 of 2", "rank 1 of 2"]
    assert load_model(tmp_path / "run" / "model.safetensors").info["training"]["processes"] == 2


@pytest.mark.gpu
def test_training_on_a_gpu(patches, tmp_path: Path) -> None:
    config = replace(TINY, precision="auto")
    with pytest.raises(KeyboardInterrupt):
        fit(config, *patches, tmp_path, progress=False, on_validation=stop_at(4, signal.SIGTERM))
    model = fit(config, *patches, tmp_path, progress=False)
    assert model.info["training"]["precision"] in ("bf16", "no") and "cuda" in model.info["machine"]


def test_noise2void_without_clean_images_is_not_validated_by_what_it_sees(monkeypatch) -> None:
    """A network that returns its input makes no error where it sees the pixel, and a large one where it is hidden."""
    noise = [np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)]
    model = Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(8), prediction="x0", method="n2v")
    monkeypatch.setattr(model, "output", lambda x_t, t, cond: cond)
    low_only, blank = PairedPatches(noise, noise, 16), PairedPatches(noise, [0 * noise[0]], 16)
    assert validate(model, low_only) > 0.1
    hot = noise[0].copy()
    hot[3, 4] = 1e4  # is repaired in what the network sees
    assert validate(model, PairedPatches([hot], [hot], 16)) > 0.1
    x0, cond = blank.centres(1)
    assert validate(model, blank) == pytest.approx((cond - x0).abs().mean().item(), rel=1e-5)


def test_a_second_training_in_a_folder_is_refused(patches, tmp_path: Path) -> None:
    def again(step: int, model: Model) -> None:
        with pytest.raises(ValueError, match="another run is writing"):
            fit(TINY, *patches, tmp_path, progress=False)

    fit(replace(TINY, steps=2, val_every=2), *patches, tmp_path, progress=False, on_validation=again)
    fit(replace(TINY, steps=2, val_every=2), *patches, tmp_path, progress=False)  # the lock ended with the first one
