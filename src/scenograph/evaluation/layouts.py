"""How good a layout is: agreement with true boxes, with the asked relations, and plausibility."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_area, box_iou, relation_holds
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

Figures = dict[str, tuple[np.ndarray, np.ndarray]]
"""Per figure and picture: a sum (N,), and the number of things it is over (N,)."""


def layout_figures(boxes: Tensor, batch: SceneBatch, vocabulary: Vocabulary) -> Figures:
    """The figures of predicted boxes (O, 4) for a batch with true boxes.

    ``box_iou``: mean intersection over union with the true boxes; ``box_iou_with_image``: the same with the picture
    itself as one more box, as sg2im's and Canonical Sg2Im's tables have it; ``recall_0.3``, ``recall_0.5``: the
    share of boxes above that IoU (sg2im section 5.4); ``relations``: the share of asked relations that the boxes
    show; ``collisions``: the share of objects that another object of the scene covers by more than three quarters.
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
    """Sums and numbers of values (K,) by the picture (K,) they belong to."""
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
    """How badly the boxes (O, 4) serve each picture, 0 best: (N,).

    One per asked relation that does not hold, and what objects cover of each other beyond a third of one of them.
    """
    predicted, owner = boxes.cpu().numpy(), batch.object_to_image.cpu().numpy()
    costs = np.zeros(batch.num_images)
    np.add.at(costs, owner, np.clip(coverage(predicted, owner) - 1 / 3, 0, None))
    for subject, predicate, target in batch.triples.cpu().numpy():
        holds = relation_holds(vocabulary.predicates[predicate], predicted[subject], predicted[target])
        if holds is not None and not holds and subject != target:
            costs[owner[subject]] += 1.0
    return costs


def relations_hold(boxes: np.ndarray, triples: np.ndarray, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """For each triple whether the boxes show it (T,), and whether geometry can decide it (T,), both bool."""
    holds, decided = np.zeros(len(triples), dtype=bool), np.zeros(len(triples), dtype=bool)
    for row, (subject, predicate, target) in enumerate(triples):
        answer = relation_holds(vocabulary.predicates[predicate], boxes[subject], boxes[target])
        if answer is not None and subject != target:
            holds[row], decided[row] = bool(answer), True
    return holds, decided


def coverage(boxes: np.ndarray, object_to_image: np.ndarray) -> np.ndarray:
    """For each object, the largest share of its box (0 to 1) that one other box of its picture covers: (O,)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = box_area(np.concatenate([low, high], axis=-1)) / np.maximum(box_area(boxes), 1e-9)[:, None]
    shared[(object_to_image[:, None] != object_to_image[None]) | np.eye(len(boxes), dtype=bool)] = 0.0
    result: np.ndarray = shared.max(axis=1, initial=0.0)
    return result
