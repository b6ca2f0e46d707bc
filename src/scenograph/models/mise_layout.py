"""Mise's layout half: a scene graph to boxes by a rectified flow over the boxes of a scene.

Regression averages all plausible layouts; a flow samples one of them per seed. Attention between objects keeps
them from colliding, and a graph convolution reads the relations. Boxes that the scene already has are kept, and the
others are placed around them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Self, cast

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.models.base import Generators, GraphVectors, ModelConfig, Placement, SampledBoxes, noise_per_object
from scenograph.models.exporting import ComputesGraphs, Exports, Flow, Plan, Port, ScenePorts
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.graph import Edges, GraphTripleConv, Links, ObjectsAlone
from scenograph.nn.unet import time_features
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

TOGETHER, TOGETHER_IN_GRAPHS = 2048, 256
"""Most objects and relations of candidates that are sampled at once. In a graph, all attend to all of them."""
Slope = Callable[[Tensor, int], Tensor]
"""Standardized boxes (O, 4) and the number of a step -> their velocity (O, 4); 0 for given boxes."""


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


class MiseLayout(Exports, SampledBoxes, GraphVectors):
    """The layout model. :meth:`place` samples boxes; training calls :meth:`velocity`."""

    name = "mise-layout"
    has_runtimes = True
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
        features = self._features(noisy, self._clock(time)[batch.object_to_image], self._graph(known, batch))
        return self.box_out(features)

    @property
    def vector_size(self) -> int:
        """The network's width."""
        return self.config.width

    def graph_vectors(self, batch: SceneBatch) -> Tensor:
        """As in the role: the features from which, at the flow's start, the mean of all boxes is predicted."""
        middle = batch.boxes.new_zeros((len(batch.objects), 4))
        unknown = torch.zeros_like(batch.objects, dtype=torch.bool)
        return self._features(middle, self._clock(batch.boxes.new_zeros(1)), self._graph(unknown, batch))

    def _graph(self, known: Tensor, batch: SceneBatch) -> _Graph:
        """What is the same at all times of the flow; rows where ``known`` (O,) have a box."""
        nodes = self.embedding(batch.objects, batch.attributes)
        nodes = nodes + F.linear(known[:, None].to(nodes.dtype), self.box_in.weight[:, 4:], self.box_in.bias)
        edges = Edges.of(batch.triples[:, [0, 2]], nodes.shape[0], training=self.training)
        links = Links.of(batch.triples[:, 1], edges)
        graphs = [ObjectsAlone.of(block.graph, self.predicates.weight, links) for block in self._blocks()]
        if is_compiling():  # all scenes as one, whose objects see only those of their own
            owner = batch.object_to_image
            return _Graph(nodes, graphs, (1, nodes.shape[0]), (owner == owner[:, None])[None, None], None)
        row, column = batch.padding()
        _, real = batch.padded(batch.objects)
        places = row * real.shape[1] + column
        whole = len(places) == real.numel() and torch.equal(places, torch.arange(len(places), device=places.device))
        if whole:
            return _Graph(nodes, graphs, (len(real), real.shape[1]), None, None)
        return _Graph(nodes, graphs, (len(real), real.shape[1]), real[:, None, None, :], places)

    def _clock(self, time: Tensor) -> Tensor:
        """Times (S,) in [0, 1] as vectors (S, width)."""
        vectors: Tensor = self.time(time_features(time, self.config.width))
        return vectors

    def _features(self, noisy: Tensor, clock: Tensor, graph: _Graph) -> Tensor:
        """What the velocity is computed from, (O, width): at boxes (O, 4) and times (O, width) or (1, width)."""
        nodes = graph.nodes + F.linear(noisy, self.box_in.weight[:, :4]) + clock
        for block, relations in zip(self._blocks(), graph.relations, strict=True):
            nodes = block(nodes, relations, graph)
        features: Tensor = self.norm(nodes)
        return features

    def _blocks(self) -> list[_Block]:
        return [cast(_Block, block) for block in self.blocks]

    @torch.no_grad()
    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Boxes (O, 4) by Heun steps from noise; given boxes stay as they are."""
        x = self._started(batch, noise_per_object(4, batch, generators))
        times = torch.linspace(0, 1, self.config.steps + 1)
        slope = self._slope(batch, times) if self.graphs is None else _slope_of(self.graphs, batch, times)
        for number, (now, later) in enumerate(pairwise(times.tolist())):
            step = later - now
            direction = slope(x, number)
            if later < 1:
                direction = (direction + slope(x + step * direction, number + 1)) / 2
            x = x + step * direction
        return Placement(boxes=self._finished(batch, x))

    def _slope(self, batch: SceneBatch, times: Tensor) -> Slope:
        """The velocity of boxes at ``times`` (S,), by what is the same at all of them."""
        known = batch.known_boxes
        graph, clocks = self._graph(known, batch), self._clock(times.to(known.device)).split(1)
        return lambda x, number: self.box_out(self._features(x, clocks[number], graph)).masked_fill(known[:, None], 0.0)

    def _started(self, batch: SceneBatch, noise: Tensor) -> Tensor:
        """Standardized boxes (O, 4) at the flow's start: those given, or noise."""
        known = batch.known_boxes[:, None]
        return torch.where(known, self.standardize(torch.where(known, batch.boxes, 0.5)), noise)

    def _finished(self, batch: SceneBatch, boxes: Tensor) -> Tensor:
        """Boxes (O, 4) at its end, from standardized ones."""
        return torch.where(batch.known_boxes[:, None], batch.boxes, self.destandardize(boxes))

    def exported(self) -> Plan:
        """Three graphs: standardized boxes to start from, their velocity, and the boxes in the end."""
        ports = ScenePorts(self)
        noise = Port("noise", ("objects", 4), "standard normal numbers, one row per object")
        noisy = Port("noisy", noise.shape, "standardized boxes on their way")
        time = Port("time", (1,), "0 (noise) to 1 (boxes)")
        slope = Port("velocity", noise.shape, "what they change by in a unit of time; 0 for given boxes")
        boxes = Port("placed_boxes", noise.shape, "x0, y0, x1, y1 as fractions of the canvas")

        def velocity(batch: SceneBatch, noisy: Tensor, time: Tensor) -> Tensor:
            known = batch.known_boxes
            slope = self.box_out(self._features(noisy, self._clock(time), self._graph(known, batch)))
            return slope.masked_fill(known[:, None], 0.0)

        scene = ("objects", "attributes", "object_to_image", "triples", "boxes")
        given = "Boxes that are not NaN are kept."
        graphs = (
            ports.graph("start", f"Where it starts. {given}", self._started, ["objects", "boxes", noise], [noisy]),
            ports.graph("velocity", "The velocity of boxes from noise.", velocity, [*scene, noisy, time], [slope]),
            ports.graph("boxes", f"Boxes in the end. {given}", self._finished, ["objects", "boxes", noisy], [boxes]),
        )
        flow = Flow(
            graph="velocity",
            state="noisy",
            start="the output of 'start'",
            finish="the output of 'boxes'",
            solver="heun",
            steps=self.config.steps,
        )
        how = ("Run 'start' on noise.", "Follow the flow.", "Run 'boxes' on its result.")
        return Plan(graphs=graphs, how=how, flow=flow)

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[Placement]:
        """Sample several at once while they are small: the steps of one small layout leave the machine idle."""
        most = TOGETHER if self.graphs is None else TOGETHER_IN_GRAPHS
        together = min(max(most // (len(batch.objects) + len(batch.triples)), 1), count)
        outputs: list[Placement] = []
        while len(outputs) < count:
            copies = min(together, count - len(outputs))
            boxes = self.place(batch.repeated(copies), None if generators is None else [*generators] * copies).boxes
            outputs += [Placement(boxes=part) for part in boxes.chunk(copies)]
        return outputs

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


def _slope_of(graphs: ComputesGraphs, batch: SceneBatch, times: Tensor) -> Slope:
    """The same by another runtime."""
    return lambda x, number: graphs("velocity", batch, noisy=x, time=times[number : number + 1])[0]


@dataclass(frozen=True)
class _Graph:
    """A batch as the blocks see it, computed once for all times of the flow."""

    nodes: Tensor
    """(O, width): names, and whether the box is known."""
    relations: list[ObjectsAlone]
    """The graph convolution of each block."""
    shape: tuple[int, int]
    """N scenes, padded to K objects."""
    seen: Tensor | None
    """(N, 1, 1 or K, K) bool: which places the objects of a scene see; None for all."""
    places: Tensor | None
    """(O,) the places of the objects among the N * K; None if all are taken, in order."""


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

    def forward(self, nodes: Tensor, relations: ObjectsAlone, graph: _Graph) -> Tensor:
        """Nodes (O, D), the graph convolution of this block on the batch, and the batch -> (O, D)."""
        nodes = nodes + self.attended(self._mixed(self.norm1(nodes), graph))
        nodes = nodes + self.gathered(relations(self.norm2(nodes)))
        return nodes + self.mlp(self.norm3(nodes))

    def _mixed(self, nodes: Tensor, graph: _Graph) -> Tensor:
        """Attention among the objects of each scene: (O, D) -> (O, D)."""
        (n, k), places = graph.shape, graph.places
        padded = nodes
        if places is not None:
            padded = nodes.new_zeros((n * k, nodes.shape[1])).index_copy(0, places, nodes)
        # (N * K, 3 * D) -> (N, K, 3, heads, D / heads) -> (N, heads, K, D / heads) for each of q, k, v
        q, key, v = self.qkv(padded).view(n, k, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        mixed = F.scaled_dot_product_attention(q, key, v, attn_mask=graph.seen)
        mixed = mixed.transpose(1, 2).reshape(n * k, -1)  # (N, heads, K, D / heads) -> (N * K, D)
        return mixed if places is None else mixed[places]
