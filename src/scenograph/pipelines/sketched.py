"""Drawings as scenes: what their files say of the objects, what is given by hand, and what a classifier recognises."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scenograph.data.drawn import VECTORS, Drawn, read_vectors, with_names
from scenograph.errors import NOTE, UserError, check_text
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel, shipped_models
from scenograph.nn.composition import compose_sketches, spread_boxes
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject, load_scenes
from scenograph.scenes.sketch import Sketch

CLASSIFIER = "sketch-classifier-picture-book"
"""The classifier that names sketches when none is given."""
SKETCH_SIDE, PICTURE_SIDE = 96, 256
"""Pixels of sketches, and of pictures of them, in Scene Designer."""
SURE = 0.8
"""From this probability, a sketch is what it is recognised as."""

log = logging.getLogger(__name__)


class Recognised(NamedTuple):
    """What a sketch looks like, and what it looks like next, with their probabilities."""

    name: str
    probability: float
    next_name: str
    next_probability: float

    def __str__(self) -> str:
        return f"{self.name} ({self.probability:.0%}; next: {self.next_name}, {self.next_probability:.0%})"


def load_any_scenes(path: Path) -> list[Scene]:
    """The scenes of a scene file or a generated picture, or the scene of a drawing: an ndjson or an SVG file."""
    if path.suffix.lower() not in VECTORS:
        return load_scenes(path)
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        stamp = 0  # reading it says what is wrong
    return [_drawing(path, stamp)]


@lru_cache(maxsize=1)
def _drawing(path: Path, stamp: int) -> Scene:
    """The scene of a drawing; commands read one several times, and its messages are for one of them."""
    return scene_of_drawing(path)


def scene_of_drawing(
    path: Path, names: Mapping[int, str] | None = None, like: Scene | None = None, classifier: str | None = None
) -> Scene:
    """The scene of a drawing: of an ndjson or an SVG file, or a picture of paper with ink on it.

    Args:
        path: The file.
        names: Categories of objects by their numbers, which count before what the file says.
        like: A scene whose objects say where those of a picture are, and what.
        classifier: The name or folder of what recognises sketches that nothing names; by default the one that ships.

    Returns:
        Objects with sketches; those of ndjson files have no boxes.

    Raises:
        UserError: The file is none of these or damaged, or nothing says what an object is.
    """
    if path.suffix.lower() in VECTORS:
        if like is not None:
            raise UserError(f"{path}: boxes are for pictures; this file says itself where its objects are")
        found = read_vectors(path)
    else:
        found = _scanned(path, like)
    given = {number: check_text(name, f"--names {number}={name}") for number, name in (names or {}).items()}
    found = with_names(found, given, str(path))
    open_ones = [number for number, each in enumerate(found) if each.name is None]
    if open_ones:
        sketches = [found[number].sketch for number in open_ones]
        recognised = recognise(sketches, classifier, str(path), open_ones, given)
        for number, guess in zip(open_ones, recognised, strict=True):
            log.log(NOTE, "object %d is recognised as %s", number, guess)
            found[number] = replace(found[number], name=guess.name)
    return Scene(tuple(SceneObject(str(each.name), box=each.box, sketch=each.sketch) for each in found))


def _scanned(path: Path, like: Scene | None) -> list[Drawn]:
    """The objects of a picture of paper."""
    from scenograph.data.scans import read_scan

    if like is None:
        return read_scan(path)
    boxes = [thing.box for thing in like.objects if thing.box is not None]
    if len(boxes) < len(like.objects):
        number = next(number for number, thing in enumerate(like.objects) if thing.box is None)
        raise UserError(f"objects[{number}]: has no box, by which it is found on {path}")
    found = read_scan(path, boxes)
    return [replace(each, name=thing.category) for each, thing in zip(found, like.objects, strict=True)]


def draw_as_published(scene: Scene, spread: bool) -> np.ndarray:
    """A picture of a scene's sketches in their boxes as Scene Designer draws it, (256, 256) uint8.

    With ``spread``, sketches that lie on each other are moved apart.
    """
    things = [thing for thing in scene.objects if thing.sketch is not None and thing.box is not None]
    drawn = np.stack([thing.sketch.rasterise(SKETCH_SIDE, SKETCH_SIDE) for thing in things if thing.sketch is not None])
    boxes, owner = torch.tensor([thing.box for thing in things]), torch.zeros(len(things), dtype=torch.int64)
    if spread:
        boxes = spread_boxes(boxes, owner, 1)
    picture = compose_sketches(torch.from_numpy(drawn), boxes, owner, 1, PICTURE_SIDE, PICTURE_SIDE)[0]
    return (picture * 255).round().to(torch.uint8).numpy()


def recognise(
    sketches: Sequence[Sketch],
    classifier: str | None,
    where: str,
    numbers: Sequence[int],
    given: Mapping[int, str],
) -> list[Recognised]:
    """What sketches look like.

    Args:
        sketches: At least one.
        classifier: A name or folder; None for the one that ships.
        where: Begins error messages.
        numbers: Of the objects, for these.
        given: Names that other objects were given, for these as well.

    Raises:
        UserError: There is no classifier, it reads no sketches, or it is not sure; the message says how to name them.
    """
    if classifier is None and CLASSIFIER not in shipped_models():
        what = f"nothing says what object {numbers[0]} is, and no classifier of sketches is here"
        raise UserError(f"{where}: {what}; {_remedy({**given, **dict.fromkeys(numbers, 'NAME')})}")
    model = AutoModel.from_pretrained(classifier or CLASSIFIER)
    if not isinstance(model, ObjectClassifier) or model.config.input != "sketch":
        raise UserError(f"--classifier {classifier}: is a {model.name} that does not look at sketches")
    names = model.vocabulary.categories
    scene = Scene(tuple(SceneObject(names[0], box=(0.0, 0.0, 1.0, 1.0), sketch=sketch) for sketch in sketches))
    batch = SceneBatch.from_scenes([scene], model.vocabulary, sketch_size=model.config.sketch_side)
    with torch.inference_mode():
        chances = model(*model.seen(batch))[0].softmax(dim=1)
    best = chances.topk(2, dim=1)
    found = [
        Recognised(names[first], one, names[second], other)
        for (first, second), (one, other) in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    unsure = {number: guess for number, guess in zip(numbers, found, strict=True) if guess.probability < SURE}
    if unsure:
        told = ", ".join(f"object {number} may be {guess}" for number, guess in unsure.items())
        names_to_give = {**given, **{number: guess.name for number, guess in unsure.items()}}
        raise UserError(f"{where}: {told}; {_remedy(names_to_give)}")
    return found


def _remedy(names: Mapping[int, str]) -> str:
    given = ",".join(f"{number}={name}" for number, name in sorted(names.items()))
    return f"name them: scenograph scene from-sketch FILE --names '{given}'"
