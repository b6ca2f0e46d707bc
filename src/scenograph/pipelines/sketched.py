"""Drawings as scenes: what their files say of the objects, what is given by hand, and what a classifier recognises."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeGuard

import numpy as np
import torch

from scenograph.data.drawn import DRAWINGS, VECTORS, Drawn, read_vectors, with_names
from scenograph.errors import NOTE, UserError, check_text, counted, with_article
from scenograph.models.base import Model
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel, shipped_models
from scenograph.nn.composition import compose_sketches, spread_boxes
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.fields import Box
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
    """Scenes from any file that holds some.

    Args:
        path: A scene file, a generated picture, or a drawing: a file of :data:`DRAWINGS`.

    Returns:
        Its scenes; the one scene of a drawing.

    Raises:
        UserError: The file is missing or damaged, or holds no scene.
    """
    if path.suffix.lower() not in DRAWINGS:
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
    path: Path,
    names: Mapping[int, str] | None = None,
    like: Scene | None = None,
    classifier: str | None = None,
    without: Collection[int] = (),
) -> Scene:
    """The scene of a drawing: of an ndjson or an SVG file, or a picture of paper with ink on it.

    Args:
        path: The file.
        names: Categories of objects by their numbers, which count before what the file says.
        like: A scene whose objects say where those of a picture are, and what.
        classifier: The name or folder of what recognises sketches that nothing names; by default the one that ships.
        without: Numbers of objects to leave out.

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
    kept = {number: each for number, each in enumerate(found) if number not in set(without)}
    if not kept or max(without, default=0) >= len(found):
        what = "no object is left" if not kept else f"the drawing has {counted(len(found), 'object')}"
        raise UserError(f"{path}, --leave-out {','.join(map(str, without))}: {what}")
    called = {number: _called(number, each) for number, each in kept.items() if each.name is None}
    if called:
        recognised = recognise([kept[number].sketch for number in called], classifier, str(path), called, given)
        for (number, call), guess in zip(called.items(), recognised, strict=True):
            log.log(NOTE, "%s is recognised as %s", call, guess)
            kept[number] = replace(kept[number], name=guess.name)
    return Scene(tuple(SceneObject(str(each.name), box=each.box, sketch=each.sketch) for each in kept.values()))


def _called(number: int, drawn: Drawn) -> str:
    """``object 2 (top right, 'sun' in the file)``: what tells a reader which part of a drawing is meant."""
    told = [] if drawn.box is None else [_place(drawn.box)]
    if drawn.label is not None:
        told.append(f"{drawn.label!r} in the file")
    return f"object {number} ({', '.join(told)})" if told else f"object {number}"


def _place(box: Box) -> str:
    """In which ninth of the canvas the middle of a box lies, in words."""
    column, row = (min(int(3 * (low + high) / 2), 2) for low, high in zip(box[:2], box[2:], strict=True))
    return " ".join(filter(None, (("top", "", "bottom")[row], ("left", "", "right")[column]))) or "middle"


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
    called: Mapping[int, str],
    given: Mapping[int, str] = MappingProxyType({}),
) -> list[Recognised]:
    """What sketches look like.

    Args:
        sketches: At least one.
        classifier: A name or folder; None for the one that ships.
        where: The file, which begins error messages.
        called: For these, what to call each object, by its number.
        given: Names that other objects were given, to be given again.

    Raises:
        UserError: There is no classifier, it reads no sketches, or it is not sure; the message says how to name them.
    """
    if classifier is None and CLASSIFIER not in shipped_models():
        what = f"nothing says what {next(iter(called.values()))} is, and no classifier of sketches is here"
        raise UserError(f"{where}: {what}; {_remedy(where, dict.fromkeys(called, 'NAME'), given)}")
    model = AutoModel.from_pretrained(classifier or CLASSIFIER)
    if not names_sketches(model):
        raise UserError(f"--classifier {classifier}: is {with_article(model.name)} that does not look at sketches")
    names = model.vocabulary.categories
    best = chances_of(sketches, model).topk(2, dim=1)
    found = [
        Recognised(names[first], one, names[second], other)
        for (first, second), (one, other) in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
    unsure = {number: guess for number, guess in zip(called, found, strict=True) if guess.probability < SURE}
    if unsure:
        told = ", ".join(f"{called[number]} may be {guess}" for number, guess in unsure.items())
        guesses = {number: guess.name for number, guess in unsure.items()}
        raise UserError(f"{where}: {told}; {_remedy(where, guesses, given)}")
    return found


def names_sketches(model: Model) -> TypeGuard[ObjectClassifier]:
    """Whether a model is a classifier of sketches."""
    return isinstance(model, ObjectClassifier) and model.config.input == "sketch"


def chances_of(sketches: Sequence[Sketch], model: ObjectClassifier) -> torch.Tensor:
    """The probability (K, categories) of each name for each of K sketches, by a model that looks at sketches."""
    some = model.vocabulary.categories[0]
    scene = Scene(tuple(SceneObject(some, box=(0.0, 0.0, 1.0, 1.0), sketch=sketch) for sketch in sketches))
    batch = SceneBatch.from_scenes([scene], model.vocabulary, sketch_size=model.config.sketch_side).to(model.device)
    with torch.inference_mode():
        chances: torch.Tensor = model(*model.seen(batch))[0].softmax(dim=1)
    return chances


def _remedy(file: str, names: Mapping[int, str], given: Mapping[int, str]) -> str:
    said = ",".join(f"{number}={name}" for number, name in sorted({**given, **names}.items()))
    numbers, command = ",".join(map(str, names)), f"scenograph scene from-sketch {shlex.quote(file)}"
    return f"name them: {command} --names {shlex.quote(said)}, or leave some out: --leave-out {numbers}"
