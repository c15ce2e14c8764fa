"""The variants of the recipe that ``recipe.py`` compares, each with what was expected of it before it ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from common import RUNS
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ddpm_micro import objectives, train
from ddpm_micro.checkpoint import load_model
from ddpm_micro.model import Model, at_once
from ddpm_micro.schedule import NoiseSchedule, cosine_schedule
from ddpm_micro.unet import Conv, UNet, UNetConfig

STEPS = 600
WARMUP = 100  # steps in which the learning rate rises
LR = 1e-2  # of the reference; ten times that is what these runs led to, and what is shipped


def config(**changes: Any) -> train.TrainConfig:
    """Short, and validated once, at its end, so that no row is helped by a choice."""
    short = replace(train.TrainConfig(steps=STEPS, lr=LR), **changes)
    return replace(short, val_every=short.steps, warmup=changes.get("warmup", WARMUP / short.steps))


def folder(name: str, seed: int) -> Path:
    return RUNS / "recipe" / f"{name.replace(' ', '_')}_{seed}"


def regression(seed: int) -> train.TrainConfig:
    """The training of the regression that two variants spend the first half of their steps on."""
    return config(method="care", steps=STEPS // 2, seed=seed)


def trained_regression(seed: int) -> Model:
    return load_model(folder("regression", seed) / "model.safetensors")


CONFIG = config()
Options = Callable[[int], dict[str, Any]]  # what `train.fit` is given beside the configuration, from the seed


def untrained(kind: type[Model] = Model, network: Callable[[UNetConfig], nn.Module] = UNet, **changes: Any) -> Options:
    """Start from fresh weights of another model or network."""

    def options(seed: int) -> dict[str, Model]:
        unet = config(**changes).unet
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = kind(unet, cosine_schedule(CONFIG.num_train_timesteps))
            torch.manual_seed(seed)
            model.unet = network(unet)
        return {"start": model}

    return options


class NoiseAsItIs(Model):
    """The network is given x_t itself."""

    def inputs(self, x_t: Tensor, t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x_t, self.noise_level(t).to(x_t), cond


def diffusion(**changes: Any) -> Options:
    """Another distribution of t, or another weight of the errors there."""
    schedule = cosine_schedule(CONFIG.num_train_timesteps)
    return lambda seed: {"objective": objectives.diffusion(schedule, "v", **changes)}


def weighted(weight: Callable[[Tensor], Tensor]) -> Options:
    """The squared error of v counts ``weight(alpha_bar_t)``."""
    return diffusion(weight=lambda schedule, prediction, t: weight(schedule.alpha_bar(t)).reshape(-1, 1, 1, 1))


def min_snr(alpha_bar: Tensor) -> Tensor:
    """Weight of the squared error of v after Hang et al. 2023 (arXiv 2303.09556).

    They weight the squared error of x0 by min(SNR, 5). An error of v is sqrt(SNR + 1) times an error of x0.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=5) / (snr + 1)


def middle_timesteps(schedule: NoiseSchedule, count: int, generator: torch.Generator) -> Tensor:
    """t / T is a sigmoid of normal noise, as in Esser et al. 2024 (arXiv 2403.03206)."""
    share = torch.randn(count, generator=generator, device=generator.device).sigmoid()
    return (share * schedule.num_train_timesteps).long()


class Tenth(nn.Module):
    """A number that is learned as ten times itself, so that at one rate it changes a tenth as fast."""

    def forward(self, learned: Tensor) -> Tensor:
        return learned / 10

    def right_inverse(self, number: Tensor) -> Tensor:
        return 10 * number


def slow_gains(config: UNetConfig) -> UNet:
    """Each gain, a single number, learns at a tenth of the rate."""
    unet = UNet(config)
    for module in list(unet.modules()):
        for name in [name for name, number in module.named_parameters(recurse=False) if not number.ndim]:
            parametrize.register_parametrization(module, name, Tenth())
    return unet


class Plain(nn.Module):
    """The U-Net of diffusers, as Ho et al. 2020 built it: group normalisation and biases, nothing held in magnitude."""

    def __init__(self, config: UNetConfig) -> None:
        from diffusers import UNet2DModel

        super().__init__()
        levels = range(len(config.channel_mults))
        self.config = config
        self.body = UNet2DModel(
            in_channels=2,
            out_channels=1,
            block_out_channels=[config.base_channels * mult for mult in config.channel_mults],
            layers_per_block=config.num_res_blocks,
            down_block_types=["AttnDownBlock2D" if level in config.attn_levels else "DownBlock2D" for level in levels],
            up_block_types=[
                "AttnUpBlock2D" if level in config.attn_levels else "UpBlock2D" for level in reversed(levels)
            ],
            norm_num_groups=8,
        )

    def forward(self, x_t: Tensor, noise_level: Tensor, cond: Tensor) -> Tensor:
        return self.body(torch.cat([x_t, cond], dim=1), 100 * noise_level).sample  # made for t of 0..1000

    def normalize_weights_(self) -> None:
        pass


class FoldedIn(Conv):
    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        return super().forward(F.pixel_unshuffle(x, 2), gain)


class FoldedOut(Conv):
    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        return F.pixel_shuffle(super().forward(x, gain), 2)


def folded(config: UNetConfig) -> UNet:
    """2 x 2 pixels as four channels: a quarter of the pixels for the whole network."""
    unet = UNet(config)
    unet.conv_in = FoldedIn(3 * 4, config.base_channels, 3)
    unet.conv_out = FoldedOut(config.base_channels * config.channel_mults[0], 4, 3)
    return unet


