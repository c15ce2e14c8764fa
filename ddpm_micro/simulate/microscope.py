"""From fluorophores to grey levels: point spread function, photons, camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

from ddpm_micro.simulate.emitters import MARGIN, Emitters

FWHM_PER_SD = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian
FINE = 2  # emitters are binned this many times finer than a pixel; what that adds to the PSF is taken off again
DEPTHS = np.array([0.0, 0.8, 1.8, 4.0])  # Rayleigh lengths: emitters are moved to the nearest of these planes


@dataclass(frozen=True)
class Camera:
    """A detector and its digitiser. ValueError for a value outside its range."""

    gain: float = 1.0  # > 0, grey levels per photo-electron
    offset: float = 0.0  # grey levels read without light
    read_noise: float = 0.0  # >= 0, photo-electrons, standard deviation of the electronics' noise
    bits: int = 16  # 1..32, depth of the ADC: readings saturate at ``2**bits - 1``
    # Blur that resampling or demosaicing leaves in a frame, >= 0 px (standard deviation). It correlates the noise of
    # neighbouring pixels, as in many real wide-field images.
    smoothing_px: float = 0.0
    # Noise that is correlated further, as a colour camera's own processing leaves it.
    blotch_noise: float = 0.0  # >= 0, photo-electrons, standard deviation
    blotch_px: float = 2.0  # > 0, px, width of the blotches

    def __post_init__(self) -> None:
        if min(self.gain, self.blotch_px) <= 0 or min(self.read_noise, self.smoothing_px, self.blotch_noise) < 0:
            raise ValueError(f"expected gain and blotch_px > 0, noise and smoothing >= 0, got {self}")
        if not 1 <= self.bits <= 32:
            raise ValueError(f"expected 1..32 bits, got {self.bits}")


def render(
    emitters: Emitters, size: int, *, pixel_size_nm: float, fwhm_nm: float, rayleigh_nm: float = 600.0
) -> np.ndarray:
    """Light that reaches each pixel through a Gaussian point spread function, (size, size) in float64.

    Pixel (i, j) covers y = i..i+1 and x = j..j+1 pixel widths; the PSF keeps each emitter's total. ``fwhm_nm`` is the
    PSF's full width at half maximum in focus, and at ``rayleigh_nm`` from focus the PSF is sqrt(2) times as wide.

    For speed an emitter is moved to the middle of its bin, half a pixel wide, and to the nearest of a few focal
    planes. So one spot is up to a quarter of a pixel off; over many emitters the shifts average out, and the
    PSF is narrowed by just what they widen it.
    """
    # A Gaussian PSF is separable: with emitters binned on a fine grid H the image is A H A^T, where a row of A holds
    # the PSF's exact integrals over one pixel.
    in_focus = fwhm_nm / FWHM_PER_SD / pixel_size_nm
    image = np.zeros((size, size))
    for depth, light in zip(DEPTHS, _bin(emitters, size, pixel_size_nm, rayleigh_nm), strict=True):
        if light.any():
            sd = in_focus * np.sqrt(1 + depth**2)
            image += _collect(_collect(light, size, sd).T, size, sd).T
    return image


def _bin(emitters: Emitters, size: int, pixel_size_nm: float, rayleigh_nm: float) -> np.ndarray:
    """Light of each plane on the fine grid, shape (planes, bins, bins); emitters outside the grid are left out."""
    bins, margin = _grid(size)
    plane = np.searchsorted((DEPTHS[1:] + DEPTHS[:-1]) / 2, np.abs(emitters.z) / rayleigh_nm, side="right")
    column = np.floor((emitters.x / pixel_size_nm + margin) * FINE).astype(int)
    row = np.floor((emitters.y / pixel_size_nm + margin) * FINE).astype(int)
    place = (plane * bins + row) * bins + column
    seen = (column >= 0) & (column < bins) & (row >= 0) & (row < bins)
    light = np.bincount(place[seen], emitters.brightness[seen], len(DEPTHS) * bins**2)
    return light.reshape(len(DEPTHS), bins, bins)


def _grid(size: int) -> tuple[int, int]:
    """Fine bins in a row of the field with its margins, and pixels in one margin."""
    margin = int(np.ceil(MARGIN * size))
    return (size + 2 * margin) * FINE, margin


def poisson_gaussian(
    photons: np.ndarray, gain: float, offset: float, read_noise: float, rng: np.random.Generator
) -> np.ndarray:
    """One frame, neither rounded nor saturated: photons are counted, electronics add noise, both are amplified.

    ``photons`` and ``read_noise`` are in photo-electrons, ``offset`` and the result in grey levels.
    """
    electrons = rng.poisson(photons) + rng.normal(0, read_noise, photons.shape)
    return gain * electrons + offset


def average_frames(sd: float, n: int) -> float:
    """Standard deviation of the mean of n frames with independent noise: the variance is divided by n."""
    return sd / np.sqrt(n)


def expose(photons: np.ndarray, camera: Camera, rng: np.random.Generator, *, frames: int = 1) -> np.ndarray:
    """Mean of ``frames`` >= 1 camera frames, float32, in grey levels.

    ``photons`` >= 0 is the expected number of photo-electrons per pixel and frame. The result is
    ``gain * (Poisson(photons) + read noise) + offset``, rounded to the ADC's steps and saturated; in photo-electrons a
    single frame has mean ``photons`` and variance ``photons + read_noise**2``.

    Sums of Poisson variables are Poisson, so the mean is drawn in one go, and saturates as a whole: a bright pixel of
    which single frames would saturate comes out a little brighter than their mean.
    """
    if frames < 1:
        raise ValueError(f"expected frames >= 1, got {frames}")
    if camera.read_noise > 0:
        read_noise = frames * average_frames(camera.read_noise, frames)  # of the sum of all frames
        electrons = poisson_gaussian(frames * photons, 1, 0, read_noise, rng) / frames
    else:
        electrons = rng.poisson(frames * photons) / frames
    if camera.smoothing_px > 0:
        electrons = gaussian_filter(electrons, camera.smoothing_px)
    if camera.blotch_noise > 0:
        blotches = gaussian_filter(rng.normal(0, 1, photons.shape), camera.blotch_px, mode="wrap")
        # Blurring white noise leaves a standard deviation of 1 / (2 sqrt(pi) width).
        blotch_noise = average_frames(camera.blotch_noise, frames)
        electrons = electrons + blotch_noise * 2 * np.sqrt(np.pi) * camera.blotch_px * blotches
    grey = camera.gain * electrons + camera.offset
    steps = np.round(grey * frames) / frames
    return np.clip(steps, 0, 2**camera.bits - 1).astype(np.float32)


def _collect(light: np.ndarray, size: int, sd: float) -> np.ndarray:
    """``_psf_matrix(size, sd) @ light``, a block of pixels at a time: most of a narrow PSF's matrix is zero."""
    psf = _psf_matrix(size, sd)
    _, margin = _grid(size)
    reach, block = 9 * sd, 32  # pixels; a Gaussian leaves 1e-19 of its light beyond nine standard deviations
    rows = []
    for first in range(0, size, block):
        bins = slice(max(0, int((first + margin - reach) * FINE)), int((first + block + margin + reach) * FINE) + 1)
        rows.append(psf[first : first + block, bins] @ light[bins])
    return np.concatenate(rows)


@lru_cache(maxsize=128)
def _psf_matrix(size: int, sd: float) -> np.ndarray:
    """PSF weights, shape (size, fine bins): how much of a bin's light each pixel of a row collects.

    ``sd`` in pixels. Binning spreads a point evenly over a bin, which adds width^2 / 12 to the variance.
    """
    bins, margin = _grid(size)
    sd = np.sqrt(max(sd**2 - 1 / (12 * FINE**2), 1e-4))
    # Distances from a bin's centre to a pixel's edge come in steps of one bin, so few of them differ.
    distance = (np.arange(-bins, FINE * size + 1) + 0.5) / FINE + margin
    below = ndtr(distance / sd)
    edge = FINE * np.arange(size + 1)[:, None] - np.arange(bins) + bins - 1
    matrix = np.diff(below[edge], axis=0)
    matrix.flags.writeable = False
    return matrix
