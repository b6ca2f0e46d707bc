"""Sheets of scenes that were found: each picture beside what was asked for, with lines between matching objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from scenograph.scenes.drawing import contact_sheet, draw_layout, object_color
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Scene
from scenograph.scenes.shapes import CANVAS, PAPER, Color, Drawing, Label, Point, Polyline, Rectangle, Shape, text_width
from scenograph.scenes.text import labels_in_words

SIDE, GAP, SCALE = 170.0, 26.0, 1.5
"""Height of a picture and the room between two, in drawing units, and pixels per unit."""
WIDEST = 2.0
"""Width by height of a picture, at most."""
COLUMNS = 3
CHIP = 24.0
"""Height of the name of an object that has no box."""


@dataclass(frozen=True, eq=False)
class FoundPicture:
    """A scene that was found."""

    scene: Scene
    picture: Image.Image | None
    """Without one, the layout is drawn."""
    aspect: float
    """Width by height."""
    pairs: Sequence[tuple[int, int, float]]
    """Objects of the query, those of the scene that they were matched with, and how alike they are."""
    caption: str


def draw_found(query: Scene, found: Sequence[FoundPicture]) -> Image.Image:
    """A sheet of at least one picture, in rows."""
    shapes, spots = _draw_query(query)
    cells = [_draw_pair(query, shapes, spots, one) for one in found]
    return contact_sheet(cells, COLUMNS, gap=14, captions=[one.caption for one in found])


def _draw_query(query: Scene) -> tuple[list[Shape], dict[int, Point]]:
    """What is asked for, and where its objects are: in their boxes, or as names below each other."""
    shapes: list[Shape] = [Rectangle(0, 0, SIDE, SIDE, CANVAS)]
    shapes += draw_layout(query, SIDE, key=False).shapes
    spots: dict[int, Point] = {}
    row = 0
    for number, (thing, word) in enumerate(zip(query.objects, labels_in_words(query), strict=True)):
        color = object_color(query, number)
        if thing.box is not None:
            spots[number] = _centre(thing.box, 0, SIDE, SIDE)
            if thing.sketch is not None:
                shapes += _strokes(thing.sketch.strokes, thing.box, color)
            continue
        top = 6 + row * (CHIP + 5) % (SIDE - CHIP)
        width = min(text_width(word, 13) + 14, SIDE - 12)
        shapes += [
            Rectangle(6, top, 6 + width, top + CHIP, color, radius=7),
            Label(13, top + CHIP / 2, word, PAPER, "start", 13),
        ]
        spots[number] = 6 + width, top + CHIP / 2
        row += 1
    return shapes, spots


def _draw_pair(query: Scene, shapes: list[Shape], spots: dict[int, Point], found: FoundPicture) -> Image.Image:
    """The query, a picture beside it, and lines between their objects."""
    left, wide = SIDE + GAP, SIDE * min(max(found.aspect, 1 / WIDEST), WIDEST)
    total = round(left * SCALE) + round(wide * SCALE)
    paper = Image.new("RGB", (total, round(SIDE * SCALE)), PAPER)
    picture = found.picture
    if picture is None:
        bare = replace(found.scene, objects=tuple(replace(thing, mask=None) for thing in found.scene.objects))
        picture = draw_layout(bare, SIDE, key=False).to_image()
    paper.paste(picture.resize((total - round(left * SCALE), paper.height)), (round(left * SCALE), 0))
    drawn = list(shapes)
    lines: list[Shape] = []
    for one, other, _ in found.pairs:
        color, box = object_color(query, one), found.scene.objects[other].box
        if box is None:
            continue
        x0, y0, x1, y1 = box
        frame = ((x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0))
        corners = tuple((left + min(max(x, 0), 1) * wide, min(max(y, 0), 1) * SIDE) for x, y in frame)
        end = _centre(box, left, wide, SIDE)
        drawn += [Polyline(corners, PAPER, 3.5), Polyline(corners, color, 2)]
        lines += [Polyline((spots[one], end), PAPER, 3), Polyline((spots[one], end), color, 1.5)]
        lines += [_dot(spots[one], color), _dot(end, color)]
    return Drawing(total / SCALE, SIDE, (*drawn, *lines)).to_image(SCALE, paper)


def _strokes(strokes: Sequence[np.ndarray], box: Box, color: Color) -> list[Shape]:
    """The strokes of a sketch in its box."""
    x0, y0, x1, y1 = box
    shapes: list[Shape] = []
    for stroke in strokes:
        points = tuple((SIDE * (x0 + x * (x1 - x0)), SIDE * (y0 + y * (y1 - y0))) for x, y in stroke.tolist())
        shapes.append(Polyline(points if len(points) > 1 else points * 2, color, 1.5))
    return shapes


def _centre(box: Box, left: float, width: float, height: float) -> Point:
    """Of the part of a box that is on the canvas."""
    x0, y0, x1, y1 = (min(max(value, 0), 1) for value in box)
    return left + (x0 + x1) / 2 * width, (y0 + y1) / 2 * height


def _dot(at: Point, color: Color) -> Shape:
    x, y = at
    return Rectangle(x - 3, y - 3, x + 3, y + 3, color, PAPER, radius=3)
