"""What the trainer asks of an objective: the losses of one system and who is trained by them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from scenograph.models.base import Model
from scenograph.scenes.batch import SceneBatch

Draws = Sequence[torch.Generator]
"""One generator per picture: what it draws depends on (seed, step, picture) and not on how a batch is split."""


Probability = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Decay, Decay]
"""How slowly Adam forgets gradients and their squares."""


class ObjectiveConfig(BaseModel, ABC):
    """Weights and switches of an objective."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    @abstractmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds, with as many of its losses as that leaves room for."""


@dataclass(frozen=True)
class Totals:
    """What the whole update holds, over all processes and accumulated parts.

    A part's losses are sums divided by these; added over all parts they are the means of the whole batch,
    however it was divided.
    """

    pictures: int
    objects: int
    relations: int


class Objective(ABC):
    """Base class. ``phases`` run in order in every update, each with its own optimizer and modules."""

    Config: ClassVar[type[ObjectiveConfig]]

    def __init__(self, config: ObjectiveConfig, model: Model) -> None:
        self.model = model

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, in order."""
        return ("model",)

    def active(self, step: int) -> tuple[str, ...]:
        """The phases of update ``step`` (from 0), in order."""
        return self.phases

    def rates(self, phase: str) -> dict[str, float]:
        """Factors of the learning rate for parameters by a part of their name, the last that fits; ``""`` fits all."""
        return {"": 1.0}

    def betas(self, phase: str) -> tuple[float, float] | None:
        """Adam's decays for a phase, where they are not the recipe's."""
        return None

    def modules(self) -> dict[str, nn.Module]:
        """The module that each phase trains, by phase."""
        return {"model": self.model}

    @abstractmethod
    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, draws: Draws, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The part's loss and its terms for the log. ``memory`` passes tensors from phase to phase of one part."""

    def begin_step(self, step: int) -> tuple[str, ...]:
        """Called before update ``step`` (from 0); returns the phases whose optimizers start afresh."""
        return ()

    def restore(self, step: int) -> None:  # noqa: B027
        """Called once when a run goes on before update ``step``."""

    @abstractmethod
    def validate(self, model: Model, batch: SceneBatch, draws: Draws) -> dict[str, tuple[float, float]]:
        """Sums and counts of validation figures; the trainer divides after the last batch."""

    def sample(self, model: Model, batch: SceneBatch, draws: Draws) -> dict[str, Tensor]:
        """Pictures (N, 3, H, W) in [-1, 1] for the grid of fixed validation scenes, in one or more ways."""
        return {}


def without_masks(batch: SceneBatch) -> SceneBatch:
    """The same scenes with their boxes alone."""
    return replace(batch, known_masks=torch.zeros_like(batch.known_masks))


def with_some_masks(batch: SceneBatch, probability: float, draws: Draws) -> SceneBatch:
    """The same scenes; each picture keeps its masks with this probability. At 0 and at 1 nothing is drawn."""
    if probability == 1:
        return batch
    if probability == 0:
        return without_masks(batch)
    given = (uniform(draws) < probability).to(batch.known_masks.device)
    return replace(batch, known_masks=batch.known_masks & given[batch.object_to_image])


def uniform(draws: Draws) -> Tensor:
    """One number in [0, 1) per picture: (N,)."""
    return torch.cat([torch.rand(1, generator=generator) for generator in draws])


def normal(draws: Draws, shape: tuple[int, ...]) -> Tensor:
    """Normal numbers per picture: (N, *shape)."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in draws])


def uniform_per_object(draws: Draws, batch: SceneBatch, size: int) -> Tensor:
    """Uniform numbers (O, size), drawn picture by picture."""
    counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).tolist()
    return torch.cat([torch.rand((count, size), generator=g) for count, g in zip(counts, draws, strict=True)])
