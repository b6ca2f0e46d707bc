"""Which pixels of a canvas each object of a placed scene takes, and who is in front."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.scenes.depth import STEP, depth_order
from scenograph.scenes.fields import CANVAS, Box
from scenograph.scenes.geometry import to_edges
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.scene import Scene, SceneObject, cut

SKY = ("sky", "sky-other", "clouds", "ceiling")
"""Regions, and all that are kinds of them, that lie behind everything and on which nothing stands."""
UPRIGHT = ("wall", "wall-other", "wall-concrete")
"""Regions that stand on the ground, as those of the kind ``raised`` do."""
BEHIND_THINGS, BEHIND_ALL = 8.0, 16.0
"""How much farther regions are than things, and skies than both: boxes reach from -4 to 4."""
LARGER_IS_FARTHER = 0.1
"""Of regions with the same lower edge, the path lies over the meadow: times the area of the box."""
CARRIED = ("riding", "in")
"""The subject of these is behind its object, but as near."""


@dataclass(frozen=True)
class Silhouette:
    """``mask`` (h, w) bool, whose first pixel is at (``left``, ``top``) of the canvas, and all of which is on it."""

    left: int
    top: int
    mask: np.ndarray

    def paint(self, canvas: np.ndarray, values: np.ndarray | float) -> None:
        """Set its pixels of a canvas (H, W, ...) to a value, or to those of another canvas that broadcasts to it."""
        height, width = self.mask.shape
        window = slice(self.top, self.top + height), slice(self.left, self.left + width)
        canvas[window][self.mask] = np.broadcast_to(values, canvas.shape)[window][self.mask]


def silhouette(thing: SceneObject, width: int, height: int) -> Silhouette | None:
    """The pixels of a placed object: its mask, the alpha of its crop, what its sketch encloses, or its whole box.

    None where nothing of it is on the canvas; what is on the canvas has a pixel at least.
    """
    shown = cut(thing, CANVAS)
    if shown is None or shown.box is None:
        return None
    left, top, right, bottom = pixel_box(shown.box, width, height)
    size = (right - left, bottom - top)
    shape = _shape(shown)
    if shape is None:
        return Silhouette(left, top, np.ones(size[::-1], dtype=bool))
    return Silhouette(left, top, np.array(Image.fromarray(shape).resize(size, Image.Resampling.NEAREST)))


def pixel_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """A box on the canvas in whole pixels, at least one each way; boxes with a common edge share its pixels' border."""
    left, top = min(round(box[0] * width), width - 1), min(round(box[1] * height), height - 1)
    return left, top, max(round(box[2] * width), left + 1), max(round(box[3] * height), top + 1)


def back_to_front(scene: Scene) -> list[int]:
    """The objects of a placed scene, the farthest first: skies, other regions, then things.

    Things that reach lower are nearer, unless relations between things say otherwise.

    Raises:
        UserError: An object has no box.
    """
    regions = [is_region(thing) for thing in scene.objects]
    depths = []
    for thing, region, (x0, y0, x1, y1) in zip(scene.objects, regions, boxes_of(scene), strict=True):
        behind = 0.0
        if region:
            behind = BEHIND_ALL if is_sky(thing) else BEHIND_THINGS
            behind += LARGER_IS_FARTHER * (x1 - x0) * (y1 - y0)
        depths.append(y1 - behind)
    between = [
        (relation.subject, relation.predicate, relation.object)
        for relation in scene.relations
        if not regions[relation.subject] and not regions[relation.object]
    ]
    for subject, predicate, other in between:
        if predicate in CARRIED:
            depths[subject] = max(depths[subject], depths[other] - STEP)
    return depth_order(depths, between)


def spread_regions(scene: Scene) -> Scene:
    """The scene with regions that are only boxes stretched to the edges of the canvas that they almost reach."""
    return replace(scene, objects=tuple(_spread(thing) for thing in scene.objects))


def _spread(thing: SceneObject) -> SceneObject:
    shaped = any(field is not None for field in (thing.mask, thing.crop, thing.sketch))
    if shaped or thing.box is None or not is_region(thing):
        return thing
    return replace(thing, box=to_edges(thing.box))


def boxes_of(scene: Scene) -> list[Box]:
    """The boxes of a placed scene. Raises ``UserError`` if an object has none."""
    for number, thing in enumerate(scene.objects):
        if thing.box is None:
            raise UserError(f"objects[{number}]: {thing.category} has no box; place it first, with scenograph layout")
    return [thing.box for thing in scene.objects if thing.box is not None]


def visible_objects(scene: Scene, order: Sequence[int], width: int, height: int) -> np.ndarray:
    """(height, width) int16: the number of the object that each pixel shows, -1 where there is none.

    Args:
        scene: Placed.
        order: Its objects, the farthest first.
        width: Of the canvas, in pixels.
        height: Of the canvas, in pixels.
    """
    shown = np.full((height, width), -1, dtype=np.int16)
    for number in order:
        pixels = silhouette(scene.objects[number], width, height)
        if pixels is not None:
            pixels.paint(shown, number)
    return shown


def is_region(thing: SceneObject) -> bool:
    """Whether an object is a region, such as the sky or a meadow, and no thing."""
    return CATEGORIES.has_kind(thing.category, "region")


def is_sky(thing: SceneObject) -> bool:
    """Whether an object is a region behind everything."""
    return is_region(thing) and CATEGORIES.nearest(thing.category, SKY) is not None


def is_ground(thing: SceneObject) -> bool:
    """Whether an object is a region that goes into the distance: neither a sky nor one that stands, such as a wall."""
    upright = CATEGORIES.has_kind(thing.category, "raised") or CATEGORIES.nearest(thing.category, UPRIGHT) is not None
    return is_region(thing) and not is_sky(thing) and not upright


def _shape(thing: SceneObject) -> np.ndarray | None:
    """(h, w) bool relative to its box; None if nothing says more than the box."""
    if thing.mask is not None:
        return np.asarray(thing.mask, dtype=bool)
    if thing.crop is not None:
        return np.ascontiguousarray(thing.crop[..., 3] > 127)
    return None if thing.sketch is None else thing.sketch.silhouette()
