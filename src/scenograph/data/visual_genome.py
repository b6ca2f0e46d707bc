"""Visual Genome (Krishna et al. 2017), by the preprocessing rules of sg2im (Johnson et al. 2018, section 4.1).

Expects the official files in one folder: ``objects.json``, ``relationships.json``, ``image_data.json``, the two
alias files, ``vg_splits.json`` of sg2im, and the pictures in ``VG_100K/`` and ``VG_100K_2/`` (or under ``images/``);
``attributes.json`` if there is one. Or a folder where the original code has written ``train.h5``, ``val.h5``,
``test.h5`` and ``vocab.json``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field

from scenograph.data.json_tables import JsonTables, Record
from scenograph.data.pictures import picture_size
from scenograph.data.records import Id, Reasons, Skip, identity, read_each
from scenograph.data.source import Options, Plan, Progress, Sample, Source
from scenograph.data.visual_genome_records import TIDY, check_version
from scenograph.errors import UserError, missing_extra
from scenograph.files import read_json, read_text
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

SPLITS = {"train": "train", "val": "validation", "test": "test"}
"""Visual Genome's names of the splits, and ours."""


class VisualGenomeOptions(Options):
    """Thresholds of sg2im's preprocessing; the defaults are the published ones."""

    splits: Path | None = Field(None, description="JSON of picture ids by split; default vg_splits.json in --root")
    min_image_size: int = Field(200, ge=1, description="shorter side of a kept picture, in pixels")
    min_object_instances: int = Field(2000, ge=1, description="how often an object name must occur in train")
    min_attribute_instances: int = Field(2000, ge=1, description="how often an attribute must occur in train")
    min_relationship_instances: int = Field(500, ge=1, description="how often a predicate must occur in train")
    min_object_size: int = Field(32, ge=1, description="both sides of a kept object, in pixels")
    min_objects: int = Field(3, ge=1, description="fewest kept objects of a kept picture")
    max_objects: int = Field(30, ge=1, description="most kept objects of a kept picture")
    min_relationships: int = Field(1, ge=0, description="fewest kept relations of a kept picture")
    max_relationships: int = Field(30, ge=0, description="most kept relations of a kept picture")
    normalize_predicates: Literal["all", "train"] = Field(
        "all", description="'train' repeats sg2im's slip: validation and test keep raw predicate names"
    )


class VisualGenome(Source):
    """Pictures with objects, attributes and relations that people named."""

    title = "Visual Genome"
    options_type = VisualGenomeOptions

    @cached_property
    def packed(self) -> bool:
        """Whether ``root`` holds the h5 files of the original preprocessing instead of JSON."""
        return (self.root / "vocab.json").is_file() and (self.root / "train.h5").is_file()

    @cached_property
    def tables(self) -> JsonTables:
        """The JSON files by picture."""
        return JsonTables(self.work / "annotations.sqlite")

    def inputs(self) -> list[Path]:  # noqa: D102
        if self.packed:
            return [self.root / "vocab.json", *(self.root / f"{name}.h5" for name in SPLITS)]
        names = ("objects.json", "relationships.json", "image_data.json")
        optional = [self.root / name for name in ("attributes.json", "object_alias.txt", "relationship_alias.txt")]
        return [
            *(self.root / name for name in names),
            self.options.splits or self.root / "vg_splits.json",
            *(path for path in optional if path.is_file()),
        ]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        return self._plan_h5() if self.packed else _Preprocessing(self, progress).plan()

    def read(self, item: str) -> Sample:  # noqa: D102
        record = json.loads(item)
        path = self.picture(record["image"])
        size = tuple(record["size"]) if "size" in record else picture_size(path)
        width, height = size
        objects, remarks = [], []
        for name, attributes, (x, y, w, h) in record["objects"]:
            box: Box = (x / width, y / height, (x + w) / width, (y + h) / height)
            if (min(box) < 0 or max(box) > 1) and min(box[2:]) > 0 and max(box[:2]) < 1:
                remarks.append("box reaches out of the picture: kept as it is")
            objects.append(SceneObject(name, tuple(attributes), box))
        relations = tuple(Relation(subject, predicate, other) for subject, predicate, other in record["relations"])
        return Sample(str(record["id"]), Scene(tuple(objects), relations), path, size, tuple(remarks))

    def picture(self, image: int | str) -> Path:
        """By picture id (any of the folders), or by the relative path that an h5 file states."""
        bases = (self.root, self.root / "images")
        if isinstance(image, str):
            return self.pictures.find(image, *bases)
        folders = (base / folder for folder in ("VG_100K", "VG_100K_2") for base in bases)
        return self.pictures.find(f"{image}.jpg", *folders)

    def _plan_h5(self) -> Plan:
        raw = read_json(self.root / "vocab.json")
        try:
            categories, predicates = raw["object_idx_to_name"], raw["pred_idx_to_name"]
            if not isinstance(categories, list) or not isinstance(predicates, list):
                raise TypeError("names are no lists")
        except (TypeError, KeyError) as error:
            raise UserError(f"{self.root / 'vocab.json'}: not a vocabulary of sg2im ({error})") from error
        attributes = raw.get("attribute_idx_to_name", [])
        splits = {
            SPLITS[name]: [
                json.dumps(item) for item in _read_h5(self.root / f"{name}.h5", categories, predicates, attributes)
            ]
            for name in SPLITS
        }
        published = {name: number for number, name in enumerate(categories)}
        return Plan(_vocabulary(categories, predicates, attributes), splits, published_ids=published)


