"""Placed scenes in the forms that other tools read. ``docs/engines.md`` says which version of which tool, and how.

A form is a row of :data:`EXPORTS`. What a tool cannot express is said in a note, never left out in silence.
"""

from __future__ import annotations

import colorsys
import json
import logging
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scenograph.errors import NOTE, UserError, suggest
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.controls import check_sides, draw_controls
from scenograph.scenes.fields import CANVAS, Box
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.masks import outlines
from scenograph.scenes.palettes import instance_color
from scenograph.scenes.png import png_of, png_to_text
from scenograph.scenes.scene import Scene, SceneObject, cut
from scenograph.scenes.silhouettes import (
    back_to_front,
    boxes_of,
    pixel_box,
    silhouette,
    spread_regions,
    visible_objects,
)
from scenograph.scenes.text import scene_to_text

log = logging.getLogger(__name__)

MOST_GLIGEN_BOXES = 30
"""GLIGEN was trained with as many (Li et al. 2023)."""
STEP = 8
"""Stable Diffusion's sides in pixels, and ComfyUI's places in GLIGEN boxes, are multiples of it."""
BASE_RATIO = 0.2
"""Regional Prompter mixes the prompt of the whole scene into each region by this part."""
CHECKPOINT, GLIGEN = "v1-5-pruned-emaonly-fp16.safetensors", "gligen_sd14_textbox_pruned.safetensors"
"""Names of the files that ComfyUI's own examples load; choose others in its nodes."""
INKSCAPE = "http://www.inkscape.org/namespaces/inkscape"


@dataclass(frozen=True)
class Exported:
    """A placed scene and the picture that another tool is to make of it."""

    scene: Scene
    width: int
    height: int
    stem: str
    """What names of files begin with."""

    @cached_property
    def prompt(self) -> str:
        """The whole scene in words: all objects and relations."""
        spoken = (replace(thing, category=_spoken(thing.category)) for thing in self.scene.objects)
        return scene_to_text(replace(self.scene, objects=tuple(spoken)))

    @cached_property
    def seen(self) -> list[SceneObject]:
        """The objects that are on the canvas, cut at its borders."""
        parts = (cut(thing, CANVAS) for thing in self.scene.objects)
        return [thing for thing in parts if thing is not None]

    @cached_property
    def boxes(self) -> list[Box]:
        """Of :attr:`seen`."""
        return boxes_of(Scene(tuple(self.seen)))

    @property
    def sides(self) -> dict[str, int]:
        """Width and height as Stable Diffusion takes them."""
        return {"width": _multiple(self.width), "height": _multiple(self.height)}


def export_scene(scene: Scene, form: str, width: int, height: int, stem: str) -> dict[str, bytes]:
    """A placed scene in the form of another tool.

    Args:
        scene: All its objects have boxes.
        form: A name of :data:`EXPORTS`.
        width: Of the picture to be made, in pixels.
        height: Of the picture to be made, in pixels.
        stem: What the names of the files begin with.

    Returns:
        The content of each file, by its name.

    Raises:
        UserError: The form is unknown, a side is too small or too large, or an object has no box.
    """
    check_forms([form])
    check_sides(width, height)
    boxes_of(scene)
    return EXPORTS[form](Exported(spread_regions(scene), width, height, stem))


def check_forms(forms: Iterable[str]) -> None:
    """Raise ``UserError`` for a form that there is none of, naming the nearest."""
    for form in forms:
        if form not in EXPORTS:
            raise UserError(f"unknown form of export {form!r} {suggest(form, EXPORTS)}")


def _gligen(given: Exported) -> dict[str, bytes]:
    """The arguments of diffusers' ``StableDiffusionGLIGENPipeline``."""
    kept = _largest(given)
    arguments = {
        "prompt": given.prompt,
        "gligen_phrases": [phrase(thing) for thing, _ in kept],
        "gligen_boxes": [[round(value, 4) for value in box] for _, box in kept],
        "gligen_scheduled_sampling_beta": 1.0,
        **given.sides,
    }
    return {f"{given.stem}-gligen.json": _json(arguments)}


