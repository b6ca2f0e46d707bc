"""CLEVR scenes (Johnson et al., CVPR 2017): the published v1.0 files and those of :mod:`scenograph.data.rendered`.

``--root`` is the official tree (``scenes/CLEVR_{train,val}_scenes.json`` beside ``images/``), a folder made by
``scenograph data render``, a single scenes file, or the pickle of scene graphs that Canonical Sg2Im renders from.
A published scene has 3-D positions but no boxes: they are computed as Canonical Sg2Im does. Rendered scenes carry
exact boxes and masks.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from scenograph.data.json_tables import JsonTables, Record, stream_json
from scenograph.data.pickles import load_plain_pickle
from scenograph.data.picture_files import PictureFiles
from scenograph.data.pictures import picture_size
from scenograph.data.records import Reasons, Skip
from scenograph.data.source import Options, Plan, Progress, Sample, Source, set_aside
from scenograph.errors import UserError
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import CLEVR_PREDICATES
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

VOCABULARY = Vocabulary(
    categories=("cube", "sphere", "cylinder"),
    predicates=tuple(CLEVR_PREDICATES.values()),
    attributes={
        "size": ("large", "small"),
        "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
        "material": ("rubber", "metal"),
    },
)

OFFICIAL_SIZE = (480, 320)
"""Width and height of CLEVR v1.0's pictures, in whose pixels Canonical Sg2Im's box formula is written."""


class ClevrOptions(Options):
    """Which scenes validate, and which are kept."""

    validation: Path | None = Field(None, description="a second root, whose scenes validate")
    validation_count: int = Field(0, ge=0, description="without one: how many scenes to set aside")
    dialog: Path | None = Field(None, description="CLEVR-Dialog JSON: keep only the pictures it talks about")


class Clevr(Source):
    """Cubes, spheres and cylinders with attributes, relations, boxes and (rendered) masks."""

    title = "CLEVR"
    options_type = ClevrOptions

    def __init__(self, root: Path, options: ClevrOptions, work: Path) -> None:
        super().__init__(root, options, work)
        self.pictures = PictureFiles(_folder_of(root), options.outside)
        self._second = PictureFiles(_folder_of(options.validation or root), options.outside)
        self.pictured: dict[str, bool] = {}
        """Whether a split has pictures at all; scenes rendered without are packed as layouts."""

    @cached_property
    def tables(self) -> JsonTables:
        """The scenes by picture name."""
        return JsonTables(self.work / "scenes.sqlite")

    @cached_property
    def files(self) -> dict[str, Path]:
        """The scene file of each split."""
        if self.options.validation is not None:
            return {"train": _scene_file(self.root), "validation": _scene_file(self.options.validation)}
        whole = self.root / "CLEVR_v1.0" if (self.root / "CLEVR_v1.0").is_dir() else self.root
        official = {
            "train": whole / "scenes" / "CLEVR_train_scenes.json",
            "validation": whole / "scenes" / "CLEVR_val_scenes.json",
        }
        found = {split: path for split, path in official.items() if path.is_file()}
        return found or {"train": _scene_file(self.root)}

    def inputs(self) -> list[Path]:  # noqa: D102
        return [*self.files.values(), *([self.options.dialog] if self.options.dialog else [])]

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        wanted = None if self.options.dialog is None else _dialog_pictures(self.options.dialog)
        splits: dict[str, list[tuple[str, str]]] = {}
        for split, path in self.files.items():
            if path.suffix == ".pkl":
                splits[split] = [(split, str(number)) for number in range(len(_read_graphs(path)))]
                continue
            # One scene's JSON is a scene file of one.
            prefix = "scenes.item" if next(stream_json(path, "scenes.item"), None) else ""
            self.tables.add(split, path, prefix, "image_filename", progress, _tidy)
        dropped = self.tables.left_out()
        for split in [split for split in self.files if split not in splits]:
            seen = set()
            splits[split] = []
            for name in map(str, self.tables.keys(split)):
                if name in seen:
                    dropped.note("picture name is listed twice", name)
                elif wanted is not None and name not in wanted:
                    dropped["picture is not in the dialog file"] += 1
                else:
                    splits[split].append((split, name))
                seen.add(name)
            examples = (record for _, record in zip(range(100), self.tables.all(split), strict=False))
            self.pictured[split] = any(self._has_picture(split, record) for record in examples)
        if self.options.validation_count:
            splits = {**splits, **set_aside(splits["train"], self.options.validation_count, str(self.files["train"]))}
        return Plan(VOCABULARY, splits, dropped)

    def read(self, item: tuple[str, str]) -> Sample:  # noqa: D102
        table, name = item
        path = self.files[table]
        if path.suffix == ".pkl":
            return Sample(name, _graph_scene(_read_graphs(path)[int(name)]))
        raw = self.tables.get(table, name)[0]
        picture = self._picture(table, raw) if self.pictured[table] else None
        size = OFFICIAL_SIZE if picture is None else picture_size(picture)
        owners = None
        if "mask_filename" in raw:
            owners = _index_picture(
                self._pictures(table).find(raw["mask_filename"], path.parent / "masks", search=False)
            )
        clipped = [thing for thing in raw["objects"] if "box" in thing and _stated_box(thing) != tuple(thing["box"])]
        remarks = ("object's box reaches out of the picture: it is clipped",) * len(clipped)
        if unknown := (raw.get("relationships") or {}).keys() - CLEVR_PREDICATES.keys():
            remarks += (f"relations are left out: {', '.join(sorted(unknown))[:60]} is no predicate of CLEVR",)
        return Sample(Path(name).stem, clevr_scene(raw, owners, size), picture, remarks=remarks)

    def _pictures(self, table: str) -> PictureFiles:
        """Those of a split, which has a root of its own if it is the second."""
        return self.pictures if table == "train" or self.options.validation is None else self._second

    def _picture(self, table: str, raw: dict[str, Any]) -> Path:
        """Beside the scene file, or in CLEVR's own tree (``scenes/`` next to ``images/<split>/``)."""
        folder = self.files[table].parent
        inside = folder.parent / "images"
        folders = (folder / "images", folder, inside, inside / str(raw.get("split", "")))
        return self._pictures(table).find(raw["image_filename"], *folders, search=False)

    def _has_picture(self, table: str, raw: dict[str, Any]) -> bool:
        try:
            return bool(self._picture(table, raw))
        except Skip:
            return False


