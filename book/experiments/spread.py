"""Do the samples spread as far as they should? V/B on the four sets by sampler and number of steps.

    OMP_NUM_THREADS=1 python book/experiments/spread.py

draws from the shipped specialists for the first test images of each set (half an hour on two CPU cores) and writes
``book/results/spread.json``, which chapter 8 shows. V is the variance of the samples about their mean, B that of the
truth (see `ddpm_micro.metrics.spread_skill`); they are equal if the samples are draws from the posterior.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from common import processes, ratio_of_means, save

from ddpm_micro import checkpoint, metrics, restore, simulate
from ddpm_micro.device import autocast, choose_device, choose_precision

IMAGES, SAMPLES = 4, 8
WAYS = (
    ("dpmpp_2m", 5), ("dpmpp_2m", 10), ("dpmpp_2m", 20), ("dpmpp_2m", 40), ("dpmpp_2m", 80),
    ("ddim", 20), ("ddim", 80), ("ddpm", 20), ("ddpm", 80), ("ddpm", 200),
)  # fmt: skip


def main() -> None:
    with processes() as pool:
        tasks = [(name, *way) for name, way in product(simulate.NAMES, WAYS)]
        records = list(pool.map(measure, *zip(*tasks, strict=True)))
    save("spread", records)


def measure(name: str, sampler: str, steps: int) -> dict[str, str | int | float]:
    """V/B, and the PSNR of one sample and of the mean, over the images of a set."""
    model, pairs = checkpoint.load_model(name), simulate.split(name, "test")
    precision, _ = choose_precision(choose_device()[0])  # as in the suite
    spreads, ranges, one, mean = [], [], [], []
    for image, truth in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        with autocast(precision):
            drawn = restore.restore(
                model, image, samples=SAMPLES, sampler=sampler, steps=steps, keep_samples=True, progress=False
            )
        data_range = float(truth.max() - truth.min())
        spreads.append(metrics.spread_skill(truth, drawn.samples))
        ranges.append(data_range)
        one.append(metrics.psnr(truth, drawn.samples[0], data_range=data_range))
        mean.append(metrics.psnr(truth, drawn.mean, data_range=data_range))
    return {
        "set": name,
        "sampler": sampler,
        "steps": steps,
        "V_over_B": ratio_of_means(spreads, ranges),
        "psnr_one": float(np.mean(one)),
        "psnr_mean": float(np.mean(mean)),
    }


if __name__ == "__main__":
    main()
