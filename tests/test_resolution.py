"""Oracles: images whose band limit, signal and noise power are known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, ndimage

from ddpm_micro import metrics


def radius(shape):
    return np.hypot(fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1]))  # cycles / px


def shaped_noise(shape, transfer, rng):
    """White noise of variance 1 passed through `transfer(frequency)`; not periodic, as a camera's view is not."""
    large = tuple(2 * side for side in shape)
    field = fft.ifft2(fft.fft2(rng.normal(size=large)) * transfer(radius(large))).real
    return field[: shape[0], : shape[1]]


def band_limited(shape, cutoff, noise, rng):
    """Flat spectrum of variance 1 up to `cutoff` (cycles / px), plus white noise of standard deviation `noise`."""
    field = shaped_noise(shape, lambda f: f < cutoff, rng)
    return field / field.std() + noise * rng.normal(size=shape)


@pytest.mark.parametrize(("shape", "pixel_size_nm"), [((128, 128), 1.0), ((256, 256), 25.0), ((128, 192), 65.0)])
@pytest.mark.parametrize("cutoff", [0.1, 0.15, 0.25, 0.4])
@pytest.mark.parametrize("noise", [0.01, 0.2])
def test_resolution_is_the_cutoff(cutoff, shape, pixel_size_nm, noise):
    rng = np.random.default_rng(1)
    found = metrics.resolution(50 + band_limited(shape, cutoff, noise, rng), pixel_size_nm=pixel_size_nm)
    tolerance = 1.5 / (min(shape) * cutoff) + 0.03  # 1.5 rings, and 3 %
    assert found == pytest.approx(pixel_size_nm / cutoff, rel=tolerance)


