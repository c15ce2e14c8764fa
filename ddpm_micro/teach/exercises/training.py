"""Exercises of chapter 5: what goes on round the network while it is trained."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from ddpm_micro.data import augment
from ddpm_micro.teach import plots
from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.teach.exercises.pictures import beside
from ddpm_micro.train import ema_update, learning_rate


def _augment_inputs() -> list[tuple]:
    # A bent bar, which looks different after each turn and flip; the condition is the same bar with noise.
    x0 = np.zeros((8, 8))
    x0[1:6, 2], x0[5, 2:5] = 1.0, 1.0
    cond = x0 + np.random.default_rng(0).normal(0, 0.2, x0.shape)
    return [(x0.copy(), cond.copy(), turns, flip) for turns, flip in ((1, True), (2, True), (1, False))]


def _learning_rate_inputs() -> list[tuple]:
    return [(np.arange(0, 1000, 20), 1000, 0.01, 100), (np.arange(0, 300, 7), 300, 0.4, 40)]


def _learning_rate_picture(expected: list[np.ndarray], came: list[np.ndarray]) -> plots.Picture:
    figure, ax = plt.subplots(figsize=(4.5, 2.6), layout="constrained")
    step = _learning_rate_inputs()[0][0]
    ax.plot(step, expected[0], color="black", label="expected")
    ax.plot(step, came[0], "--", color="#D55E00", label="yours")
    ax.set(xlabel="step", ylabel="learning rate")
    ax.legend()
    return plots.show(figure, alt="The expected learning rate rises and then falls to 0; yours is dashed.")


def _ema_inputs() -> list[tuple]:
    rng = np.random.default_rng(0)
    return [(*rng.normal(size=(2, 4, 3)), 0.9), (*rng.normal(size=(2, 5)), 0.75)]


EXERCISES = {
    "augment": Exercise(
        augment,
        _augment_inputs,
        {
            "changes nothing": (
                lambda x0, cond, turns, flip: (x0, cond),
                "Nothing has changed: np.rot90 and slicing return a new image, so use what they return.",
            ),
            "only x0": (
                lambda x0, cond, turns, flip: (augment(x0, cond, turns, flip)[0], cond),
                "Only x0 has moved: cond no longer shows the same place, and the pair teaches nothing.",
            ),
            "different turns": (
                lambda x0, cond, turns, flip: (
                    augment(x0, cond, turns, flip)[0],
                    augment(x0, cond, -turns, flip)[1],
                ),
                "x0 and cond are turned differently; pixel for pixel they must show the same place.",
            ),
            "no flip": (
                lambda x0, cond, turns, flip: augment(x0, cond, turns, False),
                "Both are turned and neither is flipped; with turns alone four of the eight symmetries are missing.",
            ),
            "flip first": (
                lambda x0, cond, turns, flip: tuple(np.rot90(i[:, ::-1] if flip else i, turns) for i in (x0, cond)),
                "You flip first and turn then; the exercise turns first: np.rot90(image, turns), then [:, ::-1].",
            ),
            "top to bottom": (
                lambda x0, cond, turns, flip: tuple(
                    np.flipud(i) if flip else i for i in augment(x0, cond, turns, False)
                ),
                "You flip top to bottom; left to right is [:, ::-1], the second axis.",
            ),
            "turned the other way": (
                lambda x0, cond, turns, flip: augment(x0, cond, -turns, flip),
                "You turn the other way; np.rot90(image, turns) with a positive number turns counter-clockwise.",
            ),
            "only x0 flipped": (
                lambda x0, cond, turns, flip: (augment(x0, cond, turns, flip)[0], augment(x0, cond, turns, False)[1]),
                "Both are turned, but only x0 is flipped: cond no longer shows the same place.",
            ),
            "only cond": (
                lambda x0, cond, turns, flip: (x0, augment(x0, cond, turns, flip)[1]),
                "Only cond has moved: x0 no longer shows the same place, and the pair teaches nothing.",
            ),
            "both axes": (
                lambda x0, cond, turns, flip: tuple(
                    np.flip(i) if flip else i for i in augment(x0, cond, turns, False)
                ),
                "np.flip without an axis flips both, which is half a turn; left to right is [:, ::-1].",
            ),
        },
        "np.rot90(image, turns), then image[:, ::-1] if flip; the same for both images.",
        beside("x0", "cond"),
    ),
    "learning_rate": Exercise(
        learning_rate,
        _learning_rate_inputs,
        {
            "no warm-up": (
                lambda step, steps, peak, warmup: learning_rate(step, steps, peak, 1),
                "There is no warm-up: the first steps, where the gradient is least to be trusted, have the full rate.",
            ),
            "no peak": (
                lambda step, steps, peak, warmup: learning_rate(step, steps, 1.0, warmup),
                "The peak is left out: this is the share of it, from 0 to 1. Multiply by peak.",
            ),
            "brackets": (
                lambda step, steps, peak, warmup: (
                    peak * np.minimum(step + 1 / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))
                ),
                "Brackets are missing: step + 1 / warmup divides the 1 alone. Write (step + 1) / warmup.",
            ),
            "comes back": (
                lambda step, steps, peak, warmup: (
                    peak * np.minimum((step + 1) / warmup, 0.5 + 0.5 * np.cos(2 * np.pi * step / steps))
                ),
                "The cosine has a whole period: the rate is 0 half-way and comes back to its peak. Take half a period.",
            ),
            "below zero": (
                lambda step, steps, peak, warmup: peak * np.minimum((step + 1) / warmup, np.cos(np.pi * step / steps)),
                "A bare cosine ends at -1, and a negative rate climbs the loss; shift and halve it: 0.5 + 0.5 cos.",
            ),
            "larger of the two": (
                lambda step, steps, peak, warmup: (
                    peak * np.maximum((step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))
                ),
                "You take the larger of the two, which grows without end; take the smaller.",
            ),
            "first step lost": (
                lambda step, steps, peak, warmup: (
                    peak * np.minimum(step / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))
                ),
                "At step 0 the rate is 0, and a step is wasted: steps count from 0 here, so rise with step + 1.",
            ),
            "straight fall": (
                lambda step, steps, peak, warmup: peak * np.minimum((step + 1) / warmup, 1 - step / steps),
                "The rate falls along a straight line; half a cosine was asked for: 0.5 + 0.5 cos(pi step / steps).",
            ),
            "product": (
                lambda step, steps, peak, warmup: (
                    peak * np.minimum((step + 1) / warmup, 1) * (0.5 + 0.5 * np.cos(np.pi * step / steps))
                ),
                "You multiply rise and cosine. That would train as well, but here the smaller of the two is asked for.",
            ),
            "cosine after the rise": (
                lambda step, steps, peak, warmup: (
                    peak
                    * np.where(
                        step < warmup,
                        (step + 1) / warmup,
                        0.5 + 0.5 * np.cos(np.pi * (step - warmup) / (steps - warmup)),
                    )
                ),
                "Your cosine begins after the rise, as in many libraries; here it runs over all steps, under the rise.",
            ),
            "peak on the rise alone": (
                lambda step, steps, peak, warmup: (
                    np.minimum(peak * (step + 1) / warmup, 0.5 + 0.5 * np.cos(np.pi * step / steps))
                ),
                "The peak multiplies the rise alone; it multiplies the smaller of the two.",
            ),
        },
        "np.minimum of the rise (step + 1) / warmup and of 0.5 + 0.5 np.cos(np.pi * step / steps), times peak.",
        _learning_rate_picture,
    ),
    "ema_update": Exercise(
        ema_update,
        _ema_inputs,
        {
            "rates swapped": (
                lambda average, current, decay: ema_update(current, average, decay),
                "The two are swapped: with decay 0.9 nine tenths must come from the average.",
            ),
            "adds up": (
                lambda average, current, decay: average + (1 - decay) * current,
                "The factors must add up to 1; without decay in front of the average it grows step by step.",
            ),
            "plain mean": (
                lambda average, current, decay: (average + current) / 2,
                "This is the mean of the two, which forgets half at each step; use decay.",
            ),
            "nothing new": (
                lambda average, current, decay: average.copy(),
                "The average stays as it was; a share 1 - decay of the current weights belongs in it.",
            ),
            "current in full": (
                lambda average, current, decay: decay * average + current,
                "The current weights count in full; multiply them by 1 - decay, so that the factors add up to 1.",
            ),
            "corrected for bias": (
                lambda average, current, decay: ema_update(average, current, decay) / (1 - decay),
                "You divide by 1 - decay, as Adam does at its first step; this average begins from real weights.",
            ),
        },
        "decay times the average and 1 - decay times the current weights: the factors add up to 1.",
    ),
}  # fmt: skip
