"""A model asked once: what it is shown, and the grey levels it answers in."""

import numpy as np
import pytest
import torch

from ddpm_micro.model import Model, at_once
from ddpm_micro.schedule import cosine_schedule
from ddpm_micro.unet import UNetConfig

TINY = UNetConfig(8, (1, 2), 1, (1,))


class Watched(Model):
    """Returns cond as x0 and keeps what it was asked with."""

    def forward(self, x_t, t, cond):
        self.asked = x_t, t, cond
        return cond


def test_at_once_is_asked_at_the_last_timestep_without_noise() -> None:
    asked = []
    cond = torch.ones(2, 1, 4, 4)
    at_once(lambda *arguments: asked.append(arguments) or cond, cosine_schedule(20), cond)
    ((x_t, t, given),) = asked
    assert not x_t.any() and t.tolist() == [19, 19] and given is cond


def test_posterior_mean_keeps_shape_and_units() -> None:
    """A network that answers v = -x0 with x0 = cond gives back the image."""
    model = Model(TINY, cosine_schedule(30)).eval()
    model.output = lambda x_t, t, cond: -cond
    stack = np.random.default_rng(0).uniform(100, 900, (3, 11, 7)).astype(np.uint16)
    mean = model.posterior_mean(stack)
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, stack, rtol=0, atol=4)  # of the noise, sqrt(alpha_bar_T) = 0.002 is left
    np.testing.assert_array_equal(model.posterior_mean(stack[1]), mean[1])
    model.planes_at_once = lambda *_: 2  # as on a GPU
    np.testing.assert_allclose(model.posterior_mean(stack), mean, rtol=1e-6)


@pytest.mark.parametrize("method", ["ddpm", "care", "n2v"])
def test_only_a_diffusion_model_is_shown_noise_when_asked_once(method: str) -> None:
    model = Watched(TINY, cosine_schedule(20), prediction="x0", method=method).eval()
    image = np.random.default_rng(0).uniform(100, 900, (12, 12)).astype(np.float32)
    np.testing.assert_allclose(model.posterior_mean(image, tile=8), image, rtol=1e-5, atol=1e-3)
    x_t, t, _ = model.asked
    assert set(t.tolist()) == {19} and bool(x_t.any()) == (method == "ddpm")
