from __future__ import annotations

import pytest
import torch

from scenograph.nn.object_discriminators import ObjectAwareDiscriminator


@pytest.mark.parametrize("size", [64, 128, 256])
def test_discriminator_judges_objects_in_their_order(size):
    torch.manual_seed(0)
    judge = ObjectAwareDiscriminator("lama", size, 5, (3, 2), channels=4, initial_scale=0.5).eval()
    images = torch.randn(2, 3, size, size)
    objects, attributes = torch.tensor([1, 2, 3, 4]), torch.tensor([[0, 1], [-1, 0], [2, 1], [1, -1]])
    boxes = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.0, 0.0, 1.0, 1.0], [0.2, 0.3, 0.9, 0.9], [0.5, 0.5, 0.7, 0.7]])
    owner = torch.tensor([0, 1, 0, 1])
    scores, judged = judge(images, objects, attributes, boxes, owner)
    for row in range(4):
        alone = judge(images, objects[[row]], attributes[[row]], boxes[[row]], owner[[row]])[1]
        torch.testing.assert_close(judged[[row]], alone, atol=1e-4, rtol=1e-3)
    recoloured = judge(images, objects, torch.tensor([[1, 1], [0, 0], [2, 0], [0, -1]]), boxes, owner)[1]
    assert (recoloured - judged).abs().min() > 1e-5
    empty = torch.zeros(0, dtype=torch.int64)
    alone, none = judge(images, empty, torch.zeros((0, 2), dtype=torch.int64), torch.zeros((0, 4)), empty)
    torch.testing.assert_close(alone, scores)
    assert len(none) == 0
