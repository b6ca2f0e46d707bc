"""How well a scene answers a query: its objects one to one with the query's, then the query's relations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from scenograph.retrieval.scene_vectors import place_features
from scenograph.scenes.geometry import relation_holds
from scenograph.scenes.scene import Relation, Scene, SceneObject

SAME = 0.4
"""Likeness of two objects of one category of which nothing else agrees; the rest is where they are, or unknown."""
RELATIONS = 0.4
"""How much the query's relations count beside its objects."""
EXTRA = 0.05
"""How much a scene loses at most for objects that the query lacks."""


@dataclass(frozen=True)
class Match:
    """A scene compared with a query."""

    score: float
    """In [0, 1]."""
    pairs: tuple[tuple[int, int, float], ...]
    """The query's objects, the scene's, and how alike they are, in (0, 1]."""
    broken: tuple[Relation, ...] = ()
    """The query's relations that the scene does not show."""


def match(query: Scene, scene: Scene, weights: Mapping[str, float]) -> Match:
    """Compare a scene with a query.

    Args:
        query: Boxes, attributes and relations as far as they are asked for.
        scene: With boxes.
        weights: Of categories, how telling they are; by default 1.
    """
    importance = np.array([weights.get(thing.category, 1.0) for thing in query.objects])
    likeness = np.array([[alike(one, other) for other in scene.objects] for one in query.objects])
    likeness = likeness.reshape(len(query.objects), len(scene.objects))
    rows, columns = linear_sum_assignment(likeness * importance[:, None], maximize=True)
    pairs = tuple(
        (int(row), int(column), float(likeness[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if likeness[row, column] > 0
    )
    found = sum(importance[row] * value for row, _, value in pairs) / max(importance.sum(), 1e-9)
    places = {row: column for row, column, _ in pairs}
    broken = tuple(one for one in query.relations if not _shows(scene, one, places))
    if query.relations:
        found = (1 - RELATIONS) * found + RELATIONS * (1 - len(broken) / len(query.relations))
    extra = len(scene.objects) - len(pairs)
    return Match(float(found) * (1 - EXTRA * extra / max(len(scene.objects), 1)), pairs, broken)


def alike(one: SceneObject, other: SceneObject) -> float:
    """Likeness of a query's object and a scene's, in [0, 1]; 0 for other categories.

    What the query leaves open, such as the box, does not count.
    """
    if one.category != other.category:
        return 0.0
    parts = []
    if one.box is not None and other.box is not None:
        apart = place_features(one.box) - place_features(other.box)
        parts.append(float(np.exp(-apart @ apart / 2)))
    asked = [name for name in one.attributes if name is not None]
    if asked:
        parts.append(float(np.mean([name in other.attributes for name in asked])))
    return SAME + (1 - SAME) * (float(np.mean(parts)) if parts else 1.0)


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
