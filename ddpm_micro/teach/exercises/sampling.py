"""Exercises of chapter 6: from noise back to an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ddpm_micro import schedule
from ddpm_micro.samplers import ddim_step, ddpm_step
from ddpm_micro.schedule import q_posterior, rates, to_eps
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.inputs import OTHER, OTHER_T, SCHEDULE, membranes, others
from ddpm_micro.teach.exercises.pictures import beside

T, BEFORE = (15, 32, 45), (5, 20, 38)  # three items: little noise, about half, much; long steps, so that slips are seen
JUMPS = beside(*(f"{t} to {s}" for t, s in zip(T, BEFORE, strict=True)))


def _images() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cell membranes, 32 px, as the denoiser's answer; the noisy state; two times; and fresh noise."""
    x0_hat = membranes()
    generator = torch.Generator().manual_seed(0)
    eps, noise = (torch.randn(x0_hat.shape, generator=generator) for _ in range(2))
    t, before = torch.tensor(T), torch.tensor(BEFORE)
    return x0_hat, schedule.q_sample(SCHEDULE, x0_hat, t, eps), t, before, noise


def _reverse_inputs() -> list[tuple]:
    x0_hat, eps, noise = others(3)
    t, before = torch.tensor(OTHER_T), torch.tensor((0, 9, 12, 40))
    x_t = schedule.q_sample(OTHER, x0_hat, t, eps)
    return [(SCHEDULE, *_images()), (OTHER, x0_hat, x_t, t, before, noise)]


def _ddim_inputs() -> list[tuple]:
    return [trial[:-1] for trial in _reverse_inputs()]


def _step(s: Any, x0_hat: Any, x_t: Any, t: Any, before: Any, scale: Callable[[Any], Any], noise: Any) -> Any:
    mean, variance = q_posterior(s, x0_hat, x_t, t, before)
    return mean + scale(variance) * noise


def _mix(s: Any, x0_hat: Any, eps: Any, before: Any, power: int = 1) -> Any:
    signal_rate, noise_rate = rates(s, before, x0_hat)
    return signal_rate**power * x0_hat + noise_rate**power * eps


def to_straight(schedule: Any, x_t: Any, t: Any) -> tuple[Any, Any]:
    """The state on the straight path of flow matching, (1 - s) x0 + s eps, and its share of noise s, (B, 1, 1, 1)."""
    signal_rate, noise_rate = rates(schedule, t, x_t)
    total = signal_rate + noise_rate
    return x_t / total, noise_rate / total


def _straight_inputs() -> list[tuple]:
    return [(s, x_t, t) for s, _, x_t, t, _, _ in _reverse_inputs()]


def _straight(mistake: Callable[..., tuple]) -> Callable[..., tuple]:
    """A mistake as a function of x_t, signal rate and noise rate."""
    return lambda s, x, t: mistake(x, *rates(s, t, x))


