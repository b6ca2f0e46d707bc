"""Pictures of scenes: the graph, the layout and contact sheets, as PNG and SVG, without GraphViz.

A drawing is a short list of :mod:`shapes <scenograph.scenes.shapes>`.
"""

from __future__ import annotations

import colorsys
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from scenograph.scenes.scene import Scene
from scenograph.scenes.shapes import (
    CANVAS,
    INK,
    PAPER,
    Color,
    Drawing,
    Label,
    Point,
    Polyline,
    Rectangle,
    Shape,
    font,
    text_width,
)
from scenograph.scenes.text import labels_in_words, numbered

READABLE = 40
"""Most relations that a graph is drawn with; of more, only those that imply the others are drawn."""

GREY: Color = (120, 125, 135)
"""Of arrows, and of small print."""
CAPTION, SMALL = 13, 12
"""Font size of what stands at pictures on sheets, and of its small print."""

TITLE_LINES = 3
"""Most lines of a sheet's title."""

HIDDEN = 0.4
"""Largest fraction of a box that another object's name may cover."""

COLOR_NAMES: dict[str, Color] = {
    "gray": (110, 110, 110), "red": (190, 45, 45), "blue": (50, 85, 215), "green": (40, 125, 35),
    "brown": (135, 84, 38), "purple": (135, 48, 195), "cyan": (20, 165, 170), "yellow": (205, 175, 10),
}  # fmt: skip
"""Objects with one of these attributes are drawn in its colour."""


def draw_graph(scene: Scene, *, compact: bool = False, color: Color = GREY) -> Drawing:
    """Draw related objects on an ellipse, and an arrow per pair with the relations written on it; others in rows below.

    Of more than ``READABLE`` relations the fewest that imply all are drawn, with a note below.

    Args:
        scene: Its boxes do not matter.
        compact: Leave attributes out, and less room between objects.
        color: Of the arrows.

    Returns:
        The drawing, which becomes PNG, SVG or a PIL image.
    """
    scene, note = _readable(scene)
    names = _names(scene, attributes=not compact)
    widths = [text_width(name) + 24 for name in names]
    labels: dict[tuple[int, int], list[str]] = defaultdict(list)
    for relation in scene.relations:
        labels[relation.subject, relation.object].append(relation.predicate)
    related = [i for i in _neighbours_together(scene) if any(i in pair for pair in labels)]
    lonely = [i for i in range(len(names)) if i not in set(related)]
    radius_x, radius_y = _radii([widths[i] for i in related], labels, compact)
    width = 2 * radius_x + max(widths) + 40
    height = 2 * radius_y + 110 if related else 0.0
    places = _around((width / 2, height / 2), radius_x, radius_y, related)
    below, height = _in_rows(lonely, widths, width, height)
    places |= below
    taken = _Taken(len(names) + len(labels))
    nodes: list[Shape] = []
    for i, (name, half) in enumerate(zip(names, (w / 2 for w in widths), strict=True)):
        x, y = places[i]
        node = Rectangle(x - half, y - 17, x + half, y + 17, fill := object_color(scene, i), fill, radius=9)
        taken.add(node)
        nodes += [node, Label(x, y, name, PAPER)]
    lines: list[Shape] = []
    texts: list[Shape] = []
    for (subject, target), predicates in labels.items():
        arrow, spots = _arrow(places, widths, subject, target, (target, subject) in labels, color)
        lines += arrow
        texts += _text_on_paper(spots, ", ".join(predicates), taken)
    if note:
        texts.append(Label(width / 2, height - 4, note, size=CAPTION))
        width, height = max(width, text_width(note, CAPTION) + 20), height + 12
    return Drawing(width, height, (*lines, *nodes, *texts))


def _radii(widths: Sequence[float], labels: dict[tuple[int, int], list[str]], compact: bool) -> tuple[float, float]:
    """Of the ellipse on which objects of these widths stand."""
    count = len(widths)
    if count < 2:
        return 0.0, 0.0
    if count == 2:
        widest = max((text_width(", ".join(parts), 13) for parts in labels.values()), default=0)
        return max(0.0 if compact else 234.0, max(widths) + widest / 2 + 30), 0.0
    if compact:
        return 0.5 * max(widths) + 24 * count, 22.0 * count
    return max(150.0, 0.5 * max(widths) + 42 * count), 30.0 * count


