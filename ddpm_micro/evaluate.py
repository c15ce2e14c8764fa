"""Methods against metrics on images with a truth: a table, and the records it is made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ddpm_micro import metrics
from ddpm_micro.baselines import best_gaussian
from ddpm_micro.model import Model
from ddpm_micro.restore import restore

Record = dict[str, str | int | float | list[float]]
Measured = tuple[dict[str, dict[str, float]], dict[str, float]]


def evaluate(
    model: Model,
    name: str,
    low: Sequence[np.ndarray],
    high: Sequence[np.ndarray],
    *,
    progress: bool = True,
    **options: Any,
) -> list[Record]:
    """Compare the model with the raw image and the best Gaussian filter: `measure` on each pair, then `summarise`.

    ``low`` and ``high`` are sequences of images (H, W) in grey levels; ``high`` is taken for the truth. A pair with a
    constant image is left out. The records call the data ``name``; further options are those of `measure`.
    """
    shown = [pair for pair in zip(low, high, strict=True) if all(np.ptp(image) for image in pair)]
    if not shown:
        raise ValueError(f"expected an image with content, got {len(low)} pairs of which one is constant")
    pairs = tqdm(shown, desc=name, unit="image", disable=not progress)
    return summarise(name, [measure(model, image, truth, **options) for image, truth in pairs])


def measure(
    model: Model,
    image: np.ndarray,
    truth: np.ndarray,
    *,
    data_range: float | None = None,
    samples: int = 15,
    steps: int | None = None,
) -> Measured:
    """Restore one image (H, W) by every method and compare with the truth, both in grey levels.

    The methods are ``raw``, ``gaussian_oracle`` (see `best_gaussian`; its time includes the search for its width),
    ``ddpm`` (one sample), ``ddpm_avg`` (the mean of ``samples``) and, unless the model predicts eps, ``one_call``
    (the network once, at t = T). ``data_range`` is for PSNR and MS-SSIM, by default the truth's own range; for
    ``steps`` see `ddpm_micro.restore.restore`. Returns ``values[method][metric]`` and the seconds of each method.
    """
    if samples < 2:
        raise ValueError(f"expected samples >= 2 to compare one with their mean, got {samples}")
    methods: dict[str, Callable[[], np.ndarray]] = {
        "raw": lambda: image,
        "gaussian_oracle": lambda: best_gaussian(image, truth)[0],
        "ddpm": lambda: restore(model, image, samples=1, steps=steps, progress=False).mean,
        "ddpm_avg": lambda: restore(model, image, samples=samples, steps=steps, progress=False).mean,
    }
    if model.prediction != "eps":
        methods["one_call"] = lambda: model.posterior_mean(image)
    return compare(methods, truth, data_range=data_range)


def compare(
    methods: Mapping[str, Callable[[], np.ndarray]], truth: np.ndarray, *, data_range: float | None = None
) -> Measured:
    """Call each method, which returns its estimate of ``truth``; returns errors and seconds as `measure` does."""
    data_range = data_range or float(truth.max()) - float(truth.min())
    values, seconds = {}, {}
    for method, compute in methods.items():
        start = time.perf_counter()
        estimate = compute()
        seconds[method] = time.perf_counter() - start
        values[method] = score(truth.astype(np.float64), estimate.astype(np.float64), data_range)
    return values, seconds


def summarise(name: str, measured: Sequence[Measured]) -> list[Record]:
    """One record for each method and metric; low and high are a 95 % bootstrap interval of the median over images."""
    records: list[Record] = []
    for method, scores in measured[0][0].items():
        seconds = float(np.mean([times[method] for _, times in measured]))
        for metric in scores:
            values = [by_method[method][metric] for by_method, _ in measured]
            record: Record = {"set": name, "method": method, "metric": metric, **_median(values)}
            records.append(record | {"n": len(values), "seconds_per_image": seconds, "values": values})
    return records


def table(records: Sequence[Record], metric: str = "psnr") -> str:
    """The records of one metric as text: a column for each method, a row for each image, and the medians last."""
    columns = {record["method"]: record for record in records if record["metric"] == metric}
    widths = [max(12, len(method) + 2) for method in columns]

    def line(title: object, values: Sequence[object]) -> str:
        return f"{title:>8}" + "".join(f"{value:>{width}}" for width, value in zip(widths, values, strict=True))

    numbers = zip(*([*record["values"], record["median"]] for record in columns.values()), strict=True)
    titles = [*range(next(iter(columns.values()))["n"]), "median"]
    rows = [line(title, [f"{value:.3f}" for value in values]) for title, values in zip(titles, numbers, strict=True)]
    return "\n".join([line("", list(columns)), *rows])


def score(truth: np.ndarray, image: np.ndarray, data_range: float) -> dict[str, float]:
    """All metrics of one image, by name; one that says nothing of it is nan."""
    return {
        "mae": metrics.mae(truth, image),
        "psnr": metrics.psnr(truth, image, data_range=data_range),
        "ms_ssim": metrics.ms_ssim(truth, image, data_range=data_range),
        "nrmse": metrics.nrmse(truth, image),
        "pearson": metrics.pearson(truth, image),
        "spectral_fidelity": metrics.spectral_fidelity(truth, image),
        "resolution_ratio": _resolution_ratio(truth, image),
    }


def _resolution_ratio(truth: np.ndarray, image: np.ndarray) -> float:
    """An image without any resolution counts as if its finest period were its side, so that medians stay finite."""
    if min(truth.shape) < 32:
        return float("nan")
    ratio = metrics.resolution_ratio(truth, image)
    return min(truth.shape) / metrics.resolution(truth, pixel_size_nm=1.0) if np.isinf(ratio) else ratio


def _median(scores: list[float]) -> dict[str, float]:
    # An image of which a metric says nothing is left out; if all are, so is the median.
    known = [value for value in scores if not np.isnan(value)] or [float("nan")]
    draws = np.random.default_rng(0).choice(known, (2000, len(known)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return {"median": float(np.median(known)), "low": float(low), "high": float(high)}
