"""Cascaded refinement: a picture grows from coarse to fine under a painted map (Chen & Koltun 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from scenograph.errors import UserError
from scenograph.nn.convolution import SameConv2d, same_conv2d
from scenograph.nn.layers import Normalization, channels_last, leaky_activation, normalization_layers
from scenograph.nn.upsampling import UpsampledConv2d, upsampled_conv2d


class RefinementModule(nn.Module):
    """Two 3 x 3 convolutions over the condition and the features of the previous scale."""

    def __init__(
        self,
        condition_channels: int,
        channels_in: int,
        channels_out: int,
        normalization: Normalization,
        activation: str,
    ) -> None:
        super().__init__()
        self.condition_channels, self.channels_in = condition_channels, channels_in
        layers: list[nn.Module] = []
        for size in (condition_channels + channels_in, channels_out):
            layers.append(kaiming_conv(size, channels_out, 3))
            layers += [*normalization_layers(normalization, channels_out), leaky_activation(activation)]
        self.net = nn.Sequential(*layers)

    def forward(self, condition: Tensor, features: Tensor) -> Tensor:
        """Condition (N, C, H, W) and features (N, Cin, H / 2, W / 2) -> (N, Cout, H, W)."""
        first, *rest = self.net
        assert isinstance(first, nn.Conv2d)
        # (Cout, C + Cin, 3, 3) -> (Cout, C, 3, 3) and (Cout, Cin, 3, 3)
        to_condition, to_features = first.weight.split([self.condition_channels, self.channels_in], dim=1)
        x = same_conv2d(condition, to_condition, first.bias) + upsampled_conv2d(features, to_features)
        for layer in rest:
            x = layer(x)
        return x


class RefinementNetwork(nn.Module):
    """Modules of widths ``dims``, each at twice the resolution of the one before, up to the condition's."""

    def __init__(
        self, condition_channels: int, dims: Sequence[int], normalization: Normalization, activation: str
    ) -> None:
        super().__init__()
        widths = [1, *dims]
        self.refinement_modules = nn.ModuleList(
            RefinementModule(condition_channels, before, after, normalization, activation)
            for before, after in pairwise(widths)
        )
        self.output_conv = nn.Sequential(
            kaiming_conv(dims[-1], dims[-1], 3), leaky_activation(activation), kaiming_conv(dims[-1], 3, 1)
        )
        channels_last(self)

    def forward(self, condition: Tensor) -> Tensor:
        """(N, C, H, W) with sides divisible by 2^len(dims) -> picture (N, 3, H, W), unbounded."""
        height, width = _check_size(condition, len(self.refinement_modules))
        condition = condition.contiguous(memory_format=torch.channels_last)
        features = condition.new_zeros((condition.shape[0], 1, height, width))
        for module in self.refinement_modules:
            factor = condition.shape[2] // (2 * features.shape[2])
            features = module(F.avg_pool2d(condition, factor) if factor > 1 else condition, features)
        result: Tensor = self.output_conv(features)
        return result


class FoldedRefinement(nn.Module):
    """A trained :class:`RefinementNetwork` for inference: the same pictures, faster.

    Batch norms are folded into the convolutions before them. The first convolution of a module is split into the
    part that reads the condition and the part that reads upsampled features, which is computed without upsampling.
    """

    def __init__(self, network: RefinementNetwork) -> None:
        super().__init__()
        self.from_condition, self.from_features, self.rest = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for module in network.refinement_modules:
            assert isinstance(module, RefinementModule)
            first, *rest = fold_batch_norms(module.net)
            assert isinstance(first, nn.Conv2d)
            # (Cout, C + Cin, 3, 3) -> (Cout, C, 3, 3) and (Cout, Cin, 3, 3)
            to_condition, to_features = first.weight.split([module.condition_channels, module.channels_in], dim=1)
            conv = SameConv2d(module.condition_channels, first.out_channels, 3)
            conv.weight, conv.bias = nn.Parameter(to_condition.clone()), first.bias
            self.from_condition.append(conv)
            self.from_features.append(UpsampledConv2d.of(to_features, None))
            self.rest.append(nn.Sequential(*rest))
        self.output_conv = network.output_conv
        channels_last(self)

    def forward(self, condition: Tensor) -> Tensor:
        """As :meth:`RefinementNetwork.forward`."""
        _check_size(condition, len(self.rest))
        pyramid = [condition.contiguous(memory_format=torch.channels_last)]
        while len(pyramid) < len(self.rest):
            pyramid.insert(0, F.avg_pool2d(pyramid[0], 2))
        features = self.rest[0](self.from_condition[0](pyramid[0]))  # the features it starts from are zeros
        for level in range(1, len(self.rest)):
            hidden = self.from_features[level](features).add_(self.from_condition[level](pyramid[level]))
            features = self.rest[level](hidden)
        result: Tensor = self.output_conv(features)
        return result


def _check_size(condition: Tensor, levels: int) -> tuple[int, int]:
    """Height and width of the features that the first module starts from. Raises ``UserError`` for impossible sizes."""
    height, width = condition.shape[2:]
    factor = 2**levels
    if height % factor or width % factor:
        raise UserError(f"picture size {height} x {width}: both sides must be multiples of {factor} for this model")
    return height // factor, width // factor


def fold_batch_norms(layers: nn.Sequential) -> list[nn.Module]:
    """The layers with every batch norm that follows a convolution merged into it (eval mode)."""
    folded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and folded and isinstance(folded[-1], nn.Conv2d):
            folded[-1] = fuse_conv_bn_eval(folded[-1], layer)
        else:
            folded.append(layer)
    return folded


def kaiming_conv(channels_in: int, channels_out: int, kernel: int) -> SameConv2d:
    """A padded convolution with Kaiming normal weights, as sg2im initializes its image network."""
    conv = SameConv2d(channels_in, channels_out, kernel)
    nn.init.kaiming_normal_(conv.weight)
    return conv
