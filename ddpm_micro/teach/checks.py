"""The exercises: ``checks.q_sample(yours)`` says whether it is right and, if not, which usual mistake it makes."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from ddpm_micro import schedule, train
from ddpm_micro.schedule import rates
from ddpm_micro.teach.verdict import Exercise, Verdict

_SCHEDULE = schedule.cosine_schedule(50)


def _images(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 1, 6, 6, generator=generator) for _ in range(count)]


_T = (3, 20, 40)  # of the three items: little noise, about half, much


def _q_sample_inputs() -> tuple:
    x0, eps = _images(2)
    return _SCHEDULE, x0, torch.tensor(_T), eps


def _to_x0_inputs() -> tuple:
    output, x_t = _images(2)
    return _SCHEDULE, output, x_t, torch.tensor(_T), "v"


def _loss_inputs() -> tuple:
    x0, cond, eps = _images(3)
    return (lambda x_t, t, cond: 0.3 * x_t + 0.2 * cond), _SCHEDULE, "v", x0, cond, torch.tensor(_T), eps


def _reverse_inputs() -> tuple:
    x0_hat, x_t, noise = _images(3)
    return _SCHEDULE, x0_hat, x_t, torch.tensor(_T), torch.tensor(_T) - 1, noise


def _samples_inputs() -> tuple:
    return (list(np.random.default_rng(0).normal(5, 2, (4, 3, 3))),)


def reverse_step_answer(s: Any, x0_hat: Any, x_t: Any, t: Any, before: Any, noise: Any) -> Any:
    """One ancestral step from t to ``before``: a draw from q(x_before | x_t, x0_hat)."""
    mean, variance = schedule.q_posterior(s, x0_hat, x_t, t, before)
    return mean + variance.sqrt() * noise


def running_mean_std_answer(samples: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation in one pass, two images in memory whatever their number (Welford 1962)."""
    mean, deviations = 0.0, 0.0
    for k, sample in enumerate(samples, start=1):
        before = sample - mean
        mean = mean + before / k
        deviations = deviations + before * (sample - mean)
    return mean, np.sqrt(deviations / (k - 1))


def averaging_bound_answer(k: float) -> float:
    """Gain in dB of the mean of k exact samples over one: their errors are MMSE (1 + 1/k) and 2 MMSE."""
    return 10 * np.log10(2 * k / (k + 1))


def spread_skill_answer(truth: np.ndarray, samples: np.ndarray) -> float:
    """V/B: variance of a sample over the error of the mean of infinitely many; 1 for an exact posterior."""
    v = samples.var(axis=0, ddof=1).mean()
    b = ((samples.mean(axis=0) - truth) ** 2).mean() - v / len(samples)
    return v / b


def _mixed(s: Any, first: Any, t: Any, second: Any, power: float, swap: bool = False) -> Any:
    signal, noise = rates(s, t, first)
    return (noise if swap else signal) ** power * first + (signal if swap else noise) ** power * second


def _step(s: Any, x0_hat: Any, x_t: Any, t: Any, before: Any, scale: Callable[[Any], Any], noise: Any) -> Any:
    mean, variance = schedule.q_posterior(s, x0_hat, x_t, t, before)
    return mean + scale(variance) * noise


