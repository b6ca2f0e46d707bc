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

A crop is the object's own pixels with their alpha, ``{"png": base64}``; it fills the box. Its ``origin`` is a text.

A scene's ``"picture"`` is the id of the picture in a data set that it describes: crops from it are not chosen for it.

``"seed": 7`` fixes an object's looks, whatever the picture's seed, in models whose objects have looks of their own;
``"seed": [7, 9, 0.5]`` is half way from those of 7 to those of 9, and ``"seed": [7, 2]`` those of object 2 in the
picture of seed 7.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import numpy as np

from scenograph.errors import UserError, check_text, counted, shortened, suggest
from scenograph.files import parse_json, read_text, write_atomically
from scenograph.scenes.fields import FIELDS, Box, Field, ObjectSeed
from scenograph.scenes.geometry import CONVERSES, MIRRORED
from scenograph.scenes.png import is_png, read_record
from scenograph.scenes.sketch import Sketch

log = logging.getLogger(__name__)

MAX_OBJECTS = 256
"""More objects than any published data set has in a scene; beyond it memory, not meaning, grows."""
SHOWN = 20
"""Objects, and relations, that a printed scene names."""
MAX_PIXELS, MAX_FILE_PIXELS = 2**26, 2**30
"""Of all masks, sketches and crops of a scene, and of a file of scenes: few bytes of JSON can stand for gigabytes."""


@dataclass(frozen=True, eq=False)
class SceneObject:
    """One thing in a scene. All but its category is optional.

    ``mask`` (h, w) bool, ``sketch`` and ``crop`` (h, w, 4) uint8 are relative to ``box``; ``seed`` fixes its looks, in
    models whose objects have looks of their own. :mod:`scenograph.scenes.fields` says how each is read and written.
    """

    category: str
    attributes: tuple[str, ...] = ()
    box: Box | None = None
    mask: np.ndarray | None = dataclass_field(default=None, repr=False)
    sketch: Sketch | None = dataclass_field(default=None, repr=False)
    seed: ObjectSeed | None = None
    crop: np.ndarray | None = dataclass_field(default=None, repr=False)
    origin: str | None = None

    @property
    def pixels(self) -> int:
        """Of its mask, sketch and crop."""
        pictures = (self.mask, self.crop, None if self.sketch is None else self.sketch.picture)
        return sum(picture.shape[0] * picture.shape[1] for picture in pictures if picture is not None)

    @property
    def label(self) -> str:
        """Attributes and category as one would say them: ``large red metal cube``."""
        return " ".join((*self.attributes, self.category))

    def __repr__(self) -> str:
        shown = {"mask": "...", "sketch": "...", "crop": "..."}
        given = [f"{field.name}={shown.get(field.name, repr(value))}" for field, value in _given(self)]
        return f"SceneObject({', '.join([repr(self.category), *given[1:]])})"


