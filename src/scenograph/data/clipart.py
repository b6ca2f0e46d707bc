"""Abstract Scenes and CoDraw (Zitnick and Parikh 2013; Kim et al. 2019): clip-art scenes that people composed.

``--root`` holds ``scenes_{train,val}.json`` (sprite, x, y, depth, flip of every object), ``sprites/*.png`` with
``background.png``, and ``sprite_classes.json``. Scenes are rendered here by the rule of the original viewer, so masks
are exact: the visible pixels. Objects are in rendering order, the lowest first. Sketches can be traced from the clip
art. CC BY-NC: not for commercial use.
"""

from __future__ import annotations

from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from scenograph.data.picture_book.sketches import Hand, sketch_of
from scenograph.data.records import Reasons, Skip, number, read_each
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.errors import UserError, unreadable
from scenograph.files import read_json
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

CANVAS = (500, 400)
SCALES = (1.0, 0.7, 0.49)
"""Scale of a sprite by depth, near to far."""

DEPTHS = ("near", "middle", "far")
POSES = ("reaching", "arms up", "kicking", "running", "kneeling", "sitting", "waving")
EXPRESSIONS = ("angry", "laughing", "smiling", "sad", "surprised")
"""A person's sprite number is five times the pose plus the expression."""

FACINGS = ("facing right", "facing left")
"""Unmirrored sprites look to the right."""

PREDICATES = ("left of", "right of", "above", "below", "in front of", "behind", "on", "facing")

OPAQUE = 128
"""Alpha of the least opaque pixel that counts as the sprite's."""

Placed = tuple[str, float, float, int, int]
"""Sprite, x, y, depth, and whether it is mirrored."""

FORM = "'scenes': [[id, [[sprite, x, y, depth, flip], ...]], ...]"

LOOKING = {"person", "animal"}
"""Groups of sprites that look in a direction."""

APART = 0.1
"""Centres nearer than this fraction of the canvas have no relation left of, right of, above or below."""


class ClipArtOptions(Options):
    """How scenes are rendered."""

    relations: Literal["geometry", "none"] = Field("geometry", description="relations a person would name, or none")
    hand: Hand | None = Field(
        None, description="sketch each object after its clip art: careful, quick or loose; unset: no sketches"
    )


class ClipArt(Source):
    """Boys, girls and animals with toys and food in a park."""

    title = "Abstract Scenes (CoDraw)"
    options_type = ClipArtOptions

    @cached_property
    def files(self) -> dict[str, Path]:
        """The scene file of each split."""
        names = {"train": "train", "validation": "val", "test": "test"}
        paths = {split: self.root / f"scenes_{name}.json" for split, name in names.items()}
        return {split: path for split, path in paths.items() if path.is_file() or split == "train"}

    def inputs(self) -> list[Path]:  # noqa: D102
        return [*self.files.values(), self.root / "sprite_classes.json", self.root / "sprites" / "background.png"]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        classes = read_classes(self.root)
        dropped = Reasons()
        splits: dict[str, list[tuple[int, list[Placed]]]] = {}
        for split, path in self.files.items():
            try:
                scenes = read_json(path)["scenes"]
                items = read_each(scenes, partial(_scene, dropped, path.name), dropped, path.name, "scene")
            except (KeyError, TypeError) as error:
                raise UserError(f"{path}: expected {FORM}") from error
            if not items:
                raise UserError(f"{path}: expected {FORM}")
            unique: dict[int, list[Placed]] = {}
            for identifier, objects in items:
                if unique.setdefault(identifier, objects) is not objects:
                    dropped.note("scene id is listed twice", str(identifier))
            splits[split] = list(unique.items())
            progress(path.name, len(unique))
        categories = tuple(sorted({entry["class"] for entry in classes.values()}))
        groups = {"depth": DEPTHS, "facing": FACINGS, "pose": POSES, "expression": EXPRESSIONS}
        return Plan(Vocabulary(categories, PREDICATES, groups), splits, dropped)

    def read(self, item: tuple[int, list[Placed]]) -> Sample:  # noqa: D102
        number, placed = item
        classes = read_classes(self.root)
        remarks = []
        known = []
        for entry in drawing_order(placed):
            if entry[0] not in classes or entry[3] not in range(len(SCALES)):
                raise Skip("scene has an unknown sprite or depth", f"scene {number}: {entry[0]}, depth {entry[3]}")
            self.pictures.find(f"{entry[0]}.png", self.root / "sprites")
            known.append(entry)
        picture, owner = draw_scene(self.root, known)
        objects, kept = [], []
        for i, entry in enumerate(known):
            rng = np.random.default_rng([number, i])
            thing = _scene_object(self.root, classes, entry, owner == i, self.options.hand, rng)
            if thing is None:
                remarks.append("object outside the canvas is left out")
            else:
                objects.append(thing)
                kept.append(entry)
        groups = [classes[entry[0]]["super"] for entry in kept]
        relations = name_relations(objects, groups) if self.options.relations == "geometry" else ()
        return Sample(f"{number:05d}", Scene(tuple(objects), relations), picture, remarks=tuple(remarks))


