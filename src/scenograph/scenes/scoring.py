"""How good a layout is: its agreement with true boxes and with the scene's relations, and its plausibility."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import CONTACTS, box_area, box_iou, is_region, relation_holds
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

Figures = dict[str, tuple[np.ndarray, np.ndarray]]
"""For each figure, a sum per picture (N,) and the number of things it is over (N,)."""


def layout_figures(boxes: Tensor, batch: SceneBatch, vocabulary: Vocabulary) -> Figures:
    """The figures of predicted boxes (O, 4) against a batch with true boxes.

    ``box_iou``: mean intersection over union with the true boxes; ``box_iou_with_image``: the same with the picture
    itself as one more box, as sg2im's and Canonical Sg2Im's tables have it; ``recall_0.3``, ``recall_0.5``: the
    share of boxes above that IoU (sg2im section 5.4); ``relations``: the share of the scene's relations that the
    boxes show; ``collisions``: the share of objects that another object of the scene covers by over three quarters,
    regions such as the sky apart.
    """
    predicted, true = boxes.cpu().numpy(), batch.boxes.cpu().numpy()
    owner, triples = batch.object_to_image.cpu().numpy(), batch.triples.cpu().numpy()
    iou = box_iou(predicted, true)
    holds, decided = relations_hold(predicted, triples, vocabulary)
    covered = coverage(predicted, owner) > 0.75
    sums, counts = per_picture(iou, owner, batch.num_images)
    return {
        "box_iou": (sums, counts),
        "box_iou_with_image": (sums + 1, counts + 1),
        "recall_0.3": per_picture(iou > 0.3, owner, batch.num_images),
        "recall_0.5": per_picture(iou > 0.5, owner, batch.num_images),
        "relations": per_picture(holds[decided], owner[triples[decided, 0]], batch.num_images),
        "collisions": per_picture(covered, owner, batch.num_images),
    }


def per_picture(values: np.ndarray, owner: np.ndarray, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums (N,) and counts (N,) of values (K,) by the picture (K,) that each belongs to."""
    sums = np.bincount(owner, weights=values.astype(np.float64), minlength=pictures)
    return sums, np.bincount(owner, minlength=pictures).astype(np.float64)


def totals(figures: Figures) -> dict[str, tuple[float, float]]:
    """Over all pictures."""
    return {name: (float(sums.sum()), float(counts.sum())) for name, (sums, counts) in figures.items()}


def layout_figures_of_scenes(predicted: Sequence[Scene], true: Sequence[Scene], vocabulary: Vocabulary) -> Figures:
    """:func:`layout_figures` of scenes with all boxes."""
    boxes = SceneBatch.from_scenes(predicted, vocabulary).boxes
    return layout_figures(boxes, SceneBatch.from_scenes(true, vocabulary), vocabulary)


def layout_costs(boxes: Tensor, batch: SceneBatch, vocabulary: Vocabulary) -> np.ndarray:
    """The cost of boxes (O, 4) for each picture, from 0 (best) up: (N,).

    A relation that does not hold costs 1; an object costs the share of its box, beyond a third, that another covers
    that it has no contact with: a rider lies over a mount.
    """
    predicted, owner, triples = (values.cpu().numpy() for values in (boxes, batch.object_to_image, batch.triples))
    holds, decided = relations_hold(predicted, triples, vocabulary)
    broken, _ = per_picture(decided & ~holds, owner[triples[:, 0]], batch.num_images)
    contacts = [number for number, name in enumerate(vocabulary.predicates) if name in CONTACTS]
    touching = triples[np.isin(triples[:, 1], contacts)][:, [0, 2]]
    covered, _ = per_picture(np.clip(coverage(predicted, owner, touching) - 1 / 3, 0, None), owner, batch.num_images)
    return broken + covered


def relations_hold(boxes: np.ndarray, triples: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """For each triple whether the boxes show it (T,), and whether geometry can decide it (T,), both bool."""
    subject, predicate, target = triples.T
    holds, decided = np.zeros(len(triples), dtype=bool), np.zeros(len(triples), dtype=bool)
    for number in np.unique(predicate):
        rows = np.flatnonzero((predicate == number) & (subject != target))
        answers = relation_holds(vocabulary.predicates[number], boxes[subject[rows]], boxes[target[rows]])
        if answers is not None:
            holds[rows], decided[rows] = answers, True
    return holds, decided


def coverage(boxes: np.ndarray, object_to_image: np.ndarray, touching: np.ndarray | None = None) -> np.ndarray:
    """For each object, the largest share of its box (0 to 1) that the box of another one in its picture covers: (O,).

    Regions, in which things are, neither cover nor are covered, and the pairs of objects that ``touching`` (K, 2) names
    do not cover each other. Objects are in the order of their pictures.
    """
    largest = np.zeros(len(boxes))
    pairs = np.zeros((0, 2), dtype=int) if touching is None else np.concatenate([touching, touching[:, ::-1]])
    for rows in np.split(np.arange(len(boxes)), np.flatnonzero(np.diff(object_to_image)) + 1):
        one, other = boxes[rows, None], boxes[None, rows]
        corners = [np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])]
        shared = box_area(np.concatenate(corners, axis=-1)) / np.maximum(box_area(one), 1e-9)
        np.fill_diagonal(shared, 0.0)
        regions = is_region(boxes[rows])
        shared[regions | regions[:, None]] = 0.0
        first, second = (pairs[np.isin(pairs[:, 0], rows)] - rows[:1]).T
        shared[first, second] = 0.0
        largest[rows] = shared.max(axis=1, initial=0.0)
    return largest
