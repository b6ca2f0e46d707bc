from __future__ import annotations

import torch
import torch.nn.functional as F

from scenograph.nn.painting import paint_vectors, sample_boxes, sample_masks


def test_layouts_equal_painting_every_channel():
    """The matrix product against sampling every channel of every object."""
    torch.manual_seed(0)
    vectors, masks = torch.randn(5, 7), torch.rand(5, 6, 6)
    low = torch.rand(5, 2) * 0.8 - 0.1
    boxes = torch.cat([low, low + torch.rand(5, 2) * 0.5 + 0.05], dim=1)
    owner = torch.tensor([1, 0, 1, 2, 1])
    painted = torch.zeros(4, 7, 12, 20)
    for vector, mask, box, image in zip(vectors, masks, boxes, owner, strict=True):
        xs = (torch.linspace(0, 1, 20) - box[0]) / (box[2] - box[0]) * 2 - 1
        ys = (torch.linspace(0, 1, 12) - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack(torch.meshgrid(ys, xs, indexing="ij")[::-1], dim=-1)[None]
        painted[image] += F.grid_sample((vector[:, None, None] * mask)[None], grid, align_corners=True)[0]
    torch.testing.assert_close(paint_vectors(vectors, sample_masks(boxes, masks, 12, 20), owner, 4), painted)
    for corners in (True, False):
        ones = sample_masks(boxes, torch.ones(5, 8, 8), 12, 20, corners)
        torch.testing.assert_close(sample_boxes(boxes, 12, 20, corners), ones, atol=1e-5, rtol=1e-4)
