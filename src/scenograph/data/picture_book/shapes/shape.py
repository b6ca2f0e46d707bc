"""What a parametric drawing is, and the pen that they are drawn with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from scenograph.data.picture_book.colours import COLOURS

View = Literal["side", "front", "top", "quarter"]
Habitat = Literal["ground", "water", "air", "table", "floor", "wall", "snow", "road"]
Point = tuple[float, float]
T = TypeVar("T")
Draw = Callable[[np.random.Generator, str | None], str]

SIDE, MARGIN = 256, 8
"""Side of the canvas and the room that is left at its edges."""
ROUND = 0.5523
"""How far the handles of a quarter of a circle reach, as a share of its radius."""
NUMBER = re.compile(r"-?\d+\.?\d*")


@dataclass(frozen=True)
class Shape:
    """A drawing that is made anew, a little different, from each seed."""

    name: str
    category: str
    view: View
    habitat: Habitat
    height: float
    """Real height in metres."""
    draw: Draw
    """SVG body in a 256 x 256 view box, from a seed and a key of ``COLOURS`` or None for a natural colour."""
    mirror: bool = True
    recolour: bool = False
    foot: float = 0.0
    """Share of the height below the line where it touches the ground or the water."""


def shape_svg(shape: Shape, rng: np.random.Generator, colour: str | None = None) -> str:
    """The whole document of a drawing."""
    body = shape.draw(rng, colour)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">{body}</svg>'


def shade(colour: str, factor: float) -> str:
    """A ``#rrggbb`` colour darker (factor below 1) or lighter (above 1, up to 2 for white)."""
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    made = values * factor if factor <= 1 else values + (255 - values) * (factor - 1)
    return "#" + "".join(f"{round(value):02x}" for value in made.clip(0, 255))


