"""A convolution right after nearest upsampling, done on the small map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpsampledConvolution(nn.Module):
    """``conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1)`` at 4/9 of the multiplications.

    In the doubled map neighbours are copies, so of the 3 x 3 taps over it those that fall on one source pixel are
    added beforehand, once: each of the four output phases is a 2 x 2 convolution. For inference.
    """

    kernels: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        top, middle, bottom = weight.detach().unbind(dim=2)
        rows = torch.stack([torch.stack([top, middle + bottom], 2), torch.stack([top + middle, bottom], 2)])
        left, centre, right = rows.unbind(dim=4)
        kernels = torch.stack([torch.stack([left, centre + right], 4), torch.stack([left + centre, right], 4)], dim=1)
        self.channels = len(weight)
        flat = kernels.reshape(4 * self.channels, *kernels.shape[3:])
        self.register_buffer("kernels", flat.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", None if bias is None else bias.detach().repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W)."""
        height, width = x.shape[2:]
        phases = F.conv2d(x, self.kernels, self.bias, padding=1)  # (N, 4 C', H + 1, W + 1)
        phases = phases.permute(0, 2, 3, 1).unflatten(3, (2, 2, self.channels))
        woven = phases.new_empty(len(x), height, 2, width, 2, self.channels)
        for a in range(2):
            for b in range(2):
                woven[:, :, a, :, b] = phases[:, a : a + height, b : b + width, a, b]
        return woven.view(len(x), 2 * height, 2 * width, self.channels).permute(0, 3, 1, 2)
