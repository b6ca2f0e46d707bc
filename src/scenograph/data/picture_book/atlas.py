"""The drawings that ship: a small atlas of rasterised ones, so that a scene can be composed without any installation.

``atlas.zip`` holds a PNG per drawing and ``index.json``, which says of each what the curated table says, and where it
comes from. It is made by ``python -m scenograph.data.picture_book.atlas --drawings FOLDER``.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from scenograph.data.picture_book.drawings import OWN, Drawing, Drawings
from scenograph.errors import UserError, unreadable
from scenograph.files import digest, write_atomically
from scenograph.scenes.png import decode_png

ATLAS = Path(__file__).with_name("atlas.zip")
SIDE = 160
"""Longer side of a drawing in pixels."""
PER_CATEGORY = 4
"""Drawings of others per category, from as many sets as there are."""
VARIANTS = 3
"""Renderings of each parametric drawing."""


@dataclass(frozen=True)
class Entry:
    """A drawing in the atlas."""

    drawing: Drawing
    file: str

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
            entries = [Entry(Drawing(**row["drawing"]), row["file"]) for row in index]
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise unreadable(path, error, "not an atlas of drawings, or cut short") from error
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            self.entries[entry.drawing.category].append(entry)
        self.sprite = lru_cache(maxsize=512)(self._sprite)

    def _sprite(self, entry: Entry) -> np.ndarray:
        """(h, w, 4) uint8, not premultiplied."""
        return decode_png(self._files.read(entry.file), "RGBA", f"{self.path}, {entry.file}")


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
                index.append({"drawing": asdict(drawing), "file": name})
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
    height, width = (max(round(side * SIDE / max(sprite.shape[:2])), 1) for side in sprite.shape[:2])
    image = (
        Image.fromarray(np.ascontiguousarray(sprite), "RGBA").convert("RGBa").resize((width, height)).convert("RGBA")
    )
    stream = io.BytesIO()
    image.quantize(256, method=Image.Quantize.FASTOCTREE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


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
