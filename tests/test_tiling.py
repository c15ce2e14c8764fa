"""Tiling: windows that cover, weights that add up to one, one noise field."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ddpm_micro.noise import seeded
from ddpm_micro.samplers import sample_dpmpp_2m
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.tiling import tiled, windows


@given(side=st.integers(1, 400), tile=st.integers(1, 130), data=st.data())
def test_windows_cover_and_weights_add_up_to_one(side: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, tile // 2))
    total = np.zeros(side)
    placed = windows(side, tile, overlap)
    for start, weights in placed:
        assert start >= 0 and start + len(weights) <= side and len(weights) == min(tile, side) and (weights > 0).all()
        total[start : start + len(weights)] += weights
    np.testing.assert_allclose(total, 1)
    starts = [start for start, _ in placed]
    assert all(b - a <= tile - overlap for a, b in pairwise(starts))


def blur(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
    """A denoiser with a receptive field of 5 pixels."""
    kernel = torch.full((1, 1, 5, 5), 1 / 25)
    return F.conv2d(F.pad(x_t + cond, (2, 2, 2, 2), mode="replicate"), kernel)


def test_pointwise_denoiser_is_not_changed_at_all() -> None:
    x_t, cond = torch.randn(2, 1, 70, 45), torch.randn(2, 1, 70, 45)
    t = torch.tensor([3, 3])
    out = tiled(lambda x, t, c: torch.tanh(x - c), 32)(x_t, t, cond)
    torch.testing.assert_close(out, torch.tanh(x_t - cond))


def test_only_the_seams_change() -> None:
    x_t, cond = torch.randn(1, 1, 60, 60), torch.randn(1, 1, 60, 60)
    t = torch.tensor([3])
    difference = (tiled(blur, 36, overlap=12)(x_t, t, cond) - blur(x_t, t, cond)).abs()[0, 0]
    near_edge = torch.zeros(60, dtype=torch.bool)
    near_edge[[24, 25, 34, 35]] = True  # within 2 pixels of where a window begins or ends
    allowed = near_edge[:, None] | near_edge[None, :]
    assert difference[~allowed].max() < 1e-6 < difference[allowed].max()


def test_spread_over_seams_is_that_of_one_noise_field() -> None:
    """Samples of independent unit pixels keep their spread in the overlaps, where blended samples would lose a third."""
    schedule = cosine_schedule(60)

    def exact(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        return schedule.alpha_bar(t).sqrt().reshape(-1, 1, 1, 1).to(x_t) * x_t  # posterior mean of unit Gaussian pixels

    cond = torch.zeros(200, 1, 24, 24)
    draw = sample_dpmpp_2m(tiled(exact, 16, overlap=8), schedule, cond, steps=10, generator=seeded(0, 0))
    std = draw.std(0)[0]
    assert std[:, 8:16].mean().item() == pytest.approx(std.mean().item(), rel=0.02)


@pytest.mark.parametrize(("tile", "overlap"), [(0, None), (8, 5), (8, -1)])
def test_mistakes_are_named(tile: int, overlap: int | None) -> None:
    with pytest.raises(ValueError, match=f"got tile={tile}"):
        tiled(blur, tile, overlap)
