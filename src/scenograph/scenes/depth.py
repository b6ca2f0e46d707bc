"""Which objects of a picture are nearer, for renderers that lay one over another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NEARER = frozenset({"in front of", "on", "standing on", "parked on", "inside"})
"""Predicates whose subject lies over their object."""
FARTHER = frozenset({"behind", "in", "riding", "holding", "surrounding"})
"""Predicates whose object lies over their subject."""
STEP = 1e-6
"""How much nearer an object becomes than the one that it has to lie over."""


def depth_order(depths: Sequence[float], relations: Iterable[tuple[int, str, int]]) -> list[int]:
    """The objects of a picture, the farthest first.

    Args:
        depths: Of each object, larger is nearer; the lower edge of its box, say, because nearer things reach lower.
        relations: Subject, predicate, object. Where they say which is nearer, they win over the depths.
    """
    pairs = [(other, one) if name in FARTHER else (one, other) for one, name, other in relations if name in _ORDERED]
    nearness = list(depths)
    for _ in nearness:  # a chain is as long as there are objects; a circle would never end
        for near, far in pairs:
            nearness[near] = max(nearness[near], nearness[far] + STEP)
    return sorted(range(len(nearness)), key=nearness.__getitem__)


_ORDERED = NEARER | FARTHER
