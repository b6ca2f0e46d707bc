"""Equivalent graphs: what relations imply, the fewest that imply all others, and the relations that boxes show.

All of it is deterministic; the sampled part of canonical scene graphs is in :mod:`scenograph.models.wsgc`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import CONVERSES, MEASURES
from scenograph.scenes.scene import Relation, Scene, with_places
from scenograph.scenes.text import relation_to_text
from scenograph.scenes.vocabulary import Vocabulary

LOCATIONS = ("below", "above", "left of", "right of", "inside", "surrounding")
"""The predicates of :func:`location_relations`, in the order of its result."""

NAMED = 5
"""Relations that a warning names at most."""

FARTHEST = 0.9
"""Backward edges longer than this fraction of the longest one are removed together."""

log = logging.getLogger(__name__)


def with_locations(vocabulary: Vocabulary) -> Vocabulary:
    """A vocabulary with the predicates of location graphs that it lacks added at the end."""
    return replace(vocabulary, predicates=tuple(dict.fromkeys((*vocabulary.predicates, *LOCATIONS))))


def closure(adjacency: Tensor) -> Tensor:
    """The transitive closures of graphs (..., n, n) bool; in a cycle every member also reaches itself."""
    reached = adjacency.float()
    rounds = max(adjacency.shape[-1] - 1, 1).bit_length()  # each doubles the length of the paths that count
    for _ in range(rounds):
        reached = (reached @ reached + reached).clamp_(max=1)
    return reached > 0


def reduction(adjacency: Tensor) -> Tensor:
    """The smallest graphs with the same closures, (..., n, n) bool; exact for graphs without cycles (Hsu 1975)."""
    kept = closure(adjacency)
    if not kept.diagonal(dim1=-2, dim2=-1).any():
        return kept & ~redundant(kept, kept)
    if kept.ndim > 2:
        return torch.stack([reduction(graph) for graph in adjacency])
    for middle in range(len(kept)):
        for start in range(len(kept)):
            if kept[start, middle]:
                kept[start] &= ~kept[middle]
    return kept


def redundant(edges: Tensor, reached: Tensor) -> Tensor:
    """The edges of graphs (..., n, n) bool that longer paths imply, given the graphs' closures.

    Without them the closures are the same. Edges within a cycle, which contradict each other, are not among them.
    """
    ordered = (reached & ~reached.mT).float()
    return edges & (ordered @ ordered > 0)


def outvoted(votes: Tensor) -> Tensor:
    """The edges of graphs (..., n, n) bool that close cycles and that the others outvote.

    ``votes`` (..., n, n) counts how often each edge is stated. Least squares ranks the members of a cycle so that each
    edge leads about one place forward, weighted by its votes (statistical ranking: Jiang, Lim, Yao and Ye 2011). The
    edges that lead farthest backward are removed until none leads backward; the cycles that remain are undecided.
    """
    edges = votes > 0
    while True:
        reached = closure(edges)
        cyclic = edges & reached.mT
        if not cyclic.any():
            break
        weights = (votes * cyclic).double()
        both = weights + weights.mT
        same = (reached & reached.mT | torch.eye(edges.shape[-1], dtype=torch.bool, device=edges.device)).double()
        equations = torch.diag_embed(both.sum(dim=-1)) - both + same  # the places in each cycle sum to 0
        places = torch.linalg.solve(equations, weights.sum(dim=-2) - weights.sum(dim=-1))
        steps = torch.where(cyclic, places[..., None, :] - places[..., :, None], 0.0)
        farthest = steps.amin(dim=(-2, -1), keepdim=True)
        wrong = cyclic & (steps < -1e-6) & (steps < FARTHEST * farthest)
        if not wrong.any():
            break
        edges &= ~wrong
    return (votes > 0) & ~edges


def agreed(scenes: Sequence[Scene], say: bool = True) -> list[Scene]:
    """Scenes without relations that others outvote. With ``say``, warns of them and of undecided contradictions."""
    result = []
    for scene, where in with_places(scenes):
        left_out, undecided = contradictions(scene.relations)
        for found, kind in (
            (left_out, "contradict others and are left out"),
            (undecided, "contradict each other, so that not all can hold"),
        ):
            if found and say:
                named = "; ".join(relation_to_text(scene, number) for number in found[:NAMED])
                more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
                log.warning("%srelationships %s: %s%s", where, kind, named, more)
        gone = set(left_out)
        result.append(replace(scene, relations=tuple(r for i, r in enumerate(scene.relations) if i not in gone)))
    return result


def contradictions(relations: Sequence[Relation]) -> tuple[list[int], list[int]]:
    """Find spatial relations that contradict each other.

    Each predicate is considered together with its converse, and apart from all others.

    Args:
        relations: Of one scene.

    Returns:
        The numbers of relations that others outvote, and of those whose contradictions are undecided.
    """
    forwards = [_forward(relation, CONVERSES) for relation in relations]
    names, votes = _spatial_votes(forwards)
    wrong = outvoted(votes)
    left = (votes > 0) & ~wrong
    parts = []
    for edges in (wrong, left & closure(left).mT):
        named = dict(zip(names, edges.tolist(), strict=True))
        found = [i for i, r in enumerate(forwards) if r.predicate in named and named[r.predicate][r.subject][r.object]]
        parts.append(found)
    return parts[0], parts[1]


def turned(relation: Relation) -> Relation | None:
    """The same relation from the object's side; None where no converse is known."""
    converse = CONVERSES.get(relation.predicate)
    return None if converse is None else Relation(relation.object, converse, relation.subject)


