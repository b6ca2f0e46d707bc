"""COCO-format JSON as annotation tools export it: Roboflow, CVAT, Label Studio, FiftyOne and others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pydantic import Field

from scenograph.data.coco import Coco, CocoOptions, Preset
from scenograph.data.picture_files import split_of
from scenograph.data.records import Id
from scenograph.data.source import set_aside
from scenograph.errors import UserError

SINGLE = ("_annotations.coco.json", "annotations.json", "result.json", "labels.json")
"""Names of a file in the root that holds everything."""

PATTERNS = (*(f"*/{name}" for name in SINGLE), "annotations/instances_*.json", "annotations/*.json", "*.json")
"""Where else exports put their files, one per split, whose name is in that of the folder or the file."""


class CocoExportOptions(CocoOptions):
    """Where the annotations are; the filters default to keeping everything."""

    preset: Preset = "all"
    annotations: Path | None = Field(None, description="the JSON file, if not where exports put it")
    validation_count: int = Field(0, ge=0, description="pictures to set aside, where there is one file")


class CocoExport(Coco):
    """COCO-format JSON as annotation tools export it, one file or one per split."""

    title = "COCO-format export"
    options_type = CocoExportOptions

    def __init__(self, root: Path, options: CocoExportOptions, work: Path) -> None:
        super().__init__(root, options, work)
        self.found = _export_files(root, options.annotations)
        self.parts = {part: part for part in self.found}

    @cached_property
    def stuff(self) -> str:
        """An export's annotations are all in one file."""
        return "none"

    def divide(self, kept: dict[str, list[Id]]) -> dict[str, list[tuple[str, Id]]]:  # noqa: D102
        splits = {part: [(part, i) for i in ids] for part, ids in kept.items()}
        if self.options.validation_count:
            splits |= set_aside(splits.get("train", []), self.options.validation_count, str(self.root))
        return splits

    def _json(self, kind: str, part: str) -> Path:
        return self.found[part]

    def _folders(self, part: str) -> tuple[Path, ...]:
        beside = self.found[part].parent
        return (beside, beside / "images", beside.parent, beside.parent / "images", self.root / "images", self.root)


def _export_files(root: Path, named: Path | None) -> dict[str, Path]:
    """Annotation files by split: the named one, or those where annotation tools put them."""
    if named is not None:
        return {"train": named}
    for name in SINGLE:
        if (root / name).is_file():
            return {"train": root / name}
    for pattern in PATTERNS:
        found = sorted(path for path in root.glob(pattern) if not path.name.startswith("."))
        names = [path.parent.name if path.name in SINGLE else path.stem for path in found]
        splits = [split_of(name) or "train" for name in names]
        if len(set(splits)) < len(splits):
            raise UserError(f"{root}: several annotation files ({', '.join(names)}); name one: annotations=FILE")
        if found:
            return dict(zip(splits, found, strict=True))
    raise UserError(f"{root}: no COCO-format JSON found; name it: annotations=FILE")
