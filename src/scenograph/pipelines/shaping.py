"""Masks of objects that somebody sketched: predicted by a model, or what the outline of the sketch encloses."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from scenograph.errors import NOTE
from scenograph.models.base import Model, ShapesObjects
from scenograph.pipelines.placing import batch_for
from scenograph.scenes.completion import with_layout
from scenograph.scenes.scene import Scene, SceneObject, keep_objects, with_places
from scenograph.scenes.synonyms import renamed
from scenograph.scenes.text import labels_in_words, numbered

log = logging.getLogger(__name__)


def with_shapes(scenes: Sequence[Scene], model: ShapesObjects | None) -> list[Scene]:
    """The scenes, whose objects have boxes, with masks of objects that have a sketch, or a crop, and no mask.

    Args:
        scenes: Each as it is, apart from masks.
        model: Predicts masks of those whose categories it knows; without it, and where it predicts nothing, a sketch's
            silhouette is the mask, if its outline encloses one.
    """
    predicted = list(scenes) if model is None else _predicted(scenes, model)
    return [replace(scene, objects=tuple(map(_outlined, scene.objects))) for scene in predicted]


def say_shapes(scenes: Sequence[Scene], model: ShapesObjects | None) -> None:
    """Note in one line where the masks of sketches come from."""
    for scene, where in with_places(scenes):
        open_ones = [number for number, thing in enumerate(scene.objects) if thing.mask is None]
        sketched = [number for number in open_ones if scene.objects[number].sketch is not None]
        if model is not None:
            told = [number for number in open_ones if not _is_seen(scene.objects[number], model)]
            if told:
                what = "%s%s: scene-designer gives no mask, for want of a sketch or crop of a category that it knows"
                log.log(NOTE, what, where, _called(scene, told))
        elif sketched:
            what = "%s%s: what the sketch's outline encloses is the mask, where the renderer uses masks"
            log.log(NOTE, what, where, _called(scene, sketched))


def _called(scene: Scene, numbers: Sequence[int]) -> str:
    names = numbered(labels_in_words(scene, attributes=False))
    return ", ".join(names[number] for number in numbers)


def _is_seen(thing: SceneObject, model: ShapesObjects) -> bool:
    assert isinstance(model, Model)
    seen = thing.sketch is not None or thing.crop is not None
    named = renamed(Scene((SceneObject(thing.category),)), model.vocabulary)[0].objects[0]
    return seen and named.category in model.vocabulary.category_index


def _predicted(scenes: Sequence[Scene], model: ShapesObjects) -> list[Scene]:
    """The scenes with the masks that a model predicts, which sees nothing of objects that it does not know."""
    assert isinstance(model, Model)
    kept = [[n for n, thing in enumerate(scene.objects) if _is_seen(thing, model)] for scene in scenes]
    chosen = [number for number, rows in enumerate(kept) if rows]
    if not chosen:
        return list(scenes)
    parts = [renamed(keep_objects(scenes[number], kept[number]), model.vocabulary)[0] for number in chosen]
    # The model makes its own graph of where the objects are.
    bare = [Scene(tuple(replace(thing, attributes=()) for thing in part.objects)) for part in parts]
    batch = batch_for(model, bare)
    with torch.inference_mode():
        placement = model.complete(batch)
    result = list(scenes)
    for number, shaped in zip(chosen, with_layout(bare, batch.boxes, placement.masks), strict=True):
        objects = list(scenes[number].objects)
        for row, thing in zip(kept[number], shaped.objects, strict=True):
            objects[row] = replace(objects[row], mask=thing.mask)
        result[number] = replace(scenes[number], objects=tuple(objects))
    return result


def _outlined(thing: SceneObject) -> SceneObject:
    if thing.mask is not None or thing.sketch is None or thing.box is None:
        return thing
    return replace(thing, mask=thing.sketch.silhouette())
