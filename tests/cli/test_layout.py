"""``scenograph layout``."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import succeed, tiny
from scenograph.cli import console
from scenograph.errors import NOTE
from scenograph.scenes.scene import Scene, SceneObject, load_scenes, scenes_to_json
from scenograph.scenes.sketch import Sketch
from scenograph.scenes.vocabulary import Vocabulary


def test_many_layouts_are_placed_in_parts_and_no_graph_is_drawn(scenograph, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.scenes.drawing.draw_graph", lambda scene: pytest.fail("a graph was drawn"))
    succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-4", "--out", "whole"))
    monkeypatch.setattr(console, "BATCH", 2)
    succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-4", "--out", "parts"))
    for path in (tmp_path / "whole").glob("*.png"):
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()
    assert len(json.loads((tmp_path / "parts" / "cube-left-of-sphere.json").read_text())) == 5


def test_layouts_are_scenes_to_draw(scenograph, tmp_path):
    output = succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-1"))
    assert "wrote layouts/cube-left-of-sphere.json" in output
    placed = json.loads((tmp_path / "layouts" / "cube-left-of-sphere.json").read_text())
    assert len(placed) == 2 and all(len(thing["box"]) == 4 for scene in placed for thing in scene["objects"])
    assert Image.open(tmp_path / "layouts" / "cube-left-of-sphere-seed1-layout.png").width > 100
    succeed(scenograph("generate", "layouts/cube-left-of-sphere.json", "--steps", "1"))
    succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-1", "--precision", "bf16", "--out", "half"))
    halved = json.loads((tmp_path / "half" / "cube-left-of-sphere.json").read_text())
    boxes = [np.array([thing["box"] for scene in made for thing in scene["objects"]]) for made in (placed, halved)]
    assert 0 < abs(boxes[0] - boxes[1]).max() < 0.05
    code, _, errors = scenograph("layout", "cube", "--layout", "mise-rendered-64")
    assert code == 2 and "is a mise, which places no objects" in errors


def test_of_many_layouts_the_first_and_the_last_are_named(scenograph):
    output = succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-1", "--out", "few"))
    assert [line.split("/")[-1] for line in output.splitlines()] == [
        *(f"cube-left-of-sphere-seed{seed}-layout.png" for seed in (0, 1)),
        "cube-left-of-sphere.json",
    ]
    lines = succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-19")).splitlines()
    assert lines == [
        "wrote layouts/cube-left-of-sphere.json",
        "wrote 20 pictures, layouts/cube-left-of-sphere-seed0-layout.png to cube-left-of-sphere-seed19-layout.png",
    ]


def test_refined_layouts_keep_relations_that_no_model_knows(scenograph, tmp_path):
    text = "red cube larger than sphere; sphere above red cube"
    code, _, told = scenograph("layout", text)
    assert (
        code == 2
        and "the layout model (mise-layout-rendered): relationships[0]: unknown predicate 'larger than'" in told
    )
    assert "or let --refine see to it" in told
    succeed(scenograph("layout", text, "--refine", "--out", "placed"))
    scene = json.loads((tmp_path / "placed" / "red-cube-larger-than-sphere-sphere-above.json").read_text())
    (x0, y0, x1, y1), (u0, v0, u1, v1) = (thing["box"] for thing in scene["objects"])
    assert x1 - x0 > u1 - u0 and y1 - y0 > v1 - v0 and v0 + v1 < y0 + y1
    whole, broken = [[0, "wider than", 1]], [[0, "wider than", 1], [1, "wider than", 0]]
    scenes = [{"objects": ["cube", "sphere"], "relationships": relations} for relations in (whole, broken, broken)]
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))
    for command in ("layout", "generate"):
        code, _, told = scenograph(command, "scenes.json", "--refine", "--out", "not")
        for number in (1, 2):  # all are named at once
            assert f"scene {number}, relationships contradict each other: [0] cube (0) wider than" in told
        assert code == 2
    assert not (tmp_path / "not").exists()
    (tmp_path / "typo.json").write_text('{"objects": [{"category": "cube", "attributes": ["redd"]}]}')
    assert "unknown attribute 'redd' (did you mean 'red'?)" in scenograph("layout", "typo.json", "--refine")[2]


def test_control_pictures_and_exports_stand_beside_the_layouts(scenograph, tmp_path):
    asked = ["layout", "sheep on grass", "--controls", "edges, depth", "--export", "gligen,coco", "--export", "svg"]
    output = succeed(scenograph(*asked, "--size", "48x32", "--out", "made"))
    names = {line.removeprefix("wrote made/") for line in output.splitlines()}
    stem = "sheep-on-grass-seed0"
    assert names == {
        *(f"{stem}-{kind}.png" for kind in ("layout", "edges", "depth")),
        *(f"{stem}-gligen.json", f"{stem}-coco.json", f"{stem}.svg", "sheep-on-grass.json"),
    }
    edges = Image.open(tmp_path / "made" / f"{stem}-edges.png")
    assert edges.size == (48, 32) and edges.mode == "L"
    silhouettes = json.loads((tmp_path / "made" / f"{stem}-coco.json").read_text())["annotations"]
    assert ["segmentation" in one for one in silhouettes] == [True, False]  # the sheep's drawing; grass is a region
    code, _, errors = scenograph(*asked, "--size", "64", "--out", "made")
    assert code == 2 and "--overwrite" in errors
    succeed(scenograph(*asked, "--size", "64", "--shapes", "boxes", "--out", "made", "--overwrite"))
    silhouettes = json.loads((tmp_path / "made" / f"{stem}-coco.json").read_text())["annotations"]
    assert not any("segmentation" in one for one in silhouettes)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--controls", "canny"), "unknown kind of control picture 'canny'"),
        (("--export", "comfy"), "did you mean 'comfyui'?"),
        (("--size", "9000"), "sides go from 8 to 4096 pixels"),
        (("--size", "big"), "--size 'big': expected pixels, for example 512, or width and height, 640x384"),
        (("--palette", "cityscapes"), "unknown palette 'cityscapes' (choose from: ade20k, coco-stuff, instances)"),
    ],
)
def test_what_cannot_be_drawn_is_named_before_anything_is_placed(scenograph, monkeypatch, options, told):
    monkeypatch.setattr("scenograph.pipelines.placing.load_layout_models", lambda *_: pytest.fail("a model was loaded"))
    code, _, errors = scenograph("layout", "sheep on grass", *options)
    assert code == 2 and told in errors


def test_scene_designer_predicts_masks_of_sketches(scenograph, tmp_path, caplog):
    torch.manual_seed(0)
    model = tiny("scene-designer", Vocabulary(("sheep", "tree", "gnomon"), ("above",)))
    torch.nn.init.constant_(model.mask_net[-1].bias, 5.0)
    model.save_pretrained(tmp_path / "designer")
    line, box = Sketch((np.array([[0, 0], [1, 0.4], [0.2, 1]], np.float32),)), (0.1, 0.3, 0.4, 0.8)
    placed = Scene((SceneObject("gnomon", box=box, sketch=line),))  # a name that no shipped layout model knows
    open_one = Scene((SceneObject("sheep", box=box, sketch=line), SceneObject("tree")))
    (tmp_path / "scenes.json").write_text(scenes_to_json([placed, open_one]))
    caplog.set_level(NOTE)
    assert "wrote layouts/scenes.json" in succeed(scenograph("layout", "scenes.json", "--layout", "designer"))
    assert "scene 1, tree: scene-designer gives no mask, for want of a sketch or crop" in caplog.text
    (gnomon,), (sheep, tree) = (scene.objects for scene in load_scenes(tmp_path / "layouts" / "scenes.json"))
    assert gnomon.mask.all() and sheep.mask.all() and gnomon.mask.shape == (8, 8)
    assert gnomon.box == sheep.box == pytest.approx(box) and tree.box is not None and tree.mask is None
    (tmp_path / "open.json").write_text(scenes_to_json([Scene((SceneObject("gnomon", sketch=line),))]))
    code, _, told = scenograph("layout", "open.json", "--layout", "designer", "--out", "not")
    assert code == 2 and "unknown category 'gnomon'" in " ".join(told.split())
    assert not (tmp_path / "not").exists()
