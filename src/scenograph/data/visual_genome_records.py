"""Visual Genome's records in order: what lacks an id, a name or a box is left out, counted and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scenograph.data.json_tables import Record, stream_json
from scenograph.data.records import Id, Reasons, Skip, identity, name_of, numbers, read_each, side
from scenograph.errors import UserError


def check_version(path: Path) -> None:
    """Raise ``UserError`` for a file of version 1.0, whose ids have another name."""
    first = next(stream_json(path, "item"), None)
    things = [first, *first.get("objects", [])] if isinstance(first, dict) else []
    for thing in things:
        if isinstance(thing, dict) and "id" in thing and not {"image_id", "object_id"} & thing.keys():
            raise UserError(f"{path}: 'id' in place of 'image_id' or 'object_id', as in Visual Genome 1.0; take 1.4")


def _tidy_image(record: Record, left_out: Reasons) -> Record:
    return {"image_id": record["image_id"], "width": side(record.get("width")), "height": side(record.get("height"))}


def _tidy_objects(record: Record, left_out: Reasons) -> Record:
    """Objects with an id, a list of names, and a pixel box ``x``, ``y``, ``w``, ``h``."""

    def read(thing: Record) -> Record:
        box = numbers([thing.get(key) for key in "xywh"])
        if box is None:
            raise Skip("object has no box")
        if min(box[2:]) < 0:  # smaller than any object that is kept; its names still count, as in sg2im
            left_out.note("object's box has a negative side", f"picture {record['image_id']}: {box}")
        return {"object_id": _object_id(thing), "names": _names(thing), **dict(zip("xywh", box, strict=True))}

    return _tidied(record, "objects", read, left_out)


def _tidy_relationships(record: Record, left_out: Reasons) -> Record:
    """Relations with a predicate and the ids of both ends."""

    def read(relation: Record) -> Record:
        if not isinstance(relation.get("predicate"), str):
            raise Skip("relation has no predicate")
        subject, other = relation.get("subject"), relation.get("object")
        if not isinstance(subject, dict) or not isinstance(other, dict):
            raise Skip("relation lacks its subject or object")
        return {"predicate": relation["predicate"], "subject": _object_id(subject), "object": _object_id(other)}

    return _tidied(record, "relationships", read, left_out)


def _tidy_attributes(record: Record, left_out: Reasons) -> Record:
    """Attributes of objects with an id."""

    def read(thing: Record) -> Record:
        return {"object_id": _object_id(thing), "attributes": _texts(thing.get("attributes"))}

    return _tidied(record, "attributes", read, left_out)


TIDY = {
    "objects": _tidy_objects,
    "relationships": _tidy_relationships,
    "attributes": _tidy_attributes,
    "image_data": _tidy_image,
}
"""The files, and what their records go through."""


def _tidied(record: Record, field: str, read: Callable[[Record], Record], left_out: Reasons) -> Record:
    what = field.removesuffix("s")
    entries = read_each(record[field], read, left_out, f"picture {record['image_id']} in {field}.json", what)
    return {"image_id": record["image_id"], field: entries}


def _object_id(thing: Record) -> Id:
    found = identity(thing.get("object_id"))
    if found is None:
        raise Skip("object has no object_id")
    return found


def _names(thing: Record) -> list[str]:
    """The names of an object, which is left out if it has none."""
    names = _texts(thing.get("names", thing.get("name")))
    if not names:
        raise Skip("object has no name")
    return names


def _texts(given: Any) -> list[str]:
    """Names, of which one may stand for a list of one."""
    return [one for one in map(name_of, given if isinstance(given, list) else [given]) if one]
