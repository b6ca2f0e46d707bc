"""Annotations of LabelMe, and of X-AnyLabeling, which writes the same files: one JSON file per picture."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from scenograph.data.folder import FolderOptions
from scenograph.data.pictures import MAX_PIXELS, decode_rgb, files_in, picture_size, readable_suffixes
from scenograph.data.records import Skip, name_of, numbers, side
from scenograph.data.source import Plan, Progress, Sample, Source, set_aside
from scenograph.errors import UserError, reason
from scenograph.files import parse_json
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

POLYGONS = ("polygon", "rotation", "oriented_rectangle", "quadrilateral")
"""Kinds of shapes that are given by their corners."""

WITHOUT_AREA = ("point", "points", "line", "linestrip")

MAX_MASKS = 1_000_000_000
"""Pixels of all masks of a picture: a few kilobytes can ask for a hundred times as many."""

FARTHEST = 1_000_000
"""Points that lie farther away, in pixels, are mistakes."""


class LabelMe(Source):
    """A folder of pictures and LabelMe JSON files: the labels of shapes that have an area, and their masks."""

    title = "LabelMe annotations"
    options_type = FolderOptions

    @cached_property
    def files(self) -> list[Path]:
        """Annotation files, subfolders included, in order of their names."""
        return [path for path in files_in(self.root) if path.suffix == ".json"]

    def inputs(self) -> list[Path]:  # noqa: D102
        if not self.files:
            raise UserError(f"{self.root}: no LabelMe files (*.json)")
        return self.files

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        categories: set[str] = set()
        for number, path in enumerate(self.files, start=1):
            try:
                categories |= {label for shape in self._load(path)["shapes"] if (label := _label(shape))}
            except Skip:  # reading the file again will say why, and be counted
                continue
            progress("reading annotations", number)
        items = [str(path) for path in self.files]
        splits = set_aside(items, self.options.validation_count, str(self.root))
        return Plan(Vocabulary(tuple(sorted(categories)), SG2IM_PREDICATES), splits)

    def read(self, item: str) -> Sample:  # noqa: D102
        path = Path(item)
        record = self._load(path)
        picture, remarks = self._picture(record, path)
        width, height = side(record.get("imageWidth")), side(record.get("imageHeight"))
        if not width or not height or width * height > MAX_PIXELS:  # files of before November 2018 state no size
            width, height = picture_size(picture, upright=True)
            remarks.append("annotation states no size: the picture's is taken")
        objects: dict[Any, list[_Part]] = {}
        covered = 0
        for number, shape in enumerate(record["shapes"]):
            part = _part(shape, width, height)
            if isinstance(part, str):
                remarks.append(part)
                continue
            if (covered := covered + part.mask.size) > MAX_MASKS:
                raise Skip("masks of a picture are too large", f"{path}: {width} x {height} pixels, many times")
            remarks += ["shape reaches out of the picture: it is clipped"] if part.clipped else []
            group = shape.get("group_id")
            objects.setdefault(number if group is None else (part.label, repr(group)), []).append(part)
        if not objects:
            why = "no shape is an object: " + remarks[-1] if record["shapes"] else "annotation has no shapes"
            raise Skip(why, str(path))
        scene = Scene(tuple(_object(parts, width, height) for parts in objects.values()))
        name = path.relative_to(self.root).with_suffix("").as_posix()
        return Sample(name, scene, picture, (width, height), tuple(remarks))

    def _load(self, path: Path) -> dict[str, Any]:
        """An annotation whose shapes are a list, of anything. Raises :class:`Skip` for other files."""
        other = "file is not a LabelMe annotation"
        try:
            content = self.pictures.checked(path).read_bytes()
            record = parse_json(content.decode(json.detect_encoding(content)), str(path))
        except UnicodeDecodeError:
            raise Skip("file is not UTF-8 text", f"{path}: save it as UTF-8") from None
        except OSError as error:
            raise Skip(other, f"{path}: {reason(error)}") from None
        except UserError as error:
            raise Skip(other, str(error)) from None
        if not isinstance(record, dict) or not isinstance(record.get("shapes"), list):
            raise Skip(other, f"{path}: has no list of shapes")
        return record

    def _picture(self, record: dict[str, Any], path: Path) -> tuple[Path | bytes, list[str]]:
        """The picture and what is to be remarked: inside the annotation, as LabelMe prefers it, or a file."""
        remarks: list[str] = []
        if isinstance(data := record.get("imageData"), str) and data:
            try:
                content = base64.b64decode(data.rpartition(",")[2])
                picture_size(content)
                return content, remarks
            except (ValueError, Skip):
                remarks.append("picture inside the annotation is damaged: its file is taken")
        try:
            return self.pictures.find(record.get("imagePath"), path.parent, remarks=remarks), remarks
        except Skip:
            endings = [ending for suffix in sorted(readable_suffixes()) for ending in (suffix, suffix.upper())]
            namesakes = [path.with_suffix(ending) for ending in endings]
            beside = [one for one in namesakes if one.is_file() and self.pictures.holds(one)]
            if not beside:
                raise
            return beside[0], [*remarks, "picture of the annotation's own name is taken, not of the one it states"]


@dataclass(frozen=True)
class _Part:
    """What one shape covers."""

    label: str
    box: tuple[float, float, float, float]
    """Corners in pixels, inside the picture."""
    corner: tuple[int, int]
    """Column and row of the mask's first pixel."""
    mask: np.ndarray
    plain: bool = False
    """Whether the box says it all."""
    clipped: bool = False
    """Whether a pixel or more of the shape lies outside the picture."""