def clevr_scene(
    raw: dict[str, Any], index_picture: np.ndarray | None = None, size: tuple[int, int] = OFFICIAL_SIZE
) -> Scene:
    """One CLEVR JSON scene as a Scene, with masks from the picture of the objects' numbers, if there is one.

    ``size`` is the picture's (width, height), in whose pixels the scene's ``pixel_coords`` are.
    """
    boxes = [_stated_box(thing) if "box" in thing else box_from_position(thing, raw, size) for thing in raw["objects"]]
    objects = [_clevr_object(thing, i, boxes[i], index_picture) for i, thing in enumerate(raw["objects"])]
    relations = [
        Relation(subject, CLEVR_PREDICATES[name], target)
        for name, neighbours in (raw.get("relationships") or {}).items()
        if name in CLEVR_PREDICATES
        for target, subjects in enumerate(neighbours)
        for subject in subjects
    ]
    return Scene(tuple(objects), tuple(relations))


def _stated_box(thing: dict[str, Any]) -> Box:
    """The box of a rendered object, clipped to the canvas, as its mask is."""
    x0, y0, x1, y1 = np.clip(thing["box"], 0.0, 1.0).tolist()
    return (x0, y0, x1, y1)


def box_from_position(thing: dict[str, Any], scene: dict[str, Any], size: tuple[int, int] = OFFICIAL_SIZE) -> Box:
    """The box of an object from its 3-D and pixel position, by Canonical Sg2Im's formula (its CLEVR loader).

    The formula is for 480 x 320 pixels; extents grow with the width, as under one lens. Clipped to the canvas.
    """
    x, y, z = thing["3d_coords"]
    cosine, sine = scene["directions"]["right"][:2]
    across = x * cosine + y * sine
    depth = y * cosine - across * sine  # with the turned x, as the original has it
    half = up = down = 6.9 * z * (15 - depth) / 2
    if thing["shape"] == "cylinder":
        distance, height = 9.4 + depth, 6.4
        ratio = z * (height / distance + 1) / (z * (height / distance + 1) - z * (height - z) / distance)
        up *= ratio
        down = up * (height - z + distance) / (height + z + distance)
        half *= 11 / (10 + depth)
    elif thing["shape"] == "cube":
        half, up, down = (extent * 13 / (10 + depth) for extent in (half, up, down))
    scale = size[0] / OFFICIAL_SIZE[0]
    px, py = thing["pixel_coords"][:2]
    corners = np.array([px - half * scale, py - down * scale, px + half * scale, py + up * scale])
    x0, y0, x1, y1 = np.clip(corners / [*size, *size], 0, 1).tolist()
    return (x0, y0, x1, y1)


