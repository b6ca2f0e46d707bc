"""The base class of objectives: the losses of one system, and the networks that each of them trains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from scenograph.models.base import Model
from scenograph.pretrained.networks import Download
from scenograph.scenes.batch import SceneBatch

Generators = Sequence[torch.Generator]
"""One CPU generator per picture. Its numbers depend on (seed, step, picture), not on how a batch is split."""


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
    """Counts of the whole batch of an update, over all processes and accumulated parts.

    A part's losses are sums divided by these; added over all parts they are the means of the whole batch,
    however it was divided.
    """

    pictures: int
    objects: int
    relations: int


class Objective(ABC):
    """Base class. ``phases`` run in order in every update, each with its own optimizer and modules.

    Args:
        config: Weights of the losses and other settings, of this objective's own ``Config``.
        model: What is trained.
    """

    Config: ClassVar[type[ObjectiveConfig]]
    draws_graphs: ClassVar[bool] = False
    """Whether the graphs of the grid's scenes are drawn, too."""
    first_scenes: ClassVar[int] = 0
    """How many training scenes :meth:`initialise` looks at."""

    def __init__(self, config: ObjectiveConfig, model: Model) -> None:
        self.model = model

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases, in the order in which every update runs them."""
        return ("model",)

    def active(self, step: int) -> tuple[str, ...]:
        """The phases that update ``step`` (from 0) runs, in order."""
        return self.phases

    def rates(self, phase: str) -> dict[str, float]:
        """Factors of the learning rate, by a part of a parameter's name.

        Of several parts that occur in a name the last one counts; the empty one occurs in every name.
        """
        return {"": 1.0}

    def betas(self, phase: str) -> tuple[float, float] | None:
        """Adam's decays for a phase, where they are not the recipe's."""
        return None

    def epsilon(self, phase: str) -> float | None:
        """Adam's epsilon for a phase, where it is not the recipe's."""
        return None

    def modules(self) -> dict[str, nn.Module]:
        """The module that each phase trains, by phase."""
        return {"model": self.model}

    @abstractmethod
    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a phase on one part of a batch.

        Args:
            phase: One of :attr:`phases`.
            batch: The part, on the device of the modules.
            totals: Counts of the whole batch, by which sums are divided.
            generators: One per picture; every random number of the loss is sampled from them.
            memory: Passes tensors from phase to phase of one part. It is empty before the first phase.

        Returns:
            The loss, a scalar, and its detached terms for the log. Both add up over parts to the whole batch's.
        """

    def losses(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """As :meth:`loss`, in summands: the gradient of each is computed before the next is asked for.

        An objective whose loss has summands without a common graph keeps one graph at a time in memory that way.
        """
        yield self.loss(phase, batch, totals, generators, memory)

    def downloads(self) -> Sequence[Download]:
        """Published networks that :meth:`load_networks` would fetch, because they are not on this machine."""
        return ()

    def load_networks(self) -> None:  # noqa: B027
        """Load the published networks that losses are measured with; a run does so before its first step."""

    def initialise(self, batch: SceneBatch) -> str:
        """Fit random weights to the data, before the first step of a run that starts from no others.

        Args:
            batch: The first :attr:`first_scenes` training scenes, the same on every process; if that is 0, this is not
                called.

        Returns:
            What was done, for the log.
        """
        raise NotImplementedError(f"{type(self).__name__} looks at no scenes before its first step")

    def begin_step(self, step: int) -> tuple[str, ...]:
        """Prepare for update ``step`` (from 0); returns the phases whose optimizers start afresh."""
        return ()

    def restore(self, step: int) -> None:  # noqa: B027
        """Prepare for a run that continues with update ``step`` (from 0)."""

    @abstractmethod
    def validate(
        self, model: Model, batch: SceneBatch, generators: Generators
    ) -> Mapping[str, tuple[float | np.ndarray, float]]:
        """Measure a model on some validation scenes.

        Args:
            model: The trained model or its moving average, in eval mode.
            batch: Scenes with pictures if the model learns from them.
            generators: One per picture, the same at every validation.

        Returns:
            Each figure as a sum and the number of things it is over, which the trainer divides after the last batch.
        """

    def conclude(self, figures: Mapping[str, Any]) -> dict[str, float]:
        """The figures of a validation, from the means of what :meth:`validate` sums: by default, these themselves."""
        return dict(figures)

    def tag(self, kind: Literal["train", "validation"], figure: str) -> str:
        """The name of a figure's curve in TensorBoard.

        Args:
            kind: Whether the figure is of training or of validation.
            figure: Its name.

        Returns:
            The tag.
        """
        return f"{kind}/{figure}"

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Render fixed validation scenes, in one or more ways, for the grid that shows the progress of a run.

        Args:
            model: The trained model or its moving average, in eval mode.
            batch: The scenes, on the model's device.
            generators: One per picture, the same each time.

        Returns:
            Pictures (N, 3, H, W) in [-1, 1], by the name of each way; none from models that render no pictures.
        """
        return {}


def without_masks(batch: SceneBatch) -> SceneBatch:
    """The same scenes with their boxes alone."""
    return replace(batch, known_masks=torch.zeros_like(batch.known_masks))


def with_some_masks(batch: SceneBatch, probability: float, generators: Generators) -> SceneBatch:
    """The same scenes; each picture keeps its masks with this probability. Of 0 and 1 no number is sampled."""
    if probability == 1:
        return batch
    if probability == 0:
        return without_masks(batch)
    given = (uniform(generators) < probability).to(batch.known_masks.device)
    return replace(batch, known_masks=batch.known_masks & given[batch.object_to_image])


def uniform(generators: Generators) -> Tensor:
    """One number in [0, 1) per picture: (N,)."""
    return torch.cat([torch.rand(1, generator=generator) for generator in generators])


def normal(generators: Generators, shape: tuple[int, ...]) -> Tensor:
    """Standard normal numbers per picture: (N, *shape)."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def uniform_per_object(generators: Generators, batch: SceneBatch, size: int) -> Tensor:
    """Numbers in [0, 1) per object, sampled picture by picture: (O, size)."""
    counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).tolist()
    return torch.cat([torch.rand((count, size), generator=g) for count, g in zip(counts, generators, strict=True)])
