"""How much of an upload is looked at: counted before anything is decoded."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from scenograph.scenes.png import HEADER, said_size
from scenograph.scenes.scene import Scene
from scenograph.studio.server.problems import ServiceError

MOST_OBJECTS, MOST_RELATIONS = 64, 2048
MOST_NAME, MOST_ATTRIBUTES = 200, 64
"""Characters of a name, which an unknown one is compared by with all that are known; and names of an object's looks."""
MOST_STROKES, MOST_POINTS = 2000, 200_000
"""Of all sketches of a scene."""
MOST_PIXELS = 16_000_000
"""Of all pictures in a request, once they are decoded."""


def read_scene(value: dict[str, Any]) -> Scene:
    """A scene from a request.

    Raises:
        ServiceError: It has too many objects, relations, strokes or pixels, names that are too long, or a picture that
            is no PNG.
        UserError: It is no scene.
    """
    objects, relations = value.get("objects"), value.get("relationships")
    _check_count(objects, MOST_OBJECTS, "objects")
    _check_count(relations, MOST_RELATIONS, "relationships")
    _check_names(objects, relations)
    strokes: list[Any] = []
    pixels = 0
    for number, thing in enumerate(objects if isinstance(objects, list) else ()):
        where = f"objects[{number}]"
        strokes += _strokes(thing)
        check_strokes(strokes, f"{where}.sketch")
        for place, count in _pictures(thing, where):
            pixels += count
            if pixels > MOST_PIXELS:
                most = f"its pictures have more than {MOST_PIXELS:,} pixels, at most that many are allowed"
                raise ServiceError(413, "too_many_pixels", f"{place}: {most}", place)
    return Scene.from_dict(value, "scene")


def check_strokes(strokes: Sequence[Any], where: str) -> None:
    """Raise ``ServiceError`` for too many strokes, or points of them."""
    if len(strokes) > MOST_STROKES or sum(map(_points, strokes)) > MOST_POINTS:
        most = f"at most {MOST_STROKES:,} strokes of {MOST_POINTS:,} points in all are allowed"
        raise ServiceError(413, "too_many_strokes", f"{where}: {most}", where)


def read_picture(text: str, where: str) -> bytes:
    """The content of a PNG of a request. Raises ``ServiceError`` for anything else, and for a huge one."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServiceError(400, "not_a_png", f"{where}: not base64 text", where) from error
    if _pixels_of(content, where) > MOST_PIXELS:
        raise ServiceError(413, "too_many_pixels", f"{where}: more than {MOST_PIXELS:,} pixels", where)
    return content


def opened(content: bytes, where: str) -> Image.Image:
    """A PNG of a request, decoded. Raises ``ServiceError`` if it is damaged."""
    try:
        picture = Image.open(io.BytesIO(content), formats=["PNG"])
        if picture.size == said_size(content):
            picture.load()
            return picture
    except Exception as error:  # of damaged chunks Pillow raises almost anything
        raise ServiceError(400, "not_a_png", f"{where}: a damaged PNG", where) from error
    raise ServiceError(400, "not_a_png", f"{where}: a PNG with two headers of different sizes", where)


def _check_count(values: object, most: int, what: str, where: str | None = None) -> None:
    if isinstance(values, list) and len(values) > most:
        place = where or what
        raise ServiceError(413, f"too_many_{what}", f"{place}: {len(values)}, at most {most} are allowed", place)


def _check_names(objects: object, relations: object) -> None:
    """Raise ``ServiceError`` for names that nobody means, as far as there are such."""
    for number, thing in enumerate(objects if isinstance(objects, list) else ()):
        where = f"objects[{number}]"
        fields = thing if isinstance(thing, dict) else {"category": thing}
        attributes = fields.get("attributes")
        _check_name(fields.get("category"), f"{where}.category")
        if isinstance(attributes, list):
            _check_count(attributes, MOST_ATTRIBUTES, "attributes", f"{where}.attributes")
            for place, name in enumerate(attributes):
                _check_name(name, f"{where}.attributes[{place}]")
    for number, relation in enumerate(relations if isinstance(relations, list) else ()):
        if isinstance(relation, list) and len(relation) == 3:
            _check_name(relation[1], f"relationships[{number}]")


def _check_name(name: object, where: str) -> None:
    if isinstance(name, str) and len(name) > MOST_NAME:
        message = f"{where}: a name of {len(name):,} characters, at most {MOST_NAME} are allowed"
        raise ServiceError(413, "too_long_name", message, where)


def _strokes(thing: object) -> list[Any]:
    """The strokes of an object's sketch, as far as it has such."""
    sketch = thing.get("sketch") if isinstance(thing, dict) else None
    strokes = sketch.get("strokes") if isinstance(sketch, dict) else None
    return strokes if isinstance(strokes, list) else []


def _points(stroke: object) -> int:
    """How many points a stroke has: as many as the longer one of its lists of coordinates."""
    axes = stroke if isinstance(stroke, list) else []
    return max((len(axis) for axis in axes if isinstance(axis, list)), default=0)


def _pictures(thing: object, where: str) -> Iterator[tuple[str, int]]:
    """Where an object has pictures, and how many pixels each has."""
    if not isinstance(thing, dict):
        return
    for name in ("sketch", "crop"):
        held = thing.get(name)
        text = held.get("png") if isinstance(held, dict) else None
        if isinstance(text, str):
            place = f"{where}.{name}.png"
            yield place, _pixels_of(_beginning(text), place)
    mask = thing.get("mask")
    size = mask.get("size") if isinstance(mask, dict) else None
    if isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size):
        yield f"{where}.mask", size[0] * size[1]


def _beginning(text: str) -> bytes:
    """The first bytes that base64 text stands for; none if it is no such text."""
    try:
        return base64.b64decode(text[: HEADER * 4 // 3], validate=True)
    except (binascii.Error, ValueError):
        return b""


def _pixels_of(content: bytes, where: str) -> int:
    """Width times height of a PNG, by its header. Raises ``ServiceError`` for other files, SVG among them."""
    try:
        width, height = said_size(content)
    except ValueError:
        message = f"{where}: not a PNG file; no other kind of picture is read"
        raise ServiceError(400, "not_a_png", message, where) from None
    return width * height
