"""How well the low and high images of a set of pairs fit each other: brightness, place and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.registration import phase_cross_correlation

from ddpm_micro.files.pairs import PairedPlanes

SAME = 0.1  # low and high count as equally bright if they differ by less than this share of the low images' range
ALIKE = 0.4  # correlation of the structures of low and high above which a shift between them is believed
BLOCK = 16  # pixels: side of the blocks whose means are compared, in which noise and sharpness count little
CROP = 512  # pixels: side of the middle part of a plane that is looked at


@dataclass(frozen=True)
class Brightness:
    """How grey levels of the low images become grey levels of the high ones: ``high = gain * low + offset``.

    Attributes
    ----------
    gain : float
    offset : float, grey levels of the high images
    bend : float
        How far the grey levels stray from the straight line, as a share of the range of the low images. Above about
        0.05 they are no longer raw: a gamma curve, automatic contrast, saturation.
    needed : bool
        False where low and high differ by less than 10 % of the range of the low images. Nothing is changed then.
    """

    gain: float
    offset: float
    bend: float
    needed: bool

    def match(self, pairs: PairedPlanes) -> PairedPlanes:
        """The pairs with the high images in the grey levels of the low ones."""
        if not self.needed:
            return pairs
        return replace(pairs, high=[((high - self.offset) / self.gain).astype(np.float32) for high in pairs.high])

    def __str__(self) -> str:
        return f"high = {self.gain:.4g} x low {'-' if self.offset < 0 else '+'} {abs(self.offset):.4g}"


def fit_brightness(low: Sequence[np.ndarray], high: Sequence[np.ndarray]) -> Brightness:
    """Fit one map to all pairs: a straight line through the means of blocks of pixels.

    Low is fitted to high, and the line turned round afterwards, since noise on the horizontal axis would flatten it.

    Parameters
    ----------
    low, high : sequence of ndarray, each (H, W), grey levels
        Planes that lie on each other, see `align`.

    Raises
    ------
    ValueError
        If the line falls, or explains less than half of what the low images show beside noise.
    """
    points, noises = [], []
    for one_low, one_high in (np.asarray(pair, np.float64) for pair in zip(low, high, strict=True)):
        side = max(1, min(BLOCK, min(one_low.shape) // 4))
        points.append([_block_means(one_high, side), _block_means(one_low, side)])
        noises.append(noise(one_low) / side)
    x, y = (np.concatenate(part) for part in zip(*points))
    scale = max(float(np.median(noises)), 1e-6 * float(np.abs(y).max()))
    slope, intercept, weights = _robust_line(x, y, scale)
    left = y - slope * x - intercept
    shown = np.average((y - np.average(y, weights=weights)) ** 2, weights=weights) - scale**2
    if slope <= 0 or np.average(left**2, weights=weights) - scale**2 > shown / 2:
        raise ValueError(
            "no gain and offset bring low and high to one brightness; are they the same fields, in raw grey levels?"
        )
    ends = np.percentile(y, [1, 99.9])
    part = np.digitize(x, np.linspace(*np.percentile(x, [1, 99.9]), 9))
    bend = max((abs(np.median(left[part == p])) for p in range(1, 9) if np.sum(part == p) >= 10), default=0.0)
    off = np.abs((ends - intercept) / slope - ends).max() / np.ptp(ends)
    return Brightness(float(1 / slope), float(-intercept / slope), float(bend / np.ptp(ends)), bool(off > SAME))


def _robust_line(x: np.ndarray, y: np.ndarray, scale: float) -> tuple[float, float, np.ndarray]:
    """Slope and intercept of the line of least Cauchy loss, and the weight of each point.

    Lines through random pairs of points are tried and the best one refined. So neither faulty pixels, nor things that
    moved between the two exposures, nor an empty background have much say.
    """
    rng = np.random.default_rng(0)
    some = rng.permutation(len(x))[:5000]
    i, j = rng.choice(some, (2, 500))
    i, j = i[x[i] != x[j]], j[x[i] != x[j]]
    slopes = (y[i] - y[j]) / (x[i] - x[j])
    lines = [(0.0, float(np.median(y))), *zip(slopes, y[i] - slopes * x[i])]
    losses = [np.log1p(((y[some] - np.polyval(line, x[some])) / scale) ** 2).sum() for line in lines]
    slope, intercept = lines[int(np.argmin(losses))]
    for _ in range(20):
        weights = 1 / (1 + ((y - slope * x - intercept) / scale) ** 2)
        middle_x, middle_y = np.average(x, weights=weights), np.average(y, weights=weights)
        power = max((weights * (x - middle_x) ** 2).sum(), np.finfo(float).tiny)
        slope = (weights * (x - middle_x) * (y - middle_y)).sum() / power
        intercept = middle_y - slope * middle_x
    return slope, intercept, weights


def align(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The middle parts of two planes that show the same, and the shift that was found between them.

    Returns
    -------
    low, high : ndarray of float64, at most 512 x 512, grey levels
        Cut so that they lie on each other, to whole pixels.
    shift : ndarray of float, shape (2,), pixels
        By how much structures in ``high`` lie below and to the right of those in ``low``, to a tenth of a pixel. NaN
        where the two are too unlike each other to tell.
    """
    if min(low.shape) < 8:
        raise ValueError(f"expected planes of at least 8 x 8 pixels, got {low.shape}; leave smaller ones out")
    middle = tuple(slice((side - min(side, CROP)) // 2, (side + min(side, CROP)) // 2) for side in low.shape)
    low, high = low[middle].astype(np.float64), high[middle].astype(np.float64)
    window = np.hanning(low.shape[0] + 2)[1:-1, None] * np.hanning(low.shape[1] + 2)[1:-1]
    structure = []
    for image in (low, high):
        image = np.clip(image, *np.percentile(image, [2, 98]))  # or a hot column, which lies still, would decide
        structure.append(window * (gaussian_filter(image, 1.5) - gaussian_filter(image, 8)))
    # Without the usual normalisation, which gives frequencies that hold only noise the same say as all others.
    shift = -phase_cross_correlation(*structure, upsample_factor=10, normalization=None)[0]
    if (np.abs(shift) <= np.array(low.shape) / 2).all():
        first, second = _cut(*structure, shift)
        if np.mean(first * second) > ALIKE * np.sqrt(np.mean(first**2) * np.mean(second**2)):
            return *_cut(low, high, shift), shift
    return low, high, np.full(2, np.nan)


def _cut(low: np.ndarray, high: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (height, width), (down, right) = low.shape, np.rint(shift).astype(int)
    of_low = np.s_[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)]
    of_high = np.s_[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)]
    return low[of_low], high[of_high]


def noise(image: np.ndarray) -> float:
    """Standard deviation of the noise in an image (H, W), in which structure cancels and faulty pixels count little."""
    crossed = np.diff(np.diff(image, axis=0), axis=1) ** 2 / 4
    return float(np.sqrt(np.minimum(crossed, np.percentile(crossed, 99)).mean()))


def correlated_noise(low: np.ndarray, high: np.ndarray) -> float:
    """Share of the noise variance in ``low`` that neighbouring pixels have in common, about 0 to 1.

    It is the correlation of neighbours in a row or in a column, whichever is larger. ``high`` lies on ``low`` and is in
    its grey levels. What differs smoothly between them does not count, nor does the strongest percent of either sign.
    """
    rest = low - high
    rest = np.clip(rest, *np.percentile(rest, [1, 99]))
    rest -= gaussian_filter(rest, 3)
    power = np.mean(rest**2) or 1.0  # none in an image without noise
    beside = np.mean(rest[:, 1:] * rest[:, :-1]), np.mean(rest[1:] * rest[:-1])
    return float(max(0.0, *beside) / power)


def _block_means(image: np.ndarray, side: int) -> np.ndarray:
    rows, columns = (length // side for length in image.shape)
    return image[: rows * side, : columns * side].reshape(rows, side, columns, side).mean(axis=(1, 3)).ravel()
