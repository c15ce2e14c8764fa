"""Sliders and figures: every value has a picture of its own and a text, live and without a kernel."""

import html.parser
import io
import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from ddpm_micro.teach import plots, widgets
from ddpm_micro.teach.slider import FrameStrip

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0, 100, (32, 32))
SAMPLES = TRUTH + RNG.normal(0, 10, (4, 32, 32))


class Parsed(html.parser.HTMLParser):
    """The tags of a piece of HTML, and the text within each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: dict[str, dict] = {}
        self.script = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags[tag] = dict(attrs)
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if getattr(self, "inside", "") == "script":
            self.script += data


@pytest.fixture
def strip(monkeypatch: pytest.MonkeyPatch) -> FrameStrip:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")
    return widgets.samples(SAMPLES, TRUTH, data_range=100)


def test_a_picture_keeps_its_figure_and_its_text() -> None:
    figure = plots.images({"a": TRUTH, "b": TRUTH, "s": TRUTH}, vmin=0, vmax=100, spread=["s"])
    size = figure.get_size_inches()
    picture = plots.show(figure, 'two "images"')
    assert Image.open(io.BytesIO(picture.webp)).size == (round(size[0] * 80), round(size[1] * 80))
    assert Parsed(picture._repr_html_()).tags["img"]["alt"] == 'two "images"' == repr(picture)
    assert not plt.get_fignums()


def test_a_figure_without_text_is_refused() -> None:
    with pytest.raises(ValueError, match="what is seen"):
        plots.show(plt.figure(), " ")
    plt.close("all")
    with pytest.raises(ValueError, match="out of a, got c"):
        plots.images({"a": TRUTH}, vmin=0, vmax=1, spread=["c"])


def test_grey_panels_share_a_scale_and_a_spread_has_its_own() -> None:
    figure = plots.images({"a": TRUTH, "s": TRUTH / 10}, vmin=0, vmax=100, spread=["s"])
    grey, spread = (ax.images[0] for ax in figure.axes[:2])
    assert grey.get_clim() == (0, 100) and spread.get_clim() == (0, TRUTH.max() / 10)
    plt.close(figure)


def test_a_strip_holds_a_picture_and_a_text_for_each_value(strip: FrameStrip) -> None:
    parsed = Parsed(strip._repr_html_())
    frames = json.loads(parsed.script)
    assert len(frames) == len({src for src, _, _ in frames}) == len(SAMPLES)
    assert [text for _, _, text in frames] == ["1", "2", "3", "4"]
    assert parsed.tags["img"]["src"] == frames[0][0] and parsed.tags["img"]["alt"] == frames[0][1]
    assert parsed.tags["label"]["for"] == parsed.tags["input"]["id"] == parsed.tags["output"]["for"]
    assert strip._repr_html_() == widgets.samples(SAMPLES, TRUTH, data_range=100)._repr_html_()
    other = widgets.samples(SAMPLES[::-1], TRUTH, data_range=100)
    assert Parsed(other._repr_html_()).tags["input"]["id"] != parsed.tags["input"]["id"]


def test_text_cannot_end_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")
    nasty = widgets.slider("<b>", ["</script>", "x"], lambda _: plt.figure(figsize=(1, 1)), lambda v: f"seen: {v}")
    parsed = Parsed(nasty._repr_html_())
    assert json.loads(parsed.script)[0][1:] == ["seen: </script>", "</script>"] and "b" not in parsed.tags


def test_the_psnr_of_a_mean_is_that_of_scikit_image(strip: FrameStrip) -> None:
    for k, picture in enumerate(strip.pictures, 1):
        psnr = peak_signal_noise_ratio(TRUTH, SAMPLES[:k].mean(axis=0), data_range=100)
        assert f"Mean of {k} of 4" in picture.alt and f"{psnr:.2f} decibels" in picture.alt


def test_exact_samples_gain_what_the_slider_says_and_few_frames_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")
    truth, *exact = 50 + TRUTH[:1] + np.random.default_rng(1).normal(0, 5, (17, 200, 32))  # the truth is one more draw
    strip = widgets.samples(np.array(exact), truth, data_range=100)
    assert strip.texts == ("1", "2", "3", "4", "6", "8", "11", "16")
    for k, picture in zip(map(int, strip.texts), strip.pictures, strict=True):
        gain, bound = (
            float(re.search(pattern, picture.alt)[1]) for pattern in (r"([+-]\d.\d\d) from", r"gain (.+)\.$")
        )
        assert bound == pytest.approx(-10 * np.log10((1 + 1 / k) / 2), abs=0.006)
        assert gain == pytest.approx(bound, abs=0.15)


def test_a_live_slider_shows_the_picture_of_its_value(strip: FrameStrip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDPM_MICRO_SLIDERS")
    control, picture = widgets.samples(SAMPLES, TRUTH, data_range=100).children
    for number in (0, 3, 1):
        control.value = number
        assert picture.value == strip.pictures[number]._repr_html_()


@pytest.mark.parametrize(("values", "start"), [([1], 0), ([1, 2], 2), ([1, 2], -1)])
def test_a_slider_needs_values(values: list, start: int) -> None:
    with pytest.raises(ValueError, match="at least 2 values"):
        widgets.slider("x", values, lambda _: plt.figure(), str, start=start)


def test_only_teach_loads_matplotlib_and_widgets() -> None:
    code = "import sys, ddpm_micro.restore; sys.exit(bool({'matplotlib', 'ipywidgets'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
