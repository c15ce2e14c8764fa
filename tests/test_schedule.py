"""The schedule against its formulas and against diffusers."""

import math

import diffusers
import numpy as np
import pytest
import torch

from ddpm_micro.schedule import (
    NoiseSchedule,
    cosine_schedule,
    linear_schedule,
    q_posterior,
    q_sample,
    schedule_from_config,
    target,
    to_eps,
    to_x0,
)


def images(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, 1, 5, 7, generator=generator, dtype=torch.float64) for _ in range(2))


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (cosine_schedule(200), {"num_train_timesteps": 200, "beta_schedule": "squaredcos_cap_v2"}),
        (linear_schedule(1000), {"num_train_timesteps": 1000, "beta_schedule": "linear"}),
    ],
)
def test_agrees_with_diffusers(schedule: NoiseSchedule, options: dict) -> None:
    theirs = diffusers.DDPMScheduler(**options).alphas_cumprod.double()
    assert schedule.alphas_cumprod.dtype == torch.float64
    torch.testing.assert_close(schedule.alphas_cumprod, theirs, rtol=2e-4, atol=1e-7)  # theirs is a float32 product


def test_cosine_end_is_what_the_paper_meets() -> None:
    schedule = cosine_schedule()
    assert schedule.num_train_timesteps == 200
    assert schedule.alphas_cumprod[-1].item() == pytest.approx(6e-8, rel=0.05)
    assert 1 / math.sqrt(schedule.alphas_cumprod[-1]) == pytest.approx(4000, rel=0.05)


def test_snr_and_the_clean_end() -> None:
    schedule = cosine_schedule(50)
    t = torch.tensor([0, 20, 49])
    alpha_bar = schedule.alphas_cumprod[t]
    torch.testing.assert_close(schedule.snr(t), alpha_bar / (1 - alpha_bar))
    assert schedule.alpha_bar(-1) == 1


@pytest.mark.parametrize("steps", [1, 2, 5, 7, 20, 50, 199, 200])
def test_timesteps_are_trailing(steps: int) -> None:
    times = cosine_schedule(200).timesteps(steps)
    assert times.dtype == torch.int64 and len(times) == steps and times[0] == 199
    assert (times.diff() < 0).all() and times[-1] >= 0
    expected = np.round(200 - np.arange(steps) * 200 / steps) - 1
    np.testing.assert_array_equal(times.numpy(), expected)


@pytest.mark.parametrize("steps", [0, -1, 201])
def test_steps_outside_the_training_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=r"expected steps in 1\.\.200.*got"):
        cosine_schedule(200).timesteps(steps)


def test_q_sample_closed_form_is_the_chain() -> None:
    """One jump has the mean and variance of t + 1 small steps x_s = sqrt(1 - beta) x_(s-1) + sqrt(beta) eps."""
    schedule = linear_schedule(40, 1e-3, 0.2)
    alpha = schedule.alphas_cumprod / torch.cat([torch.ones(1, dtype=torch.float64), schedule.alphas_cumprod[:-1]])
    mean, variance = 1.0, 0.0
    for t in range(40):
        mean, variance = mean * alpha[t].sqrt(), variance * alpha[t] + 1 - alpha[t]
        ones, zeros = torch.ones(1, 1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, 1, dtype=torch.float64)
        at = torch.tensor([t])
        assert q_sample(schedule, ones, at, zeros).item() == pytest.approx(mean.item(), rel=1e-12)
        assert q_sample(schedule, zeros, at, ones).item() ** 2 == pytest.approx(variance.item(), rel=1e-12)


def test_q_sample_is_pure_and_per_item() -> None:
    schedule = cosine_schedule()
    x0, eps = images(3)
    kept = x0.clone(), eps.clone()
    t = torch.tensor([0, 100, 199])
    together = q_sample(schedule, x0, t, eps)
    torch.testing.assert_close((x0, eps), kept, rtol=0, atol=0)
    for i in range(3):
        torch.testing.assert_close(together[i], q_sample(schedule, x0[i : i + 1], t[i : i + 1], eps[i : i + 1])[0])


