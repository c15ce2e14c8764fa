"""Adaptation finds the noise of the frames; a flow is a denoiser like any other."""

import adaptation
import numpy as np
import pytest
import samplers_rival
import torch
from common import load

from ddpm_micro.schedule import q_sample


def test_the_noise_model_finds_gain_constant_and_spectrum() -> None:
    rng = np.random.default_rng(0)
    light = np.tile(np.linspace(5, 100, 96), (4, 96, 1))
    frequency = np.hypot(np.fft.fftfreq(96)[:, None], np.fft.fftfreq(96))
    spectrum = np.exp(-((2 * frequency) ** 2))
    known = adaptation.Noise(2.0, 30.0, spectrum / spectrum.mean())
    frames = np.stack([one + known.draw(one, rng) for one in light])
    found = adaptation.noise_of(frames, light)
    assert found.gain == pytest.approx(2, rel=0.1) and found.constant == pytest.approx(30, rel=0.2)
    coarse = found.spectrum[frequency < 0.1].mean() / found.spectrum[frequency > 0.4].mean()
    expected = known.spectrum[frequency < 0.1].mean() / known.spectrum[frequency > 0.4].mean()
    assert coarse == pytest.approx(expected, rel=0.2)


def test_the_variance_line_never_goes_below_zero() -> None:
    light = np.tile(np.linspace(5, 100, 64), (1, 64, 1))
    steep = (
        np.random.default_rng(0).normal(size=light.shape) * light**1.5 / 10
    )  # a straight line through it dips below 0
    found = adaptation.noise_of(light + steep, light)
    assert found.gain >= 0 and found.constant >= 0


def test_the_risk_of_two_answers_differs_by_the_difference_of_their_errors() -> None:
    rng = np.random.default_rng(1)
    truth = np.full((2, 64, 64), 50.0)
    noise = adaptation.Noise(1.0, 0.0, np.ones((64, 64)))
    frames = np.stack([one + noise.draw(one, rng) for one in truth])

    class Constant:
        def __init__(self, level: float) -> None:
            self.level = level

        def posterior_mean(self, image: np.ndarray) -> np.ndarray:
            return np.full(image.shape, self.level)

    off, right = (adaptation.risk(Constant(level), frames, truth, noise) for level in (53.0, 50.0))
    assert off - right == pytest.approx(9, abs=1)


def test_a_flow_that_knows_the_velocity_knows_the_image_and_ddim_is_euler() -> None:
    model = samplers_rival.flow()["start"].eval()
    with torch.no_grad():
        model.unet.gain_out.fill_(1.0)  # untrained, it would answer 0
    samplers_rival.same_as_euler(model)
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 2, 1, 8, 8, generator=generator)
    t = torch.tensor([3, 199])
    model.output = lambda *_: eps - x0
    assert torch.allclose(model(q_sample(model.schedule, x0, t, eps), t, x0), x0, atol=1e-5)


def test_the_page_shows_what_was_measured() -> None:
    assert adaptation.table(load("adaptation")) in adaptation.PAGE.read_text("utf-8")
