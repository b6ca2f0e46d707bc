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
from torch.compiler import is_compiling

from scenograph.nn.convolution import Groups, Linear, bag

Pooling = Literal["avg", "sum"]
MlpNormalization = Literal["none", "batch"]
TOGETHER = 6144
"""Triples computed at once on a CPU, outside of training: the results of more of them do not fit its cache."""


def mlp(sizes: Sequence[int], normalization: MlpNormalization = "none", slope: float = 0.0) -> nn.Sequential:
    """Linear layers, each followed, the last one too, by an optional batch norm and a ReLU, as sg2im builds them.

    A ``slope`` above 0 makes the ReLUs leaky.
    """
    layers: list[nn.Module] = []
    for size_in, size_out in pairwise(sizes):
        linear = Linear(size_in, size_out)
        nn.init.kaiming_normal_(linear.weight)
        layers.append(linear)
        if normalization == "batch":
            layers.append(nn.BatchNorm1d(size_out))
        layers.append(nn.LeakyReLU(slope, inplace=True) if slope else Relu())
    return nn.Sequential(*layers)


def box_network(size: int, hidden: int, kinds: int = 1, normalization: MlpNormalization = "none") -> nn.Sequential:
    """Vectors (O, size) to boxes (O, 4 * kinds): two layers, both with a ReLU.

    The last ReLU would keep coordinates that start below zero at zero: they start near the middle of the canvas.
    """
    network = mlp([size, hidden, 4 * kinds], normalization)
    last = [layer for layer in network if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.mul_(0.05)
        last.bias.copy_(torch.tensor([0.25, 0.25, 0.75, 0.75] * kinds))
    return network


def in_float32(network: nn.Module, rows: Tensor) -> Tensor:
    """A network's result for rows (R, C) in float32, even under autocast.

    bfloat16 has only 128 numbers between a half and one: boxes on so coarse a grid touch where they should not.
    """
    with torch.autocast(rows.device.type, enabled=False):
        result: Tensor = network(rows.float())
    return result


class Relu(nn.ReLU):
    """ReLU in place. Without gradients, bfloat16 on CPUs is clamped by its bits, in a quarter of torch's time."""

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, input: Tensor) -> Tensor:
        """Any shape. The bits of a negative bfloat16 are a negative integer; NaN with a sign bit becomes zero."""
        if input.dtype != torch.bfloat16 or input.device.type != "cpu" or torch.is_grad_enabled():
            return super().forward(input)
        input.view(torch.int16).clamp_(min=0)
        return input


@dataclass(frozen=True)
class Edges:
    """The ends of a graph's triples, sorted once for the sums of all layers."""

    ends: Tensor
    """(T, 2) rows of subjects, and rows of objects plus the number of objects."""
    parts: list[tuple[slice, Groups, Groups, Tensor | None]]
    """For each set of triples computed at once: which, grouped by subject, by object, and their confidences (T',)."""
    appearances: Tensor
    """(O, 1): in how many triples each object is, weighted by confidence; 1 where it is in none."""

    @classmethod
    def of(cls, rows: Tensor, objects: int, confidence: Tensor | None = None, training: bool = False) -> Edges:
        """From the rows of subjects and objects (T, 2) among ``objects``, and confidences (T,) in [0, 1], by default 1.

        In training all triples are computed at once, because norms take statistics over them.
        """
        parts, total = [], torch.zeros((objects, 1), device=rows.device)
        for part in _parts(rows, training):
            believed = None if confidence is None else confidence[part]
            subject, target = (Groups.of(end, objects, believed) for end in rows[part].unbind(dim=1))
            ones = torch.ones((rows[part].shape[0], 1), device=rows.device)
            total = total + subject.sum(ones) + target.sum(ones)
            parts.append((part, subject, target, believed))
        ends = torch.stack([rows[:, 0], rows[:, 1] + objects], dim=1)
        return cls(ends, parts, torch.where(total > 0, total, 1.0))


def _parts(rows: Tensor, training: bool) -> list[slice]:
    """Which of the triples are computed at once."""
    if is_compiling():  # their number is not known
        return [slice(None)]
    together = TOGETHER if rows.device.type == "cpu" and not training else max(len(rows), 1)
    return [slice(start, start + together) for start in range(0, len(rows), together)]


