"""Specimens that no shipped model was trained on, with known truth, for `fine_tuning.py`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from ddpm_micro.simulate.microscope import Camera, expose, render
from ddpm_micro.simulate.specimens import microtubules


@dataclass(frozen=True)
class Microscope:
    """What stands between a specimen and its two images."""

    photons: float  # of the low image where the specimen is brightest
    psf_px: float  # standard deviation of the point spread function in pixels
    camera: Camera


def muscle(rng: np.random.Generator, size: int, psf_px: float) -> np.ndarray:
    """Light (size, size) of striated muscle: fibrils side by side, each with bands every 6 to 9 pixels."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 9)
    row, column = np.mgrid[:size, :size] - size / 2
    along = column * np.cos(angle) + row * np.sin(angle) + bent(rng, size, 20, 4)
    across = row * np.cos(angle) - column * np.sin(angle) + bent(rng, size, 20, 4)
    edges = np.cumsum(rng.uniform(5, 12, size)) - 1.5 * size
    fibril = np.searchsorted(edges, across)
    shift, light = rng.normal(0, 0.12, size + 1) * period, rng.gamma(4, 0.25, size + 1)
    to_edge = np.minimum(np.abs(across - edges[fibril - 1]), np.abs(edges[np.minimum(fibril, size - 1)] - across))
    bands = (0.5 + 0.5 * np.cos(2 * np.pi * (along + shift[fibril]) / period)) ** 4
    return gaussian_filter(light[fibril] * np.minimum(to_edge, 1) * (0.1 + bands), psf_px)


def mesh(rng: np.random.Generator, size: int, psf_px: float) -> np.ndarray:
    """Light (size, size) of a dense sheet of short, bent threads on an uneven haze, as actin under a membrane is."""
    pixel = 60.0
    threads = microtubules(rng, size * pixel, filaments_per_um2=6.0, persistence_nm=1500.0, alignment=0.2)
    light = render(threads, size, pixel_size_nm=pixel, fwhm_nm=2.355 * psf_px * pixel, rayleigh_nm=500)
    haze = np.exp(bent(rng, size, 12, 0.5))
    return light * haze + 0.3 * light.mean() * haze


def bent(rng: np.random.Generator, size: int, width: float, strength: float) -> np.ndarray:
    """A smooth random field of mean 0, with this standard deviation."""
    field = gaussian_filter(rng.normal(size=(size, size)), width, mode="wrap")
    return strength * (field - field.mean()) / field.std()


COUNTING = Camera(gain=9.0, offset=6.0, read_noise=0.3, bits=8)
RESAMPLED = Camera(gain=9.0, offset=20.0, read_noise=2.0, bits=8, smoothing_px=0.5)
SPECIMENS = {
    "muscle": (muscle, Microscope(18.0, 1.1, COUNTING)),
    "mesh": (mesh, Microscope(14.0, 1.0, RESAMPLED)),
}


def fields(name: str, count: int, seed: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Low and high images, each (count, size, size); high is the mean of 200 frames, as in the mixture."""
    specimen, microscope = SPECIMENS[name]
    pairs = []
    for i in range(count):
        rng = np.random.default_rng([seed, list(SPECIMENS).index(name), i])
        light = specimen(rng, size, microscope.psf_px)
        photons = microscope.photons * rng.uniform(0.6, 1.2) * (light / np.percentile(light, 99.5) + 0.03)
        pairs.append([expose(photons, microscope.camera, rng, frames=frames) for frames in (1, 200)])
    low, high = np.stack(pairs, axis=1)
    return low, high
