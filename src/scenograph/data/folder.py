"""A folder of your own: pictures with scenes, or with the annotations of LabelMe.

``folder``: pictures, and ``scenes.jsonl`` with one scene a line, in the scene language, plus ``image`` (a path in
the folder) and optionally ``id`` and ``split``::

    {"image": "a.jpg", "objects": [{"category": "cat", "box": [0.1, 0.2, 0.5, 0.9]}, "sofa"],
     "relationships": [[0, "on", 1]]}

A ``vocabulary.json`` in the folder fixes the names and their order; otherwise it is built from the scenes.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pydantic import Field

from scenograph.data.records import Skip
from scenograph.data.segmentations import crop_mask
from scenograph.data.source import Options, Plan, Progress, Sample, Source, set_aside
from scenograph.errors import UserError
from scenograph.scenes.fields import parse_box
from scenograph.scenes.geometry import SG2IM_PREDICATES, box_from_xywh
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary


class FolderOptions(Options):
    """How to divide what has no split of its own."""

    validation_count: int = Field(0, ge=0, description="scenes to set aside, where none names a split")


class Folder(Source):
    """Pictures and ``scenes.jsonl``."""

    title = "a folder of pictures and scenes.jsonl"
    options_type = FolderOptions

    def inputs(self) -> list[Path]:  # noqa: D102
        vocabulary = self.root / "vocabulary.json"
        return [self.root / "scenes.jsonl", *([vocabulary] if vocabulary.is_file() else [])]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        splits: dict[str, list[tuple[int, str]]] = {}
        categories: dict[str, None] = {}
        predicates: dict[str, None] = {}
        attributes: dict[str, None] = {}
        seen: set[str] = set()
        path = self.root / "scenes.jsonl"
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                record, scene = _parse_line(line, f"{path}, line {number}")
                if record["id"] in seen:
                    raise UserError(f"{path}, line {number}: id {record['id']!r} occurs twice; ids must differ")
                seen.add(record["id"])
                categories |= {thing.category: None for thing in scene.objects}
                attributes |= {name: None for thing in scene.objects for name in thing.attributes}
                predicates |= {relation.predicate: None for relation in scene.relations}
                splits.setdefault(record["split"], []).append((number, line))
                if number % 1000 == 0:
                    progress(path.name, number)
        if self.options.validation_count:
            splits |= set_aside(splits.get("train", []), self.options.validation_count, str(path))
        return Plan(self._vocabulary(categories, predicates, attributes), splits)

    def read(self, item: tuple[int, str]) -> Sample:  # noqa: D102
        record, scene = _parse_line(item[1], f"line {item[0]}")
        picture = None if record["image"] is None else self.pictures.find(record["image"])
        return Sample(record["id"], scene, picture)

    def _vocabulary(self, categories: Any, predicates: Any, attributes: Any) -> Vocabulary:
        path = self.root / "vocabulary.json"
        if path.is_file():
            return Vocabulary.load(path)
        # Which attributes exclude each other is unknown, so each is a group of its own.
        groups: dict[str, tuple[str, ...]] = {name: (name,) for name in sorted(attributes)}
        return Vocabulary(tuple(sorted(categories)), tuple(sorted(predicates)), groups)


class LabelMe(Source):
    """A folder of pictures and LabelMe JSON files: polygons, rectangles, circles and their labels."""

    title = "LabelMe annotations"
    options_type = FolderOptions

    @cached_property
    def files(self) -> list[Path]:
        """Annotation files, subfolders included, in order of their names."""
        return sorted(self.root.rglob("*.json"))

    def inputs(self) -> list[Path]:  # noqa: D102
        if not self.files:
            raise UserError(f"{self.root}: no LabelMe files (*.json)")
        return self.files

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        dropped: Counter[str] = Counter()
        categories: set[str] = set()
        items = []
        for number, path in enumerate(self.files, start=1):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                labels = {str(shape["label"]) for shape in record["shapes"]}
            except (ValueError, KeyError, TypeError, OSError):
                dropped["file is not a LabelMe annotation"] += 1
                continue
            categories |= labels
            items.append(str(path))
            progress("reading annotations", number)
        splits = set_aside(items, self.options.validation_count, str(self.root))
        return Plan(Vocabulary(tuple(sorted(categories)), SG2IM_PREDICATES), splits, dropped)

    def read(self, item: str) -> Sample:  # noqa: D102
        path = Path(item)
        record = json.loads(path.read_text(encoding="utf-8"))
        picture = self.pictures.find(record.get("imagePath"), path.parent)
        try:
            width, height = int(record["imageWidth"]), int(record["imageHeight"])
            if not (0 < width <= 20_000 and 0 < height <= 20_000):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise Skip("annotation has no imageWidth and imageHeight") from None
        objects, remarks = [], []
        for shape in record["shapes"]:
            thing = _labelme_object(shape, width, height)
            if isinstance(thing, str):
                remarks.append(thing)
            else:
                objects.append(thing)
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(name, Scene(tuple(objects)), picture, (width, height), tuple(remarks))


def _parse_line(line: str, where: str) -> tuple[dict[str, Any], Scene]:
    """The fields beside the scene, with defaults, and the scene."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with 'objects', found {line[:40]!r}")
    image, split = value.pop("image", None), value.pop("split", "train")
    identity = value.pop("id", image if image is not None else where.rpartition(" ")[2])
    if image is not None and (not isinstance(image, str) or Path(image).is_absolute() or ".." in Path(image).parts):
        raise UserError(f"{where}: image {image!r} must be a path inside the folder")
    if not isinstance(split, str) or not split.isidentifier():
        raise UserError(f"{where}: split {split!r} must be a plain word such as train or validation")
    return {"image": image, "split": split, "id": str(identity)}, Scene.from_dict(value, where)


def _labelme_object(shape: dict[str, Any], width: int, height: int) -> SceneObject | str:
    """An object with its mask, or why the shape is none."""
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
    except (KeyError, TypeError, ValueError):
        return "shape has no list of points"
    kind = shape.get("shape_type") or "polygon"
    canvas = Image.new("1", (width, height))
    pen = ImageDraw.Draw(canvas)
    if kind == "polygon" and len(points) >= 3:
        pen.polygon(points, fill=1)
    elif kind == "rectangle" and len(points) >= 2:
        (xs, ys) = zip(*points, strict=True)
        pen.rectangle([min(xs), min(ys), max(xs), max(ys)], fill=1)
        points = [(min(xs), min(ys)), (max(xs), max(ys))]
    elif kind == "circle" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = float(np.hypot(edge_x - x, edge_y - y))
        points = [(x - radius, y - radius), (x + radius, y + radius)]
        pen.ellipse([*points[0], *points[1]], fill=1)
    else:
        return f"shape of kind {kind!r} has no area"
    (x0, y0), (x1, y1) = np.min(points, axis=0).tolist(), np.max(points, axis=0).tolist()
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    try:
        box = parse_box(box_from_xywh(np.array([x0, y0, x1 - x0, y1 - y0]), width, height).tolist(), "box")
    except UserError:
        return "shape is empty or outside the picture"
    mask = crop_mask(np.asarray(canvas), (x0, y0, x1 - x0, y1 - y0))
    return SceneObject(str(shape["label"]), (), box, None if kind == "rectangle" else mask)
