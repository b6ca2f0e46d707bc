"""The one data type: a canvas with objects and relations, as Python objects and as JSON.

The JSON that the field already uses is valid as it stands::

    {"objects": ["sky", "grass", "zebra"], "relationships": [[0, "above", 1], [2, "standing on", 1]]}

and so is a list of such scenes. The rich form lets an object be a dictionary with optional fields::

    {"category": "cube", "attributes": ["large", "red"], "box": [0.1, 0.2, 0.5, 0.6],
     "mask": {"size": [16, 16], "counts": [17, 3, ...]},
     "sketch": {"strokes": [[[0.0, 0.4, ...], [0.1, 0.2, ...]], ...]}}

Boxes are ``[x0, y0, x1, y1]`` as fractions of the canvas, origin at the top left. A mask is relative to
its object's box, in COCO's uncompressed run lengths (column by column, zeros first). So is a sketch: strokes
of x and y coordinates from 0 to 1, or ``{"png": base64}``.

``"seed": 7`` fixes an object's looks, whatever the picture's seed, in models whose objects have looks of their own;
``"seed": [7, 9, 0.5]`` is half way from those of 7 to those of 9.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from scenograph.errors import UserError, unreadable
from scenograph.files import write_atomically
from scenograph.scenes.geometry import CONVERSES, MIRRORED
from scenograph.scenes.sketch import Sketch

log = logging.getLogger(__name__)

MAX_OBJECTS = 256
"""More objects than any published data set has in a scene; beyond it memory, not meaning, grows."""

OBJECT_FIELDS = ("category", "attributes", "box", "mask", "sketch", "seed")

Box = tuple[float, float, float, float]
CANVAS: Box = (0.0, 0.0, 1.0, 1.0)
BOX_DECIMALS = 5
"""Of boxes that are made here, so that files say them shortly and exactly; those that are given stay as they are."""
ObjectSeed = int | tuple[int, int, float]
"""A seed, or the way from one to another."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One thing in a scene. ``mask`` (h, w) bool and ``sketch`` are relative to ``box``; all are optional.

    ``seed`` fixes its looks, in models whose objects have looks of their own.
    """

    category: str
    attributes: tuple[str, ...] = ()
    box: Box | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    sketch: Sketch | None = field(default=None, repr=False)
    seed: ObjectSeed | None = None

    @property
    def label(self) -> str:
        """Attributes and category as one would say them: ``large red metal cube``."""
        return " ".join((*self.attributes, self.category))


@dataclass(frozen=True, slots=True)
class Relation:
    """``objects[subject] predicate objects[object]``; both are indices into the scene's objects."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects and the relations between them."""

    objects: tuple[SceneObject, ...]
    relations: tuple[Relation, ...] = ()

    @staticmethod
    def from_dict(value: object, where: str = "scene") -> Scene:
        """Read the field's form or the rich form; ``where`` names the scene in error messages.

        Raises ``UserError`` for wrong types, no objects, too many objects, indices out of range, an object
        in a spatial relation to itself, and boxes that are not finite or not upright.
        """
        if not isinstance(value, dict):
            raise UserError(f"{where}: expected an object with 'objects', found {_kind(value)}")
        unknown = set(value) - {"objects", "relationships"}
        if unknown:
            raise UserError(f"{where}: unknown field {sorted(unknown)[0]!r} (allowed: objects, relationships)")
        objects = value.get("objects")
        if not isinstance(objects, list):
            raise UserError(f"{where}.objects: expected a list of names or objects, found {_kind(objects)}")
        if not objects:
            raise UserError(f"{where}.objects: the scene is empty; name at least one object")
        if len(objects) > MAX_OBJECTS:
            raise UserError(f"{where}.objects: {len(objects)} objects; at most {MAX_OBJECTS} are allowed in one scene")
        relations = value.get("relationships", [])
        if not isinstance(relations, list):
            raise UserError(f"{where}.relationships: expected a list, found {_kind(relations)}")
        parsed = tuple(_parse_object(item, f"{where}.objects[{i}]") for i, item in enumerate(objects))
        return Scene(
            parsed,
            tuple(
                _parse_relation(item, len(parsed), f"{where}.relationships[{i}]") for i, item in enumerate(relations)
            ),
        )

    def to_dict(self) -> dict[str, Any]:
        """The shortest form that says everything: plain names where an object is only a name."""
        return {
            "objects": [_object_to_json(thing) for thing in self.objects],
            "relationships": [[r.subject, r.predicate, r.object] for r in self.relations],
        }


