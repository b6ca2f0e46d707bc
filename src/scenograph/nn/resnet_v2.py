"""ResNet50-V2 (He, Zhang, Ren, Sun; ECCV 2016: activations come before convolutions) as Keras builds it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.normalization import FrozenBatchNorm2d

EPSILON = 1.001e-5
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and blocks of each stage. The last block of all stages but the last one halves the map."""
WIDER = 4
"""Times the inner channels that a block has outside."""


class ResNet50V2(nn.Module):
    """The features without the classifier: (N, 3, H, W) -> (N, 2048, H / 32, W / 32).

    Batch norms keep their statistics in training (as Scene Designer trains it).
    """

    width = WIDER * STAGES[-1][0]

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 7, 2, padding=3)
        before, stages = 64, []
        for number, (inner, count) in enumerate(STAGES):
            blocks = []
            for index in range(count):
                halved = index == count - 1 and number < len(STAGES) - 1
                blocks.append(_Block(before, inner, 2 if halved else 1, projected=index == 0))
                before = WIDER * inner
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.Sequential(*stages)
        self.norm = FrozenBatchNorm2d(before, EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        """Images in [-1, 1]."""
        # The border is of zeros, which a maximum sees; torch's own padding of this pool is not seen.
        pooled = F.max_pool2d(F.pad(self.first(images), (1, 1, 1, 1)), 3, 2)
        return F.relu(self.norm(self.stages(pooled)))


class _Block(nn.Module):
    """A bottleneck of three convolutions, added to its input, or to a projection of its first activation."""

    def __init__(self, before: int, inner: int, stride: int, projected: bool) -> None:
        super().__init__()
        after = WIDER * inner
        self.stride = stride
        self.norm0 = FrozenBatchNorm2d(before, EPSILON)
        self.shortcut = nn.Conv2d(before, after, 1, stride) if projected else None
        self.conv1, self.norm1 = nn.Conv2d(before, inner, 1, bias=False), FrozenBatchNorm2d(inner, EPSILON)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.norm2 = FrozenBatchNorm2d(inner, EPSILON)
        self.conv3 = nn.Conv2d(inner, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm0(x))
        kept = x[:, :, :: self.stride, :: self.stride] if self.shortcut is None else self.shortcut(active)
        hidden = F.relu(self.norm1(self.conv1(active)))
        hidden = F.relu(self.norm2(self.conv2(hidden)))
        result: Tensor = kept + self.conv3(hidden)
        return result
