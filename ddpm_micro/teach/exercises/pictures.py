"""What an exercise shows when the values are wrong: the images it expected, and those that came."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np

from ddpm_micro.teach.plots import Picture, show


def beside(*titles: str) -> Callable[[list[np.ndarray], list[np.ndarray]], Picture]:
    """A function that draws the expected images over those that came, on one grey scale.

    Parameters
    ----------
    titles : str
        What each image is, as many as there are images.
    """

    def picture(expected: list[np.ndarray], came: list[np.ndarray]) -> Picture:
        rows = {"expected": _planes(expected), "yours": _planes(came)}
        vmin, vmax = rows["expected"].min(), rows["expected"].max()
        figure, axes = plt.subplots(
            2, len(titles), figsize=(1.7 * len(titles), 3.6), layout="constrained", squeeze=False
        )
        for of_row, (name, planes) in zip(axes, rows.items(), strict=True):
            for ax, title, plane in zip(of_row, titles, planes, strict=True):
                ax.imshow(plane, cmap="gray", vmin=vmin, vmax=vmax)
                ax.set(title=f"{name}, {title}", xticks=[], yticks=[])
        worst = [np.abs(a - b).max() for a, b in zip(*rows.values(), strict=True)]
        differ = ", ".join(f"{title} {value:.3g}" for title, value in zip(titles, worst, strict=True))
        return show(figure, alt=f"Above the expected images, below yours; the largest differences are: {differ}.")

    return picture


def _planes(parts: list[np.ndarray]) -> np.ndarray:
    """All images in a list of arrays (..., H, W), as one array (N, H, W)."""
    return np.concatenate([part.reshape(-1, *part.shape[-2:]) for part in parts])
