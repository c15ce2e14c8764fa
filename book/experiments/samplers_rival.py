"""Rivals that draw samples: flow matching and the article's own recipe, beside an equally short diffusion.

    OMP_NUM_THREADS=1 python book/experiments/samplers_rival.py [NAME ...]

trains each on the zebrafish for 1,500 steps under ``runs/samplers_rival`` (a quarter of an hour each on a CPU core
that has nothing else to do; the shipped specialist had 6,000), draws eight samples of eight test images and writes
``book/results/samplers_rival.json``. Nothing shows it yet.

Flow matching (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2023, arXiv 2209.03003) goes from image to noise on a
straight line, ``z = (1 - s) x0 + s eps``, and its network predicts the velocity ``eps - x0``. Divided by ``sqrt((1 -
s)**2 + s**2)`` the line is the schedule's own arc from image to noise: ``z`` is ``x_t``, up to a factor, at the t
where the rates stand as ``s`` to ``1 - s``. So a flow is one more denoiser, and every sampler of the package can run
it. DDIM with eta = 0 is then Euler's method on the flow's own equation, to rounding; `same_as_euler` checks that.

Expected before the first run: the flow's mean is level with the diffusion's within 0.2 dB, its one call is worse,
since it sees the noise at t = T and must learn to answer with it; its V/B is about the same. The article's recipe is
behind both by half a decibel at our rate, and by several at its own rate, which is made for ten times the steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from common import RESULTS, RUNS, load, psnr, ratio_of_means, save
from torch import Tensor

from ddpm_micro import metrics, objectives, restore, samplers, simulate, train
from ddpm_micro.data import PairedPatches
from ddpm_micro.model import Model
from ddpm_micro.schedule import NoiseSchedule, cosine_schedule, rates
from ddpm_micro.unet import UNetConfig

SET, IMAGES, SAMPLES, STEPS = "zebrafish", 8, 8, 1500


def share_of_noise(schedule: NoiseSchedule, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """s of a timestep, and the factor from ``x_t`` to ``z``; each (B, 1, 1, 1)."""
    signal_rate, noise_rate = rates(schedule, t, like)
    return noise_rate / (signal_rate + noise_rate), 1 / (signal_rate + noise_rate)


class Flow(Model):
    """A network that predicts the velocity of a straight line from image to noise; called as any denoiser."""

    def forward(self, x_t: Tensor, t: Tensor, cond: Tensor) -> Tensor:
        s, factor = share_of_noise(self.schedule, t, x_t)
        return factor * x_t.float() - s * self.output(x_t, t, cond).float()

    def inputs(self, x_t: Tensor, t: Tensor, cond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The network sees z itself: with the signal gone it has to answer with the noise that it sees."""
        return share_of_noise(self.schedule, t, x_t)[1] * x_t, self.noise_level(t).to(x_t), cond


def evenly_in_s(schedule: NoiseSchedule, count: int, generator: torch.Generator) -> Tensor:
    """Timesteps at which s is uniform."""
    s = torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)
    signal = (1 - s) / torch.hypot(s, 1 - s)
    return (schedule.alphas_cumprod.to(s.device).sqrt()[None] - signal[:, None]).abs().argmin(dim=1)


