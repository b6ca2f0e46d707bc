"""Distances to ink: what a sketch looks like to a network that is to see how far a line is, not only where it is."""

from __future__ import annotations

import torch
from torch import Tensor


def distance_maps(sketches: Tensor) -> Tensor:
    """The exact Euclidean distance of every pixel to the nearest ink, in pixels, without a gradient.

    Squared distances separate: the nearest ink in each column, then the nearest column (Felzenszwalb & Huttenlocher
    2012, whose lower envelopes do not pay at such sizes).

    Args:
        sketches: (O, H, W), ink at most 0.5.

    Returns:
        (O, H, W) float32. Without any ink it is the diagonal of the canvas everywhere.
    """
    height, width = sketches.shape[1:]
    farthest = float(height**2 + width**2)
    squares = torch.where(sketches.detach() > 0.5, farthest, 0.0)
    squares = _nearest(squares.transpose(1, 2)).transpose(1, 2)
    return _nearest(squares).clamp(max=farthest).sqrt()


def _nearest(costs: Tensor) -> Tensor:
    """The least of the costs (O, H, W) along a row, each with the squared distance to where it is added."""
    places = torch.arange(costs.shape[2], device=costs.device, dtype=costs.dtype)
    found = costs.clone()
    for place in range(costs.shape[2]):
        found = torch.minimum(found, costs[:, :, place, None] + (places - place).square())
    return found