def _around(centre: Point, radius_x: float, radius_y: float, objects: Sequence[int]) -> dict[int, Point]:
    """Where objects stand on an ellipse, from the top, or two from the left."""
    start = -math.pi if len(objects) == 2 else -math.pi / 2
    angles = [start + 2 * math.pi * i / len(objects) for i in range(len(objects))]
    return {
        i: (centre[0] + radius_x * math.cos(angle), centre[1] + radius_y * math.sin(angle))
        for i, angle in zip(objects, angles, strict=True)
    }


def _in_rows(
    objects: Sequence[int], widths: Sequence[float], width: float, top: float
) -> tuple[dict[int, Point], float]:
    """Where objects stand in centred rows below ``top``, and the height of the drawing with them."""
    rows: list[list[int]] = []
    room = 0.0
    for i in objects:
        if widths[i] + 12 > room:
            rows.append([])
            room = width - 16
        rows[-1].append(i)
        room -= widths[i] + 12
    places = {}
    for number, row in enumerate(rows):
        x = (width - sum(widths[i] + 12 for i in row)) / 2 + 6
        for i in row:
            places[i] = (x + widths[i] / 2, top + 25 + 44 * number)
            x += widths[i] + 12
    return places, top + 44 * len(rows) + (6 if rows else 0)


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


def draw_layout(scene: Scene, side: float = 480.0, key: bool = True, aspect: float = 1.0) -> Drawing:
    """Draw boxes, masks and names of the objects that have a box, smaller objects over larger ones.

    Args:
        scene: Objects without a box are left out.
        side: The longer one of the canvas, in drawing units.
        key: Where names do not fit to their boxes, which then show the objects' numbers (from 0, as in relations), list
            the names beside the canvas.
        aspect: Width by height of the canvas.

    Returns:
        The drawing, which becomes PNG, SVG or a PIL image.
    """
    width, height = side * min(aspect, 1), side / max(aspect, 1)
    shapes: list[Shape] = [Rectangle(0, 0, width, height, CANVAS)]
    boxed = [(i, thing) for i, thing in enumerate(scene.objects) if thing.box is not None]
    boxed.sort(key=lambda item: -_area(item[1].box or (0, 0, 0, 0)))
    boxes: list[Rectangle] = []
    for i, thing in boxed:
        assert thing.box is not None
        x0, x1 = (width * value for value in thing.box[::2])
        y0, y1 = (height * value for value in thing.box[1::2])
        color = object_color(scene, i)
        if thing.mask is not None:
            shapes += _mask_runs((x0, y0, x1, y1), thing.mask, color)
        boxes.append(Rectangle(x0, y0, x1, y1, color, color, 0.12 if thing.mask is not None else 0.3))
        shapes.append(boxes[-1])
    names = _names(scene)
    flags, fitting = draw_flags(boxes, [names[i] for i, _ in boxed], 13, width, height)
    beside: list[Shape] = []
    if not fitting:
        flags, _ = draw_flags(boxes, [str(i) for i, _ in boxed], 11, width, height)
        if key:
            words = labels_in_words(scene)
            entries = [(i, object_color(scene, i), words[i]) for i, _ in sorted(boxed, key=lambda item: item[0])]
            beside, width = _key(entries, width, height)
    return Drawing(width, height, (*shapes, *flags, *beside))


def draw_scene(scene: Scene) -> Drawing:
    """The layout, if an object has a box, and the graph beside it."""
    graph = draw_graph(scene)
    if all(thing.box is None for thing in scene.objects):
        return graph
    layout = draw_layout(scene)
    moved = tuple(_moved(shape, layout.width + 12) for shape in graph.shapes)
    width, height = layout.width + 12 + graph.width, max(layout.height, graph.height)
    return Drawing(width, height, (*layout.shapes, *moved))


