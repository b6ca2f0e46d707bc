"""Pictures of scenes: the graph, the layout and contact sheets, as PNG and SVG, without GraphViz.

A drawing is a short list of shapes; two functions turn the list into a Pillow image or into SVG text.
"""

from __future__ import annotations

import colorsys
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scenograph.scenes.scene import Scene

Color = tuple[int, int, int]
Point = tuple[float, float]

INK: Color = (30, 32, 38)
PAPER: Color = (255, 255, 255)
CANVAS: Color = (246, 247, 249)
FONT_SIZE = 15
SCALE = 2
"""PNG pixels per drawing unit, for crisp text."""
LARGEST = 6000
"""Longest side of a PNG in pixels; larger drawings get fewer per unit. Names of 128 objects stay readable."""
FINE = 2
"""Supersampling while painting, because Pillow's lines are not smooth."""

READABLE = 40
"""Most relations that a graph is drawn with; of more, only those that imply the others are drawn."""

HIDDEN = 0.4
"""Largest fraction of a box that another object's name may cover."""

COLOR_NAMES: dict[str, Color] = {
    "gray": (110, 110, 110), "red": (190, 45, 45), "blue": (50, 85, 215), "green": (40, 125, 35),
    "brown": (135, 84, 38), "purple": (135, 48, 195), "cyan": (20, 165, 170), "yellow": (205, 175, 10),
}  # fmt: skip
"""Objects with one of these attributes are drawn in its colour."""


@dataclass(frozen=True)
class Rectangle:
    """Corners in drawing units; ``opacity`` of the fill."""

    x0: float
    y0: float
    x1: float
    y1: float
    fill: Color
    stroke: Color | None = None
    opacity: float = 1.0
    radius: float = 0.0


@dataclass(frozen=True)
class Polyline:
    """A line through points, or, with ``fill``, a polygon."""

    points: tuple[Point, ...]
    stroke: Color
    width: float = 1.5
    fill: Color | None = None


@dataclass(frozen=True)
class Label:
    """Text centred at a point, or starting there."""

    x: float
    y: float
    text: str
    color: Color = INK
    anchor: Literal["middle", "start"] = "middle"
    size: int = FONT_SIZE


Shape = Rectangle | Polyline | Label


@dataclass(frozen=True)
class Drawing:
    """Shapes on white paper, in drawing units, painted in order."""

    width: float
    height: float
    shapes: tuple[Shape, ...]

    def to_svg(self) -> str:
        """As SVG text."""
        body = "\n".join(_svg(shape) for shape in self.shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" font-family="sans-serif">\n'
            f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
        )

    def to_image(self) -> Image.Image:
        """As a picture of ``SCALE`` pixels per unit, or as many as make it ``LARGEST`` pixels long."""
        scale = min(SCALE, LARGEST / max(self.width, self.height))
        width, height = round(self.width * scale), round(self.height * scale)
        image = Image.new("RGB", (FINE * width, FINE * height), PAPER)
        painter = ImageDraw.Draw(image, "RGBA")
        for shape in self.shapes:
            _paint(painter, shape, FINE * scale)
        return image.reduce(FINE)


