"""The exercises of the U-Net chapter against the network they are about."""

import pytest
import torch
from torch import nn

from ddpm_micro.teach import checks
from ddpm_micro.unet import Block, NoiseEmbedding


def test_receptive_field_is_what_the_gradient_says() -> None:
    kernels, strides = checks.EXERCISES["receptive_field"].inputs()[0]
    layers = nn.Sequential(*(nn.Conv1d(1, 1, k, stride=s) for k, s in zip(kernels, strides, strict=True))).double()
    x = torch.randn(1, 1, 200, dtype=torch.float64, requires_grad=True)
    layers(x)[0, 0, 3].backward()
    reached = x.grad[0, 0].nonzero()
    assert checks.answer("receptive_field")(kernels, strides) == int(reached.max() - reached.min()) + 1


def test_fourier_features_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    embedding, level, seen = NoiseEmbedding(5, 8), torch.linspace(-1, 2, 7), []
    embedding.linear.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    embedding(level)
    answer = checks.answer("fourier_features")
    torch.testing.assert_close(answer(level, embedding.frequencies, embedding.phases), seen[0])


def test_residual_block_is_that_of_the_network() -> None:
    torch.manual_seed(0)
    block, x, embed = Block(6, 6, 4).eval(), torch.randn(2, 6, 8, 8), torch.randn(2, 4)
    nn.init.constant_(block.modulation_gain, 0.3)
    scale = 1 + block.modulation(embed, gain=0.3)[:, :, None, None]
    y = checks.answer("residual_block")(x, scale, block.conv_0, block.conv_1)
    expected = block(x, embed)
    torch.testing.assert_close(y / y.square().mean(1, keepdim=True).sqrt(), expected, rtol=5e-4, atol=1e-5)
    assert y.square().mean().sqrt().item() == pytest.approx(1, rel=0.15)
