"""Search for scenes by sketch, measured: how often a sketch finds the picture that it was made of, method by method.

Learned encoders see sketches and photographs. ``layouts`` and ``matching``, which learn nothing, see neither: they are
told the categories and boxes of what is sketched, and so show what knowing these is worth. A classifier of sketches
stands between: it names what is sketched, right or wrong, for ``matching``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from scenograph.data.pack import RELATION_COLUMNS, Pack, open_picture, row_to_scene
from scenograph.errors import UserError, counted, with_article
from scenograph.evaluation.figure import Figure, mean_figure
from scenograph.evaluation.ranking import FIRST, check_gallery, rank, ranked_figures
from scenograph.evaluation.search_protocols import Queries, SearchProtocol
from scenograph.files import safe_names
from scenograph.models.base import EncodesScenes, Model
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel
from scenograph.pipelines.sketched import chances_of, names_sketches
from scenograph.retrieval.matching import match
from scenograph.retrieval.scene_vectors import encode_layouts
from scenograph.scenes.batch import SceneBatch, collate, encode_scene, picture_to_pixels
from scenograph.scenes.fields import Sizes
from scenograph.scenes.scene import Scene, SceneObject, keep_objects, mirror
from scenograph.training.objectives.scene_designer import crops_of

CHUNK = 32
"""Scenes that are encoded at once."""
SHORTLIST = 100
"""First results by ``layouts`` that ``matching`` ranks again."""
LARGEST_COUNT = 7
"""Numbers of objects that are counted apart, from 1."""
LEAST = 10
"""A group of fewer scenes is not measured."""
WITHOUT_LEARNING = ("layouts", "matching")
MEANINGS = {"average_precision": "mAP"} | {f"top_{k}": f"sketches whose picture is in the first {k}" for k in FIRST}
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Gallery:
    """The scenes of a split that have sketches, with the objects that are sketched; and their pictures."""

    pack: Pack
    rows: Sequence[int]
    scenes: Sequence[Scene]

    @staticmethod
    def of(folder: Path, protocol: SearchProtocol, ids: Sequence[str] | None = None) -> Gallery:
        """The scenes that a protocol asks for, or those of its split that are named, by id or by file name.

        Raises:
            UserError: There is no such pack, split or scene, or one is named twice; too few scenes have sketches, or
                one has no picture.
        """
        pack = Pack(folder, protocol.split)
        pack.check_pictures("to be found; pack it with pictures")
        chosen: Sequence[int] = range(len(pack))
        if ids is not None:
            places = {name: row for row, name in enumerate(pack.ids)}
            ids = [name if name in places else Path(name).stem for name in ids]
            if len(set(ids)) < len(ids):
                twice = next(name for number, name in enumerate(ids) if name in ids[:number])
                raise UserError(f"{twice} is named twice, and would be looked for among copies of itself; name it once")
            missing = [name for name in ids if name not in places]
            if missing:
                raise UserError(
                    f"{folder}: {len(missing)} of the {len(ids)} named scenes are not in split {protocol.split!r}, "
                    f"the first of them {missing[0]}"
                )
            chosen = [places[name] for name in ids]
        rows, scenes = [], []
        for row, scene in read_scenes(pack, chosen):
            if sketched := sketched_objects(scene):
                rows.append(row)
                scenes.append(keep_objects(scene, sketched))
            if protocol.scenes is not None and len(rows) == protocol.scenes:
                break
        if len(rows) < FIRST[-1]:
            raise UserError(
                f"{folder}: {counted(len(rows), 'scene')} of split {protocol.split!r} with sketches; search is "
                f"measured on at least {FIRST[-1]}: protocol {protocol.name} needs {protocol.needs}"
            )
        if protocol.expected not in (None, len(rows)) and protocol.scenes is None:
            found = f"{counted(len(rows), 'scene')} of split {protocol.split!r}"
            raise UserError(
                f"{folder}: {found}, where protocol {protocol.name} has {protocol.expected}; name these by --ids FILE, "
                "or measure all by --protocol sketched-scenes"
            )
        return Gallery(pack, rows, scenes)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def counts(self) -> np.ndarray:
        """Objects of each scene (N,)."""
        return np.array([len(scene.objects) for scene in self.scenes])

    @cached_property
    def contents(self) -> np.ndarray:
        """The same number (N,) for scenes of the same categories, each as often."""
        names = [tuple(sorted(thing.category for thing in scene.objects)) for scene in self.scenes]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names])

    def pictures(self, places: Sequence[int], sides: tuple[int, int]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 of some scenes."""
        found = []
        for row, values in zip(places, self.pack.rows([self.rows[place] for place in places]), strict=True):
            with self.pack.reading(self.rows[row]):
                picture = open_picture(values)
                assert picture is not None
                found.append(picture_to_pixels(picture, *sides))
        return found


