"""The relations of a picture-book scene, in the words of sg2im's COCO loader and in those of Visual Genome."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

from scenograph.data.picture_book.compose import Placed
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import SG2IM_PREDICATES, mask_centre, sg2im_relation
from scenograph.scenes.scene import Relation, SceneObject

PREDICATES = (
    *SG2IM_PREDICATES,
    "behind",
    "in front of",
    "on",
    "standing on",
    "parked on",
    "in",
    "next to",
    "flying in",
)
"""All predicates of the world."""
VEHICLES = frozenset({"car", "bus", "truck", "motorcycle", "bicycle", "airplane"})
ANIMATE = frozenset({"person", "sheep", "cow", "horse", "dog", "cat", "elephant", "giraffe", "zebra", "bear", "bird"})
NEAR = 0.5
"""Gap between two things, in sides of the smaller one, up to which they are next to each other."""
DEEPER = 0.03
"""Difference of where two things touch the ground from which one is behind the other."""


def geometric_relations(objects: Sequence[SceneObject]) -> list[Relation]:
    """sg2im's predicate of every ordered pair of objects, regions of the ground and the sky included."""
    found = []
    for subject, other in permutations(range(len(objects)), 2):
        one, two = objects[subject], objects[other]
        assert one.box is not None and two.box is not None
        centres = mask_centre(one.box, one.mask), mask_centre(two.box, two.mask)
        found.append(Relation(subject, sg2im_relation(one.box, two.box, *centres), other))
    return found


def spoken_relations(things: Sequence[Placed], places: Sequence[str | None], regions: dict[str, int]) -> list[Relation]:
    """What a person would say: depth where two things stand near each other in the picture, contact with the ground.

    Args:
        things: Far to near; their numbers begin with 0.
        places: The category of the region that each stands, floats or flies in, if it is known.
        regions: The numbers of the regions by category.
    """
    found = []
    for number, (thing, place) in enumerate(zip(things, places, strict=True)):
        if place in regions:
            found.append(Relation(number, _contact(thing), regions[place]))
    for first, second in permutations(range(len(things)), 2):
        one, other = things[first], things[second]
        if {one.drawing.habitat, other.drawing.habitat} & {"air", "wall"}:
            continue
        if _gap(one.box, other.box) > NEAR:
            continue
        depth = other.foot - one.foot
        if abs(depth) <= DEEPER:
            found.append(Relation(first, "next to", second))
        elif _share_columns(one.box, other.box):
            found.append(Relation(first, "behind" if depth > 0 else "in front of", second))
    return found


def _contact(thing: Placed) -> str:
    """The word for where a thing is."""
    habitat, category = thing.drawing.habitat, thing.drawing.category
    if habitat == "air":
        return "in" if category == "clouds" else "flying in"
    if habitat == "water":
        return "in"
    if category in ANIMATE:
        return "standing on"
    return "parked on" if category in VEHICLES else "on"


def _gap(one: Box, other: Box) -> float:
    """Horizontal distance of two boxes in widths of the narrower one; 0 if they share a column."""
    between = max(one[0], other[0]) - min(one[2], other[2])
    return max(between, 0.0) / min(one[2] - one[0], other[2] - other[0])


def _share_columns(one: Box, other: Box) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2])
