"""What a choice in the training recipe is worth: short runs on one set, one thing changed, for the same work.

    OMP_NUM_THREADS=1 python book/experiments/recipe.py [NAME ...]

trains what is missing under ``runs/recipe``, three times each from other seeds (4 minutes a run on one CPU core),
restores six validation images with each model and writes ``book/results/recipe.json``, which chapter 8 shows. It needs
what the tests need (``pip install -e ".[test]"``): the plain U-Net is that of diffusers.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import replace
from functools import lru_cache

import numpy as np
import recipe_variants as variants
from common import RESULTS, load, processes, psnr, ratio_of_means, save

from ddpm_micro import metrics, restore, simulate, train
from ddpm_micro.data import PairedPatches

SET, IMAGES, SAMPLES, SAMPLER_STEPS = "microtubules", 6, 8, 20
SEEDS = range(3)


def main(names: list[str]) -> None:
    unknown = set(names) - set(variants.VARIANTS)
    if unknown:
        sys.exit(f"expected names out of {', '.join(variants.VARIANTS)}, got {', '.join(sorted(unknown))}")
    names = names or list(variants.VARIANTS)
    results = load("recipe") if (RESULTS / "recipe.json").is_file() else {}
    with processes() as pool:
        if any(variants.VARIANTS[name].options in variants.AFTER_REGRESSION for name in names):
            list(pool.map(begin, SEEDS))
        runs = {name: [pool.submit(measure, name, seed) for seed in SEEDS] for name in names}
        for name, futures in runs.items():
            measured = [future.result() for future in futures]
            results[name] = {"expected": variants.VARIANTS[name].expected}
            results[name] |= {key: [values[key] for values in measured] for key in measured[0]}
            save("recipe", {known: results[known] for known in variants.VARIANTS if known in results})
            print(name, results[name], flush=True)


def begin(seed: int) -> None:
    """Train the regression that two of the variants begin with."""
    train.fit(variants.regression(seed), *patches(train.TrainConfig.patch), variants.folder("regression", seed))


def measure(name: str, seed: int) -> dict[str, float]:
    """Train a variant, or take the model that is there, and restore: PSNR in dB, means over the images, and V/B."""
    variant = variants.VARIANTS[name]
    config = replace(variant.config, seed=seed)
    where = variants.folder(name, seed)
    model = train.fit(config, *patches(config.patch), where, progress=False, **variant.options(seed))
    pairs = split("val")
    scores, spreads = defaultdict(list), []
    for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        drawn = restore.restore(model, low, samples=SAMPLES, steps=SAMPLER_STEPS, keep_samples=True, progress=False)
        samples = variant.finish(seed, low, drawn.samples)
        estimates = {"one_draw": samples[0], "mean": samples.mean(0)}
        if variant.one_call:
            estimates["one_call"] = model.posterior_mean(low)
        for method, image in estimates.items():
            scores[method].append(psnr(high, image))
        spreads.append(metrics.spread_skill(high, samples))
    out = {method: round(float(np.mean(values)), 2) for method, values in scores.items()}
    return out | {"V_over_B": round(ratio_of_means(spreads), 2)}


@lru_cache(maxsize=2)
def patches(side: int) -> list[PairedPatches]:
    """Those for training and those for validation."""
    return [PairedPatches(pairs.low, pairs.high, side) for pairs in (split("train"), split("val"))]


@lru_cache(maxsize=2)
def split(part: str) -> simulate.Pairs:
    return simulate.split(SET, part)


if __name__ == "__main__":
    main(sys.argv[1:])
