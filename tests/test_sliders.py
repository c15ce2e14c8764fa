"""The sliders of the chapters: each value has a picture of its own, and a text whose numbers are right."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.teach import widgets
from ddpm_micro.teach.slider import FrameStrip

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


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def each_frame_is_another(strip: FrameStrip) -> bool:
    return len({picture.webp for picture in strip.pictures}) == len({p.alt for p in strip.pictures}) == len(strip.texts)


def test_more_photons_are_a_better_frame() -> None:
    strip = widgets.photons(TRUTH / TRUTH.max())
    assert each_frame_is_another(strip) and strip.texts[0] == "1" and strip.texts[-1] == "1000"
    psnr = [numbers(picture.alt)[1] for picture in strip.pictures]
    # Ten times the light is 10 dB, give or take the luck of one frame of 1000 pixels.
    assert psnr[-1] - psnr[0] == pytest.approx(30, abs=1)


def test_signal_and_noise_at_a_timestep_are_those_of_the_schedule() -> None:
    schedule = cosine_schedule(200)
    strip = widgets.timestep(TRUTH / 50 - 1, schedule)
    assert each_frame_is_another(strip) and strip.texts[0] == "clean" and strip.texts[-1] == "199"
    for text, picture in zip(strip.texts[1:], strip.pictures[1:], strict=True):
        t, signal_rate, noise_rate = numbers(picture.alt)
        alpha_bar = schedule.alphas_cumprod[int(text)].item()
        assert t == int(text) and [signal_rate, noise_rate] == pytest.approx(
            [alpha_bar**0.5, (1 - alpha_bar) ** 0.5], abs=0.0051
        )


def test_a_point_keeps_its_distance_while_the_axes_turn() -> None:
    strip = widgets.plane(cosine_schedule(200), (0.9, 0.5))
    assert each_frame_is_another(strip)
    for picture in strip.pictures:
        *_, x_t, v = numbers(picture.alt)
        assert np.hypot(x_t, v) == pytest.approx(np.hypot(0.9, 0.5), abs=0.01)


def test_a_trajectory_ends_at_its_image() -> None:
    states = TRUTH + RNG.normal(0, 1, TRUTH.shape) * np.linspace(300, 0, 30)[:, None, None]
    strip = widgets.trajectory(states, states, NOISY, TRUTH, vmin=0, vmax=100, frames=5)
    assert each_frame_is_another(strip) and strip.texts[0] == "1 of 30" and strip.texts[-1] == "30 of 30"
    likeness = [numbers(picture.alt)[2] for picture in strip.pictures]
    assert likeness == sorted(likeness) and likeness[-1] == 1
    told = np.corrcoef(states[-1].ravel(), states[7].ravel())[0, 1]
    assert likeness[1] == pytest.approx(told, abs=0.0051)


def test_steps_are_compared_with_the_most_and_with_the_truth() -> None:
    strip = widgets.steps({40: NOISY, 2: RESTORED, 5: TRUTH}, TRUTH, vmin=0, vmax=100)
    assert each_frame_is_another(strip) and strip.texts == ("2", "5", "40")
    away = np.sqrt(np.mean((RESTORED - NOISY) ** 2))
    assert numbers(strip.pictures[0].alt)[2] == pytest.approx(away, rel=0.01)
    assert numbers(strip.pictures[2].alt)[2] == 0 and numbers(strip.pictures[1].alt)[-1] == 100


def test_two_samples_are_compared_where_they_differ_and_where_both_are_wrong() -> None:
    truth = np.full((64, 64), 50.0)
    one, other = truth.copy(), truth.copy()
    one[20:25, 40:45] = 90  # the samples differ here ...
    one[44:49, 20:25] = other[44:49, 20:25] = 10  # ... and are wrong together there
    strip = widgets.compare({"one": one, "other": other, "truth": truth}, vmin=0, vmax=100)
    assert each_frame_is_another(strip) and strip.texts == ("one", "other", "truth")
    *_, a_row, a_column, a, b_row, b_column, b = numbers(strip.pictures[0].alt)
    assert (
        (a, b) == (90, 10) and abs(a_row - 22) + abs(a_column - 42) <= 2 and abs(b_row - 46) + abs(b_column - 22) <= 2
    )
