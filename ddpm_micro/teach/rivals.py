"""The filters that chapter 8 and the benchmark compare the networks with, each at its best strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle
from skimage.restoration import richardson_lucy as deconvolve

from ddpm_micro.baselines import SIGMAS_PX, gaussian
from ddpm_micro.intensity import Percentiles
from ddpm_micro.metrics import psnr
from ddpm_micro.simulate.benchmark import Experiment
from ddpm_micro.simulate.microscope import FWHM_PER_SD

Filter = Callable[[np.ndarray, float], np.ndarray]  # (image, strength) -> image, shapes (H, W), grey levels

MARGIN = 16  # pixels that an image is mirrored by before it is deconvolved, which knows nothing beyond the edge


def nlm(image: np.ndarray, strength: float) -> np.ndarray:
    """Non-local means (Buades et al. 2005): a pixel is averaged with those whose surroundings look alike.

    ``strength`` is relative to half the range of the smoothed image.
    """
    scaling = Percentiles().fit(image)
    value = scaling.apply(np.asarray(image, np.float64))
    return scaling.invert(denoise_nl_means(value, patch_size=5, patch_distance=7, h=strength, fast_mode=True))


def tv(image: np.ndarray, strength: float) -> np.ndarray:
    """Total variation (Rudin, Osher and Fatemi 1992): the image nearest the noisy one whose steps are few.

    ``strength`` is relative to half the range of the smoothed image.
    """
    scaling = Percentiles().fit(image)
    return scaling.invert(denoise_tv_chambolle(scaling.apply(np.asarray(image, np.float64)), weight=strength))


def richardson_lucy(benchmark: Experiment, image: np.ndarray, iterations: float) -> np.ndarray:
    """Richardson-Lucy deconvolution with the PSF of the low image, then blurred with the PSF of the high one.

    Without the blur it would be sharper than the truth that it is compared with.
    """
    camera, pixel = benchmark.low.camera, benchmark.pixel_size_nm
    sd = benchmark.low.fwhm_nm / FWHM_PER_SD / pixel
    point = np.zeros((2 * int(np.ceil(4 * sd)) + 1,) * 2)
    point[point.shape[0] // 2, point.shape[1] // 2] = 1
    photons = np.maximum((np.asarray(image, np.float64) - camera.offset) / camera.gain, 0)
    padded = np.pad(photons, MARGIN, mode="reflect")
    sharp = deconvolve(padded, gaussian_filter(point, sd), num_iter=int(iterations), clip=False, filter_epsilon=1e-6)
    seen = gaussian_filter(sharp, benchmark.high.fwhm_nm / FWHM_PER_SD / pixel)
    return seen[MARGIN:-MARGIN, MARGIN:-MARGIN] * camera.gain + camera.offset


def filters(benchmark: Experiment | None = None) -> dict[str, tuple[Filter, tuple[float, ...]]]:
    """Each filter with the strengths to try; Richardson-Lucy only where the optics are known."""
    known: dict[str, tuple[Filter, tuple[float, ...]]] = {
        "gaussian": (gaussian, SIGMAS_PX),
        "nlm": (nlm, tuple(np.geomspace(0.05, 2, 12))),
        "tv": (tv, tuple(np.geomspace(0.03, 3, 14))),
    }
    if benchmark is not None:
        known["richardson_lucy"] = (partial(richardson_lucy, benchmark), (1, 2, 3, 4, 6, 9, 14, 20, 30, 50))
    return known


def best_strength(
    method: Filter, strengths: Sequence[float], low: Sequence[np.ndarray], high: Sequence[np.ndarray]
) -> float:
    """The strength of the highest mean PSNR over pairs of a noisy and a clean image, each (H, W)."""

    def score(strength: float) -> float:
        ranges = [float(truth.max() - truth.min()) for truth in high]
        images = [method(image, strength) for image in low]
        return float(np.mean([psnr(t, i, data_range=r) for t, i, r in zip(high, images, ranges, strict=True)]))

    return max(strengths, key=score)
