"""The cost of layouts: relations that do not hold, and objects that cover each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.scoring import coverage, layout_costs, layout_figures, relations_hold
from scenograph.scenes.vocabulary import Vocabulary

NAMES = Vocabulary(("grass", "horse", "person"), ("riding", "standing on", "behind", "looking at"))
GRASS, HORSE, RIDER = (0.0, 0.5, 1.0, 1.0), (0.3, 0.5, 0.7, 0.9), (0.4, 0.35, 0.6, 0.75)
RELATIONS = (Relation(2, "riding", 1), Relation(1, "standing on", 0), Relation(2, "looking at", 1))


def cost(*boxes, relations=RELATIONS):
    scene = Scene(tuple(map(SceneObject, ("grass", "horse", "person"))), relations)
    batch = SceneBatch.from_scenes([scene], NAMES)
    return float(layout_costs(torch.tensor(boxes, dtype=torch.float32), batch, NAMES)[0])


def test_contact_counts_when_the_best_layout_is_kept():
    assert cost(GRASS, HORSE, RIDER) == 0
    assert cost(GRASS, (0.3, 0.1, 0.7, 0.45), (0.4, 0.0, 0.6, 0.3)) == 1  # a horse above the grass
    assert cost(GRASS, HORSE, (0.1, 0.6, 0.25, 0.9)) == 1  # a person beside the horse


def test_what_has_contact_does_not_cover_and_regions_never_do():
    alone = RELATIONS[1:]
    covered = 0.2 * 0.25 / (0.2 * 0.4) - 1 / 3
    assert cost(GRASS, HORSE, RIDER, relations=alone) == pytest.approx(covered, abs=1e-6)
    boxes = np.array([GRASS, HORSE, RIDER])
    owner = np.zeros(3, dtype=int)
    np.testing.assert_allclose(coverage(boxes, owner), [0, 0.25 / 0.8, 0.625], atol=1e-6)
    np.testing.assert_allclose(coverage(boxes, owner, np.array([[2, 1]])), 0)
    twice = coverage(np.concatenate([boxes, boxes]), np.repeat([0, 1], 3), np.array([[4, 5]]))
    np.testing.assert_allclose(twice, [0, 0.25 / 0.8, 0.625, 0, 0, 0], atol=1e-6)


def test_figures_decide_contact_and_leave_regions_out_of_collisions():
    things = zip(("grass", "horse", "person"), (GRASS, HORSE, RIDER), strict=True)
    scene = Scene(tuple(SceneObject(name, box=box) for name, box in things), RELATIONS)
    batch = SceneBatch.from_scenes([scene], NAMES)
    figures = layout_figures(batch.boxes, batch, NAMES)
    assert figures["relations"] == (2, 2) and figures["collisions"] == (0, 3)
    holds, decided = relations_hold(batch.boxes.numpy(), batch.triples.numpy(), NAMES)
    assert holds.tolist() == [True, True, False] and decided.tolist() == [True, True, False]
