"""The drawings of the picture-book world: a curated table, and what draws its rows.

Drawings of others come from npm packages in the Iconify JSON form, which the user installs and names the folder of;
parametric drawings of our own (``shapes``) are always there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError

from scenograph.data.picture_book.recolour import recoloured
from scenograph.data.picture_book.shapes import SHAPES, shape_svg
from scenograph.data.picture_book.shapes.shape import Habitat, View
from scenograph.errors import UserError, expecting, missing_extra, reason, rule_and_value, suggest, unreadable
from scenograph.files import read_json

__all__ = ["SETS", "Drawing", "DrawingSet", "Drawings", "read_table", "recoloured"]

TABLE = Path(__file__).with_name("table.csv")
OWN = "own"
SIDE = 256
"""Longer side of a sprite in pixels."""
LARGEST = 2048
"""Width to which a canvas is drawn at most, where little of it is visible."""
FAINT = 8
"""Pixels with at most this alpha (0 to 255) do not count as visible."""
SPRITES = 128
"""Sprites kept as pixels; a quarter of a megabyte each at most."""


@dataclass(frozen=True)
class DrawingSet:
    """Where a set of drawings comes from."""

    package: str
    """npm package; empty for our own."""
    version: str
    """The version the table was made from."""
    licence: str
    """SPDX identifier."""
    author: str


SETS: dict[str, DrawingSet] = {
    "noto": DrawingSet("@iconify-json/noto", "1.2.9", "Apache-2.0", "Google Inc"),
    "noto-v1": DrawingSet("@iconify-json/noto-v1", "1.2.5", "Apache-2.0", "Google Inc"),
    "fluent-emoji": DrawingSet("@iconify-json/fluent-emoji", "1.2.7", "MIT", "Microsoft Corporation"),
    "fluent-emoji-flat": DrawingSet("@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "Microsoft Corporation"),
    OWN: DrawingSet("", "", "Apache-2.0", "The Scenograph authors"),
}
INSTALL = "npm install " + " ".join(f"{one.package}@{one.version}" for one in SETS.values() if one.package)


@dataclass(frozen=True)
class Drawing:
    """A row of the table: one drawing and what a scene has to know about it."""

    category: Annotated[str, Field(min_length=1)]
    """A COCO-Stuff name."""
    set: Annotated[str, Field(min_length=1)]
    """A key of ``SETS``."""
    name: Annotated[str, Field(min_length=1)]
    view: View
    habitat: Habitat
    height: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Real height in metres of what the drawing shows."""
    mirror: bool
    """Whether it may be mirrored: no text, no meaning of left and right."""
    recolour: bool
    """Whether the hue of its body may be changed."""
    foot: Annotated[float, Field(ge=0, lt=1)]
    """Share of the height that lies below the line where it touches the ground or the water."""

    @property
    def key(self) -> str:
        """``set/name``: unique."""
        return f"{self.set}/{self.name}"

    @property
    def told(self) -> float:
        """The height in metres that it is drawn with: compressed, so that a cat and a house are both to be seen."""
        return 1.6 * (self.height / 1.6) ** 0.5

    @property
    def licence(self) -> str:
        """SPDX identifier."""
        return SETS[self.set].licence

    @property
    def author(self) -> str:
        """Whom to name."""
        return SETS[self.set].author


COLUMNS = tuple(field.name for field in fields(Drawing))
ROW = TypeAdapter(Drawing)


