"""The network: magnitudes, gradients, sizes, precision, independence of batch mates."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ddpm_micro.unet import Attention, Conv, UNet, UNetConfig, mp_cat, mp_sum

SMALL = UNetConfig(base_channels=8, channel_mults=(1, 2), num_res_blocks=1, attn_levels=(1,))


def network(config: UNetConfig = SMALL, seed: int = 0, gains: float = 0.3) -> UNet:
    """A network whose gains, zero at the start of training, are set so that every part takes part."""
    torch.manual_seed(seed)
    unet = UNet(config)
    for name, parameter in unet.named_parameters():
        if "gain" in name:
            torch.nn.init.constant_(parameter, 1.0 if name == "gain_out" else gains)
    return unet.eval()


def inputs(batch: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x_t, cond = (torch.randn(batch, 1, height, width, generator=generator) for _ in range(2))
    return x_t, torch.linspace(-1, 2, batch), cond


def test_parameter_counts() -> None:
    with torch.device("meta"):
        micro, paper = (
            sum(p.numel() for p in UNet(config).parameters()) for config in (UNetConfig.micro(), UNetConfig.paper())
        )
    assert 0.5e6 < micro < 1e6
    assert paper == pytest.approx(64e6, rel=0.03)


def magnitudes(config: UNetConfig, seed: int) -> dict[str, float]:
    """Root mean square of what each block, attention and convolution returns."""
    seen = {}

    def record(name: str):
        def hook(_module, _inputs, output: torch.Tensor) -> None:
            seen[name] = output.square().mean().sqrt().item()

        return hook

    unet = network(config, seed, gains=0.0)
    for name, module in unet.named_modules():
        module.register_forward_hook(record(name))
    unet(*inputs(4, 32, 32))
    return seen


@pytest.mark.parametrize("config", [UNetConfig.micro(), UNetConfig(32, (1, 2, 4), 2, (1, 2)), UNetConfig.paper()])
def test_every_block_keeps_its_magnitude_at_initialisation(config: UNetConfig) -> None:
    seen = magnitudes(config, seed=0)
    blocks = {name: value for name, value in seen.items() if re.fullmatch(r"(down|up)\.\d\.\d|middle\.\d", name)}
    assert len(blocks) >= 11
    assert {name: round(value, 3) for name, value in blocks.items() if abs(value - 1) > 0.1} == {}


def test_within_a_block_magnitudes_are_kept_on_average() -> None:
    """One draw of few filters scatters; over many draws each layer's output has magnitude 1, before any normalisation."""
    draws = [magnitudes(UNetConfig.micro(), seed) for seed in range(12)]
    for name in (
        "conv_in",
        "embedding",
        "down.1.0.conv_0",
        "down.1.0.modulation",
        "middle.0.attention",
        "up.0.1.attention",
    ):
        power = np.mean([draw[name] ** 2 for draw in draws])
        expected = 0.0 if name.endswith("modulation") else 1.0  # its gain starts at zero
        assert power**0.5 == pytest.approx(expected, abs=0.1), name


def test_starts_from_the_zero_function() -> None:
    torch.manual_seed(0)
    assert UNet(SMALL)(*inputs(2, 8, 8)).abs().max() == 0


def test_gradients_reach_every_parameter() -> None:
    unet = network().train()
    unet(*inputs(2, 16, 16)).square().mean().backward()
    without = [
        name for name, parameter in unet.named_parameters() if parameter.grad is None or parameter.grad.abs().max() == 0
    ]
    assert without == []


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (5, 3), (8, 8), (13, 30)])
def test_any_size(size: tuple[int, int]) -> None:
    output = network()(*inputs(2, *size))
    assert output.shape == (2, 1, *size) and torch.isfinite(output).all()


def test_padding_touches_nothing_but_the_border() -> None:
    """A multiple of the step needs no padding: the same image cut by one pixel gives the same far from the cut."""
    unet = network(UNetConfig(8, (1, 2), 1, ()))
    x_t, level, cond = inputs(1, 64, 64)
    cut = unet(x_t[..., :63, :], level[:1], cond[..., :63, :])
    torch.testing.assert_close(cut[..., :20, :], unet(x_t, level[:1], cond)[..., :20, :])


