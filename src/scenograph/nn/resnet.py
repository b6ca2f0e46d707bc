"""Residual networks (He, Zhang, Ren, Sun; CVPR 2016): published ones for crops of 32 pixels, and blocks of our own."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.normalization import BatchNorm2d

DEPTHS = {20: (3, 3, 3), 110: (18, 18, 18), 101: (3, 4, 23, 3)}
"""Blocks per stage: three stages of two convolutions for CIFAR (depth 6 n + 2), four of bottlenecks for ImageNet."""


class ResNet(nn.Module):
    """Depths 20 and 110 are the CIFAR networks of section 4.2; 101 is ImageNet's with a first layer for 32 pixels."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        bottleneck = depth == 101
        width = 64 if bottleneck else 16
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        before = width
        for stage, count in enumerate(DEPTHS[depth]):
            after = width * 2**stage * (4 if bottleneck else 1)
            for number in range(count):
                layers.append(_Block(before, after, 2 if stage and not number else 1, bottleneck))
                before = after
        self.features = nn.Sequential(*layers)
        self.classes = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Crops (N, 3, H, W), about zero -> class logits (N, classes)."""
        logits: Tensor = self.classes(self.features(images).mean(dim=(2, 3)))
        return logits


class _Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        inner = after // 4 if bottleneck else after
        sizes = ((before, inner, 1), (inner, inner, 3), (inner, after, 1)) if bottleneck else (
            (before, after, 3),
            (after, after, 3),
        )  # fmt: skip
        strided = 1 if bottleneck else 0
        layers: list[nn.Module] = []
        for number, (c_in, c_out, kernel) in enumerate(sizes):
            step = stride if number == strided else 1
            layers += [nn.Conv2d(c_in, c_out, kernel, step, kernel // 2, bias=False), nn.BatchNorm2d(c_out)]
            layers += [nn.ReLU(True)] if number < len(sizes) - 1 else []
        self.residual = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.residual(x))


def halving_blocks(channels: Sequence[int], seen: int = 3) -> list[nn.Module]:
    """A convolution of stride 2 on ``seen`` channels, then one residual block per width; all but the first halve."""
    before = channels[0]
    layers: list[nn.Module] = [nn.Conv2d(seen, before, 4, 2, 1, bias=False), BatchNorm2d(before), nn.ReLU()]
    for number, width in enumerate(channels):
        layers.append(HalvingBlock(before, width, stride=2 if number else 1))
        before = width
    return layers


class HalvingBlock(nn.Module):
    """Two convolutions beside a skip (He et al. 2016), which averages what it halves (He et al. 2019, ResNet-D)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(before, width, 3, stride, 1, bias=False),
            BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
            BatchNorm2d(width),
        )
        self.skip: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.skip = nn.Sequential(nn.AvgPool2d(stride, ceil_mode=True), nn.Conv2d(before, width, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, width, H / stride, W / stride), rounded up."""
        result: Tensor = (self.net(x) + self.skip(x)).relu()
        return result
