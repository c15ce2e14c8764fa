"""From noise to an image: three ways of running the diffusion backwards.

A sampler knows a denoiser and a schedule, nothing else. All samplers share these parameters:

denoiser, schedule
    See above, and `ddpm_micro.schedule`.
cond : Tensor, shape (B, 1, H, W)
    The condition; one sample is drawn per item.
steps : int, 1..T
    Network calls.
generator : torch.Generator, a list of B of them or of `Negated` ones, or None
    Source of the noise. With a list, item i of the batch draws from generator i alone, so that a sample does
    not depend on its batch mates.
callback : callable, optional
    Called as ``callback(step, t, x, x0_hat)`` after each step with its number from 0, the timestep it left,
    the new state and the denoiser's answer.
clip : (float, float), optional
    Range that every x0_hat is held in.

They return x0, Tensor of shape (B, 1, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ddpm_micro.noise import Generators, noise_like
from ddpm_micro.schedule import Denoiser, NoiseSchedule, q_posterior, rates, to_eps

Callback = Callable[[int, int, Tensor, Tensor], None]


def ddpm_step(schedule: NoiseSchedule, x0_hat: Tensor, x_t: Tensor, t: Tensor, before: Tensor, noise: Tensor) -> Tensor:
    """One ancestral step from ``t`` to ``before``: a draw from q(x_before | x_t, x0_hat).

    ``t`` and ``before`` are int64 of shape (B,), ``before < t``; -1 is the clean image. The other arguments and the
    result have the shape (B, 1, H, W); ``noise`` is standard normal.
    """
    mean, variance = q_posterior(schedule, x0_hat, x_t, t, before)
    return mean + variance.sqrt() * noise


def ddim_step(schedule: NoiseSchedule, x0_hat: Tensor, x_t: Tensor, t: Tensor, before: Tensor) -> Tensor:
    """One DDIM step with eta = 0: take the noise out of ``x_t``, and put less of the same noise back.

    Shapes as in `ddpm_step`.
    """
    eps_hat = to_eps(schedule, x0_hat, x_t, t)
    signal_rate, noise_rate = rates(schedule, before, x_t)
    return signal_rate * x0_hat + noise_rate * eps_hat


def dpmpp_2m_step(
    schedule: NoiseSchedule,
    x0_hat: Tensor,
    x_t: Tensor,
    t: Tensor,
    before: Tensor,
    last: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """One step of DPM-Solver++(2M): the DDIM step of an x0_hat that goes on changing as it did in the last step.

    ``last`` is the pair of x0_hat and t of the last step. Without it, and on the way to the clean image, the step is
    of first order, which is DDIM. Shapes as in `ddpm_step`.
    """
    if last is not None and before[0] >= 0:
        earlier, t_earlier = last
        # The solver's time is lambda = log sqrt(SNR), in which the last step and this one have these widths.
        widths = [schedule.snr(b).log() - schedule.snr(a).log() for a, b in ((t_earlier, t), (t, before))]
        ratio = (widths[1] / widths[0]).reshape(-1, 1, 1, 1).to(x_t)
        x0_hat = x0_hat + ratio / 2 * (x0_hat - earlier)
    return ddim_step(schedule, x0_hat, x_t, t, before)


def sample_ddpm(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    cond: Tensor,
    *,
    steps: int | None = None,
    generator: Generators = None,
    callback: Callback | None = None,
    clip: tuple[float, float] | None = None,
) -> Tensor:
    """Ancestral sampling (Ho et al. 2020, algorithm 2): a draw from q(x_s | x_t, x0_hat) at every step.

    ``steps=None`` takes all T.

    The posterior variance is right for data that are one point, or for infinitely many steps; with fewer the
    samples spread a little less than they should.
    """

    def step(x0_hat: Tensor, x: Tensor, t: Tensor, before: Tensor) -> Tensor:
        noise = noise_like(cond, generator) if before[0] >= 0 else torch.zeros_like(x)
        return ddpm_step(schedule, x0_hat, x, t, before, noise)

    steps = schedule.num_train_timesteps if steps is None else steps
    return _walk(step, denoiser, schedule, cond, steps, generator, callback, clip)


def sample_ddim(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    cond: Tensor,
    *,
    steps: int = 20,
    eta: float = 0.0,
    generator: Generators = None,
    callback: Callback | None = None,
    clip: tuple[float, float] | None = None,
) -> Tensor:
    """DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12).

    With ``eta`` 0 the first noise decides all; with 1 it is ancestral sampling.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"expected eta in [0, 1], got {eta}")

    def step(x0_hat: Tensor, x: Tensor, t: Tensor, before: Tensor) -> Tensor:
        x_before = ddim_step(schedule, x0_hat, x, t, before)
        if eta == 0 or before[0] < 0:
            return x_before
        # A part of the old noise is exchanged for as much fresh noise.
        fresh = eta**2 * q_posterior(schedule, x0_hat, x, t, before)[1]
        _, noise_rate = rates(schedule, before, x)
        kept = (noise_rate**2 - fresh).clamp(min=0).sqrt()
        old = to_eps(schedule, x0_hat, x, t)
        return x_before + (kept - noise_rate) * old + fresh.sqrt() * noise_like(cond, generator)

    return _walk(step, denoiser, schedule, cond, steps, generator, callback, clip)


def sample_dpmpp_2m(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    cond: Tensor,
    *,
    steps: int = 10,
    generator: Generators = None,
    callback: Callback | None = None,
    clip: tuple[float, float] | None = None,
) -> Tensor:
    """DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095, algorithm 2): second order on the ODE that DDIM follows.

    The first step and the last, which lands on the clean image, are of first order.
    """
    last: tuple[Tensor, Tensor] | None = None

    def step(x0_hat: Tensor, x: Tensor, t: Tensor, before: Tensor) -> Tensor:
        nonlocal last
        x = dpmpp_2m_step(schedule, x0_hat, x, t, before, last)
        last = x0_hat, t
        return x

    return _walk(step, denoiser, schedule, cond, steps, generator, callback, clip)


SAMPLERS = {"ddpm": sample_ddpm, "ddim": sample_ddim, "dpmpp_2m": sample_dpmpp_2m}


def _walk(
    step: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor],
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    cond: Tensor,
    steps: int,
    generator: Generators,
    callback: Callback | None,
    clip: tuple[float, float] | None,
) -> Tensor:
    """From noise to the clean image: ask the denoiser, and let ``step(x0_hat, x, t, before)`` take each step."""
    x = noise_like(cond, generator)
    for number, times in enumerate(pairwise([*schedule.timesteps(steps).tolist(), -1])):
        t, before = (torch.full((len(cond),), time, dtype=torch.int64, device=cond.device) for time in times)
        x0_hat = denoiser(x, t, cond)
        if clip is not None:
            x0_hat = x0_hat.clamp(*clip)
        x = step(x0_hat, x, t, before)
        if callback:
            callback(number, times[0], x, x0_hat)
    return x
