"""Scenes for tests of the studio."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

MEADOW: dict[str, Any] = {
    "objects": [
        {"category": "sheep", "box": [0.1, 0.5, 0.4, 0.8]},
        {"category": "grass", "box": [0.0, 0.45, 1.0, 1.0]},
        {"category": "tree", "box": [0.6, 0.2, 0.9, 0.7]},
    ],
    "relationships": [[0, "standing on", 1], [2, "right of", 0]],
}
"""With all boxes, so that nothing has to be placed."""


def picture_of(text: str) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    picture.load()
    return picture


def pixels_of(text: str) -> np.ndarray:
    return np.asarray(picture_of(text).convert("RGB")).astype(int)


def png(width: int, height: int, kind: str = "PNG") -> str:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(stream, kind)
    return base64.b64encode(stream.getvalue()).decode()
