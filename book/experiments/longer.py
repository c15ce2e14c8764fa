"""What do longer and bolder training bring, and does the distance to the regression shrink? The answer on one set.

    OMP_NUM_THREADS=1 python book/experiments/longer.py

trains a diffusion model and CARE for a quarter of the steps that the shipped ones had, at their learning rate and at a
tenth of it, and for all the steps at a tenth of the rate (10 to 20 minutes, then an hour each on one CPU core, under
``runs/longer``), measures all on the suite's test images and writes ``book/results/longer.json``. Chapter 8 shows it
beside the suite's own results.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path

import suite
from common import RUNS, processes, save

from ddpm_micro import checkpoint, evaluate, simulate, train

SET = "zebrafish"  # where the distance is largest
METHODS = ("ddpm", "care")
STEPS, LR = suite.TRAINING_STEPS, suite.TRAINED["care"]  # of what is shipped
TRAININGS = ((STEPS // 4, LR / 10), (STEPS // 4, LR), (STEPS, LR / 10))


def main() -> None:
    records = []
    with processes() as pool:
        tasks = [(method, *training) for method, training in product(METHODS, TRAININGS)]
        list(pool.map(train_one, *zip(*tasks, strict=True)))
        for steps, lr in TRAININGS:
            measured = pool.map(partial(measure, steps, lr), range(suite.IMAGES))
            more = {"training_steps": steps, "lr": lr}
            records += [r | more for r in evaluate.summarise(SET, list(measured)) if r["metric"] == "psnr"]
    save("longer", records)


def folder(method: str, steps: int, lr: float) -> Path:
    return RUNS / "longer" / f"{method}_{steps}_{lr:g}"


def train_one(method: str, steps: int, lr: float) -> None:
    suite.train_if_missing(train.TrainConfig(steps=steps, lr=lr, method=method), SET, folder(method, steps, lr))


def measure(steps: int, lr: float, number: int) -> evaluate.Measured:
    """Both on one test image, sampled as in the suite."""
    pairs = simulate.split(SET, "test")
    image, truth = pairs.low[number], pairs.high[number]
    ddpm, care = (checkpoint.load_model(folder(method, steps, lr) / "model.safetensors") for method in METHODS)
    values, seconds = evaluate.measure(ddpm, image, truth, samples=suite.AVERAGED, steps=suite.STEPS)
    more_values, more_seconds = evaluate.compare({"care": lambda: care.posterior_mean(image)}, truth)
    return values | more_values, seconds | more_seconds


if __name__ == "__main__":
    main()
