"""Cross-entropy of every head on jittered true boxes."""

from __future__ import annotations

from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from scenograph.models.base import Model
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import (
    Generators,
    Objective,
    ObjectiveConfig,
    Totals,
    uniform,
    uniform_per_object,
)


class ObjectClassifierObjectiveConfig(ObjectiveConfig):
    """``jitter``: how far, in box sides, the edges of a training crop may lie from the true ones.

    ``coarse``: share of the pictures that are halved and enlarged again, to look as those of smaller models do.
    ``bold``: share of the sketches whose lines are two pixels wider, as other pens draw them.
    ``turn``: how far, in radians, sketches are turned at most.
    ``smoothing``: share of each target's probability that is spread over all names (Szegedy et al. 2016).
    """

    jitter: NonNegativeFloat = 0.1
    coarse: float = Field(default=0.0, ge=0, le=1)
    bold: float = Field(default=0.0, ge=0, le=1)
    turn: float = Field(default=0.0, ge=0, le=0.8)
    smoothing: float = Field(default=0.0, ge=0, lt=1)

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(coarse=0.5, smoothing=0.1)


class ObjectClassifierObjective(Objective):
    """The mean over objects of the sum over heads."""

    Config = ObjectClassifierObjectiveConfig

    def __init__(self, config: ObjectClassifierObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One jittered crop per object."""
        model = cast(ObjectClassifier, self.model)
        images, boxes, owner = model.seen(batch)
        sides = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
        shift = (2 * uniform_per_object(generators, batch, 4).to(sides.device) - 1) * self.config.jitter * sides
        images = self._pictures(images, batch, generators)
        heads = model(images, boxes + shift, owner)
        targets = self._targets(model, batch)
        errors = [
            F.cross_entropy(logits, target, ignore_index=-1, reduction="sum", label_smoothing=self.config.smoothing)
            for logits, target in zip(heads, targets, strict=True)
        ]
        loss = torch.stack(errors).sum() / totals.objects
        return loss, {"cross_entropy": loss.detach()}

    def _pictures(self, images: Tensor, batch: SceneBatch, generators: Generators) -> Tensor:
        """The pictures (N, 3, H, W), some of them coarse, or the ink of sketches (O, 1, S, S), some of it bold, turned.

        No number is sampled for what is not asked for.
        """
        if self.config.coarse:
            coarse = F.interpolate(F.avg_pool2d(images, 2), images.shape[2:], mode="bilinear")
            chosen = (uniform(generators) < self.config.coarse).to(images.device)
            chosen = chosen if images.shape[1] == 3 else chosen[batch.object_to_image]
            images = torch.where(chosen[:, None, None, None], coarse, images)
        if self.config.bold and images.shape[1] == 1:
            chosen = (uniform_per_object(generators, batch, 1) < self.config.bold).to(images.device)
            images = torch.where(chosen[:, :, None, None], F.max_pool2d(images, 3, 1, 1), images)
        if self.config.turn and images.shape[1] == 1:
            angles = ((2 * uniform_per_object(generators, batch, 1) - 1) * self.config.turn).to(images.device)
            images = _turned(images, angles[:, 0])
        return images

    @staticmethod
    def _targets(model: ObjectClassifier, batch: SceneBatch) -> list[Tensor]:
        """The target of each head, -1 for objects without a sketch where sketches are looked at."""
        found = model.targets(batch.objects, batch.attributes)
        if batch.sketches is None:
            return found
        drawn = batch.sketches.amin(dim=(1, 2)) < 1
        return [target.where(drawn, -1) for target in found]

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Accuracy of each head on true boxes, or on sketches."""
        classifier = cast(ObjectClassifier, model)
        heads = classifier(*classifier.seen(batch))
        names = ("category", *classifier.config.groups)
        figures = {}
        for name, logits, target in zip(names, heads, self._targets(classifier, batch), strict=True):
            known = target >= 0
            figures[name] = (float((logits.argmax(1) == target)[known].sum()), float(known.sum()))
        return figures


def _turned(images: Tensor, angles: Tensor) -> Tensor:
    """Images (O, C, S, S), each turned by its angle (O,) in radians about its centre; 0 comes in from outside."""
    cosine, sine, nothing = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = torch.stack([cosine, -sine, nothing, sine, cosine, nothing], dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
