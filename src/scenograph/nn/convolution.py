"""Convolutions as matrix products, where that is faster on CPUs: of small maps, and of maps that repeat themselves.

A layout is mostly alike: inside a box, a label, or nothing at all, every pixel sees the same around it. Whatever two
convolutions make of it, one after the other, is alike there too, so it is computed once per kind of neighbourhood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.winograd import winograd_conv2d, winograd_pays

SMALL, WIDE = 16 * 16, 512
"""Pixels of a map, and channels made of it, up to and from which on a matrix product is the faster convolution."""
SMALLEST = 32 * 32
"""Pixels of a map; smaller ones hardly repeat."""
LARGEST_SHARE = 0.7
"""Kinds per pixel above which gathering costs more than what is left out."""
MANY, PICTURES = 1024, 16
"""Rows from which on a product is faster as a 1 x 1 convolution, and the fewest pictures that torch lets oneDNN do."""


def same_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``conv2d(x, weight, bias, padding=K // 2)``: (N, C, H, W), (C', C, K, K) -> (N, C', H, W).

    An even kernel makes sides longer by one.
    """
    kernel = weight.shape[2]
    if winograd_pays(x, weight):
        return winograd_conv2d(x, weight, bias)
    if kernel == 1 or not product_pays(x, channels=len(weight)):
        return F.conv2d(x, weight, bias, padding=kernel // 2)
    numbers = number_pixels(x)
    around = windows(numbers, kernel, numbers.numel())
    return convolve_around(pixel_rows(x), around, weight, bias).permute(0, 3, 1, 2)


def product_pays(x: Tensor, channels: int) -> bool:
    """Whether convolving a map (N, C, H, W) is faster as a matrix product; ``channels`` of what it makes."""
    return x.device.type == "cpu" and x.shape[2] * x.shape[3] <= SMALL and channels >= WIDE


def number_pixels(x: Tensor) -> Tensor:
    """The pixels of a map (N, C, H, W), counted: (N, H, W)."""
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
    """The kinds of neighbourhoods in a map of N * H * W pixels, numbered in this order, as far as two kernels see.

    The number after the last pixel, or after the last kind, stands for all that is beyond the border.
    """

    near: Tensor
    """(U, K * K): the pixels around one pixel of every kind, as one kernel sees it."""
    far: Tensor
    """(V, K * K): the kinds of ``near`` around one pixel of every kind, as the second kernel sees it."""
    kinds: Tensor
    """(N, H, W): which of the V each pixel is."""

    @classmethod
    def find(cls, keys: Tensor, kernel: int, beyond: int) -> Neighbourhoods | None:
        """From keys (N, H, W) int64, equal where pixels are, and the key of what is outside. None where it won't pay.

        Kinds are told apart by 64-bit sums of keys times odd numbers: that two of a million are confused has a chance
        of one in ten million.
        """
        near, near_pixels = _kinds(windows(keys, kernel, beyond))
        around = windows(near, kernel, len(near_pixels))
        kinds, pixels = _kinds(around)
        if len(pixels) > LARGEST_SHARE * keys.numel():
            return None
        numbers = windows(number_pixels(keys[:, None]), kernel, keys.numel())
        return cls(numbers.flatten(0, 2)[near_pixels], around.flatten(0, 2)[pixels], kinds)

    def spread(self, rows: Tensor) -> Tensor:
        """What every kind has (V, C), at every pixel: (N, C, H, W), channels last."""
        return take(rows, self.kinds[..., None]).permute(0, 3, 1, 2)


def windows(numbers: Tensor, kernel: int, beyond: int) -> Tensor:
    """The numbers around every pixel of (N, H, W): (N, H, W, K * K)."""
    padded = F.pad(numbers, (kernel // 2,) * 4, value=beyond)
    return padded.unfold(1, kernel, 1).unfold(2, kernel, 1).flatten(3)


def convolve_around(rows: Tensor, around: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution at some pixels only: features (R, C), rows around each pixel (..., K * K) -> (..., C').

    Row number R is zero.
    """
    table, chosen, taps = F.pad(rows, (0, 0, 0, 1)), around.flatten(0, -2), around.shape[-1]
    if len(rows) < len(chosen):
        # Multiplying rows by every tap is less than gathering and multiplying what is around pixels.
        products = F.linear(table, weight.permute(2, 3, 0, 1).flatten(0, 2)).view(-1, len(weight))
        result = take(products, chosen * taps + torch.arange(taps, device=chosen.device))
        result = result if bias is None else result + bias.to(result)
    else:
        gathered = take(table, F.pad(chosen, (0, 0, 0, -len(chosen) % PICTURES))[..., None]).flatten(1)
        result = linear(gathered, weight.permute(0, 2, 3, 1).flatten(1), bias)[: len(chosen)]
    return result.unflatten(0, around.shape[:-1])


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of rows (R, C); many, on a CPU, as 1 x 1 convolutions, of which torch asks oneDNN."""
    if rows.device.type != "cpu" or len(rows) < MANY:
        return F.linear(rows, weight, bias)
    whole = F.pad(rows, (0, 0, 0, -len(rows) % PICTURES)) if len(rows) % PICTURES else rows
    pictures = whole.reshape(PICTURES, -1, 1, rows.shape[1]).permute(0, 3, 1, 2)
    return pixel_rows(F.conv2d(pictures, weight[:, :, None, None], bias))[: len(rows)]


class Linear(nn.Linear):
    """Of rows, by :func:`linear` where no gradients are wanted: those of narrow layers take longer that way."""

    def forward(self, input: Tensor) -> Tensor:
        """(R, C) -> (R, C')."""
        product = F.linear if torch.is_grad_enabled() else linear
        return product(input, self.weight, self.bias)


def take(rows: Tensor, chosen: Tensor) -> Tensor:
    """Rows (R, C) chosen by number (..., K), those of the last axis added up: (..., C)."""
    result: Tensor = _Take.apply(rows, chosen.flatten(0, -2))
    return result.unflatten(0, chosen.shape[:-1])


class _Take(torch.autograd.Function):
    """Indexing whose gradient, on CPUs, costs a third of that of torch's own."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, chosen: Tensor) -> Tensor:
        ctx.save_for_backward(chosen)
        ctx.count = len(rows)
        return F.embedding_bag(chosen, rows, mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (chosen,) = ctx.saved_tensors
        return Groups.of(chosen, ctx.count).sum(gradient), None


@dataclass(frozen=True)
class Groups:
    """Rows in the order of their owners: what they have adds up per owner without scattering, always in one order."""

    order: Tensor
    """(T,) row numbers, those of each owner together."""
    starts: Tensor
    """(count,) where each owner's begin."""
    weights: Tensor | None
    """(T,) how much each row counts, in that order; all 1 if None."""

    @classmethod
    def of(cls, owner: Tensor, count: int, weights: Tensor | None = None) -> Groups:
        """From each row's owner (T,), or every one of its owners (T, K), in 0..count-1, and weights (T,)."""
        owners = owner.flatten()
        order = torch.argsort(owners, stable=True)
        # torch.bincount would wait for a GPU.
        sizes = owners.new_zeros(count).scatter_add_(0, owners, torch.ones_like(owners))
        order = order if owner.ndim == 1 else order // owner.shape[1]
        return cls(order, sizes.cumsum(0) - sizes, None if weights is None else weights[order])

    def sum(self, rows: Tensor) -> Tensor:
        """Rows (T, D), times their weights, added up by owner: (count, D)."""
        weights = None if self.weights is None else self.weights.to(rows.dtype)
        return F.embedding_bag(self.order, rows, self.starts, mode="sum", per_sample_weights=weights)


def _kinds(around: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers around pixels (N, H, W, K * K) -> the kind of each (N, H, W), and the first pixel of every kind (V,)."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**62), 2**62, around.shape[3:], generator=generator) * 2 + 1
    found, kinds = torch.unique((around * factors).sum(dim=3), return_inverse=True)
    numbers = torch.arange(kinds.numel())
    first = torch.full_like(found, kinds.numel()).scatter_reduce_(0, kinds.flatten(), numbers, "amin")
    return kinds, first
