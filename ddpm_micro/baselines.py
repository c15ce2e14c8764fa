"""What a diffusion model must beat at the least: a Gaussian filter at its best width."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

SIGMAS_PX = tuple(np.round(np.arange(0.3, 5.0, 0.1), 1))


def gaussian(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """The image (H, W), blurred in float64 by a Gaussian of that standard deviation in pixels."""
    return gaussian_filter(np.asarray(image, np.float64), sigma_px)


def best_gaussian(
    low: np.ndarray, truth: np.ndarray, sigmas_px: tuple[float, ...] = SIGMAS_PX
) -> tuple[np.ndarray, float]:
    """The image (H, W) of the Gaussian filter of least squared error, and its standard deviation in pixels.

    No one could choose it with the truth in hand at the microscope: it bounds what any Gaussian filter can do.
    """
    filtered = {sigma: gaussian(low, sigma) for sigma in sigmas_px}
    sigma = min(filtered, key=lambda s: np.mean((filtered[s] - truth) ** 2))
    return filtered[sigma], float(sigma)
