"""Wrong answers as a student would write them, in plain NumPy and PyTorch: each check must say what is wrong with them.

`test_checks.py` hands each check the package's own version of a mistake. If that were another mistake than its sentence
describes, only the lines below would notice.
"""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ddpm_micro.schedule import q_posterior, q_sample, rates, target, to_eps
from ddpm_micro.teach import checks


def alpha_bar(schedule, t):
    return schedule.alpha_bar(t).float().reshape(-1, 1, 1, 1)


def residual(x, scale, conv_0, conv_1, *, a=0.7, b=0.3, silu=0.596):
    y = conv_0(F.silu(x) / silu)
    y = conv_1(F.silu(y * scale) / silu)
    return (a * x + b * y) / math.sqrt(0.7**2 + 0.3**2)


def counts_of(samples, count):
    return [count(sample) for sample in samples]


def inside(truth, samples, half_width):
    return np.mean(np.abs(truth - samples.mean(0)) < half_width)


def running(samples, step):
    mean, m2 = 0.0, 0.0
    for k, sample in enumerate(samples, start=1):
        old, mean = mean, mean + (sample - mean) / k
        m2 = m2 + step(sample, old, mean)
    return mean, np.sqrt(m2 / (k - 1))


def field(kernels, strides):
    width, jump = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        jump *= stride
        width += (kernel - 1) * jump
    return width


def half_cosine(step, steps):
    return 0.5 + 0.5 * np.cos(np.pi * step / steps)


def all_signs(gains):
    return np.array(list(itertools.product([1, -1], repeat=len(gains))))


def binomial(wins, n):
    return min(1, 2 * sum(math.comb(n, k) for k in range(wins, n + 1)) / 2**n)