def read_table(path: Path = TABLE) -> tuple[Drawing, ...]:
    """The rows of a table, by default the one that ships.

    Raises:
        UserError: It cannot be read, or a row is wrong; names the line, the column and the value.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    rows = csv.reader(lines)
    if tuple(next(rows, ())) != COLUMNS:
        raise UserError(f"{path}, line 1: the columns must be {','.join(COLUMNS)}")
    read: dict[str, Drawing] = {}
    for values in rows:
        if not values:
            continue
        where = f"{path}, line {rows.line_num}"
        drawing = _row(values, where)
        if drawing.key in read:
            raise UserError(f"{where}, column name: {drawing.key} has a row already; leave one of them out")
        read[drawing.key] = drawing
    return tuple(read.values())


def _row(values: list[str], where: str) -> Drawing:
    """A row of the table, checked."""
    if len(values) != len(COLUMNS):
        raise UserError(f"{where}: {len(values)} values for {len(COLUMNS)} columns ({','.join(COLUMNS)})")
    try:
        drawing = ROW.validate_python(dict(zip(COLUMNS, values, strict=True)))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{where}, column {first['loc'][0]}: {rule_and_value(first)}") from error
    packaged = [name for name in SETS if name != OWN]
    if drawing.set not in packaged:
        raise UserError(f"{where}, column set: no set {drawing.set!r} {suggest(drawing.set, packaged)}")
    return drawing


class Drawings:
    """Draws the rows of the table that an installation has, and the drawings of our own."""

    rows: tuple[Drawing, ...]
    """Those that can be drawn."""
    missing: tuple[str, ...]
    """Keys of rows whose package is there in a version without the drawing."""

    def __init__(self, folder: Path | None, table: Path = TABLE) -> None:
        """Look up what can be drawn.

        Args:
            folder: Where ``npm install`` ran, its ``node_modules``, or a folder that holds the folders of the packages;
                None for our own drawings only.
            table: The rows to draw.

        Raises:
            UserError: None of the packages is there, one cannot be read, or the table is wrong.
        """
        self._icons: dict[str, dict[str, Any]] = {}
        rows: list[Drawing] = []
        missing: list[str] = []
        packages = _packages(folder) if folder is not None else {}
        wanted = [drawing for drawing in read_table(table) if drawing.set in packages]
        for name, path in packages.items():
            icons = _read_icons(path, [drawing.name for drawing in wanted if drawing.set == name])
            self._icons |= {f"{name}/{icon}": body for icon, body in icons.items()}
        for drawing in wanted:
            if drawing.key in self._icons:
                rows.append(drawing)
            else:
                missing.append(drawing.key)
        rows += [
            Drawing(one.category, OWN, one.name, one.view, one.habitat, one.height, one.mirror, one.recolour, one.foot)
            for one in SHAPES.values()
        ]
        self.rows, self.missing = tuple(rows), tuple(missing)
        self._sprite = lru_cache(maxsize=SPRITES)(self._draw)
        # All of the table's drawings fit as PNG (some 35 MB), and decoding is far quicker than drawing anew.
        self._png = lru_cache(maxsize=None)(self._draw_png)

    def categories(self) -> tuple[str, ...]:
        """The categories that can be drawn, sorted."""
        return tuple(sorted({drawing.category for drawing in self.rows}))

    def sprite(self, drawing: Drawing, seed: int = 0, colour: str | None = None) -> np.ndarray:
        """The pixels of a drawing, cropped to what is visible.

        Args:
            drawing: One of ``rows``.
            seed: Of our own drawings, which variant; the others have one only.
            colour: Key of ``COLOURS`` for the body; None leaves it as it is.

        Returns:
            (h, w, 4) uint8 RGBA, not premultiplied, read-only; the longer side is 256.

        Raises:
            UserError: The drawing is damaged.
        """
        return self._sprite(drawing, seed if drawing.set == OWN else 0, colour)

    def _draw(self, drawing: Drawing, seed: int, colour: str | None) -> np.ndarray:
        if drawing.set == OWN:
            svg = shape_svg(SHAPES[drawing.name], np.random.default_rng(seed), colour)
            pixels = _fitted(svg, drawing.key)
        else:
            pixels = np.asarray(Image.open(io.BytesIO(self._png(drawing.key))))
            pixels = recoloured(pixels, colour) if colour is not None else pixels
        pixels = np.ascontiguousarray(pixels)
        pixels.setflags(write=False)  # it is kept and given out again
        return pixels

    def _draw_png(self, key: str) -> bytes:
        """A drawing of a package as it is, as a PNG."""
        icon = self._icons[key]
        box = [icon["left"], icon["top"], icon["width"], icon["height"]]
        # Iconify flips first and then turns by quarters, clockwise.
        pixels = _fitted(_document(box, icon["body"]), key)
        pixels = pixels[:: -1 if icon["vFlip"] else 1, :: -1 if icon["hFlip"] else 1]
        file = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels, -icon["rotate"]))).save(file, "PNG", compress_level=1)
        return file.getvalue()


def _packages(folder: Path) -> dict[str, Path]:
    """The file of each package that is there, by set. Raises ``UserError`` if none is."""
    found = {}
    for name, one in SETS.items():
        for place in ("node_modules/" + one.package, one.package, name):
            path = folder / place / "icons.json"
            if one.package and name not in found and path.is_file():
                found[name] = path
    if not found:
        raise UserError(f"{folder} holds no package of drawings: run there {INSTALL}")
    return found


def _read_icons(path: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Body, box and turns of the named icons that a package has, aliases resolved."""
    package = read_json(path)
    with expecting(f"{path} is not in the Iconify JSON form"):
        common = {"left": 0, "top": 0, "width": 16, "height": 16}
        common |= {name: package[name] for name in common if name in package}
        made = {}
        for name in names:
            chain = list(_chain(package, name))
            if not chain:
                continue
            icon: dict[str, Any] = common | {"rotate": 0, "hFlip": False, "vFlip": False}
            for part in reversed(chain):  # from the icon to the alias of an alias: turns add up, the rest replaces
                turned = {"rotate": (icon["rotate"] + int(part.get("rotate", 0))) % 4}
                turned |= {flip: icon[flip] != bool(part.get(flip, False)) for flip in ("hFlip", "vFlip")}
                icon |= {key: value for key, value in part.items() if key in {*common, "body"}} | turned
            made[name] = icon | {"body": str(icon["body"])} | {side: float(icon[side]) for side in common}
        return made


