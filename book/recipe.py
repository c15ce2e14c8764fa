"""What a choice in the training recipe is worth: short runs on one set, one thing changed, for the same work.

    OMP_NUM_THREADS=1 python book/recipe.py [NAME ...]

trains what is missing under ``runs/recipe``, three times each from other seeds (4 minutes a run on one CPU core),
restores six validation images with each model and writes ``book/results/recipe.json``, which chapter 8 shows. It needs
what the tests need (``pip install -e ".[test]"``): the plain U-Net is that of diffusers.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import recipe_variants as variants
import torch

from ddpm_micro import metrics, restore, simulate, train
from ddpm_micro.atomic import atomic_write
from ddpm_micro.data import PairedPatches

RESULTS = Path(__file__).resolve().parent / "results/recipe.json"
SET, IMAGES, SAMPLES, SAMPLER_STEPS = "microtubules", 6, 8, 20
SEEDS = range(3)


def main(names: list[str]) -> None:
    unknown = set(names) - set(variants.VARIANTS)
    if unknown:
        sys.exit(f"expected names out of {', '.join(variants.VARIANTS)}, got {', '.join(sorted(unknown))}")
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(begin, SEEDS))
        runs = list(product(names or variants.VARIANTS, SEEDS))
        measured = pool.map(measure, *zip(*runs, strict=True))
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        for (name, seed), values in zip(runs, measured, strict=True):
            print(name, seed, values, flush=True)
            if seed == SEEDS[0]:
                results[name] = {"expected": variants.VARIANTS[name].expected}
            for key, value in values.items():
                results[name].setdefault(key, []).append(value)
    ordered = {name: results[name] for name in variants.VARIANTS if name in results}
    with atomic_write(RESULTS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(ordered, indent=1) + "\n", "utf-8")


def begin(seed: int) -> None:
    """Train the regression that two of the variants begin with."""
    train.fit(variants.regression(seed), *patches(train.TrainConfig.patch), variants.folder("regression", seed))


def measure(name: str, seed: int) -> dict[str, float]:
    """Train a variant, or take the model that is there, and restore: PSNR in dB, means over the images, and V/B."""
    variant = variants.VARIANTS[name]
    config = replace(variant.config, seed=seed)
    with variant.changed(seed):
        model = train.fit(config, *patches(config.patch), variants.folder(name, seed), progress=False)
        pairs = simulate.split(SET, "val")
        scores, b, v = defaultdict(list), [], []
        for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
            drawn = restore.restore(model, low, samples=SAMPLES, steps=SAMPLER_STEPS, keep_samples=True, progress=False)
            estimates = {"one_draw": drawn.samples[0], "mean": drawn.mean}
            if variant.one_call:
                estimates["one_call"] = model.posterior_mean(low)
            for method, image in estimates.items():
                scores[method].append(metrics.psnr(high, image, data_range=float(high.max() - high.min())))
            spread = metrics.spread_skill(high, drawn.samples)
            b.append(spread.bias_variance)
            v.append(spread.sample_variance)
    out = {method: round(float(np.mean(values)), 2) for method, values in scores.items()}
    return out | {"V_over_B": round(float(np.mean(v) / np.mean(b)), 2)}


def patches(side: int) -> list[PairedPatches]:
    """Those for training and those for validation."""
    return [PairedPatches(pairs.low, pairs.high, side) for pairs in (simulate.split(SET, p) for p in ("train", "val"))]


if __name__ == "__main__":
    main(sys.argv[1:])
