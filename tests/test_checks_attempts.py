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
poisson_gaussian | return gain * rng.normal(rng.poisson(photons), read_noise) + offset
psnr | return float(20 * np.log10(data_range / np.linalg.norm(truth - image) * truth.size**0.5))
average_frames | return (sd**2 / n) ** 0.5
q_sample | sr = schedule.alpha_bar(t).to(x0.dtype).view(-1, *[1] * (x0.ndim - 1)); return torch.sqrt(sr) * x0 + torch.sqrt(1 - sr) * eps
snr | return alpha_bar.mul(1 / (1 - alpha_bar))
to_x0 | s, n = rates(schedule, t, x_t); return (x_t - n * (n * x_t + s * output)) / s
to_eps | s, n = rates(schedule, t, x_t); return x_t / n - x0 * s / n
loss | d = output(q_sample(schedule, x0, t, eps), t, cond) - target(schedule, x0, t, eps, prediction); return torch.linalg.vector_norm(d) ** 2 / d.numel()
receptive_field | return 1 + sum((k - 1) * int(np.prod(strides[:i])) for i, k in enumerate(kernels))
fourier_features | return 2**0.5 * torch.cos(2 * math.pi * (torch.outer(level, frequencies) + phases))
residual_block | y = conv_1(F.silu(conv_0(F.silu(x) / 0.596) * scale) / 0.596); return torch.lerp(x, y, 0.3) / (0.7**2 + 0.3**2) ** 0.5
augment | f = (lambda a: np.rot90(a, turns)[:, :: -1 if flip else 1]); return f(x0), f(cond)
learning_rate | return peak * np.fmin((1 + step) / warmup, np.cos(np.pi * step / steps / 2) ** 2)
ema_update | return current + decay * (average - current)
reverse_step | m, v = q_posterior(schedule, x0_hat, x_t, t, before); return torch.distributions.Normal(m, 1.0).mean + noise * v ** (1 / 2)
ddim_step | s, n = rates(schedule, before, x_t); e = to_eps(schedule, x0_hat, x_t, t); return torch.stack([s * x0_hat, n * e]).sum(0)
timesteps | T = schedule.num_train_timesteps; return torch.tensor([round(T * (steps - i) / steps) - 1 for i in range(steps)])
to_straight | s, n = rates(schedule, t, x_t); k = n / (s + n); return (1 - k) * x_t / s, k
averaging_bound | return 10 * np.log10(2 / (1 + 1 / k))
spread_skill | k = len(samples); m = samples.mean(0); v = ((samples - m) ** 2).sum(0) / (k - 1); return v.mean() / (((m - truth) ** 2) - v / k).mean()
coverage | k = len(samples); d = truth - samples.mean(0); return float((d**2 <= factor**2 * samples.var(0, ddof=1) * (k + 1) / k).mean())
conformal_factor | u = ~held_out; r = np.sort((abs(truth - mean) / error)[u].ravel()); n = u.sum(); return np.quantile(r, min(1, level * (n + 1) / n))
sign_flip_p | s = np.array(list(itertools.product([1, -1], repeat=len(gains)))); m = s @ gains; return np.mean(np.abs(m) >= abs(np.sum(gains)) - 1e-9)
scale_back | return offset + np.multiply(scale, mean), abs(scale) * std
count_spread | c = np.array([count(s) for s in samples], float); return c.mean(), ((c**2).mean() - c.mean() ** 2) ** 0.5 * (len(c) / (len(c) - 1)) ** 0.5
training_memory | return 4 * 5 * weights + batch * side * side * per_pixel
camera_hours | calls = samples * steps; return frames * calls * megapixels * (seconds_per_call / 3600)
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
poisson_gaussian | before they are counted | return rng.poisson(gain * photons) + rng.normal(0, read_noise, photons.shape) * gain + offset
poisson_gaussian | cut off at 47 | n = rng.poisson(photons); return gain * np.maximum(n + rng.normal(0, read_noise, n.shape), 0) + offset
psnr | absolute differences | return 20 * np.log10(data_range / np.mean(np.abs(truth - image)))
psnr | is `median` the function | return 10 * np.log10(data_range**2 / np.median((truth - image) ** 2))
average_frames | // cuts off the fractions | return sd // n**0.5
average_frames | `n` + 1 | return sd / math.sqrt(n + 1)
q_sample | divided by the signal rate | s, n = rates(schedule, t, x0); return x0 + n / s * eps
snr | brackets are missing | return alpha_bar / 1 - alpha_bar
to_x0 | cut off at -1 and at 1 | s, n = rates(schedule, t, x_t); return (s * x_t - n * output).clamp(-1, 1)
loss | still lacks the mean over axis 0 | return ((output(q_sample(schedule, x0, t, eps), t, cond) - target(schedule, x0, t, eps, prediction)) ** 2).mean(dim=(1, 2, 3))
receptive_field | kernels are multiplied | return int(np.prod(kernels))
receptive_field | all strides | return 1 + sum(k - 1 for k in kernels) * int(np.prod(strides))
receptive_field | added up | return 1 + sum((k - 1) * (1 + sum(strides[:i])) for i, k in enumerate(kernels))
fourier_features | a sign is wrong there | return 2**0.5 * torch.cos(2 * math.pi * (level[:, None] * frequencies - phases))
residual_block | equal weights | y = conv_1(F.silu(conv_0(F.silu(x) / 0.596) * scale) / 0.596); return (x + y) / 2**0.5
augment | The first result is right; look at the second | a, b = np.rot90(x0, turns), cond; return (np.fliplr(a), np.fliplr(b)) if flip else (a, b)
learning_rate | is 180 the right number | return peak * np.minimum((step + 1) / warmup, 0.5 + 0.5 * np.cos(180 * step / steps))
ddim_step | something with `s` is missing | s, n = rates(schedule, before, x_t); return x0_hat + n * to_eps(schedule, x0_hat, x_t, t)
timesteps | cuts the step off | T = schedule.num_train_timesteps; return torch.arange(T - 1, -1, -(T // steps))[:steps]
timesteps | 1 must be taken off there | T = schedule.num_train_timesteps; return torch.tensor([round(T - i * T / steps) - 1 for i in range(steps + 1)])
timesteps | right but for its fractions | T = schedule.num_train_timesteps; return torch.tensor([T - i * T / steps - 1 for i in range(steps)])
running_mean_std | The same is wrong in each | x = np.stack(list(samples)); return x.mean(), x.std(ddof=1)
running_mean_std | The same is wrong in each | x = np.stack(list(samples)); return x.mean((1, 2)), x.std((1, 2), ddof=1)
running_mean_std | without its last item | x = np.stack(list(samples))[:-1]; return x.mean(0), x.std(0, ddof=1)
spread_skill | divide in each pixel | k = len(samples); v = samples.var(0, ddof=1); return (v / ((truth - samples.mean(0)) ** 2 - v / k)).mean()
coverage | V - V/K | k = len(samples); return (abs(truth - samples.mean(0)) < factor * samples.std(0, ddof=1) * (1 - 1 / k) ** 0.5).mean()
coverage | a root is missing there | k = len(samples); return (abs(truth - samples.mean(0)) < factor * samples.std(0, ddof=1) * (1 + 1 / k)).mean()
conformal_factor | upside down | r = (abs(truth - mean) / error)[~held_out]; n = len(r); return np.quantile(r, level * n / (n + 1))
conformal_factor | is `percentile` the function | r = (abs(truth - mean) / error)[~held_out]; n = len(r); return np.percentile(r, level * (n + 1) / n)
count_spread | The first result is right; look at the second | return np.mean([count(s) for s in samples]), np.mean([np.std(s, ddof=1) for s in samples])
training_memory | so add them | return 20 * weights * per_pixel * batch * side**2
training_memory | by the factor 2**20 | return (20 * weights + per_pixel * batch * side**2) / 2**20
camera_hours | n / (n - 1), where n is `samples` | return frames * megapixels * (samples - 1) * steps * seconds_per_call / 3600
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