def _part(shape: Any, width: int, height: int) -> _Part | str:
    """What a shape covers, or why it is nothing."""
    if (label := _label(shape)) is None:
        return "shape has no label"
    if not (points := _points(shape)):
        return "shape has no list of points"
    kind = shape.get("shape_type") or "polygon"
    if kind == "mask":
        return _mask_part(label, points, shape.get("mask"), width, height)
    if kind in WITHOUT_AREA or (kind in POLYGONS and len(points) < 3):
        return f"shape of kind {kind!r} has no area"
    if kind == "circle" and len(points) == 2:
        (x, y), (edge_x, edge_y) = points
        radius = float(np.hypot(edge_x - x, edge_y - y))
        points = [[x - radius, y - radius], [x + radius, y + radius]]
    elif kind not in POLYGONS and not (kind == "rectangle" and len(points) >= 2):
        return f"shape of kind {str(kind)[:40]!r} with {len(points)} points cannot be read"
    (x0, y0), (x1, y1) = np.min(points, axis=0).tolist(), np.max(points, axis=0).tolist()
    box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    if box[0] >= box[2] or box[1] >= box[3]:
        return "shape is empty or outside the picture"
    left, top = round(box[0]), round(box[1])
    canvas = Image.new("1", (max(round(box[2]) - left, 1), max(round(box[3]) - top, 1)), int(kind == "rectangle"))
    moved = [(x - left, y - top) for x, y in points]
    if kind == "circle":
        ImageDraw.Draw(canvas).ellipse([*moved[0], *moved[1]], fill=1)
    elif kind != "rectangle":
        ImageDraw.Draw(canvas).polygon(moved, fill=1)
    clipped = max(-x0, -y0, x1 - width, y1 - height) >= 1
    return _Part(label, box, (left, top), np.asarray(canvas), kind == "rectangle", clipped)


def _mask_part(label: str, points: list[list[float]], value: Any, width: int, height: int) -> _Part | str:
    """The picture of a mask, which lies between two corners, both of them inside it, or in the whole picture."""
    try:
        content = base64.b64decode(value)
        columns, rows = picture_size(content)
        if columns > width + 1 or rows > height + 1:
            return "mask is larger than the picture"
        mask = np.asarray(decode_rgb(content))[..., 0] > 0
    except (TypeError, ValueError, Skip):
        return "mask cannot be read"
    (left, top), (right, bottom) = (np.round(edge(points, axis=0)).astype(int).tolist() for edge in (np.min, np.max))
    if mask.shape == (height, width):
        left, top = max(left, 0), max(top, 0)
        mask = mask[top : max(bottom + 1, 0), left : max(right + 1, 0)]
    whole = mask.shape
    mask = mask[max(-top, 0) : max(height - top, 0), max(-left, 0) : max(width - left, 0)]
    if not mask.any():
        return "shape is empty or outside the picture"
    left, top = max(left, 0), max(top, 0)
    box = (left, top, left + mask.shape[1], top + mask.shape[0])
    return _Part(label, box, (left, top), mask, clipped=mask.shape != whole)


def _object(parts: Sequence[_Part], width: int, height: int) -> SceneObject:
    """The object that shapes of one group and label are parts of."""
    boxes = np.array([part.box for part in parts])
    (x0, y0), (x1, y1) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    box = (x0 / width, y0 / height, x1 / width, y1 / height)
    if len(parts) == 1:
        return SceneObject(parts[0].label, box=box, mask=None if parts[0].plain else parts[0].mask)
    corners = np.array([part.corner for part in parts])
    left, top = corners.min(axis=0).tolist()
    right, bottom = (corners + [part.mask.shape[::-1] for part in parts]).max(axis=0).tolist()
    mask = np.zeros((bottom - top, right - left), bool)
    for part in parts:
        column, row = part.corner[0] - left, part.corner[1] - top
        mask[row : row + part.mask.shape[0], column : column + part.mask.shape[1]] |= part.mask
    return SceneObject(parts[0].label, box=box, mask=mask)


def _label(shape: Any) -> str | None:
    """A shape's label, text or a number, or None."""
    label = name_of(shape.get("label")) if isinstance(shape, dict) else None
    return label and label.strip()


def _points(shape: dict[str, Any]) -> list[list[float]]:
    """A shape's points, or none if one of them is no point."""
    points = shape.get("points")
    read = [numbers(point, 2) for point in points] if isinstance(points, list) else []
    known = [point for point in read if point and max(map(abs, point)) <= FARTHEST]
    return known if len(known) == len(read) else []
