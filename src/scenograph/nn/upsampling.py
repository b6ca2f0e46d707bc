"""Nearest upsampling that is never carried out: what follows it is done on the small map."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpsampledConvolution(nn.Module):
    """:func:`upsampled_conv2d` with kernels added beforehand; for inference."""

    kernels: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.register_buffer("kernels", phase_kernels(weight.detach()))
        self.register_buffer("bias", None if bias is None else bias.detach().repeat(4))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W)."""
        return _weave(F.conv2d(x, self.kernels, self.bias, padding=1))


def upsampled_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``conv2d(interpolate(x, scale_factor=2), weight, bias, padding=1)`` at 4/9 of the multiplications.

    In the doubled map neighbours are copies, so of the 3 x 3 taps over it those that fall on one source pixel are
    added beforehand, once: each of the four output phases is a 2 x 2 convolution.
    """
    return _weave(F.conv2d(x, phase_kernels(weight), None if bias is None else bias.repeat(4), padding=1))


def phase_kernels(weight: Tensor) -> Tensor:
    """Kernels (C', C, 3, 3) as the 2 x 2 kernels of the four output phases: (4 C', C, 2, 2), channels last."""
    top, middle, bottom = weight.unbind(dim=2)
    rows = torch.stack([torch.stack([top, middle + bottom], 2), torch.stack([top + middle, bottom], 2)])
    left, centre, right = rows.unbind(dim=4)
    kernels = torch.stack([torch.stack([left, centre + right], 4), torch.stack([left + centre, right], 4)], dim=1)
    return kernels.flatten(0, 2).contiguous(memory_format=torch.channels_last)


def add_upsampled(fine: Tensor, coarse: Tensor) -> Tensor:
    """``fine + interpolate(coarse, scale_factor=2)``: (N, C, 2 H, 2 W) and (N, C, H, W), channels last."""
    height, width = coarse.shape[2:]
    cells = fine.permute(0, 2, 3, 1).unflatten(2, (width, 2)).unflatten(1, (height, 2))
    total = cells + coarse.permute(0, 2, 3, 1)[:, :, None, :, None]
    return total.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


class _Weave(torch.autograd.Function):
    """Four maps, each a pixel apart, as one. Autograd's own gradient would copy the whole map four times."""

    @staticmethod
    def forward(ctx: Any, phases: Tensor) -> Tensor:
        count, channels, height, width = phases.shape[0], phases.shape[1] // 4, phases.shape[2] - 1, phases.shape[3] - 1
        cells = phases.permute(0, 2, 3, 1).unflatten(3, (2, 2, channels))
        woven = phases.new_empty(count, height, 2, width, 2, channels)
        for a in range(2):
            for b in range(2):
                woven[:, :, a, :, b] = cells[:, a : a + height, b : b + width, a, b]
        return woven.view(count, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].permute(0, 2, 3, 1)
        height, width, channels = gradient.shape[1] // 2, gradient.shape[2] // 2, gradient.shape[3]
        woven = gradient.unflatten(2, (width, 2)).unflatten(1, (height, 2))
        phases = gradient.new_zeros(len(gradient), height + 1, width + 1, 2, 2, channels)
        for a in range(2):
            for b in range(2):
                phases[:, a : a + height, b : b + width, a, b] = woven[:, :, a, :, b]
        return phases.flatten(3).permute(0, 3, 1, 2)


def _weave(phases: Tensor) -> Tensor:
    """Phases (N, 4 C', H + 1, W + 1) as one map (N, C', 2 H, 2 W), channels last."""
    result: Tensor = _Weave.apply(phases)
    return result