def _largest(given: Exported) -> list[tuple[SceneObject, Box]]:
    """As many objects as GLIGEN takes, in the scene's order; a note names those that are too small."""
    pairs = list(zip(given.seen, given.boxes, strict=True))
    by_area = sorted(pairs, key=lambda pair: (pair[1][0] - pair[1][2]) * (pair[1][3] - pair[1][1]))
    kept = {id(thing) for thing, _ in by_area[:MOST_GLIGEN_BOXES]}
    left_out = [phrase(thing) for thing, _ in pairs if id(thing) not in kept]
    if left_out:
        log.log(NOTE, "GLIGEN takes %d boxes; the smallest are left out: %s", MOST_GLIGEN_BOXES, ", ".join(left_out))
    return [(thing, box) for thing, box in pairs if id(thing) in kept]


def _comfyui(given: Exported) -> dict[str, bytes]:
    """ComfyUI's API form: a prompt for each box, as an area of the conditioning, joined to that of the whole scene."""
    graph = _Graph()
    model = graph.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    positive = graph.add("CLIPTextEncode", text=given.prompt, clip=[model, 1])
    for thing, (x0, y0, x1, y1) in zip(given.seen, given.boxes, strict=True):
        spoken = graph.add("CLIPTextEncode", text=phrase(thing), clip=[model, 1])
        place = {"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}
        rounded = {name: round(value, 4) for name, value in place.items()}
        area = graph.add("ConditioningSetAreaPercentage", conditioning=[spoken, 0], **rounded, strength=1.0)
        positive = graph.add("ConditioningCombine", conditioning_1=[positive, 0], conditioning_2=[area, 0])
    graph.sample(model, positive, given)
    return {f"{given.stem}-comfyui.json": _json(graph.nodes)}


def _comfyui_gligen(given: Exported) -> dict[str, bytes]:
    """ComfyUI's API form: the prompt of the whole scene, and a GLIGEN box for each object."""
    graph = _Graph()
    model = graph.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT)
    gligen = graph.add("GLIGENLoader", gligen_name=GLIGEN)
    positive = graph.add("CLIPTextEncode", text=given.prompt, clip=[model, 1])
    width, height = given.sides["width"], given.sides["height"]
    for thing, (x0, y0, x1, y1) in _largest(given):
        left, top = (min(round(start * side / STEP) * STEP, side - STEP) for start, side in ((x0, width), (y0, height)))
        positive = graph.add(
            "GLIGENTextBoxApply",
            conditioning_to=[positive, 0],
            clip=[model, 1],
            gligen_textbox_model=[gligen, 0],
            text=phrase(thing),
            width=max(round(x1 * width / STEP) * STEP - left, STEP),
            height=max(round(y1 * height / STEP) * STEP - top, STEP),
            x=left,
            y=top,
        )
    graph.sample(model, positive, given)
    return {f"{given.stem}-comfyui-gligen.json": _json(graph.nodes)}


