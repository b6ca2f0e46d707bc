"""Drawings for the objects of scenes, from a pack of single ones: each of its category, another one every time.

So Scene Designer's QuickDrawCOCO is made while it trains (Ribeiro et al., ICCVW 2021): scenes of COCO, in which every
object is drawn by somebody of Quick, Draw!.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from scenograph.data.crops import members_by_category
from scenograph.data.pack import Pack, row_to_scene
from scenograph.data.quickdraw import coco_class
from scenograph.errors import UserError
from scenograph.files import read_json
from scenograph.scenes.scene import Scene, SceneObject, keep_objects
from scenograph.scenes.sketch import Sketch

PUBLISHED = "published"
"""In place of a file: the map of Scene Designer, by which 128 of 345 classes stand for 91 categories."""
PUBLISHED_CHANGES = {
    "bulldozer": None, "castle": None, "ceiling fan": None, "cooler": "refrigerator", "grass": None, "hot tub": None,
    "jail": "cage", "leaf": None, "map": "paper", "mushroom": None, "ocean": None, "palm tree": None,
    "peanut": "food-other", "picture frame": "wall-panel", "pool": None, "rain": "waterdrops", "river": None,
    "scissors": None, "steak": "food-other", "suitcase": "handbag", "sword": "knife", "tree": "branch",
}  # fmt: skip
"""Where that map (quickdraw_to_coco_v2.json) differs from ours."""


def category_of_class(class_map: Path | None, categories: Sequence[str]) -> Callable[[str], str | None]:
    """What says for which category a class of drawings stands, if for any.

    Args:
        class_map: A JSON object of class names and categories or nulls; the word ``published``; or None, which is our
            own map: categories of the same name, and synonyms.
        categories: Those that there are.

    Raises:
        UserError: The file cannot be read or is no such object.
    """
    if class_map is None or str(class_map) == PUBLISHED:
        changes: dict[str, str | None] = {} if class_map is None else PUBLISHED_CHANGES
        return lambda name: changes[name] if name in changes else coco_class(name, categories)
    chosen = read_json(class_map)
    if not isinstance(chosen, dict):
        raise UserError(f"{class_map}: expected an object of Quick, Draw! class names")
    return lambda name: None if chosen.get(name) is None else str(chosen[name])


class PackDrawings:
    """A random drawing for every object whose category has some; an object without keeps the sketch that it has.

    Args:
        folder: A pack of scenes of one drawing each, by class, as ``data pack quickdraw`` makes it.
        split: Usually that of the scenes, so that no drawing is in two.
        categories: Of the scenes' objects.
        class_map: As for :func:`category_of_class`.

    Raises:
        UserError: The pack or the split is missing or damaged, or none of its classes stands for a category.
    """

    def __init__(self, folder: Path, split: str, categories: Sequence[str], class_map: Path | None = None) -> None:
        self.pack = Pack(folder, split)
        self.pack.check_objects("sketches", "has a sketch to draw from; take a pack of Quick, Draw!")
        self._unread = tuple(name for name in self.pack.table.column_names if name not in ("categories", "sketches"))
        category, known = category_of_class(class_map, categories), {*categories}
        found: dict[str, list[np.ndarray]] = {}
        for name, (rows, _) in members_by_category(self.pack).items():
            if (target := category(name)) in known:
                found.setdefault(str(target), []).append(rows)
        if not found:
            raise UserError(f"{folder}: none of its classes of drawings stands for a category of the scenes")
        self._rows = {name: np.concatenate(parts) for name, parts in found.items()}

    def drawable(self, scene: Scene) -> Scene:
        """The scene with the objects whose category has drawings; all of them if that is none."""
        kept = [number for number, thing in enumerate(scene.objects) if thing.category in self._rows]
        return keep_objects(scene, kept) if 0 < len(kept) < len(scene.objects) else scene

    def draw(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """The scene with its objects drawn, each at random."""
        chosen = {
            number: int(rng.choice(self._rows[thing.category]))
            for number, thing in enumerate(scene.objects)
            if thing.category in self._rows
        }
        objects: list[SceneObject] = list(scene.objects)
        for number, sketch in zip(chosen, self._read([*chosen.values()]), strict=True):
            objects[number] = replace(objects[number], sketch=sketch)
        return replace(scene, objects=tuple(objects))

    def _read(self, rows: Sequence[int]) -> list[Sketch | None]:
        sketches = []
        for row, columns in zip(rows, self.pack.rows(rows, self._unread), strict=True):
            with self.pack.reading(row):
                sketches.append(row_to_scene(columns).objects[0].sketch)
        return sketches
