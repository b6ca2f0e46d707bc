"""The rows of a memory: an object's pixels, where they come from, and the keys by which they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from scenograph.data.pictures import to_rgb
from scenograph.data.records import Skip
from scenograph.scenes.fields import Box, CropField
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene, SceneObject

SIDE = 256
"""Longer side of a stored crop in pixels, at most."""
SMALLEST = 4
"""Shorter side in pixels of the smallest crop that is kept."""
VISIBLE = 8
"""Alpha (0 to 255) above which a pixel can be seen."""
WITHOUT_AREA = "crop without area: nothing of it is visible, or it is narrower than 4 pixels"
_CODEC = CropField()


@dataclass(frozen=True, eq=False)
class Crop:
    """A crop from a memory."""

    id: str
    category: str
    attributes: tuple[str, ...]
    pixels: np.ndarray
    """(h, w, 4) uint8: red, green, blue, alpha."""
    origin: Origin


@dataclass(frozen=True, eq=False)
class Candidate:
    """A crop that is to be stored, before its vectors are known."""

    id: str
    thing: SceneObject
    """With its category, attributes, box if it has one, and a crop."""
    origin: Origin
    picture: str = ""
    """The id of the picture that it was cut from."""
    context: tuple[str, ...] = ()
    """Its relations, in words."""


def schema(sizes: Mapping[str, int]) -> Any:
    """The columns of a memory as an Arrow schema; ``sizes`` are the lengths of the vectors by key."""
    import pyarrow as pa

    fields = [
        ("id", pa.string()),
        ("category", pa.string()),
        ("attributes", pa.list_(pa.string())),
        ("crop", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("box", pa.list_(pa.float32(), 4)),
        ("look", pa.list_(pa.float32(), 6)),
        ("context", pa.list_(pa.string())),
        ("picture", pa.string()),
        ("source", pa.string()),
        ("author", pa.string()),
        ("licence", pa.string()),
        ("encoder", pa.string()),
        *((key, pa.list_(pa.float16(), size)) for key, size in sizes.items()),
    ]
    return pa.schema(fields)


def table_of(
    candidates: Sequence[Candidate], vectors: Mapping[str, np.ndarray], encoder: str, sizes: Mapping[str, int]
) -> Any:
    """Candidates and their vectors (R, D) by key as an Arrow table, sorted by category."""
    import pyarrow as pa

    order = sorted(range(len(candidates)), key=lambda row: candidates[row].thing.category)
    rows = []
    for number in order:
        one = candidates[number]
        crop = one.thing.crop
        assert crop is not None
        content = _CODEC.to_cell(crop, SIDE)
        scale = min(SIDE / max(crop.shape[:2]), 1)
        rows.append(
            {
                "id": one.id,
                "category": one.thing.category,
                "attributes": list(one.thing.attributes),
                "crop": content,
                "height": max(round(crop.shape[0] * scale), 1),
                "width": max(round(crop.shape[1] * scale), 1),
                "box": list(one.thing.box or (0.0, 0.0, 0.0, 0.0)),
                "look": look_of(crop).tolist(),
                "context": list(one.context),
                "picture": one.picture,
                "source": one.origin.source,
                "author": one.origin.author,
                "licence": one.origin.licence,
                "encoder": encoder,
            }
        )
    columns = schema(sizes)
    plain = pa.Table.from_pylist(rows, schema=pa.schema([f for f in columns if f.name not in sizes]))
    for key, size in sizes.items():
        values = pa.array(vectors[key][order].astype(np.float16).ravel(), pa.float16())
        plain = plain.append_column(columns.field(key), pa.FixedSizeListArray.from_arrays(values, size))
    return plain


def crop_of(row: Mapping[str, Any]) -> Crop:
    """A row as a crop. Raises ``UserError`` if its pixels are damaged."""
    origin = Origin(row["source"], row["author"], row["licence"], row["id"])
    pixels = _CODEC.from_cell(row["crop"], None)
    return Crop(row["id"], row["category"], tuple(row["attributes"]), pixels, origin)


def look_of(crop: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of red, green and blue where a crop (h, w, 4) uint8 is visible: (6,) in [0, 1]."""
    weight = crop[..., 3].astype(np.float32) / 255
    total = max(float(weight.sum()), 1e-6)
    colours = crop[..., :3].astype(np.float32) / 255
    mean = (colours * weight[..., None]).sum(axis=(0, 1)) / total
    spread = np.sqrt((((colours - mean) ** 2) * weight[..., None]).sum(axis=(0, 1)) / total)
    return np.concatenate([mean, spread])


def check_area(crop: np.ndarray) -> None:
    """Raise :class:`~scenograph.data.records.Skip` for a crop of which nothing, or next to nothing, can be seen."""
    if min(crop.shape[:2]) < SMALLEST or not (crop[..., 3] > VISIBLE).any():
        raise Skip(WITHOUT_AREA)


def cut_from(picture: Image.Image, thing: SceneObject) -> np.ndarray:
    """An object's part of a picture, (h, w, 4) uint8, with its mask as alpha.

    Raises:
        Skip: Its box covers next to nothing.
    """
    assert thing.box is not None
    left, top, right, bottom = _pixels_of_box(thing.box, picture.width, picture.height)
    if min(right - left, bottom - top) < SMALLEST:
        raise Skip(WITHOUT_AREA)
    pixels = np.full((bottom - top, right - left, 4), 255, np.uint8)
    pixels[..., :3] = np.asarray(to_rgb(picture).crop((left, top, right, bottom)))
    if thing.mask is not None:
        mask = Image.fromarray(thing.mask.astype(np.uint8) * 255)
        pixels[..., 3] = np.asarray(mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR))
    return pixels


def context_of(scene: Scene) -> list[tuple[str, ...]]:
    """The relations of each object in words, seen from it: ``on grass``, or ``dog behind it``."""
    words: list[list[str]] = [[] for _ in scene.objects]
    for one in scene.relations:
        words[one.subject].append(f"{one.predicate} {scene.objects[one.object].category}")
        words[one.object].append(f"{scene.objects[one.subject].category} {one.predicate} it")
    return [tuple(one) for one in words]


def _pixels_of_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom in whole pixels, on the picture."""
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in box)
    return round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)
