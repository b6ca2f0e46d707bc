"""``scenograph scene``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import TEXT, succeed
from scenograph.errors import NOTE
from scenograph.pipelines.provenance import png_bytes
from scenograph.scenes.scene import Scene, SceneObject, load_scenes
from scenograph.scenes.scoring import coverage
from scenograph.scenes.solver import relations_shown


def test_relations_that_contradict_others_are_named(scenograph, tmp_path, caplog):
    chain = "red cube left of sphere; sphere left of cylinder; red cube left of cylinder; cylinder left of red cube"
    said = "relationships contradict others and are left out: [3] cylinder (2) left of cube (0)"
    for command in (("scene", "check"), ("layout",), ("generate", "--steps", "1")):
        caplog.clear()
        succeed(scenograph(*command, chain))
        assert caplog.messages == [said]
    circles = "; ".join(f"cube {2 * i + 1} left of cube {2 * i + 2} left of cube {2 * i + 1}" for i in range(4))
    succeed(scenograph("scene", "check", circles))
    assert caplog.messages[-1].startswith("relationships contradict each other, so that not all can hold: [0] cube (0)")
    assert caplog.messages[-1].endswith("[4] cube (4) left of cube (5); and 3 more")
    scenes = [
        {"objects": ["cube"]},
        {"objects": ["cube", "cube"], "relationships": [[0, "behind", 1], [1, "behind", 0]]},
    ]
    (tmp_path / "two.json").write_text(json.dumps(scenes))
    succeed(scenograph("generate", "two.json", "--dry-run"))
    assert caplog.messages[-1].startswith("scene 1, relationships contradict each other")


def test_scene_commands(scenograph, tmp_path):
    succeed(scenograph("scene", "new", TEXT, "--out", "s.json"))
    assert json.loads((tmp_path / "s.json").read_text())["relationships"] == [[0, "left of", 1]]
    assert json.loads(succeed(scenograph("scene", "new", TEXT)))["objects"]
    assert "2 objects (0 with boxes), 1 relations" in succeed(scenograph("scene", "check", "s.json"))
    succeed(scenograph("scene", "draw", "s.json", "--format", "svg"))
    assert (tmp_path / "drawings" / "s-graph.svg").read_text().startswith("<svg")


def test_what_was_understood_is_shown(scenograph, tmp_path, caplog):
    text = "two sheep standing on grass; a tree behind one sheep; a boat in the ocean"
    understood = (
        "6 objects: 2 sheep, grass, tree, boat, sea\n  sheep 1 standing on grass\n  sheep 2 standing on grass\n"
        "  tree behind sheep 1\n  boat in sea\n"
    )
    caplog.set_level(NOTE)
    code, output, said = scenograph("scene", "new", text)
    assert code == 0 and said == understood and caplog.messages == ["ocean is taken as sea"]
    assert json.loads(output)["objects"] == ["sheep", "sheep", "grass", "tree", "boat", "sea"]
    code, output, said = scenograph("scene", "new", text, "--out", "s.json")
    assert code == 0 and said == understood and output == "wrote s.json\n"
    code, _, said = scenograph("scene", "new", text, "--out", "t.json", "--model", "mise-rendered-64")
    assert code == 2 and not (tmp_path / "t.json").exists()
    said = " ".join(said.split())
    assert "unknown word 'sheep' (choose from: cube, sphere, cylinder); unknown, too: 'grass', 'tree', 'boat'," in said
    assert "'ocean'; known by mise-l" in said and "--knows sheep,grass,tree,boat,ocean)" in said


def test_who_knows_an_unknown_name_is_said(scenograph, tmp_path):
    (tmp_path / "s.json").write_text('{"objects": ["sheep", "grass"]}')
    known = "known by mise-layers-picture-book-128, mise-layout-picture-book (scenograph models list --knows sheep)"
    for command in (("scene", "check"), ("generate", "--dry-run")):
        code, _, said = scenograph(*command, "s.json", "--model", "mise-rendered-64")
        assert code == 2 and "objects[0]: unknown category 'sheep'" in said and said.count("\n") == 1
        assert known in " ".join(said.split())
    code, _, said = scenograph("generate", "--dry-run", "a gnu on grass")
    assert code == 2 and "no model here knows it; published checkpoints know COCO-Stuff's" in said
    code, _, said = scenograph("generate", "--dry-run", "a shep on grass")
    assert code == 2 and "(did you mean 'sheep'?)\n" in said


def test_the_examples_are_valid(scenograph):
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.json")):
        succeed(scenograph("scene", "check", path))


def test_a_label_map_by_a_list_of_names(scenograph, tmp_path):
    Image.fromarray(np.array([[0, 0, 2], [1, 1, 2]], dtype=np.uint8)).save(tmp_path / "map.png")
    (tmp_path / "classes.json").write_text('["sky", "road", "unlabelled"]')
    command = ("scene", "from-labels", "map.png", "--vocabulary", "classes.json", "--nothing")
    succeed(scenograph(*command, "unlabelled"))
    objects = json.loads((tmp_path / "map.json").read_text())["objects"]
    assert [thing["category"] for thing in objects] == ["sky", "road"]
    code, _, told = scenograph(*command, "unlabeled")
    assert code == 2 and "no class is called 'unlabeled' (did you mean 'unlabelled'?)" in told


def test_a_graph_gets_its_canonical_form(scenograph, tmp_path, caplog):
    chain = "red cube left of blue sphere; green cylinder right of blue sphere"
    implied = chain + "; red cube left of green cylinder; blue sphere right of red cube"
    texts = [json.loads(succeed(scenograph("scene", "canonical", text)))["relationships"] for text in (chain, implied)]
    assert texts[0] == texts[1] and len(texts[0]) == 6
    succeed(scenograph("scene", "new", implied, "--out", "said.json"))
    output = succeed(scenograph("scene", "canonical", "said.json", "--minimal", "--out", "fewest.json"))
    assert output == "wrote fewest.json (4 relations became 2)\n"
    assert json.loads((tmp_path / "fewest.json").read_text())["relationships"] == [[0, "left of", 1], [1, "left of", 2]]
    code, _, told = scenograph("scene", "canonical", "said.json", "--out", "fewest.json")
    assert code == 2 and "fewest.json exists and differs; add --overwrite" in told
    code, _, told = scenograph("scene", "canonical", "said.json", "--model", "coco-stuff")
    assert code == 2 and "unknown category 'cube'" in told
    # Names of the scene that no model here has do no harm, and what is outvoted is left out.
    things = {"objects": ["a", "b", "c"], "relationships": [[0, "above", 1], [1, "above", 2], [0, "above", 2]]}
    things["relationships"] += [[0, "above", 2], [2, "above", 0]]
    (tmp_path / "own.json").write_text(json.dumps(things))
    made = json.loads(succeed(scenograph("scene", "canonical", "own.json", "--minimal")))
    assert made == {"objects": ["a", "b", "c"], "relationships": [[0, "above", 1], [1, "above", 2]]}
    assert "contradict others and are left out: [4] c (2) above a (0)" in caplog.text


def test_boxes_of_any_model_are_refined(scenograph, tmp_path):
    things = [{"category": name, "box": [0.4, 0.4, 0.6, 0.6]} for name in ("lamp", "table", "chair")]
    scene = {"objects": things, "relationships": [[0, "above", 1], [2, "left of", 1], [2, "owned by", 1]]}
    (tmp_path / "placed.json").write_text(json.dumps([scene, {**scene, "relationships": []}]))
    said = succeed(scenograph("scene", "refine", "placed.json", "--out", "refined.json"))
    assert said == "wrote refined.json (of 2 spatial relations 0 held, 2 do now)\n"
    first, second = load_scenes(tmp_path / "refined.json")
    assert relations_shown(first) == (2, 2) and len(first.relations) == 3
    assert coverage(np.array([t.box for t in second.objects]), np.zeros(3, dtype=int)).max() <= 0.501
    assert json.loads(succeed(scenograph("scene", "refine", "refined.json"))) == json.loads(
        (tmp_path / "refined.json").read_text()
    )
    code, _, error = scenograph("scene", "refine", "placed.json", "--out", "refined.json")
    assert code == 0, error
    scene["relationships"].append([1, "above", 0])
    (tmp_path / "placed.json").write_text(json.dumps([scene, scene]))
    code, _, error = scenograph("scene", "refine", "placed.json", "--out", "refined.json")
    assert code == 2 and "[3]" in error
    for number in (0, 1):  # all are named at once
        assert f"scene {number}, relationships contradict each other: [0] lamp" in error
    del things[1]["box"]
    (tmp_path / "placed.json").write_text(json.dumps(scene))
    code, _, error = scenograph("scene", "refine", "placed.json")
    assert code == 2 and "objects[1]: every object needs a box before boxes can be refined; scenograph layout" in error


def test_scenes_are_checked_against_shipped_vocabularies_and_packs(scenograph, tmp_path, painted):
    (tmp_path / "scene.json").write_text('{"objects": ["giraffe", "grass"], "relationships": [[0, "above", 1]]}')
    assert scenograph("scene", "check", "scene.json", "--model", "coco-stuff")[0] == 0
    code, _, errors = scenograph("scene", "check", "scene.json", "--model", str(painted))
    assert code == 2 and "unknown category 'giraffe'" in errors


def test_a_generated_picture_is_a_scene_file(scenograph, tmp_path):
    record = {"scene": {"objects": ["cube", "sphere"], "relationships": [[0, "left of", 1]]}, "seed": 0}
    (tmp_path / "cube.png").write_bytes(png_bytes(Image.new("RGB", (8, 8)), json.dumps(record)))
    assert "2 objects (0 with boxes), 1 relations" in succeed(scenograph("scene", "check", "cube.png"))
    succeed(scenograph("scene", "draw", "cube.png"))
    assert (tmp_path / "drawings" / "cube-graph.png").is_file()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"pack.json": b"{}"}, "is a pack; generate its scenes with: scenograph generate --pack"),
        ({"model.safetensors": b""}, "is a model; name it with --layout, --image or --model"),
        ({"model/model.safetensors": b""}, "is a training run; name its model"),
        ({"request.json": b"{}", "chunks/a": b""}, "is an evaluation, not a scene; scenograph data export"),
        ({"a.json": b"{}", "b.json": b"{}"}, "is a folder with 2 .json files; give one of them, such as"),
        ({"a.png": b"", "b.png": "made"}, "is a folder of generated pictures; give one of them, such as things/b.png"),
        ({"a.txt": b""}, "is a folder, not a scene"),
    ],
)
def test_folders_are_no_scenes_and_are_told_apart(scenograph, tmp_path, files, message):
    scene = Scene((SceneObject("cube"),))
    for name, content in files.items():
        path = tmp_path / "things" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(Image.new("RGB", (8, 8)), "{}", scene) if content == "made" else content)
    code, _, error = scenograph("scene", "check", "things")
    assert code == 2 and message in error and error.count("\n") == 1