def test_equals_a_float64_reference() -> None:
    unet = network(UNetConfig.micro())
    x_t, level, cond = inputs(2, 24, 20)
    exact = copy.deepcopy(unet).double()(x_t.double(), level.double(), cond.double())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(unet(x_t, level, cond).double(), exact, rtol=0, atol=2e-5)


def test_no_dependence_on_batch_mates() -> None:
    unet = network()
    x_t, level, cond = inputs(3, 12, 12)
    together = unet(x_t, level, cond)
    for i in range(3):
        alone = unet(x_t[i : i + 1], level[i : i + 1], cond[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-5)


def test_noise_level_and_condition_both_matter() -> None:
    unet = network()
    x_t, level, cond = inputs(1, 8, 8)
    base = unet(x_t, level[:1], cond)
    assert (unet(x_t, level[:1] + 1, cond) - base).abs().max() > 1e-3
    assert (unet(x_t, level[:1], cond + 1) - base).abs().max() > 1e-3


def test_weights_scale_does_not_matter_and_is_brought_back() -> None:
    unet = network()
    before = unet(*inputs(1, 8, 8))
    with torch.no_grad():
        for module in unet.modules():
            if isinstance(module, Conv):
                module.weight *= 7
    torch.testing.assert_close(unet(*inputs(1, 8, 8)), before, rtol=0, atol=2e-3)
    unet.normalize_weights_()
    for module in unet.modules():
        if isinstance(module, Conv):
            rms = module.weight.flatten(1).square().mean(1).sqrt()
            torch.testing.assert_close(rms, torch.ones_like(rms), rtol=0, atol=1e-3)


def test_mp_sum_and_mp_cat_against_their_equations() -> None:
    torch.manual_seed(0)
    x, y, conv = torch.randn(1, 6, 40, 40), torch.randn(1, 6, 40, 40), Conv(6, 6, 1)
    expected = (0.7 * x + 0.3 * conv(y)) / math.sqrt(0.7**2 + 0.3**2)
    torch.testing.assert_close(mp_sum(x, conv, y), expected)
    a, b = torch.randn(1, 3, 50, 50), torch.randn(1, 9, 50, 50)
    joined = mp_cat(a, b)
    assert joined.square().mean().item() == pytest.approx(1, rel=0.05)
    assert joined[:, :3].square().sum().item() == pytest.approx(joined[:, 3:].square().sum().item(), rel=0.05)


def test_attention_is_softmax_of_cosines() -> None:
    """Against the formula written out, one head."""
    torch.manual_seed(0)
    attention, x = Attention(6), torch.randn(1, 6, 3, 4)
    q, k, v = (part.reshape(6, 12).T for part in attention.qkv(x)[0].split(6))
    q, k, v = (part / part.square().mean(1, keepdim=True).sqrt() for part in (q, k, v))
    y = torch.softmax(q @ k.T / math.sqrt(6), dim=-1) @ v
    expected = mp_sum(x, attention.proj, y.T.reshape(1, 6, 3, 4))
    torch.testing.assert_close(attention(x), expected, rtol=0, atol=2e-3)


def test_silu_gain_is_its_root_mean_square() -> None:
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    assert F.silu(x).square().mean().sqrt().item() == pytest.approx(0.596, abs=2e-3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UNetConfig(0, (1,), 1, ()), "at least one level, block and channel"),
        (lambda: UNetConfig(8, (), 1, ()), "at least one level"),
        (lambda: UNetConfig(8, (1, 2), 1, (2,)), r"attn_levels in 0\.\.1, got \(2,\)"),
        (lambda: UNetConfig(8, (1,), 1, (), dropout=1.0), r"dropout in \[0, 1\), got 1.0"),
        (
            lambda: network()(torch.zeros(1, 1, 4, 4), torch.zeros(1), torch.zeros(1, 1, 4, 5)),
            r"\(1, 1, 4, 4\) and \(1, 1, 4, 5\)",
        ),
        (lambda: network()(torch.zeros(1, 3, 4, 4), torch.zeros(1), torch.zeros(1, 3, 4, 4)), r"\(B, 1, H, W\)"),
    ],
)
def test_mistakes_are_named(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