def draw_graph(scene: Scene) -> Drawing:
    """Draw objects on an ellipse, and an arrow per pair of related objects with the relations written on it.

    Of more than ``READABLE`` relations the fewest that imply all are drawn, with a note below.
    """
    scene, note = _readable(scene)
    names = _names(scene)
    widths = [text_width(name) + 24 for name in names]
    count = len(names)
    labels: dict[tuple[int, int], list[str]] = defaultdict(list)
    for relation in scene.relations:
        labels[relation.subject, relation.object].append(relation.predicate)
    radius_x = 0.0 if count == 1 else max(150.0, 0.5 * max(widths) + 42 * count)
    radius_y = 0.0 if count == 1 else 30.0 * max(count, 3)
    if count == 2:
        radius_y = 0.0
        widest = max((text_width(", ".join(parts), 13) for parts in labels.values()), default=0)
        radius_x = max(radius_x, max(widths) / 2 + widest / 2 + 30)
    width, height = 2 * radius_x + max(widths) + 40, 2 * radius_y + 110
    centre = (width / 2, height / 2)
    start = -math.pi if count == 2 else -math.pi / 2
    angles = [start + 2 * math.pi * i / count for i in range(count)]
    around = [(centre[0] + radius_x * math.cos(a), centre[1] + radius_y * math.sin(a)) for a in angles]
    position = dict(zip(_neighbours_together(scene), around, strict=True))
    places = [position[i] for i in range(count)]
    taken = _Taken(count + len(labels))
    nodes: list[Shape] = []
    for i, ((x, y), half) in enumerate(zip(places, (w / 2 for w in widths), strict=True)):
        color = object_color(scene, i)
        node = Rectangle(x - half, y - 17, x + half, y + 17, color, color, radius=9)
        taken.add(node)
        nodes += [node, Label(x, y, names[i], PAPER)]
    lines: list[Shape] = []
    texts: list[Shape] = []
    for (subject, target), predicates in labels.items():
        arrow, spots = _arrow(places, widths, subject, target, (target, subject) in labels)
        lines += arrow
        texts += _text_on_paper(spots, ", ".join(predicates), taken)
    if note:
        texts.append(Label(width / 2, height - 4, note, size=13))
        width, height = max(width, text_width(note, 13) + 20), height + 12
    return Drawing(width, height, (*lines, *nodes, *texts))


def _readable(scene: Scene) -> tuple[Scene, str]:
    """The scene with the relations to draw, and a note on those left out."""
    if len(scene.relations) <= READABLE:
        return scene, ""
    from scenograph.scenes.canonical import fewest  # torch takes a while to import

    drawn = fewest(scene.relations)
    if len(drawn) == len(scene.relations):
        return scene, ""
    note = f"drawn are the {len(drawn)} relations that imply all {len(scene.relations)}"
    return replace(scene, relations=tuple(drawn)), note


def draw_layout(scene: Scene, side: float = 480.0, key: bool = True) -> Drawing:
    """Draw boxes, masks and names of the objects that have a box, smaller objects over larger ones.

    Args:
        scene: Objects without a box are left out.
        side: Of the canvas, in drawing units.
        key: Where names do not fit to their boxes, which then show the objects' numbers (from 0, as in relations), list
            the names beside the canvas.
    """
    shapes: list[Shape] = [Rectangle(0, 0, side, side, CANVAS)]
    boxed = [(i, thing) for i, thing in enumerate(scene.objects) if thing.box is not None]
    boxed.sort(key=lambda item: -_area(item[1].box or (0, 0, 0, 0)))
    boxes: list[Rectangle] = []
    for i, thing in boxed:
        assert thing.box is not None
        x0, y0, x1, y1 = (side * value for value in thing.box)
        color = object_color(scene, i)
        if thing.mask is not None:
            shapes += _mask_runs((x0, y0, x1, y1), thing.mask, color)
        boxes.append(Rectangle(x0, y0, x1, y1, color, color, 0.12 if thing.mask is not None else 0.3))
        shapes.append(boxes[-1])
    names = _names(scene)
    flags, fitting = _flags(boxes, [names[i] for i, _ in boxed], 13, side)
    beside: list[Shape] = []
    width = side
    if not fitting:
        flags, _ = _flags(boxes, [str(i) for i, _ in boxed], 11, side)
        if key:
            beside, width = _key([(i, object_color(scene, i), thing.label) for i, thing in sorted(boxed)], side)
    return Drawing(width, side, (*shapes, *flags, *beside))


def _names(scene: Scene) -> list[str]:
    """The names of all objects, with numbers where several objects share one, as in messages."""
    times = Counter(thing.label for thing in scene.objects)
    return [f"{t.label} ({i})" if times[t.label] > 1 else t.label for i, t in enumerate(scene.objects)]


