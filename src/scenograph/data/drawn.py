"""Drawings of scenes in files that other programs write: Quick, Draw!'s lines, SVG, and pictures of paper.

Each becomes a list of :class:`Drawn` objects, not all of which say what they are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenograph.data.quickdraw import class_of, coco_class, strokes_of_line
from scenograph.data.vocabularies import coco_ids
from scenograph.errors import UserError, counted, unreadable
from scenograph.files import GZIP, not_utf8
from scenograph.scenes.fields import BOX_DECIMALS, Box
from scenograph.scenes.scene import MAX_OBJECTS
from scenograph.scenes.sketch import FARTHEST, LARGEST, Sketch, check_points, sketch_from_points

log = logging.getLogger(__name__)

VECTORS = (".ndjson", ".svg")
"""Kinds of files that hold strokes."""
DRAWINGS = (*VECTORS, ".jpg", ".jpeg")
"""Kinds of files that commands take as scenes: these, and photographs of paper. A PNG may be a generated picture."""
SMALLEST = 1 / 128
"""Side of the smallest box, in fractions of the canvas: a straight line has no area."""
MOST_STROKES = 20_000
"""Of one file: more are no drawing by hand."""


@dataclass(frozen=True)
class Drawn:
    """One object of a drawing."""

    sketch: Sketch
    name: str | None = None
    """What the file says that it is."""
    box: Box | None = None
    """Where the file has it."""
    label: str | None = None
    """What the file calls it, if that is no name that is known."""


def read_vectors(path: Path) -> list[Drawn]:
    """The objects of a file of :data:`VECTORS`.

    Raises ``UserError`` for one that cannot be read, is damaged, or holds no stroke or too many objects.
    """
    if path.suffix.lower() == ".svg":
        from scenograph.data.svg import read_svg  # needs an extra

        found = read_svg(path)
    else:
        found = read_lines(path)
    if len(found) > MAX_OBJECTS:
        raise UserError(f"{path}: {len(found)} objects; at most {MAX_OBJECTS} are allowed in one scene")
    return found


def read_lines(path: Path) -> list[Drawn]:
    """The drawings of an ndjson file, simplified or raw, one object per line and without a place.

    Their words are names, those of Quick, Draw! as COCO-Stuff has them. A line that is no drawing, such as the last of
    a file that was cut short, is left out, with a warning.

    Raises:
        UserError: No line is a drawing, or there are more than a scene holds.
    """
    known, found, damaged = list(coco_ids()), list[Drawn](), list[str]()
    try:
        with path.open("rb") as stream:
            if stream.peek(2)[:2] == GZIP:
                raise not_utf8(path)
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                if len(found) == MAX_OBJECTS:
                    raise UserError(
                        f"{path}: more than {MAX_OBJECTS} drawings, which is a data set and no scene; take some lines "
                        f"(head -n 3 '{path}' > some.ndjson), or pack it: scenograph data pack quickdraw"
                    )
                where = f"{path}, line {number}"
                try:
                    word, strokes = strokes_of_line(line.removeprefix(b"\xef\xbb\xbf"), where)
                    sketch = sketch_from_points(check_strokes(strokes, where), where)
                except UserError as error:
                    damaged.append(str(error))
                    continue
                word = (word or class_of(path)).replace("_", " ")
                found.append(Drawn(sketch, coco_class(word, known) or word))
    except OSError as error:
        raise unreadable(path, error) from error
    if not found:
        raise UserError(damaged[0] if damaged else f"{path}: holds no drawing, one JSON object per line")
    if damaged:
        rest = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        log.warning("left out: %s%s", damaged[0], rest)
    return found


def check_strokes(strokes: Sequence[np.ndarray], where: str) -> Sequence[np.ndarray]:
    """The strokes. Raises ``UserError``, which begins with ``where``, for more than a hand draws."""
    if len(strokes) > MOST_STROKES:
        raise UserError(f"{where}: {len(strokes)} strokes; at most {MOST_STROKES} are read as a drawing by hand")
    return strokes


def placed(strokes: Sequence[np.ndarray], name: str | None, where: str) -> Drawn | None:
    """Strokes (n, 2) in fractions of a canvas as an object in the box around what of them is on it.

    Strokes go on beyond the canvas, as far as a sketch may. A warning, which begins with ``where``, says that they end
    there, or that nothing is on the canvas, and so there is no object.
    """
    kept = [stroke.astype(np.float64) for stroke in strokes if len(stroke)]
    check_points(kept, where)
    if not all(np.isfinite(stroke).all() and (np.abs(stroke) <= LARGEST).all() for stroke in kept):
        raise UserError(f"{where}: a coordinate is not finite, or larger than {LARGEST:g}")
    points = np.concatenate(kept) if kept else np.zeros((0, 2))
    if not len(points) or (points.max(0) < 0).any() or (points.min(0) > 1).any():
        log.warning("%s: lies beside the canvas and is left out", where)
        return None
    low, high = points.min(0).clip(0, 1), points.max(0).clip(0, 1)
    thin = high - low < SMALLEST
    low = np.where(thin, np.minimum(low, 1 - SMALLEST), low).round(BOX_DECIMALS)
    high = np.where(thin, low + SMALLEST, high).round(BOX_DECIMALS)
    relative = [(stroke - low) / (high - low) for stroke in kept]
    if any(np.abs(stroke).max() > FARTHEST for stroke in relative):
        log.warning("%s: reaches far beyond the canvas; its strokes end %d sides of its box away", where, FARTHEST)
    sketch = Sketch(tuple(stroke.clip(-FARTHEST, FARTHEST).astype(np.float32) for stroke in relative))
    x0, y0, x1, y1 = np.concatenate([low, high]).tolist()
    return Drawn(sketch, name, (x0, y0, x1, y1))


def with_names(found: Sequence[Drawn], names: dict[int, str], where: str) -> list[Drawn]:
    """The objects with names for some, by number. Raises ``UserError`` for a number that no object has."""
    for number, name in names.items():
        if number >= len(found):
            what = counted(len(found), "object")
            raise UserError(f"--names {number}={name}: {where} has {what}, 0 to {len(found) - 1}")
    return [replace(each, name=names.get(number, each.name)) for number, each in enumerate(found)]


def touching(boxes: Sequence[Box], gap: float) -> Iterator[list[int]]:
    """Groups of boxes that overlap, or lie less than ``gap`` apart, through others too: their numbers."""
    left = list(range(len(boxes)))
    while left:
        group, rim = [], [left.pop(0)]
        while rim:
            x0, y0, x1, y1 = boxes[current := rim.pop()]
            group.append(current)
            near = [
                other
                for other in left
                if boxes[other][0] <= x1 + gap
                and boxes[other][2] >= x0 - gap
                and boxes[other][1] <= y1 + gap
                and boxes[other][3] >= y0 - gap
            ]
            left = [other for other in left if other not in set(near)]
            rim += near
        yield sorted(group)
