"""Spectral normalization: layers whose weight has a largest singular value of about 1 (Miyato et al. 2018).

One power iteration per forward pass in training mode, in the order (v, then u) of the code the published weights
were trained with; in eval mode the stored vectors are used as they are.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import same_conv2d


class SpectralLayer(nn.Module):
    """Mixed into a layer: normalizes its weight (out, ...) as a matrix (out, rest), by power iteration."""

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
        matrix, v = self._matrix()
        v = F.normalize(matrix.T @ self.weight_u, dim=0, eps=self.epsilon)
        self.weight_u.copy_(F.normalize(matrix @ v, dim=0, eps=self.epsilon))
        if self.weight.ndim == 4:
            height, width = self.weight.shape[2:]
            v = v.view(height, width, -1).permute(2, 0, 1).flatten()  # (K, K, C) -> (C * K * K,)
        self.weight_v.copy_(v)

    def normalized_weight(self) -> Tensor:
        """The weight divided by its spectral norm, after one power iteration in training mode."""
        if self.folded:
            return self.weight
        with torch.autocast(self.weight.device.type, enabled=False):  # half precision would distort the norm
            if self.training:
                self.iterate()
            matrix, v = self._matrix()
            # A clone: the vectors change in place at the next forward pass, which may come before this one's backward.
            divided: Tensor = _Divided.apply(matrix, self.weight_u.clone(), v)
        if self.weight.ndim < 4:
            return divided
        rows, columns, height, width = self.weight.shape
        return divided.view(rows, height, width, columns).permute(0, 3, 1, 2)  # (C', K * K * C) -> (C', C, K, K)

    def _matrix(self) -> tuple[Tensor, Tensor]:
        """The weight as a matrix in the order of memory (channels last), and v in the same order."""
        if self.weight.ndim < 4:
            return self.weight, self.weight_v.clone()
        columns, height, width = self.weight.shape[1:]
        v = self.weight_v.view(columns, height, width).permute(1, 2, 0).flatten().clone()  # (C, K, K) -> (K * K * C,)
        return self.weight.permute(0, 2, 3, 1).flatten(1), v  # (C', C, K, K) -> (C', K * K * C)


class _Divided(torch.autograd.Function):
    """A matrix divided by its spectral norm u W v. The gradient takes three passes over it, autograd's own eight."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
        norm = torch.dot(u, matrix @ v)
        divided = matrix / norm
        ctx.save_for_backward(divided, u, v, norm)
        return divided

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        divided, u, v, norm = ctx.saved_tensors
        along = torch.dot(gradient.flatten(), divided.flatten())
        return torch.addcmul(gradient, (-along * u)[:, None], v[None]).div_(norm), None, None


class SpectralConv2d(SpectralLayer, nn.Conv2d):
    """A convolution. A ``factor`` scales its output, at little cost: the weight and bias are scaled instead."""

    def __init__(self, *arguments: Any, epsilon: float = 1e-12, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._start(epsilon)

    def forward(self, x: Tensor, factor: Tensor | None = None) -> Tensor:
        """As ``nn.Conv2d``."""
        weight, bias = self.normalized_weight(), self.bias
        if factor is not None:
            weight, bias = weight * factor, None if bias is None else bias * factor
        kernel = self.kernel_size[0]
        if self.stride == (1, 1) and self.padding == (kernel // 2, kernel // 2):
            return same_conv2d(x, weight, bias)
        return self._conv_forward(x, weight, bias)


class ProjectedConv2d(nn.Conv2d):
    """A convolution whose stored kernel :meth:`project` divides by its spectral norm.

    So does the spectral norm of Scene Designer at every call, in evaluation too: the kernel itself is changed.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        rows, columns = self.weight.flatten(1).shape
        self.register_buffer("weight_u", nn.init.trunc_normal_(torch.empty(rows), std=0.02))
        self.register_buffer("weight_v", nn.init.trunc_normal_(torch.empty(columns), std=0.02))

    @torch.no_grad()
    def project(self) -> None:
        """One power iteration, then the division."""
        matrix = self.weight.flatten(1)  # (C', C, K, K) -> (C', C * K * K)
        self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0))
        self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0))
        self.weight.div_((self.weight_u * (matrix @ self.weight_v)).sum())

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.Conv2d``."""
        # A clone: the next projection, which may come before this call's backward pass, changes the kernel in place.
        return self._conv_forward(x, self.weight.clone(), self.bias)


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
    """Replace the weight of every spectral layer by the normalized one, for inference."""
    for layer in module.modules():
        if isinstance(layer, SpectralLayer):
            layer.weight = nn.Parameter(layer.eval().normalized_weight().detach(), requires_grad=False)
            layer.folded = True
