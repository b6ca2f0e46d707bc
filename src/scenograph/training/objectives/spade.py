"""SPADE's and AttSPADE's losses: a discriminator that reads the condition beside the picture, and feature distances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from scenograph.models.attspade import AttSpade
from scenograph.models.base import ImageModel, Model
from scenograph.models.spade import Spade
from scenograph.nn.discriminators import ObjectDiscriminator
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.layers import channels_last, evaluating, small_xavier_
from scenograph.nn.painting import paint_vectors
from scenograph.nn.perceptual import feature_distance
from scenograph.nn.spade import ConditionMap, LabelMap, MultiScaleDiscriminator
from scenograph.scenes.batch import SceneBatch
from scenograph.training.gan import GanLoss, discriminator_loss, feature_matching, generator_loss
from scenograph.training.objectives.adversarial import AdversarialObjective
from scenograph.training.objectives.base import (
    Betas,
    Generators,
    ObjectiveConfig,
    Probability,
    Totals,
    normal,
    with_some_masks,
    without_masks,
)
from scenograph.training.objectives.features import FeatureObjective
from scenograph.training.objectives.sg2im import DiscriminatorConfig


class SpadeObjectiveConfig(ObjectiveConfig):
    """The published weights of the generator's losses, and its discriminator."""

    gan_loss: GanLoss = "hinge"
    image_weight: NonNegativeFloat = 1.0
    matching_weight: NonNegativeFloat = 10.0
    """Weight of the differences of the discriminator's features."""
    feature_weight: NonNegativeFloat = 10.0
    """Weight of the distance of VGG19's features from the real picture's."""
    pixel_weight: NonNegativeFloat = 0.0
    """Mean absolute difference from the real picture; beyond the published losses."""
    vgg_file: Path | None = None
    """torchvision's ``vgg19-dcbb9e9d.pth``; without, it is downloaded where it is needed."""
    style_weight: NonNegativeFloat = 0.05
    """Weight of the divergence of encoded styles from normal ones, where the model has styles."""
    discriminator_channels: PositiveInt = 64
    discriminator_scales: PositiveInt = 2
    discriminator_layers: int = Field(default=4, ge=2)
    given_masks: Probability = 1.0
    """Probability per picture that its true masks are given, and not its boxes alone."""
    generator_rate: PositiveFloat = 0.5
    discriminator_rate: PositiveFloat = 2.0
    """Learning rates, in units of the optimizer's (Heusel et al. 2017)."""

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(feature_weight=0.0, discriminator_channels=4)


