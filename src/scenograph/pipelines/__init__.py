"""From a scene to a picture: reading and checking scenes, placing objects, rendering, and the record in each PNG."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scenograph.pipelines.checks import check_contradictions, check_model_names, check_names, warn_about_crowds
    from scenograph.pipelines.options import GenerateOptions
    from scenograph.pipelines.pipeline import (
        DEFAULT_CLASSIFIER,
        DEFAULT_IMAGE,
        DEFAULT_LAYOUT,
        Generation,
        Pipeline,
    )
    from scenograph.pipelines.placing import load_layout_model, place_objects, read_to_place
    from scenograph.pipelines.provenance import RecordedImage, Request
    from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer

__all__ = [
    "DEFAULT_CLASSIFIER",
    "DEFAULT_IMAGE",
    "DEFAULT_LAYOUT",
    "ConditionedScenes",
    "GenerateOptions",
    "Generation",
    "Pipeline",
    "RecordedImage",
    "Renderer",
    "Request",
    "check_contradictions",
    "check_model_names",
    "check_names",
    "load_layout_model",
    "place_objects",
    "read_to_place",
    "warn_about_crowds",
]

_HOME = {
    "ConditionedScenes": "scenograph.pipelines.renderers.base",
    "Renderer": "scenograph.pipelines.renderers.base",
    "check_contradictions": "scenograph.pipelines.checks",
    "check_model_names": "scenograph.pipelines.checks",
    "check_names": "scenograph.pipelines.checks",
    "warn_about_crowds": "scenograph.pipelines.checks",
    "GenerateOptions": "scenograph.pipelines.options",
    "DEFAULT_CLASSIFIER": "scenograph.pipelines.pipeline",
    "DEFAULT_IMAGE": "scenograph.pipelines.pipeline",
    "DEFAULT_LAYOUT": "scenograph.pipelines.pipeline",
    "Generation": "scenograph.pipelines.pipeline",
    "Pipeline": "scenograph.pipelines.pipeline",
    "load_layout_model": "scenograph.pipelines.placing",
    "place_objects": "scenograph.pipelines.placing",
    "read_to_place": "scenograph.pipelines.placing",
    "RecordedImage": "scenograph.pipelines.provenance",
    "Request": "scenograph.pipelines.provenance",
}


def __getattr__(name: str) -> Any:
    """Import on first use, so that help texts need not load torch."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'scenograph.pipelines' has no attribute {name!r}")
