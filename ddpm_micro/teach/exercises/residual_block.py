"""Exercise of chapter 4: the residual block."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_micro.teach.exercise import Exercise
from ddpm_micro.unet import Conv, mp_silu

Layer = Callable[[Tensor], Tensor]


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


def residual_block(x: Tensor, scale: Tensor, conv_0: Layer, conv_1: Layer) -> Tensor:
    """`ddpm_micro.unet.Block` where input and output have the same channels, before its last normalisation."""
    y = conv_0(mp_silu(x))
    y = conv_1(mp_silu(scale * y))
    return (0.7 * x + 0.3 * y) / math.sqrt(0.7**2 + 0.3**2)


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
                "The scale multiplies the output of conv_1. It must multiply that of conv_0, before the second SiLU.",
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
