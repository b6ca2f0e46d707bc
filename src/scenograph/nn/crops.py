"""Crops of feature maps at boxes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_compiling

from scenograph.nn.painting import rows_by_image


def crop_boxes(
    features: Tensor, boxes: Tensor, box_to_image: Tensor, height: int, width: int, align_corners: bool = True
) -> Tensor:
    """Bilinear samples of features (N, C, H, W) on a grid over each box (B, 4): (B, C, height, width).

    Differentiable in both. The grid's outer samples lie on the box's edges; outside the map is 0. Boxes come in any
    order.
    """
    x0, y0, x1, y1 = (2 * boxes - 1).unbind(dim=1)
    across = torch.linspace(0, 1, width, device=boxes.device)
    down = torch.linspace(0, 1, height, device=boxes.device)
    x = x0[:, None] + across * (x1 - x0)[:, None]
    y = y0[:, None] + down * (y1 - y0)[:, None]
    count = boxes.shape[0]
    # The grid over each box: (B, h, w, 2)
    grid = torch.stack(
        [x[:, None, :].expand(count, height, width), y[:, :, None].expand(count, height, width)], dim=-1
    ).to(features.dtype)
    if is_compiling():
        return F.grid_sample(features[box_to_image], grid, align_corners=align_corners)
    # Picture by picture: sampling R boxes of one map as one tall grid avoids a copy of the map per box.
    crops, order = [features.new_zeros((0, features.shape[1], height, width))], []
    for image, rows in enumerate(rows_by_image(box_to_image, len(features))):
        if len(rows):
            tall = grid[rows].reshape(1, len(rows) * height, width, 2)  # (R, h, w, 2) -> (1, R * h, w, 2)
            sampled = F.grid_sample(features[image : image + 1], tall, align_corners=align_corners)
            # (1, C, R * h, w) -> (C, R, h, w) -> (R, C, h, w)
            crops.append(sampled[0].unflatten(1, (len(rows), height)).transpose(0, 1))
            order.append(rows)
    if not order:
        return crops[0]
    return torch.cat(crops)[torch.cat(order).argsort()]


def roi_align(
    features: Tensor,
    boxes: Tensor,
    box_to_image: Tensor,
    size: tuple[int, int] = (8, 8),
    scale: float = 1.0,
    sampling_ratio: int = 0,
) -> Tensor:
    """Average of bilinear samples in each of ``size`` bins over each box (He et al. 2017): (B, C, *size).

    ``boxes`` (B, 4) are in pixels of the picture, of which a feature (N, C, H, W) covers ``1 / scale``. A bin has
    ``sampling_ratio`` samples per axis, or as many as it spans features (0). A box counts as at least one feature
    wide; samples more than one feature outside the map are 0. No half-pixel shift: torchvision's ``aligned=False``.
    Differentiable in the features.

    Bilinear weights are products of one weight per axis, so a box is two matrix products.
    """
    x0, y0, x1, y1 = (boxes.float() * scale).unbind(dim=1)
    down = _bin_weights(y0, y1, size[0], features.shape[2], sampling_ratio).to(features.dtype)
    across = _bin_weights(x0, x1, size[1], features.shape[3], sampling_ratio).to(features.dtype)
    rows = features.permute(0, 2, 3, 1)  # (N, H, W, C)
    crops, order = [features.new_zeros((0, *size, features.shape[1]))], []
    for image, own in enumerate(rows_by_image(box_to_image, len(features))):
        if len(own):
            lines = down[own].flatten(0, 1) @ rows[image].flatten(1)  # (R * h, H) @ (H, W * C) -> (R * h, W * C)
            # (R * h, W * C) -> (R, h, W, C)
            lines = lines.unflatten(1, (features.shape[3], -1)).unflatten(0, (len(own), size[0]))
            crops.append(across[own][:, None] @ lines)  # (R, 1, w, W) @ (R, h, W, C) -> (R, h, w, C)
            order.append(own)
    stacked = torch.cat(crops)
    # (B, h, w, C) -> (B, C, h, w)
    return (stacked[torch.cat(order).argsort()] if order else stacked).permute(0, 3, 1, 2)


def _bin_weights(low: Tensor, high: Tensor, bins: int, length: int, sampling_ratio: int) -> Tensor:
    """The weight of each feature along an axis in each bin of boxes from ``low`` to ``high``: (B, bins, length)."""
    extent = (high - low).clamp(min=1.0)
    counts = torch.full_like(extent, sampling_ratio) if sampling_ratio else torch.ceil(extent / bins)
    most = int(counts.max()) if len(counts) else 1
    sample = torch.arange(most, device=low.device)
    inside = (torch.arange(bins, device=low.device)[:, None] + (sample + 0.5) / counts[:, None, None]) * (
        extent / bins
    )[:, None, None]
    places = low[:, None, None] + inside  # (B, bins, samples)
    used = (sample < counts[:, None, None]) & (places >= -1) & (places <= length)
    places = places.clamp(0, length - 1)
    distance = (places[..., None] - torch.arange(length, device=low.device)).abs()  # (B, bins, samples, length)
    weights = (1 - distance).clamp(min=0) * used[..., None]
    return weights.sum(dim=2) / counts[:, None, None]