def _scene(left_out: Reasons, where: str, value: Any) -> tuple[int, list[Placed]]:
    """Number and objects of a record."""
    identifier, objects = value
    return int(identifier), read_each(objects, _placed, left_out, f"{where}, scene {identifier}", "object")


def _placed(value: Any) -> Placed:
    sprite, x, y, depth, flip = value
    if not isinstance(sprite, str) or flip not in (0, 1) or None in (number(x), number(y)):
        raise Skip("object is no sprite, x, y, depth, flip")
    return sprite, float(x), float(y), depth, int(flip)


@cache
def read_classes(root: Path) -> dict[str, dict[str, str]]:
    """Sprite name to ``class`` and ``super`` (its group)."""
    path = root / "sprite_classes.json"
    classes = read_json(path)
    entries = classes.values() if isinstance(classes, dict) else [None]
    if not all(isinstance(entry, dict) and {"class", "super"} <= entry.keys() for entry in entries):
        raise UserError(f"{path}: expected an object of sprite names with 'class' and 'super'")
    return classes


def drawing_order(placed: list[Placed]) -> list[Placed]:
    """Placed sprites, lowest first: the sky far to near, then the rest far to near, ties in list order."""
    visible = [entry for entry in placed if entry[1] >= 0]
    return sorted(visible, key=lambda entry: (not entry[0].startswith("s_"), -entry[3]))


def draw_scene(root: Path, ordered: list[Placed]) -> tuple[Image.Image, np.ndarray]:
    """The picture, and which object owns each pixel (height, width), -1 for the background."""
    picture = _sprite(root, "background").convert("RGB")
    owner = np.full((CANVAS[1], CANVAS[0]), -1, np.int16)
    for i, (name, x, y, depth, flip) in enumerate(ordered):
        sprite = _placed_sprite(root, name, depth, flip)
        left, top = round(x - sprite.width / 2), round(y - sprite.height / 2)
        picture.paste(sprite, (left, top), sprite)
        opaque = np.asarray(sprite.getchannel("A")) >= OPAQUE
        rows, columns = np.nonzero(opaque)
        rows, columns = rows + top, columns + left
        inside = (rows >= 0) & (rows < CANVAS[1]) & (columns >= 0) & (columns < CANVAS[0])
        owner[rows[inside], columns[inside]] = i
    return picture, owner


def name_relations(objects: list[SceneObject], groups: list[str]) -> tuple[Relation, ...]:
    """The relations a person would name, from boxes, depth and the way figures look.

    ``on``: a hat or glasses on a head, a thing whose foot is on a table. ``in front of``: nearer, lower, and
    overlapping sideways. ``facing``: a person or animal that looks towards a near thing. Left, right, above and
    below: by the larger distance of the centres, when neither of the others holds.
    """
    boxes = np.array([thing.box for thing in objects]).reshape(-1, 4)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    relations = []
    for i, one in enumerate(objects):
        for j, other in enumerate(objects):
            if i == j:
                continue
            (dx, dy), near = (
                centres[i] - centres[j],
                DEPTHS.index(one.attributes[0]) - DEPTHS.index(other.attributes[0]),
            )
            overlaps = boxes[i, 0] < boxes[j, 2] and boxes[j, 0] < boxes[i, 2]
            on_ground = "sky" not in (groups[i], groups[j]) and "clothing" not in (groups[i], groups[j])
            worn = _is_worn(groups[i], groups[j], boxes[i], boxes[j]) or _is_worn(
                groups[j], groups[i], boxes[j], boxes[i]
            )
            if _is_worn(groups[i], groups[j], boxes[i], boxes[j]) or _stands_on(one, other, boxes[i], boxes[j]):
                relations.append(Relation(i, "on", j))
            elif on_ground and overlaps and near < 0 and boxes[i, 3] > boxes[j, 3]:
                relations.append(Relation(i, "in front of", j))
            elif on_ground and overlaps and near > 0 and boxes[i, 3] < boxes[j, 3]:
                relations.append(Relation(i, "behind", j))
            elif not worn and abs(dx) >= abs(dy) and abs(dx) > APART:
                relations.append(Relation(i, "left of" if dx < 0 else "right of", j))
            elif not worn and abs(dy) > APART:
                relations.append(Relation(i, "above" if dy < 0 else "below", j))
            looks_left = "facing left" in one.attributes
            ahead = 0 < (dx if looks_left else -dx) < 0.4 and abs(dy) < 0.25
            if groups[i] in LOOKING and groups[j] not in {"sky", "clothing"} and ahead:
                relations.append(Relation(i, "facing", j))
    return tuple(relations)


