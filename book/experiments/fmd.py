"""Make the README's table and picture of six real scenes: the generalist, zero-shot and fine-tuned, and its rivals.

    DDPM_MICRO_DATA=folder OMP_NUM_THREADS=1 python book/experiments/fmd.py

takes the first draw of each scene of the Fluorescence Microscopy Denoising data (Zhang et al., CVPR 2019), trains under
``runs/fmd`` what is missing (half an hour on one CPU core), writes ``book/results/fmd.json`` and
``book/images/fmd_fish.webp`` and renews the table in README.md.

Rivals that no clean image has taught: filters, the strength of each chosen with the truth in hand, and Noise2Void,
trained on the one noisy image that it then restores. *Fine-tuned* is the generalist after a short training on the noisy
frames of other specimens: endothelial cells for the scenes of mouse and zebrafish, these for the endothelial cells.

The frames of a scene are not equally bright (a laser drifts, a dye bleaches), and the truth is the mean of fifty of
them, so every method errs by what its one frame was brighter or dimmer. ``psnr_fitted`` is what is left when gain and
offset of the estimate are fitted to the truth by least squares, as Weigert et al. (Nature Methods 2018) do.
"""

from __future__ import annotations

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from common import IMAGES, RUNS, TITLES, markdown, processes, renew_table, save

from ddpm_micro import checkpoint, datasets, evaluate, restore, train
from ddpm_micro.data import PairedPatches
from ddpm_micro.model import Model
from ddpm_micro.teach.rivals import best_strength, filters

PICTURE, RUNS = IMAGES / "fmd_fish.webp", RUNS / "fmd"
# Validated once: the weights of the last step.
ITSELF = train.TrainConfig(method="n2v", steps=200, val_every=200, lr=1e-2)
TUNED = train.TrainConfig(steps=300, val_every=300, lr=3e-3)
SAMPLES, STEPS = 15, 5
CROP = np.s_[100:356, 90:346]
METHODS = ("raw", "gaussian_oracle", "tv_oracle", "n2v", "ddpm", "ddpm_avg", "one_call", "tuned_avg")
SCENES = {  # as the data set calls them, and as a biologist would
    "Confocal_BPAE_G": "confocal, endothelial cells, green",
    "Confocal_FISH": "confocal, zebrafish embryo",
    "Confocal_MICE": "confocal, mouse brain",
    "TwoPhoton_BPAE_R": "two-photon, endothelial cells, red",
    "TwoPhoton_MICE": "two-photon, mouse brain",
    "WideField_BPAE_B": "wide-field, endothelial cells, blue",
}


def main() -> None:
    model = checkpoint.load_model("generalist")
    scenes = [scene for scene in datasets.load("fmd").scenes if scene.name in SCENES]
    draw(model, next(scene for scene in scenes if scene.name == "Confocal_FISH"))
    with processes() as pool:
        groups = {group: [scene for scene in scenes if group_of(scene) == group] for group in ("BPAE", "others")}
        list(pool.map(fine_tune, groups, groups.values()))
        list(pool.map(learn_from_itself, scenes))
        records = evaluate.summarise("fmd", list(pool.map(measure, scenes)))  # a scene a core
    save("fmd", records)
    renew_table("fmd", table(records))


def learn_from_itself(scene: datasets.Scene) -> None:
    """Noise2Void on the one frame that it will restore."""
    frame = PairedPatches(scene.raw[:1], scene.raw[:1], ITSELF.patch)
    train.fit(ITSELF, frame, frame, RUNS / scene.name, data=f"FMD {scene.name}, one frame", progress=False)


def fine_tune(group: str, scenes: list[datasets.Scene]) -> None:
    """The generalist, further on all frames of the scenes of a group."""
    raw = [frame for scene in scenes for frame in scene.raw]
    truth = [scene.truth for scene in scenes for _ in scene.raw]
    pairs, start = PairedPatches(raw, truth, TUNED.patch), checkpoint.load_model("generalist")
    train.fit(TUNED, pairs, pairs, RUNS / group, start=start, data=f"FMD, {group}", progress=False)


def group_of(scene: datasets.Scene) -> str:
    """Endothelial cells, or the others: a model is fine-tuned on one group and tested on the other."""
    return "BPAE" if "BPAE" in scene.name else "others"


def measure(scene: datasets.Scene) -> evaluate.Measured:
    """All methods on a scene's first frame."""
    raw, truth = scene.raw[0], scene.truth
    options = {"samples": SAMPLES, "steps": STEPS}
    values, seconds = evaluate.measure(checkpoint.load_model("generalist"), raw, truth, data_range=255, **options)
    itself, tuned = (
        checkpoint.load_model(RUNS / run / "model.safetensors")
        for run in (scene.name, "others" if group_of(scene) == "BPAE" else "BPAE")
    )
    methods = {
        "n2v": lambda: itself.posterior_mean(raw),
        "tuned_avg": lambda: restore.restore(tuned, raw, progress=False, **options).mean,
    }
    for name in ("nlm", "tv"):
        function, strengths = filters()[name]
        methods[f"{name}_oracle"] = partial(function, raw, best_strength(function, strengths, [raw], [truth]))
    more_values, more_seconds = evaluate.compare(methods, truth, data_range=255)
    values |= more_values
    for scores in values.values():
        scores["psnr_fitted"] = psnr_fitted(truth, scores["pearson"])
    values["raw"]["brightness"] = float(raw.mean() / truth.mean())
    return values, seconds | more_seconds


def psnr_fitted(truth: np.ndarray, pearson: float) -> float:
    """PSNR in dB (peak 255) after the least-squares fit of gain and offset, which leaves (1 - r^2) of the variance."""
    return float(10 * np.log10(255**2 / (truth.astype(np.float64).var() * (1 - pearson**2))))


def table(records: list[dict]) -> str:
    """PSNR in dB as Markdown: a row for each scene, then the mean, and the mean with brightness fitted."""
    of = {(record["metric"], record["method"]): record["values"] for record in records}
    rows = {title: [of["psnr", method][i] for method in METHODS] for i, title in enumerate(SCENES.values())}
    rows["**mean**"] = [np.mean(of["psnr", method]) for method in METHODS]
    rows["**mean, brightness fitted**"] = [np.mean(of["psnr_fitted", method]) for method in METHODS]
    cells = [[name, *(f"{value:.2f}" for value in values)] for name, values in rows.items()]
    return markdown(["", *(TITLES[method] for method in METHODS)], cells)


def draw(model: Model, scene: datasets.Scene) -> None:
    """Raw frame, one sample, mean, standard deviation and truth of a crop, side by side."""
    raw, truth = scene.raw[0][CROP], scene.truth[CROP]
    result = restore.restore(model, raw, samples=SAMPLES, steps=STEPS, keep_samples=True)
    panels = {
        "one noisy frame": raw,
        "one sample": result.samples[0],
        f"mean of {SAMPLES} samples": result.mean,
        "where they differ (std)": result.std,
        "mean of 50 frames": truth,
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(15, 3.35), layout="constrained")
    for ax, (title, image) in zip(axes, panels.items(), strict=True):
        is_std = title.startswith("where")
        ax.imshow(
            image, cmap="viridis" if is_std else "gray", vmin=0, vmax=None if is_std else np.percentile(truth, 99.7)
        )
        ax.set_title(title, fontsize=13)
        ax.set_axis_off()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
