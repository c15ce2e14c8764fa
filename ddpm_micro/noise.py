"""Where noise comes from: seeds, and noise with its sign turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Negated:
    """The noise of a generator with its sign turned: antithetic to what the generator alone would give.

    It is as good a noise. What a sampler makes of the two lies on opposite sides of the mean, more or less: they are
    negatively correlated (Jia et al. 2025, arXiv 2506.06185).
    """

    generator: torch.Generator


Generators = torch.Generator | Negated | Sequence[torch.Generator | Negated] | None


def seeded(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A source of random numbers on a device, a function of the key, such as (seed, number of the sample)."""
    if min(key) < 0:
        raise ValueError(f"expected a seed >= 0, got {min(key)}")
    return torch.Generator(device).manual_seed(int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0]) >> 1)


def noise_like(cond: Tensor, generator: Generators) -> Tensor:
    """Standard normal noise of ``cond``'s shape; a list of generators gives each item of the batch its own."""
    if isinstance(generator, Negated):
        return -noise_like(cond, generator.generator)
    if generator is None or isinstance(generator, torch.Generator):
        device = generator.device if generator else cond.device
        return torch.randn(cond.shape, generator=generator, device=device, dtype=cond.dtype).to(cond.device)
    if len(generator) != len(cond):
        raise ValueError(f"expected one generator for each of the {len(cond)} items of cond, got {len(generator)}")
    return torch.cat([noise_like(item[None], one) for item, one in zip(cond, generator, strict=True)])
