"""Scenes as COCO annotations: what a generated picture shows, for detectors and viewers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scenograph.scenes.masks import encode_mask
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.silhouettes import silhouette


def coco_annotations(
    scenes: Sequence[Scene],
    file_names: Sequence[str],
    width: int,
    height: int,
    category_ids: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Scenes as COCO annotations.

    Args:
        scenes: Objects without a box are left out.
        file_names: One per scene.
        width: Of the pictures, in pixels.
        height: Of the pictures, in pixels.
        category_ids: The published ids of categories; others are numbered behind them, in order of names.

    Returns:
        An instances dictionary: pixel boxes (x, y, width, height), areas, attributes, and masks where known.
    """
    ids = dict(category_ids or {})
    names = {thing.category for scene in scenes for thing in scene.objects}
    ids |= {name: i for i, name in enumerate(sorted(names - ids.keys()), start=max(ids.values(), default=0) + 1)}
    annotations: list[dict[str, Any]] = []
    for image_id, scene in enumerate(scenes, start=1):
        for thing in scene.objects:
            if thing.box is None:
                continue
            entry = _annotation(thing, width, height)
            identity = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append({**identity, "category_id": ids[thing.category], **entry})
    return {
        "images": [
            {"id": i, "file_name": name, "width": width, "height": height} for i, name in enumerate(file_names, start=1)
        ],
        "categories": [{"id": i, "name": name} for name, i in sorted(ids.items(), key=lambda one: one[1])],
        "annotations": annotations,
    }


def _annotation(thing: SceneObject, width: int, height: int) -> dict[str, Any]:
    assert thing.box is not None
    x0, y0, x1, y1 = (float(np.clip(value, 0, 1)) for value in thing.box)
    box = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]
    entry: dict[str, Any] = {
        "bbox": [round(value, 2) for value in box],
        "area": round(box[2] * box[3], 2),
        "iscrowd": 0,
    }
    if thing.attributes:
        entry["attributes"] = list(thing.attributes)
    if thing.mask is not None:
        canvas = np.zeros((height, width), dtype=bool)
        pixels = silhouette(thing, width, height)
        if pixels is not None:
            pixels.paint(canvas, True)
        entry |= {"segmentation": encode_mask(canvas), "area": int(canvas.sum()), "iscrowd": 1}
    return entry
