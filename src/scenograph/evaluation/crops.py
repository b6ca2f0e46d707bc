"""Crops of objects as pictures of one size, by the rounding rules of the published scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from PIL import Image

Rounding = Literal["down", "up"]
"""How the corners of a box become whole pixels: LAMA's generated crops go down, its real ones up."""


def pixel_box(box: Sequence[float], width: int, height: int, rounding: Rounding) -> tuple[int, int, int, int]:
    """Corners in pixels of a box in fractions of the canvas; at least one pixel wide and high."""
    # In float32, as the originals: an exact half would otherwise fall on the other side.
    scaled = np.asarray(box, dtype=np.float32) * np.array([width, height] * 2, dtype=np.float32)
    x0, y0, x1, y1 = (np.trunc(scaled) if rounding == "down" else np.ceil(scaled)).astype(int).tolist()
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def object_crop(picture: Image.Image, box: Sequence[float], side: int, rounding: Rounding) -> np.ndarray:
    """An object's pixels, resized (bicubic) to (side, side, 3) uint8."""
    crop = picture.crop(pixel_box(box, *picture.size, rounding))
    return np.asarray(crop.resize((side, side), Image.Resampling.BICUBIC))
