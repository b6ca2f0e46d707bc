"""SPADE, also known as GauGAN: label maps to pictures (Park, Liu, Wang, Zhu; CVPR 2019).

A label map has one label per pixel. It is painted from the objects of a scene, or given as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from typing import Literal, Self

import torch
from PIL import Image
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator
from torch import Tensor
from torch.compiler import is_compiling

from scenograph.errors import UserError, suggest
from scenograph.models.base import NO_STYLE, Conditioned, Generators, ImageModel, ModelConfig, PictureStyles, noise
from scenograph.models.exporting import Exports, Graph, Plan, Port, ScenePorts
from scenograph.models.sizes import Sides
from scenograph.nn.composition import composed, label_maps, without_holes
from scenograph.nn.layers import channels_last, small_xavier_
from scenograph.nn.painting import before, membership, sample_planes, uncovered
from scenograph.nn.spade import (
    DOUBLINGS,
    LabelConv2d,
    LabelMap,
    NormPlan,
    SpadeGenerator,
    SpadeNormKind,
    StyleEncoder,
    Upsampling,
    check_sides,
    instance_edges,
)
from scenograph.nn.spectral import fold_spectral_norms
from scenograph.scenes.batch import SceneBatch, picture_to_pixels, pixels_to_tensor
from scenograph.scenes.vocabulary import Vocabulary


class SpadeConfig(ModelConfig):
    """The published constructor's settings. The vocabulary's categories are the labels, in order."""

    image_size: Sides = (256, 256)
    """Height and width."""
    channels: PositiveInt = 64
    upsampling: Upsampling = "normal"
    """How often the map doubles: five, six or seven times."""
    unknown_label: bool = True
    """Whether pixels that no object covers have a label of their own, the last one; otherwise they have none."""
    edges: bool = True
    """Whether one more channel shows the borders of objects."""
    latent_size: NonNegativeInt = 0
    """Length of the style, which is sampled or which an encoder reads off a picture; 0: no style."""
    norm: SpadeNormKind = "batch"
    kernel: Literal[3, 5] = 3
    """Of the convolutions that read the label map."""
    norm_channels: PositiveInt = 128
    """Between the label map and the gains and shifts of each norm."""
    spectral: bool = True
    composition: Literal["smaller", "scene-designer"] = "smaller"
    """How objects become a label map: smaller ones cover larger ones, or exactly as Scene Designer composes them."""
    backgrounds: tuple[str, ...] = ()
    """Categories that spread into holes of the label map: each shows the last of them before it, in reading order."""
    mask_size: PositiveInt = Field(default_factory=lambda settings: max(settings["image_size"]))
    """Side of the masks through which objects are painted: by default fine enough to keep label maps unchanged."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), image_size=(32, 32), channels=2, latent_size=4, mask_size=8)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @model_validator(mode="after")
    def _whole_pixels(self) -> Self:
        check_sides(*self.image_size, self.upsampling, self.norm)
        return self

    @model_validator(mode="after")
    def _known_backgrounds(self) -> Self:
        names = self.vocabulary["categories"]
        for name in self.backgrounds:
            if name not in names:
                raise ValueError(f"backgrounds {name!r}: the vocabulary has no such category {suggest(name, names)}")
        return self


