"""Evaluation: the records, their intervals, the rivals."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from ddpm_micro.baselines import SIGMAS_PX, best_gaussian
from ddpm_micro.evaluate import evaluate, measure, table
from ddpm_micro.model import Model
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.simulate import make_pairs
from ddpm_micro.unet import UNetConfig


def model(prediction: str = "v") -> Model:
    torch.manual_seed(0)
    return Model(UNetConfig(8, (1,), 1, ()), cosine_schedule(20), prediction=prediction).eval()


def test_best_gaussian_is_the_best_of_its_kind() -> None:
    pairs = make_pairs("zebrafish", 1, size=64, seed=0)
    low, high = pairs.low[0], pairs.high[0]
    image, sigma = best_gaussian(low, high)
    errors = {s: np.mean((gaussian_filter(low.astype(float), s) - high) ** 2) for s in SIGMAS_PX}
    assert errors[sigma] == min(errors.values()) == pytest.approx(np.mean((image - high) ** 2))
    assert errors[sigma] < 0.5 * np.mean((low - high) ** 2) and SIGMAS_PX[0] < sigma < SIGMAS_PX[-1]


def test_records_are_medians_over_images_with_their_interval() -> None:
    pairs = make_pairs("synapses", 5, size=64, seed=0)
    records = evaluate(model(), "synapses", pairs.low, pairs.high, samples=2, steps=3, progress=False)
    by = {(record["method"], record["metric"]): record for record in records}
    raw = [
        peak_signal_noise_ratio(h, low, data_range=float(h.max() - h.min()))
        for low, h in zip(pairs.low, pairs.high, strict=True)
    ]
    assert {method for method, _ in by} == {"raw", "gaussian_oracle", "ddpm", "ddpm_avg", "one_call"}
    record = by["raw", "psnr"]
    assert (
        record["median"] == pytest.approx(np.median(raw), rel=1e-5) and record["n"] == 5 and record["set"] == "synapses"
    )
    assert min(raw) <= record["low"] + 1e-4 and record["low"] < record["median"] < record["high"] <= max(raw) + 1e-4
    assert by["gaussian_oracle", "psnr"]["median"] > record["median"]
    assert by["ddpm_avg", "psnr"]["seconds_per_image"] > 0
    text = table(records)
    assert len(text.splitlines()) == 7 and f"{record['median']:.3f}" in text.splitlines()[-1]


def test_a_fixed_data_range_is_used() -> None:
    pairs = make_pairs("zebrafish", 1, size=64, seed=0)
    records = [
        r
        for r in evaluate(model(), "z", pairs.low, pairs.high, data_range=255, samples=2, progress=False)
        if r["method"] == "raw"
    ]
    expected = peak_signal_noise_ratio(pairs.high[0], pairs.low[0], data_range=255)
    assert next(r["median"] for r in records if r["metric"] == "psnr") == pytest.approx(expected, rel=1e-5)


def test_an_eps_model_has_no_one_call_estimate() -> None:
    pairs = make_pairs("zebrafish", 1, size=64, seed=0)
    assert "one_call" not in {
        record["method"] for record in evaluate(model("eps"), "z", pairs.low, pairs.high, samples=2, progress=False)
    }


def test_fewer_than_two_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples >= 2"):
        measure(model(), np.zeros((9, 9)), np.zeros((9, 9)), samples=1)


def test_a_plane_without_content_is_left_out_and_the_table_finished() -> None:
    pairs = make_pairs("zebrafish", 2, size=32, seed=0)
    low, high = [pairs.low[0], pairs.low[1] * 0], [pairs.high[0], pairs.high[1]]
    assert {r["n"] for r in evaluate(model(), "z", low, high, samples=2, steps=1, progress=False)} == {1}
    with pytest.raises(ValueError, match="expected an image with content, got 1 pairs"):
        evaluate(model(), "z", low[1:], high[1:], progress=False)