class _Preprocessing:
    """sg2im's ``preprocess_vg``, over records in constant memory; what it decides goes into the plan."""

    def __init__(self, source: VisualGenome, progress: Progress) -> None:
        self.source = source
        self.options: VisualGenomeOptions = source.options
        self.tables = source.tables
        self.dropped, self.remarks = Reasons(), Reasons()
        listed = _read_splits(source.options.splits or source.root / "vg_splits.json", self.dropped)
        for name, tidy in TIDY.items():
            path = source.root / f"{name}.json"
            if path.is_file():
                check_version(path)
                self.tables.add(name, path, "item", "image_id", progress, tidy, unique=True)
        self.dropped.include(self.tables.left_out())
        self.has_attributes = (source.root / "attributes.json").is_file()
        self.object_alias = _read_aliases(source.root / "object_alias.txt")
        self.predicate_alias = _read_aliases(source.root / "relationship_alias.txt")
        self.sizes = {r["image_id"]: self._size(r) for r in self.tables.all("image_data")}
        self.splits = self._kept(listed)

    def plan(self) -> Plan:
        categories = self._categories()
        self.known = set(categories)
        train = set(self.splits["train"])
        attributes = self._attributes(train)
        self.known_attributes = set(attributes)
        predicates = self._predicates(train)
        self.known_predicates = set(predicates)
        splits = {
            # As text: a hundred thousand pictures in a fifth of the memory.
            SPLITS[name]: [json.dumps(item) for image_id in ids if (item := self._item(name, image_id)) is not None]
            for name, ids in self.splits.items()
        }
        published = {name: number for number, name in enumerate([IMAGE_CATEGORY, *categories])}
        vocabulary = _vocabulary(categories, predicates, attributes)
        kept = {name: items for name, items in splits.items() if items}
        return Plan(vocabulary, kept, self.dropped, self.remarks, published)

    def _kept(self, listed: dict[str, list[Id]]) -> dict[str, list[Id]]:
        """The pictures of each split that are large enough, each in the first split that lists it."""
        placed: set[Id] = set()
        kept: dict[str, list[Id]] = {}
        for name, ids in listed.items():
            kept[name] = []
            for image_id in ids:
                if image_id in placed:
                    self.dropped.note("picture is listed twice in the splits", str(image_id))
                elif image_id not in self.sizes:
                    self.dropped.note("picture of the split is not in image_data.json", str(image_id))
                elif min(self.sizes[image_id]) < self.options.min_image_size:
                    self.dropped["picture is too small"] += 1
                else:
                    kept[name].append(image_id)
                placed.add(image_id)
        return kept

    def _size(self, image: Record) -> tuple[int, int]:
        """(width, height) by image_data.json, or else by the picture; none at all if that cannot be read."""
        try:
            width, height = image["width"], image["height"]
            return (width, height) if width and height else picture_size(self.source.picture(image["image_id"]))
        except Skip as skip:
            self.dropped.note(f"size of a picture is not known, and {skip}", skip.example)
            return (0, 0)

    def _categories(self) -> list[str]:
        """Aliased names, counted once per object, by falling count."""
        counter: Counter[str] = Counter()
        train = set(self.splits["train"])
        for record in self.tables.all("objects"):
            if record["image_id"] in train:
                for thing in record["objects"]:
                    counter.update(list(dict.fromkeys(self.object_alias.get(n, n) for n in thing["names"])))
        return [name for name, count in counter.most_common() if count >= self.options.min_object_instances]

    def _attributes(self, train: set[Id]) -> list[str]:
        counter: Counter[str] = Counter()
        if self.has_attributes:
            for record in self.tables.all("attributes"):
                if record["image_id"] in train:
                    for thing in record["attributes"]:
                        counter.update(thing["attributes"])
        return [name for name, count in counter.most_common() if count >= self.options.min_attribute_instances]

    def _predicates(self, train: set[Id]) -> list[str]:
        """Normalized names between kept objects of train, in order of first appearance."""
        counter: Counter[str] = Counter()
        for record in self.tables.all("relationships"):
            if record["image_id"] in train:
                kept = {object_id for object_id, _, _ in self._objects(record["image_id"])}
                for relation in record["relationships"]:
                    if relation["subject"] in kept and relation["object"] in kept:
                        counter[self._normalized(relation["predicate"])] += 1
        return [name for name, count in counter.items() if count >= self.options.min_relationship_instances]

    def _normalized(self, predicate: str) -> str:
        name = predicate.lower().strip()
        return self.predicate_alias.get(name, name)

    def _objects(self, image_id: Id) -> Iterator[tuple[Id, str, tuple[int, int, int, int]]]:
        """(object id, name, pixel x, y, w, h) of the objects to keep; the first known name of several counts."""
        for record in self.tables.get("objects", image_id):
            for thing in record["objects"]:
                names = (self.object_alias.get(name, name) for name in thing["names"])
                name = next((name for name in names if name in self.known), None)
                if name is not None and min(thing["w"], thing["h"]) >= self.options.min_object_size:
                    yield thing["object_id"], name, (thing["x"], thing["y"], thing["w"], thing["h"])

    def _item(self, split: str, image_id: Id) -> Record | None:
        """What :meth:`VisualGenome.read` needs of a picture, or None if it is left out."""
        options = self.options
        objects = list(self._objects(image_id))
        if not options.min_objects <= len(objects) <= options.max_objects:
            few = len(objects) < options.min_objects
            bound = f"min_objects={options.min_objects}" if few else f"max_objects={options.max_objects}"
            self.dropped.note(
                f"picture has too {'few' if few else 'many'} objects", f"picture {image_id} has {len(objects)}, {bound}"
            )
            return None
        row = {object_id: i for i, (object_id, _, _) in enumerate(objects)}
        if len(row) < len(objects):
            self.remarks.note("objects have one object_id: its relations are the last one's", str(image_id))
        relations = list(
            self._relations(image_id, row, normalize=options.normalize_predicates == "all" or split == "train")
        )
        if not options.min_relationships <= len(relations) <= options.max_relationships:
            few = len(relations) < options.min_relationships
            of = f"{'min' if few else 'max'}_relationships"
            named = f"picture {image_id} has {len(relations)}, {of}={getattr(options, of)}"
            self.dropped.note(f"picture has too {'few' if few else 'many'} relations", named)
            return None
        attributes = self._attributes_of(image_id)
        things = [(name, attributes.get(object_id, ()), box) for object_id, name, box in objects]
        return {
            "id": image_id,
            "image": image_id,
            "size": self.sizes[image_id],
            "objects": things,
            "relations": relations,
        }

    def _relations(self, image_id: Id, row: dict[Id, int], normalize: bool) -> Iterator[tuple[int, str, int]]:
        for record in self.tables.get("relationships", image_id):
            for relation in record["relationships"]:
                subject, other = (row.get(relation[end]) for end in ("subject", "object"))
                predicate = relation["predicate"]
                # sg2im normalizes names only of relations with both ends kept; the others are left out anyway.
                name = self._normalized(predicate) if normalize else predicate
                if name in self.known_predicates and subject is not None and other is not None:
                    yield subject, name, other

    def _attributes_of(self, image_id: Id) -> dict[Id, tuple[str, ...]]:
        if not self.has_attributes:
            return {}
        return {
            thing["object_id"]: tuple(dict.fromkeys(a for a in thing["attributes"] if a in self.known_attributes))
            for record in self.tables.get("attributes", image_id)
            for thing in record["attributes"]
        }


