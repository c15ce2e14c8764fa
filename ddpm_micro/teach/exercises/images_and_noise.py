"""Exercises of chapter 1: a camera's noise, the error of an image in decibels, and what averaging frames gains."""

from __future__ import annotations

import numpy as np

from ddpm_micro import metrics
from ddpm_micro.simulate.microscope import average_frames, poisson_gaussian, render
from ddpm_micro.simulate.specimens import microtubules
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.pictures import beside

SIZE, PIXEL_NM = 48, 25


def _light() -> np.ndarray:
    """A few filaments, (48, 48), with a brightest pixel of 1."""
    dyes = microtubules(np.random.default_rng(1), SIZE * PIXEL_NM)
    light = render(dyes, SIZE, pixel_size_nm=PIXEL_NM, fwhm_nm=70, rayleigh_nm=400)
    return light / light.max()


def _camera_inputs() -> list[tuple]:
    light = _light()
    return [
        (20 * light + 1, 2.3, 47.0, 3.1, np.random.default_rng(0)),
        (90 * light[:20, :31] + 3, 0.7, 12.0, 1.7, np.random.default_rng(1)),
    ]


def _psnr_inputs() -> list[tuple]:
    """Images that are not only noisier but also brighter than the truth, and a range that is not that of either."""
    truth, rng = 20 * _light(), np.random.default_rng(0)
    image = rng.poisson(1.1 * truth + 1).astype(float)
    return [(truth, image, 31.0), (truth[:20, :31] + 2.0, image[:20, :31] - 1.5, 255.0)]


def _drawn_first(photons: np.ndarray, gain: float, offset: float, read_noise: float, rng: np.random.Generator):
    read = rng.normal(0, read_noise, photons.shape)
    return gain * (rng.poisson(photons) + read) + offset


EXERCISES = {
    "poisson_gaussian": Exercise(
        poisson_gaussian,
        _camera_inputs,
        {
            "no shot noise": (
                lambda photons, gain, offset, read_noise, rng: (
                    gain * (photons + rng.normal(0, read_noise, photons.shape)) + offset
                ),
                "The photons are taken as expected; draw them with rng.poisson, since counting has a noise of its own.",
            ),
            "no read noise": (
                lambda photons, gain, offset, read_noise, rng: gain * rng.poisson(photons) + offset,
                "The read noise is missing: add rng.normal(0, read_noise, photons.shape) to the counts.",
            ),
            "read noise not amplified": (
                lambda photons, gain, offset, read_noise, rng: (
                    gain * rng.poisson(photons) + rng.normal(0, read_noise, photons.shape) + offset
                ),
                "The read noise is in photo-electrons, so the gain multiplies it too; here it is added after the gain.",
            ),
            "one read noise for all": (
                lambda photons, gain, offset, read_noise, rng: (
                    gain * (rng.poisson(photons) + rng.normal(0, read_noise)) + offset
                ),
                "All pixels get the same read noise, one number; ask rng.normal for an array of photons.shape.",
            ),
            "offset amplified": (
                lambda photons, gain, offset, read_noise, rng: (
                    poisson_gaussian(photons, gain, 0, read_noise, rng) + gain * offset
                ),
                "The offset is multiplied by the gain; it is in grey levels and is added last.",
            ),
            "read noise drawn first": (
                _drawn_first,
                "The read noise is drawn before the photons: no error, but the check compares draw by draw; swap them.",
            ),
        },
        "rng.poisson(photons) counts. Add rng.normal(0, read_noise, photons.shape), then the gain, then the offset.",
        picture=beside("a frame"),
    ),
    "psnr": Exercise(
        metrics.psnr,
        _psnr_inputs,
        {
            "range not squared": (
                lambda truth, image, data_range: 10 * np.log10(data_range / np.mean((image - truth) ** 2)),
                "The range is not squared; the mean squared error is in grey levels squared, so the range must be too.",
            ),
            "root of the error": (
                lambda truth, image, data_range: 10 * np.log10(data_range / np.sqrt(np.mean((image - truth) ** 2))),
                "Half of what it should be: with R over the root of the error the factor is 20; 10 is for the squares.",
            ),
            "upside down": (
                lambda truth, image, data_range: -metrics.psnr(truth, image, data_range=data_range),
                "The sign is wrong: a small error is a high PSNR, so the range stands above the error.",
            ),
            "natural logarithm": (
                lambda truth, image, data_range: metrics.psnr(truth, image, data_range=data_range) * np.log(10),
                "This is np.log, the natural logarithm; decibels take np.log10.",
            ),
            "range of the image": (
                lambda truth, image, data_range: metrics.psnr(truth, image, data_range=np.ptp(image)),
                "The range is read off the image under test, so that one hot pixel raises the score; use data_range.",
            ),
            "sum of the errors": (
                lambda truth, image, data_range: 10 * np.log10(data_range**2 / np.sum((image - truth) ** 2)),
                "The squared errors are summed; their mean does not depend on the size of the image.",
            ),
        },
        "np.mean((image - truth) ** 2) is the mean squared error; np.log10 is the logarithm.",
    ),
    "average_frames": Exercise(
        average_frames,
        lambda: [(2.7, 12), (0.8, 5)],
        {
            "divided by n": (
                lambda sd, n: sd / n,
                "It is the variance that is divided by n, so the standard deviation is divided by its root.",
            ),
            "unchanged": (
                lambda sd, n: sd,
                "This is the noise of one frame: the errors of independent frames partly cancel in the mean.",
            ),
            "sum, not mean": (
                lambda sd, n: sd * np.sqrt(n),
                "This is the noise of the sum of n frames; the mean divides it by n.",
            ),
            "variance": (
                lambda sd, n: sd**2 / n,
                "This is the variance of the mean; its root is the standard deviation.",
            ),
        },
        "Square sd to get the variance, divide that by n, and take the root.",
    ),
}  # fmt: skip
