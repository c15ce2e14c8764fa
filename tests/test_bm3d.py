"""The classics that the real scenes are measured with: noise made constant, taken out, and the way back."""

import block_matching
import bm3d
import numpy as np
import pytest
import torch

from ddpm_micro import metrics, simulate

LINE = (2.0, 9 - 2.0 * 10)  # gain 2, read noise of 3 grey levels, offset 10


@pytest.mark.parametrize("mean", [10, 40, 160])
def test_stabilised_noise_has_variance_one_and_its_inverse_no_bias(mean: float) -> None:
    rng = np.random.default_rng(0)
    noisy = 2.0 * rng.poisson(mean / 2.0, 200_000) + 10 + 3 * rng.normal(size=200_000)
    stable = bm3d.stabilise(noisy, LINE)
    assert stable.var() == pytest.approx(1, abs=0.06)
    assert bm3d.unbiased_inverse(stable.mean(), LINE) == pytest.approx(mean + 10, abs=0.01 * mean)


def test_gain_and_constant_are_found_in_one_frame() -> None:
    rng = np.random.default_rng(0)
    smooth = 40 + 30 * np.sin(np.linspace(0, 9, 256))[:, None] * np.cos(np.linspace(0, 7, 256))
    frame = 2.0 * rng.poisson(smooth / 2.0) + 10 + 3 * rng.normal(size=smooth.shape)
    gain, constant = bm3d.blind_line(frame)
    assert gain == pytest.approx(LINE[0], rel=0.1) and gain * 50 + constant == pytest.approx(2 * 50 - 11, rel=0.05)


def test_our_bm3d_does_what_the_package_bmnd_does() -> None:
    """With its profile BM3D and white noise bmnd 0.3.0 reaches 31.96 dB here; on images of the four sets the two are
    at most 0.12 dB apart, and equal on average."""
    truth = simulate.make_pairs("microtubules", 1, size=128, seed=5).high[0].astype(float)
    truth = 255 * (truth - truth.min()) / np.ptp(truth)
    noisy = truth + 12 * np.random.default_rng(0).normal(size=truth.shape)
    found = metrics.psnr(truth, block_matching.bm3d(noisy, 12.0), data_range=255)
    assert found == pytest.approx(31.96, abs=0.12)


def test_noise_of_a_known_spectrum_is_taken_out_better() -> None:
    rng = np.random.default_rng(0)
    truth = np.kron(np.array([[60.0, 120.0], [180.0, 90.0]]), np.ones((24, 24)))
    white = np.fft.fft2(rng.normal(size=truth.shape))
    response = 1 / (1 + 30 * np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(48)])) ** 2)
    noise = np.fft.ifft2(white * response).real
    noise *= 10 / noise.std()
    found = [block_matching.bm3d(truth + noise, 10.0, spectrum) for spectrum in (None, response**2)]
    errors = [np.mean((image - truth) ** 2) for image in found]
    assert errors[1] < 0.8 * errors[0] < 0.8 * noise.var()


def test_coefficients_of_white_noise_have_one_variance_and_power_is_kept() -> None:
    torch.testing.assert_close(block_matching.coefficient_power(np.ones((24, 32))), torch.ones(8, 8))
    spectrum = np.random.default_rng(0).uniform(0.5, 1.5, (24, 24))
    assert block_matching.coefficient_power(spectrum).mean() == pytest.approx(spectrum.mean(), rel=1e-5)
    haar = block_matching._haar(16)
    torch.testing.assert_close(haar @ haar.T, torch.eye(16))
