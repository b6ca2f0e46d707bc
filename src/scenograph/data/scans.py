"""Scanned or photographed drawings on paper: ink is told from paper, and connected ink is an object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from scenograph.data.drawn import Drawn
from scenograph.data.pictures import read_rgb
from scenograph.errors import UserError
from scenograph.scenes.fields import BOX_DECIMALS, Box
from scenograph.scenes.scene import MAX_OBJECTS
from scenograph.scenes.sketch import Sketch

LONGER_SIDE = 1200
"""Pixels at which ink is looked for."""
INK = 0.75
"""A pixel is ink if it has less than this part of the paper's brightness around it."""
MOST_INK, LEAST_PAPER = 0.2, 0.7
"""Of a drawing's pixels, at most so much is ink, and at least so much nearly as bright as the paper."""
DARKEST, MOST_COLOUR = 0.3, 0.35
"""Of paper: its brightness is more than this, its saturation less."""
GAP = 0.02
"""Ink is one object across gaps of this part of the longer side."""
FRAMED = 0.6
"""What encloses more than this part of the picture is a frame, and no object."""
SPECK = 0.02
"""Of the longer side: what is smaller in both directions is dirt."""
DRAWN_SIDE = 160
"""Longer side of an object's sketch in pixels, in which its lines are about three pixels wide, whatever drew them."""


def read_scan(path: Path, boxes: Sequence[Box] | None = None) -> list[Drawn]:
    """The objects of a picture of a drawing on paper, in reading order, none with a name.

    Args:
        path: A picture file.
        boxes: Where the objects are; without, each patch of connected ink is one.

    Raises:
        UserError: The file is no picture, shows no paper or nothing on it, too many patches, or nothing in a box.
    """
    ink = ink_of(read_rgb(path), str(path))
    height, width = ink.shape
    if boxes is not None:
        parts = [_inside(ink, box, f"{path}, objects[{number}].box") for number, box in enumerate(boxes)]
        return [Drawn(Sketch(picture=_redrawn(part)), box=box) for part, box in zip(parts, boxes, strict=True)]
    drawn = []
    for (rows, columns), patch in _patches(ink, str(path)):
        sides = columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
        x0, y0, x1, y1 = (round(side, BOX_DECIMALS) for side in sides)
        drawn.append(Drawn(Sketch(picture=_redrawn(patch)), box=(x0, y0, x1, y1)))
    return drawn


