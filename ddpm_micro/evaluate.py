"""Methods against metrics on pairs of images with a truth: a table, and the records it is made from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from tqdm.auto import tqdm

from ddpm_micro import metrics
from ddpm_micro.baselines import best_gaussian
from ddpm_micro.checkpoint import Model
from ddpm_micro.restore import restore

Record = dict[str, str | int | float]


def evaluate(
    model: Model,
    name: str,
    low: Sequence[np.ndarray],
    high: Sequence[np.ndarray],
    *,
    data_range: float | None = None,
    samples: int = 15,
    steps: int | None = None,
    progress: bool = True,
) -> list[Record]:
    """Compare the model with the raw image and the best Gaussian filter.

    The methods are ``raw``, ``gaussian`` (see `best_gaussian`), ``ddpm`` (one sample), ``ddpm_avg`` (the mean of
    ``samples``) and, unless the model predicts eps, ``one_call`` (the network once, at t = T).

    Parameters
    ----------
    model : Model
    name : str
        Of the data, for the records.
    low, high : sequence of ndarray, each (H, W), grey levels
        ``high`` is taken for the truth.
    data_range : float, grey levels, optional
        For PSNR and MS-SSIM; by default each truth's own range.
    samples : int, >= 2
    steps : int, optional
        Network calls per sample, see `ddpm_micro.restore.restore`.
    progress : bool

    Returns
    -------
    list of dict
        Keys set, method, metric, median, low, high (a 95 % bootstrap interval of the median), n,
        seconds_per_image, and values, one a pair.
    """
    if samples < 2:
        raise ValueError(f"expected samples >= 2 to compare one with their mean, got {samples}")
    values: dict[tuple[str, str], list[float]] = {}
    seconds: dict[str, float] = {}
    for image, truth in tqdm(list(zip(low, high, strict=True)), desc=name, unit="image", disable=not progress):
        restored = _restore_all(model, image, truth, samples, steps, seconds)
        spread = data_range or float(truth.max()) - float(truth.min())
        for method, estimate in restored.items():
            for metric, value in _score(truth.astype(np.float64), estimate, spread).items():
                values.setdefault((method, metric), []).append(value)
    return [
        {
            "set": name,
            "method": method,
            "metric": metric,
            **_median(scores),
            "n": len(scores),
            "seconds_per_image": seconds[method] / len(scores),
            "values": scores,
        }
        for (method, metric), scores in values.items()
    ]


def table(records: Sequence[Record], metric: str = "psnr") -> str:
    """The records of one metric as text: a row an image, a column a method, the median last."""
    columns = {record["method"]: record for record in records if record["metric"] == metric}
    rows = [" " * 8 + "".join(f"{method:>12}" for method in columns)]
    for number in range(len(next(iter(columns.values()))["values"])):
        rows.append(f"{number:>8}" + "".join(f"{record['values'][number]:>12.3f}" for record in columns.values()))
    return "\n".join([*rows, f"{'median':>8}" + "".join(f"{record['median']:>12.3f}" for record in columns.values())])


def _restore_all(
    model: Model, image: np.ndarray, truth: np.ndarray, samples: int, steps: int | None, seconds: dict[str, float]
) -> dict[str, np.ndarray]:
    """Every method's estimate; ``seconds`` gains the time each takes."""
    restored: dict[str, np.ndarray] = {}

    def timed(method: str, compute: Callable[[], np.ndarray]) -> None:
        start = time.perf_counter()
        restored[method] = compute()
        seconds[method] = seconds.get(method, 0.0) + time.perf_counter() - start

    timed("raw", lambda: image)
    timed("gaussian", lambda: best_gaussian(image, truth)[0])
    timed("ddpm", lambda: restore(model, image, samples=1, steps=steps, progress=False).mean)
    timed("ddpm_avg", lambda: restore(model, image, samples=samples, steps=steps, progress=False).mean)
    if model.prediction != "eps":
        timed("one_call", lambda: model.posterior_mean(image))
    return restored


def _score(truth: np.ndarray, image: np.ndarray, data_range: float) -> dict[str, float]:
    image = np.asarray(image, np.float64)
    return {
        "mae": metrics.mae(truth, image),
        "psnr": metrics.psnr(truth, image, data_range=data_range),
        "ms_ssim": metrics.ms_ssim(truth, image, data_range=data_range),
        "nrmse": metrics.nrmse(truth, image),
        "pearson": metrics.pearson(truth, image),
        "spectral_fidelity": metrics.spectral_fidelity(truth, image),
    }


def _median(scores: list[float]) -> dict[str, float]:
    draws = np.random.default_rng(0).choice(scores, (2000, len(scores)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return {"median": float(np.median(scores)), "low": float(low), "high": float(high)}