@dataclass(frozen=True, slots=True)
class Relation:
    """``objects[subject] predicate objects[object]``; both are indices into the scene's objects."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects and the relations between them.

    A scene does not change: methods that edit return another one, which shares with it all that they do not name.
    """

    objects: tuple[SceneObject, ...]
    relations: tuple[Relation, ...] = ()
    picture: str | None = None
    """The id of the picture in a data set that it describes."""

    def replace_object(self, index: int, **changes: Any) -> Scene:
        """Change fields of an object, which keeps its place and its relations.

        What is relative to its box (mask, sketch, crop) moves with it.

        Args:
            index: The object's number, from 0.
            **changes: Values by field, such as ``box=(0.1, 0.2, 0.4, 0.5)``; None takes a field away.

        Returns:
            The changed scene.

        Raises:
            UserError: There is no such object or field, or a value is none of the field's.
        """
        self._check_index(index, "replace_object")
        where = f"objects[{index}]"
        thing = self.objects[index]
        given: dict[str, Any] = {}
        for name, value in changes.items():
            field = next((field for field in FIELDS if field.name == name), None)
            if field is None:
                raise UserError(f"{where}: no field {name!r} {suggest(name, [field.name for field in FIELDS])}")
            given[name] = field.missing if value is None else _checked(field, value, f"{where}.{name}")
        changed = replace(thing, **given)
        if changed.mask is not None and changed.box is None:
            raise UserError(f"{where}: its mask is relative to its box; take both away, with mask=None")
        return replace(self, objects=(*self.objects[:index], changed, *self.objects[index + 1 :]))

    def add_object(self, category: str | SceneObject, **fields: Any) -> Scene:
        """Add an object behind the others, whose numbers stay as they are.

        Args:
            category: Or a whole object.
            **fields: Others of the object.

        Returns:
            The longer scene.

        Raises:
            UserError: As :meth:`replace_object` does, or there are ``MAX_OBJECTS`` already.
        """
        if len(self.objects) == MAX_OBJECTS:
            raise UserError(f"add_object: the scene has {MAX_OBJECTS} objects, more than which are not allowed")
        thing = category if isinstance(category, SceneObject) else SceneObject(category)
        longer = replace(self, objects=(*self.objects, thing))
        return longer.replace_object(len(self.objects), **({"category": thing.category} | fields))

    def remove_object(self, index: int) -> Scene:
        """The scene without an object and its relations; numbers of the objects behind it fall by one.

        Raises ``UserError`` if there is no such object, or no other.
        """
        self._check_index(index, "remove_object")
        if len(self.objects) == 1:
            raise UserError("remove_object: a scene has at least one object")
        return keep_objects(self, [number for number in range(len(self.objects)) if number != index])

    def add_relation(self, subject: int, predicate: str, target: int) -> Scene:
        """Add a relation between two objects.

        Args:
            subject: The number of the object that it is said of, from 0.
            predicate: Such as ``left of``.
            target: The number of the other one.

        Returns:
            The scene with it; the same scene if it has it already.

        Raises:
            UserError: As for a scene file with this relation.
        """
        relation = _parse_relation([subject, predicate, target], len(self.objects), "add_relation")
        return self if relation in self.relations else replace(self, relations=(*self.relations, relation))

    def remove_relation(self, subject: int, predicate: str, target: int) -> Scene:
        """Take a relation away.

        Args:
            subject: As for :meth:`add_relation`.
            predicate: As there.
            target: As there.

        Returns:
            The scene without it.

        Raises:
            UserError: The scene has none such.
        """
        relation = Relation(subject, predicate, target)
        if relation not in self.relations:
            raise UserError(f"remove_relation: the scene has no relation [{subject}, {predicate!r}, {target}]")
        return replace(self, relations=tuple(other for other in self.relations if other != relation))

    def _check_index(self, index: int, where: str) -> None:
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(self.objects):
            raise UserError(f"{where}: no object {index}; the scene has objects 0 to {len(self.objects) - 1}")

    def __repr__(self) -> str:
        names = ", ".join(thing.label for thing in self.objects)
        return f"<Scene: {self._counts}: {names if len(names) <= 80 else names[:79] + '…'}>"

    def __str__(self) -> str:
        """What it holds, an object or a relation per line; of many the first."""
        wide = max(len(thing.label) for thing in self.objects)
        lines = [f"scene of {self._counts}"]
        for number, thing in enumerate(self.objects[:SHOWN]):
            rest = [field.name for field, _ in _given(thing) if field.name not in ("category", "attributes", "box")]
            box = [] if thing.box is None else ["box " + " ".join(f"{value:.2f}" for value in thing.box)]
            lines.append(f"{number:4}  {thing.label:{wide}}  {', '.join(box + rest)}".rstrip())
        lines += [f"      and {len(self.objects) - SHOWN} more objects"] * (len(self.objects) > SHOWN)
        for relation in self.relations[:SHOWN]:
            ends = [f"{self.objects[end].label} ({end})" for end in (relation.subject, relation.object)]
            lines.append(f"      {ends[0]} {relation.predicate} {ends[1]}")
        lines += [f"      and {len(self.relations) - SHOWN} more relations"] * (len(self.relations) > SHOWN)
        return "\n".join(lines)

    @property
    def _counts(self) -> str:
        return f"{counted(len(self.objects), 'object')}, {counted(len(self.relations), 'relation')}"

    def _repr_svg_(self) -> str:
        """The graph, and the layout as far as there are boxes, as notebooks show them."""
        from scenograph.scenes.drawing import draw_scene  # which imports scenes

        return draw_scene(self).to_svg()

    @staticmethod
    def from_dict(value: object, where: str = "scene") -> Scene:
        """Read a scene from what JSON holds.

        Args:
            value: A dictionary in the field's form, ``{"objects": ["sky"], "relationships": [[0, "above", 1]]}``, or in
                the rich form, whose objects are dictionaries with boxes and more.
            where: What error messages call the scene.

        Returns:
            The scene.

        Raises:
            UserError: Types are wrong, there are no or too many objects, indices are out of range, an object is in a
                spatial relation to itself, or a box is not finite or not upright.
        """
        if not isinstance(value, dict):
            raise UserError(f"{where}: expected an object with 'objects', found {shortened(value)}")
        unknown = set(value) - {"objects", "relationships", "picture"}
        if unknown:
            raise UserError(f"{where}: unknown field {sorted(unknown)[0]!r} (allowed: objects, relationships, picture)")
        objects = value.get("objects")
        if not isinstance(objects, list):
            raise UserError(f"{where}.objects: expected a list of names or objects, found {shortened(objects)}")
        if not objects:
            raise UserError(f"{where}.objects: the scene is empty; name at least one object")
        if len(objects) > MAX_OBJECTS:
            raise UserError(f"{where}.objects: {len(objects)} objects; at most {MAX_OBJECTS} are allowed in one scene")
        relations = value.get("relationships", [])
        if not isinstance(relations, list):
            raise UserError(f"{where}.relationships: expected a list, found {shortened(relations)}")
        picture = value.get("picture")
        if picture is not None and not isinstance(picture, str):
            raise UserError(f"{where}.picture: expected the id of a picture, found {shortened(picture)}")
        parsed: list[SceneObject] = []
        pixels = 0
        for i, item in enumerate(objects):
            parsed.append(_parse_object(item, f"{where}.objects[{i}]"))
            pixels += parsed[-1].pixels
            if pixels > MAX_PIXELS:
                most = f"at most {MAX_PIXELS:,} are allowed in one scene; make them smaller"
                raise UserError(f"{where}.objects[{i}]: masks, sketches and crops reach {pixels:,} pixels; {most}")
        return Scene(
            tuple(parsed),
            tuple(
                _parse_relation(item, len(parsed), f"{where}.relationships[{i}]") for i, item in enumerate(relations)
            ),
            None if picture is None else check_text(picture, f"{where}.picture"),
        )

    def to_dict(self) -> dict[str, Any]:
        """The shortest form that says everything: plain names where an object is only a name."""
        of_picture = {} if self.picture is None else {"picture": self.picture}
        return {
            **of_picture,
            "objects": [_object_to_json(thing) for thing in self.objects],
            "relationships": [[r.subject, r.predicate, r.object] for r in self.relations],
        }


