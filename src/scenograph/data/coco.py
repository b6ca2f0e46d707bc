"""COCO 2017 with COCO-Stuff (Lin et al. 2014; Caesar et al. 2018), in the published forms of this field.

Expects the official tree: ``annotations/instances_{train,val}2017.json``, ``annotations/stuff_{train,val}2017.json``
or ``annotations/panoptic_{train,val}2017.json`` with its folder of PNGs, and the pictures in ``train2017/`` and
``val2017/`` (or ``images/...``). The presets keep what the named paper's code keeps.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from scenograph.data.json_tables import JsonTables, Record
from scenograph.data.picture_files import split_of
from scenograph.data.records import Skip
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.data.vocabularies import coco_validation_ids
from scenograph.errors import UserError, missing_extra
from scenograph.scenes.geometry import SG2IM_PREDICATES, box_from_xywh
from scenograph.scenes.scene import MAX_OBJECTS, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

Preset = Literal["sg2im", "lama", "wsgc", "wsgc-packed", "scene-designer", "all"]
ValidationRule = Literal["first-1024", "first-1024-listed", "wsgc", "all"]

PRESETS: dict[str, dict[str, Any]] = {
    # Johnson et al. 2018: the first 1,024 kept pictures of val2017 validate, the others test.
    "sg2im": {"validation": "first-1024"},
    # Sun and Wu 2019, Li et al. 2021: no crowds; all kept pictures of val2017 (3,097 of the real ones) evaluate.
    "lama": {"crowds": False, "validation": "all"},
    # Herzig et al. 2020: 1,024 named pictures of val2017 validate, the others test.
    "wsgc": {"validation": "wsgc"},
    # Herzig et al. 2020, "packed": pictures of many objects; all of val2017 validates and tests.
    "wsgc-packed": {"min_objects": 16, "max_objects": MAX_OBJECTS, "validation": "all"},
    # Ribeiro et al. 2021: larger objects, stuff or not; the first 1,024 pictures of val2017, kept or not, validate.
    "scene-designer": {
        "min_object_size": 0.05, "min_objects": 1, "stuff_only": False, "validation": "first-1024-listed",
    },
    "all": {
        "min_object_size": 0.0, "min_objects": 1, "max_objects": MAX_OBJECTS, "other": True, "stuff_only": False,
        "validation": "all",
    },
}  # fmt: skip


class CocoOptions(Options):
    """Which annotations and pictures are kept. Unset ones are the preset's."""

    preset: Preset = "sg2im"
    stuff: Literal["auto", "stuff", "panoptic", "none"] = Field("auto", description="where stuff comes from")
    min_object_size: float = Field(0.02, ge=0, lt=1, description="an object's box must be larger: part of the picture")
    min_objects: int = Field(3, ge=1, description="fewest kept objects of a kept picture")
    max_objects: int = Field(8, ge=1, description="most kept objects of a kept picture")
    other: bool = Field(False, description="keep stuff of the class 'other'")
    crowds: bool = Field(True, description="keep crowd regions")
    stuff_only: bool = Field(True, description="keep only pictures with a stuff annotation, kept or not")
    categories: tuple[str, ...] | None = Field(None, description="keep only these categories")
    validation: ValidationRule = Field("first-1024", description="which kept pictures of val2017 validate, not test")

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Those of the default preset."""
        plain = super().defaults()
        return plain | PRESETS[plain["preset"]]

    def resolved(self) -> CocoOptions:
        """The preset's values where none was given."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(PRESETS[self.preset] | given))


