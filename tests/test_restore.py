"""Restoration: right moments, in the file's units, and sample k the same whatever K, batch and tiles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ddpm_micro import device
from ddpm_micro.metrics import spread_skill
from ddpm_micro.model import Model
from ddpm_micro.restore import restore
from ddpm_micro.samplers import SAMPLERS
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig

RNG = np.random.default_rng(0)
IMAGE = RNG.poisson(30, (21, 13)).astype(np.uint8)


def model(receptive: bool = True) -> Model:
    """A small network with random weights: whatever it does, it does to every sample alike."""
    torch.manual_seed(0)
    network = Model(UNetConfig(8, (1, 2) if receptive else (1,), 1, (1,) if receptive else ()), cosine_schedule(40))
    torch.nn.init.constant_(network.unet.gain_out, 0.5)
    return network.eval()


class ExactPosterior(Model):
    """Knows that x0 given cond is Gaussian with mean cond / 2 and standard deviation 0.3 in every pixel."""

    def __init__(self) -> None:
        super().__init__(UNetConfig(8, (1,), 1, ()), cosine_schedule(200))

    def forward(self, x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        alpha_bar = self.schedule.alpha_bar(t).reshape(-1, 1, 1, 1).to(x_t)
        gain = 0.3**2 * alpha_bar.sqrt() / (alpha_bar * 0.3**2 + 1 - alpha_bar)
        return cond / 2 + gain * (x_t - alpha_bar.sqrt() * cond / 2)


def test_exact_posterior_comes_out_in_grey_levels() -> None:
    """Mean, standard deviation and V/B = 1 of a posterior that is known, through scaling and sampling and back."""
    network, image = ExactPosterior(), RNG.uniform(200, 4000, (90, 80)).astype(np.float32)
    scaling = network.percentiles.fit(image)
    mean = scaling.invert(scaling.apply(image) / 2)
    result = restore(network, image, samples=24, steps=25, keep_samples=True, progress=False)
    spread = 0.3 * scaling.scale
    assert np.abs(result.mean - mean).mean() == pytest.approx(spread * np.sqrt(2 / np.pi / 24), rel=0.05)
    assert np.sqrt(np.mean(result.std**2)) == pytest.approx(spread, rel=0.03)
    truth = mean + spread * RNG.standard_normal(image.shape)
    assert spread_skill(truth, result.samples).ratio == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_antithetic_pairs_of_a_gaussian_posterior_have_no_error(sampler: str) -> None:
    """Every sampler turns noise into a sample linearly then, so that a pair's errors are equal and opposite."""
    network, image = ExactPosterior(), RNG.uniform(200, 4000, (90, 80)).astype(np.float32)
    scaling = network.percentiles.fit(image)
    mean, spread = scaling.invert(scaling.apply(image) / 2), 0.3 * scaling.scale
    options = {"sampler": sampler, "steps": 25, "keep_samples": True, "progress": False}
    paired = restore(network, image, samples=6, antithetic=True, **options)
    np.testing.assert_allclose(paired.mean, mean, atol=1e-3 * spread)
    assert paired.std == pytest.approx(np.sqrt(((paired.samples - mean) ** 2).mean(0)), rel=1e-3)
    alone = restore(network, image, samples=6, **options)
    np.testing.assert_array_equal(paired.samples[::2], alone.samples[::2])
    assert np.sqrt(np.mean(paired.std**2)) == pytest.approx(np.sqrt(np.mean(alone.std**2)), rel=0.03)
    with pytest.raises(ValueError, match=r"an even number of antithetic samples.* got 3; take 4"):
        restore(network, image, samples=3, antithetic=True, **options)


