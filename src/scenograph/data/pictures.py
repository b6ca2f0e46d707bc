"""Pictures in any form as pictures for training: RGB, upright, of bounded size."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from scenograph.data.records import Skip
from scenograph.errors import unreadable

MAX_PIXELS = 100_000_000
"""Larger pictures are left out: a few kilobytes of PNG can claim gigabytes of pixels."""

PLAIN_SIZE = 96
"""Pictures of at most this shorter side are stored without compression: three times the bytes of a JPEG, but a
quarter of the time to read, and no loss."""

ASPECT_TOLERANCE = 0.03
"""Relative difference of aspect ratios. Small copies of annotated pictures differ by rounding, others by more."""


def encode_picture(
    picture: Path | bytes | Image.Image, size: int | None, annotated: tuple[int, int] | None = None
) -> bytes:
    """Encode a picture for a pack; a file that already fits keeps its bytes.

    Grayscale, palette, CMYK, 16-bit and transparent (over white) pictures become 8-bit RGB. JPEG stays JPEG (quality
    95), anything else becomes PNG, and small pictures become PPM, without compression.

    Args:
        picture: A file, its bytes, or pixels.
        size: Upper bound of the shorter side in pixels; None keeps the size.
        annotated: (width, height) by the annotation. EXIF rotation is applied unless this shows that the annotation was
            made without.

    Raises:
        Skip: The picture is missing, damaged, too large, or of another shape than annotated.
    """
    if isinstance(picture, Image.Image):
        return _bounded(picture, size, "PNG")
    try:
        content = picture if isinstance(picture, bytes) else picture.read_bytes()
    except OSError:
        raise Skip("picture is missing or unreadable") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return _encode(content, size, annotated)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Skip("picture is damaged or not a picture") from None


def _encode(content: bytes, size: int | None, annotated: tuple[int, int] | None) -> bytes:
    image: Image.Image = Image.open(io.BytesIO(content))
    if image.width * image.height > MAX_PIXELS:
        raise Skip("picture is too large")
    source_format = image.format
    rotate = _needs_rotation(image, annotated)
    stored = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    shorter = min(image.size)
    serves = image.mode == "RGB" and not stored and source_format in {"JPEG", "PNG"}
    if serves and (size is None or PLAIN_SIZE < shorter <= size):
        image.load()  # a truncated file shows only now
        return content
    if size is not None and shorter > 2 * size:
        image.draft("RGB", (image.width * 2 * size // shorter, image.height * 2 * size // shorter))
    converted = to_rgb(ImageOps.exif_transpose(image) if rotate else image)
    return _bounded(converted, size, "JPEG" if source_format == "JPEG" else "PNG")


def _bounded(image: Image.Image, size: int | None, file_format: str) -> bytes:
    if size is not None and min(image.size) > size:
        scale = size / min(image.size)
        bounded = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
        image = image.resize(bounded, Image.Resampling.BICUBIC)
    if size is not None and min(image.size) <= PLAIN_SIZE:
        file_format = "PPM"
    stream = io.BytesIO()
    image.save(stream, file_format, **({"quality": 95, "subsampling": 0} if file_format == "JPEG" else {}))
    return stream.getvalue()


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) from a file's header. Raises :class:`Skip` for a file that is not a picture."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, Image.DecompressionBombError):
        raise Skip("picture is damaged or not a picture") from None


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as 8-bit RGB; transparency over white; 16 and 32 bits scaled rather than cut off."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        highest = 1.0 if image.mode == "F" and values.max(initial=0) <= 1 else 65535.0
        return Image.fromarray((values.clip(0, highest) * (255 / highest)).round().astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info:
        layered = image.convert("RGBA")
        paper = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(paper, layered).convert("RGB")
    return image.convert("RGB")


def _needs_rotation(image: Image.Image, annotated: tuple[int, int] | None) -> bool:
    """Whether to apply EXIF rotation: as viewers do, unless only the raw pixels have the annotated shape."""
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    quarter_turn = orientation in {5, 6, 7, 8}
    seen = (image.height, image.width) if quarter_turn else image.size
    if annotated is None or _same_shape(seen, annotated):
        return orientation != 1
    if quarter_turn and _same_shape(image.size, annotated):
        return False
    raise Skip("picture has another shape than its annotation says")


def _same_shape(found: tuple[int, int], annotated: tuple[int, int]) -> bool:
    ratio = found[0] * annotated[1] / max(found[1] * annotated[0], 1)
    # A pixel of rounding matters in very small or narrow pictures.
    return abs(ratio - 1) <= ASPECT_TOLERANCE + 1 / min(*found, *annotated)


def read_rgb(path: Path) -> Image.Image:
    """A picture file in RGB, upright. Raises ``UserError`` for a file that is no picture, or damaged."""
    try:
        with Image.open(path) as picture:
            return to_rgb(ImageOps.exif_transpose(picture))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise unreadable(path, error, "not a picture") from error
