"""Draw the samples from which the shipped models are calibrated, calibrate them, and count how often that holds.

    DDPM_MICRO_DATA=folder OMP_NUM_THREADS=1 python book/experiments/calibration.py

restores the fields of every case below once, as ``ddpm-micro restore`` does, and keeps mean and spread under
``runs/calibration`` (an hour on one CPU core; a run that was stopped goes on).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ddpm_micro import datasets, simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.restore import restore
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.simulate.microscope import Camera

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "runs/calibration"
SETTINGS = {"samples": 8, "antithetic": True, "sampler": "dpmpp_2m", "steps": 10}
FIELDS, SIZE = 128, 48  # fields to calibrate and to check on, and their side in pixels
OTHERS = 12  # fields of each case that only checks
SEEDS = {"own": 19, "larger": 18, "other_specimen": 20, "other_camera": 21}  # no other script draws from them
MODELS = {**{name: name for name in simulate.NAMES}, "generalist": "mixture"}
OTHER_CAMERA = Camera(gain=2.0, offset=100.0, read_noise=1.5)  # read noise, which no photon counter has


def own(name: str) -> simulate.Pairs:
    """The fields on which a model is calibrated and checked."""
    return simulate.make_pairs(MODELS[name], FIELDS, size=SIZE, seed=SEEDS["own"])


def larger(name: str) -> simulate.Pairs:
    """As many others, a third wider: does what was fitted on small fields hold on larger ones?"""
    return simulate.make_pairs(MODELS[name], FIELDS, size=64, seed=SEEDS["larger"])


def other_specimen(name: str) -> simulate.Pairs:
    """The specimen of the next set, through its own microscope."""
    following = simulate.NAMES[(simulate.NAMES.index(name) + 1) % 4]
    return simulate.make_pairs(following, OTHERS, size=SIZE, seed=SEEDS["other_specimen"])


def other_camera(name: str) -> simulate.Pairs:
    """The model's own specimen in front of another camera."""
    benchmark = BENCHMARKS[name]
    changed = replace(benchmark, low=replace(benchmark.low, camera=OTHER_CAMERA))
    drawn = [changed.pair(np.random.default_rng([SEEDS["other_camera"], i]), SIZE) for i in range(OTHERS)]
    low, high = (np.stack(images) for images in zip(*drawn, strict=True))
    return simulate.Pairs(low, high, np.full(OTHERS, benchmark.pixel_size_nm))


def real(name: str) -> simulate.Pairs:
    """The middle of four frames of each real scene."""
    scenes = datasets.load("fmd").scenes
    middle = np.s_[..., 220:292, 220:292]
    low = np.concatenate([scene.raw[middle] for scene in scenes]).astype(np.float32)
    high = np.concatenate([np.stack([scene.truth[middle]] * len(scene.raw)) for scene in scenes]).astype(np.float32)
    return simulate.Pairs(low, high, np.full(len(low), np.nan))


CASES = {
    **{(name, "own"): own for name in MODELS},
    ("microtubules", "larger"): larger,
    ("generalist", "real"): real,
    **{(name, case.__name__): case for case in (other_camera, other_specimen) for name in simulate.NAMES},
}


def restored(name: str, case: str) -> dict[str, np.ndarray]:
    """``low``, ``high``, ``mean`` and ``std`` (n, H, W) in grey levels and ``scale`` (n, 1, 1) of a case's fields."""
    model = load_model(name)
    path = RUNS / f"{name}_{case}_{model.fingerprint()[:8]}.npz"  # other weights draw anew
    if not path.is_file():
        pairs = CASES[name, case](name)
        drawn = [restore(model, low, seed=i, progress=False, **SETTINGS) for i, low in enumerate(pairs.low)]
        scale = np.array([model.percentiles.fit(low).scale for low in pairs.low])[:, None, None]
        images = {"mean": np.stack([one.mean for one in drawn]), "std": np.stack([one.std for one in drawn])}
        RUNS.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, low=pairs.low, high=pairs.high, scale=scale, **images)
    with np.load(path) as file:
        return dict(file)


def main() -> None:
    for name, case in CASES:
        restored(name, case)
        print(name, case, flush=True)


if __name__ == "__main__":
    main()
