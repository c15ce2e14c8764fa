"""Between the grey levels of a file and the values a network works with; pixels that must not set the scale."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from scipy.ndimage import binary_propagation, gaussian_filter, maximum_filter, minimum_filter

# Limit of the scaled range. A bright spot may be too small for the percentiles to see: then the scale grows until no
# two smoothed pixels lie more than 20 times the percentiles' range apart.
MOST_ABOVE = 20
# Grey values that stand apart are faults. In the low images of all four sets no gap between neighbouring grey values
# is wider than 0.9 of the range below it, or than 0.12 of the range above it.
GAP_ABOVE, GAP_BELOW = 1.5, 0.5
FEWEST_VALUES = 6  # with fewer grey values there is no telling what stands apart
_log = logging.getLogger(__name__)
Array = TypeVar("Array")  # numpy arrays and torch tensors alike


@dataclass(frozen=True)
class Scaling:
    """An affine map that can be inverted, ``(grey - offset) / scale``. Faulty pixels come back as they were."""

    offset: float
    scale: float
    faulty: np.ndarray | None = None  # (H, W), bool; None if there are no faulty pixels
    image: np.ndarray | None = None  # (H, W), grey levels that faulty pixels come back with

    def apply(self, grey: Array) -> Array:
        """Grey levels to network values, about [-1, 1]; outliers lie outside."""
        return (grey - self.offset) / self.scale

    def invert(self, value: Array) -> Array:
        """Network values to grey levels."""
        grey = value * self.scale + self.offset
        return grey if self.faulty is None else np.where(self.faulty, self.image, grey)

    def kept(self, mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation in grey levels, at faulty pixels the image and 0."""
        if self.faulty is None:
            return mean, std
        return np.where(self.faulty, self.image, mean), np.where(self.faulty, 0, std)


def scale_back(mean: Array, std: Array, offset: float, scale: float) -> tuple[Array, Array]:
    """Mean and spread in network values to grey levels: a mean is stretched and moved, a spread is stretched alone."""
    return mean * scale + offset, std * scale


@dataclass(frozen=True)
class Percentiles:
    """Puts two percentiles of the smoothed image at -1 and 1.

    It looks at the low-quality image alone, since at the microscope there is no other, and smooths it first:
    otherwise the extremes of a dim image would be those of its noise.

    Attributes
    ----------
    low, high : float, 0..100
    smoothing_px : float, pixels
    """

    low: float = 1.0
    high: float = 99.9
    smoothing_px: float = 1.5

    def fit(self, image: np.ndarray, faulty: np.ndarray | None = None) -> Scaling:
        """The scaling of one image of shape (H, W), from its pixels that are not faulty; 1 for a constant image."""
        if image.ndim != 2 or not image.size:
            raise ValueError(f"expected one image of shape (H, W), got shape {image.shape}")
        faulty = faulty_pixels(image) if faulty is None else faulty
        smooth = gaussian_filter(repaired(image, faulty), self.smoothing_px, mode="nearest")
        seen = smooth if faulty.all() else smooth[~faulty]
        lowest, highest = np.percentile(seen, [self.low, self.high])
        # Where less than one pixel in a thousand is bright, the percentiles miss it: then the brightest pixel decides.
        half = max(float(highest - lowest) / 2, float(seen.max() - seen.min()) / 2 / MOST_ABOVE)
        # Smoothing a constant leaves rounding errors, which must not be blown up to an image.
        flat = half <= 1e-9 * max(abs(float(lowest)), abs(float(highest)), 1e-300)
        return Scaling(float(lowest + highest) / 2, 1.0 if flat else half)

    def seen(self, image: np.ndarray) -> tuple[np.ndarray, Scaling, np.ndarray]:
        """Network values of an image (H, W), float64, its faulty pixels repaired; its scaling; and which are faulty."""
        faulty = faulty_pixels(image)
        scaling = self.fit(image, faulty)
        return scaling.apply(repaired(image, faulty)), scaling, faulty

    def values(self, image: np.ndarray) -> tuple[np.ndarray, Scaling]:
        """Network values of an image (H, W), and the scaling, which puts faulty pixels back; tells what it has met."""
        value, scaling, faulty = self.seen(image)  # in float64, where the largest integers still have a difference
        if np.spacing(np.float32(abs(scaling.offset))) > scaling.scale / 50:
            text = "grey levels near %g are too coarse in float32 for this image's contrast; subtract an offset first"
            _log.warning(text, scaling.offset)
        if 0 < (many := faulty.sum()) < faulty.size:
            text = "%d pixels stand far apart (hot, dead, saturated or masked): they are kept as they were"
            _log.warning(text, many)
        return value.astype(np.float32), replace(scaling, faulty=faulty, image=image) if many else scaling


def faulty_pixels(image: np.ndarray) -> np.ndarray:
    """Which pixels of an image (H, W) tell nothing of the specimen: a mask; all of them if the image is constant.

    - Values that a wide gap separates from the others: hot pixels and columns, dead lines, borders, masks.
    - Blocks of 3 x 3 pixels and more of one value that is found nearly nowhere else: borders and masks without a gap,
      and saturation.
    - What is joined to a saturated block and far above the rest: the halo of a saturated bead.
    """
    if image.dtype == np.float16:  # which the filters below do not take
        image = image.astype(np.float32)
    values = np.unique(image).astype(np.float64)
    if len(values) < FEWEST_VALUES:
        return np.full(image.shape, len(values) == 1)
    a, b = len(values) // 4, 3 * len(values) // 4  # most faulty pixels share few values, so this is inside the rest
    steps = np.diff(values)
    above = np.flatnonzero(steps[b:] > GAP_ABOVE * (values[b:-1] - values[a]))
    below = np.flatnonzero(steps[:a] > GAP_BELOW * (values[b] - values[1 : a + 1]))
    highest = values[b + above[0]] if len(above) else values[-1]
    lowest = values[below[-1] + 1] if len(below) else values[0]
    faulty = (image < lowest) | (image > highest)
    block = minimum_filter(image, 3, mode="nearest") == maximum_filter(image, 3, mode="nearest")
    if (block & ~faulty).any():
        found, counts = np.unique(image[block & ~faulty], return_counts=True)
        value = found[counts.argmax()]
        solid = maximum_filter(block & (image == value), 3)
        if solid.sum() > 0.95 * (image == value).sum():
            faulty |= solid
            dark, bright = np.percentile(image[~faulty], [5, 95]) if not faulty.all() else (value, value)
            if value == values[-1] and value - bright > MOST_ABOVE * (bright - dark):
                faulty = binary_propagation(
                    faulty, mask=faulty | (image > 2 * bright - dark), structure=np.ones((3, 3))
                )
    return faulty


def repaired(image: np.ndarray, faulty: np.ndarray) -> np.ndarray:
    """The image as float64, with good pixels near by, averaged, or the median of all in place of faulty ones."""
    image = np.asarray(image, np.float64)
    if not faulty.any() or faulty.all():
        return image
    weight = gaussian_filter((~faulty).astype(np.float64), 1.5)
    near = gaussian_filter(np.where(faulty, 0.0, image), 1.5) / np.maximum(weight, 1e-6)
    return np.where(faulty, np.where(weight > 1e-3, near, np.median(image[~faulty])), image)