@pytest.mark.parametrize("prediction", ["eps", "v", "x0"])
def test_conversions_are_inverse(prediction: str) -> None:
    schedule = cosine_schedule()
    t = torch.tensor([0, 1, 57, 150, 198, 199])
    x0, eps = images(len(t))
    x_t = q_sample(schedule, x0, t, eps)
    output = target(schedule, x0, t, eps, prediction)
    torch.testing.assert_close(to_x0(schedule, output, x_t, t, prediction), x0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(to_eps(schedule, x0, x_t, t), eps, rtol=1e-8, atol=1e-8)


def test_v_is_that_of_diffusers() -> None:
    schedule = cosine_schedule()
    x0, eps = (image.float() for image in images(4))
    t = torch.tensor([3, 70, 140, 199])
    theirs = diffusers.DDPMScheduler(num_train_timesteps=200, beta_schedule="squaredcos_cap_v2")
    torch.testing.assert_close(target(schedule, x0, t, eps, "v"), theirs.get_velocity(x0, eps, t), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(q_sample(schedule, x0, t, eps), theirs.add_noise(x0, eps, t), rtol=1e-4, atol=1e-5)


def test_at_the_end_eps_amplifies_an_error_4000_times_and_v_does_not() -> None:
    schedule = cosine_schedule()
    x0, eps = images(1)
    t = torch.tensor([199])
    x_t = q_sample(schedule, x0, t, eps)
    errors = {
        kind: (to_x0(schedule, target(schedule, x0, t, eps, kind) + 1e-3, x_t, t, kind) - x0).abs().max().item()
        for kind in ("eps", "v")
    }
    assert errors["eps"] == pytest.approx(4, rel=0.05)
    assert errors["v"] == pytest.approx(1e-3, rel=0.01)


def test_posterior_is_that_of_gaussians() -> None:
    """Mean and variance against conditioning the joint Gaussian of (x_s, x_t) given x0."""
    schedule = cosine_schedule()
    x0, x_t = images(1)
    for t, s in [(199, 198), (150, 90), (20, 0), (7, -1)]:
        ab_t, ab_s = schedule.alpha_bar(t).item(), schedule.alpha_bar(s).item()
        covariance = math.sqrt(ab_t / ab_s) * (1 - ab_s)
        mean = math.sqrt(ab_s) * x0 + covariance / (1 - ab_t) * (x_t - math.sqrt(ab_t) * x0)
        variance = (1 - ab_s) - covariance**2 / (1 - ab_t)
        got_mean, got_variance = q_posterior(schedule, x0, x_t, torch.tensor([t]), torch.tensor([s]))
        torch.testing.assert_close(got_mean, mean, rtol=1e-9, atol=1e-9)
        assert got_variance.item() == pytest.approx(variance, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("schedule", [cosine_schedule(30, s=0.01), linear_schedule(20, 0.001, 0.3)])
def test_config_makes_the_same_schedule_again(schedule: NoiseSchedule) -> None:
    again = schedule_from_config(schedule.config)
    torch.testing.assert_close(again.alphas_cumprod, schedule.alphas_cumprod, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cosine_schedule(0), "num_train_timesteps >= 1, got 0"),
        (lambda: linear_schedule(10, 0.0, 0.5), "beta_start and beta_end"),
        (lambda: schedule_from_config({"kind": "quadratic"}), "quadratic"),
        (lambda: NoiseSchedule(torch.tensor([0.5, 0.7], dtype=torch.float64), {}), "fall strictly"),
        (lambda: NoiseSchedule(torch.tensor([0.5, 0.3]), {}), "float64"),
        (lambda: cosine_schedule(10).alpha_bar(torch.tensor([10])), r"-1\.\.9, got \[10\]"),
        (lambda: cosine_schedule(10).alpha_bar(torch.tensor([0.5])), "expected integer t"),
        (lambda: q_sample(cosine_schedule(10), torch.zeros(1, 1, 2, 2), torch.tensor([0]), torch.zeros(1, 1, 2, 3)), r"\(1, 1, 2, 3\)"),
        (lambda: target(cosine_schedule(10), *images(1)[:1], torch.tensor([0]), images(1)[1], "epsilon"), "'epsilon'"),
        (lambda: q_posterior(cosine_schedule(10), *images(1), torch.tensor([3]), torch.tensor([3])), "s < t"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
