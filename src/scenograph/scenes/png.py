"""Small pictures inside scenes and packs as PNG, in bytes and in base64 text; and what generated pictures tell."""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scenograph.errors import UserError, unreadable

MAX_SIDE = 4096
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = 24
"""Bytes of a PNG that tell its size."""
RECORD, SHOWN, COMPOSED = "scenograph", "scenograph-shown", "scenograph-composed"
"""PNG text fields of a generated picture: the request that makes it again, and the scene that it shows."""


def said_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG by its first header, at no cost. A later one may say more, and decoders heed that one.

    Raises ``ValueError`` for what is no PNG.
    """
    if not content.startswith(SIGNATURE) or content[12:16] != b"IHDR" or len(content) < HEADER:
        raise ValueError("no PNG")
    return int.from_bytes(content[16:20]), int.from_bytes(content[20:24])


def encode_png(pixels: np.ndarray) -> bytes:
    """(H, W) grey or (H, W, 4) colour with alpha, uint8, as a PNG."""
    return png_of(Image.fromarray(pixels))


def png_of(picture: Image.Image, text: PngInfo | None = None) -> bytes:
    """A picture as the content of a file, with text fields if there are any."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def decode_png(content: bytes, mode: Literal["L", "RGBA"], where: str) -> np.ndarray:
    """A PNG as (H, W) or (H, W, 4) uint8. Raises ``UserError``, which begins with ``where``, if it is none, or huge."""
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=["PNG"])
        if image.size != said_size(content):
            raise UserError(f"{where}: a PNG with two headers of different sizes")
        if image.width * image.height > MAX_SIDE * MAX_SIDE:
            raise UserError(f"{where}: {image.width} x {image.height} pixels are more than an object needs")
        if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off instead of scaling
            image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).round().astype(np.uint8))
        return np.asarray(image.convert(mode))
    except UserError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{where}: not a readable PNG") from error


def scaled(
    pixels: np.ndarray, height: int, width: int, method: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Pixels (h, w, 4) uint8 at another size, in mode RGBa: colours multiplied by alpha, so that none bleeds in."""
    image = Image.fromarray(np.ascontiguousarray(pixels), "RGBA").convert("RGBa")
    return image.resize((max(width, 1), max(height, 1)), method)


def png_to_text(pixels: np.ndarray) -> str:
    """:func:`encode_png` in base64."""
    return base64.b64encode(encode_png(pixels)).decode()


def png_from_text(text: object, mode: Literal["L", "RGBA"], where: str) -> np.ndarray:
    """What :func:`png_to_text` wrote. Raises ``UserError`` for anything else."""
    try:
        content = base64.b64decode(text, validate=True)  # type: ignore[arg-type]  # other types are an error below
    except (binascii.Error, TypeError, ValueError) as error:
        raise UserError(f"{where}: not base64 text") from error
    return decode_png(content, mode, where)


def is_png(path: Path) -> bool:
    """Whether a file is a PNG, by its first bytes; a file that cannot be read is not."""
    if not path.is_file():  # opening a named pipe would wait for ever
        return False
    try:
        with path.open("rb") as stream:
            return stream.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False


def read_record(path: Path, field: str = RECORD) -> str | None:
    """A text field of a picture, None without it. Raises ``UserError`` if the file is no picture, or not whole."""
    if path.exists() and not path.is_file():
        raise UserError(f"cannot read {path}: not a file")
    try:
        with Image.open(path) as picture:
            picture.load()
            return record_in(picture, field)
    except Exception as error:  # of damaged chunks Pillow raises almost anything
        raise unreadable(path, error, "not a picture, or cut short") from error


def record_in(picture: Image.Image, field: str = RECORD) -> str | None:
    """A text field of a picture whose pixels were loaded, None without it."""
    text = picture.info.get(field)
    return text if isinstance(text, str) else None
