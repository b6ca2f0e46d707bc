"""Rectified flow matching of pictures (Liu et al. 2022), time logit-normal (Esser et al. 2024)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import torch
from torch import Tensor

from scenograph.models.base import Model
from scenograph.models.mise import Mise
from scenograph.nn.embedding import drop_attributes
from scenograph.scenes.batch import SceneBatch
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


class MiseObjectiveConfig(ObjectiveConfig):
    """Probabilities per picture (``attribute_dropout``: per attribute) of hiding a part of the condition."""

    mask_dropout: Probability = 0.5
    attribute_dropout: Probability = 0.0
    condition_dropout: Probability = 0.0
    time_mean: float = 0.0
    time_std: float = 1.0

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(attribute_dropout=0.1, condition_dropout=0.1)


class MiseObjective(Objective):
    """Mean squared error of the velocity."""

    Config = MiseObjectiveConfig

    def __init__(self, config: MiseObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """One path per picture, at one time."""
        loss = self._errors(cast(Mise, self.model), batch, generators).sum() / totals.pictures
        return loss, {"velocity": loss.detach()}

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """The same error on held-out scenes, at the same noise every time."""
        errors = self._errors(cast(Mise, model), batch, generators)
        return {"velocity": (float(errors.sum()), len(errors))}

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Pictures from true boxes and masks."""
        images = cast(Mise, model)(batch, generators).images
        return {} if images is None else {"true layout": images}

    def _errors(self, model: Mise, batch: SceneBatch, generators: Generators) -> Tensor:
        assert batch.images is not None
        config, device = self.config, batch.images.device
        drop_mask, drop_condition, moment = uniform(generators), uniform(generators), normal(generators, ())
        start = normal(generators, tuple(batch.images.shape[1:])).to(device)
        opened = drop_attributes(
            batch.attributes,
            uniform_per_object(generators, batch, batch.attributes.shape[1]).to(device),
            config.attribute_dropout,
        )
        keeps_mask = (drop_mask >= config.mask_dropout).to(device)[batch.object_to_image]
        condition = model.paint_condition(replace(batch, attributes=opened, known_masks=batch.known_masks & keeps_mask))
        condition = condition * (drop_condition >= config.condition_dropout).to(device)[:, None, None, None]
        time = torch.sigmoid(config.time_mean + config.time_std * moment).to(device)
        at = time[:, None, None, None]
        velocity = model.velocity((1 - at) * start + at * batch.images, time, condition)
        return (velocity - (batch.images - start)).square().mean(dim=(1, 2, 3))
