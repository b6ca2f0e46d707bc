"""Render picture-book scenes to a folder: pictures, and a record of everything that is known about each.

A scene depends only on ``(seed, index)`` and on the drawings: neither the number of processes, nor the part of the set
that is rendered, nor an interruption changes it. A scene's record is written last, so a killed run resumes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from scenograph.data.picture_book.compose import PAGE, Composed, Placed, compose, compose_page
from scenograph.data.picture_book.drawings import Drawing, Drawings
from scenograph.data.picture_book.relations import WAYS, geometric_relations, spoken_relations
from scenograph.data.picture_book.sketches import Hand, sketch_of
from scenograph.data.picture_book.worlds import WORLDS
from scenograph.data.processes import WHOLE, Part, Workers, run_in_processes
from scenograph.data.rendered import RENDER_FILE, claim_settings
from scenograph.errors import UserError, suggest
from scenograph.files import make_folder, write_atomically
from scenograph.scenes.png import encode_png
from scenograph.scenes.scene import Scene, SceneObject

SPLITS = ("train", "validation", "test")
HELD_OUT = 0.2
"""Share of a category's drawings that validation, and as many that test, keep for themselves."""
NEARBY = 0.05
"""Distance from its foot, as a fraction of the canvas, up to which a thing stands next to a way or a water."""
TRIES = 20
"""Scenes that are sampled again before one without any thing is kept."""


@dataclass(frozen=True)
class PictureBookSettings:
    """What to render."""

    size: int = 128
    seed: int = 0
    split: str = "train"
    world: str = ""
    """Only this world; all of them if empty."""
    pictures: bool = True
    """Off, only scenes and masks are made: all that a layout model learns from."""
    pages: float = 0.0
    """Share of scenes that are pages of a word book, see :func:`compose_page`."""

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 1024:
            raise UserError(f"--size {self.size}: must lie between 32 and 1024 pixels")
        if self.split not in SPLITS:
            raise UserError(f"--split {self.split!r}: expected {', '.join(SPLITS)}")
        if not 0 <= self.pages <= 1:
            raise UserError(f"--pages {self.pages:g}: must lie between 0 and 1")
        if self.world and self.world not in WORLDS:
            raise UserError(f"--world {self.world!r}: unknown {suggest(self.world, WORLDS)}")


def render_picture_book(
    folder: Path,
    indices: range,
    settings: PictureBookSettings,
    drawings: Path | None,
    workers: Workers | None = None,
    part: Part = WHOLE,
) -> Iterator[Path]:
    """Render scenes; those that are there already are kept.

    Args:
        folder: Made if it is missing.
        indices: Of the scenes.
        settings: Must be those of the scenes in the folder.
        drawings: Where the packages of drawings are installed; without it, the drawings that ship are used alone.
        workers: Processes, by default one per processor, or the address of a cluster.
        part: Which of these scenes to render.

    Yields:
        The record of each scene as it is finished or found.

    Raises:
        UserError: The folder holds scenes with other settings or of other drawings, drawings cannot be read, or scenes
            of parts to merge are missing.
    """
    known = drawings_in(drawings)
    digest = hashlib.sha256("\n".join(sorted(drawing.key for drawing in known.rows)).encode()).hexdigest()[:12]
    claim_settings(folder / f"{settings.split}.json", {**asdict(settings), "drawings": digest}, [RENDER_FILE], part)
    paths = {index: folder / "scenes" / f"{settings.split}_{index:06d}.json" for index in indices}
    missing = part.left(indices, lambda index: paths[index].exists(), str(folder))
    for name in ("images", "scenes"):
        make_folder(folder / name)
    own = (paths[indices[number]] for number in part.numbers(len(indices)))
    yield from (path for path in own if path.exists())
    tasks = [(folder, index, settings, drawings) for index in missing]
    yield from run_in_processes(_render_one, tasks, workers or os.cpu_count() or 1)


