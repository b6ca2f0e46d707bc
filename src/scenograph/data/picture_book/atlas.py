"""The drawings that ship: a small atlas of rasterised ones, so that a scene can be composed without any installation.

``atlas.zip`` holds a PNG per drawing and ``index.json``, which says of each what the curated table says, and where it
comes from. It is made by ``python -m scenograph.data.picture_book.atlas --drawings FOLDER``.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from scenograph.data.picture_book.drawings import OWN, Drawing, Drawings
from scenograph.data.picture_book.recolour import recoloured
from scenograph.errors import UserError, unreadable
from scenograph.files import digest, write_atomically
from scenograph.scenes.png import decode_png, scaled

ATLAS = Path(__file__).with_name("atlas.zip")
SIDE = 160
"""Longer side of a drawing in pixels."""
PER_CATEGORY = 4
"""Drawings of others per category, from as many sets as there are."""
VARIANTS = 3
"""Renderings of each parametric drawing."""
BODY = 60
"""Difference (0 to 255) between a drawing in white and in black from which a pixel is all body."""


@dataclass(frozen=True)
class Entry:
    """A drawing in the atlas."""

    drawing: Drawing
    file: str
    body: str | None = None
    """File of what a colour applies to, where that is known."""

    @property
    def origin(self) -> str:
        """Where it comes from: the drawing, its author and licence."""
        return f"{self.drawing.key}, {self.drawing.author}, {self.drawing.licence}"

    @property
    def hangs(self) -> bool:
        """Whether what it shows flies or hangs, and so does not stand on anything."""
        return self.drawing.habitat in ("air", "wall")


class Atlas:
    """The drawings in a file, by category. Raises ``UserError`` if it is damaged."""

    def __init__(self, path: Path = ATLAS) -> None:
        self.path, self.digest = path, digest(path)
        try:
            self._files = zipfile.ZipFile(path)
            index = json.loads(self._files.read("index.json"))
            entries = [Entry(Drawing(**row["drawing"]), row["file"], row.get("body")) for row in index]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise unreadable(path, error, "not an atlas of drawings, or cut short") from error
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self.entries[entry.drawing.category].append(entry)
        self.sprite = lru_cache(maxsize=512)(self._sprite)

    def authors(self) -> Counter[tuple[str, str]]:
        """How many drawings there are of each author and licence."""
        drawings = [entry.drawing for entries in self.entries.values() for entry in entries]
        return Counter((one.author, one.licence) for one in drawings)

    def _sprite(self, entry: Entry, colour: str | None = None) -> np.ndarray:
        """(h, w, 4) uint8, not premultiplied; its body in a colour, a key of ``COLOURS``, if one is given."""
        pixels = self._read(entry.file, "RGBA")
        if colour is None:
            return pixels
        return recoloured(pixels, colour, None if entry.body is None else self._read(entry.body, "L"))

    def _read(self, file: str, mode: Literal["L", "RGBA"]) -> np.ndarray:
        return decode_png(self._files.read(file), mode, f"{self.path}, {file}")


def write_atlas(drawings: Drawings, path: Path) -> int:
    """Rasterise a few drawings of every category into a file; returns how many.

    Of the drawings of others, the sets take turns, so that a category shows different hands.
    """
    by_category: dict[str, list[Drawing]] = defaultdict(list)
    for drawing in drawings.rows:
        by_category[drawing.category].append(drawing)
    stream, index = io.BytesIO(), []
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as files:
        for category in sorted(by_category):
            for drawing, seed in _chosen(by_category[category]):
                name = f"{drawing.key.replace('/', '-')}-{seed}.png"
                info = zipfile.ZipInfo(name)  # without the time, so that the file is the same when made again
                files.writestr(info, _small_png(drawings.sprite(drawing, seed)))
                row: dict[str, object] = {"drawing": asdict(drawing), "file": name}
                body = _body_png(drawings, drawing, seed) if drawing.recolour and drawing.set == OWN else None
                if body is not None:
                    row["body"] = shares = name.replace(".png", "-body.png")
                    files.writestr(zipfile.ZipInfo(shares), body)
                index.append(row)
        files.writestr(zipfile.ZipInfo("index.json"), json.dumps(index))
    write_atomically(path, stream.getvalue())
    return len(index)


def _chosen(drawings: list[Drawing]) -> list[tuple[Drawing, int]]:
    """Drawings and seeds of a category."""
    own = [(drawing, seed) for drawing in drawings if drawing.set == OWN for seed in range(VARIANTS)]
    sets: dict[str, list[Drawing]] = defaultdict(list)
    for drawing in drawings:
        if drawing.set != OWN:
            sets[drawing.set].append(drawing)
    turns = max(map(len, sets.values()), default=0)
    others = [rows[turn] for turn in range(turns) for rows in sets.values() if turn < len(rows)]
    return own + [(drawing, 0) for drawing in others[:PER_CATEGORY]]


def _small_png(sprite: np.ndarray) -> bytes:
    """Reduced to the atlas's size and to 256 colours, which is a third of the bytes."""
    image = scaled(sprite, *_small(sprite)).convert("RGBA")
    stream = io.BytesIO()
    image.quantize(256, method=Image.Quantize.FASTOCTREE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _body_png(drawings: Drawings, drawing: Drawing, seed: int) -> bytes | None:
    """What a colour changes in a drawing of our own: where white and black differ; None if its form does."""
    plain, white, black = (drawings.sprite(drawing, seed, name).astype(float) for name in (None, "white", "black"))
    if not plain.shape == white.shape == black.shape:
        return None
    height, width = _small(white)
    differs = np.abs(white - black)[..., :3].max(axis=2) * (white[..., 3] > 0)
    share = Image.fromarray((differs / BODY * 255).clip(0, 255).astype(np.uint8)).resize((width, height))
    stream = io.BytesIO()
    share.quantize(16).convert("L").save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _small(sprite: np.ndarray) -> tuple[int, int]:
    """Height and width of a sprite in the atlas."""
    height, width = (max(round(side * SIDE / max(sprite.shape[:2])), 1) for side in sprite.shape[:2])
    return height, width


def main() -> None:
    """Make the atlas anew."""
    parser = argparse.ArgumentParser(description="Make the atlas of drawings that ships.")
    parser.add_argument("--drawings", type=Path, required=True, help="folder of an npm install of drawings")
    parser.add_argument("--out", type=Path, default=ATLAS)
    arguments = parser.parse_args()
    try:
        write_atlas(Drawings(arguments.drawings), arguments.out)
    except UserError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
