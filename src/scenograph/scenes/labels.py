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

MAX_LABEL = 2**31

LOSSLESS = ("PNG", "TIFF", "BMP", "DIB", "GIF", "PPM", "TGA", "PCX", "SGI", "SUN", "MSP", "IM")
"""Kinds of files that keep every number."""

LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")


class LossyLabelsError(UserError):
    """A label map in a kind of file that changes pixels to save space."""


def read_label_map(path: Path) -> np.ndarray:
    """A label map: (H, W) int64.

    One number per pixel is what pictures of 1, 8, 16 and 32 bits hold, palettes included, and floats if they are whole.
    Raises ``UserError``, which says why, for all others: those of kinds that change pixels to save space, too.
    """
    try:
        with Image.open(path) as picture:
            if picture.format not in LOSSLESS or picture.info.get("compression") in LOSSY_TIFF:
                lossy = "a TIFF compressed as JPEG" if picture.format in LOSSLESS else f"a {picture.format} file"
                raise LossyLabelsError(
                    f"{path}: {lossy} may hold other numbers than were drawn; save label maps as PNG"
                )
            return _numbers(picture, path)
    except FileNotFoundError as error:
        raise unreadable(path, error) from error
    except UserError:
        raise
    except Exception as error:  # Pillow raises exceptions of every kind for damaged files
        raise unreadable(path, error, "damaged or not a picture") from error


def _numbers(picture: Image.Image, path: Path) -> np.ndarray:
    mode, pixels = picture.mode, np.asarray(picture)
    if mode in ("LA", "PA"):
        if (pixels[..., 1] != 255).any():
            raise UserError(f"{path}: has transparent pixels; a label map has one number per pixel: 255 is nothing")
        pixels = pixels[..., 0]
    elif mode == "F":
        if not (np.isfinite(pixels).all() and (pixels == np.round(pixels)).all() and np.abs(pixels).max() < MAX_LABEL):
            raise UserError(f"{path}: has numbers that are not whole; labels are positions in a list of names")
    elif mode not in ("1", "L", "P", "I") and not mode.startswith("I;16"):
        planes = pixels[..., :3] if pixels.ndim == 3 else pixels[..., None]
        gray = (planes == planes[..., :1]).all()
        remedy = "; all of it is gray: save it as gray, not as colours" if gray else ", not colours"
        raise UserError(f"{path}: a picture of mode {mode}; a label map has one number per pixel{remedy}")
    return pixels.astype(np.int64)


def remarks_on(labels: np.ndarray, names: Sequence[str]) -> list[str]:
    """What is suspicious in a label map (H, W): much of it is no label, though it is meant to be one."""
    values = np.unique(labels).tolist()
    if NOTHING not in values:
        return []
    remarks = []
    if len(names) > NOTHING:
        remarks.append(f"label {NOTHING} is nothing, though the classes name it")
    if values == [0, NOTHING]:
        remarks.append(f"label map has 0 and {NOTHING} alone, which is nothing: masks of two classes have 0 and 1")
    if np.mean(labels == NOTHING) >= 0.5:
        remarks.append(f"half or more of the label map is {NOTHING}, which is nothing")
    return remarks


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