EXERCISES = {
    "reverse_step": Exercise(
        ddpm_step,
        _reverse_inputs,
        {
            "no noise": (
                lambda s, x0, x, t, b, n: _step(s, x0, x, t, b, lambda v: 0 * v, n),
                "This is the mean alone; without fresh noise the state has less than its step says: too smooth.",
            ),
            "variance for its root": (
                lambda s, x0, x, t, b, n: _step(s, x0, x, t, b, lambda v: v, n),
                "You scale the noise by the variance; it takes the standard deviation, its square root.",
            ),
            "mean scaled": (
                lambda s, x0, x, t, b, n: q_posterior(s, x0, x, t, b)[0] * q_posterior(s, x0, x, t, b)[1] ** 0.5 + n,
                "You multiply the mean by the standard deviation; it is the noise that takes it.",
            ),
            "noise in full": (
                lambda s, x0, x, t, b, n: _step(s, x0, x, t, b, lambda v: 1, n),
                "The fresh noise is not turned down; multiply it by the root of the variance.",
            ),
            "jump to x0": (
                lambda s, x0, x, t, b, n: schedule.q_sample(s, x0, b, n),
                "This noises x0_hat afresh and forgets x_t; the posterior weighs both.",
            ),
            "swapped": (
                lambda s, x0, x, t, b, n: ddpm_step(s, x, x0, t, b, n),
                "You pass x_t where x0_hat belongs; q_posterior takes the clean image first.",
            ),
            "noise taken off": (
                lambda s, x0, x, t, b, n: ddpm_step(s, x0, x, t, b, -n),
                "The noise is subtracted. Its sign is a matter of chance, so nothing is lost, but write +.",
            ),
            "wrong rate": (
                lambda s, x0, x, t, b, n: q_posterior(s, x0, x, t, b)[0] + rates(s, b, x)[1] * n,
                "You scale by the noise rate of before, but the mean holds a part of the old noise. Use the variance.",
            ),
        },
        "A draw is the mean plus the standard deviation, the root of the variance, times the noise that is passed in.",
        picture=JUMPS,
    ),
    "ddim_step": Exercise(
        ddim_step,
        _ddim_inputs,
        {
            "stands still": (
                lambda s, x0, x, t, b: _mix(s, x0, to_eps(s, x0, x, t), t),
                "This is x_t again: take the noise out with the rates of t, and mix with those of before.",
            ),
            "x_t for the noise": (
                lambda s, x0, x, t, b: _mix(s, x0, x, b),
                "You put x_t where the noise belongs; x_t holds the image too. Take it out with to_eps.",
            ),
            "rates swapped": (
                lambda s, x0, x, t, b: _mix(s, to_eps(s, x0, x, t), x0, b),
                "The rates are swapped: rates returns the signal rate first, and it belongs to x0_hat.",
            ),
            "root forgotten": (
                lambda s, x0, x, t, b: _mix(s, x0, to_eps(s, x0, x, t), b, power=2),
                "You mix with alpha_bar and 1 - alpha_bar; the rates are their square roots.",
            ),
            "posterior mean": (
                lambda s, x0, x, t, b: q_posterior(s, x0, x, t, b)[0],
                "This is the mean of the ancestral step, which counts on fresh noise; DDIM keeps the old noise.",
            ),
        },
        "First to_eps(schedule, x0_hat, x_t, t), then mix x0_hat and that noise with rates(schedule, before, x_t).",
        picture=JUMPS,
    ),
    "timesteps": Exercise(
        schedule.trailing_timesteps,
        lambda: [(SCHEDULE, 7), (OTHER, 11)],
        {
            "from T": (
                lambda s, n: s.timesteps(n) + 1,
                "These are the steps as on paper, 1 to T; in code they are one lower, and the first is T - 1.",
            ),
            "leading": (
                lambda s, n: s.timesteps(n) - s.timesteps(n)[-1],
                "These end at 0 and begin too late: at the first step some image is expected, and there is only noise.",
            ),
            "even whole steps": (
                lambda s, n: torch.arange(s.num_train_timesteps - 1, -1, -(s.num_train_timesteps // n))[:n],
                "T // n cuts the step off to a whole number, and the error adds up; divide by /, and round at the end.",
            ),
            "both ends": (
                lambda s, n: torch.linspace(s.num_train_timesteps - 1, 0, n).round().long(),
                "These end at 0, so that the last jump, to the clean image, is far shorter than the others.",
            ),
            "both ends, cut off": (
                lambda s, n: torch.linspace(s.num_train_timesteps - 1, 0, n).long(),
                "These end at 0, so that the last jump is far shorter than the others. And round, do not cut off.",
            ),
            "upwards": (
                lambda s, n: s.timesteps(n).flip(0),
                "The order is that of noising; sampling begins with the noisiest step.",
            ),
            "cut off": (
                lambda s, n: torch.tensor([int(s.num_train_timesteps * (n - i) / n) - 1 for i in range(n)]),
                "You cut the fractions off; round to the nearest step.",
            ),
        },
        "On paper the steps are T, T - T/n, T - 2T/n, ..., T/n. Round them, and take off 1.",
    ),
    "to_straight": Exercise(
        to_straight,
        _straight_inputs,
        {
            "not divided": (
                _straight(lambda x, a, b: (x, b / (a + b))),
                "s is right, the state is still x_t. Its two factors do not add up to 1 until you divide by their sum.",
            ),
            "noise rate for s": (
                _straight(lambda x, a, b: (x / (a + b), b)),
                "The state is right. In it the noise has the factor noise rate / (sum of both rates), and that is s.",
            ),
            "nothing changed": (
                _straight(lambda x, a, b: (x, b)),
                "This is x_t and its noise rate. On the straight path both factors are divided by their sum.",
            ),
            "multiplied": (
                _straight(lambda x, a, b: (x * (a + b), b / (a + b))),
                "s is right; divide the state by the sum of the rates, do not multiply.",
            ),
            "noise over image": (
                _straight(lambda x, a, b: (x / (a + b), b / a)),
                "The state is right. You return noise rate / signal rate; s is the share of the noise in the whole.",
            ),
            "share of the image": (
                _straight(lambda x, a, b: (x / (a + b), a / (a + b))),
                "The state is right. What you return as s is the share of the image, 1 - s.",
            ),
            "divided by the signal rate": (
                _straight(lambda x, a, b: (x / a, b / a)),
                "Divided by the signal rate, the image has the factor 1 and the noise any. Here the two add up to 1.",
            ),
            "variances": (
                _straight(lambda x, a, b: (x / (a**2 + b**2), b**2 / (a**2 + b**2))),
                "You add alpha_bar and 1 - alpha_bar, which are the squares; the rates are their roots.",
            ),
            "share of the time": (
                lambda s, x, t: (
                    to_straight(s, x, t)[0],
                    (t.reshape(-1, 1, 1, 1) + 1) / s.num_train_timesteps,
                ),
                "The state is right. s is the share of the noise, which the rates tell, not the share of the steps.",
            ),
            "t over T": (
                lambda s, x, t: (x / sum(rates(s, t, x)), t.reshape(-1, 1, 1, 1) / s.num_train_timesteps),
                "The state is right. s is the share of the noise, which the rates tell, not t / T.",
            ),
        },
        "x_t = signal rate * x0 + noise rate * eps. By what must it be divided for the two factors to add up to 1?",
    ),
}  # fmt: skip