def _chain(package: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """The aliases that lead from a name to an icon, and the icon; nothing if there is none."""
    icons, aliases = package["icons"], package.get("aliases", {})
    names: list[str] = []
    while name in aliases and name not in icons:
        if name in names:
            return
        names.append(name)
        name = aliases[name]["parent"]
    if name in icons:
        yield from (aliases[alias] for alias in names)
        yield icons[name]


def _document(box: list[float], body: str) -> str:
    """A whole SVG document; box is left, top, width, height of what it shows."""
    shown = " ".join(f"{value:g}" for value in box)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {spaces} viewBox="{shown}">{body}</svg>'


def _fitted(svg: str, key: str) -> np.ndarray:
    """A document drawn and cropped to what is visible, (h, w, 4) uint8 with a longer side of 256."""
    # A small drawing tells how much of the canvas is visible, and so how large it has to be drawn. The canvas itself is
    # not cropped: resvg breaks down where one cuts through a filter.
    coarse = 96
    y0, y1, x0, x1 = _visible(_rasterise(svg, coarse, key), key)
    pixels = _rasterise(svg, min(round(1.05 * SIDE * coarse / max(y1 - y0, x1 - x0)), LARGEST), key)
    y0, y1, x0, x1 = _visible(pixels, key)
    pixels = pixels[y0:y1, x0:x1]
    longer = max(pixels.shape[:2])
    size = tuple(max(round(length * SIDE / longer), 1) for length in pixels.shape[1::-1])
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.LANCZOS))


def _visible(pixels: np.ndarray, key: str) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the visible pixels, ends excluded."""
    seen = pixels[..., 3] > FAINT
    if not seen.any():
        raise UserError(
            f"drawing {key} cannot be drawn: nothing of it is visible; install the tested version: {INSTALL}"
        )
    down, across = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def _rasterise(svg: str, width: int, key: str) -> np.ndarray:
    """A document as (h, width, 4) uint8 RGBA."""
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise missing_extra("resvg-py", "render") from error
    try:
        png = svg_to_bytes(svg_string=svg, width=width, skip_system_fonts=True)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))
    except (ValueError, OSError) as error:
        raise _undrawn(key, reason(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Rust's, which is no Exception
            raise
        raise _undrawn(key, f"resvg breaks down on it ({error})") from error


def _undrawn(key: str, why: str) -> UserError:
    return UserError(f"drawing {key} cannot be drawn: {why}; install the tested version: {INSTALL}")
