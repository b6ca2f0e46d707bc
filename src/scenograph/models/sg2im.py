"""sg2im: Image Generation from Scene Graphs (Johnson, Gupta, Fei-Fei, CVPR 2018).

A graph convolution turns the scene graph into a vector per object; two heads predict each object's box and mask;
the vectors, painted through them and summed, are the map from which a cascaded refinement network renders the
picture. Every picture has one more object, ``__image__``, to which all others are related by ``__in_image__``.

Beyond the paper: vocabularies with attribute groups get attribute embeddings, added to the category's.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt, field_validator
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.models.base import (
    Conditioned,
    Generators,
    GraphVectors,
    ImageModel,
    LayoutModel,
    ModelConfig,
    Placement,
    Widths,
    check_side,
    noise,
)
from scenograph.models.exporting import Exports, Graph, Plan, Port, ScenePorts
from scenograph.models.sizes import Sides
from scenograph.nn.crn import FoldedRefinement, RefinementNetwork
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.graph import (
    Edges,
    GraphTripleConv,
    GraphTripleConvNet,
    MlpNormalization,
    Pooling,
    box_network,
    in_float32,
    mlp,
)
from scenograph.nn.layers import Normalization, channels_last
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.painting import paint_vectors, sample_boxes, sample_masks
from scenograph.nn.upsampling import UpsampledConv2d
from scenograph.scenes.batch import SceneBatch, rows_where, stable_order
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Sg2ImConfig(ModelConfig):
    """The published constructor's settings; the defaults are those of its training script."""

    image_size: Sides = (64, 64)
    """Height, width."""
    embedding_dim: PositiveInt = 128
    gconv_dim: PositiveInt = 128
    gconv_hidden_dim: PositiveInt = 512
    gconv_pooling: Pooling = "avg"
    gconv_num_layers: NonNegativeInt = 5
    """0 is the ablation without graph convolution: one linear map."""
    refinement_dims: Widths = (1024, 512, 256, 128, 64)
    normalization: Normalization = "batch"
    activation: str = "leakyrelu-0.2"
    mask_size: NonNegativeInt = 16
    """0 leaves the mask head out: objects are painted into their boxes."""
    mlp_normalization: MlpNormalization = "none"
    layout_noise_dim: NonNegativeInt = 32
    align_corners: bool = True
    """False for weights that the original code trained on torch 1.3 or later, whose sampling default differs."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            image_size=(16, 16),
            embedding_dim=16,
            gconv_dim=16,
            gconv_hidden_dim=32,
            gconv_num_layers=2,
            refinement_dims=(16, 8),
            mask_size=8,
            layout_noise_dim=4,
        )

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size or 16

    @field_validator("mask_size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be 0 or a power of two")
        return value


@dataclass(frozen=True, kw_only=True)
class Prediction(Placement):
    """What the graph network predicts of every object and relation."""

    relation_scores: Tensor
    """(T, P) logits over predicates."""


class Sg2Im(Exports, ImageModel[Tensor], LayoutModel, GraphVectors):
    """The generator. Pictures inside are in ImageNet-normalized units; rendered ones are in [-1, 1]."""

    name = "sg2im"
    Config = Sg2ImConfig
    config: Sg2ImConfig

    def __init__(self, config: Sg2ImConfig) -> None:
        super().__init__(config)
        self.config = config
        size, hidden = config.gconv_dim, config.gconv_hidden_dim
        categories, predicates = len(self.vocabulary.categories), len(self.vocabulary.predicates)
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        self.object_embedding = ObjectEmbedding(categories + 1, groups, config.embedding_dim)
        self.predicate_embedding = nn.Embedding(predicates, config.embedding_dim)
        options: dict[str, Any] = {
            "hidden_dim": hidden,
            "pooling": config.gconv_pooling,
            "mlp_normalization": config.mlp_normalization,
        }
        self.gconv: nn.Module = nn.Linear(config.embedding_dim, size)
        if config.gconv_num_layers > 0:
            self.gconv = GraphTripleConv(config.embedding_dim, size, **options)
        if config.gconv_num_layers > 1:
            self.gconv_net = GraphTripleConvNet(size, config.gconv_num_layers - 1, **options)
        self.box_net = box_network(size, hidden, normalization=config.mlp_normalization)
        self.rel_aux_net = mlp([2 * config.embedding_dim + 8, hidden, predicates], config.mlp_normalization)
        self.mask_net = _mask_network(size, config.mask_size) if config.mask_size else None
        self.refinement_net: RefinementNetwork | FoldedRefinement = RefinementNetwork(
            size + config.layout_noise_dim, config.refinement_dims, config.normalization, config.activation
        )

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The data's vocabulary, with the image object and its relation in front if it lacks them."""
        return vocabulary.with_image_object()

    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Boxes and masks alone. Boxes that the scenes give are kept."""
        full = self.add_image_objects(batch)
        _, predicted = self.predict(full)
        return self._own(batch, full, predicted)

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Tensor]:
        """Boxes and masks, and the painted map (N, gconv_dim + layout_noise_dim, H, W).

        Boxes and masks that the scenes have replace predicted ones.
        """
        check_side(size, self.config.picture_sides)
        full = self.add_image_objects(batch)
        painted, predicted = self.encode_graph(full, generators)
        placed = self._own(batch, full, predicted)
        return Conditioned(boxes=placed.boxes, masks=placed.masks, condition=painted)

    def _own(self, batch: SceneBatch, full: SceneBatch, predicted: Placement) -> Placement:
        """The prediction for the scene's own objects, of one for ``full``; boxes that the scene gives are kept."""
        own = rows_where(~self.is_image(full), batch.objects.shape[0])
        masks = None if predicted.masks is None else predicted.masks[own]
        return Placement(boxes=torch.where(batch.known_boxes[:, None], batch.boxes, predicted.boxes[own]), masks=masks)

    def render(self, condition: Tensor, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Painted map to pictures (N, 3, H, W) in [-1, 1], stretched to full contrast as the original saves them."""
        return stretch_contrast(self.render_normalized(condition))

    def for_inference(self) -> Self:
        """A copy with batch norms folded and convolutions after upsampling done on the smaller map."""
        faster = copy.deepcopy(self).eval()
        if isinstance(faster.refinement_net, RefinementNetwork):
            faster.refinement_net = FoldedRefinement(faster.refinement_net)
            if faster.mask_net is not None:
                faster.mask_net = _fold_mask_network(faster.mask_net)
        return faster

    def encode_graph(
        self,
        batch: SceneBatch,
        generators: Generators = None,
        layout_noise: Tensor | None = None,
    ) -> tuple[Tensor, Prediction]:
        """The painted map with noise channels (N, C, H, W), and the predicted boxes, masks and relation scores.

        The batch must hold the image objects. ``layout_noise`` (N, layout_noise_dim, H, W) replaces the sampled one.
        """
        vectors, predicted = self.predict(batch)
        boxes, masks = self._given_or(batch, predicted)
        painted = self._paint(vectors, boxes, masks, batch.object_to_image, batch.num_images)
        if self.config.layout_noise_dim:
            if layout_noise is None:
                channels = (self.config.layout_noise_dim, *painted.shape[2:])
                layout_noise = noise(channels, batch.num_images, generators, painted.device)
            painted = _with_noise(painted, layout_noise)
        return painted, predicted

    def predict(self, batch: SceneBatch) -> tuple[Tensor, Prediction]:
        """Object vectors (O, gconv_dim), and the boxes, masks and relation scores predicted from them.

        The batch must hold the image objects.
        """
        embedded, vectors = self.object_vectors(batch)
        boxes = in_float32(self.box_net, vectors)
        masks = None
        if self.mask_net is not None:
            # (O, D, 1, 1) -> (O, 1, M, M) -> (O, M, M)
            masks = self.mask_net(vectors[:, :, None, None])[:, 0].sigmoid()
        subject, target = batch.triples[:, 0], batch.triples[:, 2]
        scores = self.rel_aux_net(
            torch.cat([boxes[subject], boxes[target], embedded[subject], embedded[target]], dim=1)
        )
        return vectors, Prediction(boxes=boxes, masks=masks, relation_scores=scores)

    def render_normalized(self, condition: Tensor) -> Tensor:
        """Painted map to pictures in ImageNet-normalized units: (N, 3, H, W)."""
        result: Tensor = self.refinement_net(condition)
        return result

    def object_vectors(self, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        """Embeddings (O, embedding_dim) and, after the graph layers, object vectors (O, gconv_dim)."""
        embedded = self.object_embedding(batch.objects, batch.attributes)
        if self.config.gconv_num_layers == 0:
            return embedded, self.gconv(embedded)
        predicates = self.predicate_embedding(batch.triples[:, 1])
        edges = Edges.of(batch.triples[:, [0, 2]], batch.objects.shape[0], training=self.training)
        vectors, predicates = self.gconv(embedded, predicates, edges)
        if self.config.gconv_num_layers > 1:
            vectors, _ = self.gconv_net(vectors, predicates, edges)
        return embedded, vectors

    @property
    def vector_size(self) -> int:
        """That of the graph layers."""
        return self.config.gconv_dim

    def graph_vectors(self, batch: SceneBatch) -> Tensor:
        """As in the role: the vectors from which boxes and masks are predicted."""
        full = self.add_image_objects(batch)
        return self.object_vectors(full)[1][~self.is_image(full)]

    def add_image_objects(self, batch: SceneBatch) -> SceneBatch:
        """:func:`add_image_objects` with the model's names."""
        return add_image_objects(batch, self.vocabulary)

    def is_image(self, batch: SceneBatch) -> Tensor:
        """(O,) bool: which objects are ``__image__``."""
        return batch.objects == self.vocabulary.categories.index(IMAGE_CATEGORY)

    def exported(self) -> Plan:
        """Two graphs: what the graph network makes of scenes, and pictures of that."""
        width, side, (height, columns) = self.config.gconv_dim, self.config.mask_size, self.config.image_size
        pictures = Port("pictures", ("pictures",), "numbers of the pictures: 0, 1, 2, ...", torch.int64)
        between = [
            Port("vectors", ("rows", width), "one for each object and, behind those of a picture, for all of it"),
            Port("row_boxes", ("rows", 4), "boxes of these, given or predicted"),
            Port("row_to_image", ("rows",), "the picture that each of these is in", torch.int64),
        ]
        gives = [Port("placed_boxes", ("objects", 4), "x0, y0, x1, y1 as fractions of the canvas")]
        if side:
            between.append(Port("row_masks", ("rows", side, side), "masks of these, given or predicted, in [0, 1]"))
            gives.append(Port("placed_masks", ("objects", side, side), "predicted, in (0, 1), relative to the boxes"))
        noise_in = []
        if self.config.layout_noise_dim:
            shape = ("pictures", self.config.layout_noise_dim, height, columns)
            noise_in.append(Port("layout_noise", shape, "standard normal numbers, a map per picture"))
        scene = ("pictures", "objects", "attributes", "object_to_image", "triples", "triple_to_image", "boxes")
        layout = ScenePorts(self).graph(
            "layout",
            "Places the objects of scene graphs. Boxes that are not NaN are kept, and masks that are known painted.",
            self._layout,
            [*scene, *(("masks", "known_masks") if side else ())],
            [*gives, *between],
        )
        images = Port("images", ("pictures", 3, height, columns), "pictures in [-1, 1], stretched to full contrast")
        inputs = (pictures, *between, *noise_in)
        picture = Graph("picture", "Renders what 'layout' gives.", self._picture, inputs, (images,))
        how = ("Run 'layout' on the scenes.", "Run 'picture' on its outputs of the same names, and on noise.")
        return Plan(graphs=(layout, picture), how=how)

    def _layout(self, batch: SceneBatch) -> tuple[Tensor, ...]:
        full = self.add_image_objects(batch)
        vectors, predicted = self.predict(full)
        placed, (boxes, masks) = self._own(batch, full, predicted), self._given_or(full, predicted)
        if placed.masks is None or masks is None:
            return placed.boxes, vectors, boxes, full.object_to_image
        return placed.boxes, placed.masks, vectors, boxes, full.object_to_image, masks

    def _picture(self, pictures: Tensor, vectors: Tensor, boxes: Tensor, owner: Tensor, *others: Tensor) -> Tensor:
        masks, layout_noise = others[: self.mask_net is not None], others[self.mask_net is not None :]
        painted = self._paint(vectors, boxes, masks[0] if masks else None, owner, pictures.shape[0])
        return self.render(_with_noise(painted, *layout_noise) if layout_noise else painted)

    def _given_or(self, batch: SceneBatch, predicted: Placement) -> tuple[Tensor, Tensor | None]:
        """The boxes and masks that are painted: those of the batch where they are known, or predicted ones."""
        boxes = torch.where(batch.known_boxes[:, None], batch.boxes.nan_to_num(), predicted.boxes)
        masks = predicted.masks
        if masks is not None and (is_compiling() or batch.known_masks.any()):
            given = batch.masks.to(masks)
            if given.shape[1:] != masks.shape[1:]:
                # (O, M', M') -> (O, 1, M', M') -> (O, M, M)
                given = F.interpolate(given[:, None], masks.shape[1:], mode="bilinear")[:, 0]
            masks = torch.where(batch.known_masks[:, None, None], given, masks)
        return boxes, masks

    def _paint(self, vectors: Tensor, boxes: Tensor, masks: Tensor | None, owner: Tensor, count: int) -> Tensor:
        """The map (N, gconv_dim, H, W) of vectors painted where their objects are."""
        sides, corners = self.config.image_size, self.config.align_corners
        planes = sample_boxes(boxes, *sides, corners) if masks is None else sample_masks(boxes, masks, *sides, corners)
        return paint_vectors(vectors, planes, owner, count)


def add_image_objects(batch: SceneBatch, vocabulary: Vocabulary) -> SceneBatch:
    """The batch with ``__image__`` as last object of every picture, and every other object in it.

    As in the originals, its box and mask are predicted too, unless all others of the picture are given. It has no
    crop.
    """
    image_category = vocabulary.categories.index(IMAGE_CATEGORY)
    in_image = vocabulary.predicates.index(IN_IMAGE_PREDICATE)
    device, count = batch.objects.device, batch.num_images
    pictures = torch.arange(count, device=device)
    owner = torch.cat([batch.object_to_image, pictures])
    order = stable_order(owner)
    position = torch.empty_like(order)
    position[order] = torch.arange(order.shape[0], device=device)
    subject, predicate, target = batch.triples.unbind(dim=1)
    given = torch.stack([position[subject], predicate, position[target]], dim=1)
    own, image_rows = position[: batch.objects.shape[0]], position[batch.objects.shape[0] :]
    member = torch.stack([own, torch.full_like(own, in_image), image_rows[batch.object_to_image]], dim=1)
    triples = torch.cat([given, member])
    triple_owner = torch.cat([batch.triple_to_image, batch.object_to_image])
    triple_order = stable_order(triple_owner)

    def lacking(known: Tensor) -> Tensor:
        """(N,) bool: which pictures have objects without a box, or without a mask."""
        return torch.zeros(count, device=device).index_add(0, batch.object_to_image, (~known).float()) > 0

    canvas = batch.boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)
    canvas = canvas.masked_fill(lacking(batch.known_boxes)[:, None], float("nan"))
    known_masks = ~lacking(batch.known_masks)
    open_attributes = batch.attributes.new_full((count, batch.attributes.shape[1]), -1)
    crops = batch.crops
    if crops is not None:
        crops = torch.cat([crops, crops.new_full((count, *crops.shape[1:]), -1.0)])[order]
    return replace(
        batch,
        objects=torch.cat([batch.objects, torch.full_like(pictures, image_category)])[order],
        attributes=torch.cat([batch.attributes, open_attributes])[order],
        triples=triples[triple_order],
        object_to_image=owner[order],
        triple_to_image=triple_owner[triple_order],
        boxes=torch.cat([batch.boxes, canvas])[order],
        masks=torch.cat([batch.masks, torch.ones_like(batch.masks[:1]).expand(count, -1, -1)])[order],
        known_masks=torch.cat([batch.known_masks, known_masks])[order],
        crops=crops,
    )