def flow(seed: int = 0) -> dict:
    """An untrained flow, and its loss: the squared error of the velocity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Flow(UNetConfig.micro(), cosine_schedule(200))

    def draw(x0: Tensor, cond: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return objectives.draw_t_eps(model.schedule, x0, generator, evenly_in_s)

    def loss(output: Callable, x0: Tensor, cond: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        signal_rate, noise_rate = rates(model.schedule, t, x0)
        return (output(signal_rate * x0 + noise_rate * eps, t, cond) - (eps - x0)).square().mean()

    return {"start": model, "objective": objectives.Objective(draw, loss)}


@dataclass(frozen=True)
class Rival:
    """How it is trained, and drawn from."""

    config: train.TrainConfig
    options: Callable[[], dict] = dict
    sampler: str = "dpmpp_2m"
    steps: int = 20


DIFFUSION = train.TrainConfig(steps=STEPS)
# Noise prediction, all t alike, ancestral sampling of all 200 steps with x0_hat clipped; the rate of its released code.
ARTICLE = {"prediction": "eps", "steps": STEPS}
RIVALS = {
    "diffusion": Rival(DIFFUSION),
    "flow": Rival(DIFFUSION, flow),
    "article, our rate": Rival(train.TrainConfig(**ARTICLE), sampler="ddpm", steps=200),
    "article": Rival(train.TrainConfig(**ARTICLE, lr=2e-4), sampler="ddpm", steps=200),
    "flow, a third of the rate": Rival(train.TrainConfig(steps=STEPS, lr=0.03), flow),
}


def main(names: list[str]) -> None:
    results = load("samplers_rival") if (RESULTS / "samplers_rival.json").is_file() else {}
    for name in names or list(RIVALS)[:4]:
        results[name] = measure(name)
        save("samplers_rival", {known: results[known] for known in RIVALS if known in results})
        print(name, results[name], flush=True)


def trained(name: str) -> Model:
    rival = RIVALS[name]
    parts = (simulate.split(SET, part) for part in ("train", "val"))
    patches = (PairedPatches(pairs.low, pairs.high, rival.config.patch) for pairs in parts)
    folder = RUNS / "samplers_rival" / name.replace(", ", "_").replace(" ", "_")
    return train.fit(rival.config, *patches, folder, progress=False, **rival.options())


def measure(name: str) -> dict[str, float]:
    """PSNR in dB of one draw, of the mean and of one call, medians; V/B; and the share of the truth held at 90 %."""
    rival, model = RIVALS[name], trained(name)
    if name == "flow":
        same_as_euler(model)
    pairs, scores, spreads, ranges, held = simulate.split(SET, "test"), {}, [], [], []
    for low, high in zip(pairs.low[:IMAGES], pairs.high[:IMAGES], strict=True):
        drawn = restore.restore(
            model, low, samples=SAMPLES, sampler=rival.sampler, steps=rival.steps, keep_samples=True, progress=False
        )
        estimates = {"one_draw": drawn.samples[0], "mean": drawn.mean}
        if model.prediction != "eps":
            estimates["one_call"] = model.posterior_mean(low)
        ranges.append(float(np.ptp(high)))
        for key, image in estimates.items():
            scores.setdefault(key, []).append(psnr(high, image))
            spectrum = metrics.spectral_fidelity(high, image.astype(np.float64))
            scores.setdefault(f"{key}_spectrum", []).append(spectrum)
        spreads.append(metrics.spread_skill(high, drawn.samples))
        held.append(metrics.coverage(high, drawn.samples, 0.9))
    out = {key: round(float(np.median(values)), 3) for key, values in scores.items()}
    out |= {"V_over_B": round(ratio_of_means(spreads, ranges), 2), "coverage_90": round(float(np.mean(held)), 3)}
    return out | {"steps": rival.config.steps, "lr": rival.config.lr, "calls": rival.steps}


@torch.no_grad()
def same_as_euler(model: Flow, steps: int = 10) -> None:
    """DDIM of the denoiser and Euler's method on dz/ds = velocity, from the same noise at the same times, agree."""
    cond = torch.zeros(1, 1, 32, 32)
    noise = torch.randn(cond.shape, generator=torch.Generator().manual_seed(0))
    by_ddim = samplers.sample_ddim(model, model.schedule, cond, steps=steps, generator=torch.Generator().manual_seed(0))
    times = [*model.schedule.timesteps(steps).tolist(), -1]
    shares = [share_of_noise(model.schedule, torch.tensor([t]), cond) for t in times]
    z = shares[0][1] * noise
    for t, (s, factor), (after, _) in zip(times, shares, shares[1:]):
        z = z + (after - s) * model.output(z / factor, torch.tensor([t]), cond)
    worst = (z - by_ddim).abs().max().item()
    assert worst < 1e-4, worst
    print(f"DDIM and Euler differ by {worst:.1e} at most", flush=True)


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(RIVALS):
        sys.exit(f"expected names out of {'; '.join(RIVALS)}, got {'; '.join(sorted(unknown))}")
    main(sys.argv[1:])