def parse_scenes(text: str, where: str = "scene") -> list[Scene]:
    """Scenes from JSON text: one scene or a list of them."""
    value = parse_json(text, where)
    if isinstance(value, list):
        if not value:
            raise UserError(f"{where}: the list holds no scene")
        scenes, pixels = [], 0
        for i, item in enumerate(value):
            scenes.append(Scene.from_dict(item, f"{where}, scene {i}"))
            pixels += sum(thing.pixels for thing in scenes[-1].objects)
            if pixels > MAX_FILE_PIXELS:
                raise UserError(
                    f"{where}: masks, sketches and crops reach {pixels:,} pixels; split the file at scene {i}"
                )
        return scenes
    return [Scene.from_dict(value, where)]


def load_scenes(path: Path) -> list[Scene]:
    """Scenes from a file.

    Args:
        path: A scene file (JSON), a generated picture, or a sheet of such pictures (PNG).

    Returns:
        The scenes in the file; of a picture or a sheet, those that it was asked for.

    Raises:
        UserError: The file is missing, holds no scene, or one that is wrong; the message names the place in it.
    """
    if not is_png(path):
        return parse_scenes(read_text(path), str(path))
    record = read_record(path)
    if record is None:
        raise without_scene(path)
    value = parse_json(record, f"{path}: its scene cannot be read")
    held = value if isinstance(value, dict) else {}
    return parse_scenes(json.dumps(held.get("scenes", held.get("scene"))), str(path))


def without_scene(path: Path) -> UserError:
    """The error for a picture that was not made here, and so has no record of a scene."""
    return UserError(
        f"{path} was not made by scenograph: it holds no scene; give a scene file or text; "
        f"if it is a scanned drawing: scenograph scene from-sketch {path}"
    )


def scenes_to_json(scenes: list[Scene]) -> str:
    """The text of a scene file, an object or a relation per line: one scene as an object, several as a list."""
    texts = []
    for scene in scenes:
        fields = (f'"{name}": {_lines(values)}' for name, values in scene.to_dict().items())
        texts.append("{" + ",\n ".join(fields) + "}")
    return (texts[0] if len(texts) == 1 else "[\n" + ",\n".join(texts) + "\n]") + "\n"


def _lines(values: list[Any] | str) -> str:
    if isinstance(values, str):
        return json.dumps(values)
    return "[" + ",".join(f"\n  {json.dumps(value)}" for value in values) + "]"


def with_places(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, str]]:
    """Every scene, and how messages about it begin: with its number, unless it is the only one."""
    for number, scene in enumerate(scenes):
        yield scene, f"scene {number}, " if len(scenes) > 1 else ""


