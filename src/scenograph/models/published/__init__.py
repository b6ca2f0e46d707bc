"""The authors' own checkpoints, turned into ours: one file per system."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scenograph.models.base import Model
    from scenograph.scenes.vocabulary import Vocabulary

IMPORTERS = {
    "attspade": "scenograph.models.published.attspade:import_attspade",
    "lama": "scenograph.models.published.lama:import_lama",
    "lostgan": "scenograph.models.published.lostgan:import_lostgan",
    "pastegan": "scenograph.models.published.pastegan:import_pastegan",
    "scene-designer": "scenograph.models.published.scene_designer:import_scene_designer",
    "sg2im": "scenograph.models.published.sg2im:import_sg2im",
    "spade": "scenograph.models.published.spade:import_spade",
    "wsgc": "scenograph.models.published.wsgc:import_wsgc",
}
"""System name to the function that reads its checkpoint file; by name, so that listing them needs no torch."""


def import_published(system: str, checkpoint: Path, vocabulary: Vocabulary | None = None) -> Model:
    """The model in a checkpoint of a published system. ``vocabulary`` names the categories where the file does not.

    Raises ``UserError`` naming what is wrong with the file.
    """
    module, _, function = IMPORTERS[system].partition(":")
    model: Model = getattr(import_module(module), function)(checkpoint, vocabulary)
    return model
