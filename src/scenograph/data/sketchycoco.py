"""Scenes with a free-hand sketch of every object: SketchyCOCO (Gao et al., CVPR 2020) and QuickDrawCOCO.

SketchyCOCO's official tree is ``Scene/{GT,Sketch,Annotation}/{trainInTrain,valInTrain,val}/`` and
``Object/{GT,Sketch,Edge}/{train,val}/<category id>/``. QuickDrawCOCO (Ribeiro et al., ICCVW 2021, "QuickDrawCOCO-92c")
is made here: COCO scenes in which every object has a Quick, Draw! sketch of its class.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from scenograph.data.coco import Coco, CocoOptions, Preset
from scenograph.data.drawings import PUBLISHED, category_of_class
from scenograph.data.quickdraw import DAMAGED, class_files, class_of, read_drawing, rows_of
from scenograph.data.records import Id, Reasons, Skip
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.data.vocabularies import coco_ids
from scenograph.errors import UserError, missing_extra
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

CATEGORY_IDS = (2, 3, 4, 5, 10, 11, 17, 18, 19, 20, 21, 22, 24, 25, 106, 124, 157, 169)
"""COCO-Stuff ids of SketchyCOCO's classes; its annotation pictures hold positions in this list, counted from 1."""

SCENE_SPLITS = {"train": "trainInTrain", "validation": "valInTrain", "test": "val"}
OBJECT_SPLITS = {"train": "train", "validation": "val"}


class SketchyCocoOptions(Options):
    """Which half of the data set."""

    part: Literal["scenes", "objects"] = Field("scenes", description="whole scenes, or single objects")
    min_object_size: float = Field(0.0, ge=0, lt=1, description="an object's box must be larger: part of the picture")


class SketchyCoco(Source):
    """Photographs with a sketch of the scene, and classes and instances per pixel."""

    title = "SketchyCOCO"
    options_type = SketchyCocoOptions

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        scenes = self.options.part == "scenes"
        dropped: Counter[str] = Counter()
        splits: dict[str, list[tuple[str, str]]] = {}
        for split, folder in (SCENE_SPLITS if scenes else OBJECT_SPLITS).items():
            for sketch in self._sketches(folder):
                if self._picture(sketch) is None:
                    dropped["sketch has no picture in GT"] += 1
                elif scenes and self._annotation(sketch) is None:
                    dropped["sketch has no annotation"] += 1
                else:
                    splits.setdefault(split, []).append((split, str(sketch)))
            progress("reading folders", sum(map(len, splits.values())))
        if not splits:
            kind = "Scene" if scenes else "Object"
            raise UserError(f"{self.root}: no sketches in {kind}/Sketch/*; is this SketchyCOCO's folder?")
        names = {number: name for name, number in coco_ids().items()}
        categories = tuple(names[number] for number in CATEGORY_IDS)
        published = dict(zip(categories, CATEGORY_IDS, strict=True))
        return Plan(Vocabulary(categories, SG2IM_PREDICATES), splits, dropped, published_ids=published)

    def read(self, item: tuple[str, str]) -> Sample:  # noqa: D102
        sketch = Path(item[1])
        picture = self._picture(sketch)
        drawing = _gray(self.pictures.checked(sketch))
        if self.options.part == "objects":
            names = {number: name for name, number in coco_ids().items()}
            if not sketch.parent.name.isdecimal() or int(sketch.parent.name) not in CATEGORY_IDS:
                raise Skip("folder is not one of the category ids")
            thing = SceneObject(
                names[int(sketch.parent.name)], (), (0.0, 0.0, 1.0, 1.0), sketch=Sketch(picture=drawing)
            )
            return Sample(sketch.stem, Scene((thing,)), picture)
        annotation = self._annotation(sketch)
        assert annotation is not None, "planned items have one"
        objects = _annotated_objects(annotation, drawing, self.options.min_object_size)
        return Sample(sketch.stem, Scene(tuple(objects)), picture)

    def _sketches(self, folder: str) -> list[Path]:
        """Sketch files of a split; the paper's version of the archives nests one more folder."""
        kind = "Scene" if self.options.part == "scenes" else "Object"
        base = self.root / kind / "Sketch"
        found = (path for pattern in (folder, f"*/{folder}") for path in base.glob(f"{pattern}/**/*.png"))
        return sorted(path for path in found if path.is_file())

    def _picture(self, sketch: Path) -> Path | None:
        return self._beside(sketch, "GT", (".png", ".jpg"))

    def _annotation(self, sketch: Path) -> Path | None:
        return self._beside(sketch, "Annotation", (".mat",))

    def _beside(self, sketch: Path, kind: str, suffixes: tuple[str, ...]) -> Path | None:
        """The file of another kind with the same place and name, whether or not either side is nested."""
        base = sketch
        while base.name != "Sketch":
            base = base.parent
        inside = sketch.relative_to(base)
        splits = {*SCENE_SPLITS.values(), *OBJECT_SPLITS.values()}
        plain = Path(*inside.parts[next(i for i, part in enumerate(inside.parts) if part in splits) :])
        for folder in (base.parent / kind, *sorted(base.parent.glob(f"{kind}/*"))):
            for suffix in suffixes:
                path = (folder / plain).with_suffix(suffix)
                if path.is_file() and self.pictures.holds(path):
                    return path
        return None


