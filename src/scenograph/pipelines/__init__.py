"""From a scene to a picture: reading and checking scenes, placing objects, rendering, and the record in each PNG."""

from __future__ import annotations

from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.pipeline import (
    DEFAULT_CLASSIFIER,
    DEFAULT_IMAGE,
    DEFAULT_LAYOUT,
    TRUNCATION,
    Encoding,
    Generation,
    Pipeline,
    check_contradictions,
    check_model_names,
    check_names,
    complete_attributes,
    cut_to_canvas,
    load_layout_model,
    place_objects,
    warn_of_crowds,
    with_layout,
)

__all__ = [
    "DEFAULT_CLASSIFIER",
    "DEFAULT_IMAGE",
    "DEFAULT_LAYOUT",
    "TRUNCATION",
    "Encoding",
    "GenerateOptions",
    "Generation",
    "Pipeline",
    "check_contradictions",
    "check_model_names",
    "check_names",
    "complete_attributes",
    "cut_to_canvas",
    "load_layout_model",
    "place_objects",
    "warn_of_crowds",
    "with_layout",
]
