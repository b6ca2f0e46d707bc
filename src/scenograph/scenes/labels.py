"""Label maps, which hold one class number per pixel, as scenes of objects with masks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from scenograph.errors import UserError, suggest, unreadable
from scenograph.scenes.scene import MAX_OBJECTS, Scene, SceneObject

NOTHING = 255
"""The label of unlabelled pixels in COCO-Stuff and others."""


def read_label_map(path: Path) -> np.ndarray:
    """A label map from an 8 or 16 bit grayscale picture: (H, W) int64. Raises ``UserError`` for other files."""
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("L", "P", "I", "I;16"):
                raise UserError(f"{path}: a picture of mode {picture.mode}; a label map has one number per pixel")
            return np.asarray(picture).astype(np.int64)
    except (OSError, Image.DecompressionBombError) as error:
        raise unreadable(path, error) from error


def scene_from_labels(
    labels: np.ndarray, names: Sequence[str], instances: np.ndarray | None = None, where: str = "label map"
) -> Scene:
    """One object per label, or per label and instance, large ones first.

    Args:
        labels: (H, W), positions in ``names``; 255 is no label.
        names: Category names.
        instances: (H, W), numbers that separate objects of one label.
        where: Names the map in error messages.

    Returns:
        A scene whose objects have boxes in [0, 1], and masks at the map's resolution.

    Raises:
        UserError: A label has no name, the sizes of the maps differ, or there are no objects or too many.
    """
    height, width = labels.shape
    if instances is None:
        instances = np.zeros_like(labels)
    if instances.shape != labels.shape:
        raise UserError(f"{where}: {width} x {height} labels but {instances.shape[1]} x {instances.shape[0]} instances")
    owners, kinds, areas = regions(labels, instances)
    found = [int(place) for place in np.argsort(-areas, kind="stable") if kinds[place] != NOTHING]
    if len(found) > MAX_OBJECTS:
        raise UserError(f"{where}: {len(found)} objects; at most {MAX_OBJECTS} are allowed in one scene")
    if not found:
        raise UserError(f"{where}: no pixel has a label")
    things = []
    for place in found:
        label = int(kinds[place])
        if not 0 <= label < len(names) or names[label] == "NONE":
            raise UserError(f"{where}: label {label} has no name; the vocabulary names 0 to {len(names) - 1}")
        mask = owners == place
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        (top, bottom), (left, right) = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
        box = (left / width, top / height, right / width, bottom / height)
        things.append(SceneObject(names[label], box=box, mask=mask[top:bottom, left:right]))
    return Scene(tuple(things))


def numbers_of(names: Sequence[str], wanted: Collection[str]) -> list[int]:
    """The labels of some classes. Raises ``UserError`` for a name that no class has."""
    for name in wanted:
        if name not in names:
            raise UserError(f"no class is called {name!r} {suggest(name, names)}")
    return [number for number, name in enumerate(names) if name in wanted]


def regions(labels: np.ndarray, instances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which region, of one label and instance, each pixel lies in (H, W); the labels and areas of regions (R,)."""
    least, span = instances.min(), int(np.ptp(instances)) + 1
    kinds, owners, areas = np.unique(labels * span + (instances - least), return_inverse=True, return_counts=True)
    return owners.reshape(labels.shape), kinds // span, areas
