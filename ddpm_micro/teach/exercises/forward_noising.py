"""Exercises of chapter 2: noise an image to any step, and say how much of it is left."""

from __future__ import annotations

import torch

from ddpm_micro import schedule
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.inputs import OTHER, OTHER_T, SCHEDULE, T, membranes, mixed, others
from ddpm_micro.teach.exercises.pictures import beside


def _q_sample_inputs() -> list[tuple]:
    """Cell membranes three times, 32 px, for little noise, about half and much; and other images."""
    x0 = membranes()
    eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    return [(SCHEDULE, x0, torch.tensor(T), eps), (OTHER, *others(1), torch.tensor(OTHER_T), *others(1, seed=1))]


def _one_step(s: schedule.NoiseSchedule, x0: torch.Tensor, t: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    alpha = (s.alpha_bar(t) / s.alpha_bar(t - 1)).reshape(-1, 1, 1, 1).to(x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * eps


EXERCISES = {
    "q_sample": Exercise(
        schedule.q_sample,
        _q_sample_inputs,
        {
            "root forgotten": (
                lambda s, x0, t, eps: mixed(s, x0, t, eps, 2),
                "You mix with alpha_bar and 1 - alpha_bar; their square roots keep the variance at 1.",
            ),
            "rates swapped": (
                lambda s, x0, t, eps: mixed(s, x0, t, eps, 1, swap=True),
                "Signal and noise rate are swapped: at small t the image must be nearly clean.",
            ),
            "t off by one": (
                lambda s, x0, t, eps: schedule.q_sample(s, x0, t - 1, eps),
                "This is the image one step earlier: in code t starts at 0, and alpha_bar[0] already has some noise.",
            ),
            "root before the difference": (
                lambda s, x0, t, eps: torch.lerp(eps, x0, schedule.rates(s, t, x0)[0]),
                "The noise rate is sqrt(1 - alpha_bar), not 1 - sqrt(alpha_bar): the squares of the rates add up to 1.",
            ),
            "noise not turned down": (
                lambda s, x0, t, eps: schedule.q_sample(s, x0, t, 0 * eps) + eps,
                "The noise is added in full at every step; multiply it by the noise rate sqrt(1 - alpha_bar).",
            ),
            "root on the image alone": (
                lambda s, x0, t, eps: mixed(s, x0, t, 0 * eps, 1) + mixed(s, 0 * x0, t, eps, 2),
                "The image has its root and the noise has not: its rate is sqrt(1 - alpha_bar).",
            ),
            "root on the noise alone": (
                lambda s, x0, t, eps: mixed(s, x0, t, 0 * eps, 2) + mixed(s, 0 * x0, t, eps, 1),
                "The noise has its root and the image has not: its rate is sqrt(alpha_bar).",
            ),
            "image not turned down": (
                lambda s, x0, t, eps: x0 + mixed(s, 0 * x0, t, eps, 1),
                "The image stays in full at every step; multiply it by the signal rate sqrt(alpha_bar).",
            ),
            "divided by the signal rate": (
                lambda s, x0, t, eps: schedule.q_sample(s, x0, t, eps) / schedule.rates(s, t, x0)[0],
                "This is x_t divided by the signal rate: the image stays in full and the noise grows without end.",
            ),
            "one step alone": (
                lambda s, x0, t, eps: _one_step(s, x0, t, eps),
                "You mix with alpha of one step; alpha_bar is the product of all steps up to t.",
            ),
            "items on the wrong axis": (
                lambda s, x0, t, eps: (
                    s.alpha_bar(t)[None, :, None, None].sqrt() * x0
                    + (1 - s.alpha_bar(t)[None, :, None, None]).sqrt() * eps
                ),
                "alpha_bar lies along the second axis, so each image is noised to every step; reshape(-1, 1, 1, 1).",
            ),
        },
        "Read the signal rate sqrt(alpha_bar_t) from the schedule, shape it (B, 1, 1, 1), and mix x0 with eps.",
        picture=beside(*(f"t = {t}" for t in T)),
    ),
    "snr": Exercise(
        schedule.snr,
        lambda: [(SCHEDULE.alphas_cumprod[[5, 20, 35, 45]],), (torch.tensor([0.9, 0.62, 0.31]),)],
        {
            "amplitudes": (
                lambda alpha_bar: (alpha_bar / (1 - alpha_bar)).sqrt(),
                "This is the ratio of the two rates; the SNR is that of the variances, without the root.",
            ),
            "upside down": (
                lambda alpha_bar: (1 - alpha_bar) / alpha_bar,
                "This is noise over signal: it would grow with t.",
            ),
            "signal alone": (
                lambda alpha_bar: alpha_bar.clone(),
                "This is the variance of the image alone; divide it by that of the noise, 1 - alpha_bar.",
            ),
            "decibels": (
                lambda alpha_bar: 10 * torch.log10(alpha_bar / (1 - alpha_bar)),
                "This is the SNR in decibels; the plain ratio is asked for.",
            ),
            "over all steps": (
                lambda alpha_bar: alpha_bar.mean() / alpha_bar.std(),
                "This is mean over spread of the list of steps, one number; each step has its own SNR.",
            ),
        },
        "The image has the variance alpha_bar in x_t, and the noise has the rest of 1.",
    ),
}  # fmt: skip
