"""The results table of Canonical Sg2Im (``results_<dataset>.csv``), which its picture half and other scripts read."""

from __future__ import annotations

import ast
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scenograph.errors import UserError, unreadable
from scenograph.files import read_text
from scenograph.scenes.geometry import box_iou
from scenograph.scenes.scene import Scene, SceneObject

COLUMNS = ("image_id", "avg_iou", "iou03", "iou05", "predicted_boxes", "gt_boxes", "number_of_objects", "class")
IMAGE = "__image__"


@dataclass(frozen=True)
class Result:
    """A row: a picture's id, its objects' categories, and their true and predicted boxes (O, 4) x, y, width, height."""

    image_id: int
    categories: tuple[str, ...]
    true: np.ndarray
    predicted: np.ndarray


def results_text(results: Sequence[Result], padded: int | None = None) -> str:
    """The table, character by character as the original writes it.

    That is with ids as ``tensor(139)``, boxes and names as Python lists, ``iou05`` repeating ``iou03``, and rows
    padded with ``__image__`` to ``padded`` objects (the largest row's number if not given).
    """
    width = padded or max((len(result.categories) for result in results), default=0)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(COLUMNS)
    for result in results:
        # The original cuts the four predicted numbers, not the corners.
        sides = (result.predicted.clip(0, 1), result.true)
        corners = [np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], axis=1) for b in sides]
        iou = box_iou(*corners).astype(np.float32)
        share = float((iou > 0.3).mean()) if len(iou) else 0.0
        names = [*result.categories, *[IMAGE] * (width - len(result.categories))]
        average = np.float32(iou.sum() / np.float32(max(len(iou), 1)))
        boxes = [str(rows.astype(np.float32).tolist()) for rows in (result.predicted, result.true)]
        table.writerow([f"tensor({result.image_id})", str(average), share, share, *boxes, width, str(names)])
    return stream.getvalue()


def read_results(path: Path) -> list[Result]:
    """The rows of a table, without what pads them. Raises ``UserError`` naming the row that cannot be read."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise unreadable(path, error) from error
    if not rows or not {"image_id", "predicted_boxes", "gt_boxes", "class"} <= set(rows[0]):
        raise UserError(f"{path}: not a results table: expected the columns {', '.join(COLUMNS)}")
    return [_row(row, f"{path}, row {number}") for number, row in enumerate(rows, start=1)]


def _row(row: dict[str, str], where: str) -> Result:
    found = re.search(r"\d{1,18}", row["image_id"] or "")
    if found is None:
        raise UserError(f"{where}: image_id {row['image_id']!r} holds no number")
    names = tuple(str(name) for name in _cell(row, "class", where) if name != IMAGE)
    true, predicted = (_boxes(row, column, where)[: len(names)] for column in ("gt_boxes", "predicted_boxes"))
    if not len(names) == len(true) == len(predicted):
        raise UserError(f"{where}: {len(names)} names for {len(true)} true and {len(predicted)} predicted boxes")
    return Result(int(found[0]), names, true, predicted)


def _cell(row: dict[str, str], column: str, where: str) -> list[Any]:
    """A list, written as Python writes it. The original evaluates it as code; here it can be nothing else."""
    try:
        value = ast.literal_eval(row[column])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise UserError(f"{where}: {column}: expected a list such as Python writes (found {str(row[column])[:40]!r})")
    return value


def _boxes(row: dict[str, str], column: str, where: str) -> np.ndarray:
    """(O, 4) x, y, width, height."""
    boxes = _cell(row, column, where)
    try:
        return np.array(boxes, dtype=np.float64).reshape(len(boxes), 4)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise UserError(f"{where}: {column}: expected four numbers per box (found {str(boxes)[:40]})") from error


def result_scene(result: Result, boxes: Literal["gt", "pred"]) -> Scene:
    """The objects with true or predicted boxes, cut to the canvas; those without any extent are left out."""
    objects = []
    for name, (x, y, width, height) in zip(
        result.categories, (result.true if boxes == "gt" else result.predicted).tolist(), strict=True
    ):
        x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in (x, y, x + width, y + height))
        if x1 > x0 and y1 > y0:
            objects.append(SceneObject(name, box=(x0, y0, x1, y1)))
    return Scene(tuple(objects))


def scene_result(number: int, placed: Scene, true: Scene) -> Result:
    """A row from a scene with predicted boxes and the true one."""

    def sides(scene: Scene) -> np.ndarray:
        boxes = np.array([thing.box for thing in scene.objects], dtype=np.float64).reshape(-1, 4)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)

    return Result(number, tuple(thing.category for thing in true.objects), sides(true), sides(placed))
