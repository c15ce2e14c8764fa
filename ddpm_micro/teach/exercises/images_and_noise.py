"""Exercises of chapter 1: a camera's noise, the error of an image in decibels, and what averaging frames gains."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from ddpm_micro import metrics
from ddpm_micro.simulate.microscope import average_frames, poisson_gaussian, render
from ddpm_micro.simulate.specimens import microtubules
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.pictures import beside

SIZE, PIXEL_NM = 48, 25


@cache
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


def _same_statistics(student: Callable[..., np.ndarray]) -> bool:
    """Whether frames have the formula's mean and variance, whole counts and independent pixels, from rng alone."""
    photons = np.repeat([2.0, 20.0, 80.0], 4000).reshape(3, 4000)
    frames = [np.asarray(student(photons.copy(), 2.3, 47.0, 3.1, np.random.default_rng(seed))) for seed in (5, 5, 6)]
    if frames[0].shape != photons.shape or not np.array_equal(frames[0], frames[1]):
        return False
    counts = np.asarray(student(photons.copy(), 1.0, 0.0, 0.0, np.random.default_rng(7)))  # no read noise
    mean, variance = 2.3 * photons[:, 0] + 47, 2.3**2 * (photons[:, 0] + 3.1**2)
    fractions = np.abs(frames[0] - frames[0].round()).mean()  # 0.25 unless the grey levels are rounded
    neighbours = [
        np.corrcoef(frame[:, :-1].ravel(), frame[:, 1:].ravel())[0, 1]
        for frame in frames[:1]
        for frame in frame[:, None]
    ]
    return (
        np.abs(frames[0].mean(1) - mean).max() < 4 * np.sqrt(variance.max() / 4000)
        and np.abs(frames[0].var(1) / variance - 1).max() < 0.12
        and not np.array_equal(frames[0], frames[2])
        and 0.2 < fractions < 0.3
        and np.abs(counts - counts.round()).max() < 1e-3
        and np.abs(neighbours).max() < 0.1
        and np.abs(np.corrcoef(frames[0])[np.triu_indices(3, 1)]).max() < 0.1
    )


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
            "normal photons": (
                lambda p, g, o, r, rng: g * (rng.normal(p, p**0.5) + rng.normal(0, r, p.shape)) + o,
                "The photons are drawn from a normal distribution; they are whole numbers: rng.poisson(photons).",
            ),
            "one normal noise": (
                lambda p, g, o, r, rng: g * rng.normal(p, (p + r**2) ** 0.5) + o,
                "One normal noise of the right variance stands for both; photons are whole: rng.poisson(photons).",
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
            "gain within the counting": (
                lambda p, g, o, r, rng: rng.poisson(g * p) + g * rng.normal(0, r, p.shape) + o,
                "You multiply the photons before they are counted, as if there were more light; the gain comes after.",
            ),
            "read noise subtracted": (
                lambda photons, gain, offset, read_noise, rng: (
                    gain * (rng.poisson(photons) - rng.normal(0, read_noise, photons.shape)) + offset
                ),
                "The read noise is subtracted. It is as often negative as positive, so nothing is lost, but write +.",
            ),
            "offset amplified": (
                lambda photons, gain, offset, read_noise, rng: (
                    poisson_gaussian(photons, gain, 0, read_noise, rng) + gain * offset
                ),
                "The offset is multiplied by the gain; it is in grey levels and is added last.",
            ),
            "read noise as the mean": (
                lambda p, gain, offset, read_noise, rng: (
                    gain * (rng.poisson(p) + rng.normal(read_noise, size=p.shape)) + offset
                ),
                "rng.normal takes the mean first, and yours is read_noise: rng.normal(0, read_noise, photons.shape).",
            ),
            "noise on top of the photons": (
                lambda p, gain, offset, read_noise, rng: (
                    gain * (p + rng.poisson(p) + rng.normal(0, read_noise, p.shape)) + offset
                ),
                "The drawn count is added to the photons: rng.poisson(photons) is the count, signal and noise in one.",
            ),
            "gain before counting": (
                lambda p, gain, offset, read_noise, rng: (
                    rng.poisson(gain * p) + rng.normal(0, read_noise, p.shape) + offset
                ),
                "The gain stands inside rng.poisson, as if grey levels were counted; count photons, then amplify.",
            ),
            "read noise multiplies": (
                lambda p, gain, offset, read_noise, rng: (
                    gain * rng.poisson(p) * read_noise * rng.normal(size=p.shape) + offset
                ),
                "The read noise multiplies the counts; it is added to them, also where there is no light.",
            ),
            "one row of read noise": (
                lambda p, gain, offset, read_noise, rng: (
                    gain * (rng.poisson(p) + rng.normal(0, read_noise, p.shape[1])) + offset
                ),
                "All rows get the same read noise; ask rng.normal for an array of photons.shape, both sides of it.",
            ),
        },
        "rng.poisson(photons) counts. Add rng.normal(0, read_noise, photons.shape), then the gain, then the offset.",
        picture=beside("a frame"),
        alike=_same_statistics,
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
            "absolute error": (
                lambda truth, image, data_range: 20 * np.log10(data_range / np.mean(np.abs(image - truth))),
                "You take the mean of the absolute differences; PSNR takes the mean of their squares.",
            ),
            "sum of the errors": (
                lambda truth, image, data_range: 10 * np.log10(data_range**2 / np.sum((image - truth) ** 2)),
                "The squared errors are summed; their mean does not depend on the size of the image.",
            ),
            "no mean": (
                lambda truth, image, data_range: 10 * np.log10(data_range**2 / (image - truth) ** 2),
                "The mean over the pixels is missing: this is one number a pixel.",
            ),
            "variance": (
                lambda truth, image, data_range: 10 * np.log10(data_range**2 / np.var(image - truth)),
                "This is the variance of the difference, blind to a wrong brightness; take the mean of the squares.",
            ),
            "whole numbers": (
                lambda truth, image, data_range: (
                    10 * np.log10(data_range**2 / np.mean((image.astype(int) - truth.astype(int)) ** 2))
                ),
                "The images are cut to whole numbers first, which changes the error; leave their fractions.",
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
            "root of the other": (
                lambda sd, n: np.sqrt(sd) / n,
                "The root is of sd; it belongs to n, which the variance is divided by.",
            ),
            "squares": (
                lambda sd, n: (sd / n) ** 2,
                "This is the square of sd / n; the variance sd**2 is divided by n, and then comes the root.",
            ),
            "power 1 / 2": (
                lambda sd, n: sd / n / 2,
                "n**1/2 is n/2: powers come before divisions. Write n**0.5 or np.sqrt(n).",
            ),
        },
        "Square sd to get the variance, divide that by n, and take the root.",
    ),
}  # fmt: skip
