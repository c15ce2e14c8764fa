"""Brightness, place and noise of pairs: what was done to an image is what is found."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from ddpm_micro import simulate
from ddpm_micro.files.matching import Brightness, align, correlated_noise, fit_brightness
from ddpm_micro.files.pairs import PairedPlanes


@pytest.fixture(scope="module")
def pairs() -> simulate.Pairs:
    return simulate.make_pairs("zebrafish", 4, size=96, seed=3)


@pytest.mark.parametrize("name", simulate.NAMES)
def test_pairs_of_one_brightness_are_left_as_they_are(name: str) -> None:
    """Also synapses, whose low images are less sharp than the high ones."""
    same = simulate.make_pairs(name, 4, size=128, seed=4)
    found = fit_brightness(same.low, same.high)
    assert not found.needed and found.gain == pytest.approx(1, abs=0.1) and found.bend < 0.03


@pytest.mark.parametrize(("gain", "offset"), [(20, -1900), (1 / 257, 3), (1, 100), (3, 0)])
def test_gain_and_offset_are_found(pairs: simulate.Pairs, gain: float, offset: float) -> None:
    high = pairs.high * gain + offset
    found = fit_brightness(pairs.low, high)
    assert found.needed and found.gain == pytest.approx(gain, rel=0.03)
    matched = found.match(PairedPlanes(list(pairs.low), list(high), ["a"] * 4, []))
    np.testing.assert_allclose(matched.high, pairs.high, atol=0.03 * pairs.high.max())
    assert matched.high[0].dtype == np.float32


def test_faulty_pixels_have_no_say(pairs: simulate.Pairs) -> None:
    low, high = pairs.low.copy(), 20 * pairs.high
    clean = fit_brightness(low, high)
    low[:, :, 10:12] = 65535
    high[1, 3, 3] = 65535 * 20
    found = fit_brightness(low, high)
    assert found.gain == pytest.approx(clean.gain, rel=0.03) and found.needed


def test_other_fields_and_negatives_are_refused(pairs: simulate.Pairs) -> None:
    for high in (np.roll(pairs.high, 1, axis=0), 255 - pairs.high, np.full_like(pairs.high, 7)):
        with pytest.raises(ValueError, match="are they the same fields, in raw grey levels"):
            fit_brightness(pairs.low, high)


def test_a_gamma_curve_bends_the_line() -> None:
    raw = simulate.make_pairs("mitochondria", 4, size=128, seed=3)
    assert fit_brightness(raw.low, 255 * (raw.high / raw.high.max()) ** 0.45).bend > 0.05


def test_a_line_can_be_written_down() -> None:
    assert str(Brightness(20.0, -1900.0, 0.0, True)) == "high = 20 x low - 1900"


@pytest.mark.parametrize("name", simulate.NAMES)
@pytest.mark.parametrize("moved", [(0, 0), (8, -3), (-1.5, 0.5)])
def test_a_shift_is_found_and_undone(name: str, moved: tuple[float, float]) -> None:
    one = simulate.make_pairs(name, 1, size=96, seed=4)
    low, high, found = align(one.low[0], 3 * shift(one.high[0], moved, mode="nearest") + 50)
    np.testing.assert_allclose(found, moved, atol=0.5)
    assert low.shape == high.shape == tuple(96 - abs(round(part)) for part in found)
    unmoved = one.low[0], one.high[0]
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in ((low, high), unmoved)]
    assert correlation[0] > correlation[1] - 0.05


def test_no_shift_is_made_up() -> None:
    noise = np.random.default_rng(0).normal(size=(2, 64, 64))
    low, high, found = align(*noise)
    assert np.isnan(found).all() and low.shape == high.shape == (64, 64)
    assert np.isnan(align(noise[0], np.ones((64, 64)))[2]).all()


def test_slivers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 8 x 8 pixels, got \(1, 64\)"):
        align(np.ones((1, 64)), np.ones((1, 64)))


def test_the_middle_of_a_large_plane_is_enough() -> None:
    large = gaussian_filter(np.random.default_rng(0).normal(size=(700, 1000)), 3)
    low, _, found = align(large, large)
    assert low.shape == (512, 512) and not found.any()


def test_shared_noise_is_measured(pairs: simulate.Pairs) -> None:
    rng, truth = np.random.default_rng(0), pairs.high[0].astype(float)
    white, rows = rng.normal(size=truth.shape), rng.normal(size=(len(truth), 1))
    assert correlated_noise(truth + white, truth) < 0.05
    assert correlated_noise(truth + white + rows, truth) == pytest.approx(0.5, abs=0.12)  # half of the variance
    assert correlated_noise(truth + gaussian_filter(white, 1.0), truth) > 0.5
    assert correlated_noise(truth + white + 5 * gaussian_filter(truth, 20), truth) < 0.05  # another background
    assert correlated_noise(truth, truth) == 0
    hot = truth + white
    hot[3, 3] = 65535
    assert correlated_noise(hot, truth) < 0.05