@pytest.mark.parametrize("noise", [0, 0.003, 0.01])
@pytest.mark.parametrize("fwhm", [3, 4, 6, 8])
def test_resolution_of_points_under_a_gaussian_psf(fwhm, noise):
    """The strongest high-pass goes as f^2, and d(r) ~ int_0^r f^3 exp(-u) df / r, u = 2 (pi s f)^2 with s the standard
    deviation, peaks where 2 u^2 = e^u - 1 - u: u = 3.212, a period of pi s sqrt(2 / u) = 2.479 s."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(5):
        points = np.zeros((256, 256))
        points[rng.integers(0, 256, 300), rng.integers(0, 256, 300)] = 1
        image = ndimage.gaussian_filter(points, fwhm / np.sqrt(8 * np.log(2)))
        image += noise * image.max() * rng.normal(size=image.shape)
        found.append(metrics.resolution(image, pixel_size_nm=20))
    assert np.median(found) == pytest.approx(20 * 2.479 * fwhm / np.sqrt(8 * np.log(2)), rel=0.06)


def test_high_pass_finds_weak_detail():
    rng = np.random.default_rng(3)
    detail, coarse = (shaped_noise((256, 256), lambda f, c=c: f < c, rng) for c in (0.3, 0.03))
    image = detail / detail.std() + 20 * coarse / coarse.std()  # 400 times the power sits in the coarse structure
    found = metrics.resolution(image + 0.1 * rng.normal(size=image.shape), pixel_size_nm=1)
    assert found == pytest.approx(1 / 0.3, rel=0.04)


def test_more_noise_is_coarser():
    rng = np.random.default_rng(3)
    signal, noise = shaped_noise((256, 256), lambda f: np.exp(-((f / 0.12) ** 2)), rng), rng.normal(size=(256, 256))
    found = [metrics.resolution(signal / signal.std() + s * noise, pixel_size_nm=1) for s in (0.1, 0.5, 1, 2)]
    assert (np.diff(found) > 0.1 * np.array(found[:-1])).all()


def test_no_peak_is_inf():
    rng = np.random.default_rng(4)
    found = [metrics.resolution(rng.poisson(3, (64, 64)), pixel_size_nm=1) for _ in range(20)]
    assert np.isinf(found).sum() >= 19  # 0.5 % of noise images show a peak by chance
    assert metrics.resolution(np.full((40, 40), 0.1), pixel_size_nm=1) == np.inf


def test_resolution_ratio():
    rng = np.random.default_rng(5)
    fine, coarse = (band_limited((128, 128), cutoff, 0.05, rng) for cutoff in (0.36, 0.18))
    noise, flat = rng.normal(size=(128, 128)), np.zeros((128, 128))
    assert metrics.resolution_ratio(fine, fine) == 1
    assert metrics.resolution_ratio(fine, 3 * coarse + 7) == pytest.approx(2, rel=0.06)
    assert metrics.resolution_ratio(coarse, fine) == pytest.approx(0.5, rel=0.06)
    assert metrics.resolution_ratio(fine, flat) == np.inf
    assert np.isnan(metrics.resolution_ratio(flat, fine))
    assert np.isnan(metrics.resolution_ratio(noise, flat))


@pytest.mark.parametrize(("shape", "pixel_size_nm"), [((128, 128), 1.0), ((256, 192), 65.0)])
@pytest.mark.parametrize("cutoff", [0.08, 0.2, 0.4])
def test_frc_of_a_known_band(cutoff, shape, pixel_size_nm):
    rng = np.random.default_rng(6)
    signal = shaped_noise(shape, lambda f: f < cutoff, rng)  # power 1 in the band
    first, second = (10 + signal + np.sqrt(0.5) * rng.normal(size=shape) for _ in range(2))
    result = metrics.frc(first, second, pixel_size_nm=pixel_size_nm)
    ring = 1 / (min(shape) * pixel_size_nm)
    assert result.frequency == pytest.approx(ring * np.arange(1, min(shape) // 2 + 1))
    per_pixel = result.frequency * pixel_size_nm
    inside, outside = per_pixel < cutoff - 0.02, per_pixel > cutoff + 0.02
    assert np.average(result.correlation[inside], weights=per_pixel[inside]) == pytest.approx(1 / 1.5, abs=0.06)
    assert result.correlation[outside].mean() == pytest.approx(0, abs=0.03)
    assert 1 / result.resolution_nm == pytest.approx(cutoff / pixel_size_nm, abs=2.5 * ring)


@pytest.mark.parametrize(("width", "noise"), [(0.08, 0.1), (0.08, 0.3), (0.15, 0.1), (0.2, 0.3)])
def test_frc_crosses_a_seventh_where_signal_is_a_sixth_of_noise(width, noise):
    rng = np.random.default_rng(7)
    signal = shaped_noise((256, 256), lambda f: np.exp(-((f / width) ** 2) / 2), rng)  # power exp(-(f / width)^2)
    pair = (signal + noise * rng.normal(size=signal.shape) for _ in range(2))
    crossing = 1 / metrics.frc(*pair, pixel_size_nm=1).resolution_nm
    assert crossing == pytest.approx(width * np.sqrt(np.log(6 / noise**2)), rel=0.07)
    assert 0.001 < (256 * crossing) % 1 < 0.999  # interpolated between rings


def test_frc_is_not_fooled_by_a_chance_dip():
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        signal = shaped_noise((128, 128), lambda f: f < 0.15, rng)
        pair = (signal + rng.normal(size=signal.shape) for _ in range(2))  # as much noise as signal: single rings dip
        found.append(1 / metrics.frc(*pair, pixel_size_nm=1).resolution_nm)
    assert np.abs(np.array(found) - 0.15).max() < 0.04


def test_frc_limits():
    rng = np.random.default_rng(8)
    image = rng.normal(size=(64, 64))
    same, opposite = metrics.frc(image, 2 * image + 5, pixel_size_nm=10), metrics.frc(image, -image, pixel_size_nm=10)
    assert same.resolution_nm == 20
    assert same.correlation == pytest.approx(1)
    assert opposite.resolution_nm == np.inf
    assert opposite.correlation == pytest.approx(-1)
    flat = metrics.frc(image, np.full((64, 64), 0.1), pixel_size_nm=10)
    assert flat.resolution_nm == np.inf
    assert (flat.correlation == 0).all()


@pytest.mark.parametrize("shape", [(64, 64), (97, 160)])
def test_power_spectrum_of_white_noise_and_of_a_wave(shape):
    rng = np.random.default_rng(9)
    frequency, power = metrics.power_spectrum(100 + 3 * rng.normal(size=shape))
    assert frequency[0] == 1 / min(shape)
    assert frequency.size == power.size == min(shape) // 2
    assert frequency[-1] <= 0.5
    assert np.average(power, weights=frequency) == pytest.approx(9, rel=0.1)
    assert power[2:].min() > 3
    wave = np.sin(2 * np.pi * 0.25 * np.arange(shape[1])) * np.ones(shape)
    frequency, power = metrics.power_spectrum(wave)
    assert frequency[power.argmax()] == pytest.approx(0.25, abs=1 / min(shape))


@settings(max_examples=25)
@given(st.integers(8, 40), st.integers(8, 40), st.floats(0.1, 10), st.floats(-50, 50), st.integers(0, 2**32 - 1))
def test_fidelity_of_a_scaled_image(height, width, gain, offset, seed):
    truth = np.random.default_rng(seed).normal(size=(height, width))
    found = metrics.spectral_fidelity(truth, gain * truth + offset)
    assert found == pytest.approx(min(gain**2, gain**-2), rel=1e-3)  # the floor moves it a little


def test_fidelity_is_the_share_of_bands_kept():
    rng = np.random.default_rng(10)
    truth, other = rng.normal(size=(2, 256, 256))
    cut = shaped_noise((256, 256), lambda f: f < 0.2, rng)
    assert metrics.spectral_fidelity(truth, truth) == 1
    assert metrics.spectral_fidelity(truth, other) == pytest.approx(0.94, abs=0.04)
    assert metrics.spectral_fidelity(truth, cut) == pytest.approx(0.4, abs=0.05)
    assert metrics.spectral_fidelity(cut, truth) == pytest.approx(0.4, abs=0.05)
    assert np.isnan(metrics.spectral_fidelity(np.full((16, 16), 0.1), truth[:16, :16]))


def test_averaging_draws_loses_fidelity_and_wins_psnr():
    """The perception-distortion trade: truth and draws share coarse structure, the fine one is the posterior's."""
    rng = np.random.default_rng(11)
    known = shaped_noise((128, 128), lambda f: f < 0.1, rng)
    truth, *draws = (known + shaped_noise((128, 128), lambda f: f >= 0.1, rng) for _ in range(16))
    mean = np.mean(draws, axis=0)
    assert metrics.psnr(truth, mean, data_range=5) > metrics.psnr(truth, draws[0], data_range=5) + 2
    assert metrics.spectral_fidelity(truth, mean) < 0.4 < 0.9 < metrics.spectral_fidelity(truth, draws[0])


@pytest.mark.parametrize(
    ("call", "side"),
    [(metrics.resolution, 32), (lambda x, **kw: metrics.frc(x, x, **kw), 16), (metrics.power_spectrum, 8)],
)
def test_bad_arguments(call, side):
    size = {} if call is metrics.power_spectrum else {"pixel_size_nm": 1}
    call(np.eye(side), **size)
    with pytest.raises(ValueError, match=rf"sides >= {side} px, got shape \({side - 1}, 64\)"):
        call(np.zeros((side - 1, 64)), **size)
    with pytest.raises(ValueError, match=r"\(H, W\), got shape \(3, 64, 64\)"):
        call(np.zeros((3, 64, 64)), **size)
    for bad in (0, -5, np.nan, np.inf, "nm") if size else ():
        with pytest.raises(ValueError, match="pixel_size_nm: expected a finite number above 0"):
            call(np.eye(64), pixel_size_nm=bad)
