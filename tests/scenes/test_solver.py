"""Layouts that keep their word."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenograph import Pipeline
from scenograph.errors import UserError
from scenograph.scenes.geometry import CONVERSES, relation_holds
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.scoring import coverage
from scenograph.scenes.solver import check_relations, refine, relations_shown
from scenograph.scenes.text import scene_from_text


def random_boxes(rng, count, largest=0.25):
    low = rng.uniform(0, 1 - largest, (count, 2))
    return np.concatenate([low, low + rng.uniform(0.06, largest, (count, 2))], axis=1)


def scene_of(boxes, relations):
    return Scene(tuple(SceneObject("cube", box=tuple(box)) for box in boxes.tolist()), tuple(relations))


def named_contradiction(boxes, relations, free=None):
    """The relations that the error names, of which all but any one can be shown."""
    with pytest.raises(UserError) as caught:
        refine(scene_of(boxes, relations), free)
    named = [relations[int(number)] for number in re.findall(r"\[(\d+)\]", str(caught.value))]
    with pytest.raises(UserError):
        refine(scene_of(boxes, named), free)
    for left_out in range(len(named)):
        refine(scene_of(boxes, named[:left_out] + named[left_out + 1 :]), free)
    return named


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 16), st.integers(0, 2**20))
def test_every_graph_that_some_layout_shows_is_kept(count, seed):
    rng = np.random.default_rng(seed)
    true, boxes = random_boxes(rng, count), random_boxes(rng, count)
    relations = []
    for _ in range(3 * count):
        i, j = (int(n) for n in rng.choice(count, 2, replace=False))
        predicate = str(rng.choice(list(CONVERSES)))
        if relation_holds(predicate, true[i], true[j]):
            relations.append(Relation(i, predicate, j))
    refined = refine(scene_of(boxes, relations))
    assert relations_shown(refined)[0] == len(relations)
    after = np.array([thing.box for thing in refined.objects])
    assert after.min() >= -1e-9 and after.max() <= 1 + 1e-9 and (after[:, 2:] > after[:, :2]).all()


def test_all_that_a_layout_shows_is_kept_however_much_it_is():
    """Most of it follows from the rest, and is not asked for by itself."""
    rng = np.random.default_rng(5)
    true, boxes = random_boxes(rng, 40), random_boxes(rng, 40)
    pairs = [(i, name, j) for i in range(40) for j in range(40) if i != j for name in CONVERSES]
    relations = [Relation(i, name, j) for i, name, j in pairs if relation_holds(name, true[i], true[j])]
    assert len(relations) > 5000 and relations_shown(refine(scene_of(boxes, relations)))[0] == len(relations)


def test_a_good_layout_stays_as_it_is():
    boxes = np.array([[0.1, 0.1, 0.3, 0.3], [0.6, 0.6, 0.9, 0.9]])
    scene = scene_of(boxes, [Relation(0, "left of", 1), Relation(0, "looking at", 1)])
    np.testing.assert_allclose([thing.box for thing in refine(scene).objects], boxes, atol=1e-9)


def test_contact_and_depth_are_kept():
    """All that a graph of a meadow says, from boxes that show none of it."""
    grass, horse, rider, tree, dog, cup = range(6)
    boxes = np.array(
        [
            (0.0, 0.5, 1.0, 1.0),
            (0.1, 0.2, 0.4, 0.4),
            (0.7, 0.6, 0.8, 0.9),
            (0.5, 0.6, 0.7, 0.98),
            (0.8, 0.1, 0.9, 0.2),
            (0.0, 0.0, 0.1, 0.1),
        ]
    )
    relations = [
        Relation(horse, "standing on", grass),
        Relation(rider, "riding", horse),
        Relation(tree, "behind", horse),
        Relation(dog, "next to", horse),
        Relation(dog, "on", grass),
        Relation(dog, "in front of", tree),
        Relation(rider, "holding", cup),
    ]
    scene = scene_of(boxes, relations)
    assert relations_shown(scene)[0] < 3
    refined = refine(scene)
    assert relations_shown(refined) == (7, 7)
    after = np.array([thing.box for thing in refined.objects])
    assert after.min() >= 0 and after.max() <= 1
    np.testing.assert_allclose(after[grass], boxes[grass], atol=1e-6)
    again = np.array([thing.box for thing in refine(refined).objects])
    assert np.abs(again - after).max() < 0.05  # a layout that shows all hardly moves


def test_things_may_lie_in_regions_and_where_the_scene_has_them():
    boxes = np.array([(0.0, 0.0, 1.0, 0.5), (0.4, 0.2, 0.6, 0.4), (0.0, 0.6, 0.4, 0.9), (0.1, 0.65, 0.3, 0.75)])
    after = np.array([t.box for t in refine(scene_of(boxes, [Relation(3, "on", 2)])).objects])
    np.testing.assert_allclose(after, boxes, atol=1e-6)
    apart = np.array([t.box for t in refine(scene_of(boxes, [])).objects])
    np.testing.assert_allclose(apart[:2], boxes[:2], atol=1e-6)
    assert coverage(apart[2:], np.zeros(2, dtype=int)).max() <= 0.501


def test_contact_that_fixed_boxes_cannot_show_is_named():
    boxes = np.array([(0.0, 0.5, 1.0, 1.0), (0.1, 0.1, 0.2, 0.3)])
    with pytest.raises(UserError, match=r"contradict each other: \[0\] cube \(1\) standing on cube \(0\)"):
        refine(scene_of(boxes, [Relation(1, "standing on", 0)]), [False, False])
    open_scene = Scene(
        (SceneObject("grass"), SceneObject("cube")), (Relation(1, "standing on", 0), Relation(1, "below", 0))
    )
    check_relations(open_scene)  # grass may become wide enough to stand in the lower half of it


def test_objects_are_told_apart_with_the_least_movement():
    boxes = np.array([[0.4, 0.4, 0.6, 0.6], [0.42, 0.4, 0.62, 0.6], [0.41, 0.41, 0.6, 0.6], [0.1, 0.1, 0.2, 0.2]])
    refined = np.array([thing.box for thing in refine(scene_of(boxes, [])).objects])
    assert coverage(refined, np.zeros(4, dtype=int)).max() <= 0.51
    np.testing.assert_allclose(refined[3], boxes[3], atol=1e-9)
    np.testing.assert_allclose(refined[:, 2:] - refined[:, :2], boxes[:, 2:] - boxes[:, :2], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_heaps_are_spread(seed):
    """As a regressed layout of a crowd is: all near one place, in a row that is told."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0.4, 0.45, (20, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.06, 0.2, (20, 2))], axis=1)
    told = [Relation(i, str(rng.choice(["left of", "behind"])), i + 1) for i in range(19)]
    assert (coverage(boxes, np.zeros(20, dtype=int)) > 0.5).mean() > 0.8
    refined = refine(scene_of(boxes, told))
    assert relations_shown(refined)[0] == 19
    after = np.array([thing.box for thing in refined.objects])
    assert coverage(after, np.zeros(20, dtype=int)).max() <= 0.501


