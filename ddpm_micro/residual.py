"""The residual check: is what a restoration took away from the frame noise, as on the fields of the calibration?

Where restored image and frame share the optics, their difference should be noise as the model met it in training: not
follow the structure that was found (else structure was removed or invented), have none of its own, and have a variance
that grows with the mean along a straight line, as photons and read noise make it. Its map is known as an error map
(SQUIRREL, Culley et al., Nature Methods 2018). A wrong detail as faint as the noise that hides it passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_filter

WINDOW = 64  # pixels: side of the windows whose statistics are compared
OPTICS = 0.15  # where low - truth follows the truth's coarse structure more closely than this, their optics differ
LAGS = (1, 2, 4, 8)  # pixels
TINY = 1e-20  # keeps what is divided by it finite in flat windows
SIGNS = {
    "level": "the noise is stronger or weaker than the model knows it",
    "slope": "the noise grows with the light otherwise than the model knows it",
    "curvature": "the variance of the noise is no straight line in the light",
    "tails": "what was removed has more or fewer outliers than the model's noise",
    "fine": "what was removed follows the fine structure of the result",
    "coarse": "what was removed follows the coarse structure of the result",
    **{f"lag_{lag}": f"what was removed is correlated over {lag} px" for lag in LAGS},
    "edges": "what was removed has another structure near edges than elsewhere",
}


@dataclass(frozen=True)
class ResidualCheck:
    """What the statistics of the residual were on sound restorations."""

    lowest: list[float]  # quantiles of each statistic in the order of `SIGNS`: .5 % ...
    middle: list[float]
    highest: list[float]  # ... 50 % and 99.5 %
    threshold: float  # 1 in 100 sound windows has a number above it
    windows: int  # how many were looked at
    applies: bool  # False for a model whose result is sharper than the frame: there the residual is not noise

    def __post_init__(self) -> None:
        if not len(self.lowest) == len(self.middle) == len(self.highest) == len(SIGNS):
            raise ValueError(f"expected a residual check of {len(SIGNS)} statistics; calibrate again")

    def number(self, low: np.ndarray, mean: np.ndarray) -> tuple[float, str]:
        """How far the residual of a plane is from usual, an alarm if above `threshold`, and in which respect.

        It is the largest deviation of all statistics, each in units of its own range. Frame and restored image, (H, W)
        of at least 64 x 64, are in network values. ValueError for a smaller plane and where the check does not apply.
        """
        if not self.applies:
            raise ValueError("the residual check does not apply: this model's result is sharper than the frame")
        deviation = self._deviations(np.mean([statistics(*window) for window in windows(low, mean)], axis=0))
        return float(deviation.max()), list(SIGNS.values())[int(deviation.argmax())]

    def _deviations(self, found: np.ndarray) -> np.ndarray:
        lowest, middle, highest = np.array([self.lowest, self.middle, self.highest])
        reach = np.where(found > middle, highest - middle, middle - lowest)
        return np.abs(found - middle) / np.maximum(reach, 1e-12)


def fit(fields: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> ResidualCheck | None:
    """The check from frame, result and truth of fields, each (H, W) in network values; None for under 100 windows."""
    sound, true = [], []
    for low, mean, truth in fields:
        if min(low.shape) >= WINDOW:
            sound += [statistics(*window) for window in windows(low, mean)]
            true += [statistics(*window) for window in windows(low, truth)]
    if len(sound) < 99:
        return None
    lowest, middle, highest = np.quantile(sound, (0.005, 0.5, 0.995), axis=0)
    follows = np.median(true, axis=0)[list(SIGNS).index("coarse")]
    same_optics = bool(abs(follows) < OPTICS)
    check = ResidualCheck(lowest.tolist(), middle.tolist(), highest.tolist(), 0.0, len(sound), same_optics)
    numbers = [check._deviations(one).max() for one in sound]
    return replace(check, threshold=float(np.quantile(numbers, min(1, 0.99 + 0.99 / len(sound)))))  # split conformal


def windows(low: np.ndarray, mean: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Windows of 64 x 64 pixels that cover a plane, evenly spaced."""
    if min(low.shape) < WINDOW:
        raise ValueError(f"expected a plane of at least {WINDOW} x {WINDOW} pixels, got {low.shape}")
    corners = (np.linspace(0, side - WINDOW, -(-side // WINDOW)).astype(int) for side in low.shape)
    for top, left in product(*corners):
        window = np.s_[top : top + WINDOW, left : left + WINDOW]
        yield low[window], mean[window]


def error_map(low: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The residual over its noise, (H, W), whose variance is fitted as a straight line in the mean."""
    squared, light = (low - mean) ** 2, mean - mean.mean()
    variance = squared.mean() + (squared * light).mean() / ((light**2).mean() + TINY) * light
    return (low - mean) / np.sqrt(np.maximum(variance, 0.1 * squared.mean() + TINY))


def statistics(low: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """The statistics of a window, in the order of `SIGNS`; ``low`` and ``mean`` (H, W) in network values."""
    squared, z = (low - mean) ** 2, error_map(low, mean)
    light = (mean - mean.mean()) / (mean.std() + TINY)
    bent = light**2 - (light**2).mean()
    smooth, smoother = gaussian_filter(mean, 1), gaussian_filter(mean, 4)
    parts = [part - part.mean() for part in (mean - smooth, smooth - smoother)]
    slope = np.hypot(*np.gradient(smooth))[1:, 1:]
    near_edges = slope > np.median(slope)
    # A pixel times those above and to the left of it: the mean is their correlation, since z has variance 1.
    beside = {lag: z[lag:, lag:] * (z[:-lag, lag:] + z[lag:, :-lag]) / 2 for lag in LAGS}
    noise = [np.log(squared.mean() + TINY), (squared * light).mean() / (squared.mean() + TINY)]
    noise += [(z**2 * bent).mean() / ((bent**2).mean() + TINY), np.log((z**4).mean() + TINY)]
    structure = [(z * part).mean() / (part.std() + TINY) for part in parts] + [beside[lag].mean() for lag in LAGS]
    return np.array([*noise, *structure, 4 * (beside[1] * (near_edges - near_edges.mean())).mean()])