EXERCISES = {
    "q_sample": Exercise(
        schedule.q_sample,
        _q_sample_inputs,
        {
            "root forgotten": (
                lambda s, x0, t, eps: _mixed(s, x0, t, eps, 2),
                "You mix with alpha_bar and 1 - alpha_bar; their square roots keep the variance at 1.",
            ),
            "rates swapped": (
                lambda s, x0, t, eps: _mixed(s, x0, t, eps, 1, swap=True),
                "Signal and noise rate are swapped: at small t the image must be nearly clean.",
            ),
            "t off by one": (
                lambda s, x0, t, eps: schedule.q_sample(s, x0, t - 1, eps),
                "This is the image one step earlier: in code t starts at 0, and alpha_bar[0] already has some noise.",
            ),
        },
        "Read the signal rate sqrt(alpha_bar_t) from the schedule, shape it (B, 1, 1, 1), and mix x0 with eps.",
    ),
    "to_x0": Exercise(
        schedule.to_x0,
        _to_x0_inputs,
        {
            "taken for eps": (
                lambda s, output, x_t, t, _: schedule.to_x0(s, output, x_t, t, "eps"),
                "You treat the output as noise (eps), but it is v.",
            ),
            "rates swapped": (
                lambda s, output, x_t, t, _: _mixed(s, x_t, t, -output, 1, swap=True),
                "Signal and noise rate are swapped.",
            ),
            "sign": (
                lambda s, output, x_t, t, _: _mixed(s, x_t, t, output, 1),
                "The sign of the second term is wrong: v points from the image to the noise.",
            ),
        },
        "x_t and v are the image and the noise, turned by one angle; turn back. No division is needed.",
    ),
    "loss": Exercise(
        train.loss,
        _loss_inputs,
        {
            "sees the clean image": (
                lambda output, s, p, x0, cond, t, eps: (
                    (output(x0, t, cond) - schedule.target(s, x0, t, eps, p)).square().mean()
                ),
                "The network is given x0 itself; it must be given x_t, noised to step t.",
            ),
            "asked for eps": (
                lambda output, s, p, x0, cond, t, eps: train.loss(output, s, "eps", x0, cond, t, eps),
                "The target is the noise, but this network predicts v.",
            ),
            "sum": (
                lambda *a: train.loss(*a) * a[3].numel(),
                "You take the sum: it grows with the number of pixels; take the mean.",
            ),
            "not squared": (
                lambda output, s, p, x0, cond, t, eps: (
                    output(schedule.q_sample(s, x0, t, eps), t, cond) - schedule.target(s, x0, t, eps, p)
                )
                .abs()
                .mean(),
                "You take the absolute error, which leads to the median; the square leads to the mean.",
            ),
        },
        "Noise x0 to step t, call output(x_t, t, cond), and compare it with schedule.target(...).",
    ),
    "reverse_step": Exercise(
        reverse_step_answer,
        _reverse_inputs,
        {
            "no noise": (
                lambda s, x0, x, t, b, n: _step(s, x0, x, t, b, lambda v: 0 * v, n),
                "This is the mean alone: without fresh noise all paths run to one blurred image.",
            ),
            "variance for its root": (
                lambda s, x0, x, t, b, n: _step(s, x0, x, t, b, lambda v: v, n),
                "You scale the noise by the variance; it takes the standard deviation, its square root.",
            ),
            "jump to x0": (
                lambda s, x0, x, t, b, n: schedule.q_sample(s, x0, b, n),
                "This noises x0_hat afresh and forgets x_t; the posterior weighs both.",
            ),
        },
        "schedule.q_posterior gives mean and variance of the step.",
    ),
    "running_mean_std": Exercise(
        running_mean_std_answer,
        _samples_inputs,
        {
            "divided by n": (
                lambda x: (np.mean(x, axis=0), np.std(x, axis=0)),
                "The standard deviation is divided by n; by n - 1 its square is right on average.",
            ),
            "variance": (
                lambda x: (np.mean(x, axis=0), np.var(x, axis=0, ddof=1)),
                "The second result is the variance; take its square root.",
            ),
            "over pixels": (
                lambda x: (np.mean(x, axis=0), np.full_like(x[0], np.std(x, ddof=1))),
                "The spread is over all pixels together; each pixel has its own, over the samples.",
            ),
        },
        "Keep the mean so far and the sum of squared deviations from it.",
    ),
    "averaging_bound": Exercise(
        averaging_bound_answer,
        lambda: (15,),
        {
            "camera frames": (
                lambda k: 10 * np.log10(k),
                "This is the gain of k camera frames, which differ in noise alone; samples differ in what is unknown.",
            ),
            "upside down": (lambda k: -averaging_bound_answer(k), "The sign is wrong: a smaller error is a gain."),
            "20 for 10": (
                lambda k: 2 * averaging_bound_answer(k),
                "A factor 20 is for amplitudes; squared errors take 10.",
            ),
        },
        "One exact sample has squared error 2 MMSE, the mean of k has MMSE (1 + 1/k).",
    ),
    "spread_skill": Exercise(
        spread_skill_answer,
        lambda: (np.zeros((8, 8)), np.random.default_rng(0).normal(0.5, 1, (4, 8, 8))),
        {
            "not corrected": (
                lambda truth, x: x.var(axis=0, ddof=1).mean() / ((x.mean(axis=0) - truth) ** 2).mean(),
                "The error of the mean of K still holds V/K of the samples' own variance; take that off to get B.",
            ),
            "upside down": (
                lambda truth, x: 1 / spread_skill_answer(truth, x),
                "This is B/V; spread over skill is V/B.",
            ),
            "divided by n": (
                lambda truth, x: (
                    x.var(axis=0).mean()
                    / (((x.mean(axis=0) - truth) ** 2).mean() - x.var(axis=0).mean() / len(x))
                ),
                "The variance of the samples needs n - 1 in the denominator (ddof=1).",
            ),
        },
        "V is the mean variance of the samples; the mean of K has the error B + V/K.",
    ),
}  # fmt: skip
_seen: dict[str, Verdict] = {}


def hint(name: str) -> str:
    """A sentence that helps."""
    return _exercise(name).hint


def solution(name: str) -> str:
    """The source of the right function."""
    return inspect.getsource(_exercise(name).answer)


def progress() -> str:
    """What was tried in this notebook so far, a line an exercise."""
    words = {True: "right", False: "not yet"}
    return "\n".join(f"{name:18s}{words[v.passed] if v.attempted else 'not attempted'}" for name, v in _seen.items())


def __getattr__(name: str) -> Callable[[Callable[..., Any]], Verdict]:
    """``checks.NAME`` is the check of that exercise."""
    if name not in EXERCISES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def check(student: Callable[..., Any]) -> Verdict:
        _seen[name] = EXERCISES[name].check(student)
        return _seen[name]

    return check


def _exercise(name: str) -> Exercise:
    if name not in EXERCISES:
        near = difflib.get_close_matches(name, EXERCISES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no exercise {name!r}; expected one of {', '.join(EXERCISES)}{hint}")
    return EXERCISES[name]