class _Graph:
    """A workflow in ComfyUI's API form; links are the name of a node and the number of its output."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def add(self, kind: str, **inputs: Any) -> str:
        """Add a node and return its name."""
        name = str(len(self.nodes) + 1)
        self.nodes[name] = {"class_type": kind, "inputs": inputs}
        return name

    def sample(self, model: str, positive: str, given: Exported) -> None:
        """Add what makes a picture from a prompt and saves it."""
        negative = self.add("CLIPTextEncode", text="", clip=[model, 1])
        latent = self.add("EmptyLatentImage", **given.sides, batch_size=1)
        sampled = self.add(
            "KSampler",
            model=[model, 0],
            positive=[positive, 0],
            negative=[negative, 0],
            latent_image=[latent, 0],
            seed=0,
            steps=20,
            cfg=7.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        picture = self.add("VAEDecode", samples=[sampled, 0], vae=[model, 2])
        self.add("SaveImage", images=[picture, 0], filename_prefix=given.stem)


def _invokeai(given: Exported) -> dict[str, bytes]:
    """A picture of the objects whose metadata InvokeAI reads as a canvas with a region, mask and prompt, for each."""
    regions = [_region(given, number) for number in range(len(given.seen))]
    layers: dict[str, list[Any]] = {
        name: [] for name in ("controlLayers", "inpaintMasks", "rasterLayers", "referenceImages")
    }
    metadata = {
        "positive_prompt": given.prompt,
        **given.sides,
        "canvas_v2_metadata": {**layers, "regionalGuidance": regions},
    }
    text = PngInfo()
    text.add_text("invokeai_metadata", json.dumps(metadata))
    picture = draw_controls(given.scene, ["segmentation"], given.width, given.height, "instances")["segmentation"]
    return {f"{given.stem}-invokeai.png": png_of(picture, text)}


def _region(given: Exported, number: int) -> dict[str, Any]:
    """A regional guidance layer of InvokeAI: a rectangle where an object is its box, else its mask as a picture."""
    thing = given.seen[number]
    color = dict(zip("rgb", instance_color(number), strict=True))
    pixels = silhouette(thing, given.width, given.height)
    assert pixels is not None, "it is on the canvas"
    height, width = pixels.mask.shape
    shape: dict[str, Any]
    if pixels.mask.all():
        box = {"x": 0, "y": 0, "width": width, "height": height}
        shape = {"id": f"rect:{number}", "type": "rect", "rect": box, "color": color | {"a": 1}}
    else:
        layer = np.dstack([np.full((height, width, 3), 255, np.uint8), pixels.mask.astype(np.uint8) * 255])
        url = f"data:image/png;base64,{png_to_text(layer)}"
        image = {"dataURL": url, "width": width, "height": height}
        shape = {"id": f"image:{number}", "type": "image", "image": image}
    return {
        "id": f"regional_guidance:{number}",
        "name": phrase(thing),
        "isEnabled": True,
        "isLocked": False,
        "type": "regional_guidance",
        "position": {"x": pixels.left, "y": pixels.top},
        "opacity": 0.5,
        "objects": [shape],
        "fill": {"style": "solid", "color": color},
        "positivePrompt": phrase(thing),
        "negativePrompt": None,
        "referenceImages": [],
        "autoNegative": False,
    }


def _regional_prompts(given: Exported) -> dict[str, bytes]:
    """A request for AUTOMATIC1111's web UI with Regional Prompter in its mask mode, and the mask."""
    width, height = given.sides["width"], given.sides["height"]
    objects = visible_objects(given.scene, back_to_front(given.scene), width, height)
    # A region without a pixel would shift the prompts of all that follow, so that what is hidden has none.
    visible = [number for number in range(len(given.scene.objects)) if (objects == number).any()]
    mask = np.full((height, width, 3), 255, dtype=np.uint8)
    for region, number in enumerate(visible):
        mask[objects == number] = _region_color(region)
    name = f"{given.stem}-regional-prompts.png"
    settings = [True, False, "Mask", "Columns", "Mask", "Prompt", "1,1,1", str(BASE_RATIO), True, False, False]
    settings += ["Attention", False, "0", "0", "0", name, "0", "0", False]
    phrases = " BREAK\n".join(phrase(given.scene.objects[number]) for number in visible)
    request = {
        "prompt": f"{given.prompt} ADDBASE\n{phrases}",
        **given.sides,
        "alwayson_scripts": {"Regional Prompter": {"args": settings}},
    }
    return {f"{given.stem}-regional-prompts.json": _json(request), name: png_of(Image.fromarray(mask))}


