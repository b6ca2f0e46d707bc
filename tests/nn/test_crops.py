from __future__ import annotations

import numpy as np
import torch

from scenograph.nn.crops import crop_boxes, roi_align


def test_crops_of_whole_maps_are_the_maps():
    maps = torch.randn(2, 3, 5, 6)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(2, 4)
    torch.testing.assert_close(crop_boxes(maps, boxes, torch.tensor([1, 0]), 5, 6), maps.flip(0))
    assert crop_boxes(maps, boxes[:0], torch.zeros(0, dtype=torch.int64), 5, 6).shape == (0, 3, 5, 6)


def test_roi_align_averages_bilinear_samples():
    features = torch.randn(2, 3, 9, 11)
    boxes, owner = torch.tensor([[3.0, 2.0, 14.0, 17.0], [-4.0, 1.0, 30.0, 9.0], [5.0, 5.0, 5.2, 5.1]]), [1, 0, 1]
    crops = roi_align(features, boxes, torch.tensor(owner), (4, 4), 0.5)

    def sample(image, y, x):
        if not (-1 <= y <= 9 and -1 <= x <= 11):
            return torch.zeros(3)
        y, x = min(max(y, 0.0), 8.0), min(max(x, 0.0), 10.0)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, 8), min(x0 + 1, 10)
        top = image[:, y0, x0] * (1 - x + x0) + image[:, y0, x1] * (x - x0)
        return top * (1 - y + y0) + (image[:, y1, x0] * (1 - x + x0) + image[:, y1, x1] * (x - x0)) * (y - y0)

    for number, box in enumerate(boxes):
        x0, y0, x1, y1 = (float(value) * 0.5 for value in box)
        height, width = max(y1 - y0, 1.0), max(x1 - x0, 1.0)
        rows, columns = int(np.ceil(height / 4)), int(np.ceil(width / 4))
        for i in range(4):
            for j in range(4):
                samples = [
                    sample(features[owner[number]], y0 + (i + (a + 0.5) / rows) * height / 4, x0 + (j + (b + 0.5) / columns) * width / 4)
                    for a in range(rows)
                    for b in range(columns)
                ]  # fmt: skip
                torch.testing.assert_close(crops[number, :, i, j], torch.stack(samples).mean(0), atol=1e-5, rtol=1e-4)
