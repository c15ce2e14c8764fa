"""What several exercises are tried on, and a mixture that usual mistakes get wrong in one way or another."""

from __future__ import annotations

from typing import Any

import torch

from ddpm_micro.schedule import cosine_schedule, rates

SCHEDULE = cosine_schedule(50)
T = (3, 20, 40)  # of three items: little noise, about half, much


def images(count: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 1, 6, 6, generator=generator) for _ in range(count)]


def mixed(s: Any, first: Any, t: Any, second: Any, power: float, swap: bool = False) -> Any:
    signal, noise = rates(s, t, first)
    return (noise if swap else signal) ** power * first + (signal if swap else noise) ** power * second
