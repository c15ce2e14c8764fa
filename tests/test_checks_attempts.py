"""Answers to the exercises in many styles, as lines of source: the right ones pass, and what is said of the others is true.

Beside the mistakes that an exercise knows (`test_checks.py`, `test_checks_students.py`) these are slips that nobody foresaw.
"""

import inspect
import itertools
import linecache
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from ddpm_micro.schedule import q_posterior, q_sample, rates, target, to_eps
from ddpm_micro.teach import checks

RIGHT = """
poisson_gaussian | counts = rng.poisson(photons); return offset + gain * (counts + read_noise * rng.standard_normal(photons.shape))
psnr | error = (truth - image).ravel(); return 20 * math.log10(data_range) - 10 * math.log10(error @ error / error.size)
average_frames | return np.sqrt(sum((sd / n) ** 2 for _ in range(n)))
q_sample | s = schedule.alpha_bar(t).to(x0).sqrt()[:, None, None, None]; return s * x0 + (1 - s**2).sqrt() * eps
snr | return torch.as_tensor([a / (1 - a) for a in alpha_bar.tolist()])
to_x0 | phi = torch.acos(rates(schedule, t, x_t)[0]); return torch.cos(phi) * x_t - torch.sin(phi) * output
loss | return F.mse_loss(output(q_sample(schedule, x0, t, eps), t, cond), target(schedule, x0, t, eps, prediction))
fourier_features | return torch.stack([2**0.5 * torch.cos(2 * np.pi * (f * level + p)) for f, p in zip(frequencies, phases)], 1)
residual_block | h = conv_0(F.silu(x) / 0.596); h = conv_1(F.silu(scale * h) / 0.596); return (7 * x + 3 * h) / 58**0.5
augment | pair = np.rot90(np.stack([x0, cond]), turns, axes=(1, 2)); return tuple(pair[..., ::-1] if flip else pair)
learning_rate | return np.array([peak * min((k + 1) / warmup, (1 + math.cos(math.pi * k / steps)) / 2) for k in step])
ema_update | return average + (1 - decay) * (current - average)
reverse_step | m, v = q_posterior(schedule, x0_hat, x_t, t, before); return torch.addcmul(m, v.sqrt().expand_as(m), noise)
ddim_step | s, n = rates(schedule, before, x_t); a, b = rates(schedule, t, x_t); return n / b * x_t + (s - n / b * a) * x0_hat
timesteps | T = schedule.num_train_timesteps; return [round(T - T / steps * i) - 1 for i in range(steps)]
averaging_bound | return -10 * math.log10((k + 1) / (2 * k))
spread_skill | k = len(samples); v = samples.var(0).mean() * k / (k - 1); return v / (((truth - samples.mean(0)) ** 2).mean() - v / k)
count_spread | c = [count(s) for s in samples]; m = sum(c) / len(c); return m, (sum((x - m) ** 2 for x in c) / (len(c) - 1)) ** 0.5
training_memory | return float(np.dot([20, per_pixel], [weights, batch * side * side]))
to_straight | s, n = rates(schedule, t, x_t); return [x_t / (s + n), 1 / (1 + s / n)]
sign_flip_p | return stats.permutation_test((gains,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
sign_flip_p | s = np.array([(1, *s) for s in itertools.product([1, -1], repeat=len(gains) - 1)]); return (abs(s @ gains) >= abs(gains.sum())).mean()
"""
WRONG = """
poisson_gaussian | normal distribution | return gain * (rng.normal(photons, photons**0.5) + rng.normal(0, read_noise, photons.shape)) + offset
poisson_gaussian | One normal noise | return gain * (photons + rng.standard_normal(photons.shape) * np.sqrt(photons + read_noise**2)) + offset
poisson_gaussian | `read_noise` squared | n = rng.poisson(photons); return gain * (n + rng.normal(0, read_noise**2, n.shape)) + offset
poisson_gaussian | rounded to whole numbers | n = rng.poisson(photons); return np.round(gain * (n + rng.normal(0, read_noise, n.shape)) + offset)
psnr | log10 to log2 | return 10 * np.log2(data_range**2 / np.mean((truth - image) ** 2))
average_frames | powers come before divisions | return sd / n ** 1/2
q_sample | minus `eps` | s, n = rates(schedule, t, x0); return s * x0 - n * eps
q_sample | first item of `t` | ab = schedule.alpha_bar(t).float()[0]; return ab.sqrt() * x0 + (1 - ab).sqrt() * eps
snr | natural logarithm | return torch.log(alpha_bar / (1 - alpha_bar))
snr | 1 plus | return (1 - alpha_bar) ** -1
to_x0 | `output` and `x_t` swapped | s, n = rates(schedule, t, x_t); return s * output - n * x_t
to_x0 | by the factor 2 | s, n = rates(schedule, t, x_t); return (s * x_t - n * output) / 2
loss | `prediction` = 'x0' | return ((output(q_sample(schedule, x0, t, eps), t, cond) - x0) ** 2).mean()
loss | `x0` in the place of `cond` | return F.mse_loss(output(q_sample(schedule, x0, t, eps), t, x0), target(schedule, x0, t, eps, prediction))
loss | random numbers of its own | return F.mse_loss(output(q_sample(schedule, x0, t, torch.randn_like(x0)), t, cond), target(schedule, x0, t, eps, prediction))
receptive_field | when `strides` does | return sum(kernels)
fourier_features | transposed | return (2**0.5 * torch.cos(2 * math.pi * (level[:, None] * frequencies + phases))).T
residual_block | `conv_0` and `conv_1` swapped | h = conv_1(F.silu(x) / 0.596); h = conv_0(F.silu(h * scale) / 0.596); return (0.7 * x + 0.3 * h) / 0.58**0.5
augment | `turns` left out | x0, cond = np.rot90(x0), np.rot90(cond); return (np.fliplr(x0), np.fliplr(cond)) if flip else (x0, cond)
learning_rate | along a straight line | return peak * np.minimum((step + 1) / warmup, (steps - step) / steps)
reverse_step | multiply the mean | m, v = q_posterior(schedule, x0_hat, x_t, t, before); return m * v**0.5 + noise
reverse_step | in their order? | m, v = q_posterior(schedule, x0_hat, x_t, before, t); return m + v**0.5 * noise
ddim_step | random numbers of its own | s, n = rates(schedule, before, x_t); return s * x0_hat + n * torch.randn_like(x_t)
ddim_step | x_t again | s, n = rates(schedule, before, x_t); return s * x0_hat + n * to_eps(schedule, x0_hat, x_t, before)
averaging_bound | minus `k` | return 10 * math.log10(2 * k / (k - 1))
coverage | number of values in `truth` | k = len(samples); return (abs(truth - samples.mean(0)) < factor * samples.std(0, ddof=1) * (1 + 1 / k) ** 0.5).sum()
conformal_factor | square of what is asked | r = ((truth - mean) / error)[~held_out] ** 2; return np.quantile(r, level * (len(r) + 1) / len(r))
scale_back | `offset` and `scale` swapped | return mean * offset + scale, std * offset
count_spread | wrong order | c = [count(s) for s in samples]; return np.std(c, ddof=1), np.mean(c)
training_memory | missing or far too small | return 20 * weights + per_pixel * batch * side**2 / 1e9
camera_hours | differ by up to | return (frames + samples + steps) * megapixels * seconds_per_call / 3600
to_straight | wrong order | s, n = rates(schedule, t, x_t); return n / (s + n), x_t / (s + n)
to_straight | noise rate / signal rate | s, n = rates(schedule, t, x_t); return x_t / (s + n), n / s
to_straight | reshape(-1, 1, 1, 1) | a = schedule.alpha_bar(t).float(); b = (1 - a).sqrt(); a = a.sqrt(); return x_t / (a + b), b / (a + b)
sign_flip_p | 0 and 1 | s = np.array(list(itertools.product([0, 1], repeat=len(gains)))); return np.mean(abs((s * gains).mean(1)) >= abs(gains.mean()))
sign_flip_p | To change their order | return np.mean([abs(sum(p)) >= abs(sum(gains)) for p in itertools.permutations(gains)])
sign_flip_p | by the factor 2 | s = np.array(list(itertools.product([1, -1], repeat=len(gains)))); return 2 * np.mean(abs(s @ gains) >= abs(gains.sum()))
sign_flip_p | differ by up to | s = np.array(list(itertools.product([1, -1], repeat=len(gains)))); return np.mean((s * gains).mean(1) == gains.mean())
sign_flip_p | differ by up to | return 2 * 0.5 ** len(gains) * (gains > 0).sum()
sign_flip_p | random numbers of its own | s = np.random.choice([1, -1], (9999, len(gains))); return np.mean(abs(s @ gains) >= abs(gains.sum()))
"""


