"""WSGC: Learning Canonical Representations for Scene Graph to Image Generation (Herzig, Bar et al., ECCV 2020).

The layout half: scene graphs to boxes and masks through weighted canonical graphs. A graph is first completed:
converses of its relations are sampled with learnt probabilities, and relations that follow by transitivity are added,
with a learnt confidence per predicate (section 4). A graph convolution that weights triples by confidence then gives a
vector per object, and from it a box and optionally a mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import gt
from typing import Literal, Self

import torch
from pydantic import NonNegativeInt, PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.models.base import Generators, ModelConfig, Placement, SampledBoxes, noise, with_image_objects
from scenograph.models.exporting import Exports, Plan, Port, ScenePorts
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.graph import Edges, GraphTripleConv, in_float32, mlp
from scenograph.nn.layers import channels_last
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.upsampling import UpsampledConv2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.canonical import closure, outvoted, redundant, with_locations
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary


class WsgcConfig(ModelConfig):
    """The published constructor's settings. With both ``learned`` switches off the model is sg2im's layout network."""

    embedding_dim: PositiveInt = 32
    gconv_dim: PositiveInt = 128
    gconv_hidden_dim: PositiveInt = 512
    gconv_num_layers: PositiveInt = 5
    mask_size: Literal[0, 4, 8, 16, 32, 64] = 0
    """0 leaves masks out."""
    mask_noise_dim: NonNegativeInt = 64
    learned_transitivity: bool = True
    learned_converse: bool = True
    initial_weights: Literal["uniform", "zero", "low"] = "uniform"
    """Initial logits of confidences: uniform in (-1, 1), 0 (a half), or -4 (almost 0)."""
    image_object: bool = False
    """Add an ``__image__`` object in which all others are, as the original's ``include_dummies`` does; the vocabulary
    gets its names."""
    exact: bool = False
    """Beyond the paper: spatial relations are turned into one of each pair of converses (left of, not right of) instead
    of being completed by them, and those that others imply count as implied. Equivalent graphs then become one graph,
    of half the size."""
    per_pair: bool = False
    """Beyond the paper: all relations between the same two objects are merged into one triple."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            embedding_dim=8,
            gconv_dim=16,
            gconv_hidden_dim=16,
            gconv_num_layers=2,
            mask_size=8,
            mask_noise_dim=4,
        )

    @model_validator(mode="after")
    def _knows_the_image(self) -> Self:
        if self.image_object:
            names = Vocabulary.from_dict(self.vocabulary).with_image_object()
            if names.categories[0] != IMAGE_CATEGORY or IN_IMAGE_PREDICATE not in names.predicates:
                raise ValueError(f"image_object: {IMAGE_CATEGORY} is not the first category, or has no predicate")
            self.vocabulary.update(names.to_dict())  # a copy of what was given; the fields themselves are frozen
        return self

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size or 16


@dataclass(frozen=True)
class CanonicalGraph:
    """A batch's completed graphs."""

    triples: Tensor
    """(T, 3) subject row, predicate, object row, each once."""
    implied: Tensor
    """(T,) bool: which follow by transitivity."""
    outcomes: Tensor
    """(N, P, P + 1): how often each converse was sampled for each predicate; the last column means none."""


