"""3 x 3 convolutions right after nearest upsampling, or right before averaging by two, done on the small map.

In the doubled map neighbours are copies, so kernel taps that fall on one source pixel can be added beforehand; and the
average of four neighbouring outputs is one output of the average of four shifted kernels. Both times the kernel is the
same 4 x 4 one, and 16 multiplications do what 36 did.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import same_conv2d

WORTHWHILE = 1024
"""Small pixels, over the whole batch, from which on adding up a kernel in training costs less than it saves."""


class UpsampledConvolution(nn.Module):
    """``conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1)`` with its kernel made beforehand."""

    kernel: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("kernel", _transposed(weight.detach()).contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W)."""
        return F.conv_transpose2d(x, self.kernel, self.bias, stride=2, padding=1)


def upsampled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1)``: (N, C, H, W) -> (N, C', 2 H, 2 W)."""
    if x.shape[0] * x.shape[2] * x.shape[3] < WORTHWHILE:
        return same_conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), weight, bias)
    return F.conv_transpose2d(x, _transposed(weight), bias, stride=2, padding=1)


def pooled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``avg_pool2d(conv2d(x, weight, bias, padding=1), 2)``: (N, C, 2 H, 2 W) -> (N, C', H, W)."""
    if x.shape[0] * x.shape[2] * x.shape[3] < 4 * WORTHWHILE:
        return F.avg_pool2d(same_conv2d(x, weight, bias), 2)
    return F.conv2d(x, _averaged(weight), bias, stride=2, padding=1)


def add_upsampled(fine: Tensor, coarse: Tensor) -> Tensor:
    """``fine + interpolate(coarse, scale_factor=2)``: (N, C, 2 H, 2 W) and (N, C, H, W), channels last."""
    height, width = coarse.shape[2:]
    cells = fine.permute(0, 2, 3, 1).unflatten(2, (width, 2)).unflatten(1, (height, 2))
    total = cells + coarse.permute(0, 2, 3, 1)[:, :, None, :, None]
    return total.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def _averaged(weight: Tensor) -> Tensor:
    """The average of a 3 x 3 kernel shifted to the four corners of a 4 x 4 one."""
    return F.avg_pool2d(F.pad(weight, (1, 1, 1, 1)), 2, stride=1)


def _transposed(weight: Tensor) -> Tensor:
    """The 4 x 4 kernel of a transposed convolution: what one source pixel adds to the outputs around it."""
    return 4 * _averaged(weight).flip(2, 3).transpose(0, 1)