def from_regression(seed: int) -> dict[str, Model]:
    """Start from a regression: at t = T its answer, x0, is -v."""
    trained = trained_regression(seed)
    start = Model(trained.unet.config, trained.schedule, prediction="v", percentiles=trained.percentiles)
    start.load_state_dict(trained.state_dict())
    with torch.no_grad():
        start.unet.gain_out.neg_()
    return {"start": start}


RESIDUAL = 0.2  # the residual's root mean square is 0.08 (28 dB below a range of 2); divided by this it is 0.4


def residual(seed: int) -> dict[str, objectives.Objective]:
    """Diffuse what a regression leaves, enlarged (Whang et al. 2022, arXiv 2112.02475)."""
    trained = trained_regression(seed)
    usual = objectives.diffusion(trained.schedule, "v")

    def loss(output: Callable, x0: Tensor, cond: Tensor, *drawn: Tensor) -> Tensor:
        with torch.no_grad():
            left = (x0 - at_once(trained, trained.schedule, cond)) / RESIDUAL
        return usual.loss(output, left, cond, *drawn)

    return {"objective": objectives.Objective(usual.draw, loss)}


def add_regression(seed: int, low: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Images from samples of what the regression leaves, grey levels."""
    trained = trained_regression(seed)
    scaling = trained.percentiles.fit(low)
    return scaling.invert(scaling.apply(trained.posterior_mean(low)) + RESIDUAL * scaling.apply(samples))


AFTER_REGRESSION = (from_regression, residual)


@dataclass(frozen=True)
class Variant:
    """What is changed, what was expected of it before the run, and what becomes of its samples.

    ``one_call`` says whether the model has an estimate in one call.
    """

    expected: str
    config: train.TrainConfig = CONFIG
    options: Options = lambda seed: {}
    one_call: bool = True
    finish: Callable[[int, np.ndarray, np.ndarray], np.ndarray] = lambda seed, low, samples: samples


def faster(variant: Variant, times: float, expected: str) -> Variant:
    """The same at a higher learning rate."""
    return replace(variant, expected=expected, config=replace(variant.config, lr=times * variant.config.lr))


MICRO = UNetConfig.micro()
BATCHES = Variant("worse: too few steps", config(batch_size=32, steps=STEPS // 4, warmup=WARMUP / STEPS))
PLAIN = Variant("worse: normalisation takes longer to train", config(lr=1e-3), options=untrained(network=Plain))
DEEP = Variant("better: depth sees farther", config(unet=replace(MICRO, base_channels=19, num_res_blocks=2)))
WIDE = Variant(
    "the same: more at full resolution, less below",
    config(unet=replace(MICRO, base_channels=32, channel_mults=(1, 1, 2))),
)
VARIANTS = {
    "reference": Variant("what the others are measured by"),
    "noise not turned down": Variant(
        "one call worse: noise at t = T disturbs it; samples the same", options=untrained(NoiseAsItIs)
    ),
    "eps": Variant("samples worse: must first learn to pass noise on", config(prediction="eps"), one_call=False),
    "equal weights": Variant(
        "one call worse, late steps count less; samples better", options=weighted(torch.ones_like)
    ),
    "weights of x0": Variant(
        "one call better, late steps count more; samples worse", options=weighted(lambda alpha_bar: 1 - alpha_bar)
    ),
    "min-SNR weights": Variant("one call much worse: near t = T errors hardly count", options=weighted(min_snr)),
    "middle timesteps": Variant("samples better, one call worse", options=diffusion(draw_t=middle_timesteps)),
    "a third of the rate": Variant("worse: 600 steps are too few for it", config(lr=LR / 3)),
    "three times the rate": Variant("worse: steps overshoot", config(lr=3 * LR)),
    "ten times the rate": Variant("worse still", config(lr=10 * LR)),
    "ten times the rate, gains slower": Variant(
        "better: at this rate the gains wander",
        config(lr=10 * LR),
        options=untrained(network=slow_gains),
    ),
    "batches of 4": Variant("better: more steps count more than smoother ones", config(batch_size=4, steps=2 * STEPS)),
    "batches of 32": BATCHES,
    "batches of 32, ten times the rate": faster(
        BATCHES, 10, "better than at the low rate, still worse than the reference"
    ),
    "patches of 32 pixels": Variant("a little worse: edges without context", config(batch_size=32, patch=32)),
    "no average": Variant("worse, samples most", config(ema_decay=0.0)),
    "plain layers": PLAIN,
    "plain layers, three times the rate": faster(PLAIN, 3, "better: they too learned slowly"),
    "narrow and deep": DEEP,
    "narrow and deep, ten times the rate": faster(DEEP, 10, "better than its low rate, like ten times the rate alone"),
    "wide and fine": WIDE,
    "wide and fine, ten times the rate": faster(WIDE, 10, "better than its low rate, like ten times the rate alone"),
    "folded 2 x 2": Variant(
        "better: four times the weights for the same work",
        config(unet=replace(MICRO, base_channels=48)),
        options=untrained(network=folded, unet=replace(MICRO, base_channels=48)),
    ),
    "from a regression": Variant(
        "better: half the steps find the mean, half the rest", config(steps=STEPS // 2), options=from_regression
    ),
    "residual of a regression": Variant(
        "one draw better, less left to draw; mean the same; V/B lower",
        config(steps=STEPS // 2),
        options=residual,
        one_call=False,
        finish=add_regression,
    ),
}
