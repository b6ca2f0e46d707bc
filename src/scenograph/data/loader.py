"""From a pack to training batches, without hidden state: a batch depends on (seed, step) alone.

That makes resuming exact (the sampler's position is the step) and makes the batch of two processes the two
halves of the batch of one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from scenograph.data.drawings import PackDrawings
from scenograph.data.graphs import FixedGraphs, places
from scenograph.data.pack import RELATION_COLUMNS, Pack, open_picture, row_to_scene
from scenograph.errors import UserError
from scenograph.scenes.batch import EncodedScene, SceneBatch, collate, encode_scene, picture_to_pixels
from scenograph.scenes.fields import Sizes
from scenograph.scenes.geometry import sg2im_relation
from scenograph.scenes.scene import Relation, Scene, keep_objects, mirror, view
from scenograph.scenes.selection import GivesCrops

RelationPolicy = Literal["stored", "subset", "balanced", "minimal", "sg2im", "canonical", "none"]
ObjectPolicy = Literal["random", "related"]


class PackLoader:
    """Batches of one split.

    Args:
        folder: The pack.
        split: One of its splits.
        image_size: Height and width of the pictures in a batch.
        mask_size: Side of the masks in a batch.
        relations: The graph of a scene: ``stored`` as in the pack; ``subset`` a random part of the stored ones, since
            people name few of the relations that hold; ``balanced`` the same with every predicate as likely as any
            other, where directions are stored of all pairs and contact of few; ``minimal`` those that no others imply;
            ``sg2im`` one random geometric relation per object, sampled like in sg2im's COCO loader; ``canonical`` the
            stored ones and the minimal location graph over all pairs, as in Canonical Sg2Im's loaders; ``none``.
        max_objects: Larger scenes lose objects down to this number; None keeps all.
        objects: Which objects larger scenes keep: a ``random`` selection, or the ``related`` ones first, as in sg2im's
            Visual Genome loader.
        flip: Mirror every scene with probability 1/2, its left and right relations too.
        crop: Show a random window of this fraction of both sides, at most 1.
        cache: Decoded scenes that stay in memory.
        crop_size: Side of the objects' crops in a batch; without it they are not read.
        sketch_size: Side of the objects' sketches in a batch; without it they are not read.

    Raises:
        UserError: The pack or the split is missing or damaged.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        image_size: tuple[int, int],
        mask_size: int,
        relations: RelationPolicy = "stored",
        max_objects: int | None = None,
        objects: ObjectPolicy = "random",
        flip: bool = False,
        crop: float = 1.0,
        cache: int = 20_000,
        crop_size: int | None = None,
        sketch_size: int | None = None,
    ) -> None:
        self.pack = Pack(folder, split)
        self.vocabulary = self.pack.vocabulary
        self.image_size, self.sizes = image_size, Sizes(mask_size, sketch_size, crop_size)
        self.relations, self.objects, self.flip = relations, objects, flip
        self.max_objects = sys.maxsize if max_objects is None else max_objects
        self.load_size = (round(image_size[0] / crop), round(image_size[1] / crop))
        self.graphs = (
            FixedGraphs(self.pack, relations, self.sizes, self.max_objects)
            if relations in ("minimal", "canonical")
            else None
        )
        self.cache_limit = cache
        self.selector: GivesCrops | None = None
        """Where the crops of the objects come from instead of the pack."""
        self.pictures = True
        """Whether batches have pictures."""
        self.drawings: PackDrawings | None = None
        """Where the sketches of the objects come from instead of the pack."""
        self.mixed: Mixed | None = None
        """Scenes of another pack that take the place of some in training."""
        self._cache: dict[int, tuple[Scene, np.ndarray | None]] = {}

    @property
    def _unread(self) -> tuple[str, ...]:
        """Columns that are not needed: pixels of objects, and many relations, take longer to read than all else."""
        # A selector finds the crops of scenes that have none of their own.
        sides = {"sketches": self.sizes.sketch, "crops": self.sizes.crop if self.selector is None else None}
        unread = tuple(column for column, side in sides.items() if side is None) + ("image",) * (not self.pictures)
        if self.relations == "minimal":
            needed = self.max_objects < sys.maxsize  # scenes that lose objects get a graph from them
        else:
            needed = self.relations not in ("none", "sg2im") or self.objects == "related"
        return unread if needed else (*unread, *RELATION_COLUMNS)

    def __len__(self) -> int:
        return len(self.pack)

    def batch(self, seed: int, step: int, size: int, slots: Sequence[int] | None = None) -> SceneBatch:
        """The training batch of one step: scenes ``step * size ...`` of an endless sequence of shuffled epochs.

        Args:
            seed: Of the order of scenes, and of all random choices.
            step: From 0.
            size: Scenes of the whole batch.
            slots: A process's or an accumulation part's share of ``range(size)``; by default all of it.

        Returns:
            The scenes of these slots, on the CPU, with pictures in [-1, 1]. Those of the mixed pack are the first.

        Raises:
            UserError: A scene has a name that the vocabulary lacks, or is damaged.
        """
        slots = range(size) if slots is None else slots
        count = self.mixed.count(step, size) if self.mixed else 0
        samples = self._samples(self._chosen(seed, step, size, [slot for slot in slots if slot >= count]))
        if self.mixed and count:
            other = self.mixed.loader
            others = other._samples(other._chosen(seed, step, size, [slot for slot in slots if slot < count]))
            samples = [*others, *samples]
        return collate(samples)

    def _chosen(self, seed: int, step: int, size: int, slots: Sequence[int]) -> list[tuple[int, np.random.Generator]]:
        """Which scenes stand in these slots of a batch, and the random numbers of each."""
        chosen = []
        for slot in slots:
            position = step * size + slot
            epoch, place = divmod(position, len(self))
            index = int(self._order(seed, epoch)[place])
            chosen.append((index, np.random.default_rng([seed, 1, position])))
        return chosen

    def batches(
        self, seed: int, steps: range, size: int, shares: Sequence[Sequence[int]], workers: int = 0, pin: bool = False
    ) -> Iterator[SceneBatch]:
        """:meth:`batch` for every step and every share of its slots, in order.

        Args:
            seed: As for :meth:`batch`.
            steps: Of the run, from the present one on.
            size: As for :meth:`batch`.
            shares: The slots of each accumulation part.
            workers: Processes that make batches ahead; with 0 each is made when it is needed.
            pin: Whether workers' batches lie in page-locked memory, from which a GPU copies while it computes.
        """
        if not workers:
            requests = _Requests(self, seed, steps, size, shares)
            return (requests[number] for number in range(len(requests)))
        requests = _Requests(self._sharing_cache(workers), seed, steps, size, shares)
        options: dict[str, Any] = {"num_workers": workers, "pin_memory": pin, "worker_init_fn": _use_one_thread}
        return iter(DataLoader(requests, batch_size=None, **options))

    def fixed_batch(self, start: int, size: int) -> SceneBatch:
        """Scenes ``start`` to ``start + size`` in stored order, for validation: the same every time."""
        indices = range(start, min(start + size, len(self)))
        return collate(self._samples([(index, np.random.default_rng([2, index])) for index in indices]))

    def scenes(self, start: int, size: int) -> list[Scene]:
        """The scenes of :meth:`fixed_batch`, with the same relations."""
        indices = range(start, min(start + size, len(self)))
        loaded = self._load(indices)
        return [
            self._select(scene, np.random.default_rng([2, i])) for i, (scene, _) in zip(indices, loaded, strict=True)
        ]

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if getattr(self, "_epoch", None) != (seed, epoch):
            self._epoch = (seed, epoch)
            self._permutation = np.random.default_rng([seed, 0, epoch]).permutation(len(self))
        return self._permutation

    def _sharing_cache(self, workers: int) -> PackLoader:
        """A copy for worker processes, each of which caches its part of the scenes."""
        copied = copy(self)
        copied._cache, copied.cache_limit = {}, self.cache_limit // workers
        if self.mixed:
            copied.mixed = replace(self.mixed, loader=self.mixed.loader._sharing_cache(workers))
        return copied

    def _samples(self, chosen: Sequence[tuple[int, np.random.Generator]]) -> list[EncodedScene]:
        loaded = self._load([index for index, _ in chosen])
        samples = []
        for (index, rng), (scene, image) in zip(chosen, loaded, strict=True):
            with self.pack.reading(index):
                try:
                    samples.append(self._encode(scene, image, rng, index))
                except KeyError as error:
                    raise UserError(f"name {error} is not in the pack's vocabulary.json") from error
        return samples

    def _encode(self, scene: Scene, image: np.ndarray | None, rng: np.random.Generator, index: int) -> EncodedScene:
        if self.drawings is not None:
            scene = self.drawings.drawable(scene)
        scene = self._select(scene, rng)
        if self.load_size != self.image_size:
            scene, image = self._crop(scene, image, rng)
        if self.drawings is not None:
            scene = self.drawings.draw(scene, rng)
        if self.flip and rng.random() < 0.5:
            scene, image = mirror(scene), None if image is None else image[:, ::-1]
        if self.selector is not None:
            scene = self.selector.select(scene, int(rng.integers(2**31)), exclude=self.pack.ids[index])
        return encode_scene(scene, self.vocabulary, self.sizes, image)

    def _crop(
        self, scene: Scene, image: np.ndarray | None, rng: np.random.Generator
    ) -> tuple[Scene, np.ndarray | None]:
        """A random window of the picture's size; the whole scene if no object is visible in the window."""
        (height, width), (full_height, full_width) = self.image_size, self.load_size
        top, left = int(rng.integers(full_height - height + 1)), int(rng.integers(full_width - width + 1))
        window = left / full_width, top / full_height, (left + width) / full_width, (top + height) / full_height
        seen = view(scene, window)
        if not seen.objects:
            return scene, None if image is None else picture_to_pixels(Image.fromarray(image), height, width)
        return seen, None if image is None else image[top : top + height, left : left + width]

    def _load(self, indices: Sequence[int]) -> list[tuple[Scene, np.ndarray | None]]:
        """Scenes with masks of the model's size, and pictures (H, W, 3) uint8; missing ones in one read."""
        missing = [index for index in dict.fromkeys(indices) if index not in self._cache]
        fresh: dict[int, tuple[Scene, np.ndarray | None]] = {}
        for index, row in zip(missing, self.pack.rows(missing, self._unread), strict=True):
            with self.pack.reading(index):
                picture = open_picture(row) if self.pictures else None
                image = None if picture is None else picture_to_pixels(picture, *self.load_size)
                scene = row_to_scene(row, self.sizes)
            if self.graphs and len(scene.objects) <= self.max_objects:  # larger scenes lose random objects first
                scene = self.graphs.complete(scene, index)
            fresh[index] = (scene, image)
        room = self.cache_limit - len(self._cache)
        self._cache |= dict(list(fresh.items())[: max(room, 0)])
        return [fresh[index] if index in fresh else self._cache[index] for index in indices]

    def _select(self, scene: Scene, rng: np.random.Generator) -> Scene:
        if len(scene.objects) > self.max_objects:
            choose = related_objects if self.objects == "related" else random_objects
            scene = keep_objects(scene, choose(scene, self.max_objects, rng))
            if self.graphs:
                scene = self.graphs.complete(scene)
        if self.relations == "none":
            return replace(scene, relations=())
        if self.relations == "subset":
            return replace(scene, relations=random_subset(scene.relations, len(scene.objects), rng))
        if self.relations == "balanced":
            return replace(scene, relations=balanced_subset(scene.relations, len(scene.objects), rng))
        if self.relations == "sg2im":
            return replace(scene, relations=random_sg2im_relations(scene, rng))
        return scene


