"""Boxes that may change make room, so that every thing of a collage stands on its ground and is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from scenograph.data.picture_book.layers import habitats_of
from scenograph.data.picture_book.textures import GROUNDS
from scenograph.pipelines.renderers.backdrops import box_of
from scenograph.pipelines.renderers.casting import PLACED, Cast
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import CONTACTS
from scenograph.scenes.scene import Scene
from scenograph.scenes.settling import MARGIN, broken

SEEN = 0.4
"""Share of a thing that the others leave visible."""
STEPS = tuple(sign * step / 20 for step in range(1, 15) for sign in (1, -1))
"""How far a thing is moved sideways to be seen, the nearest first, as fractions of the canvas."""

LARGEST = 4.0
"""How many times as large as the others, against nature, a thing may be: nearer things are larger."""

Silhouettes = Callable[[Scene, Cast], dict[int, np.ndarray]]


def moved_to(scene: Scene, number: int, box: Box) -> Scene:
    """The scene with another box of an object."""
    objects = list(scene.objects)
    objects[number] = replace(objects[number], box=box, mask=None)
    return replace(scene, objects=tuple(objects))


def in_size(scene: Scene, shown: Cast, movable: Sequence[bool]) -> Scene:
    """Things that are far too large beside the others shrink, on their feet, unless they are said to be large."""
    scales = {
        number: (box_of(thing)[3] - box_of(thing)[1]) / entry.drawing.told
        for number, (thing, entry) in enumerate(zip(scene.objects, shown.entries, strict=True))
        if entry is not None
    }
    for number, scale in scales.items():
        others = [other for one, other in scales.items() if one != number]
        if not movable[number] or number in shown.seats or not others or "large" in scene.objects[number].attributes:
            continue
        smaller = LARGEST * float(np.median(others)) / scale
        if smaller < 1:
            x0, y0, x1, y1 = box_of(scene.objects[number])
            half, middle = smaller * (x1 - x0) / 2, (x0 + x1) / 2
            moved = moved_to(scene, number, (middle - half, y1 - smaller * (y1 - y0), middle + half, y1))
            scene = scene if broken(moved) - broken(scene) else moved
    return scene


def ashore(scene: Scene, shown: Cast, movable: Sequence[bool]) -> Scene:
    """Things that stand on the ground come down to it where they would stand in water, unless the scene says so."""
    land: list[Box] = []
    water: list[Box] = []
    for thing, entry in zip(scene.objects, shown.entries, strict=True):
        if entry is None and thing.category in GROUNDS:
            (water if "water" in habitats_of(thing.category) else land).append(box_of(thing))
    if not land or not water:
        return scene
    told = {one.subject for one in scene.relations if one.predicate in PLACED} | set(shown.seats)
    shore = min(box[1] for box in land)
    for number, entry in enumerate(shown.entries):
        if entry is None or number in told or not movable[number] or entry.drawing.habitat in ("air", "wall", "water"):
            continue
        x0, y0, x1, y1 = box_of(scene.objects[number])
        down = shore + MARGIN - y1
        if down > 0 and any(box[1] < y1 < box[3] for box in water):
            moved = moved_to(scene, number, (x0, y0 + down, x1, y1 + down))
            scene = scene if broken(moved) - broken(scene) else moved
    return scene


def in_sight(scene: Scene, shown: Cast, movable: Sequence[bool], silhouettes: Silhouettes) -> Scene:
    """Things that others hide move to the side, or those that hide them, unless a relation would not hold any more.

    Guests stay with their hosts, and things in contact may hide each other.
    """
    free = [is_free and number not in shown.seats for number, is_free in enumerate(movable)]
    touching = CONTACTS.keys() - {"next to"}
    near = {frozenset((one.subject, one.object)) for one in scene.relations if one.predicate in touching}
    near |= {frozenset((guest, seat.host)) for guest, seat in shown.seats.items()}
    covered = silhouettes(scene, shown)
    shares = _seen(covered, near)
    for number in covered:
        if shares[number] >= SEEN:
            continue
        over = list(covered)[list(covered).index(number) + 1 :]
        hiding = [other for other in over if (covered[other] & covered[number]).any()]
        for moving in (one for one in (number, *hiding) if free[one]):
            found = _aside(scene, covered, moving, number, near)
            if found is not None:
                scene, covered = found, silhouettes(found, shown)
                shares = _seen(covered, near)
                break
    return scene


def _aside(
    scene: Scene, covered: Mapping[int, np.ndarray], moving: int, hidden: int, near: set[frozenset[int]]
) -> Scene | None:
    """The scene with an object moved so far to the side that a hidden one is seen, and no other becomes hidden."""
    x0, y0, x1, y1 = box_of(scene.objects[moving])
    shares, wrong = _seen(covered, near), broken(scene)
    for step in STEPS:
        if x0 + step < 0 or x1 + step > 1:
            continue
        shifted = np.roll(covered[moving], round(step * covered[moving].shape[1]), axis=1)
        seen = _seen({**covered, moving: shifted}, near)
        if seen[hidden] < SEEN or any(seen[one] < min(shares[one], SEEN) for one in seen):
            continue
        moved = moved_to(scene, moving, (x0 + step, y0, x1 + step, y1))
        if not broken(moved) - wrong:
            return moved
    return None


def _seen(covered: Mapping[int, np.ndarray], near: set[frozenset[int]]) -> dict[int, float]:
    """The share of each thing that nearer ones leave visible, those in contact with it aside."""
    shares = {}
    numbers = list(covered)
    for place, number in enumerate(numbers):
        own = covered[number]
        over = [covered[other] for other in numbers[place + 1 :] if frozenset((number, other)) not in near]
        hidden = np.logical_or.reduce(over) if over else np.zeros_like(own)
        shares[number] = float((own & ~hidden).sum() / max(own.sum(), 1))
    return shares
