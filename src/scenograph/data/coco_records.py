"""COCO's records in order: fields in one form, and null where they say nothing usable."""

from __future__ import annotations

from scenograph.data.json_tables import Record
from scenograph.data.pictures import MAX_PIXELS
from scenograph.data.records import Reasons, Skip, identity, name_of, numbers, read_each, side


def tidy_image(record: Record, left_out: Reasons) -> Record:
    """``id``, ``file_name``, ``width`` and ``height``; the latter two are null if they are to be read from the file."""
    width, height = side(record.get("width")), side(record.get("height"))
    if width and height and width * height > MAX_PIXELS:
        raise Skip("picture is too large")
    return {"id": record["id"], "file_name": record.get("file_name"), "width": width, "height": height}


def tidy_category(record: Record, left_out: Reasons) -> Record:
    """``id``, ``name`` (or null) and ``isthing``."""
    name = name_of(record.get("name"))
    return {"id": record["id"], "name": name and name.strip(), "isthing": record.get("isthing")}


def tidy_annotation(record: Record, left_out: Reasons) -> Record:
    """All fields that are read of an object or a segment, null where they are of no use."""
    return {
        "id": identity(record.get("id")),
        "category_id": identity(record.get("category_id")),
        "bbox": numbers(record.get("bbox"), 4),
        "iscrowd": identity(record.get("iscrowd")),
        "segmentation": record.get("segmentation"),
    }


def tidy_panoptic(record: Record, left_out: Reasons) -> Record:
    """``file_name``, and ``segments_info`` with the fields of annotations."""
    where = f"picture {record['image_id']}"
    segments = read_each(
        record.get("segments_info"), lambda one: tidy_annotation(one, left_out), left_out, where, "segment"
    )
    return {"file_name": record.get("file_name"), "segments_info": segments}
