"""Spatially-adaptive normalization and its residual block (Park, Liu, Wang, Zhu; CVPR 2019, section 3)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.spectral import SpectralConv2d

HIDDEN = 128
"""Channels between the layout and its gains and shifts, at every norm."""
SLOPE = 0.2
SpadeNormKind = Literal["batch", "instance"]


class SpadeNorm(nn.Module):
    """A norm without parameters, then ``x * (1 + gain) + shift``, both read off the layout by two convolutions."""

    def __init__(self, channels: int, layout_channels: int, kind: SpadeNormKind = "batch", kernel: int = 3) -> None:
        super().__init__()
        self.norm: nn.Module = BatchNorm2d(channels, affine=False)
        if kind == "instance":
            self.norm = nn.InstanceNorm2d(channels)
        self.shared = nn.Conv2d(layout_channels, HIDDEN, kernel, padding=kernel // 2)
        # Gains and shifts side by side: one convolution instead of two.
        self.modulation = nn.Conv2d(HIDDEN, 2 * channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        """Features (N, C, H, W), layout (N, L, H, W) at the same size -> (N, C, H, W)."""
        gain, shift = self.modulation(F.relu(self.shared(layout), inplace=True)).chunk(2, dim=1)
        return torch.addcmul(shift, self.norm(x), 1 + gain)


class SpadeBlock(nn.Module):
    """Two spectrally normalized convolutions, each after a norm and a leaky ReLU; a learnt shortcut between widths."""

    def __init__(self, channels_in: int, channels_out: int, layout_channels: int) -> None:
        super().__init__()
        middle = min(channels_in, channels_out)
        self.norm1 = SpadeNorm(channels_in, layout_channels)
        self.conv1 = SpectralConv2d(channels_in, middle, 3, padding=1)
        self.norm2 = SpadeNorm(middle, layout_channels)
        self.conv2 = SpectralConv2d(middle, channels_out, 3, padding=1)
        self.learnt = channels_in != channels_out
        if self.learnt:
            self.norm_shortcut = SpadeNorm(channels_in, layout_channels)
            self.shortcut = SpectralConv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor, layout: Tensor) -> Tensor:
        """Features (N, C, H, W), layout (N, L, H, W) -> (N, C', H, W)."""
        kept = self.shortcut(self.norm_shortcut(x, layout)) if self.learnt else x
        hidden = self.conv1(F.leaky_relu(self.norm1(x, layout), SLOPE, inplace=True))
        result: Tensor = kept + self.conv2(F.leaky_relu(self.norm2(hidden, layout), SLOPE, inplace=True))
        return result
