"""The forward process: how much noise at which step, and what follows from it in closed form.

Time runs over ``t = 0..T-1`` in code, ``1..T`` on paper; before step 0 alpha_bar is 1 and the image is clean.
Equations are those of Ho et al. 2020 (arXiv 2006.11239) unless another source is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ddpm_micro.choices import PREDICTIONS

# The one seam of the package: (x_t (B, 1, H, W), t (B,) int64, cond (B, 1, H, W)) -> x0_hat (B, 1, H, W). A trained
# model is one, tiling wraps one round another, an exact posterior mean is one, and so is a function of your own.
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """How much of the image is left after each step: ``x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps``."""

    alphas_cumprod: Tensor  # alpha_bar_t, (T,), float64, in (0, 1), strictly decreasing
    config: dict  # what `schedule_from_config` makes the same schedule of; kept beside the weights

    def __post_init__(self) -> None:
        alpha_bar = self.alphas_cumprod
        if alpha_bar.ndim != 1 or alpha_bar.dtype != torch.float64 or not len(alpha_bar):
            raise ValueError(
                f"expected alphas_cumprod of shape (T,) in float64, got {tuple(alpha_bar.shape)} in {alpha_bar.dtype}"
            )
        if not (alpha_bar.diff() < 0).all() or alpha_bar[0] >= 1 or alpha_bar[-1] <= 0:
            raise ValueError("expected alphas_cumprod to fall strictly within (0, 1): every step adds some noise")

    @property
    def num_train_timesteps(self) -> int:
        """T, the number of steps."""
        return len(self.alphas_cumprod)

    def alpha_bar(self, t: Tensor | int) -> Tensor:
        """alpha_bar_t in float64 for ``t`` in -1..T-1, where t = -1 is the clean image."""
        t = torch.as_tensor(t)
        if t.is_floating_point() or not (capturing(t) or ((t >= -1) & (t < self.num_train_timesteps)).all()):
            came = t.tolist() if t.ndim < 2 else f"{t.dtype} of shape {tuple(t.shape)}"  # an image in its place
            raise ValueError(f"expected integer t in -1..{self.num_train_timesteps - 1}, got {came}")
        if t.device.type == "mps":  # which has no float64
            t = t.cpu()
        return _padded(self, t.device)[t]

    def snr(self, t: Tensor | int) -> Tensor:
        """Signal-to-noise ratio alpha_bar_t / (1 - alpha_bar_t), float64, of images with unit power."""
        return snr(self.alpha_bar(t))

    def timesteps(self, steps: int) -> Tensor:
        """``steps`` steps from noise to image: descending int64, evenly spaced, the first is T - 1.

        This is the "trailing" spacing (Lin et al. 2023, arXiv 2305.08891): sampling starts where there is
        nothing but noise, which is where the initial noise belongs. ValueError for ``steps`` outside 1..T: a step
        that the network never trained on cannot be sampled.
        """
        if not 1 <= steps <= self.num_train_timesteps:
            raise ValueError(
                f"expected steps in 1..{self.num_train_timesteps}, the number the schedule was built with, got {steps}"
            )
        return trailing_timesteps(self, steps)


def snr(alpha_bar: Tensor) -> Tensor:
    """Signal-to-noise ratio of an image of unit power: the variance of the image over that of the noise."""
    return alpha_bar / (1 - alpha_bar)


def trailing_timesteps(schedule: NoiseSchedule, steps: int) -> Tensor:
    """The evenly spaced steps of `NoiseSchedule.timesteps`, which checks their number."""
    T = schedule.num_train_timesteps
    on_paper = T - np.arange(steps) * (T / steps)  # T, T - T/steps, ..., T/steps
    return torch.from_numpy(np.round(on_paper)).long() - 1


def cosine_schedule(num_train_timesteps: int = 200, s: float = 8e-3) -> NoiseSchedule:
    """The schedule of Nichol and Dhariwal 2021 (arXiv 2102.09672, eq. 17), each beta at most 0.999."""
    T = _at_least_1(num_train_timesteps)
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2) ** 2
    betas = np.minimum(1 - f[1:] / f[:-1], 0.999)
    config = {"kind": "cosine", "num_train_timesteps": T, "s": s}
    return NoiseSchedule(torch.from_numpy(np.cumprod(1 - betas)), config)


def linear_schedule(num_train_timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> NoiseSchedule:
    """The schedule of Ho et al. 2020: betas rise evenly from ``beta_start`` to ``beta_end``, both in (0, 1)."""
    T = _at_least_1(num_train_timesteps)
    if not (0 < beta_start < 1 and 0 < beta_end < 1):
        raise ValueError(f"expected beta_start and beta_end in (0, 1), got {beta_start} and {beta_end}")
    config = {"kind": "linear", "num_train_timesteps": T, "beta_start": beta_start, "beta_end": beta_end}
    return NoiseSchedule(torch.from_numpy(np.cumprod(1 - np.linspace(beta_start, beta_end, T))), config)


def schedule_from_config(config: dict) -> NoiseSchedule:
    """The schedule that ``NoiseSchedule.config`` describes."""
    kinds = {"cosine": cosine_schedule, "linear": linear_schedule}
    if config.get("kind") not in kinds:
        raise ValueError(f"expected a schedule of kind {' or '.join(kinds)}, got {config.get('kind')!r}")
    return kinds[config["kind"]](**{name: value for name, value in config.items() if name != "kind"})


def rates(schedule: NoiseSchedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Signal rate sqrt(alpha_bar_t) and noise rate sqrt(1 - alpha_bar_t), shaped (B, 1, 1, 1) to multiply ``like``."""
    alpha_bar = schedule.alpha_bar(t).reshape(-1, *[1] * (like.ndim - 1))
    return alpha_bar.sqrt().to(like), (1 - alpha_bar).sqrt().to(like)