def parse_scenes(text: str, where: str = "scene") -> list[Scene]:
    """Scenes from JSON text: one scene or a list of them."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON: {error}") from error
    if isinstance(value, list):
        if not value:
            raise UserError(f"{where}: the list holds no scene")
        return [Scene.from_dict(item, f"{where}, scene {i}") for i, item in enumerate(value)]
    return [Scene.from_dict(value, where)]


def load_scenes(path: Path) -> list[Scene]:
    """Scenes from a JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return parse_scenes(text, str(path))


def scenes_to_json(scenes: list[Scene]) -> str:
    """The text of a scene file, an object or a relation per line: one scene as an object, several as a list."""
    texts = []
    for scene in scenes:
        fields = (f'"{name}": {_lines(values)}' for name, values in scene.to_dict().items())
        texts.append("{" + ",\n ".join(fields) + "}")
    return (texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]") + "\n"


def _lines(values: list[Any]) -> str:
    return "[" + ",".join(f"\n  {json.dumps(value)}" for value in values) + "]"


def with_places(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, str]]:
    """Every scene, and how messages about it begin: with its number, unless it is the only one."""
    for number, scene in enumerate(scenes):
        yield scene, f"scene {number}, " if len(scenes) > 1 else ""


def save_scenes(path: Path, scenes: list[Scene]) -> None:
    """Write a scene file."""
    write_atomically(path, scenes_to_json(scenes).encode())


def mirror(scene: Scene) -> Scene:
    """The scene seen in a mirror: boxes, masks and sketches flipped, left and right exchanged everywhere."""
    objects = tuple(
        replace(
            thing,
            attributes=tuple(MIRRORED.get(name, name) for name in thing.attributes),
            box=None if thing.box is None else (1 - thing.box[2], thing.box[1], 1 - thing.box[0], thing.box[3]),
            mask=None if thing.mask is None else thing.mask[:, ::-1],
            sketch=None if thing.sketch is None else thing.sketch.mirrored(),
        )
        for thing in scene.objects
    )
    relations = tuple(replace(r, predicate=MIRRORED.get(r.predicate, r.predicate)) for r in scene.relations)
    return Scene(objects, relations)


def view(scene: Scene, window: Box) -> Scene:
    """What a window shows: objects cut at its borders (without their sketches), those outside it left out.

    An object of whose mask nothing is left is outside; objects without a box are kept.
    """
    seen = {number: cut(thing, window) for number, thing in enumerate(scene.objects)}
    objects = tuple(seen[number] or thing for number, thing in enumerate(scene.objects))
    return keep_objects(replace(scene, objects=objects), [number for number, thing in seen.items() if thing])


def cut(thing: SceneObject, window: Box) -> SceneObject | None:
    """The part of an object inside a window, in the window's coordinates; None if there is none."""
    if thing.box is None:
        return thing
    left, top, right, bottom = window
    x0, y0, x1, y1 = thing.box
    seen = max(x0, left), max(y0, top), min(x1, right), min(y1, bottom)
    if seen[0] >= seen[2] or seen[1] >= seen[3]:
        return None
    mask = thing.mask
    if mask is not None and seen != thing.box:
        rows = _pixels_between((seen[1] - y0) / (y1 - y0), (seen[3] - y0) / (y1 - y0), mask.shape[0])
        columns = _pixels_between((seen[0] - x0) / (x1 - x0), (seen[2] - x0) / (x1 - x0), mask.shape[1])
        mask = mask[np.ix_(rows, columns)]
        if not mask.any():
            return None
    width, height = right - left, bottom - top
    box = (seen[0] - left) / width, (seen[1] - top) / height, (seen[2] - left) / width, (seen[3] - top) / height
    return replace(thing, box=box, mask=mask, sketch=thing.sketch if seen == thing.box else None)


