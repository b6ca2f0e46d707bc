"""Spectral normalization: layers whose weight has a largest singular value of about 1 (Miyato et al. 2018).

One power iteration per forward pass in training mode, in the order (v, then u) of the code the published weights
were trained with; in eval mode the stored vectors are used as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectralLayer(nn.Module):
    """Mixed into a layer: its weight (out, ...) as a matrix (out, rest), with the vectors of its power iteration."""

    weight: Tensor
    weight_u: Tensor
    weight_v: Tensor
    folded: bool

    def _start(self, epsilon: float) -> None:
        self.epsilon, self.folded = epsilon, False
        rows, columns = self.weight.flatten(1).shape
        self.register_buffer("weight_u", F.normalize(torch.randn(rows), dim=0, eps=epsilon))
        self.register_buffer("weight_v", F.normalize(torch.randn(columns), dim=0, eps=epsilon))

    @torch.no_grad()
    def iterate(self) -> None:
        """One power iteration."""
        matrix = self.weight.flatten(1)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0, eps=self.epsilon))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=self.epsilon))

    def normalized_weight(self) -> Tensor:
        """The weight divided by its spectral norm, after one power iteration in training mode."""
        if self.folded:
            return self.weight
        if self.training:
            self.iterate()
        matrix = self.weight.flatten(1)
        # Clones: the vectors change in place at the next forward pass, which may come before this one's backward.
        return self.weight / torch.dot(self.weight_u.clone(), matrix @ self.weight_v.clone())


class SpectralConv2d(SpectralLayer, nn.Conv2d):
    """A convolution. Called with a ``factor``, it gives that many times its output, at no cost: the weight is small."""

    def __init__(self, *arguments: Any, epsilon: float = 1e-12, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start(epsilon)

    def forward(self, x: Tensor, factor: Tensor | None = None) -> Tensor:
        """As ``nn.Conv2d``."""
        weight, bias = self.normalized_weight(), self.bias
        if factor is not None:
            weight, bias = weight * factor, None if bias is None else bias * factor
        return self._conv_forward(x, weight, bias)


class SpectralLinear(SpectralLayer, nn.Linear):
    """A linear map."""

    def __init__(self, *arguments: Any, epsilon: float = 1e-12, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start(epsilon)

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Linear``."""
        return F.linear(x, self.normalized_weight(), self.bias)


class SpectralEmbedding(SpectralLayer, nn.Embedding):
    """A table of vectors."""

    def __init__(self, *arguments: Any, epsilon: float = 1e-12, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start(epsilon)

    def forward(self, indices: Tensor) -> Tensor:
        """As ``nn.Embedding``."""
        return F.embedding(indices, self.normalized_weight())


def fold_spectral_norms(module: nn.Module) -> None:
    """Divide every spectral layer's weight by its norm once and for all; for inference."""
    for layer in module.modules():
        if isinstance(layer, SpectralLayer):
            layer.weight = nn.Parameter(layer.eval().normalized_weight().detach(), requires_grad=False)
            layer.folded = True
