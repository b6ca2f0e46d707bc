"""AttSPADE: painted attribute vectors to pictures (Herzig, Bar et al., ECCV 2020, section 5).

Every object's category and attributes are embedded, and painted where the object is. A SPADE generator (Park et al.,
CVPR 2019), whose every norm reads the painted map, renders the picture.
"""

from __future__ import annotations

import copy
from functools import partial
from typing import Literal, Self

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor
from torch.compiler import is_compiling

from scenograph.errors import UserError
from scenograph.models.base import Conditioned, Generators, ImageModel, ModelConfig, check_side
from scenograph.models.exporting import Exports, Plan, Port, ScenePorts
from scenograph.models.sizes import Sides
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.layers import channels_last
from scenograph.nn.painting import (
    before,
    box_coordinates,
    paint_vectors,
    rows_by_image,
    sample_planes,
    stacked,
    uncovered,
)
from scenograph.nn.spade import FeatureConv2d, NormPlan, SpadeGenerator, SpadeNormKind, Upsampling, check_sides
from scenograph.nn.spectral import fold_spectral_norms
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary


class AttSpadeConfig(ModelConfig):
    """The published constructor's settings."""

    image_size: Sides = (128, 128)
    channels: PositiveInt = 64
    embedding_dim: PositiveInt = 32
    upsampling: Upsampling = "normal"
    """How often the map doubles: five, six or seven times."""
    norm_channels: PositiveInt = 128
    """Between the painted map and the gains and shifts of each norm."""
    norm: SpadeNormKind = "batch"
    """Statistics over the batch, as published, or over each picture, as SPADE's code offers too. The latter keep rare
    features, such as those of large objects among many small ones, from being far out of range."""
    mask_size: Literal[16] = 16
    overlaps: Literal["sum", "smaller"] = "sum"
    """What is painted where objects overlap: the sum of their vectors, as published, or, beyond the paper, the smaller
    object's alone. Sums over many objects can lie far from all that the generator was trained on."""
    coordinates: bool = False
    """Beyond the paper: two more channels hold each pixel's coordinates in its object's box."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), image_size=(32, 32), channels=2, embedding_dim=4)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @model_validator(mode="after")
    def _whole_pixels(self) -> Self:
        check_sides(*self.image_size, self.upsampling, self.norm)
        return self


class AttSpade(Exports, ImageModel[Tensor]):
    """The generator. Its condition is a painted map (N, A * embedding_dim [+ 2], H, W); seeds change nothing."""

    name = "attspade"
    Config = AttSpadeConfig
    config: AttSpadeConfig

    def __init__(self, config: AttSpadeConfig) -> None:
        super().__init__(config)
        self.config = config
        groups = self.vocabulary.attributes.values()
        self.table_sizes = [len(self.vocabulary.categories), *(len(names) + 1 for names in groups)]
        self.object_embedding = AttributeEmbedding(self.table_sizes, config.embedding_dim)
        channels = self.object_embedding.width + 2 * config.coordinates
        plan = NormPlan(partial(FeatureConv2d, channels), config.norm, hidden=config.norm_channels)
        self.generator = SpadeGenerator(config.channels, config.upsampling, plan)
        channels_last(self)

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """Index 0 is the published ``__image__``."""
        return vocabulary.with_image_object()

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Tensor]:
        """The painted map. Every object needs a box; given masks decide which object a pixel belongs to."""
        check_side(size, self.config.picture_sides)
        if not bool(batch.known_boxes.all()):
            raise UserError(f"{self.name} needs a box for every object")
        return Conditioned(boxes=batch.boxes, condition=self.paint(batch))

    @staticmethod
    def attributes(batch: SceneBatch) -> Tensor:
        """Category and attributes of every object, as embeddings read them: (O, A), 0 for an open attribute."""
        return torch.cat([batch.objects[:, None], batch.attributes + 1], dim=1)

    def paint(self, batch: SceneBatch) -> Tensor:
        """Attribute vectors painted through masks where given, and into boxes elsewhere.

        As published, inference paints the objects of pictures with masks one over the other: the object of least mass
        (the sum of its vector over its pixels) covers all others. Gradients reach the vectors, not boxes and masks.
        """
        vectors, planes = self.object_embedding(self.attributes(batch)), self.planes(batch)
        if self.config.overlaps == "sum" and not self.training:
            mass = vectors.sum(dim=1) * planes.sum(dim=(1, 2))
            planes = _uncovered(planes, batch.known_masks, mass, batch.object_to_image, batch.num_images)
        painted = paint_vectors(vectors, planes, batch.object_to_image, batch.num_images)
        if not self.config.coordinates:
            return painted
        places = box_coordinates(batch.boxes, planes, batch.object_to_image, batch.num_images)
        return torch.cat([painted, places.to(painted)], dim=1)

    def planes(self, batch: SceneBatch) -> Tensor:
        """The weight of each object's vector at every pixel, as in training: (O, H, W), without gradients."""
        planes = sample_planes(batch.boxes, batch.masks, batch.known_masks, *self.config.image_size).detach()
        if self.config.overlaps == "sum":
            return planes
        return stacked(planes, batch.object_to_image, batch.num_images)

    def render(self, condition: Tensor, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1]."""
        pictures: Tensor = self.generator(condition, *condition.shape[2:])
        return pictures

    def exported(self) -> Plan:
        """One graph, from layouts to pictures."""
        scene = ("pictures", "objects", "attributes", "object_to_image", "boxes", "masks", "known_masks")
        images = Port("images", ("pictures", 3, *self.config.image_size), "pictures in [-1, 1]")

        def compute(batch: SceneBatch) -> Tensor:
            return self.render(self.paint(batch))

        graph = ScenePorts(self).graph("picture", "Renders layouts.", compute, scene, [images])
        return Plan(graphs=(graph,), how=("Every object needs a box. Run 'picture'.",))

    def for_inference(self) -> Self:
        """A copy with spectral norms folded."""
        faster = copy.deepcopy(self).eval()
        fold_spectral_norms(faster)
        return channels_last(faster)


def _uncovered(planes: Tensor, known: Tensor, mass: Tensor, owner: Tensor, pictures: int) -> Tensor:
    """Planes (O, H, W); in pictures with masks, each only where it exceeds a half and no object of less mass does."""
    if is_compiling():
        together = (owner == owner[:, None]).float()
        masked = (together @ known.float()) > 0  # (O, O) @ (O,): whether the object's picture has masks
        alone = planes * uncovered(planes > 0.5, before(mass, owner))
        return torch.where(masked[:, None, None], alone, planes)
    kept = planes.clone()
    for rows in rows_by_image(owner, pictures):
        if not bool(known[rows].any()):
            continue
        stack = rows[torch.argsort(mass[rows], stable=True)]
        shown = planes[stack] > 0.5
        above = shown.cumsum(dim=0) - shown.long()
        kept[stack] = planes[stack] * (shown & (above == 0))
    return kept
