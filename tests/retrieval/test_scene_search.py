"""Vectors of scenes, and how well scenes answer queries."""

from __future__ import annotations

import numpy as np
import pytest

from scenograph.retrieval.matching import match
from scenograph.retrieval.scene_vectors import SIZE, encode_layouts
from scenograph.scenes.scene import Relation, Scene, SceneObject


def thing(name, x=None, y=None, side=0.2, *attributes):
    box = None if x is None else (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    return SceneObject(name, attributes, box)


DOG_LEFT = Scene((thing("dog", 0.2, 0.6), thing("tree", 0.7, 0.5)))
DOG_RIGHT = Scene((thing("dog", 0.8, 0.6), thing("tree", 0.3, 0.5)))
CAT_LEFT = Scene((thing("cat", 0.2, 0.6), thing("tree", 0.7, 0.5)))


def test_vectors_have_length_one_and_do_not_depend_on_the_batch():
    vectors = encode_layouts([DOG_LEFT, DOG_RIGHT, Scene(())])
    assert vectors.shape == (3, SIZE) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(encode_layouts([DOG_RIGHT])[0], vectors[1])


def test_nearer_places_and_same_categories_are_nearer():
    near = Scene((thing("dog", 0.25, 0.6), thing("tree", 0.7, 0.55)))
    query, *others = encode_layouts([DOG_LEFT, near, CAT_LEFT, DOG_RIGHT])
    likeness = [float(query @ other) for other in others]
    assert likeness[0] > 0.85 and likeness[0] > likeness[1] > likeness[2] > 0.2


def test_the_inner_product_is_a_gaussian_of_the_distance():
    moved = [Scene((thing("dog", 0.3 + step, 0.5),)) for step in (0.0, 0.15, 0.3, 0.6)]
    vectors = encode_layouts(moved)
    expected = 0.3 + 0.7 * np.exp(-((np.array([0.0, 0.15, 0.3, 0.6]) / 0.15) ** 2) / 2)
    np.testing.assert_allclose(vectors @ vectors[0], expected, atol=0.15)  # of 192 random frequencies


def test_objects_without_boxes_are_found_by_their_names():
    query = encode_layouts([Scene((thing("dog"), thing("tree")))])[0]
    scores = encode_layouts([DOG_LEFT, DOG_RIGHT, CAT_LEFT, Scene((thing("car", 0.5, 0.5),))]) @ query
    assert scores[0] == pytest.approx(scores[1], abs=1e-6) and scores[0] > scores[2] > scores[3]


def test_objects_are_matched_one_to_one():
    query = Scene((thing("dog", 0.7, 0.6), thing("dog", 0.2, 0.6)))
    found = match(query, Scene((thing("dog", 0.2, 0.6), thing("dog", 0.72, 0.6), thing("tree", 0.5, 0.5))), {})
    assert [(one, other) for one, other, _ in found.pairs] == [(0, 1), (1, 0)]
    assert match(query, DOG_LEFT, {}).score < 0.6 < 0.95 < found.score


def test_relations_decide_where_the_query_has_no_boxes():
    query = Scene((thing("dog"), thing("tree")), (Relation(0, "left of", 1),))
    found, wrong = match(query, DOG_LEFT, {}), match(query, DOG_RIGHT, {})
    assert found.score == 1 and not found.broken
    assert wrong.broken == query.relations and wrong.score == pytest.approx(0.6)
    stored = Scene(DOG_RIGHT.objects, (Relation(0, "chasing", 1),))
    assert not match(Scene(query.objects, (Relation(0, "chasing", 1),)), stored, {}).broken


def test_what_is_asked_for_counts_and_what_is_not_does_not():
    red, blue = (Scene((thing("car", 0.5, 0.5, 0.2, colour),)) for colour in ("red", "blue"))
    query = Scene((SceneObject("car", ("red",)),))
    assert match(query, red, {}).score == 1 > match(query, blue, {}).score
    assert match(Scene((SceneObject("car"),)), blue, {}).score == 1


def test_telling_categories_weigh_more():
    query = Scene((thing("sky"), thing("zebra")))
    weights = {"sky": 0.1, "zebra": 3.0}
    assert match(query, Scene((thing("zebra", 0.5, 0.5),)), weights).score > 0.9
    assert match(query, Scene((thing("sky", 0.5, 0.5),)), weights).score < 0.1
    assert match(query, Scene(()), weights).score == 0
