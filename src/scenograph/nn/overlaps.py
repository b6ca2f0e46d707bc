"""How much boxes overlap."""

from __future__ import annotations

import torch
from torch import Tensor

SAME, ALIKE = 0.5, 0.8
"""Overlap from which the less likely of two boxes is dropped, of one category and of any two."""


def box_overlaps(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union in [0, 1] of boxes (..., 4) that broadcast: (...). 0 where both are empty."""
    shared, union = _shared_and_union(first, second)
    return shared / union


def generalized_overlaps(first: Tensor, second: Tensor) -> Tensor:
    """The same less the share of the box around both that neither covers, in [-1, 1] (Rezatofighi et al., CVPR 2019).

    Unlike the overlap, it tells boxes that lie far apart from those that lie near.
    """
    shared, union = _shared_and_union(first, second)
    around = _area(torch.minimum(first[..., :2], second[..., :2]), torch.maximum(first[..., 2:], second[..., 2:]))
    around = around.clamp(min=1e-9)
    return shared / union - (around - union) / around


def without_repeats(categories: Tensor, boxes: Tensor) -> list[int]:
    """Non-maximum suppression: which boxes are kept, because no likelier one that is kept overlaps them too much.

    Args:
        categories: (K,), the likeliest first.
        boxes: (K, 4), in this order.
    """
    if not len(boxes):
        return []
    limit = torch.where(categories[:, None] == categories[None], SAME, ALIKE)
    clash = (box_overlaps(boxes[:, None], boxes[None]) > limit).tolist()
    kept: list[int] = []
    for number, row in enumerate(clash):
        if not any(row[other] for other in kept):
            kept.append(number)
    return kept


def _shared_and_union(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    low, high = torch.maximum(first[..., :2], second[..., :2]), torch.minimum(first[..., 2:], second[..., 2:])
    shared = _area(low, high)
    return shared, (_areas(first) + _areas(second) - shared).clamp(min=1e-9)


def _areas(boxes: Tensor) -> Tensor:
    return _area(boxes[..., :2], boxes[..., 2:])


def _area(low: Tensor, high: Tensor) -> Tensor:
    """Of boxes between two corners (..., 2); 0 for inverted ones."""
    return (high - low).clamp(min=0).prod(dim=-1)
