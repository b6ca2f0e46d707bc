"""Files of a scene: layers, annotations, drawings, and the scene itself."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenograph.files import safe_names
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.renderers.base import ConditionedScenes
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.drawing import draw_graph, draw_layout
from scenograph.scenes.openraster import Layer, openraster, window
from scenograph.scenes.png import encode_png
from scenograph.scenes.scene import Scene, scenes_to_json
from scenograph.studio.server.schemas import ExportKind

WITHOUT_MODELS: tuple[ExportKind, ...] = ("graph-svg", "scene")
"""Kinds for which a scene need not be complete."""


@dataclass(frozen=True)
class ExportedFile:
    """A file to be saved by the client."""

    name: str
    media_type: str
    content: bytes


def export_scene(kind: ExportKind, scene: Scene) -> ExportedFile:
    """A file of one of the kinds :data:`WITHOUT_MODELS`."""
    if kind == "scene":
        return ExportedFile("scene.json", "application/json", scenes_to_json([scene]).encode())
    return ExportedFile("graph.svg", "image/svg+xml", draw_graph(scene).to_svg().encode())


def export_drawn(kind: ExportKind, pipe: Pipeline, encoding: ConditionedScenes) -> ExportedFile:
    """A file of another kind, of one complete scene. Raises ``UserError`` for layers of pictures that have none."""
    (scene,) = encoding.scenes
    if kind == "layout-svg":
        return ExportedFile("layout.svg", "image/svg+xml", draw_layout(scene).to_svg().encode())
    if kind == "coco":
        (picture,) = pipe.render(encoding, encoding.options.steps)
        content = coco_annotations([scene], ["picture.png"], picture.width, picture.height)
        return ExportedFile("annotations.json", "application/json", (json.dumps(content, indent=1) + "\n").encode())
    (layers,) = pipe.layers(encoding)
    if kind == "openraster":
        return ExportedFile("picture.ora", "image/openraster", openraster(layers))
    return ExportedFile("layers.zip", "application/zip", _zip_of(layers))


def _zip_of(layers: Sequence[Layer]) -> bytes:
    """A PNG with alpha for each layer, all as large as the picture, numbered from the farthest."""
    height, width = layers[0].pixels.shape[:2]
    names = safe_names(f"{number:02d}-{layer.name}" for number, layer in enumerate(layers))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, layer in zip(names, layers, strict=True):
            canvas = np.zeros((height, width, 4), np.uint8)
            tall, wide = layer.pixels.shape[:2]
            rows, columns, own_rows, own_columns = window(layer.top, layer.left, tall, wide, height, width)
            if rows.start < rows.stop and columns.start < columns.stop:
                canvas[rows, columns] = layer.straight()[own_rows, own_columns]
            file.writestr(zipfile.ZipInfo(f"{name}.png"), encode_png(canvas))
    return stream.getvalue()