def _is_worn(group: str, other_group: str, box: np.ndarray, other: np.ndarray) -> bool:
    """Clothing whose centre is in the upper third of a person, or close above."""
    if group != "clothing" or other_group not in LOOKING:
        return False
    x, y = (box[:2] + box[2:]) / 2
    width, height = other[2:] - other[:2]
    return bool(other[0] - 0.1 * width < x < other[2] + 0.1 * width and -0.15 < (y - other[1]) / height < 0.4)


def _stands_on(one: SceneObject, other: SceneObject, box: np.ndarray, table: np.ndarray) -> bool:
    """A smaller thing whose lower edge lies on the upper half of a table, at its depth."""
    if other.category != "table" or one.attributes[0] != other.attributes[0]:
        return False
    x = (box[0] + box[2]) / 2
    foot = (box[3] - table[1]) / (table[3] - table[1])
    return bool(table[0] < x < table[2] and 0 < foot < 0.6 and box[2] - box[0] < table[2] - table[0])


def _scene_object(
    root: Path,
    classes: dict[str, dict[str, str]],
    entry: Placed,
    visible: np.ndarray,
    hand: Hand | None,
    rng: np.random.Generator,
) -> SceneObject | None:
    """Box of the sprite, where covered too, cut at the canvas; mask of its visible pixels; None if it is outside.

    A hand sketches what is on the canvas, covered or not, by ``rng``; None sketches nothing.
    """
    name, x, y, depth, flip = entry
    sprite = _placed_sprite(root, name, depth, flip)
    left, top = round(x - sprite.width / 2), round(y - sprite.height / 2)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + sprite.width, CANVAS[0]), min(top + sprite.height, CANVAS[1])
    if x1 <= x0 or y1 <= y0:
        return None
    attributes = [DEPTHS[depth]]
    if classes[name]["super"] in LOOKING:
        attributes.append(FACINGS[flip])
    if classes[name]["super"] == "person":
        number = int(name.split("_")[1].rstrip("s"))
        attributes += [POSES[number // len(EXPRESSIONS)], EXPRESSIONS[number % len(EXPRESSIONS)]]
    box = (x0 / CANVAS[0], y0 / CANVAS[1], x1 / CANVAS[0], y1 / CANVAS[1])
    on_canvas = np.asarray(sprite)[y0 - top : y1 - top, x0 - left : x1 - left]
    sketch = sketch_of(on_canvas, hand, rng) if hand is not None and (on_canvas[..., 3] >= OPAQUE).any() else None
    return SceneObject(classes[name]["class"], tuple(attributes), box, visible[y0:y1, x0:x1], sketch)


@cache
def _placed_sprite(root: Path, name: str, depth: int, flip: int) -> Image.Image:
    sprite = _sprite(root, name)
    size = (max(round(sprite.width * SCALES[depth]), 1), max(round(sprite.height * SCALES[depth]), 1))
    scaled = sprite if depth == 0 else sprite.resize(size, Image.Resampling.BILINEAR)
    return scaled.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else scaled


@cache
def _sprite(root: Path, name: str) -> Image.Image:
    path = root / "sprites" / f"{name}.png"
    try:
        return Image.open(path).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, error) from error
