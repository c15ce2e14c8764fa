"""Exercises of chapter 4: how far a network sees, and what it is told of the noise level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from operator import mul

import torch

from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.unet import fourier_features


def _features_inputs() -> list[tuple]:
    trials = []
    for seed, levels in enumerate(([-1.0, 0.0, 0.7, 2.0], [0.3, -0.6, 1.4])):
        generator = torch.Generator().manual_seed(seed)
        frequencies, phases = torch.randn(6, generator=generator), torch.rand(6, generator=generator)
        trials.append((torch.tensor(levels), frequencies, phases))
    return trials


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Width in pixels of what one output of a stack of layers can depend on."""
    width, jump = 1, 1  # jump: pixels of the image between neighbours of the present layer
    for kernel, stride in zip(kernels, strides, strict=True):
        width += (kernel - 1) * jump
        jump *= stride
    return width


def _backwards(kernels: Sequence[int], strides: Sequence[int]) -> int:
    width = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        width = (width - 1) * stride + kernel
    return width


def _widened(kernels: Sequence[int], strides: Sequence[int]) -> int:
    width = 1
    for kernel, stride in zip(kernels, strides, strict=True):
        width = (width + kernel - 1) * stride
    return width


def _summed(kernels: Sequence[int], jumps: Sequence[int]) -> int:
    return 1 + sum((kernel - 1) * jump for kernel, jump in zip(kernels, jumps, strict=True))


EXERCISES = {
    "receptive_field": Exercise(
        receptive_field,
        lambda: [([3, 5, 2, 3, 2, 3, 3], [1, 1, 2, 1, 2, 1, 1]), ([5, 4, 3, 6, 1], [2, 1, 3, 2, 1])],
        {
            "strides left out": (
                lambda kernels, strides: _summed(kernels, [1] * len(kernels)),
                "The strides do nothing here: after a layer of stride 2 the step to the next is 2 pixels of the image.",
            ),
            "own stride counted": (
                lambda kernels, strides: _summed(kernels, list(accumulate(strides, mul))),
                "The stride of a layer spreads the layers after it, not the layer itself; multiply after adding.",
            ),
            "only the stride before": (
                lambda kernels, strides: _summed(kernels, [1, *strides[:-1]]),
                "Only the stride just before a layer counts here; all strides before it multiply.",
            ),
            "only the own stride": (
                lambda kernels, strides: _summed(kernels, strides),
                "Each layer counts its own stride here; what spreads it are the strides of the layers before it.",
            ),
            "product of the kernels": (
                lambda kernels, strides: math.prod(kernels),
                "The kernels are multiplied; each layer adds kernel - 1 steps, and only strides multiply the step.",
            ),
            "all strides everywhere": (
                lambda kernels, strides: _summed(kernels, [math.prod(strides)] * len(kernels)),
                "Each layer is spread by all strides here, even by those that come after it.",
            ),
            "strides added to 1": (
                lambda kernels, strides: _summed(kernels, list(accumulate([1, *strides[:-1]]))),
                "The strides before a layer are added up; they multiply: two of 2 make a step of 2 x 2 pixels.",
            ),
            "strides added": (
                lambda kernels, strides: _summed(kernels, list(accumulate([1, *(s - 1 for s in strides[:-1])]))),
                "The strides are added; two layers of stride 2 make a step of 2 x 2 = 4 pixels, three of 8.",
            ),
            "whole kernels": (
                lambda kernels, strides: receptive_field([kernel + 1 for kernel in kernels], strides),
                "A whole kernel is added for each layer; one of its pixels is there already, so it adds kernel - 1.",
            ),
            "begins at 0": (
                lambda kernels, strides: receptive_field(kernels, strides) - 1,
                "One short: without any layer an output sees 1 pixel, itself.",
            ),
            "from the wrong end": (
                lambda kernels, strides: _backwards(kernels, strides),
                "(width - 1) * stride + kernel goes from the output back to the image: begin with the last layer.",
            ),
            "width times stride": (
                lambda kernels, strides: _widened(kernels, strides),
                "You multiply the width by the stride; a stride moves the next pixels apart, and the width stays.",
            ),
            "first kernel twice": (
                lambda kernels, strides: receptive_field(kernels, strides) + kernels[0] - 1,
                "The first kernel counts twice: begin with a width of 1, not with the first kernel.",
            ),
            "one side": (
                lambda kernels, strides: receptive_field([k // 2 + 1 for k in kernels], strides),
                "k // 2 is what a layer sees on one side; both sides together are kernel - 1.",
            ),
            "twice the half": (
                lambda kernels, strides: receptive_field([2 * (k // 2) + 1 for k in kernels], strides),
                "2 * (k // 2) is right for odd kernels alone; an even one too adds kernel - 1.",
            ),
        },
        "Keep two numbers: the width so far, from 1, and the pixels between neighbours, from 1. Which changes first?",
    ),
    "fourier_features": Exercise(
        fourier_features,
        _features_inputs,
        {
            "no 2 pi": (
                lambda level, f, phases: math.sqrt(2) * torch.cos(level[:, None] * f + phases),
                "The 2 pi is missing: frequencies and phases count whole turns, cos takes radians.",
            ),
            "phase outside": (
                lambda level, f, phases: math.sqrt(2) * torch.cos(2 * math.pi * level[:, None] * f + phases),
                "The phase is not multiplied by 2 pi; it is a part of a turn, so it belongs within the brackets.",
            ),
            "no phase": (
                lambda level, f, phases: fourier_features(level, f, 0 * phases),
                "The phases are left out: then all waves are at their crest at level 0, where they say the same.",
            ),
            "no root of 2": (
                lambda level, f, phases: fourier_features(level, f, phases) / math.sqrt(2),
                "The factor sqrt(2) is missing: the mean square of a cosine is 1/2, and 1 is wanted.",
            ),
            "sine": (
                lambda level, f, phases: fourier_features(level, f, phases - 0.25),
                "This is the sine. With phases at random it would serve as well, but the check wants the cosine.",
            ),
            "sine and cosine": (
                lambda level, f, phases: torch.cat(
                    [wave(2 * math.pi * (level[:, None] * f + phases)) for wave in (torch.sin, torch.cos)], 1
                ),
                "You return sines and cosines, twice as many features; with a phase each the cosine is enough.",
            ),
            "root inside": (
                lambda level, f, phases: torch.cos(math.sqrt(2) * 2 * math.pi * (level[:, None] * f + phases)),
                "sqrt(2) stands within the cosine, where it changes the frequency; it multiplies the wave.",
            ),
            "degrees": (
                lambda level, f, phases: math.sqrt(2) * torch.cos(360 * (level[:, None] * f + phases)),
                "A turn is 360 degrees, but torch.cos takes radians: 2 pi.",
            ),
        },
        "level[:, None] has the shape (B, 1); times frequencies, shape (F,), it is (B, F).",
    ),
}  # fmt: skip
