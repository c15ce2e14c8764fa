"""From the spread of the samples to an error bar, by fields whose truth is known.

A rising curve leads from the spread of a pixel to its root mean squared error, as for flow matching in arXiv
2510.26601. Factors say how many of these errors an interval must reach to either side to hold 50, 80, 90 or 95 % of the
truth: split conformal prediction (for images Angelopoulos et al. 2022, arXiv 2202.05265; quantiles from the spread of
diffusion samples, arXiv 2507.14760).

What is guaranteed, whatever the model: in a new field from where the fitted ones came from, restored with the same
settings, the intervals hold at least the stated share of the pixels, on average over such fields and over which fields
were fitted. The correction counts fields and not pixels, since the pixels of one field err together (conformal risk
control with a field's share outside as the risk, arXiv 2208.02814). What is not guaranteed: the share in one field or
in its bright pixels; several pixels at once; anything about another specimen, microscope or setting of the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from ddpm_micro.choices import LEVELS

VERSION = 1  # of what is kept beside the weights
QUANTILES = (*np.linspace(0, 0.95, 20), 0.98, 0.99, 0.995, 1)  # of the spread: few pixels are bright, and they matter


def conformal_factor(
    truth: np.ndarray, mean: np.ndarray, error: np.ndarray, held_out: np.ndarray, level: float
) -> float:
    """How many times ``error`` an interval about ``mean`` must reach to either side to hold a share ``level`` of truth.

    Images of N fields, (N, ...); those whose ``held_out`` (N,) is True are not used. A new field might lie outside as a
    whole, so the quantile is taken as if one more did: infinite where the fields are too few for the level.
    """
    fields = ~held_out
    distances = np.abs(truth - mean)[fields] / error[fields]
    level = level * (fields.sum() + 1) / fields.sum()
    return float(np.quantile(distances, level)) if level <= 1 else np.inf


@dataclass(frozen=True)
class Calibration:
    """What is kept beside the weights."""

    settings: dict[str, Any]  # arguments of `ddpm_micro.restore.restore` for which it holds
    spread: list[float]  # network values; where the samples spread so far ...
    error: list[float]  # ... this is the root mean squared error
    factors: dict[str, float | None]  # by level in per cent; None where the fields were too few
    before: dict[str, list[float]]  # by level: share of the truth, in the fields held out, in an interval from a ...
    after: dict[str, list[float]]  # ... normal distribution and in the calibrated one; each with its standard error
    fields: dict[str, int]  # how many were used for the ``curve``, the ``factors`` and the ``check``
    data: str = ""  # what they were
    data_sha256: str = ""
    weights_sha256: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError(f"expected a calibration of version {VERSION}, got {self.version}; calibrate again")
        known = all(factor is None or isinstance(factor, (int, float)) for factor in self.factors.values())
        if not 0 < len(self.spread) == len(self.error) or not known:
            raise ValueError("expected a calibration with as many spreads as errors, and factors; calibrate again")

    def expected_error(self, std: np.ndarray) -> np.ndarray:
        """Root mean squared error from the spread; beyond the largest spread that was met it grows in proportion."""
        return np.interp(std, self.spread, self.error) * np.maximum(std / max(self.spread[-1], 1e-12), 1)

    def factor(self, level: int) -> float:
        """How many errors an interval of ``level`` per cent reaches to either side; ValueError if that is not known."""
        if self.factors.get(str(level)) is None:
            known = ", ".join(name for name, factor in self.factors.items() if factor is not None)
            raise ValueError(f"expected an interval of {known} %, got {level}; more fields to calibrate on allow more")
        return self.factors[str(level)]


def why_no_error(calibration: Calibration | None, settings: dict[str, Any]) -> str | None:
    """Why the spread of samples drawn with these settings is no error bar, in a line, or None if it can be made one."""
    if calibration is None:
        return "the model is not calibrated, so the spread is not an error bar; ddpm-micro calibrate makes it one"
    if calibration.settings != settings:
        other = [key for key, value in settings.items() if calibration.settings.get(key) != value]
        fitted, asked = (", ".join(f"{k}={one.get(k)}" for k in other) for one in (calibration.settings, settings))
        return f"the model is calibrated for {fitted}; with {asked} the spread is not an error bar"
    return None


def calibrate(
    truth: np.ndarray, mean: np.ndarray, std: np.ndarray, noise: np.ndarray | float = 0.0, **about: Any
) -> Calibration:
    """Fit curve and factors on three quarters of the fields, and count on the rest how often the intervals hold.

    The images hold P pixels of each of N >= 8 independent fields, (N, P), in network values: the truth, and the mean
    and the spread of the samples. ``noise`` is the variance of the truth's own noise, which is taken off the squared
    distance from the mean.
    ``about`` fills the other attributes of `Calibration`: settings, data, ...
    """
    if len(truth) < 8:  # two to check on, one for the curve and five for the factors
        raise ValueError(f"expected at least 8 fields to calibrate and to check on, got {len(truth)}")
    place, distance = np.random.default_rng(0).permutation(len(truth)), np.abs(truth - mean)
    check = place < len(truth) // 4
    curve = ~check & (place < len(truth) // 4 + len(truth) // 8)
    spread, error = _curve(std[curve], (distance**2 - noise)[curve])
    fields = {"curve": int(curve.sum()), "factors": int((~check & ~curve).sum()), "check": int(check.sum())}
    found = Calibration(spread=spread, error=error, factors={}, before={}, after={}, fields=fields, **about)
    expected = np.sqrt(found.expected_error(std) ** 2 + noise)
    for level in LEVELS:
        factor = conformal_factor(truth, mean, expected, check | curve, level / 100)
        reaches = {"before": ndtri(0.5 + level / 200) * np.sqrt(std**2 + noise), "after": factor * expected}
        for when, reach in reaches.items():
            getattr(found, when)[str(level)] = share_held(truth[check], mean[check], reach[check])
        found.factors[str(level)] = short([factor])[0] if np.isfinite(factor) else None
    return found


def share_held(truth: np.ndarray, mean: np.ndarray, reach: np.ndarray) -> list[float]:
    """Share of the truth within ``reach`` of the mean, each (N, P), and its standard error over the N fields."""
    share = (np.abs(truth - mean) <= reach).mean(axis=1)
    return short([share.mean(), share.std(ddof=1) / np.sqrt(len(share))])


def _curve(std: np.ndarray, squared_error: np.ndarray) -> tuple[list[float], list[float]]:
    """Spread and root mean squared error of pixels grouped by spread; the error never falls as the spread grows."""
    groups = np.digitize(std, np.unique(np.quantile(std, QUANTILES))[1:-1])
    spread, error = ([part[groups == one].mean() for one in np.unique(groups)] for part in (std**2, squared_error))
    error = np.maximum(error, 1e-6 * max(squared_error.mean(), 1e-12))  # an error of 0 cannot be multiplied
    return short(np.sqrt(spread)), short(np.sqrt(np.maximum.accumulate(error)))


def short(numbers: np.ndarray) -> list[float]:
    """Five digits of each, for a file that people read."""
    return [float(f"{number:.5g}") for number in numbers]
