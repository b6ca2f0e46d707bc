"""The losses of "Objects as points": peaks at the centres of objects, and their boxes there."""

from __future__ import annotations

from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from scenograph.models.base import Model
from scenograph.models.detector import Detected, Detector
from scenograph.nn.overlaps import box_overlaps, generalized_overlaps
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import Generators, Objective, ObjectiveConfig, Totals

SHARP, FORGIVING = 2, 4
"""Exponents of the focal loss: of how wrong a cell is, and of how far it is from a centre (Law & Deng 2018)."""
SPREAD = 0.09
"""Standard deviation of a peak along each axis, in sides of the box (Liu et al., TTFNet, 2020)."""
NARROWEST = 0.3
"""The same at least, in cells."""
MATCHES = 0.5
"""Overlap from which a detected object is the true one of its category."""


class DetectorObjectiveConfig(ObjectiveConfig):
    """``boxes``: weight of the loss of boxes; ``least``: score from which a validation counts an object as found."""

    boxes: NonNegativeFloat = 2.0
    least: float = Field(default=0.3, ge=0, le=1)

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls()


class DetectorObjective(Objective):
    """The focal loss of all peaks, and one minus the generalized overlap of the boxes, over the number of objects."""

    Config = DetectorObjectiveConfig

    def __init__(self, config: DetectorObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objects without a box are no target."""
        model = cast(Detector, self.model)
        assert batch.images is not None
        logits, shapes = model(batch.images)
        known = batch.known_boxes
        boxes, categories, owner = batch.boxes[known], batch.objects[known], batch.object_to_image[known]
        column, row = cells_of(boxes, *logits.shape[2:])
        targets = peaks(boxes, categories, owner, logits)
        peak = _focal(logits, targets).sum() / totals.objects
        found = shapes[owner, model.kinds[categories], :, row, column]  # (O, 4)
        overlap = (1 - generalized_overlaps(found, boxes)).sum() / totals.objects
        loss = peak + self.config.boxes * overlap
        return loss, {"peaks": peak.detach(), "boxes": overlap.detach()}

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Which share of the objects is found, and which share of what is found is true."""
        assert batch.images is not None
        detector = cast(Detector, model)
        hits, found, true = 0, 0, 0
        for number, detected in enumerate(detector.detect(batch.images, self.config.least)):
            rows = batch.known_boxes & (batch.object_to_image == number)
            hits += matched(detected, batch.objects[rows], batch.boxes[rows])
            found, true = found + len(detected.scores), true + int(rows.sum())
        return {"recall": (hits, true), "precision": (hits, found)}


def cells_of(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The column (O,) and row (O,) of the cell of a map that holds the centre of each box (O, 4)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    column, row = (centre * centre.new_tensor([width, height])).long().unbind(1)
    return column.clamp(0, width - 1), row.clamp(0, height - 1)


def peaks(boxes: Tensor, categories: Tensor, owner: Tensor, like: Tensor) -> Tensor:
    """The targets (N, C, h, w): 1 in the cell of each object's centre, falling off as wide and high as its box is."""
    count, names, height, width = like.shape
    column, row = cells_of(boxes, height, width)
    sides = (boxes[:, 2:] - boxes[:, :2]) * boxes.new_tensor([width, height])
    across, down = (SPREAD * sides).clamp(min=NARROWEST).unbind(1)
    x = torch.arange(width, device=boxes.device) - column[:, None]  # (O, w)
    y = torch.arange(height, device=boxes.device) - row[:, None]
    falloff = ((y / down[:, None]) ** 2)[:, :, None] + ((x / across[:, None]) ** 2)[:, None]  # (O, h, w)
    heights = torch.exp(-falloff / 2).flatten(1)
    targets = like.new_zeros((count * names, height * width), dtype=torch.float32)
    places = (owner * names + categories)[:, None].expand(-1, height * width)
    # (N * C, h * w) -> (N, C, h, w)
    return targets.scatter_reduce_(0, places, heights, "amax").view(count, names, height, width)


def _focal(logits: Tensor, targets: Tensor) -> Tensor:
    """The focal loss of every cell; those near a centre count less as none than those far from it."""
    chance = logits.sigmoid()
    at_centre = -((1 - chance) ** SHARP) * F.logsigmoid(logits)
    elsewhere = -((1 - targets) ** FORGIVING) * chance**SHARP * F.logsigmoid(-logits)
    return torch.where(targets == 1, at_centre, elsewhere)


def matched(detected: Detected, categories: Tensor, boxes: Tensor) -> int:
    """How many objects are found: each true one by the likeliest of its category that overlaps it by half."""
    fits = box_overlaps(detected.boxes[:, None], boxes[None]) >= MATCHES
    fits &= detected.categories[:, None] == categories[None]
    taken: set[int] = set()
    for row in fits.tolist():
        free = (number for number, fit in enumerate(row) if fit and number not in taken)
        if (first := next(free, None)) is not None:
            taken.add(first)
    return len(taken)
