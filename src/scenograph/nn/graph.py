"""Graph convolution over (subject, predicate, object) triples (Johnson et al., CVPR 2018, section 3)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import Groups, Linear

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


@dataclass(frozen=True)
class Edges:
    """The ends of a graph's triples, sorted for the sums that every layer takes: found once for all layers."""

    ends: Tensor
    """(T, 2) rows of subjects, and of objects, counted from the number of objects on."""
    parts: list[tuple[slice, Groups, Groups, Tensor | None]]
    """The triples that are done at once: which, by subject, by object, and how much each is believed (T',)."""
    appearances: Tensor
    """(O, 1): in how many triples, or by how much belief, each object is; 1 where it is in none."""

    @classmethod
    def of(cls, rows: Tensor, objects: int, confidence: Tensor | None = None, training: bool = False) -> Edges:
        """From rows of subjects and objects (T, 2), the number of objects, and beliefs (T,) in [0, 1], all 1 if None.

        In training norms see all triples at once.
        """
        together = TOGETHER if rows.device.type == "cpu" and not training else max(len(rows), 1)
        parts, total = [], torch.zeros((objects, 1), device=rows.device)
        for start in range(0, len(rows), together):
            part = slice(start, start + together)
            believed = None if confidence is None else confidence[part]
            subject, target = (Groups.of(end, objects, believed) for end in rows[part].unbind(dim=1))
            ones = torch.ones((len(rows[part]), 1), device=rows.device)
            total = total + subject.sum(ones) + target.sum(ones)
            parts.append((part, subject, target, believed))
        ends = torch.stack([rows[:, 0], rows[:, 1] + objects], dim=1)
        return cls(ends, parts, torch.where(total > 0, total, 1.0))


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

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Objects (O, Din), predicates (T, Dp) -> (O, Dout), (T, Dout)."""
        if not edges.parts:
            pooled = objects.new_zeros((len(objects), self.hidden_dim))
            return self.net2(pooled), objects.new_zeros((0, self.output_dim))
        as_subject, middle, as_object = self._first_layer(objects, predicates.shape[1])
        table = torch.cat([as_subject, as_object])
        offers, to_predicates = [], []
        for part, by_subject, by_object, confidence in edges.parts:
            ends = F.embedding_bag(edges.ends[part], table, mode="sum")
            # In place, which autocast leaves alone: a new sum would cost twice as much, and more for every new T.
            offered = self.net1[1:](ends.addmm_(predicates[part].to(ends), middle.T.to(ends)))
            # Sums over whole rows cost less than copying the parts that are needed.
            offers.append(by_subject.sum(offered)[:, : self.hidden_dim])
            offers.append(by_object.sum(offered)[:, -self.hidden_dim :])
            to_predicate = offered[:, self.hidden_dim : -self.hidden_dim]
            to_predicates.append(to_predicate if confidence is None else to_predicate * confidence[:, None].to(offered))
        return self._updated(offers, edges), torch.cat(to_predicates)

    def objects_alone(self, objects: Tensor, predicates: Tensor, kinds: Tensor, edges: Edges) -> Tensor:
        """The first part of what :meth:`forward` gives, two thirds of its work: (O, Dout). Of layers without norms.

        Predicates (P, Dp), of which each triple has one of ``kinds`` (T,).
        """
        if not edges.parts:
            return self.net2(objects.new_zeros((len(objects), self.hidden_dim)))
        as_subject, middle, as_object = self._first_layer(objects, predicates.shape[1])
        table = torch.cat([as_subject, as_object, F.linear(predicates, middle)])
        second, hidden_dim = cast(nn.Linear, self.net1[2]), self.hidden_dim
        rows = torch.cat([edges.ends, kinds[:, None] + 2 * len(objects)], dim=1)
        offers = []
        for part, by_subject, by_object, _ in edges.parts:
            hidden = self.net1[1](F.embedding_bag(rows[part], table, mode="sum"))
            for owners, outputs in ((by_subject, slice(hidden_dim)), (by_object, slice(-hidden_dim, None))):
                offers.append(owners.sum(self.net1[3](F.linear(hidden, second.weight[outputs], second.bias[outputs]))))
        return self._updated(offers, edges)

    def _first_layer(self, objects: Tensor, predicate_dim: int) -> tuple[Tensor, Tensor, Tensor]:
        """What ``net1``'s first layer makes of each object as a subject, its weights for predicates, and as an object.

        So it is done once for all triples.
        """
        linear, width = cast(nn.Linear, self.net1[0]), objects.shape[1]
        first, middle, last = linear.weight.split([width, predicate_dim, width], dim=1)
        return F.linear(objects, first, linear.bias), middle, F.linear(objects, last)

    def _updated(self, offers: list[Tensor], edges: Edges) -> Tensor:
        """New vectors of objects from what they are offered, each (O, hidden_dim)."""
        pooled = functools.reduce(torch.add, offers)
        if self.pooling == "avg":
            pooled = pooled / edges.appearances.to(pooled.dtype)
        vectors: Tensor = self.net2(pooled)
        return vectors


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

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """As :meth:`GraphTripleConv.forward`, layer after layer."""
        for layer in self.gconvs:
            objects, predicates = layer(objects, predicates, edges)
        return objects, predicates
