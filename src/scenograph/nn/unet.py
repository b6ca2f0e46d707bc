"""A small U-Net with a time condition, the usual denoiser of diffusion and flow models (Ho et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import SameConv2d

HEAD_SIZE = 32
"""Channels of each head of attention."""


def time_features(time: Tensor, size: int) -> Tensor:
    """Sines and cosines of times (N,) in [0, 1], at geometric frequencies: (N, size)."""
    frequencies = torch.exp(torch.linspace(0, math.log(1000), size // 2, device=time.device))
    angles = time.float()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions; a vector (the time, say) scales and shifts the second normalization.

    So does a map, place by place, as in SPADE (Park et al. 2019), if ``map_channels`` says so. Starts as the identity.
    """

    def __init__(self, channels_in: int, channels_out: int, time_size: int, map_channels: int = 0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_groups(channels_in), channels_in)
        self.conv1 = SameConv2d(channels_in, channels_out, 3)
        self.time = nn.Linear(time_size, 2 * channels_out)
        self.map = nn.Conv2d(map_channels, 2 * channels_out, 1) if map_channels else None
        self.norm2 = nn.GroupNorm(_groups(channels_out), channels_out)
        self.conv2 = SameConv2d(channels_out, channels_out, 3)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.time.weight)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """X (N, Cin, H, W), time (N, time_size), map (N, map_channels, H, W) -> (N, Cout, H, W)."""
        h = self.conv1(F.silu(self.norm1(x)))
        modulation = self.time(time)[:, :, None, None]  # (N, 2 Cout) -> (N, 2 Cout, 1, 1)
        if self.map is not None:
            modulation = modulation + self.map(condition)
        scale, shift = modulation.chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class SelfAttention2d(nn.Module):
    """Attention between all places of a coarse map; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_SIZE
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        n, c, h, w = x.shape
        # (N, 3 C, H, W) -> (N, 3, heads, C / heads, H * W) -> (N, heads, H * W, C / heads) for each of q, k, v
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        # (N, heads, H * W, C / heads) -> (N, heads, C / heads, H * W) -> (N, C, H, W)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w)
        return x + self.out(mixed)


class ModulatedUNet(nn.Module):
    """``channels`` per level, halving the map between levels; ``blocks`` per level; attention on the last level.

    A vector scales and shifts the features of every block; with ``map_channels``, a map of the condition does, too.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        channels: Sequence[int],
        blocks: int,
        vector_size: int,
        map_channels: int = 0,
    ) -> None:
        super().__init__()
        self.input = nn.Conv2d(channels_in, channels[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.up = nn.ModuleList()
        skips, width = [channels[0]], channels[0]
        for level, size in enumerate(channels):
            stage = nn.ModuleList()
            for _ in range(blocks):
                stage.append(ResidualBlock(width, size, vector_size, map_channels))
                width = size
                skips.append(width)
            self.down.append(stage)
            if level < len(channels) - 1:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
                skips.append(width)
        self.middle1 = ResidualBlock(width, width, vector_size, map_channels)
        self.attention = SelfAttention2d(width)
        self.middle2 = ResidualBlock(width, width, vector_size, map_channels)
        for size in reversed(channels):
            stage = nn.ModuleList()
            for _ in range(blocks + 1):
                stage.append(ResidualBlock(width + skips.pop(), size, vector_size, map_channels))
                width = size
            self.up.append(stage)
        self.norm = nn.GroupNorm(_groups(width), width)
        self.output = nn.Conv2d(width, channels_out, 3, padding=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def input_of(self, last: Tensor) -> Tensor:
        """What the input makes of its last channels (N, C, H, W), for :meth:`forward`: (N, channels[0], H, W)."""
        return F.conv2d(last, self.input.weight[:, -last.shape[1] :], self.input.bias, padding=1)

    def forward(
        self, x: Tensor, vector: Tensor, condition: Tensor | None = None, steady: Tensor | None = None
    ) -> Tensor:
        """X (N, Cin, H, W) with sides divisible by 2^(levels-1), vector (N, vector_size) -> (N, Cout, H, W).

        ``condition`` is the map (N, map_channels, H, W) of networks that have one. ``steady``, from :meth:`input_of`,
        stands for the last channels where they are the same in many calls; ``x`` then has the others alone.
        """
        first = self.input.weight[:, : x.shape[1]]
        h = self.input(x) if steady is None else F.conv2d(x, first, padding=1) + steady
        skips = [h]
        maps = [condition]  # one per level
        for _ in self.shrink:
            maps.append(None if maps[-1] is None else F.avg_pool2d(maps[-1], 2))
        for level, stage in enumerate(self.down):
            for block in stage.children():
                h = block(h, vector, maps[level])
                skips.append(h)
            if level < len(self.shrink):
                h = self.shrink[level](h)
                skips.append(h)
        h = self.middle2(self.attention(self.middle1(h, vector, maps[-1])), vector, maps[-1])
        for level, stage in enumerate(self.up):
            for block in stage.children():
                h = block(torch.cat([h, skips.pop()], dim=1), vector, maps[-1 - level])
            if level < len(self.up) - 1:
                h = F.interpolate(h, scale_factor=2.0, mode="nearest")
        return self.output(F.silu(self.norm(h)))


class UNet(ModulatedUNet):
    """A U-Net whose vector is the time."""

    def __init__(self, channels_in: int, channels_out: int, channels: Sequence[int], blocks: int) -> None:
        time_size = 4 * channels[0]
        super().__init__(channels_in, channels_out, channels, blocks, time_size)
        self.time_size = channels[0]
        self.time = nn.Sequential(nn.Linear(channels[0], time_size), nn.SiLU(), nn.Linear(time_size, time_size))

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None, steady: Tensor | None = None) -> Tensor:
        """As in the base class, with times (N,) in [0, 1] for the vector."""
        return super().forward(x, F.silu(self.time(time_features(time, self.time_size))), condition, steady)


def _groups(channels: int) -> int:
    return math.gcd(32, channels)
