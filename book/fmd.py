"""Make the README's table and picture: the generalist, zero-shot, on six real scenes.

    DDPM_MICRO_DATA=folder python book/fmd.py

evaluates the first draw of each scene of the Fluorescence Microscopy Denoising data (Zhang et al., CVPR 2019), writes
``book/results/fmd.json`` and ``book/images/fmd_fish.webp`` and renews the table in README.md.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from ddpm_micro import checkpoint, datasets, evaluate, restore

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PICTURE = ROOT / "book/results/fmd.json", ROOT / "book/images/fmd_fish.webp"
SAMPLES, STEPS = 15, 5
CROP = np.s_[100:356, 90:346]
METHODS = {
    "raw": "raw",
    "gaussian": "best Gaussian",
    "ddpm": "one sample",
    "ddpm_avg": f"mean of {SAMPLES}",
    "one_call": "one call",
}
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
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        records = evaluate.summarise("fmd", list(pool.map(measure, scenes)))  # a scene a core
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(records, indent=1) + "\n", "utf-8")
    readme = ROOT / "README.md"
    renewed = re.sub(
        r"(<!-- fmd table -->\n).*?(<!-- end -->)",
        lambda found: found[1] + table([scene.name for scene in scenes], records) + found[2],
        readme.read_text("utf-8"),
        flags=re.DOTALL,
    )
    readme.write_text(renewed, "utf-8")


def measure(scene: datasets.Scene) -> evaluate.Measured:
    model = checkpoint.load_model("generalist")
    options = {"data_range": 255, "samples": SAMPLES, "steps": STEPS}
    return evaluate.measure(model, scene.raw[0], scene.truth, **options)


def table(names: list[str], records: list[dict]) -> str:
    """PSNR in dB as a Markdown table, a row a scene, the mean last."""
    psnr = {record["method"]: record["values"] for record in records if record["metric"] == "psnr"}
    rows = [f"| | {' | '.join(METHODS.values())} |", "|---|" + "---|" * len(METHODS)]
    columns = [psnr[method] for method in METHODS]
    for name, *values in zip([*names, "**mean**"], *([*column, np.mean(column)] for column in columns), strict=True):
        rows.append(f"| {SCENES.get(name, name)} | {' | '.join(f'{value:.2f}' for value in values)} |")
    return "\n".join(rows) + "\n"


def draw(model: checkpoint.Model, scene: datasets.Scene) -> None:
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
        spread = title.startswith("where")
        ax.imshow(
            image, cmap="viridis" if spread else "gray", vmin=0, vmax=None if spread else np.percentile(truth, 99.7)
        )
        ax.set_title(title, fontsize=13)
        ax.set_axis_off()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=90, pil_kwargs={"quality": 88})


if __name__ == "__main__":
    main()
