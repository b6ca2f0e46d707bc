"""Crops are chosen as published when that is asked for, and otherwise so that they suit box, attributes and each other."""

from __future__ import annotations

import itertools
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from scenograph.data.pack import Pack
from scenograph.errors import UserError
from scenograph.retrieval import memory as stored
from scenograph.retrieval.build import build_memory, index_vectors, query_scene
from scenograph.retrieval.encoder import GRAPH
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.nearest import NearestInMemory
from scenograph.retrieval.published import (
    DRAWN,
    NearestCrops,
    export,
    read_bank,
    read_nearest,
    write_bank,
    write_nearest,
)
from scenograph.retrieval.selector import (
    PUBLISHED,
    CropSelector,
    Weights,
    fit_together,
)
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Relation, Scene, SceneObject

BOXES = ((0.1, 0.1, 0.4, 0.4), (0.5, 0.1, 0.8, 0.4), (0.1, 0.5, 0.4, 0.8))
SCENE = Scene(
    (
        SceneObject("cube", ("large", "red", "metal"), BOXES[0]),
        SceneObject("sphere", (), BOXES[1]),
        SceneObject("cube", (), BOXES[2]),
    ),
    (Relation(0, "left of", 1), Relation(2, "right of", 0)),
)


@pytest.fixture(scope="module")
def opened(built_memory) -> CropMemory:
    return CropMemory(built_memory)


def test_the_published_selector_takes_the_nearest_graph_vectors_of_the_category(opened):
    rankings = CropSelector(opened, PUBLISHED).rank(SCENE)
    (vectors,) = opened.encoder.graph_vectors([SCENE])
    for thing, ranking, vector in zip(SCENE.objects, rankings, vectors, strict=True):
        rows = opened.rows(thing.category)
        distances = ((rows.vectors[GRAPH] - vector) ** 2).sum(axis=1)
        assert ranking.ids == rows.ids[np.argsort(distances, kind="stable")[:10]].tolist()


def test_the_own_picture_is_left_out_unless_it_is_allowed(opened, painted):
    row = Pack(painted, "train").rows([5])[0]
    scene, name = query_scene(row), row["id"]
    leaking = CropSelector(opened, PUBLISHED, own="allowed").rank(scene, picture=name)
    assert [ranking.ids[0] for ranking in leaking] == [f"{name}/{number}" for number in range(len(scene.objects))]
    fair = CropSelector(opened, PUBLISHED).rank(scene, picture=name)
    assert not any(one.startswith(f"{name}/") for ranking in fair for one in ranking.ids)


def test_the_published_selector_needs_graph_vectors(painted, crop_encoders, tmp_path):
    build_memory(tmp_path / "m", painted, "train", crop_encoders[1:])
    with pytest.raises(UserError, match="no encoder of it encodes graphs.* --encoder and a sg2im or mise-layout model"):
        CropSelector(CropMemory(tmp_path / "m"), PUBLISHED)


def test_scenes_are_learned_from_with_the_nearest_crops_of_other_pictures(opened, painted):
    row = Pack(painted, "train").rows([5])[0]
    scene, name = query_scene(row), row["id"]
    scene = replace(scene, objects=tuple(replace(thing, crop=None) for thing in scene.objects))
    source = NearestInMemory(opened.folder, 64)
    rankings = CropSelector(opened, PUBLISHED, DRAWN).rank(scene, picture=name)
    seen = [set() for _ in scene.objects]
    for seed in range(30):
        for chosen, thing in zip(seen, source.select(scene, seed, name).objects, strict=True):
            assert thing.crop is not None
            chosen.add(Origin.parse(thing.origin).crop)
    assert [chosen == set(ranking.ids) for chosen, ranking in zip(seen, rankings, strict=True)] == [True] * len(seen)
    lacking = replace(scene, objects=(*scene.objects, SceneObject("zebra", box=BOXES[0])))
    assert source.select(lacking, 0, name).objects[-1].crop is None and source.digest == opened.digest


def test_attributes_shape_pixels_and_size_count_as_far_as_they_are_there(opened, painted):
    red = CropSelector(opened, Weights(graph=0, attributes=1)).rank(SCENE)[0]
    lacking = [len({"large", "red", "metal"} - red.rows.attributes[place]) for place in red.places]
    assert lacking == sorted(lacking) and lacking[0] < 3
    stored_scene, _ = Pack(painted, "train")[2]
    shown = Scene(tuple(replace(thing, box=None, attributes=()) for thing in stored_scene.objects))
    alike = CropSelector(opened, Weights(graph=0)).rank(shown)
    colours = [opened.crops([ranking.ids[0]])[0].pixels[0, 0].tolist() for ranking in alike]
    assert colours == [thing.crop[0, 0].tolist() for thing in stored_scene.objects]
    wide = Scene((SceneObject("cube", box=(0.0, 0.4, 1.0, 0.5)),))
    small, large = (CropSelector(opened, Weights(graph=0), side=side).rank(wide)[0].costs[0] for side in (8, 64))
    assert large - small == pytest.approx(0.5 * 3)  # crops are 8 pixels long
    assert small == pytest.approx(0.5 * np.log(10) ** 2, rel=1e-3)


def test_a_seed_gives_the_same_crops_in_any_company(opened):
    selector = CropSelector(opened, temperature=1.0)
    first = [crop.id for crop in selector.choose(SCENE, 3)]
    assert first == [crop.id for crop in CropSelector(opened, temperature=1.0).choose(SCENE, 3)]
    assert len({tuple(crop.id for crop in selector.choose(SCENE, seed)) for seed in range(8)}) > 4
    best = CropSelector(opened)
    assert len({tuple(crop.id for crop in best.choose(SCENE, seed)) for seed in range(4)}) == 1
    alone = CropSelector(opened, Weights(fit=0), temperature=1.0)
    (kept,) = alone.choose(SCENE, 3, [1])
    assert kept.id == alone.choose(SCENE, 3)[1].id
    seeded = replace(SCENE, objects=(replace(SCENE.objects[0], seed=7), *SCENE.objects[1:]))
    assert len({alone.choose(seeded, seed)[0].id for seed in range(4)}) == 1


