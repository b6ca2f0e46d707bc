"""Cascaded refinement: a picture grown from coarse to fine, looking at the layout at every scale (Chen & Koltun 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.nn.layers import Normalization, leaky_activation, normalization_layers


class RefinementModule(nn.Module):
    """Two 3 x 3 convolutions over the layout and the features of the scale before."""

    def __init__(
        self, layout_channels: int, channels_in: int, channels_out: int, normalization: Normalization, activation: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in (layout_channels + channels_in, channels_out):
            layers.append(kaiming_conv(size, channels_out, 3))
            layers += [*normalization_layers(normalization, channels_out), leaky_activation(activation)]
        self.net = nn.Sequential(*layers)

    def forward(self, layout: Tensor, features: Tensor) -> Tensor:
        """layout (N, C, H', W') pooled to features (N, Cin, H, W) -> (N, Cout, H, W)."""
        factor = layout.shape[2] // features.shape[2]
        pooled = F.avg_pool2d(layout, factor) if factor > 1 else layout
        result: Tensor = self.net(torch.cat([pooled, features], dim=1))
        return result


class RefinementNetwork(nn.Module):
    """Modules of widths ``dims``, each at twice the resolution of the one before; the last at the layout's."""

    def __init__(self, layout_channels: int, dims: Sequence[int], normalization: Normalization, activation: str) -> None:
        super().__init__()
        widths = [1, *dims]
        self.refinement_modules = nn.ModuleList(
            RefinementModule(layout_channels, before, after, normalization, activation)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.output_conv = nn.Sequential(
            kaiming_conv(dims[-1], dims[-1], 3), leaky_activation(activation), kaiming_conv(dims[-1], 3, 1)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, layout: Tensor) -> Tensor:
        """(N, C, H, W) with sides divisible by 2^len(dims) -> picture (N, 3, H, W), unbounded."""
        count, _, height, width = layout.shape
        factor = 2 ** len(self.refinement_modules)
        if height % factor or width % factor:
            raise UserError(f"picture size {height} x {width}: both sides must be multiples of {factor} for this model")
        layout = layout.contiguous(memory_format=torch.channels_last)
        features = layout.new_zeros((count, 1, height // factor, width // factor))
        for module in self.refinement_modules:
            features = module(layout, F.interpolate(features, scale_factor=2.0, mode="nearest"))
        result: Tensor = self.output_conv(features)
        return result


def kaiming_conv(channels_in: int, channels_out: int, kernel: int) -> nn.Conv2d:
    """A padded convolution with Kaiming normal weights, as sg2im initializes its image network."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight)
    return conv
