"""Graphs that mean the same: what relations imply, the fewest that say as much, and the relations that boxes show.

Pure algebra, without any chance: the sampled part of canonical scene graphs is in :mod:`scenograph.models.wsgc`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.scene import Box, Relation
from scenograph.scenes.vocabulary import Vocabulary

LOCATIONS = ("below", "above", "left of", "right of", "inside", "surrounding")
"""What :func:`location_relations` can say, in the order it says it."""


def with_locations(vocabulary: Vocabulary) -> Vocabulary:
    """The names, and the predicates of location graphs that they lack, at the end."""
    missing = tuple(name for name in LOCATIONS if name not in vocabulary.predicates)
    return replace(vocabulary, predicates=(*vocabulary.predicates, *missing))


def closure(adjacency: np.ndarray) -> np.ndarray:
    """The transitive closure of a graph (n, n) bool; in a cycle every member also reaches itself (Warshall 1962)."""
    reached: np.ndarray = adjacency.astype(bool).copy()
    for middle in range(len(reached)):
        reached |= np.outer(reached[:, middle], reached[middle])
    return reached


def reduction(adjacency: np.ndarray) -> np.ndarray:
    """The smallest graph with the same closure (Hsu 1975); exact for graphs without cycles."""
    kept = closure(adjacency)
    for middle in range(len(kept)):
        for start in range(len(kept)):
            if kept[start, middle]:
                kept[start] &= ~kept[middle]
    return kept


def implied(relations: Sequence[Relation]) -> list[Relation]:
    """What spatial relations imply by transitivity, beyond themselves: left of what is left of, and so on."""
    result = []
    for predicate in sorted({relation.predicate for relation in relations} & set(CONVERSES)):
        edges = _adjacency(relations, predicate)
        more = closure(edges) & ~edges & ~np.eye(len(edges), dtype=bool)
        result += [Relation(int(a), predicate, int(b)) for a, b in np.argwhere(more)]
    return result


def minimal(relations: Sequence[Relation]) -> list[Relation]:
    """The relations without spatial ones that others imply."""
    kept = set()
    for predicate in {relation.predicate for relation in relations} & set(CONVERSES):
        kept |= {(int(a), predicate, int(b)) for a, b in np.argwhere(reduction(_adjacency(relations, predicate)))}
    return [r for r in relations if r.predicate not in CONVERSES or (r.subject, r.predicate, r.object) in kept]


def location_relations(boxes: Sequence[Box], centres: Sequence[tuple[float, float]]) -> list[Relation]:
    """The minimal location graph over all ordered pairs, as Canonical Sg2Im's loaders make it.

    Centres decide left, right, above and below, both axes for every pair. What its code calls inside and
    surrounding compares upper left corners and middles of boxes, not far corners: kept as published.
    """
    found: dict[str, list[tuple[int, int]]] = {name: [] for name in LOCATIONS}
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        for j, (ox0, oy0, ox1, oy1) in enumerate(boxes):
            if i == j:
                continue
            middle, other = ((x0 + x1) / 2, (y0 + y1) / 2), ((ox0 + ox1) / 2, (oy0 + oy1) / 2)
            if x0 < ox0 and middle[0] > other[0] and y0 < oy0 and middle[1] > other[1]:
                found["surrounding"].append((i, j))
            elif x0 > ox0 and middle[0] < other[0] and y0 > oy0 and middle[1] < other[1]:
                found["inside"].append((i, j))
            else:
                dx, dy = centres[i][0] - centres[j][0], centres[i][1] - centres[j][1]
                if dx:
                    found["right of" if dx > 0 else "left of"].append((i, j))
                if dy:
                    found["below" if dy > 0 else "above"].append((i, j))
    relations = []
    for name in LOCATIONS:
        if len(found[name]) < 3:
            relations += [Relation(i, name, j) for i, j in found[name]]
            continue
        edges = np.zeros((len(boxes), len(boxes)), dtype=bool)
        edges[tuple(np.array(found[name]).T)] = True
        relations += [Relation(int(i), name, int(j)) for i, j in np.argwhere(reduction(edges))]
    return relations


def _adjacency(relations: Sequence[Relation], predicate: str) -> np.ndarray:
    size = 1 + max((max(r.subject, r.object) for r in relations), default=-1)
    edges = np.zeros((size, size), dtype=bool)
    for relation in relations:
        if relation.predicate == predicate:
            edges[relation.subject, relation.object] = True
    return edges
