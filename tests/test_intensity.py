"""Intensity scaling: from the low image alone, and invertible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import binary_dilation

from ddpm_micro import simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.intensity import Percentiles, Scaling, faulty_pixels


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


def rings(pedestal: float, side: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Rings like cell outlines, about 8 to 150 photons a pixel, and their noisy image."""
    rng = np.random.default_rng(16)
    row, column = np.mgrid[:side, :side]
    clean = np.full((side, side), 8.0)
    for _ in range(9):
        distance = np.hypot(row - rng.uniform(8, side - 8), column - rng.uniform(8, side - 8)) - rng.uniform(6, 16)
        clean += 90 * np.exp(-(distance**2) / (2 * 1.6**2))
    return clean + pedestal, rng.poisson(clean) + pedestal


def spoil(image: np.ndarray, fault: str) -> tuple[np.ndarray, np.ndarray]:
    """An image with a fault, and the mask of the pixels that the fault touched."""
    row, column = np.indices(image.shape)
    outside = np.hypot(row - 64, column - 64) > 55
    hot = np.zeros(image.shape, bool)
    hot[tuple(np.random.default_rng(1).integers(0, 128, (2, 8)))] = True
    border = np.ones(image.shape, bool)
    border[8:-5, 6:-3] = False
    where, value = {
        "hot columns": ((column == 10) | (column == 11), 65535),
        "a warm column": (column == 10, image.max() + 500),
        "hot pixels": (hot, 65535),
        "hot pixels of many values": (
            hot,
            np.geomspace(image.max() + 400, 65535, image.size).round().reshape(image.shape),
        ),
        "dead lines": ((row == 20) | (column == 50), 0),
        "a zero border": (border, 0),
        "a mask of zeros": (outside, 0),
        "a mask of 65535": (outside, 65535),
        "a saturated bead": (np.hypot(row - 30, column - 90) < 5, 65535),
        "a saturated bead with a halo": (
            np.hypot(row - 30, column - 90) < 14,
            np.minimum(image + (3e5 * np.exp(-((row - 30) ** 2 + (column - 90) ** 2) / 12.5)).round(), 65535),
        ),
    }[fault]
    return np.where(where, value, image), where


FAULTS = ["hot columns", "a warm column", "hot pixels", "hot pixels of many values", "dead lines", "a zero border",
          "a mask of zeros", "a mask of 65535", "a saturated bead", "a saturated bead with a halo"]  # fmt: skip


@pytest.mark.parametrize("pedestal", [0, 100, 1000])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_few_pixels_do_not_set_the_scale(fault: str, pedestal: float) -> None:
    _, image = rings(pedestal)
    spoiled, where = spoil(image, fault)
    good, scaling = Percentiles().fit(image), Percentiles().fit(spoiled)
    assert scaling.scale == pytest.approx(good.scale, rel=0.12)  # a mask also hides some of the rest
    assert scaling.offset == pytest.approx(good.offset, abs=0.12 * good.scale)
    value, back = Percentiles().values(spoiled)
    assert np.abs(value).max() < 4, "no faulty pixel reaches the network"
    kept = back.invert(value) == spoiled
    np.testing.assert_allclose(back.invert(value)[~where], spoiled[~where], atol=1e-3)
    assert kept[where].all() or (fault == "dead lines" and pedestal == 0) or "halo" in fault


@pytest.mark.parametrize("fault", FAULTS[::3])
def test_the_rest_is_restored_as_without_the_fault(fault: str) -> None:
    """Within 0.3 dB, 6 pixels and more from the fault."""
    clean, image = rings(1000)
    spoiled, where = spoil(image, fault)
    far = ~binary_dilation(where, iterations=6)
    model = load_model("generalist")
    error, without = (((model.posterior_mean(i) - clean)[far] ** 2).mean() for i in (spoiled, image))
    assert 10 * np.log10(error / without) < 0.3


@pytest.mark.parametrize("name", simulate.NAMES)
def test_images_of_the_four_sets_have_no_faulty_pixels(name: str) -> None:
    """So nothing changes for them."""
    assert not any(faulty_pixels(image).any() for image in simulate.split(name, "val").low)


def test_a_plane_without_content_is_left_as_it_is() -> None:
    for value in (0, 117, -3.5):
        plane = np.full((16, 16), value)
        np.testing.assert_array_equal(load_model("generalist").posterior_mean(plane), plane.astype(np.float32))


def test_a_pedestal_that_float32_cannot_carry_is_said(caplog: pytest.LogCaptureFixture) -> None:
    image = rings(1e9)[1]
    Percentiles().values(image)
    assert "subtract an offset" in caplog.text