class QuickDrawCocoOptions(CocoOptions):
    """COCO's options, and where the drawings are."""

    preset: Preset = "scene-designer"
    drawings: Path = Field(description="folder of Quick, Draw! files by class")
    class_map: Path | None = Field(None, description="JSON of Quick, Draw! class to COCO class or null, or published")
    per_class: int = Field(1000, ge=10, description="how many drawings of each class to choose from")
    seed: int = Field(0, ge=0, description="which drawing each object gets")


class QuickDrawCoco(Coco):
    """COCO scenes whose objects have a Quick, Draw! sketch of their class."""

    title = "QuickDrawCOCO"
    options_type = QuickDrawCocoOptions

    def __init__(self, root: Path, options: QuickDrawCocoOptions, work: Path) -> None:
        super().__init__(root, options, work)
        self.kinds = _classes_by_category(self.options.drawings, self.options.class_map)

    def inputs(self) -> list[Path]:  # noqa: D102
        class_map = self.options.class_map
        named = [class_map] if class_map and str(class_map) != PUBLISHED else []
        return [*super().inputs(), *named, *class_files(self.options.drawings, None)]

    def read(self, item: tuple[str, Id]) -> Sample:  # noqa: D102
        sample = super().read(item)
        part = 0 if item[0] == "train" else 1
        picture = item[1] if isinstance(item[1], int) else zlib.crc32(item[1].encode())
        objects = []
        for number, thing in enumerate(sample.scene.objects):
            rng = np.random.default_rng([self.options.seed, picture, number])
            files = self.kinds[thing.category]
            path = files[int(rng.integers(len(files)))]
            rows = _drawings(path, self.options.per_class)[part]
            split, row = rows[int(rng.integers(len(rows)))]
            try:
                sketch = read_drawing(Path(path), split, row)
            except UserError as error:
                raise Skip(DAMAGED, str(error)) from None
            objects.append(replace(thing, sketch=sketch))
        return replace(sample, scene=Scene(tuple(objects), sample.scene.relations))

    def _wanted(self, name: str) -> bool:
        return name in self.kinds and super()._wanted(name)


def _classes_by_category(drawings: Path, class_map: Path | None) -> dict[str, list[str]]:
    """COCO category to the drawing files that stand for it."""
    category_of = category_of_class(class_map, list(coco_ids()))
    kinds: dict[str, list[str]] = {}
    for path in class_files(drawings, None):
        category = category_of(class_of(path))
        if category is not None:
            kinds.setdefault(category, []).append(str(path))
    if not kinds:
        raise UserError(f"drawings={drawings}: no class there stands for a COCO category")
    return kinds


@cache
def _drawings(path: str, limit: int) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(split, row) of a class's recognized drawings, for training and for the rest: no drawing is in both."""
    train: list[tuple[str, int]] = []
    held_out: list[tuple[str, int]] = []
    for number, (split, row, recognized) in enumerate(rows_of(Path(path), Reasons())):
        if recognized:
            own_split = split != "train"
            (held_out if own_split or number % 10 == 0 else train).append((split, row))
        if len(train) + len(held_out) >= limit:
            break
    return (train or held_out, held_out or train)


def _annotated_objects(path: Path, drawing: np.ndarray, min_size: float) -> list[SceneObject]:
    """Objects of a scene from its MATLAB file: CLASS_GT and INSTANCE_GT, one number per pixel each."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise missing_extra("scipy", "data") from error
    try:
        content = loadmat(path, variable_names=["CLASS_GT", "INSTANCE_GT"])
        classes, instances = content["CLASS_GT"].astype(int), content["INSTANCE_GT"].astype(int)
    except Exception as error:  # scipy raises many kinds
        raise Skip(f"annotation cannot be read ({type(error).__name__})") from error
    if classes.ndim != 2 or classes.shape != instances.shape:
        raise Skip("annotation's two arrays differ in size")
    names = {number: name for name, number in coco_ids().items()}
    height, width = classes.shape
    if drawing.shape != (height, width):
        drawing = np.asarray(Image.fromarray(drawing).resize((width, height), Image.Resampling.BILINEAR))
    objects = []
    for kind, instance in np.unique(np.stack([classes.ravel(), instances.ravel()]), axis=1).T.tolist():
        if not 1 <= kind <= len(CATEGORY_IDS):
            continue
        mask = (classes == kind) & (instances == instance)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        box = (float(left / width), float(top / height), float(right / width), float(bottom / height))
        if (box[2] - box[0]) * (box[3] - box[1]) > min_size:
            sketch = Sketch(picture=np.ascontiguousarray(drawing[top:bottom, left:right]))
            category = names[CATEGORY_IDS[kind - 1]]
            objects.append(SceneObject(category, (), box, mask[top:bottom, left:right], sketch))
    return objects


def _gray(path: Path) -> np.ndarray:
    try:
        return np.asarray(Image.open(path).convert("L"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Skip("sketch is damaged or not a picture", str(path)) from None