class Spade(Exports, PictureStyles, ImageModel[LabelMap]):
    """The generator. Its condition is a :class:`LabelMap`; without a style, no seed changes its pictures."""

    name = "spade"
    Config = SpadeConfig
    config: SpadeConfig

    def __init__(self, config: SpadeConfig) -> None:
        super().__init__(config)
        self.config = config
        self.labels = len(self.vocabulary.categories) + config.unknown_label
        factor = 2 ** DOUBLINGS[config.upsampling]
        self.generator = SpadeGenerator(
            config.channels,
            config.upsampling,
            NormPlan(partial(LabelConv2d, self.labels, config.edges), config.norm, config.kernel, config.norm_channels),
            config.latent_size,
            (config.image_size[0] // factor, config.image_size[1] // factor),
            config.spectral,
        )
        self.style = StyleEncoder(config.channels, config.latent_size) if config.latent_size else None
        small_xavier_(self)
        channels_last(self)

    def draws(self, size: int) -> bool:
        """Any that the blocks can double up to: convolutions know no size.

        With latents, which a linear layer turns into the smallest map, only the configured one.
        """
        if super().draws(size):
            return True
        try:
            check_sides(*self._sides(size), self.config.upsampling, self.config.norm)
        except ValueError:
            return False
        return not self.config.latent_size

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[LabelMap]:
        """The label map, by the configured composition. Every object needs a box."""
        if size is not None and not self.draws(size):
            raise UserError(f"picture size {size}: this model does not draw it; leave the size out")
        height, width = self._sides(size or max(self.config.image_size))
        if not bool(batch.known_boxes.all()):
            raise UserError(f"{self.name} needs a box for every object")
        draw = self._composed if self.config.composition == "scene-designer" else self._covered
        labels, instances = draw(batch, height, width)
        if self.config.backgrounds:
            numbers = [self.vocabulary.category_index[name] for name in self.config.backgrounds]
            labels = without_holes(labels, labels.new_tensor(numbers))
        return Conditioned(boxes=batch.boxes, condition=self.label_map(labels, instances, batch.picture_latents))

    def _covered(self, batch: SceneBatch, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Labels and instances (N, H, W), -1 where nothing is; smaller objects cover larger ones."""
        shown = sample_planes(batch.boxes, batch.masks, batch.known_masks, height, width) > 0.5
        if is_compiling():
            return self._seen(shown, batch)
        # Larger objects first, so that smaller ones cover them.
        labels = torch.full((batch.num_images, height, width), -1, device=shown.device)
        instances = torch.full_like(labels, -1)
        for row in torch.argsort(shown.sum(dim=(1, 2)), descending=True, stable=True).tolist():
            picture = batch.object_to_image[row]
            labels[picture][shown[row]] = batch.objects[row]
            instances[picture][shown[row]] = row
        return labels, instances

    @staticmethod
    def _seen(shown: Tensor, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        """The same for all objects at once, of which the smallest, the last of equal ones, is seen."""
        size = shown.sum(dim=(1, 2)).flip(0)
        ahead = before(size, batch.object_to_image.flip(0)).flip(0, 1)
        seen = uncovered(shown, ahead).flatten(1).float()  # (O, H, W) -> (O, H * W)
        inside = membership(batch.object_to_image, batch.num_images)
        # At most one is seen at each pixel: (N, O) @ (O, H * W) -> (N, H * W)
        numbers = torch.stack([batch.objects, torch.arange(batch.objects.shape[0], device=shown.device)]).float() + 1
        labels, instances = ((inside * row) @ seen for row in numbers)
        shape = (batch.num_images, *shown.shape[1:])
        return labels.view(shape).long() - 1, instances.view(shape).long() - 1

    def _composed(self, batch: SceneBatch, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Labels and instances (N, H, W) as Scene Designer makes them; in training, objects show through each other."""
        owner, count = batch.object_to_image, batch.num_images
        planes = composed(batch.masks, batch.boxes, owner, count, height, width, occlude=not self.training)
        return label_maps(planes, batch.objects, len(self.vocabulary.categories), owner, count)

    def _sides(self, size: int) -> tuple[int, int]:
        """Height and width of pictures whose longer side is ``size``."""
        height, width = self.config.image_size
        return height * size // max(height, width), width * size // max(height, width)

    def label_map(self, labels: Tensor, instances: Tensor, latents: Tensor | None = None) -> LabelMap:
        """The condition for given labels.

        Args:
            labels: (N, H, W) int64, -1 where there is none.
            instances: (N, H, W), any number that differs between neighbouring instances.
            latents: (N, Z), the style; without, it is sampled when rendering.

        Raises:
            UserError: The vocabulary lacks a label.
        """
        count = len(self.vocabulary.categories)
        wrong = labels[(labels < -1) | (labels >= count)]
        if len(wrong):
            raise UserError(f"label {int(wrong[0])}: this model knows labels 0 to {count - 1}, and -1 for none")
        # ``count`` is the label of unknown pixels, or no label at all in a model that has none for them.
        labels = torch.where(labels < 0, count, labels)
        return LabelMap(labels, self.labels, instance_edges(instances) if self.config.edges else None, latents)

    def exported(self) -> Plan:
        """Two graphs: label maps of layouts, unless their composition is sequential, and pictures of label maps."""
        config, plain = self.config, self.config.composition == "smaller" and not self.config.backgrounds
        sides: tuple[int | str, ...] = config.image_size if config.latent_size else ("height", "width")
        names = len(self.vocabulary.categories)
        maps = [
            Port(name, ("pictures", *sides), meaning, torch.int64)
            for name, meaning in (
                ("labels", f"label of each pixel, 0 to {names - 1} in the order of the categories, -1 for none"),
                ("instances", "any number of each pixel that differs between neighbouring instances"),
            )
        ]
        graphs: list[Graph] = []
        inputs = maps if config.edges else maps[:1]
        if config.latent_size:
            inputs = [*inputs, Port("latents", ("pictures", config.latent_size), "the style: standard normal numbers")]
        if plain:
            scene = ("pictures", "objects", "object_to_image", "boxes", "masks", "known_masks")
            purpose = f"Label maps of layouts, {config.image_size[0]} x {config.image_size[1]} pixels."
            given = [Port(one.name, ("pictures", *config.image_size), one.meaning, one.dtype) for one in maps]
            graphs.append(
                ScenePorts(self).graph(
                    "labels", purpose, lambda batch: self._covered(batch, *config.image_size), scene, given
                )
            )
        images = Port("images", ("pictures", 3, *sides), "pictures in [-1, 1]")
        graphs.append(Graph("picture", "Renders label maps.", self._picture, tuple(inputs), (images,)))
        first = "Run 'labels' on layouts" if plain else f"Compose label maps of layouts ({config.composition})"
        unit = 2 ** DOUBLINGS[config.upsampling]
        sized = f" Their sides are multiples of {unit}." if "height" in sides else ""
        return Plan(graphs=tuple(graphs), how=(f"{first}, or have label maps of your own.{sized}", "Run 'picture'."))

    def _picture(self, labels: Tensor, *others: Tensor) -> Tensor:
        rest = list(others)
        edges = instance_edges(rest.pop(0)) if self.config.edges else None
        labels = torch.where(labels < 0, len(self.vocabulary.categories), labels)
        return self.render(LabelMap(labels, self.labels, edges, rest.pop() if rest else None))

    def style_latents(self, picture: Image.Image, generators: Sequence[torch.Generator]) -> Tensor:
        """The style sampled around what the encoder reads, as in training (appendix A)."""
        if self.style is None:
            raise UserError(f"{self.name}: {NO_STYLE}")
        pixels = pixels_to_tensor(picture_to_pixels(picture, *self.config.image_size)[None])
        mean, log_variance = self.style(pixels.to(self.device))
        standard = noise((self.config.latent_size,), len(generators), generators, self.device)
        latents: Tensor = mean + (0.5 * log_variance).exp() * standard
        return latents

    def render(self, condition: LabelMap, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1]."""
        latents = condition.latents
        if self.config.latent_size and latents is None:
            latents = noise((self.config.latent_size,), len(condition.labels), generators, condition.labels.device)
        pictures: Tensor = self.generator(condition, *condition.labels.shape[1:], latents)
        return pictures

    def for_inference(self) -> Self:
        """A copy with spectral norms folded."""
        faster = copy.deepcopy(self).eval()
        fold_spectral_norms(faster)
        return channels_last(faster)
