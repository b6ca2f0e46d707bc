"""Photographs with label maps, which hold one class number per pixel: SPADE's data sets, and your own.

Folders are those of one of :data:`LAYOUTS`: ``images/train``, ``labels/train`` and perhaps ``instances/train``, or the
names that SPADE, ADE20K and Cityscapes have. ``classes.json`` is a list with the name of each number.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field

from scenograph.data.pictures import pictures_in
from scenograph.data.records import Reasons, Skip
from scenograph.data.source import Options, Plan, Progress, Sample, Source, set_aside
from scenograph.data.vocabularies import class_names
from scenograph.errors import UserError
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.labels import (
    NOTHING,
    LossyLabelsError,
    numbers_of,
    read_label_map,
    regions,
    remarks_on,
    scene_from_labels,
)
from scenograph.scenes.scene import MAX_OBJECTS
from scenograph.scenes.vocabulary import Vocabulary

Place = tuple[str, str]
"""A folder, with the split to be filled in, and how the names in it end, before the kind of file."""

LAYOUTS: tuple[tuple[Place, Place, Place], ...] = (
    (("images/{}", ""), ("labels/{}", ""), ("instances/{}", "")),
    (("{}_img", ""), ("{}_label", ""), ("{}_inst", "")),
    (("images/{}", ""), ("annotations/{}", ""), ("instances/{}", "")),
    (("leftImg8bit/{}", "_leftImg8bit"), ("gtFine/{}", "_gtFine_labelIds"), ("gtFine/{}", "_gtFine_instanceIds")),
)
"""Pictures, labels and instances: plain names, SPADE's, ADE20K's, Cityscapes'."""

SPLITS = {"train": "train", "training": "train", "val": "validation", "validation": "validation", "test": "test"}
"""Names of folders, and the splits they become."""

Item = tuple[str, Path, Path, Path | None]


class LabelMapOptions(Options):
    """The meaning of the numbers, and which of them are objects."""

    classes: str = Field(
        "",
        description="what the numbers mean: a JSON list of names, coco-stuff, ade20k or cityscapes; default "
        "classes.json in --root",
    )
    nothing: tuple[str, ...] = Field((), description="classes that are no objects, such as unlabelled")
    components: bool = Field(False, description="parts of a class that do not touch are objects of their own")
    min_object_size: float = Field(0.0, ge=0, lt=1, description="an object must cover more: part of the picture")
    validation_count: int = Field(0, ge=0, description="pictures to set aside, where no folder validates")


class LabelMaps(Source):
    """Every label of a picture, or every instance, is an object with its mask."""

    title = "pictures with label maps"
    options_type = LabelMapOptions

    @cached_property
    def names(self) -> list[str]:
        """The name of each number."""
        return class_names(self.options.classes or str(self.root / "classes.json"))

    @cached_property
    def nothing(self) -> list[int]:
        """The numbers that are no objects."""
        return numbers_of(self.names, self.options.nothing)

    def inputs(self) -> list[Path]:  # noqa: D102
        named = Path(self.options.classes)
        return [named] if named.is_file() else [] if self.options.classes else [self.root / "classes.json"]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        categories = [name for i, name in enumerate(self.names) if name != "NONE" and i not in self.nothing]
        splits: dict[str, list[Item]] = {}
        dropped = Reasons()
        for folder, split in SPLITS.items():
            for layout in LAYOUTS:
                pictures, labels, instances = (_files(self.root, folder, place, dropped) for place in layout)
                if not pictures or not labels:
                    continue
                for key in sorted(pictures.keys() ^ labels.keys()):
                    alone = "picture has no label map" if key in pictures else "label map has no picture"
                    dropped.note(alone, str({**pictures, **labels}[key].relative_to(self.root)))
                both = [key for key in pictures if key in labels]
                splits[split] = [(key, pictures[key], labels[key], instances.get(key)) for key in both]
                progress(folder, len(both))
                break
        if not splits:
            raise UserError(
                f"{self.root}: no pictures with label maps; looked for in images/train and labels/train, train_img and "
                "train_label, images/training and annotations/training, leftImg8bit/train and gtFine/train"
            )
        if self.options.validation_count:
            splits |= set_aside(splits.get("train", []), self.options.validation_count, str(self.root))
        return Plan(Vocabulary(tuple(dict.fromkeys(categories)), SG2IM_PREDICATES), splits, dropped)

    def read(self, item: Item) -> Sample:  # noqa: D102
        key, picture, label_file, instance_file = item
        labels = self._numbers(label_file)
        remarks = remarks_on(labels, self.names)
        for value in np.unique(labels[labels != NOTHING]).tolist():
            if not 0 <= value < len(self.names) or self.names[value] == "NONE":
                reason = f"label {value} has no name; the classes name 0 to {len(self.names) - 1}"
                raise Skip(reason, str(label_file))
        labels[np.isin(labels, self.nothing)] = NOTHING
        instances = np.zeros_like(labels) if instance_file is None else self._numbers(instance_file)
        if instances.shape != labels.shape:
            raise Skip("labels and instances are not of one size", str(label_file))
        if self.options.components:
            instances = _components(labels, instances)
        owners, kinds, areas = regions(labels, instances)
        objects = kinds != NOTHING
        small = objects & (areas <= self.options.min_object_size * labels.size)
        labels[small[owners]] = NOTHING
        kept = int(objects.sum() - small.sum())
        if not 0 < kept <= MAX_OBJECTS:
            raise Skip(f"more than {MAX_OBJECTS} objects" if kept else "nothing in it is an object", str(label_file))
        scene = scene_from_labels(labels, self.names, instances, str(label_file))
        remarks += ["object is too small"] * int(small.sum())
        return Sample(key, scene, self.pictures.checked(picture), labels.shape[::-1], tuple(remarks))

    def _numbers(self, path: Path) -> np.ndarray:
        """A map of labels or instances. Raises :class:`Skip`, whose example says why, if it is none."""
        try:
            return read_label_map(self.pictures.checked(path))
        except LossyLabelsError as why:
            raise Skip("label map is in a lossy kind of file, such as JPEG; save it as PNG", str(why)) from None
        except UserError as why:
            raise Skip("label map is missing, damaged or not a picture of numbers", str(why)) from None


def _files(root: Path, split: str, place: Place, dropped: Reasons) -> dict[str, Path]:
    """Pictures in a place, sub-folders included, by what their names have in common with those of other places.

    Nobody can say which of two files of one such name is meant: both are left out.
    """
    folder, ending = root / place[0].format(split), place[1]
    found: dict[str, list[Path]] = {}
    for path in pictures_in(folder)[0]:
        if path.stem.endswith(ending):
            key = path.relative_to(folder).with_name(path.stem.removesuffix(ending)).as_posix()
            found.setdefault(key, []).append(path)
    for paths in found.values():
        if len(paths) > 1:
            named = " and ".join(str(path.relative_to(root)) for path in paths)
            dropped.note("several files have one name but for their kind", named, len(paths))
    return {key: paths[0] for key, paths in found.items() if len(paths) == 1}


def _components(labels: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Numbers (H, W) that differ where a label or an instance does, or where its parts do not touch."""
    from scipy import ndimage  # takes a while to import

    numbers, first = np.zeros_like(labels), 0
    owners, kinds, _ = regions(labels, instances)
    for region in range(len(kinds)):
        parts, count = ndimage.label(owners == region)
        numbers += np.where(parts > 0, parts + first, 0)
        first += count
    return numbers
