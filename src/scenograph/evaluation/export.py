"""Pictures, or crops of their objects, as plain files for other programs: of a pack, or generated ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, PositiveInt

from scenograph.data.pack import Pack, read_record
from scenograph.data.records import Reasons, Skip
from scenograph.errors import UserError, validate
from scenograph.evaluation.crops import object_crop
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.session import picture_file, scenes_file
from scenograph.files import make_folder, read_json, safe_names, would_replace, write_atomically
from scenograph.nn.crops import crop_boxes
from scenograph.pipelines.provenance import shown_scene
from scenograph.scenes.batch import images_to_uint8, picture_to_pixels, pixels_to_tensor
from scenograph.scenes.fields import Box
from scenograph.scenes.png import is_png
from scenograph.scenes.scene import Scene, load_scenes

CropRule = Literal["lama", "sg2im", "scene-designer"]
"""How an original cuts an object out of a picture; none adds a margin around the box.

``lama``: corners become whole pixels, rounded down in generated pictures and up in real ones; bicubic. ``sg2im``, and
PasteGAN: bilinear samples on a grid from edge to edge of the box. ``scene-designer``: the same on a picture that ends
one pixel early, by an inexactness of its sampler.
"""


@dataclass(frozen=True)
class Shown:
    """A picture, what it shows, and a name for its files."""

    name: str
    picture: Image.Image
    scene: Scene


class Collection(Protocol):
    """Where pictures come from."""

    generated: bool

    def __len__(self) -> int: ...

    def read(self, index: int) -> Shown:
        """One picture. Raises ``Skip`` if there is none, ``UserError`` if it cannot be read."""
        ...


class _PackPictures:
    generated = False

    def __init__(self, folder: Path, split: str | None) -> None:
        splits = sorted(read_record(folder)["splits"])
        if split is None and len(splits) > 1:
            raise UserError(f"{folder}: name the split to export with --split: {', '.join(splits)}")
        self.pack = Pack(folder, split or splits[0])
        without = tuple(name for name in self.pack.table.column_names if name != "id")
        self.names = safe_names(str(row["id"]) for row in self.pack.rows(range(len(self.pack)), without))

    def __len__(self) -> int:
        return len(self.pack)

    def read(self, index: int) -> Shown:
        scene, picture = self.pack[index]
        if picture is None:
            raise Skip("scene without a picture", self.names[index])
        return Shown(self.names[index], picture, scene)


class _GeneratedPictures:
    generated = True

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(path for path in folder.glob("*.png") if is_png(path))

    def __len__(self) -> int:
        return len(self.paths)

    def read(self, index: int) -> Shown:
        path = self.paths[index]
        scene = shown_scene(path)
        if scene is None:
            raise Skip("picture that does not tell what it shows, such as a sheet", path.name)
        return Shown(path.stem, read_picture(path), scene)


class _Settings(BaseModel):
    repeats: PositiveInt


class _Evaluation(BaseModel):
    """What is needed of an evaluation's request."""

    protocol: _Settings


class _EvaluatedPictures:
    generated = True

    def __init__(self, folder: Path) -> None:
        request = validate(_Evaluation, read_json(folder / "request.json"), str(folder / "request.json"))
        self.folder, self.repeats = folder, request.protocol.repeats
        files = sorted((folder / "chunks").glob("scenes-*.json"))
        if not files or not (folder / "pictures").is_dir():
            raise UserError(f"{folder}: an evaluation that rendered no pictures")
        self.scenes = [scene for number in range(len(files)) for scene in load_scenes(scenes_file(folder, number))]

    def __len__(self) -> int:
        return len(self.scenes)

    def read(self, index: int) -> Shown:
        path = picture_file(self.folder / "pictures", *divmod(index, self.repeats), self.repeats)
        return Shown(path.stem, read_picture(path), self.scenes[index])


