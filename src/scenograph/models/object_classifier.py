"""A small classifier of crops or sketches: the category and attributes of an object.

It is trained on real crops and applied to generated ones (see :mod:`scenograph.evaluation.agreement`), like the
classification accuracy score of the layout-to-image literature (Ravuri & Vinyals 2019). One that is trained on
sketches names what somebody drew (see :mod:`scenograph.pipelines.recognising`).
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Tensor, nn

from scenograph.errors import suggest
from scenograph.models.base import Model, ModelConfig, Widths
from scenograph.models.exporting import Exports, Graph, Plan, Port
from scenograph.models.sizes import Side
from scenograph.nn.crops import crop_boxes
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.resnet import halving_blocks
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary


class ObjectClassifierConfig(ModelConfig):
    """``groups``: the attribute groups it classifies; ``margin``: by what part of its sides a box grows.

    ``residual``: residual blocks on features of half the crop's size, for data of many categories. ``input``: whether
    it looks at crops of pictures or at the objects' sketches, ink alone.
    """

    input: Literal["picture", "sketch"] = "picture"
    groups: tuple[str, ...] = ()
    image_size: Side = 64
    crop_size: int = Field(default=32, ge=16)
    channels: Widths = (32, 64, 128)
    residual: bool = False
    margin: NonNegativeFloat = 0.1

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            groups=tuple(vocabulary.attributes),
            image_size=16,
            crop_size=16,
            channels=(8, 8),
            residual=True,
        )

    @property
    def sketch_side(self) -> int | None:
        """That of crops, for one that looks at sketches."""
        return self.crop_size if self.input == "sketch" else None

    @property
    def reads_pictures(self) -> bool:
        """Whether it does not look at sketches."""
        return self.input == "picture"

    @model_validator(mode="after")
    def _known_groups(self) -> Self:
        known = self.vocabulary.get("attributes", {})
        for group in self.groups:
            if group not in known:
                raise ValueError(
                    f"groups {group!r}: the vocabulary has no such attribute group {suggest(group, known)}"
                )
        return self


class ObjectClassifier(Exports, Model):
    """Convolutions, a mean over the crop, one linear head for the category and one per attribute group."""

    name = "object-classifier"
    Config = ObjectClassifierConfig
    config: ObjectClassifierConfig
    roles = ()

    def __init__(self, config: ObjectClassifierConfig) -> None:
        super().__init__(config)
        self.config = config
        self.features = nn.Sequential(
            *(halving_blocks if config.residual else _plain)(config.channels, 1 if config.input == "sketch" else 3)
        )
        before = config.channels[-1]
        names = [self.vocabulary.categories, *(self.vocabulary.attributes[group] for group in config.groups)]
        self.heads = nn.ModuleList(nn.Linear(before, len(choices)) for choices in names)
        self.places = [list(self.vocabulary.attributes).index(group) for group in config.groups]

    def forward(self, images: Tensor, boxes: Tensor, object_to_image: Tensor) -> list[Tensor]:
        """Logits (O, names) per head: category, then the groups.

        Args:
            images: Pictures (N, 3, H, W) in [-1, 1], or the ink (N, 1, S, S) in [0, 1] of sketches.
            boxes: (O, 4), in fractions of these.
            object_to_image: (O,), which of them each object is in.
        """
        grow = (boxes[:, 2:] - boxes[:, :2]) * self.config.margin
        boxes = torch.cat([boxes[:, :2] - grow, boxes[:, 2:] + grow], dim=1)
        hidden = self._crop_features(images, boxes, object_to_image)
        return [head(hidden) for head in self.heads]

    def exported(self) -> Plan:
        """One graph, from pictures and boxes to logits."""
        names = {"category": len(self.vocabulary.categories)}
        names |= {group: len(self.vocabulary.attributes[group]) for group in self.config.groups}
        inputs = (
            Port("images", ("pictures", 3, "height", "width"), "pictures in [-1, 1]"),
            Port("boxes", ("objects", 4), "x0, y0, x1, y1 as fractions of the pictures"),
            Port("object_to_image", ("objects",), "the picture that each object is in", torch.int64),
        )
        if self.config.input == "sketch":
            sketches = Port("images", ("pictures", 1, "height", "width"), "sketches, ink 1 and paper 0")
            inputs = (sketches, *inputs[1:])
        gives = tuple(Port(name, ("objects", count), "logits of the names, in order") for name, count in names.items())

        def compute(images: Tensor, boxes: Tensor, owner: Tensor) -> tuple[Tensor, ...]:
            return tuple(self(images, boxes, owner))

        purpose = "Names what is in boxes of pictures."
        graph = Graph("classify", purpose, compute, inputs, gives)
        return Plan(graphs=(graph,), how=("Run 'classify'. The largest of the logits names an object.",))

    def picture_features(self, images: Tensor) -> Tensor:
        """Features of whole pictures (N, 3, H, W) in [-1, 1], such as crops made elsewhere: (N, D)."""
        whole = images.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(images), 4)
        return self._crop_features(images, whole, torch.arange(len(images), device=images.device))

    def _crop_features(self, images: Tensor, boxes: Tensor, object_to_image: Tensor) -> Tensor:
        size = self.config.crop_size
        features: Tensor = self.features(crop_boxes(images, boxes, object_to_image, size, size)).mean(dim=(2, 3))
        return features

    def seen(self, batch: SceneBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What of the objects of a batch it looks at: the arguments of :meth:`forward`."""
        if self.config.input == "picture":
            assert batch.images is not None
            return batch.images, batch.boxes, batch.object_to_image
        assert batch.sketches is not None
        whole = batch.boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(batch.sketches), 4)
        # (O, S, S), paper 1 -> (O, 1, S, S), paper 0
        return 1 - batch.sketches[:, None], whole, torch.arange(len(whole), device=whole.device)

    def targets(self, objects: Tensor, attributes: Tensor) -> list[Tensor]:
        """The target of each head: category indices (O,), and attribute indices (O,), -1 where open."""
        return [objects, *(attributes[:, place] for place in self.places)]


def _plain(channels: Widths, before: int) -> list[nn.Module]:
    """Two convolutions per width, the second of stride 2, on ``before`` channels."""
    layers: list[nn.Module] = []
    for width in channels:
        for stride, size in ((1, before), (2, width)):
            layers += [nn.Conv2d(size, width, 3, stride, 1), BatchNorm2d(width), nn.ReLU()]
        before = width
    return layers
