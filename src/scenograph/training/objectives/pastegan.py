"""PasteGAN's losses: a picture from selected crops, the same picture reconstructed from its own, two discriminators."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import numpy as np
import torch
from pydantic import NonNegativeFloat, NonNegativeInt
from torch import Tensor, nn

from scenograph.errors import NOTE
from scenograph.models.base import Model
from scenograph.models.pastegan import PasteGan
from scenograph.models.sg2im import add_image_objects, denormalize, normalize
from scenograph.nn.crops import crop_boxes
from scenograph.nn.discriminators import ImageDiscriminator, ObjectDiscriminator, check_size
from scenograph.nn.inception import Inception
from scenograph.nn.layers import channels_last
from scenograph.nn.painting import paste_crops
from scenograph.nn.perceptual import FeatureStack, feature_distance, level_distance
from scenograph.pretrained.networks import load_inception, missing_weights
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_iou
from scenograph.scenes.scoring import layout_figures, totals
from scenograph.training.gan import GanLoss, discriminator_loss, generator_loss
from scenograph.training.objectives.adversarial import AdversarialObjective
from scenograph.training.objectives.base import (
    Generators,
    ObjectiveConfig,
    Probability,
    Totals,
    uniform_per_object,
)
from scenograph.training.objectives.features import FeatureObjective
from scenograph.training.objectives.sg2im import DiscriminatorConfig

log = logging.getLogger(__name__)

OF_DISCRIMINATORS = ("object_critic", "image_critic", "class_real")
"""How the names of their losses begin."""
BRANCHES = ("", "_own")
"""Endings of the names of losses: of the picture from selected crops, and of that from the true picture's own."""


class PasteGanObjectiveConfig(ObjectiveConfig):
    """The published values. ``adversarial_weight`` scales both discriminators' part in the generator's loss."""

    pixel_weight: NonNegativeFloat = 1.0
    """Of the reconstruction; the picture from selected crops need not be the true one."""
    box_weight: NonNegativeFloat = 10.0
    matching_weight: NonNegativeFloat = 10.0
    """Of the differences between the features of selected crops and of what is drawn from them."""
    adversarial_weight: NonNegativeFloat = 0.01
    class_weight: NonNegativeFloat = 0.1
    feature_weight: NonNegativeFloat = 1.0
    """Of VGG19's distance of the reconstruction from the true picture."""
    selected_feature_weight: NonNegativeFloat = 0.5
    """The same of the picture from selected crops."""
    object_feature_weight: NonNegativeFloat = 0.5
    """The same of the reconstruction's objects from the true ones."""
    vgg_file: Path | None = None
    """torchvision's ``vgg19-dcbb9e9d.pth``; without, it is downloaded where it is needed."""
    gan_loss: GanLoss = "gan"
    object_discriminator: DiscriminatorConfig = DiscriminatorConfig(activation="leakyrelu-0.1")
    image_discriminator: DiscriminatorConfig = DiscriminatorConfig(activation="leakyrelu-0.1")
    own_crops: Probability = 0.0
    """Probability per object that its own crop is the selected one; a third as published."""
    eval_mode_after: NonNegativeInt | None = None
    """From this step on the generator uses its running statistics, with a fresh Adam; None: never."""

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            feature_weight=0.0,
            selected_feature_weight=0.0,
            object_feature_weight=0.0,
            object_discriminator=DiscriminatorConfig.tiny(),
            image_discriminator=DiscriminatorConfig.tiny(),
            own_crops=0.3,
        )


