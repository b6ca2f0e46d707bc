"""MobileNetV2 (Sandler et al., CVPR 2018) as Keras builds it: other padding and another epsilon than in PyTorch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.layers import pad_as_tensorflow
from scenograph.nn.normalization import FrozenBatchNorm2d, folded

EPSILON = 1e-3
LAST = 1280
"""Channels of the last convolution."""
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and the first block's stride of each stage (table 2 of the paper)."""
LAST_BLOCK = sum(count for _, _, count, _ in STAGES) - 1


def scaled_width(channels: int, alpha: float) -> int:
    """Channels times ``alpha``, rounded to a multiple of 8, at least 8, and at most 10 % less than asked for."""
    wanted = channels * alpha
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * wanted else rounded


class MobileNetV2(nn.Module):
    """The features without the classifier: (N, 3, H, W) -> (N, :attr:`width`, H / 32, W / 32) of all blocks.

    Batch norms keep their statistics in training (as Scene Designer trains it).

    Args:
        alpha: Factor of all widths but that of the last convolution, which it only widens.
        cut: The last bottleneck, counted from 0, whose projection alone is the output: no activation follows, nor is
            its input added. None takes all, and the last convolution.
    """

    def __init__(self, alpha: float = 1.0, cut: int | None = LAST_BLOCK) -> None:
        super().__init__()
        channels = scaled_width(32, alpha)
        self.first = Normalized(nn.Conv2d(3, channels, 3, 2, bias=False), same=True)
        blocks = []
        for expansion, wanted, count, stride in STAGES:
            for index in range(count):
                width = scaled_width(wanted, alpha)
                blocks.append(_Bottleneck(channels, width, expansion, stride if index == 0 else 1))
                channels = width
        self.blocks = nn.Sequential(*blocks[: len(blocks) if cut is None else cut + 1])
        if cut is not None:
            blocks[cut].residual = False
        self.last: Normalized | None = None
        self.width = blocks[len(self.blocks) - 1].project.convolution.out_channels
        if cut is None:
            self.width = scaled_width(LAST, max(alpha, 1.0))
            self.last = Normalized(nn.Conv2d(channels, self.width, 1, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """Images in [-1, 1]."""
        features: Tensor = self.blocks(F.relu6(self.first(images)))
        return features if self.last is None else F.relu6(self.last(features))


class Normalized(nn.Module):
    """A convolution without bias and its batch norm.

    Those of 3 x 3 and stride 2 pad to the right and below only; with ``same``, odd sides on both sides.
    """

    def __init__(self, convolution: nn.Conv2d, same: bool = False) -> None:
        super().__init__()
        self.same = same
        self.convolution = convolution
        self.norm: nn.Module = FrozenBatchNorm2d(convolution.out_channels, eps=EPSILON)

    def fold(self) -> None:
        """Make one layer of both, for inference."""
        if isinstance(self.norm, FrozenBatchNorm2d):
            self.convolution, self.norm = folded(self.convolution, self.norm), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        if self.convolution.stride == (2, 2):
            x = pad_as_tensorflow(x, 2) if self.same else F.pad(x, (0, 1, 0, 1))
        result: Tensor = self.norm(self.convolution(x))
        return result


class _Bottleneck(nn.Module):
    """Expand, filter per channel, project; added to its input where the shapes agree."""

    def __init__(self, before: int, after: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        self.expand = Normalized(nn.Conv2d(before, wide, 1, bias=False)) if expansion > 1 else None
        padding = 0 if stride == 2 else 1
        self.depthwise = Normalized(nn.Conv2d(wide, wide, 3, stride, padding, groups=wide, bias=False))
        self.project = Normalized(nn.Conv2d(wide, after, 1, bias=False))
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        hidden = x if self.expand is None else F.relu6(self.expand(x))
        hidden = self.project(F.relu6(self.depthwise(hidden)))
        return x + hidden if self.residual else hidden