def _clevr_object(thing: dict[str, Any], index: int, box: Box, index_picture: np.ndarray | None) -> SceneObject:
    mask = None
    if index_picture is not None:
        height, width = index_picture.shape
        x0, y0, x1, y1 = (round(v * s) for v, s in zip(box, (width, height, width, height), strict=True))
        mask = index_picture[y0:y1, x0:x1] == index + 1
    return SceneObject(thing["shape"], (thing["size"], thing["color"], thing["material"]), box, mask)


def _tidy(record: Record, left_out: Reasons) -> Record:
    return {**record, "image_filename": str(record["image_filename"])}


def _scene_file(path: Path) -> Path:
    return path / "scenes.json" if path.is_dir() else path


def _folder_of(root: Path) -> Path:
    """The folder of a data set whose root may be a scenes file, in CLEVR's tree or not."""
    if not root.is_file():
        return root
    return root.parent.parent if root.parent.name == "scenes" else root.parent


def _index_picture(path: Path) -> np.ndarray:
    try:
        return np.array(Image.open(path))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise Skip("mask picture is damaged or not a picture", str(path)) from None


def _dialog_pictures(path: Path) -> set[str]:
    """Names of the pictures in a CLEVR-Dialog file: a list of records, each of one picture."""
    names = {record.get("image_filename") for record in stream_json(path, "item") if isinstance(record, dict)}
    if not names - {None}:
        raise UserError(f"{path}: not a CLEVR-Dialog file: no record has an image_filename")
    return {str(name) for name in names}


def _read_graphs(path: Path) -> list[dict[str, Any]]:
    """Canonical Sg2Im's ``scene_graphs.pkl``: records without pictures, plain data only."""
    value = load_plain_pickle(path)
    graphs = [value[i] for i in range(len(value))] if isinstance(value, dict | list | tuple) else []
    if not graphs or not all(isinstance(graph, dict) and "objects" in graph and "boxes" in graph for graph in graphs):
        raise UserError(f"{path}: expected records with 'objects' and 'boxes'")
    return graphs


def _graph_scene(graph: dict[str, Any]) -> Scene:
    """A record of :func:`_read_graphs` as a Scene; boxes there are x, y, width, height."""
    objects = tuple(
        SceneObject(thing["shape"], (thing["size"], thing["color"], thing["material"]), (x, y, x + w, y + h))
        for thing, (x, y, w, h) in zip(graph["objects"], graph["boxes"], strict=False)
    )
    names = list(CLEVR_PREDICATES.values())
    known = {**{name: name for name in names}, **CLEVR_PREDICATES}
    relations = [
        Relation(int(s), known[p], int(o))
        for s, p, o in graph.get("relationships", [])
        if p in known and max(int(s), int(o)) < len(objects)
    ]
    return Scene(objects, tuple(relations))