def _with_noise(painted: Tensor, layout_noise: Tensor) -> Tensor:
    """A painted map (N, C, H, W) with noise as its last channels."""
    channels = layout_noise.to(painted.dtype).contiguous(memory_format=torch.channels_last)
    return torch.cat([painted, channels], dim=1)


def normalize(images: Tensor) -> Tensor:
    """[-1, 1] to ImageNet-normalized units."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images + 1) / 2 - mean) / std


def denormalize(images: Tensor) -> Tensor:
    """ImageNet-normalized units to [-1, 1], not clipped."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images * std + mean) * 2 - 1


def stretch_contrast(pictures: Tensor) -> Tensor:
    """Normalized pictures to [-1, 1], each shifted and scaled to use the whole range and cut to 256 levels.

    The original does so to every picture it saves (its ``imagenet_deprocess_batch``).
    """
    plain = denormalize(pictures.detach().float())
    low, high = plain.amin(dim=(1, 2, 3), keepdim=True), plain.amax(dim=(1, 2, 3), keepdim=True)
    unit = (plain - low) / (high - low).clamp(min=1e-12)
    return (unit * 255).floor() / 127.5 - 1


def _fold_mask_network(network: nn.Sequential) -> nn.Sequential:
    """The same network with each upsampling merged into the convolution after it, past the batch norm between them."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layers.append(UpsampledConv2d.of(layer.weight, layer.bias))
        elif not isinstance(layer, nn.Upsample):
            layers.append(layer)
    return nn.Sequential(*layers)


def _mask_network(channels: int, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(size))):
        layers += [
            nn.Upsample(scale_factor=2, mode="nearest"),
            BatchNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
        ]
    network = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1))
    return channels_last(network)