def open_collection(source: Path, split: str | None = None) -> Collection:
    """The pictures of a pack, of an evaluation, or those that ``scenograph generate`` wrote to a folder.

    Raises ``UserError`` if ``source`` is none of them, or for the split of what has none.
    """
    if (source / "pack.json").is_file():
        return _PackPictures(source, split)
    if split is not None:
        raise UserError(f"--split {split}: {source} is no pack, and has no splits")
    found = _EvaluatedPictures(source) if (source / "chunks").is_dir() else _GeneratedPictures(source)
    if not len(found):
        raise UserError(f"{source} is no pack, no evaluation, and no folder of generated pictures (.png)")
    return found


@dataclass(frozen=True)
class Export:
    """What is written of each picture.

    Args:
        out: A folder, made if it is missing.
        size: Pictures are stretched to this side first (bilinear, as the originals' loaders do); they keep theirs
            without.
        crops: Side of a crop of each object, instead of the picture.
        by_class: A folder for each category of crops.
        rule: How crops are cut.
        overwrite: Replace files that differ.
    """

    out: Path
    size: int | None = None
    crops: int | None = None
    by_class: bool = False
    rule: CropRule = "lama"
    overwrite: bool = False
    left_out: Reasons = field(default_factory=Reasons)
    """What is not written and why, once it is run."""

    def run(self, pictures: Collection) -> Iterator[int]:
        """Write picture after picture; yields how many files were written of each. A damaged one stops nothing.

        Raises ``UserError`` if a file cannot be written, or would replace another.
        """
        make_folder(self.out)
        for index in range(len(pictures)):
            try:
                shown = pictures.read(index)
            except Skip as skip:
                self.left_out.note(str(skip), skip.example)
                yield 0
                continue
            except UserError as error:
                self.left_out.note("picture is missing or damaged", str(error))
                yield 0
                continue
            if self.size is not None:
                picture = shown.picture.convert("RGB").resize((self.size, self.size), Image.Resampling.BILINEAR)
                shown = Shown(shown.name, picture, shown.scene)
            files = self._crops(shown, pictures.generated) if self.crops else [(f"{shown.name}.png", shown.picture)]
            for name, picture in files:
                self._write(self.out / name, picture)
            yield len(files)

    def _crops(self, shown: Shown, generated: bool) -> list[tuple[str, Image.Image]]:
        assert self.crops is not None
        cut = _cutter(self.rule, shown.picture.convert("RGB"), self.crops, generated)
        files = []
        for number, thing in enumerate(shown.scene.objects):
            if thing.box is None:
                self.left_out.note("object without a box", f"{shown.name}, object {number}")
                continue
            folder = f"{safe_names([thing.category])[0]}/" if self.by_class else ""
            files.append((f"{folder}{shown.name}-{number}.png", cut(thing.box)))
        return files

    def _write(self, path: Path, picture: Image.Image) -> None:
        stream = io.BytesIO()
        picture.convert("RGB").save(stream, "PNG")
        content = stream.getvalue()
        if path.exists():
            if path.read_bytes() == content:
                return
            if not self.overwrite:
                raise would_replace(path)
        make_folder(path.parent)
        write_atomically(path, content)


def _cutter(rule: CropRule, picture: Image.Image, side: int, generated: bool) -> Callable[[Box], Image.Image]:
    """What cuts the boxes out of a picture, as (side, side)."""
    if rule == "lama":
        rounding: Literal["down", "up"] = "down" if generated else "up"
        return lambda box: Image.fromarray(object_crop(picture, box, side, rounding))
    pixels = pixels_to_tensor(picture_to_pixels(picture, picture.height, picture.width)[None])
    lost = 1 if rule == "scene-designer" else 0
    width, height = picture.size
    ends = torch.tensor([(length - 1 - lost) / max(length - 1, 1) for length in (width, height, width, height)])
    return partial(_sampled, pixels, ends, side)


def _sampled(pixels: torch.Tensor, ends: torch.Tensor, side: int, box: Box) -> Image.Image:
    """A box of a picture (1, 3, H, W), whose last pixels lie at ``ends`` (4,), by bilinear samples."""
    boxes = torch.from_numpy(np.clip(np.array([box], np.float32), 0, 1)) * ends
    return images_to_uint8(crop_boxes(pixels, boxes, torch.zeros(1, dtype=torch.long), side, side))[0]
