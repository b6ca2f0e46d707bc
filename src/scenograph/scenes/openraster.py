"""Pictures as layers, and files of them in OpenRaster (https://www.openraster.org), which GIMP and Krita open."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from scenograph.errors import printable
from scenograph.scenes.png import encode_png

THUMBNAIL = 256
"""Longest side of the thumbnail in pixels, as the format wants it."""


@dataclass(frozen=True)
class Layer:
    """A part of a picture that lies over those before it."""

    name: str
    left: int
    top: int
    pixels: np.ndarray
    """(h, w, 4) float32 in [0, 1]: colours multiplied by alpha, and alpha. It may reach beyond the picture."""

    def laid_on(self, canvas: np.ndarray) -> None:
        """Lay it on a picture (H, W, 3) in [0, 1], which changes."""
        height, width = self.pixels.shape[:2]
        rows, columns, own_rows, own_columns = window(self.top, self.left, height, width, *canvas.shape[:2])
        if rows.start < rows.stop and columns.start < columns.stop:
            part = self.pixels[own_rows, own_columns]
            canvas[rows, columns] *= 1 - part[..., 3:]
            canvas[rows, columns] += part[..., :3]

    def straight(self) -> np.ndarray:
        """(h, w, 4) uint8, colours not multiplied by alpha."""
        alpha = self.pixels[..., 3:]
        colours = np.divide(self.pixels[..., :3], alpha, out=np.zeros_like(self.pixels[..., :3]), where=alpha > 0)
        values = np.concatenate([colours, alpha], axis=2).clip(0, 1)
        return np.asarray((values * 255).round(), dtype=np.uint8)


def window(
    top: int, left: int, height: int, width: int, canvas_height: int, canvas_width: int
) -> tuple[slice, slice, slice, slice]:
    """Rows and columns of a canvas that a picture on it covers, then those of the picture itself."""
    rows = slice(max(top, 0), min(top + height, canvas_height))
    columns = slice(max(left, 0), min(left + width, canvas_width))
    own_rows, own_columns = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return rows, columns, own_rows, own_columns


def merged(layers: Sequence[Layer]) -> np.ndarray:
    """The picture (H, W, 3) in [0, 1] that layers make: the first covers all of it, the others lie on it in order."""
    canvas = layers[0].pixels[..., :3].copy()
    for layer in layers[1:]:
        layer.laid_on(canvas)
    return canvas.clip(0, 1)


def openraster(layers: Sequence[Layer]) -> bytes:
    """An OpenRaster file.

    Args:
        layers: At least one; the first covers the whole picture, and the others lie on it in order.
    """
    picture = Image.fromarray(np.asarray((merged(layers) * 255).round(), dtype=np.uint8))
    image = ElementTree.Element("image", version="0.0.3", w=str(picture.width), h=str(picture.height))
    stack = ElementTree.SubElement(image, "stack")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        _add(file, "mimetype", b"image/openraster")  # first, and not compressed: this is how the format is recognised
        for number, layer in reversed(list(enumerate(layers))):  # the topmost first
            source = f"data/layer{number}.png"
            name = printable(layer.name)  # XML has no form for control characters
            ElementTree.SubElement(stack, "layer", name=name, src=source, x=str(layer.left), y=str(layer.top))
            _add(file, source, encode_png(layer.straight()))
        _add(file, "stack.xml", ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True))
        _add(file, "mergedimage.png", encode_png(np.asarray(picture)))
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        _add(file, "Thumbnails/thumbnail.png", encode_png(np.asarray(picture)))
    return stream.getvalue()


def _add(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a member whose bytes depend on nothing but its name and content."""
    file.writestr(zipfile.ZipInfo(name), content)
