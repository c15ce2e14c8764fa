"""What a network is trained for: to denoise step by step, or, as two of its rivals are, to restore at once.

All losses share these parameters:

output : callable
    ``output(x_t, t, cond)``, the bare network, each (B, 1, H, W) but ``t``, (B,).
schedule : NoiseSchedule
x0, cond : Tensor, shape (B, 1, H, W), network values
generator : torch.Generator
    On the CPU, where a seed means the same to all.

They return a scalar.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_micro.model import at_once
from ddpm_micro.noise import Negated
from ddpm_micro.samplers import sample_ddim
from ddpm_micro.schedule import Denoiser, NoiseSchedule, q_sample, target

Output = Callable[[Tensor, Tensor, Tensor], Tensor]

HIDDEN = 1 / 64  # share of the pixels that Noise2Void hides at a time
REACH = 2  # pixels: a hidden pixel takes the value of one up to this far away, in rows and in columns


def loss(
    output: Output, schedule: NoiseSchedule, prediction: str, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """Mean squared error of ``output(x_t, t, cond)`` against what it should be, a scalar (Ho et al. 2020, eq. 14)."""
    return error(output, schedule, prediction, x0, cond, t, eps).square().mean()


def weighted_loss(
    output: Output,
    schedule: NoiseSchedule,
    prediction: str,
    x0: Tensor,
    cond: Tensor,
    t: Tensor,
    eps: Tensor,
    weight: Tensor,
) -> Tensor:
    """`loss` with a weight for the squared errors of each item, of shape (B, 1, 1, 1)."""
    return (weight * error(output, schedule, prediction, x0, cond, t, eps).square()).mean()


def error(
    output: Output, schedule: NoiseSchedule, prediction: str, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """What the network answers to ``x0``, noised to step t, less what it should answer, shape (B, 1, H, W)."""
    x_t = q_sample(schedule, x0, t, eps)
    return output(x_t, t, cond) - target(schedule, x0, t, eps, prediction)


def loss_weight(schedule: NoiseSchedule, prediction: str, t: Tensor) -> Tensor:
    """How much the error at each ``t`` counts in training, shape (B, 1, 1, 1).

    For v it is the noise rate, sqrt(1 - alpha_bar_t): between 1, with which the many steps of little noise have most
    say, and 1 - alpha_bar_t, with which the loss is the squared error of x0_hat and those near t = T have. For eps it
    is 1, as in the paper: its error of x0 grows without bound towards t = T.
    """
    noise_rate = (1 - schedule.alpha_bar(t)).sqrt().reshape(-1, 1, 1, 1)
    return noise_rate if prediction == "v" else torch.ones_like(noise_rate)


def draw_t_eps(schedule: NoiseSchedule, x0: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A timestep for each item, uniform over all T, and noise; drawn on the CPU, where a seed means the same to all."""
    t = torch.randint(schedule.num_train_timesteps, (len(x0),), generator=generator)
    return t, torch.randn(x0.shape, generator=generator).to(x0)


def care_loss(output: Output, schedule: NoiseSchedule, x0: Tensor, cond: Tensor) -> Tensor:
    """Squared error of the network's answer at once: content-aware restoration (CARE), Weigert et al. 2018.

    A regression. The paper's loss is the absolute error; the squared one leads to the mean, which PSNR rewards.
    """
    return (at_once(output, schedule, cond) - x0).square().mean()


def n2v_loss(output: Output, schedule: NoiseSchedule, cond: Tensor, generator: torch.Generator) -> Tensor:
    """Noise2Void (Krull et al. 2019, arXiv 1811.10980): guess hidden pixels of ``cond`` itself from their neighbours.

    It needs no clean image. If the noise of neighbouring pixels is independent, what can be guessed is the signal.
    """
    seen, hidden = hide(cond, generator)
    return (at_once(output, schedule, seen) - cond)[hidden].square().mean()


def hide(cond: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Replace one pixel in 64, drawn at random, by a near one: the image so changed, and a mask of where."""
    height, width = cond.shape[-2:]
    hidden = torch.rand(cond.shape, generator=generator) < HIDDEN
    hidden[..., 0, 0] |= ~hidden.any()  # never none
    side = 2 * REACH + 1
    away = torch.randint(1, side**2, cond.shape, generator=generator) + side**2 // 2  # any but the pixel itself
    row = (torch.arange(height)[:, None] + away % side**2 // side - REACH) % height
    column = (torch.arange(width) + away % side - REACH) % width
    # Wrapped round at the edges, which is rare and keeps a hidden pixel from standing for itself.
    neighbours = cond.flatten(-2).gather(-1, (row * width + column).flatten(-2).to(cond.device)).view_as(cond)
    hidden = hidden.to(cond.device)
    return torch.where(hidden, neighbours, cond), hidden


def quick_estimate(denoiser: Denoiser, schedule: NoiseSchedule, method: str, cond: Tensor) -> Tensor:
    """The estimate that validation measures: the answer at once or, of a diffusion model, a mean of two samples.

    They are antithetic (see `Negated`), of 5 DDIM steps each, and from the same noise every time. The error of a single
    one would not do: the more a model spreads its samples, as it should, the larger it is.
    """
    if method != "ddpm":
        return at_once(denoiser, schedule, cond)
    steps = min(5, schedule.num_train_timesteps)
    noise = torch.Generator().manual_seed(0), Negated(torch.Generator().manual_seed(0))
    return sum(sample_ddim(denoiser, schedule, cond, steps=steps, generator=one) for one in noise) / 2
