"""Graphs that mean the same: what relations imply, the fewest that say as much, and the relations that boxes show.

Pure algebra, without any chance: the sampled part of canonical scene graphs is in :mod:`scenograph.models.wsgc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.scene import Box, Relation
from scenograph.scenes.vocabulary import Vocabulary

LOCATIONS = ("below", "above", "left of", "right of", "inside", "surrounding")
"""What :func:`location_relations` can say, in the order it says it."""


def with_locations(vocabulary: Vocabulary) -> Vocabulary:
    """The names, and the predicates of location graphs that they lack, at the end."""
    missing = tuple(name for name in LOCATIONS if name not in vocabulary.predicates)
    return replace(vocabulary, predicates=(*vocabulary.predicates, *missing))


def closure(adjacency: Tensor) -> Tensor:
    """The transitive closures of graphs (..., n, n) bool; in a cycle every member also reaches itself."""
    reached = adjacency.float()
    for _ in range(
        max(adjacency.shape[-1] - 1, 1).bit_length()
    ):  # each round doubles the length of the ways that count
        reached = (reached @ reached + reached).clamp_(max=1)
    return reached > 0


def reduction(adjacency: Tensor) -> Tensor:
    """The smallest graphs with the same closures, (..., n, n) bool; exact for graphs without cycles (Hsu 1975)."""
    kept = closure(adjacency)
    if not kept.diagonal(dim1=-2, dim2=-1).any():  # what has a way with a stop in between is not needed
        ways = kept.float()
        return kept & (ways @ ways == 0)
    if kept.ndim > 2:
        return torch.stack([reduction(graph) for graph in adjacency])
    for middle in range(len(kept)):
        for start in range(len(kept)):
            if kept[start, middle]:
                kept[start] &= ~kept[middle]
    return kept


def implied(relations: Sequence[Relation]) -> list[Relation]:
    """What spatial relations imply by transitivity, beyond themselves: left of what is left of, and so on."""
    names, edges = _spatial_edges(relations)
    more = closure(edges) & ~edges & ~torch.eye(edges.shape[-1], dtype=torch.bool)
    return [Relation(a, names[name], b) for name, a, b in more.nonzero().tolist()]


def minimal(relations: Sequence[Relation]) -> list[Relation]:
    """The relations without spatial ones that others imply."""
    names, edges = _spatial_edges(relations)
    kept = dict(zip(names, reduction(edges).tolist(), strict=True))
    return [r for r in relations if r.predicate not in kept or kept[r.predicate][r.subject][r.object]]


def location_relations(boxes: Sequence[Box], centres: Sequence[tuple[float, float]]) -> list[Relation]:
    """The minimal location graph over all ordered pairs, as Canonical Sg2Im's loaders make it.

    Centres decide left, right, above and below, both axes for every pair. What its code calls inside and
    surrounding compares upper left corners and middles of boxes, not far corners: kept as published.
    """
    if not boxes:
        return []
    corners, places = np.array(boxes)[:, :2], np.array(centres)
    middles = (corners + np.array(boxes)[:, 2:]) / 2
    before, beyond, off = (part[:, None] - part[None] for part in (corners, middles, places))  # (n, n, x and y)
    surrounding = ((before < 0) & (beyond > 0)).all(axis=2)
    beside = ~(surrounding | surrounding.T)
    right, below = off[..., 0] > 0, off[..., 1] > 0
    found = {"below": below & beside, "above": below.T & beside, "left of": right.T & beside,
             "right of": right & beside, "inside": surrounding.T, "surrounding": surrounding}  # fmt: skip
    edges = reduction(torch.from_numpy(np.stack([found[name] for name in LOCATIONS])))
    return [Relation(i, LOCATIONS[name], j) for name, i, j in edges.nonzero().tolist()]


def _spatial_edges(relations: Sequence[Relation]) -> tuple[list[str], Tensor]:
    """The spatial predicates that occur, and a graph (n, n) bool of each."""
    names = sorted({relation.predicate for relation in relations} & set(CONVERSES))
    size = 1 + max((max(r.subject, r.object) for r in relations), default=-1)
    edges = torch.zeros((len(names), size, size), dtype=torch.bool)
    number = {name: k for k, name in enumerate(names)}
    found = [(number[r.predicate], r.subject, r.object) for r in relations if r.predicate in number]
    if found:
        edges[tuple(torch.tensor(found).T)] = True
    return names, edges
