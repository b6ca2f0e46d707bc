"""Graph convolution over (subject, predicate, object) triples (Johnson et al., CVPR 2018, section 3)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import Linear, sum_by_owner

Pooling = Literal["avg", "sum"]
MlpNormalization = Literal["none", "batch"]
TOGETHER = 6144
"""Triples at once on a CPU, outside of training: what more of them offer does not stay in its cache."""


def mlp(sizes: Sequence[int], normalization: MlpNormalization = "none") -> nn.Sequential:
    """Linear layers, each followed, the last one too, by an optional batch norm and a ReLU, as sg2im builds them."""
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        linear = Linear(size_in, size_out)
        nn.init.kaiming_normal_(linear.weight)
        layers.append(linear)
        if normalization == "batch":
            layers.append(nn.BatchNorm1d(size_out))
        layers.append(Relu())
    return nn.Sequential(*layers)


def in_float32(network: nn.Module, rows: Tensor) -> Tensor:
    """What a network makes of rows (R, C), under autocast too: bfloat16 has 128 numbers between a half and one.

    Boxes on so coarse a grid touch where they should lie beside each other.
    """
    with torch.autocast(rows.device.type, enabled=False):
        result: Tensor = network(rows.float())
    return result


class Relu(nn.ReLU):
    """In place; where no gradients are wanted, bfloat16 on CPUs by its bits: torch's own takes four times as long."""

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape. Read as a whole number, a bfloat16 is below zero where it is; what is no number becomes zero."""
        if input.dtype != torch.bfloat16 or input.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(input)
        input.view(torch.int16).clamp_(min=0)
        return input


class GraphTripleConv(nn.Module):
    """One layer: every triple proposes new vectors for its three members; an object pools what it is offered.

    ``pooling='avg'`` divides by the number of an object's appearances (a self relation counts twice), ``'sum'``
    does not. Objects in no triple pool a zero vector. With confidences (Herzig, Bar et al., ECCV 2020) triples
    count as much as they are believed.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int | None = None,
        hidden_dim: int = 512,
        pooling: Pooling = "avg",
        mlp_normalization: MlpNormalization = "none",
        predicate_dim: int | None = None,
    ) -> None:
        super().__init__()
        output_dim = output_dim or input_dim
        self.hidden_dim, self.output_dim, self.pooling = hidden_dim, output_dim, pooling
        self.net1 = mlp(
            [2 * input_dim + (predicate_dim or input_dim), hidden_dim, 2 * hidden_dim + output_dim], mlp_normalization
        )
        self.net2 = mlp([hidden_dim, hidden_dim, output_dim], mlp_normalization)

    def forward(
        self, objects: Tensor, predicates: Tensor, edges: Tensor, confidence: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Objects (O, Din), predicates (T, Dp), edges (T, 2) of subject and object rows -> (O, Dout), (T, Dout).

        ``confidence`` (T,) in [0, 1] weighs all that a triple offers.
        """
        if not len(edges):
            pooled = objects.new_zeros((len(objects), self.hidden_dim))
            return self.net2(pooled), objects.new_zeros((0, self.output_dim))
        as_subject, middle, as_object = self._first_layer(objects, predicates.shape[1])
        table = torch.cat([as_subject, as_object])
        offers = [
            self._offer(table, middle, predicates[part], edges[part], None if confidence is None else confidence[part])
            for part in self._parts(edges)
        ]
        pooled = functools.reduce(torch.add, [to_objects for to_objects, _ in offers])
        vectors = self._updated(pooled, edges, None if confidence is None else confidence.repeat_interleave(2))
        return vectors, torch.cat([to_predicates for _, to_predicates in offers])

    def objects_alone(self, objects: Tensor, predicates: Tensor, kinds: Tensor, edges: Tensor) -> Tensor:
        """The first part of what :meth:`forward` gives, two thirds of its work: (O, Dout). Of layers without norms.

        Predicates (P, Dp), of which each triple has one of ``kinds`` (T,).
        """
        if not len(edges):
            return self.net2(objects.new_zeros((len(objects), self.hidden_dim)))
        as_subject, middle, as_object = self._first_layer(objects, predicates.shape[1])
        table = torch.cat([as_subject, as_object, F.linear(predicates, middle)])
        count, hidden_dim = len(objects), self.hidden_dim
        ends, second = edges.unbind(dim=1), cast(nn.Linear, self.net1[2])
        rows = torch.stack([ends[0], ends[1] + count, kinds + 2 * count], dim=1)
        offers = []
        for part in self._parts(edges):
            hidden = self.net1[1](F.embedding_bag(rows[part], table, mode="sum"))
            for owner, outputs in zip(ends, (slice(hidden_dim), slice(-hidden_dim, None)), strict=True):
                offered = self.net1[3](F.linear(hidden, second.weight[outputs], second.bias[outputs]))
                offers.append(sum_by_owner(offered, owner[part], count))
        return self._updated(functools.reduce(torch.add, offers), edges, None)

    def _first_layer(self, objects: Tensor, predicate_dim: int) -> tuple[Tensor, Tensor, Tensor]:
        """What ``net1``'s first layer makes of each object as a subject, its weights for predicates, and as an object.

        So it is done once for all triples.
        """
        linear, width = cast(nn.Linear, self.net1[0]), objects.shape[1]
        first, middle, last = linear.weight.split([width, predicate_dim, width], dim=1)
        return F.linear(objects, first, linear.bias), middle, F.linear(objects, last)

    def _parts(self, edges: Tensor) -> list[slice]:
        """The triples that are done at once."""
        together = len(edges) if self.training or edges.device.type != "cpu" else TOGETHER
        return [slice(start, start + together) for start in range(0, len(edges), together)]

    def _updated(self, pooled: Tensor, edges: Tensor, weights: Tensor | None) -> Tensor:
        """New vectors of objects from the sums (O, hidden_dim) of what they are offered."""
        if self.pooling == "avg":
            pooled = pooled / _appearances(edges, len(pooled), weights)[:, None].to(pooled.dtype)
        vectors: Tensor = self.net2(pooled)
        return vectors

    def _offer(
        self, table: Tensor, weight: Tensor, predicates: Tensor, edges: Tensor, confidence: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What triples offer their objects, added up (O, hidden_dim), and their predicates (T, output_dim).

        ``table`` (2 * O, hidden_dim) holds objects as subjects, then as objects, after ``net1``'s first layer, of which
        ``weight`` is the part for predicates.
        """
        objects = len(table) // 2
        subject, target = edges.unbind(dim=1)
        ends = F.embedding_bag(torch.stack([subject, target + objects], dim=1), table, mode="sum")
        # In place, which autocast leaves alone: a new sum would cost twice as much, and more for every new T.
        offered = self.net1[1:](ends.addmm_(predicates.to(ends), weight.T.to(ends)))
        # Sums over whole rows cost less than copying the parts that are needed.
        to_subject = sum_by_owner(offered, subject, objects, confidence)[:, : self.hidden_dim]
        to_object = sum_by_owner(offered, target, objects, confidence)[:, -self.hidden_dim :]
        to_predicate = offered[:, self.hidden_dim : -self.hidden_dim]
        if confidence is not None:
            to_predicate = to_predicate * confidence[:, None].to(to_predicate)
        return to_subject + to_object, to_predicate


def _appearances(edges: Tensor, objects: int, weights: Tensor | None) -> Tensor:
    """How often, or by how much weight, each object is in an edge; 1 where it is in none."""
    if weights is None:
        return torch.bincount(edges.flatten(), minlength=objects).clamp(min=1)
    total = weights.new_zeros(objects).index_add(0, edges.flatten(), weights)
    return torch.where(total > 0, total, 1.0)


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
