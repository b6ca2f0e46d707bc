"""sg2im's losses: the generator's, then those of its two discriminators on the same pictures, detached."""

from __future__ import annotations

from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from scenograph.models.base import Model
from scenograph.models.sg2im import Sg2Im, normalize
from scenograph.nn.discriminators import ImageDiscriminator, ObjectDiscriminator, Padding, check_size
from scenograph.nn.layers import Normalization, channels_last
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scoring import layout_figures, totals
from scenograph.training.gan import GanLoss, discriminator_loss, generator_loss
from scenograph.training.objectives.adversarial import AdversarialObjective
from scenograph.training.objectives.base import Generators, ObjectiveConfig, Totals


class DiscriminatorConfig(BaseModel):
    """``arch`` in the language of :func:`scenograph.nn.discriminators.build_cnn`; ``weight`` 0 leaves it out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arch: str = "C4-64-2,C4-128-2,C4-256-2"
    normalization: Normalization = "batch"
    activation: str = "leakyrelu-0.2"
    padding: Padding = "valid"
    weight: NonNegativeFloat = 1.0

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(arch="C3-8-2,C3-8", normalization="none", padding="same")


class Sg2ImObjectiveConfig(ObjectiveConfig):
    """The published defaults. ``adversarial_weight`` scales both discriminators' part in the generator's loss."""

    pixel_weight: NonNegativeFloat = 1.0
    box_weight: NonNegativeFloat = 10.0
    mask_weight: NonNegativeFloat = 0.0
    relation_weight: NonNegativeFloat = 0.0
    class_weight: NonNegativeFloat = 0.1
    adversarial_weight: NonNegativeFloat = 0.01
    gan_loss: GanLoss = "gan"
    object_discriminator: DiscriminatorConfig = DiscriminatorConfig()
    image_discriminator: DiscriminatorConfig = DiscriminatorConfig()
    crop_size: PositiveInt = 32
    eval_mode_after: int = 100_000
    """From this step on the generator uses its running statistics, with a fresh Adam."""

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            mask_weight=0.1,
            relation_weight=0.1,
            object_discriminator=DiscriminatorConfig.tiny(),
            image_discriminator=DiscriminatorConfig.tiny(),
            crop_size=8,
        )


class Sg2ImObjective(AdversarialObjective):
    """Three phases: generator, object discriminator, image discriminator. Those of weight 0 are left out."""

    Config = Sg2ImObjectiveConfig

    def __init__(self, config: Sg2ImObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.discriminators: dict[str, nn.Module] = {}
        if config.adversarial_weight * config.object_discriminator.weight > 0:
            options = config.object_discriminator.model_dump(exclude={"weight"})
            self.discriminators["object_discriminator"] = ObjectDiscriminator(
                len(model.vocabulary.categories),
                object_size=config.crop_size,
                align_corners=cast(Sg2Im, model).config.align_corners,
                **options,
            )
        if config.adversarial_weight * config.image_discriminator.weight > 0:
            discriminator = ImageDiscriminator(**config.image_discriminator.model_dump(exclude={"weight"}))
            check_size(discriminator.cnn, config.image_discriminator.arch, cast(Sg2Im, model).config.image_size)
            self.discriminators["image_discriminator"] = discriminator
        for network in self.discriminators.values():
            channels_last(network)

    def begin_step(self, step: int) -> tuple[str, ...]:
        """The original counts steps from 1 and switches before step ``eval_mode_after``."""
        if step + 1 != self.config.eval_mode_after:
            return ()
        self.model.eval()
        return ("generator",)

    def restore(self, step: int) -> None:
        """Back to eval mode if the run had switched."""
        if step >= self.config.eval_mode_after:
            self.model.eval()

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Means over pictures and over objects, ``__image__`` included."""
        self.let_learn(phase)
        if phase == "generator":
            assert batch.images is not None, "training needs pictures"
            model = cast(Sg2Im, self.model)
            memory["scene"] = model.add_image_objects(batch)
            memory["real"] = normalize(batch.images)
            memory["picture_share"] = batch.num_images / totals.pictures
            memory["objects"] = totals.objects + totals.pictures
            memory["relations"] = totals.relations + totals.objects
            terms = self._generator_terms(model, generators, memory)
        elif phase == "object_discriminator":
            terms = self._object_discriminator_terms(memory)
        else:
            real = self.discriminators[phase](memory["real"])
            fake = self.discriminators[phase](memory["fake"])
            terms = {"image_critic": discriminator_loss(self.config.gan_loss, real, fake) * memory["picture_share"]}
        total = torch.stack([term.float() for term in terms.values()]).sum()
        return total, {name: term.detach() for name, term in terms.items()}

    def _generator_terms(self, model: Sg2Im, generators: Generators, memory: dict[str, Any]) -> dict[str, Tensor]:
        """Every weighted term of the generator's loss; those of weight 0 are not computed."""
        config, scene, objects = self.config, memory["scene"], memory["objects"]
        condition, predicted = model.encode_graph(scene, generators)
        fake = model.render_normalized(condition)
        memory["fake"] = fake.detach()
        share = memory["picture_share"]
        terms = {"pixels": config.pixel_weight * (fake - memory["real"]).abs().mean() * share}
        box_error = (predicted.boxes - scene.boxes).square().mean(dim=1)
        terms["boxes"] = config.box_weight * box_error.sum() / objects
        if config.mask_weight and predicted.masks is not None:
            known = scene.known_masks
            error = F.binary_cross_entropy(predicted.masks[known].float(), scene.masks[known], reduction="none")
            terms["masks"] = config.mask_weight * error.mean(dim=(1, 2)).sum() / objects
        if config.relation_weight:
            assert predicted.relation_scores is not None
            error = F.cross_entropy(predicted.relation_scores, scene.triples[:, 1], reduction="sum")
            terms["relations"] = config.relation_weight * error / memory["relations"]
        if "object_discriminator" in self.discriminators:
            scores, class_errors = self._discriminate_objects(fake, scene)
            terms["object_class"] = config.class_weight * class_errors.sum() / objects
            weight = config.adversarial_weight * config.object_discriminator.weight
            terms["object_gan"] = weight * generator_loss(config.gan_loss, scores) * len(scores) / objects
        if "image_discriminator" in self.discriminators:
            weight = config.adversarial_weight * config.image_discriminator.weight
            scores = self.discriminators["image_discriminator"](fake)
            terms["image_gan"] = weight * generator_loss(config.gan_loss, scores) * share
        return terms

    def _object_discriminator_terms(self, memory: dict[str, Any]) -> dict[str, Tensor]:
        scene, objects = memory["scene"], memory["objects"]
        fake_scores, fake_errors = self._discriminate_objects(memory["fake"], scene)
        real_scores, real_errors = self._discriminate_objects(memory["real"], scene)
        adversarial = discriminator_loss(self.config.gan_loss, real_scores, fake_scores)
        return {
            "object_critic": adversarial * len(real_scores) / objects,
            "class_real": real_errors.sum() / objects,
            "class_fake": fake_errors.sum() / objects,
        }

    def _discriminate_objects(self, pictures: Tensor, scene: SceneBatch) -> tuple[Tensor, Tensor]:
        discriminator = self.discriminators["object_discriminator"]
        scores, errors = discriminator(pictures, scene.objects, scene.boxes, scene.object_to_image)
        return scores, errors

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Pixel error under the true layout; box error, IoU and recalls, relation accuracy of predicted boxes."""
        assert batch.images is not None, "validation needs pictures"
        network = cast(Sg2Im, model)
        scene = network.add_image_objects(batch)
        condition, predicted = network.encode_graph(scene, generators)
        assert predicted.boxes is not None
        pixels = (network.render_normalized(condition) - normalize(batch.images)).abs().mean(dim=(1, 2, 3))
        boxes = predicted.boxes[~network.is_image(scene)].float()
        return {
            "pixels": (float(pixels.sum()), len(pixels)),
            "box_error": (float((boxes - batch.boxes).square().mean(dim=1).sum()), len(boxes)),
            **totals(layout_figures(boxes, batch, model.vocabulary)),
        }

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Pictures from true boxes and masks, and from the model's own."""
        network = cast(Sg2Im, model)
        unknown = batch.with_layout(torch.full_like(batch.boxes, float("nan")))
        pictures = {
            "true layout": network(batch, generators).images,
            "own layout": network(unknown, generators).images,
        }
        return {name: images for name, images in pictures.items() if images is not None}
