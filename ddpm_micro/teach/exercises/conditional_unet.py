"""Exercises of chapter 4: how far a network sees, what it is told of the noise level, and its residual block."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.unet import Conv, fourier_features, mp_silu

Layer = Callable[[Tensor], Tensor]


def _features_inputs() -> list[tuple]:
    trials = []
    for seed, levels in enumerate(([-1.0, 0.0, 0.7, 2.0], [0.3, -0.6, 1.4])):
        generator = torch.Generator().manual_seed(seed)
        frequencies, phases = torch.randn(6, generator=generator), torch.rand(6, generator=generator)
        trials.append((torch.tensor(levels), frequencies, phases))
    return trials


def _block_inputs() -> list[tuple]:
    """Activations of unit magnitude, and two convolutions that keep it."""
    trials = []
    for seed, channels in ((0, 6), (1, 4)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x, scale = torch.randn(2, channels, 8, 8), 1 + 0.3 * torch.randn(2, channels, 1, 1)
            convs = [Conv(channels, channels, 3).requires_grad_(False) for _ in range(2)]
        trials.append((x, scale, *(conv.forward for conv in convs)))
    return trials


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Width in pixels of what one output of a stack of layers can depend on."""
    width, jump = 1, 1  # jump: pixels of the image between neighbours of the present layer
    for kernel, stride in zip(kernels, strides, strict=True):
        width += (kernel - 1) * jump
        jump *= stride
    return width


def residual_block(x: Tensor, scale: Tensor, conv_0: Layer, conv_1: Layer) -> Tensor:
    """`ddpm_micro.unet.Block` where input and output have the same channels, before its last normalisation."""
    y = conv_0(mp_silu(x))
    y = conv_1(mp_silu(scale * y))
    return (0.7 * x + 0.3 * y) / math.sqrt(0.7**2 + 0.3**2)


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


def _block(
    x: Tensor,
    scale: Tensor,
    conv_0: Layer,
    conv_1: Layer,
    *,
    silu_first: bool = True,
    gain: float = 1 / 0.596,
    scale_last: bool = False,
    weights: tuple[float, float] = (0.7, 0.3),
    norm: float = math.hypot(0.7, 0.3),
) -> Tensor:
    """The block with one thing in it done otherwise."""
    y = conv_0(F.silu(x) * gain if silu_first else x)
    y = conv_1(scale * F.silu(y) * gain if scale_last else F.silu(scale * y) * gain)
    return (weights[0] * x + weights[1] * y) / norm


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
    "residual_block": Exercise(
        residual_block,
        _block_inputs,
        {
            "plain sum": (
                lambda *a: _block(*a, weights=(1, 1), norm=1),
                "You add x and y as they are: the variance of the sum is 2, and doubles again with every block.",
            ),
            "equal weights": (
                lambda *a: _block(*a, weights=(1, 1), norm=2**0.5),
                "x and y have equal weights; x keeps 0.7 and y gets 0.3, so that a block changes x a little.",
            ),
            "sum not scaled": (
                lambda *a: _block(*a, norm=1),
                "The weighted sum is not divided by sqrt(0.7² + 0.3²): each block would shrink what it is given.",
            ),
            "divided by the square": (
                lambda *a: _block(*a, norm=0.7**2 + 0.3**2),
                "You divide by 0.7² + 0.3², the variance; the sum must be divided by its root.",
            ),
            "weights swapped": (
                lambda *a: _block(*a, weights=(0.3, 0.7)),
                "The weights are swapped: x keeps 0.7, so that the block changes it a little; the branch gets 0.3.",
            ),
            "SiLU shrinks": (
                lambda *a: _block(*a, gain=1.0),
                "SiLU's output is not divided by 0.596; each SiLU then loses two fifths of the magnitude.",
            ),
            "SiLU shrinks twice": (
                lambda *a: _block(*a, gain=0.596),
                "SiLU's output is multiplied by 0.596, which shrinks it once more; divide.",
            ),
            "no first SiLU": (
                lambda *a: _block(*a, silu_first=False),
                "conv_0 is given x itself; in this block a SiLU stands before each convolution.",
            ),
            "scale after SiLU": (
                lambda *a: _block(*a, scale_last=True),
                "The scale comes after the second SiLU; it belongs before, where it decides how strongly SiLU bends.",
            ),
            "noise level ignored": (
                lambda x, scale, conv_0, conv_1: residual_block(x, torch.ones_like(scale), conv_0, conv_1),
                "scale is not used: the block does not know the noise level.",
            ),
            "SiLU after the convolution": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * x + 0.3 * mp_silu(conv_1(mp_silu(scale * conv_0(x))))) / 0.58**0.5
                ),
                "Each SiLU stands after its convolution here; in this block it stands before.",
            ),
            "first SiLU not scaled": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * x + 0.3 * conv_1(mp_silu(scale * conv_0(F.silu(x))))) / 0.58**0.5
                ),
                "The first SiLU is not divided by 0.596; both are.",
            ),
            "divided within": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * x + 0.3 * conv_1(F.silu(scale * conv_0(F.silu(x / 0.596)) / 0.596))) / 0.58**0.5
                ),
                "0.596 stands within the SiLU; it is the SiLU's output that is divided by it.",
            ),
            "scale on the output": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * x + 0.3 * scale * conv_1(mp_silu(conv_0(mp_silu(x))))) / 0.58**0.5
                ),
                "The scale multiplies the output of conv_1; it belongs to that of conv_0, before the second SiLU.",
            ),
            "ReLU": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * x + 0.3 * conv_1(F.relu(scale * conv_0(F.relu(x) / 0.596)) / 0.596)) / 0.58**0.5
                ),
                "This is ReLU; the block has SiLU, F.silu, for which 0.596 was measured.",
            ),
            "shortcut through SiLU": (
                lambda x, scale, conv_0, conv_1: (
                    (0.7 * mp_silu(x) + 0.3 * conv_1(mp_silu(scale * conv_0(mp_silu(x))))) / 0.58**0.5
                ),
                "The shortcut takes the activated x; x itself belongs in the sum, so do not overwrite it.",
            ),
        },
        "First y, in two lines; each takes a SiLU, divides it by 0.596 and convolves. Then the sum with x.",
        shown=(mp_silu, residual_block),
    ),
}  # fmt: skip
