"""The benchmark: closed forms for what averaging gains, SciPy for the test, a small run from nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import suite
from scipy.stats import median_test

from ddpm_micro import metrics, simulate
from ddpm_micro.checkpoint import load_model

BOOK = Path(__file__).parent.parent / "book"
RIVALS = BOOK / "experiments" / "rivals"


def exact_draws(
    k: int, side: int = 96, spread: float = 1.0, correlation: float = -0.9
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A truth, k samples of one posterior and k in pairs; ``spread`` below 1 makes the samples too much alike."""
    rng = np.random.default_rng(0)
    mean = rng.normal(50, 10, (side, side))
    truth, samples = mean + rng.normal(0, 3, mean.shape), mean + spread * rng.normal(0, 3, (k, *mean.shape))
    one, other = rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (k // 2, *mean.shape)).T
    return truth, samples, mean + spread * 3 * np.stack([one.T, other.T], axis=1).reshape(-1, *mean.shape)


def test_exact_samples_gain_what_theory_says_and_cover_what_they_claim() -> None:
    out = suite.curves(*exact_draws(32))
    for k in suite.COUNTS:
        assert out["psnr"][k] - out["psnr"][1] == pytest.approx(10 * np.log10(2 * k / (k + 1)), abs=0.1)
    assert out["V"] / out["B"] == pytest.approx(1, abs=0.05)
    assert out["correlation"] == pytest.approx(-0.9, abs=0.01)
    for level in suite.COVERAGES:
        assert out[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.02)


def test_samples_too_much_alike_are_found_out() -> None:
    out = suite.curves(*exact_draws(32, spread=0.5))
    assert out["V"] / out["B"] == pytest.approx(0.25, abs=0.02) and out["coverage_90"] < 0.65


def test_averaging_records_are_means_over_images_with_their_standard_error() -> None:
    images = [suite.curves(*exact_draws(5, side=64, spread=spread)) for spread in (0.5, 1.0, 1.5)]
    *records, summary = suite.averaging("zebrafish", images)
    one = next(r for r in records if r["metric"] == "psnr" and r["k"] == 3)
    values = [image["psnr"][3] for image in images]
    assert one["mean"] == pytest.approx(np.mean(values))
    assert one["stderr"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert {r["k"] for r in records} == {1, 2, 3, 5}
    expected = np.sum([i["V"] for i in images]) / np.sum([i["B"] for i in images])
    assert summary["V_over_B"] == pytest.approx(expected)


def test_moods_test_is_scipys_and_says_something_of_equal_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 40), rng.normal(1, 1, 40)
    assert suite.mood([*a, float("nan")], b) == median_test(a, b).pvalue < 0.05
    assert suite.mood([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert np.isnan(suite.mood([float("nan")], [1.0]))


def test_holm_raises_p_values_as_in_the_definition() -> None:
    assert suite.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 * 0.01, 2 * 0.03, never less
    assert suite.holm([0.5, float("nan"), 0.9]) == pytest.approx([1.0, float("nan"), 1.0], nan_ok=True)


def test_a_small_gain_on_every_image_is_seen_in_pairs_and_not_by_medians() -> None:
    values = np.random.default_rng(0).normal(30, 3, 12)
    rows = {"ddpm_avg": values, "worse": values - 0.1 - values / 1000, "same": values, "other": values[::-1]}
    records = [{"method": method, "metric": "psnr", "values": row.tolist()} for method, row in rows.items()]
    found = {record["method"]: record for record in suite.with_tests(records)}
    assert found["worse"]["p_wilcoxon"] == pytest.approx(3 * 2 / 2**12) and found["worse"]["p_mood"] == 1.0
    assert found["same"]["p_wilcoxon"] == 1.0 and found["other"]["p_wilcoxon"] > 0.5


def test_from_nothing_to_the_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(suite.simulate, "NAMES", ("synapses",))
    seeds = {"train": 0, "val": 1, "test": 2}
    monkeypatch.setattr(
        suite.simulate, "split", lambda name, part: simulate.make_pairs(name, 4, size=64, seed=seeds[part])
    )
    # Threads and not processes, to which what is set here would not reach.
    monkeypatch.setattr(suite, "processes", lambda: ThreadPoolExecutor(1))
    monkeypatch.setattr(suite, "TUNED_ON", 1)
    monkeypatch.setattr(suite, "CURVE_SAMPLES", 5)
    monkeypatch.setattr(suite, "AVERAGED", 3)
    monkeypatch.setattr(suite, "PAIRED", 4)
    records = suite.run(tmp_path, tmp_path / "rivals", images=2, steps=2, training_steps=2)
    methods = {record["method"] for record in records}
    assert methods == {
        "raw", "gaussian", "nlm", "tv", "richardson_lucy", "n2v", "care", "one_call", "ddpm", "ddpm_avg",
        "ddpm_pair", "ddpm_pairs",
    }  # fmt: skip
    record = next(r for r in records if r["method"] == "ddpm_avg" and r["metric"] == "psnr")
    assert record["n"] == 2 and record["seconds_per_image"] > 0 and "p_mood" not in record
    seconds = {r["method"]: r["seconds_per_image"] for r in records}
    drawn = {"ddpm": 1, "ddpm_pair": 2, "ddpm_avg": 3, "ddpm_pairs": 4}  # samples in each mean
    assert all(seconds[method] == pytest.approx(k * seconds["ddpm"]) for method, k in drawn.items())
    assert all("p_mood" in r for r in records if r["method"] != "ddpm_avg")
    assert all(
        (r["strength"] is not None) == (r["method"] in ("gaussian", "nlm", "tv", "richardson_lucy")) for r in records
    )
    curves = json.loads((tmp_path / "averaging.json").read_text(), parse_constant=pytest.fail)  # no NaN in the file
    assert {"set", "B", "V", "V_over_B"} <= curves[-1].keys()
    assert (tmp_path / "rivals" / "care_synapses" / "model.safetensors").is_file()


def test_bfloat16_measures_what_float32_does(monkeypatch) -> None:
    pairs = simulate.make_pairs("zebrafish", 1, size=64, seed=0)
    monkeypatch.setattr(suite, "_test_pairs", lambda name: pairs)
    monkeypatch.setattr(suite, "CURVE_SAMPLES", 4)
    monkeypatch.setattr(suite, "AVERAGED", 4)
    strengths = dict.fromkeys(("gaussian", "nlm", "tv", "richardson_lucy"), 1.0)
    tasks = (suite.Task("zebrafish", 0, 5, RIVALS, strengths, precision) for precision in ("no", "bf16"))
    (single, _), (half, _) = (suite.measure(task)[0] for task in tasks)
    for method, scores in single.items():
        differs = abs(scores["psnr"] - half[method]["psnr"])
        assert 0 < differs < 0.05 if method in (*suite.TRAINED, "one_call") or "ddpm" in method else differs == 0


@pytest.mark.parametrize("name", simulate.NAMES)
def test_the_table_is_that_of_the_shipped_weights(name: str) -> None:
    records = json.loads((BOOK / "results" / "benchmark.json").read_text("utf-8"))
    told = {r["method"]: r["values"][0] for r in records if (r["set"], r["metric"]) == (name, "psnr")}
    pairs = simulate.split(name, "test")
    image, truth = pairs.low[0], pairs.high[0]
    estimates = {"one_call": load_model(name).posterior_mean(image)}
    for method in suite.TRAINED:
        estimates[method] = load_model(RIVALS / f"{method}_{name}" / "model.safetensors").posterior_mean(image)
    for method, estimate in estimates.items():
        psnr = metrics.psnr(truth, estimate, data_range=float(truth.max() - truth.min()))
        # Not exactly: the table is made in bfloat16 where that is faster.
        assert psnr == pytest.approx(told[method], abs=0.01), method


@pytest.mark.parametrize("name", simulate.NAMES)
def test_the_rivals_had_the_data_and_the_steps_of_the_specialist(name: str) -> None:
    specialist = load_model(name)
    training = specialist.info["training"]
    assert training["steps"] == suite.TRAINING_STEPS and training["lr"] == suite.TRAINED["care"]
    for method, lr in suite.TRAINED.items():
        rival = load_model(RIVALS / f"{method}_{name}" / "model.safetensors")
        assert rival.unet.config == specialist.unet.config and rival.info["data"] == specialist.info["data"]
        assert rival.info["training"]["method"] == method and rival.info["training"]["lr"] == lr
        for key in ("steps", "batch_size", "patch", "seed", "ema_decay"):
            assert rival.info["training"][key] == training[key], key
