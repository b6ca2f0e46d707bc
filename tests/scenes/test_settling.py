"""What is in the sea is not hidden by the meadow before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.settling import MARGIN, settle_regions

SEA, GRASS = SceneObject("sea", box=(0, 0.3, 1, 0.8)), SceneObject("grass", box=(0, 0.4, 1, 1))
BOAT, SHEEP = SceneObject("boat", box=(0.2, 0.3, 0.4, 0.5)), SceneObject("sheep", box=(0.5, 0.5, 0.7, 0.7))
SCENE = Scene((SEA, GRASS, BOAT, SHEEP), (Relation(2, "in", 0), Relation(3, "standing on", 1)))


def boxes(scene):
    return [thing.box for thing in scene.objects]


def test_a_meadow_begins_below_the_boat():
    settled = boxes(settle_regions(SCENE, [True] * 4))
    assert settled == [SEA.box, (0, 0.5 + MARGIN, 1, 1), BOAT.box, SHEEP.box]


def test_the_sea_reaches_to_the_meadow():
    small = Scene((replace(SEA, box=(0, 0.3, 1, 0.45)), *SCENE.objects[1:]), SCENE.relations)
    assert boxes(settle_regions(small, [True] * 4))[:2] == [(0, 0.3, 1, 0.5 + 2 * MARGIN), (0, 0.5 + MARGIN, 1, 1)]


def test_a_boat_that_is_lower_than_the_sheep_comes_up():
    low = Scene((SEA, GRASS, replace(BOAT, box=(0.2, 0.5, 0.4, 0.75)), SHEEP), SCENE.relations)
    _, grass, boat, sheep = boxes(settle_regions(low, [True] * 4))
    assert boat[3] < grass[1] < sheep[3] and boat[3] - boat[1] == pytest.approx(0.25)
    assert boxes(settle_regions(low, [True, True, False, True])) == boxes(low)
    told = replace(low, relations=(*low.relations, Relation(2, "below", 3)))
    assert boxes(settle_regions(told, [True] * 4)) == boxes(told)


def test_given_boxes_stay():
    assert boxes(settle_regions(SCENE, [True, False, True, True])) == boxes(SCENE)
