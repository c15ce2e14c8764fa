"""Figures for the notebooks: images side by side, shown with a text for those who cannot see them."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import cycler
from matplotlib.figure import Figure

# One look for all figures. C0, black: what was measured or is given. C1, vermilion: the model, or what to look at.
# C2, blue: theory, or what was expected. C3, grey: what stands in the background. Colour-blind eyes tell the four apart
# (Okabe and Ito's colours), and a figure repeats the difference in dashes or markers.
STYLE = {
    "axes.prop_cycle": cycler(color=["black", "#D55E00", "#0072B2", "0.6"]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "errorbar.capsize": 3,
    "figure.constrained_layout.use": True,
    "image.cmap": "gray",
}
ACROSS = 3  # panels in a row: more would be too small on a page, and far too small on a telephone


def style() -> None:
    """Let the figures of this notebook have the book's look."""
    plt.rcParams.update(STYLE)


@dataclass(frozen=True)
class Picture:
    """An image with its alternative text, as a notebook shows it.

    Attributes
    ----------
    webp : bytes
    alt : str
        What is seen, in a sentence.
    """

    webp: bytes
    alt: str

    @property
    def src(self) -> str:
        """The image as a data URL."""
        return "data:image/webp;base64," + base64.b64encode(self.webp).decode("ascii")

    def _repr_html_(self) -> str:
        # White behind the figure in the dark theme too: its own axes and letters are black.
        style = "max-width:100%;height:auto;background:#fff"
        return f'<img src="{self.src}" alt="{html.escape(self.alt)}" style="{style}">'

    def __repr__(self) -> str:
        return self.alt


def show(figure: Figure, alt: str) -> Picture:
    """Turn a figure into a picture with alternative text, and close it.

    Raises
    ------
    ValueError
        If ``alt`` says nothing.
    """
    if not alt.strip():
        raise ValueError("expected alt to say what is seen, got an empty text")
    buffer = io.BytesIO()
    # All that could differ from run to run, such as a date, stays out: the same figure is the same bytes.
    figure.savefig(buffer, format="webp", dpi=80, facecolor="white", pil_kwargs={"quality": 80})
    plt.close(figure)
    return Picture(buffer.getvalue(), alt)


def images(
    panels: Mapping[str, np.ndarray], *, vmin: float, vmax: float, spread: Sequence[str] = (), side: float = 3.0
) -> Figure:
    """Draw images side by side on one grey scale, at most three in a row.

    Parameters
    ----------
    panels : mapping of title to ndarray, shape (H, W)
    vmin, vmax : float
        Values that are black and white, the same for all panels.
    spread : sequence of titles
        Panels that show a standard deviation: these have colours, from 0, and a bar with the values.
    side : float, inches
        Width and height of a panel.

    Raises
    ------
    ValueError
        If ``spread`` names a panel that is not there.
    """
    unknown = set(spread) - set(panels)
    if unknown:
        raise ValueError(f"expected spread to name panels out of {', '.join(panels)}, got {', '.join(sorted(unknown))}")
    rows = math.ceil(len(panels) / ACROSS)
    columns = math.ceil(len(panels) / rows)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=(side * columns, 1.1 * side * rows), squeeze=False)
        for ax in axes.flat[len(panels) :]:
            ax.remove()
        for ax, (title, image) in zip(axes.flat, panels.items()):
            if title in spread:
                figure.colorbar(ax.imshow(image, vmin=0, cmap="viridis"), ax=ax, shrink=0.8)
            else:
                ax.imshow(image, vmin=vmin, vmax=vmax)
            ax.set(title=title, xticks=[], yticks=[])
    return figure
