"""What a choice in the training recipe is worth: short runs on one set, one thing changed.

    OMP_NUM_THREADS=1 python book/recipe.py [NAME ...]

trains what is missing under ``runs/recipe`` (5 minutes each on one CPU core), restores six validation images with
each model and writes ``book/results/recipe.json``, which chapter 8 shows.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np

from ddpm_micro import metrics, objectives, restore, simulate, train
from ddpm_micro.atomic import atomic_write
from ddpm_micro.data import PairedPatches

ROOT = Path(__file__).resolve().parent.parent
RESULTS, RUNS = ROOT / "book/results/recipe.json", ROOT / "runs/recipe"
SET, IMAGES, SAMPLES, SAMPLER_STEPS = "microtubules", 6, 8, 20
CONFIG = train.TrainConfig(steps=400)
VARIANTS = {  # what is changed, the power to which the weight of a timestep is raised, and what was expected
    "as shipped": ({}, 1.0, "the reference"),
    "equal weights": (
        {}, 0.0, "one call worse, since late steps count less; samples better, since early ones count more"
    ),
    "root of the weights": ({}, 0.5, "between the two, in all"),
    "eps instead of v": (
        {"prediction": "eps"}, 1.0, "worse: near t = T the output says nothing of the image; no answer in one call"
    ),
    "patches of 32 px": (
        {"patch": 32, "batch_size": 32}, 1.0, "a little worse: as many pixels, but less of each filament in sight"
    ),
}  # fmt: skip


def main(names: list[str]) -> None:
    unknown = set(names) - set(VARIANTS)
    if unknown:
        sys.exit(f"expected names out of {', '.join(VARIANTS)}, got {', '.join(sorted(unknown))}")
    for name in names or VARIANTS:
        measured = measure(name)
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        results[name] = measured
        with atomic_write(RESULTS, overwrite=True) as temporary:
            ordered = {known: results[known] for known in VARIANTS if known in results}
            temporary.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")
        print(name, results[name])


def measure(name: str) -> dict[str, str | float]:
    """Train one variant, or take the one that is there: what was expected, then PSNR in dB and V/B."""
    changed, power, expected = VARIANTS[name]
    config = replace(CONFIG, **changed)
    parts = (simulate.split(SET, part) for part in ("train", "val"))
    patches, val = (PairedPatches(pairs.low, pairs.high, config.patch) for pairs in parts)
    weight = mock.patch.object(train, "loss_weight", lambda *of: objectives.loss_weight(*of) ** power)
    with weight:
        model = train.fit(config, patches, val, RUNS / name.replace(" ", "_"), data=f'simulate.split("{SET}", "train")')
    pairs = simulate.split(SET, "val")
    scores: dict[str, list[float]] = defaultdict(list)
    b, v = [], []
    for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        drawn = restore.restore(model, low, samples=SAMPLES, steps=SAMPLER_STEPS, keep_samples=True, progress=False)
        estimates = {"one_draw": drawn.samples[0], "mean": drawn.mean}
        if model.prediction != "eps":
            estimates["one_call"] = model.posterior_mean(low)
        for method, image in estimates.items():
            scores[method].append(metrics.psnr(high, image, data_range=float(high.max() - high.min())))
        spread = metrics.spread_skill(high, drawn.samples)
        b.append(spread.bias_variance)
        v.append(spread.sample_variance)
    out: dict[str, str | float] = {"expected": expected}
    out |= {method: round(float(np.mean(values)), 2) for method, values in scores.items()}
    return out | {"V_over_B": round(float(np.mean(v) / np.mean(b)), 2), "seconds": model.info["seconds"]}


if __name__ == "__main__":
    main(sys.argv[1:])