def _vocabulary(categories: Iterable[str], predicates: Iterable[str], attributes: Iterable[str]) -> Vocabulary:
    """An object may have many attributes, so each is a group of one."""
    special = {IMAGE_CATEGORY, IN_IMAGE_PREDICATE}
    return Vocabulary(
        tuple(name for name in categories if name not in special),
        tuple(name for name in predicates if name not in special),
        {name: (name,) for name in attributes},
    )


def _read_splits(path: Path, left_out: Reasons) -> dict[str, list[Id]]:
    """The ids of each split; entries that are none are left out."""

    def read(value: object) -> Id:
        found = identity(value)
        if found is None:
            raise Skip("entry of the splits is no picture id")
        return found

    splits = read_json(path)
    if not isinstance(splits, dict) or not all(isinstance(splits.get(name), list) for name in SPLITS):
        raise UserError(f"{path}: expected lists of picture ids under train, val and test")
    return {name: read_each(splits[name], read, left_out, f"{path.name}, {name}", "entry") for name in SPLITS}


def _read_aliases(path: Path) -> dict[str, str]:
    """Lines of comma-separated names; the first one stands for all."""
    if not path.is_file():
        return {}
    aliases: dict[str, str] = {}
    for line in read_text(path).splitlines():
        first, *others = [name.strip() for name in line.split(",")]
        aliases |= dict.fromkeys([first, *others], first)
    return aliases


