"""CLEVR scenes (Johnson et al., CVPR 2017): the published v1.0 files and those of :mod:`scenograph.data.rendered`.

A published scene has 3-D positions but no boxes. They are then estimated from the object's pixel position,
size and distance, so a layout is approximate; rendered scenes carry exact boxes and masks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.scenes.scene import Box, Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

PREDICATES = {"left": "left of", "right": "right of", "front": "in front of", "behind": "behind"}
"""CLEVR's direction names and the predicates they become."""

VOCABULARY = Vocabulary(
    categories=("cube", "sphere", "cylinder"),
    predicates=tuple(PREDICATES.values()),
    attributes={
        "size": ("large", "small"),
        "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
        "material": ("rubber", "metal"),
    },
)


def read_clevr(path: Path) -> Iterator[tuple[str, Path | None, Scene]]:
    """Yield (identifier, picture path if it exists, scene) from a scene file or a folder with ``scenes.json``.

    ``path`` may be a CLEVR ``*_scenes.json``, one scene's JSON, or a folder made by ``scenograph data render``.
    """
    source = path / "scenes.json" if path.is_dir() else path
    try:
        value = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{source}: not valid JSON: {error}") from error
    scenes = value.get("scenes", [value]) if isinstance(value, dict) else None
    if not scenes or not isinstance(scenes, list):
        raise UserError(f"{source}: expected CLEVR scenes ({{'info': ..., 'scenes': [...]}})")
    for number, raw in enumerate(scenes):
        try:
            scene = clevr_scene(raw, source.parent)
            filename = raw["image_filename"]
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(f"{source}, scene {number}: not a CLEVR scene: missing or wrong {error}") from error
        yield Path(filename).stem, _find_picture(source.parent, raw), scene


def clevr_scene(raw: dict[str, Any], folder: Path | None = None) -> Scene:
    """One CLEVR JSON scene as a Scene; masks are read from ``folder/masks`` where the scene names one."""
    index_picture = None
    if folder is not None and "mask_filename" in raw:
        index_picture = np.array(Image.open(folder / "masks" / raw["mask_filename"]))
    objects = [_clevr_object(thing, i, index_picture) for i, thing in enumerate(raw["objects"])]
    relations = [
        Relation(subject, PREDICATES[name], target)
        for name, neighbours in raw["relationships"].items()
        if name in PREDICATES
        for target, subjects in enumerate(neighbours)
        for subject in subjects
    ]
    return Scene(tuple(objects), tuple(relations))


def _clevr_object(thing: dict[str, Any], index: int, index_picture: np.ndarray | None) -> SceneObject:
    attributes = (thing["size"], thing["color"], thing["material"])
    box = tuple(thing["box"]) if "box" in thing else estimate_box(thing)
    mask = None
    if index_picture is not None:
        height, width = index_picture.shape
        x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
        mask = index_picture[y0:y1, x0:x1] == index + 1
    return SceneObject(thing["shape"], attributes, box, mask)


def estimate_box(thing: dict[str, Any], width: int = 320, height: int = 240) -> Box:
    """A box from CLEVR's pixel position and depth: half extents of the shape under CLEVR's 35 mm lens."""
    x, y, depth = thing["pixel_coords"]
    focal = 35 / 32 * width
    radius = {"large": 0.7, "small": 0.35}[thing["size"]]
    half_width = (0.9 * radius if thing["shape"] == "cube" else radius) * focal / depth
    half_height = (radius if thing["shape"] != "cylinder" else 1.1 * radius) * focal / depth
    box = np.array([x - half_width, y - half_height, x + half_width, y + half_height])
    x0, y0, x1, y1 = np.clip(box / [width, height, width, height], 0, 1).tolist()
    return (x0, y0, x1, y1)


def _find_picture(folder: Path, raw: dict[str, Any]) -> Path | None:
    """Beside the scene file, or in CLEVR's own tree (``scenes/`` next to ``images/<split>/``)."""
    name = raw["image_filename"]
    candidates = (
        folder / "images" / name,
        folder / name,
        folder.parent / "images" / name,
        folder.parent / "images" / str(raw.get("split", "")) / name,
    )
    return next((candidate for candidate in candidates if candidate.is_file()), None)
