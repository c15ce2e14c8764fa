"""Exercises of chapter 9: back to grey levels, and counts that carry their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from ddpm_micro.intensity import scale_back
from ddpm_micro.teach.exercise import Exercise


def count_spread(samples: Sequence[np.ndarray], count: Callable[[np.ndarray], int]) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of what is counted in each sample."""
    counts = [count(sample) for sample in samples]
    return float(np.mean(counts)), float(np.std(counts, ddof=1))


def _scale_back_inputs() -> list[tuple]:
    rng = np.random.default_rng(0)
    return [
        (rng.uniform(-1, 1, (4, 4)), rng.uniform(0.05, 0.3, (4, 4)), 120.0, 35.0),
        (rng.uniform(-1, 1, (3, 5)), rng.uniform(0.1, 0.5, (3, 5)), 17.0, 2.5),
    ]


def count_spots(image: np.ndarray) -> int:
    return ndimage.label(image > 0.5)[1]


def _count_inputs() -> list[tuple]:
    """Images of spots, some of which are in some of the images alone, and what counts them."""
    trials, rng = [], np.random.default_rng(0)
    for counts in ((6, 3, 2, 9, 4), (8, 1, 7, 5)):
        samples = np.zeros((len(counts), 16, 16))
        for sample, count in zip(samples, counts, strict=True):
            place = rng.choice(25, count, replace=False)
            sample[1 + 3 * (place // 5), 1 + 3 * (place % 5)] = 1
        trials.append((list(samples), count_spots))
    return trials


EXERCISES = {
    "scale_back": Exercise(
        scale_back,
        _scale_back_inputs,
        {
            "offset on the spread": (
                lambda mean, std, offset, scale: (mean * scale + offset, std * scale + offset),
                "The spread is moved by the offset too; but it is a difference between samples, so the offset cancels.",
            ),
            "spread left alone": (
                lambda mean, std, offset, scale: (mean * scale + offset, std.copy()),
                "The spread is still in network values; it is stretched by the scale like the image.",
            ),
            "variance": (
                lambda mean, std, offset, scale: (mean * scale + offset, std * scale**2),
                "The spread is multiplied by the scale squared, which is right for a variance; this is its root.",
            ),
            "offset first": (
                lambda mean, std, offset, scale: ((mean + offset) * scale, std * scale),
                "The offset is added before stretching; on the way in it was taken off first, so now it comes last.",
            ),
            "offset taken off": (
                lambda mean, std, offset, scale: (mean * scale - offset, std * scale),
                "The offset is taken off, as on the way in; on the way back it is added.",
            ),
            "the wrong order": (
                lambda mean, std, offset, scale: (std * scale, mean * scale + offset),
                "Both are right, in the wrong order: return the mean first.",
            ),
            "the way in": (
                lambda mean, std, offset, scale: ((mean - offset) / scale, std / scale),
                "This is the way from grey levels to network values; turn it round.",
            ),
        },
        "On the way in: value = (grey - offset) / scale. Solve for grey; then ask what that does to a difference.",
    ),
    "count_spread": Exercise(
        count_spread,
        _count_inputs,
        {
            "counted in the mean": (
                lambda samples, count: (float(count(np.mean(samples, axis=0))), 0.0),
                "You count in the mean image, which hides what only some samples have; count in each sample.",
            ),
            "divided by n": (
                lambda samples, count: (
                    count_spread(samples, count)[0],
                    float(np.std([count(s) for s in samples])),
                ),
                "The standard deviation is divided by n; with n - 1 (ddof=1) its square is right on average.",
            ),
            "standard error": (
                lambda samples, count: (
                    count_spread(samples, count)[0],
                    count_spread(samples, count)[1] / np.sqrt(len(samples)),
                ),
                "This is the error of the mean count, which shrinks with K; how far do single samples differ?",
            ),
            "variance": (
                lambda samples, count: (
                    count_spread(samples, count)[0],
                    count_spread(samples, count)[1] ** 2,
                ),
                "The second result is the variance; take its square root, to have a number of spots.",
            ),
            "mean count of the mean": (
                lambda samples, count: (
                    float(count(np.mean(samples, axis=0))),
                    count_spread(samples, count)[1],
                ),
                "The first number is counted in the mean image; take the mean of the counts in the samples.",
            ),
            "first sample": (
                lambda samples, count: (float(count(samples[0])), count_spread(samples, count)[1]),
                "The first number is the count in one sample; take the mean of the counts.",
            ),
            "root of the count": (
                lambda samples, count: (count_spread(samples, count)[0], count_spread(samples, count)[0] ** 0.5),
                "The root of a count is the scatter of photons. How far the samples differ must be computed from them.",
            ),
            "range": (
                lambda samples, count: (
                    count_spread(samples, count)[0],
                    float(np.ptp([count(s) for s in samples])),
                ),
                "The second number is the distance from lowest to highest; the standard deviation was asked for.",
            ),
            "median": (
                lambda samples, count: (
                    float(np.median([count(s) for s in samples])),
                    count_spread(samples, count)[1],
                ),
                "The first number is the median of the counts; the mean was asked for.",
            ),
        },
        "First make a list of counts, one a sample; then np.mean of it, and np.std of it with ddof=1.",
    ),
}  # fmt: skip
