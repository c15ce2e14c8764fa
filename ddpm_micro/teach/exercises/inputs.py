"""What several exercises are tried on, and a mixture that usual mistakes get wrong in one way or another."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from ddpm_micro import intensity, simulate
from ddpm_micro.schedule import cosine_schedule, linear_schedule, rates

SCHEDULE = cosine_schedule(50)
T = (3, 20, 40)  # of three items: little noise, about half, much


OTHER = linear_schedule(60, 1e-3, 0.15)  # of a second trial, so that nothing is right by chance
OTHER_T = (2, 17, 31, 55)


@cache
def _membranes() -> torch.Tensor:
    high = simulate.make_pairs("zebrafish", 1, size=32, seed=7).high[0]
    return torch.from_numpy(intensity.Percentiles().fit(high).apply(high)).float()


def membranes() -> torch.Tensor:
    """Cell membranes three times, (3, 1, 32, 32)."""
    return _membranes().repeat(3, 1, 1, 1)


def others(count: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(10 + seed)
    return [torch.randn(4, 1, 5, 7, generator=generator) for _ in range(count)]


def images(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 1, 6, 6, generator=generator) for _ in range(count)]


def mixed(s: Any, first: Any, t: Any, second: Any, power: float, swap: bool = False) -> Any:
    signal, noise = rates(s, t, first)
    return (noise if swap else signal) ** power * first + (signal if swap else noise) ** power * second
