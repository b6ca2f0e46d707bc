"""Convolutions with kernels of 3 x 3 in a quarter of the multiplications: F(4 x 4, 3 x 3) of Lavin & Gray (CVPR 2016).

Tiles of 6 x 6 pixels, each overlapping the next by 2, give 4 x 4 pixels each. Once tiles and kernels are transformed,
every one of the 36 positions is a matrix product of its own. Its rounding errors are about four times a plain
convolution's: 1e-5 of the largest value in float32.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Transform = list[list[float]]
STEP, SIDE = 4, 6
"""Pixels that a tile gives, and takes, along each axis."""

TILE: Transform = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
KERNEL: Transform = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
RESULT: Transform = [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]
"""The transforms along one axis, of interpolation at 0, 1, -1, 2, -2 and infinity."""

FEWEST_TILES, FEWEST_PAIRS = 64, 128 * 128
"""Tiles and pairs of channels in and out from which on the transforms cost less than they save on a CPU."""
MOST_TILES = 4096
"""Tiles at once, unless one picture has more: transformed, pixels take twice the memory."""


def winograd_pays(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`winograd_conv2d` is the fastest; GPUs have their own, and half precision is too coarse for it."""
    half = torch.is_autocast_enabled(x.device.type) or x.dtype.itemsize < 4
    if x.device.type != "cpu" or half or weight.shape[2:] != (3, 3):
        return False
    return len(x) * math.prod(_tiles(*x.shape[2:])) >= FEWEST_TILES and len(weight) * weight.shape[1] >= FEWEST_PAIRS


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv2d(x, weight, bias, padding=1)``: (N, C, H, W), (C', C, 3, 3) -> (N, C', H, W), channels last."""
    parts = x.permute(0, 2, 3, 1).split(max(1, MOST_TILES // math.prod(_tiles(*x.shape[2:]))))
    done = [_Winograd.apply(part, weight) for part in parts]
    pixels = done[0] if len(done) == 1 else torch.cat(done)
    result = pixels[:, : x.shape[2], : x.shape[3]].permute(0, 3, 1, 2)
    return result if bias is None else result + bias[:, None, None]


class _Winograd(torch.autograd.Function):
    """Pixels (N, H, W, C) -> (N, H', W', C'), sides rounded up to whole tiles, and nothing added beyond the border.

    Every transform is linear, so gradients go through the transposed ones. Kernels are transformed anew for them:
    kept, they would take four times the memory of the weights.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor) -> Tensor:
        count, ctx.height, ctx.width, channels = pixels.shape
        rows, columns = _tiles(ctx.height, ctx.width)
        after = (1, 1 + columns * STEP - ctx.width, 1, 1 + rows * STEP - ctx.height)
        tiles = F.pad(pixels, (0, 0, *after)).unfold(1, SIDE, STEP).unfold(2, SIDE, STEP).permute(4, 5, 0, 1, 2, 3)
        spectra = (_both_axes(TILE, pixels) @ tiles.reshape(SIDE**2, -1)).view(SIDE**2, -1, channels)
        ctx.save_for_backward(spectra, weight)
        products = torch.bmm(spectra, _kernel_spectra(weight).transpose(1, 2))
        found = (_both_axes(RESULT, pixels) @ products.flatten(1)).view(STEP, STEP, count, rows, columns, len(weight))
        return found.permute(2, 3, 0, 4, 1, 5).reshape(count, rows * STEP, columns * STEP, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,), (spectra, weight) = gradients, ctx.saved_tensors
        count, height, width, _ = gradient.shape
        found = gradient.unflatten(2, (-1, STEP)).unflatten(1, (-1, STEP)).permute(2, 4, 0, 1, 3, 5)
        products = (_both_axes(RESULT, spectra).T @ found.reshape(STEP**2, -1)).view(SIDE**2, -1, len(weight))
        to_pixels = to_weight = None
        if ctx.needs_input_grad[0]:
            tiles = _both_axes(TILE, spectra).T @ torch.bmm(products, _kernel_spectra(weight)).flatten(1)
            tiles = tiles.view(SIDE, SIDE, count, height // STEP, width // STEP, -1)
            # Where tiles overlap, their gradients add up.
            to_pixels = tiles.new_zeros(count, height + SIDE - STEP, width + SIDE - STEP, tiles.shape[-1])
            for row in range(SIDE):
                for column in range(SIDE):
                    to_pixels[:, row : row + height : STEP, column : column + width : STEP] += tiles[row, column]
            to_pixels = to_pixels[:, 1 : ctx.height + 1, 1 : ctx.width + 1]
        if ctx.needs_input_grad[1]:
            kernels = _both_axes(KERNEL, spectra).T @ torch.bmm(products.transpose(1, 2), spectra).flatten(1)
            to_weight = kernels.view(3, 3, *weight.shape[:2]).permute(2, 3, 0, 1)
        return to_pixels, to_weight


def _tiles(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of tiles that cover a picture."""
    return -(-height // STEP), -(-width // STEP)


def _kernel_spectra(weight: Tensor) -> Tensor:
    """(C', C, 3, 3) -> (36, C', C)."""
    kernels = weight.permute(2, 3, 0, 1).reshape(9, -1)
    return (_both_axes(KERNEL, weight) @ kernels).view(SIDE**2, *weight.shape[:2])


def _both_axes(transform: Transform, like: Tensor) -> Tensor:
    """A transform along one axis (R, S) as one of rows and columns at once (R * R, S * S)."""
    matrix = torch.tensor(transform, dtype=torch.float64)
    return torch.kron(matrix, matrix).to(like)
