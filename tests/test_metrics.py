"""Oracles: closed forms, scikit-image, pytorch_msssim, exact Gaussian posteriors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pytorch_msssim import ms_ssim as torch_ms_ssim
from scipy import ndimage, stats
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ddpm_micro import metrics
from ddpm_micro.teach import checks

RNG_SEED = 20240912
PIXELS = st.floats(0, 255, width=32)
PAIRS = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12).flatmap(
    lambda shape: hnp.arrays(np.float32, (2, *shape), elements=PIXELS)
)


def noisy_pair(shape, noise, seed=RNG_SEED):
    """A smooth truth in 0..255 and a noisy copy of it."""
    rng = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(rng.normal(size=shape), 3)
    truth = 255 * (truth - truth.min()) / np.ptp(truth)
    return truth, truth + rng.normal(scale=noise, size=shape)


def test_closed_forms():
    truth, image = np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([[2.0, 2.0], [3.0, 3.0]])
    assert metrics.mae(truth, image) == pytest.approx(1.0)
    assert metrics.nrmse(truth, image) == pytest.approx(np.sqrt(10 / 4) / 3)
    assert metrics.psnr(truth, image, data_range=50) == pytest.approx(10 * np.log10(2500 / 2.5))
    assert metrics.psnr(truth, image, data_range=50) == peak_signal_noise_ratio(truth, image, data_range=50)
    assert metrics.pearson(truth, image) == pytest.approx(np.corrcoef(truth.ravel(), image.ravel())[0, 1])


def test_undefined_values_are_nan_or_inf():
    truth, flat = np.eye(16), np.full((16, 16), 0.1)
    assert metrics.psnr(truth, truth, data_range=1) == np.inf
    assert np.isnan(metrics.pearson(truth, flat))
    assert np.isnan(metrics.pearson(flat, truth))
    assert np.isnan(metrics.nrmse(-truth, truth))
    assert np.isnan(metrics.nrmse(0 * truth, truth))


@settings(max_examples=60)
@given(PAIRS, st.floats(0.1, 10), st.floats(-5, 5))
def test_symmetries(pair, gain, offset):
    truth, image = pair
    scaled_truth, scaled_image = (gain * a.astype(float) + offset for a in pair)
    assert metrics.mae(truth, image) == metrics.mae(image, truth) >= 0
    assert metrics.mae(scaled_truth, scaled_image) == pytest.approx(gain * metrics.mae(truth, image), abs=1e-9)
    if metrics.mae(truth, image) > 1e-6:  # below that, adding the offset rounds the difference away
        there = metrics.psnr(scaled_truth, scaled_image, data_range=255 * gain)
        assert metrics.psnr(truth, image, data_range=255) == pytest.approx(there, abs=1e-6)
    correlation = metrics.pearson(truth, image)
    assert np.isnan(correlation) or -1 <= correlation <= 1
    if np.ptp(truth) > 1:
        assert metrics.pearson(truth, -gain * truth.astype(float) + offset) == pytest.approx(-1)


def test_integers_do_not_wrap():
    black, white = np.zeros((12, 12), np.uint8), np.full((12, 12), 255, np.uint8)
    assert metrics.mae(white, black) == metrics.mae(black, white) == 255
    assert metrics.psnr(black, white, data_range=255) == pytest.approx(0)


@pytest.mark.parametrize("noise", [5, 40, 200])
@pytest.mark.parametrize("shape", [(11, 11), (40, 57)])
def test_ssim_and_ms_ssim_of_one_scale_are_skimage(shape, noise, monkeypatch):
    truth, image = noisy_pair(shape, noise)
    expected = structural_similarity(
        truth, image, data_range=300, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.ssim(truth, image, data_range=300) == pytest.approx(expected, abs=1e-12)
    monkeypatch.setattr(metrics, "MS_SSIM_WEIGHTS", (1.0,))
    assert metrics.ms_ssim(truth, image, data_range=300) == pytest.approx(max(expected, 0), abs=1e-12)


@pytest.mark.parametrize("noise", [5, 40, 200])
@pytest.mark.parametrize(("shape", "scales"), [((176, 176), 5), ((192, 256), 5), ((176, 208), 4), ((176, 176), 2)])
def test_ms_ssim_is_pytorch_msssim(shape, scales, noise, monkeypatch):
    truth, image = noisy_pair(shape, noise)
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales]
    monkeypatch.setattr(metrics, "MS_SSIM_WEIGHTS", weights)
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = torch.from_numpy(window / window.sum())[None, None, None]  # its own is float32: good to 1e-6 only
    tensors = (torch.from_numpy(a)[None, None] for a in (truth, image))
    expected = torch_ms_ssim(*tensors, data_range=255, weights=weights, win=window)
    found = metrics.ms_ssim(truth, image, data_range=255)
    assert found == pytest.approx(expected.item(), abs=1e-7)  # its weights are float32


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (21, 1), (22, 2), (87, 3), (88, 4), (128, 4), (175, 4), (176, 5)]
)
def test_ms_ssim_takes_the_scales_that_fit(side, scales, monkeypatch):
    truth, image = noisy_pair((side, side + 3), 20)
    found = metrics.ms_ssim(truth, image, data_range=255)
    assert 0 < found < 1 == pytest.approx(metrics.ms_ssim(truth, truth, data_range=255))
    weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333][:scales])
    monkeypatch.setattr(metrics, "MS_SSIM_WEIGHTS", weights / weights.sum() if scales < 5 else weights)
    assert metrics.ms_ssim(truth, image, data_range=255) == pytest.approx(found, rel=1e-12)


def test_ms_ssim_of_a_negative_is_zero():
    truth, _ = noisy_pair((128, 128), 0)
    assert metrics.ms_ssim(truth, 255 - truth, data_range=255) == 0


# Spread and skill: y ~ N(m, s^2) is the truth given the data; samples ~ N(m + bias, (c s)^2).
# Then B = s^2 + bias^2 and V = (c s)^2; an exact posterior is bias = 0, c = 1.
@pytest.mark.parametrize("draws", [2, 4, 16, 64])
@pytest.mark.parametrize(("bias", "spread"), [(0, 1), (0, 0.5), (0.7, 0.6), (0, 1.5)])
def test_spread_skill_recovers_b_and_v_at_any_k(draws, bias, spread):
    rng = np.random.default_rng(RNG_SEED)
    shape, scale = (3, 80, 80), 2.0
    centre = rng.uniform(0, 100, shape)
    truth = centre + scale * rng.normal(size=shape)
    samples = centre + scale * (bias + spread * rng.normal(size=(draws, *shape)))
    found = metrics.spread_skill(truth, samples)
    b, v = scale**2 * (1 + bias**2), (scale * spread) ** 2
    pixels = truth.size
    # 5 standard errors: that of B is that of the mean of squares of normals with mean bias, plus that of V/K.
    error_b = 5 * np.sqrt((2 * (scale**2 + v / draws) ** 2 + 4 * (scale**2 + v / draws) * (bias * scale) ** 2) / pixels)
    error_v = 5 * v * np.sqrt(2 / (pixels * (draws - 1)))
    assert found.bias_variance == pytest.approx(b, abs=error_b + error_v / draws)
    assert found.sample_variance == pytest.approx(v, abs=error_v)
    assert found.ratio == pytest.approx(v / b, rel=error_b / b + error_v / v + error_v / draws / b)


def test_spread_and_skill_predict_the_error_of_a_mean_of_k():
    rng = np.random.default_rng(RNG_SEED)
    truth, samples = rng.normal(size=(200, 200)), 0.8 * rng.normal(size=(32, 200, 200))
    found = metrics.spread_skill(truth, samples)
    for k in (1, 2, 8, 32):
        measured = ((samples[:k].mean(axis=0) - truth) ** 2).mean()
        assert found.bias_variance + found.sample_variance / k == pytest.approx(measured, rel=0.02)


@settings(max_examples=60)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=3, max_dims=4, min_side=2, max_side=5), elements=PIXELS))
def test_spread_skill_identity(samples):
    truth = np.full(samples.shape[1:], 100.0)
    found, draws = metrics.spread_skill(truth, samples), len(samples)
    mean = samples.mean(axis=0, dtype=float)
    assert found.sample_variance == pytest.approx(samples.var(axis=0, ddof=1, dtype=float).mean())
    total = found.bias_variance + found.sample_variance / draws
    assert total == pytest.approx(((mean - truth) ** 2).mean())


def test_spread_skill_edges():
    truth = np.zeros((4, 4))
    one, other = np.ones((4, 4)), -np.ones((4, 4))
    assert metrics.spread_skill(truth, [one, other]).ratio == np.inf  # B = 0 - 2/2 < 0
    assert np.isnan(metrics.spread_skill(truth, [truth, truth]).ratio)
    assert metrics.spread_skill(truth, [one, one]) == metrics.SpreadSkill(1.0, 0.0, 0.0)


@pytest.mark.parametrize("draws", [2, 5, 32])
def test_exact_samples_cover_what_they_claim_and_timid_ones_less(draws):
    rng = np.random.default_rng(RNG_SEED)
    truth, samples = rng.normal(7, 3, (300, 300)), rng.normal(7, 3, (draws, 300, 300))
    for level in (0.1, 0.5, 0.9, 0.99):
        error = 5 * np.sqrt(level * (1 - level) / truth.size)
        assert metrics.coverage(truth, samples, level) == pytest.approx(level, abs=error)
        assert metrics.coverage(truth, 7 + (samples - 7) / 2, level) < level - error
    t = stats.t.ppf(0.95, draws - 1)
    assert metrics.coverage(truth, samples, 0.9) == checks.EXERCISES["coverage"].answer(truth, samples, t)


IMAGE = np.arange(256.0).reshape(16, 16)
PAIRWISE = [
    metrics.mae,
    metrics.nrmse,
    metrics.pearson,
    lambda t, x: metrics.psnr(t, x, data_range=1),
    lambda t, x: metrics.ssim(t, x, data_range=1),
    lambda t, x: metrics.ms_ssim(t, x, data_range=1),
    lambda t, x: metrics.spectral_fidelity(t, x),
    lambda t, x: metrics.resolution_ratio(np.tile(t, (2, 2)) if t.ndim == 2 else t, x),
    lambda t, x: metrics.frc(t, x, pixel_size_nm=1),
]


@pytest.mark.parametrize("metric", PAIRWISE)
@pytest.mark.parametrize(
    ("truth", "image", "words"),
    [
        (IMAGE, np.full((32, 32), np.nan), "finite values, got 1024 NaN"),
        (np.zeros((2, 16, 16)), IMAGE, r"\(H, W\), got shape \(2, 16, 16\)"),
        (IMAGE, np.zeros((40, 48)), r"shape of \w+, .*, got \(40, 48\)"),
        (IMAGE, 1j * np.ones((32, 32)), "real numbers, got complex128"),
        (IMAGE, [[1, 2], [3]], "real numbers, got object"),
    ],
)
def test_bad_images_are_refused_in_one_line(metric, truth, image, words):
    with pytest.raises(ValueError, match=words) as caught:
        metric(truth, image)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf, None, "8 bit", [1, 2]])
@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim, metrics.ms_ssim])
def test_bad_data_range(metric, value):
    with pytest.raises(ValueError, match="data_range: expected a finite number above 0, got"):
        metric(IMAGE, IMAGE, data_range=value)
    with pytest.raises(TypeError):
        metric(IMAGE, IMAGE)


def test_other_bad_arguments():
    small = np.zeros((10, 64))
    for metric in (metrics.ssim, metrics.ms_ssim):
        with pytest.raises(ValueError, match=r"sides >= 11 px, got shape \(10, 64\)"):
            metric(small, small, data_range=1)
    with pytest.raises(ValueError, match="K >= 2 to know their variance, got 1"):
        metrics.spread_skill(IMAGE, IMAGE[None])
    for samples in (IMAGE, np.zeros((3, 16, 15)), np.zeros((3, 1, 16, 16))):
        with pytest.raises(ValueError, match="put the samples on the first axis"):
            metrics.spread_skill(IMAGE, samples)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            metrics.spread_skill(IMAGE, np.stack([bad * np.ones((16, 16)), -bad * np.ones((16, 16))]))
    with pytest.raises(ValueError, match="real numbers"):
        metrics.spread_skill(IMAGE, [["a"]])
    for level in (0, 1, 90, np.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            metrics.coverage(IMAGE, [IMAGE, IMAGE], level)
