"""Convolutions as matrix products, where that is faster on CPUs: of small maps, and of maps that repeat themselves.

Where torch records operations for another runtime instead of computing them (``is_compiling``), shapes have no numbers
to choose by, and sorted rows no limits: there the plain forms of the same results stand. What runs there, in all rooms,
reads the length of a tensor as ``shape[0]``, because ``len`` would fix it.

In a painted map most pixels have equal neighbourhoods: those inside one box, one label, or the background. Two
convolutions in a row give equal results there, which are computed once per kind of neighbourhood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.nn.winograd import winograd_conv2d, winograd_pays

SMALL, WIDE = 16 * 16, 512
"""Most pixels of a map and fewest output channels for which a matrix product is the faster convolution."""
SMALLEST = 32 * 32
"""Fewest pixels of a map in which repeats are sought; smaller ones hardly have any."""
LARGEST_SHARE = 0.7
"""Kinds per pixel above which gathering costs more than it saves."""
MANY, PICTURES = 1024, 16
"""Rows above which a product is faster as a 1 x 1 convolution, and the smallest batch that torch gives to oneDNN."""


def same_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv2d(x, weight, bias, padding=K // 2)``: (N, C, H, W), (C', C, K, K) -> (N, C', H, W).

    An even kernel makes sides longer by one.
    """
    kernel = weight.shape[2]
    if winograd_pays(x, weight):
        return winograd_conv2d(x, weight, bias)
    if kernel == 1 or not product_pays(x, channels=weight.shape[0]):
        return F.conv2d(x, weight, bias, padding=kernel // 2)
    numbers = number_pixels(x)
    around = windows(numbers, kernel, numbers.numel())
    return convolve_around(pixel_rows(x), around, weight, bias).permute(0, 3, 1, 2)  # (N, H, W, C') -> (N, C', H, W)


def product_pays(x: Tensor, channels: int) -> bool:
    """Whether convolving a map (N, C, H, W) to so many channels is faster as a matrix product."""
    if is_compiling():
        return False
    return x.device.type == "cpu" and x.shape[2] * x.shape[3] <= SMALL and channels >= WIDE


def number_pixels(x: Tensor) -> Tensor:
    """The number of each pixel of a map (N, C, H, W), from 0: (N, H, W)."""
    return torch.arange(x[:, 0].numel()).view_as(x[:, 0])


def pixel_rows(x: Tensor) -> Tensor:
    """The pixels of a map (N, C, H, W) as rows, in the order of :func:`number_pixels`: (N * H * W, C)."""
    return x.permute(0, 2, 3, 1).flatten(0, 2)


class SameConv2d(nn.Conv2d):
    """A convolution with an odd kernel that keeps the sides."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels_in, channels_out, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        return same_conv2d(x, self.weight, self.bias)


@dataclass(frozen=True)
class Neighbourhoods:
    """The kinds of neighbourhoods in a map, within reach of two kernels in a row.

    Pixels are numbered in the order of (N, H, W). The number after the last pixel, or after the last kind, stands for
    what lies beyond the border.
    """

    near: Tensor
    """(U, K * K): for each of the U kinds that one kernel distinguishes, the pixels around one of them."""
    far: Tensor
    """(V, K * K): for each of the V kinds that both distinguish, the kinds of ``near`` around one of them."""
    kinds: Tensor
    """(N, H, W): which of the V each pixel is."""

    @classmethod
    def find(cls, keys: Tensor, kernel: int, beyond: int) -> Neighbourhoods | None:
        """Find the kinds from keys (N, H, W) int64, equal where pixels are, and the key beyond the border.

        Kinds are distinguished by 64-bit hashes; of a million, two collide with a chance of one in ten million.

        Returns:
            None where there are too many kinds for a gain.
        """
        near, near_pixels = _kinds(windows(keys, kernel, beyond))
        around = windows(near, kernel, len(near_pixels))
        kinds, pixels = _kinds(around)
        if len(pixels) > LARGEST_SHARE * keys.numel():
            return None
        numbers = windows(number_pixels(keys[:, None]), kernel, keys.numel())
        # (N, H, W, K * K) -> (N * H * W, K * K) -> (U, K * K) and (V, K * K)
        return cls(numbers.flatten(0, 2)[near_pixels], around.flatten(0, 2)[pixels], kinds)

    def spread(self, rows: Tensor) -> Tensor:
        """The values of every kind (V, C), at all its pixels: (N, C, H, W), channels last."""
        return take(rows, self.kinds[..., None]).permute(0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)


def windows(numbers: Tensor, kernel: int, beyond: int) -> Tensor:
    """The numbers around every pixel of (N, H, W): (N, H, W, K * K)."""
    padded = F.pad(numbers, (kernel // 2,) * 4, value=beyond)
    if is_compiling():
        height, width = numbers.shape[1:]
        taps = [(row, column) for row in range(kernel) for column in range(kernel)]
        return torch.stack([padded[:, row : row + height, column : column + width] for row, column in taps], dim=3)
    return padded.unfold(1, kernel, 1).unfold(2, kernel, 1).flatten(3)  # (N, H, W, K, K) -> (N, H, W, K * K)


def convolve_around(rows: Tensor, around: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution at some pixels only: features (R, C), rows around each pixel (..., K * K) -> (..., C').

    Row number R is zero.
    """
    # (R, C) -> (R + 1, C); (..., K * K) -> (P, K * K)
    table, chosen, taps = F.pad(rows, (0, 0, 0, 1)), around.flatten(0, -2), around.shape[-1]
    if len(rows) < len(chosen):
        # Multiplying all rows by every tap costs less than multiplying the gathered neighbours of every pixel.
        # (R + 1, C) @ (C, K * K * C') -> ((R + 1) * K * K, C')
        products = F.linear(table, weight.permute(2, 3, 0, 1).flatten(0, 2)).view(-1, len(weight))
        result = take(products, chosen * taps + torch.arange(taps, device=chosen.device))
        result = result if bias is None else result + bias.to(result)
    else:
        # (P, K * K, C) -> (P, K * K * C)
        gathered = take(table, F.pad(chosen, (0, 0, 0, -len(chosen) % PICTURES))[..., None]).flatten(1)
        # (C', C, K, K) -> (C', K * K * C)
        result = linear(gathered, weight.permute(0, 2, 3, 1).flatten(1), bias)[: len(chosen)]
    return result.unflatten(0, around.shape[:-1])  # (P, C') -> (..., C')


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of rows (R, C). On CPUs many rows become a 1 x 1 convolution, which torch leaves to oneDNN."""
    if is_compiling() or rows.device.type != "cpu" or len(rows) < MANY:
        return F.linear(rows, weight, bias)
    whole = F.pad(rows, (0, 0, 0, -len(rows) % PICTURES)) if len(rows) % PICTURES else rows
    # (16 L, C) -> (16, L, 1, C) -> (16, C, L, 1)
    pictures = whole.reshape(PICTURES, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)
    # (16, C', L, 1) -> (16 L, C')
    return pixel_rows(F.conv2d(pictures, weight[:, :, None, None], bias))[: len(rows)]


class Linear(nn.Linear):
    """A linear map of rows, by :func:`linear` unless gradients are needed, with which narrow layers lose."""

    def forward(self, input: Tensor) -> Tensor:
        """(R, C) -> (R, C')."""
        product = F.linear if torch.is_grad_enabled() else linear
        return product(input, self.weight, self.bias)


def bag(rows: Tensor, chosen: Tensor) -> Tensor:
    """Rows (R, C) gathered by number (P, K) and summed: (P, C)."""
    if is_compiling():
        return rows[chosen].sum(dim=1)
    return F.embedding_bag(chosen, rows, mode="sum")


def take(rows: Tensor, chosen: Tensor) -> Tensor:
    """Rows (R, C) gathered by number (..., K) and summed over the last axis of the numbers: (..., C)."""
    result: Tensor = _Take.apply(rows, chosen.flatten(0, -2))
    return result.unflatten(0, chosen.shape[:-1])  # (P, C) -> (..., C)


class _Take(torch.autograd.Function):
    """Indexing whose gradient, on CPUs, takes a third of the time of torch's own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, chosen: Tensor) -> Tensor:
        ctx.save_for_backward(chosen)
        ctx.count = rows.shape[0]
        return bag(rows, chosen)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (chosen,) = ctx.saved_tensors
        return Groups.of(chosen, ctx.count).sum(gradient), None


@dataclass(frozen=True)
class Groups:
    """Rows sorted by owner, for sums per owner without scattering, always in the same order."""

    order: Tensor
    """(T,) row numbers, sorted by owner."""
    starts: Tensor
    """(count,) where the rows of each owner begin."""
    weights: Tensor | None
    """(T,) the weight of each row, in that order; all 1 if None."""

    @classmethod
    def of(cls, owner: Tensor, count: int, weights: Tensor | None = None) -> Groups:
        """From the owner of each row (T,), or its K owners (T, K), in 0..count-1, and weights (T,)."""
        if is_compiling():
            return MatrixGroups.between(owner, count, weights)
        owners = owner.flatten()  # (T, K) -> (T * K,)
        order = torch.argsort(owners, stable=True)
        # torch.bincount would wait for a GPU.
        sizes = owners.new_zeros(count).scatter_add_(0, owners, torch.ones_like(owners))
        order = order if owner.ndim == 1 else order // owner.shape[1]
        return cls(order, sizes.cumsum(0) - sizes, None if weights is None else weights[order])

    def sum(self, rows: Tensor) -> Tensor:
        """Weighted sums of rows (T, D) by owner: (count, D)."""
        weights = None if self.weights is None else self.weights.to(rows.dtype)
        return F.embedding_bag(self.order, rows, self.starts, mode="sum", per_sample_weights=weights)


@dataclass(frozen=True)
class MatrixGroups(Groups):
    """The same as a matrix, where torch records operations: its ``order`` is the owners as they are."""

    members: Tensor
    """(count, T): how often each row belongs to each owner, times its weight."""

    @classmethod
    def between(cls, owner: Tensor, count: int, weights: Tensor | None) -> MatrixGroups:
        """As :meth:`Groups.of`."""
        numbers = torch.arange(count, device=owner.device)
        # (T,) or (T, K) -> (T, K) -> (count, T)
        owners = owner[:, None] if owner.ndim == 1 else owner
        members = (owners == numbers[:, None, None]).float().sum(dim=2)
        return cls(owner, numbers, weights, members if weights is None else members * weights)

    def sum(self, rows: Tensor) -> Tensor:
        """As in the base class."""
        return self.members.to(rows.dtype) @ rows


def _kinds(around: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers around pixels (N, H, W, K * K) -> the kind of each (N, H, W), and the first pixel of every kind (V,)."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, around.shape[3:], generator=generator) * 2 + 1
    found, kinds = torch.unique((around * factors).sum(dim=3), return_inverse=True)
    numbers = torch.arange(kinds.numel())
    first = torch.full_like(found, kinds.numel()).scatter_reduce_(0, kinds.flatten(), numbers, "amin")
    return kinds, first
