"""Features of networks trained on ImageNet, whose distances measure how similar two pictures look."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import SameConv2d


@dataclass(frozen=True)
class Stack:
    """The plan of a stack of convolutions, each followed by a ReLU, and pools. Layers are numbered as in torchvision.

    ``convolutions``: layer to (stride, padding). ``levels``: the layers after which features are compared.
    """

    convolutions: Mapping[int, tuple[int, int]]
    pools: tuple[int, ...]
    pool_size: int
    levels: tuple[int, ...]


_SAME = (1, 1)
VGG19 = Stack(
    dict.fromkeys((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28), _SAME), (4, 9, 18, 27), 2, (1, 6, 11, 20, 29)
)
"""Simonyan & Zisserman 2015, up to relu5_1; relu1_1 to relu5_1 are compared."""
VGG16 = Stack(
    dict.fromkeys((0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), _SAME), (4, 9, 16, 23), 2, (3, 8, 15, 22, 29)
)
ALEXNET = Stack({0: (4, 2), 3: (1, 2), 6: _SAME, 8: _SAME, 10: _SAME}, (2, 5), 3, (1, 4, 7, 9, 11))
NARROWEST = 3
"""Least width of a map that is pooled: PasteGAN, too, compares four levels of crops of which less would be left."""
LEVEL_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class FeatureStack(nn.Module):
    """The layers of a plan, frozen. ``state`` names weights ``features.<layer>.weight``, as torchvision does.

    Raises ``KeyError`` with the name of a layer that ``state`` lacks.
    """

    def __init__(self, plan: Stack, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        found = {}
        for key, value in state.items():
            match = re.fullmatch(r"(?:features|slice\d+)\.(\d+)\.(weight|bias)", key)
            if match:
                found[int(match[1]), match[2]] = value
        self.levels = plan.levels
        layers: list[nn.Module] = []
        for layer in range(plan.levels[-1] + 1):
            if layer in plan.convolutions:
                if (layer, "weight") not in found or (layer, "bias") not in found:
                    raise KeyError(f"features.{layer}.weight")
                weight, (stride, padding) = found[layer, "weight"], plan.convolutions[layer]
                out, into, kernel, _ = weight.shape
                same = stride == 1 and padding == kernel // 2
                conv = SameConv2d(into, out, kernel) if same else nn.Conv2d(into, out, kernel, stride, padding)
                conv.weight, conv.bias = nn.Parameter(weight), nn.Parameter(found[layer, "bias"])
                layers.append(conv)
            else:
                layers.append(nn.MaxPool2d(plan.pool_size, 2) if layer in plan.pools else nn.ReLU(inplace=True))
        self.features = nn.Sequential(*layers).requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W) to the features of every level; of small ones, as far as pools leave something."""
        levels, x = [], images.contiguous(memory_format=torch.channels_last)
        for number, layer in enumerate(self.features):
            if isinstance(layer, nn.MaxPool2d) and x.shape[3] < NARROWEST:
                break
            x = layer(x)
            if number in self.levels:
                # The next layer is a convolution or a pool, which leave these as they are.
                levels.append(x)
        return levels


def feature_distance(features: FeatureStack, images: Tensor, targets: Tensor) -> Tensor:
    """Per picture (N,): mean absolute differences of the levels, weighted, as in pix2pixHD (Wang et al. 2018).

    Pictures in [-1, 1] go in as they are, without ImageNet's normalization: LostGAN's did.
    """
    with torch.no_grad():
        wanted = features(targets)
    return level_distance(features(images), wanted)


def level_distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """:func:`feature_distance` of levels that a network found, of which small pictures have fewer: (N,)."""
    return torch.stack(
        [
            weight * (one - other).abs().mean(dim=(1, 2, 3))
            for weight, one, other in zip(
                LEVEL_WEIGHTS, found, wanted, strict=False
            )  # small pictures have fewer levels
        ]
    ).sum(dim=0)


class PerceptualDistance(nn.Module):
    """LPIPS (Zhang, Isola, Efros, Shechtman, Wang; CVPR 2018), version 0.1, with learnt weights per channel.

    ``heads``: one weight per channel of every level.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, features: FeatureStack, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = features
        # (1, C, 1, 1) -> (C,)
        self.heads = nn.ParameterList(nn.Parameter(head.flatten(), requires_grad=False) for head in heads)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (N,) of pictures (N, 3, H, W) in [-1, 1]."""
        one, other = (self.features((images - self.shift) / self.scale) for images in (first, second))
        total = first.new_zeros(len(first))
        for head, a, b in zip(self.heads, one, other, strict=True):
            difference = (_unit(a) - _unit(b)).square() * head[:, None, None]  # (N, C, H, W) * (C, 1, 1)
            total = total + difference.sum(dim=1).mean(dim=(1, 2))  # (N, C, H, W) -> (N,)
        return total


def _unit(levels: Tensor) -> Tensor:
    """Features (N, C, H, W) of unit length at each pixel."""
    return levels / (levels.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def tensorflow_resize(images: Tensor, side: int) -> Tensor:
    """Bilinear resize (N, 3, H, W) -> (N, 3, side, side) as in TensorFlow 1, without half-pixel centres."""
    rows, columns = (_tensorflow_weights(length, side).to(images) for length in images.shape[2:])
    return rows @ images @ columns.T  # (side, H) @ (N, 3, H, W) @ (W, side)


def _tensorflow_weights(length: int, side: int) -> Tensor:
    """The weight of each of ``length`` pixels in each of ``side`` new ones: (side, length)."""
    places = torch.arange(side, dtype=torch.float32) * (length / side)
    before = places.long().clamp(max=length - 1)
    after = (before + 1).clamp(max=length - 1)
    part = (places - before)[:, None]
    return F.one_hot(before, length) * (1 - part) + F.one_hot(after, length) * part
