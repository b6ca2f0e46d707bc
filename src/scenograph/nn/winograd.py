"""Convolutions in a quarter of the multiplications: F(4 x 4, 3 x 3) and F(3 x 3, 4 x 4) of Lavin & Gray (CVPR 2016).

Tiles of 6 x 6 pixels give 4 x 4 pixels each with kernels of 3 x 3, and 3 x 3 with kernels of 4 x 4. Between transformed
tiles and kernels, each of the 36 positions is a matrix product of its own. Rounding errors are about four times a
plain convolution's: 1e-5 of the largest value in float32.

Letters in comments: A x B tiles per picture, S x S pixels that a tile gives, K x K taps of the kernel.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling

Transform = list[list[float]]
SIDE = 6
"""Pixels of a tile along each axis."""

POINTS, SCALES = (0, 1, -1, 2, -2), (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 1)
"""The transforms along one axis interpolate at these points and at infinity, and scale the kernel."""
TILE: Transform = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]

FEWEST_TILES, FEWEST_PAIRS = {3: 64, 4: 144}, 128 * 128
"""Tiles, by kernel size, and pairs of input and output channels above which a CPU gains from the transforms."""
MOST_TILES = 4096
"""Tiles transformed at once, unless one picture has more: transformed pixels take twice the memory."""


def winograd_pays(x: Tensor, weight: Tensor) -> bool:
    """Whether :func:`winograd_conv2d` is the fastest. GPUs bring their own, and half precision is too coarse for it."""
    if is_compiling():
        return False  # other runtimes choose for themselves
    half = torch.is_autocast_enabled(x.device.type) or x.dtype.itemsize < 4
    height, width = weight.shape[2:]
    if x.device.type != "cpu" or half or height != width or height not in FEWEST_TILES:
        return False
    tiles = len(x) * math.prod(_tiles(*x.shape[2:], kernel=height))
    return tiles >= FEWEST_TILES[height] and len(weight) * weight.shape[1] >= FEWEST_PAIRS


def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv2d(x, weight, bias, padding=K // 2)``: (N, C, H, W), (C', C, K, K) of K 3 or 4 -> (N, C', H', W').

    The result has its channels last.
    """
    kernel = weight.shape[2]
    # (N, C, H, W) -> (N, H, W, C)
    parts = x.permute(0, 2, 3, 1).split(max(1, MOST_TILES // math.prod(_tiles(*x.shape[2:], kernel=kernel))))
    done = [_Winograd.apply(part, weight) for part in parts]
    pixels = done[0] if len(done) == 1 else torch.cat(done)
    height, width = _sides(*x.shape[2:], kernel=kernel)
    result = pixels[:, :height, :width].permute(0, 3, 1, 2)  # (N, H', W', C') -> (N, C', H', W')
    return result if bias is None else result + bias[:, None, None]


class _Winograd(torch.autograd.Function):
    """Pixels (N, H, W, C) -> (N, H', W', C'), sides rounded up to whole tiles, and nothing added beyond the border.

    Every transform is linear, so gradients go through the transposed ones. Pixels and kernels are transformed again for
    them, because transformed ones take twice and four times the memory.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weight: Tensor) -> Tensor:
        (count, height, width, _), kernel = pixels.shape, weight.shape[2]
        ctx.height, ctx.width = height, width
        # Pixels are needed for the gradient of the weight alone.
        ctx.save_for_backward(pixels if ctx.needs_input_grad[1] else None, weight)
        (rows, columns), step = _tiles(height, width, kernel=kernel), _step(kernel)
        products = torch.bmm(_pixel_spectra(pixels, kernel), _kernel_spectra(weight).transpose(1, 2))  # (36, N A B, C')
        # (S * S, 36) @ (36, N * A * B * C') -> (S, S, N, A, B, C')
        found = (_result(kernel, pixels) @ products.flatten(1)).view(step, step, count, rows, columns, len(weight))
        # (S, S, N, A, B, C') -> (N, A, S, B, S, C') -> (N, S * A, S * B, C')
        return found.permute(2, 3, 0, 4, 1, 5).reshape(count, rows * step, columns * step, len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,), (pixels, weight) = gradients, ctx.saved_tensors
        (count, height, width, _), kernel = gradient.shape, weight.shape[2]
        step, before = _step(kernel), kernel // 2
        # (N, S * A, S * B, C') -> (N, A, S, B, S, C') -> (S, S, N, A, B, C')
        found = gradient.unflatten(2, (-1, step)).unflatten(1, (-1, step)).permute(2, 4, 0, 1, 3, 5)
        # (36, S * S) @ (S * S, N * A * B * C') -> (36, N * A * B, C')
        products = (_result(kernel, gradient).T @ found.reshape(step**2, -1)).view(SIDE**2, -1, len(weight))
        to_pixels = to_weight = None
        if ctx.needs_input_grad[0]:
            # (36, N * A * B, C') @ (36, C', C) -> (36, N * A * B * C) -> (6, 6, N, A, B, C)
            tiles = _both_axes(TILE, gradient).T @ torch.bmm(products, _kernel_spectra(weight)).flatten(1)
            tiles = tiles.view(SIDE, SIDE, count, height // step, width // step, -1)
            # Where tiles overlap, their gradients add up.
            to_pixels = tiles.new_zeros(count, height + kernel - 1, width + kernel - 1, tiles.shape[-1])
            for row in range(SIDE):
                for column in range(SIDE):
                    to_pixels[:, row : row + height : step, column : column + width : step] += tiles[row, column]
            to_pixels = to_pixels[:, before : before + ctx.height, before : before + ctx.width]
        if ctx.needs_input_grad[1]:
            # (36, C', N * A * B) @ (36, N * A * B, C) -> (36, C' * C) -> (K * K, C' * C) -> (C', C, K, K)
            spectra = _pixel_spectra(pixels, kernel)
            kernels = _kernel(kernel, spectra).T @ torch.bmm(products.transpose(1, 2), spectra).flatten(1)
            to_weight = kernels.view(kernel, kernel, *weight.shape[:2]).permute(2, 3, 0, 1)
        return to_pixels, to_weight


def _pixel_spectra(pixels: Tensor, kernel: int) -> Tensor:
    """(N, H, W, C) -> (36, N * A * B, C)."""
    _, height, width, channels = pixels.shape
    (rows, columns), step, before = _tiles(height, width, kernel=kernel), _step(kernel), kernel // 2
    below, right = step * rows + kernel - 1 - height, step * columns + kernel - 1 - width
    padded = F.pad(pixels, (0, 0, before, right - before, before, below - before))
    # (N, S * A + K - 1, S * B + K - 1, C) -> (6, 6, N, A, B, C)
    tiles = padded.unfold(1, SIDE, step).unfold(2, SIDE, step).permute(4, 5, 0, 1, 2, 3)
    # (36, 36) @ (36, N * A * B * C) -> (36, N * A * B, C)
    return (_both_axes(TILE, pixels) @ tiles.reshape(SIDE**2, -1)).view(SIDE**2, -1, channels)


def _step(kernel: int) -> int:
    """Pixels that a tile gives along each axis."""
    return SIDE + 1 - kernel


def _sides(*sides: int, kernel: int) -> list[int]:
    """Height and width of the result for a map of these sides: an even kernel makes them longer by one."""
    return [side + 1 - kernel % 2 for side in sides]


def _tiles(*sides: int, kernel: int) -> list[int]:
    """Rows and columns of tiles that cover the result."""
    return [-(-side // _step(kernel)) for side in _sides(*sides, kernel=kernel)]


def _kernel_spectra(weight: Tensor) -> Tensor:
    """(C', C, K, K) -> (36, C', C)."""
    # (C', C, K, K) -> (K * K, C' * C)
    kernels = weight.permute(2, 3, 0, 1).reshape(weight.shape[2] ** 2, -1)
    return (_kernel(weight.shape[2], weight) @ kernels).view(SIDE**2, *weight.shape[:2])


def _kernel(kernel: int, like: Tensor) -> Tensor:
    """The transform of kernels (36, K * K)."""
    rows = zip(SCALES, _powers(kernel), strict=True)
    return _both_axes([[scale * power for power in row] for scale, row in rows], like)


def _result(kernel: int, like: Tensor) -> Tensor:
    """The transform (S * S, 36) of products to the S x S pixels that a tile gives."""
    return _both_axes(_powers(_step(kernel)), like).T


def _powers(count: int) -> Transform:
    """The powers 0 to count - 1 of every point, and for infinity the last one alone: (6, count)."""
    return [*([float(point**power) for power in range(count)] for point in POINTS), [0.0] * (count - 1) + [1.0]]


def _both_axes(transform: Transform, like: Tensor) -> Tensor:
    """A transform along one axis (R, S) as one of rows and columns at once (R * R, S * S)."""
    matrix = torch.tensor(transform, dtype=torch.float64)
    return torch.kron(matrix, matrix).to(like)