class GraphTripleConv(nn.Module):
    """One layer: every triple computes candidate vectors for its three members; an object pools its candidates.

    ``pooling='avg'`` divides by the number of an object's appearances (a self relation counts twice), ``'sum'``
    does not. Objects in no triple pool a zero vector. Triples are weighted by confidence (Herzig, Bar et al., ECCV
    2020).
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int | None = None,
        hidden_dim: int = 512,
        pooling: Pooling = "avg",
        mlp_normalization: MlpNormalization = "none",
        predicate_dim: int | None = None,
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        output_dim = output_dim or input_dim
        self.hidden_dim, self.output_dim, self.pooling = hidden_dim, output_dim, pooling
        self.net1 = mlp(
            [2 * input_dim + (predicate_dim or input_dim), hidden_dim, 2 * hidden_dim + output_dim],
            mlp_normalization,
            slope,
        )
        self.net2 = mlp([hidden_dim, hidden_dim, output_dim], mlp_normalization, slope)

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Objects (O, Din), predicates (T, Dp) -> (O, Dout), (T, Dout)."""
        if not edges.parts:
            pooled = objects.new_zeros((objects.shape[0], self.hidden_dim))
            return self.net2(pooled), objects.new_zeros((0, self.output_dim))
        as_subject, middle, as_object = self._first_layer(objects, predicates.shape[1])
        table = torch.cat([as_subject, as_object])  # (2 O, hidden_dim)
        candidates, to_predicates = [], []
        for part, by_subject, by_object, confidence in edges.parts:
            ends = bag(table, edges.ends[part])  # (T', hidden_dim)
            # In place, also under autocast: a new tensor would cost twice as much, and more for every new T.
            outputs = self.net1[1:](ends.addmm_(predicates[part].to(ends), middle.T.to(ends)))
            # Sums over whole rows (T', 2 hidden_dim + Dout) cost less than copying the parts that are needed.
            candidates.append(by_subject.sum(outputs)[:, : self.hidden_dim])
            candidates.append(by_object.sum(outputs)[:, -self.hidden_dim :])
            to_predicate = outputs[:, self.hidden_dim : -self.hidden_dim]
            to_predicates.append(to_predicate if confidence is None else to_predicate * confidence[:, None].to(outputs))
        return self._updated(candidates, edges), torch.cat(to_predicates)

    def objects_alone(self, objects: Tensor, predicates: Tensor, kinds: Tensor, edges: Edges) -> Tensor:
        """The new objects of :meth:`forward` alone: (O, Dout), in two thirds of the time. For layers without norms.

        Predicates (P, Dp) are those of the vocabulary; each triple has one of ``kinds`` (T,).
        """
        return ObjectsAlone.of(self, predicates, Links.of(kinds, edges))(objects)

    def _first_layer(self, objects: Tensor, predicate_dim: int) -> tuple[Tensor, Tensor, Tensor]:
        """The first layer of ``net1``, split by its inputs, so that it is computed once per object, not per triple.

        Returns:
            Its outputs for the objects as subjects (O, hidden_dim), its weights for predicates (hidden_dim, Dp), and
            its outputs for the objects as objects (O, hidden_dim).
        """
        linear, width = cast(nn.Linear, self.net1[0]), objects.shape[1]
        first, middle, last = linear.weight.split([width, predicate_dim, width], dim=1)
        return F.linear(objects, first, linear.bias), middle, F.linear(objects, last)

    def _updated(self, candidates: list[Tensor], edges: Edges) -> Tensor:
        """New vectors of objects (O, Dout) from sums of candidates, each (O, hidden_dim)."""
        return self.updated(functools.reduce(torch.add, candidates), edges.appearances)

    def updated(self, pooled: Tensor, appearances: Tensor) -> Tensor:
        """New vectors of objects (O, Dout) from the sums of their candidates (O, hidden_dim)."""
        if self.pooling == "avg":
            pooled = pooled / appearances.to(pooled.dtype)
        vectors: Tensor = self.net2(pooled)
        return vectors


@dataclass(frozen=True)
class Links:
    """The triples of a graph for :class:`ObjectsAlone`, sorted once for all layers."""

    rows: Tensor
    """(T, 3) rows of subjects, of objects plus the number O of objects, and of predicates plus 2 O."""
    parts: list[tuple[slice, Groups]]
    """For each set of triples computed at once: which, and their 2 T' ends, grouped by object."""
    appearances: Tensor
    """(O, 1) as in :class:`Edges`."""

    @classmethod
    def of(cls, kinds: Tensor, edges: Edges) -> Links:
        """From the predicate of each triple (T,) and the ends of all."""
        count = edges.appearances.shape[0]
        owners = torch.stack([edges.ends[:, 0], edges.ends[:, 1] - count], dim=1)
        parts = [(part, Groups.of(owners[part].flatten(), count)) for part, *_ in edges.parts]
        return cls(torch.cat([edges.ends, kinds[:, None] + 2 * count], dim=1), parts, edges.appearances)


