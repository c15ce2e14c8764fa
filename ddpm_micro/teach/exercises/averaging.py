"""Exercises of chapter 7: what the mean of several samples gains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ddpm_micro.restore import running_mean_std
from ddpm_micro.teach import plots
from ddpm_micro.teach.exercise import Exercise


def _samples_inputs() -> list[tuple]:
    """Four samples of a filament that agree on where it is but for a pixel, and on its brightness at one end only."""
    rng = np.random.default_rng(0)
    row, column = np.mgrid[:12, :12]
    places, brightness = rng.normal(6, 0.7, 4), rng.uniform(0.3, 1.7, 4)
    shape = [np.exp(-((row - place) ** 2) / 4) * (1 + (b - 1) * column / 11) for place, b in zip(places, brightness)]
    others = list(rng.normal(3, 2, (7, 5, 8)))
    return [([20 * image + rng.normal(5, 1, image.shape) for image in shape],), (others,)]


def averaging_bound(k: float) -> float:
    """Gain in dB of the mean of k exact samples over one: their errors are MMSE (1 + 1/k) and 2 MMSE."""
    return 10 * np.log10(2 * k / (k + 1))


def _running(samples: Iterable[np.ndarray], square: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> tuple:
    """The running mean, and a sum of ``square(deviation from the old mean, from the new mean)``."""
    mean, deviations = 0.0, 0.0
    for k, sample in enumerate(samples, start=1):
        before = sample - mean
        mean = mean + before / k
        deviations = deviations + square(before, sample - mean)
    return mean, np.sqrt(deviations / (k - 1))


def _halves(samples: Iterable[np.ndarray]) -> np.ndarray | float:
    mean = 0.0
    for sample in samples:
        mean = (mean + sample) / 2
    return mean


def _spread_picture(expected: list[np.ndarray], came: list[np.ndarray]) -> plots.Picture:
    panels = {"your spread": came[1], "expected spread": expected[1]}
    figure = plots.images(panels, vmin=0, vmax=expected[1].max(), side=2.0)
    return plots.show(figure, "Your second result beside the expected one, the standard deviation, black for 0.")


EXERCISES = {
    "running_mean_std": Exercise(
        running_mean_std,
        _samples_inputs,
        {
            "divided by n": (
                lambda x: (np.mean(x, axis=0), np.std(x, axis=0)),
                "The standard deviation is divided by n; by n - 1 its square is right on average.",
            ),
            "variance": (
                lambda x: (np.mean(x, axis=0), np.var(x, axis=0, ddof=1)),
                "The second result is the variance; take its square root.",
            ),
            "over pixels": (
                lambda x: (np.mean(x, axis=0), np.full_like(x[0], np.std(x, ddof=1))),
                "The spread is over all pixels together; each pixel has its own, over the samples.",
            ),
            "standard error": (
                lambda x: (np.mean(x, axis=0), np.std(x, axis=0, ddof=1) / np.sqrt(len(x))),
                "This is the standard error, by how much the mean scatters; the spread of the samples was asked for.",
            ),
            "half of each new": (
                lambda x: (_halves(x), np.std(x, axis=0, ddof=1)),
                "The spread is right. In your mean each new sample counts one half; sample k must count one k-th.",
            ),
            "old mean squared": (
                lambda x: _running(x, lambda old, new: old**2),
                "You square the deviation from the old mean, which is too large; multiply it by that from the new one.",
            ),
            "new mean squared": (
                lambda x: _running(x, lambda old, new: new**2),
                "You square the deviation from the new mean, which is too small; multiply it by that from the old one.",
            ),
        },
        "Keep the mean so far and the sum of squared deviations from it. With sample k the mean moves by a k-th of "
        "sample - mean, and the sum grows by that deviation times the deviation from the new mean.",
        _spread_picture,
    ),
    "averaging_bound": Exercise(
        averaging_bound,
        lambda: [(15,), (4,)],
        {
            "camera frames": (
                lambda k: 10 * np.log10(k),
                "This is the gain of k camera frames, which differ in noise alone; samples differ in what is unknown.",
            ),
            "upside down": (lambda k: -averaging_bound(k), "The sign is wrong: a smaller error is a gain."),
            "20 for 10": (
                lambda k: 2 * averaging_bound(k),
                "A factor 20 is for amplitudes; squared errors take 10.",
            ),
            "natural logarithm": (
                lambda k: 10 * np.log(2 * k / (k + 1)),
                "This is the natural logarithm; decibels take that to the base 10.",
            ),
            "not in decibels": (
                lambda k: 2 * k / (k + 1),
                "This is how many times smaller the error is; in decibels it is 10 times its logarithm to the base 10.",
            ),
            "what is missing": (
                lambda k: 10 * np.log10(1 + 1 / k),
                "This is what the mean of k still lacks to the best; the gain over one sample was asked for.",
            ),
        },
        "One exact sample has squared error 2 MMSE, the mean of k has MMSE (1 + 1/k).",
    ),
}  # fmt: skip
