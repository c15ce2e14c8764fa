"""Exercises of chapter 3: what a network is asked for, and how wrong it is."""

from __future__ import annotations

import torch

from ddpm_micro import objectives, schedule
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.inputs import SCHEDULE, T, images, mixed


def _to_x0_inputs() -> tuple:
    output, x_t = images(2)
    return SCHEDULE, output, x_t, torch.tensor(T), "v"


def _to_eps_inputs() -> tuple:
    x0, eps = images(2)
    return SCHEDULE, x0, schedule.q_sample(SCHEDULE, x0, torch.tensor(T), eps), torch.tensor(T)


def _loss_inputs() -> tuple:
    x0, cond, eps = images(3)
    return (lambda x_t, t, cond: 0.3 * x_t + 0.2 * cond), SCHEDULE, "v", x0, cond, torch.tensor(T), eps


EXERCISES = {
    "to_x0": Exercise(
        schedule.to_x0,
        _to_x0_inputs,
        {
            "taken for eps": (
                lambda s, output, x_t, t, _: schedule.to_x0(s, output, x_t, t, "eps"),
                "You treat the output as noise (eps), but it is v.",
            ),
            "rates swapped": (
                lambda s, output, x_t, t, _: mixed(s, x_t, t, -output, 1, swap=True),
                "Signal and noise rate are swapped.",
            ),
            "sign": (
                lambda s, output, x_t, t, _: mixed(s, x_t, t, output, 1),
                "The sign of the second term is wrong: v points from the image to the noise.",
            ),
        },
        "x_t and v are the image and the noise, turned by one angle; turn back. No division is needed.",
    ),
    "to_eps": Exercise(
        schedule.to_eps,
        _to_eps_inputs,
        {
            "not divided": (
                lambda s, x0, x_t, t: schedule.to_eps(s, x0, x_t, t) * schedule.rates(s, t, x_t)[1],
                "This is the noise as it is mixed in, times its rate; divide by the noise rate.",
            ),
            "image in full": (
                lambda s, x0, x_t, t: (x_t - x0) / schedule.rates(s, t, x_t)[1],
                "You take off the image in full; x_t holds only signal rate times x0 of it.",
            ),
            "rates swapped": (
                lambda s, x0, x_t, t: (x_t - schedule.rates(s, t, x_t)[1] * x0) / schedule.rates(s, t, x_t)[0],
                "Signal and noise rate are swapped: the signal rate multiplies x0, the noise rate divides.",
            ),
            "sign": (
                lambda s, x0, x_t, t: -schedule.to_eps(s, x0, x_t, t),
                "The sign is wrong: noise that makes a pixel brighter than its image is positive.",
            ),
        },
        "Take signal rate times x0 off x_t; what is left is noise rate times eps.",
    ),
    "loss": Exercise(
        objectives.loss,
        _loss_inputs,
        {
            "sees the clean image": (
                lambda output, s, p, x0, cond, t, eps: (
                    (output(x0, t, cond) - schedule.target(s, x0, t, eps, p)).square().mean()
                ),
                "The network is given x0 itself; it must be given x_t, noised to step t.",
            ),
            "asked for eps": (
                lambda output, s, p, x0, cond, t, eps: objectives.loss(output, s, "eps", x0, cond, t, eps),
                "The target is the noise, but this network predicts v.",
            ),
            "sum": (
                lambda *a: objectives.loss(*a) * a[3].numel(),
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
}  # fmt: skip
