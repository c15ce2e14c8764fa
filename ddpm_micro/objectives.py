"""What a network is trained for: to denoise step by step, or, as two of its rivals are, to restore at once.

All losses are scalars and share these parameters: ``output(x_t, t, cond)`` is the bare network; ``x0`` and ``cond``
have shape (B, 1, H, W), network values. A generator draws on its own device, where a seed gives other numbers than
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_micro.model import Model, at_once
from ddpm_micro.schedule import NoiseSchedule, q_sample, target

Output = Callable[[Tensor, Tensor, Tensor], Tensor]

HIDDEN = 1 / 64  # share of the pixels that Noise2Void hides at a time
REACH = 2  # pixels: a hidden pixel takes the value of one up to this far away, in rows and in columns


@dataclass(frozen=True)
class Objective:
    """What a network is trained for, in two halves, of which the second holds nothing random.

    Only the second half can be captured as a CUDA graph, which does the same with new numbers at each step.
    """

    draw: Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, ...]]  # (x0, cond, generator) -> all that is random
    loss: Callable[..., Tensor]  # (output, x0, cond, *drawn) -> a scalar


def objective_of(model: Model) -> Objective:
    """The objective of ``model.method``, with the weights and timesteps that the package trains with."""
    if model.method == "care":
        return Objective(lambda x0, cond, generator: (), lambda output, *pair: care_loss(output, model.schedule, *pair))
    if model.method == "n2v":
        return Objective(
            lambda x0, cond, generator: hide(cond, generator),
            lambda output, x0, *masked: n2v_loss(output, model.schedule, *masked),
        )
    return diffusion(model.schedule, model.prediction)


def uniform(schedule: NoiseSchedule, count: int, generator: torch.Generator) -> Tensor:
    """``count`` timesteps, each of all T equally often, shape (count,), int64."""
    return torch.randint(schedule.num_train_timesteps, (count,), generator=generator, device=generator.device)


def loss_weight(schedule: NoiseSchedule, prediction: str, t: Tensor) -> Tensor:
    """How much the error at each ``t`` counts in training, shape (B, 1, 1, 1).

    For v it is the noise rate, sqrt(1 - alpha_bar_t). A weight of 1 would favour the many steps of little noise; a
    weight of 1 - alpha_bar_t gives the squared error of x0_hat, which favours the steps near t = T. This one lies
    between. For eps the weight is 1, as in the paper: its error of x0 grows without bound towards t = T.
    """
    noise_rate = (1 - schedule.alpha_bar(t)).sqrt().reshape(-1, 1, 1, 1)
    return noise_rate if prediction == "v" else torch.ones_like(noise_rate)


def diffusion(
    schedule: NoiseSchedule,
    prediction: str,
    *,
    draw_t: Callable[[NoiseSchedule, int, torch.Generator], Tensor] = uniform,
    weight: Callable[[NoiseSchedule, str, Tensor], Tensor] = loss_weight,
) -> Objective:
    """To tell eps, v or x0 from x_t; ``draw_t`` is the distribution of t, ``weight`` how much an error counts there."""

    def draw(x0: Tensor, cond: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return draw_t_eps(schedule, x0, generator, draw_t)

    def loss(output: Output, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        squared = error(output, schedule, prediction, x0, cond, t, eps).square()
        return (weight(schedule, prediction, t).to(x0) * squared).mean()

    return Objective(draw, loss)


def draw_t_eps(
    schedule: NoiseSchedule,
    x0: Tensor,
    generator: torch.Generator,
    draw_t: Callable[[NoiseSchedule, int, torch.Generator], Tensor] = uniform,
) -> tuple[Tensor, Tensor]:
    """A timestep for each item, shape (B,), and standard normal noise of the shape of ``x0``."""
    t = draw_t(schedule, len(x0), generator).to(x0.device)
    return t, torch.randn(x0.shape, generator=generator, device=generator.device).to(x0)


def loss(
    output: Output, schedule: NoiseSchedule, prediction: str, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """Mean squared error of ``output(x_t, t, cond)`` against what it should be, a scalar (Ho et al. 2020, eq. 14)."""
    return error(output, schedule, prediction, x0, cond, t, eps).square().mean()


def error(
    output: Output, schedule: NoiseSchedule, prediction: str, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """What the network answers to ``x0``, noised to step t, less what it should answer, shape (B, 1, H, W)."""
    x_t = q_sample(schedule, x0, t, eps)
    return output(x_t, t, cond) - target(schedule, x0, t, eps, prediction)


def care_loss(output: Output, schedule: NoiseSchedule, x0: Tensor, cond: Tensor) -> Tensor:
    """Squared error of the network's answer at once: content-aware restoration (CARE), Weigert et al. 2018.

    A regression. The paper's loss is the absolute error; the squared one leads to the mean, which PSNR rewards.
    """
    return (at_once(output, schedule, cond) - x0).square().mean()


def n2v_loss(output: Output, schedule: NoiseSchedule, cond: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
    """Noise2Void (Krull et al. 2019, arXiv 1811.10980): guess hidden pixels of ``cond`` itself from their neighbours.

    It needs no clean image. If the noise of neighbouring pixels is independent, what can be guessed is the signal.
    ``seen`` and ``hidden`` come from `hide`.
    """
    return ((at_once(output, schedule, seen) - cond).square() * hidden).sum() / hidden.sum()


def hide(cond: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace one pixel in 64, drawn at random, by a near one: the image so changed, and a mask of where."""
    random = {"generator": generator, "device": generator.device}
    height, width = cond.shape[-2:]
    hidden = torch.rand(cond.shape, **random) < HIDDEN
    hidden[..., 0, 0] |= ~hidden.any()  # never none
    side = 2 * REACH + 1
    away = torch.randint(1, side**2, cond.shape, **random) + side**2 // 2  # any but the pixel itself
    row = (torch.arange(height, device=away.device)[:, None] + away % side**2 // side - REACH) % height
    column = (torch.arange(width, device=away.device) + away % side - REACH) % width
    # Wrapped round at the edges, which is rare and keeps a hidden pixel from standing for itself.
    neighbours = cond.flatten(-2).gather(-1, (row * width + column).flatten(-2).to(cond.device)).view_as(cond)
    hidden = hidden.to(cond.device)
    return torch.where(hidden, neighbours, cond), hidden
