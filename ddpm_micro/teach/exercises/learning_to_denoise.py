"""Exercises of chapter 3: what a network is asked for, and how wrong it is."""

from __future__ import annotations

import torch

from ddpm_micro import objectives, schedule
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.inputs import OTHER, OTHER_T, SCHEDULE, T, images, mixed, others


def _to_x0_inputs() -> list[tuple]:
    return [(SCHEDULE, *images(2), torch.tensor(T), "v"), (OTHER, *others(2), torch.tensor(OTHER_T), "v")]


def _to_eps_inputs() -> list[tuple]:
    trials = []
    for s, (x0, eps), t in ((SCHEDULE, images(2), torch.tensor(T)), (OTHER, others(2), torch.tensor(OTHER_T))):
        trials.append((s, x0, schedule.q_sample(s, x0, t, eps), t))
    return trials


def _network(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
    return 0.3 * x_t + 0.2 * cond + 0.005 * t.reshape(-1, 1, 1, 1)


def _loss_inputs() -> list[tuple]:
    (x0, cond, eps), (other_x0, other_cond, other_eps) = images(3), others(3)
    return [
        (_network, SCHEDULE, "v", x0, cond, torch.tensor(T), eps),
        (_network, OTHER, "eps", other_x0, other_cond, torch.tensor(OTHER_T), other_eps),
    ]


def _mse(f, s, p, x0, cond, t, eps, *, seen=None, wanted=None) -> torch.Tensor:
    """The loss of a network that sees, or is compared with, something else."""
    seen = schedule.q_sample(s, x0, t, eps) if seen is None else seen
    wanted = schedule.target(s, x0, t, eps, p) if wanted is None else wanted
    return (f(seen, t, cond) - wanted).square().mean()


def _mse_of_images(f, s, p, x0, cond, t, eps) -> torch.Tensor:
    x_t = schedule.q_sample(s, x0, t, eps)
    return (schedule.to_x0(s, f(x_t, t, cond), x_t, t, p) - x0).square().mean()


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
            "gives the noise": (
                lambda s, output, x_t, t, _: mixed(s, output, t, x_t, 1),
                "This is eps, the noise; the image is signal rate times x_t minus noise rate times v.",
            ),
            "divided": (
                lambda s, output, x_t, t, _: (
                    (schedule.rates(s, t, x_t)[0] * x_t - output) / schedule.rates(s, t, x_t)[1]
                ),
                "You solve the formula of v with x_t in the place of eps; x_t is a mixture itself.",
            ),
            "root forgotten": (
                lambda s, output, x_t, t, _: mixed(s, x_t, t, -output, 2),
                "You mix with alpha_bar and 1 - alpha_bar; the rates are their square roots.",
            ),
            "rates left out": (
                lambda s, output, x_t, t, _: x_t - output,
                "Neither rate is used: x_t is multiplied by the signal rate and v by the noise rate.",
            ),
        },
        "x_t and v are the image and the noise, turned by one angle; turn back. No division is needed.",
        shown=(schedule.v_to_x0,),
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
            "divided by the signal rate": (
                lambda s, x0, x_t, t: (
                    (x_t - schedule.rates(s, t, x_t)[0] * x0) / schedule.rates(s, t, x_t)[0]
                ),
                "You divide by the signal rate; what is left of x_t is noise rate times eps.",
            ),
            "root forgotten": (
                lambda s, x0, x_t, t: (
                    (x_t - schedule.rates(s, t, x_t)[0] ** 2 * x0) / schedule.rates(s, t, x_t)[1] ** 2
                ),
                "You use alpha_bar and 1 - alpha_bar; the rates are their square roots.",
            ),
            "gives v": (
                lambda s, x0, x_t, t: schedule.target(s, x0, t, schedule.to_eps(s, x0, x_t, t), "v"),
                "This is v; the noise itself was asked for.",
            ),
            "rates left out": (
                lambda s, x0, x_t, t: x_t - x0,
                "Neither rate is used: take signal rate times x0 off x_t, and divide by the noise rate.",
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
            "compared with its input": (
                lambda f, s, p, x0, cond, t, eps: _mse(
                    f, s, p, x0, cond, t, eps, wanted=schedule.q_sample(s, x0, t, eps)
                ),
                "The output is compared with x_t, which the network was given; compare it with schedule.target(...).",
            ),
            "sees the condition twice": (
                lambda f, s, p, x0, cond, t, eps: _mse(f, s, p, x0, cond, t, eps, seen=cond),
                "The network is given cond in the place of x_t; call output(x_t, t, cond).",
            ),
            "condition noised": (
                lambda f, s, p, x0, cond, t, eps: _mse(
                    f, s, p, x0, cond, t, eps, seen=schedule.q_sample(s, cond, t, eps)
                ),
                "You noise cond; it is x0 that is noised, and cond is passed on as it is.",
            ),
            "square of the mean": (
                lambda *a: objectives.error(*a).mean() ** 2,
                "You square the mean, in which errors of both signs cancel; take the mean of the squares.",
            ),
            "weighted": (
                lambda f, s, p, x0, cond, t, eps: (
                    (schedule.rates(s, t, x0)[1] * objectives.error(f, s, p, x0, cond, t, eps).square()).mean()
                ),
                "You weight the squares with the noise rate, as training does; here all count the same.",
            ),
            "compared as images": (
                _mse_of_images,
                "You turn the output into an image first and compare that with x0; compare the output with its target.",
            ),
        },
        "Noise x0 to step t, call output(x_t, t, cond), and compare it with schedule.target(...).",
        shown=(objectives.error, objectives.loss),
    ),
}  # fmt: skip
