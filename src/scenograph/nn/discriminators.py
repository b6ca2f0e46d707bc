"""sg2im's discriminators, described by its strings such as ``C4-64-2,C4-128-2,C4-256-2``."""

from __future__ import annotations

import re
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.errors import UserError, reason
from scenograph.nn.convolution import SameConv2d
from scenograph.nn.crops import crop_boxes
from scenograph.nn.layers import Normalization, evaluating, leaky_activation, normalization_layers

Padding = Literal["valid", "same"]
HIDDEN = 1024


def build_cnn(
    description: str,
    normalization: Normalization = "batch",
    activation: str = "leakyrelu-0.2",
    padding: Padding = "valid",
    pooling: Literal["avg", "max"] = "avg",
    activated: bool = False,
) -> tuple[nn.Sequential, int]:
    """A network from a comma separated description, and the number of channels it ends with.

    ``I<c>`` input channels (first; 3 if absent), ``C<kernel>-<channels>[-<stride>]`` convolution,
    ``U<f>`` nearest upsampling, ``P<f>`` pooling, ``R`` residual block of two 3 x 3 convolutions,
    ``FC-<in>-<out>`` flatten and linear. Every convolution but the first follows norm and activation; nothing
    follows the last, unless ``activated`` asks for both there, too. Raises ``UserError`` at a part it does not know.
    """
    parts = [part.strip() for part in description.split(",") if part.strip()]
    channels = 3
    if parts and re.fullmatch(r"I\d+", parts[0]):
        channels = int(parts.pop(0)[1:])
    layers: list[nn.Module] = []
    first, flat = True, False

    def before_convolution() -> list[nn.Module]:
        return [] if first else [*normalization_layers(normalization, channels), leaky_activation(activation)]

    for number, part in enumerate(parts):
        convolution = re.fullmatch(r"C(\d+)-(\d+)(?:-(\d+))?", part)
        linear = re.fullmatch(r"FC-(\d+)-(\d+)", part)
        scale = re.fullmatch(r"([UP])([1-9]\d*)", part)
        if convolution:
            kernel, out, stride = int(convolution[1]), int(convolution[2]), int(convolution[3] or 1)
            if padding == "same" and kernel % 2 == 0:
                raise UserError(f"network {description!r}: {part!r} needs an odd kernel for padding 'same'")
            layers += before_convolution()
            edge = (kernel - 1) // 2 if padding == "same" else 0
            same = padding == "same" and stride == 1
            layers.append(SameConv2d(channels, out, kernel) if same else nn.Conv2d(channels, out, kernel, stride, edge))
            channels, first = out, False
        elif part == "R":
            layers += before_convolution()
            layers.append(_Residual(channels, normalization, activation))
            first = False
        elif scale:
            factor = int(scale[2])
            pool = nn.MaxPool2d if pooling == "max" else nn.AvgPool2d
            layers.append(nn.Upsample(scale_factor=factor) if scale[1] == "U" else pool(factor, factor))
        elif linear:
            layers += [] if flat else [nn.Flatten()]
            layers.append(nn.Linear(int(linear[1]), int(linear[2])))
            if number < len(parts) - 1:
                layers.append(leaky_activation(activation))
            channels, flat = int(linear[2]), True
        else:
            raise UserError(f"network {description!r}: unknown part {part!r} (parts: I, C, R, U, P, FC)")
    if activated:
        layers += [*normalization_layers(normalization, channels), leaky_activation(activation)]
    return nn.Sequential(*layers), channels


def check_size(network: nn.Module, description: str, size: tuple[int, int]) -> None:
    """Raise ``UserError`` if a network cannot take pictures of a size (height, width)."""
    try:
        with evaluating(network), torch.no_grad():
            network(torch.zeros(1, 3, *size))
    except RuntimeError as error:
        shown = " x ".join(map(str, size))
        raise UserError(
            f"network {description!r}: does not take pictures of {shown} pixels: {reason(error)}"
        ) from error


class ImageDiscriminator(nn.Module):
    """sg2im's D_img, whose score is the raw feature map: its classifier is in the weights but was never applied.

    PasteGAN's has the same layers and does apply the classifier (``classifies``).
    """

    def __init__(
        self, arch: str, normalization: Normalization, activation: str, padding: Padding, classifies: bool = False
    ) -> None:
        super().__init__()
        self.classifies = classifies
        self.cnn, channels = build_cnn(arch, normalization, activation, padding)
        self.classifier = nn.Conv2d(channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> scores (N, C, h, w), or (N, 1, h, w) from the classifier."""
        features: Tensor = self.cnn(images.contiguous(memory_format=torch.channels_last))
        return self.classifier(features) if self.classifies else features


class ObjectDiscriminator(nn.Module):
    """sg2im's D_obj: scores every object's crop as real or fake, and classifies it."""

    def __init__(
        self,
        categories: int,
        arch: str,
        normalization: Normalization,
        activation: str,
        padding: Padding,
        object_size: int,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.object_size, self.align_corners = object_size, align_corners
        cnn, channels = build_cnn(arch, normalization, activation, padding)
        check_size(cnn, arch, (object_size, object_size))
        trunk = nn.Sequential(cnn, nn.Identity(), nn.Linear(channels, HIDDEN))  # positions as in published weights
        self.discriminator = nn.ModuleDict(
            {
                "cnn": trunk,
                "real_classifier": nn.Linear(HIDDEN, 1),
                "obj_classifier": nn.Linear(HIDDEN, categories),
            }
        )

    def forward(self, images: Tensor, objects: Tensor, boxes: Tensor, object_to_image: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (N, 3, H, W), categories and boxes of their objects -> scores (O, 1), cross-entropies (O,)."""
        size = self.object_size
        crops = crop_boxes(images, boxes, object_to_image, size, size, self.align_corners)
        cnn, _, linear = self.discriminator["cnn"].children()
        # (O, 3, S, S) -> (O, C, h, w) -> (O, C) -> (O, HIDDEN)
        hidden = linear(cnn(crops.contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3)))
        errors = F.cross_entropy(self.discriminator["obj_classifier"](hidden), objects, reduction="none")
        return self.discriminator["real_classifier"](hidden), errors


class _Residual(nn.Module):
    """x + conv(act(norm(conv(x)))). The original's block crops its skip to nothing under 'valid' padding."""

    def __init__(self, channels: int, normalization: Normalization, activation: str) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            *normalization_layers(normalization, channels),
            leaky_activation(activation),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        result: Tensor = x + self.net(x)
        return result