def test_the_beam_finds_the_combination_that_fits_best():
    rng = np.random.default_rng(0)
    costs, looks = rng.random((3, 4)), rng.normal(size=(3, 4, 2))

    def total(places):
        sum_ = 0.0
        for number, place in enumerate(places):
            before = [((looks[number, place] - looks[n, places[n]]) ** 2).sum() for n in range(number)]
            sum_ += costs[number, place] + 0.7 * (np.mean(before) if before else 0)
        return sum_

    best = min(itertools.product(range(4), repeat=3), key=total)
    assert tuple(fit_together(list(costs), list(looks), 0.7)) == best  # a beam of 16 holds all pairs
    assert fit_together(list(costs), list(looks), 0.0) == costs.argmin(axis=1).tolist()
    assert fit_together([], [], 1.0) == []


def test_distances_are_those_of_the_vectors(opened):
    rows = opened.rows("cube")
    query = np.random.default_rng(0).normal(size=rows.vectors[GRAPH].shape[1]).astype(np.float32)
    expected = ((rows.vectors[GRAPH].astype(np.float64) - query) ** 2).sum(axis=1)
    assert np.allclose(rows.distances(GRAPH, query), expected, rtol=1e-4)


def test_licences_are_kept_to(opened):
    assert CropSelector(opened, licences=["cc0-1.0", "mit"]).choose(SCENE)
    with pytest.raises(
        UserError, match=r"objects\[1\]: .* no crop of 'sphere' under mit; its crops of it are under CC0"
    ):
        CropSelector(opened, licences=["MIT"]).choose(SCENE, objects=[1])


def test_an_index_finds_what_comparing_with_all_finds(crop_memory, monkeypatch):
    opened = CropMemory(crop_memory)
    exact = CropSelector(opened, PUBLISHED).rank(SCENE)
    monkeypatch.setattr(stored, "INDEXED", 5)
    rows = opened.table.search().limit(None).to_arrow()
    opened.table.add(rows.take(list(range(len(rows))) * 5))
    index_vectors(opened.table, [GRAPH])
    indexed = CropMemory(crop_memory)
    (vectors,) = indexed.encoder.graph_vectors([SCENE])
    found = indexed.candidates("cube", {GRAPH: vectors[0]}, 30)
    assert len(found) < len(indexed.rows("cube")) and len(set(found.ids)) == len(found)
    assert CropSelector(indexed, PUBLISHED).rank(SCENE)[0].ids[0] == exact[0].ids[0]


def test_the_published_files_are_written_and_read(opened, tmp_path):
    assert export(opened, tmp_path) == len(opened)
    names = json.loads((tmp_path / "crop_ids.json").read_text())
    bank, nearest = read_bank(tmp_path / "mem_bank.json"), read_nearest(tmp_path / "top10_crop_ids_L2.pickle")
    assert {name: len(rows) for name, rows in bank.items()} == dict(opened.counts)
    assert all(found[0] == thing and len(found) == 10 for thing, found in nearest.ids.items())
    category = dict(zip(opened.column("id"), opened.column("category"), strict=True))
    assert all(len({category[names[one]] for one in found}) == 1 for found in nearest.ids.values())
    export(opened, tmp_path, "coco")
    listed = pickle.loads((tmp_path / "top10_crop_ids_L2.pickle").read_bytes())
    assert (
        isinstance(listed, list)
        and listed[3] == nearest.ids[3] == read_nearest(tmp_path / "top10_crop_ids_L2.pickle").ids[3]
    )


def test_released_forms_are_read_and_others_refused(tmp_path):
    path = tmp_path / "top10_crop_ids_L2.pickle"
    path.write_bytes(pickle.dumps({"12": [[12, 7, 5]], "7": [[7, 12, 5]]}))
    nearest = read_nearest(path)
    assert nearest.ids == {12: [12, 7, 5], 7: [7, 12, 5]} and nearest.original(12) == 12
    assert nearest.selected(12, None) == 7 and nearest.selected(12, None, own=True) == 12
    drawn = [nearest.selected(12, np.random.default_rng(seed), own=True) for seed in range(300)]
    assert np.mean(np.array(drawn) == 12) == pytest.approx(1 / 3, abs=0.08)
    assert {nearest.selected(12, np.random.default_rng(seed)) for seed in range(20)} == {7, 5}
    write_nearest(path, nearest, "vg")
    assert pickle.loads(path.read_bytes()) == {"12": [[12, 7, 5]], "7": [[7, 12, 5]]}
    with pytest.raises(UserError, match="numbered from 0 without gaps"):
        write_nearest(path, nearest, "coco")
    path.write_bytes(pickle.dumps({"12": "soon"}))
    with pytest.raises(UserError, match="expected the nearest crops of every object"):
        read_nearest(path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(UserError, match="refused, it may be hostile"):
        read_nearest(path)
    bank = {"cat": [(3, 1)], "dog": [(3, 2, 17)]}
    write_bank(tmp_path / "mem_bank.json", bank)
    assert read_bank(tmp_path / "mem_bank.json") == bank
    (tmp_path / "mem_bank.json").write_text('{"cat": [[1]]}')
    with pytest.raises(UserError, match=r"cat: expected \[picture row, object number"):
        read_bank(tmp_path / "mem_bank.json")
    assert NearestCrops({1: [1]}).selected(1, None) == 1  # there is no other