def _region_color(number: int) -> tuple[int, ...]:
    """The colour of a region of Regional Prompter: half saturated, half bright; hues 0, 1/2, 1/4, 3/4, 1/8, 3/8, ..."""
    rounds = math.ceil(math.log2(number + 1))
    hue = (2 * (number - 2 ** (rounds - 1)) + 1) / 2**rounds if number else 0.0
    return tuple(int(value * 256) for value in colorsys.hsv_to_rgb(hue, 0.5, 0.5))


def _coco(given: Exported) -> dict[str, bytes]:
    """COCO's instances, for a picture that is named like the other files."""
    content = coco_annotations([given.scene], [f"{given.stem}.png"], given.width, given.height)
    return {f"{given.stem}-coco.json": _json(content)}


def _svg(given: Exported) -> dict[str, bytes]:
    """A layer for each object, the farthest first, with its outline and strokes; Inkscape shows their names."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="{INKSCAPE}" width="{given.width}" '
        f'height="{given.height}" viewBox="0 0 {given.width} {given.height}">',
        f"<title>{escape(given.prompt)}</title>",
    ]
    for number in back_to_front(given.scene):
        thing = cut(given.scene.objects[number], CANVAS)
        if thing is None or thing.box is None:
            continue
        color = "#{:02x}{:02x}{:02x}".format(*instance_color(number))
        lines.append(
            f'<g id="object-{number}" inkscape:groupmode="layer" inkscape:label={quoteattr(phrase(thing))} '
            f'fill="{color}">'
        )
        lines += [*_outline(thing, given.width, given.height), *_lines(thing, given.width, given.height), "</g>"]
    return {f"{given.stem}.svg": "\n".join([*lines, "</svg>", ""]).encode()}


def _outline(thing: SceneObject, width: int, height: int) -> list[str]:
    """The outline of a mask, or the box."""
    pixels = silhouette(thing, width, height)
    if pixels is None or thing.box is None or not pixels.mask.any():
        return []
    if pixels.mask.all():
        left, top, right, bottom = pixel_box(thing.box, width, height)
        return [f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>']
    rings = (
        "M" + "L".join(f"{x + pixels.left} {y + pixels.top}" for x, y in ring) + "Z" for ring in outlines(pixels.mask)
    )
    return [f'<path fill-rule="evenodd" d="{"".join(rings)}"/>']


def _lines(thing: SceneObject, width: int, height: int) -> list[str]:
    """The strokes of a sketch."""
    if thing.sketch is None or thing.box is None:
        return []
    x0, y0, x1, y1 = thing.box
    scale, start = np.array([x1 - x0, y1 - y0]), np.array([x0, y0])
    strokes = [(start + stroke * scale) * [width, height] for stroke in thing.sketch.strokes]
    texts = (" ".join(f"{x:.1f},{y:.1f}" for x, y in stroke) for stroke in strokes)
    return [f'<polyline fill="none" stroke="black" points="{text}"/>' for text in texts]


def phrase(thing: SceneObject) -> str:
    """Attributes and category as one would say them."""
    return replace(thing, category=_spoken(thing.category)).label


def _spoken(category: str) -> str:
    """A category without what only a data set says: ``sky-other`` is sky, ``wall-brick`` a brick wall."""
    if "-" not in category:
        return category
    same = CATEGORIES.meanings[category].words if category in CATEGORIES.meanings else ()
    bare = re.sub("-(other|stuff)$", "", category)
    return next((word for word in same if "-" not in word), bare.replace("-", " "))


def _multiple(side: int) -> int:
    return max(round(side / STEP), 1) * STEP


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


EXPORTS: dict[str, Callable[[Exported], dict[str, bytes]]] = {
    "gligen": _gligen,
    "comfyui": _comfyui,
    "comfyui-gligen": _comfyui_gligen,
    "invokeai": _invokeai,
    "regional-prompts": _regional_prompts,
    "coco": _coco,
    "svg": _svg,
}
"""What writes each form."""