def q_sample(schedule: NoiseSchedule, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Noise images to steps t at once: ``sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps``, a draw from q(x_t | x0).

    Eq. 4. Images ``x0`` and standard normal noise ``eps``, (B, 1, H, W); ``t`` (B,), int64, in 0..T-1. ValueError if
    ``x0`` and ``eps`` differ in shape.
    """
    if x0.shape != eps.shape:
        raise ValueError(f"expected eps of x0's shape {tuple(x0.shape)}, got {tuple(eps.shape)}")
    signal_rate, noise_rate = rates(schedule, t, x0)
    return signal_rate * x0 + noise_rate * eps


def q_posterior(schedule: NoiseSchedule, x0: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_s | x_t, x0) for an earlier step s < t, eqs. 6 and 7 (there s = t - 1).

    ``s`` may be -1, the clean image; the variance, shape (B, 1, 1, 1), is then 0 and the mean x0.
    """
    if not (s < t).all():
        raise ValueError(f"expected s < t, got s={s.tolist()} and t={t.tolist()}")
    shape = (-1, *[1] * (x_t.ndim - 1))
    ab_t, ab_s = schedule.alpha_bar(t).reshape(shape), schedule.alpha_bar(s).reshape(shape)
    alpha = ab_t / ab_s  # signal kept from s to t, squared
    of_x0 = ab_s.sqrt() * (1 - alpha) / (1 - ab_t)
    of_x_t = alpha.sqrt() * (1 - ab_s) / (1 - ab_t)
    variance = (1 - ab_s) / (1 - ab_t) * (1 - alpha)
    return of_x0.to(x_t) * x0 + of_x_t.to(x_t) * x_t, variance.to(x_t)


def target(schedule: NoiseSchedule, x0: Tensor, t: Tensor, eps: Tensor, prediction: str) -> Tensor:
    """What the network is asked for: ``eps``, ``x0`` or ``v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0``.

    v is from Salimans and Ho 2022 (arXiv 2202.00512, appendix D).
    """
    check_prediction(prediction)
    signal_rate, noise_rate = rates(schedule, t, x0)
    return {"eps": eps, "x0": x0, "v": signal_rate * eps - noise_rate * x0}[prediction]


def to_x0(schedule: NoiseSchedule, output: Tensor, x_t: Tensor, t: Tensor, prediction: str) -> Tensor:
    """The clean image that an ``eps``, ``v`` or ``x0`` output stands for.

    From eps it is ``(x_t - sqrt(1 - alpha_bar) eps) / sqrt(alpha_bar)``. At t = T the cosine schedule leaves
    alpha_bar of about 6e-8, so that an error in eps comes out 4000 times as large: ill-conditioned, and only
    clipping keeps it in bounds. v and x0 have no such division and are exact at every t.
    """
    check_prediction(prediction)
    if prediction == "v":
        return v_to_x0(schedule, output, x_t, t)
    signal_rate, noise_rate = rates(schedule, t, x_t)
    if prediction == "eps":
        return (x_t - noise_rate * output) / signal_rate
    return output


def v_to_x0(schedule: NoiseSchedule, v: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The clean image of a v output: x_t and v are image and noise, turned by one angle, and are turned back."""
    signal_rate, noise_rate = rates(schedule, t, x_t)
    return signal_rate * x_t - noise_rate * v


def to_eps(schedule: NoiseSchedule, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The noise that leads from ``x0`` to ``x_t``; well-conditioned but for the first steps, where there is none."""
    signal_rate, noise_rate = rates(schedule, t, x_t)
    return (x_t - signal_rate * x0) / noise_rate


def check_prediction(prediction: str) -> None:
    if prediction not in PREDICTIONS:
        raise ValueError(f"expected prediction to be one of {', '.join(PREDICTIONS)}, got {prediction!r}")


def _at_least_1(num_train_timesteps: int) -> int:
    if num_train_timesteps < 1:
        raise ValueError(f"expected num_train_timesteps >= 1, got {num_train_timesteps}")
    return num_train_timesteps


def capturing(t: Tensor) -> bool:
    """Whether a CUDA graph is being captured: then nothing may wait for ``t``, which the calls before have checked."""
    return t.is_cuda and torch.cuda.is_current_stream_capturing()


@lru_cache(maxsize=16)
def _padded(schedule: NoiseSchedule, device: torch.device) -> Tensor:
    """alpha_bar of each t on a device, and behind them 1, the alpha_bar of the clean image, which is number -1."""
    return torch.cat([schedule.alphas_cumprod, schedule.alphas_cumprod.new_ones(1)]).to(device)
