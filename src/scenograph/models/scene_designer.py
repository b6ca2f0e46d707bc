"""Scene Designer (Sampaio Ferraz Ribeiro et al., ICCVW 2021): sketched scenes to layouts, and to vectors for search.

Every object is a free-hand sketch or a crop of a photograph, with a box. One encoder per domain and a shared
projection turn it into a vector; a graph network over where the objects are and a transformer over the objects of a
scene turn these into one vector per scene, to search by, and one per object, from which masks, boxes and categories
are predicted. An image model such as SPADE renders the layout.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, pairwise
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.models.base import EncodesScenes, Generators, Model, ModelConfig, Placement, ShapesObjects
from scenograph.nn.distances import distance_maps
from scenograph.nn.graph import Edges, GraphTripleConv, GraphTripleConvNet, Pooling, in_float32
from scenograph.nn.inception import SMALLEST, KerasInception
from scenograph.nn.layers import channels_last
from scenograph.nn.mobilenet import LAST_BLOCK, MobileNetV2, Normalized
from scenograph.nn.normalization import FrozenBatchNorm2d
from scenograph.nn.resnet_v2 import ResNet50V2
from scenograph.nn.scene_transformer import PLACES, ROWS, SIZES, SceneDecoder, SceneSum, SceneTransformer
from scenograph.nn.upsampling import UpsampledConv2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import SG2IM_PREDICATES, sg2im_relation
from scenograph.scenes.vocabulary import IN_IMAGE_PREDICATE, Vocabulary

SLOPE, EPSILON = 0.3, 1e-3
Backbone = Literal["mobilenet", "inception", "resnet"]
"""MobileNetV2, Inception v3 or ResNet50-V2, as Keras builds them."""
Features = MobileNetV2 | KerasInception | ResNet50V2


class SceneDesignerConfig(ModelConfig):
    """Defaults are the published values."""

    backbone: Backbone = "mobilenet"
    """The network of each object encoder."""
    alpha: PositiveFloat = 1.0
    """Width of MobileNetV2."""
    cut: int | None = Field(default=LAST_BLOCK, ge=0, le=LAST_BLOCK)
    """The last bottleneck that is used of MobileNetV2, from 0; null: all, and the convolution after them."""
    distance_maps: bool = False
    """Whether sketches are replaced by distances to their ink, in pixels."""
    image_size: PositiveInt = 256
    """Side of the pictures that crops are cut from."""
    object_size: PositiveInt = 96
    """Side of sketches and crops."""
    mask_size: PositiveInt = 64
    encoding_dim: PositiveInt = 256
    photo_hidden_dim: PositiveInt = 512
    shared_dim: PositiveInt = 256
    representation_dim: PositiveInt = 128
    predicate_dim: PositiveInt = 128
    gconv_dim: PositiveInt = 256
    gconv_hidden_dim: PositiveInt = 512
    gconv_num_layers: PositiveInt = 4
    gconv_pooling: Pooling = "avg"
    transformer_layers: PositiveInt = 3
    transformer_heads: PositiveInt = 16
    transformer_hidden_dim: PositiveInt = 512
    box_hidden_dim: PositiveInt = 512
    dropout: float = Field(default=0.1, ge=0, lt=1)
    positional: bool = True
    """Whether the transformer knows where the objects are."""
    three_part_positions: bool = False
    """Whether it knows column, row and size, in a third of the channels each, instead of one of 25 places."""
    random_positions: bool = False
    """Whether each of these is left out in training as often as not."""
    positions_in_graph: bool = False
    """Whether the graph layers know place and size, which are appended to the objects' vectors."""
    use_graph: bool = True
    """False, an ablation: one linear layer in place of the graph layers, so that relations are not read."""
    use_transformer: bool = True
    """False, an ablation: a scene is the sum of its objects, which do not learn of each other."""
    bottleneck: bool = False
    """Whether masks and boxes come from the scene's vector alone, decoded into vectors of its objects in order."""
    bottleneck_objects: PositiveInt = 8
    """The most objects of a scene with ``bottleneck``."""
    encoder_gradient: float = Field(default=1.0, ge=0, le=1)
    """What part of the gradient of scenes reaches the object encoders; the published alternative is 0.1."""
    shared_gradient: bool = True
    """Whether any of it reaches the projection that both domains share, and the encoders behind it."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Pictures of 32 pixels."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            alpha=0.1,
            image_size=32,
            object_size=32,
            mask_size=8,
            encoding_dim=16,
            photo_hidden_dim=16,
            shared_dim=16,
            representation_dim=8,
            predicate_dim=8,
            gconv_dim=16,
            gconv_hidden_dim=16,
            gconv_num_layers=2,
            transformer_layers=1,
            transformer_heads=2,
            transformer_hidden_dim=16,
            box_hidden_dim=16,
        )

    @property
    def picture_sides(self) -> tuple[int, int]:
        """Square pictures."""
        return (self.image_size, self.image_size)

    @property
    def mask_side(self) -> int:
        """That of the masks it predicts."""
        return self.mask_size

    @property
    def sketch_side(self) -> int:
        """That of crops and sketches."""
        return self.object_size

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.gconv_dim % self.transformer_heads:
            raise ValueError(f"gconv_dim {self.gconv_dim} is no multiple of transformer_heads {self.transformer_heads}")
        if self.mask_size & (self.mask_size - 1):
            raise ValueError(f"mask_size {self.mask_size} is no power of two")
        if self.backbone == "inception" and self.object_size < SMALLEST:
            raise ValueError(f"object_size {self.object_size}: the inception backbone needs at least {SMALLEST}")
        if not self.positional and (self.three_part_positions or self.random_positions):
            raise ValueError("three_part_positions and random_positions need positional=true")
        if not self.use_transformer and (self.bottleneck or self.three_part_positions or self.random_positions):
            raise ValueError("bottleneck, three_part_positions and random_positions need use_transformer=true")
        return self


@dataclass(frozen=True)
class SceneVectors:
    """What the transformer says of N scenes with O objects."""

    scenes: Tensor
    """(N, D), to search by; not normalized."""
    objects: Tensor
    """(O, D)."""


class ObjectEncoder(nn.Module):
    """Pictures of single objects to encodings: a backbone, the mean over its map, and linear layers."""

    def __init__(self, backbone: Features, sizes: Sequence[int], categories: int) -> None:
        super().__init__()
        self.backbone = channels_last(backbone)
        self.head = nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise([self.backbone.width, *sizes])))
        self.category = nn.Linear(sizes[-1], categories)

    def forward(self, pictures: Tensor) -> Tensor:
        """(O, 3, S, S) -> (O, D)."""
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        encoded: Tensor = self.head(self.backbone(pictures).mean(dim=(2, 3)))
        return encoded


class SceneDesigner(Model, EncodesScenes, ShapesObjects):
    """Boxes, masks and vectors of scenes whose objects are sketches or crops."""

    name: ClassVar[str] = "scene-designer"
    not_exported: ClassVar[str] = "which of its encoders an object needs, and the relations, follow from values"
    Config: ClassVar[type[ModelConfig]] = SceneDesignerConfig

    def __init__(self, config: SceneDesignerConfig) -> None:
        super().__init__(config)
        self.config: SceneDesignerConfig = config
        categories, size = len(self.vocabulary.categories), config.gconv_dim
        photo_sizes = [config.photo_hidden_dim, config.encoding_dim]
        self.photo_encoder = ObjectEncoder(new_backbone(config), photo_sizes, categories)
        self.sketch_encoder = ObjectEncoder(new_backbone(config), [config.encoding_dim], categories)
        self.shared = nn.Sequential(nn.Linear(config.encoding_dim, config.shared_dim), nn.ReLU())
        self.representation = nn.Sequential(nn.Linear(config.shared_dim, config.representation_dim), nn.ReLU())
        self.predicate_embedding = nn.Embedding(len(self.vocabulary.predicates), config.predicate_dim)
        self.gconv, self.gconv_net = _graph_layers(config)
        self.transformer, self.decoder = _scene_layers(config)
        self.contrast = nn.Linear(size, size)
        self.box_net = nn.Sequential(
            nn.Linear(size, config.box_hidden_dim), nn.ReLU(), nn.Linear(config.box_hidden_dim, 4), nn.ReLU()
        )
        self.mask_net = mask_network(size, config.mask_size)
        self.category = nn.Linear(size, categories)
        self.apply(_keras_start)

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The data's categories, the image object and its relation in front, and sg2im's geometric predicates."""
        return replace(vocabulary, predicates=SG2IM_PREDICATES).with_image_object()

    def for_inference(self) -> Self:
        """A copy in which the norms of MobileNetV2 are part of its convolutions."""
        model = copy.deepcopy(self).eval()
        for layer in model.modules():
            if isinstance(layer, Normalized):
                layer.fold()
        return model

    def complete(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Masks of objects with boxes, each of which is a sketch or, without one, a crop.

        The original renders from predicted boxes (:meth:`predict`) even though boxes are what it is given.

        Raises:
            UserError: An object has no box, or neither a sketch nor a crop.
        """
        graph = with_graph(batch, self.vocabulary.predicates, generators)
        _, masks = self.predict(self.encode_scenes(self.encode(batch), graph).objects)
        return Placement(boxes=batch.boxes, masks=masks.sigmoid())

    @property
    def vector_size(self) -> int:
        """Length of the vector of each scene."""
        return self.config.gconv_dim

    def scene_vectors(self, batch: SceneBatch) -> Tensor:
        """Vectors (N, D) of scenes whose objects have boxes, each with a sketch or a crop; not normalized.

        Raises:
            UserError: An object has neither a sketch nor a crop.
        """
        return self.encode_scenes(self.encode(batch), with_graph(batch, self.vocabulary.predicates)).scenes

    def encode(self, batch: SceneBatch) -> Tensor:
        """Encodings (O, encoding_dim) of objects' sketches, or of their crops where they have no sketch.

        Raises:
            UserError: An object has neither.
        """
        assert batch.sketches is not None and batch.crops is not None
        sketched = batch.sketches.amin(dim=(1, 2)) < 1
        seen = ~sketched & (batch.crops[:, 3].amax(dim=(1, 2)) > -1)
        missing = (~(sketched | seen)).nonzero()[:, 0].tolist()
        if missing:
            row = missing[0]
            number = int((batch.object_to_image[:row] == batch.object_to_image[row]).sum())
            name = self.vocabulary.categories[int(batch.objects[row])]
            raise UserError(
                f"objects[{number}] ({name}) has neither a sketch nor a crop, from which scene-designer tells what it "
                "looks like; give it one, or use another layout model"
            )
        encoded = batch.boxes.new_zeros((len(batch.objects), self.config.encoding_dim))
        if sketched.any():
            encoded[sketched] = self.encode_sketches(batch.sketches[sketched]).to(encoded)
        if seen.any():
            # What is transparent becomes grey.
            colours, alpha = batch.crops[seen].split([3, 1], dim=1)
            encoded[seen] = self.encode_photos(colours * (alpha + 1) / 2).to(encoded)
        return encoded

    def encode_photos(self, crops: Tensor) -> Tensor:
        """Crops of photographs (O, 3, S, S) in [-1, 1] to encodings (O, encoding_dim)."""
        encoded: Tensor = self.photo_encoder(crops)
        return encoded

    def encode_sketches(self, sketches: Tensor) -> Tensor:
        """Sketches (O, S, S), paper 1 and ink 0, to encodings (O, encoding_dim)."""
        if self.config.distance_maps:
            sketches = distance_maps(sketches)
        encoded: Tensor = self.sketch_encoder(sketches[:, None].expand(-1, 3, -1, -1))
        return encoded

    def represent(self, encodings: Tensor) -> Tensor:
        """Encodings to unit vectors (O, representation_dim), near for one category in both domains."""
        return F.normalize(self.representation(self.shared(encodings)), dim=1, eps=1e-6)

    def encode_scenes(self, encodings: Tensor, batch: SceneBatch, generators: Generators = None) -> SceneVectors:
        """Vectors of scenes and objects.

        Args:
            encodings: (O, encoding_dim).
            batch: Its boxes say where objects are; its triples are the graph, in which every scene should be.
            generators: One per picture, for dropout and random positions in training.

        Raises:
            UserError: With ``bottleneck``, a scene has more objects than can be decoded.
        """
        objects = self._joined(encodings, batch)
        padded, real = batch.padded(objects)
        where, sizes = (batch.padded(numbers)[0] for numbers in (places(batch.boxes), areas(batch.boxes)))
        scenes, seen = self.transformer(padded, real, where, generators, sizes)
        if self.decoder is not None:
            most = self.config.bottleneck_objects
            if real.shape[1] > most:
                raise UserError(
                    f"a scene has {real.shape[1]} objects, and this model decodes at most {most}; leave some out, or "
                    f"train one with model.bottleneck_objects={real.shape[1]}"
                )
            seen = self.decoder(scenes, real.shape[1], generators)
        return SceneVectors(scenes, seen[batch.padding()])

    def _joined(self, encodings: Tensor, batch: SceneBatch) -> Tensor:
        """Encodings (O, encoding_dim) to objects (O, gconv_dim) that know what they are related to."""
        config = self.config
        if config.encoder_gradient < 1:
            # The same numbers; of their gradient, a part.
            encodings = torch.lerp(encodings.detach(), encodings, config.encoder_gradient)
        objects = self.shared(encodings)
        if not config.shared_gradient:
            objects = objects.detach()
        if config.positions_in_graph:
            objects = torch.cat([objects, attributes(batch.boxes).to(objects)], dim=1)
        if isinstance(self.gconv, nn.Linear):
            linear: Tensor = self.gconv(objects)
            return linear
        edges = Edges.of(batch.triples[:, [0, 2]], len(objects), training=self.training)
        objects, predicates = self.gconv(objects, self.predicate_embedding(batch.triples[:, 1]), edges)
        assert self.gconv_net is not None
        joined: Tensor = self.gconv_net(objects, predicates, edges)[0]
        return joined

    def predict(self, objects: Tensor) -> tuple[Tensor, Tensor]:
        """Object vectors (O, D) to boxes (O, 4) and logits of masks (O, M, M)."""
        boxes = in_float32(self.box_net, objects)
        # (O, D) -> (O, D, 1, 1) -> (O, 1, M, M) -> (O, M, M)
        return boxes, self.mask_net(objects[:, :, None, None])[:, 0]

    def compared(self, scenes: Tensor) -> Tensor:
        """Scene vectors (N, D) to the unit vectors (N, D) that the contrastive loss compares."""
        return F.normalize(self.contrast(scenes), dim=1, eps=1e-6)


def places(boxes: Tensor) -> Tensor:
    """Which of 5 x 5 places the centres of boxes (O, 4) are in: (O,) int64. Halves are rounded to even numbers."""
    x = (boxes[:, 0] + boxes[:, 2]) / 2
    y = (boxes[:, 1] + boxes[:, 3]) / 2
    column, row = ((centre * (ROWS - 1)).round().clamp(0, ROWS - 1) for centre in (x, y))
    return (column + ROWS * row).long()


def areas(boxes: Tensor) -> Tensor:
    """Which of 10 sizes boxes (O, 4) have: (O,) int64. Halves are rounded to even numbers."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return (area * (SIZES - 1)).round().clamp(0, SIZES - 1).long()


def attributes(boxes: Tensor) -> Tensor:
    """Size and place of boxes (O, 4), a channel for each: (O, 35), zeros and ones."""
    return torch.cat([F.one_hot(areas(boxes), SIZES), F.one_hot(places(boxes), PLACES)], dim=1)


def new_backbone(config: SceneDesignerConfig) -> Features:
    """The network of an object encoder."""
    if config.backbone == "mobilenet":
        return MobileNetV2(config.alpha, config.cut)
    return KerasInception() if config.backbone == "inception" else ResNet50V2()


def _graph_layers(config: SceneDesignerConfig) -> tuple[GraphTripleConv | nn.Linear, GraphTripleConvNet | None]:
    """The layer that changes the width, and those after it."""
    width = config.shared_dim + (SIZES + PLACES) * config.positions_in_graph
    size, hidden, pooling = config.gconv_dim, config.gconv_hidden_dim, config.gconv_pooling
    if not config.use_graph:
        return nn.Linear(width, size), None
    first = GraphTripleConv(width, size, hidden, pooling, predicate_dim=config.predicate_dim, slope=SLOPE)
    return first, GraphTripleConvNet(size, config.gconv_num_layers - 1, hidden, pooling, slope=SLOPE)


def _scene_layers(config: SceneDesignerConfig) -> tuple[SceneTransformer | SceneSum, SceneDecoder | None]:
    """The transformer, and with a bottleneck the decoder."""
    size = config.gconv_dim
    if not config.use_transformer:
        return SceneSum(size), None
    sizes = (size, config.transformer_layers, config.transformer_heads, config.transformer_hidden_dim)
    transformer = SceneTransformer(
        *sizes, config.dropout, config.positional, config.three_part_positions, config.random_positions
    )
    decoder = SceneDecoder(*sizes, config.bottleneck_objects, config.dropout) if config.bottleneck else None
    return transformer, decoder


def with_graph(batch: SceneBatch, predicates: Sequence[str], generators: Generators = None) -> SceneBatch:
    """The same scenes, with one relation for each pair of objects in place of theirs, by sg2im's geometric rules.

    Args:
        batch: Scenes with a box for every object.
        predicates: The vocabulary's.
        generators: One per picture, to choose which of two objects is the subject; without them it is the first. An
            object that is alone is in the picture: a relation to itself.

    Raises:
        UserError: An object has no box.
    """
    if not batch.known_boxes.all():
        raise UserError("scene-designer needs a box for every object; place them by another layout model first")
    numbers = {name: number for number, name in enumerate(predicates)}
    owner, boxes = batch.object_to_image.tolist(), batch.boxes.tolist()
    triples, pictures = [], []
    stops = list(accumulate(owner.count(picture) for picture in range(batch.num_images)))
    for picture, (start, stop) in enumerate(pairwise([0, *stops])):
        ends = list(combinations(range(start, stop), 2))
        if generators is not None and ends:
            turned = torch.rand(len(ends), generator=generators[picture]) > 0.5
            ends = [pair[::-1] if turn else pair for pair, turn in zip(ends, turned.tolist(), strict=True)]
        found = [(one, numbers[box_relation(boxes[one], boxes[other])], other) for one, other in ends]
        if stop - start == 1:
            found = [(start, numbers[IN_IMAGE_PREDICATE], start)]
        triples += found
        pictures += [picture] * len(found)
    like = batch.object_to_image
    return replace(
        batch,
        triples=like.new_tensor(triples).view(-1, 3),
        triple_to_image=like.new_tensor(pictures),
    )


def box_relation(box: Sequence[float], other: Sequence[float]) -> str:
    """:func:`~scenograph.scenes.geometry.sg2im_relation` by the boxes' own centres."""
    (x0, y0, x1, y1), (u0, v0, u1, v1) = box, other
    centres = ((x0 + x1) / 2, (y0 + y1) / 2), ((u0 + u1) / 2, (v0 + v1) / 2)
    return sg2im_relation((x0, y0, x1, y1), (u0, v0, u1, v1), *centres)


def mask_network(channels: int, size: int) -> nn.Sequential:
    """Vectors as maps of one pixel (O, C, 1, 1) to logits (O, 1, size, size); a doubling per factor of two."""
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(size))):
        layers += [
            nn.Identity(),  # weights are named by the number of their layer, and the doubling was one of its own
            UpsampledConv2d(channels, channels),
            FrozenBatchNorm2d(channels, eps=EPSILON),
            nn.ReLU(inplace=True),
        ]
    return channels_last(nn.Sequential(*layers, nn.Conv2d(channels, 1, 1)))


def _keras_start(module: nn.Module) -> None:
    """Keras' defaults: Glorot's uniform weights, biases of 0, and embeddings in [-0.05, 0.05]."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.uniform_(module.weight, -0.05, 0.05)
