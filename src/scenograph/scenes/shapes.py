"""Shapes on paper, and the two ways to put them there: as a Pillow image and as SVG text."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

from scenograph.errors import printable

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

    def to_image(self, scale: float = SCALE, on: Image.Image | None = None) -> Image.Image:
        """As a picture of ``scale`` pixels per unit, or as many as make it ``LARGEST`` pixels long.

        It is painted ``on`` a picture in RGB, stretched to its size, if there is one in place of the paper.
        """
        scale = min(scale, LARGEST / max(self.width, self.height))
        width, height = round(self.width * scale), round(self.height * scale)
        size = FINE * width, FINE * height
        image = Image.new("RGB", size, PAPER) if on is None else on.resize(size)
        painter = ImageDraw.Draw(image, "RGBA")
        for shape in self.shapes:
            _paint(painter, shape, FINE * scale)
        return image.reduce(FINE)

    def to_png(self) -> bytes:
        """:meth:`to_image` as the content of a file."""
        stream = io.BytesIO()
        self.to_image().save(stream, "PNG")
        return stream.getvalue()


@lru_cache(maxsize=1024)
def text_width(text: str, size: int = FONT_SIZE) -> float:
    """Width of one line in drawing units."""
    return float(font(size * SCALE).getlength(text)) / SCALE


@lru_cache(maxsize=16)
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one that all drawings have, at a size in pixels."""
    return ImageFont.load_default(size)


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
        f'text-anchor="{shape.anchor}" dominant-baseline="central">{escape(printable(shape.text))}</text>'
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
        drawn = font(shape.size * scale)
        anchor = "mm" if shape.anchor == "middle" else "lm"
        painter.text((scale * shape.x, scale * shape.y), shape.text, shape.color, drawn, anchor)