class Coco(Source):
    """Pictures with things and stuff, their boxes and masks."""

    title = "COCO 2017"
    options_type: ClassVar[type[Options]] = CocoOptions

    def __init__(self, root: Path, options: CocoOptions, work: Path) -> None:
        super().__init__(root, options.resolved(), work)
        self.parts = {"train": "train2017", "val": "val2017"}

    @cached_property
    def tables(self) -> JsonTables:
        """The annotations by picture."""
        return JsonTables(self.work / "annotations.sqlite")

    @cached_property
    def stuff(self) -> str:
        """Where stuff comes from, after looking at what is there."""
        if self.options.stuff != "auto":
            return str(self.options.stuff)
        found = [kind for kind in ("stuff", "panoptic") if all(self._json(kind, p).is_file() for p in self.present)]
        return found[0] if found else "none"

    @cached_property
    def present(self) -> list[str]:
        """``train`` and ``val``, or the one of them that is on disk."""
        return [part for part in self.parts if self._json("instances", part).is_file()] or ["train", "val"]

    def inputs(self) -> list[Path]:  # noqa: D102
        return [self._json(kind, part) for part in self.present for kind in self._kinds]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        if self.stuff == "none" and self.options.stuff_only:
            raise UserError(
                f"{self.root}: no stuff annotations (annotations/stuff_*.json or panoptic_*.json), so no picture "
                "would be kept; add them, or pack things alone with stuff_only=false"
            )
        for part in self.present:
            for kind in self._kinds:
                self._index(kind, part, progress)
        names = self._names
        self._check_wanted(names)
        dropped: Counter[str] = Counter()
        kept = {part: self._choose(part, dropped) for part in self.present}
        ordered = sorted((number, name) for number, name in names.items() if self._wanted(name))
        vocabulary = Vocabulary(tuple(name for _, name in ordered), SG2IM_PREDICATES)
        splits = {name: items for name, items in self.divide(kept).items() if items}
        return Plan(vocabulary, splits, dropped, {name: number for number, name in ordered})

    def divide(self, kept: dict[str, list[int]]) -> dict[str, list[tuple[str, int]]]:
        """Kept pictures by part as items by split: train2017 trains, val2017 is divided by the named rule."""
        listed = [record["id"] for record in self.tables.all("val-images")] if "val" in self.present else []
        validation = validation_ids(kept.get("val", []), listed, self.options.validation)
        return {
            "train": [("train", i) for i in kept.get("train", [])],
            "validation": [("val", i) for i in kept.get("val", []) if i in validation],
            "test": [("val", i) for i in kept.get("val", []) if i not in validation],
        }

    def read(self, item: tuple[str, int]) -> Sample:  # noqa: D102
        part, image_id = item
        image = self.tables.get(f"{part}-images", image_id)[0]
        picture = self.pictures.find(image["file_name"], *self._folders(part), split=self._own_split(part))
        width, height = image["width"], image["height"]
        objects, remarks = [], []
        for annotation in self._annotations(part, image_id):
            if self._reason(annotation, width, height) is None:
                x, y, w, h = annotation["bbox"]
                box = tuple(box_from_xywh(np.array([x, y, w, h]), width, height).tolist())
                mask, remark = self._object_mask(annotation, width, height)
                cropped = None if mask is None else crop_mask(mask, (x, y, w, h))
                objects.append(SceneObject(annotation["name"], (), box, cropped))
                remarks += [remark] if remark else []
        return Sample(str(image_id), Scene(tuple(objects)), picture, (width, height), tuple(remarks))

    def _index(self, kind: str, part: str, progress: Progress) -> None:
        path = self._json(kind, part)
        self.tables.add(f"{kind}-{part}-categories", path, "categories.item", "id", progress)
        if kind == "instances":
            self.tables.add(f"{part}-images", path, "images.item", "id", progress)
        self.tables.add(f"{kind}-{part}", path, "annotations.item", "image_id", progress)

    def _choose(self, part: str, dropped: Counter[str]) -> list[int]:
        """Ids of the pictures to keep, in the order of the instances file."""
        kept: list[int] = []
        seen: set[int] = set()
        for image in self.tables.all(f"{part}-images"):
            image_id, width, height = _image_fields(image, self._json("instances", part))
            if image_id in seen:
                dropped["picture id is listed twice"] += 1
                continue
            seen.add(image_id)
            count, has_stuff = 0, False
            for annotation in self._annotations(part, image_id):
                has_stuff = has_stuff or annotation["stuff"]
                reason = self._reason(annotation, width, height)
                if reason is None:
                    count += 1
                else:
                    dropped[f"object: {reason}"] += 1
            if self.options.stuff_only and not has_stuff:
                dropped["picture has no stuff annotation"] += 1
            elif not self.options.min_objects <= count <= self.options.max_objects:
                few = count < self.options.min_objects
                dropped[f"picture has too {'few' if few else 'many'} objects"] += 1
            else:
                kept.append(image_id)
        orphans = sum(self.tables.orphans(f"{kind}-{part}", f"{part}-images") for kind in self._kinds)
        if orphans:
            dropped["object: annotation of a picture that is not listed"] += orphans
        return kept

    @cached_property
    def _kinds(self) -> list[str]:
        return ["instances", *([] if self.stuff == "none" else [self.stuff])]

    @cached_property
    def _categories(self) -> dict[int, Record]:
        tables = [f"{kind}-{part}-categories" for part in self.present for kind in self._kinds]
        return {record["id"]: record for table in tables for record in self.tables.all(table)}

    @cached_property
    def _names(self) -> dict[int, str]:
        return {number: record["name"] for number, record in self._categories.items()}

    def _annotations(self, part: str, image_id: int) -> list[Record]:
        """Things first, then stuff, in file order, each with its ``name`` and whether it is ``stuff``."""
        found = [{**a, "stuff": False} for a in self.tables.get(f"instances-{part}", image_id)]
        if self.stuff == "stuff":
            found += [{**a, "stuff": True} for a in self.tables.get(f"stuff-{part}", image_id)]
        elif self.stuff == "panoptic":
            found += self._panoptic(part, image_id)
        seen: set[Any] = set()
        for annotation in found:
            identity = (annotation["stuff"], annotation.get("id"))
            annotation |= {"name": self._names.get(annotation.get("category_id", -1), ""), "repeated": identity in seen}
            if "id" in annotation:
                seen.add(identity)
        return found

    def _panoptic(self, part: str, image_id: int) -> list[Record]:
        """Segments that are stuff, as annotations whose mask is read from the PNG."""
        folder = self._json("panoptic", part).with_suffix("")
        return [
            {**segment, "stuff": True, "panoptic": (record["file_name"], folder)}
            for record in self.tables.get(f"panoptic-{part}", image_id)
            for segment in record["segments_info"]
            if not self._categories.get(segment["category_id"], {}).get("isthing")
        ]

    def _reason(self, annotation: Record, width: int, height: int) -> str | None:
        """Why an annotation is left out, or None if it is kept."""
        box = annotation.get("bbox")
        if annotation["repeated"]:
            return "annotation id is listed twice"
        if not annotation["name"]:
            return "unknown category id"
        if not isinstance(box, list) or len(box) != 4 or not all(isinstance(v, int | float) for v in box):
            return "box is not four numbers"
        x, y, w, h = box
        if not (w > 0 and h > 0 and x < width and y < height and x + w > 0 and y + h > 0):
            return "box is empty or outside the picture"
        if not self.options.crowds and annotation.get("iscrowd") == 1:
            return "crowd"
        if not self._wanted(annotation["name"]):
            return "category is not wanted"
        if not w * h / (width * height) > self.options.min_object_size:
            return "too small"
        return None

    def _wanted(self, name: str) -> bool:
        chosen = self.options.categories
        return (self.options.other or name != "other") and (chosen is None or name in chosen)

    def _check_wanted(self, names: dict[int, str]) -> None:
        missing = [name for name in self.options.categories or () if name not in names.values()]
        if missing:
            raise UserError(f"categories={missing[0]}: not in {self.inputs()[0]}")

    def _json(self, kind: str, part: str) -> Path:
        return self.root / "annotations" / f"{kind}_{self.parts[part]}.json"

    def _folders(self, part: str) -> tuple[Path, ...]:
        """Where a part's pictures are."""
        name = self.parts[part]
        return (self.root / name, self.root / "images" / name, self.root / "images", self.root)

    def _object_mask(self, annotation: Record, width: int, height: int) -> tuple[np.ndarray | None, str | None]:
        """The mask in the whole picture, or None and the reason why there is none."""
        if "panoptic" in annotation:
            return _panoptic_mask(self.pictures.find(*annotation["panoptic"]), annotation["id"]), None
        if not annotation.get("segmentation"):
            return None, "object has no segmentation: its box is its mask"
        try:
            return decode_segmentation(annotation["segmentation"], height, width), None
        except UserError:  # also a ValueError, but about this installation, not about the annotation
            raise
        except ValueError as error:
            return None, f"object's {error}: its box is its mask"

    def _own_split(self, part: str) -> str | None:
        """The split that folders of a part's pictures may tell, if there are several parts to tell apart."""
        return split_of(part) if len(self.present) > 1 else None