class SpadeObjective(AdversarialObjective, FeatureObjective):
    """Two phases: the generator with its style encoder, then the discriminator."""

    Config: ClassVar[type[ObjectiveConfig]] = SpadeObjectiveConfig
    config: SpadeObjectiveConfig
    fresh_fakes: ClassVar[bool] = True
    """Whether the discriminator sees pictures rendered again, by the updated generator."""
    picture_first: ClassVar[bool] = False
    """Whether the discriminator's first channels are the picture's."""

    def __init__(self, config: SpadeObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.discriminators = self._discriminators()
        for discriminator in self.discriminators.values():
            channels_last(discriminator)

    def _discriminators(self) -> dict[str, nn.Module]:
        model = cast(Spade, self.model)
        discriminator = self._multi_scale(model.labels + model.config.edges)
        small_xavier_(discriminator)
        return {"image_discriminator": discriminator}

    def _multi_scale(self, condition_channels: int) -> MultiScaleDiscriminator:
        config = self.config
        return MultiScaleDiscriminator(
            condition_channels + 3,
            config.discriminator_channels,
            config.discriminator_scales,
            config.discriminator_layers,
        )

    def rates(self, phase: str) -> dict[str, float]:
        """Factors of the optimizer's learning rate."""
        return {"": self.config.generator_rate if phase == "generator" else self.config.discriminator_rate}

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Means over pictures and over objects; the divergence of styles is a sum."""
        assert batch.images is not None, "training needs pictures"
        self.let_learn(phase)
        if phase == "generator":
            batch = memory["batch"] = with_some_masks(batch, self.config.given_masks, generators)
            condition = memory["condition"] = self._generator_condition(batch)
            fake, terms = self._render(batch, condition, generators)
            memory["fake"] = fake.detach()
            terms |= self._generator_terms(fake, batch, condition, totals)
        else:
            batch, condition = memory["batch"], memory["condition"]
            if self.fresh_fakes:
                with torch.no_grad():
                    memory["fake"], _ = self._render(batch, condition, generators)
            terms = self._discriminator_terms(phase, memory["fake"], batch, condition, totals)
        total = torch.stack([term.float() for term in terms.values()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _generator_condition(self, batch: SceneBatch) -> ConditionMap:
        """What the generator renders from."""
        condition: ConditionMap = cast(ImageModel[ConditionMap], self.model).condition(batch).condition
        return condition

    def _render(
        self, batch: SceneBatch, condition: ConditionMap, generators: Generators
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Pictures in the styles of the real ones, and the loss of the style encoder."""
        model, condition = cast(Spade, self.model), cast(LabelMap, condition)
        if model.style is None:
            return model.render(condition), {}
        mean, log_variance = model.style(batch.images)
        deviation = normal(generators, (model.config.latent_size,)).to(mean.device) * (0.5 * log_variance).exp()
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        styled = replace(condition, latents=mean + deviation)
        return model.render(styled), {"styles": self.config.style_weight * divergence}

    def _generator_terms(
        self, fake: Tensor, batch: SceneBatch, condition: ConditionMap, totals: Totals
    ) -> dict[str, Tensor]:
        config, real = self.config, cast(Tensor, batch.images)
        share = batch.num_images / totals.pictures
        seen = self._discriminator_condition(batch, condition)
        on_fake = self._discriminate([fake], seen)
        with torch.no_grad(), evaluating(self._image_discriminator()):
            on_real = self._discriminate([real], seen)
        adversarial = torch.stack([generator_loss(config.gan_loss, scale[-1]) for scale in on_fake]).mean()
        terms = {
            "image_gan": config.image_weight * share * adversarial,
            "matching": config.matching_weight * share * feature_matching(on_fake, on_real),
        }
        if self.vgg is not None:
            distance = feature_distance(self.vgg.to(fake.device), fake, real).sum()
            terms["features"] = config.feature_weight * distance / totals.pictures
        if config.pixel_weight:
            terms["pixels"] = config.pixel_weight * share * (fake - real).abs().mean()
        return terms

    def _discriminator_terms(
        self, phase: str, fake: Tensor, batch: SceneBatch, condition: ConditionMap, totals: Totals
    ) -> dict[str, Tensor]:
        found = self._discriminate([fake, cast(Tensor, batch.images)], self._discriminator_condition(batch, condition))
        scores = (scale[-1].chunk(2) for scale in found)
        losses = [discriminator_loss(self.config.gan_loss, on_real, on_fake) for on_fake, on_real in scores]
        share = batch.num_images / totals.pictures
        return {"image_critic": share * torch.stack(losses).mean()}

    def _discriminate(self, batches: list[Tensor], condition: Tensor) -> list[list[Tensor]]:
        """Features and scores of several batches of pictures under one condition, which are concatenated."""
        pairs = [(pictures, condition) if self.picture_first else (condition, pictures) for pictures in batches]
        found: list[list[Tensor]] = self._image_discriminator()(torch.cat([torch.cat(pair, dim=1) for pair in pairs]))
        return found

    def _discriminator_condition(self, batch: SceneBatch, condition: ConditionMap) -> Tensor:
        """What the discriminator reads beside the picture: (N, C, H, W)."""
        return cast(LabelMap, condition).one_hot()

    def _image_discriminator(self) -> nn.Module:
        return self.discriminators["image_discriminator"]

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Difference from the real pictures."""
        made = model(batch, generators).images
        assert batch.images is not None and made is not None, "validation needs pictures"
        difference = (made - batch.images).abs().mean(dim=(1, 2, 3))
        return {"pixels": (float(difference.sum()), float(len(difference)))}

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Pictures from true boxes and masks, and from boxes alone."""
        ways = {"true masks": batch, "true boxes": without_masks(batch)}
        return {name: cast(Tensor, model(way, generators).images) for name, way in ways.items()}


class AttSpadeObjectiveConfig(SpadeObjectiveConfig):
    """The published values. ``objects`` off leaves the object discriminator out, as for CLEVR."""

    generator_rate: PositiveFloat = 1.0
    discriminator_rate: PositiveFloat = 1.0
    discriminator_betas: Betas = (0.5, 0.999)
    objects: bool = True
    object_weight: NonNegativeFloat = 0.1
    class_weight: NonNegativeFloat = 0.1
    object_discriminator: DiscriminatorConfig = DiscriminatorConfig()
    crop_size: PositiveInt = 32

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            feature_weight=0.0,
            pixel_weight=1.0,
            discriminator_channels=4,
            given_masks=0.5,
            object_discriminator=DiscriminatorConfig.tiny(),
            crop_size=8,
        )


