"""WSGC's losses: boxes and masks, a discriminator of masks, and probabilities of converses, learnt by REINFORCE."""

from __future__ import annotations

from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from scenograph.models.base import Model, noise
from scenograph.models.wsgc import Wsgc
from scenograph.nn.spade import MultiScaleDiscriminator
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scoring import layout_figures, totals
from scenograph.training.gan import discriminator_loss, feature_matching, generator_loss
from scenograph.training.objectives.base import Generators, Objective, ObjectiveConfig, Totals


class WsgcObjectiveConfig(ObjectiveConfig):
    """The published weights. ``belief_rate`` is the learning rate of confidences, in units of the optimizer's."""

    box_weight: NonNegativeFloat = 10.0
    mask_weight: NonNegativeFloat = 0.0
    mask_gan_weight: NonNegativeFloat = 0.0
    """Weight of the discriminator of masks (1 as published, where masks are learnt)."""
    matching_weight: NonNegativeFloat = 10.0
    """Weight of the differences of its features."""
    discriminator_channels: PositiveInt = 64
    discriminator_rate: PositiveFloat = 0.1
    """The discriminator's learning rate, in units of the optimizer's."""
    belief_rate: PositiveFloat = 100.0

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(mask_weight=0.1)


class WsgcObjective(Objective):
    """Phases: the network with its confidences, the probabilities of converses, the mask discriminator.

    Converses become more probable where the pictures they were sampled for have smaller errors than others of the same
    part of the batch (Williams 1992; section 4.3).
    """

    Config = WsgcObjectiveConfig

    def __init__(self, config: WsgcObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.network = cast(Wsgc, model)
        self.chances = nn.ParameterList([self.network.converse])
        self.discriminator: MultiScaleDiscriminator | None = None
        if config.mask_gan_weight:
            channels = 1 + len(model.vocabulary.categories)
            self.discriminator = MultiScaleDiscriminator(channels, config.discriminator_channels)

    @property
    def phases(self) -> tuple[str, ...]:
        """The network, and whatever else is trained."""
        return tuple(self.modules())

    def rates(self, phase: str) -> dict[str, float]:
        """Confidences and probabilities learn faster."""
        if phase == "layout":
            return {"": 1.0, "transitive": self.config.belief_rate}
        return {"": self.config.belief_rate if phase == "converses" else self.config.discriminator_rate}

    def betas(self, phase: str) -> tuple[float, float] | None:
        """The discriminator has decays of its own."""
        return (0.5, 0.999) if phase == "mask_discriminator" else None

    def modules(self) -> dict[str, nn.Module]:
        """Phase to module. The network holds the probabilities too, but its own phase gives them no gradient."""
        found: dict[str, nn.Module] = {"layout": self.network}
        if self.network.samples_converses:
            found["converses"] = self.chances
        if self.discriminator is not None:
            found["mask_discriminator"] = self.discriminator
        return found

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Smooth L1 of boxes (x, y, width, height) per object of a picture, averaged over pictures; then the others."""
        if self.discriminator is not None:
            self.discriminator.requires_grad_(phase == "mask_discriminator")
        if phase == "converses":
            errors = memory["errors"]
            reward = errors - errors.mean()
            if len(errors) > 1:
                reward = reward / (errors.std() + torch.finfo(errors.dtype).eps)
            loss = (reward * self.network.log_probability(memory["graph"])).sum() / totals.pictures
            return loss, {"converses": loss.detach()}
        if phase == "mask_discriminator":
            on_fake, on_real = (self._discriminate(memory["masks"], batch), self._discriminate(batch.masks, batch))
            critics = [
                discriminator_loss("hinge", real[-1], fake[-1]) for real, fake in zip(on_real, on_fake, strict=True)
            ]
            loss = 0.5 * torch.stack(critics).mean() * batch.known_masks.sum() / totals.objects
            return loss, {"mask_critic": loss.detach()}
        graph = memory["graph"] = self.network.canonicalize(batch, generators)
        errors, masks = self._errors(self.network, batch, generators, graph)
        memory["errors"] = errors.detach()
        terms = {"boxes": self.config.box_weight * errors.sum() / totals.pictures}
        if self.config.mask_weight and masks is not None:
            known = batch.known_masks
            wrong = F.binary_cross_entropy(masks[known].float(), batch.masks[known], reduction="none")
            terms["masks"] = self.config.mask_weight * wrong.mean(dim=(1, 2)).sum() / totals.objects
        if self.discriminator is not None and masks is not None:
            memory["masks"] = masks.detach()
            on_fake, on_real = self._discriminate(masks, batch), self._discriminate(batch.masks, batch)
            share = self.config.mask_gan_weight * batch.known_masks.sum() / totals.objects
            terms["mask_gan"] = share * torch.stack([generator_loss("hinge", scale[-1]) for scale in on_fake]).mean()
            terms["matching"] = share * self.config.matching_weight * feature_matching(on_fake, on_real)
        loss = torch.stack(list(terms.values())).sum()
        return loss, {name: term.detach() for name, term in terms.items()}

    def _discriminate(self, masks: Tensor, batch: SceneBatch) -> list[list[Tensor]]:
        """The discriminator's features and scores of masks (O, M, M), of objects whose true masks are known."""
        assert self.discriminator is not None
        known = batch.known_masks
        category = F.one_hot(batch.objects[known], len(self.model.vocabulary.categories)).float()
        # (known, categories) -> (known, categories, M, M)
        planes = category[:, :, None, None].expand(-1, -1, *masks.shape[1:])
        found: list[list[Tensor]] = self.discriminator(torch.cat([planes, masks[known][:, None]], dim=1))
        return found

    def _errors(
        self, model: Wsgc, batch: SceneBatch, generators: Generators, graph: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Box errors per picture (N,), and masks."""
        device = batch.objects.device
        boxes, masks = model.layout(
            batch, graph, noise((model.config.mask_noise_dim,), batch.num_images, generators, device)
        )
        wrong = F.smooth_l1_loss(_sides(boxes), _sides(batch.boxes), reduction="none").sum(dim=1)
        counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).clamp(min=1)
        return wrong.new_zeros(batch.num_images).index_add(0, batch.object_to_image, wrong) / counts, masks

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Box error; IoU, recalls and relation accuracy of predicted boxes."""
        network = cast(Wsgc, model)
        graph = network.canonicalize(batch, generators)
        errors, _ = self._errors(network, batch, generators, graph)
        boxes, _ = network.layout(batch, graph, errors.new_zeros((batch.num_images, network.config.mask_noise_dim)))
        figures = totals(layout_figures(boxes.clamp(0, 1).float(), batch, model.vocabulary))
        return {"box_error": (float(errors.sum()), len(errors)), **figures}


def _sides(boxes: Tensor) -> Tensor:
    """Corners to x, y, width, height."""
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