def validation_ids(kept: list[int], listed: list[int], rule: ValidationRule) -> frozenset[int]:
    """Which pictures of val2017 validate; the other kept ones test. ``listed`` are all of its pictures."""
    if rule == "wsgc":
        return coco_validation_ids()
    return frozenset({"all": kept, "first-1024": kept[:1024], "first-1024-listed": listed[:1024]}[rule])


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons, uncompressed or compressed run lengths, as (height, width) bool.

    Raises ``ValueError`` for one that cannot be decoded or has another size.
    """
    try:
        from pycocotools import mask as rle
    except ImportError as error:
        raise missing_extra("pycocotools", "data") from error
    try:
        if isinstance(segmentation, list):
            encoded = rle.merge(rle.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation["counts"], list):
            encoded = rle.frPyObjects(segmentation, height, width)
        else:
            encoded = segmentation
        mask = rle.decode(encoded)
    except Exception as error:  # the C extension raises bare Exception too
        raise ValueError(f"segmentation cannot be decoded ({type(error).__name__})") from error
    if mask.shape != (height, width):
        raise ValueError("segmentation has another size than its picture")
    return mask.astype(bool)


def crop_mask(mask: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a picture's mask in a pixel box (x, y, w, h), bounds rounded as in sg2im; at least one pixel."""
    x, y, w, h = box
    top, left = max(round(y), 0), max(round(x), 0)
    bottom, right = max(top + 1, round(y + h)), max(left + 1, round(x + w))
    cropped = mask[top:bottom, left:right]
    return cropped if cropped.size else np.zeros((1, 1), bool)


def _panoptic_mask(path: Path, segment: int) -> np.ndarray:
    try:
        pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.uint32)
    except OSError:
        raise Skip("panoptic picture is missing or damaged") from None
    return np.asarray(pixels @ np.array([1, 256, 65536], dtype=np.uint32) == segment)


def _image_fields(image: Record, path: Path) -> tuple[int, int, int]:
    width, height = image.get("width"), image.get("height")
    if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
        raise UserError(f"{path}: image {image['id']} has no positive width and height")
    if not isinstance(image.get("file_name"), str):
        raise UserError(f"{path}: image {image['id']} has no file_name")
    return image["id"], width, height
