"""Sliders: one call, live in a notebook and, in the built book, without a kernel.

`slider` draws a picture for every value at once, so that moving it only shows another one. The environment variable
``DDPM_MICRO_SLIDERS=frames``, which the book's build sets, chooses the form that needs no kernel.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from ddpm_micro.teach.plots import STYLE, Picture, show

if TYPE_CHECKING:
    from ipywidgets import VBox


@dataclass(frozen=True)
class FrameStrip:
    """A slider of plain HTML that holds all its pictures, for pages without a kernel.

    Attributes
    ----------
    label : str
    texts : tuple of str
        The values as they are shown and read out.
    pictures : tuple of Picture
        One a value.
    start : int
        Index of the value shown first.
    """

    label: str
    texts: tuple[str, ...]
    pictures: tuple[Picture, ...]
    start: int

    def _repr_html_(self) -> str:
        # The name follows from what is shown: the same page is built from the same sources.
        digest = hashlib.sha256(self.label.encode())
        for picture in self.pictures:
            digest.update(picture.webp)
        name = f"strip-{digest.hexdigest()[:12]}"
        frames = json.dumps([[p.src, p.alt, text] for p, text in zip(self.pictures, self.texts, strict=True)])
        frames = frames.replace("</", r"<\/")  # no text may end the script
        first, label = self.pictures[self.start], html.escape(self.label)
        text = html.escape(self.texts[self.start])
        # JupyterLab would take the arrow keys for itself, so they are kept here.
        return f"""<div class="frame-strip" style="background:#fff;color:#111;padding:.5em;max-width:60em">
<label for="{name}">{label}</label>: <output for="{name}">{text}</output>
<input type="range" id="{name}" min="0" max="{len(self.pictures) - 1}" value="{self.start}" step="1"
 aria-valuetext="{text}" style="display:block;width:100%;margin:.5em 0" onkeydown="event.stopPropagation()"
 oninput="var f=JSON.parse(this.parentNode.querySelector('script').textContent)[this.value],
 i=this.parentNode.querySelector('img');i.src=f[0];i.alt=f[1];this.setAttribute('aria-valuetext',f[2]);
 this.parentNode.querySelector('output').textContent=f[2]">
{first._repr_html_()}
<script type="application/json">{frames}</script>
</div>"""


def slider(
    label: str,
    values: Sequence[Any],
    draw: Callable[[Any], Figure],
    describe: Callable[[Any], str],
    *,
    start: int = 0,
    unit: str = "",
) -> FrameStrip | VBox:
    """A slider over ``values`` with a picture for each.

    Parameters
    ----------
    label : str
        What the values are.
    values : sequence, at least 2
    draw : callable
        ``draw(value)`` returns the figure for a value.
    describe : callable
        ``describe(value)`` says in a sentence what is seen there.
    start : int
        Index of the value to begin with.
    unit : str
        Of the values, shown behind them.

    Raises
    ------
    ValueError
        For fewer than two values, or a ``start`` that is not the index of one.
    """
    if len(values) < 2 or not 0 <= start < len(values):
        raise ValueError(f"expected at least 2 values and start among them, got {len(values)} and start={start}")
    texts = tuple(f"{value} {unit}".strip() for value in values)
    with plt.rc_context(STYLE):
        strip = FrameStrip(label, texts, tuple(show(draw(value), describe(value)) for value in values), start)
    return strip if os.environ.get("DDPM_MICRO_SLIDERS") == "frames" else _live(strip)


def _live(strip: FrameStrip) -> VBox:
    # Only what ipywidgets 7.7 and 8 share, since Colab has the former.
    import ipywidgets

    options = [(text, number) for number, text in enumerate(strip.texts)]
    control = ipywidgets.SelectionSlider(
        options=options,
        value=strip.start,
        description=strip.label,
        continuous_update=False,
        style={"description_width": "initial"},
        layout={"width": "95%"},
    )
    picture = ipywidgets.HTML(strip.pictures[strip.start]._repr_html_())

    def change(event: dict) -> None:
        picture.value = strip.pictures[event["new"]]._repr_html_()

    control.observe(change, names="value")
    return ipywidgets.VBox([control, picture])
