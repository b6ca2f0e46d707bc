"""How well a scene answers a query: its objects one to one with the query's, then the query's relations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scenograph.retrieval.scene_vectors import meaning, place_features
from scenograph.scenes.geometry import relation_holds
from scenograph.scenes.scene import Relation, Scene, SceneObject

SAME = 0.4
"""Likeness of two objects of one category of which nothing else agrees."""
RELATIONS = 0.4
"""How much the query's relations count beside its objects."""
EXTRA = 0.05
"""How much a scene loses at most for objects that the query lacks."""
ROUNDS = 8
"""Most objects of a query that change places so that relations hold."""


@dataclass(frozen=True)
class Match:
    """A scene compared with a query."""

    score: float
    """In [0, 1]."""
    pairs: tuple[tuple[int, int, float], ...]
    """The query's objects, the scene's, and how alike they are, in (0, 1]."""
    broken: tuple[Relation, ...] = ()
    """The query's relations that the scene does not show."""


def match(query: Scene, scene: Scene, weights: Mapping[str, float], looks: np.ndarray | None = None) -> Match:
    """Compare a scene with a query.

    Args:
        query: Boxes, attributes and relations as far as they are asked for.
        scene: With boxes.
        weights: Of the query's categories, how telling they are; by default 1.
        looks: How alike their objects look, (Q, S) in [0, 1]; NaN where nobody knows, which does not count.
    """
    from scipy.optimize import linear_sum_assignment  # comes with the extra that opening an index asks for

    importance = np.array([weights.get(thing.category, 1.0) for thing in query.objects])
    likeness = alike(query.objects, scene.objects, looks)
    total = max(float(importance.sum()), 1e-9)

    def scored(places: dict[int, int]) -> tuple[float, tuple[Relation, ...]]:
        found = sum(importance[row] * likeness[row, column] for row, column in places.items()) / total
        broken = tuple(one for one in query.relations if not _shows(scene, one, places))
        if query.relations:
            found = (1 - RELATIONS) * found + RELATIONS * (1 - len(broken) / len(query.relations))
        return float(found), broken

    rows, columns = linear_sum_assignment(likeness * importance[:, None], maximize=True)
    places = {int(row): int(column) for row, column in zip(rows, columns, strict=True) if likeness[row, column] > 0}
    best, broken = scored(places)
    for _ in range(ROUNDS if broken else 0):  # another object of the category may stand where relations want it
        changed = False
        for other in _changes(places, likeness):
            value, now = scored(other)
            if value > best + 1e-9:
                places, best, broken, changed = other, value, now, True
                break
        if not changed or not broken:
            break
    pairs = tuple((row, column, float(likeness[row, column])) for row, column in sorted(places.items()))
    extra = len(scene.objects) - len(pairs)
    return Match(best * (1 - EXTRA * extra / max(len(scene.objects), 1)), pairs, broken)


def _changes(places: Mapping[int, int], likeness: np.ndarray) -> Iterator[dict[int, int]]:
    """Assignments in which one object of the query has another place, exchanged with who has that, if anybody."""
    holders = {column: row for row, column in places.items()}
    for row, place in places.items():
        for column in np.flatnonzero(likeness[row]).tolist():
            holder = holders.get(column)
            if column == place or (holder is not None and not likeness[holder, place]):
                continue
            yield {**places, **({} if holder is None else {holder: place}), row: column}


def alike(query: Sequence[SceneObject], scene: Sequence[SceneObject], looks: np.ndarray | None = None) -> np.ndarray:
    """Likeness of a query's objects and a scene's: (Q, S) in [0, 1], 0 for other categories.

    It is ``SAME`` and, of the rest, the mean of how far places, looks and attributes agree. What the query leaves open,
    such as a box, does not count; what the scene leaves open does not agree.
    """
    same = np.array([[meaning(one.category) == meaning(other.category) for other in scene] for one in query], bool)
    same = same.reshape(len(query), len(scene))
    asked = _features(query)[:, None]
    near = np.exp(-np.square(asked - _features(scene)[None]).sum(axis=2) / 2)  # (Q, 1, 4), (1, S, 4) -> (Q, S)
    parts = [np.where(np.isnan(asked[..., 0]), np.nan, np.nan_to_num(near))]
    if looks is not None:
        parts.append(looks)
    if any(one.attributes for one in query):
        parts.append(np.array([[_shared(one, other) for other in scene] for one in query]).reshape(same.shape))
    values = np.stack(parts)
    known = ~np.isnan(values)
    rest = np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    rest[~known.any(axis=0)] = 1
    return same * (SAME + (1 - SAME) * rest)


def _features(objects: Sequence[SceneObject]) -> np.ndarray:
    """(N, 4), NaN for objects without a box."""
    boxes = [(np.nan,) * 4 if thing.box is None else thing.box for thing in objects]
    return place_features(np.array(boxes, dtype=np.float64).reshape(-1, 4))


def _shared(one: SceneObject, other: SceneObject) -> float:
    """The share of an object's attributes that another one has; NaN if it has none."""
    return sum(name in other.attributes for name in one.attributes) / len(one.attributes) if one.attributes else np.nan


def _shows(scene: Scene, relation: Relation, places: Mapping[int, int]) -> bool:
    """Whether the objects found in a scene stand in a relation: it is stored, or their boxes show it."""
    subject, target = places.get(relation.subject), places.get(relation.object)
    if subject is None or target is None:
        return False
    if any(
        (one.subject, one.predicate, one.object) == (subject, relation.predicate, target) for one in scene.relations
    ):
        return True
    boxes = [scene.objects[index].box for index in (subject, target)]
    if None in boxes:
        return False
    holds = relation_holds(relation.predicate, *(np.array(box) for box in boxes))
    return holds is not None and bool(holds)
