"""Scene Designer's losses (section 3 of the paper): of single objects in two domains, then of whole scenes.

Its first stage trains the encoders of objects alone (``scenes: false``), its second and third one everything. Every
object is seen three times: as a sketch, as a crop of the picture, and as what it is not, another category's crop in its
place. So the scene, with the same boxes, is seen three times too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.models.base import Model, noise_per_object
from scenograph.models.scene_designer import SceneDesigner, with_graph
from scenograph.nn.crops import crop_boxes
from scenograph.nn.mask_discriminator import MaskDiscriminator
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_iou
from scenograph.training.gan import generator_loss
from scenograph.training.objectives.base import Generators, Objective, ObjectiveConfig, Totals, uniform_per_object

MARGIN = 0.5
MATCHED = 4.0
"""Weight of all layers of the discriminator together in feature matching, scores included."""
Encodings = tuple[Tensor, Tensor, Tensor]
"""Of sketches, of the same objects' crops, and of the crops that take their place: (O, encoding_dim) each."""


class SceneDesignerObjectiveConfig(ObjectiveConfig):
    """The published weights of the second and third stage."""

    scenes: bool = True
    """Whether whole scenes are learned; the first stage learns objects alone."""
    contrast_weight: NonNegativeFloat = 1.0
    negative_scenes: bool = True
    """Whether the contrast includes scenes in which all objects were replaced; without them is an ablation."""
    box_weight: NonNegativeFloat = 10.0
    overlap_weight: NonNegativeFloat = 0.1
    """Weight of the generalized IoU beside the squared error of boxes."""
    mask_weight: NonNegativeFloat = 10.0
    adversarial_weight: NonNegativeFloat = 0.5
    """Weight of each domain's masks before the discriminator; 0, an ablation, leaves that out."""
    feature_weight: NonNegativeFloat = 0.0
    """Weight of feature matching, which the published model only logs; its value there is 10."""
    category_weight: NonNegativeFloat = 1.0
    """Weight of categories told from the vectors of scenes' objects, in each domain."""
    object_weight: NonNegativeFloat = 2.0
    """Weight of the first stage's losses; 1 is that stage's own."""
    object_triplet_weight: NonNegativeFloat = 1.0
    """Weight of the triplets among these, and with 0 an ablation."""
    object_category_weight: NonNegativeFloat = 1.0
    """Weight of categories told from single objects among these; 0, with ``category_weight`` 0, is an ablation."""
    focal: bool = False
    """Whether categories that are told easily count less (Lin et al., ICCV 2017, with an exponent of 2)."""
    label_smoothing: bool = True
    """Whether the discriminator's target of real masks is sampled around 0.9."""
    discriminator_width: PositiveInt = 64
    discriminator_layers: PositiveInt = 3
    discriminator_rate: NonNegativeFloat = 4.0
    """Learning rate of the discriminator, in units of the optimizer's."""
    discriminator_epsilon: PositiveFloat = 1e-9
    """Adam's epsilon for the discriminator."""

    @model_validator(mode="after")
    def _matched_by_something(self) -> Self:
        if self.feature_weight and not (self.scenes and self.adversarial_weight):
            raise ValueError("feature_weight needs the mask discriminator: scenes=true and an adversarial_weight")
        return self

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(discriminator_width=4, discriminator_layers=1)


