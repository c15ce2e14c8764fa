"""Exercises of chapter 7: whether the spread of samples can be believed."""

from __future__ import annotations

import numpy as np

from ddpm_micro import metrics
from ddpm_micro.calibrate import conformal_factor
from ddpm_micro.teach.exercise import Exercise


def spread_skill(truth: np.ndarray, samples: np.ndarray) -> float:
    """V/B, 1 for an exact posterior."""
    b, v = metrics.bias_and_variance(truth, samples)
    return v / b


def _within(factor: float, distance: np.ndarray, sd: np.ndarray) -> float:
    return (distance <= factor * sd).mean()


def _posterior(seed: int, count: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A truth, and samples that are drawn as it was but with a bias; each pixel has a spread of its own."""
    rng = np.random.default_rng(seed)
    middle, sd = rng.normal(1, 1, shape), rng.uniform(0.3, 2, shape)
    return middle + sd * rng.normal(0.2, 1, shape), middle + sd * rng.normal(0, 1, (count, *shape))


def _spread_skill_inputs() -> list[tuple]:
    return [_posterior(0, 4, (8, 8)), _posterior(1, 7, (9, 5))]


def _coverage_inputs() -> list[tuple]:
    return [(*_posterior(0, 5, (48, 48)), 1.2), (*_posterior(1, 3, (40, 50)), 0.7)]


def _conformal_inputs() -> list[tuple]:
    """Fields that differ in how hard they are, and pixels in their spread; the last fields are held out, and harder."""
    trials = []
    for seed, fields, level in ((0, 12, 0.8), (1, 16, 0.75)):
        rng = np.random.default_rng(seed)
        hard = rng.lognormal(0, 0.5, (fields, 1, 1)) * np.where(np.arange(fields) < fields - 4, 1, 3)[:, None, None]
        mean, spread = rng.normal(3, 1, (fields, 4, 5)), rng.uniform(0.2, 2, (fields, 4, 5))
        truth = mean + hard * spread * rng.normal(0.3, 1, mean.shape)
        trials.append((truth, mean, spread, np.arange(fields) >= fields - 4, level))
    return trials


def _quantile(share: float, distance: np.ndarray, error: np.ndarray, fields: np.ndarray) -> float:
    return np.quantile((distance / error)[fields], share)


EXERCISES = {
    "spread_skill": Exercise(
        spread_skill,
        _spread_skill_inputs,
        {
            "not corrected": (
                lambda truth, x: x.var(axis=0, ddof=1).mean() / ((x.mean(axis=0) - truth) ** 2).mean(),
                "The error of the mean of K still holds V/K of the samples' own variance; take that off to get B.",
            ),
            "upside down": (
                lambda truth, x: 1 / spread_skill(truth, x),
                "This is B/V; spread over skill is V/B.",
            ),
            "divided by n": (
                lambda truth, x: (
                    x.var(axis=0).mean()
                    / (((x.mean(axis=0) - truth) ** 2).mean() - x.var(axis=0).mean() / len(x))
                ),
                "The variance of the samples needs n - 1 in the denominator (ddof=1).",
            ),
            "divided by n and not corrected": (
                lambda truth, x: x.var(axis=0).mean() / ((x.mean(axis=0) - truth) ** 2).mean(),
                "Two things: the variance needs n - 1 (ddof=1), and V/K must be taken off the error of the mean.",
            ),
            "over pixels": (
                lambda truth, x: x.var(ddof=1) / (((x.mean(axis=0) - truth) ** 2).mean() - x.var(ddof=1) / len(x)),
                "The variance is over all pixels and samples together; take it over the samples (axis 0).",
            ),
            "error of single samples": (
                lambda truth, x: x.var(axis=0, ddof=1).mean() / ((x - truth) ** 2).mean(),
                "You divide by the error of single samples, B + V. Take the error of their mean, less V/K: that is B.",
            ),
            "mean of ratios": (
                lambda truth, x: np.mean(
                    x.var(axis=0, ddof=1) / ((x.mean(axis=0) - truth) ** 2 - x.var(axis=0, ddof=1) / len(x))
                ),
                "You divide in each pixel and then take the mean; take the means of V and of B first, then divide.",
            ),
            "amplitudes": (
                lambda truth, x: spread_skill(truth, x) ** 0.5,
                "This is the ratio of two standard deviations; V and B are variances, so leave the root.",
            ),
            "added": (
                lambda truth, x: (
                    x.var(axis=0, ddof=1).mean()
                    / (((x.mean(axis=0) - truth) ** 2).mean() + x.var(axis=0, ddof=1).mean() / len(x))
                ),
                "V/K is added to the error of the mean, which holds it already; take it off.",
            ),
        },
        "V is the mean variance of the samples; the mean of K has the error B + V/K.",
        shown=(metrics.bias_and_variance, spread_skill),
    ),
    "coverage": Exercise(
        metrics.share_within,
        _coverage_inputs,
        {
            "mean taken as exact": (
                lambda truth, x, f: _within(f, np.abs(truth - x.mean(axis=0)), x.std(axis=0, ddof=1)),
                "The interval is too narrow: the mean of K samples scatters too, so the variance is V + V/K.",
            ),
            "standard error": (
                lambda truth, x, f: _within(f, np.abs(truth - x.mean(axis=0)), x.std(axis=0, ddof=1) / len(x) ** 0.5),
                "This is the interval of the mean, V/K alone. The truth scatters about it as a whole sample does.",
            ),
            "one side": (
                lambda truth, x, f: _within(f, truth - x.mean(axis=0), (1 + 1 / len(x)) ** 0.5 * x.std(axis=0, ddof=1)),
                "A truth far below the mean counts as covered; take the absolute difference.",
            ),
            "outside": (
                lambda truth, x, f: 1 - metrics.share_within(truth, x, f),
                "This is the share outside; the share inside was asked for.",
            ),
            "divided by n": (
                lambda truth, x, f: _within(f, np.abs(truth - x.mean(axis=0)), (1 + 1 / len(x)) ** 0.5 * x.std(axis=0)),
                "The standard deviation needs n - 1 in the denominator (ddof=1).",
            ),
            "divided by n and mean taken as exact": (
                lambda truth, x, f: _within(f, np.abs(truth - x.mean(axis=0)), x.std(axis=0)),
                "Your variance is V - V/K, as with n in place of n - 1. The mean scatters too, so it must be V + V/K.",
            ),
            "variance": (
                lambda truth, x, f: _within(
                    f, np.abs(truth - x.mean(axis=0)), (1 + 1 / len(x)) * x.var(axis=0, ddof=1)
                ),
                "The distance is compared with the variance V + V/K; take its root.",
            ),
            "per cent": (
                lambda truth, x, f: 100 * metrics.share_within(truth, x, f),
                "This is in per cent; a share from 0 to 1 was asked for.",
            ),
            "one interval for all": (
                lambda truth, x, f: _within(
                    f, np.abs(truth - x.mean(axis=0)), (1 + 1 / len(x)) ** 0.5 * x.std(axis=0, ddof=1).mean()
                ),
                "You use the mean spread everywhere; each pixel has its own.",
            ),
        },
        "The truth minus the mean of K samples has the variance V + V/K. Compare its absolute value with factor times "
        "the root of that, pixel by pixel, and take the mean of True and False.",
    ),
    "conformal_factor": Exercise(
        conformal_factor,
        _conformal_inputs,
        {
            "not corrected": (
                lambda truth, mean, e, out, level: _quantile(level, np.abs(truth - mean), e, ~out),
                "The correction for few fields is missing: with n fields, take the quantile of level (n + 1) / n.",
            ),
            "pixels as independent": (
                lambda truth, mean, e, out, level: _quantile(
                    level * (1 + 1 / truth[~out].size), np.abs(truth - mean), e, ~out
                ),
                "You count pixels. Those of one field err together, so n is the number of fields that are used.",
            ),
            "calibrated on the test fields": (
                lambda truth, mean, e, out, level: _quantile(
                    level * (1 + 1 / len(truth)), np.abs(truth - mean), e, np.full(len(truth), True)
                ),
                "The fields held out are used as well; then no test is left. Use those where held_out is False.",
            ),
            "only the test fields": (
                lambda truth, mean, e, out, level: _quantile(
                    min(1, level * (1 + 1 / out.sum())), np.abs(truth - mean), e, out
                ),
                "This uses the fields held out and no others; turn the mask round, with ~held_out.",
            ),
            "spread forgotten": (
                lambda truth, mean, e, out, level: _quantile(
                    level * (1 + 1 / (~out).sum()), np.abs(truth - mean), np.ones_like(e), ~out
                ),
                "This is a distance in grey levels, the same in every pixel; divide by the error of each pixel first.",
            ),
            "one side": (
                lambda truth, mean, e, out, level: _quantile(level * (1 + 1 / (~out).sum()), truth - mean, e, ~out),
                "A truth far below the mean counts as near; take the absolute difference.",
            ),
            "corrected the wrong way": (
                lambda truth, mean, e, out, level: _quantile(
                    level * (~out).sum() / ((~out).sum() + 1), np.abs(truth - mean), e, ~out
                ),
                "The correction is upside down: few fields ask for a larger factor, level (n + 1) / n.",
            ),
            "hardest pixel of a field": (
                lambda truth, mean, e, out, level: np.quantile(
                    (np.abs(truth - mean) / e)[~out].max(axis=(1, 2)), level * (1 + 1 / (~out).sum())
                ),
                "You take the largest number of each field; all pixels of the fields count.",
            ),
            "counted all fields": (
                lambda truth, mean, e, out, level: _quantile(
                    level * (1 + 1 / len(truth)), np.abs(truth - mean), e, ~out
                ),
                "The correction counts all fields; n is the number of those that are used.",
            ),
        },
        "Divide the distance of the truth from the mean by the error, in the n fields that are not held out, and take "
        "the quantile of level (n + 1) / n over all their pixels.",
    ),
}  # fmt: skip
