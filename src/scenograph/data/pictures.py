"""Pictures in any form as pictures for training: RGB, upright, of bounded size. Evaluation reads them here, too."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from scenograph.data.records import Skip
from scenograph.errors import UserError, reason

MAX_PIXELS = 100_000_000
"""Larger pictures are left out: a few kilobytes of PNG can claim gigabytes of pixels."""

PLAIN_SIZE = 96
"""Pictures of at most this shorter side are stored without compression: three times the bytes of a JPEG, but a
quarter of the time to read, and no loss."""

ASPECT_TOLERANCE = 0.03
"""Relative difference of aspect ratios. Small copies of annotated pictures differ by rounding, others by more."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
"""What EXIF's orientations ask viewers to do."""

NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows by name but hands to other programs, or to nobody: Ghostscript runs what EPS files say."""

OTHER_KINDS = (
    ("HEIC", 4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1")),
    ("AVIF", 4, (b"ftypavi",)),
    ("JPEG XL", 0, (b"\xff\x0a", b"\0\0\0\x0cJXL ")),
    ("raw data of a camera", 0, (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO")),
    ("raw data of a camera", 4, (b"ftypcrx",)),
    ("raw data of a camera", 8, (b"CR\2",)),
    ("EPS", 0, (b"%!PS", b"\xc5\xd0\xd3\xc6")),
    ("PDF", 0, (b"%PDF",)),
    ("SVG", 0, (b"<svg", b"<?xml")),
    ("TIFF of a rare form, or damaged", 0, (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
"""Kinds of files that are met in place of pictures, and what they have at which byte."""

OTHER_SUFFIXES = (".heic", ".heif", ".hif", ".jxl")
"""Of pictures that cannot be read, which are named instead of passed over."""


def encode_picture(
    picture: Path | bytes | Image.Image, size: int | None, annotated: tuple[int, int] | None = None
) -> bytes:
    """Encode a picture for a pack; a file that already fits keeps its bytes.

    Grayscale, palette, CMYK, 16-bit, float and transparent (over white) pictures become 8-bit RGB. JPEG stays JPEG
    (quality 95), anything else becomes PNG, and small pictures become PPM, without compression.

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
    content = _content(picture)
    with _opened(content, picture) as image:
        turn = _turn(image, annotated)
        stored = _orientation(image) in TURNS or image.has_transparency_data
        shorter = min(image.size)
        serves = image.mode == "RGB" and not stored and image.format in {"JPEG", "PNG"}
        if serves and (size is None or PLAIN_SIZE < shorter <= size):
            image.load()  # a truncated file shows only now
            return content
        if size is not None and shorter > 2 * size:
            image.draft("RGB", (image.width * 2 * size // shorter, image.height * 2 * size // shorter))
        return _bounded(_turned(to_rgb(image), turn), size, "JPEG" if image.format in {"JPEG", "MPO"} else "PNG")


def decode_rgb(picture: Path | bytes) -> Image.Image:
    """A picture in RGB, upright, as packs hold it. Raises :class:`Skip` if it is none."""
    with _opened(_content(picture), picture) as image:
        return _turned(to_rgb(image), _orientation(image))


def decode_rgba(picture: Path | bytes) -> Image.Image:
    """A picture in RGBA, upright, opaque where it has no transparency. Raises :class:`Skip` if it is none."""
    with _opened(_content(picture), picture) as image:
        layered = image if image.has_transparency_data else to_rgb(image)
        return _turned(layered.convert("RGBA"), _orientation(image))


def read_rgb(path: Path) -> Image.Image:
    """A picture file in RGB, upright, as packs hold it. Raises ``UserError`` for a file that is no picture."""
    try:
        return decode_rgb(path)
    except Skip as why:
        cause = why.__cause__ if isinstance(why.__cause__, OSError) else why
        raise UserError(f"cannot read {path}: {reason(cause)}") from why


def picture_size(picture: Path | bytes, upright: bool = False) -> tuple[int, int]:
    """(width, height) by a file's header, ``upright`` or as stored. Raises :class:`Skip` if it is no picture."""
    with _opened(picture, picture) as image:
        sideways = upright and _orientation(image) > 4
        return image.size[::-1] if sideways else image.size


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as 8-bit RGB: transparency over white, numbers of more bits scaled rather than cut off.

    Raises :class:`Skip` for numbers that are no shades, such as negative ones.
    """
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        white = _white(image, values)
        if _tiff_tag(image, ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
            values = white - values
        values = np.where(values == image.info.get("transparency"), white, values)
        return Image.fromarray((values * (255 / white)).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        paper = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(paper, layered).convert("RGB")
    return image.convert("RGB")


def _white(image: Image.Image, values: np.ndarray) -> float:
    """The number that means white. Wide numbers do not say it: it is that of the narrowest kind that holds them all."""
    low, high = values.min(initial=0), values.max(initial=0)
    if not (low >= 0 and high <= 65535):
        raise Skip("picture has numbers that are no shades: not from 0 to 65535", f"it has {low:g} to {high:g}")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in {"PNG", "PPM"}):
        bits = _tiff_tag(image, ExifTags.Base.BitsPerSample)
        return 2 ** bits[0] - 1 if bits else 65535
    return next(white for white in ((1, 255, 65535) if image.mode == "F" else (255, 65535)) if high <= white)


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return image.tag_v2.get(tag) if isinstance(image, TiffImageFile) else None


def files_in(folder: Path) -> list[Path]:
    """The files of a folder and its sub-folders by name, without hidden ones, such as the ``._`` files of a Mac."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def pictures_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures in a folder and its sub-folders, and the other files, both by their names.

    The others are files of other kinds, and the graphs, layouts and sheets that ``scenograph generate`` and
    ``scenograph layout`` put beside pictures.
    """
    files = files_in(folder)
    names = {path.name for path in files}
    chosen = [path for path in files if path.suffix.lower() in readable_suffixes() and not _is_drawing(path, names)]
    known = set(chosen)
    return chosen, [path for path in files if path not in known]


def _is_drawing(path: Path, names: Collection[str]) -> bool:
    """Whether a picture is a layout of a seed, or the graph or the sheet of pictures that are among ``names``."""
    if re.fullmatch(r".+-seed\d+-layout\.png", path.name):
        return True
    found = re.fullmatch(r"(.+)-(?:graph|sheet)\.png", path.name)
    if found is None:
        return False
    picture = re.compile(rf"{re.escape(found[1])}(-\d+)?-seed\d+\.png")
    return any(picture.fullmatch(name) for name in names)


@cache
def readable_suffixes() -> frozenset[str]:
    """How names of pictures end, those of kinds included that can be named but not read."""
    Image.init()
    known = Image.registered_extensions()
    return frozenset([*OTHER_SUFFIXES, *(suffix for suffix, kind in known.items() if kind in _formats())])


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(kind for kind in Image.ID if kind not in NO_PIXELS)


def _content(picture: Path | bytes) -> bytes:
    try:
        return picture if isinstance(picture, bytes) else picture.read_bytes()
    except (OSError, ValueError) as error:
        raise Skip("picture is missing or unreadable", f"{picture!s}: {reason(error)}") from error


@contextmanager
def _opened(file: Path | bytes, name: object) -> Iterator[Image.Image]:
    """A picture, not yet decoded. Whatever goes wrong while it is open becomes a :class:`Skip` that names it."""
    where = "" if isinstance(name, bytes) else f"{name}: "
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Skip("picture is too large", f"{image.width} x {image.height} pixels")
                yield image
    except Skip as why:
        raise Skip(str(why), where + why.example) from None
    except FileNotFoundError as error:
        raise Skip("picture is missing or unreadable", str(name)) from error
    except Image.DecompressionBombError as error:
        raise Skip("picture is too large", where + reason(error)) from None
    except Exception as error:  # Pillow raises exceptions of every kind for damaged files
        detail = "" if isinstance(error, UnidentifiedImageError) else reason(error)
        raise Skip(_what_else(file), (where + detail).removesuffix(": ")) from None


def _what_else(file: Path | bytes) -> str:
    """Why a file that is there is no readable picture."""
    if isinstance(file, bytes):
        start = file[:64]
    else:
        with file.open("rb") as stream:
            start = stream.read(64)
    if not start:
        return "picture is empty: a file without a byte"
    if start.startswith(b"version https://git-lfs"):
        return "picture is a Git LFS pointer: git lfs pull fetches the picture"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "picture is a web page, as servers send instead of a missing picture"
    for kind, place, beginnings in OTHER_KINDS:
        if start[place:].startswith(beginnings):
            return f"a kind of picture that cannot be read here ({kind}); convert it to PNG or JPEG"
    return "picture is damaged or not a picture"


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


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data, of which Pillow raises anything, are no reason to lose the picture
        return 1


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _turn(image: Image.Image, annotated: tuple[int, int] | None) -> int:
    """The orientation to apply: EXIF's, as viewers do, unless only the raw pixels have the annotated shape."""
    orientation = _orientation(image)
    quarter_turn = orientation in {5, 6, 7, 8}
    seen = image.size[::-1] if quarter_turn else image.size
    if annotated is None or _same_shape(seen, annotated):
        return orientation
    if quarter_turn and _same_shape(image.size, annotated):
        return 1
    wanted = f"{seen[0]} x {seen[1]} pixels, annotated as {annotated[0]} x {annotated[1]}"
    raise Skip("picture has another shape than its annotation says", wanted)


def _same_shape(found: tuple[int, int], annotated: tuple[int, int]) -> bool:
    ratio = found[0] * annotated[1] / max(found[1] * annotated[0], 1)
    # A pixel of rounding matters in very small or narrow pictures.
    return abs(ratio - 1) <= ASPECT_TOLERANCE + 1 / min(*found, *annotated)
