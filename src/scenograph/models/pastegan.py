"""PasteGAN: A Semi-Parametric Method to Generate Image from Scene Graph (Li, Ma, Bai, Duan, Wei, Wang; NeurIPS 2019).

A picture is painted from a scene graph and a crop of each object. A graph convolution gives every object a vector and a
box; an encoder turns the crops into small maps, which a graph convolution over maps refines (the refiner); both are
placed into the boxes and fused by attention over the objects at each pixel (the fuser); residual blocks and a cascaded
refinement network render the result. Every picture has one more object, ``__image__``, which has no crop.

In training the same networks also reconstruct the picture from its own crops: :meth:`PasteGan.branch` is one pass.
Beyond the paper: attributes, as in sg2im; objects without crops.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

import torch
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import (
    Conditioned,
    DrawsFromCrops,
    Generators,
    ImageModel,
    LayoutModel,
    ModelConfig,
    Placement,
    Widths,
)
from scenograph.models.exporting import Exports, Plan, Port, ScenePorts
from scenograph.models.sg2im import add_image_objects, denormalize, normalize
from scenograph.nn.convolution import SameConv2d
from scenograph.nn.crn import RefinementNetwork
from scenograph.nn.discriminators import build_cnn
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.fusion import ObjectFuser
from scenograph.nn.graph import Edges, LeakyGraphTripleConv, Pooling, box_network, in_float32
from scenograph.nn.layers import Normalization, channels_last, leaky_activation, normalization_layers
from scenograph.nn.map_graph import MapGraphConv
from scenograph.nn.normalization import BatchNorm2d, exact_norms
from scenograph.scenes.batch import SceneBatch, rows_where
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

DECODER_ACTIVATION = "leakyrelu-0.1"
"""Whatever the other networks' is."""
UPDATES = 2
"""Updates of a canvas block's statistics per pass in training: the original computes each block twice."""


class PasteGanConfig(ModelConfig):
    """The published settings; where ours have other names, ``models/published/pastegan.py`` has the published ones."""

    image_size: tuple[int, int] = (64, 64)
    """Height, width."""
    embedding_dim: PositiveInt = 128
    """Width of vectors and of crop features; the original's three settings of it must be equal."""
    hidden_dim: PositiveInt = 512
    """Of the layers of both graph convolutions."""
    graph_layers: PositiveInt = 4
    graph_pooling: Pooling = "avg"
    refiner_layers: PositiveInt = 4
    refiner_residual: bool = True
    refiner_flow: bool = True
    """Whether the refiner displaces features within crops."""
    refiner_mask: bool = False
    """Whether the refiner masks features within crops."""
    valid_edges_only: bool = False
    """Whether the refiner's objects pool nothing from their relations to ``__image__``."""
    refinement_dims: Widths = (1024, 512, 256, 128, 64)
    normalization: Normalization = "batch"
    activation: str = "leakyrelu-0.1"
    canvas_blocks: NonNegativeInt = 6
    class_boxes: bool = False
    """Whether every category has box predictions of its own."""
    crop_size: PositiveInt = 32
    crop_arch: str = "C3-64-2,C3-128-2,C3-256-2"
    """Of the encoder of crops, in the language of :func:`scenograph.nn.discriminators.build_cnn`."""
    crop_normalization: Normalization = "batch"
    crop_activation: str = "leakyrelu-0.1"
    batch_maximum: bool = False
    """The original's attention, which depends on the other pictures of a batch; see the fuser."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            image_size=(16, 16),
            embedding_dim=16,
            hidden_dim=16,
            graph_layers=2,
            refiner_layers=2,
            refinement_dims=(16, 8),
            canvas_blocks=1,
            crop_size=16,
            crop_arch="C3-8-2,C3-16-2",
        )

    @property
    def picture_sides(self) -> tuple[int, int]:
        """Height and width."""
        return self.image_size

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch, which cut out the crops of its own pictures."""
        return self.crop_size

    @property
    def crop_side(self) -> int:
        """Side of the crops in a batch."""
        return self.crop_size

    @model_validator(mode="after")
    def _whole_levels(self) -> Self:
        factor = 2 ** len(self.refinement_dims)
        if any(side % factor for side in self.image_size):
            shown = " x ".join(map(str, self.image_size))
            raise ValueError(
                f"image_size {shown}: {len(self.refinement_dims)} refinement_dims need multiples of {factor}"
            )
        return self


@dataclass(frozen=True, kw_only=True)
class GraphFeatures:
    """What the graph alone tells, for all branches."""

    embedded_predicates: Tensor
    """(T, D) before the graph convolution."""
    objects: Tensor
    """(O, D)."""
    predicates: Tensor
    """(T, D)."""
    boxes: Tensor
    """(O, 4) as predicted."""
    edges: Edges
    """Those of the refiner."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One pass from crops to pictures."""

    features: Tensor
    """(O, D, h, w): the encoded crops."""
    images: Tensor
    """(N, 3, H, W) in ImageNet-normalized units."""