def student(name: str, body: str) -> object:
    """A function whose source a check can read, as it can in a notebook."""
    source = f"def student({', '.join(inspect.signature(checks.EXERCISES[name].answer).parameters)}):\n    {body}\n"
    file = f"<{body}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    tools = (q_posterior, q_sample, rates, target, to_eps)
    scope = {"np": np, "torch": torch, "F": F, "math": math, "itertools": itertools, "stats": stats}
    scope |= {tool.__name__: tool for tool in tools}
    exec(compile(source, file, "exec"), scope)
    return scope["student"]


def rows(table: str, columns: int) -> list[list[str]]:
    return [line.split(" | ", columns - 1) for line in table.strip().splitlines()]


@pytest.mark.parametrize(("name", "body"), rows(RIGHT, 2))
def test_a_right_answer_in_another_style_passes(name: str, body: str) -> None:
    verdict = getattr(checks, name)(student(name, body))
    assert verdict.passed, verdict.message


@pytest.mark.parametrize(("name", "says", "body"), rows(WRONG, 3))
def test_what_is_said_of_a_wrong_answer_is_true(name: str, says: str, body: str) -> None:
    verdict = getattr(checks, name)(student(name, body))
    assert not verdict.passed and verdict.attempted
    assert says in verdict.message, verdict.message