def draw_sketches(scene: Scene, side: int = 480) -> Image.Image:
    """Draw the sketches of a scene's objects, each in its box, dark on white, ``side`` pixels wide and high."""
    canvas = np.ones((side, side), dtype=np.float32)
    for thing in scene.objects:
        if thing.sketch is not None and thing.box is not None:
            x0, y0, x1, y1 = (round(side * min(max(value, 0), 1)) for value in thing.box)
            if x1 > x0 and y1 > y0:
                drawn = thing.sketch.rasterise(y1 - y0, x1 - x0, line_width=side / 160)
                canvas[y0:y1, x0:x1] = np.minimum(canvas[y0:y1, x0:x1], drawn)
    return Image.fromarray((canvas * 255).round().astype(np.uint8)).convert("RGB")


def contact_sheet(images: Sequence[Image.Image], columns: int, gap: int = 2) -> Image.Image:
    """Arrange pictures of one size in rows of ``columns``, on white, ``gap`` pixels apart."""
    width, height = images[0].size
    rows = math.ceil(len(images) / columns)
    columns = min(columns, len(images))
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for i, image in enumerate(images):
        sheet.paste(image, ((i % columns) * (width + gap), (i // columns) * (height + gap)))
    return sheet


def object_color(scene: Scene, index: int) -> Color:
    """The colour among an object's attributes, or else one that depends on its number."""
    for name in scene.objects[index].attributes:
        if name in COLOR_NAMES:
            return COLOR_NAMES[name]
    red, green, blue = colorsys.hsv_to_rgb((0.58 + 0.618034 * index) % 1.0, 0.62, 0.68)
    return (round(255 * red), round(255 * green), round(255 * blue))


@lru_cache(maxsize=1024)
def text_width(text: str, size: int = FONT_SIZE) -> float:
    """Width of one line in drawing units."""
    return float(_font(size * SCALE).getlength(text)) / SCALE


@lru_cache(maxsize=16)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _neighbours_together(scene: Scene) -> list[int]:
    """Objects in depth-first order along relations, so that few edges cross."""
    related: dict[int, list[int]] = defaultdict(list)
    for relation in scene.relations:
        related[relation.subject].append(relation.object)
        related[relation.object].append(relation.subject)
    order: dict[int, None] = {}
    stack = list(reversed(range(len(scene.objects))))
    while stack:
        node = stack.pop()
        if node not in order:
            order[node] = None
            stack += reversed([other for other in related[node] if other not in order])
    return list(order)


def _arrow(
    places: Sequence[Point], widths: Sequence[float], subject: int, target: int, both_ways: bool
) -> tuple[list[Shape], list[Point]]:
    """An arrow from node to node, or a loop for a self relation; and possible places of its label, the best first."""
    gray: Color = (120, 125, 135)
    x0, y0 = places[subject]
    if subject == target:
        loop = [(x0 + 16 * math.cos(a), y0 - 30 + 18 * math.sin(a)) for a in np.linspace(0.35, 2 * math.pi, 40)]
        return [Polyline(tuple(loop), gray)], [(x0, y0 - 52)]
    x1, y1 = places[target]
    length = math.hypot(x1 - x0, y1 - y0)
    across = (-(y1 - y0) / length, (x1 - x0) / length)
    bend = 26.0 if both_ways else 0.0
    middle = ((x0 + x1) / 2 + bend * across[0], (y0 + y1) / 2 + bend * across[1])
    peak = (2 * middle[0] - (x0 + x1) / 2, 2 * middle[1] - (y0 + y1) / 2)

    def at(t: float) -> Point:
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        return (a * x0 + b * peak[0] + c * x1, a * y0 + b * peak[1] + c * y1)

    start, end = 0.0, 1.0
    half = widths[target] / 2 + 3
    for _ in range(12):  # bisection for the point where the arrow meets the target's node
        x, y = at((start + end) / 2)
        outside = abs(x - x1) > half or abs(y - y1) > 20
        start, end = ((start + end) / 2, end) if outside else (start, (start + end) / 2)
    points = [at(t) for t in (np.linspace(0, start, 17) if bend else (0.0, start))]
    tip, before = points[-1], points[-2]
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    wings = tuple((tip[0] - 10 * math.cos(angle + turn), tip[1] - 10 * math.sin(angle + turn)) for turn in (-0.4, 0.4))
    head = Polyline((tip, *wings, tip), gray, 1.0, fill=gray)
    # Labels avoid the middle, where edges of a regular polygon cross: from 18/40 of the way outwards.
    spots = [at(place / 40) for place in sorted(range(10, 27, 2), key=lambda place: abs(place - 18))]
    return [Polyline(tuple(points), gray), head], spots


class _Taken:
    """Occupied rectangles of a drawing."""

    def __init__(self, most: int) -> None:
        self.corners = np.full((most, 4), np.nan)  # comparisons with NaN are false
        self.count = 0

    def add(self, one: Rectangle) -> None:
        self.corners[self.count] = one.x0, one.y0, one.x1, one.y1
        self.count += 1

    def meets(self, one: Rectangle) -> bool:
        x0, y0, x1, y1 = self.corners.T
        return bool(((one.x0 < x1) & (x0 < one.x1) & (one.y0 < y1) & (y0 < one.y1)).any())

    def covered(self, one: Rectangle) -> np.ndarray:
        """The fraction of each occupied rectangle that another covers."""
        low = np.maximum(self.corners[:, :2], (one.x0, one.y0))
        high = np.minimum(self.corners[:, 2:], (one.x1, one.y1))
        areas = (self.corners[:, 2:] - self.corners[:, :2]).prod(axis=1)
        shares: np.ndarray = np.maximum(high - low, 0).prod(axis=1) / np.maximum(areas, 1e-9)
        return shares


def _text_on_paper(spots: Sequence[Point], text: str, taken: _Taken) -> list[Shape]:
    """A label at the first free spot, or at the first one if none is free."""
    half = text_width(text, 13) / 2 + 4
    papers = [Rectangle(x - half, y - 10, x + half, y + 10, PAPER, radius=4) for x, y in spots]
    place = next((place for place, paper in enumerate(papers) if not taken.meets(paper)), 0)
    taken.add(papers[place])
    return [papers[place], Label(*spots[place], text, size=13)]


def _flags(boxes: Sequence[Rectangle], texts: Sequence[str], size: int, side: float) -> tuple[list[Shape], bool]:
    """Small flags at the left edges of boxes, and whether they fit: none overlaps another or hides a box."""
    shapes: list[Shape] = []
    fitting, high = True, size + 5.0
    flags, others = _Taken(len(boxes)), _Taken(len(boxes))
    for box in boxes:
        others.add(box)
    for number, (box, text) in enumerate(zip(boxes, texts, strict=True)):
        wide = text_width(text, size) + 8
        top = min(max(box.y0 - high, 0.0), side - high)
        rows = [y for y in np.arange(top, max(box.y1, top + 1), high) if y + high <= side]
        # Along the left edge, or else beside the box.
        columns = [min(max(x, 0.0), max(side - wide, 0.0)) for x in (box.x0, box.x1, box.x0 - wide)]
        places = [Rectangle(x, y, x + wide, y + high, box.fill) for x in columns for y in rows]
        most = np.full(len(boxes), HIDDEN)
        most[number] = 2 * HIDDEN  # a flag may hide more of its own box
        hidden = [float((others.covered(place) - most).max()) for place in places]
        clashes = [flags.meets(place) for place in places]
        # The first free one, or the one that hides least.
        best = min(range(len(places)), key=lambda at: (clashes[at], max(hidden[at], 0.0), at))
        fitting &= not clashes[best] and hidden[best] <= 0
        flag = places[best]
        flags.add(flag)
        shapes += [flag, Label(flag.x0 + 4, flag.y0 + high / 2, text, PAPER, "start", size)]
    return shapes, fitting


def _key(entries: Sequence[tuple[int, Color, str]], side: float) -> tuple[list[Shape], float]:
    """Numbers and names in columns right of the canvas, and the width of the drawing with them."""
    shapes: list[Shape] = []
    x, rows = side, int(side // 18)
    for start in range(0, len(entries), rows):
        column, x = entries[start : start + rows], x + 12
        flag = max(text_width(str(number), 13) for number, _, _ in column) + 8
        for row, (number, color, name) in enumerate(column):
            shapes.append(Rectangle(x, 18 * row + 1, x + flag, 18 * row + 17, color))
            shapes.append(Label(x + flag / 2, 18 * row + 9, str(number), PAPER, size=13))
            shapes.append(Label(x + flag + 6, 18 * row + 9, name, anchor="start", size=13))
        x += flag + 6 + max(text_width(name, 13) for _, _, name in column)
    return shapes, x + 12


def _mask_runs(box: tuple[float, float, float, float], mask: np.ndarray, color: Color) -> list[Shape]:
    """A rectangle per horizontal run of mask pixels."""
    x0, y0, x1, y1 = box
    step_x, step_y = (x1 - x0) / mask.shape[1], (y1 - y0) / mask.shape[0]
    shapes: list[Shape] = []
    for row, line in enumerate(mask):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        for begin, end in edges.reshape(-1, 2):
            top = y0 + row * step_y
            shapes.append(Rectangle(x0 + begin * step_x, top, x0 + end * step_x, top + step_y, color, opacity=0.55))
    return shapes


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _hex(color: Color | None) -> str:
    return "none" if color is None else "#{:02x}{:02x}{:02x}".format(*color)


def _svg(shape: Shape) -> str:
    if isinstance(shape, Rectangle):
        return (
            f'<rect x="{shape.x0:.1f}" y="{shape.y0:.1f}" width="{shape.x1 - shape.x0:.1f}" '
            f'height="{shape.y1 - shape.y0:.1f}" rx="{shape.radius:g}" fill="{_hex(shape.fill)}" '
            f'fill-opacity="{shape.opacity:g}" stroke="{_hex(shape.stroke)}"/>'
        )
    if isinstance(shape, Polyline):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        return (
            f'<polyline points="{points}" fill="{_hex(shape.fill)}" stroke="{_hex(shape.stroke)}" '
            f'stroke-width="{shape.width:g}"/>'
        )
    return (
        f'<text x="{shape.x:.1f}" y="{shape.y:.1f}" font-size="{shape.size}" fill="{_hex(shape.color)}" '
        f'text-anchor="{shape.anchor}" dominant-baseline="central">{escape(shape.text)}</text>'
    )


def _paint(painter: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    """``scale`` is in pixels per unit."""
    if isinstance(shape, Rectangle):
        corners = [scale * value for value in (shape.x0, shape.y0, shape.x1, shape.y1)]
        if shape.stroke is None and not shape.radius:  # neighbours share an edge: round it once, paint it once
            corners = [round(corners[0]), round(corners[1]), round(corners[2]) - 1, round(corners[3]) - 1]
            if corners[2] < corners[0] or corners[3] < corners[1]:
                return
        fill = (*shape.fill, round(255 * shape.opacity))
        painter.rounded_rectangle(
            corners, scale * shape.radius, fill, shape.stroke, round(scale) if shape.stroke else 0
        )
    elif isinstance(shape, Polyline):
        points = [(scale * x, scale * y) for x, y in shape.points]
        if shape.fill is not None:
            painter.polygon(points, shape.fill)
        painter.line(points, shape.stroke, max(round(scale * shape.width), 1), joint="curve")
    else:
        font = _font(shape.size * scale)
        anchor = "mm" if shape.anchor == "middle" else "lm"
        painter.text((scale * shape.x, scale * shape.y), shape.text, shape.color, font, anchor)
