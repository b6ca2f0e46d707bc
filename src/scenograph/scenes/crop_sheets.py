"""Drawings of crops in rows, as a person compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from scenograph.scenes.png import scaled

CELL, CAPTION, NAME = 112, 28, 150
"""Sides of a cell's picture and caption, and width of a row's name, in pixels."""
LIGHT, DARK = 236, 214
"""Greys of the board behind crops, which shows what is transparent."""


@dataclass(frozen=True, eq=False)
class CropRow:
    """Crops that belong together."""

    name: str
    crops: Sequence[np.ndarray]
    """Each (h, w, 4) uint8."""
    captions: Sequence[str] = ()
    """One per crop, or none."""


def draw_crop_rows(rows: Sequence[CropRow]) -> Image.Image:
    """Rows of crops on a checkered board, each with its name on the left and captions below the crops."""
    widest = max((len(row.crops) for row in rows), default=0)
    height = CELL + CAPTION
    sheet = Image.new("RGB", (NAME + widest * (CELL + 4), max(len(rows), 1) * (height + 4)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    small = ImageFont.load_default(10)
    for number, row in enumerate(rows):
        top = number * (height + 4)
        for line, text in enumerate(_lines(row.name, NAME - 12, font)[:4]):
            pen.text((6, top + 6 + 17 * line), text, "black", font)
        for place, crop in enumerate(row.crops):
            left = NAME + place * (CELL + 4)
            sheet.paste(_on_board(crop), (left, top))
            if row.captions:
                for line, text in enumerate(_lines(row.captions[place], CELL, small)[:2]):
                    pen.text((left, top + CELL + 1 + 12 * line), text, (70, 74, 82), small)
    return sheet


def _on_board(crop: np.ndarray) -> Image.Image:
    """A crop in the middle of a checkered cell."""
    scale = CELL / max(crop.shape[:2])
    shown = scaled(crop, round(crop.shape[0] * scale), round(crop.shape[1] * scale)).convert("RGBA")
    squares = np.add.outer(np.arange(CELL) // 8, np.arange(CELL) // 8) % 2
    board = Image.fromarray(np.where(squares, LIGHT, DARK).astype(np.uint8)).convert("RGBA")
    board.alpha_composite(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
    return board.convert("RGB")


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """A text broken where it is too long, at words if it can be."""
    lines: list[str] = []
    for word in text.split():
        rest = word
        if lines and font.getlength(f"{lines[-1]} {rest}") <= width:
            lines[-1] += f" {rest}"
            continue
        while font.getlength(rest) > width:
            count = next(n for n in range(len(rest), 0, -1) if font.getlength(rest[:n]) <= width or n == 1)
            lines.append(rest[:count])
            rest = rest[count:]
        if rest:
            lines.append(rest)
    return lines