class SceneDesignerObjective(Objective):
    """Two phases: the model, then the discriminator of its masks. Without scenes, the model alone."""

    Config = SceneDesignerObjectiveConfig

    def __init__(self, config: SceneDesignerObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.discriminator: MaskDiscriminator | None = None
        if config.scenes and config.adversarial_weight:
            side = cast(SceneDesigner, model).config.mask_size
            most = side.bit_length() - 2  # halvings that leave two pixels, of a power of two
            if config.discriminator_layers > most:
                raise UserError(
                    f"objective.discriminator_layers {config.discriminator_layers}: masks of {side} pixels leave no "
                    f"map; take at most {most}"
                )
            self.discriminator = MaskDiscriminator(
                len(model.vocabulary.categories), config.discriminator_width, config.discriminator_layers
            )

    @property
    def phases(self) -> tuple[str, ...]:
        """The model first."""
        return ("model", "mask_discriminator") if self.discriminator else ("model",)

    def modules(self) -> dict[str, nn.Module]:
        """Phase to module."""
        return {"model": self.model} | ({"mask_discriminator": self.discriminator} if self.discriminator else {})

    def rates(self, phase: str) -> dict[str, float]:
        """The discriminator learns faster."""
        return {"": self.config.discriminator_rate if phase == "mask_discriminator" else 1.0}

    def betas(self, phase: str) -> tuple[float, float] | None:
        """The discriminator's."""
        return (0.5, 0.999) if phase == "mask_discriminator" else None

    def epsilon(self, phase: str) -> float | None:
        """The discriminator's."""
        return self.config.discriminator_epsilon if phase == "mask_discriminator" else None

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Means over the scenes and objects that have sketches; those without are left out."""
        if self.discriminator is not None:
            self.discriminator.requires_grad_(phase == "mask_discriminator")
        if phase == "model":
            terms = self._model_terms(batch, generators, memory)
        else:
            terms = {"mask_critic": self.critic(memory["masks"], memory["objects"], memory["target"])}
        share = batch.num_images / totals.pictures
        weighted = {name: term.float() * share for name, term in terms.items()}
        return torch.stack([*weighted.values()]).sum(), {name: term.detach() for name, term in weighted.items()}

    def _model_terms(self, batch: SceneBatch, generators: Generators, memory: dict[str, Any]) -> dict[str, Tensor]:
        batch, pictures = sketched(batch)
        generators, model = [generators[number] for number in pictures], cast(SceneDesigner, self.model)
        assert batch.images is not None and batch.sketches is not None, "training needs pictures and sketches"
        crops = crops_of(batch, model.config.object_size)
        other = others(batch, generators)
        sketch, photo = model.encode_sketches(batch.sketches), model.encode_photos(crops)
        negative = photo[other]
        terms = self.object_terms(model, (sketch, photo, negative), batch.objects, batch.objects[other])
        if self.config.scenes:
            graph = with_graph(batch, model.vocabulary.predicates, generators)
            terms |= self.scene_terms(model, (sketch, photo, negative), graph, generators, memory)
            if self.discriminator is not None:
                memory["target"] = self._target(memory["scores"][0], graph, generators)
        return terms

    def object_terms(
        self, model: SceneDesigner, encodings: Encodings, objects: Tensor, negatives: Tensor
    ) -> dict[str, Tensor]:
        """The first stage's losses.

        Args:
            model: Trained or not.
            encodings: (O, encoding_dim) each.
            objects: Categories (O,) of sketches and photographs.
            negatives: Categories (O,) of what takes the objects' place.
        """
        triplet, category = (
            self.config.object_weight * weight
            for weight in (self.config.object_triplet_weight, self.config.object_category_weight)
        )
        sketch, photo, negative = (model.represent(encoded) for encoded in encodings)
        of_photo, of_sketch = model.photo_encoder.category, model.sketch_encoder.category
        wrong = self.category_error(of_photo(encodings[1]), objects)
        wrong_negative = self.category_error(of_photo(encodings[2]), negatives)
        return {
            "object_triplet": triplet * triplet_loss(sketch, photo, negative, MARGIN),
            "photo_category": category * 0.5 * (wrong + wrong_negative),
            "sketch_category": category * self.category_error(of_sketch(encodings[0]), objects),
        }

    def scene_terms(
        self,
        model: SceneDesigner,
        encodings: Encodings,
        graph: SceneBatch,
        generators: Generators | None,
        memory: dict[str, Any],
    ) -> dict[str, Tensor]:
        """The losses of scenes seen as sketches, as photographs, and as what they are not.

        Args:
            model: Trained or not.
            encodings: (O, encoding_dim) each.
            graph: Scenes with boxes, masks and relations.
            generators: One per picture, for dropout; without them there is none.
            memory: Takes what the discriminator is trained on.
        """
        config = self.config
        seen = encodings if config.negative_scenes else encodings[:2]
        # All in one pass: sketched scenes, then photographs, then what they are not.
        plain = without_pixels(graph).repeated(len(seen))
        vectors = model.encode_scenes(torch.cat(seen), plain, generators and [*generators] * len(seen))
        compared = model.compared(vectors.scenes).chunk(len(seen))
        terms = {"contrast": config.contrast_weight * contrastive_loss(*compared)}
        objects = vectors.objects[: 2 * len(graph.objects)]
        boxes, logits = model.predict(objects)
        masks = [*logits.sigmoid().chunk(2)]
        told = model.category(objects)
        for box, mask, names in zip(boxes.chunk(2), logits.chunk(2), told.chunk(2), strict=True):
            add(terms, "boxes", config.box_weight * box_errors(box, graph.boxes, config.overlap_weight).mean())
            add(terms, "masks", config.mask_weight * mask_error(mask, graph))
            add(terms, "categories", config.category_weight * self.category_error(names, graph.objects))
        if self.discriminator is not None:
            terms |= self._before_the_discriminator([graph.masks, masks[1], masks[0]], graph, memory)
        return terms

    def _before_the_discriminator(
        self, masks: list[Tensor], graph: SceneBatch, memory: dict[str, Any]
    ) -> dict[str, Tensor]:
        """What the discriminator says of the masks (O, M, M) of photographs and of sketches, after the real ones."""
        memory["masks"] = [mask.detach() for mask in masks]
        memory["objects"] = graph.objects
        real, *fakes = self._maps(masks, graph.objects)
        memory["scores"] = [maps[-1] for maps in (real, *fakes)]
        terms: dict[str, Tensor] = {}
        for maps in fakes:
            add(terms, "mask_gan", self.config.adversarial_weight * generator_loss("lsgan", maps[-1]))
            if self.config.feature_weight:
                add(terms, "mask_features", self.config.feature_weight * matching_loss(maps, real))
        return terms

    def critic(self, masks: list[Tensor], objects: Tensor, target: Tensor) -> Tensor:
        """The loss of the mask discriminator, which is not projected again: half real, a quarter of either domain.

        Args:
            masks: Real ones, and those of photographs and of sketches: (O, M, M) each.
            objects: Categories (O,).
            target: Of the real ones' scores; broadcasts to them.
        """
        assert self.discriminator is not None
        return critic_loss([self.discriminator(seen[:, None], objects)[-1] for seen in masks], target)

    def _maps(self, masks: list[Tensor], objects: Tensor) -> list[list[Tensor]]:
        """The discriminator's maps, each after one projection, in the original's order; the last are its scores."""
        assert self.discriminator is not None
        found = []
        for seen in masks:
            self.discriminator.project()
            found.append(self.discriminator(seen[:, None], objects))
        return found

    def _target(self, scores: Tensor, batch: SceneBatch, generators: Generators) -> Tensor:
        """What the scores of real masks should be: 1, or numbers around 0.9."""
        if not self.config.label_smoothing:
            return torch.ones((), device=scores.device)
        sampled = noise_per_object(scores[0].numel(), batch, generators)
        return 0.9 + 0.1 * sampled.view_as(scores)

    def category_error(self, logits: Tensor, objects: Tensor) -> Tensor:
        """Cross-entropy, a mean, focal if so configured."""
        errors = F.cross_entropy(logits.float(), objects, reduction="none")
        return (errors * (1 - (-errors).exp()).square()).mean() if self.config.focal else errors.mean()

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """Categories told of sketches and crops, IoU of boxes and masks, and how often a sketch finds its scene."""
        (batch, pictures), network = sketched(batch), cast(SceneDesigner, model)
        generators = [generators[number] for number in pictures]
        assert batch.sketches is not None
        graph = with_graph(batch, network.vocabulary.predicates, generators)
        sketch = network.encode_sketches(batch.sketches)
        photo = network.encode_photos(crops_of(batch, network.config.object_size))
        figures: dict[str, tuple[float, float]] = {}
        count = len(batch.objects)
        for name, encoder, encoded in (
            ("sketch", network.sketch_encoder, sketch),
            ("photo", network.photo_encoder, photo),
        ):
            right = encoder.category(encoded).argmax(dim=1) == batch.objects
            figures[f"{name}_category"] = (float(right.sum()), count)
        if not self.config.scenes:
            return figures
        seen = network.encode_scenes(torch.cat([sketch, photo]), without_pixels(graph).repeated(2))
        drawn, real = seen.scenes.chunk(2)
        boxes, logits = network.predict(seen.objects[:count])
        overlap = box_iou(boxes.float().cpu().numpy(), batch.boxes.cpu().numpy())
        known = batch.known_masks
        both = torch.stack([logits[known] > 0, batch.masks[known] > 0.5])
        mask_iou = both.all(0).sum((1, 2)) / both.any(0).sum((1, 2)).clamp(min=1)
        nearest = torch.cdist(drawn, real).argmin(dim=1)
        hits = nearest == torch.arange(len(nearest), device=nearest.device)
        return figures | {
            "box_iou": (float(overlap.sum()), count),
            "mask_iou": (float(mask_iou.sum()), int(known.sum())),
            "found_in_batch": (float(hits.sum()), len(hits)),
        }


def sketched(batch: SceneBatch) -> tuple[SceneBatch, list[int]]:
    """The objects that have a sketch, in scenes that have one; and the numbers of these scenes in the batch.

    Raises:
        UserError: There is none.
    """
    assert batch.sketches is not None and batch.images is not None
    kept = batch.sketches.amin(dim=(1, 2)) < 1
    if not kept.any():
        raise UserError("no object of a batch has a sketch; take a larger batch, or a pack whose objects have sketches")
    pictures, owner = batch.object_to_image[kept].unique_consecutive(return_inverse=True)
    names = ("objects", "attributes", "boxes", "masks", "known_masks", "sketches")
    empty = batch.triples[:0]
    left = replace(
        batch,
        num_images=len(pictures),
        images=batch.images[pictures],
        object_to_image=owner,
        triples=empty,
        triple_to_image=empty[:, 0],
        crops=None,
        **{name: getattr(batch, name)[kept] for name in names},
    )
    return left, pictures.tolist()


def without_pixels(batch: SceneBatch) -> SceneBatch:
    """The same scenes without what is large, for networks that read objects' vectors."""
    empty = batch.masks[:, :0, :0]
    return replace(batch, images=None, sketches=None, crops=None, masks=empty)


def crops_of(batch: SceneBatch, size: int) -> Tensor:
    """What is in the boxes of the pictures: (O, 3, size, size).

    The original's sampling never reaches the last row and column.
    """
    assert batch.images is not None
    height, width = batch.images.shape[2:]
    reach = batch.boxes.new_tensor([(width - 2) / (width - 1), (height - 2) / (height - 1)]).repeat(2)
    return crop_boxes(batch.images, batch.boxes * reach, batch.object_to_image, size, size)


def others(batch: SceneBatch, generators: Generators) -> Tensor:
    """For each object a random one of another category among those of the batch, or itself if there is none: (O,).

    The original takes one from the whole data set.
    """
    chances = uniform_per_object(generators, batch, 1)[:, 0].tolist()
    objects = batch.objects.cpu()
    found = []
    for row, chance in enumerate(chances):
        different = (objects != objects[row]).nonzero()[:, 0]
        found.append(int(different[int(chance * len(different))]) if len(different) else row)
    return torch.tensor(found, device=batch.objects.device)


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Mean of how far squared distances (O, D) fall short of a margin (Schroff et al., CVPR 2015, equation 2)."""
    near, far = ((anchor - other).square().sum(dim=1) for other in (positive, negative))
    return (margin + near - far).relu().mean()


def contrastive_loss(anchor: Tensor, positive: Tensor, negative: Tensor | None = None) -> Tensor:
    """Pulls pairs (N, D) together, and pushes all other pairs of a batch apart, and all negatives (equation 6)."""
    loss = (anchor - positive).square().sum(dim=1).mean()
    apart = 1 - torch.eye(len(anchor), device=anchor.device)
    loss = loss + (apart - squared_distances(anchor, positive)).relu().mean()
    if negative is not None:
        loss = loss + (MARGIN - squared_distances(anchor, negative)).relu().mean()
    return loss


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M)."""
    return (first[:, None] - second).square().sum(dim=2)


def box_errors(boxes: Tensor, true: Tensor, weight: float) -> Tensor:
    """Squared error plus ``weight`` times one minus the generalized IoU (Rezatofighi et al., CVPR 2019): (O,)."""
    low, high = torch.maximum(boxes[:, :2], true[:, :2]), torch.minimum(boxes[:, 2:], true[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [(one[:, 2:] - one[:, :2]).clamp(min=0).prod(dim=1) for one in (boxes, true)]
    union = areas[0] + areas[1] - shared
    around = torch.maximum(boxes[:, 2:], true[:, 2:]) - torch.minimum(boxes[:, :2], true[:, :2])
    hull = around.clamp(min=0).prod(dim=1)
    overlap = divided(shared, union) - divided(hull - union, hull)
    return weight * (1 - overlap) + (boxes - true).square().mean(dim=1)


def divided(first: Tensor, second: Tensor) -> Tensor:
    """The quotient, 0 where ``second`` is."""
    return torch.where(second > 0, first / torch.where(second > 0, second, 1), 0)


def mask_error(logits: Tensor, batch: SceneBatch) -> Tensor:
    """Cross-entropy of the masks that are known, a mean."""
    known = batch.known_masks
    if not known.any():
        return logits.sum() * 0
    return F.binary_cross_entropy_with_logits(logits[known].float(), batch.masks[known])


def matching_loss(fake: list[Tensor], real: list[Tensor]) -> Tensor:
    """Mean absolute differences of all maps but the scores, the real ones being fixed (Wang et al., CVPR 2018)."""
    differences = [(one - other.detach()).abs().mean() for one, other in zip(fake[:-1], real[:-1], strict=True)]
    return MATCHED / len(fake) * torch.stack(differences).sum()


def critic_loss(scores: list[Tensor], target: Tensor) -> Tensor:
    """The mask discriminator's loss from scores of real masks and of those of photographs and of sketches."""
    real, *fakes = (score.sigmoid() for score in scores)
    return 0.5 * (real - target).square().mean() + 0.25 * sum(
        (fake.square().mean() for fake in fakes), real.new_zeros(())
    )


def add(terms: dict[str, Tensor], name: str, value: Tensor) -> None:
    """Add to a term, which may be new."""
    terms[name] = terms[name] + value if name in terms else value
