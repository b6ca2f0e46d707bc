"""The metric ``probes``: does a picture change where its scene does, and stay where it does not?

They need no reference pictures and no network, and work on any ``f(scene, seed) -> picture``: each
changes a scene with all boxes in one way, renders it with the same seed, and looks where the pixels moved. Scores
are in [0, 1]; a model that ignores its condition, or answers every change with another picture, scores near 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure, mean_figure
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.pictures import to_bytes
from scenograph.evaluation.session import Evaluation, Progress
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import box_iou
from scenograph.scenes.scene import Scene, SceneObject, keep_objects, mirror
from scenograph.scenes.vocabulary import Vocabulary

RenderPictures = Callable[[Sequence[Scene], Sequence[int]], Sequence[Image.Image]]
"""Scenes and as many seeds to pictures; the same scene and seed must give the same picture."""

PROBED = 24
"""Scenes that an evaluation probes."""
MARGIN = 0.03
"""How far around a box, in fractions of the canvas, shadows and soft edges of its object may reach."""
QUIET = 1.0
"""Mean differences in grey levels below which nothing counts as changed."""

MEANINGS = {
    "drop": "an object left out changes its place and nothing else",
    "duplicate": "a second copy of an object changes its place and nothing else",
    "move": "an object moved changes the places it leaves and enters and nothing else",
    "recolour": "another attribute (or category) changes the object and nothing else",
    "leakage": "of the other objects, how much stays as it was when one changes",
    "mirror": "left and right exchanged give the mirrored picture",
    "shuffle": "another scene with the same seed gives as different a picture as another seed with another scene",
    "count": "the more objects are left out, the more the picture changes (rank correlation)",
}


class ProbesMetric(Metric):
    """Scores of all probes on the first scenes."""

    title = "Obedience probes"
    needs = frozenset({"rendering"})
    order = 70
    headline = ("probe_drop",)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The mean score of each probe that any scene allows."""
        render, layouts, protocol = evaluation.subject.render, evaluation.layouts, evaluation.protocol
        assert render is not None

        def pictures(scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Image.Image]:
            images, _ = render(scenes, seeds)
            return [Image.fromarray(one) for one in to_bytes(images, protocol.rounding, stretched=False)]

        chunks = range(layouts.chunks_of(PROBED))
        scenes = [scene for chunk in chunks for scene in evaluation.scenes(chunk)[:: protocol.repeats]]
        results = run_probes(pictures, scenes[:PROBED], layouts.vocabulary)
        scores = {name: [probe.score for probe in results if probe.name == name] for name in MEANINGS}
        return [
            mean_figure(f"probe_{name}", found, MEANINGS[name], nothing="no scene allows this change")
            for name, found in scores.items()
        ]


@dataclass(frozen=True)
class Probe:
    """One result: which probe, of which scene, and its score in [0, 1]."""

    name: str
    scene: int
    score: float


def one_by_one(render: Callable[[Scene, int], Image.Image]) -> RenderPictures:
    """For functions that render one picture at a time."""
    return lambda scenes, seeds: [render(scene, seed) for scene, seed in zip(scenes, seeds, strict=True)]


def run_probes(render: RenderPictures, scenes: Sequence[Scene], vocabulary: Vocabulary) -> list[Probe]:
    """Every probe that a scene allows. Scenes must have all boxes; one without objects is skipped."""
    results: list[Probe] = []
    for number, given in enumerate(scenes):
        if not given.objects:
            continue
        if any(thing.box is None for thing in given.objects):
            raise UserError(f"scene {number}: probes need a box for every object")
        # A set of one scene has no other to be shuffled with.
        other = scenes[(number + 1) % len(scenes)] if len(scenes) > 1 else Scene(())
        results += _probe(render, number, _fixed(given), _fixed(other), vocabulary)
    return results


def _probe(render: RenderPictures, number: int, scene: Scene, other: Scene, vocabulary: Vocabulary) -> list[Probe]:
    """All probes of one scene: what they need is rendered at once."""
    rng = np.random.default_rng(number)
    changes = _changes(scene, vocabulary, rng)
    fewer = _left_out(scene, rng) if len(scene.objects) > 2 else []
    asked = [scene, mirror(scene), other, other, *(changed for _, changed, _ in changes), *fewer]
    seeds = [number, number, number, number + 1_000_000, *[number] * (len(changes) + len(fewer))]
    pictures = [np.asarray(one.convert("RGB"), dtype=np.float64) for one in render(asked, seeds)]
    before, turned, same_seed, other_seed = pictures[:4]
    results = [Probe("mirror", number, _mirror_score(before, turned))]
    if other.objects:
        results.append(Probe("shuffle", number, _shuffle_score(before, same_seed, other_seed)))
    for (name, _, region), after in zip(changes, pictures[4 : 4 + len(changes)], strict=True):
        inside, outside, others = change_by_place(before, after, region, scene)
        results.append(Probe(name, number, contrast(inside, outside)))
        if others is not None and inside > QUIET:
            results.append(Probe("leakage", number, 1 - min(others / inside, 1.0)))
    if fewer:
        results.append(Probe("count", number, _count_score(before, pictures[4 + len(changes) :])))
    return results


def _fixed(scene: Scene) -> Scene:
    """Boxes say where things are, so relations go; looks of one's own stay with an object when another goes."""
    objects = tuple(replace(thing, seed=place) for place, thing in enumerate(scene.objects))
    return replace(scene, objects=objects, relations=())


