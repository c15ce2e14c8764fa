"""The rivals: each filter with its best strength, each network used as it was trained."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from ddpm_micro.baselines import best_gaussian
from ddpm_micro.checkpoint import load_model
from ddpm_micro.restore import restore
from ddpm_micro.simulate import make_pairs
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.teach.rivals import best_strength, filters, richardson_lucy
from ddpm_micro.train import PairedPatches, TrainConfig, fit
from ddpm_micro.unet import UNetConfig

TINY = {"steps": 3, "batch_size": 2, "patch": 16, "unet": UNetConfig(8, (1,), 1, ()), "val_every": 3, "precision": "no"}


@pytest.mark.parametrize("name", ["gaussian", "nlm", "tv", "richardson_lucy"])
def test_each_filter_improves_on_the_raw_image_at_a_strength_within_its_range(name: str) -> None:
    pairs = make_pairs("synapses", 2, size=64, seed=0)
    method, strengths = filters(BENCHMARKS["synapses"])[name]
    best = best_strength(method, strengths, pairs.low, pairs.high)
    assert strengths[0] < best < strengths[-1]
    error = np.mean((method(pairs.low[0], best) - pairs.high[0]) ** 2)
    assert error < 0.8 * np.mean((pairs.low[0] - pairs.high[0]) ** 2)


def test_of_a_flat_truth_the_widest_filter_is_best() -> None:
    noisy = np.random.default_rng(0).normal(100, 5, (48, 48))
    image, sigma_px = best_gaussian(noisy, np.full((48, 48), 100.0), (0.5, 1.0, 2.0))
    assert sigma_px == 2 and np.array_equal(image, gaussian_filter(noisy, 2.0))


@pytest.mark.parametrize("name", ["nlm", "tv"])
def test_strength_means_the_same_in_any_unit(name: str) -> None:
    low = make_pairs("zebrafish", 1, size=48, seed=0).low[0].astype(np.float64)
    method = filters()[name][0]
    np.testing.assert_allclose(method(7 * low + 90, 0.3), 7 * method(low, 0.3) + 90, rtol=1e-6)


def test_deconvolution_undoes_the_blur_of_a_noiseless_image() -> None:
    benchmark = BENCHMARKS["synapses"]
    spot = np.zeros((48, 48))
    spot[24, 24] = 5000.0
    fwhm = (benchmark.low.fwhm_nm, benchmark.high.fwhm_nm)
    low, high = (gaussian_filter(spot, f / 2.3548 / benchmark.pixel_size_nm) for f in fwhm)
    camera = benchmark.low.camera
    low, high = (image * camera.gain + camera.offset for image in (low, high))
    estimates = [richardson_lucy(benchmark, low, iterations) for iterations in (10, 50, 200, 800)]
    errors = [np.abs(estimate - high).max() / np.abs(low - high).max() for estimate in estimates]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.1  # a point is the slowest to come back
    assert all(estimate.sum() == pytest.approx(high.sum(), rel=1e-6) for estimate in estimates)


@pytest.mark.parametrize("method", ["care", "n2v"])
def test_a_rival_is_trained_resumed_and_used_at_once_but_draws_no_samples(method: str, tmp_path) -> None:
    pairs = make_pairs("zebrafish", 3, size=32, seed=0)
    patches = PairedPatches(pairs.low, pairs.high, 16)
    fit(TrainConfig(method=method, **TINY), patches, patches, tmp_path, progress=False)
    model = load_model(tmp_path)
    assert model.prediction == "x0" and model.method == model.info["training"]["method"] == method
    assert model.posterior_mean(pairs.low[0]).shape == (32, 32)
    with pytest.raises(ValueError, match=f"expected a diffusion model, got a {method} network"):
        restore(model, pairs.low[0], samples=1)
    with pytest.raises(ValueError, match=f"method was {method}, now ddpm"):
        fit(TrainConfig(**TINY), patches, patches, tmp_path, progress=False)


def test_noise2void_never_looks_at_the_clean_image(tmp_path) -> None:
    pairs = make_pairs("zebrafish", 3, size=32, seed=0)
    val = PairedPatches(pairs.low, pairs.high, 16)
    weights = []
    for number, high in enumerate((pairs.high, pairs.high[::-1])):
        config = TrainConfig(method="n2v", **TINY)
        model = fit(config, PairedPatches(pairs.low, high, 16), val, tmp_path / str(number), progress=False)
        weights.append(torch.cat([p.flatten() for p in model.parameters()]))
    assert torch.equal(*weights)
