"""Results of a detector that was run elsewhere, from a file in COCO's form or in Darknet's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scenograph.data.records import Reasons, Skip, identity, number, numbers, read_each
from scenograph.errors import UserError
from scenograph.files import read_json

DARKNET_NAMES = {
    "tvmonitor": "tv",
    "diningtable": "dining table",
    "pottedplant": "potted plant",
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "sofa": "couch",
}
"""Darknet's names of COCO categories, where they differ."""


def read_detections(
    path: Path,
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: Mapping[str, int],
    left_out: Reasons | None = None,
) -> list[dict[str, Any]]:
    """Results in COCO's form, from a file in that form or in Darknet's, which has an entry per picture.

    Args:
        path: The file.
        sizes: (width, height) of the pictures.
        image_ids: Of the pictures.
        categories: Ids by name. Detections of others are left out.
        left_out: Where they are counted, and entries that are no detections.

    Raises:
        UserError: The file is of another form, speaks of other pictures, or no detection in it is of a category.
    """
    left_out = Reasons() if left_out is None else left_out
    if not path.is_file():
        raise UserError(f"cannot read {path}: no such file; give the detector's results")
    try:
        values = read_json(path)
        if not isinstance(values, list):
            raise TypeError("expected a list")
        if values and "objects" in values[0]:
            values = _in_order(values, len(image_ids))
            found = _from_darknet(values, sizes, image_ids, categories, left_out)
        else:
            read = partial(_detection, set(image_ids), categories)
            found = read_each(values, read, left_out, path.name, "detection")
    except UnknownPicture as error:
        raise UserError(f"{path}: {error}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{path}: not detections in COCO's form (image_id, category_id, bbox, score): {error}"
        ) from error
    if values and left_out and not found:
        raise UserError(f"{path}: holds no detection to measure ({'; '.join(map(left_out.described, left_out))})")
    return found


class UnknownPicture(Exception):  # noqa: N818
    """A detection in a picture that is not evaluated, or pictures that are not those that are."""


def _detection(pictures: set[int], categories: Mapping[str, int], value: dict[str, Any]) -> dict[str, Any]:
    """A detection with its ids as numbers. Raises ``Skip``."""
    image_id, category, box = identity(value["image_id"]), identity(value["category_id"]), numbers(value["bbox"], 4)
    score = number(value["score"])
    if image_id not in pictures:
        raise UnknownPicture(f"image_id {value['image_id']!r} is no picture of annotations.json")
    if box is None or score is None:
        raise Skip("detection has no bbox of four numbers and a score")
    if category not in categories.values():
        known = ", ".join(f"{number} {name}" for name, number in list(categories.items())[:8])
        known += ", ..." if len(categories) > 8 else ""
        raise Skip(f"annotations.json has no such category id ({known})", f"category_id {value['category_id']!r}")
    return {**value, "image_id": image_id, "category_id": category, "bbox": box, "score": score}


def _in_order(entries: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Darknet's entries of the ``count`` pictures, by their file names or else as they stand.

    Lists of pictures are often sorted as text, and hold further pictures of a layout.
    """
    named = [re.search(r"sample_(\d+)_(\d+)\.\w+$", str(entry.get("filename", ""))) for entry in entries]
    if all(named):
        found = {int(name[1]): entry for name, entry in zip(named, entries, strict=True) if name and name[2] == "0"}
        missing = next((number for number in range(count) if number not in found), None)
        if missing is not None:
            raise UnknownPicture(f"has no entry of sample_{missing}_0; run the detector on all of annotations.json")
        return [found[number] for number in range(count)]
    if len(entries) != count:
        raise UnknownPicture(f"has entries of {len(entries)} pictures, where annotations.json has {count}")
    return entries


def _from_darknet(
    values: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: Mapping[str, int],
    left_out: Reasons,
) -> list[dict[str, Any]]:
    """Centres and sides in fractions to boxes in pixels; confidences to three decimals, as LAMA's script."""
    results = []
    for value, (width, height), image_id in zip(values, sizes, image_ids, strict=True):
        for thing in value["objects"]:
            name = DARKNET_NAMES.get(thing["name"], thing["name"])
            if name not in categories:
                left_out.note("no category of annotations.json has the detection's name", name)
                continue
            place = thing["relative_coordinates"]
            w, h = place["width"] * width, place["height"] * height
            x, y = place["center_x"] * width - w / 2, place["center_y"] * height - h / 2
            score = round(thing["confidence"], 3)
            results.append(
                {"image_id": image_id, "category_id": categories[name], "bbox": [x, y, w, h], "score": score}
            )
    return results
