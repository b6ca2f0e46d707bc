"""COCO 2017 with COCO-Stuff (Lin et al. 2014; Caesar et al. 2018), in the published forms of this field.

Expects the official tree: ``annotations/instances_{train,val}2017.json``, ``annotations/stuff_{train,val}2017.json``
or ``annotations/panoptic_{train,val}2017.json`` with its folder of PNGs, and the pictures in ``train2017/`` and
``val2017/`` (or ``images/...``). The presets keep what the named paper's code keeps.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from scenograph.data.coco_records import (
    tidy_annotation,
    tidy_category,
    tidy_image,
    tidy_panoptic,
)
from scenograph.data.json_tables import JsonTables, Record
from scenograph.data.picture_files import split_of
from scenograph.data.pictures import decode_rgb, picture_size
from scenograph.data.records import Id, Reasons, Skip
from scenograph.data.segmentations import (
    FAR,
    box_of_mask,
    box_of_segmentation,
    clip_box,
    crop_mask,
    decode_segmentation,
)
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.data.vocabularies import coco_validation_ids
from scenograph.errors import UserError
from scenograph.scenes.geometry import SG2IM_PREDICATES, box_from_xywh
from scenograph.scenes.scene import MAX_OBJECTS, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

Preset = Literal["sg2im", "lama", "wsgc", "wsgc-packed", "scene-designer", "all"]
ValidationRule = Literal["first-1024", "first-1024-listed", "wsgc", "all"]

FAULTS = {
    "annotation id is listed twice",
    "category has no name",
    "unknown category id",
    "box is not four numbers",
    "box is empty or outside the picture",
    "box reaches far out of the picture",
}
"""Reasons to leave out an object that are faults of its annotation: which it is, is told."""

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
        self.remarks = Reasons()
        """What is noted of pictures that are kept."""

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
        dropped = self.tables.left_out()
        self._check_wanted()
        used: set[Id] = set()
        kept = {part: self._choose(part, dropped, used) for part in self.present}
        published = {name: number for name, number in self._published(used).items() if self._wanted(name)}
        vocabulary = Vocabulary(tuple(published), SG2IM_PREDICATES)
        splits = {name: items for name, items in self.divide(kept).items() if items}
        numbered = {name: number for name, number in published.items() if isinstance(number, int)}
        return Plan(vocabulary, splits, dropped, self.remarks, numbered)

    def divide(self, kept: dict[str, list[Id]]) -> dict[str, list[tuple[str, Id]]]:
        """Kept pictures by part as items by split: train2017 trains, val2017 is divided by the named rule."""
        listed = [record["id"] for record in self.tables.all("val-images")] if "val" in self.present else []
        validation = validation_ids(kept.get("val", []), listed, self.options.validation)
        return {
            "train": [("train", i) for i in kept.get("train", [])],
            "validation": [("val", i) for i in kept.get("val", []) if i in validation],
            "test": [("val", i) for i in kept.get("val", []) if i not in validation],
        }

    def read(self, item: tuple[str, Id]) -> Sample:  # noqa: D102
        part, image_id = item
        image = self.tables.get(f"{part}-images", image_id)[0]
        stated = image["width"] and image["height"]
        remarks = [] if stated else ["size of the picture is read from its file"]
        picture = self._find(part, image, remarks)
        width, height = self._size(part, image)
        objects = []
        for annotation in self._annotations(part, image_id, width, height):
            if self._reason(annotation, width, height) is None:
                mask, remark = self._object_mask(annotation, width, height)
                remarks += [remark] if remark else []
                remarks += _correct_box(annotation, mask)
                pixels = tuple(annotation["bbox"])
                box = tuple(box_from_xywh(np.array(pixels), width, height).tolist())
                cropped = None if mask is None else crop_mask(mask, pixels)
                objects.append(SceneObject(annotation["name"], (), box, cropped))
        return Sample(str(image_id), Scene(tuple(objects)), picture, (width, height), tuple(remarks))

    def _index(self, kind: str, part: str, progress: Progress) -> None:
        path = self._json(kind, part)
        self.tables.add(f"{kind}-{part}-categories", path, "categories.item", "id", progress, tidy_category)
        if kind == "instances":
            self.tables.add(f"{part}-images", path, "images.item", "id", progress, tidy_image)
        tidy = tidy_panoptic if kind == "panoptic" else tidy_annotation
        self.tables.add(f"{kind}-{part}", path, "annotations.item", "image_id", progress, tidy)

    def _choose(self, part: str, dropped: Reasons, used: set[Id]) -> list[Id]:
        """Ids of the pictures to keep, in the order of the instances file; ``used`` gets the categories seen."""
        kept: list[Id] = []
        seen = self._shared(part, dropped)
        files: dict[Any, Id] = {}
        for image in self.tables.all(f"{part}-images"):
            image_id = image["id"]
            if image_id in seen:
                dropped.note("picture id is listed twice", str(image_id))
                continue
            seen.add(image_id)
            name = image["file_name"]
            if isinstance(name, str) and (other := files.setdefault(name, image_id)) != image_id:
                self.remarks.note("picture is listed under two ids", f"{name}: {other} and {image_id}")
            try:
                width, height = self._size(part, image)
            except Skip as skip:
                unknown = f"image {image_id} has no positive width and height, and its {skip}: {skip.example}"
                dropped.note("size of the picture is unknown", unknown)
                continue
            count, has_stuff = 0, False
            for annotation in self._annotations(part, image_id, width, height):
                used.add(annotation["category_id"])
                has_stuff = has_stuff or annotation["stuff"]
                reason = self._reason(annotation, width, height)
                if reason is None:
                    count += 1
                else:
                    fault = f"picture {image_id}, annotation {annotation['id']}" if reason in FAULTS else ""
                    dropped.note(f"object: {reason}", fault)
            if self.options.stuff_only and not has_stuff:
                dropped["picture has no stuff annotation"] += 1
            elif not self.options.min_objects <= count <= self.options.max_objects:
                few = count < self.options.min_objects
                dropped[f"picture has too {'few' if few else 'many'} objects"] += 1
            else:
                kept.append(image_id)
        for kind in self._kinds:
            for owner in self.tables.orphans(f"{kind}-{part}", f"{part}-images"):
                dropped.note("object: annotation of a picture that is not listed", f"picture {owner!r}")
        return kept

    def _shared(self, part: str, dropped: Reasons) -> set[Id]:
        """Ids of several pictures: nobody can say whose the annotations of such an id are, so all are left out."""
        shared: set[Id] = set()
        for image_id in self.tables.repeated(f"{part}-images"):
            pictures = sorted({str(image["file_name"]) for image in self.tables.get(f"{part}-images", image_id)})
            if len(pictures) > 1:
                shared.add(image_id)
                dropped.note(
                    "object: annotation of an id that several pictures have",
                    f"{image_id}: {pictures[0]} and {pictures[1]}",
                    sum(len(self.tables.get(f"{kind}-{part}", image_id)) for kind in self._kinds),
                )
        return shared

    @cached_property
    def _kinds(self) -> list[str]:
        return ["instances", *([] if self.stuff == "none" else [self.stuff])]

    @cached_property
    def _categories(self) -> dict[Id, Record]:
        """By id. Raises ``UserError`` for an id of two names."""
        found: dict[Id, Record] = {}
        for part in self.present:
            for kind in self._kinds:
                for record in self.tables.all(f"{kind}-{part}-categories"):
                    first = found.setdefault(record["id"], record)["name"]
                    if record["name"] != first:
                        raise UserError(
                            f"{self._json(kind, part)}: category id {record['id']} is both {first!r} and "
                            f"{record['name']!r}; give each an id of its own"
                        )
                    found[record["id"]] = record  # panoptic categories, which come last, tell what is a thing
        return found

    def _published(self, used: set[Id]) -> dict[str, Id]:
        """Id by name, in order of ids. Raises ``UserError`` for a name of two ids that both have annotations.

        Roboflow's exports hold an unused category that is called like another.
        """
        found: dict[str, Id] = {}
        for number, record in self._categories.items():
            name = record["name"]
            if name in found and {number, found[name]} <= used:
                raise UserError(
                    f"{self.inputs()[0]}: the categories {found[name]} and {number} are both called {name!r}; "
                    "give them one id, or two names"
                )
            if name is not None and (name not in found or found[name] not in used):
                found[name] = number
        return dict(sorted(found.items(), key=lambda item: (isinstance(item[1], str), item[1])))

    def _annotations(self, part: str, image_id: Id, width: int, height: int) -> list[Record]:
        """Things first, then stuff, in file order, each with its ``name`` and whether it is ``stuff``."""
        found = [{**a, "stuff": False} for a in self.tables.get(f"instances-{part}", image_id)]
        if self.stuff == "stuff":
            found += [{**a, "stuff": True} for a in self.tables.get(f"stuff-{part}", image_id)]
        elif self.stuff == "panoptic":
            found += self._panoptic(part, image_id)
        identities = [(annotation["stuff"], annotation["id"]) for annotation in found]
        told = len(set(identities)) > 1  # ids that are all the same tell nothing
        seen: set[Any] = set()
        for annotation, identity in zip(found, identities, strict=True):
            category = self._categories.get(annotation["category_id"])
            annotation |= {"known": category is not None, "name": category and category["name"]}
            annotation["repeated"] = told and identity in seen
            if annotation["id"] is not None:
                seen.add(identity)
            self._complete_box(annotation, width, height)
        return found

    def _complete_box(self, annotation: Record, width: int, height: int) -> None:
        """Take a box that lacks from the mask, and clip it to the picture; ``recovered`` and ``clipped`` tell."""
        box = annotation["bbox"]
        annotation["recovered"] = annotation["clipped"] = False
        if "panoptic" in annotation:
            if box is None or min(clip_box(box, width, height)[2:]) <= 0:
                box = self._panoptic_box(annotation, width, height) or box
                annotation["recovered"] = box != annotation["bbox"]
        elif annotation["segmentation"] and not any(box or ()):
            box, annotation["recovered"] = box_of_segmentation(annotation["segmentation"], height, width), True
        if box is not None and not _reaches_far(box, width, height):
            clipped = clip_box(box, width, height)
            annotation["clipped"] = clipped != box
            box = clipped
        annotation["bbox"] = box

    def _panoptic_box(self, annotation: Record, width: int, height: int) -> list[float] | None:
        """The box of a segment's pixels, or None if it has none that can be read."""
        try:
            mask, _ = self._object_mask(annotation, width, height)
        except Skip:  # reading the picture says so again, and is counted
            return None
        return box_of_mask(mask) if mask is not None and mask.any() else None

    def _panoptic(self, part: str, image_id: Id) -> list[Record]:
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
        box = annotation["bbox"]
        if annotation["repeated"]:
            return "annotation id is listed twice"
        if not annotation["name"]:
            return "category has no name" if annotation["known"] else "unknown category id"
        if box is None:
            return "box is not four numbers"
        x, y, w, h = box
        if not (w > 0 and h > 0 and x < width and y < height and x + w > 0 and y + h > 0):
            return "box is empty or outside the picture"
        if _reaches_far(box, width, height):
            return "box reaches far out of the picture"
        if not self.options.crowds and annotation["iscrowd"] == 1:
            return "crowd"
        if not self._wanted(annotation["name"]):
            return "category is not wanted"
        if not w * h / (width * height) > self.options.min_object_size:
            return "too small"
        return None

    def _wanted(self, name: str) -> bool:
        chosen = self.options.categories
        return (self.options.other or name != "other") and (chosen is None or name in chosen)

    def _check_wanted(self) -> None:
        names = {record["name"] for record in self._categories.values()}
        missing = [name for name in self.options.categories or () if name not in names]
        if missing:
            raise UserError(f"categories={missing[0]}: not in {self.inputs()[0]}")

    def _json(self, kind: str, part: str) -> Path:
        return self.root / "annotations" / f"{kind}_{self.parts[part]}.json"

    def _folders(self, part: str) -> tuple[Path, ...]:
        """Where a part's pictures are."""
        name = self.parts[part]
        return (self.root / name, self.root / "images" / name, self.root / "images", self.root)

    def _find(self, part: str, image: Record, remarks: list[str] | None = None) -> Path:
        split = self._own_split(part)
        return self.pictures.find(image["file_name"], *self._folders(part), split=split, remarks=remarks)

    def _size(self, part: str, image: Record) -> tuple[int, int]:
        """(width, height) by the annotations, or else by the picture, of which ``Skip`` may be raised."""
        width, height = image["width"], image["height"]
        return (width, height) if width and height else picture_size(self._find(part, image), upright=True)

    def _object_mask(self, annotation: Record, width: int, height: int) -> tuple[np.ndarray | None, str | None]:
        """The mask in the whole picture, or None and the reason why there is none."""
        if "panoptic" in annotation:
            mask = _panoptic_mask(self.pictures.find(*annotation["panoptic"]), annotation["id"])
            if mask.shape != (height, width):
                return None, "object's panoptic picture has another size than its picture: its box is its mask"
            return mask, None
        if not annotation["segmentation"]:
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


