"""What do longer and bolder training bring, and does the distance to the regression shrink? The answer on one set.

    OMP_NUM_THREADS=1 python book/longer.py

trains a diffusion model and CARE for a quarter of the steps that the shipped ones had, at their learning rate and at
ten times that (10 to 20 minutes each on one CPU core, under ``runs/longer``), measures all on the suite's test images
and writes ``book/results/longer.json``. Chapter 8 shows it beside the suite's own results.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import torch

from ddpm_micro import checkpoint, evaluate, simulate, suite, train
from ddpm_micro.baselines import predict

ROOT = Path(__file__).resolve().parent.parent
RESULTS, RUNS = ROOT / "book/results/longer.json", ROOT / "runs/longer"
SET = "zebrafish"  # where the distance is largest
STEPS = suite.TRAINING_STEPS // 4
METHODS = ("ddpm", "care")
RATES = (suite.TRAINING_LR, 10 * suite.TRAINING_LR)


def main() -> None:
    records = []
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(train_one, *zip(*product(METHODS, RATES), strict=True)))
        for lr in RATES:
            measured = pool.map(measure, *zip(*product((lr,), range(suite.IMAGES)), strict=True))
            more = {"training_steps": STEPS, "lr": lr}
            records += [r | more for r in evaluate.summarise(SET, list(measured)) if r["metric"] == "psnr"]
    RESULTS.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


def folder(method: str, lr: float) -> Path:
    return RUNS / f"{method}_{lr:g}"


def train_one(method: str, lr: float) -> None:
    suite.train_if_missing(train.TrainConfig(steps=STEPS, lr=lr, method=method), SET, folder(method, lr))


def measure(lr: float, number: int) -> evaluate.Measured:
    """Both on one test image, sampled as in the suite."""
    pairs = simulate.split(SET, "test")
    image, truth = pairs.low[number], pairs.high[number]
    ddpm, care = (checkpoint.load_model(folder(method, lr) / "model.safetensors") for method in METHODS)
    values, seconds = evaluate.measure(ddpm, image, truth, samples=suite.AVERAGED, steps=suite.STEPS)
    more_values, more_seconds = evaluate.compare({"care": lambda: predict(care, image)}, truth)
    return values | more_values, seconds | more_seconds


if __name__ == "__main__":
    main()
