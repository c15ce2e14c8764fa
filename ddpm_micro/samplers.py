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

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from ddpm_micro.noise import Generators, noise_like
from ddpm_micro.schedule import Denoiser, NoiseSchedule, q_posterior, rates, to_eps

Callback = Callable[[int, int, Tensor, Tensor], None]


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
    x = noise_like(cond, generator)
    for step, t, s in _pairs(schedule, schedule.num_train_timesteps if steps is None else steps, cond):
        x0_hat = _denoise(denoiser, x, t, cond, clip)
        x, variance = q_posterior(schedule, x0_hat, x, t, s)
        if s[0] >= 0:
            x = x + variance.sqrt() * noise_like(cond, generator)
        if callback:
            callback(step, int(t[0]), x, x0_hat)
    return x


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
    x = noise_like(cond, generator)
    for step, t, s in _pairs(schedule, steps, cond):
        x0_hat = _denoise(denoiser, x, t, cond, clip)
        eps_hat = to_eps(schedule, x0_hat, x, t)
        _, variance = q_posterior(schedule, x0_hat, x, t, s)
        signal_rate, noise_rate = rates(schedule, s, x)
        x = signal_rate * x0_hat + (noise_rate**2 - eta**2 * variance).clamp(min=0).sqrt() * eps_hat
        if eta > 0 and s[0] >= 0:
            x = x + eta * variance.sqrt() * noise_like(cond, generator)
        if callback:
            callback(step, int(t[0]), x, x0_hat)
    return x


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
    x = noise_like(cond, generator)
    previous: tuple[Tensor, float] | None = None  # x0_hat and step width of the step before
    for step, t, s in _pairs(schedule, steps, cond):
        x0_hat = _denoise(denoiser, x, t, cond, clip)
        if s[0] < 0:
            x = x0_hat
        else:
            h = (schedule.snr(s[0]).log() - schedule.snr(t[0]).log()).item() / 2  # in lambda = log sqrt(SNR)
            estimate = x0_hat
            if previous is not None:
                earlier, h_before = previous
                estimate = x0_hat + (h / h_before) / 2 * (x0_hat - earlier)
            (_, noise_t), (signal_s, noise_s) = rates(schedule, t, x), rates(schedule, s, x)
            x = noise_s / noise_t * x - signal_s * math.expm1(-h) * estimate
            previous = x0_hat, h
        if callback:
            callback(step, int(t[0]), x, x0_hat)
    return x


SAMPLERS = {"ddpm": sample_ddpm, "ddim": sample_ddim, "dpmpp_2m": sample_dpmpp_2m}


def _pairs(schedule: NoiseSchedule, steps: int, cond: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Number of the step, the time it leaves and the time it reaches, each (B,)."""
    times = [*schedule.timesteps(steps).tolist(), -1]
    for step, (t, s) in enumerate(pairwise(times)):
        yield step, *(torch.full((len(cond),), time, dtype=torch.int64, device=cond.device) for time in (t, s))


def _denoise(denoiser: Denoiser, x: Tensor, t: Tensor, cond: Tensor, clip: tuple[float, float] | None) -> Tensor:
    x0_hat = denoiser(x, t, cond)
    return x0_hat if clip is None else x0_hat.clamp(*clip)
