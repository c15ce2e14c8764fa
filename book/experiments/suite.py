"""The benchmark: every method on the four simulated sets, and what averaging gains.

    python book/experiments/suite.py

trains the rivals that are missing under ``book/experiments/rivals`` and writes two files to ``book/results``.

- ``benchmark.json`` is a list of records (see `ddpm_micro.evaluate.summarise`). Every method except ``ddpm_avg`` has
  ``p_mood`` and ``p_wilcoxon`` too, see `with_tests`. The methods ``ddpm_pair`` and ``ddpm_pairs``
  are the mean of two and of `PAIRED` antithetic samples (see `ddpm_micro.restore.restore`).
- ``averaging.json`` holds records {set, k, metric, mean, stderr}, and for each set one record {set, B, V, V_over_B,
  correlation, coverage_50, coverage_90, coverage_95}. B and V are in units of the squared data range; the correlation
  is between the two samples of an antithetic pair.

What could not be measured is null.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from common import RESULTS, RIVALS, processes, save
from scipy.stats import median_test, wilcoxon
from tqdm.auto import tqdm

from ddpm_micro import evaluate, metrics, simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.data import PairedPatches
from ddpm_micro.device import autocast, choose_device, choose_precision
from ddpm_micro.model import Model
from ddpm_micro.restore import restore
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.teach.rivals import best_strength, filters
from ddpm_micro.train import TrainConfig, fit

# Rivals with weights of their own, and the peak learning rate that suits each; pix2pix and UNet-RCAN would stand here.
TRAINED = {"n2v": 1e-2, "care": 1e-1}
TRAINING_STEPS = 6000  # optimiser steps of a rival, as many as the specialists had
IMAGES = 12  # test images of each set
STEPS = 20  # network calls per sample
AVERAGED = 15  # samples in ddpm_avg, as in arXiv 2409.12078
PAIRED = 4  # antithetic samples in ddpm_pairs: more change little
CURVE_IMAGES = 4  # the first so many test images have averaging curves
CURVE_SAMPLES = 32  # samples of each for the curves
COUNTS = (1, 2, 3, 5, 8, 10, 15, 20, 32)
COVERAGES = (50, 90, 95)  # per cent
TUNED_ON = 16  # validation images on which each filter's strength is chosen


@dataclass(frozen=True)
class Task:
    """One test image, and how its methods are to work on it."""

    name: str  # of the set
    number: int  # of the image
    steps: int  # network calls per sample
    runs: Path  # folder of the rivals
    strengths: dict[str, float]  # of each filter
    precision: str


def run(results: Path, runs: Path, *, images: int, steps: int, training_steps: int) -> list[evaluate.Record]:
    """Train the rivals that are missing in ``runs``, measure all methods, and rewrite ``results``, set by set.

    Parameters
    ----------
    results : Path
        Folder of ``benchmark.json`` and ``averaging.json``.
    runs : Path
        Folder with ``METHOD_SET/model.safetensors``; training that was stopped there goes on.
    images : int, 2..64
        Test images of each set.
    steps : int
        Network calls per sample.
    training_steps : int
        Optimiser steps of a rival.
    """
    if not 2 <= images <= 64:
        raise ValueError(f"expected 2 to 64 images of each set, got {images}")
    for folder in (results, runs):
        folder.mkdir(parents=True, exist_ok=True)
    for method, lr in TRAINED.items():
        for name in simulate.NAMES:
            config = TrainConfig(method=method, steps=training_steps, lr=lr)
            train_if_missing(config, name, runs / f"{method}_{name}")
    precision, _ = choose_precision(choose_device()[0])
    with processes() as pool:
        for name in simulate.NAMES:
            strengths = dict(pool.map(partial(_tuned, name), filters(BENCHMARKS[name])))
            tasks = [Task(name, number, steps, runs, strengths, precision) for number in range(images)]
            done = list(tqdm(pool.map(measure, tasks), total=images, desc=name, unit="image"))
            table = with_tests(evaluate.summarise(name, [measured for measured, _ in done]))
            for record in table:
                record |= {"strength": strengths.get(record["method"]), "steps": steps, "precision": precision}
            _replace(results / "benchmark.json", name, table)
            _replace(results / "averaging.json", name, averaging(name, [curves for _, curves in done if curves]))
    return json.loads((results / "benchmark.json").read_text("utf-8"))


def train_if_missing(config: TrainConfig, name: str, folder: Path, *, start: Model | None = None) -> None:
    """Train a model on a set with the data and the network of the specialists, or go on with it."""
    finished = folder / "model.safetensors"
    if finished.is_file() and not (folder / "last.pt").is_file():
        return  # copied here without what is needed to go on: it was finished
    parts = (simulate.split(name, part) for part in ("train", "val"))
    train, val = (PairedPatches(pairs.low, pairs.high, config.patch) for pairs in parts)
    fit(config, train, val, folder, start=start, data=f'simulate.split("{name}", "train")')


def measure(task: Task) -> tuple[evaluate.Measured, dict | None]:
    """All methods on one image, and for the first few what averaging gains.

    Networks compute in the precision that is fastest here: bfloat16 takes half the time of float32, and PSNR differs by
    some hundredths of a decibel.
    """
    with autocast(task.precision):
        return _measure(task)


def _measure(task: Task) -> tuple[evaluate.Measured, dict | None]:
    pairs = _test_pairs(task.name)
    image, truth = pairs.low[task.number], pairs.high[task.number]
    model = _model(task.name)
    methods = {"raw": lambda: image}
    for method, (function, _) in filters(BENCHMARKS[task.name]).items():
        methods[method] = partial(function, image, task.strengths[method])
    for method in TRAINED:
        network = _model(str(task.runs / f"{method}_{task.name}" / "model.safetensors"))
        methods[method] = partial(network.posterior_mean, image)
    methods["one_call"] = lambda: model.posterior_mean(image)
    has_curves = task.number < CURVE_IMAGES
    count = max(CURVE_SAMPLES, AVERAGED) if has_curves else AVERAGED
    options = {"steps": task.steps, "keep_samples": True, "progress": False}
    start = time.perf_counter()
    samples = restore(model, image, samples=count, **options).samples
    seconds_each = (time.perf_counter() - start) / count
    antithetic = restore(model, image, samples=PAIRED, antithetic=True, **options).samples
    # Drawn once for all: sample k is the same whatever their number.
    means = {"ddpm": samples[:1], "ddpm_avg": samples[:AVERAGED], "ddpm_pair": antithetic[:2]}
    means["ddpm_pairs"] = antithetic
    methods |= {method: partial(np.mean, drawn, axis=0) for method, drawn in means.items()}
    values, seconds = evaluate.compare(methods, truth)
    seconds |= {method: len(drawn) * seconds_each for method, drawn in means.items()}
    return (values, seconds), curves(truth, samples, antithetic) if has_curves else None


def curves(truth: np.ndarray, samples: np.ndarray, antithetic: np.ndarray) -> dict[str, dict[int, float] | float]:
    """How an image gains from averaging: metrics by number of samples, B, V, correlation, coverage of the intervals.

    Parameters
    ----------
    truth : ndarray, shape (H, W)
    samples : ndarray, shape (K, H, W), K >= 3
        Independent samples.
    antithetic : ndarray, shape (K, H, W), K >= 4 and even
        Samples from opposite noise, partners side by side.
    """
    truth, samples, antithetic = (array.astype(np.float64) for array in (truth, samples, antithetic))
    data_range = float(truth.max() - truth.min())
    scores = {k: evaluate.score(truth, samples[:k].mean(axis=0), data_range) for k in COUNTS if k <= len(samples)}
    out: dict = {metric: {k: scores[k][metric] for k in scores} for metric in scores[1]}
    spread = metrics.spread_skill(truth, samples)
    out |= {"B": spread.bias_variance / data_range**2, "V": spread.sample_variance / data_range**2}
    # The mean of two that have the correlation rho has the variance V (1 + rho) / 2.
    of_means = antithetic.reshape(-1, 2, *truth.shape).mean(axis=1).var(axis=0, ddof=1).mean()
    out["correlation"] = 2 * float(of_means) / spread.sample_variance - 1
    return out | {f"coverage_{c}": metrics.coverage(truth, samples, c / 100) for c in COVERAGES}


def averaging(name: str, images: list[dict]) -> list[evaluate.Record]:
    """The records of ``averaging.json`` from the `curves` of several images of a set."""
    records: list[evaluate.Record] = []
    for metric in (key for key, value in images[0].items() if isinstance(value, dict)):
        for k in images[0][metric]:
            values = np.array([image[metric][k] for image in images])
            values = values[np.isfinite(values)]
            stderr = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
            mean = float(values.mean()) if len(values) else float("nan")
            records.append({"set": name, "k": k, "metric": metric, "mean": mean, "stderr": stderr})
    b, v = (float(np.mean([image[key] for image in images])) for key in "BV")
    others = ("correlation", *(f"coverage_{c}" for c in COVERAGES))
    means = {key: float(np.mean([image[key] for image in images])) for key in others}
    return [*records, {"set": name, "B": b, "V": v, "V_over_B": v / b, "n": len(images), **means}]


def with_tests(records: list[evaluate.Record], reference: str = "ddpm_avg") -> list[evaluate.Record]:
    """Add p values to each record: does its method differ from the reference?

    ``p_mood`` is of Mood's median test, which the article uses. ``p_wilcoxon`` is of Wilcoxon's signed-rank test of the
    differences image by image, corrected after Holm for the number of methods under the same measure.
    """
    for metric in dict.fromkeys(record["metric"] for record in records):
        table = {record["method"]: record for record in records if record["metric"] == metric}
        ours = table.pop(reference)["values"]
        p_wilcoxon = holm([paired(record["values"], ours) for record in table.values()])
        for record, p in zip(table.values(), p_wilcoxon, strict=True):
            record |= {"p_mood": mood(record["values"], ours), "p_wilcoxon": p}
    return records


def paired(first: Sequence[float], second: Sequence[float]) -> float:
    """p value of Wilcoxon's signed-rank test; nan where fewer than two images have a value for both."""
    difference = np.subtract(first, second)
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        return float("nan")
    return float(wilcoxon(difference).pvalue) if difference.any() else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several tests, so raised that the chance of any false alarm stays what p says (Holm 1979).

    The smallest is multiplied by the number of tests, the next by one less, and so on; the order is kept.
    """
    p = np.array(p_values)
    order = np.argsort(p)  # nan comes last
    known = np.isfinite(p).sum()
    p[order[:known]] = np.minimum(np.maximum.accumulate(p[order[:known]] * np.arange(known, 0, -1)), 1)
    return p.tolist()


def mood(first: Iterable[float], second: Iterable[float]) -> float:
    """p value of Mood's median test; 1 where no value lies off the common median, nan without values."""
    samples = [np.array([x for x in values if np.isfinite(x)]) for values in (first, second)]
    if not all(len(sample) for sample in samples):
        return float("nan")
    middle = np.median(np.concatenate(samples))
    if not any((sample > middle).any() for sample in samples):
        return 1.0
    return float(median_test(*samples).pvalue)


def _tuned(name: str, method: str) -> tuple[str, float]:
    pairs = simulate.split(name, "val")
    function, strengths = filters(BENCHMARKS[name])[method]
    return method, float(best_strength(function, strengths, pairs.low[:TUNED_ON], pairs.high[:TUNED_ON]))


@lru_cache(maxsize=1)
def _test_pairs(name: str) -> simulate.Pairs:
    return simulate.split(name, "test")


@lru_cache(maxsize=4)
def _model(name_or_path: str) -> Model:
    return load_model(name_or_path)


def _replace(path: Path, name: str, records: list[evaluate.Record]) -> None:
    """Put a set's records in the place of those it had in the file."""
    others = json.loads(path.read_text("utf-8")) if path.is_file() else []
    together = [record for record in others if record["set"] != name] + records
    together.sort(key=lambda record: simulate.NAMES.index(record["set"]))
    save(path.stem, together, path.parent)


if __name__ == "__main__":
    records = run(RESULTS, RIVALS, images=IMAGES, steps=STEPS, training_steps=TRAINING_STEPS)
    for name in simulate.NAMES:
        print(f"\n{name}: PSNR in dB\n" + evaluate.table([record for record in records if record["set"] == name]))