def keep_objects(scene: Scene, kept: Sequence[int]) -> Scene:
    """Some objects of a scene, by number and in that order, with the relations among them."""
    position = {old: new for new, old in enumerate(kept)}
    relations = [
        Relation(position[r.subject], r.predicate, position[r.object])
        for r in scene.relations
        if r.subject in position and r.object in position
    ]
    return Scene(tuple(scene.objects[i] for i in kept), tuple(relations))


def _pixels_between(start: float, end: float, count: int) -> np.ndarray:
    """Of ``count`` pixels over [0, 1] the nearest to ``count`` places evenly over [start, end]."""
    places = start + (np.arange(count) + 0.5) / count * (end - start)
    return np.minimum((places * count).astype(int), count - 1)


def encode_mask(mask: np.ndarray) -> dict[str, list[int]]:
    """(H, W) bool to COCO's uncompressed run lengths."""
    flat = np.concatenate([[False], np.asarray(mask, bool).ravel(order="F")])
    changes = np.flatnonzero(np.diff(flat)) + 0
    edges = np.concatenate([[0], changes, [flat.size - 1]])
    return {"size": list(mask.shape), "counts": np.diff(edges).tolist()}


def decode_mask(value: object, where: str = "mask") -> np.ndarray:
    """COCO's uncompressed run lengths to (H, W) bool."""
    size = value.get("size") if isinstance(value, dict) else None
    counts = value.get("counts") if isinstance(value, dict) else None
    if not _is_int_list(size) or len(size) != 2 or not _is_int_list(counts):
        raise UserError(f"{where}: expected {{'size': [height, width], 'counts': [run lengths]}}, found {_kind(value)}")
    height, width = size
    if not (0 < height <= 4096 and 0 < width <= 4096) or min(counts, default=0) < 0 or sum(counts) != height * width:
        raise UserError(f"{where}: run lengths sum to {sum(counts)}, not {height} x {width} = {height * width}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape((height, width), order="F")


def _parse_object(value: object, where: str) -> SceneObject:
    if isinstance(value, str):
        value = {"category": value}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a name or an object, found {_kind(value)}")
    unknown = set(value) - set(OBJECT_FIELDS)
    if unknown:
        raise UserError(f"{where}: unknown field {sorted(unknown)[0]!r} (allowed: {', '.join(OBJECT_FIELDS)})")
    category, attributes = value.get("category"), value.get("attributes", [])
    if not isinstance(category, str) or not category.strip():
        raise UserError(f"{where}.category: expected a name, found {_kind(category)}")
    if not isinstance(attributes, list) or not all(isinstance(item, str) for item in attributes):
        raise UserError(f"{where}.attributes: expected a list of names, found {_kind(attributes)}")
    box = None if value.get("box") is None else parse_box(value["box"], f"{where}.box")
    mask = None if value.get("mask") is None else decode_mask(value["mask"], f"{where}.mask")
    if mask is not None and box is None:
        raise UserError(f"{where}.mask: a mask is relative to a box, but the object has no box; add one")
    sketch = None if value.get("sketch") is None else Sketch.from_dict(value["sketch"], f"{where}.sketch")
    seed = None if value.get("seed") is None else parse_object_seed(value["seed"], f"{where}.seed")
    return SceneObject(category, tuple(attributes), box, mask, sketch, seed)


def parse_object_seed(value: object, where: str) -> ObjectSeed:
    """A whole number, or two and a share between them from 0 to 1."""
    numbers = value if isinstance(value, list) else [value]
    whole = [n for n in numbers[:2] if isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 10**9]
    if len(numbers) == len(whole) == 1:
        return whole[0]
    if len(numbers) == 3 and len(whole) == 2:
        share = numbers[2]
        if isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1:
            return (whole[0], whole[1], float(share))
    raise UserError(f"{where}: expected a seed such as 7, or two and a share such as [7, 9, 0.5]; found {_kind(value)}")


def parse_box(value: object, where: str) -> Box:
    """Four finite numbers ``x0 < x1``, ``y0 < y1``, at least partly on the canvas."""
    numbers = value if isinstance(value, list | tuple) else []
    if len(numbers) != 4 or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers):
        raise UserError(f"{where}: expected [x0, y0, x1, y1], found {_kind(value)}")
    x0, y0, x1, y1 = (float(number) for number in numbers)
    shown = f"[{x0:g}, {y0:g}, {x1:g}, {y1:g}]"
    if not all(math.isfinite(number) for number in (x0, y0, x1, y1)):
        raise UserError(f"{where}: {shown} holds a number that is not finite")
    if x1 <= x0 or y1 <= y0:
        raise UserError(f"{where}: {shown} is empty or inverted; need x0 < x1 and y0 < y1")
    if x1 <= 0 or y1 <= 0 or x0 >= 1 or y0 >= 1:
        raise UserError(f"{where}: {shown} lies outside the canvas; coordinates are fractions from 0 to 1")
    if max(abs(x0), abs(y0), abs(x1), abs(y1)) > 4:
        raise UserError(f"{where}: {shown} is not in fractions of the canvas; divide pixels by its width and height")
    return (x0, y0, x1, y1)


