"""Exercises of chapter 1: a camera's noise, the error of an image in decibels, and what averaging frames gains."""

from __future__ import annotations

import numpy as np

from ddpm_micro.simulate.microscope import render
from ddpm_micro.simulate.specimens import microtubules
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.pictures import beside

SIZE, PIXEL_NM = 48, 25
GAIN, OFFSET, READ_NOISE = 2.0, 50.0, 4.0


def _light() -> np.ndarray:
    """A few filaments, (48, 48), with a brightest pixel of 1."""
    dyes = microtubules(np.random.default_rng(1), SIZE * PIXEL_NM)
    light = render(dyes, SIZE, pixel_size_nm=PIXEL_NM, fwhm_nm=70, rayleigh_nm=400)
    return light / light.max()


def _camera_inputs() -> tuple:
    return 20 * _light() + 1, GAIN, OFFSET, READ_NOISE, np.random.default_rng(0)


def _psnr_inputs() -> tuple:
    truth = 20 * _light()
    return truth, np.random.default_rng(0).poisson(truth).astype(float), 20.0


def poisson_gaussian_answer(
    photons: np.ndarray, gain: float, offset: float, read_noise: float, rng: np.random.Generator
) -> np.ndarray:
    """One frame in grey levels: photons are counted, electronics add their noise, both are amplified."""
    electrons = rng.poisson(photons) + rng.normal(0, read_noise, photons.shape)
    return gain * electrons + offset


def psnr_answer(truth: np.ndarray, image: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB; `ddpm_micro.metrics.psnr` is the same with its arguments checked."""
    mse = np.mean((image - truth) ** 2)
    return 10 * np.log10(data_range**2 / mse)


def average_frames_answer(sd: float, n: int) -> float:
    """Standard deviation of the mean of n frames: the variance is divided by n."""
    return sd / np.sqrt(n)


def _drawn_first(photons: np.ndarray, gain: float, offset: float, read_noise: float, rng: np.random.Generator):
    read = rng.normal(0, read_noise, photons.shape)
    return gain * (rng.poisson(photons) + read) + offset


EXERCISES = {
    "poisson_gaussian": Exercise(
        poisson_gaussian_answer,
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
                    poisson_gaussian_answer(photons, gain, 0, read_noise, rng) + gain * offset
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
        psnr_answer,
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
                lambda truth, image, data_range: -psnr_answer(truth, image, data_range),
                "The sign is wrong: a small error is a high PSNR, so the range stands above the error.",
            ),
            "natural logarithm": (
                lambda truth, image, data_range: psnr_answer(truth, image, data_range) * np.log(10),
                "This is np.log, the natural logarithm; decibels take np.log10.",
            ),
            "range of the image": (
                lambda truth, image, data_range: psnr_answer(truth, image, image.max() - image.min()),
                "The range is read off the image under test, so that one hot pixel raises the score; use data_range.",
            ),
            "sum of the errors": (
                lambda truth, image, data_range: psnr_answer(truth, image, data_range) - 10 * np.log10(truth.size),
                "The squared errors are summed; their mean does not depend on the size of the image.",
            ),
        },
        "np.mean((image - truth) ** 2) is the mean squared error; np.log10 is the logarithm.",
    ),
    "average_frames": Exercise(
        average_frames_answer,
        lambda: (3.0, 16),
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