@dataclass(frozen=True)
class Mixed:
    """Scenes of a second pack that take the place of some: a tenth of a batch at first, 0.6 from half of a run on.

    So Scene Designer's option ``finetune`` mixes in the set that it is to do well on.
    """

    loader: PackLoader
    steps: int
    """Of the run."""

    def count(self, step: int, size: int) -> int:
        """How many of a batch of ``size`` come from it, at a step from 0."""
        return int((0.1 + min(0.5, step / self.steps)) * size)


@dataclass(frozen=True)
class _Requests(Dataset[SceneBatch]):
    """Batches by number, as torch's worker processes request them."""

    loader: PackLoader
    seed: int
    steps: range
    size: int
    shares: Sequence[Sequence[int]]

    def __len__(self) -> int:
        return len(self.steps) * len(self.shares)

    def __getitem__(self, number: int) -> SceneBatch:
        step, share = divmod(number, len(self.shares))
        return self.loader.batch(self.seed, self.steps[step], self.size, self.shares[share])


def _use_one_thread(worker: int) -> None:
    torch.set_num_threads(1)  # more would slow down the training process


def random_objects(scene: Scene, count: int, rng: np.random.Generator) -> list[int]:
    """``count`` random objects, in their order."""
    return sorted(rng.permutation(len(scene.objects))[:count].tolist())


