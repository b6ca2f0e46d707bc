"""The discriminator of masks of Scene Designer (its mask GAN is that of Ashual & Wolf, ICCV 2019)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.layers import pad_as_tensorflow
from scenograph.nn.spectral import ProjectedConv2d

SLOPE, EPSILON = 0.2, 1e-3


class MaskDiscriminator(nn.Module):
    """Patch scores of masks, given what they are masks of.

    ``layers`` convolutions of stride 2 make maps of ``width`` channels and twice as many at each; the category joins
    after them, as one channel each.
    """

    def __init__(self, categories: int, width: int = 64, layers: int = 3, spectral: bool = True) -> None:
        super().__init__()
        self.categories = categories
        kind: type[nn.Conv2d] = ProjectedConv2d if spectral else nn.Conv2d
        widths = [1, *(width * 2**i for i in range(layers + 1))]
        blocks = [
            _Block(kind(before + categories * (index == layers), after, 3, 2 if index < layers else 1), index > 0)
            for index, (before, after) in enumerate(pairwise(widths))
        ]
        self.blocks, self.score = nn.ModuleList(blocks), kind(widths[-1], 1, 3, padding=1)

    def project(self) -> None:
        """One step towards spectral norms of 1; the original takes one before every pass."""
        for module in self.modules():
            if isinstance(module, ProjectedConv2d):
                module.project()

    def forward(self, masks: Tensor, categories: Tensor) -> list[Tensor]:
        """Masks (O, 1, M, M) in [0, 1] of categories (O,) -> the maps of all blocks, and the scores, in [-inf, inf]."""
        maps, x = [], masks
        for index, block in enumerate(self.blocks):
            if index == len(self.blocks) - 1:
                named = F.one_hot(categories, self.categories).to(x)[:, :, None, None]
                x = torch.cat([x, named.expand(-1, -1, *x.shape[2:])], dim=1)  # (O, C + categories, h, w)
            x = block(x)
            maps.append(x)
        return [*maps, self.score(x)]


class _Block(nn.Module):
    """Pad as TensorFlow does, convolve, normalize each map and channel but in the first block, and leaky ReLU."""

    def __init__(self, convolution: nn.Conv2d, normalized: bool) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.InstanceNorm2d(convolution.out_channels, eps=EPSILON, affine=True) if normalized else None

    def forward(self, x: Tensor) -> Tensor:
        stride = self.convolution.stride[0]
        x = self.convolution(pad_as_tensorflow(x, stride))
        return F.leaky_relu(x if self.norm is None else self.norm(x), SLOPE)