STUDENTS = [
    ("poisson_gaussian", "no shot noise", lambda p, g, o, r, rng: g * (p + rng.normal(0, r, p.shape)) + o),
    ("poisson_gaussian", "no read noise", lambda p, g, o, r, rng: g * rng.poisson(p) + o),
    (
        "poisson_gaussian",
        "offset amplified",
        lambda p, g, o, r, rng: g * (rng.poisson(p) + rng.normal(0, r, p.shape) + o),
    ),
    ("psnr", "range not squared", lambda a, b, r: 10 * np.log10(r / np.mean((a - b) ** 2))),
    ("psnr", "natural logarithm", lambda a, b, r: 10 * np.log(r**2 / np.mean((a - b) ** 2))),
    ("psnr", "root of the error", lambda a, b, r: 10 * np.log10(r / np.sqrt(np.mean((a - b) ** 2)))),
    ("average_frames", "divided by n", lambda sd, n: sd / n),
    ("average_frames", "sum, not mean", lambda sd, n: sd * n**0.5),
    ("q_sample", "root forgotten", lambda s, x, t, e: alpha_bar(s, t) * x + (1 - alpha_bar(s, t)) * e),
    (
        "q_sample",
        "root before the difference",
        lambda s, x, t, e: alpha_bar(s, t).sqrt() * x + (1 - alpha_bar(s, t).sqrt()) * e,
    ),
    (
        "q_sample",
        "rates swapped",
        lambda s, x, t, e: (1 - alpha_bar(s, t)).sqrt() * x + alpha_bar(s, t).sqrt() * e,
    ),
    ("q_sample", "noise not turned down", lambda s, x, t, e: alpha_bar(s, t).sqrt() * x + e),
    ("snr", "amplitudes", lambda a: (a / (1 - a)) ** 0.5),
    ("snr", "upside down", lambda a: (1 - a) / a),
    (
        "to_x0",
        "taken for eps",
        lambda s, o, x, t, p: (x - (1 - alpha_bar(s, t)).sqrt() * o) / alpha_bar(s, t).sqrt(),
    ),
    ("to_x0", "sign", lambda s, o, x, t, p: alpha_bar(s, t).sqrt() * x + (1 - alpha_bar(s, t)).sqrt() * o),
    ("to_eps", "not divided", lambda s, x0, x, t: x - alpha_bar(s, t).sqrt() * x0),
    ("to_eps", "image in full", lambda s, x0, x, t: (x - x0) / (1 - alpha_bar(s, t)).sqrt()),
    (
        "loss",
        "sees the clean image",
        lambda f, s, p, x0, c, t, e: ((f(x0, t, c) - target(s, x0, t, e, p)) ** 2).mean(),
    ),
    ("loss", "asked for eps", lambda f, s, p, x0, c, t, e: ((f(q_sample(s, x0, t, e), t, c) - e) ** 2).mean()),
    ("receptive_field", "own stride counted", field),
    ("receptive_field", "strides left out", lambda k, s: 1 + sum(n - 1 for n in k)),
    ("receptive_field", "only the own stride", lambda k, s: 1 + sum((n - 1) * m for n, m in zip(k, s, strict=True))),
    ("fourier_features", "no 2 pi", lambda v, f, p: 2**0.5 * torch.cos(v[:, None] * f + p)),
    ("fourier_features", "no root of 2", lambda v, f, p: torch.cos(2 * torch.pi * (v[:, None] * f + p))),
    ("residual_block", "weights swapped", lambda *a: residual(*a, a=0.3, b=0.7)),
    ("residual_block", "SiLU shrinks", lambda *a: residual(*a, silu=1)),
    ("residual_block", "noise level ignored", lambda x, scale, f, g: residual(x, 1, f, g)),
    ("augment", "only x0", lambda x, c, n, flip: (np.rot90(x, n)[:, ::-1] if flip else np.rot90(x, n), c)),
    ("augment", "flip first", lambda x, c, n, flip: tuple(np.rot90(np.fliplr(i) if flip else i, n) for i in (x, c))),
    (
        "augment",
        "top to bottom",
        lambda x, c, n, flip: tuple(np.rot90(i, n)[::-1] if flip else np.rot90(i, n) for i in (x, c)),
    ),
    ("learning_rate", "below zero", lambda k, n, peak, w: peak * np.minimum((k + 1) / w, np.cos(np.pi * k / n))),
    ("learning_rate", "no peak", lambda k, n, peak, w: np.minimum((k + 1) / w, half_cosine(k, n))),
    ("learning_rate", "brackets", lambda k, n, peak, w: peak * np.minimum(k + 1 / w, half_cosine(k, n))),
    ("ema_update", "rates swapped", lambda average, now, d: (1 - d) * average + d * now),
    ("ema_update", "adds up", lambda average, now, d: average + (1 - d) * now),
    ("reverse_step", "no noise", lambda s, x0, x, t, b, n: q_posterior(s, x0, x, t, b)[0]),
    (
        "reverse_step",
        "variance for its root",
        lambda s, x0, x, t, b, n: q_posterior(s, x0, x, t, b)[0] + q_posterior(s, x0, x, t, b)[1] * n,
    ),
    (
        "ddim_step",
        "stands still",
        lambda s, x0, x, t, b: rates(s, b, x)[0] * x0 + rates(s, b, x)[1] * to_eps(s, x0, x, b),
    ),
    (
        "ddim_step",
        "rates swapped",
        lambda s, x0, x, t, b: rates(s, b, x)[1] * x0 + rates(s, b, x)[0] * to_eps(s, x0, x, t),
    ),
    ("ddim_step", "x_t for the noise", lambda s, x0, x, t, b: rates(s, b, x)[0] * x0 + rates(s, b, x)[1] * x),
    (
        "timesteps",
        "from T",
        lambda s, n: torch.tensor([round(s.num_train_timesteps * (n - i) / n) for i in range(n)]),
    ),
    ("timesteps", "both ends, cut off", lambda s, n: torch.linspace(s.num_train_timesteps - 1, 0, n).long()),
    (
        "to_straight",
        "noise rate for s",
        lambda s, x, t: (
            x / (alpha_bar(s, t) ** 0.5 + (1 - alpha_bar(s, t)) ** 0.5),
            (1 - alpha_bar(s, t)) ** 0.5,
        ),
    ),
    (
        "to_straight",
        "divided by the signal rate",
        lambda s, x, t: (x / alpha_bar(s, t) ** 0.5, (1 / alpha_bar(s, t) - 1) ** 0.5),
    ),
    ("sign_flip_p", "one side", lambda g: np.mean([np.mean(g * s) >= np.mean(g) for s in all_signs(g)])),
    ("sign_flip_p", "signs alone", lambda g: binomial(max(sum(g > 0), sum(g < 0)), len(g))),
    ("running_mean_std", "old mean squared", lambda s: running(s, lambda x, old, new: (x - old) ** 2)),
    ("running_mean_std", "new mean squared", lambda s: running(s, lambda x, old, new: (x - new) ** 2)),
    ("running_mean_std", "divided by n", lambda s: (np.mean(list(s), 0), np.std(list(s), 0))),
    ("averaging_bound", "camera frames", lambda k: 10 * np.log10(k)),
    ("averaging_bound", "upside down", lambda k: 10 * np.log10((1 + 1 / k) / 2)),
    (
        "spread_skill",
        "not corrected",
        lambda truth, s: np.mean(s.var(0, ddof=1)) / np.mean((truth - s.mean(0)) ** 2),
    ),
    (
        "coverage",
        "mean taken as exact",
        lambda truth, s, factor: inside(truth, s, factor * s.std(0, ddof=1)),
    ),
    (
        "coverage",
        "standard error",
        lambda truth, s, factor: inside(truth, s, factor * s.std(0, ddof=1) / len(s) ** 0.5),
    ),
    (
        "conformal_factor",
        "not corrected",
        lambda t, m, e, out, level: np.quantile(np.abs(t[~out] - m[~out]) / e[~out], level),
    ),
    (
        "conformal_factor",
        "spread forgotten",
        lambda t, m, e, out, level: np.quantile(np.abs(t - m)[~out], level * (sum(~out) + 1) / sum(~out)),
    ),
    ("scale_back", "offset on the spread", lambda mean, std, o, s: (mean * s + o, std * s + o)),
    ("scale_back", "variance", lambda mean, std, o, s: (mean * s + o, std * s**2)),
    ("count_spread", "counted in the mean", lambda s, count: (count(np.mean(s, axis=0)), 0)),
    ("count_spread", "divided by n", lambda s, count: (np.mean(counts_of(s, count)), np.std(counts_of(s, count)))),
    ("training_memory", "weights alone", lambda weights, per_pixel, n, side: 4 * weights + per_pixel * n * side**2),
    ("training_memory", "side for area", lambda weights, per_pixel, n, side: 20 * weights + per_pixel * n * side),
    ("camera_hours", "one step", lambda frames, mp, samples, steps, sec: frames * mp * samples * sec / 3600),
    ("camera_hours", "minutes", lambda frames, mp, samples, steps, sec: frames * mp * samples * steps * sec / 60),
]


@pytest.mark.parametrize(
    ("name", "mistake", "student"), STUDENTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_students_mistake_is_told_by_its_name(name: str, mistake: str, student: object) -> None:
    verdict = getattr(checks, name)(student)
    assert (verdict.mistake, verdict.passed) == (mistake, False), verdict.message


def test_each_exercise_has_met_a_student() -> None:
    assert {name for name, *_ in STUDENTS} == set(checks.EXERCISES)