def validation_ids(kept: list[Id], listed: list[Id], rule: ValidationRule) -> frozenset[Id]:
    """Which pictures of val2017 validate; the other kept ones test. ``listed`` are all of its pictures."""
    if rule == "wsgc":
        return frozenset(coco_validation_ids())
    return frozenset({"all": kept, "first-1024": kept[:1024], "first-1024-listed": listed[:1024]}[rule])


def _reaches_far(box: list[float], width: int, height: int) -> bool:
    x, y, w, h = box
    return max(-x, -y, x + w - width, y + h - height) > FAR * max(width, height)


def _correct_box(annotation: Record, mask: np.ndarray | None) -> list[str]:
    """What is to be remarked about an annotation's box; that of a panoptic segment becomes its mask's."""
    remarks = []
    if annotation["recovered"]:
        remarks.append("object's box is that of its segmentation")
    if annotation["clipped"]:
        remarks.append("object's box reaches out of the picture: it is clipped")
    if "panoptic" in annotation and mask is not None and mask.any():
        own, stated = box_of_mask(mask), annotation["bbox"]
        ends = [(box[0], box[1], box[0] + box[2], box[1] + box[3]) for box in (own, stated)]
        if max(abs(one - other) for one, other in zip(*ends, strict=True)) > 1:
            annotation["bbox"] = own
            remarks.append("object's box is not that of its panoptic segment: the segment's is taken")
    return remarks


def _panoptic_mask(path: Path, segment: int) -> np.ndarray:
    try:
        pixels = np.asarray(decode_rgb(path), dtype=np.uint32)
    except Skip as why:
        raise Skip("panoptic picture is missing or damaged", f"{path}: {why}") from None
    return np.asarray(pixels @ np.array([1, 256, 65536], dtype=np.uint32) == segment)
