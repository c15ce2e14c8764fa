"""All 64 test images of each set by the quick methods: do these stand in the same order as on the first twelve?

    OMP_NUM_THREADS=1 python book/experiments/all_images.py

takes the filters' strengths from ``benchmark.json``, asks the networks once (three minutes on one CPU core), and
writes ``book/results/all_images.json``, which chapter 8 shows. What draws samples is left out: 15 independent draws of
all images would take three hours.

The file holds records of PSNR (see `ddpm_micro.evaluate.summarise`), with the p values of `suite.with_tests` against
``one_call``.
"""

from __future__ import annotations

import numpy as np
from common import RIVALS, load, psnr, save
from suite import with_tests

from ddpm_micro import evaluate, simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.teach.rivals import filters

IMAGES = 64
REFERENCE = "one_call"


def main() -> None:
    records: list[dict] = []
    for name in simulate.NAMES:
        records += measure_set(name)
    save("all_images", records)


def measure_set(name: str) -> list[dict]:
    pairs = simulate.split(name, "test")
    strengths = {r["method"]: r["strength"] for r in load("benchmark") if r["set"] == name}
    measured = [measure(name, strengths, *pair) for pair in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True)]
    records = with_tests(evaluate.summarise(name, measured), REFERENCE)
    for record in records:
        record["values"] = [round(value, 3) for value in record["values"]]
        del record["seconds_per_image"]  # of a machine with other work; benchmark.json has it
    return records


def measure(name: str, strengths: dict, image: np.ndarray, truth: np.ndarray) -> evaluate.Measured:
    """PSNR of all methods on one image; no time is taken."""
    images = {"raw": image}
    for method, (function, _) in filters(BENCHMARKS[name]).items():
        images[method] = function(image, strengths[method])
    for method in ("n2v", "care"):
        images[method] = load_model(RIVALS / f"{method}_{name}").posterior_mean(image)
    images["one_call"] = load_model(name).posterior_mean(image)
    return {method: {"psnr": psnr(truth, one)} for method, one in images.items()}, dict.fromkeys(images, 0.0)


if __name__ == "__main__":
    main()
