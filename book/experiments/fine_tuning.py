"""At which learning rate should a shipped model be trained further on pairs of one's own?

    OMP_NUM_THREADS=1 python book/experiments/fine_tuning.py

takes six fields of each of two specimens that the generalist has never seen (`foreign.py`), of which one is held out
as ``ddpm-micro train`` does, trains at several rates for several numbers of steps under ``runs/fine_tuning`` (half an
hour on one CPU core), restores eight other fields, and writes ``book/results/fine_tuning.json``. What is trained
already is not trained again. Of the runs of 600 steps only the first has been made.

Expected before the first run: at 30 steps the highest rates gain most; 0.1, the rate of a training from nothing,
destroys more than it teaches at 150; 3e-2 is within 0.1 dB of the best everywhere. Found: at 30 steps 1e-2 is best,
3e-2 is 0.6 dB behind, and 0.1 makes the model worse by 1.5 dB. At 150 steps 1e-2 and 3e-2 are level on both specimens;
0.1 gains on one and loses on the other. So ``ddpm-micro train --start`` takes 1e-2.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import foreign
import numpy as np
from common import RUNS, psnr, save

from ddpm_micro import checkpoint, train
from ddpm_micro.baselines import best_gaussian
from ddpm_micro.data import PairedPatches
from ddpm_micro.model import Model

FIELDS, TESTS = 6, 8  # fields to train on, the last of which is held out; fields to measure on
SEEDS = {"train": 31, "test": 32}
PATCH = 32  # pixels: a quarter of the work of the package's own 64
RATES = (3e-2, 1e-1, 1e-2, 3e-3)
PLAN = (("muscle", 30), ("muscle", 150), ("mesh", 150), ("muscle", 600), ("mesh", 600))


def main() -> None:
    records = [untrained(name) for name in foreign.SPECIMENS]
    for (name, steps), lr in product(PLAN, RATES):
        records.append(tuned(steps, name, lr))
        print(records[-1], flush=True)
        save("fine_tuning", records)


def untrained(name: str) -> dict:
    """The frame itself, the best Gaussian filter, and the generalist as it is."""
    low, high = foreign.fields(name, TESTS, SEEDS["test"])
    filtered = [best_gaussian(image, truth)[0] for image, truth in zip(low, high, strict=True)]
    start = checkpoint.load_model("generalist")
    images = {"raw": low, "gaussian": filtered, "psnr": start.posterior_mean(low)}
    scores = {method: mean_psnr(high, found) for method, found in images.items()}
    return {"specimen": name, "steps": 0, "lr": 0.0, **scores, "start": start.fingerprint()[:8]}


def tuned(steps: int, name: str, lr: float) -> dict:
    """The generalist after so many steps at a peak rate."""
    low, high = foreign.fields(name, TESTS, SEEDS["test"])
    model = trained(steps, name, lr)
    return {"specimen": name, "steps": steps, "lr": lr, "psnr": mean_psnr(high, model.posterior_mean(low))}


def trained(steps: int, name: str, lr: float) -> Model:
    start = checkpoint.load_model("generalist")
    low, high = foreign.fields(name, FIELDS, SEEDS["train"])
    config = train.TrainConfig(steps=steps, lr=lr, patch=PATCH, val_every=steps)  # the weights of the last step
    parts = (PairedPatches(low[part], high[part], config.patch) for part in (np.s_[:-1], np.s_[-1:]))
    folder = RUNS / "fine_tuning" / start.fingerprint()[:8] / f"{name}_{steps}_{lr:g}"
    return train.fit(config, *parts, folder, start=start, progress=False)


def mean_psnr(high: np.ndarray, images: Sequence[np.ndarray]) -> float:
    """Averaged over the fields, dB."""
    return round(float(np.mean([psnr(truth, image) for truth, image in zip(high, images, strict=True)])), 2)


if __name__ == "__main__":
    main()