def sketched_objects(scene: Scene) -> list[int]:
    """The objects that have a sketch and a box."""
    return [n for n, thing in enumerate(scene.objects) if thing.sketch is not None and thing.box is not None]


def read_scenes(pack: Pack, rows: Sequence[int]) -> Iterator[tuple[int, Scene]]:
    """Scenes by row, without pictures, crops and relations."""
    for start in range(0, len(rows), CHUNK):
        part = list(rows[start : start + CHUNK])
        for row, values in zip(part, pack.rows(part, ("image", "crops", *RELATION_COLUMNS)), strict=True):
            with pack.reading(row):
                yield row, row_to_scene(values)


def queries_of(gallery: Gallery, protocol: SearchProtocol) -> list[Scene]:
    """What each scene is looked for by: the same every time."""
    return [_query(scene, protocol, np.random.default_rng([6, n])) for n, scene in enumerate(gallery.scenes)]


def _query(scene: Scene, protocol: SearchProtocol, rng: np.random.Generator) -> Scene:
    kept = rng.random(len(scene.objects)) >= protocol.missing
    kept[int(rng.integers(len(kept)))] = True
    left = keep_objects(scene, np.flatnonzero(kept).tolist())
    objects = [_shifted(thing, rng, protocol.shift) for thing in left.objects]
    if protocol.queries == "mirrored":
        objects = [replace(one, sketch=one.sketch.mirrored() if one.sketch else None) for one in objects]
    return Scene(tuple(objects))


def _shifted(thing: SceneObject, rng: np.random.Generator, shift: float) -> SceneObject:
    """An object where an unsteady hand puts it; its middle stays on the canvas."""
    assert thing.box is not None
    moves = shift * rng.normal(size=4)
    x0, y0, x1, y1 = thing.box
    x, y = np.clip([(x0 + x1) / 2 + moves[0], (y0 + y1) / 2 + moves[1]], 0, 1).tolist()
    width, height = ((x1 - x0) * np.exp(3 * moves[2]) / 2, (y1 - y0) * np.exp(3 * moves[3]) / 2)
    return replace(thing, box=(x - width, y - height, x + width, y + height)) if shift else thing


class Searcher(ABC):
    """A method of search."""

    def __init__(self, name: str) -> None:
        path = Path(name)
        self.name = path.parent.name if path.name == "model" and path.parent.name else path.name
        """What results call it: the last part of its name; of a training run's ``model``, the run."""

    def understood(self, queries: Sequence[Scene], protocol: SearchProtocol) -> Sequence[Scene]:
        """What the method takes the queries for: by default, for what they are."""
        return queries

    @abstractmethod
    def vectors(
        self, gallery: Gallery, queries: Sequence[Scene], protocol: SearchProtocol, progress: Progress
    ) -> Vectors:
        """Vectors of all scenes."""

    def order(self, vectors: Vectors, queries: Sequence[Scene], gallery: Gallery) -> np.ndarray:
        """For each query the rows of the gallery, best first (Q, G)."""
        return rank(vectors.queries, vectors.gallery)

    def preference(self, vectors: Vectors, queries: Sequence[Scene], gallery: Gallery) -> np.ndarray:
        """1 where a query (Q,) is nearer to its picture than to this in a mirror, 0 where not, half where the same."""
        apart = [((vectors.queries - other) ** 2).sum(axis=1) for other in (vectors.gallery, vectors.mirrored)]
        return (np.sign(apart[1] - apart[0]) + 1) / 2


@dataclass(frozen=True, eq=False)
class Vectors:
    """Of N scenes, (N, D) each."""

    queries: np.ndarray
    gallery: np.ndarray
    mirrored: np.ndarray
    """Of the gallery's scenes seen in a mirror."""


