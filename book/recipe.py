"""What a choice in the training recipe is worth: short runs on one set, one thing changed.

    OMP_NUM_THREADS=1 python book/recipe.py [NAME ...]

trains what is missing under ``runs/recipe`` (5 minutes each on one CPU core), restores six validation images with
each model and writes ``book/results/recipe.json``, which chapter 8 shows.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np

from ddpm_micro import metrics, restore, simulate, train
from ddpm_micro.atomic import atomic_write
from ddpm_micro.checkpoint import Model
from ddpm_micro.data import PairedPatches

ROOT = Path(__file__).resolve().parent.parent
RESULTS, RUNS = ROOT / "book/results/recipe.json", ROOT / "runs/recipe"
SET, IMAGES, SAMPLES, SAMPLER_STEPS = "microtubules", 6, 8, 20
CONFIG = train.TrainConfig(steps=400)


def weighted(power: float) -> AbstractContextManager:
    """The squared error of v counts (1 - alpha_bar_t) ** power."""
    return mock.patch.object(
        train, "loss_weight", lambda schedule, prediction, t: (1 - schedule.alpha_bar(t)).reshape(-1, 1, 1, 1) ** power
    )


def noise_as_it_is() -> AbstractContextManager:
    """The network is given x_t itself."""
    return mock.patch.object(Model, "inputs", lambda model, x_t, t, cond: (x_t, model.noise_level(t).to(x_t), cond))


@dataclass(frozen=True)
class Variant:
    """What is changed, and what was expected of it before the run."""

    expected: str
    changed: Callable[[], AbstractContextManager] = nullcontext
    config: train.TrainConfig = CONFIG


VARIANTS = {
    "as shipped": Variant("the reference"),
    "noise not turned down": Variant("one call worse: noise at t = T disturbs it; samples the same", noise_as_it_is),
    "equal weights": Variant("one call worse, late steps count less; samples better", lambda: weighted(0)),
    "weights of x0": Variant("one call better, late steps count more; samples worse", lambda: weighted(1)),
    "eps": Variant("samples worse: it must first learn to pass noise on", config=replace(CONFIG, prediction="eps")),
}


def main(names: list[str]) -> None:
    unknown = set(names) - set(VARIANTS)
    if unknown:
        sys.exit(f"expected names out of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    for name in names or VARIANTS:
        variant = VARIANTS[name]
        with variant.changed():
            measured = {"expected": variant.expected} | measure(name, variant.config)
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        results[name] = measured
        with atomic_write(RESULTS, overwrite=True) as temporary:
            ordered = {known: results[known] for known in VARIANTS if known in results}
            temporary.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
        print(name, results[name])


def measure(name: str, config: train.TrainConfig) -> dict[str, float]:
    """Train one variant, or take the one that is there: PSNR in dB, V/B, and the seconds of training.

    A model of eps has no estimate in one call.
    """
    parts = (simulate.split(SET, part) for part in ("train", "val"))
    patches, val = (PairedPatches(pairs.low, pairs.high, config.patch) for pairs in parts)
    model = train.fit(config, patches, val, RUNS / name.replace(" ", "_"), data=f'simulate.split("{SET}", "train")')
    pairs = simulate.split(SET, "val")
    scores, b, v = defaultdict(list), [], []
    for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        drawn = restore.restore(model, low, samples=SAMPLES, steps=SAMPLER_STEPS, keep_samples=True, progress=False)
        estimates = {"one_draw": drawn.samples[0], "mean": drawn.mean}
        if config.prediction != "eps":
            estimates["one_call"] = model.posterior_mean(low)
        for method, image in estimates.items():
            scores[method].append(metrics.psnr(high, image, data_range=float(high.max() - high.min())))
        spread = metrics.spread_skill(high, drawn.samples)
        b.append(spread.bias_variance)
        v.append(spread.sample_variance)
    out = {method: round(float(np.mean(values)), 2) for method, values in scores.items()}
    return out | {"V_over_B": round(float(np.mean(v) / np.mean(b)), 2), "seconds": model.info["seconds"]}


if __name__ == "__main__":
    main(sys.argv[1:])