def test_boxes_in_one_place_find_room_along_both_axes():
    """More than fit into one row, in which all would be told apart first, as wide as they must be."""
    boxes = np.array([[0, 0, 0.2, 0.2]] + 12 * [[0.35, 0.35, 0.6, 0.65]])
    told = [Relation(i, "wider than", 0) for i in range(1, 13)]
    refined = refine(scene_of(boxes, told), [False] + 12 * [True])
    after = np.array([thing.box for thing in refined.objects])
    assert relations_shown(refined)[0] == 12 and after.min() >= 0 and after.max() <= 1
    assert coverage(after, np.zeros(13, dtype=int)).max() <= 0.501


def test_what_cannot_be_told_apart_stays_where_it_is():
    boxes = np.array([[0, 0, 1, 1], [0.1, 0.6, 0.3, 0.8], [0.4, 0.3, 0.6, 0.5], [0.41, 0.3, 0.61, 0.5]])
    after = np.array([t.box for t in refine(scene_of(boxes, []), [False, True, True, True]).objects])
    np.testing.assert_allclose(after[:2], boxes[:2], atol=1e-5)
    assert coverage(after[1:], np.zeros(3, dtype=int)).max() <= 0.501


def test_inside_shrinks_only_what_must():
    boxes = np.array([[0.0, 0.0, 0.8, 0.8], [0.5, 0.5, 0.7, 0.7]])
    first, second = (np.array(thing.box) for thing in refine(scene_of(boxes, [Relation(0, "inside", 1)])).objects)
    assert relation_holds("inside", first, second)


def test_fixed_boxes_stay():
    boxes = np.array([[0.5, 0.1, 0.7, 0.3], [0.2, 0.1, 0.4, 0.3]])
    scene = scene_of(boxes, [Relation(0, "left of", 1)])
    refined = refine(scene, [False, True])
    assert refined.objects[0].box == scene.objects[0].box and relations_shown(refined)[0] == 1
    with pytest.raises(
        UserError, match=r"\[0\] cube \(0\) left of cube \(1\); drop one of them, or give boxes more room"
    ):
        refine(scene, [False, False])


