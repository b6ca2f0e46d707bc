"""Results of a detector that was run elsewhere, from a file in COCO's form or in Darknet's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scenograph.data.records import MAX_SIDE, Reasons, Skip, identity, number, numbers, read_each
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
        if any(isinstance(value, dict) and "objects" in value for value in values):
            entries = _in_order(values, len(image_ids), left_out)
            found = _from_darknet(entries, sizes, image_ids, categories, left_out)
        else:
            read = partial(_detection, _pictures(values, image_ids, left_out), categories)
            found = read_each(values, read, left_out, path.name, "detection")
            if found and all(max(detection["bbox"][2:]) < 1 for detection in found):  # not a pixel wide or high
                raise ValueError("each bbox is in fractions of its picture, where COCO's are x, y, w, h in pixels")
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


def _pictures(values: list[Any], image_ids: Sequence[int], left_out: Reasons) -> dict[int, int]:
    """The pictures' ids, by the ids that detections name them by: the same, or all numbers from 1 to their count."""
    named = {
        value.get("image_id") for value in values if isinstance(value, dict) and isinstance(value.get("image_id"), int)
    }
    counted = dict(enumerate(image_ids, start=1))
    if named == counted.keys() and not named & set(image_ids):
        left_out.note("image_id counts the pictures of annotations.json from 1, and is read so", count=len(values))
        return counted
    return {number: number for number in image_ids}


def _detection(pictures: Mapping[int, int], categories: Mapping[str, int], value: dict[str, Any]) -> dict[str, Any]:
    """A detection with its ids as numbers. Raises ``Skip``."""
    image_id, category, box = identity(value["image_id"]), identity(value["category_id"]), numbers(value["bbox"], 4)
    score = number(value["score"])
    picture = pictures.get(image_id) if isinstance(image_id, int) else None
    if picture is None:
        raise UnknownPicture(f"image_id {value['image_id']!r} is no picture of annotations.json")
    if box is None or score is None:
        raise Skip("detection has no bbox of four numbers and a score")
    _check_box(box)
    if category not in categories.values():
        known = ", ".join(f"{number} {name}" for name, number in list(categories.items())[:8])
        known += ", ..." if len(categories) > 8 else ""
        raise Skip(f"annotations.json has no such category id ({known})", f"category_id {value['category_id']!r}")
    return {**value, "image_id": picture, "category_id": category, "bbox": box, "score": score}


def _check_box(box: list[float]) -> None:
    """Raise ``Skip`` for a box (x, y, w, h) in pixels that is none. An empty one is a detection, if a wrong one."""
    if min(box[2:]) < 0 or max(map(abs, box)) > MAX_SIDE:
        raise Skip("detection's box has a negative side, or reaches farther than any picture")


def _in_order(values: list[Any], count: int, left_out: Reasons) -> list[dict[str, Any]]:
    """Darknet's entries of the ``count`` pictures, by their file names or else as they stand.

    Lists of pictures are often sorted as text, and hold further pictures of a layout.
    """
    entries = [value for value in values if isinstance(value, dict)]
    named = [re.search(r"sample_(\d+)_(\d+)\.\w+$", str(entry.get("filename", ""))) for entry in entries]
    if all(named):
        found: dict[int, dict[str, Any]] = {}
        for name, entry in zip(named, entries, strict=True):
            if name and name[2] == "0":
                if int(name[1]) in found:
                    left_out.note("picture has two entries, the last of which counts", f"sample_{name[1]}_0")
                found[int(name[1])] = entry
        missing = next((number for number in range(count) if number not in found), None)
        if missing is not None:
            raise UnknownPicture(f"has no entry of sample_{missing}_0; run the detector on all of annotations.json")
        return [found[number] for number in range(count)]
    if len(values) != count:
        raise UnknownPicture(f"has entries of {len(values)} pictures, where annotations.json has {count}")
    return [value if isinstance(value, dict) else {} for value in values]


def _from_darknet(
    entries: Sequence[dict[str, Any]],
    sizes: Sequence[tuple[int, int]],
    image_ids: Sequence[int],
    categories: Mapping[str, int],
    left_out: Reasons,
) -> list[dict[str, Any]]:
    """Centres and sides in fractions to boxes in pixels; confidences to three decimals, as LAMA's script."""
    results = []
    for entry, size, image_id in zip(entries, sizes, image_ids, strict=True):
        read = partial(_darknet_detection, size, categories)
        for detection in read_each(entry.get("objects"), read, left_out, f"picture {image_id}", "detection"):
            results.append({"image_id": image_id, **detection})
    return results


def _darknet_detection(size: tuple[int, int], categories: Mapping[str, int], thing: dict[str, Any]) -> dict[str, Any]:
    """One of Darknet's detections in COCO's form, without its picture. Raises ``Skip``."""
    name = DARKNET_NAMES.get(thing["name"], thing["name"])
    if name not in categories:
        raise Skip("no category of annotations.json has the detection's name", str(name))
    place = thing["relative_coordinates"]
    relative = numbers([place[key] for key in ("center_x", "center_y", "width", "height")])
    score = number(thing["confidence"])
    if relative is None or score is None:
        raise Skip("detection has no four numbers of a place and a confidence")
    if max(map(abs, relative)) > 4:
        raise Skip("detection's relative_coordinates are no fractions of the picture")
    (width, height), (centre_x, centre_y, w, h) = size, relative
    w, h = w * width, h * height
    box = [centre_x * width - w / 2, centre_y * height - h / 2, w, h]
    _check_box(box)
    return {"category_id": categories[name], "bbox": box, "score": round(score, 3)}
