"""The sliders of the chapters, a function each; see `ddpm_micro.teach.slider` for what they share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from ddpm_micro import metrics
from ddpm_micro.schedule import NoiseSchedule
from ddpm_micro.teach import plots
from ddpm_micro.teach.slider import FrameStrip, slider

if TYPE_CHECKING:
    from ipywidgets import VBox


def samples(samples: np.ndarray, truth: np.ndarray, *, data_range: float) -> FrameStrip | VBox:
    """The mean of the first K samples beside the truth, and how its PSNR rises with K.

    A dashed line shows how it would rise if the samples were exact: from the same start, by 10 log10(2K / (K + 1)).

    Parameters
    ----------
    samples : ndarray, shape (K, H, W), K >= 2
    truth : ndarray, shape (H, W)
    data_range : float
        For PSNR, see `ddpm_micro.metrics.psnr`; the pictures are drawn from 0 to it.
    """
    # Each of these halves, roughly, what still falls away with 1/K; between them little changes.
    counts = [k for k in (1, 2, 3, 4, 6, 8, 11, 16, 23) if k < len(samples)] + [len(samples)]
    means = {k: samples[:k].mean(axis=0) for k in counts}
    psnr = {k: metrics.psnr(truth, means[k], data_range=data_range) for k in counts}
    # One sample may be lucky, so the start of both lines is the mean squared error of all.
    start = 10 * np.log10(data_range**2 / ((samples.astype(np.float64) - truth) ** 2).mean())
    exact = np.linspace(1, len(samples), 200)

    def draw(k: int) -> Figure:
        figure, axes = plt.subplots(1, 3, figsize=(9, 3.2))
        for ax, title, image in zip(axes, (f"mean of {k}", "truth"), (means[k], truth)):
            ax.imshow(image, vmin=0, vmax=data_range)
            ax.set(title=title, xticks=[], yticks=[])
        axes[2].plot(exact, start + 10 * np.log10(2 * exact / (exact + 1)), "--", color="C2", label="if exact")
        axes[2].plot(counts, list(psnr.values()), ".-", color="0.6", label="these samples")
        axes[2].plot(k, psnr[k], "o", color="black", ms=9)
        axes[2].set(xlabel="samples averaged, K", ylabel="PSNR in dB", title=f"{psnr[k]:.2f} dB")
        axes[2].legend(loc="lower right")
        return figure

    def describe(k: int) -> str:
        return (
            f"Mean of {k} of {len(samples)} samples beside the truth; its PSNR is {psnr[k]:.2f} decibels, "
            f"{psnr[k] - start:+.2f} from what one sample has on average. A mean of {k} exact samples would gain "
            f"{10 * np.log10(2 * k / (k + 1)):.2f}."
        )

    return slider("samples averaged", counts, draw, describe)


def photons(light: np.ndarray) -> FrameStrip | VBox:
    """One frame of an image at 1 to 1000 photons, and one of its rows: what was expected and what was counted.

    Parameters
    ----------
    light : ndarray, shape (H, W), >= 0
        Light on each pixel, the brightest of which is 1.
    """
    row = int(np.unravel_index(light.argmax(), light.shape)[0])
    counts = {n: np.random.default_rng(0).poisson(n * light) for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)}
    psnr = {n: metrics.psnr(n * light, frame, data_range=n) for n, frame in counts.items()}

    def draw(n: int) -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.4), width_ratios=(3, 4))
        left.imshow(counts[n], vmin=0, vmax=n)
        for side, mark in ((-3, ">"), (len(light[0]) + 2, "<")):
            left.plot(side, row, mark, color="C1", clip_on=False)
        left.set(title=f"PSNR {psnr[n]:.1f} dB", xticks=[], yticks=[], xlim=(-0.5, light.shape[1] - 0.5))
        right.plot(counts[n][row], ".", color="C1", markersize=5, label="counted")
        right.plot(n * light[row], color="black", label="expected")
        top = max(1.6 * n, 1.05 * counts[n][row].max())
        right.set(xlabel="pixel in the marked row", ylabel="photons", ylim=(-0.04 * top, top))
        right.yaxis.set_major_locator(MaxNLocator(integer=True))
        right.set_title(f"brightest pixel: {n} ± {np.sqrt(n):.{n < 100:d}f} photons")
        right.legend(loc="upper right", ncols=2)
        return figure

    def describe(n: int) -> str:
        scatter = f"the counts of its brightest row scatter by {100 / np.sqrt(n):.0f} percent at the peak"
        return f"A frame with {n} photon{'s' * (n > 1)} at the brightest pixel: PSNR {psnr[n]:.1f} decibels; {scatter}."

    return slider("photons at the brightest pixel", list(counts), draw, describe, start=3)


def timestep(x0: np.ndarray, schedule: NoiseSchedule) -> FrameStrip | VBox:
    """An image with the noise of more and more steps, and how much of it is image and how much is noise.

    Parameters
    ----------
    x0 : ndarray, shape (H, W), network values
    schedule : NoiseSchedule
    """
    T = schedule.num_train_timesteps
    steps = {"clean": -1} | {str(t): t for t in (min(tenth * T // 10, T - 1) for tenth in range(1, 11))}
    eps = np.random.default_rng(0).normal(size=x0.shape)
    signal_rate = schedule.alpha_bar(torch.arange(-1, T)).sqrt().numpy()  # at index t + 1
    noise_rate = np.sqrt(1 - signal_rate**2)

    def draw(step: str) -> Figure:
        t = steps[step]
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 3.6), width_ratios=(4, 3))
        left.imshow(signal_rate[t + 1] * x0 + noise_rate[t + 1] * eps, vmin=-2, vmax=2)
        left.set(title="clean" if t < 0 else f"after step {t}", xticks=[], yticks=[])
        for name, rate, style, color in (("image", signal_rate, "-", "black"), ("noise", noise_rate, "--", "C1")):
            right.plot(np.arange(-1, T), rate, style, color=color, label=f"{rate[t + 1]:.2f} times the {name}")
            right.plot(t, rate[t + 1], "o", color=color)
        right.set(xlabel="step t", ylabel="factor", ylim=(-0.04, 1.35), yticks=[0, 0.5, 1])
        right.legend(loc="upper left")
        return figure

    def describe(step: str) -> str:
        of_image, of_noise = (rate[steps[step] + 1] for rate in (signal_rate, noise_rate))
        start = "The clean image" if steps[step] < 0 else f"The image after step {step}"
        return f"{start}: {of_image:.2f} times the image plus {of_noise:.2f} times noise."

    return slider("step t", list(steps), draw, describe)


def plane(schedule: NoiseSchedule, point: tuple[float, float]) -> FrameStrip | VBox:
    """A pixel in the plane of image and noise, while the axes of x_t and v turn with the step.

    Parameters
    ----------
    schedule : NoiseSchedule
    point : (float, float)
        Clean value and noise of the pixel, within -1.3 to 1.3.
    """
    T = schedule.num_train_timesteps
    steps = [min(eighth * T // 8, T - 1) for eighth in range(9)]

    def axes_at(t: int) -> tuple[np.ndarray, np.ndarray]:
        alpha_bar = schedule.alpha_bar(t).item()
        signal_rate, noise_rate = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        return np.array([signal_rate, noise_rate]), np.array([-noise_rate, signal_rate])

    def draw(t: int) -> Figure:
        figure, ax = plt.subplots(figsize=(4.8, 4.6))
        along, across = axes_at(t)
        for axis, name, style in zip((along, across), ("$x_t$", "$v$"), ("-", "--"), strict=True):
            foot = (point @ axis) * axis
            ax.plot(*np.outer([-1.3, 1.3], axis).T, style, color="C2")
            ax.annotate(name, 1.42 * axis, color="C2", fontsize=14, ha="center", va="center")
            if name == "$x_t$":  # the pixel may be anywhere on this line; a small square marks the right angle
                ax.plot(*np.array([foot - 4 * across, foot + 4 * across]).T, ":", color="black")
                corner = np.array([foot + 0.1 * along, foot + 0.1 * (along + across), foot + 0.1 * across])
                ax.plot(*corner.T, color="black", linewidth=0.8)
            else:
                ax.plot(*np.array([point, foot]).T, ":", color="0.6")
            ax.plot(*foot, "s", color="C2", markersize=8)
        ax.plot(*point, "o", color="black", markersize=9)
        for line in (ax.axhline, ax.axvline):
            line(0, color="0.7", linewidth=0.8, zorder=0)
        ax.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal", title=f"step {t}")
        ax.set(xlabel="image $x_0$ (network values)", ylabel=r"noise $\epsilon$ (network values)")
        return figure

    def describe(t: int) -> str:
        along, across = axes_at(t)
        degrees = np.degrees(np.arctan2(along[1], along[0]))
        return (
            f"A point at image {point[0]} and noise {point[1]}. The axes of x_t and v are turned by {degrees:.0f} "
            f"degrees, and the point's coordinates on them are {point @ along:.2f} and {point @ across:.2f}."
        )

    return slider("step t", steps, draw, describe, start=4)


def crop(
    noisy: np.ndarray, restored: np.ndarray, truth: np.ndarray, *, side: int, data_range: float, windows: int = 9
) -> FrameStrip | VBox:
    """A window that moves from the left of a wide image to its right: noisy, restored and truth, with their PSNR in it.

    Parameters
    ----------
    noisy, restored, truth : ndarray, shape (H, W)
    side : int, pixels, 1..min(H, W - windows + 1)
        Of the window, which lies half-way down.
    data_range : float
        For PSNR, see `ddpm_micro.metrics.psnr`.
    windows : int, >= 2

    Raises
    ------
    ValueError
        If the images differ in shape, or no such windows fit into them.
    """
    height, width = truth.shape
    if {noisy.shape, restored.shape} != {truth.shape}:
        raise ValueError(f"expected images of one shape, got {noisy.shape}, {restored.shape} and {truth.shape}")
    if not (1 <= side <= min(height, width - windows + 1) and windows >= 2):
        raise ValueError(
            f"expected {windows} windows of {side} px to fit into {height} x {width} px; take a smaller side"
        )
    top, grey = (height - side) // 2, {"vmin": 0, "vmax": np.percentile(truth, 99.8)}
    lefts = np.linspace(0, width - side, windows).round().astype(int).tolist()

    def window(image: np.ndarray, left: int) -> np.ndarray:
        return image[top : top + side, left : left + side]

    def psnr(image: np.ndarray, left: int) -> float:
        return metrics.psnr(window(truth, left), window(image, left), data_range=data_range)

    def draw(left: int) -> Figure:
        figure, axes = plt.subplot_mosaic("AAA;BCD", figsize=(7.2, 4.7), height_ratios=(4, 5))
        axes["A"].imshow(noisy, **grey)
        axes["A"].add_patch(plt.Rectangle((left, top), side - 1, side - 1, fill=False, color="C1", linewidth=2))
        axes["A"].set_title("one noisy frame")
        for name, title, image in zip("BC", ("noisy", "restored"), (noisy, restored), strict=True):
            axes[name].imshow(window(image, left), **grey)
            axes[name].set_title(f"{title}, {psnr(image, left):.1f} dB")
        axes["D"].imshow(window(truth, left), **grey)
        axes["D"].set_title("truth")
        for ax in axes.values():
            ax.set(xticks=[], yticks=[])
        return figure

    def describe(left: int) -> str:
        return (
            f"The window from column {left} to {left + side - 1}, noisy, restored and true; PSNR there is "
            f"{psnr(noisy, left):.1f} decibels noisy and {psnr(restored, left):.1f} restored."
        )

    return slider("left edge of the window", lefts, draw, describe, start=windows // 2, unit="px")


def trajectory(
    states: np.ndarray,
    estimates: np.ndarray,
    noisy: np.ndarray,
    truth: np.ndarray,
    *,
    vmin: float,
    vmax: float,
    frames: int = 11,
) -> FrameStrip | VBox:
    """From noise to an image: the noisy state and the denoiser's answer that led to it, over noisy image and truth.

    Parameters
    ----------
    states, estimates : ndarray, shape (N, H, W), N >= 2, network values
        x after each step, and x0_hat in that step, as a sampler's callback gets them; the last state is the image.
    noisy, truth : ndarray, shape (H, W), network values
        What the denoiser is given as a condition, and what it should find.
    vmin, vmax : float
        Values that are black and white, in all.
    frames : int
        How many of the N steps are shown, evenly spread, with the first and the last.
    """
    steps = len(states)
    shown = np.unique(np.linspace(1, steps, min(frames, steps)).round().astype(int)).tolist()
    likeness = {n: metrics.pearson(states[-1], states[n - 1]) for n in shown}
    steepness = {n: _steepness(estimates[n - 1]) / _steepness(states[-1]) for n in shown}

    def draw(n: int) -> Figure:
        state, answer = states[n - 1], estimates[n - 1]
        return plots.images(
            {"state $x_t$": state, r"answer $\hat x_0$": answer, "noisy micrograph": noisy, "truth": truth},
            vmin=vmin,
            vmax=vmax,
        )

    def describe(n: int) -> str:
        return (
            f"After {n} of {steps} steps. Above the noisy state, whose correlation with the final image is "
            f"{likeness[n]:.2f}, and the denoiser's answer, with edges {steepness[n]:.0%} as steep as the final ones; "
            "below the noisy micrograph and the truth."
        )

    return slider("steps done", shown, draw, describe, unit=f"of {steps}")


def steps(images: Mapping[int, np.ndarray], truth: np.ndarray, *, vmin: float, vmax: float) -> FrameStrip | VBox:
    """The image that each number of steps makes from one and the same noise, beside the truth.

    Parameters
    ----------
    images : mapping of number of steps to ndarray, shape (H, W), at least 2
    truth : ndarray, shape (H, W)
    vmin, vmax : float
        Values that are black and white, in the unit of the images.
    """
    counts = sorted(images)
    most = counts[-1]
    away = {n: np.sqrt(np.square(np.subtract(images[n], images[most], dtype=np.float64)).mean()) for n in counts}
    steepness = {n: _steepness(images[n]) / _steepness(truth) for n in counts}

    def draw(n: int) -> Figure:
        figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.1))
        panels = {f"in {n} step{'s' * (n > 1)}": images[n], f"in {most}, same noise": images[most], "truth": truth}
        for ax, (title, image) in zip(axes, panels.items()):
            ax.imshow(image, vmin=vmin, vmax=vmax)
            ax.set(title=title, xticks=[], yticks=[])
        return figure

    def describe(n: int) -> str:
        return (
            f"The image after {n} network calls, that after {most} from the same noise, and the truth. The first two "
            f"differ by {away[n]:.3g} (root mean square); the first has edges {steepness[n]:.0%} as steep as the truth."
        )

    return slider("network calls", counts, draw, describe)


def compare(images: Mapping[str, np.ndarray], *, vmin: float, vmax: float) -> FrameStrip | VBox:
    """Two samples and the truth, one at a time and large, so that what differs jumps when the slider moves.

    Two places are marked: A, where the samples differ most from each other, and B, where both differ most from the
    truth beyond what they differ from each other; both after a little smoothing, so that it is structure and not grain.

    Parameters
    ----------
    images : mapping of title to ndarray, shape (H, W)
        A sample, another one, and the truth, in this order.
    vmin, vmax : float
        Values that are black and white.
    """
    one, other, truth = (ndimage.gaussian_filter(np.asarray(image, np.float64), 2) for image in images.values())
    apart = np.abs(one - other)
    marks = {"A": apart, "B": np.minimum(np.abs(one - truth), np.abs(other - truth)) - apart}
    inside = np.s_[8:-8, 8:-8]  # a mark at the edge would be cut off
    places = {name: np.add(np.unravel_index(m[inside].argmax(), m[inside].shape), 8) for name, m in marks.items()}

    def draw(title: str) -> Figure:
        figure, ax = plt.subplots(figsize=(5.2, 5.4))
        ax.imshow(images[title], vmin=vmin, vmax=vmax)
        for name, (row, column) in places.items():
            ax.add_patch(plt.Circle((column, row), 7, fill=False, color="C1", linewidth=2))
            ax.annotate(name, (column + 8, row - 6), color="C1", fontsize=14, fontweight="bold")
        ax.set(title=title, xticks=[], yticks=[])
        return figure

    def describe(title: str) -> str:
        at = [
            f"{name} at row {row}, column {column}: {images[title][row, column]:.3g}"
            for name, (row, column) in places.items()
        ]
        return f"{title.capitalize()}, with two places marked. Grey level of {' and of '.join(at)}."

    return slider("picture", list(images), draw, describe)


def _steepness(image: np.ndarray) -> float:
    """How steep an image is on average, in its unit per pixel."""
    return float(np.hypot(*np.gradient(np.asarray(image, np.float64))).mean())
