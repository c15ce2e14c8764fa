"""Draw the simulated sets beside real micrographs: ``book/images/simulated_and_real.webp``.

DDPM_MICRO_DATA=folder python book/experiments/simulation.py
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import IMAGES

from ddpm_micro import datasets, simulate

PICTURE = IMAGES / "simulated_and_real.webp"


def main() -> None:
    columns: list[tuple[str, np.ndarray, np.ndarray]] = []
    for name in simulate.NAMES:
        pairs = simulate.make_pairs(name, 1, seed=2)
        columns.append((f"{name} (simulated)", pairs.low[0], pairs.high[0]))
    for scene in datasets.load("fmd").scenes:
        middle = np.s_[192:320, 192:320]
        columns.append((f"{scene.name.replace('_', ' ')} (real)", scene.raw[0][middle], scene.truth[middle]))
    figure, axes = plt.subplots(4, 5, figsize=(12.5, 10.6), layout="constrained")
    for number, (title, low, high) in enumerate(columns):
        row, column = 2 * (number // 5), number % 5
        brightest = np.percentile(high, 99.8)
        for ax, image, label in ((axes[row, column], low, title), (axes[row + 1, column], high, "")):
            ax.imshow(image, cmap="gray", vmin=min(0, high.min()), vmax=brightest)
            ax.set_title(label, fontsize=10)
            ax.set_axis_off()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=80, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