def kept_drawings(rows: Sequence[Drawing], split: str) -> frozenset[str]:
    """Keys of the drawings that a split may use.

    Of every category, validation and test keep whole drawings for themselves, by a checksum of their names, as long as
    two are left to train on. Drawings of one silhouette (a set and its flat twin) go together. Parametric drawings
    are in every split: what is held out of them are the seeds.
    """
    by_category: dict[str, dict[str, list[Drawing]]] = defaultdict(lambda: defaultdict(list))
    kept = {drawing.key for drawing in rows if drawing.set == "own"}
    for drawing in rows:
        if drawing.set != "own":
            by_category[drawing.category][_silhouette(drawing)].append(drawing)
    for shapes in by_category.values():
        names = sorted(shapes, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
        aside = min(max(round(HELD_OUT * len(names)), 1), (len(names) - 2) // 2) if len(names) > 3 else 0
        parts = {"validation": names[:aside], "test": names[aside : 2 * aside], "train": names[2 * aside :]}
        kept |= {drawing.key for name in parts[split] or parts["train"] for drawing in shapes[name]}
    return frozenset(kept)


def _silhouette(drawing: Drawing) -> str:
    """The same for drawings of one shape in two renderings."""
    return f"{drawing.set.removesuffix('-flat')}/{drawing.name}"


def scene_of(composed: Composed, rng: np.random.Generator | None) -> Scene:
    """Regions of the backdrop, then the things far to near, with all that is known, and their relations.

    ``rng`` decides how things are sketched; without it, they get neither sketches nor crops.
    """
    regions = _regions(composed)
    things = [_object(thing, rng) for thing in composed.things]
    objects = (*regions, *things)
    numbers = {region.category: number for number, region in enumerate(regions)}
    places = [_region_at(composed, thing) for thing in composed.things]
    ways = [_ways_near(composed, thing) - {place} for thing, place in zip(composed.things, places, strict=True)]
    if composed.world == PAGE:  # nothing stands on anything there, and nothing is nearer
        return Scene(objects, tuple(geometric_relations(objects)))
    spoken = spoken_relations(composed.things, places, ways, numbers)
    return Scene(objects, (*geometric_relations(objects), *spoken))


def _regions(composed: Composed) -> list[SceneObject]:
    """The parts of the backdrop that are seen at least a little."""
    labels, found = composed.backdrop.labels, []
    for number, name in enumerate(composed.backdrop.names):
        rows, columns = np.nonzero(labels == number)
        if not len(rows):
            continue
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        side = len(labels)
        box = (float(left / side), float(top / side), float(right / side), float(bottom / side))
        found.append(SceneObject(name, (), box, labels[top:bottom, left:right] == number))
    return found


def _region_at(composed: Composed, thing: Placed) -> str | None:
    """The category of the region under the foot of a thing, or around one in the air or on a wall."""
    labels, names = composed.backdrop.labels, composed.backdrop.names
    side = len(labels)
    x0, y0, x1, y1 = thing.box
    across = (x0 + x1) / 2
    hangs = thing.drawing.habitat in ("air", "wall")
    down = (y0 + y1) / 2 if hangs else y1 - (y1 - y0) * thing.drawing.foot - 0.5 / side
    row, column = (min(max(int(value * side), 0), side - 1) for value in (down, across))
    return names[int(labels[row, column])]


def _ways_near(composed: Composed, thing: Placed) -> frozenset[str]:
    """The waters and ways that are seen near the foot of a thing that stands on the ground."""
    if thing.carried or thing.drawing.habitat in ("air", "wall", "water"):
        return frozenset()
    labels, (x0, _, x1, y1) = composed.backdrop.labels, thing.box
    left, top, right, bottom = (
        max(round(value * len(labels)), 0) for value in (x0 - NEARBY, y1 - NEARBY, x1 + NEARBY, y1 + NEARBY)
    )
    seen = np.unique(labels[top:bottom, left:right])
    return WAYS & {composed.backdrop.names[int(number)] for number in seen}


def _object(thing: Placed, rng: np.random.Generator | None) -> SceneObject:
    drawing = thing.drawing
    if rng is None:
        return SceneObject(drawing.category, thing.attributes, thing.box, thing.mask)
    hand: Hand = "careful" if rng.random() < 0.5 else "quick"
    return SceneObject(
        drawing.category,
        thing.attributes,
        thing.box,
        thing.mask,
        sketch_of(thing.crop, hand, rng),
        crop=thing.crop,
        origin=f"{drawing.key}, {drawing.author}, {drawing.licence}",
    )


@lru_cache(maxsize=1)
def drawings_in(folder: Path | None) -> Drawings:
    """What there is to draw with: the drawings that ship, and those of the packages in a folder."""
    return Drawings(folder)


def _render_one(folder: Path, index: int, settings: PictureBookSettings, source: Path | None) -> Path:
    """Render scene ``index``."""
    drawings = drawings_in(source)
    rng = np.random.default_rng([settings.seed, SPLITS.index(settings.split), index])
    kept = kept_drawings(drawings.rows, settings.split)
    page = settings.pages > 0 and rng.random() < settings.pages
    for _ in range(TRIES):
        if page:
            composed = compose_page(drawings, kept, settings.size, rng)
        else:
            composed = compose(drawings, kept, settings.size, rng, settings.world)
        if composed.things:
            break
    scene = scene_of(composed, rng if settings.pictures else None)
    name = f"{settings.split}_{index:06d}"
    if settings.pictures:
        write_atomically(folder / "images" / f"{name}.png", encode_png(composed.picture))
    first = len(scene.objects) - len(composed.things)
    record: dict[str, Any] = {
        "world": composed.world,
        "light": composed.backdrop.light.name,
        "horizon": round(composed.backdrop.horizon, 4),
        "visible": {str(first + n): round(thing.visible, 4) for n, thing in enumerate(composed.things)},
        "scene": scene.to_dict(),
    }
    path = folder / "scenes" / f"{name}.json"
    write_atomically(path, json.dumps(record).encode())
    return path
