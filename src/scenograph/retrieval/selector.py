"""Which crops of a memory suit the objects of a scene.

As we understand it, the Crop Selector of PasteGAN (Li et al., NeurIPS 2019) takes, of the crops of an object's
category, those whose vectors of a graph network are nearest in L2: :data:`PUBLISHED`. Ours adds keys (pixels that are
alike, the shape of the box, attributes) and prefers crops that look as if they were of one picture.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scenograph.errors import UserError
from scenograph.retrieval.encoder import APPEARANCE, GRAPH
from scenograph.retrieval.memory import CategoryRows, CropMemory
from scenograph.retrieval.rows import Crop
from scenograph.scenes.fields import ObjectSeed, choice_of
from scenograph.scenes.scene import Scene, SceneObject

Own = Literal["excluded", "allowed"]
"""Whether the crops of the query's own picture may be chosen. The released PasteGAN allows them, so that a third of its
training draws, and all in its evaluation, are the very crop that is to be painted."""

TOP = 10
"""Crops that are chosen from, as published."""
BEAM = 16
"""Combinations of crops that are followed."""
SHORTLIST = 512
"""Crops that an index finds, to be compared in all keys."""
OF_ANOTHER_HAND = 0.5
"""How much two crops of different authors differ, as a squared distance of looks."""


@dataclass(frozen=True)
class Weights:
    """How much each difference between an object and a crop counts; 1 is that between two crops taken at random."""

    graph: float = 1.0
    """Of the graph vectors: category, attributes and relations."""
    appearance: float = 1.0
    """Of the pixels, where the object has a crop."""
    shape: float = 0.5
    """Of the ratio of width to height: its squared logarithm, where the object has a box."""
    attributes: float = 2.0
    """Of each attribute that is asked for and that the crop lacks."""
    sharpness: float = 0.5
    """Of each doubling by which a crop would have to be enlarged to fill its box."""
    fit: float = 1.0
    """Between the crops of a scene: their colours, light and author."""


OURS = Weights()
PUBLISHED = Weights(graph=1.0, appearance=0.0, shape=0.0, attributes=0.0, sharpness=0.0, fit=0.0)


@dataclass(frozen=True, eq=False)
class Ranking:
    """The crops that suit an object best, the best first."""

    rows: CategoryRows
    places: np.ndarray
    """(K,) rows, at most ``TOP``."""
    costs: np.ndarray
    """(K,) float64, ascending."""

    @property
    def ids(self) -> list[str]:
        """Of the crops."""
        return [str(name) for name in self.rows.ids[self.places]]


class CropSelector:
    """Chooses crops for scenes.

    Args:
        memory: To choose from.
        weights: Of the keys.
        top: Crops per object that are chosen from.
        temperature: How far the choice may be from the best: 0 takes the best; at 1, a crop that is worse by as much as
            two random crops differ is taken 2.7 times less often.
        own: Whether crops of a scene's own picture may be chosen.
        licences: Only crops under these; all of them if there are none.
        side: Of the pictures that the crops are for, in pixels.

    Raises:
        UserError: Only graph vectors count, and the memory has none.
    """

    def __init__(
        self,
        memory: CropMemory,
        weights: Weights = OURS,
        top: int = TOP,
        temperature: float = 0.0,
        own: Own = "excluded",
        licences: Collection[str] = (),
        side: int = 256,
    ) -> None:
        self.memory, self.weights, self.top, self.temperature, self.own = memory, weights, top, temperature, own
        self.side = side
        if weights == PUBLISHED and GRAPH not in memory.record.sizes:
            raise UserError(
                f"{memory.folder}: no encoder of it encodes graphs, by which the published selector chooses; build it "
                "with --encoder and a sg2im or mise-layout model"
            )
        self.licences = frozenset(name.casefold() for name in licences)

    def rank(
        self, scene: Scene, objects: Sequence[int] | None = None, picture: str = "", where: str = ""
    ) -> list[Ranking]:
        """The best crops of objects, each for itself.

        Args:
            scene: Relations, boxes, attributes and crops of its objects are keys as far as they are there.
            objects: Numbers of those to rank crops for; by default all.
            picture: The scene's id in the pack that the memory was built from, whose crops are left out.
            where: The beginning of messages.

        Raises:
            UserError: The memory has no crop of a category, or none under the licences.
        """
        numbers = range(len(scene.objects)) if objects is None else objects
        categories = {
            number: self.memory.known_category(scene.objects[number].category, f"{where}objects[{number}]: ")
            for number in numbers
        }
        keys = self._keys(scene, numbers)
        return [
            self._rank_one(
                scene.objects[number], categories[number], keys[number], picture, f"{where}objects[{number}]"
            )
            for number in numbers
        ]

    def choose(
        self,
        scene: Scene,
        seed: int = 0,
        objects: Sequence[int] | None = None,
        picture: str = "",
        where: str = "",
    ) -> list[Crop]:
        """A crop for every object (or those of ``objects``), together: the same for a seed, in any batch.

        An object's own seed decides its chances in every picture. Arguments and errors as for :meth:`rank`.
        """
        numbers = list(range(len(scene.objects)) if objects is None else objects)
        rankings = self.rank(scene, numbers, picture, where)
        costs = [
            ranking.costs - self.temperature * _gumbel(seed, number, scene.objects[number].seed, len(ranking.costs))
            for number, ranking in zip(numbers, rankings, strict=True)
        ]
        places = fit_together(costs, [_looks(one) for one in rankings], self.weights.fit)
        return self.memory.crops([one.ids[place] for one, place in zip(rankings, places, strict=True)])

    def _keys(self, scene: Scene, numbers: Sequence[int]) -> dict[int, dict[str, np.ndarray]]:
        """The vectors of objects by number and key, as far as they have such."""
        found: dict[int, dict[str, np.ndarray]] = {number: {} for number in numbers}
        sizes = self.memory.record.sizes
        if GRAPH in sizes and self.weights.graph:
            (vectors,) = self.memory.encoder.graph_vectors([scene])
            for number in numbers:
                if vectors[number].any():  # else the encoder does not know the category
                    found[number][GRAPH] = vectors[number]
        if APPEARANCE in sizes and self.weights.appearance:
            seen = [number for number in numbers if scene.objects[number].crop is not None]
            crops = [crop for number in seen if (crop := scene.objects[number].crop) is not None]
            features = self.memory.encoder.appearance_vectors(crops) if crops else ()
            for number, vector in zip(seen, features, strict=True):
                found[number][APPEARANCE] = vector
        return found

    def _rank_one(
        self, thing: SceneObject, category: str, keys: Mapping[str, np.ndarray], picture: str, where: str
    ) -> Ranking:
        rows = self.memory.candidates(category, keys, SHORTLIST)
        costs = self._costs(rows, thing, keys)
        if self.own == "excluded" and picture:
            costs = np.where(rows.pictures == picture, np.inf, costs)
        if self.licences:
            allowed = [str(name).casefold() in self.licences for name in rows.licences]
            costs = np.where(allowed, costs, np.inf)
            if not any(allowed):
                held = ", ".join(sorted({str(name) or "(unknown)" for name in rows.licences}))
                raise UserError(
                    f"{where}: {self.memory.folder} holds no crop of {category!r} under "
                    f"{', '.join(sorted(self.licences))}; its crops of it are under {held}"
                )
        order = np.argsort(costs, kind="stable")[: self.top]
        order = order[np.isfinite(costs[order])]
        if not len(order):
            raise UserError(
                f"{where}: all crops of {category!r} in {self.memory.folder} are of the scene's own picture"
            )
        return Ranking(rows, order, costs[order])

    def _costs(self, rows: CategoryRows, thing: SceneObject, keys: Mapping[str, np.ndarray]) -> np.ndarray:
        """How little each row suits an object: (R,)."""
        costs = np.zeros(len(rows))
        weights = {GRAPH: self.weights.graph, APPEARANCE: self.weights.appearance}
        for key, vector in keys.items():
            costs += weights[key] / rows.scales[key] * rows.distances(key, vector)
        if thing.box is not None:
            width, height = thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]
            costs += self.weights.shape * (rows.aspects - np.log(width / height)) ** 2
            enlarged = np.log2(self.side * max(width, height)) - np.log2(rows.lengths)
            costs += self.weights.sharpness * np.maximum(enlarged, 0)
        if thing.attributes and self.weights.attributes:
            asked = frozenset(thing.attributes)
            costs += self.weights.attributes * np.array([len(asked - names) for names in rows.attributes])
        return costs


def fit_together(costs: Sequence[np.ndarray], looks: Sequence[np.ndarray], weight: float) -> list[int]:
    """One candidate per object, such that costs and differences between the chosen ones are small: a beam search.

    Args:
        costs: (K,) of each object's candidates.
        looks: (K, 6 + authors) of the same, whose mean squared distance to those chosen before is added.
        weight: Of that distance.

    Returns:
        The number of the chosen candidate of each object.
    """
    # The squared distances of a look to n others are n |look|^2 - 2 look . (their sum) + (the sum of their squares).
    width = len(looks[0][0]) if looks else 0
    totals, sums, squares = np.zeros(1), np.zeros((1, width)), np.zeros(1)
    chosen = np.zeros((1, 0), dtype=int)
    for number, (own, look) in enumerate(zip(costs, looks, strict=True)):
        lengths = (look**2).sum(axis=1)
        apart = number * lengths[None] - 2 * sums @ look.T + squares[:, None]  # (beams, K)
        grown = totals[:, None] + own[None] + weight * apart / max(number, 1)
        best = np.argsort(grown, axis=None, kind="stable")[:BEAM]
        beam, place = np.unravel_index(best, grown.shape)
        totals, sums = grown[beam, place], sums[beam] + look[place]
        squares = squares[beam] + lengths[place]
        chosen = np.concatenate([chosen[beam], place[:, None]], axis=1)
    return [int(place) for place in chosen[0]]


def _looks(ranking: Ranking) -> np.ndarray:
    """The looks of candidates (K, 6 + 64), authors as further dimensions, one of 64 each by a checksum."""
    rows, places = ranking.rows, ranking.places
    hands = np.zeros((len(places), 64))
    numbers = [sum(str(name).encode()) % 64 for name in rows.authors[places]]
    hands[np.arange(len(places)), numbers] = np.sqrt(OF_ANOTHER_HAND / 2)
    return np.concatenate([rows.looks[places], hands], axis=1)


def _gumbel(seed: int, number: int, own: ObjectSeed | None, count: int) -> np.ndarray:
    """Noise whose smallest difference to costs is a sample by chances that fall exponentially with them (count,)."""
    looks = choice_of(own, seed, number)
    rng = np.random.default_rng([looks] if isinstance(looks, int) else [looks[0], 2, looks[1]])
    return rng.gumbel(size=count)