def tone(rng: np.random.Generator, colour: str | None, natural: Sequence[str]) -> str:
    """The colour asked for, or one of the natural ones; varied a little."""
    chosen = str(natural[int(rng.integers(len(natural)))])
    base = np.array(COLOURS[colour] if colour else [int(chosen[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    return "#" + "".join(
        f"{round(value):02x}" for value in (base + rng.normal(0, 6) + rng.normal(0, 2.5, 3)).clip(0, 255)
    )


def some(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two."""
    return float(rng.uniform(low, high))


def chance(rng: np.random.Generator, share: float = 0.5) -> bool:
    """True in this share of draws."""
    return bool(rng.random() < share)


def one(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def _at(*values: float) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def polygon(*points: Point) -> str:
    """Path data of straight lines."""
    return "M" + "L".join(_at(*point) for point in points) + "Z"


def ellipse(cx: float, cy: float, rx: float, ry: float, turn: float = 0) -> str:
    """Path data of an ellipse, turned clockwise by degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def place(x: float, y: float) -> str:
        x, y = x * rx, y * ry
        return _at(cx + x * cos - y * sin, cy + x * sin + y * cos)

    k = ROUND
    steps = [
        ((1, k), (k, 1), (0, 1)),
        ((-k, 1), (-1, k), (-1, 0)),
        ((-1, -k), (-k, -1), (0, -1)),
        ((k, -1), (1, -k), (1, 0)),
    ]
    return f"M{place(1, 0)}" + "".join("C" + " ".join(place(*point) for point in step) for step in steps) + "Z"


def circle(cx: float, cy: float, r: float) -> str:
    """Path data of a circle."""
    return ellipse(cx, cy, r, r)


def rect(x: float, y: float, w: float, h: float, r: float = 0) -> str:
    """Path data of a rectangle with round corners."""
    if r <= 0:
        return polygon((x, y), (x + w, y), (x + w, y + h), (x, y + h))
    r = min(r, w / 2, h / 2)
    k, right, low = r * (1 - ROUND), x + w, y + h
    return (
        f"M{_at(x + r, y)}L{_at(right - r, y)}C{_at(right - k, y, right, y + k, right, y + r)}"
        f"L{_at(right, low - r)}C{_at(right, low - k, right - k, low, right - r, low)}"
        f"L{_at(x + r, low)}C{_at(x + k, low, x, low - k, x, low - r)}"
        f"L{_at(x, y + r)}C{_at(x, y + k, x + k, y, x + r, y)}Z"
    )


def dome(x0: float, x1: float, y: float, h: float) -> str:
    """Path data of the upper half of an ellipse over the line at y (the lower half if h is negative)."""
    cx, rx = (x0 + x1) / 2, (x1 - x0) / 2
    k = ROUND
    left = _at(x0, y - k * h, cx - k * rx, y - h, cx, y - h)
    right = _at(cx + k * rx, y - h, x1, y - k * h, x1, y)
    return f"M{_at(x0, y)}C{left}C{right}Z"


def smooth(*points: Point, closed: bool = True, tension: float = 1.0) -> str:
    """Path data of a soft curve through points."""
    count = len(points)

    def point(i: int) -> np.ndarray:
        return np.array(points[i % count] if closed else points[min(max(i, 0), count - 1)])

    data = f"M{_at(*points[0])}"
    for i in range(count if closed else count - 1):
        first = point(i) + (point(i + 1) - point(i - 1)) / 6 * tension
        second = point(i + 1) - (point(i + 2) - point(i)) / 6 * tension
        data += "C" + _at(*first, *second, *point(i + 1))
    return data + ("Z" if closed else "")


def blob(
    rng: np.random.Generator, cx: float, cy: float, rx: float, ry: float, wobble: float = 0.1, count: int = 8
) -> str:
    """Path data of a round patch with a random outline."""
    turn = some(rng, 0, math.tau / count)
    angles = [turn + math.tau * i / count for i in range(count)]
    reach = 1 + rng.uniform(-wobble, wobble, count)
    return smooth(*((cx + rx * r * math.cos(a), cy + ry * r * math.sin(a)) for a, r in zip(angles, reach, strict=True)))


def puffs(rng: np.random.Generator, cx: float, cy: float, rx: float, ry: float, count: int, size: float) -> str:
    """Path data of a cloud or fleece: an ellipse with bumps around."""
    turn = some(rng, 0, math.tau / count)
    parts = [ellipse(cx, cy, rx, ry)]
    for i in range(count):
        angle = turn + math.tau * i / count
        parts.append(circle(cx + rx * math.cos(angle), cy + ry * math.sin(angle), size * some(rng, 0.85, 1.2)))
    return "".join(parts)


class Pen:
    """Collects the parts of a drawing, from back to front, and fits them into the canvas."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._points: list[np.ndarray] = []
        self._clips = 0
        self._depth = 0

    def reach(self, data: str, room: float = 0) -> None:
        """Count path data into the room that the drawing takes; nothing that is drawn inside an outline counts."""
        if self._depth == 0:
            points = np.array([float(value) for value in NUMBER.findall(data)]).reshape(-1, 2)
            self._points += [points + room * np.array(way) for way in ((-1, -1), (1, -1), (1, 1), (-1, 1))]

    def fill(self, data: str, colour: str, soft: float = 0, opacity: float = 1) -> None:
        """Fill an outline; ``soft`` rounds its corners and widens it by half of that."""
        self.reach(data, soft / 2)
        more = f' stroke="{colour}" stroke-width="{soft:.1f}" stroke-linejoin="round"' if soft else ""
        more += f' opacity="{opacity:.2f}"' if opacity < 1 else ""
        self._parts.append(f'<path d="{data}" fill="{colour}"{more}/>')

    def line(self, data: str, colour: str, width: float) -> None:
        """Draw along path data."""
        self.reach(data, width / 2)
        style = f'stroke="{colour}" stroke-width="{width:.1f}" stroke-linecap="round" stroke-linejoin="round"'
        self._parts.append(f'<path d="{data}" fill="none" {style}/>')

    def stroke(self, colour: str, width: float, *points: Point, curved: bool = True) -> None:
        """Draw a line through points, soft unless not curved."""
        self.line(smooth(*points, closed=False) if curved else polygon(*points)[:-1], colour, width)

    def solid(self, data: str, colour: str, shift: Point = (-4, -7), dark: float = 0.86) -> None:
        """Fill an outline with shade along the edge away from the light, which comes from where ``shift`` points."""
        self.fill(data, shade(colour, dark))
        with self.within(data):
            move = f'transform="translate({_at(*shift)})"'
            self._parts.append(f'<path d="{data}" fill="{colour}" {move}/>')

    def solid_over(self, data: str, colour: str, base: float, shift: Point = (-4, -7), dark: float = 0.86) -> None:
        """Like ``solid``, without what lies below the line at ``base``."""
        with self.within(rect(-SIDE, -SIDE, 4 * SIDE, base + SIDE)):
            self.solid(data, colour, shift, dark)
        self.reach(data)
        if self._depth == 0:
            self._points[-4:] = [np.minimum(points, (np.inf, base)) for points in self._points[-4:]]

    @contextmanager
    def within(self, data: str) -> Iterator[None]:
        """Keep what follows inside an outline."""
        name, self._clips = f"c{self._clips}", self._clips + 1
        self._parts.append(f'<clipPath id="{name}"><path d="{data}"/></clipPath><g clip-path="url(#{name})">')
        self._depth += 1
        yield
        self._depth -= 1
        self._parts.append("</g>")

    def eye(self, x: float, y: float, r: float = 4, colour: str = "#2b2426") -> None:
        """A round eye with a glint."""
        self.fill(circle(x, y, r), colour)
        self.fill(circle(x - r * 0.3, y - r * 0.35, r * 0.35), "#ffffff")

    def body(self, turn: float = 0) -> str:
        """All parts, as large as the canvas allows, in its middle and standing near its lower edge.

        Args:
            turn: Degrees by which everything is turned clockwise first.
        """
        cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        points = np.concatenate(self._points) @ np.array([[cos, sin], [-sin, cos]])
        low, high = points.min(0), points.max(0)
        scale = (SIDE - 2 * MARGIN) / max(high - low)
        left = SIDE / 2 - scale * (low[0] + high[0]) / 2
        top = SIDE - MARGIN - scale * high[1]
        place = f"translate({_at(left, top)}) scale({scale:.4f}) rotate({turn:.1f})"
        return f'<g transform="{place}">{"".join(self._parts)}</g>'