@dataclass(frozen=True)
class ObjectsAlone:
    """A layer that gives new objects alone, with all that does not depend on the objects computed once."""

    layer: GraphTripleConv
    links: Links
    ends: tuple[Tensor, Tensor]
    """Weight (2 hidden_dim, Din) and bias: the first layer of objects as subjects, then as objects."""
    offers: tuple[Tensor, Tensor]
    """Weight (2 hidden_dim, hidden_dim) and bias: the second layer's candidates for subjects, then for objects."""
    relations: Tensor
    """(P, hidden_dim): the first layer of predicates."""

    @classmethod
    def of(cls, layer: GraphTripleConv, predicates: Tensor, links: Links) -> ObjectsAlone:
        """From a layer without norms, the predicates (P, Dp) of the vocabulary, and a graph's triples."""
        linear, second = cast(nn.Linear, layer.net1[0]), cast(nn.Linear, layer.net1[2])
        size, width = layer.hidden_dim, (linear.weight.shape[1] - predicates.shape[1]) // 2
        first, middle, last = linear.weight.split([width, predicates.shape[1], width], dim=1)
        ends = torch.cat([first, last]), torch.cat([linear.bias, torch.zeros_like(linear.bias)])
        offers = (torch.cat([values[:size], values[-size:]]) for values in (second.weight, second.bias))
        return cls(layer, links, ends, cast(tuple[Tensor, Tensor], tuple(offers)), F.linear(predicates, middle))

    def __call__(self, objects: Tensor) -> Tensor:
        """Objects (O, Din) -> (O, Dout)."""
        links, size = self.links, self.layer.hidden_dim
        pooled = objects.new_zeros((objects.shape[0], size))
        if links.parts:
            # (O, 2 hidden_dim) -> (O, hidden_dim) twice -> (2 O + P, hidden_dim)
            table = torch.cat([*F.linear(objects, *self.ends).split(size, dim=1), self.relations])
            sums = []
            for part, owners in links.parts:
                hidden = self.layer.net1[1](bag(table, links.rows[part]))  # (T', hidden_dim)
                offered = self.layer.net1[3](F.linear(hidden, *self.offers))
                sums.append(owners.sum(offered.view(-1, size)))  # (T', 2 hidden_dim) -> (2 T', hidden_dim)
            pooled = functools.reduce(torch.add, sums)
        return self.layer.updated(pooled, links.appearances)


class LeakyGraphTripleConv(GraphTripleConv):
    """PasteGAN's layer (Li et al., NeurIPS 2019): leaky ReLUs, and none before what triples compute is summed."""

    def __init__(
        self, input_dim: int, output_dim: int | None = None, hidden_dim: int = 512, pooling: Pooling = "avg"
    ) -> None:
        super().__init__(input_dim, output_dim, hidden_dim, pooling)
        first, _, second, _ = self.net1
        third, _, fourth, _ = self.net2
        self.net1 = nn.Sequential(first, nn.LeakyReLU(inplace=True), second)
        self.net2 = nn.Sequential(
            nn.LeakyReLU(inplace=True), third, nn.LeakyReLU(inplace=True), fourth, nn.LeakyReLU(inplace=True)
        )

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """As :meth:`GraphTripleConv.forward`."""
        vectors, relations = super().forward(objects, predicates, edges)
        return vectors, F.leaky_relu(relations)


class GraphTripleConvNet(nn.Module):
    """A stack of layers of one width."""

    def __init__(
        self,
        input_dim: int,
        num_layers: int,
        hidden_dim: int = 512,
        pooling: Pooling = "avg",
        mlp_normalization: MlpNormalization = "none",
        slope: float = 0.0,
    ) -> None:
        super().__init__()
        self.gconvs = nn.ModuleList(
            GraphTripleConv(input_dim, None, hidden_dim, pooling, mlp_normalization, slope=slope)
            for _ in range(num_layers)
        )

    def forward(self, objects: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """As :meth:`GraphTripleConv.forward`, layer after layer."""
        for layer in self.gconvs:
            objects, predicates = layer(objects, predicates, edges)
        return objects, predicates
