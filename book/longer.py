"""Does the distance to the regression shrink if both are trained twice as long? The answer on one set.

    OMP_NUM_THREADS=1 python book/longer.py

goes on with the specialist and with CARE from the shipped weights, for as many steps again (20 minutes each on one CPU
core, under ``runs/longer``), measures both on the suite's test images and writes ``book/results/longer.json``, which
chapter 8 shows.
"""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from ddpm_micro import checkpoint, evaluate, simulate, suite, train
from ddpm_micro.baselines import predict

ROOT = Path(__file__).resolve().parent.parent
RESULTS, RUNS = ROOT / "book/results/longer.json", ROOT / "runs/longer"
SET = "zebrafish"  # where the distance is largest
CONFIG = train.TrainConfig(steps=suite.TRAINING_STEPS, seed=1)
STARTS = {"ddpm": SET, "care": ROOT / f"book/rivals/care_{SET}/model.safetensors"}


def main() -> None:
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(go_on, STARTS))
        records = evaluate.summarise(SET, list(pool.map(measure, range(suite.IMAGES))))
    RESULTS.write_text(json.dumps([r for r in records if r["metric"] == "psnr"], indent=1) + "\n", "utf-8")


def go_on(method: str) -> None:
    """Train a method further, unless that is done."""
    start = checkpoint.load_model(STARTS[method])
    suite.train_if_missing(replace(CONFIG, method=method), SET, RUNS / method, start=start)


def measure(number: int) -> evaluate.Measured:
    """Both on one test image, sampled as in the suite."""
    pairs = simulate.split(SET, "test")
    image, truth = pairs.low[number], pairs.high[number]
    ddpm, care = (checkpoint.load_model(weights(method)) for method in STARTS)
    values, seconds = evaluate.measure(ddpm, image, truth, samples=suite.AVERAGED, steps=suite.STEPS)
    more_values, more_seconds = evaluate.compare({"care": lambda: predict(care, image)}, truth)
    return values | more_values, seconds | more_seconds


def weights(method: str) -> Path:
    return RUNS / method / "model.safetensors"


if __name__ == "__main__":
    main()
