"""From a pack to training batches, without hidden state: a batch depends on (seed, step) alone.

That makes resuming exact (the sampler's position is the step) and makes the batch of two processes the two
halves of the batch of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from scenograph.data.pack import Pack
from scenograph.errors import UserError
from scenograph.scenes.batch import SceneBatch, collate, encode_scene, image_to_tensor
from scenograph.scenes.geometry import mask_centre, sg2im_relation
from scenograph.scenes.scene import Relation, Scene

RelationPolicy = Literal["stored", "subset", "sg2im", "none"]


class PackLoader:
    """Batches of one split.

    ``relations`` chooses the graph of a training scene: ``stored`` as in the pack; ``subset`` a random part
    of the stored ones, since people name few of the relations that hold; ``sg2im`` one random geometric
    relation per object, as sg2im's COCO loader draws them; ``none``.
    ``max_objects`` keeps a random selection of larger scenes. Decoded scenes stay in memory up to ``cache``.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        image_size: tuple[int, int],
        mask_size: int,
        relations: RelationPolicy = "stored",
        max_objects: int | None = None,
        cache: int = 20_000,
    ) -> None:
        self.pack = Pack(folder, split)
        self.vocabulary = self.pack.vocabulary
        self.image_size, self.mask_size = image_size, mask_size
        self.relations, self.max_objects = relations, max_objects
        self.cache_limit = cache
        self._cache: dict[int, tuple[Scene, Tensor | None]] = {}

    def __len__(self) -> int:
        return len(self.pack)

    def batch(self, seed: int, step: int, size: int, slots: Sequence[int] | None = None) -> SceneBatch:
        """The training batch of one step: scenes ``step * size ...`` of an endless sequence of shuffled epochs.

        ``slots`` selects a process's or an accumulation part's share of ``range(size)``.
        """
        chosen = []
        for slot in range(size) if slots is None else slots:
            position = step * size + slot
            epoch, place = divmod(position, len(self))
            index = int(self._order(seed, epoch)[place])
            chosen.append((index, np.random.default_rng([seed, 1, position])))
        return self._collate(chosen)

    def fixed_batch(self, start: int, size: int) -> SceneBatch:
        """Scenes ``start`` to ``start + size`` in stored order, drawn the same way every time (validation)."""
        indices = range(start, min(start + size, len(self)))
        return self._collate([(index, np.random.default_rng([2, index])) for index in indices])

    def scenes(self, start: int, size: int) -> list[Scene]:
        """The scenes of :meth:`fixed_batch`, with the same relations."""
        indices = range(start, min(start + size, len(self)))
        return [self._select(self._load(index)[0], np.random.default_rng([2, index])) for index in indices]

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        if getattr(self, "_epoch", None) != (seed, epoch):
            self._epoch = (seed, epoch)
            self._permutation = np.random.default_rng([seed, 0, epoch]).permutation(len(self))
        return self._permutation

    def _collate(self, chosen: Sequence[tuple[int, np.random.Generator]]) -> SceneBatch:
        samples = []
        for index, rng in chosen:
            scene, image = self._load(index)
            scene = self._select(scene, rng)
            try:
                samples.append(encode_scene(scene, self.vocabulary, self.mask_size, image))
            except KeyError as error:
                raise UserError(f"pack row {index}: name {error} is not in the pack's vocabulary.json") from error
        return collate(samples)

    def _load(self, index: int) -> tuple[Scene, Tensor | None]:
        if index in self._cache:
            return self._cache[index]
        scene, picture = self.pack[index]
        image = None if picture is None else image_to_tensor(picture, *self.image_size)
        if len(self._cache) < self.cache_limit:
            self._cache[index] = (scene, image)
        return scene, image

    def _select(self, scene: Scene, rng: np.random.Generator) -> Scene:
        if self.max_objects is not None and len(scene.objects) > self.max_objects:
            scene = _keep_objects(scene, np.sort(rng.permutation(len(scene.objects))[: self.max_objects]))
        if self.relations == "none":
            return replace(scene, relations=())
        if self.relations == "subset":
            return replace(scene, relations=random_subset(scene.relations, len(scene.objects), rng))
        if self.relations == "sg2im":
            return replace(scene, relations=random_sg2im_relations(scene, rng))
        return scene


def random_subset(relations: Sequence[Relation], objects: int, rng: np.random.Generator) -> tuple[Relation, ...]:
    """At most two relations per object, any number from none to that being equally likely."""
    count = int(rng.integers(0, min(len(relations), 2 * objects) + 1))
    return tuple(relations[i] for i in np.sort(rng.permutation(len(relations))[:count]))


def random_sg2im_relations(scene: Scene, rng: np.random.Generator) -> tuple[Relation, ...]:
    """One relation per object with a random partner, in random order of the two (sg2im's COCO loader)."""
    count = len(scene.objects)
    result = []
    for current in range(count if count > 1 else 0):
        partner = int(rng.choice([other for other in range(count) if other != current]))
        subject, target = (current, partner) if rng.random() > 0.5 else (partner, current)
        first, second = scene.objects[subject], scene.objects[target]
        if first.box is None or second.box is None:
            raise UserError("relations: sg2im needs scenes with boxes; this pack has objects without one")
        centres = mask_centre(first.box, first.mask), mask_centre(second.box, second.mask)
        result.append(Relation(subject, sg2im_relation(first.box, second.box, *centres), target))
    return tuple(result)


def _keep_objects(scene: Scene, kept: np.ndarray) -> Scene:
    position = {int(old): new for new, old in enumerate(kept)}
    relations = [
        Relation(position[r.subject], r.predicate, position[r.object])
        for r in scene.relations
        if r.subject in position and r.object in position
    ]
    return Scene(tuple(scene.objects[int(i)] for i in kept), tuple(relations))
