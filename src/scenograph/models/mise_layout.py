"""Mise's layout half: a scene graph to boxes by a rectified flow over the boxes of a scene.

Regression averages all plausible layouts; a flow samples one of them per seed. Attention between objects keeps
them from colliding, and a graph convolution reads the relations. Boxes that the scene already has are kept, and the
others are placed around them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import Generators, GraphVectors, ModelConfig, Placement, SampledBoxes, noise_per_object
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.graph import Edges, GraphTripleConv
from scenograph.nn.unet import time_features
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

TOGETHER = 2048
"""Most objects and relations of candidates that are sampled at once."""


class MiseLayoutConfig(ModelConfig):
    """``box_mean`` and ``box_std`` standardize (centre x, centre y, width, height) over the training set."""

    width: PositiveInt = 128
    layers: PositiveInt = 4
    heads: PositiveInt = 4
    graph_hidden: PositiveInt = 256
    box_mean: tuple[float, float, float, float] = (0.5, 0.5, 0.2, 0.2)
    box_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (0.2, 0.2, 0.1, 0.1)
    steps: PositiveInt = 20
    mask_size: PositiveInt = 16

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), width=32, layers=2, graph_hidden=32, steps=2)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @model_validator(mode="after")
    def _whole_parts(self) -> Self:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width}: must be a multiple of twice the {self.heads} heads")
        return self


class MiseLayout(SampledBoxes, GraphVectors):
    """The layout model. :meth:`place` samples boxes; training calls :meth:`velocity`."""

    name = "mise-layout"
    Config = MiseLayoutConfig
    config: MiseLayoutConfig

    def __init__(self, config: MiseLayoutConfig) -> None:
        super().__init__(config)
        self.config = config
        width = config.width
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        self.embedding = ObjectEmbedding(len(self.vocabulary.categories), groups, width)
        self.predicates = nn.Embedding(len(self.vocabulary.predicates), width)
        self.box_in = nn.Linear(5, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(_Block(width, config.heads, config.graph_hidden) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.box_out = nn.Linear(width, 4)
        nn.init.zeros_(self.box_out.weight)

    def velocity(self, noisy: Tensor, time: Tensor, known: Tensor, batch: SceneBatch) -> Tensor:
        """D box / d time at standardized boxes (O, 4) and times (N,); rows where ``known`` (O,) hold clean boxes."""
        return self.box_out(self._features(noisy, time, known, batch))

    @property
    def vector_size(self) -> int:
        """The network's width."""
        return self.config.width

    def graph_vectors(self, batch: SceneBatch) -> Tensor:
        """As in the role: the features from which, at the flow's start, the mean of all boxes is predicted."""
        middle = batch.boxes.new_zeros((len(batch.objects), 4))
        unknown = torch.zeros_like(batch.objects, dtype=torch.bool)
        return self._features(middle, batch.boxes.new_zeros(batch.num_images), unknown, batch)

    def _features(self, noisy: Tensor, time: Tensor, known: Tensor, batch: SceneBatch) -> Tensor:
        """What the velocity is computed from: (O, width). Arguments as for :meth:`velocity`."""
        nodes = self.embedding(batch.objects, batch.attributes)
        nodes = nodes + self.box_in(torch.cat([noisy, known[:, None].to(noisy.dtype)], dim=1))
        nodes = nodes + self.time(time_features(time, self.config.width))[batch.object_to_image]
        kinds, rows = batch.triples[:, 1], batch.triples[:, [0, 2]]
        edges = Edges.of(rows, len(nodes), training=self.training)
        row, column = batch.padding()
        _, real = batch.padded(batch.objects)
        for block in self.blocks:
            nodes = block(nodes, self.predicates.weight, kinds, edges, row, column, real)
        features: Tensor = self.norm(nodes)
        return features

    @torch.no_grad()
    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Boxes (O, 4) by Heun steps from noise; given boxes stay as they are."""
        known = batch.known_boxes
        given = self.standardize(torch.where(known[:, None], batch.boxes, torch.full_like(batch.boxes, 0.5)))
        x = noise_per_object(4, batch, generators)
        x = torch.where(known[:, None], given, x)
        times = torch.linspace(0, 1, self.config.steps + 1).tolist()
        for now, later in pairwise(times):
            step = later - now
            slope = self._slope(x, now, known, batch)
            if later < 1:
                slope = (slope + self._slope(x + step * slope, later, known, batch)) / 2
            x = x + step * slope
        boxes = torch.where(known[:, None], batch.boxes, self.destandardize(x))
        return Placement(boxes=boxes)

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[Placement]:
        """Sample several at once while they are small: the steps of one small layout leave the machine idle."""
        together = min(max(TOGETHER // (len(batch.objects) + len(batch.triples)), 1), count)
        outputs: list[Placement] = []
        while len(outputs) < count:
            copies = min(together, count - len(outputs))
            boxes = self.place(batch.repeated(copies), None if generators is None else [*generators] * copies).boxes
            outputs += [Placement(boxes=part) for part in boxes.chunk(copies)]
        return outputs

    def _slope(self, x: Tensor, time: float, known: Tensor, batch: SceneBatch) -> Tensor:
        times = torch.full((batch.num_images,), time, device=x.device)
        return self.velocity(x, times, known, batch).masked_fill(known[:, None], 0.0)

    def standardize(self, boxes: Tensor) -> Tensor:
        """(O, 4) corners to standardized centre and size."""
        low, high = boxes[:, :2], boxes[:, 2:]
        values = torch.cat([(low + high) / 2, high - low], dim=1)
        return (values - values.new_tensor(self.config.box_mean)) / values.new_tensor(self.config.box_std)

    def destandardize(self, values: Tensor) -> Tensor:
        """Back to corners, at least a hundredth of the canvas in size and shifted to lie on the canvas."""
        values = values * values.new_tensor(self.config.box_std) + values.new_tensor(self.config.box_mean)
        size = values[:, 2:].clamp(0.01, 1.0)
        low = torch.minimum((values[:, :2] - size / 2).clamp(min=0.0), 1.0 - size)
        return torch.cat([low, low + size], dim=1)


class _Block(nn.Module):
    """Attention among the objects of a scene, graph convolution along its relations, then an MLP; all residual."""

    def __init__(self, width: int, heads: int, graph_hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.graph = GraphTripleConv(width, width, graph_hidden)
        self.gathered = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))

    def forward(
        self,
        nodes: Tensor,
        predicates: Tensor,
        kinds: Tensor,
        edges: Edges,
        row: Tensor,
        column: Tensor,
        real: Tensor,
    ) -> Tensor:
        """Nodes (O, D), predicates (P, D), the predicate of each triple (T,) and their ends -> (O, D).

        ``row`` and ``column`` (O,) are the objects' places in padded scenes; ``real`` (N, K) marks the occupied ones.
        """
        n, k = real.shape
        padded = nodes.new_zeros((n, k, nodes.shape[1]))
        padded[row, column] = self.norm1(nodes)
        # (N, K, 3 * D) -> (N, K, 3, heads, D / heads) -> (N, heads, K, D / heads) for each of q, k, v
        q, key, v = self.qkv(padded).reshape(n, k, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, key, v, attn_mask=real[:, None, None, :])
        # (N, heads, K, D / heads) -> (N, K, D) -> (O, D)
        nodes = nodes + self.attended(mixed.transpose(1, 2).reshape(n, k, -1)[row, column])
        nodes = nodes + self.gathered(self.graph.objects_alone(self.norm2(nodes), predicates, kinds, edges))
        return nodes + self.mlp(self.norm3(nodes))
