"""What is painted behind the things of a collage: its regions, and a setting for what a scene leaves open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from scenograph.data.picture_book.layers import Light
from scenograph.data.picture_book.surfaces import INDOORS, UPRIGHT
from scenograph.data.picture_book.textures import GROUNDS, SCENERY, paint
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import to_edges
from scenograph.scenes.openraster import window
from scenograph.scenes.scene import SceneObject

SKIES = ("sky-other", "clouds", "fog")
WALLS = tuple(name for name in UPRIGHT if name.startswith("wall-"))
PAPER = (0.93, 0.92, 0.88)
"""What is seen where the scene tells nothing about its place."""
OUTSIDE = {"ground": "grass", "road": "road", "water": "sea", "snow": "snow", "air": ""}
"""By the habitat of most things out of doors, the ground that they are on; what flies needs none."""
INSIDE = {"floor": "floor-wood", "table": "table", "wall": ""}
"""The same in a room."""
ABOVE_FEET, HIGHEST, LOWEST = 0.06, 0.3, 0.85
"""How far above the highest foot a ground begins that the scene does not name, and where it begins at the outermost."""
WHOLE = 0.9
"""Lower edge from which a sky or a wall fills the picture, with no room for a ground."""
POOL = 0.9
"""Width below which water without a name is a pool, with round shores."""


def setting(regions: Sequence[SceneObject], things: Sequence[tuple[SceneObject, Sequence[str]]]) -> list[SceneObject]:
    """A sky or a wall and a ground or a floor, as far as the scene has none and regions or things tell where it is.

    Args:
        regions: What the scene has.
        things: Each with the habitats of its category.
    """
    named = {region.category for region in regions}
    votes = Counter(
        habitat
        for habitats in {thing.category: habitats for thing, habitats in things}.values()
        for habitat in habitats[:1]
    )
    outdoors = sum(votes[habitat] for habitat in OUTSIDE) > sum(votes[habitat] for habitat in INSIDE)
    if named & {*GROUNDS, *SCENERY, *SKIES}:
        outdoors = True
    elif named & {*INDOORS, *UPRIGHT}:
        outdoors = False
    elif not votes:
        return []
    backs, levels, kinds = (SKIES, GROUNDS, OUTSIDE) if outdoors else (WALLS, INDOORS, INSIDE)
    back = [region for region in regions if region.category in backs]
    level = sorted((region for region in regions if region.category in levels), key=lambda one: box_of(one)[3])
    added = [] if back else [SceneObject("sky-other" if outdoors else "wall-other", box=(0.0, 0.0, 1.0, 1.0))]
    likely = max(kinds, key=votes.__getitem__)
    ground = kinds[likely] if votes[likely] else level[-1].category if level else ""
    if ground and max((box_of(region)[3] for region in (*back, *level)), default=0.0) < WHOLE:
        standing = [box_of(thing)[3] for thing, habitats in things if not {"air", "wall"} & set(habitats)]
        top = float(np.clip(min(standing, default=1.0) - ABOVE_FEET, HIGHEST, LOWEST))
        top = min([top, *(box_of(region)[1] for region in level)])
        added.append(SceneObject(ground, box=(0.0, top, 1.0, 1.0)))
    return added


def box_of(thing: SceneObject) -> Box:
    """The box of an object that has one, as all have that a renderer gets."""
    assert thing.box is not None, "a renderer gets scenes with all boxes"
    return thing.box


def backdrop(regions: Sequence[SceneObject], side: int, rng: np.random.Generator, light: Light) -> np.ndarray:
    """Regions as a picture (S, S, 3): the sky or a wall behind all, then others from the top down."""
    canvas = np.ones((side, side, 3), np.float32) * np.array(PAPER, np.float32)
    ordered = sorted(regions, key=lambda thing: (thing.category not in (*SKIES, *WALLS), box_of(thing)[1]))
    level = [box_of(thing)[1] for thing in ordered if thing.category in GROUNDS]
    far = 0.5 if any(thing.category in INDOORS for thing in ordered) else 0.9
    horizon = float(np.clip(min(level, default=far), 0.05, 0.9))
    for number, thing in enumerate(ordered):
        texture = paint(thing.category, side, rng, light, horizon)
        behind = number == 0 and thing.category in (*SKIES, *WALLS)
        cover = np.ones((side, side), np.float32) if behind else _cover(thing, side, rng)
        canvas += (texture - canvas) * cover[..., None]
    return canvas


def _cover(thing: SceneObject, side: int, rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel a region covers, (S, S) in [0, 1]: its mask, or its box with a soft, wavy upper edge."""
    masked = thing.mask is not None and not thing.mask.all()
    x0, y0, x1, y1 = box_of(thing) if masked else to_edges(box_of(thing))
    left, right = round(x0 * side), max(round(x1 * side), round(x0 * side) + 1)
    top, bottom = round(y0 * side), max(round(y1 * side), round(y0 * side) + 1)
    cover = np.zeros((side, side), np.float32)
    if thing.mask is not None and masked:
        mask = Image.fromarray(thing.mask.astype(np.uint8) * 255).resize((right - left, bottom - top))
        part = np.asarray(mask, dtype=np.float32) / 255
        rows, columns, own_rows, own_columns = window(top, left, bottom - top, right - left, side, side)
        cover[rows, columns] = part[own_rows, own_columns]
        return cover
    if thing.category == "water-other" and x1 - x0 < POOL:
        return _pool(box_of(thing), side)
    across = np.arange(side) / side
    wave = 0.006 * np.sin(2 * np.pi * (across * rng.uniform(1, 3) + rng.random()))
    down = (np.arange(side) + 0.5)[:, None] - (top + wave * side)[None]
    cover[:, left:right] = np.clip(down[:, left:right], 0, 1)
    cover[bottom:] = 0
    return cover


def _pool(box: Box, side: int) -> np.ndarray:
    """A box's ellipse with a soft edge, (S, S) in [0, 1]."""
    x0, y0, x1, y1 = (value * side for value in box)
    at = np.arange(side, dtype=np.float32) + 0.5
    across, down = (at - (x0 + x1) / 2) / max(x1 - x0, 1), (at - (y0 + y1) / 2) / max(y1 - y0, 1)
    inside = 0.5 - np.hypot(across[None], down[:, None])
    return np.clip(inside * min(x1 - x0, y1 - y0), 0, 1).astype(np.float32)
