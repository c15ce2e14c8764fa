"""Slips of any exercise are named by what is true of them, in words that a reader can use."""

import numpy as np
import pytest
import torch

from ddpm_micro.schedule import rates
from ddpm_micro.teach import checks, repairs


def forgotten_brackets(schedule, x0, x_t, t):
    s, n = rates(schedule, t, x_t)
    return x_t - s * x0 / n


def no_reshape(schedule, x0, t, eps):
    ab = schedule.alpha_bar(t).float()
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


def computes_and_is_silent(sd, n):
    sd / np.sqrt(n)


def in_place(average, current, decay):
    average *= decay
    average += (1 - decay) * current


@pytest.mark.parametrize(
    ("name", "student", "says"),
    [
        ("average_frames", lambda sd, n: -sd / n**0.5, "wrong sign"),
        ("average_frames", lambda sd, n: 2 * sd / n**0.5, "by the factor 2"),
        ("average_frames", lambda sd, n: n**0.5 / sd, "upside down"),
        ("average_frames", lambda sd, n: sd / (n - 1) ** 0.5, "the root of n / (n - 1)"),
        ("average_frames", lambda sd, n: sd / n**0.5 + 1, "is 1 plus"),
        ("snr", lambda a: (a / (1 - a)).flip(0), "the other way"),
        ("snr", lambda a: torch.rand(len(a)), "random numbers of its own"),
        (
            "scale_back",
            lambda m, s, o, k: (m * k + o, 2 * s * k),
            "The first result is right. The second result is larger",
        ),
        ("ddim_step", lambda s, x0, x, t, b: checks.answer("ddim_step")(s, x, x0, t, b), "`x0_hat` and `x_t` swapped"),
        ("psnr", lambda a, b, r: checks.answer("psnr")(a, b, a.max()), "does not change when `data_range` does"),
        ("poisson_gaussian", lambda p, g, o, r, rng: g * np.random.default_rng(0).poisson(p) + o, "from elsewhere"),
        ("to_eps", forgotten_brackets, "brackets are missing"),
        ("q_sample", no_reshape, "reshape(-1, 1, 1, 1)"),
        ("average_frames", computes_and_is_silent, "must begin with return"),
        ("ema_update", in_place, "changes `average` in place and returns nothing"),
    ],
)
def test_a_slip_of_any_exercise_is_named(name: str, student: object, says: str) -> None:
    verdict = getattr(checks, name)(student)
    assert not verdict.passed and verdict.attempted and len(verdict.message) <= 300
    assert says in verdict.message, verdict.message


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("snr", lambda a: [float(x) / (1 - float(x)) for x in a]),
        ("psnr", lambda a, b, r: [10 * np.log10(r**2 / ((a - b) ** 2).mean())]),
        ("fourier_features", lambda v, f, p: (1.4142 * np.cos(6.2832 * (v[:, None] * f + p).numpy())).astype(np.float32)),
        ("q_sample", lambda s, x0, t, e: list(checks.answer("q_sample")(s, x0, t, e).double())),
        ("poisson_gaussian", lambda p, g, o, r, rng: o + g * (rng.normal(0, r, p.shape) + rng.poisson(p))),
        ("count_spread", lambda x, count: [np.mean([count(i) for i in x]), torch.tensor([float(count(i)) for i in x]).std()]),
    ],
)  # fmt: skip
def test_a_right_answer_in_another_style_passes(name: str, student: object) -> None:
    verdict = getattr(checks, name)(student)
    assert verdict.passed, verdict.message


def test_what_is_nearly_right_is_not_called_rounded_or_off_by_a_factor() -> None:
    """In each trial the result differs by a few hundredths, which lies beside a rounded value and beside a factor of 1."""
    said = checks.psnr(lambda a, b, r: 10 * np.log10(1 + r**2 / np.mean((a - b) ** 2))).message
    assert "rounded" not in said and "factor" not in said


def test_the_search_for_one_change_is_limited_by_tries_and_leaves_loops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def counted(n):
        for one in range(n):
            one = one + n * n - n / (n + 1) + n
        return one

    def looping(n):
        while n > 1:
            n = n - 1
        return n

    tried = []
    assert repairs.place_of_slip(counted, lambda one: tried.append(one) or False) is None
    everything = len(tried)
    monkeypatch.setattr(repairs, "TRIES", 20)
    tried.clear()
    assert repairs.place_of_slip(counted, lambda one: tried.append(one) or False) is None
    assert len(tried) == 20 < everything
    assert repairs.place_of_slip(looping, lambda one: True) is None  # a changed condition might never end
