"""Regions that overlap settle where they meet: below what is in the farther one, above what is on the nearer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scenograph.scenes.scene import Scene

HELD = frozenset({"in", "on", "standing on", "parked on"})
"""Predicates of a thing and the region that its foot is in."""
MARGIN = 0.02
"""How far below a foot a region begins, as a fraction of the canvas."""


def settle_regions(scene: Scene, movable: Sequence[bool]) -> Scene:
    """Lower the upper edges of regions that would hide what things are in.

    A layout may place the sea and a meadow over one another, with a boat in the sea: as the nearer region is laid over
    the farther one, the boat would stand on grass.

    Args:
        scene: Every object has a box.
        movable: Which boxes may change.
    """
    boxes = [thing.box for thing in scene.objects]
    held: dict[int, list[float]] = {}
    for relation in scene.relations:
        box = boxes[relation.subject]
        if relation.predicate in HELD and box is not None:
            held.setdefault(relation.object, []).append(box[3])
    for near, far in ((near, far) for near in held for far in held if near != far and movable[near]):
        one, other = boxes[near], boxes[far]
        if one is None or other is None or other[1] > one[1]:
            continue
        edge = max(held[far]) + MARGIN
        if one[1] < edge < min(held[near]) - MARGIN and edge <= other[3] and edge < one[3]:
            boxes[near] = (one[0], edge, one[2], one[3])
    objects = tuple(replace(thing, box=box) for thing, box in zip(scene.objects, boxes, strict=True))
    return replace(scene, objects=objects)
