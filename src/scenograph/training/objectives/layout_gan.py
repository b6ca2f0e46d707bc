"""LostGAN's and LAMA's losses: hinge losses of pictures and of objects; LostGAN's second version adds two distances."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from scenograph.models.base import Model
from scenograph.nn.layers import evaluating
from scenograph.nn.object_discriminators import ObjectAwareDiscriminator, System
from scenograph.nn.perceptual import feature_distance
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import (
    Generators,
    ObjectiveConfig,
    Probability,
    Totals,
    with_some_masks,
    without_masks,
)
from scenograph.training.objectives.features import FeatureObjective


class LayoutGanConfig(ObjectiveConfig):
    """Weights of the generator's losses, and how fast each part learns."""

    object_weight: NonNegativeFloat = 1.0
    image_weight: NonNegativeFloat = 0.1
    pixel_weight: NonNegativeFloat = 0.0
    """Mean absolute difference from the real picture."""
    mask_weight: NonNegativeFloat = 0.0
    """Cross-entropy of predicted masks, where the true one is known; beyond the published losses."""
    feature_weight: NonNegativeFloat = 0.0
    """Distance of VGG19's features from the real picture's."""
    vgg_file: Path | None = None
    """torchvision's ``vgg19-dcbb9e9d.pth``; without, it is downloaded where it is needed."""
    discriminator_channels: PositiveInt = 64
    discriminator_plan: Literal[64, 128, 256] | None = None
    """Picture size whose published discriminator is used; None: the model's. That of a larger size costs a fraction."""
    discriminator_scale: float = 0.0
    """Initial value of LAMA's learnt scales of residuals. At 0 the discriminator at first sees colours alone."""
    discriminator_rate: PositiveFloat = 1.0
    """The discriminator's learning rate, in units of the optimizer's."""
    given_masks: Probability = 0.0
    """Probability per picture that its true masks are given, as a user may, instead of predicted."""
    head_start: int = 0
    """Steps at the start of every epoch in which the discriminator learns alone (LAMA: 31)."""
    epoch_steps: int | None = None
    """Steps of an epoch, for ``head_start``; None: the whole run is one."""


class LostGanConfig(LayoutGanConfig):
    """The published values of version 2; version 1 had neither distance."""

    pixel_weight: NonNegativeFloat = 1.0
    feature_weight: NonNegativeFloat = 1.0

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(feature_weight=0.0, discriminator_channels=4)


class LamaConfig(LayoutGanConfig):
    """The published values."""

    discriminator_rate: PositiveFloat = 3.0
    head_start: int = 31

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(mask_weight=1.0, discriminator_channels=4, discriminator_plan=128, given_masks=0.5, head_start=1)


