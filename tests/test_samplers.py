"""Samplers against diffusers' schedulers, and against data whose posterior is known in closed form."""

from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch

from ddpm_micro.noise import noise_like, seeded
from ddpm_micro.samplers import SAMPLERS, sample_ddim, sample_ddpm, sample_dpmpp_2m
from ddpm_micro.schedule import NoiseSchedule, cosine_schedule

SCHEDULE = cosine_schedule(200)
OPTIONS = {
    "num_train_timesteps": 200,
    "beta_schedule": "squaredcos_cap_v2",
    "timestep_spacing": "trailing",
    "prediction_type": "sample",
}
COND = torch.linspace(-1, 1, 2 * 6 * 5).reshape(2, 1, 6, 5)


def denoiser(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
    """A smooth function of all it is given, so that any slip in x, t or cond shows."""
    return torch.tanh(0.7 * cond + 0.4 * x_t * (1 + t.reshape(-1, 1, 1, 1) / 200))


def run_diffusers(scheduler, steps: int, noise: torch.Generator, **step_options) -> torch.Tensor:
    scheduler.set_timesteps(steps)
    x = noise_like(COND, noise)
    for t in scheduler.timesteps:
        x0_hat = denoiser(x, torch.full((len(x),), int(t)), COND)
        x = scheduler.step(x0_hat, t, x, **step_options).prev_sample
    return x


@pytest.mark.parametrize("steps", [5, 20, 50, 200])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_agrees_with_diffusers(steps: int, eta: float) -> None:
    scheduler = diffusers.DDIMScheduler(**OPTIONS, clip_sample=False, set_alpha_to_one=True)
    generator = torch.Generator().manual_seed(1)
    theirs = run_diffusers(scheduler, steps, generator, eta=eta, generator=generator)
    ours = sample_ddim(denoiser, SCHEDULE, COND, steps=steps, eta=eta, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [5, 20, 50, 200])
def test_ancestral_agrees_with_diffusers(steps: int) -> None:
    scheduler = diffusers.DDPMScheduler(**OPTIONS, clip_sample=False, variance_type="fixed_small")
    generator = torch.Generator().manual_seed(3)
    theirs = run_diffusers(scheduler, steps, generator, generator=generator)
    ours = sample_ddpm(denoiser, SCHEDULE, COND, steps=steps, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [5, 7, 20, 50, 200])
@pytest.mark.parametrize("order", [1, 2])
def test_dpmpp_agrees_with_diffusers(steps: int, order: int) -> None:
    """Of first order it is DDIM: that covers step counts that do not divide T, which diffusers' DDIM spaces otherwise."""
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **OPTIONS, solver_order=order, solver_type="midpoint", final_sigmas_type="zero"
    )
    theirs = run_diffusers(scheduler, steps, torch.Generator().manual_seed(4))
    sample = sample_dpmpp_2m if order == 2 else sample_ddim
    ours = sample(denoiser, SCHEDULE, COND, steps=steps, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_ancestral_at_seven_steps_agrees_with_diffusers_given_our_times() -> None:
    """Seven does not divide T, where diffusers spaces the steps otherwise, unless told them."""
    scheduler = diffusers.DDPMScheduler(**OPTIONS, clip_sample=False, variance_type="fixed_small")
    scheduler.set_timesteps(timesteps=SCHEDULE.timesteps(7).tolist())
    generator = torch.Generator().manual_seed(3)
    x = noise_like(COND, generator)
    for t in scheduler.timesteps:
        x = scheduler.step(denoiser(x, torch.full((len(x),), int(t)), COND), t, x, generator=generator).prev_sample
    ours = sample_ddpm(denoiser, SCHEDULE, COND, steps=7, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours, x, rtol=0, atol=1e-5)


def test_ancestral_at_seven_steps_is_ddim_with_eta_1() -> None:
    ours = [sample(denoiser, SCHEDULE, COND, steps=7, generator=torch.Generator().manual_seed(5), **options)
            for sample, options in ((sample_ddpm, {}), (sample_ddim, {"eta": 1.0}))]  # fmt: skip
    torch.testing.assert_close(*ours, rtol=0, atol=1e-5)


# Data N(MEAN, STD^2) in every pixel: the exact denoiser is E[x0 | x_t].
MEAN, STD = 0.3, 0.4


def gaussian_denoiser(schedule: NoiseSchedule):
    def denoise(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        alpha_bar = schedule.alpha_bar(t).reshape(-1, 1, 1, 1).to(x_t)
        gain = STD**2 * alpha_bar.sqrt() / (alpha_bar * STD**2 + 1 - alpha_bar)
        return MEAN + gain * (x_t - alpha_bar.sqrt() * MEAN)

    return denoise


def ancestral_variance(steps: int) -> float:
    """Variance of ancestral samples of Gaussian data: every step is linear, so it obeys a recursion."""
    alpha_bar = np.append(SCHEDULE.alphas_cumprod.numpy(), 1.0)
    times = [*SCHEDULE.timesteps(steps).tolist(), -1]
    variance = 1.0
    for t, s in pairwise(times):
        ab_t, ab_s = alpha_bar[t], alpha_bar[s]
        gain = STD**2 * np.sqrt(ab_t) / (ab_t * STD**2 + 1 - ab_t)
        alpha = ab_t / ab_s
        slope = np.sqrt(ab_s) * (1 - alpha) / (1 - ab_t) * gain + np.sqrt(alpha) * (1 - ab_s) / (1 - ab_t)
        variance = slope**2 * variance + (1 - ab_s) / (1 - ab_t) * (1 - alpha)
    return variance


N = 200  # pixels a side
MONTE_CARLO = 4 / N  # four standard errors of a mean, in units of the standard deviation


def draw(sample, seed: int = 0, n: int = N, **options) -> torch.Tensor:
    return sample(
        gaussian_denoiser(SCHEDULE),
        SCHEDULE,
        torch.zeros(1, 1, n, n, dtype=torch.float64),
        generator=torch.Generator().manual_seed(seed),
        **options,
    )


@pytest.mark.parametrize(
    ("sample", "steps"), [(sample_ddim, 50), (sample_ddim, 200), (sample_dpmpp_2m, 20), (sample_dpmpp_2m, 50)]
)
def test_ode_samplers_draw_from_the_gaussian_posterior(sample, steps: int) -> None:
    x = draw(sample, steps=steps)
    assert x.mean().item() == pytest.approx(MEAN, abs=MONTE_CARLO * STD)
    assert x.std().item() == pytest.approx(STD, rel=0.02 + MONTE_CARLO)


@pytest.mark.parametrize("steps", [20, 60, 200])
def test_ancestral_spread_obeys_its_recursion_and_falls_short(steps: int) -> None:
    expected = np.sqrt(ancestral_variance(steps))
    x = draw(sample_ddpm, steps=steps)
    assert x.mean().item() == pytest.approx(MEAN, abs=MONTE_CARLO * STD)
    assert x.std().item() == pytest.approx(expected, rel=MONTE_CARLO)
    assert expected < 0.98 * STD


@pytest.mark.parametrize("draws", [1, 2, 5, 15])
def test_mean_of_k_has_mmse_times_one_plus_one_over_k(draws: int) -> None:
    """Truth and draws from one posterior: MSE_K = MMSE (1 + 1/K), here MMSE = STD^2."""
    truth = MEAN + STD * torch.randn(1, 1, N, N, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    mean = torch.stack([draw(sample_dpmpp_2m, seed=k, steps=30) for k in range(draws)]).mean(0)
    mse = (mean - truth).square().mean().item()
    assert mse == pytest.approx(STD**2 * (1 + 1 / draws), rel=0.03 + MONTE_CARLO * np.sqrt(2))


@pytest.mark.parametrize(("sample", "steps"), [(sample_ddim, 100), (sample_dpmpp_2m, 50), (sample_ddpm, 200)])
def test_gaussian_mixture(sample, steps: int) -> None:
    """Two narrow peaks of unequal weight: the samples fall into them in the right proportion."""
    centres, weights, width = (
        torch.tensor([-0.8, 0.6], dtype=torch.float64),
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        0.1,
    )

    def denoise(x_t: torch.Tensor, t: torch.Tensor, cond: torch.Tensor) -> torch.Tensor:
        alpha_bar = SCHEDULE.alpha_bar(t).reshape(-1, 1, 1, 1)
        total = alpha_bar * width**2 + 1 - alpha_bar
        offset = x_t[..., None] - alpha_bar.sqrt()[..., None] * centres
        share = torch.softmax(weights.log() - offset**2 / (2 * total[..., None]), dim=-1)
        return (share * (centres + width**2 * alpha_bar.sqrt()[..., None] / total[..., None] * offset)).sum(-1)

    x = sample(
        denoise,
        SCHEDULE,
        torch.zeros(1, 1, N, N, dtype=torch.float64),
        steps=steps,
        generator=torch.Generator().manual_seed(6),
    )
    right = x > -0.1
    assert right.double().mean().item() == pytest.approx(0.7, abs=0.02)
    for peak, centre in ((x[~right], -0.8), (x[right], 0.6)):
        assert peak.mean().item() == pytest.approx(centre, abs=0.02)
        assert peak.std().item() == pytest.approx(width, rel=0.12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sample_does_not_depend_on_its_batch_mates(name: str) -> None:
    def run(numbers: list[int]) -> torch.Tensor:
        cond = COND[:1].expand(len(numbers), -1, -1, -1)
        return SAMPLERS[name](denoiser, SCHEDULE, cond, steps=6, generator=[seeded(7, k) for k in numbers])

    together = run([0, 1, 2])
    torch.testing.assert_close(together[1:2], run([1]), rtol=0, atol=0)
    assert (together[0] - together[1]).abs().max() > 0.01


@pytest.mark.parametrize("name", SAMPLERS)
def test_callback_sees_every_step_and_clip_holds(name: str) -> None:
    seen = []
    x = SAMPLERS[name](
        lambda x_t, t, cond: 5 * x_t, SCHEDULE, COND, steps=7, clip=(-0.5, 0.25), generator=torch.Generator().manual_seed(8),
        callback=lambda step, t, x, x0_hat: seen.append((step, t, x, x0_hat)),
    )  # fmt: skip
    assert [(step, t) for step, t, *_ in seen] == list(enumerate(SCHEDULE.timesteps(7).tolist()))
    torch.testing.assert_close(seen[-1][2], x)
    assert all(x0_hat.min() >= -0.5 and x0_hat.max() <= 0.25 for *_, x0_hat in seen)
    torch.testing.assert_close(x, seen[-1][3])  # the last step lands on the denoiser's answer


def test_noise_is_a_function_of_seed_and_number() -> None:
    draws = {(seed, k): noise_like(COND[:1], seeded(seed, k)) for seed in (0, 1) for k in (0, 1)}
    torch.testing.assert_close(draws[0, 1], noise_like(COND[:1], seeded(0, 1)), rtol=0, atol=0)
    values = [tuple(draw.flatten().tolist()) for draw in draws.values()]
    assert len(set(values)) == 4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_ddim(denoiser, SCHEDULE, COND, eta=1.5), "eta"),
        (lambda: sample_ddim(denoiser, SCHEDULE, COND, steps=201), r"1\.\.200.*201"),
        (lambda: sample_ddpm(denoiser, SCHEDULE, COND, steps=0), r"1\.\.200.*0"),
        (lambda: noise_like(COND, [torch.Generator()]), "2 items of cond, got 1"),
        (lambda: seeded(-1, 0), "seed >= 0, got -1"),
    ],
)
def test_mistakes_are_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_euler_steps_along_straight_paths_are_ddim() -> None:
    """Flow matching in the schedule's units: x_t over the sum of its rates lies on (1 - s) x0 + s eps (chapter 6)."""

    def share_of_noise(t: int) -> tuple[float, float]:
        signal_rate = SCHEDULE.alpha_bar(t).sqrt().item()
        noise_rate = (1 - signal_rate**2) ** 0.5
        return noise_rate / (signal_rate + noise_rate), signal_rate + noise_rate

    visited = [*SCHEDULE.timesteps(10).tolist(), -1]
    x = noise_like(COND.double(), seeded(0)) / share_of_noise(visited[0])[1]
    for t, before in pairwise(visited):
        (s, total), (r, _) = share_of_noise(t), share_of_noise(before)
        velocity = (x - denoiser(x * total, torch.tensor([t]), COND)) / s
        x = x + (r - s) * velocity
    by_ddim = sample_ddim(denoiser, SCHEDULE, COND.double(), steps=10, generator=seeded(0))
    torch.testing.assert_close(x, by_ddim, rtol=0, atol=1e-6)
