"""The scenes of a pack that a protocol asks for, chunk by chunk, and the part of them that a model is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from scenograph.data.loader import PackLoader
from scenograph.data.pack import open_picture, pack_splits, read_record
from scenograph.errors import UserError
from scenograph.evaluation.protocols import Protocol
from scenograph.scenes.canonical import with_locations
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

CHUNK = 16
"""Layouts per chunk."""


@dataclass
class Layouts:
    """The scenes that a protocol asks for, with their real pictures. Raises ``UserError`` for a missing split.

    Where the data's own graphs are asked for and it stores no relations, they are sg2im's, derived from boxes.
    """

    pack: Path
    protocol: Protocol
    parts: list[PackLoader] = field(init=False)

    def __post_init__(self) -> None:
        splits = pack_splits(self.pack)
        missing = [name for name in self.protocol.splits if name not in splits]
        if missing:
            raise UserError(
                f"{self.pack}: no split {missing[0]!r}, which protocol {self.protocol.name} measures; --split: "
                + ", ".join(splits)
            )
        stored = read_record(self.pack)["splits"]
        wanted = self.protocol.given == "graph" and self.protocol.relations == "stored"
        if wanted and all(stored[split].get("relations") == 0 for split in self.protocol.splits):
            self.protocol = self.protocol.model_copy(update={"relations": "sg2im"})
        self.parts = [
            PackLoader(self.pack, split, (64, 64), 32, relations=self.protocol.relations, cache=0)
            for split in self.protocol.splits
        ]

    @cached_property
    def count(self) -> int:
        """How many there are."""
        total = sum(len(part) for part in self.parts)
        return min(total, self.protocol.layouts or total)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The data's names, and those of the relations that are derived from boxes, if the protocol asks for such."""
        names = self.parts[0].vocabulary
        return with_locations(names) if self.protocol.relations in ("sg2im", "canonical") else names

    @property
    def pictured(self) -> bool:
        """Whether any scene has a real picture."""
        return any(part.pack.pictured for part in self.parts)

    @property
    def chunks(self) -> int:
        """How many chunks they make."""
        return -(-self.count // CHUNK)

    def numbers(self, chunk: int) -> range:
        """The numbers of the layouts of a chunk."""
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, self.count))

    def rows(self, chunk: int) -> Iterator[tuple[PackLoader, int]]:
        """Loader and row of each layout of a chunk."""
        for number in self.numbers(chunk):
            row = number
            for part in self.parts:
                if row < len(part):
                    yield part, row
                    break
                row -= len(part)

    def scenes(self, chunk: int) -> list[Scene]:
        """True scenes, with the relations that are asked for; each knows whose picture it describes."""
        return [replace(part.scenes(row, 1)[0], picture=part.pack.ids[row]) for part, row in self.rows(chunk)]

    def chunks_of(self, count: int) -> int:
        """How many chunks hold the first ``count`` layouts."""
        return min(-(-count // CHUNK), self.chunks)

    def names(self, chunk: int) -> list[str]:
        """The data's own names of the pictures of a chunk."""
        return [str(part.pack.rows([row], ("image",))[0]["id"]) for part, row in self.rows(chunk)]

    def ids(self, chunk: int) -> list[int]:
        """Numbers of the pictures: those in the data's own names, as COCO's, or else the numbers of the layouts."""
        named = zip(self.names(chunk), self.numbers(chunk), strict=True)
        return [int(name) if name.isdigit() else number for name, number in named]

    def pictures(self, chunk: int) -> list[Image.Image]:
        """Real pictures. Raises ``UserError`` if a scene has none."""
        result = []
        for part, row in self.rows(chunk):
            picture = open_picture(part.pack.rows([row])[0])
            if picture is None:
                raise UserError(f"{self.pack}: scene {row} has no picture to compare with")
            result.append(picture.convert("RGB"))
        return result

    def identity(self) -> dict[str, Any]:
        """What pack and scenes these are: the source, its options, and a checksum over the files of the splits."""
        record = read_record(self.pack)
        files = [record["splits"][split]["files"] for split in self.protocol.splits]
        checksum = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        return {
            "source": record["source"],
            "options": record["options"],
            "picture_size": record["picture_size"],
            "layouts": self.count,
            "files": checksum,
        }


def given_part(scene: Scene, what: str) -> Scene:
    """A true scene without what the model is not given (``what``: graph, boxes, masks or sketches)."""
    if what == "graph":
        return without_layout(scene)
    masks, sketches = what == "masks", what == "sketches"
    things = (
        replace(thing, mask=thing.mask if masks else None, sketch=thing.sketch if sketches else None)
        for thing in scene.objects
    )
    return replace(scene, objects=tuple(things))


def without_layout(scene: Scene) -> Scene:
    """The graph alone."""
    return replace(scene, objects=tuple(replace(thing, box=None, mask=None, sketch=None) for thing in scene.objects))


def without_attributes(scenes: Sequence[Scene]) -> list[Scene]:
    """Categories and boxes: models may add attributes that the data's vocabulary lacks."""
    return [replace(s, objects=tuple(replace(thing, attributes=()) for thing in s.objects)) for s in scenes]