def _moved(shape: Shape, by: float) -> Shape:
    """A shape farther to the right."""
    if isinstance(shape, Rectangle):
        return replace(shape, x0=shape.x0 + by, x1=shape.x1 + by)
    if isinstance(shape, Polyline):
        return replace(shape, points=tuple((x + by, y) for x, y in shape.points))
    return replace(shape, x=shape.x + by)


def draw_relations(scene: Scene, height: float, color: Color = INK) -> Drawing:
    """All relations as lines of text in columns, for graphs with too many to be drawn.

    Args:
        scene: Objects have their colours.
        height: Of a column, in drawing units.
        color: Of the predicates.
    """
    names = _names(scene, attributes=False)
    size, shapes, x, right = CAPTION, [], 0.0, 0.0
    rows = max(int(height // 18), 1)
    for number, relation in enumerate(scene.relations):
        row = number % rows
        at = x = right + 16 if row == 0 and number else x
        words = (
            (names[relation.subject], object_color(scene, relation.subject)),
            (relation.predicate, color),
            (names[relation.object], object_color(scene, relation.object)),
        )
        for text, ink in words:
            shapes.append(Label(at, 18 * row + 9, text, ink, "start", size))
            at += text_width(text, size) + 6
        right = max(right, at)
    return Drawing(max(right, 1), 18 * min(rows, max(len(scene.relations), 1)), tuple(shapes))


def _names(scene: Scene, attributes: bool = True) -> list[str]:
    """The names of all objects, with numbers where several objects share one, as in texts."""
    return numbered(labels_in_words(scene, attributes))


def draw_sketches(scene: Scene, width: int = 480, height: int = 480) -> Image.Image:
    """Draw the sketches of a scene's objects, each in its box, dark on white, in a picture of these sides."""
    canvas = np.ones((height, width), dtype=np.float32)
    for thing in scene.objects:
        if thing.sketch is not None and thing.box is not None:
            x0, x1 = (round(width * min(max(value, 0), 1)) for value in thing.box[::2])
            y0, y1 = (round(height * min(max(value, 0), 1)) for value in thing.box[1::2])
            if x1 > x0 and y1 > y0:
                drawn = thing.sketch.rasterise(y1 - y0, x1 - x0, line_width=max(width, height) / 160)
                canvas[y0:y1, x0:x1] = np.minimum(canvas[y0:y1, x0:x1], drawn)
    return Image.fromarray((canvas * 255).round().astype(np.uint8)).convert("RGB")


def contact_sheet(
    images: Sequence[Image.Image],
    columns: int,
    gap: int = 2,
    captions: Sequence[str] = (),
    title: str = "",
    side: int = 0,
) -> Image.Image:
    """Arrange pictures in rows of ``columns``, on white, in cells of the largest one, ``gap`` pixels apart.

    Args:
        images: At least one, of any sizes; they keep them, unless they are enlarged.
        columns: At most as many as there are pictures are used.
        gap: Between pictures, and with captions or a title around the sheet, in pixels.
        captions: One below each picture, shortened to the width of a cell. Lines after a first one are small and grey.
        title: Above all of them, in up to ``TITLE_LINES`` lines of the sheet's width.
        side: Pictures whose longer side is shorter are enlarged to it, in pixels.

    Returns:
        The sheet, in RGB.
    """
    shown = [_enlarged(image, side) for image in images]
    width, height = (max(sizes) for sizes in zip(*(image.size for image in shown), strict=True))
    columns = min(columns, len(shown))
    line = CAPTION + 7
    lines = max((len(caption.splitlines()) for caption in captions), default=0)
    below, margin = line * lines, gap if captions or title else 0
    across, down = width + gap, height + below + gap
    rows = math.ceil(len(shown) / columns)
    titles = _wrapped(title, columns * across - gap) if title else []
    above = line * len(titles)
    size = columns * across - gap + 2 * margin, rows * down - gap + above + 2 * margin
    sheet = Image.new("RGB", size, "white")
    painter = ImageDraw.Draw(sheet)
    for row, words in enumerate(titles):
        write_line(painter, (margin, margin + row * line), words, size[0] - 2 * margin)
    for i, image in enumerate(shown):
        left, top = margin + i % columns * across, margin + above + i // columns * down
        sheet.paste(image, (left + (width - image.width) // 2, top + (height - image.height) // 2))
        for row, words in enumerate(captions[i].splitlines() if captions else ()):
            color, letters = (GREY, SMALL) if row else (INK, CAPTION)
            write_line(painter, (left, top + height + 2 + row * line), words, width, color, letters)
    return sheet


def _wrapped(text: str, width: float) -> list[str]:
    """A text in lines that are not wider; the last of ``TITLE_LINES`` holds all that is left."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == TITLE_LINES or text_width(longer, CAPTION) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _enlarged(image: Image.Image, side: int) -> Image.Image:
    longer = max(image.size)
    if longer >= side:
        return image
    return image.resize(
        (round(image.width * side / longer), round(image.height * side / longer)), Image.Resampling.LANCZOS
    )


def write_line(
    painter: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    width: float,
    color: Color = INK,
    size: int = CAPTION,
) -> None:
    """Write a line of text on a sheet from its upper left corner, cut with an ellipsis where it is too wide."""
    drawn = font(size)
    if drawn.getlength(text) > width:
        fitting = next((end for end in range(len(text), 0, -1) if drawn.getlength(text[:end] + "…") <= width), 0)
        text = text[:fitting].rstrip() + "…"
    painter.text(at, text, color, drawn)


def object_color(scene: Scene, index: int) -> Color:
    """The colour among an object's attributes, or else one that depends on its number."""
    for name in scene.objects[index].attributes:
        if name in COLOR_NAMES:
            return COLOR_NAMES[name]
    red, green, blue = colorsys.hsv_to_rgb((0.58 + 0.618034 * index) % 1.0, 0.62, 0.68)
    return (round(255 * red), round(255 * green), round(255 * blue))


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
    places: Mapping[int, Point], widths: Sequence[float], subject: int, target: int, both_ways: bool, color: Color
) -> tuple[list[Shape], list[Point]]:
    """An arrow from node to node, or a loop for a self relation; and possible places of its label, the best first."""
    x0, y0 = places[subject]
    if subject == target:
        loop = [(x0 + 16 * math.cos(a), y0 - 30 + 18 * math.sin(a)) for a in np.linspace(0.35, 2 * math.pi, 40)]
        return [Polyline(tuple(loop), color)], [(x0, y0 - 52)]
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
    head = Polyline((tip, *wings, tip), color, 1.0, fill=color)
    # Labels avoid the middle, where edges of a regular polygon cross: from 18/40 of the way outwards.
    spots = [at(place / 40) for place in sorted(range(10, 27, 2), key=lambda place: abs(place - 18))]
    return [Polyline(tuple(points), color), head], spots


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


def draw_flags(
    boxes: Sequence[Rectangle], texts: Sequence[str], size: int, width: float, height: float
) -> tuple[list[Shape], bool]:
    """Small flags at the left edges of boxes, and whether they fit: none overlaps another or hides a box."""
    shapes: list[Shape] = []
    fitting, high = True, size + 5.0
    flags, others = _Taken(len(boxes)), _Taken(len(boxes))
    for box in boxes:
        others.add(box)
    for number, (box, text) in enumerate(zip(boxes, texts, strict=True)):
        wide = text_width(text, size) + 8
        top = min(max(box.y0 - high, 0.0), height - high)
        rows = [y for y in np.arange(top, max(box.y1, top + 1), high) if y + high <= height]
        # Along the left edge, or else beside the box.
        columns = [min(max(x, 0.0), max(width - wide, 0.0)) for x in (box.x0, box.x1, box.x0 - wide)]
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


def _key(entries: Sequence[tuple[int, Color, str]], x: float, height: float) -> tuple[list[Shape], float]:
    """Numbers and names in columns right of the canvas, and the width of the drawing with them."""
    shapes: list[Shape] = []
    rows = max(int(height // 18), 1)
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
