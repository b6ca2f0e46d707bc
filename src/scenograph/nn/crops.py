"""Crops of feature maps at boxes, differentiable in both."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_boxes(
    features: Tensor, boxes: Tensor, box_to_image: Tensor, height: int, width: int, align_corners: bool = True
) -> Tensor:
    """Bilinear samples of features (N, C, H, W) on a grid over each box (B, 4): (B, C, height, width).

    The grid's outer samples lie on the box's edges; outside the map is 0. Boxes come in any order.
    """
    x0, y0, x1, y1 = (2 * boxes - 1).unbind(dim=1)
    across = torch.linspace(0, 1, width, device=boxes.device)
    down = torch.linspace(0, 1, height, device=boxes.device)
    x = x0[:, None] + across * (x1 - x0)[:, None]
    y = y0[:, None] + down * (y1 - y0)[:, None]
    count = len(boxes)
    grid = torch.stack(
        [x[:, None, :].expand(count, height, width), y[:, :, None].expand(count, height, width)], dim=-1
    ).to(features.dtype)
    # Picture by picture: sampling many boxes of one map as one tall grid avoids a copy of the map per box.
    crops, order = [features.new_zeros((0, features.shape[1], height, width))], []
    for image in range(len(features)):
        rows = (box_to_image == image).nonzero()[:, 0]
        if len(rows):
            tall = grid[rows].reshape(1, len(rows) * height, width, 2)
            sampled = F.grid_sample(features[image : image + 1], tall, align_corners=align_corners)
            crops.append(sampled[0].unflatten(1, (len(rows), height)).transpose(0, 1))
            order.append(rows)
    if not order:
        return crops[0]
    return torch.cat(crops)[torch.cat(order).argsort()]