class Wsgc(Exports, SampledBoxes):
    """The layout network."""

    name = "wsgc"
    Config = WsgcConfig
    config: WsgcConfig

    def __init__(self, config: WsgcConfig) -> None:
        super().__init__(config)
        self.config = config
        size, hidden, embedding = config.gconv_dim, config.gconv_hidden_dim, config.embedding_dim
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        predicates = len(self.vocabulary.predicates)
        sizes = [len(self.vocabulary.categories), *(count + 1 for count in groups)]
        self.object_embedding = AttributeEmbedding(sizes, embedding)
        self.predicate_embedding = nn.Embedding(predicates, embedding)
        width = embedding * (1 + len(groups))
        self.gconvs = nn.ModuleList(
            GraphTripleConv(width if first else size, size, hidden, predicate_dim=embedding if first else size)
            for first in (number == 0 for number in range(config.gconv_num_layers))
        )
        self.box_net = mlp([size, hidden, 4])[:-1]
        self.mask_net = _mask_network(size + config.mask_noise_dim, config.mask_size) if config.mask_size else None
        self.transitive = nn.Parameter(_beliefs(config, (predicates,)))
        self.converse = nn.Parameter(_beliefs(config, (predicates, predicates)))
        real = [not name.startswith("__") for name in self.vocabulary.predicates]
        self.register_buffer("real", torch.tensor(real), persistent=False)
        settled = [config.exact and name in CONVERSES for name in self.vocabulary.predicates]
        self.register_buffer("settled", torch.tensor(settled), persistent=False)
        converses = [_known_converse(name, self.vocabulary) for name in self.vocabulary.predicates]
        self.register_buffer("converses", torch.tensor(converses), persistent=False)
        # Computed once, because reading it for every graph would wait for a GPU.
        self.samples_converses = config.learned_converse and any(map(gt, real, settled))
        """Whether converses of some predicate are sampled."""

    real: Tensor
    """(P,) bool: predicates that scenes can use. Only these have converses and closures."""
    settled: Tensor
    """(P,) bool: spatial predicates of exact graphs, whose converse and transitivity are known."""
    converses: Tensor
    """(P,) the converse of each predicate, or itself where none is known."""

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The data's vocabulary, with the predicates of location graphs that it lacks."""
        return with_locations(vocabulary)

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[Placement]:
        """One placement for each sampled set of converses; a single one where no converses are sampled."""
        return super().candidates(batch, count if self.samples_converses else 1, generators)

    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Boxes, cut to the canvas, and masks (O, M, M) where the model has them; those given are kept."""
        graph = self.canonicalize(batch, generators)
        mask_noise = noise((self.config.mask_noise_dim,), batch.num_images, generators, batch.objects.device)
        boxes, masks = self.layout(batch, graph, mask_noise)
        boxes = torch.where(batch.known_boxes[:, None], batch.boxes, boxes.clamp(0, 1))
        return Placement(boxes=boxes, masks=masks)

    def exported(self) -> Plan:
        """The network; graphs are completed outside, where their sizes may depend on values."""
        if self.config.per_pair:
            raise UserError(
                "wsgc with per_pair=true cannot be exported: it merges the relations between two objects, and how many "
                "remain depends on which they are"
            )
        implied = Port("implied", ("relations",), "which relations follow from others by transitivity", torch.bool)
        noise_in = Port(
            "mask_noise", ("pictures", self.config.mask_noise_dim), "standard normal numbers, one row per picture"
        )
        gives = [Port("boxes", ("objects", 4), "x0, y0, x1, y1 as fractions of the canvas, cut to it")]
        if self.mask_net is not None:
            side = self.config.mask_size
            gives.append(Port("masks", ("objects", side, side), "in (0, 1), relative to the boxes"))

        def compute(batch: SceneBatch, implied: Tensor, mask_noise: Tensor) -> tuple[Tensor, ...]:
            outcomes = mask_noise.new_zeros(0)  # which only training reads
            boxes, masks = self.layout(batch, CanonicalGraph(batch.triples, implied, outcomes), mask_noise)
            return (boxes.clamp(0, 1),) if masks is None else (boxes.clamp(0, 1), masks)

        takes = ("pictures", "objects", "attributes", "object_to_image", "triples", implied, noise_in)
        graph = ScenePorts(self).graph("layout", "Places the objects of completed graphs.", compute, takes, gives)
        members = (
            f"Add for each object the triple (object, {IN_IMAGE_PREDICATE}, number of all objects + its picture).",
        )
        return Plan(
            graphs=(graph,),
            how=(
                *(members if self.config.image_object else ()),
                "Leave out repeated triples.",
                *(("Exact graphs are completed as docs/systems/wsgc.md says.",) if self.config.exact else ()),
                "For each triple, sample one converse by the row of its predicate in 'converses', whose last column "
                "means none, and add (object, converse, subject).",
                "Add every triple that follows by transitivity within one predicate, and mark it in 'implied'.",
                "Run 'layout'. Boxes and masks that a scene gives replace its outputs.",
            ),
            numbers={"converses": self.converse_log_probabilities().exp().tolist()} if self.samples_converses else {},
        )

    def layout(self, batch: SceneBatch, graph: CanonicalGraph, mask_noise: Tensor) -> tuple[Tensor, Tensor | None]:
        """Boxes (O, 4) x0, y0, x1, y1, unbounded, and masks (O, M, M) in (0, 1); ``mask_noise`` (N, mask_noise_dim)."""
        vectors = self.object_vectors(self.with_image(batch), graph)[: batch.objects.shape[0]]
        x, y, width, height = in_float32(self.box_net, vectors).unbind(dim=1)
        boxes = torch.stack([x, y, x + width, y + height], dim=1)
        if self.mask_net is None:
            return boxes, None
        features = torch.cat([vectors, mask_noise[batch.object_to_image].to(vectors)], dim=1)
        # (O, D) -> (O, D, 1, 1) -> (O, 1, M, M) -> (O, M, M)
        return boxes, self.mask_net(features[:, :, None, None])[:, 0].sigmoid()

    def with_image(self, batch: SceneBatch) -> SceneBatch:
        """The batch with an ``__image__`` object per picture, after all others, in models that learned with them."""
        if not self.config.image_object:
            return batch
        count = batch.objects.shape[0]
        whole = with_image_objects(batch)
        members = torch.arange(count, device=batch.objects.device)
        inside = torch.full_like(members, self.vocabulary.predicates.index(IN_IMAGE_PREDICATE))
        triples = torch.stack([members, inside, count + batch.object_to_image], dim=1)
        return replace(
            whole,
            triples=torch.cat([batch.triples, triples]),
            triple_to_image=torch.cat([batch.triple_to_image, batch.object_to_image]),
        )

    def object_vectors(self, batch: SceneBatch, graph: CanonicalGraph) -> Tensor:
        """(O, gconv_dim) after the graph layers."""
        objects = self.object_embedding(torch.cat([batch.objects[:, None], batch.attributes + 1], dim=1))
        confidence = torch.where(graph.implied, self.transitive.sigmoid()[graph.triples[:, 1]], 1.0)
        if self.config.per_pair:
            edges, predicates, confidence = self._per_pair(graph.triples, confidence, len(objects))
        else:
            edges, predicates = graph.triples[:, [0, 2]], self.predicate_embedding(graph.triples[:, 1])
        graph_edges = Edges.of(edges, objects.shape[0], confidence, self.training)
        for layer in self.gconvs:
            objects, predicates = layer(objects, predicates, graph_edges)
        return objects

    def _per_pair(self, triples: Tensor, confidence: Tensor, objects: int) -> tuple[Tensor, Tensor, Tensor]:
        """Merge triples (T, 3) with confidences (T,) by pair of objects -> (E, 2), vectors (E, D), confidences (E,).

        The confidence of an edge is the highest of its triples. Its vector is the sum of theirs, each weighted by its
        confidence relative to the highest. A single triple stays as it is.
        """
        subject, predicate, target = triples.unbind(dim=1)
        converse, count = self.converses[predicate], len(self.real)
        pairs = torch.minimum(subject, target) * objects + torch.maximum(subject, target)
        pairs, pair = torch.unique(pairs, return_inverse=True)
        # The direction is that of predicates without a converse, then of the one that the vocabulary lists first.
        fixed, backwards = converse == predicate, subject > target
        rank = (~fixed * count + predicate) * 2 + backwards
        first = rank.new_full((len(pairs),), 4 * count).scatter_reduce(0, pair, rank, "amin")
        turn = ~fixed & (backwards != first[pair] % 2)
        ends = torch.where(turn, target * objects + subject, subject * objects + target)
        edges, edge = torch.unique(ends, return_inverse=True)
        places = edge * count + torch.where(turn, converse, predicate)
        stated = confidence.new_zeros(len(edges) * count).scatter_reduce(0, places, confidence, "amax")
        stated = stated.view(len(edges), count)  # (E * P,) -> (E, P)
        strongest = stated.amax(dim=1)
        vectors = stated / strongest.clamp(min=1e-6)[:, None] @ self.predicate_embedding.weight
        return torch.stack([edges // objects, edges % objects], dim=1), vectors, strongest

    @torch.no_grad()
    def canonicalize(self, batch: SceneBatch, generators: Generators = None) -> CanonicalGraph:
        """Complete the graphs: converses are sampled by each picture's generator, then closures are added."""
        batch = self.with_image(batch)
        triples = self._agreed(batch) if self.config.exact else self._distinct(batch.triples, batch)
        count = len(self.real)
        outcomes = torch.zeros((batch.num_images, count, count + 1), device=triples.device)
        if self.samples_converses and len(triples):
            subject, predicate, target = triples[(self.real & ~self.settled)[triples[:, 1]]].unbind(dim=1)
            owner = batch.object_to_image[subject]
            sampled = self._sample_converses(predicate, owner, batch.num_images, generators)
            outcomes.index_put_((owner, predicate, sampled), outcomes.new_ones(len(sampled)), accumulate=True)
            converses = torch.stack([target, sampled, subject], dim=1)[sampled < count]
            triples = torch.cat([triples, converses])
            triples = self._distinct(self._one_way_round(triples) if self.config.exact else triples, batch)
        if self.config.learned_transitivity and len(triples):
            return CanonicalGraph(*self._completed(triples, batch), outcomes)
        return CanonicalGraph(triples, torch.zeros(len(triples), dtype=torch.bool, device=triples.device), outcomes)

    def _one_way_round(self, triples: Tensor) -> Tensor:
        """Triples of exact graphs, each as the one of itself and its converse that the vocabulary lists first."""
        first = torch.minimum(triples[:, 1], self.converses[triples[:, 1]])
        turned = torch.stack([triples[:, 2], first, triples[:, 0]], dim=1)
        return torch.where((first == triples[:, 1])[:, None], triples, turned)

    def _agreed(self, batch: SceneBatch) -> Tensor:
        """The triples of exact graphs, each once, in order, without spatial ones that the others outvote."""
        triples = self._one_way_round(batch.triples)
        if len(triples):
            votes, places = self._counts(triples, batch)
            wrong = torch.zeros_like(votes, dtype=torch.bool)
            wrong[:, self.settled] = outvoted(votes[:, self.settled])
            triples = triples[~wrong[places]]
        return self._distinct(triples, batch)

    def _counts(self, triples: Tensor, batch: SceneBatch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """How often each relation is stated (N, P, K, K), and the index of each triple in it."""
        row, column = batch.padding()
        width = int(column.max()) + 1
        subject, predicate, target = triples.unbind(dim=1)
        places = row[subject], predicate, column[subject], column[target]
        counts = torch.zeros((batch.num_images, len(self.real), width, width), device=row.device)
        return counts.index_put_(places, counts.new_ones(len(triples)), accumulate=True), places

    def _distinct(self, triples: Tensor, batch: SceneBatch) -> Tensor:
        """Each triple once, in order."""
        predicates, objects = len(self.real), len(batch.objects)
        subject, predicate, target = triples.unbind(dim=1)
        # One number per triple, because torch takes some thirty times as long to compare rows.
        numbers = torch.unique((subject * predicates + predicate) * objects + target)
        pairs = numbers // objects
        return torch.stack([pairs // predicates, pairs % predicates, numbers % objects], dim=1)

    def converse_log_probabilities(self) -> Tensor:
        """(P, P + 1): of each converse of a predicate, -inf for impossible ones; the last column means none."""
        weights = torch.triu(self.converse)
        weights = weights + weights.T
        allowed = (
            self.real[:, None] & self.real[None] & ~torch.eye(len(weights), dtype=torch.bool, device=weights.device)
        )
        scores = torch.cat([weights.masked_fill(~allowed, -math.inf), weights.new_zeros((len(weights), 1))], dim=1)
        return scores.log_softmax(dim=1)

    def log_probability(self, graph: CanonicalGraph) -> Tensor:
        """(N,): of the converses that were sampled for each picture."""
        return (self.converse_log_probabilities().nan_to_num(neginf=0.0) * graph.outcomes).sum(dim=(1, 2))

    def _sample_converses(self, predicates: Tensor, owner: Tensor, pictures: int, generators: Generators) -> Tensor:
        """Sample a converse, or P for none, for triples with given predicates (T,) and pictures (T,): (T,)."""
        choices = self.converse_log_probabilities()[predicates]
        shape = (choices.shape[1],)
        if generators is None:
            chances = torch.rand(choices.shape)
        else:
            counts = torch.bincount(owner, minlength=pictures).tolist()
            parts = [torch.rand((n, *shape), generator=g) for n, g in zip(counts, generators, strict=True)]
            chances = torch.empty(choices.shape)
            chances[torch.argsort(owner.cpu(), stable=True)] = torch.cat(parts)
        gumbel = -(-chances.clamp(1e-20, 1 - 1e-7).log()).log()
        return (choices + gumbel.to(choices)).argmax(dim=1)

    def _completed(self, triples: Tensor, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        """The triples with all that they imply (T', 3), and which are implied (T',) bool."""
        real = self.real[triples[:, 1]]
        counts, places = self._counts(triples[real], batch)
        edges = counts > 0
        reached = closure(edges)
        implied = reached & ~edges
        if self.config.exact:
            gone = redundant(edges, reached) & self.settled[:, None, None]
            implied |= gone
            triples = triples[~torch.zeros_like(real).masked_scatter(real, gone[places])]
        image, predicate, subject, target = implied.nonzero(as_tuple=True)
        row, column = batch.padding()
        rows = torch.zeros((batch.num_images, edges.shape[-1]), dtype=torch.long, device=row.device)
        rows[row, column] = torch.arange(len(row), device=row.device)
        found = torch.stack([rows[image, subject], predicate, rows[image, target]], dim=1)
        kinds = torch.arange(len(triples) + len(found), device=triples.device) >= len(triples)
        return torch.cat([triples, found]), kinds


def _known_converse(predicate: str, vocabulary: Vocabulary) -> int:
    """The number of a predicate's converse, or, where the vocabulary has none, of itself."""
    converse = CONVERSES.get(predicate)
    return vocabulary.predicates.index(converse if converse in vocabulary.predicates else predicate)


def _beliefs(config: WsgcConfig, shape: tuple[int, ...]) -> Tensor:
    if config.initial_weights == "uniform":
        return torch.rand(shape) * 2 - 1
    return torch.full(shape, 0.0 if config.initial_weights == "zero" else -4.0)


def _mask_network(channels: int, size: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(int(math.log2(size))):
        layers += [nn.Identity(), UpsampledConv2d(channels, channels)]  # positions as in published weights
        layers += [BatchNorm2d(channels), nn.ReLU(inplace=True)]
    return channels_last(nn.Sequential(*layers, nn.Conv2d(channels, 1, 1)))