class LayoutGanObjective(FeatureObjective):
    """Two phases: the discriminator, then the generator against the updated discriminator."""

    system: ClassVar[System]
    slow: ClassVar[dict[str, dict[str, float]]] = {}
    """Phase to parts of parameter names and the factor of their learning rate."""

    def __init__(self, config: LayoutGanConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        vocabulary = model.vocabulary
        self.discriminator = ObjectAwareDiscriminator(
            self.system,
            config.discriminator_plan or model.config.image_size,  # type: ignore[attr-defined]
            len(vocabulary.categories),
            [len(names) for names in vocabulary.attributes.values()],
            config.discriminator_channels,
            config.discriminator_scale,
        )

    @property
    def phases(self) -> tuple[str, ...]:
        """The order of the originals."""
        return ("discriminator", "generator")

    def active(self, step: int) -> tuple[str, ...]:
        """The discriminator alone in the first ``head_start`` steps of an epoch."""
        place = step % self.config.epoch_steps if self.config.epoch_steps else step
        return ("discriminator",) if place < self.config.head_start else self.phases

    def modules(self) -> dict[str, nn.Module]:
        """Phase to module."""
        return {"discriminator": self.discriminator, "generator": self.model}

    def rates(self, phase: str) -> dict[str, float]:
        """Factors of the optimizer's learning rate."""
        whole = self.config.discriminator_rate if phase == "discriminator" else 1.0
        return {"": whole, **{part: whole * factor for part, factor in self.slow.get(phase, {}).items()}}

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Means over pictures and over objects."""
        assert batch.images is not None, "training needs pictures"
        config = self.config
        self.discriminator.requires_grad_(phase == "discriminator")
        terms: dict[str, Tensor] = {}
        if phase == "discriminator":
            made = self.model(with_some_masks(batch, self.config.given_masks, generators), generators)
            memory["fake"], memory["masks"] = made.images, made.masks
            real = self._discriminate(batch.images, batch)
            fake = self._discriminate(memory["fake"].detach(), batch)
            for name, weight, one, other, count in zip(
                ("image_critic", "object_critic"),
                (config.image_weight, config.object_weight),
                real,
                fake,
                (totals.pictures, totals.objects),
                strict=True,
            ):
                terms[name] = weight * ((1 - one).relu().sum() + (1 + other).relu().sum()) / count
        else:
            made, masks = memory.pop("fake"), memory.pop("masks")
            images, objects = self._discriminate(made, batch)
            terms["image_gan"] = -config.image_weight * images.sum() / totals.pictures
            terms["object_gan"] = -config.object_weight * objects.sum() / totals.objects
            if config.pixel_weight:
                difference = (made - batch.images).abs().mean(dim=(1, 2, 3)).sum()
                terms["pixels"] = config.pixel_weight * difference / totals.pictures
            if config.mask_weight:
                errors = self._mask_errors(masks, batch).sum()
                terms["masks"] = config.mask_weight * errors / totals.objects
            if self.vgg is not None:
                distance = feature_distance(self.vgg.to(made.device), made, batch.images).sum()
                terms["features"] = config.feature_weight * distance / totals.pictures
        total = torch.stack([term.float() for term in terms.values()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Difference from the real pictures, and the discriminator's scores of both, which are close if all is well."""
        assert batch.images is not None, "validation needs pictures"
        made = model(without_masks(batch), generators).images
        assert made is not None
        difference = (made - batch.images).abs().mean(dim=(1, 2, 3))
        figures = {"pixels": (float(difference.sum()), float(len(difference)))}
        with evaluating(self.discriminator):
            for kind, pictures in (("real", batch.images), ("generated", made)):
                for name, scores in zip(("image", "object"), self._discriminate(pictures, batch), strict=True):
                    figures[f"{name}_score_{kind}"] = (float(scores.sum()), float(len(scores)))
        return figures

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Pictures of the true boxes; masks are the model's own."""
        images = model(without_masks(batch), generators).images
        return {} if images is None else {"true boxes": images}

    def _mask_errors(self, masks: Tensor, batch: SceneBatch) -> Tensor:
        """The mean cross-entropy per object whose true mask is known. In float32, as torch demands."""
        known = batch.known_masks
        with torch.autocast(masks.device.type, enabled=False):
            errors = F.binary_cross_entropy(masks[known].float(), batch.masks[known], reduction="none")
        return errors.mean(dim=(1, 2))

    def _discriminate(self, images: Tensor, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        image_scores, object_scores = self.discriminator(
            images, batch.objects, batch.attributes, batch.boxes, batch.object_to_image
        )
        return image_scores, object_scores


class LostGanObjective(LayoutGanObjective):
    """Both networks learn at the same rate."""

    Config = LostGanConfig
    system = "lostgan"


class LamaObjective(LayoutGanObjective):
    """A fast discriminator, whose residual scales are slower; a slow style network and mix of norms."""

    Config = LamaConfig
    system = "lama"
    slow: ClassVar = {"generator": {"mapping": 0.1, "rho": 0.1}, "discriminator": {"alpha": 0.2}}
