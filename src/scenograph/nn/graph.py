"""Graph convolution over (subject, predicate, object) triples (Johnson et al., CVPR 2018, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

Pooling = Literal["avg", "sum"]
MlpNormalization = Literal["none", "batch"]


def mlp(sizes: Sequence[int], normalization: MlpNormalization = "none") -> nn.Sequential:
    """Linear layers, each followed, the last one too, by an optional batch norm and a ReLU, as sg2im builds them."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        linear = nn.Linear(size_in, size_out)
        nn.init.kaiming_normal_(linear.weight)
        layers.append(linear)
        if normalization == "batch":
            layers.append(nn.BatchNorm1d(size_out))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class GraphTripleConv(nn.Module):
    """One layer: every triple proposes new vectors for its three members; an object pools what it is offered.

    ``pooling='avg'`` divides by the number of an object's appearances (a self relation counts twice), ``'sum'``
    does not. Objects in no triple pool a zero vector.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int | None = None,
        hidden_dim: int = 512,
        pooling: Pooling = "avg",
        mlp_normalization: MlpNormalization = "none",
    ) -> None:
        super().__init__()
        output_dim = output_dim or input_dim
        self.hidden_dim, self.output_dim, self.pooling = hidden_dim, output_dim, pooling
        self.net1 = mlp([3 * input_dim, hidden_dim, 2 * hidden_dim + output_dim], mlp_normalization)
        self.net2 = mlp([hidden_dim, hidden_dim, output_dim], mlp_normalization)

    def forward(self, objects: Tensor, predicates: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Objects (O, Din), predicates (T, Din), edges (T, 2) of subject and object rows -> (O, Dout), (T, Dout)."""
        subject, target = edges.unbind(dim=1)
        pooled = objects.new_zeros((len(objects), self.hidden_dim))
        if len(edges):
            offered = self.net1(torch.cat([objects[subject], predicates, objects[target]], dim=1))
            to_subject, predicates, to_object = offered.split([self.hidden_dim, self.output_dim, self.hidden_dim], 1)
            pooled = pooled.to(offered.dtype)
            pooled = pooled.index_add(0, subject, to_subject).index_add(0, target, to_object)
            if self.pooling == "avg":
                counts = torch.bincount(edges.flatten(), minlength=len(objects)).clamp(min=1)
                pooled = pooled / counts[:, None].to(pooled.dtype)
        else:
            predicates = predicates.new_zeros((0, self.output_dim))
        return self.net2(pooled), predicates


class GraphTripleConvNet(nn.Module):
    """A stack of layers of one width."""

    def __init__(
        self,
        input_dim: int,
        num_layers: int,
        hidden_dim: int = 512,
        pooling: Pooling = "avg",
        mlp_normalization: MlpNormalization = "none",
    ) -> None:
        super().__init__()
        self.gconvs = nn.ModuleList(
            GraphTripleConv(input_dim, None, hidden_dim, pooling, mlp_normalization) for _ in range(num_layers)
        )

    def forward(self, objects: Tensor, predicates: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`GraphTripleConv.forward`, layer after layer."""
        for layer in self.gconvs:
            objects, predicates = layer(objects, predicates, edges)
        return objects, predicates
