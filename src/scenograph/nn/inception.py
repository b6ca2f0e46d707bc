"""Inception v3 as TensorFlow published it in December 2015, the network of the Inception Score and of FID, and Keras'.

Both average over real pixels only in their pools. The first differs from all others in two places: its last block takes
a maximum where others average, and there are 1008 classes. Names are those of its weights converted for PyTorch
(Szegedy et al. 2016; Salimans et al. 2016; Heusel et al. 2017).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.normalization import FrozenBatchNorm2d
from scenograph.nn.perceptual import tensorflow_resize

EPSILON = 1e-3
SIDE = 299
SMALLEST = 75
"""The shortest side of a picture that is left with a pixel."""
FEATURES = 2048
CLASSES = 1008


class InceptionMaps(nn.Module):
    """Pictures to the maps of the last block, in which a branch pools by means or by maxima."""

    def __init__(self, maximum: bool) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = (BlockA(n, p) for n, p in ((192, 32), (256, 64), (288, 64)))
        self.Mixed_6a = ReductionB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (BlockC(768, n) for n in (128, 160, 160, 192))
        self.Mixed_7a = ReductionD(768)
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, maximum=False), BlockE(2048, maximum)

    def maps(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 2048, H', W')."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        found: Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return found


class KerasInception(InceptionMaps):
    """Keras' InceptionV3 without its classifier: batch norms have no scale, and keep their statistics in training."""

    width = FEATURES

    def __init__(self) -> None:
        super().__init__(maximum=False)
        for layer in self.convolutions():
            layer.bn = FrozenBatchNorm2d(layer.conv.out_channels, EPSILON, scaled=False)

    def convolutions(self) -> list[Convolution]:
        """In the order in which Keras makes and numbers them."""
        return [layer for layer in self.modules() if isinstance(layer, Convolution)]

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [-1, 1], with sides of at least 75 pixels -> (N, 2048, H', W')."""
        return self.maps(images)


class Inception(InceptionMaps):
    """Pictures to features after the last pool, and to class probabilities."""

    def __init__(self) -> None:
        super().__init__(maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, H, W) in 0 to 255, of any size -> features (N, 2048) and probabilities (N, 1008).

        As in the published Inception Score, the classes' biases are left out.
        """
        x = (tensorflow_resize(pixels.float(), SIDE) - 128) / 128
        features = self.maps(x).mean(dim=(2, 3))  # (N, 2048, 8, 8) -> (N, 2048)
        return features, (features @ self.fc.weight.T).softmax(dim=1)


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, before: int, after: int, size: int | tuple[int, int], stride: int = 1, padding: int | str = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(after, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class BlockA(nn.Module):
    """Branches of 1 x 1, 5 x 5, twice 3 x 3, and a pool."""

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = Convolution(before, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = Convolution(before, 48, 1), Convolution(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = Convolution(before, 64, 1)
        self.branch3x3dbl_2, self.branch3x3dbl_3 = (Convolution(n, 96, 3, padding=1) for n in (64, 96))
        self.branch_pool = Convolution(before, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        parts = [self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(_average(x))]
        return torch.cat(parts, dim=1)


class ReductionB(nn.Module):
    """Halves the map: branches of 3 x 3, twice 3 x 3, and a pool."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(before, 384, 3, stride=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Convolution(before, 64, 1), Convolution(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], dim=1)


class BlockC(nn.Module):
    """Branches of 1 x 1, 7 x 7 and twice 7 x 7, each in rows and columns, and a pool."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = Convolution(before, 192, 1)
        self.branch7x7_1 = Convolution(before, width, 1)
        self.branch7x7_2 = Convolution(width, width, row, padding="same")
        self.branch7x7_3 = Convolution(width, 192, column, padding="same")
        self.branch7x7dbl_1 = Convolution(before, width, 1)
        self.branch7x7dbl_2 = Convolution(width, width, column, padding="same")
        self.branch7x7dbl_3 = Convolution(width, width, row, padding="same")
        self.branch7x7dbl_4 = Convolution(width, width, column, padding="same")
        self.branch7x7dbl_5 = Convolution(width, 192, row, padding="same")
        self.branch_pool = Convolution(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(_average(x))], dim=1)


class ReductionD(nn.Module):
    """Halves the map: branches of 3 x 3, of 7 x 7 then 3 x 3, and a pool."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = Convolution(before, 192, 1), Convolution(192, 320, 3, stride=2)
        self.branch7x7x3_1 = Convolution(before, 192, 1)
        self.branch7x7x3_2 = Convolution(192, 192, (1, 7), padding="same")
        self.branch7x7x3_3 = Convolution(192, 192, (7, 1), padding="same")
        self.branch7x7x3_4 = Convolution(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], dim=1)


class BlockE(nn.Module):
    """Branches of 1 x 1 and of 3 x 3 split into a row and a column, and a pool: of means, or in one block maxima."""

    def __init__(self, before: int, maximum: bool) -> None:
        super().__init__()
        self.maximum = maximum
        row, column = (1, 3), (3, 1)
        self.branch1x1 = Convolution(before, 320, 1)
        self.branch3x3_1 = Convolution(before, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = (Convolution(384, 384, s, padding="same") for s in (row, column))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = Convolution(before, 448, 1), Convolution(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = (Convolution(384, 384, s, padding="same") for s in (row, column))
        self.branch_pool = Convolution(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        single, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, 1, 1) if self.maximum else _average(x)
        return torch.cat(
            [
                self.branch1x1(x),
                self.branch3x3_2a(single),
                self.branch3x3_2b(single),
                self.branch3x3dbl_3a(double),
                self.branch3x3dbl_3b(double),
                self.branch_pool(pooled),
            ],
            dim=1,
        )


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
