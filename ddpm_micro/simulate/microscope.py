"""From fluorophores to grey levels: point spread function, photons, camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from ddpm_micro.simulate.specimens import MARGIN, Emitters

FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian
FINE = 2  # emitters are binned this many times finer than a pixel; what that adds to the PSF is taken off again
DEPTHS = np.array([0.0, 0.8, 1.8, 4.0])  # Rayleigh lengths: emitters are moved to the nearest of these planes


@dataclass(frozen=True)
class Camera:
    """A detector and its digitiser.

    Attributes
    ----------
    gain : float, > 0
        Grey levels per photo-electron.
    offset : float, grey levels
        Reading without light.
    read_noise : float, >= 0, photo-electrons
        Standard deviation of the electronics' noise.
    bits : int
        Depth of the ADC; readings saturate at ``2**bits - 1``.
    smoothing_px : float, >= 0, pixels
        Standard deviation of the blur that resampling or demosaicing leaves in a frame. It correlates the
        noise of neighbouring pixels, as in many real wide-field images.
    """

    gain: float = 1.0
    offset: float = 0.0
    read_noise: float = 0.0
    bits: int = 16
    smoothing_px: float = 0.0

    def __post_init__(self) -> None:
        if self.gain <= 0 or self.read_noise < 0 or self.smoothing_px < 0 or not 1 <= self.bits <= 32:
            raise ValueError(f"expected gain > 0, read_noise >= 0, smoothing_px >= 0 and 1..32 bits, got {self}")


def render(emitters: Emitters, size: int, *, pixel_size_nm: float, fwhm_nm: float, rayleigh_nm: float = 600.0) -> np.ndarray:
    """Light that reaches each pixel through a Gaussian point spread function.

    Parameters
    ----------
    emitters : Emitters
    size : int, pixels
        The image is ``size`` x ``size``.
    pixel_size_nm, fwhm_nm : float, nm
        Width of a pixel, and of the PSF in focus at half its maximum.
    rayleigh_nm : float, nm
        Distance from focus at which the PSF is sqrt(2) times as wide (a Gaussian beam's Rayleigh length).

    Returns
    -------
    ndarray, shape (size, size), float64
        Summed brightness per pixel; the PSF keeps each emitter's total.
    """
    # A Gaussian PSF is separable, so with emitters binned on a fine grid H the image is A H A^T, where a row of A
    # holds the PSF's exact integral over one pixel.
    in_focus = fwhm_nm / FWHM_PER_SD / pixel_size_nm
    nearest = np.digitize(np.abs(emitters.z) / rayleigh_nm, (DEPTHS[1:] + DEPTHS[:-1]) / 2)
    image = np.zeros((size, size))
    for index in np.unique(nearest):
        plane = nearest == index
        psf = _psf_matrix(size, in_focus * np.sqrt(1 + DEPTHS[index] ** 2))
        bins = psf.shape[1]
        lowest, width = -(bins / FINE - size) / 2, 1 / FINE
        column = np.floor((emitters.x[plane] / pixel_size_nm - lowest) / width).astype(int)
        row = np.floor((emitters.y[plane] / pixel_size_nm - lowest) / width).astype(int)
        seen = (column >= 0) & (column < bins) & (row >= 0) & (row < bins)
        light = np.bincount(row[seen] * bins + column[seen], emitters.brightness[plane][seen], bins * bins)
        image += psf @ light.reshape(bins, bins) @ psf.T
    return image


def expose(photons: np.ndarray, camera: Camera, rng: np.random.Generator, *, frames: int = 1) -> np.ndarray:
    """Mean of ``frames`` camera frames.

    Parameters
    ----------
    photons : ndarray, >= 0
        Expected photo-electrons per pixel and frame.
    frames : int, >= 1
        Frames averaged. Sums of Poisson variables are Poisson, so the mean is drawn in one go.

    Returns
    -------
    ndarray, float32, grey levels
        ``gain * (Poisson(photons) + read noise) + offset``, rounded to the ADC's steps and saturated. In
        photo-electrons a single frame has mean ``photons`` and variance ``photons + read_noise**2``.
    """
    if frames < 1:
        raise ValueError(f"expected frames >= 1, got {frames}")
    electrons = rng.poisson(frames * photons) / frames
    if camera.read_noise > 0:
        electrons = electrons + rng.normal(0, camera.read_noise / np.sqrt(frames), photons.shape)
    if camera.smoothing_px > 0:
        electrons = gaussian_filter(electrons, camera.smoothing_px)
    grey = camera.gain * electrons + camera.offset
    steps = np.round(grey * frames) / frames
    return np.clip(steps, 0, 2**camera.bits - 1).astype(np.float32)


@lru_cache(maxsize=128)
def _psf_matrix(size: int, sd: float) -> np.ndarray:
    """PSF weights, shape (size, fine bins): how much of a bin's light each pixel of a row collects.

    ``sd`` in pixels. Binning spreads a point evenly over a bin, which adds width^2 / 12 to the variance.
    """
    margin = int(np.ceil(MARGIN * size))
    bins = (size + 2 * margin) * FINE
    centre = (np.arange(bins) + 0.5) / FINE - margin
    sd = np.sqrt(max(sd**2 - 1 / (12 * FINE**2), 1e-4))
    edge = (np.arange(size + 1)[:, None] - centre) / sd
    matrix = np.diff(ndtr(edge), axis=0)
    matrix.flags.writeable = False
    return matrix
