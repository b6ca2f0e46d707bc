"""Scenes completed: attributes chosen, boxes and masks filled in and cut to the canvas, unknown names removed."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from scenograph.errors import UserError
from scenograph.scenes.fields import BOX_DECIMALS, CANVAS, Box
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.scene import Scene, SceneObject, cut
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

SMALLEST = 1 / 128
"""Side of the smallest box kept, in fractions of the canvas."""

log = logging.getLogger(__name__)


def is_open(scene: Scene) -> bool:
    """Whether an object of the scene has no box."""
    return any(thing.box is None for thing in scene.objects)


def complete_attributes(scene: Scene, vocabulary: Vocabulary, seed: int) -> Scene:
    """Give every object a name of each attribute group; those left open are sampled by the seed.

    Of the sizes large and small, a box that is given decides.
    """
    rng = np.random.default_rng([seed, zlib.crc32(b"attributes")])
    objects = []
    for thing in scene.objects:
        chosen = {vocabulary.attribute_index[name][0]: name for name in thing.attributes}
        picks = [str(rng.choice(names)) for names in vocabulary.attributes.values()]
        if thing.box is not None:
            size = _size_of(thing.box, len(scene.objects))
            picks = [
                size if {*names} == {"large", "small"} else pick
                for pick, names in zip(picks, vocabulary.attributes.values(), strict=True)
            ]
        objects.append(replace(thing, attributes=tuple(chosen.get(i, pick) for i, pick in enumerate(picks))))
    return replace(scene, objects=tuple(objects))


def _size_of(box: Box, objects: int) -> str:
    """Whether an object of CLEVR's sizes that fills a box is a large or a small one.

    What stands nearer looks larger and reaches lower. Fitted to 572 boxes that the shipped layout model gave to objects
    of known size, all of which it tells. Of more than ten objects, all are smaller (``scenograph data render``).
    """
    x0, y0, x1, y1 = box
    crowded = 1.0 if objects <= 10 else 1.2 / math.sqrt(objects)
    return "large" if math.sqrt((x1 - x0) * (y1 - y0)) >= crowded * (0.18 + 0.2 * (y1 - 0.5)) else "small"


def with_layout(scenes: Sequence[Scene], boxes: Tensor, masks: Tensor | None) -> list[Scene]:
    """Give objects that lack a box or a mask the predicted one.

    Args:
        scenes: With O objects in all.
        boxes: (O, 4) x0, y0, x1, y1 in fractions of the canvas, to which they are cut.
        masks: (O, M, M) in [0, 1], relative to the boxes; those below a half everywhere are left out.
    """
    rows = boxes.float().cpu().numpy()
    low = np.clip(rows[:, :2], 0.0, 1.0 - SMALLEST)
    corners = np.concatenate([low, np.clip(rows[:, 2:], low + SMALLEST, 1.0)], axis=1).astype(float).round(BOX_DECIMALS)
    shapes = None if masks is None else (masks > 0.5).cpu().numpy()
    result, row = [], 0
    for scene in scenes:
        objects = []
        for thing in scene.objects:
            x0, y0, x1, y1 = corners[row].tolist()
            mask = thing.mask
            if mask is None and shapes is not None and shapes[row].any():
                mask = shapes[row]
            objects.append(replace(thing, box=thing.box or (x0, y0, x1, y1), mask=mask))
            row += 1
        result.append(replace(scene, objects=tuple(objects)))
    return result


def cut_to_canvas(scene: Scene, where: str = "") -> Scene:
    """The scene with boxes, and their masks and sketches, cut to the canvas; a warning names each box that is cut.

    Raises ``UserError``, beginning with ``where``, for a box that lies outside the canvas.
    """
    objects = []
    for number, thing in enumerate(scene.objects):
        if thing.box is None or (min(thing.box) >= 0.0 and max(thing.box) <= 1.0):
            objects.append(thing)
            continue
        shown = "[{:g}, {:g}, {:g}, {:g}]".format(*thing.box)
        log.warning("%sobjects[%d].box: %s reaches beyond the canvas and is cut to it", where, number, shown)
        seen = cut(thing, CANVAS) or cut(replace(thing, mask=None), CANVAS)  # nothing of its mask may be left
        if seen is None:
            raise UserError(f"{where}objects[{number}].box: {shown} lies outside the canvas")
        objects.append(seen if thing.sketch is None else replace(seen, sketch=_cut_sketch(thing, seen)))
    return replace(scene, objects=tuple(objects))


def _cut_sketch(thing: SceneObject, seen: SceneObject) -> Sketch | None:
    """The sketch of an object relative to what is seen of its box."""
    assert thing.box is not None and seen.box is not None
    (x0, y0, x1, y1), (left, top, right, bottom) = thing.box, seen.box
    across, down = ((end - x0) / (x1 - x0) for end in (left, right)), ((end - y0) / (y1 - y0) for end in (top, bottom))
    (u0, u1), (v0, v1) = across, down
    return thing.sketch and thing.sketch.part(u0, v0, u1, v1)


def without_unknown_attributes(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """The scene without attributes that a model does not know."""
    known = vocabulary.attribute_index
    objects = (
        replace(thing, attributes=tuple(name for name in thing.attributes if name in known)) for thing in scene.objects
    )
    return replace(scene, objects=tuple(objects))


def without_unknown_spatial(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """The scene without spatial relations that a model does not know."""
    known = vocabulary.predicate_index
    return replace(
        scene, relations=tuple(r for r in scene.relations if r.predicate in known or r.predicate not in CONVERSES)
    )
