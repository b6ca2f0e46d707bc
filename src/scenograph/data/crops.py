"""Crops for the objects of a scene from the other pictures of a pack: each of the same category, chosen at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.data.pack import Pack, open_picture, row_to_scene
from scenograph.scenes.fields import Sizes, choice_of
from scenograph.scenes.scene import Scene, SceneObject

CACHED = 20_000
"""Crops that stay in memory."""
OBJECT_COLUMNS = ("categories", "boxes", "masks", "crops")
"""What is read of an object."""


class PackCrops:
    """Crops (side, side, 4) of the objects of a split; an object of a category that it lacks gets none.

    A crop is the object's own pixels if the pack has them. Otherwise it is cut out of the picture by its box, and by
    its mask where that is known.

    Args:
        folder: The pack.
        split: Usually that of training.
        side: Of the crops in pixels.

    Raises:
        UserError: The pack or the split is missing or damaged.
    """

    def __init__(self, folder: Path, split: str, side: int) -> None:
        self.pack, self.side = Pack(folder, split), side
        names = self.pack.table.column_names
        needed = {"image", *OBJECT_COLUMNS}
        self._unread = tuple(name for name in names if name not in needed)
        self._cache: dict[tuple[int, int], np.ndarray | None] = {}

    @property
    def digest(self) -> str:
        """The same for the same rows."""
        return self.pack.fingerprint

    def select(self, scene: Scene, seed: int, exclude: str | None = None) -> Scene:
        """As :class:`~scenograph.scenes.selection.GivesCrops`: objects of the same category, uniformly."""
        own = self._rows.get(exclude, -1) if exclude is not None else -1
        chosen: dict[int, tuple[int, int]] = {}
        for number, thing in enumerate(scene.objects):
            if thing.crop is None and (found := self._choose(thing, seed, number, own)) is not None:
                chosen[number] = found
        self._read([place for place in chosen.values() if place not in self._cache])
        objects = list(scene.objects)
        for number, (row, member) in chosen.items():
            origin = f"{self.pack.folder.name}, {self.pack.split}, {self.pack.ids[row]}, object {member}"
            objects[number] = replace(objects[number], crop=self._cache[row, member], origin=origin)
        return replace(scene, objects=tuple(objects))

    def _choose(self, thing: SceneObject, seed: int, number: int, own: int) -> tuple[int, int] | None:
        """Row and number of an object of the same category, not in the row ``own``."""
        rows, members = self._members.get(thing.category, (np.zeros(0, np.int64),) * 2)
        looks = choice_of(thing.seed, seed, number)
        rng = np.random.default_rng([looks] if isinstance(looks, int) else [*looks])
        if not len(rows):
            return None
        pick = int(rng.integers(len(rows)))
        if rows[pick] == own:
            others = np.flatnonzero(rows != own)
            if not len(others):
                return None
            pick = int(rng.choice(others))
        return int(rows[pick]), int(members[pick])

    def _read(self, places: list[tuple[int, int]]) -> None:
        """Cache crops by row and number of the object."""
        if len(self._cache) > CACHED:
            self._cache.clear()
        indices = [row for row, _ in places]
        for (row, member), columns in zip(places, self.pack.rows(indices, self._unread), strict=True):
            with self.pack.reading(row):
                self._cache[row, member] = self._crop(columns, member)

    def _crop(self, row: Mapping[str, Any], member: int) -> np.ndarray | None:
        one = {name: [row[name][member]] for name in OBJECT_COLUMNS if name in row}
        (thing,) = row_to_scene(one, Sizes(self.side, crop=self.side)).objects
        if thing.crop is not None:
            return thing.crop
        picture = open_picture(row)
        if picture is None or thing.box is None:
            return None
        width, height = picture.size
        x0, y0, x1, y1 = (value * scale for value, scale in zip(thing.box, (width, height) * 2, strict=True))
        region = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
        sides = (self.side, self.side)
        colours = np.asarray(picture.convert("RGB").resize(sides, Image.Resampling.BILINEAR, region))
        shape = np.ones(sides, bool) if thing.mask is None else thing.mask
        return np.dstack([colours, shape.astype(np.uint8) * 255])

    @cached_property
    def _rows(self) -> dict[str, int]:
        """Id of a picture to its row."""
        return {name: row for row, name in enumerate(self.pack.ids)}

    @cached_property
    def _members(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return members_by_category(self.pack)


def members_by_category(pack: Pack) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Category to the rows of its objects, and their numbers in these."""
    import pyarrow.compute as pc

    lists = pack.table.data.column("categories")
    names = pc.list_flatten(lists).combine_chunks().dictionary_encode()
    counts = pc.list_value_length(lists).to_numpy()
    codes = names.indices.to_numpy()
    rows = np.repeat(np.arange(len(counts)), counts)
    members = np.arange(len(rows)) - np.repeat(counts.cumsum() - counts, counts)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.bincount(codes, minlength=len(names.dictionary)).cumsum()[:-1])
    return {name: (rows[part], members[part]) for name, part in zip(names.dictionary.to_pylist(), parts, strict=True)}
