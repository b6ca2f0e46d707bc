"""How well a memory of crops answers: purity, neighbours, variety and time. No picture is rendered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from scenograph.data.pack import Pack
from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure, mean_figure, short
from scenograph.pipelines.options import GenerateOptions
from scenograph.retrieval.build import query_scene
from scenograph.retrieval.encoder import APPEARANCE
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.rows import Crop
from scenograph.retrieval.selector import OURS, TOP, CropSelector, Own, Ranking, Weights
from scenograph.scenes.scene import Scene

SEEDS = 8
"""Choices for each scene whose variety is measured."""
Report = Callable[[str, int, int], None]


@dataclass
class _Found:
    """What was measured of each object, or of each scene."""

    coverage: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    attributes: list[float] = field(default_factory=list)
    shape: list[float] = field(default_factory=list)
    neighbours: list[float] = field(default_factory=list)
    neighbours_by_chance: list[float] = field(default_factory=list)
    variety: list[float] = field(default_factory=list)
    different: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    index_recall: list[float] = field(default_factory=list)
    purity: dict[str, list[float]] = field(default_factory=dict)


MEANINGS = {
    "coverage": "objects of whose category the memory holds crops",
    "own": "objects whose best crop is from their own picture",
    "attributes": "attributes asked for that the best crop has",
    "shape": "difference of width / height between box and best crop, as a logarithm",
    "neighbours": f"of the {TOP} crops most like the real one, how many are among the {TOP} chosen by the scene alone",
    "neighbours_by_chance": "the same of crops of the category taken at random",
    "variety": f"how different the crops of {SEEDS} seeds look; 1 is as different as random ones of the category",
    "different": f"different crops among those of {SEEDS} seeds",
    "index_recall": f"of the {TOP} exactly nearest, how many the index finds",
    "milliseconds": "time to choose the crops of a scene",
}
SHARES = ("coverage", "own", "attributes", "neighbours", "neighbours_by_chance", "different", "index_recall")


def evaluate_memory(
    folder: Path,
    pack: Path,
    split: str = "validation",
    scenes: int = 200,
    weights: Weights = OURS,
    own: Own = "excluded",
    progress: Report = lambda what, done, of: None,
) -> tuple[list[Figure], list[str]]:
    """Query a memory with a pack's scenes: their categories, attributes, boxes and some relations, not their pixels.

    Args:
        folder: The memory.
        pack: Of the queries.
        split: Of the pack.
        scenes: How many, the first ones.
        weights: Of the selector.
        own: Whether crops of a query's own picture may be chosen.
        progress: Called with what is done, how many scenes so far, and of how many.

    Returns:
        Figures with their errors, and notes on what was not measured.

    Raises:
        UserError: A folder is no memory or no pack, or the memory is empty.
    """
    memory, opened = CropMemory(folder), Pack(pack, split)
    if not memory.counts:
        raise UserError(f"{folder} is empty; there is nothing to measure")
    selector = CropSelector(memory, weights, TOP, GenerateOptions().temperature, own)
    found, count = _Found(), min(scenes, len(opened))
    things = opened.has_cells("crops")
    for index in range(count):
        (row,) = opened.rows([index], without=("sketches",))
        with opened.reading(index):
            scene = query_scene(row)
        _measure(selector, scene, str(row["id"]), things, found)
        progress("querying", index + 1, count)
    notes = [f"{count} scenes of {pack}, split {split}; crops of their own picture are {own}"]
    if not found.index_recall:
        notes.append("every category is compared exactly: there is no index to measure")
    return _figures(found, memory), notes


def _measure(selector: CropSelector, scene: Scene, picture: str, things: bool, found: _Found) -> None:
    """Everything about one scene."""
    memory = selector.memory
    asked = [n for n, thing in enumerate(scene.objects) if thing.crop is not None or not things]
    held = [n for n in asked if memory.counts[scene.objects[n].category]]
    found.coverage += [float(n in held) for n in asked]
    if not held:
        return
    unseen = replace(scene, objects=tuple(replace(thing, crop=None) for thing in scene.objects))
    try:
        rankings = selector.rank(unseen, held, picture)
    except UserError:  # the memory has none but those of this picture
        return
    for number, ranking in zip(held, rankings, strict=True):
        thing, best = scene.objects[number], int(ranking.places[0])
        found.own.append(float(ranking.rows.pictures[best] == picture))
        found.attributes += [float(name in ranking.rows.attributes[best]) for name in thing.attributes]
        if thing.box is not None:
            x0, y0, x1, y1 = thing.box
            found.shape.append(abs(float(ranking.rows.aspects[best]) - float(np.log((x1 - x0) / (y1 - y0)))))
    _measure_neighbours(selector, scene, held, rankings, picture, found)
    start = time.perf_counter()
    chosen = [selector.choose(unseen, seed, held, picture) for seed in range(SEEDS)]
    found.milliseconds.append((time.perf_counter() - start) * 1000 / SEEDS)
    found.different += [len({crops[place].id for crops in chosen}) / SEEDS for place in range(len(held))]
    _measure_variety(memory, chosen, found)


def _measure_neighbours(
    selector: CropSelector, scene: Scene, held: Sequence[int], rankings: Sequence[Ranking], picture: str, found: _Found
) -> None:
    """Of the crops that look most like the real one, those that were chosen; and the purity of each key."""
    memory = selector.memory
    (graphs,) = memory.encoder.graph_vectors([scene]) if memory.encoder.graph else (None,)
    for number, ranking in zip(held, rankings, strict=True):
        crop, rows = scene.objects[number].crop, memory.rows(ranking.rows.category)
        if graphs is not None and graphs[number].any():
            found.purity.setdefault("graph", []).append(
                _purity(memory, "graph", graphs[number], rows.category, picture)
            )
        if crop is None or APPEARANCE not in memory.record.sizes:
            continue
        (looks,) = memory.encoder.appearance_vectors([crop])
        found.purity.setdefault(APPEARANCE, []).append(_purity(memory, APPEARANCE, looks, rows.category, picture))
        distances = rows.distances(APPEARANCE, looks)
        distances[rows.pictures == picture] = np.inf
        others = int(np.isfinite(distances).sum())
        nearest = set(rows.ids[np.argsort(distances, kind="stable")[: min(TOP, others)]].tolist())
        if nearest:
            found.neighbours.append(len(nearest & set(ranking.ids)) / len(nearest))
            found.neighbours_by_chance.append(min(TOP / others, 1))
        approximate = memory.candidates(rows.category, {APPEARANCE: looks}, TOP)
        if len(approximate) < len(rows):
            exact = rows.ids[np.argsort(rows.distances(APPEARANCE, looks), kind="stable")[:TOP]]
            found.index_recall.append(len(set(exact.tolist()) & set(approximate.ids.tolist())) / len(exact))


def _purity(memory: CropMemory, key: str, vector: np.ndarray, category: str, picture: str) -> float:
    """Of the nearest crops of any category, in one key, the share that is of the right one."""
    nearest: list[tuple[float, str]] = []
    for name in memory.counts:
        rows = memory.rows(name)
        distances = rows.distances(key, vector)[rows.pictures != picture]
        nearest += [(float(distance), name) for distance in np.sort(distances)[:TOP]]
    names = [name for _, name in sorted(nearest)[:TOP]]
    return names.count(category) / max(len(names), 1)


def _measure_variety(memory: CropMemory, chosen: Sequence[Sequence[Crop]], found: _Found) -> None:
    """How far apart the crops of an object are over seeds, in looks."""
    if APPEARANCE not in memory.record.sizes:
        return
    for crops in zip(*chosen, strict=True):
        rows = memory.rows(crops[0].category)
        place = {name: number for number, name in enumerate(rows.ids)}
        vectors = rows.vectors[APPEARANCE][[place[crop.id] for crop in crops]].astype(np.float64)
        spread = 2 * vectors.var(axis=0).sum() * len(crops) / (len(crops) - 1)
        found.variety.append(float(spread / rows.scales[APPEARANCE]))


def _figures(found: _Found, memory: CropMemory) -> list[Figure]:
    weights = short(memory.record.encoder)
    values: Mapping[str, list[float]] = vars(found)
    figures = [
        mean_figure(name, values[name], meaning, weights, share=name in SHARES)
        for name, meaning in MEANINGS.items()
        if values[name]
    ]
    purity = [
        mean_figure(f"purity_{key}", shares, f"of the {TOP} nearest in {key}, how many are of the category", weights)
        for key, shares in found.purity.items()
    ]
    if found.milliseconds:
        slow = float(np.percentile(found.milliseconds, 95))
        figures.append(
            Figure("milliseconds_95", slow, float("nan"), len(found.milliseconds), "exceeded by 5 % of scenes")
        )
    return [*purity, *figures]
