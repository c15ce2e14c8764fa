"""The moving window: where it is, what it says, and what it refuses."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from ddpm_micro.teach import widgets

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(0, 100, (20, 50))
NOISY, RESTORED = (TRUTH + RNG.normal(0, sd, TRUTH.shape) for sd in (20, 5))


@pytest.fixture(autouse=True)
def frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDPM_MICRO_SLIDERS", "frames")


def test_windows_reach_from_edge_to_edge_and_tell_their_psnr() -> None:
    strip = widgets.crop(NOISY, RESTORED, TRUTH, side=16, data_range=100, windows=3)
    assert strip.texts == ("0 px", "17 px", "34 px") and strip.start == 1
    assert len({picture.webp for picture in strip.pictures}) == 3
    for left, picture in zip((0, 17, 34), strip.pictures, strict=True):
        part = np.s_[2:18, left : left + 16]
        told = [float(number) for number in re.findall(r"(\d+\.\d)", picture.alt)]
        right = [peak_signal_noise_ratio(TRUTH[part], image[part], data_range=100) for image in (NOISY, RESTORED)]
        assert told == pytest.approx(right, abs=0.051) and f"column {left} to {left + 15}" in picture.alt


def test_each_frame_shows_its_own_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ddpm_micro.teach.widgets.slider", lambda label, values, draw, *_, **__: [draw(v) for v in values]
    )
    figures = widgets.crop(NOISY, RESTORED, TRUTH, side=16, data_range=100, windows=3)
    for left, figure in zip((0, 17, 34), figures, strict=True):
        whole, *windows = (ax.images[0].get_array() for ax in figure.axes)
        np.testing.assert_array_equal(whole, NOISY)
        for image, came in zip((NOISY, RESTORED, TRUTH), windows, strict=True):
            np.testing.assert_array_equal(came, image[2:18, left : left + 16])
        assert figure.axes[0].patches[0].get_bbox().x0 == left
        plt.close(figure)


@pytest.mark.parametrize("change", [{"side": 21}, {"side": 0}, {"windows": 1}, {"noisy": NOISY[:, 1:]}])
def test_what_does_not_fit_is_refused(change: dict) -> None:
    given = {"noisy": NOISY, "restored": RESTORED, "truth": TRUTH, "side": 16, "data_range": 100} | change
    with pytest.raises(ValueError, match="expected"):
        widgets.crop(given.pop("noisy"), given.pop("restored"), given.pop("truth"), **given)
