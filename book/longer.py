"""What does longer training bring, and does the distance to the regression shrink? The answer on one set.

    OMP_NUM_THREADS=1 python book/longer.py

trains a diffusion model and CARE for a quarter of the steps that the shipped ones had (20 minutes each on one CPU core,
under ``runs/longer``), measures both on the suite's test images and writes ``book/results/longer.json``. Chapter 8
shows it beside the suite's own results.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
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


def main() -> None:
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(train_one, METHODS))
        measured = evaluate.summarise(SET, list(pool.map(measure, range(suite.IMAGES))))
    records = [record | {"training_steps": STEPS} for record in measured if record["metric"] == "psnr"]
    RESULTS.write_text(json.dumps(records, indent=1) + "\n", "utf-8")


def train_one(method: str) -> None:
    suite.train_if_missing(train.TrainConfig(steps=STEPS, method=method), SET, RUNS / method)


def measure(number: int) -> evaluate.Measured:
    """Both on one test image, sampled as in the suite."""
    pairs = simulate.split(SET, "test")
    image, truth = pairs.low[number], pairs.high[number]
    ddpm, care = (checkpoint.load_model(RUNS / method / "model.safetensors") for method in METHODS)
    values, seconds = evaluate.measure(ddpm, image, truth, samples=suite.AVERAGED, steps=suite.STEPS)
    more_values, more_seconds = evaluate.compare({"care": lambda: predict(care, image)}, truth)
    return values | more_values, seconds | more_seconds


if __name__ == "__main__":
    main()
