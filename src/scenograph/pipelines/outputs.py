"""All files that a request leaves in a folder, known before anything is rendered: pictures, and what goes with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from scenograph.data.pictures import read_rgb
from scenograph.data.processes import WHOLE, Part
from scenograph.files import would_replace
from scenograph.pipelines.provenance import PlannedPicture, Request, has_record, plan_pictures, png_bytes
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.drawing import contact_sheet, draw_graph, draw_layout
from scenograph.scenes.scene import Scene, scenes_to_json
from scenograph.scenes.text import scene_to_text

TOGETHER = 32
"""Pictures in a batch."""
ON_SHEET = 256
"""Pictures on a contact sheet, the first ones: viewers refuse what is tens of thousands of pixels high."""
SHEET_SIDE = 160
"""Longer side of pictures on a sheet, in pixels; larger ones keep their size."""
COLUMNS = 8
SHEET_GAP = 8


@dataclass(frozen=True)
class Beside:
    """What is wanted beside the pictures."""

    graphs: bool = False
    """A drawing of each scene's graph."""
    layouts: bool = False
    """A drawing of each picture's layout."""
    layers: bool = False
    """The layers of each picture, as OpenRaster."""
    crops: bool = False
    """The crops that each picture is composed of."""
    annotations: Path | None = None
    """A file of COCO annotations."""
    scenes: Path | None = None
    """A file of the scenes that the pictures show."""


@dataclass(frozen=True)
class OtherFile:
    """A file beside the pictures, and what makes its content from the scenes that all pictures show."""

    path: Path
    content: Callable[[Sequence[Scene]], bytes]


class Outputs:
    """The files of a request. Raises ``UserError`` if a picture or the sheet would replace another file.

    Layers and crops are the renderer's to tell: :attr:`layers` and :attr:`crops` have only the names of their files.
    """

    def __init__(self, request: Request, out: Path, beside: Beside, overwrite: bool = False) -> None:
        self.request, self.out, self.beside, self.overwrite = request, out, beside, overwrite
        self.pictures: list[PlannedPicture] = plan_pictures(request, out, overwrite)
        sheet = self.sheet
        if sheet is not None and sheet.exists() and not overwrite and not has_record(sheet, request.sheet_record()):
            raise would_replace(sheet)

    @property
    def missing(self) -> list[PlannedPicture]:
        """The pictures that are not there yet."""
        return [one for one in self.pictures if not one.exists]

    @property
    def batches(self) -> list[list[PlannedPicture]]:
        """The pictures that are placed and rendered at once: the same ones whoever does it, and whatever is there."""
        return [self.pictures[start : start + TOGETHER] for start in range(0, len(self.pictures), TOGETHER)]

    def left(self, part: Part = WHOLE) -> list[list[PlannedPicture]]:
        """What is missing of each batch of a part. Raises ``UserError`` for anything, if it only merges."""
        batches = part.left(self.batches, lambda batch: all(one.exists for one in batch), str(self.out))
        return [[one for one in batch if not one.exists] for batch in batches]

    @property
    def tells_scenes(self) -> bool:
        """Whether other files tell what the pictures show, so that all their scenes have to be completed."""
        return self.beside.layouts or self.beside.annotations is not None or self.beside.scenes is not None

    def look_again(self) -> None:
        """Take the pictures that others have rendered for what is asked. Raises ``UserError`` for different ones."""
        self.pictures = plan_pictures(self.request, self.out, overwrite=False)

    @property
    def sheet(self) -> Path | None:
        """The contact sheet of several pictures."""
        return self.out / f"{self.request.stem}-sheet.png" if len(self.pictures) > 1 else None

    @property
    def layers(self) -> list[Path]:
        """A file beside each picture, if layers are wanted."""
        return [one.path.with_suffix(".ora") for one in self.pictures] if self.beside.layers else []

    @property
    def crops(self) -> list[Path]:
        """A file beside each picture, if drawings of its crops are wanted."""
        paths = [one.path for one in self.pictures] if self.beside.crops else []
        return [path.with_name(f"{path.stem}-crops.png") for path in paths]

    @property
    def others(self) -> list[OtherFile]:
        """The files beside the pictures, apart from the sheet, the layers and the crops."""
        request, beside, paths = self.request, self.beside, [one.path for one in self.pictures]
        files = []
        if beside.graphs:
            for number, scene in enumerate(request.scenes):
                path = self.out / f"{request.scene_stem(number)}-graph.png"
                files.append(OtherFile(path, partial(_graph_png, scene)))
        if beside.layouts:
            for number, path in enumerate(paths):
                files.append(OtherFile(path.with_name(f"{path.stem}-layout.png"), partial(_layout_png, number)))
        if beside.scenes is not None:
            files.append(OtherFile(beside.scenes, lambda scenes: scenes_to_json(list(scenes)).encode()))
        if beside.annotations is not None:
            files.append(OtherFile(beside.annotations, partial(_annotations, beside.annotations, paths)))
        return files

    @property
    def paths(self) -> list[Path]:
        """Every file that would be written."""
        missing = [one.path for one in self.missing]
        return [
            *missing,
            *self.layers,
            *self.crops,
            *(file.path for file in self.others),
            *([self.sheet] if self.sheet else []),
        ]

    def sheet_bytes(self) -> bytes:
        """The contact sheet, once the pictures are there."""
        images = [read_rgb(one.path) for one in self.pictures[:ON_SHEET]]
        return png_bytes(pictures_sheet(images, self.request), self.request.sheet_record())


def pictures_sheet(images: Sequence[Image.Image], request: Request) -> Image.Image:
    """The first ``ON_SHEET`` pictures of a request, in its order, each with its seed and the scene's name or number."""
    seeds, many = request.seeds, len(request.scenes) > 1
    columns = min(len(seeds), COLUMNS) if len(seeds) > 1 else COLUMNS
    captions = []
    for position in range(min(len(images), ON_SHEET)):
        number, seed = divmod(position, len(seeds))
        name = request.names[number] if request.names else f"scene {number}"
        parts = [name] * many + [f"seed {seeds[seed]}"] * (len(seeds) > 1 or not request.names)
        captions.append(", ".join(parts))
    title = f"{len(request.scenes)} scenes" if many else scene_to_text(request.scenes[0])
    if len(images) > ON_SHEET or len(request.scenes) * len(seeds) > ON_SHEET:
        title = f"the first {ON_SHEET} pictures of {title}"
    return contact_sheet(images[:ON_SHEET], columns, SHEET_GAP, captions, title, SHEET_SIDE)


def _graph_png(scene: Scene, _: Sequence[Scene]) -> bytes:
    return draw_graph(scene).to_png()


def _layout_png(number: int, scenes: Sequence[Scene]) -> bytes:
    return draw_layout(scenes[number]).to_png()


def _annotations(path: Path, pictures: Sequence[Path], scenes: Sequence[Scene]) -> bytes:
    """With the names of pictures relative to the folder of the annotations, wherever both are moved together."""
    width, height = read_rgb(pictures[0]).size
    names = [Path(os.path.relpath(picture, path.parent)).as_posix() for picture in pictures]
    return (json.dumps(coco_annotations(scenes, names, width, height), indent=1) + "\n").encode()
