"""The algebra of canonical scene graphs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scenograph.scenes.canonical import (
    agreed,
    closure,
    complete,
    contradictions,
    fewest,
    implied,
    location_relations,
    minimal,
    outvoted,
    reduction,
)
from scenograph.scenes.geometry import CONVERSES, MEASURES
from scenograph.scenes.scene import Relation, Scene, SceneObject


@pytest.mark.golden
def test_recorded_closures_and_reductions(golden):
    for graph in json.loads((golden / "wsgc" / "canonicalization" / "graph_algebra.json").read_text()):
        adjacency, closed, reduced = (torch.tensor(graph[k]).bool() for k in ("adjacency", "closure", "reduction"))
        assert torch.equal(closure(adjacency), closed)
        assert torch.equal(reduction(adjacency), reduced)
        both = torch.stack([adjacency, adjacency.T])
        assert torch.equal(closure(both), torch.stack([closed, closed.T]))
        assert torch.equal(reduction(both)[0], reduced)


@pytest.mark.golden
def test_recorded_location_graphs(golden):
    data = json.loads((golden / "wsgc" / "canonicalization" / "augment_examples.json").read_text())
    names = [name.strip("_") for name in data["vocab"]["pred_idx_to_name"]]
    for example in data["examples"]:
        centres = [tuple(centre) for centre in example["centers"]]
        boxes = [(x, y, x + w, y + h) for x, y, w, h in example["boxes_xywh"][: len(centres)]]
        found = location_relations(boxes, centres)
        assert [[r.subject, names.index(r.predicate), r.object] for r in found] == example["location_triplets"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20), st.booleans())
def test_minimal_graphs_imply_what_was_left_out(pairs, rising):
    # From smaller to larger numbers there is no cycle.
    ends = [(min(pair), max(pair)) if rising else pair for pair in pairs if pair[0] != pair[1]]
    relations = [Relation(i, "left of", j) for i, j in dict.fromkeys(ends)]
    fewest = minimal(relations)

    def everything(these):
        return {(r.subject, r.object) for r in (*these, *implied(these))}

    assert everything(fewest) == everything(relations) and set(fewest) <= set(relations)
    if rising:
        for number in range(len(fewest)):
            assert everything(fewest[:number] + fewest[number + 1 :]) != everything(relations), "one is not needed"


SPATIAL = st.tuples(st.integers(0, 5), st.sampled_from([*CONVERSES, "near"]), st.integers(0, 5))


@settings(max_examples=100, deadline=None)
@given(st.lists(SPATIAL, max_size=25), st.randoms(use_true_random=False))
def test_graphs_that_mean_the_same_have_one_canonical_form(triples, random):
    relations = [Relation(*triple) for triple in triples if triple[0] != triple[2]]
    whole, small = complete(relations), fewest(relations)
    assert {*relations} <= {*whole} and len(small) <= len({*relations})
    assert complete(small) == complete(whole) == whole
    assert all(r.predicate in (*MEASURES, "near") for r in small)
    # Said in other words: any relations that include the fewest and hold.
    others = [r for r in whole if r in small or random.random() < 0.5]
    random.shuffle(others)
    turned = [Relation(r.object, CONVERSES[r.predicate], r.subject) if r.predicate in CONVERSES else r for r in small]
    assert complete(others) == complete(turned) == whole
    if contradictions(relations) == ([], []):
        assert fewest(others) == fewest(turned) == fewest(whole) == small


def test_canonical_forms_use_only_the_names_there_are():
    chain = [Relation(1, "right of", 0), Relation(2, "right of", 1)]
    assert complete(chain, ("right of",)) == [*chain[:1], Relation(2, "right of", 0), *chain[1:]]
    assert fewest([*chain, Relation(2, "right of", 0)], ("right of",)) == chain
    assert fewest(chain) == [Relation(0, "left of", 1), Relation(1, "left of", 2)]


def test_relations_without_transitivity_stay():
    riding = Relation(0, "riding", 1)
    assert minimal([riding, Relation(0, "left of", 1)]) == [riding, Relation(0, "left of", 1)]
    assert implied([riding, Relation(1, "riding", 2)]) == []


def test_edges_that_lead_back_are_outvoted():
    votes = torch.zeros(4, 6, 6)
    votes[0] = torch.ones(6, 6).triu(1)  # an order, all of it stated, and two edges against it
    votes[0, 4, 0] = votes[0, 5, 3] = 1
    votes[1, [0, 1, 2], [1, 2, 0]] = 1  # a circle: who is wrong?
    votes[2, [0, 1, 2], [1, 2, 0]] = torch.tensor([2.0, 1.0, 2.0])
    votes[3, [0, 2], [1, 3]] = 1  # no cycle
    wrong = outvoted(votes)
    assert wrong.nonzero().tolist() == [[0, 4, 0], [0, 5, 3], [2, 1, 2]]
    assert torch.equal(wrong, torch.stack([outvoted(graph) for graph in votes]))


def test_most_wrong_relations_of_a_whole_order_are_found():
    size, stated = 24, 5
    before, after = (torch.from_numpy(part) for part in np.triu_indices(size, 1))  # the order is 0, 1, 2, ...
    flipped = torch.rand((stated, len(before)), generator=torch.Generator().manual_seed(0)) < 0.1
    votes = torch.zeros(stated, size, size)
    votes[:, before, after], votes[:, after, before] = (~flipped).float(), flipped.float()
    found = outvoted(votes)
    assert (found.sum(dim=(1, 2)) <= flipped.sum(dim=1)).all()  # an order that fewer contradict may be found
    assert found[:, after, before].sum() > 0.65 * flipped.sum() and found[:, before, after].sum() < 0.15 * flipped.sum()


def test_contradictions_are_found_whichever_way_they_are_said():
    chain_and_back = [Relation(0, "left of", 1), Relation(2, "right of", 1), Relation(0, "left of", 2)]
    chain_and_back += [Relation(0, "above", 2), Relation(0, "holding", 1), Relation(1, "holding", 0)]
    assert contradictions(chain_and_back) == ([], [])
    assert contradictions([*chain_and_back, Relation(0, "right of", 2)]) == ([6], [])
    assert contradictions([*chain_and_back, Relation(1, "right of", 2)]) == ([], [1, 6])
    assert contradictions([Relation(2, "left of", 0), *chain_and_back, Relation(2, "right of", 0)]) == ([0], [])
    assert contradictions([Relation(1, "above", 0), Relation(1, "below", 0)]) == ([], [0, 1])
    assert contradictions([]) == ([], [])
    things = tuple(SceneObject("cube") for _ in range(3))
    told = Scene(things, (*chain_and_back, Relation(0, "right of", 2)))
    assert agreed([told])[0].relations == tuple(chain_and_back)
