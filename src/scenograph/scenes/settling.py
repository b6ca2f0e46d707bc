"""Regions that overlap settle where they meet: below what is in the farther one, above what is on the nearer one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import relation_holds
from scenograph.scenes.scene import Scene

HELD = frozenset({"in", "on", "standing on", "parked on"})
"""Predicates of a thing and the region that its foot is in."""
MARGIN = 0.02
"""How far below a foot a region begins, as a fraction of the canvas."""


def settle_regions(scene: Scene, movable: Sequence[bool]) -> Scene:
    """Lower the upper edges of regions that would hide what things are in.

    A layout may place the sea and a meadow over one another, with a boat in the sea: as the nearer region is laid over
    the farther one, the boat would stand on grass. The farther region reaches to where the nearer one begins. What is
    in it comes up if it stands lower than what is on the nearer one, unless a relation would not hold any more.

    Args:
        scene: Every object has a box.
        movable: Which boxes may change.
    """
    held: dict[int, list[int]] = {}
    for relation in scene.relations:
        if relation.predicate in HELD:
            held.setdefault(relation.object, []).append(relation.subject)
    for near, far in ((near, far) for near in held for far in held if near != far and movable[near]):
        one, other = scene.objects[near].box, scene.objects[far].box
        if one is None or other is None or other[1] > one[1] or other[3] <= one[1]:
            continue
        lowest = min(_foot(scene, number) for number in held[near]) - 2 * MARGIN
        raised = scene
        for number in held[far]:
            up = _foot(scene, number) - lowest
            box = scene.objects[number].box
            if box is not None and movable[number] and 0 < up <= box[1] and lowest > other[1]:
                raised = with_box(raised, number, (box[0], box[1] - up, box[2], box[3] - up))
        scene = scene if broken(raised) - broken(scene) else raised
        edge = max(_foot(scene, number) for number in held[far]) + MARGIN
        if not one[1] < edge < min(lowest + 1.5 * MARGIN, one[3]):
            continue
        if edge > other[3] and not movable[far]:
            continue
        met = with_box(scene, near, (one[0], edge, one[2], one[3]))
        if edge > other[3]:
            met = with_box(met, far, (*other[:3], min(edge + MARGIN, 1.0)))  # no gap under a wavy shore
        scene = scene if broken(met) - broken(scene) else met
    return scene


def with_box(scene: Scene, number: int, box: Box) -> Scene:
    """The scene with another box of an object."""
    objects = list(scene.objects)
    objects[number] = replace(objects[number], box=box)
    return replace(scene, objects=tuple(objects))


def broken(scene: Scene) -> set[int]:
    """The numbers of the relations that the boxes do not show. Every object has a box."""
    boxes = np.array([thing.box for thing in scene.objects])
    found = [relation_holds(one.predicate, boxes[[one.subject]], boxes[[one.object]]) for one in scene.relations]
    return {number for number, holds in enumerate(found) if holds is not None and not holds[0]}


def _foot(scene: Scene, number: int) -> float:
    box = scene.objects[number].box
    assert box is not None, "every object has a box"
    return box[3]
