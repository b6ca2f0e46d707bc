"""One file per system: its losses, and the networks that each of them trains."""

from __future__ import annotations

from scenograph.training.objectives.base import Objective
from scenograph.training.objectives.detector import DetectorObjective
from scenograph.training.objectives.layout_gan import LamaObjective, LostGanObjective
from scenograph.training.objectives.mise import MiseObjective
from scenograph.training.objectives.mise_layers import MiseLayersObjective
from scenograph.training.objectives.mise_layout import MiseLayoutObjective
from scenograph.training.objectives.object_classifier import ObjectClassifierObjective
from scenograph.training.objectives.pastegan import PasteGanObjective
from scenograph.training.objectives.scene_designer import SceneDesignerObjective
from scenograph.training.objectives.scene_encoder import SceneEncoderObjective
from scenograph.training.objectives.sg2im import Sg2ImObjective
from scenograph.training.objectives.spade import AttSpadeObjective, SpadeObjective
from scenograph.training.objectives.wsgc import WsgcObjective

OBJECTIVES: dict[str, type[Objective]] = {
    "attspade": AttSpadeObjective,
    "detector": DetectorObjective,
    "lama": LamaObjective,
    "lostgan": LostGanObjective,
    "mise": MiseObjective,
    "mise-layers": MiseLayersObjective,
    "mise-layout": MiseLayoutObjective,
    "object-classifier": ObjectClassifierObjective,
    "pastegan": PasteGanObjective,
    "scene-designer": SceneDesignerObjective,
    "scene-encoder": SceneEncoderObjective,
    "sg2im": Sg2ImObjective,
    "spade": SpadeObjective,
    "wsgc": WsgcObjective,
}
"""Every objective, by the name that recipes use."""