class PasteGanObjective(AdversarialObjective, FeatureObjective):
    """Three phases: generator, object discriminator, image discriminator. Those of weight 0 are left out."""

    Config = PasteGanObjectiveConfig
    draws_graphs: ClassVar[bool] = True

    def __init__(self, config: PasteGanObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.inception: Inception | None = None
        settings = cast(PasteGan, model).config
        self.discriminators: dict[str, nn.Module] = {}
        if config.adversarial_weight * config.object_discriminator.weight > 0:
            self.discriminators["object_discriminator"] = ObjectDiscriminator(
                len(model.vocabulary.categories),
                object_size=settings.crop_size,
                **config.object_discriminator.model_dump(exclude={"weight"}),
            )
        if config.adversarial_weight * config.image_discriminator.weight > 0:
            options = config.image_discriminator.model_dump(exclude={"weight"})
            discriminator = ImageDiscriminator(**options, classifies=True)
            check_size(discriminator, config.image_discriminator.arch, settings.image_size)
            self.discriminators["image_discriminator"] = discriminator
        for network in self.discriminators.values():
            channels_last(network)

    @property
    def compares_features(self) -> bool:
        """Of the reconstruction, of the picture from selected crops, or of objects."""
        config = self.config
        return any((config.feature_weight, config.selected_feature_weight, config.object_feature_weight))

    def load_networks(self) -> None:
        """VGG19; and, for the score of validation pictures, Inception if it is on this machine."""
        super().load_networks()
        if missing_weights("inception"):
            log.log(
                NOTE, "no val_inception, because Inception is not here; scenograph evaluate --protocol pastegan gets it"
            )
        else:
            self.inception = load_inception()

    def begin_step(self, step: int) -> tuple[str, ...]:
        """Before step ``eval_mode_after`` the generator changes to eval mode."""
        if step != self.config.eval_mode_after:
            return ()
        self.model.eval()
        return ("generator",)

    def restore(self, step: int) -> None:
        """Back to eval mode if the run had switched."""
        if self.config.eval_mode_after is not None and step > self.config.eval_mode_after:
            self.model.eval()

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Means over pictures and over objects, ``__image__`` included where discriminators see objects."""
        parts = list(self.losses(phase, batch, totals, generators, memory))
        terms = {name: term for _, found in parts for name, term in found.items()}
        return torch.stack([loss for loss, _ in parts]).sum(), terms

    def losses(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """The generator's loss in two summands, the picture's from selected crops and its reconstruction's."""
        self.let_learn(phase)
        if phase == "generator":
            assert batch.images is not None, "training needs pictures"
            scene = memory["scene"] = add_image_objects(batch, self.model.vocabulary)
            memory["real"], memory["fakes"] = normalize(batch.images), []
            memory["totals"], memory["share"] = totals, batch.num_images / totals.pictures
            crops = self._crops(scene, memory["real"], uniform_per_object(generators, batch, 1))
            summands = self._generator_terms(scene, crops, memory)
        elif phase == "object_discriminator":
            summands = iter([self._object_discriminator_terms(memory)])
        else:
            summands = iter([self._image_discriminator_terms(memory)])
        for terms in summands:
            total = torch.stack([term.float() for term in terms.values()]).sum()
            yield total, {name: term.detach() for name, term in terms.items()}

    def _crops(self, scene: SceneBatch, real: Tensor, chances: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Selected crops, and the true pictures' own: (O, 3, S, S) in normalized units each; 0 of ``__image__``.

        By ``chances`` (own objects, 1) in [0, 1) some of the selected ones are the picture's own.
        """
        model = cast(PasteGan, self.model)
        side, thing = model.config.crop_size, ~model.is_image(scene)
        own = crop_boxes(real, scene.boxes, scene.object_to_image, side, side)
        masks = torch.where(scene.known_masks[:, None, None], scene.masks, 1.0)[:, None]
        own = own * masks * thing[:, None, None, None]
        selected = model.crops(scene)
        if chances is not None and self.config.own_crops:
            leaks = torch.zeros_like(thing)
            leaks[thing] = (chances[:, 0] < self.config.own_crops).to(thing.device)
            selected = torch.where(leaks[:, None, None, None], own, selected)
        return selected, own

    def _generator_terms(
        self, scene: SceneBatch, crops: tuple[Tensor, Tensor], memory: dict[str, Any]
    ) -> Iterator[dict[str, Tensor]]:
        """Every weighted term of the generator's loss, branch by branch; those of weight 0 are not computed.

        The branches share the graph's vectors, which are computed for each, so that their graphs have nothing in
        common. Both kinds of crops are encoded before either branch goes on: running statistics depend on the order.
        """
        config, model, real, share = self.config, cast(PasteGan, self.model), memory["real"], memory["share"]
        counts, things = memory["totals"], ~model.is_image(scene)
        selected, own = (model.crop_encoder(part) for part in crops)
        graph = model.graph(scene)
        box_error = (graph.boxes - scene.boxes).square().mean(dim=1)
        terms = {"boxes": config.box_weight * box_error.sum() / (counts.objects + counts.pictures)}
        made = model.paint(scene, graph, selected)
        if config.matching_weight:
            shown = model.crop_encoder(self._cut(made, scene, things))
            difference = (shown - selected[things]).abs().float().mean(dim=(1, 2, 3))
            terms["matching"] = config.matching_weight * difference.sum() / counts.objects
        yield terms | self._picture_terms(made, scene, config.selected_feature_weight, memory)

        again = model.paint(scene, model.graph(scene), own)
        terms = {"pixels_own": config.pixel_weight * (again - real).abs().mean() * share}
        of_picture = self._picture_terms(again, scene, config.feature_weight, memory)
        terms |= {f"{name}_own": term for name, term in of_picture.items()}
        if config.object_feature_weight:
            distance = feature_distance(self._network(again), self._cut(again, scene, things), crops[1][things])
            terms["object_features_own"] = config.object_feature_weight * distance.sum() / counts.objects
        yield terms

    def _cut(self, pictures: Tensor, scene: SceneBatch, chosen: Tensor) -> Tensor:
        """What pictures show in the boxes of chosen objects (O,) bool."""
        side = cast(PasteGan, self.model).config.crop_size
        return crop_boxes(pictures, scene.boxes[chosen], scene.object_to_image[chosen], side, side)

    def _adversarial_terms(self, fake: Tensor, scene: SceneBatch, memory: dict[str, Any]) -> dict[str, Tensor]:
        """What the discriminators say of pictures."""
        config, terms = self.config, {}
        objects = memory["totals"].objects + memory["totals"].pictures
        if "image_discriminator" in self.discriminators:
            weight = config.adversarial_weight * config.image_discriminator.weight
            scores = self.discriminators["image_discriminator"](fake)
            terms["image_gan"] = weight * generator_loss(config.gan_loss, scores) * memory["share"]
        if "object_discriminator" in self.discriminators:
            weight = config.adversarial_weight * config.object_discriminator.weight
            scores, errors = self._discriminate_objects(fake, scene)
            terms["object_class"] = config.class_weight * errors.sum() / objects
            terms["object_gan"] = weight * generator_loss(config.gan_loss, scores) * len(scores) / objects
        return terms

    def _picture_terms(
        self, fake: Tensor, scene: SceneBatch, feature_weight: float, memory: dict[str, Any]
    ) -> dict[str, Tensor]:
        """What the discriminators say of pictures, and the distance of VGG19's features from the true ones'."""
        memory["fakes"].append(fake.detach())
        terms = self._adversarial_terms(fake, scene, memory)
        if feature_weight:
            vgg = self._network(fake)
            if "wanted" not in memory:
                with torch.no_grad():
                    memory["wanted"] = vgg(memory["real"])
            distance = level_distance(vgg(fake), memory["wanted"]).sum()
            terms["features"] = feature_weight * distance / memory["totals"].pictures
        return terms

    def _network(self, like: Tensor) -> FeatureStack:
        """VGG19 on the device of pictures, which it sees in normalized units."""
        return cast(FeatureStack, self.vgg).to(like.device)

    def _image_discriminator_terms(self, memory: dict[str, Any]) -> dict[str, Tensor]:
        discriminator, kind = self.discriminators["image_discriminator"], self.config.gan_loss
        real, *fakes = (discriminator(pictures) for pictures in (memory["real"], *memory["fakes"]))
        return {
            f"image_critic{ending}": discriminator_loss(kind, real, fake) * memory["share"]
            for ending, fake in zip(BRANCHES, fakes, strict=True)
        }

    def _object_discriminator_terms(self, memory: dict[str, Any]) -> dict[str, Tensor]:
        scene, kind = memory["scene"], self.config.gan_loss
        objects = memory["totals"].objects + memory["totals"].pictures
        real, errors = self._discriminate_objects(memory["real"], scene)
        fakes = [self._discriminate_objects(fake, scene)[0] for fake in memory["fakes"]]
        terms = {"class_real": errors.sum() / objects}
        for ending, fake in zip(BRANCHES, fakes, strict=True):
            terms[f"object_critic{ending}"] = discriminator_loss(kind, real, fake) * len(real) / objects
        return terms

    def _discriminate_objects(self, pictures: Tensor, scene: SceneBatch) -> tuple[Tensor, Tensor]:
        discriminator = self.discriminators["object_discriminator"]
        scores, errors = discriminator(pictures, scene.objects, scene.boxes, scene.object_to_image)
        return scores, errors

    def validate(
        self, model: Model, batch: SceneBatch, generators: Generators
    ) -> Mapping[str, tuple[float | np.ndarray, float]]:
        """Differences from the true pictures with selected and with own crops; box error and figures of boxes.

        ``iou`` counts the box that is predicted for ``__image__``, too. Inception sees the pictures of selected crops.
        """
        assert batch.images is not None, "validation needs pictures"
        network, real = cast(PasteGan, model), normalize(batch.images)
        scene = add_image_objects(batch, model.vocabulary)
        graph, things = network.graph(scene), ~network.is_image(scene)
        figures: dict[str, tuple[float | np.ndarray, float]] = {}
        for ending, crops in zip(BRANCHES, self._crops(scene, real), strict=True):
            pictures = network.branch(scene, graph, crops).images
            difference = (pictures - real).abs().mean(dim=(1, 2, 3))
            figures[f"pixels{ending}"] = (float(difference.sum()), float(len(difference)))
            if self.inception is not None and not ending:
                figures["inception"] = (self._classes(self.inception, pictures), len(pictures))
        overlaps = box_iou(graph.boxes.float().cpu().numpy(), scene.boxes.float().cpu().numpy())
        figures["iou"] = (float(overlaps.sum()), len(overlaps))
        boxes = graph.boxes[things].float()
        errors = (boxes - batch.boxes).square().mean(dim=1)
        return figures | {
            "box_error": (float(errors.sum()), float(len(errors))),
            **totals(layout_figures(boxes, batch, model.vocabulary)),
        }

    def _classes(self, network: Inception, pictures: Tensor) -> np.ndarray:
        """Sums over pictures: of the probability p of each of K classes, and of p log p over all of them; (K + 1,)."""
        with torch.autocast(pictures.device.type, enabled=False):
            shown = (denormalize(pictures.float()).clamp(-1, 1) + 1) * 127.5
            chances = network.to(pictures.device)(shown.floor())[1].cpu().double()
        sums = [chances.sum(dim=0), torch.special.entr(chances).sum().neg()[None]]
        return torch.cat(sums).numpy()

    def conclude(self, figures: Mapping[str, Any]) -> dict[str, float]:
        """With the Inception Score, in one split: how far the classes of pictures are from those of all of them."""
        found = dict(figures)
        if (means := found.pop("inception", None)) is not None:
            classes, certainty = torch.from_numpy(means[:-1]), float(means[-1])
            found["inception_score"] = math.exp(certainty + float(torch.special.entr(classes).sum()))
        return found

    def tag(self, kind: Literal["train", "validation"], figure: str) -> str:
        """The original's names."""
        if kind == "train":
            return f"{'d_loss' if figure.startswith(OF_DISCRIMINATORS) else 'loss'}/{figure}"
        return f"ckpt/val_{'inception' if figure == 'inception_score' else figure}"

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Both kinds of crops pasted into the true boxes, what is drawn from them, and a picture of predicted boxes."""
        network = cast(PasteGan, model)
        assert batch.images is not None
        scene, real = add_image_objects(batch, model.vocabulary), normalize(batch.images)
        graph, masked = network.graph(scene), bool(batch.known_masks.any())
        selected, own = self._crops(scene, real)
        where, columns = (scene.boxes, scene.object_to_image, scene.num_images, network.config.image_size), {}
        for crops, pasted, drawn in ((own, "canvas_ori", "reconstruction"), (selected, "canvas_sel", "prediction")):
            columns[pasted] = denormalize(paste_crops(crops, *where, masked))
            columns[drawn] = denormalize(network.branch(scene, graph, crops).images)
        unknown = batch.with_layout(torch.full_like(batch.boxes, float("nan")))
        columns["prediction with predicted boxes"] = network(unknown, generators).images
        return columns
