"""The denoising network: a magnitude-preserving U-Net.

After Karras et al. 2024 (EDM2, arXiv 2312.02696), whose equations are named below: every operation keeps the
mean square of its activations at 1, so there are no normalisation layers with learned scales and no biases.
The condition and the noisy image enter as two channels (Palette, arXiv 2111.05826).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SILU_GAIN = 1 / 0.596  # SiLU's output on normal input has root mean square 0.596 (eq. 81)
BRANCH = 0.3  # weight of a block's branch in the sum with its input, which gets 1 - BRANCH (eq. 88)


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the network."""

    base_channels: int  # at full resolution
    channel_mults: tuple[int, ...]  # channels of each level in multiples of these; a level halves the resolution
    num_res_blocks: int  # per level on the way down; one more on the way up, for the skip that each level starts with
    attn_levels: tuple[int, ...]  # levels with self-attention, counted from 0 at full resolution
    dropout: float = 0.0  # in [0, 1)

    def __post_init__(self) -> None:
        for name in ("channel_mults", "attn_levels"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.base_channels < 1 or self.num_res_blocks < 1 or not self.channel_mults or min(self.channel_mults) < 1:
            raise ValueError(f"expected at least one level, block and channel, got {self}")
        if any(level not in range(len(self.channel_mults)) for level in self.attn_levels):
            raise ValueError(f"expected attn_levels in 0..{len(self.channel_mults) - 1}, got {self.attn_levels}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"expected dropout in [0, 1), got {self.dropout}")

    @classmethod
    def micro(cls) -> UNetConfig:
        """Under a million parameters: trains on a laptop's CPU."""
        return cls(base_channels=24, channel_mults=(1, 2, 3), num_res_blocks=1, attn_levels=(2,))

    @classmethod
    def paper(cls) -> UNetConfig:
        """The 64 million parameters of arXiv 2409.12078; a 256 px image meets attention at 32 x 32."""
        return cls(base_channels=64, channel_mults=(1, 2, 4, 8), num_res_blocks=2, attn_levels=(3,), dropout=0.2)

    @property
    def multiple(self) -> int:
        """The network works on sides that are a multiple of this; others are padded and cropped."""
        return 2 ** (len(self.channel_mults) - 1)


class UNet(nn.Module):
    """(x_t, noise level, cond) -> eps, v or x0, whichever it was trained for."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = [config.base_channels * mult for mult in config.channel_mults]
        embed = 2 * max(channels)
        self.embedding = NoiseEmbedding(config.base_channels, embed)
        self.conv_in = Conv(3, channels[0], 3)  # x_t, cond, and a constant 1 in place of biases

        def block(into: int, out: int, level: int) -> Block:
            return Block(into, out, embed, attention=level in config.attn_levels, dropout=config.dropout)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()  # a list of blocks for each level
        skips, now = [], channels[0]
        for level, out in enumerate(channels):
            skips.append(now)
            blocks = nn.ModuleList()
            for _ in range(config.num_res_blocks):
                blocks.append(block(now, out, level))
                skips.append(out)
                now = out
            self.down.append(blocks)
        self.middle = nn.ModuleList(
            [block(now, now, len(channels) - 1), Block(now, now, embed, dropout=config.dropout)]
        )
        for level, out in reversed(list(enumerate(channels))):
            blocks = nn.ModuleList()
            for _ in range(config.num_res_blocks + 1):
                blocks.append(block(now + skips.pop(), out, level))
                now = out
            self.up.append(blocks)
        self.conv_out = Conv(now, 1, 3)
        self.gain_out = nn.Parameter(torch.zeros(()))  # starts from the zero function

    def forward(self, x_t: Tensor, noise_level: Tensor, cond: Tensor) -> Tensor:
        """From x_t and cond, shape (B, 1, H, W) with any H, W >= 1, and the noise level, shape (B,): (B, 1, H, W).

        The noise level is a number of order 1, such as a quarter of log(noise / signal rate).
        """
        if x_t.shape != cond.shape or x_t.ndim != 4 or x_t.shape[1] != 1:
            raise ValueError(
                f"expected x_t and cond of one shape (B, 1, H, W), got {tuple(x_t.shape)} and {tuple(cond.shape)}"
            )
        height, width = x_t.shape[-2:]
        x = torch.cat([x_t, cond, torch.ones_like(x_t)], dim=1)
        beyond = (0, -width % self.config.multiple, 0, -height % self.config.multiple)
        x = F.pad(x, beyond, mode="replicate")
        embed = self.embedding(noise_level)
        x = _unit(self.conv_in(x), (1,))
        skips = []
        for level, blocks in enumerate(self.down):
            x = _unit(F.avg_pool2d(x, 2), (1,)) if level else x  # averaging shrinks
            skips.append(x)
            for block in blocks:
                x = block(x, embed)
                skips.append(x)
        for block in self.middle:
            x = block(x, embed)
        for level, blocks in enumerate(self.up):
            x = F.interpolate(x, scale_factor=2, mode="nearest") if level else x
            for block in blocks:
                x = block(mp_cat(x, skips.pop()), embed)
        return self.conv_out(x, gain=self.gain_out)[..., :height, :width]

    @torch.no_grad()
    def normalize_weights_(self) -> None:
        """Bring every filter's stored weights back to root mean square 1 (sec. 2.3: forced weight normalisation).

        Called after each optimiser step: otherwise weights grow, and the effective learning rate falls.
        """
        for module in self.modules():
            if isinstance(module, Conv):
                module.weight.copy_(module.unit_weight())


class Conv(nn.Module):
    """Magnitude-preserving convolution or, on (B, C) input, linear layer, without bias (eq. 47 and 66)."""

    def __init__(self, into: int, out: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.randn(out, into, *([kernel, kernel] if kernel else [])))

    def forward(self, x: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        fan_in = self.weight[0].numel()
        weight = (self.unit_weight() * (gain / math.sqrt(fan_in))).to(x.dtype)
        return F.conv2d(x, weight, padding=self.kernel // 2) if self.kernel else F.linear(x, weight)

    def unit_weight(self) -> Tensor:
        """The weights, each output's filter scaled to root mean square 1."""
        return _unit(self.weight, tuple(range(1, self.weight.ndim)))


class NoiseEmbedding(nn.Module):
    """Random Fourier features of the noise level through a small network, shape (B,) -> (B, channels) (eq. 75)."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(features))
        self.register_buffer("phases", torch.rand(features))
        self.linear = Conv(features, channels, 0)

    def forward(self, noise_level: Tensor) -> Tensor:
        return mp_silu(self.linear(fourier_features(noise_level.float(), self.frequencies, self.phases)))


class Block(nn.Module):
    """Residual block, modulated by the noise level, with optional self-attention (after figure 21).

    It ends by bringing each pixel to unit magnitude over its channels. EDM2 does that in the encoder alone; here
    few channels make the terms of a sum overlap by chance, and without it magnitudes drift by up to a quarter.
    """

    def __init__(self, into: int, out: int, embed: int, *, attention: bool = False, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = dropout
        self.shortcut = Conv(into, out, 1) if into != out else None
        self.conv_0 = Conv(into, out, 3)
        self.modulation = Conv(embed, out, 0)
        self.modulation_gain = nn.Parameter(torch.zeros(()))
        self.conv_1 = Conv(out, out, 3)
        self.attention = Attention(out) if attention else None

    def forward(self, x: Tensor, embed: Tensor) -> Tensor:
        y = self.conv_0(F.silu(x), gain=SILU_GAIN)
        scale = 1 + self.modulation(embed, gain=self.modulation_gain)
        y = F.silu(y * scale[:, :, None, None].to(y.dtype))
        y = F.dropout(y, self.dropout, self.training)
        x = mp_sum(x if self.shortcut is None else self.shortcut(x), self.conv_1, y, SILU_GAIN)
        return _unit(x if self.attention is None else self.attention(x), (1,))


class Attention(nn.Module):
    """Cosine self-attention over all pixels: q, k and v are normalised (sec. 2.1, figure 21)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max((h for h in range(1, channels // 64 + 1) if channels % h == 0), default=1)
        self.qkv = Conv(channels, 3 * channels, 1)
        self.proj = Conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = _unit(qkv.transpose(-1, -2), (-1,)).unbind(1)  # each (B, heads, H W, channels per head)
        y = F.scaled_dot_product_attention(q, k, v)
        y = y.transpose(-1, -2).reshape(batch, channels, height, width)
        return mp_sum(x, self.proj, y)


def fourier_features(level: Tensor, frequencies: Tensor, phases: Tensor) -> Tensor:
    """Waves of the noise level, (B,) -> (B, features), each of mean square 1 over all phases (eq. 75)."""
    return math.sqrt(2) * torch.cos(2 * math.pi * (level[:, None] * frequencies + phases))


def mp_silu(x: Tensor) -> Tensor:
    """SiLU that keeps the magnitude of normally distributed input (eq. 81)."""
    return F.silu(x) / 0.596


def mp_sum(x: Tensor, branch: Conv, y: Tensor, gain: float = 1.0) -> Tensor:
    """(1 - BRANCH) x + BRANCH branch(gain y), scaled so that uncorrelated terms keep unit magnitude (eq. 88).

    The branch's factors go into its small weights and not into another pass over the activations.
    """
    norm = math.hypot(1 - BRANCH, BRANCH)
    return torch.add(branch(y, gain=gain * BRANCH / norm), x, alpha=(1 - BRANCH) / norm)


def mp_cat(a: Tensor, b: Tensor) -> Tensor:
    """Concatenate over channels so that both contribute equally, however many channels each has (eq. 103)."""
    n_a, n_b = a.shape[1], b.shape[1]
    if n_a == n_b:
        return torch.cat([a, b], dim=1)
    half = math.sqrt((n_a + n_b) / 2)
    return torch.cat([a * (half / math.sqrt(n_a)), b * (half / math.sqrt(n_b))], dim=1)


def _unit(x: Tensor, over: tuple[int, ...]) -> Tensor:
    """Scale to root mean square 1 over the named dimensions."""
    norm = torch.linalg.vector_norm(x, dim=over, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
    size = math.prod(x.shape[d] for d in over)
    return x / (norm / math.sqrt(size) + 1e-4).to(x.dtype)