def test_mean_and_std_are_those_of_the_samples() -> None:
    result = restore(model(), IMAGE, samples=5, steps=4, keep_samples=True, progress=False)
    assert result.samples.shape == (5, *IMAGE.shape)
    assert {result.mean.dtype, result.std.dtype, result.samples.dtype} == {np.dtype(np.float32)}
    np.testing.assert_allclose(result.mean, result.samples.mean(0), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(result.std, result.samples.std(0, ddof=1), rtol=1e-4, atol=1e-4)


def test_one_sample_has_no_spread_to_tell() -> None:
    result = restore(model(), IMAGE, samples=1, steps=3, progress=False)
    assert result.samples is None and np.isfinite(result.mean).all() and np.isnan(result.std).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sample_k_does_not_depend_on_k_or_batch_or_stack(sampler: str, monkeypatch) -> None:
    def samples(image: np.ndarray, count: int, batch_pixels: int, plane: int = 0) -> np.ndarray:
        monkeypatch.setattr(device, "PIXELS_AT_ONCE", batch_pixels)
        return restore(
            model(), image, samples=count, sampler=sampler, steps=6, keep_samples=True, progress=False, plane=plane
        ).samples

    reference = samples(IMAGE, 4, 10**9)
    assert np.abs(reference[0] - reference[1]).max() > 1
    for count, batch_pixels in [(4, 1), (4, 2 * IMAGE.size), (2, 10**9), (7, 3 * IMAGE.size)]:
        shared = min(count, 4)
        np.testing.assert_allclose(samples(IMAGE, count, batch_pixels)[:shared], reference[:shared], rtol=0, atol=2e-3)
    stack = np.stack([IMAGE[::-1], IMAGE])
    # Each plane of a stack draws noise of its own, the same as if it were restored alone under its number.
    alone = samples(IMAGE, 4, 10**9, plane=1)
    assert np.abs(alone - reference).max() > 1
    np.testing.assert_allclose(samples(stack, 4, 10**9)[:, 1], alone, rtol=0, atol=2e-3)
    monkeypatch.setattr(Model, "planes_at_once", lambda *_: 2)  # as on a GPU
    for batch_pixels in (10**9, 3 * IMAGE.size, 1):
        np.testing.assert_allclose(samples(stack, 4, batch_pixels)[:, 1], alone, rtol=0, atol=2e-3)


def test_tiles_change_samples_near_seams_only() -> None:
    """A network that sees 5 pixels far: in the middle of a tile nothing changes, so all tiles share one noise field."""
    image = RNG.poisson(30, (40, 40)).astype(np.uint8)
    whole, in_tiles = (
        restore(model(receptive=False), image, samples=2, steps=3, tile=tile, keep_samples=True, progress=False).samples
        for tile in (64, 32)
    )
    change = np.abs(in_tiles - whole)
    assert change[:, :3, :3].max() < 2e-3 < change.max()  # 3 calls of a network reach at most 3 x 7 pixels


def test_same_seed_same_image_other_seed_other_image() -> None:
    draws = [restore(model(), IMAGE, samples=2, steps=3, seed=seed, progress=False).mean for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert np.abs(draws[0] - draws[2]).max() > 0.1


def test_memory_does_not_grow_with_samples() -> None:
    import tracemalloc

    peaks = []
    for count in (2, 20):
        tracemalloc.start()
        restore(ExactPosterior(), RNG.random((300, 300), np.float32), samples=count, steps=2, progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # of arrays; tensors are bounded by the batch:
    network, seen = ExactPosterior(), []
    network.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].numel()))
    restore(network, RNG.random((300, 300), np.float32), samples=40, steps=1, progress=False)
    assert max(seen) <= device.PIXELS_AT_ONCE


@settings(max_examples=25)
@given(
    arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.float16, np.float32, np.float64]),
        array_shapes(min_dims=2, max_dims=3, max_side=6),
    )
)
def test_any_grey_image_is_restored_or_refused(image: np.ndarray) -> None:
    before = image.copy()
    if not (np.abs(image.astype(np.float64)) < 1e37).all():
        with pytest.raises(ValueError, match="NaN, infinite or larger"):
            restore(model(), image, samples=2, steps=2, progress=False)
        return
    result = restore(model(), image, samples=2, steps=2, progress=False)
    assert result.mean.shape == result.std.shape == image.shape
    assert np.isfinite(result.mean).all() and np.isfinite(result.std).all()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image", [np.full((9, 9), 7, np.uint8), np.zeros((1, 1)), np.array([[5.0]]), np.zeros((1, 40), np.uint16)]
)
def test_constant_and_tiny_images(image: np.ndarray) -> None:
    result = restore(model(), image, samples=2, steps=2, progress=False)
    assert result.mean.shape == image.shape and np.isfinite(result.mean).all() and np.isfinite(result.std).all()


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros(5), {}, r"shape \(H, W\) or a stack \(N, H, W\), got shape \(5,\)"),
        (np.zeros((2, 2, 4, 4)), {}, r"got shape \(2, 2, 4, 4\)"),
        (np.zeros((0, 4)), {}, r"got shape \(0, 4\)"),
        (np.array([[0, np.nan, np.inf]]), {}, "2 pixels that are NaN, infinite or larger"),
        (np.zeros((4, 4), complex), {}, "complex128"),
        (np.zeros((4, 4), bool), {}, "got bool"),
        (np.array([["a"]]), {}, "got <U1"),
        (IMAGE, {"samples": 0}, "samples >= 1, got 0"),
        (IMAGE, {"sampler": "euler"}, "ddpm, ddim, dpmpp_2m, got 'euler'"),
        (IMAGE, {"steps": 41}, r"1\.\.40.*41"),
        (IMAGE, {"steps": 0}, r"1\.\.40.*0"),
        (IMAGE, {"tile": 0}, "tile=0"),
        (IMAGE, {"seed": -1}, "seed >= 0, got -1"),
    ],
)
def test_mistakes_are_named(image: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        restore(model(), image, progress=False, **options)
    assert "\n" not in str(error.value)
