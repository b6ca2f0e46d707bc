"""Rectified flow matching of the boxes of a scene, some of which may be given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from scenograph.models.base import Model, noise_per_object
from scenograph.models.mise_layout import MiseLayout
from scenograph.nn.embedding import drop_attributes
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scoring import layout_figures, totals
from scenograph.training.objectives.base import (
    Generators,
    Objective,
    ObjectiveConfig,
    Probability,
    Totals,
    normal,
    uniform,
    uniform_per_object,
)


class MiseLayoutObjectiveConfig(ObjectiveConfig):
    """``given_boxes``: probability per picture that some of its boxes are given; ``flip``: of mirroring a scene."""

    attribute_dropout: Probability = 0.05
    given_boxes: Probability = 0.3
    flip: Probability = 0.0

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls()


class MiseLayoutObjective(Objective):
    """Mean squared error of the velocity over the boxes that are not given."""

    Config = MiseLayoutObjectiveConfig

    def __init__(self, config: MiseLayoutObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        index = model.vocabulary.predicate_index
        mirror = torch.arange(len(model.vocabulary.predicates))
        if "left of" in index and "right of" in index:
            mirror[index["left of"]], mirror[index["right of"]] = index["right of"], index["left of"]
        self.mirror = mirror

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One path per scene, at one time."""
        errors = self._errors(cast(MiseLayout, self.model), self._flip(batch, generators), generators)
        loss = errors.sum() / totals.objects
        return loss, {"velocity": loss.detach()}

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Velocity error, and box IoU, R@0.3, R@0.5, relation accuracy and overlap of sampled layouts."""
        errors = self._errors(cast(MiseLayout, model), batch, generators)
        unplaced = replace(batch, boxes=torch.full_like(batch.boxes, float("nan")))
        boxes = cast(MiseLayout, model)(unplaced, generators).boxes
        assert boxes is not None
        figures = totals(layout_figures(boxes, batch, model.vocabulary))
        return {"velocity": (float(errors.sum()), len(errors)), **figures}

    def _errors(self, model: MiseLayout, batch: SceneBatch, generators: Generators) -> Tensor:
        config, device = self.config, batch.boxes.device
        time = torch.sigmoid(normal(generators, ())).to(device)
        some_given = (uniform(generators) < config.given_boxes).to(device)
        fraction = uniform(generators).to(device)
        sampled = uniform_per_object(generators, batch, 1)[:, 0].to(device)
        given = some_given[batch.object_to_image] & (sampled < fraction[batch.object_to_image])
        opened = drop_attributes(
            batch.attributes,
            uniform_per_object(generators, batch, batch.attributes.shape[1]).to(device),
            config.attribute_dropout,
        )
        end = model.standardize(batch.boxes)
        start = noise_per_object(4, batch, generators)
        at = time[batch.object_to_image][:, None]
        noisy = torch.where(given[:, None], end, (1 - at) * start + at * end)
        velocity = model.velocity(noisy, time, given, replace(batch, attributes=opened)).float()
        return (velocity - (end - start)).square().mean(dim=1) * ~given

    def _flip(self, batch: SceneBatch, generators: Generators) -> SceneBatch:
        if not self.config.flip:
            return batch
        flipped = uniform(generators).to(batch.boxes.device) < self.config.flip
        x0, y0, x1, y1 = batch.boxes.unbind(dim=1)
        boxes = torch.where(
            flipped[batch.object_to_image][:, None], torch.stack([1 - x1, y0, 1 - x0, y1], dim=1), batch.boxes
        )
        subject, predicate, target = batch.triples.unbind(dim=1)
        mirrored = self.mirror.to(predicate.device)[predicate]
        predicate = torch.where(flipped[batch.triple_to_image], mirrored, predicate)
        return replace(batch, boxes=boxes, triples=torch.stack([subject, predicate, target], dim=1))
