"""What restoring is for: count, measure and outline in restored images, where the right answer is known.

    OMP_NUM_THREADS=1 python book/experiments/analysis.py

takes the middle of six test images of each set, runs one plain pipeline (`analysis_pipelines.py`) on the noisy
image and on what the methods make of it, and writes ``book/results/analysis.json``, which chapter 9 shows (ten
minutes on a CPU core; restored images are kept under ``runs/analysis``).

The truth is what the pipeline finds, at a fixed setting, in the noise-free image: the light that the simulated
specimen sends through the optics of the high image. Smoothing and threshold of the pipeline are chosen for every
input alike, on four validation images, by the score: F1 of the puncta, skeletons and cells, Dice of the mitochondria.
*clean* is the high image itself, as the microscope would take it.

Expected before the first run: the filters already gain most of what there is to gain for counting; CARE and the mean
are level; one sample is behind them in the score and ahead in bias, since it has true contrast; the number averaged
over samples has the least bias; and the truth lies among the four numbers less often than in the 3 of 5 cases that
exact samples give. Found: raw images gain 0.01 to 0.14 in the score by their restoration; CARE and the mean are level
but on the synapses, where the mean is ahead; one sample has the lower score everywhere; the number over samples is no
better; the samples hold the truth in 13 cases of 24, against 14 expected, but on three sets in 7 of 18.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from analysis_pipelines import PIPELINES, SMOOTHINGS, THRESHOLDS, Pipeline
from common import RIVALS, RUNS, load, psnr, save

from ddpm_micro import restore, simulate
from ddpm_micro.checkpoint import load_model
from ddpm_micro.choices import SETS
from ddpm_micro.files.atomic import atomic_write
from ddpm_micro.simulate.benchmark import BENCHMARKS
from ddpm_micro.teach.rivals import filters

PARTS = {"val": (1, 4, 2), "test": (2, 6, 4)}  # seed of the split, images, samples of each
MIDDLE = np.s_[..., 16:112, 16:112]  # of an image
STEPS = 10  # network calls per sample
ORDER = ("raw", "filter", "care", "ddpm", "ddpm_pairs", "each", "clean")


def main() -> None:
    records: list[dict] = []
    for name in simulate.NAMES:
        records += measure_set(name)
        save("analysis", records)


def measure_set(name: str) -> list[dict]:
    """One record for each input of a set."""
    pipeline, chosen, records = PIPELINES[name], {}, []
    images = {part: restored(name, part) for part in PARTS}
    truths = {part: [pipeline.find(image, *pipeline.on_truth) for image in images[part]["truth"]] for part in PARTS}
    for method in (method for method in ORDER if method != "each"):
        chosen[method] = tuned(pipeline, truths["val"], images["val"][method])
    chosen["each"] = chosen["ddpm"]
    for method in ORDER:
        record = {"set": name, "method": method, "smoothing": chosen[method][0], "threshold": chosen[method][1]}
        inputs = images["test"]["samples" if method == "each" else method]
        if method not in ("each", "clean"):
            pairs = zip(images["test"]["clean"], inputs, strict=True)
            record["psnr"] = round(float(np.median([psnr(clean, image) for clean, image in pairs])), 2)
        records.append(record | scored(pipeline, truths["test"], inputs, chosen[method]))
        print(records[-1], flush=True)
    return records


def tuned(pipeline: Pipeline, truths: list, images: np.ndarray) -> tuple[float, float]:
    """Smoothing and threshold of the highest mean score."""

    def score(setting: tuple[float, float]) -> float:
        pairs = zip(truths, images, strict=True)
        return float(np.mean([pipeline.score(truth, pipeline.find(image, *setting)) for truth, image in pairs]))

    return max(product(SMOOTHINGS, THRESHOLDS), key=score)


def scored(pipeline: Pipeline, truths: list, images: np.ndarray, setting: tuple[float, float]) -> dict:
    """Mean score; bias and scatter of each number in per cent of the truth; how often samples hold it.

    ``images`` are (n, H, W), or (n, K, H, W) where each of K samples is measured: then score and number are their
    means, and ``held`` is the share of the images whose true number lies between the lowest and the highest of K.
    """
    objects = [
        [pipeline.find(one, *setting) for one in np.atleast_3d(image).reshape(-1, *image.shape[-2:])]
        for image in images
    ]
    pairs = list(zip(truths, objects, strict=True))
    out: dict = {"score": round(float(np.mean([[pipeline.score(t, one) for one in found] for t, found in pairs])), 3)}
    for what, count in pipeline.numbers.items():
        true = np.array([count(truth) for truth in truths])
        found = np.array([[count(one) for one in several] for several in objects])
        error = 100 * (found.mean(axis=1) / np.maximum(true, 1) - 1)
        out[what] = {"bias": round(float(error.mean()), 1), "scatter": round(float(error.std(ddof=1)), 1)}
        out[what]["truth"] = round(float(true.mean()), 1)
        if found.shape[1] > 1:
            held = (found.min(axis=1) <= true) & (true <= found.max(axis=1))
            out[what] |= {"held": int(held.sum()), "of": len(held)}
            out[what]["within"] = round(float((100 * found.std(axis=1, ddof=1) / np.maximum(true, 1)).mean()), 1)
    return out


def restored(name: str, part: str) -> dict[str, np.ndarray]:
    """What every method makes of the first images of a part, and the noise-free ones, each (n, H, W)."""
    model, care = load_model(name), load_model(RIVALS / f"care_{name}")
    path = RUNS / "analysis" / f"{name}_{part}_{model.fingerprint()[:8]}.npz"
    if not path.is_file():
        seed, count, samples = PARTS[part]
        pairs = simulate.split(name, part)
        low, high = pairs.low[:count][MIDDLE], pairs.high[:count][MIDDLE]
        method, strength = best_filter(name)
        drawn = [
            restore.restore(
                model, image, samples=samples, steps=STEPS, seed=i, antithetic=True, keep_samples=True, progress=False
            )
            for i, image in enumerate(low)
        ]
        drawn = np.stack([one.samples for one in drawn])
        images = {"raw": low, "clean": high, "care": care.posterior_mean(low), "samples": drawn}
        images |= {"filter": np.stack([method(image, strength) for image in low])}
        images |= {"ddpm": drawn[:, 0], "ddpm_pairs": drawn.mean(axis=1)}
        images["truth"] = np.stack([noise_free(name, seed, i)[MIDDLE] for i in range(count)])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **{key: value.astype(np.float32) for key, value in images.items()})
    with np.load(path) as file:
        return dict(file)


def best_filter(name: str) -> tuple:
    """The filter of the highest median PSNR in the benchmark, and the strength that it has there."""
    known = filters(BENCHMARKS[name])
    records = [r for r in load("benchmark") if r["set"] == name and r["metric"] == "psnr" and r["method"] in known]
    best = max(records, key=lambda record: record["median"])
    return known[best["method"]][0], best["strength"]


def noise_free(name: str, seed: int, number: int, size: int = 128) -> np.ndarray:
    """The expected high image of a pair of a split (see `simulate.benchmark.Experiment.pair`), grey levels."""
    one = BENCHMARKS[name]
    _, photons = one.light(np.random.default_rng([SETS.index(name), seed, number]), size)
    return photons * one.low.camera.gain + one.low.camera.offset


if __name__ == "__main__":
    main()
