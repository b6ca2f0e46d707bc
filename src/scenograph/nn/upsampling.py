"""3 x 3 convolutions right after nearest upsampling, or right before averaging by two: 9 multiplications instead of 36.

Convolutions commute. The average of four neighbouring outputs is one output on the averages of four neighbouring
inputs. Nearest upsampling inserts zeros between pixels, then sums 2 x 2 neighbours; the convolution can take place
before the sums, while only every fourth pixel is not zero.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.nn.convolution import convolve_around, number_pixels, pixel_rows, product_pays


class UpsampledConv2d(nn.Conv2d):
    """A 3 x 3 convolution of the doubled map."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 3, padding=1)

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None) -> Self:
        """With a trained weight (C', C, 3, 3) and bias."""
        conv = cls(weight.shape[1], weight.shape[0])
        conv.weight, conv.bias = nn.Parameter(weight.detach()), None if bias is None else nn.Parameter(bias.detach())
        return conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W)."""
        return upsampled_conv2d(x, self.weight, self.bias)


def upsampled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1)``: (N, C, H, W) -> (N, C', 2 H, 2 W)."""
    if product_pays(x, channels=weight.shape[1]):
        spread = _transposed_product(x, weight)
    else:
        # (C', C, 3, 3) -> (C, C', 3, 3)
        kernel = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        spread = F.conv_transpose2d(x, kernel, stride=2)
    # ONNX knows averages alone, without another divisor.
    doubled = 4 * F.avg_pool2d(spread, 2, 1) if is_compiling() else F.avg_pool2d(spread, 2, 1, divisor_override=1)
    return doubled if bias is None else doubled + bias[:, None, None]


def pooled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``avg_pool2d(conv2d(x, weight, bias, padding=1), 2)``: (N, C, 2 H, 2 W) -> (N, C', H, W)."""
    means = F.avg_pool2d(x, 2, stride=1, padding=1)
    if not product_pays(x, channels=len(weight)):
        return F.conv2d(means, weight, bias, stride=2)
    around = number_pixels(means).unfold(1, 3, 2).unfold(2, 3, 2).flatten(3)  # (N, 2 H + 1, 2 W + 1) -> (N, H, W, 9)
    # (N, H, W, C') -> (N, C', H, W)
    return convolve_around(pixel_rows(means), around, weight, bias).permute(0, 3, 1, 2)


def add_upsampled_(fine: Tensor, coarse: Tensor) -> Tensor:
    """``fine += interpolate(coarse, scale_factor=2)``: (N, C, 2 H, 2 W) and (N, C, H, W); returns ``fine``."""
    height, width = coarse.shape[2:]
    cells = fine.unflatten(3, (width, 2)).unflatten(2, (height, 2))  # (N, C, 2 H, 2 W) -> (N, C, H, 2, W, 2)
    cells += coarse[:, :, :, None, :, None]
    return fine


def _transposed_product(x: Tensor, weight: Tensor) -> Tensor:
    """``conv_transpose2d(x, weight.flip(2, 3).transpose(0, 1), stride=2)`` as one matrix product."""
    count, _, height, width = x.shape
    # (N * H * W, C) @ (C, 9 C') -> (N, H * W, C', 9)
    taps = F.linear(pixel_rows(x), weight.permute(0, 2, 3, 1).flatten(0, 2)).view(count, height * width, -1, 9)
    columns = taps.flip(3).permute(0, 2, 3, 1).flatten(1, 2)  # (N, H * W, C', 9) -> (N, 9 C', H * W)
    spread = F.fold(columns, (2 * height + 1, 2 * width + 1), 3, stride=2)  # (N, C', 2 H + 1, 2 W + 1)
    return spread.contiguous(memory_format=torch.channels_last)
