"""How well an image is restored: errors, similarity, resolution, and whether posterior samples spread as they should.

Images are real arrays of shape (H, W); the truth comes first and all share one unit. They are computed in float64.
Measures in the Fourier plane stand in `ddpm_micro.resolution` and can be called from here too.

``data_range`` is the span of values that the truth could take (255 for 8 bit). It is a required keyword: read off the
image in hand, it would make the score depend on that image's brightest pixel.

Raises `ValueError` for a wrong argument: images of different shapes or too small, NaN, a data range of 0. A sound image
of which a measure says nothing (a constant one has no correlation) gives ``nan``, so that a table over many patches is
completed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.special import stdtrit
from skimage.metrics import structural_similarity

from ddpm_micro.arguments import of_a_pair, real_array
from ddpm_micro.resolution import FRC, frc, power_spectrum, resolution, resolution_ratio, spectral_fidelity

__all__ = [
    "FRC", "SpreadSkill", "coverage", "frc", "mae", "ms_ssim", "nrmse", "pearson", "power_spectrum", "psnr",
    "resolution", "resolution_ratio", "spectral_fidelity", "spread_skill", "ssim",
]  # fmt: skip

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest to coarsest scale, Wang 2003
SSIM_TAPS = 11
SSIM_SIGMA = 1.5  # px; 11 taps reach to 3.33 sigma


@dataclass(frozen=True)
class SpreadSkill:
    """MSE_K = B + V/K, the error of a mean of K posterior samples, taken apart.

    V/B is 1 for an exact posterior, below 1 for samples too sure of themselves, above 1 for samples that spread too
    far; inf where B <= 0 < V, nan where both are 0.
    """

    bias_variance: float  # B, error of the mean of infinitely many draws; from few, it can come out slightly below 0
    sample_variance: float  # V, variance of one draw, averaged over pixels
    ratio: float  # V/B


@of_a_pair()
def mae(truth: ArrayLike, image: ArrayLike) -> float:
    """Mean absolute error, mean |image - truth|, in the unit of the images."""
    return np.abs(image - truth).mean()


@of_a_pair()
def nrmse(truth: ArrayLike, image: ArrayLike) -> float:
    """Root mean squared error over the mean of the truth (arXiv 2409.12078), whose zero has to mean no light.

    nan when that mean is not above 0, as it may be after subtracting a background.
    """
    mean = truth.mean()
    return np.sqrt(((image - truth) ** 2).mean()) / mean if mean > 0 else np.nan


@of_a_pair()
def pearson(truth: ArrayLike, image: ArrayLike) -> float:
    """Pearson correlation of the pixel values, in [-1, 1], at any scale and offset; nan for a constant image."""
    if np.ptp(truth) == 0 or np.ptp(image) == 0:
        return np.nan
    t, x = ((a - a.mean()) / np.ptp(a) for a in (truth, image))
    return np.clip((t * x).sum() / np.sqrt((t * t).sum() * (x * x).sum()), -1, 1)


@of_a_pair()
def psnr(truth: ArrayLike, image: ArrayLike, *, data_range: float) -> float:
    """Peak signal-to-noise ratio, 10 log10(data_range^2 / MSE), in dB; inf for equal images.

    >>> round(psnr([[0, 0]], [[10, 10]], data_range=100), 6)
    20.0
    """
    return 10 * np.log10(data_range**2 / np.mean((image - truth) ** 2))


@of_a_pair(min_side=SSIM_TAPS)
def ssim(truth: ArrayLike, image: ArrayLike, *, data_range: float) -> float:
    """Structural similarity with the Gaussian window of Wang et al. 2004 (scikit-image), in [-1, 1]; sides >= 11 px."""
    settings = {"gaussian_weights": True, "sigma": SSIM_SIGMA, "use_sample_covariance": False}  # as in the publication
    return structural_similarity(truth, image, data_range=data_range, **settings)


@of_a_pair(min_side=SSIM_TAPS)
def ms_ssim(truth: ArrayLike, image: ArrayLike, *, data_range: float) -> float:
    """Multi-scale structural similarity (Wang et al. 2003, doi 10.1109/ACSSC.2003.1292216), in [0, 1].

        MS-SSIM = (l cs)_M^w_M  prod_{j < M} cs_j^w_j,   w = 0.0448, 0.2856, 0.3001, 0.2363, 0.1333

    cs is the mean contrast-structure term of SSIM, l cs at the coarsest scale the mean SSIM; both are set to 0 where
    negative. Each scale is the one before after 2 x 2 means (an odd last row or column is dropped).

    The 11-tap window must fit into the coarsest scale, so the five scales of the publication need 176 px; smaller
    images get 4 from 88 px, 3 from 44, 2 from 22, 1 from 11, with weights scaled to sum to 1. Scores of different
    numbers of scales do not compare.
    """
    fitting = sum(min(truth.shape) >> scale >= SSIM_TAPS for scale in range(len(MS_SSIM_WEIGHTS)))
    weights = np.array(MS_SSIM_WEIGHTS[:fitting])
    if fitting < len(MS_SSIM_WEIGHTS):  # all five stay as published, where they sum to 1.0001
        weights /= weights.sum()
    result = 1.0
    for scale, weight in enumerate(weights, start=1):
        similarity, contrast_structure = _ssim_terms(truth, image, data_range)
        result *= max(similarity if scale == fitting else contrast_structure, 0.0) ** weight
        truth, image = _halve(truth), _halve(image)
    return min(result, 1.0)  # rounding may leave 1 + 1e-16


def _ssim_terms(truth: np.ndarray, image: np.ndarray, data_range: float) -> tuple[float, float]:
    """Means of SSIM and of its contrast-structure factor over the pixels whose window lies inside the image."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    edge = SSIM_TAPS // 2

    def local_mean(a: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(a, SSIM_SIGMA, truncate=edge / SSIM_SIGMA)[edge:-edge, edge:-edge]

    mean_t, mean_x = local_mean(truth), local_mean(image)
    var_t, var_x = local_mean(truth**2) - mean_t**2, local_mean(image**2) - mean_x**2
    covariance = local_mean(truth * image) - mean_t * mean_x
    contrast_structure = (2 * covariance + c2) / (var_t + var_x + c2)
    luminance = (2 * mean_t * mean_x + c1) / (mean_t**2 + mean_x**2 + c1)
    return float((luminance * contrast_structure).mean()), float(contrast_structure.mean())


def _halve(image: np.ndarray) -> np.ndarray:
    """(H, W) -> (H // 2, W // 2), means of 2 x 2 pixels."""
    height, width = (side // 2 for side in image.shape)
    return image[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean(axis=(1, 3))


def spread_skill(truth: ArrayLike, samples: ArrayLike) -> SpreadSkill:
    """Compare the spread of posterior samples with the error of their mean: V/B of MSE_K = B + V/K.

    With m the mean of the K samples x_k of a pixel and y its truth,

        V = mean_pixels sum_k (x_k - m)^2 / (K - 1),      B = mean_pixels (m - y)^2 - V/K.

    Taking V/K off the error of the mean makes B independent of K in expectation: no drift from K = 2 to 64. The
    estimates are averages over pixels and images, so one image of correlated pixels leaves a wide error on them.

    Parameters
    ----------
    truth : array_like, shape (H, W) or (N, H, W)
    samples : array_like, shape (K, H, W) or (K, N, H, W), K >= 2, in the unit of ``truth``
        K independent draws of each image.
    """
    b, v = bias_and_variance(*_of_samples(truth, samples))
    ratio = v / b if b > 0 else (np.inf if v > 0 else np.nan)
    return SpreadSkill(float(b), float(v), float(ratio))


def bias_and_variance(truth: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """B and V of `spread_skill`, which checks its arguments."""
    v = samples.var(axis=0, ddof=1).mean()
    b = ((samples.mean(axis=0) - truth) ** 2).mean() - v / len(samples)
    return b, v


def coverage(truth: ArrayLike, samples: ArrayLike, level: float) -> float:
    """Share of the pixels whose truth lies in the interval that posterior samples give; equals ``level`` if exact.

    The interval lies about the mean of the K samples. The truth is one more draw, so its distance from that mean has
    the variance V + V/K, and V is known from K draws: for normal samples the interval reaches to either side by
    ``t sqrt(V + V/K)``, where t is the (1 + level)/2 quantile of Student's t with K - 1 degrees of freedom.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a number between 0 and 1, such as 0.9, got {level}")
    truth, samples = _of_samples(truth, samples)
    return float(share_within(truth, samples, stdtrit(len(samples) - 1, 0.5 + level / 2)))


def share_within(truth: np.ndarray, samples: np.ndarray, factor: float) -> float:
    """Share of the pixels whose truth lies within ``factor`` standard deviations of the mean of the samples.

    The truth scatters as one more sample does, and the mean of K samples scatters too: V + V/K in all.
    """
    sd = np.sqrt(1 + 1 / len(samples)) * samples.std(axis=0, ddof=1)
    return (np.abs(truth - samples.mean(axis=0)) <= factor * sd).mean()


def _of_samples(truth: ArrayLike, samples: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Truth and samples as finite arrays that fit together; the samples in float64."""
    truth, samples = real_array(truth, "truth"), real_array(samples, "samples")
    if truth.ndim not in (2, 3) or truth.size == 0 or samples.shape[1:] != truth.shape:
        raise ValueError(
            "samples: expected (K, H, W) with truth (H, W), or (K, N, H, W) with truth (N, H, W), "
            f"got {samples.shape} with truth {truth.shape}; put the samples on the first axis"
        )
    if len(samples) < 2:
        raise ValueError(f"samples: expected K >= 2 to know their variance, got {len(samples)}; draw more samples")
    if not (np.isfinite(truth).all() and np.isfinite(samples).all()):
        raise ValueError("truth, samples: expected finite values, got NaN or infinity; replace or crop them")
    return truth, samples.astype(np.float64)