def ink_of(picture: Image.Image, where: str) -> np.ndarray:
    """What of a picture is ink, (h, w) bool, its longer side at most ``LONGER_SIDE``.

    Shadows, and paper that is not white, do not matter: each pixel is compared with the paper around it. Raises
    ``UserError``, which begins with ``where``, for a picture that shows no paper, or nothing on it.
    """
    scale = min(LONGER_SIDE / max(picture.size), 1)
    small = picture.resize([max(round(side * scale), 1) for side in picture.size], Image.Resampling.BOX)
    grey = small.convert("L")
    coarse = grey.resize([max(side // 16, 1) for side in grey.size], Image.Resampling.BOX)
    paper = coarse.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(2)).resize(grey.size)
    level = np.asarray(paper, dtype=np.float32).clip(1)
    brightness = np.asarray(grey, dtype=np.float32) / level
    ink = brightness < INK
    bright = brightness > 0.9
    colours = np.asarray(small, dtype=np.float32)
    saturation = 1 - colours.min(axis=2) / colours.max(axis=2).clip(1)
    remedy = "give a scan or a photograph of dark lines on light paper"
    if np.median(level) < DARKEST * 255 or (bright.any() and np.median(saturation[bright]) > MOST_COLOUR):
        raise UserError(f"{where}: shows no light paper; {remedy}")
    if ink.mean() > MOST_INK or bright.mean() < LEAST_PAPER:
        raise UserError(f"{where}: is no drawing on paper: {ink.mean():.0%} of it is dark, in many shades; {remedy}")
    if not ink.any():
        raise UserError(f"{where}: is blank: no ink on the paper")
    return ink


def _patches(ink: np.ndarray, where: str) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """Rows, columns and ink of each patch of ink, with what it encloses, in reading order; specks are left out.

    A patch is connected across gaps.
    """
    from scipy import ndimage  # an extra

    longer = max(ink.shape)
    reach = max(round(GAP * longer / 2), 1)
    joined = np.asarray(Image.fromarray(ink).convert("L").filter(ImageFilter.MaxFilter(2 * reach + 1))) > 0
    if ndimage.binary_fill_holes(joined).mean() > FRAMED:
        joined = _without_frames(joined)
    filled = ndimage.binary_fill_holes(joined)  # windows are part of their house
    numbers, _ = ndimage.label(filled, np.ones((3, 3)))
    numbers *= ink
    found = []
    for number, place in enumerate(ndimage.find_objects(numbers), start=1):
        if place is not None and max(side.stop - side.start for side in place) >= SPECK * longer:
            found.append((place, numbers[place] == number))
    if not found:
        raise UserError(f"{where}: is blank: nothing on the paper is larger than a speck")
    if len(found) > MAX_OBJECTS:
        raise UserError(
            f"{where}: {len(found)} separate patches of ink; at most {MAX_OBJECTS} objects are allowed in one scene"
        )
    row = longer / 8  # what starts within such a band is read from left to right
    return sorted(found, key=lambda each: (int(each[0][0].start / row), each[0][1].start))


def _without_frames(joined: np.ndarray) -> np.ndarray:
    """Ink (h, w) bool without the patches that enclose most of the picture."""
    from scipy import ndimage

    numbers, _ = ndimage.label(joined, np.ones((3, 3)))
    sides = ([side.stop - side.start for side in place] for place in ndimage.find_objects(numbers))
    large = [number for number, area in enumerate(map(math.prod, sides), start=1) if area > FRAMED * joined.size]
    patches = (numbers == number for number in large)
    frames = [patch for patch in patches if ndimage.binary_fill_holes(patch).mean() > FRAMED]
    return joined & ~np.any(frames, axis=0) if frames else joined


def _inside(ink: np.ndarray, box: Box, where: str) -> np.ndarray:
    """The ink in a box. Raises ``UserError``, which begins with ``where``, if there is none."""
    height, width = ink.shape
    x0, y0, x1, y1 = (min(max(side, 0.0), 1.0) for side in box)
    top, left = min(int(y0 * height), height - 1), min(int(x0 * width), width - 1)
    bottom, right = max(round(y1 * height), top + 1), max(round(x1 * width), left + 1)
    part = ink[top:bottom, left:right]
    if not part.any():
        raise UserError(f"{where}: no ink lies in it; move the box, or leave the object out")
    return part


def _redrawn(ink: np.ndarray) -> np.ndarray:
    """Ink (h, w) bool as a sketch's picture, uint8 and ink dark, with lines of one width."""
    scale = DRAWN_SIDE / max(ink.shape)
    height, width = (max(round(side * scale), 1) for side in ink.shape)
    resized = Image.fromarray(ink).convert("L").resize((width, height), Image.Resampling.BOX)
    thin = thinned(np.pad(np.asarray(resized) > 64, 1))
    lines = Image.fromarray(thin).convert("L").filter(ImageFilter.MaxFilter(3))
    return 255 - np.asarray(lines)[1:-1, 1:-1]


def thinned(ink: np.ndarray) -> np.ndarray:
    """Ink (h, w) bool worn down to lines one pixel wide (Zhang and Suen 1984); what touches the border stays."""
    kept = ink.copy()
    while True:
        before = kept.sum()
        for phase in (0, 1):
            # The eight neighbours of each inner pixel, clockwise from above it.
            around = np.stack(
                [
                    kept[1 + down : kept.shape[0] - 1 + down, 1 + right : kept.shape[1] - 1 + right]
                    for down, right in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
                ]
            )
            count = around.sum(axis=0)
            turns = (~around & np.roll(around, -1, axis=0)).sum(axis=0)
            north, east, south, west = around[0], around[2], around[4], around[6]
            open_sides = ~(north & east & south) & ~(east & south & west)
            if phase:
                open_sides = ~(north & east & west) & ~(north & south & west)
            worn = kept[1:-1, 1:-1] & (count >= 2) & (count <= 6) & (turns == 1) & open_sides
            kept[1:-1, 1:-1] &= ~worn
        if kept.sum() == before:
            return kept
