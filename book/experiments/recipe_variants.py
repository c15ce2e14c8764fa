"""The variants of the recipe that ``recipe.py`` compares, each with what was expected of it before it ran."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_micro import checkpoint, objectives, restore, train
from ddpm_micro.checkpoint import load_model
from ddpm_micro.model import Model, at_once
from ddpm_micro.samplers import sample_dpmpp_2m
from ddpm_micro.unet import Conv, UNet, UNetConfig

RUNS = Path(__file__).resolve().parent.parent / "runs/recipe"
STEPS = 600
LR = 1e-2  # of the reference; ten times that is what these runs led to, and what is shipped


def config(**changes: Any) -> train.TrainConfig:
    """Short, and validated once, at its end, so that no row is helped by a choice."""
    short = replace(train.TrainConfig(steps=STEPS, lr=LR), **changes)
    return replace(short, val_every=short.steps)


def folder(name: str, seed: int) -> Path:
    return RUNS / f"{name.replace(' ', '_')}_{seed}"


def regression(seed: int) -> train.TrainConfig:
    """The training of the regression that two variants spend the first half of their steps on."""
    return config(method="care", steps=STEPS // 2, seed=seed)


def trained_regression(seed: int) -> Model:
    return load_model(folder("regression", seed) / "model.safetensors")


CONFIG = config()
Changed = Callable[[int], AbstractContextManager]  # from the seed


def noise_as_it_is(seed: int) -> AbstractContextManager:
    """The network is given x_t itself."""
    return mock.patch.object(Model, "inputs", lambda model, x_t, t, cond: (x_t, model.noise_level(t).to(x_t), cond))


def weighted(weight: Callable[[Tensor], Tensor]) -> Changed:
    """The squared error of v counts ``weight(alpha_bar_t)``."""

    def loss_weight(schedule, prediction, t):
        return weight(schedule.alpha_bar(t)).reshape(-1, 1, 1, 1)

    return lambda seed: mock.patch.object(train, "loss_weight", loss_weight)


def min_snr(alpha_bar: Tensor) -> Tensor:
    """Hang et al. 2023 (arXiv 2303.09556): the squared error of x0 counts min(SNR, 5), that of v that / (SNR + 1)."""
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=5) / (snr + 1)


def middle_timesteps(seed: int) -> AbstractContextManager:
    """t / T is a sigmoid of normal noise, as in Esser et al. 2024 (arXiv 2403.03206)."""

    def draw(schedule, x0, generator):
        t = torch.randn(len(x0), generator=generator).sigmoid() * schedule.num_train_timesteps
        return t.long(), torch.randn(x0.shape, generator=generator).to(x0)

    return mock.patch.object(train, "draw_t_eps", draw)


def warmed_up_in(steps: int) -> Changed:
    return lambda seed: mock.patch.object(train, "WARMUP", steps)


class SlowGains(torch.optim.AdamW):
    """Each gain, a single number, learns at a tenth of the rate."""

    def __init__(self, parameters: Iterator[nn.Parameter], **options: Any) -> None:
        parameters = list(parameters)
        super().__init__(
            [{"params": [p for p in parameters if bool(p.ndim) == many]} for many in (True, False)], **options
        )

    def step(self, closure: None = None) -> None:
        self.param_groups[1]["lr"] /= 10  # `fit` sets it before each step
        super().step()


def network(build: Callable[[UNetConfig], nn.Module]) -> Changed:
    return lambda seed: mock.patch.object(checkpoint, "UNet", build)


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


def from_regression(seed: int) -> AbstractContextManager:
    """Start from a regression: at t = T its answer, x0, is -v."""
    trained = trained_regression(seed)
    start = Model(trained.unet.config, trained.schedule, prediction="v", percentiles=trained.percentiles)
    start.load_state_dict(trained.state_dict())
    with torch.no_grad():
        start.unet.gain_out.neg_()
    return mock.patch.object(train, "fit", partial(train.fit, start=start))


@contextmanager
def residual(seed: int) -> Iterator[None]:
    """Diffuse what a regression leaves, enlarged (Whang et al. 2022, arXiv 2112.02475)."""
    trained = trained_regression(seed)
    scale = 0.2  # 28 dB below a range of 2 is a root mean square of 0.08, so that of what is diffused is 0.4

    @torch.no_grad()
    def estimate(cond):
        return at_once(trained, trained.schedule, cond)

    def loss(output, schedule, prediction, x0, cond, *others):
        return objectives.weighted_loss(output, schedule, prediction, (x0 - estimate(cond)) / scale, cond, *others)

    def sample(denoiser, schedule, cond, **options):
        return estimate(cond) + scale * sample_dpmpp_2m(denoiser, schedule, cond, **options)

    with mock.patch.object(train, "weighted_loss", loss), mock.patch.dict(restore.SAMPLERS, {"dpmpp_2m": sample}):
        yield


AFTER_REGRESSION = (from_regression, residual)


@dataclass(frozen=True)
class Variant:
    """What is changed, what was expected of it before the run, and whether the model has an estimate in one call."""

    expected: str
    config: train.TrainConfig = CONFIG
    changed: Changed = nullcontext
    one_call: bool = True


def faster(variant: Variant, times: float, expected: str) -> Variant:
    """The same at a higher learning rate."""
    return replace(variant, expected=expected, config=replace(variant.config, lr=times * variant.config.lr))


MICRO = UNetConfig.micro()
BATCHES = Variant(
    "worse: too few steps", config(batch_size=32, steps=STEPS // 4), changed=warmed_up_in(train.WARMUP // 4)
)
PLAIN = Variant("worse: normalisation takes longer to train", config(lr=1e-3), changed=network(Plain))
DEEP = Variant("better: depth sees farther", config(unet=replace(MICRO, base_channels=19, num_res_blocks=2)))
WIDE = Variant(
    "the same: more at full resolution, less below",
    config(unet=replace(MICRO, base_channels=32, channel_mults=(1, 1, 2))),
)
VARIANTS = {
    "reference": Variant("what the others are measured by"),
    "noise not turned down": Variant(
        "one call worse: noise at t = T disturbs it; samples the same", changed=noise_as_it_is
    ),
    "eps": Variant("samples worse: must first learn to pass noise on", config(prediction="eps"), one_call=False),
    "equal weights": Variant(
        "one call worse, late steps count less; samples better", changed=weighted(torch.ones_like)
    ),
    "weights of x0": Variant(
        "one call better, late steps count more; samples worse", changed=weighted(lambda alpha_bar: 1 - alpha_bar)
    ),
    "min-SNR weights": Variant("one call much worse: near t = T errors hardly count", changed=weighted(min_snr)),
    "middle timesteps": Variant("samples better, one call worse", changed=middle_timesteps),
    "a third of the rate": Variant("worse: 600 steps are too few for it", config(lr=LR / 3)),
    "three times the rate": Variant("worse: steps overshoot", config(lr=3 * LR)),
    "ten times the rate": Variant("worse still", config(lr=10 * LR)),
    "ten times the rate, gains slower": Variant(
        "better: at this rate the gains wander",
        config(lr=10 * LR),
        changed=lambda seed: mock.patch.object(torch.optim, "AdamW", SlowGains),
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
        changed=network(folded),
    ),
    "from a regression": Variant(
        "better: half the steps find the mean, half the rest", config(steps=STEPS // 2), changed=from_regression
    ),
    "residual of a regression": Variant(
        "one draw better, less left to draw; mean the same; V/B lower",
        config(steps=STEPS // 2),
        changed=residual,
        one_call=False,
    ),
}
