"""The curves of a run as one small picture, for messages about it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

Curves = dict[str, list[tuple[float, float]]]
"""Steps and values by name."""

WIDTH, HEIGHT, MARGIN, COLUMNS = 260, 130, 14, 3
MOST = 12
"""Curves of a picture."""
INK, LINE = (60, 60, 60), (31, 105, 180)


def draw_curves(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Image.Image | None:
    """A panel for each curve, with its name, its last value and its range; None if there is nothing to draw."""
    finite = {name: [point for point in points if math.isfinite(point[1])] for name, points in curves.items()}
    drawn = [(name, points) for name, points in finite.items() if len(points) > 1][:MOST]
    if not drawn:
        return None
    rows = math.ceil(len(drawn) / COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * WIDTH, rows * HEIGHT), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (name, points) in enumerate(drawn):
        _draw_panel(pen, name, points, (number % COLUMNS) * WIDTH, (number // COLUMNS) * HEIGHT)
    return sheet


def _draw_panel(pen: ImageDraw.ImageDraw, name: str, points: Sequence[tuple[float, float]], x: int, y: int) -> None:
    steps, values = zip(*points, strict=True)
    low, high = min(values), max(values)
    across, up = max(steps) - min(steps) or 1, high - low or 1
    left, top, wide, tall = x + MARGIN, y + 2 * MARGIN, WIDTH - 2 * MARGIN, HEIGHT - 4 * MARGIN
    pen.text((left, y + MARGIN / 2), f"{name} {values[-1]:.4g}", fill=INK)
    pen.line(
        [(left + wide * (step - min(steps)) / across, top + tall * (high - value) / up) for step, value in points],
        fill=LINE,
        width=2,
    )
    ends = f"step {min(steps):.0f} to {max(steps):.0f}, {low:.4g} to {high:.4g}"
    pen.text((left, y + HEIGHT - 1.5 * MARGIN), ends, fill=INK)
