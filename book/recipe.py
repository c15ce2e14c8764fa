"""What a choice in the training recipe is worth: short runs on one set, one thing changed.

    OMP_NUM_THREADS=1 python book/recipe.py [NAME ...]

trains what is missing under ``runs/recipe`` (5 minutes each on one CPU core), restores six validation images with
each model and writes ``book/results/recipe.json``, which chapter 8 shows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from ddpm_micro import metrics, restore, simulate, train
from ddpm_micro.atomic import atomic_write
from ddpm_micro.data import PairedPatches
from ddpm_micro.unet import UNet

ROOT = Path(__file__).resolve().parent.parent
RESULTS, RUNS = ROOT / "book/results/recipe.json", ROOT / "runs/recipe"
SET, IMAGES, SAMPLES, SAMPLER_STEPS = "microtubules", 6, 8, 20
CONFIG = train.TrainConfig(steps=400)


def equal_weights() -> AbstractContextManager:
    """The error of v counts the same at every timestep."""
    return mock.patch.object(train, "loss_weight", lambda schedule, prediction, t: torch.ones(len(t), 1, 1, 1))


def noise_turned_down() -> AbstractContextManager:
    """The network sees x_t times the signal rate: the best linear estimate of x0 from x_t alone, nothing at t = T."""
    forward = UNet.forward

    def turned_down(unet: UNet, x_t: Tensor, noise_level: Tensor, cond: Tensor) -> Tensor:
        alpha_bar = torch.sigmoid(-8 * noise_level)  # see Model.noise_level
        return forward(unet, alpha_bar.sqrt().reshape(-1, 1, 1, 1) * x_t, noise_level, cond)

    return mock.patch.object(UNet, "forward", turned_down)


VARIANTS: dict[str, tuple[Callable[[], AbstractContextManager], str]] = {  # what is changed, what was expected of it
    "as shipped": (nullcontext, "the reference"),
    "equal weights": (
        equal_weights,
        "one call worse, since late steps count less; samples better, since early ones count more",
    ),
    "noise turned down": (
        noise_turned_down,
        "one call better, since at t = T no noise is left to disturb it; samples the same",
    ),
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(VARIANTS)
    if unknown:
        sys.exit(f"expected names out of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    for name in names or VARIANTS:
        changed, expected = VARIANTS[name]
        with changed():
            measured = {"expected": expected} | measure(name)
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        results[name] = measured
        with atomic_write(RESULTS, overwrite=True) as temporary:
            ordered = {known: results[known] for known in VARIANTS if known in results}
            temporary.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
        print(name, results[name])


def measure(name: str) -> dict[str, float]:
    """Train one variant, or take the one that is there: PSNR in dB, V/B, and the seconds of training."""
    parts = (simulate.split(SET, part) for part in ("train", "val"))
    patches, val = (PairedPatches(pairs.low, pairs.high, CONFIG.patch) for pairs in parts)
    model = train.fit(CONFIG, patches, val, RUNS / name.replace(" ", "_"), data=f'simulate.split("{SET}", "train")')
    pairs = simulate.split(SET, "val")
    scores: dict[str, list[float]] = {"one_draw": [], "mean": [], "one_call": []}
    b, v = [], []
    for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        drawn = restore.restore(model, low, samples=SAMPLES, steps=SAMPLER_STEPS, keep_samples=True, progress=False)
        estimates = {"one_draw": drawn.samples[0], "mean": drawn.mean, "one_call": model.posterior_mean(low)}
        for method, image in estimates.items():
            scores[method].append(metrics.psnr(high, image, data_range=float(high.max() - high.min())))
        spread = metrics.spread_skill(high, drawn.samples)
        b.append(spread.bias_variance)
        v.append(spread.sample_variance)
    out = {method: round(float(np.mean(values)), 2) for method, values in scores.items()}
    return out | {"V_over_B": round(float(np.mean(v) / np.mean(b)), 2), "seconds": model.info["seconds"]}


if __name__ == "__main__":
    main(sys.argv[1:])
