from __future__ import annotations

import torch

from scenograph.nn.unet import UNet


def test_unet_keeps_the_shape_and_starts_at_zero():
    network = UNet(5, 3, (32, 64), blocks=1)
    assert network(torch.randn(2, 5, 8, 12), torch.tensor([0.1, 0.9])).abs().max() == 0
