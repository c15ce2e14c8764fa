"""What a diffusion model must beat."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

SIGMAS_PX = tuple(np.round(np.arange(0.3, 5.0, 0.1), 1))


def best_gaussian(
    low: np.ndarray, truth: np.ndarray, sigmas_px: tuple[float, ...] = SIGMAS_PX
) -> tuple[np.ndarray, float]:
    """The Gaussian filter of least squared error, its width chosen with the truth in hand.

    No one could choose it like that at the microscope: it is the bound of what any Gaussian filter can do, and
    so a hard rival.

    Parameters
    ----------
    low, truth : ndarray, shape (H, W), grey levels
    sigmas_px : tuple of float, pixels
        Standard deviations to try.

    Returns
    -------
    image : ndarray, shape (H, W), float64
    sigma_px : float
    """
    filtered = {sigma: gaussian_filter(np.asarray(low, np.float64), sigma) for sigma in sigmas_px}
    sigma = min(filtered, key=lambda s: np.mean((filtered[s] - truth) ** 2))
    return filtered[sigma], float(sigma)
