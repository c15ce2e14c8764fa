"""How much do more steps of fine-tuning gain on the five fields of chapter 9?

    OMP_NUM_THREADS=1 python book/experiments/own_pairs.py

makes the pairs by the chapter's own cells, trains as the chapter does for 30, 100, 300 and 1000 steps (ten minutes on
one CPU core), measures one call of each model on sixteen other fields, and writes ``book/results/own_pairs.json``.

Expected before the first run: 300 steps gain another half of what the first 30 gained, and 1000 lose some of that
again, since five fields are soon known by heart. Found: 300 steps gain nearly three times as much as 30, and 1000 gain
another decibel.
"""

from __future__ import annotations

from typing import Any

import jupytext
import numpy as np
from common import ROOT, mean_psnr, save

from ddpm_micro import checkpoint, data, train
from ddpm_micro.baselines import best_gaussian
from ddpm_micro.files.pairs import read_pairs

STEPS = (30, 100, 300, 1000)
TESTS, SEED = 16, 99  # fields to measure on


def main() -> None:
    own = chapter()
    fields, held_out = read_pairs(own["folder"] / "pairs").hold_out()
    low, high = tests(own)
    start = checkpoint.load_model("generalist")
    filtered = [best_gaussian(image, truth)[0] for image, truth in zip(low, high, strict=True)]
    images = {"raw": low, "gaussian": filtered, "psnr": start.posterior_mean(low)}
    records = [{"steps": 0, **{method: mean_psnr(high, found) for method, found in images.items()}}]
    for steps in STEPS:
        config = train.TrainConfig(steps=steps, batch_size=4, patch=48, lr=1e-2, val_every=max(5, steps // 10))
        parts = (data.PairedPatches(pairs.low, pairs.high, config.patch) for pairs in (fields, held_out))
        model = train.fit(config, *parts, own["folder"] / f"{steps}", start=start, progress=False)
        records.append({"steps": steps, "psnr": mean_psnr(high, model.posterior_mean(low))})
        print(records[-1], flush=True)
        save("own_pairs", records)


def chapter() -> dict[str, Any]:
    """What the cells of chapter 9 have made once they have written the pairs."""
    names: dict[str, Any] = {}
    cells = [cell.source for cell in jupytext.read(ROOT / "notebooks/09_your_own_images.md").cells]
    for source in cells:
        if "tempfile.mkdtemp()" in source or "def yeast(" in source:
            exec(source, names)
    return names


def tests(own: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Low and high of other fields, each (TESTS, H, W)."""
    rng = np.random.default_rng(SEED)
    light = [own["yeast"](rng) for _ in range(TESTS)]
    shots = ([own["expose"](photons, own["camera"], rng, frames=frames) for photons in light] for frames in (1, 50))
    low, high = (np.stack(images).astype(float) for images in shots)
    return low, high


if __name__ == "__main__":
    main()