def _read_h5(path: Path, categories: list[str], predicates: list[str], attributes: list[str]) -> Iterator[Record]:
    """Items from a file of the original preprocessing; names instead of its indices."""
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("h5py", "data") from error
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: file[name][()] for name in file}
    except (OSError, KeyError) as error:
        raise UserError(f"{path}: not an h5 file of sg2im ({error})") from error
    first_object = 0
    for i, count in enumerate(arrays["objects_per_image"].tolist()):
        names = [categories[j] for j in arrays["object_names"][i, :count]]
        # The original numbers attributes over the objects of the whole split, not per picture.
        rows = arrays["object_attributes"][first_object : first_object + count] if "object_attributes" in arrays else []
        owned = [tuple(attributes[j] for j in row if j >= 0) for row in rows] or [()] * count
        first_object += count
        relations = zip(
            arrays["relationship_subjects"][i].tolist(),
            arrays["relationship_predicates"][i].tolist(),
            arrays["relationship_objects"][i].tolist(),
            strict=True,
        )
        number = int(arrays["relationships_per_image"][i])
        image = arrays["image_paths"][i]
        yield {
            "id": int(arrays["image_ids"][i]),
            "image": image.decode() if isinstance(image, bytes) else str(image),
            "objects": list(zip(names, owned, arrays["object_boxes"][i, :count].tolist(), strict=True)),
            "relations": [(s, predicates[p], o) for s, p, o in list(relations)[:number]],
        }