def related_objects(scene: Scene, count: int, rng: np.random.Generator) -> list[int]:
    """``count`` objects: those in relations (a random part if they are more), then random others."""
    related = sorted({end for relation in scene.relations for end in (relation.subject, relation.object)})
    others = [i for i in range(len(scene.objects)) if i not in set(related)]
    shuffled = [*rng.permutation(related).tolist(), *rng.permutation(others).tolist()]
    return sorted(int(i) for i in shuffled[:count])


def random_subset(relations: Sequence[Relation], objects: int, rng: np.random.Generator) -> tuple[Relation, ...]:
    """A random number of random relations, uniform between none and two per object."""
    count = int(rng.integers(0, min(len(relations), 2 * objects) + 1))
    return tuple(relations[i] for i in np.sort(rng.permutation(len(relations))[:count]))


def balanced_subset(relations: Sequence[Relation], objects: int, rng: np.random.Generator) -> tuple[Relation, ...]:
    """As many random relations as :func:`random_subset` takes, every predicate as likely as any other."""
    total = Counter(relation.predicate for relation in relations)
    count = int(rng.integers(0, min(len(relations), 2 * objects) + 1))
    # Each waits an exponential time, and the first ones are taken: a sample without replacement by weight.
    waits = [rng.exponential() * total[relation.predicate] for relation in relations]
    return tuple(relations[i] for i in np.sort(np.argsort(waits)[:count]))


def random_sg2im_relations(scene: Scene, rng: np.random.Generator) -> tuple[Relation, ...]:
    """One relation per object with a random partner, in random order of the two (sg2im's COCO loader)."""
    count = len(scene.objects)
    boxes, centres = places(scene)
    result = []
    for current in range(count if count > 1 else 0):
        other = int(rng.integers(count - 1))
        partner = other if other < current else other + 1
        subject, target = (current, partner) if rng.random() > 0.5 else (partner, current)
        predicate = sg2im_relation(boxes[subject], boxes[target], centres[subject], centres[target])
        result.append(Relation(subject, predicate, target))
    return tuple(result)
