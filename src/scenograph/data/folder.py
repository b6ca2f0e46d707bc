"""A folder of your own: pictures, and scenes in the language of this package.

``scenes.jsonl`` has one scene a line, plus ``image`` (a path in the folder) and optionally ``id`` and ``split``::

    {"image": "a.jpg", "objects": [{"category": "cat", "box": [0.1, 0.2, 0.5, 0.9]}, "sofa"],
     "relationships": [[0, "on", 1]]}

A ``vocabulary.json`` in the folder fixes the names and their order; otherwise it is built from the scenes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from scenograph.data.picture_files import SPLIT_WORDS
from scenograph.data.source import Options, Plan, Progress, Sample, Source, set_aside
from scenograph.errors import UserError
from scenograph.files import parse_json
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary


class FolderOptions(Options):
    """How to divide what has no split of its own."""

    validation_count: int = Field(0, ge=0, description="scenes to set aside, where none names a split")


class Folder(Source):
    """Pictures and ``scenes.jsonl``."""

    title = "a folder of pictures and scenes.jsonl"
    options_type = FolderOptions

    def inputs(self) -> list[Path]:  # noqa: D102
        vocabulary = self.root / "vocabulary.json"
        return [self.root / "scenes.jsonl", *([vocabulary] if vocabulary.is_file() else [])]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        splits: dict[str, list[tuple[int, str]]] = {}
        categories: dict[str, None] = {}
        predicates: dict[str, None] = {}
        attributes: dict[str, None] = {}
        seen: set[str] = set()
        path = self.root / "scenes.jsonl"
        with path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                record, scene = _parse_line(line, f"{path}, line {number}")
                if record["id"] in seen:
                    raise UserError(f"{path}, line {number}: id {record['id']!r} occurs twice; ids must differ")
                seen.add(record["id"])
                categories |= {thing.category: None for thing in scene.objects}
                attributes |= {name: None for thing in scene.objects for name in thing.attributes}
                predicates |= {relation.predicate: None for relation in scene.relations}
                splits.setdefault(record["split"], []).append((number, line))
                if number % 1000 == 0:
                    progress(path.name, number)
        if self.options.validation_count:
            splits |= set_aside(splits.get("train", []), self.options.validation_count, str(path))
        return Plan(self._vocabulary(categories, predicates, attributes), splits)

    def read(self, item: tuple[int, str]) -> Sample:  # noqa: D102
        record, scene = _parse_line(item[1], f"line {item[0]}")
        picture = None if record["image"] is None else self.pictures.find(record["image"])
        return Sample(record["id"], scene, picture)

    def _vocabulary(self, categories: Any, predicates: Any, attributes: Any) -> Vocabulary:
        path = self.root / "vocabulary.json"
        if path.is_file():
            return Vocabulary.load(path)
        # Which attributes exclude each other is unknown, so each is a group of its own.
        groups: dict[str, tuple[str, ...]] = {name: (name,) for name in sorted(attributes)}
        return Vocabulary(tuple(sorted(categories)), tuple(sorted(predicates)), groups)


def _parse_line(line: str, where: str) -> tuple[dict[str, Any], Scene]:
    """The fields beside the scene, with defaults, and the scene."""
    value = parse_json(line, where)
    if not isinstance(value, dict):
        raise UserError(f"{where}: expected an object with 'objects', found {line[:40]!r}")
    image, split = value.pop("image", None), value.pop("split", "train")
    identity = value.pop("id", image if image is not None else where.rpartition(" ")[2])
    if image is not None and (not isinstance(image, str) or Path(image).is_absolute() or ".." in Path(image).parts):
        raise UserError(f"{where}: image {image!r} must be a path inside the folder")
    if not isinstance(split, str) or not split.isidentifier():
        raise UserError(f"{where}: split {split!r} must be a plain word such as train or validation")
    return {"image": image, "split": SPLIT_WORDS.get(split.casefold(), split), "id": str(identity)}, Scene.from_dict(
        value, where
    )
