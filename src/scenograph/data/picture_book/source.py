"""Picture-book scenes as a source of packs."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from scenograph.data.picture_book.colours import COLOURS
from scenograph.data.picture_book.drawings import read_table
from scenograph.data.picture_book.relations import PREDICATES
from scenograph.data.picture_book.shapes import SHAPES
from scenograph.data.picture_book.sketches import Hand, sketch_of
from scenograph.data.picture_book.textures import TEXTURES
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.errors import UserError
from scenograph.files import read_json
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

ATTRIBUTES = {"size": ("large", "small"), "color": tuple(COLOURS)}
REGIONS = ("clouds", "skyscraper", "building-other", "fence", "window-other", "curtain", "rug", "paper")
"""Categories of regions of the backdrops that have no texture of their own."""
SCENE_NAME = re.compile(r"(train|validation|test)_\d{6,}\.json")


class PictureBookOptions(Options):
    """What of each scene is kept."""

    crops: bool = Field(True, description="keep the pixels of each object")
    sketches: bool = Field(True, description="keep a sketch of each object")
    hand: Hand | None = Field(
        None, description="sketch all objects anew by one hand: careful, quick, or loose, which rendering never uses"
    )


class PictureBook(Source):
    """Scenes of ``scenograph data render picture-book``: one folder, or several that hold different splits."""

    title = "picture-book"
    options_type = PictureBookOptions

    @property
    def _records(self) -> list[Path]:
        return sorted(path for path in (self.root / "scenes").glob("*.json") if SCENE_NAME.fullmatch(path.name))

    @cached_property
    def _pictured(self) -> bool:
        return any((self.root / "images").glob("*.png"))

    def inputs(self) -> list[Path]:  # noqa: D102
        return sorted(
            path for split in ("train", "validation", "test") if (path := self.root / f"{split}.json").is_file()
        )

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        splits: dict[str, list[str]] = {}
        for number, path in enumerate(self._records, start=1):
            splits.setdefault(path.name.split("_")[0], []).append(path.stem)
            progress("reading scenes", number)
        if not splits:
            raise UserError(
                f"{self.root}: holds no rendered scenes; make some with: scenograph data render picture-book "
                f"--out {self.root}"
            )
        return Plan(vocabulary(), splits)

    def read(self, item: str) -> Sample:  # noqa: D102
        picture = None
        if self._pictured:
            picture = self.pictures.find(f"{item}.png", self.root / "images", search=False)
        value = _record(self.root / "scenes" / f"{item}.json")["scene"]
        redrawn = self.options.sketches and self.options.hand is not None
        needed = {"crop": self.options.crops or redrawn, "sketch": self.options.sketches and not redrawn}
        for thing in value["objects"]:
            if isinstance(thing, dict):
                for name in (name for name, kept in needed.items() if not kept):
                    thing.pop(name, None)
        scene = Scene.from_dict(value, item)
        return Sample(item, self._redrawn(scene, item) if redrawn else scene, picture)

    def _redrawn(self, scene: Scene, item: str) -> Scene:
        """The scene with sketches by the hand that is asked for."""
        hand, objects = self.options.hand, []
        for number, thing in enumerate(scene.objects):
            changed = thing
            if thing.crop is not None and hand is not None:
                rng = np.random.default_rng([zlib.crc32(item.encode()), number])
                changed = replace(thing, sketch=sketch_of(thing.crop, hand, rng))
            objects.append(changed if self.options.crops else replace(changed, crop=None))
        return replace(scene, objects=tuple(objects))


def vocabulary() -> Vocabulary:
    """The names of the world, those of all its drawings and regions, whichever of them a set happens to show."""
    return Vocabulary(tuple(sorted({*_drawn(), *TEXTURES, *REGIONS})), PREDICATES, ATTRIBUTES)


def region_names() -> tuple[str, ...]:
    """The categories that only backdrops have: nothing is drawn of them."""
    return tuple(sorted({*TEXTURES, *REGIONS} - _drawn()))


def _drawn() -> set[str]:
    return {drawing.category for drawing in read_table()} | {shape.category for shape in SHAPES.values()}


def _record(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = read_json(path)
        record["scene"]["objects"]
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a picture-book scene ({error}); delete it and render again") from error
    return record
