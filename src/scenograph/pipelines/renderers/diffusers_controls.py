"""What a scene gives a diffusion model besides words: control pictures, regions, boxes, a picture to start from."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from scenograph.data.pictures import read_rgb
from scenograph.errors import NOTE, UserError, suggest, with_article
from scenograph.files import is_file
from scenograph.models.base import ImageModel
from scenograph.models.registry import AutoModel
from scenograph.pipelines.defaults import COLLAGE
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.provenance import picture_digest
from scenograph.pipelines.renderers.base import Renderer
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.pipelines.renderers.diffusers_engines import (
    BOXES,
    REGIONS,
    ControlForm,
    Engine,
    default_network,
    kind_of,
)
from scenograph.pipelines.renderers.network import NetworkRenderer
from scenograph.scenes.batch import images_to_uint8
from scenograph.scenes.completion import complete_attributes
from scenograph.scenes.controls import KINDS, draw_controls
from scenograph.scenes.exports import export_scene
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Scene
from scenograph.scenes.silhouettes import back_to_front, boxes_of, spread_regions, visible_objects
from scenograph.scenes.synonyms import with_known_names
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

FEATHER = 1 / 32
"""Width of the soft edge around a box that is painted again, as a fraction of the picture's side."""
SMALLEST_REFERENCE, NARROWEST = 64, 8
"""Shorter side of reference pictures, in pixels, and how often it goes into the longer one at most: FLUX.2's limits."""


@dataclass(frozen=True)
class Control:
    """A control picture, and the network that it is for."""

    kind: str
    source: str
    """A folder, a hub id, or the path or the hub's address, ``owner/name/file``, of one file of weights."""
    weight: float | None
    """None for the family's."""


def read_controls(texts: Sequence[str], engine: Engine) -> list[Control]:
    """The control networks of ``KIND``, ``KIND=ID``, ``ID``, each with ``@WEIGHT`` if wanted.

    Regions are none, nor are the boxes that GLIGEN takes.


    Raises ``UserError`` for a kind that there is none of, and for one for which the family has no network.
    """
    controls = []
    for text in texts:
        named, weight = _with_weight(text)
        kind, equals, source = named.partition("=")
        if kind == REGIONS:
            if not engine.regions or equals:
                what = "is no network; leave the ID out" if equals else f"{engine.name} takes {engine.takes}"
                raise UserError(f"--control {text}: {what}")
            continue
        if engine.boxes and named == BOXES:
            if weight is not None and weight > 1:
                raise UserError(f"--control {text}: of {engine.name}, the weight is a share of steps, at most 1")
            continue
        if not equals and kind not in KINDS:
            kind, source = kind_of(kind), kind
        if kind not in KINDS:
            raise UserError(f"--control {text}: unknown control picture {kind!r} {suggest(kind, [*KINDS, REGIONS])}")
        if not engine.controls:
            raise UserError(f"--control {text}: {engine.name} takes no control networks, but {engine.takes}")
        controls.append(Control(kind, source or default_network(engine, kind).source, weight))
    return controls


def _with_weight(text: str) -> tuple[str, float | None]:
    found = re.fullmatch(r"(.+)@(\d*\.?\d+)", text)
    if found is None:
        return text, None
    if not 0 < float(found[2]) <= 2:
        raise UserError(f"--control {text}: a weight is above 0 and at most 2")
    return found[1], float(found[2])


def share_of_boxes(texts: Sequence[str]) -> float | None:
    """In which share of the steps GLIGEN heeds boxes; None for its own."""
    return next((weight for named, weight in map(_with_weight, texts) if named == BOXES), None)


def stronger_controls(texts: Sequence[str], usual: float, factor: float, most: float) -> tuple[str, ...]:
    """The controls, except regions, with weights times a factor, none above ``most``; ``usual`` is that of others."""
    result = []
    for text in texts:
        named, weight = _with_weight(text)
        weight = min((usual if weight is None else weight) * factor, most)
        result.append(text if named == REGIONS else f"{named}@{weight:.3g}")
    return tuple(result)


