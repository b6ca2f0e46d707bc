"""The relations of a picture-book scene, in the words of sg2im's COCO loader and in those of Visual Genome."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
    "riding",
    "holding",
    "under",
)
"""All predicates of the world."""
VEHICLES = frozenset({"car", "bus", "truck", "motorcycle", "bicycle", "airplane"})
ANIMATE = frozenset({"person", "sheep", "cow", "horse", "dog", "cat", "elephant", "giraffe", "zebra", "bear", "bird"})
WAYS = frozenset({"sea", "river", "water-other", "road", "railroad"})
"""Regions that things stand next to: waters and ways."""
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


def spoken_relations(
    things: Sequence[Placed],
    places: Sequence[str | None],
    ways: Sequence[Collection[str]],
    regions: Mapping[str, int],
) -> list[Relation]:
    """What a person would say: contact with the ground, guests with their hosts, and how near things are to each other.

    Args:
        things: Far to near; their numbers follow those of the regions.
        places: The category of the region that each stands, floats or flies in, if it is known.
        ways: The other :data:`WAYS` near the foot of each.
        regions: The numbers of the regions by category.
    """
    found, offset = [], len(regions)
    numbered = dict(enumerate(things, start=offset))
    for (number, thing), place, near in zip(numbered.items(), places, ways, strict=True):
        if place is not None and place in regions and not thing.carried:
            found.append(Relation(number, _contact(thing), regions[place]))
        for way in sorted(near):
            found += [Relation(number, "next to", regions[way]), Relation(regions[way], "next to", number)]
        if thing.pair is not None and thing.host is not None:
            host = thing.host + offset
            first, second = (host, number) if thing.pair.predicate == "holding" else (number, host)
            found.append(Relation(first, thing.pair.predicate, second))
    standing = {
        number: thing
        for number, thing in numbered.items()
        if thing.drawing.habitat not in ("air", "wall") and not thing.carried
    }
    for first, second in permutations(standing, 2):
        one, other = standing[first], standing[second]
        if second - offset == one.host or first - offset == other.host:
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