class AttSpadeObjective(SpadeObjective):
    """Three phases: the generator, the discriminator of pictures, and that of objects (section 5)."""

    Config = AttSpadeObjectiveConfig
    config: AttSpadeObjectiveConfig
    fresh_fakes = False
    picture_first = True

    def _discriminators(self) -> dict[str, nn.Module]:
        vocabulary, config = self.model.vocabulary, self.config
        sizes = cast(AttSpade, self.model).table_sizes
        embedding = AttributeEmbedding(sizes, cast(AttSpade, self.model).config.embedding_dim, mixed=True)
        discriminator = nn.ModuleDict({"embedding": embedding, "scales": self._multi_scale(embedding.width)})
        found: dict[str, nn.Module] = {"image_discriminator": discriminator}
        if config.objects:
            options = config.object_discriminator.model_dump(exclude={"weight"})
            categories = len(vocabulary.categories)
            found["object_discriminator"] = ObjectDiscriminator(categories, object_size=config.crop_size, **options)
        return found

    def betas(self, phase: str) -> tuple[float, float] | None:
        """Discriminators have decays of their own."""
        return None if phase == "generator" else self.config.discriminator_betas

    def _render(
        self, batch: SceneBatch, condition: ConditionMap, generators: Generators
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return cast(AttSpade, self.model).render(cast(Tensor, condition)), {}

    def _generator_terms(
        self, fake: Tensor, batch: SceneBatch, condition: ConditionMap, totals: Totals
    ) -> dict[str, Tensor]:
        terms = super()._generator_terms(fake, batch, condition, totals)
        if "object_discriminator" in self.discriminators:
            scores, errors = self._discriminate_objects(fake, batch)
            terms["object_gan"] = -self.config.object_weight * scores.sum() / totals.objects
            terms["object_class"] = self.config.class_weight * errors.sum() / totals.objects
        return terms

    def _discriminator_terms(
        self, phase: str, fake: Tensor, batch: SceneBatch, condition: ConditionMap, totals: Totals
    ) -> dict[str, Tensor]:
        if phase != "object_discriminator":
            return super()._discriminator_terms(phase, fake, batch, condition, totals)
        fake_scores, fake_errors = self._discriminate_objects(fake, batch)
        real_scores, real_errors = self._discriminate_objects(cast(Tensor, batch.images), batch)
        critic = discriminator_loss("gan", real_scores, fake_scores) * len(real_scores)
        return {
            "object_critic": 0.5 * critic / totals.objects,
            "class_real": real_errors.sum() / totals.objects,
            "class_fake": fake_errors.sum() / totals.objects,
        }

    def _discriminate_objects(self, pictures: Tensor, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        discriminator = self.discriminators["object_discriminator"]
        scores, errors = discriminator(pictures, batch.objects, batch.boxes, batch.object_to_image)
        return scores, errors

    def _discriminator_condition(self, batch: SceneBatch, condition: ConditionMap) -> Tensor:
        """A painted map of the discriminator's own vectors."""
        model, networks = cast(AttSpade, self.model), cast(nn.ModuleDict, self.discriminators["image_discriminator"])
        vectors = networks["embedding"](model.attributes(batch))
        return paint_vectors(vectors, model.planes(batch), batch.object_to_image, batch.num_images)

    def _image_discriminator(self) -> nn.Module:
        return cast(nn.ModuleDict, self.discriminators["image_discriminator"])["scales"]