def check_form(form: ControlForm, configs: Sequence[dict[str, Any]], controls: Sequence[Control]) -> None:
    """Raise ``UserError`` for control pictures that networks of this form do not know, or not several at once."""
    for config, control in zip(configs, controls, strict=True):
        if form.union and config.get(form.union) and control.kind not in form.modes:
            known = ", ".join(form.modes)
            raise UserError(f"--control {control.kind}: the union {control.source} knows {known}")
    sources = {control.source for control in controls}
    if len(controls) > 1 and form.several is None and not (form.shared and len(sources) == 1):
        what = "one network, of which it draws several kinds" if form.shared else "one control picture"
        raise UserError(f"--control {controls[1].kind}: a {form.network} is used with {what}; leave others out")


@dataclass(frozen=True, eq=False)
class Given:
    """What one picture is drawn from."""

    scene: Scene
    """With the shapes that control pictures show."""
    prompt: str
    side: int
    controls: list[Image.Image]
    """RGB, one for each control."""
    start: Image.Image | None
    """RGB, what image-to-image starts from."""
    references: list[Image.Image]
    mask: np.ndarray | None = None
    """(side, side) in [0, 1]: how much of each pixel of ``start`` is painted again."""


def soft_box(box: Box, side: int) -> np.ndarray:
    """1 in a box, falling to 0 over :data:`FEATHER` around it: (side, side) float32, at the pixels' centres."""
    x0, y0, x1, y1 = box
    centres = (np.arange(side) + 0.5) / side
    across, down = (np.maximum(low - centres, centres - high).clip(0) for low, high in ((x0, x1), (y0, y1)))
    return np.clip(1 - np.maximum(across[None], down[:, None]) / FEATHER, 0, 1).astype(np.float32)


def repaint_masks(scene: Scene, numbers: Sequence[int], side: int) -> dict[int, np.ndarray]:
    """How much of each pixel is painted again for objects, by their numbers, the farthest first.

    That is their soft box, without those of what is nearer, which stay as they are.

    Args:
        scene: Every object has a box.
        numbers: Of those that are painted again. What is hidden wholly is left out.
        side: Of the picture, in pixels.
    """
    order, boxes, masks = back_to_front(scene), boxes_of(scene), {}
    for place, number in enumerate(order):
        if number not in numbers:
            continue
        mask = soft_box(boxes[number], side)
        for other in order[place + 1 :]:
            if other not in numbers:
                mask *= 1 - soft_box(boxes[other], side)
        if (mask == 1).any():
            masks[number] = mask
    return masks


def control_pictures(scene: Scene, controls: Sequence[Control], side: int) -> list[Image.Image]:
    """A picture for each control, RGB, of the size of the picture to be drawn."""
    drawn = draw_controls(scene, dict.fromkeys(control.kind for control in controls), side, side) if controls else {}
    return [drawn[control.kind].convert("RGB") for control in controls]


def region_masks(scene: Scene, side: int) -> dict[int, np.ndarray]:
    """Of each object that is visible, by its number, the pixels that show it: (side, side) bool."""
    spread = spread_regions(scene)
    shown = visible_objects(spread, back_to_front(spread), side, side)
    masks = {number: shown == number for number in range(len(scene.objects))}
    return {number: mask for number, mask in masks.items() if mask.any()}


def gligen_arguments(scene: Scene, side: int) -> dict[str, Any]:
    """The phrases and boxes of a scene as GLIGEN takes them."""
    arguments = json.loads(export_scene(scene, "gligen", side, side, "scene")["scene-gligen.json"])
    return {name: value for name, value in arguments.items() if name.startswith("gligen_")}


