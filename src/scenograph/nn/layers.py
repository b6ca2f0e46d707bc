"""Small layers that several networks choose by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.spectral import SpectralLayer

Normalization = Literal["batch", "instance", "none"]
ModuleKind = TypeVar("ModuleKind", bound=nn.Module)


def normalization_layers(kind: Normalization, channels: int) -> list[nn.Module]:
    """One layer, or none. ``instance`` has neither parameters nor running statistics."""
    if kind == "batch":
        return [BatchNorm2d(channels)]
    return [nn.InstanceNorm2d(channels)] if kind == "instance" else []


def leaky_activation(name: str) -> nn.Module:
    """``leakyrelu-0.2``, or ``relu``, which gives a leaky ReLU of slope 0.01.

    That is what sg2im's code builds whatever the name before the dash, and what its checkpoints were trained with.
    """
    _, _, slope = name.partition("-")
    return nn.LeakyReLU(float(slope) if slope else 0.01, inplace=True)


def channels_last(module: ModuleKind) -> ModuleKind:
    """Store convolution weights with channels last, which CPUs and tensor cores convolve faster."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def pad_as_tensorflow(x: Tensor, stride: int) -> Tensor:
    """A map (N, C, H, W) with the zeros around it that "same" means there for a kernel of 3 and a stride of 1 or 2.

    Even sides have them after only, if the stride is 2.
    """
    height, width = ((0, 1) if stride == 2 and side % 2 == 0 else (1, 1) for side in x.shape[2:])
    return F.pad(x, (*width, *height))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a module in eval mode meanwhile, so that its spectral norms and running statistics do not change."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)


def orthogonal_(module: nn.Module) -> None:
    """Start every weight of more than one dimension orthogonal, and every bias at 0 (as LostGAN and LAMA do).

    Spectral norms are brought up to date, so that a model can infer before it is trained.
    """
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.orthogonal_(parameter)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    for layer in module.modules():
        if isinstance(layer, SpectralLayer):
            layer.iterate()


def small_xavier_(module: nn.Module) -> None:
    """Start convolutions and linear maps at a fiftieth of Xavier's normal numbers, biases at 0 (as SPADE does)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight, gain=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
