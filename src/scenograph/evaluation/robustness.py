"""The metric ``robustness``: does a layout model answer to what a graph means, not to how it is worded?

Herzig, Bar et al., ECCV 2020, section 5.

Graphs that mean the same (converses exchanged, implied relations added) should give as good a layout as the graph
itself; a few wrong relations should not spoil it, least of all where the others contradict them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from scenograph.evaluation.figure import Figure, ratio_figure, undefined
from scenograph.evaluation.layouts import without_attributes, without_layout
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.session import BATCH, Evaluation, Progress
from scenograph.scenes.canonical import agreed, implied, turned
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import layout_figures_of_scenes
from scenograph.scenes.vocabulary import Vocabulary

NOISE = 0.1
SCENES = 96
"""How many of the first scenes are asked for."""

MEANINGS = {
    "graph": "overlap with the true boxes, graphs as they are",
    "equivalent": "the same for graphs that say the same in other words",
    "noisy": f"the same with {NOISE:.0%} of the predicates exchanged for random ones",
    "agreed": "the same without those that the others outvote",
}


class RobustnessMetric(Metric):
    """Overlap with true boxes for other forms of the same graphs."""

    title = "Robustness to the wording of graphs"
    needs = frozenset({"predicted boxes"})
    order = 80
    headline = ("box_iou_equivalent",)
    unrefined = "no boxes show the wrong graphs that robustness asks for"

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The overlap for each form of the graphs."""
        place, layouts = evaluation.subject.place, evaluation.layouts
        scenes = [scene for chunk in range(layouts.chunks_of(SCENES)) for scene in layouts.scenes(chunk)]
        true = [scene for scene in scenes if scene.relations][:SCENES]
        if place is None:
            return []
        if not true:
            why = "no scene has relations that could be worded otherwise"
            return [undefined(f"box_iou_{name}", meaning, why, share=True) for name, meaning in MEANINGS.items()]

        def in_batches(scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Scene]:
            starts = range(0, len(scenes), BATCH)
            parts = [place(scenes[start : start + BATCH], seeds[start : start + BATCH]) for start in starts]
            return without_attributes([scene for part in parts for scene in part])

        asked = [without_layout(scene) for scene in true]
        found = robustness(in_batches, asked, without_attributes(true), layouts.vocabulary)
        return [ratio_figure(f"box_iou_{name}", sums, counts, MEANINGS[name]) for name, (sums, counts) in found.items()]


def robustness(
    place: Callable[[Sequence[Scene], Sequence[int]], list[Scene]],
    scenes: Sequence[Scene],
    true: Sequence[Scene],
    vocabulary: Vocabulary,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per scene, sums and counts of the overlap with true boxes of what ``place`` makes of four forms of its graph."""
    forms: dict[str, list[Scene]] = {"graph": list(scenes), "equivalent": [], "noisy": []}
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng([17, number])
        forms["equivalent"].append(equivalent(scene, vocabulary, rng))
        forms["noisy"].append(noisy(scene, vocabulary, rng))
    forms["agreed"] = agreed(forms["noisy"], say=False)
    seeds = range(len(scenes))
    return {
        name: layout_figures_of_scenes(place(asked, seeds), true, vocabulary)["box_iou"]
        for name, asked in forms.items()
    }


def equivalent(scene: Scene, vocabulary: Vocabulary, rng: np.random.Generator) -> Scene:
    """Half of the relations said the other way round, and half of those that they imply added."""
    known = set(vocabulary.predicates)
    said = []
    for relation in scene.relations:
        other = turned(relation)
        said.append(other if other is not None and other.predicate in known and rng.random() < 0.5 else relation)
    added = [relation for relation in implied(scene.relations) if rng.random() < 0.5]
    return replace(scene, relations=(*said, *added))


def noisy(scene: Scene, vocabulary: Vocabulary, rng: np.random.Generator) -> Scene:
    """Some predicates exchanged for others of the vocabulary that scenes use."""
    names = [name for name in vocabulary.predicates if not name.startswith("__")]
    relations = tuple(
        replace(relation, predicate=str(rng.choice([name for name in names if name != relation.predicate])))
        if len(names) > 1 and rng.random() < NOISE
        else relation
        for relation in scene.relations
    )
    return replace(scene, relations=relations)
