"""Search by sketch, measured: by methods without learning, and by untrained models."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph.data.pack import read_vocabulary, write_pack
from scenograph.data.source import Sample, Samples
from scenograph.errors import UserError
from scenograph.evaluation.designs import paint_objects
from scenograph.evaluation.scene_search import Gallery, grouped_figures, queries_of, search_scenes, searcher, searchers
from scenograph.evaluation.search_features import measure_features, write_features
from scenograph.evaluation.search_protocols import SEARCH_PROTOCOLS, find_search_protocol, read_ids
from scenograph.evaluation.vector_maps import COLOURS, flat_places, object_map
from scenograph.scenes.scene import Scene, SceneObject, mirror
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary

CPU = torch.device("cpu")
PLAIN = SEARCH_PROTOCOLS["sketched-scenes"].model_copy(update={"split": "train"})
LINE = Sketch((np.array([[0, 0], [1, 0.4], [0.2, 1]], np.float32),))


def thing(name, x, y, side=0.2):
    return SceneObject(name, (), (x - side / 2, y - side / 2, x + side / 2, y + side / 2), sketch=LINE)


@pytest.fixture
def gallery(painted) -> Gallery:
    return Gallery.of(painted, PLAIN)


@pytest.fixture(scope="module")
def folders(painted, tmp_path_factory) -> dict[str, Path]:
    """Untrained models that know the names of ``painted``."""
    found = {}
    for name in ("scene-designer", "scene-encoder"):
        torch.manual_seed(0)
        found[name] = tmp_path_factory.mktemp("models") / name
        tiny(name, read_vocabulary(painted)).save_pretrained(found[name])
    always = tiny("object-classifier", read_vocabulary(painted), input="sketch", groups=())
    torch.nn.init.zeros_(always.heads[0].weight)
    with torch.no_grad():
        always.heads[0].bias[1] = 9
    found["object-classifier"] = tmp_path_factory.mktemp("models") / "object-classifier"
    always.save_pretrained(found["object-classifier"])
    return found


def values(figures):
    return {figure.name: figure.value for figure in figures}


def test_queries_are_the_same_every_time_and_as_asked_for(gallery):
    protocol = PLAIN.model_copy(update={"shift": 0.05, "missing": 0.5})
    first, again = queries_of(gallery, protocol), queries_of(gallery, protocol)
    assert [[o.box for o in s.objects] for s in first] == [[o.box for o in s.objects] for s in again]
    assert all(scene.objects for scene in first)
    assert sum(len(s.objects) for s in first) < gallery.counts.sum()
    moved = [o.box for s in queries_of(gallery, PLAIN.model_copy(update={"shift": 0.05})) for o in s.objects]
    apart = np.array(moved) - [o.box for s in gallery.scenes for o in s.objects]
    assert 0.02 < apart[:, [0, 2]].mean(axis=1).std() < 0.08
    assert [s.objects for s in queries_of(gallery, PLAIN)] == [s.objects for s in gallery.scenes]
    turned = queries_of(gallery, PLAIN.model_copy(update={"queries": "mirrored"}))[0].objects[0]
    same = gallery.scenes[0].objects[0]
    assert turned.box == same.box
    np.testing.assert_allclose(turned.sketch.strokes[0][:, 0], 1 - same.sketch.strokes[0][:, 0])


@pytest.mark.parametrize("name", ["layouts", "matching"])
def test_who_knows_categories_and_boxes_finds_every_scene(gallery, name):
    found = search_scenes(searcher(name, CPU), gallery, PLAIN)
    assert values(found.groups["all"]) == {"average_precision": 1, "top_1": 1, "top_5": 1, "top_10": 1}
    assert (found.places == 1).all() and found.groups["mirror image"][0].value == 1
    assert sorted(found.order[0].tolist()) == list(range(len(gallery)))
    shifted = PLAIN.model_copy(update={"shift": 0.3})
    assert search_scenes(searcher(name, CPU), gallery, shifted).groups["mirror image"][0].value < 1


def test_a_classifier_of_sketches_names_what_is_looked_for(gallery, folders, monkeypatch):
    method = searcher(str(folders["object-classifier"]), CPU)
    queries = queries_of(gallery, PLAIN)
    understood = method.understood(queries, PLAIN)
    names = method.model.vocabulary.categories
    assert {thing.category for scene in understood for thing in scene.objects} == {names[1]}  # whatever is drawn
    assert [[o.box for o in s.objects] for s in understood] == [[o.box for o in s.objects] for s in queries]
    always, told = (search_scenes(one, gallery, PLAIN) for one in (method, searcher("matching", CPU)))
    assert always.groups["all"][1].value < told.groups["all"][1].value == 1
    with pytest.raises(UserError, match="--queries mixed"):
        search_scenes(method, gallery, PLAIN.model_copy(update={"queries": "mixed"}))

    def right(sketches, model):
        true = [names.index(thing.category) for scene in queries for thing in scene.objects]
        assert len(sketches) == len(true)
        return torch.eye(len(names))[true]

    monkeypatch.setattr("scenograph.evaluation.scene_search.chances_of", right)
    np.testing.assert_array_equal(search_scenes(method, gallery, PLAIN).order, told.order)


@pytest.mark.parametrize("name", ["scene-designer", "scene-encoder"])
@pytest.mark.parametrize("queries", ["sketches", "mirrored", "mixed"])
def test_models_encode_queries_of_every_kind(gallery, folders, name, queries):
    method = searcher(str(folders[name]), CPU)
    found = search_scenes(method, gallery, PLAIN.model_copy(update={"queries": queries}))
    assert found.vectors.queries.shape == found.vectors.gallery.shape == (24, method.model.vector_size)
    assert np.isfinite(found.vectors.queries).all() and found.vectors.queries.std(axis=0).max() > 0
    assert found.groups["all"][0].count == 24 and 0 < found.groups["all"][0].value <= 1
    others = search_scenes(method, gallery, PLAIN.model_copy(update={"queries": "sketches"})).vectors
    np.testing.assert_array_equal(others.gallery, found.vectors.gallery)
    assert np.array_equal(others.queries, found.vectors.queries) == (queries == "sketches")


def test_a_mirrored_picture_has_the_vector_of_the_mirrored_scene(gallery, folders):
    method = searcher(str(folders["scene-encoder"]), CPU)
    found = search_scenes(method, gallery, PLAIN)
    sides = method.model.config.picture_sides
    flipped = [picture[:, ::-1] for picture in gallery.pictures(range(3), sides)]
    batch = method.photographed([mirror(scene) for scene in gallery.scenes[:3]], flipped)
    np.testing.assert_allclose(method.encode(batch), found.vectors.mirrored[:3], atol=1e-5)


def test_no_two_methods_are_called_alike(folders, tmp_path):
    for run in ("a", "b"):
        shutil.copytree(folders["scene-encoder"], tmp_path / run / "encoder" / "model")
    names = [str(tmp_path / run / "encoder" / "model") for run in ("a", "b")]
    assert [one.name for one in searchers(["layouts", *names], CPU)] == ["layouts", "encoder", "encoder-2"]


def test_a_model_that_diverged_is_not_measured(gallery, folders):
    method = searcher(str(folders["scene-encoder"]), CPU)
    method.encode = lambda batch: np.full((batch.num_images, 16), np.nan, np.float32)
    with pytest.raises(UserError, match="scene-encoder: its vectors are not finite"):
        search_scenes(method, gallery, PLAIN)


def test_figures_by_number_of_objects():
    order = np.stack([np.roll(np.arange(20), -row) for row in range(20)])  # all at once,
    order[:5] = order[:5, [1, 0, *range(2, 20)]]  # but for five in second place
    groups = grouped_figures(order, np.array([1] * 10 + [2] * 8 + [3] * 2))
    assert list(groups) == ["all", "2 objects or more", "1 object"]
    assert values(groups["all"]) == {"average_precision": 17.5 / 20, "top_1": 0.75, "top_5": 1, "top_10": 1}
    assert values(groups["1 object"])["top_1"] == 0.5 and groups["2 objects or more"][1].value == 1
    with pytest.raises(UserError, match="9 rows"):
        grouped_figures(order[:9, :9], np.ones(9))


def test_scenes_of_the_same_categories_are_told_by_their_arrangement(tmp_path):
    rng, names = np.random.default_rng(0), Vocabulary(("cat", "dog", "tree"), ())
    scenes = [Scene(tuple(thing(n, *rng.uniform(0.15, 0.85, 2)) for n in ("cat", "dog"))) for _ in range(12)]
    scenes.append(Scene((thing("tree", 0.5, 0.5),)))
    picture = Image.new("RGB", (8, 8))
    samples = [Sample(str(number), scene, picture) for number, scene in enumerate(scenes)]
    write_pack(tmp_path / "p", Samples(names, {"train": samples}))
    gallery = Gallery.of(tmp_path / "p", PLAIN)
    found = search_scenes(searcher("matching", CPU), gallery, PLAIN).groups["same categories"]
    assert found[1].count == 12 and found[1].value == 1 and "by chance 8.3%" in found[1].meaning
    chosen = Gallery.of(tmp_path / "p", PLAIN, [str(n) for n in range(12, 1, -1)])
    assert chosen.scenes[0].objects[0].category == "tree" and len(chosen) == 11
    with pytest.raises(UserError, match="1 of the 11 named scenes are not in split 'train', the first of them 99"):
        Gallery.of(tmp_path / "p", PLAIN, ["99", *map(str, range(10))])
    with pytest.raises(UserError, match="2 scenes of split 'train' with sketches"):
        Gallery.of(tmp_path / "p", PLAIN, ["0", "1"])
    with pytest.raises(UserError, match="3 is named twice"):
        Gallery.of(tmp_path / "p", PLAIN, ["3", *map(str, range(10))])
    dotted = [Sample(f"a/{number}.v1", scene, picture) for number, scene in enumerate(scenes)]
    write_pack(tmp_path / "q", Samples(names, {"train": dotted}))
    named = [f"a/{number}.v1" for number in range(10)]
    assert len(Gallery.of(tmp_path / "q", PLAIN, named)) == len(
        Gallery.of(tmp_path / "p", PLAIN, [f"{n}.png" for n in range(10)])
    )


def test_features_are_plain_arrays_that_measure_the_same(gallery, folders, tmp_path):
    found = search_scenes(searcher(str(folders["scene-designer"]), CPU), gallery, PLAIN)
    write_features(tmp_path / "f.npz", gallery, found)
    arrays = np.load(tmp_path / "f.npz", allow_pickle=False)
    assert arrays["img_reps"].shape == arrays["skt_reps"].shape == (24, 16) and len(arrays["ids"]) == 24
    objects = gallery.counts.sum()
    assert arrays["boxes"].shape == (objects, 4) and arrays["masks"].shape == (objects, 64, 64)
    first = arrays["obj_to_img"] == 0
    assert arrays["categories"][arrays["objs"][first]].tolist() == [o.category for o in gallery.scenes[0].objects]
    groups, notes = measure_features(tmp_path / "f.npz")
    assert not notes and values(groups["all"]) == pytest.approx(values(found.groups["all"]))
    assert {*groups} <= {*found.groups}


def test_features_of_the_original_are_read_without_running_code(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(12, 5)).astype(np.float32)
    objects = np.empty(12, dtype=object)
    objects[:] = [np.arange(1 + number % 2) for number in range(12)]
    np.savez(tmp_path / "theirs.npz", img_reps=rows, skt_reps=rows + 0.01, objs=objects)
    groups, notes = measure_features(tmp_path / "theirs.npz")
    assert not notes and list(groups) == ["all"] and groups["all"][0].value == 1
    np.savez(tmp_path / "bare.npz", img_reps=rows, skt_reps=rows)
    assert "does not say" in measure_features(tmp_path / "bare.npz")[1][0]

    class Hostile:
        def __reduce__(self):
            return (print, ("pwned",))

    objects[0] = Hostile()
    np.savez(tmp_path / "hostile.npz", img_reps=rows, skt_reps=rows, objs=objects)
    with pytest.raises(UserError, match="asks to run .*print; refused"):
        measure_features(tmp_path / "hostile.npz")
    for arrays, message in (
        ({"img_reps": rows}, "no array 'skt_reps'; it holds img_reps"),
        ({"img_reps": rows, "skt_reps": rows[:9]}, "expected one of each"),
        ({"img_reps": rows * np.nan, "skt_reps": rows}, "not finite"),
        ({"img_reps": rows, "skt_reps": rows, "obj_to_img": np.array([0, 99])}, "not among its 12"),
        ({"img_reps": rows, "skt_reps": rows[:, 0]}, "expected one of each"),
        ({"img_reps": np.array("x"), "skt_reps": rows}, "expected vectors of one length"),
    ):
        np.savez(tmp_path / "bad.npz", **arrays)
        with pytest.raises(UserError, match=message):
            measure_features(tmp_path / "bad.npz")


def test_protocols_say_what_data_they_need(painted, tmp_path):
    assert find_search_protocol(None, painted, {}).name == "sketched-scenes"
    changed = find_search_protocol(None, painted, {"split": "train", "scenes": None})
    assert changed.name == "sketched-scenes (changed)" and changed.fingerprint == PLAIN.fingerprint
    assert changed.fingerprint != SEARCH_PROTOCOLS["sketched-scenes"].fingerprint
    for name, needs in (("sketchycoco-sl", "pack sketchycoco"), ("quickdraw-coco-92c", "pack quickdraw-coco")):
        with pytest.raises(UserError, match=f"protocol {name} needs .*{needs}"):
            find_search_protocol(name, painted, {})
    with pytest.raises(UserError, match="no protocol 'sketchy' .*sketchycoco-sl"):
        find_search_protocol("sketchy", painted, {})
    with pytest.raises(UserError, match="queries"):
        find_search_protocol(None, painted, {"queries": "doodles"})
    with pytest.raises(UserError, match="24 scenes of split 'train', where protocol sketched-scenes has 210; .*--ids"):
        Gallery.of(painted, PLAIN.model_copy(update={"expected": 210}))
    assert len(Gallery.of(painted, PLAIN.model_copy(update={"expected": 210, "scenes": 12}))) == 12
    shutil.copytree(painted, tmp_path / "book")
    record = json.loads((painted / "pack.json").read_text())
    for options, expected in (({"hand": "loose"}, "picture-book-sketch"), ({}, "sketched-scenes")):
        (tmp_path / "book" / "pack.json").write_text(
            json.dumps(record | {"source": "picture-book", "options": options})
        )
        assert find_search_protocol(None, tmp_path / "book", {}).name == expected
    with pytest.raises(UserError, match="made from picture-book, is other data; .* needs .*hand=loose"):
        find_search_protocol("picture-book-sketch", tmp_path / "book", {})
    (tmp_path / "ids.txt").write_text("000000000139.png\n\n000000000285\n")
    assert read_ids(tmp_path / "ids.txt") == ["000000000139.png", "000000000285"]


def test_small_objects_lie_on_large_ones_in_label_maps():
    half = np.zeros((2, 2), bool)
    half[:, 0] = True
    scene = Scene((thing("cat", 0.5, 0.5, 0.25), replace(thing("sky", 0.5, 0.5, 1.0), mask=half)))
    expected = np.array([[7, 7, 255, 255]] * 4)
    assert np.array_equal(paint_objects(scene, [7, 7], (4, 4), 255), expected)
    scene = Scene((thing("cat", 0.5, 0.5, 0.5), thing("sky", 0.5, 0.5, 1.0)))
    painted = paint_objects(scene, [3, 7], (4, 4), 255)
    assert (painted[1:3, 1:3] == 3).all() and (painted == 3).sum() == 4 and (painted == 7).sum() == 12


def test_the_commands(scenograph, painted, folders, tmp_path):
    encoder = str(folders["scene-encoder"])
    options = ("--pack", painted, "--split", "train")
    output = succeed(scenograph("evaluate", "search", *options, "--encoder", "layouts", "--encoder", encoder))
    assert "| all | layouts | 24 | 100.0 ± 0.0 |" in output and "| all | scene-encoder | 24 |" in output
    report = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert report["encoders"]["layouts"]["places"] == [1] * 24 and len(report["ids"]) == 24
    for name in ("strips-layouts", "map-layouts", "strips-scene-encoder", "map-scene-encoder"):
        assert Image.open(tmp_path / "evaluation" / f"{name}.png").width > 300
    features = ("evaluate", "features", *options, "--encoder", encoder, "--out", "f.npz")
    assert "vectors of 16 numbers of 24 scenes" in succeed(scenograph(*features))
    assert "top_1" in succeed(scenograph("evaluate", "search", "--features", "f.npz"))
    for arguments, message in (
        (("search",), "--pack PACK"),
        (("search", "--features", "f.npz", "--pack", painted), "leave --pack out"),
        (("search", "--features", "f.npz", "--split", "a", "--shift", "0.1"), "leave --split and --shift out"),
        (("--scenes", "3", "search", *options), "--scenes stands before search, which does not see it"),
        (("features", *options, "--encoder", "matching", "--out", "g.npz"), "has no vectors"),
        (("features", *options, "--encoder", "layouts", "--out", "g.txt"), "expected a file that ends in .npz"),
        (("designs", *options, "--layout", "mise-layout-picture-book"), "--layout mise-layout-picture-book: is a"),
        (("search", "--pack", painted, "--encoder", "laiouts"), "did you mean"),
        (features[1:], "exists"),
        (("designs", *options, "--layout", encoder), "only a scene-designer"),
    ):
        code, _, errors = scenograph("evaluate", *arguments)
        assert code == 2 and message in " ".join(errors.split())


def test_designs_side_by_side(scenograph, painted, folders, tmp_path):
    designer = str(folders["scene-designer"])
    torch.manual_seed(0)
    tiny("spade", read_vocabulary(painted)).save_pretrained(tmp_path / "spade")
    options = ("--pack", painted, "--split", "train", "--scenes", "10", "--layout", designer, "--label-maps")
    options += ("--image", tmp_path / "spade")
    output = succeed(scenograph("evaluate", "designs", *options, "--out", "d"))
    assert all(name in output for name in ("sketch_category", "crop_category", "sketch_mask_iou", "crop_mask_iou"))
    report = json.loads((tmp_path / "d" / "results.json").read_text())
    figures = {figure["name"]: figure for figure in report["figures"]}
    count = figures["sketch_category"]["count"]
    assert figures["object_top_1"]["count"] == count and 1 / count <= figures["object_average_precision"]["value"] <= 1
    folder = tmp_path / "d"
    assert Image.open(folder / "masks.png").width > 5 * 96 and Image.open(folder / "pictures.png").width > 7 * 32
    for way in ("sketch", "image", "flipped", "mixed_domains", "gt"):
        assert len(list((folder / f"generated_from_{way}").glob("*.png"))) == 10
    for way in ("sketch", "image", "gt"):
        labels, instances = (
            np.asarray(Image.open(folder / f"train_{way}_{kind}" / "painted-0.png")) for kind in ("label", "inst")
        )
        assert labels.shape == instances.shape == (256, 256) and 255 in labels and instances.max() >= 1
    assert json.loads((folder / "classes.json").read_text())[0] == read_vocabulary(painted).categories[0]
    bare = ("evaluate", "designs", "--pack", painted, "--split", "train", "--scenes", "10", "--layout", designer)
    succeed(scenograph(*bare, "--out", "bare"))
    names = {"results.json", "masks.png", "pictures.png", "objects.png"}
    assert {path.name for path in (tmp_path / "bare").iterdir()} == names


def test_a_map_keeps_near_what_is_near():
    rng = np.random.default_rng(0)
    kinds = np.arange(60) % 3
    vectors = np.eye(3)[kinds] @ rng.normal(size=(3, 16)) * 5 + rng.normal(size=(60, 16))
    places = flat_places(vectors.astype(np.float32))
    assert places.min() == 0 and places.max() == 1
    np.testing.assert_array_equal(places, flat_places(vectors.astype(np.float32)))
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(60)
    assert (kinds[apart.argmin(axis=1)] == kinds).all()
    drawn = np.asarray(object_map(vectors[:30], vectors[30:], ["sky-other", "dog", "tree"] * 10))
    colours = {tuple(colour) for colour in drawn.reshape(-1, 3).tolist()}
    assert {*COLOURS[:3]} <= colours and not {*COLOURS[3:]} & colours


def test_maps_say_what_they_need(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(UserError, match="needs the package scikit-learn"):
        flat_places(np.zeros((8, 2), np.float32))