def save_scenes(path: Path, scenes: list[Scene]) -> None:
    """Write a scene file.

    Args:
        path: Replaced if it exists.
        scenes: At least one.

    Raises:
        UserError: It cannot be written.
    """
    write_atomically(path, scenes_to_json(scenes).encode())


def mirror(scene: Scene) -> Scene:
    """The scene seen in a mirror: boxes, masks, sketches and crops flipped, left and right exchanged everywhere."""
    objects = tuple(
        replace(thing, **{field.name: field.mirrored(value) for field, value in _given(thing)})
        for thing in scene.objects
    )
    relations = tuple(replace(r, predicate=MIRRORED.get(r.predicate, r.predicate)) for r in scene.relations)
    return replace(scene, objects=objects, relations=relations)


def view(scene: Scene, window: Box) -> Scene:
    """What a window shows: objects cut at its borders (cut ones without their sketches), those outside it left out.

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
    kept: dict[str, Any] = {}
    if seen != thing.box:
        width, height = x1 - x0, y1 - y0
        part = (seen[0] - x0) / width, (seen[1] - y0) / height, (seen[2] - x0) / width, (seen[3] - y0) / height
        kept = {field.name: field.cut(value, part) for field, value in _given(thing)}
        if thing.mask is not None and kept["mask"] is None:
            return None
    width, height = right - left, bottom - top
    box = (seen[0] - left) / width, (seen[1] - top) / height, (seen[2] - left) / width, (seen[3] - top) / height
    return replace(thing, **(kept | {"box": box}))


def keep_objects(scene: Scene, kept: Sequence[int]) -> Scene:
    """Some objects of a scene, by number and in that order, with the relations among them."""
    position = {old: new for new, old in enumerate(kept)}
    relations = [
        Relation(position[r.subject], r.predicate, position[r.object])
        for r in scene.relations
        if r.subject in position and r.object in position
    ]
    return replace(scene, objects=tuple(scene.objects[i] for i in kept), relations=tuple(relations))


def _parse_object(value: object, where: str) -> SceneObject:
    if isinstance(value, str):
        value = {"category": value}
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected a name or an object, found {shortened(value)}")
    names = [field.name for field in FIELDS]
    unknown = set(value) - set(names)
    if unknown:
        raise UserError(f"{where}: unknown field {sorted(unknown)[0]!r} (allowed: {', '.join(names)})")
    given = {"category": None} | {name: item for name, item in value.items() if item is not None}
    parsed = {
        field.name: field.from_json(given[field.name], f"{where}.{field.name}")
        for field in FIELDS
        if field.name in given
    }
    if "mask" in parsed and "box" not in parsed:
        raise UserError(f"{where}.mask: a mask is relative to a box, but the object has no box; add one")
    return SceneObject(**parsed)


def _parse_relation(value: object, count: int, where: str) -> Relation:
    if not isinstance(value, list) or len(value) != 3:
        raise UserError(f"{where}: expected [subject index, predicate, object index], found {shortened(value)}")
    subject, predicate, target = value
    if not isinstance(predicate, str) or not predicate.strip():
        raise UserError(f"{where}[1]: expected a predicate name, found {shortened(predicate)}")
    check_text(predicate, f"{where}[1]")
    for place, index in ((0, subject), (2, target)):
        if not isinstance(index, int) or isinstance(index, bool):
            raise UserError(f"{where}[{place}]: expected an index into objects, found {shortened(index)}")
        if not 0 <= index < count:
            raise UserError(f"{where}[{place}]: index {index} is out of range; the scene has objects 0 to {count - 1}")
    if subject == target:
        if predicate in CONVERSES:
            raise UserError(f"{where}: object {subject} cannot be {predicate!r} itself; name two different objects")
        # Published scene graphs hold a few such slips ("next to" itself), and sg2im gives them a meaning.
        log.warning("%s: object %d is in relation %r to itself", where, subject, predicate)
    return Relation(subject, predicate, target)


def _checked(field: Field[Any], value: object, where: str) -> Any:
    """A field's value, given as Python has it or as a scene file does. Raises ``UserError`` for one that is none."""
    if isinstance(value, np.ndarray | Sketch):
        return field.from_json(field.to_json(value), where)
    return field.from_json(list(value) if isinstance(value, tuple) else value, where)


def _object_to_json(thing: SceneObject) -> str | dict[str, Any]:
    value = {field.name: field.to_json(item) for field, item in _given(thing)}
    return value if len(value) > 1 else thing.category


def _given(thing: SceneObject) -> Iterator[tuple[Field[Any], Any]]:
    """The fields that an object has, with their values."""
    for field in FIELDS:
        value = getattr(thing, field.name)
        if field.is_given(value):
            yield field, value
