"""VGG19's features (Simonyan & Zisserman 2015), whose distances say how alike two pictures look."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
POOLS = (4, 9, 18, 27)
LEVELS = (1, 6, 11, 20, 29)
"""Layers after which features are compared: relu1_1, relu2_1, relu3_1, relu4_1, relu5_1; numbers as torchvision's."""
LEVEL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class Vgg19Features(nn.Module):
    """The layers up to relu5_1, frozen. ``state`` names weights ``features.<layer>.weight``, as torchvision does.

    Raises ``KeyError`` with the name of a layer that ``state`` lacks.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        found = {}
        for key, value in state.items():
            match = re.fullmatch(r"(?:features|slice\d+)\.(\d+)\.(weight|bias)", key)
            if match:
                found[int(match[1]), match[2]] = value
        layers: list[nn.Module] = []
        for layer in range(LEVELS[-1] + 1):
            if layer in CONVOLUTIONS:
                if (layer, "weight") not in found or (layer, "bias") not in found:
                    raise KeyError(f"features.{layer}.weight")
                weight = found[layer, "weight"]
                conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
                conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(found[layer, "bias"])
                layers.append(conv)
            else:
                layers.append(nn.MaxPool2d(2, 2) if layer in POOLS else nn.ReLU(inplace=True))
        self.features = nn.Sequential(*layers).requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W) to the features of every level."""
        levels, x = [], images.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in LEVELS:
                # The next layer is a convolution or a pool, which leave these as they are.
                levels.append(x)
        return levels


def feature_distance(features: Vgg19Features, images: Tensor, targets: Tensor) -> Tensor:
    """Per picture (N,): mean absolute differences of the levels, weighted, as in pix2pixHD (Wang et al. 2018).

    Pictures in [-1, 1] go in as they are, without ImageNet's normalization: LostGAN's did.
    """
    with torch.no_grad():
        wanted = features(targets)
    found = features(images)
    return torch.stack(
        [
            weight * (one - other).abs().mean(dim=(1, 2, 3))
            for weight, one, other in zip(LEVEL_WEIGHTS, found, wanted, strict=True)
        ]
    ).sum(dim=0)