class Learned(Searcher):
    """A trained model.

    Args:
        name: Its shipped name, folder or hub id.
        model: What is there.

    Raises:
        UserError: It encodes no scenes.
    """

    def __init__(self, name: str, model: Model, option: str = "--encoder") -> None:
        """``option`` is what named the model."""
        super().__init__(name)
        if not isinstance(model, EncodesScenes):
            others = ", and a classifier of sketches is searched with, too" if option == "--encoder" else ""
            able = f"scene-designer and scene-encoder do{others}"
            raise UserError(f"{option} {name}: is {with_article(model.name)}, which encodes no scenes; {able}")
        self.model: Model = model

    def vectors(
        self, gallery: Gallery, queries: Sequence[Scene], protocol: SearchProtocol, progress: Progress
    ) -> Vectors:
        """In chunks."""
        found: tuple[list[np.ndarray], ...] = ([], [], [])
        for start in range(0, len(gallery), CHUNK):
            places = range(start, min(start + CHUNK, len(gallery)))
            scenes = [gallery.scenes[place] for place in places]
            pixels = gallery.pictures(places, self.model.config.picture_sides)
            flipped = [mirror(scene) for scene in scenes]
            batches = (
                self.sketched([queries[place] for place in places], pixels, protocol.queries),
                self.photographed(scenes, pixels),
                self.photographed(flipped, [picture[:, ::-1] for picture in pixels]),
            )
            for kept, batch in zip(found, batches, strict=True):
                kept.append(self.encode(batch))
            progress(f"encoding by {self.name}", places.stop, len(gallery))
        return Vectors(*map(np.concatenate, found))

    def encode(self, batch: SceneBatch) -> np.ndarray:
        """Vectors (N, D) float32."""
        assert isinstance(self.model, EncodesScenes)
        with torch.inference_mode():
            return self.model.scene_vectors(batch).float().cpu().numpy()

    def sketched(self, scenes: Sequence[Scene], pixels: Sequence[np.ndarray], queries: Queries) -> SceneBatch:
        """Scenes as sketches; with ``mixed``, every other object of a scene is a crop of its picture instead."""
        batch = self._batch(scenes, pixels)
        assert batch.sketches is not None and batch.crops is not None
        if queries != "mixed":
            return replace(batch, crops=torch.full_like(batch.crops, -1.0))
        photographed = (batch.padding()[1] % 2 == 1)[:, None, None]
        return replace(
            batch,
            sketches=torch.where(photographed, 1.0, batch.sketches),
            crops=torch.where(photographed[..., None], batch.crops, -1.0),
        )

    def photographed(self, scenes: Sequence[Scene], pixels: Sequence[np.ndarray]) -> SceneBatch:
        """Scenes as pictures, and crops of these."""
        batch = self._batch(scenes, pixels)
        assert batch.sketches is not None
        return replace(batch, sketches=torch.ones_like(batch.sketches))

    def _batch(self, scenes: Sequence[Scene], pixels: Sequence[np.ndarray]) -> SceneBatch:
        config, names = self.model.config, self.model.vocabulary
        names.check(scenes)
        sizes = Sizes(config.mask_side, config.sketch_side)
        plain = [Scene(tuple(replace(thing, attributes=()) for thing in scene.objects)) for scene in scenes]
        samples = [encode_scene(scene, names, sizes, image) for scene, image in zip(plain, pixels, strict=True)]
        batch = collate(samples).to(self.model.device)
        assert config.sketch_side is not None
        crops = crops_of(batch, config.sketch_side)
        return replace(batch, crops=torch.cat([crops, torch.ones_like(crops[:, :1])], dim=1))


class LayoutSearcher(Searcher):
    """Categories and boxes as vectors, without learning: :func:`~scenograph.retrieval.scene_vectors.encode_layouts`."""

    def vectors(
        self, gallery: Gallery, queries: Sequence[Scene], protocol: SearchProtocol, progress: Progress
    ) -> Vectors:
        """Of the true categories."""
        flipped = [mirror(scene) for scene in gallery.scenes]
        return Vectors(*map(encode_layouts, (queries, gallery.scenes, flipped)))


class MatchingSearcher(LayoutSearcher):
    """The same, and the first hundred ranked again by objects matched one to one."""

    def order(self, vectors: Vectors, queries: Sequence[Scene], gallery: Gallery) -> np.ndarray:
        """Best first (Q, G)."""
        order = super().order(vectors, queries, gallery)
        for number, query in enumerate(queries):
            first = order[number, :SHORTLIST]
            scores = [match(query, gallery.scenes[place], {}).score for place in first]
            order[number, : len(first)] = first[np.argsort(-np.array(scores), kind="stable")]
        return order

    def preference(self, vectors: Vectors, queries: Sequence[Scene], gallery: Gallery) -> np.ndarray:
        """By how well objects match."""
        scores = [
            [match(query, scene, {}).score for scene in (true, mirror(true))]
            for query, true in zip(queries, gallery.scenes, strict=True)
        ]
        return (np.sign(-np.diff(scores, axis=1)[:, 0]) + 1) / 2


class RecognisingSearcher(MatchingSearcher):
    """As told the boxes of what is sketched, but the categories that a classifier of sketches recognises.

    Of the gallery, categories and boxes are known.
    """

    def __init__(self, name: str, model: ObjectClassifier) -> None:
        super().__init__(name)
        self.model = model

    def understood(self, queries: Sequence[Scene], protocol: SearchProtocol) -> list[Scene]:
        """The most probable category of each object, sure or not."""
        if protocol.queries == "mixed":
            raise UserError(f"--encoder {self.name}: recognises sketches, no crops; leave --queries mixed out")
        names, found = self.model.vocabulary.categories, []
        for start in range(0, len(queries), CHUNK):
            part = queries[start : start + CHUNK]
            sketches = [thing.sketch for scene in part for thing in scene.objects if thing.sketch is not None]
            best = iter(chances_of(sketches, self.model).argmax(dim=1).tolist())
            for scene in part:
                objects = [replace(thing, category=names[next(best)]) for thing in scene.objects]
                found.append(replace(scene, objects=tuple(objects)))
        return found