def _parse_relation(value: object, count: int, where: str) -> Relation:
    if not isinstance(value, list) or len(value) != 3:
        raise UserError(f"{where}: expected [subject index, predicate, object index], found {_kind(value)}")
    subject, predicate, target = value
    if not isinstance(predicate, str) or not predicate.strip():
        raise UserError(f"{where}[1]: expected a predicate name, found {_kind(predicate)}")
    for place, index in ((0, subject), (2, target)):
        if not isinstance(index, int) or isinstance(index, bool):
            raise UserError(f"{where}[{place}]: expected an index into objects, found {_kind(index)}")
        if not 0 <= index < count:
            raise UserError(f"{where}[{place}]: index {index} is out of range; the scene has objects 0 to {count - 1}")
    if subject == target:
        if predicate in CONVERSES:
            raise UserError(f"{where}: object {subject} cannot be {predicate!r} itself; name two different objects")
        # Published scene graphs hold a few such slips ("next to" itself), and sg2im gives them a meaning.
        log.warning("%s: object %d is in relation %r to itself", where, subject, predicate)
    return Relation(subject, predicate, target)


def _object_to_json(thing: SceneObject) -> str | dict[str, Any]:
    if not thing.attributes and thing.box is None and thing.sketch is None and thing.seed is None:
        return thing.category
    value: dict[str, Any] = {"category": thing.category}
    if thing.attributes:
        value["attributes"] = list(thing.attributes)
    if thing.box is not None:
        value["box"] = list(thing.box)
    if thing.mask is not None:
        value["mask"] = encode_mask(thing.mask)
    if thing.sketch is not None:
        value["sketch"] = thing.sketch.to_dict()
    if thing.seed is not None:
        value["seed"] = thing.seed if isinstance(thing.seed, int) else list(thing.seed)
    return value


def _is_int_list(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(isinstance(item, int) and not isinstance(item, bool) for item in value)


def _kind(value: object) -> str:
    """What was found, short enough for one line."""
    if value is None:
        return "nothing"
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 60 else shown[:57] + "..."
