"""How good a layout is: agreement with true boxes, with the asked relations, and plausibility."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.geometry import box_area, box_iou, relation_holds
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary


def layout_figures(boxes: Tensor, batch: SceneBatch, vocabulary: Vocabulary) -> dict[str, tuple[float, float]]:
    """Sums and counts of the figures of predicted boxes (O, 4) for a batch with true boxes.

    ``box_iou``: mean intersection over union with the true boxes; ``recall_0.3``, ``recall_0.5``: the share
    above that IoU (sg2im section 5.4); ``relations``: the share of asked relations that the boxes show;
    ``collisions``: the share of objects that another object of the scene covers by more than three quarters.
    """
    predicted, true = boxes.cpu().numpy(), batch.boxes.cpu().numpy()
    iou = box_iou(predicted, true)
    holds = relations_hold(predicted, batch.triples.cpu().numpy(), vocabulary)
    covered = coverage(predicted, batch.object_to_image.cpu().numpy()) > 0.75
    count = float(len(iou))
    return {
        "box_iou": (float(iou.sum()), count),
        "recall_0.3": (float((iou > 0.3).sum()), count),
        "recall_0.5": (float((iou > 0.5).sum()), count),
        "relations": (float(holds.sum()), float(len(holds))),
        "collisions": (float(covered.sum()), count),
    }


def layout_figures_of_scenes(
    predicted: Sequence[Scene], true: Sequence[Scene], vocabulary: Vocabulary
) -> dict[str, tuple[float, float]]:
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


def relations_hold(boxes: np.ndarray, triples: np.ndarray, vocabulary: Vocabulary) -> np.ndarray:
    """For the triples whose predicate geometry can decide: whether the boxes show it. (T',) bool."""
    results = []
    for subject, predicate, target in triples:
        if subject == target:
            continue
        holds = relation_holds(vocabulary.predicates[predicate], boxes[subject], boxes[target])
        if holds is not None:
            results.append(bool(holds))
    return np.array(results, dtype=bool)


def coverage(boxes: np.ndarray, object_to_image: np.ndarray) -> np.ndarray:
    """For each object, the largest share of its box (0 to 1) that one other box of its picture covers: (O,)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = box_area(np.concatenate([low, high], axis=-1)) / np.maximum(box_area(boxes), 1e-9)[:, None]
    shared[(object_to_image[:, None] != object_to_image[None]) | np.eye(len(boxes), dtype=bool)] = 0.0
    result: np.ndarray = shared.max(axis=1, initial=0.0)
    return result
