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
    ``smoothing``: share of each target's probability that is spread over all names (Szegedy et al. 2016).
    """

    jitter: NonNegativeFloat = 0.1
    coarse: float = Field(default=0.0, ge=0, le=1)
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
        assert batch.images is not None
        model = cast(ObjectClassifier, self.model)
        sides = (batch.boxes[:, 2:] - batch.boxes[:, :2]).repeat(1, 2)
        shift = (2 * uniform_per_object(generators, batch, 4).to(sides.device) - 1) * self.config.jitter * sides
        heads = model(self._pictures(batch.images, generators), batch.boxes + shift, batch.object_to_image)
        targets = model.targets(batch.objects, batch.attributes)
        errors = [
            F.cross_entropy(logits, target, ignore_index=-1, reduction="sum", label_smoothing=self.config.smoothing)
            for logits, target in zip(heads, targets, strict=True)
        ]
        loss = torch.stack(errors).sum() / totals.objects
        return loss, {"cross_entropy": loss.detach()}

    def _pictures(self, images: Tensor, generators: Generators) -> Tensor:
        """The pictures (N, 3, H, W), some of them coarse. Without coarse ones no number is sampled."""
        if not self.config.coarse:
            return images
        coarse = F.interpolate(F.avg_pool2d(images, 2), images.shape[2:], mode="bilinear")
        chosen = (uniform(generators) < self.config.coarse).to(images.device)
        return torch.where(chosen[:, None, None, None], coarse, images)

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Accuracy of each head on true boxes."""
        assert batch.images is not None
        classifier = cast(ObjectClassifier, model)
        heads = classifier(batch.images, batch.boxes, batch.object_to_image)
        names = ("category", *classifier.config.groups)
        figures = {}
        for name, logits, target in zip(names, heads, classifier.targets(batch.objects, batch.attributes), strict=True):
            known = target >= 0
            figures[name] = (float((logits.argmax(1) == target)[known].sum()), float(known.sum()))
        return figures