def searchers(names: Sequence[str], device: torch.device) -> list[Searcher]:
    """Several methods as :func:`searcher` makes them, no two of them called alike."""
    made = [searcher(name, device) for name in names]
    for one, label in zip(made, safe_names(one.name for one in made), strict=True):
        one.name = label
    return made


def searcher(name: str, device: torch.device) -> Searcher:
    """A method of :data:`WITHOUT_LEARNING`, or a model: one that encodes scenes, or a classifier of sketches.

    Raises ``UserError`` for any other name.
    """
    if name in WITHOUT_LEARNING:
        return (LayoutSearcher if name == "layouts" else MatchingSearcher)(name)
    model = AutoModel.from_pretrained(name, others=WITHOUT_LEARNING).to(device)
    return RecognisingSearcher(name, model) if names_sketches(model) else Learned(name, model)


@dataclass(frozen=True, eq=False)
class Searched:
    """What one method found."""

    name: str
    order: np.ndarray
    """For each query the rows of the gallery, best first (Q, G)."""
    vectors: Vectors
    groups: dict[str, list[Figure]]
    """Figures by the scenes that they are of: ``all``, ``2 objects or more``, ``1 object`` and so on."""
    seconds: float

    @property
    def places(self) -> np.ndarray:
        """At which place each query finds its picture (Q,), from 1."""
        return (self.order == np.arange(len(self.order))[:, None]).argmax(axis=1) + 1


def search_scenes(
    method: Searcher,
    gallery: Gallery,
    protocol: SearchProtocol,
    progress: Progress = lambda what, done, of: None,
) -> Searched:
    """Look for every scene of a gallery by its sketch.

    Args:
        method: From :func:`searcher`.
        gallery: From :meth:`Gallery.of`.
        protocol: By which the gallery was opened.
        progress: Called with what is done, how many scenes so far, and of how many.

    Raises:
        UserError: A model makes vectors that are not finite.
    """
    start = time.perf_counter()
    queries = method.understood(queries_of(gallery, protocol), protocol)
    vectors = method.vectors(gallery, queries, protocol, progress)
    if not all(np.isfinite(part).all() for part in (vectors.queries, vectors.gallery, vectors.mirrored)):
        raise UserError(f"{method.name}: its vectors are not finite: its training has diverged; train it again")
    order = method.order(vectors, queries, gallery)
    seconds = time.perf_counter() - start
    groups = grouped_figures(order, gallery.counts)
    groups |= _same_categories(order, gallery)
    preferred = method.preference(vectors, queries, gallery)
    groups["mirror image"] = [
        mean_figure("preferred", preferred, "sketches nearer to their picture than to it in a mirror; chance is half")
    ]
    return Searched(method.name, order, vectors, groups, seconds)


def grouped_figures(order: np.ndarray, counts: np.ndarray) -> dict[str, list[Figure]]:
    """Figures of rankings (Q, G) in which row i of the gallery is wanted by query i.

    Of all queries, of those whose scenes have two objects or more, and by number of objects ``counts`` (Q,), as far as
    there are ten such scenes; all are looked for in the whole gallery.
    """
    check_gallery(order.shape[1])
    own = np.arange(len(order))
    found = ranked_figures(order, own, np.arange(order.shape[1]))
    chosen = {"all": own >= 0, "2 objects or more": counts >= 2}
    chosen |= {counted(number, "object"): counts == number for number in range(1, LARGEST_COUNT + 1)}
    return {
        name: [mean_figure(key, values[these], MEANINGS[key]) for key, values in found.items()]
        for name, these in chosen.items()
        if name == "all" or these.sum() >= LEAST
    }


def _same_categories(order: np.ndarray, gallery: Gallery) -> dict[str, list[Figure]]:
    """Each query among the scenes of the same categories alone, of which there must be two."""
    contents, sizes = gallery.contents, Counter(gallery.contents.tolist())
    firsts, ranks, chances = [], [], []
    for number, row in enumerate(order):
        if sizes[contents[number]] < 2:
            continue
        rivals = row[contents[row] == contents[number]]
        place = int((rivals == number).argmax()) + 1
        firsts.append(float(place == 1))
        ranks.append(1 / place)
        chances.append(1 / len(rivals))
    if len(firsts) < LEAST:
        return {}
    chance = f"by chance {np.mean(chances):.1%}"
    return {
        "same categories": [
            mean_figure("average_precision", ranks, "mAP among scenes of the same categories"),
            mean_figure("top_1", firsts, f"the first among scenes of the same categories is the right one; {chance}"),
        ]
    }
