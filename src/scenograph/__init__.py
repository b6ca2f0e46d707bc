"""Scenograph: from a scene graph, a layout or a sketch to a picture."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scenograph.devices import take_free_cores
from scenograph.version import __version__

if TYPE_CHECKING:
    from scenograph.data.pack import Pack
    from scenograph.evaluation.evaluate import evaluate
    from scenograph.models.registry import AutoModel
    from scenograph.pipelines import Pipeline
    from scenograph.retrieval.scene_search import SceneIndex
    from scenograph.scenes.scene import Relation, Scene, SceneObject
    from scenograph.scenes.vocabulary import Vocabulary

__all__ = [
    "AutoModel",
    "Pack",
    "Pipeline",
    "Relation",
    "Scene",
    "SceneIndex",
    "SceneObject",
    "Vocabulary",
    "__version__",
    "evaluate",
]

_HOME = {
    "AutoModel": "scenograph.models.registry",
    "Pack": "scenograph.data.pack",
    "Pipeline": "scenograph.pipelines",
    "Relation": "scenograph.scenes.scene",
    "Scene": "scenograph.scenes.scene",
    "SceneIndex": "scenograph.retrieval.scene_search",
    "SceneObject": "scenograph.scenes.scene",
    "Vocabulary": "scenograph.scenes.vocabulary",
    "evaluate": "scenograph.evaluation.evaluate",
}

if "torch" not in sys.modules:  # it reads once, when it is loaded, how many threads it has
    take_free_cores()


def __getattr__(name: str) -> Any:
    """Import on first use, so that ``scenograph --help`` need not load torch."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'scenograph' has no attribute {name!r}")
