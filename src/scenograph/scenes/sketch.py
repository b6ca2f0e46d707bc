"""Free-hand sketches of one object: strokes where the source has them, a picture where it does not."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scenograph.errors import UserError, shortened
from scenograph.files import parse_json
from scenograph.scenes.png import decode_png, encode_png, png_from_text, png_to_text

MAX_POINTS = 100_000
FARTHEST = 10
"""Strokes may leave their box, but no farther than this many of its sides."""
LARGEST = 1e9
"""The largest coordinate of a drawing in any units: beside a larger one, by mistake, all others are one point."""
SILHOUETTE = 64
"""Side in pixels at which outlines are filled."""
GAPS = (0, 1, 2, 4)
"""Half widths, in pixels of that, of the gaps in an outline that are closed, the narrowest that will do."""
ENCLOSED = 0.5
"""What an outline encloses is at least this part of its ink, or it is open."""
SUPERSAMPLING = 4
"""Lines are drawn this many times larger and averaged down, which makes their edges smooth."""


@dataclass(frozen=True, eq=False)
class Sketch:
    """``strokes``: arrays (n, 2) of x, y in fractions of the object's box; or ``picture``: (H, W) uint8, ink dark."""

    strokes: tuple[np.ndarray, ...] = ()
    picture: np.ndarray | None = None

    def rasterise(self, height: int, width: int, line_width: float | None = None) -> np.ndarray:
        """Draw it as pixels, with smooth lines.

        Args:
            height: Of the picture, in pixels.
            width: Of the picture, in pixels.
            line_width: In pixels; by default a fiftieth of the shorter side, at least one. Scanned sketches keep their
                lines.

        Returns:
            (height, width) float32 in [0, 1], paper 1 and ink 0.
        """
        if self.picture is not None:
            resized = Image.fromarray(self.picture).resize((width, height), Image.Resampling.BOX)
            return np.asarray(resized, dtype=np.float32) / 255
        scale = SUPERSAMPLING
        thickness = max(round((line_width or min(height, width) / 50) * scale), scale)
        canvas = Image.new("L", (width * scale, height * scale), 255)
        pen = ImageDraw.Draw(canvas)
        # Keep the ends of thick lines on the canvas.
        extent = np.array([width * scale - 1 - thickness, height * scale - 1 - thickness])
        for stroke in self.strokes:
            points = [tuple(point) for point in (stroke * extent + thickness / 2).tolist()]
            pen.line(points * 2 if len(points) == 1 else points, fill=0, width=thickness, joint="curve")
            for x, y in (points[0], points[-1]):
                radius = thickness / 2
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
        return np.asarray(canvas.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255

    def mirrored(self) -> Sketch:
        """Left and right exchanged."""
        if self.picture is not None:
            return Sketch(picture=np.ascontiguousarray(self.picture[:, ::-1]))
        return Sketch(tuple(stroke * [-1, 1] + [1, 0] for stroke in self.strokes))

    def part(self, x0: float, y0: float, x1: float, y1: float) -> Sketch:
        """The same sketch relative to a part of its box; strokes go on outside it, ``FARTHEST`` at most.

        Args:
            x0: Left of the part, in fractions of the box, and so are the others.
            y0: Top.
            x1: Right, more than ``x0``.
            y1: Bottom, more than ``y0``.

        Returns:
            The sketch, in fractions of the part.
        """
        if self.picture is not None:
            height, width = self.picture.shape
            rows = slice(int(y0 * height), max(math.ceil(y1 * height), int(y0 * height) + 1))
            columns = slice(int(x0 * width), max(math.ceil(x1 * width), int(x0 * width) + 1))
            return Sketch(picture=np.ascontiguousarray(self.picture[rows, columns]))
        low, extent = np.array([x0, y0]), np.array([x1 - x0, y1 - y0])
        moved = (((stroke - low) / extent).clip(-FARTHEST, FARTHEST) for stroke in self.strokes)
        return Sketch(tuple(stroke.astype(np.float32) for stroke in moved))

    def silhouette(self) -> np.ndarray | None:
        """What its outline encloses, ink included, (64, 64) bool; None if it is too open to enclose anything."""
        ink = self.rasterise(SILHOUETTE, SILHOUETTE) < 0.7
        for gap in GAPS:
            filled = ~_reached(_grown(np.pad(ink, gap + 1), gap))
            solid = ~_grown(~filled, gap) | np.pad(ink, gap + 1)
            solid = solid[gap + 1 : -gap - 1, gap + 1 : -gap - 1]
            if (solid & ~ink).sum() >= ENCLOSED * max(ink.sum(), 1):
                return solid
        return None

    def to_dict(self) -> dict[str, Any]:
        """``{"strokes": [[[x, ...], [y, ...]], ...]}``, as Quick, Draw! nests them, or ``{"png": base64}``."""
        if self.picture is not None:
            return {"png": png_to_text(self.picture)}
        return {"strokes": [stroke.T.round(4).tolist() for stroke in self.strokes]}

    def to_bytes(self) -> bytes:
        """A PNG, or the strokes as JSON."""
        return encode_png(self.picture) if self.picture is not None else json.dumps(self.to_dict()).encode()

    @staticmethod
    def from_bytes(content: bytes) -> Sketch:
        """Read what :meth:`to_bytes` wrote. Raises ``UserError`` for a damaged picture."""
        if content.startswith(b"{"):
            return Sketch.from_dict(parse_json(content.decode(), "sketch"))
        return Sketch(picture=decode_png(content, "L", "sketch"))

    @staticmethod
    def from_dict(value: object, where: str = "sketch") -> Sketch:
        """Read :meth:`to_dict`'s form.

        Args:
            value: What JSON holds.
            where: What error messages call the sketch.

        Returns:
            The sketch.

        Raises:
            UserError: It is in another form, empty, or damaged.
        """
        if isinstance(value, dict) and set(value) == {"png"}:
            return Sketch(picture=png_from_text(value["png"], "L", f"{where}.png"))
        strokes = value.get("strokes") if isinstance(value, dict) and set(value) == {"strokes"} else None
        if strokes == []:
            raise UserError(f"{where}.strokes: the sketch is empty; draw something, or leave the sketch out")
        if not isinstance(strokes, list):
            raise UserError(f"{where}: expected {{'strokes': [[[x, ...], [y, ...]], ...]}} or {{'png': base64}}")
        return Sketch(tuple(_parse_stroke(stroke, f"{where}.strokes[{i}]") for i, stroke in enumerate(strokes)))


def sketch_from_points(strokes: Sequence[np.ndarray], where: str = "sketch") -> Sketch:
    """Strokes in any units as a sketch that fills its box; each (n, 2) or wider, further columns ignored.

    Raises ``UserError``, which begins with ``where``, if there is no point, one that is farther away than any unit
    explains, or a stroke of more than ``MAX_POINTS``.
    """
    kept = [np.asarray(stroke, dtype=np.float64)[:, :2] for stroke in strokes if len(stroke)]
    if not kept:
        raise UserError(f"{where}: no stroke with a point")
    check_points(kept, where)
    if not all((np.abs(stroke) <= LARGEST).all() for stroke in kept):
        raise UserError(f"{where}: a coordinate is not finite, or larger than {LARGEST:g}")
    points = np.concatenate(kept)
    low, high = points.min(0), points.max(0)
    extent = np.where(high > low, high - low, 1)
    return Sketch(tuple(((stroke - low) / extent).astype(np.float32) for stroke in kept))


def check_points(strokes: Sequence[np.ndarray], where: str) -> None:
    """Raise ``UserError``, which begins with ``where``, for a stroke (n, 2) with more points than are read again."""
    most = max(map(len, strokes), default=0)
    if most > MAX_POINTS:
        raise UserError(f"{where}: a stroke of {most:,} points; at most {MAX_POINTS:,} are read, so simplify it")


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """A mask (h, w) grown by so many pixels to all eight sides."""
    if not reach:
        return mask
    return np.asarray(Image.fromarray(mask).convert("L").filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0


def _reached(walls: np.ndarray) -> np.ndarray:
    """What of a mask's complement (h, w) can be reached from its border, step by step to four sides."""
    free = ~walls
    reached = np.zeros_like(free)
    reached[[0, -1]], reached[:, [0, -1]] = free[[0, -1]], free[:, [0, -1]]
    while True:
        wider = reached.copy()
        wider[1:] |= reached[:-1]
        wider[:-1] |= reached[1:]
        wider[:, 1:] |= reached[:, :-1]
        wider[:, :-1] |= reached[:, 1:]
        wider &= free
        if (wider == reached).all():
            return reached
        reached = wider


def _parse_stroke(value: object, where: str) -> np.ndarray:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not all(isinstance(axis, list) for axis in value)
        or not 0 < len(value[0]) == len(value[1]) <= MAX_POINTS
    ):
        raise UserError(f"{where}: expected [[x, ...], [y, ...]], two lists of one length")
    for axis in value:
        for number in axis:
            if not isinstance(number, int | float) or isinstance(number, bool) or not -FARTHEST <= number <= FARTHEST:
                raise UserError(f"{where}: {shortened(number)} is no coordinate; those in the box go from 0 to 1")
    return np.array(value, dtype=np.float32).T