def test_contradictions_are_named_and_nothing_else():
    relations = [
        Relation(0, "left of", 1), Relation(2, "above", 3), Relation(1, "left of", 2), Relation(0, "above", 3),
        Relation(2, "left of", 0),
    ]  # fmt: skip
    with pytest.raises(UserError) as caught:
        refine(scene_of(random_boxes(np.random.default_rng(0), 4), relations))
    message = str(caught.value)
    assert all(f"[{number}]" in message for number in (0, 2, 4)) and "[1]" not in message and "[3]" not in message


def test_what_is_named_contradicts_itself_and_less_of_it_does_not():
    rng = np.random.default_rng(1)
    boxes, true = (random_boxes(rng, 50) for _ in range(2))
    ends = [tuple(int(i) for i in np.argsort(true[:, axis])[[-1, 0]]) for axis in (0, 1)]
    pairs = [(i, j) for i in range(50) for j in range(50) if i != j]
    relations = [Relation(ends[0][0], "left of", ends[0][1])]
    relations += [
        Relation(i, name, j)
        for i, j in pairs
        for name in ("left of", "above")
        if relation_holds(name, true[i], true[j])
    ]
    relations += [Relation(ends[1][0], "above", ends[1][1])]
    assert 2 <= len(named_contradiction(boxes, relations)) <= 4
    # Alone, what lies at the border cannot be inside anything; which of the demands of "inside" fails is all the same.
    boxes = np.array([[0, 0.5, 0.1, 0.6], [0.4, 0.6, 0.5, 0.7]])
    relations = [Relation(0, "inside", 1), Relation(1, "left of", 0)]
    assert named_contradiction(boxes, relations, [False, True]) == relations[:1]


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 10), st.integers(0, 2**20))
def test_refined_boxes_show_all_or_what_is_named_cannot_be_shown(count, seed):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 8, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 3, (count, 2))], axis=1) / 10  # with edges in common
    free = (rng.random(count) < rng.choice([0.3, 0.8])).tolist()
    ends = [rng.choice(count, 2, replace=False).tolist() for _ in range(int(rng.integers(1, 3 * count)))]
    relations = [Relation(i, str(rng.choice(list(CONVERSES))), j) for i, j in ends]
    try:
        refined = refine(scene_of(boxes, relations), free)
    except UserError:
        named_contradiction(boxes, relations, free)
    else:
        assert relations_shown(refined)[0] == len(relations)


def test_relations_are_checked_before_there_are_boxes():
    cubes = (SceneObject("cube"),) * 60
    row = tuple(Relation(i, "smaller than", i + 1) for i in range(59))
    check_relations(Scene(cubes, row))
    with pytest.raises(UserError, match=r"^scene 3, relationships contradict each other: \[0\].*\[1\].*\[2\] cube"):
        check_relations(Scene(cubes, (*row[:2], Relation(2, "smaller than", 0))), "scene 3, ")
    fixed = (SceneObject("cube", box=(0.0, 0.0, 0.2, 0.2)), SceneObject("cube"))
    with pytest.raises(UserError, match="or give boxes more room"):
        check_relations(Scene(fixed, (Relation(1, "left of", 0), Relation(1, "surrounding", 0))))


def test_boxes_are_needed():
    assert refine(Scene(())).objects == ()
    with pytest.raises(UserError, match="needs a box"):
        refine(Scene((SceneObject("cube"),)))


def test_pictures_of_refined_layouts():
    pipe = Pipeline.from_pretrained(device="cpu")
    words = "red cube left of blue sphere; blue sphere left of green cylinder; green cylinder in front of red cube"
    result = pipe(words, seeds=range(6), steps=1, refine=True)
    assert [relations_shown(scene)[0] for scene in result.scenes] == [3] * 6
    with pytest.raises(UserError, match="contradict each other"):
        pipe("red cube left of blue sphere; blue sphere left of red cube", refine=True, steps=1)
    assert scene_from_text(words, pipe.vocabulary).objects[0].box is None


def test_models_need_not_know_what_refining_sees_to():
    pipe = Pipeline.from_pretrained(device="cpu")
    assert "above" not in pipe.vocabulary.predicates
    words = "red sphere above blue cube; red sphere smaller than blue cube; green cylinder taller than blue cube"
    result = pipe(words, seeds=range(3), steps=1, refine=True)
    assert [relations_shown(scene)[0] for scene in result.scenes] == [3] * 3
    boxed = result.scenes[0]
    assert pipe(boxed, steps=1, refine=True).scenes[0].objects[0].box == boxed.objects[0].box
    for asked in (words, boxed):
        with pytest.raises(UserError, match=r"unknown predicate 'above' .*, or let --refine see to it"):
            pipe(asked, steps=1)
    with pytest.raises(UserError, match=r"unknown predicate 'juggling' \(choose from: [^)]*\)"):
        pipe(Scene((SceneObject("cube"),) * 2, (Relation(0, "juggling", 1),)), steps=1, refine=True)
