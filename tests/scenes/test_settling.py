"""What is in the sea is not hidden by the meadow before it."""

from __future__ import annotations

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


def test_given_boxes_and_feet_that_cross_stay():
    assert boxes(settle_regions(SCENE, [True, False, True, True])) == boxes(SCENE)
    crossing = Scene((SEA, GRASS, SceneObject("boat", box=(0.2, 0.5, 0.4, 0.75)), SHEEP), SCENE.relations)
    assert boxes(settle_regions(crossing, [True] * 4)) == boxes(crossing)