class PasteGan(Exports, DrawsFromCrops, ImageModel[Tensor], LayoutModel):
    """The generator. Pictures and crops inside are in ImageNet-normalized units; rendered pictures are in [-1, 1].

    Its condition is the fused map (N, 2 * embedding_dim, H, W).
    """

    name = "pastegan"
    Config = PasteGanConfig
    config: PasteGanConfig

    def __init__(self, config: PasteGanConfig) -> None:
        super().__init__(config)
        self.config = config
        width, categories = config.embedding_dim, len(self.vocabulary.categories)
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        self.object_embedding = ObjectEmbedding(categories + 1, groups, width)
        self.predicate_embedding = nn.Embedding(len(self.vocabulary.predicates), width)
        self.graph_layers = nn.ModuleList(
            LeakyGraphTripleConv(width, width, config.hidden_dim, config.graph_pooling)
            for _ in range(config.graph_layers)
        )
        self.box_net = box_network(width, config.hidden_dim, categories if config.class_boxes else 1)
        self.crop_encoder = CropEncoder(width, config.crop_arch, config.crop_normalization, config.crop_activation)
        self.refiner = nn.ModuleList(
            MapGraphConv(
                width,
                config.hidden_dim,
                normalization=config.normalization,
                activation=config.activation,
                flow=config.refiner_flow,
                mask=config.refiner_mask,
                residual=config.refiner_residual,
            )
            for _ in range(config.refiner_layers)
        )
        self.fuser = ObjectFuser(2 * width, config.batch_maximum)
        self.canvas_blocks = nn.Sequential(*(CanvasBlock(2 * width) for _ in range(config.canvas_blocks)))
        self.decoder = RefinementNetwork(2 * width, config.refinement_dims, config.normalization, DECODER_ACTIVATION)
        channels_last(exact_norms(self))  # so many norms in a row make small errors large

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The data's vocabulary, with the image object and its relation in front if it lacks them."""
        return vocabulary.with_image_object()

    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Boxes alone. Boxes that the scenes give are kept."""
        scene = add_image_objects(batch, self.vocabulary)
        return Placement(boxes=self._own_boxes(scene, self.graph(scene)))

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Tensor]:
        """Boxes, and the fused map (N, 2 * embedding_dim, H, W). Boxes that the scenes have replace predicted ones."""
        scene = add_image_objects(batch, self.vocabulary)
        graph = self.graph(scene)
        shape = (size, size) if size else self.config.image_size
        canvas = self.fuse(scene, graph, self.crop_encoder(self.crops(scene)), shape)
        return Conditioned(boxes=self._own_boxes(scene, graph), condition=canvas)

    def render(self, condition: Tensor, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Fused map to pictures (N, 3, H, W) in [-1, 1]. No number is sampled."""
        return denormalize(self.render_normalized(condition).float()).clamp(-1, 1)

    def exported(self) -> Plan:
        """One graph, from scene graphs and crops to boxes and pictures."""
        scene = ("pictures", "objects", "attributes", "object_to_image", "triples", "triple_to_image", "boxes", "crops")

        def compute(batch: SceneBatch) -> tuple[Tensor, Tensor]:
            made = self.condition(batch)
            return made.boxes, self.render(made.condition)

        gives = [
            Port("placed_boxes", ("objects", 4), "x0, y0, x1, y1 as fractions of the canvas"),
            Port("images", ("pictures", 3, *self.config.image_size), "pictures in [-1, 1]"),
        ]
        purpose = "Places the objects of scene graphs, and renders them from crops. Boxes that are not NaN are kept."
        how = ("Choose a crop for each object, of the side that 'crops' has. Run 'picture'.",)
        return Plan(graphs=(ScenePorts(self).graph("picture", purpose, compute, scene, gives),), how=how)

    def branch(self, scene: SceneBatch, graph: GraphFeatures, crops: Tensor) -> Branch:
        """From crops (O, 3, S, S) in normalized units to pictures. The scene must hold the image objects."""
        features = self.crop_encoder(crops)
        return Branch(features=features, images=self.paint(scene, graph, features))

    def paint(self, scene: SceneBatch, graph: GraphFeatures, features: Tensor) -> Tensor:
        """From encoded crops (O, D, h, w) to pictures (N, 3, H, W) in normalized units."""
        return self.render_normalized(self.fuse(scene, graph, features, self.config.image_size))

    def crops(self, scene: SceneBatch) -> Tensor:
        """The crops of a batch (O, 3, S, S) in normalized units; what is transparent is 0, a mean colour."""
        if scene.crops is None:
            side = self.config.crop_size
            return torch.zeros((len(scene.objects), 3, side, side), device=scene.objects.device)
        return normalize(scene.crops[:, :3]) * (scene.crops[:, 3:] + 1) / 2

    def graph(self, scene: SceneBatch) -> GraphFeatures:
        """Vectors and boxes. The scene must hold the image objects."""
        embedded = self.predicate_embedding(scene.triples[:, 1])
        ends, count = scene.triples[:, [0, 2]], scene.objects.shape[0]
        edges = Edges.of(ends, count, training=self.training)
        vectors, relations = self.object_embedding(scene.objects, scene.attributes), embedded
        for layer in self.graph_layers:
            vectors, relations = layer(vectors, relations, edges)
        boxes = in_float32(self.box_net, vectors)
        if self.config.class_boxes:
            # (O, 4 * categories) -> (O, categories, 4) -> (O, 4)
            boxes = boxes.unflatten(1, (-1, 4))[torch.arange(count, device=boxes.device), scene.objects]
        if self.config.valid_edges_only:
            edges = Edges.of(ends, count, (~self.is_member(scene)).float(), self.training)
        return GraphFeatures(
            embedded_predicates=embedded, objects=vectors, predicates=relations, boxes=boxes, edges=edges
        )

    def fuse(self, scene: SceneBatch, graph: GraphFeatures, features: Tensor, shape: tuple[int, int]) -> Tensor:
        """Encoded crops (O, D, h, w), refined and fused with the graph's vectors: (N, 2 D, *shape)."""
        maps, relations = self.refine(graph, features)
        own = scene.objects.shape[0] - scene.num_images
        is_image, member = rows_where(self.is_image(scene), scene.num_images), rows_where(self.is_member(scene), own)
        rows = scene.triples[member, 0]  # the object of each relation to __image__
        # (O, D) and (O, D, h, w) -> (O, 2 D, h, w)
        objects = torch.cat([_spread(graph.objects, maps), maps], dim=1)
        relations = torch.cat([_spread(graph.predicates[member], maps), relations[member]], dim=1)
        boxes = torch.where(scene.known_boxes[:, None], scene.boxes.nan_to_num(), graph.boxes)
        canvas: Tensor = self.fuser(
            objects[rows],
            relations,
            objects[is_image],
            boxes[rows],
            boxes[is_image],
            scene.object_to_image[rows],
            shape,
        )
        return canvas

    def refine(self, graph: GraphFeatures, features: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded crops (O, D, h, w) to refined ones, and the maps (T, D, h, w) of predicates."""
        maps, relations = features, graph.embedded_predicates
        for layer in self.refiner:
            maps, relations = layer(maps, relations, graph.edges)
        return maps, relations

    def render_normalized(self, condition: Tensor) -> Tensor:
        """Fused map to pictures in ImageNet-normalized units: (N, 3, H, W)."""
        result: Tensor = self.decoder(self.canvas_blocks(condition))
        return result

    def is_image(self, scene: SceneBatch) -> Tensor:
        """(O,) bool: which objects are ``__image__``."""
        return scene.objects == self.vocabulary.categories.index(IMAGE_CATEGORY)

    def is_member(self, scene: SceneBatch) -> Tensor:
        """(T,) bool: which relations are ``__in_image__``."""
        return scene.triples[:, 1] == self.vocabulary.predicates.index(IN_IMAGE_PREDICATE)

    def _own_boxes(self, scene: SceneBatch, graph: GraphFeatures) -> Tensor:
        """The given or predicted boxes of all objects but ``__image__``."""
        own = rows_where(~self.is_image(scene), scene.objects.shape[0] - scene.num_images)
        return torch.where(scene.known_boxes[:, None], scene.boxes, graph.boxes)[own]


class CropEncoder(nn.Module):
    """Crops to maps: strided convolutions, then a 1 x 1 convolution to ``channels``."""

    def __init__(self, channels: int, arch: str, normalization: Normalization, activation: str) -> None:
        super().__init__()
        self.net, width = build_cnn(arch, normalization, activation, "same", activated=True)
        self.output = nn.Sequential(
            SameConv2d(width, channels, 1), *normalization_layers(normalization, channels), leaky_activation(activation)
        )

    def forward(self, crops: Tensor) -> Tensor:
        """(O, 3, H, W) -> (O, channels, h, w)."""
        result: Tensor = self.output(self.net(crops.contiguous(memory_format=torch.channels_last)))
        return result


class CanvasBlock(nn.Module):
    """``x + net(x)`` at full resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            SameConv2d(channels, channels, 3),
            BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            SameConv2d(channels, channels, 3),
        )
        for layer in self.net:
            if isinstance(layer, BatchNorm2d):
                # One update that moves statistics as far as several do.
                layer.momentum = 1 - (1 - cast(float, layer.momentum)) ** UPDATES

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        if self.training:
            for layer in self.net:
                if isinstance(layer, BatchNorm2d) and layer.num_batches_tracked is not None:
                    layer.num_batches_tracked.add_(UPDATES - 1)
        result: Tensor = x + self.net(x)
        return result


def _spread(vectors: Tensor, like: Tensor) -> Tensor:
    """(R, D) -> (R, D, h, w)."""
    return vectors.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[2:])