class Starts:
    """Pictures to start from or to refer to: a file, the collage, or what one of our image models draws."""

    def __init__(self, device: torch.device, collage: CollageRenderer) -> None:
        self.device, self.collage = device, collage
        self._renderers: dict[str, Renderer] = {COLLAGE: collage}

    def pictures(
        self, start: str | Image.Image, scenes: Sequence[Scene], seeds: Sequence[int], side: int
    ) -> list[Image.Image]:
        """A square RGB picture for each scene. Raises ``UserError`` for no picture, and names that are not known."""
        if isinstance(start, Image.Image) or is_file(start):
            whole = start.convert("RGB") if isinstance(start, Image.Image) else read_rgb(Path(start))
            return [ImageOps.fit(whole, (side, side), Image.Resampling.LANCZOS)] * len(scenes)
        name, renderer, drawn = start, self._renderer(start), []
        for scene, seed in zip(scenes, seeds, strict=True):
            known = scene if renderer.vocabulary is None else _in_names(scene, renderer.vocabulary, name)
            if renderer.vocabulary is not None and renderer.completes_attributes:
                known = complete_attributes(known, renderer.vocabulary, seed)
            made = renderer.render(renderer.condition([known], [seed], GenerateOptions(size=min(side, 2048))))
            drawn.append(images_to_uint8(made)[0].resize((side, side), Image.Resampling.LANCZOS))
        return drawn

    def digest(self, start: str | Image.Image) -> str:
        """The checksum of a picture, or of what draws one. Raises ``UserError`` as :meth:`pictures`."""
        if isinstance(start, Image.Image) or is_file(start):
            return picture_digest(start if isinstance(start, Image.Image) else Path(start))
        return self._renderer(start).digest

    def _renderer(self, name: str) -> Renderer:
        if name not in self._renderers:
            if Path(name).suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
                raise UserError(f"--start {name}: no such file")
            model = AutoModel.from_pretrained(name, others=(COLLAGE,))
            if not isinstance(model, ImageModel):
                raise UserError(f"--start {name}: {with_article(model.name)}, which draws no pictures")
            self._renderers[name] = NetworkRenderer(model.to(self.device))
        renderer = self._renderers[name]
        if renderer.needs_crops or renderer.places:
            raise UserError(f"--start {name}: needs more than boxes; start from a picture file, or {COLLAGE}")
        return renderer


def _in_names(scene: Scene, names: Vocabulary, start: str) -> Scene:
    """The scene in the names of what draws a picture to start from, without relations that these lack."""
    (known,) = with_known_names([scene], names)
    kept = tuple(relation for relation in known.relations if relation.predicate in names.predicate_index)
    try:
        names.check([replace(known, relations=kept)])
    except UserError as error:
        raise UserError(f"--start {start}: {error}; start from a picture file, or from another model") from error
    return replace(known, relations=kept)


def crops_of(scene: Scene) -> list[Image.Image]:
    """The crops that a scene's objects have, on white."""
    crops = [thing.crop for thing in scene.objects if thing.crop is not None]
    pictures = [Image.fromarray(np.ascontiguousarray(crop)) for crop in crops]
    white = [Image.new("RGBA", picture.size, "white") for picture in pictures]
    return [Image.alpha_composite(*pair).convert("RGB") for pair in zip(white, pictures, strict=True)]


def as_many(pictures: list[Image.Image], engine: Engine) -> list[Image.Image]:
    """As many reference pictures as a family takes, none too small; a note says how many are left out."""
    if len(pictures) > engine.references:
        log.log(NOTE, "%s takes %d reference pictures of %d: the first", engine.name, engine.references, len(pictures))
    return [_large_enough(picture) for picture in pictures[: engine.references]]


def _large_enough(picture: Image.Image) -> Image.Image:
    """A picture on white as far as it is narrow, and enlarged as far as it is small, for models to read."""
    width, height = (max(side, math.ceil(max(picture.size) / NARROWEST)) for side in picture.size)
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(picture, ((width - picture.width) // 2, (height - picture.height) // 2))
    scale = SMALLEST_REFERENCE / min(width, height)
    size = math.ceil(width * scale), math.ceil(height * scale)
    return canvas if scale <= 1 else canvas.resize(size, Image.Resampling.BICUBIC)
