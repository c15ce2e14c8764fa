"""The generalist's specimens without a name: drawn by seed, and noisy about a truth that is not."""

import generalist
import numpy as np
import pytest


def test_a_pair_follows_from_its_seed() -> None:
    first, again, other = (generalist.unnamed_pair(np.random.default_rng([1, i])) for i in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("number", range(4))
def test_low_scatters_about_high(number: int) -> None:
    low, high = generalist.unnamed_pair(np.random.default_rng([2, number]))
    assert low.shape == high.shape == (generalist.SIZE, generalist.SIZE)
    free = (low > 0) & (low < 255)  # saturated pixels are pulled to one side
    away = (low - high)[free]
    assert abs(away.mean()) < 0.1 * away.std() < 0.1 * 255


def test_grain_has_no_mean_and_unit_variance() -> None:
    texture = generalist.grain(np.random.default_rng(0), 64)
    assert texture.mean() == pytest.approx(0, abs=1e-9) and texture.std() == pytest.approx(1)


def test_leaves_hide_each_other() -> None:
    """A heap of flat leaves has few values: most pixels have the value of a neighbour."""
    rng = np.random.default_rng(5)
    heaps = [generalist.dead_leaves(rng, 64) for _ in range(12)]
    assert max(np.mean(np.diff(heap) == 0) for heap in heaps) > 0.6