def complete(relations: Collection[Relation], predicates: Collection[str] = CONVERSES) -> list[Relation]:
    """Add all that spatial relations imply, converses included.

    This is the canonical form of a graph (Herzig et al. 2020): equivalent graphs without contradictions become equal.

    Args:
        relations: Of one scene.
        predicates: Names that may be used for converses.

    Returns:
        The relations and all that they imply, each once, sorted.
    """
    converses = {said for said in map(turned, relations) if said is not None and said.predicate in predicates}
    both = _sorted({*relations, *converses})
    return _sorted({*both, *implied(both)})


def fewest(relations: Iterable[Relation], predicates: Collection[str] = CONVERSES) -> list[Relation]:
    """Leave out converses, and relations that others imply.

    Args:
        relations: Of one scene.
        predicates: Of each pair of converses the one in :data:`~scenograph.scenes.geometry.MEASURES` is used, such as
            left of, above or inside, where this has it.

    Returns:
        The fewest relations that imply all others, sorted.
    """
    return minimal(_sorted({_forward(relation, predicates) for relation in relations}))


def implied(relations: Sequence[Relation]) -> list[Relation]:
    """The further relations that spatial ones imply by transitivity."""
    names, votes = _spatial_votes(relations)
    edges = votes > 0
    more = closure(edges) & ~edges & ~torch.eye(edges.shape[-1], dtype=torch.bool)
    return [Relation(a, names[name], b) for name, a, b in more.nonzero().tolist()]


def minimal(relations: Sequence[Relation]) -> list[Relation]:
    """The relations without spatial ones that others imply; contradictory ones stay."""
    names, votes = _spatial_votes(relations)
    edges = votes > 0
    gone = dict(zip(names, redundant(edges, closure(edges)).tolist(), strict=True))
    return [r for r in relations if r.predicate not in gone or not gone[r.predicate][r.subject][r.object]]


def location_relations(boxes: Sequence[Box], centres: Sequence[tuple[float, float]]) -> list[Relation]:
    """The minimal location graph over all ordered pairs, as Canonical Sg2Im's loaders make it.

    Centres decide left, right, above and below, both axes for every pair. For inside and surrounding the published code
    compares upper left corners and middles of boxes instead of opposite corners, which is kept.
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


def _forward(relation: Relation, predicates: Collection[str]) -> Relation:
    """The relation's converse, if ``MEASURES`` and the predicates have it; otherwise the relation."""
    said = turned(relation)
    return said if said is not None and said.predicate in MEASURES and said.predicate in predicates else relation


def _sorted(relations: Iterable[Relation]) -> list[Relation]:
    return sorted(relations, key=lambda r: (r.subject, r.predicate, r.object))


def _spatial_votes(relations: Sequence[Relation]) -> tuple[list[str], Tensor]:
    """The spatial predicates that occur, and for each a graph (n, n): how often each edge is stated."""
    names = sorted({relation.predicate for relation in relations} & set(CONVERSES))
    size = 1 + max((max(r.subject, r.object) for r in relations), default=-1)
    votes = torch.zeros((len(names), size, size))
    number = {name: k for k, name in enumerate(names)}
    found = [(number[r.predicate], r.subject, r.object) for r in relations if r.predicate in number]
    if found:
        votes.index_put_(tuple(torch.tensor(found).T), torch.ones(len(found)), accumulate=True)
    return names, votes
