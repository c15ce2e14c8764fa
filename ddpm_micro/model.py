"""A trained model: a network with its schedule and scaling, which samplers call and which can be asked once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ddpm_micro.calibrate import Calibration
from ddpm_micro.choices import METHODS
from ddpm_micro.device import pixels_at_once
from ddpm_micro.intensity import Percentiles, Scaling
from ddpm_micro.noise import noise_like, seeded
from ddpm_micro.residual import ResidualCheck
from ddpm_micro.schedule import Denoiser, NoiseSchedule, check_prediction, rates, to_x0
from ddpm_micro.tiling import tiled
from ddpm_micro.unet import UNet, UNetConfig

AUTO_TILE = 192  # pixels: larger images are worked on in tiles of this side
LIMIT = 1e37  # grey levels: results are float32, which ends at 3e38
EPS_LIMIT = 3.0  # x0_hat of an eps model is held in [-3, 3]: see `to_x0` on t = T


class Model(nn.Module):
    """A network and all it takes to use it; calling it is denoising.

    Parameters
    ----------
    config : UNetConfig
    schedule : NoiseSchedule
    prediction : {"v", "eps", "x0"}
        What the network was trained to return.
    method : {"ddpm", "care", "n2v"}
        What the network was trained for. A ``ddpm`` draws samples; ``care`` (regression on clean images) and ``n2v``
        (Noise2Void, without clean images) give one answer, x0, and see no noise.
    percentiles : Percentiles
        How images were scaled in training.
    info : dict
        How it came about (data, seed, steps, time, machine, validation curve): for people to read.

    Its ``calibration`` leads from the spread of the samples to an error bar, its ``residual_check`` judges what was
    taken from a frame; either may be None.
    """

    def __init__(
        self,
        config: UNetConfig,
        schedule: NoiseSchedule,
        *,
        prediction: str = "v",
        method: str = "ddpm",
        percentiles: Percentiles | None = None,
        info: dict | None = None,
    ) -> None:
        super().__init__()
        check_prediction(prediction)
        check_method(method)
        if method != "ddpm" and prediction != "x0":
            raise ValueError(f"expected prediction x0 of a {method} network, which gives one answer, got {prediction}")
        self.unet = UNet(config)
        self.schedule, self.prediction, self.method = schedule, prediction, method
        self.percentiles, self.info = percentiles or Percentiles(), info or {}
        self.calibration: Calibration | None = None
        self.residual_check: ResidualCheck | None = None

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """x0_hat, float32, from x_t and cond of shape (B, 1, H, W) and t of shape (B,), int64."""
        x0_hat = to_x0(self.schedule, self.output(x_t, t, cond).float(), x_t.float(), t, self.prediction)
        return x0_hat.clamp(-EPS_LIMIT, EPS_LIMIT) if self.prediction == "eps" else x0_hat

    def output(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        """The bare network output: eps, v or x0."""
        return self.unet(*self.inputs(x_t, t, cond))

    def inputs(self, x_t: Tensor, t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the network is given: x_t, turned down by the signal rate, the noise level, and cond.

        For images of unit power sqrt(alpha_bar) x_t is the best linear estimate of x0 from x_t alone (Wiener). At
        t = T it is zero: noise that tells nothing need not be learned to be ignored. Only eps, which at t = T is
        nearly x_t itself, has to be found in x_t as it is.
        """
        seen = x_t if self.prediction == "eps" else rates(self.schedule, t, x_t)[0] * x_t
        return seen, self.noise_level(t).to(x_t), cond

    def noise_level(self, t: Tensor) -> Tensor:
        """What the network is told of t, float64: log(noise rate / signal rate) / 4, EDM2's c_noise; about -1..2.

        The paper embeds alpha_bar_t itself, in which the steps near either end can hardly be told apart.
        """
        return self.schedule.snr(t).log() / -8

    def planes(self, image: np.ndarray) -> Iterator[tuple[Tensor, Scaling]]:
        """Each plane of an (H, W) or (N, H, W) image as cond (1, 1, H, W) on the model's device, with its scaling.

        ValueError, at once, if the image has other axes, no pixels, no real numbers, or some not finite or huge.
        """
        image = np.asarray(image)
        if image.ndim not in (2, 3) or not image.size:
            raise ValueError(
                f"expected an image of shape (H, W) or a stack (N, H, W), got shape {image.shape}; split it"
            )
        if image.dtype.kind not in "uif":
            raise ValueError(f"expected grey levels as integers or floating-point numbers, got {image.dtype}")
        stack = image[None] if image.ndim == 2 else image
        for plane in stack:
            unusable = np.count_nonzero(~(np.abs(plane.astype(np.float64)) < LIMIT))  # NaN compares as false
            if unusable:
                raise ValueError(
                    f"expected grey levels below {LIMIT:g}, got {unusable} pixels that are NaN, infinite or larger"
                )
        seen = map(self.percentiles.values, stack)
        return ((torch.from_numpy(values)[None, None].to(self.device), scaling) for values, scaling in seen)

    def images_at_once(self, shape: tuple[int, int], tile: int | None = None) -> int:
        """How many images (H, W), samples or planes, go through the network at once: at least one."""
        seen = min(shape[0] * shape[1], (AUTO_TILE if tile is None else tile) ** 2)  # pixels of one of them
        return max(1, pixels_at_once(self.device) // max(1, seen))

    def planes_at_once(self, shape: tuple[int, int], tile: int | None = None, samples: int = 1) -> int:
        """How many planes of a stack are worked on together: what a GPU can take with all samples, on a CPU one."""
        return max(1, self.images_at_once(shape, tile) // samples) if self.device.type == "cuda" else 1

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def kind(self) -> dict[str, Any]:
        """What one must know to use its weights, JSON-like; also what the sidecar of its file says."""
        return {
            "unet": asdict(self.unet.config),
            "schedule": self.schedule.config,
            "prediction": self.prediction,
            "method": self.method,
            "percentiles": asdict(self.percentiles),
        }

    def fingerprint(self) -> str:
        """SHA-256 of the file of the weights, ``weights_sha256`` in the sidecar; the same on every device."""
        return hashlib.sha256(file_of(self)).hexdigest()

    @torch.no_grad()
    def posterior_mean(self, image: np.ndarray, *, seed: int = 0, tile: int | None = None) -> np.ndarray:
        """E[clean image | image] from one call of the network, at t = T; float32, shape and units of ``image``.

        For a diffusion model x_T is noise, from ``seed``, and tells nothing of the image; the mean of ever more
        samples of a perfect model would converge to this answer. For a ``care`` or ``n2v`` network it is the only
        answer. ``image`` and ``tile`` are as for `ddpm_micro.restore.restore`. ValueError for an unsuitable image, and
        for a model that predicts eps: at t = T that says nothing of the image.
        """
        if self.prediction == "eps":
            raise ValueError(
                "expected a model that predicts v or x0, got eps, which at t = T says nothing of the image; "
                "average samples instead"
            )
        denoiser = tiled(self, AUTO_TILE if tile is None else tile)
        means, planes, shape = [], self.planes(image), np.shape(image)
        while group := list(islice(planes, self.planes_at_once(shape[-2:], tile))):
            cond = torch.cat([plane for plane, _ in group])
            x_t = noise_like(cond, [seeded(seed, 0) for _ in group]) if self.method == "ddpm" else None
            answers = at_once(denoiser, self.schedule, cond, x_t)[:, 0].cpu().double().numpy()
            for x0_hat, (_, scaling) in zip(answers, group, strict=True):
                means.append(scaling.invert(x0_hat).astype(np.float32))
        return np.stack(means).reshape(shape)


def at_once(denoiser: Denoiser, schedule: NoiseSchedule, cond: Tensor, x_t: Tensor | None = None) -> Tensor:
    """Call ``denoiser`` once, at t = T; ``x_t`` is zeros for networks that were trained to answer at once."""
    t = torch.full((len(cond),), schedule.num_train_timesteps - 1, device=cond.device)
    return denoiser(torch.zeros_like(cond) if x_t is None else x_t, t, cond)


def check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"expected method to be one of {', '.join(METHODS)}, got {method!r}")


def file_of(model: Model) -> bytes:
    """The weights as they stand in a .safetensors file."""
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in model.unet.state_dict().items()})