def _changes(
    scene: Scene, vocabulary: Vocabulary, rng: np.random.Generator
) -> list[tuple[str, Scene, tuple[int, list[Box]]]]:
    """The changed scenes, each with the number of the object it concerns and the boxes where pixels may move."""
    chosen = int(rng.integers(len(scene.objects)))
    thing = scene.objects[chosen]
    assert thing.box is not None
    changes = []
    if len(scene.objects) > 1:
        changes.append(("drop", _without(scene, chosen), (chosen, [thing.box])))
    place = _free_place(scene, thing.box, rng)
    if place is not None:
        copy = replace(thing, box=place)
        added = replace(scene, objects=(*scene.objects, copy))
        changes.append(("duplicate", added, (len(scene.objects), [place])))
        changes.append(("move", _with_object(scene, chosen, copy), (chosen, [thing.box, place])))
    changed = _recoloured(thing, vocabulary, rng)
    if changed is not None:
        changes.append(("recolour", _with_object(scene, chosen, changed), (chosen, [thing.box])))
    return changes


def _free_place(scene: Scene, box: Box, rng: np.random.Generator) -> Box | None:
    """A place for a box of this size, of twenty tried the one that overlaps others least; None if all overlap much."""
    width, height = box[2] - box[0], box[3] - box[1]
    low = rng.uniform(0, 1, (20, 2)) * (1 - np.array([width, height]))
    places = np.concatenate([low, low + np.array([width, height])], axis=1)
    boxes = np.array([thing.box for thing in scene.objects])
    overlap = box_iou(places[:, None], boxes[None]).max(axis=1)
    best = int(overlap.argmin())
    x0, y0, x1, y1 = places[best].tolist()
    return (x0, y0, x1, y1) if overlap[best] < 0.2 else None


def _recoloured(thing: SceneObject, vocabulary: Vocabulary, rng: np.random.Generator) -> SceneObject | None:
    """The object with one attribute exchanged within its group, colours first; of another category without any."""
    groups = sorted(vocabulary.attributes, key=lambda name: name not in ("color", "colour"))
    for group in groups:
        names = vocabulary.attributes[group]
        present = [name for name in thing.attributes if name in names]
        others = [name for name in names if name not in present]
        if present and others:
            kept = tuple(name for name in thing.attributes if name not in names)
            return replace(thing, attributes=(*kept, str(rng.choice(others))))
    categories = [name for name in vocabulary.categories if name not in (thing.category, "__image__")]
    return replace(thing, category=str(rng.choice(categories))) if categories else None


def change_by_place(
    before: np.ndarray, after: np.ndarray, region: tuple[int, list[Box]], scene: Scene
) -> tuple[float, float, float | None]:
    """Mean change in grey levels from one picture (H, W, 3) to another: inside a region, outside, and in other objects.

    ``region`` is the number of the object that is changed, and the boxes where pixels may move.
    """
    change = np.abs(before - after).mean(axis=2)
    concerned, boxes = region
    inside = _covered(change.shape, boxes)
    others = _covered(
        change.shape, [thing.box for i, thing in enumerate(scene.objects) if i != concerned and thing.box]
    )
    others &= ~inside
    return (
        float(change[inside].mean()),
        float(change[~inside].mean()) if (~inside).any() else 0.0,
        float(change[others].mean()) if others.any() else None,
    )


def _covered(shape: tuple[int, ...], boxes: Sequence[Box]) -> np.ndarray:
    height, width = shape
    result = np.zeros((height, width), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        rows = slice(max(int((y0 - MARGIN) * height), 0), int(np.ceil((y1 + MARGIN) * height)))
        result[rows, max(int((x0 - MARGIN) * width), 0) : int(np.ceil((x1 + MARGIN) * width))] = True
    return result


def contrast(inside: float, outside: float) -> float:
    """How much more changed inside than outside: 1 nothing outside, 0 as much outside, or nothing at all."""
    if inside < QUIET:
        return 0.0
    return max(inside - outside, 0.0) / (inside + outside)


def _mirror_score(before: np.ndarray, turned: np.ndarray) -> float:
    """Whether the mirrored scene's picture is closer to the mirrored picture than to the picture."""
    unchanged, mirrored = np.abs(turned - before).mean(), np.abs(turned[:, ::-1] - before).mean()
    if unchanged < QUIET:
        return 0.0
    return float(max(unchanged - mirrored, 0.0) / (unchanged + mirrored))


def _shuffle_score(before: np.ndarray, same_seed: np.ndarray, other_seed: np.ndarray) -> float:
    """How far another scene moves the picture, as a part of how far other scene and other seed do together."""
    whole = np.abs(other_seed - before).mean()
    return float(min(np.abs(same_seed - before).mean() / max(whole, QUIET), 1.0))


def _left_out(scene: Scene, rng: np.random.Generator) -> list[Scene]:
    """The scene without one, two, ... objects, down to the last."""
    order = rng.permutation(len(scene.objects))
    kept = [sorted(order[count:].tolist()) for count in range(1, len(scene.objects))]
    return [keep_objects(scene, rows) for rows in kept]


def _count_score(before: np.ndarray, fewer: Sequence[np.ndarray]) -> float:
    """Spearman's rank correlation of how many objects are left out and how much the picture changes, from 0."""
    changes = [np.abs(one - before).mean() for one in fewer]
    if max(changes) < QUIET:
        return 0.0
    ranks = np.argsort(np.argsort(changes, kind="stable"), kind="stable")
    return float(max(np.corrcoef(ranks, np.arange(len(changes)))[0, 1], 0.0))


def _without(scene: Scene, chosen: int) -> Scene:
    return keep_objects(scene, [number for number in range(len(scene.objects)) if number != chosen])


def _with_object(scene: Scene, chosen: int, thing: SceneObject) -> Scene:
    return replace(scene, objects=(*scene.objects[:chosen], thing, *scene.objects[chosen + 1 :]))
