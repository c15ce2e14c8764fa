"""Between the grey levels of a file and the values a network works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.ndimage import gaussian_filter

MOST_ABOVE = 20  # no smoothed pixel is further from another than this many times the range of the percentiles
Array = TypeVar("Array")  # numpy arrays and torch tensors alike


@dataclass(frozen=True)
class Scaling:
    """An affine map that can be inverted: ``(grey - offset) / scale``."""

    offset: float
    scale: float

    def apply(self, grey: Array) -> Array:
        """Grey levels to network values, about [-1, 1]; outliers lie outside."""
        return (grey - self.offset) / self.scale

    def invert(self, value: Array) -> Array:
        """Network values to grey levels."""
        return value * self.scale + self.offset


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

    def fit(self, image: np.ndarray) -> Scaling:
        """The scaling of one image of shape (H, W); that of a constant image has scale 1."""
        if image.ndim != 2 or not image.size:
            raise ValueError(f"expected one image of shape (H, W), got shape {image.shape}")
        smooth = gaussian_filter(np.asarray(image, np.float64), self.smoothing_px, mode="nearest")
        lowest, highest = np.percentile(smooth, [self.low, self.high])
        # Where less than one pixel in a thousand is bright, the percentiles miss it: then the extremes have a say.
        half = max(float(highest - lowest) / 2, float(smooth.max() - smooth.min()) / 2 / MOST_ABOVE)
        # Smoothing a constant leaves rounding errors, which must not be blown up to an image.
        flat = half <= 1e-9 * max(abs(float(lowest)), abs(float(highest)), 1e-300)
        return Scaling(float(lowest + highest) / 2, 1.0 if flat else half)
