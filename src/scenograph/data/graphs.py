"""Graphs that a pack's scenes determine: computed once per pack, and stored in it."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from scenograph.data.pack import PART, Pack, row_to_scene
from scenograph.errors import UserError
from scenograph.files import DAMAGED_ZIP, make_folder, write_atomically
from scenograph.scenes.canonical import location_relations, minimal
from scenograph.scenes.fields import Box, Sizes
from scenograph.scenes.geometry import mask_centre
from scenograph.scenes.scene import Relation, Scene
from scenograph.version import __version__

FixedPolicy = Literal["minimal", "canonical"]

log = logging.getLogger(__name__)


def places(scene: Scene) -> tuple[list[Box], list[tuple[float, float]]]:
    """The boxes and centres of mass of all objects. Raises ``UserError`` if one has no box."""
    boxes = [thing.box for thing in scene.objects if thing.box is not None]
    if len(boxes) < len(scene.objects):
        raise UserError("relations made from places need boxes; this pack has objects without one")
    return boxes, [mask_centre(box, thing.mask) for box, thing in zip(boxes, scene.objects, strict=True)]


@dataclass(frozen=True)
class _Part:
    """The graphs of some consecutive scenes."""

    names: Sequence[str]
    """Predicates."""
    rows: np.ndarray
    """(R, 4) scene (from 0), subject, number of the predicate, object, in order of scenes."""

    def relations(self, scene: int) -> list[Relation]:
        first, last = np.searchsorted(self.rows[:, 0], [scene, scene + 1])
        return [Relation(i, self.names[name], j) for _, i, name, j in self.rows[first:last].tolist()]


class FixedGraphs:
    """The graphs of a split, in files of ``PART`` scenes that are made when first needed.

    ``minimal`` graphs have the stored relations that no others imply; ``canonical`` ones the stored relations and, kept
    here, the minimal location graph over all pairs. The name of their folder holds all that they depend on. Where the
    pack cannot be written to they stay in memory. Scenes of over ``max_objects`` objects are left out, because
    they lose random ones.
    """

    def __init__(self, pack: Pack, policy: FixedPolicy, sizes: Sizes, max_objects: int) -> None:
        self.pack, self.policy, self.sizes, self.max_objects = pack, policy, sizes, max_objects
        masks = sizes.mask if policy == "canonical" else None  # centres of mass
        identity = [pack.fingerprint, masks, max_objects, PART, __version__]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        self.folder = pack.folder / "graphs" / f"{pack.split}-{policy}-{digest}"
        self._parts: dict[int, _Part] = {}
        self._kept = True

    def complete(self, scene: Scene, index: int | None = None) -> Scene:
        """A scene with its graph: the stored one of row ``index`` of the pack, or one computed now."""
        found = self._relations(scene) if index is None else self._stored(index)
        return replace(scene, relations=(*(scene.relations if self.policy == "canonical" else ()), *found))

    def _relations(self, scene: Scene) -> list[Relation]:
        return minimal(scene.relations) if self.policy == "minimal" else location_relations(*places(scene))

    def _stored(self, index: int) -> list[Relation]:
        part, scene = divmod(index, PART)
        if part not in self._parts:
            self._parts[part] = self._read(part) or self._make(part)
        return self._parts[part].relations(scene)

    def _path(self, part: int) -> Path:
        return self.folder / f"{part:05d}.npz"

    def _read(self, part: int) -> _Part | None:
        """The graphs that an earlier run or another process stored; None if there are none or they are damaged."""
        try:
            with np.load(self._path(part), allow_pickle=False) as arrays:
                return _Part(arrays["names"].tolist(), arrays["rows"])
        except (OSError, ValueError, KeyError, *DAMAGED_ZIP):
            return None

    def _make(self, part: int) -> _Part:
        numbers: dict[str, int] = {}
        rows = []
        indices = range(part * PART, min((part + 1) * PART, len(self.pack)))
        for number, row in enumerate(self.pack.rows(indices, without=("image",))):
            scene = row_to_scene(row, self.sizes)
            if len(scene.objects) > self.max_objects:
                continue
            for relation in self._relations(scene):
                name = numbers.setdefault(relation.predicate, len(numbers))
                rows.append((number, relation.subject, name, relation.object))
        made = _Part(list(numbers), np.array(rows, dtype=np.int32).reshape(-1, 4))
        if self._kept:
            try:
                make_folder(self.folder)
                write_atomically(self._path(part), lambda stream: np.savez_compressed(stream, **vars(made)))
            except UserError as error:
                self._kept = False
                log.warning("%s; the pack's graphs are made anew in each run", error)
        return made
