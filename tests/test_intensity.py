"""Intensity scaling: from the low image alone, and invertible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ddpm_micro.intensity import Percentiles, Scaling


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6)))
def test_scaling_inverts(offset: float, scale: float, image: np.ndarray) -> None:
    scaling = Scaling(offset, scale)
    np.testing.assert_allclose(scaling.invert(scaling.apply(image)), image, rtol=1e-9, atol=1e-6)


def test_puts_the_smoothed_percentiles_at_minus_one_and_one() -> None:
    ramp = np.repeat(np.linspace(10, 110, 201)[None], 50, axis=0)
    scaled = Percentiles(low=5, high=95, smoothing_px=0.01).fit(ramp).apply(ramp)
    np.testing.assert_allclose(np.percentile(scaled, [5, 95]), [-1, 1], atol=1e-9)


def test_noise_does_not_set_the_scale() -> None:
    """One specimen at two noise levels is put on nearly the same scale; without smoothing it would not be."""
    rng = np.random.default_rng(0)
    clean = 100.0 * (np.add.outer(np.arange(128), np.arange(128)) % 64 > 32)
    quiet, loud = clean + rng.normal(0, 1, clean.shape), clean + rng.normal(0, 30, clean.shape)
    smoothed, bare = ([Percentiles(smoothing_px=px).fit(image).scale for image in (quiet, loud)] for px in (1.5, 1e-3))
    assert smoothed[1] / smoothed[0] < 1.5 < 2 < bare[1] / bare[0]


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    )
)
def test_any_image_gets_a_finite_scale(image: np.ndarray) -> None:
    scaling = Percentiles().fit(image)
    assert np.isfinite(scaling.offset) and 0 < scaling.scale < np.inf
    assert np.isfinite(scaling.apply(image.astype(np.float64))).all()


@pytest.mark.parametrize("value", [0, 1, 255, -3.3, 1e30, 1e-30])
def test_a_constant_image_keeps_its_units(value: float) -> None:
    scaling = Percentiles().fit(np.full((16, 16), value))
    assert scaling.scale == 1 and scaling.offset == pytest.approx(value)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 3), (0, 3)])
def test_other_than_one_plane_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(H, W\)"):
        Percentiles().fit(np.zeros(shape))


def test_one_bead_in_a_large_image_sets_the_scale() -> None:
    """Fewer bright pixels than the percentile counts: they must not end up at thousands."""
    image = np.zeros((300, 300))
    image[150, 150] = 1000
    assert 1 < Percentiles().fit(image).apply(image).max() < 1000
    assert Percentiles().fit(image).scale > 1
