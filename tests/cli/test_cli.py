"""The command line as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scenograph import Pipeline
from scenograph.cli import console
from scenograph.cli.console import parse_seeds
from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.data.pack import read_vocabulary
from scenograph.errors import UserError
from scenograph.files import reserved
from scenograph.models.lama import Lama, LamaConfig
from scenograph.models.object_classifier import ObjectClassifier, ObjectClassifierConfig
from scenograph.models.sg2im import Sg2Im, Sg2ImConfig
from scenograph.models.spade import Spade, SpadeConfig
from scenograph.models.wsgc import Wsgc, WsgcConfig
from scenograph.scenes.scene import load_scenes
from scenograph.scenes.scoring import coverage
from scenograph.scenes.solver import relations_shown
from scenograph.training.recipe import shipped_recipes

TEXT = "large red metal cube left of small blue rubber sphere"
STEM = "large-red-metal-cube-left-of-small-blue"


def succeed(result: tuple[int, str, str]) -> str:
    code, output, errors = result
    assert code == 0, errors
    return output


def test_generate_writes_pictures_that_can_be_made_again(scenograph, tmp_path):
    output = succeed(
        scenograph(
            "generate",
            TEXT,
            "--seeds",
            "0-2",
            "--draw-graph",
            "--draw-layout",
            "--annotations",
            "a.json",
            "--steps",
            "2",
        )
    )
    for name in ("seed0.png", "seed2.png", "graph.png", "seed1-layout.png", "sheet.png"):
        assert (tmp_path / "pictures" / f"{STEM}-{name}").is_file()
        assert f"{STEM}-{name}" in output
    assert len(json.loads((tmp_path / "a.json").read_text())["annotations"]) == 6
    succeed(scenograph("generate", f"pictures/{STEM}-seed1.png", "--out", "again"))
    first, again = (
        np.asarray(Image.open(tmp_path / d / f"{STEM}-seed1.png")).astype(int) for d in ("pictures", "again")
    )
    assert np.abs(first - again).max() <= 1


def test_nothing_is_overwritten_without_saying_so(scenograph, tmp_path):
    picture = tmp_path / "pictures" / "cube-seed0.png"
    succeed(scenograph("generate", "cube", "--steps", "1"))
    before = picture.read_bytes()
    succeed(scenograph("generate", "cube", "--steps", "1"))  # the same file: nothing to lose
    code, _, errors = scenograph("generate", "cube", "--steps", "2")
    assert code == 2 and "exists and differs; add --overwrite" in errors
    assert picture.read_bytes() == before
    succeed(scenograph("generate", "cube", "--steps", "2", "--overwrite"))
    assert picture.read_bytes() != before


def test_a_sheet_shows_as_many_as_viewers_take(scenograph, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.cli.generate.ON_SHEET", 3)
    succeed(scenograph("generate", "cube", "--seeds", "0-4", "--steps", "1"))
    assert Image.open(tmp_path / "pictures" / "cube-sheet.png").size == (3 * 64 + 2 * 2, 64)
    assert (tmp_path / "pictures" / "cube-seed4.png").exists()


@pytest.mark.parametrize("refine", [(), ("--refine",)])
def test_scenes_as_drawn_give_the_same_picture(scenograph, tmp_path, refine):
    told = {
        "objects": [{"category": "cube", "box": [1 / 3, 0.1, 2 / 3, 0.4]}, "sphere"],
        "relationships": [[0, "left of", 1]],
    }
    (tmp_path / "told.json").write_text(json.dumps(told))
    succeed(scenograph("generate", "told.json", "--steps", "1", "--save-scenes", "drawn.json", *refine))
    succeed(scenograph("generate", "drawn.json", "--steps", "1"))
    succeed(scenograph("generate", "pictures/told-seed0.png", "--out", "again"))
    pixels = [Image.open(tmp_path / name).tobytes() for name in ("pictures/told-seed0.png", "pictures/drawn-seed0.png")]
    assert pixels[0] == pixels[1] == Image.open(tmp_path / "again/told-seed0.png").tobytes()
    boxes = [thing["box"] for thing in json.loads((tmp_path / "drawn.json").read_text())["objects"]]
    assert boxes[0] == told["objects"][0]["box"] and boxes[1] == [round(value, 5) for value in boxes[1]]


def test_what_was_drawn_before_an_interruption_is_kept(scenograph, tmp_path, monkeypatch):
    monkeypatch.setattr(console, "BATCH", 2)
    drawn, draw = [], Pipeline.render

    def render(pipe, encoding, steps=None):
        if drawn == [0, 1]:
            drawn.append("interrupted")
            raise KeyboardInterrupt
        drawn.extend(encoding.seeds)
        return draw(pipe, encoding, steps)

    monkeypatch.setattr(Pipeline, "render", render)
    command = ("generate", "cube", "--seeds", "0-4", "--steps", "1")
    assert scenograph(*command)[0] == 130
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"cube-seed0.png", "cube-seed1.png"}
    output = succeed(scenograph(*command, "--save-scenes", "some.json"))
    assert drawn == [0, 1, "interrupted", 2, 3, 4] and "2 of 5 pictures were there already" in output
    succeed(scenograph(*command, "--save-scenes", "some.json", "--annotations", "a.json", "--draw-layout"))
    assert len(drawn) == 6, "all were there"
    succeed(scenograph(*command, "--out", "whole", "--save-scenes", "whole.json", "--draw-layout"))
    assert (tmp_path / "some.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    names = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert len(names) == 11 and names == {path.name for path in (tmp_path / "whole").iterdir()}
    for name in names:
        assert (tmp_path / "pictures" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert "5 of 6 pictures were there" in succeed(scenograph("generate", "cube", "--seeds", "0-5", "--steps", "1"))
    assert len(drawn) == 12 and drawn[-1] == 5
    sheet = tmp_path / "pictures" / "cube-sheet.png"
    assert Image.open(sheet).width == 6 * 64 + 5 * 2
    for steps in ("2", "1"):
        content = sheet.read_bytes()
        code, _, errors = scenograph("generate", "cube", "--seeds", "6-7", "--steps", steps)
        assert code == 2 and "cube-sheet.png exists and differs" in errors and len(drawn) == 12
        assert sheet.read_bytes() == content
        Image.new("RGB", (8, 8)).save(sheet)  # somebody's own
    code, _, errors = scenograph("generate", "whole/cube-sheet.png")
    assert code == 2 and "whole/cube-sheet.png is a sheet of several pictures; give one of them" in errors
    torn = tmp_path / "pictures" / "cube-seed1.png"
    torn.write_bytes(torn.read_bytes()[:-200])
    assert "cube-seed1.png exists and differs; add --overwrite" in scenograph(*command)[2]


def test_dry_run_writes_nothing(scenograph, tmp_path):
    output = succeed(scenograph("generate", TEXT, "--seeds", "0,4", "--dry-run"))
    assert f"would write pictures/{STEM}-seed4.png" in output and list(tmp_path.iterdir()) == []


def test_lists_of_scenes_get_numbers(scenograph, tmp_path):
    (tmp_path / "two.json").write_text(json.dumps([{"objects": ["cube"]}, {"objects": ["sphere"]}]))
    succeed(scenograph("generate", "two.json", "--steps", "1", "--seeds", "7"))
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {
        "two-0-seed7.png",
        "two-1-seed7.png",
        "two-sheet.png",
    }


BAD = {
    "unknown word": (["generate", "red cone"], "unknown word 'cone'"),
    "missing file": (["generate", "none.json"], "cannot read none.json: No such file"),
    "missing picture": (["generate", "none.png"], "cannot read none.png"),
    "seeds": (["generate", "cube", "--seeds", "5-1"], "--seeds '5-1'"),
    "device": (["generate", "cube", "--device", "gpu0"], "unknown device 'gpu0'"),
    "model": (["generate", "cube", "--image", "mise-rendered"], "did you mean 'mise-rendered-64'"),
    "size": (["generate", "cube", "--size", "65"], "must be a multiple of 8"),
    "out is a file": (
        ["generate", "cube", "--steps", "1", "--out", "file.txt"],
        "cannot make folder file.txt: File exists; choose another place",
    ),
    "self relation": (["scene", "check", "self.json"], "cannot be 'left of' itself"),
    "ten thousand": (["scene", "check", "many.json"], "10000 objects; at most 256"),
    "recipe": (["train", "sg2im-coco"], "did you mean 'sg2im-coco-64'"),
    "no pack": (["train", "tiny-mise"], "packs/tiny is not a pack"),
    "override": (["train", "tiny-mise", "training.step=3"], "training.step"),
    "system": (["import", "sg2imm", "c.pt"], "unknown system 'sg2imm' (did you mean 'sg2im'?)"),
    "torn checkpoint": (["import", "sg2im", "torn.pt"], "torn.pt: not a torch checkpoint, or cut short"),
    "pattern": (["models", "list", "x*"], "no model matches 'x*'"),
    "data set": (["data", "pack", "cocoo"], "no data set 'cocoo' (did you mean 'coco'?)"),
    "root": (["data", "pack", "coco", "--root", "nowhere"], "--root nowhere: there is no such folder"),
    "no annotations": (
        ["data", "pack", "coco", "stuff_only=false"],
        "there is no annotations/instances_train2017.json",
    ),
    "option": (["data", "pack", "coco", "presett=lama"], "presett: no such setting (did you mean 'preset'?)"),
    "option value": (["data", "pack", "coco", "preset=x"], "preset: Input should be 'sg2im', 'lama'"),
    "option form": (["data", "pack", "coco", "folder"], "'folder': expected key=value"),
    "broken scenes": (
        ["data", "pack", "clevr", "--root", "self.json", "--out", "p"],
        "expected an object with 'image_filename'",
    ),
    "download": (["data", "download", "sketchycoco"], "has no public address: it is handed out"),
    "verify": (["data", "verify", "."], "pack.json is missing"),
    "pull": (["data", "pull", "not a name", "--out", "p"], "cannot download not a name"),
    "pack": (["data", "show", "file.txt"], "is not a pack"),
    "evaluate": (["evaluate", "--pack", "nowhere"], "pack.json is missing"),
    "evaluate without data": (["evaluate"], "scenograph evaluate --pack PACK"),
    "no report": (["evaluate", "compare", "nowhere", "nowhere"], "cannot read nowhere"),
    "metric": (
        ["evaluate", "--pack", "PACK", "--metrics", "qualty"],
        "metrics.0: Input should be 'quality', 'objects'",
    ),
    "setting": (["evaluate", "--pack", "PACK", "--set", "lpip=vgg"], "no setting 'lpip' (did you mean 'lpips'?)"),
    "setting's value": (
        ["evaluate", "--pack", "PACK", "--set", "lpips=vgg19"],
        "lpips: Input should be 'alex' or 'vgg'",
    ),
    "setting's bounds": (
        ["evaluate", "--pack", "PACK", "--set", "truncation=0"],
        "protocol: truncation: Input should be greater than or equal to 0.1 (found '0')",
    ),
    "setting's form": (["evaluate", "--pack", "PACK", "--set", "lpips"], "expected SETTING=VALUE"),
    "split": (["evaluate", "--pack", "PACK", "--split", "test"], "no split 'test', which protocol"),
    "detector": (["evaluate", "--pack", "PACK", "--metrics", "detection"], "needs --detector MODEL, or --detections"),
    "weights option": (["evaluate", "folders", "a", "b", "--weights", "inception"], "expected NAME=FILE"),
    "weights file": (["evaluate", "folders", "a", "b", "--weights", "inception=no.pth"], "there is no no.pth"),
    "bench": (["bench", "quality", "tiny-lama", "--pack", "nowhere"], "is not a pack"),
    "foreign picture": (["generate", "foreign.png"], "was not made by scenograph"),
    "command": (["scene", "chek"], "No such command 'chek'. Did you mean 'check'? (see scenograph scene --help)"),
    "option's name": (["generate", "cube", "--seed", "3"], "No such option: --seed (Possible options: --object-seed,"),
    "option's value": (
        ["layout", "cube", "--precision", "bf32"],
        "'--precision': 'bf32' is not one of 'no', 'bf16' (see scenograph layout --help)",
    ),
    "number": (
        ["generate", "cube", "--steps", "ten"],
        "Invalid value for '--steps': Input should be a valid integer, unable to parse string as an integer (found 'ten')",
    ),
    "range": (["generate", "cube", "--steps", "0"], "Input should be greater than or equal to 1 (found '0')"),
    "no value": (
        ["generate", "cube", "--seeds"],
        "Option '--seeds' requires an argument (see scenograph generate --help)",
    ),
    "argument": (["generate"], "Missing argument 'SCENE' (see scenograph generate --help)"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(scenograph, tmp_path, painted, name):
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "self.json").write_text('{"objects": ["cube"], "relationships": [[0, "left of", 0]]}')
    (tmp_path / "many.json").write_text(json.dumps({"objects": ["cube"] * 10_000}))
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    Image.new("RGB", (4, 4)).save(tmp_path / "foreign.png")
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments, message = BAD[name]
    code, _, errors = scenograph(*(str(painted) if part == "PACK" else part for part in arguments))
    assert code == 2
    assert message in errors and errors.count("\n") == 1, errors
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_refined_layouts_are_remembered_by_their_pictures(scenograph, tmp_path):
    succeed(scenograph("generate", "cube left of sphere", "--refine", "--steps", "1"))
    with Image.open(tmp_path / "pictures" / "cube-left-of-sphere-seed0.png") as picture:
        assert json.loads(picture.info["scenograph"])["refine"] is True
    succeed(scenograph("generate", "pictures/cube-left-of-sphere-seed0.png", "--out", "again"))
    for folder in ("pictures", "again"):
        assert (tmp_path / folder / "cube-left-of-sphere-seed0.png").is_file()
    succeed(scenograph("layout", "cube left of sphere", "--refine"))
    code, _, errors = scenograph("layout", "red cube left of blue sphere; blue sphere left of red cube", "--refine")
    assert code == 2 and "relationships contradict each other: [0] cube (0) left of sphere (1)" in errors


def test_many_layouts_are_placed_in_parts_and_no_graph_is_drawn(scenograph, tmp_path, monkeypatch):
    monkeypatch.setattr("scenograph.scenes.drawing.draw_graph", lambda scene: pytest.fail("a graph was drawn"))
    succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-4", "--out", "whole"))
    monkeypatch.setattr(console, "BATCH", 2)
    succeed(scenograph("layout", "cube left of sphere", "--seeds", "0-4", "--out", "parts"))
    for path in (tmp_path / "whole").glob("*.png"):
        assert (tmp_path / "parts" / path.name).read_bytes() == path.read_bytes()
    assert len(json.loads((tmp_path / "parts" / "cube-left-of-sphere.json").read_text())) == 5


def test_half_precision_is_remembered_by_its_pictures(scenograph, tmp_path):
    succeed(scenograph("generate", "cube", "--precision", "bf16", "--steps", "1"))
    path = tmp_path / "pictures" / "cube-seed0.png"
    succeed(scenograph("generate", str(path), "--out", "again"))
    with Image.open(path) as first, Image.open(tmp_path / "again" / "cube-seed0.png") as again:
        assert json.loads(again.info["scenograph"])["precision"] == "bf16"
        assert first.tobytes() == again.tobytes()
        metadata = PngInfo()
        metadata.add_itxt("scenograph", first.info["scenograph"].replace("bf16", "bf1"))
        first.save(tmp_path / "odd.png", pnginfo=metadata)
    code, _, errors = scenograph("generate", "odd.png")
    assert code == 2 and "odd.png, as it was made: precision: Input should be 'no' or 'bf16' (found 'bf1')" in errors


def test_a_processor_that_would_imitate_half_precision_says_so(scenograph, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    said = "this processor does not compute in bf16: imitating it takes several times as long as precision no"
    for precision, expected in (("no", []), ("bf16", [said])):
        caplog.clear()
        options = ["--precision", precision, "--device", "cpu", "--out", precision]
        succeed(scenograph("generate", "cube", "--steps", "1", *options))
        succeed(scenograph("layout", "cube", *options))
        assert caplog.messages == 2 * expected


def test_a_picture_knows_the_models_that_made_it(scenograph, tmp_path, caplog):
    names = VOCABULARY.with_image_object().to_dict()
    model = Lama(LamaConfig(vocabulary=names, image_size=64, channels=8, latent_size=16, initial_scale=0.7))
    model.save_pretrained(tmp_path / "lama")
    succeed(scenograph("generate", "cube", "--image", "lama"))
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--out", "same"))
    assert caplog.messages == []
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(tmp_path / "lama")
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--out", "other"))
    said = ["the image model is not the one that made pictures/cube-seed0.png: the picture will differ"]
    assert caplog.messages == said
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--image", "lama", "--out", "asked"))
    assert caplog.messages == said


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": "../outside"}, "stem: String should match"),
        ({"size": "big"}, "size: Input should be a valid integer"),
        ({"steps": 10**9}, "steps: Input should be less than or equal to 1000 (found 1000000000)"),
        ({"digests": [1]}, "digests: Input should be a valid dictionary"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0 (found -1)"),
        ("[" * 100_000, "its scene cannot be read: "),
    ],
)
def test_a_picture_of_anybodys_is_read_with_care(scenograph, tmp_path, changes, message):
    made = {"scene": {"objects": ["cube"]}, "seed": 0}
    metadata = PngInfo()
    metadata.add_itxt("scenograph", changes if isinstance(changes, str) else json.dumps(made | changes))
    Image.new("RGB", (8, 8)).save(tmp_path / "made.png", pnginfo=metadata)
    code, _, error = scenograph("generate", "made.png", "--steps", "1", "--out", "out")
    assert code == 2 and message in error and error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"made.png", "cache"}


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


def test_what_is_left_out_changes_no_picture(scenograph, tmp_path):
    chain = {"objects": ["cube"] * 3, "relationships": [[0, "left of", 1], [1, "left of", 2], [2, "right of", 0]]}
    told = chain | {"relationships": [*chain["relationships"], [2, "left of", 0]]}
    for name, scene in (("chain", chain), ("told", told)):
        (tmp_path / f"{name}.json").write_text(json.dumps(scene))
        succeed(scenograph("generate", f"{name}.json", "--steps", "1"))
    pictures = [Image.open(tmp_path / "pictures" / f"{name}-seed0.png") for name in ("chain", "told")]
    assert pictures[0].tobytes() == pictures[1].tobytes()
    code, _, errors = scenograph("generate", "told.json", "--refine", "--out", "refined")
    assert (
        code == 2 and "contradict each other: [2] cube (2) right of cube (0); [3] cube (2) left of cube (0)" in errors
    )


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
    assert code == 2 and "the layout model (mise-layout): relationships[0]: unknown predicate 'larger than'" in told
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


def test_scene_commands(scenograph, tmp_path):
    succeed(scenograph("scene", "new", TEXT, "--out", "s.json"))
    assert json.loads((tmp_path / "s.json").read_text())["relationships"] == [[0, "left of", 1]]
    assert json.loads(succeed(scenograph("scene", "new", TEXT)))["objects"]
    assert "2 objects (0 with boxes), 1 relations" in succeed(scenograph("scene", "check", "s.json"))
    succeed(scenograph("scene", "draw", "s.json", "--format", "svg"))
    assert (tmp_path / "drawings" / "s-graph.svg").read_text().startswith("<svg")


def test_models_and_environment(scenograph):
    listed = succeed(scenograph("models", "list", "mise*"))
    assert "mise-rendered-64" in listed and "mise-layout-rendered" in listed and "object-classifier" not in listed
    told = succeed(scenograph("models", "info", "mise-rendered-64"))
    assert "categories (3): cube, sphere, cylinder\n" in told and "material (2): " in told
    assert "torch" in succeed(scenograph("env"))


def test_an_imported_sg2im_draws(scenograph, tmp_path):
    names = Sg2Im.vocabulary_for(VOCABULARY)
    settings = {"image_size": (32, 32), "embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 8, "gconv_num_layers": 1,
                "refinement_dims": (8, 8), "mask_size": 4, "layout_noise_dim": 2}  # fmt: skip
    plain = {"categories": names.categories, "predicates": names.predicates, "attributes": {}}
    state = Sg2Im(Sg2ImConfig(vocabulary=plain, **settings)).state_dict()
    state = {
        k.replace("object_embedding.category.", "obj_embeddings.").replace(
            "predicate_embedding.", "pred_embeddings."
        ): v
        for k, v in state.items()
    }
    vocabulary = {"object_idx_to_name": list(names.categories), "pred_idx_to_name": list(names.predicates)}
    torch.save({"model_kwargs": {"vocab": vocabulary, **settings}, "model_state": state}, tmp_path / "p.pt")
    assert "wrote p (sg2im" in succeed(scenograph("import", "sg2im", "p.pt"))
    hidden = f"categories ({len(names.categories) - 1}): "  # __image__ cannot be asked for
    assert hidden in succeed(scenograph("models", "info", "p"))
    code, _, errors = scenograph("import", "sg2im", "p.pt")
    assert code == 2 and "p exists" in errors
    succeed(scenograph("generate", "cube left of sphere", "--model", "p", "--draw-layout"))
    assert Image.open(tmp_path / "pictures" / "cube-left-of-sphere-seed0.png").size == (32, 32)
    succeed(scenograph("generate", "cube left of sphere", "--layout", "p", "--out", "both", "--steps", "1"))
    code, _, errors = scenograph("generate", "red cube", "--model", "p")
    assert code == 2 and "unknown word 'red'" in errors


def test_a_layout_is_drawn_edited_and_drawn_again(scenograph, tmp_path, caplog):
    torch.manual_seed(0)
    names = VOCABULARY.with_image_object().to_dict()
    config = LamaConfig(vocabulary=names, image_size=64, channels=8, latent_size=16, initial_scale=0.7)
    Lama(config).eval().save_pretrained(tmp_path / "lama")
    boxes = [[0.1, 0.2, 0.4, 0.6], [0.5, 0.4, 1.2, 0.8]]
    scene = {"objects": [{"category": "cube", "box": boxes[0]}, {"category": "sphere", "box": boxes[1]}]}
    (tmp_path / "s.json").write_text(json.dumps(scene))
    base = ["generate", "s.json", "--image", "lama"]
    succeed(scenograph(*base, "--save-scenes", "drawn.json", "--draw-layout", "--object-seed", "1=7"))
    assert "objects[1].box: [0.5, 0.4, 1.2, 0.8] reaches beyond the canvas and is cut to it" in caplog.text
    drawn = json.loads((tmp_path / "drawn.json").read_text())
    assert drawn["objects"][1]["box"] == [0.5, 0.4, 1.0, 0.8] and drawn["objects"][1]["seed"] == 7
    assert {"mask", "attributes"} <= set(drawn["objects"][0])
    first = (tmp_path / "pictures" / "s-seed0.png").read_bytes()
    succeed(scenograph("generate", "pictures/s-seed0.png", "--out", "again"))
    assert (tmp_path / "again" / "s-seed0.png").read_bytes() == first
    succeed(scenograph(*base, "--object-seed", "1=8", "--out", "other"))
    assert (tmp_path / "other" / "s-seed0.png").read_bytes() != first
    succeed(scenograph(*base, "--object-seed", "1=7:8:0.5", "--truncation", "0.7", "--out", "between"))
    succeed(scenograph("generate", "cube left of sphere", "--image", "lama", "--out", "placed"))
    code, _, errors = scenograph(*base, "--object-seed", "5=7")
    assert code == 2 and "--object-seed '5=7': the scene has objects 0 to 1" in errors
    code, _, errors = scenograph(*base, "--object-seed", "red")
    assert code == 2 and "expected OBJECT=SEED such as 2=7" in errors
    succeed(scenograph("generate", "s.json", "--object-seed", "0=1", "--steps", "1", "--out", "mise"))
    assert "mise gives objects no looks of their own: their seeds change nothing" in caplog.text


def test_a_picture_gives_its_style(scenograph, tmp_path):
    torch.manual_seed(0)
    sizes = {"image_size": (32, 32), "channels": 2, "norm_channels": 4, "latent_size": 4, "mask_size": 8}
    Spade(SpadeConfig(vocabulary=VOCABULARY.to_dict(), **sizes)).save_pretrained(tmp_path / "spade")
    Image.effect_noise((90, 60), 80).save(tmp_path / "photo.png")
    base = ["generate", "cube left of sphere", "--image", "spade"]
    succeed(scenograph(*base, "--style", "photo.png"))
    picture = "pictures/cube-left-of-sphere-seed0.png"
    succeed(scenograph("generate", picture, "--out", "again"))
    assert (tmp_path / "again" / Path(picture).name).read_bytes() == (tmp_path / picture).read_bytes()
    code, _, errors = scenograph(*base, "--style", "none.png", "--out", "other")
    assert code == 2 and "cannot read none.png: No such file or directory" in errors
    code, _, errors = scenograph(
        "generate", "cube left of sphere", "--style", "photo.png", "--out", "none", "--dry-run"
    )
    assert code == 2 and "mise: this model reads no style off a picture" in errors
    assert not (tmp_path / "other").exists()


def test_an_imported_lostgan_needs_names(scenograph, tmp_path):
    torch.save({"mask_regress.conv1.0.weight_orig": torch.zeros(1), "label_embedding.weight": torch.zeros(184, 4),
                "fc.weight_orig": torch.zeros(16, 4)}, tmp_path / "g.pth")  # fmt: skip
    code, _, errors = scenograph("import", "lostgan", "g.pth")
    assert code == 2 and "184 categories without their names; give --vocabulary coco-stuff" in errors
    code, _, errors = scenograph("import", "lostgan", "g.pth", "--vocabulary", "none.json")
    assert (
        code == 2
        and "vocabulary none.json: neither coco-stuff, ade20k, cityscapes, a pack, nor a readable JSON file" in errors
    )
    code, _, errors = scenograph("import", "lostgan", "g.pth", "--vocabulary", "coco-stuff")
    assert code == 2 and errors.count("\n") == 1 and not (tmp_path / "g").exists()


@pytest.mark.slow
def test_the_tiny_run(scenograph, tmp_path, painted):
    """Training and evaluating every tiny recipe, a few steps each, on ready-made data."""
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "tiny").symlink_to(painted)
    for recipe in (name for name in shipped_recipes() if name.startswith("tiny-")):
        output = succeed(
            scenograph(
                "train",
                recipe,
                "training.steps=4",
                "training.validate_every=2",
                "training.validation_scenes=8",
                "--device",
                "cpu",
            )
        )
        assert f"wrote runs/{recipe}/model" in output
    pair = ["--layout", "runs/tiny-mise-layout/model", "--image", "runs/tiny-mise/model"]
    succeed(scenograph("generate", TEXT, *pair, "--steps", "1"))
    measured = ["--classifier", "runs/tiny-object-classifier/model", "--pack", "packs/tiny", "--scenes", "4"]
    with reserved(tmp_path / "evaluation"):
        code, _, errors = scenograph("evaluate", *pair, *measured)
    assert code == 2 and "evaluation: another command is at work there" in errors
    output = succeed(scenograph("evaluate", *pair, *measured, "--steps", "1", "--run", "runs/tiny-mise"))
    assert "wrote evaluation/report.html" in output
    code, _, errors = scenograph("evaluate", *pair, *measured, "--run", "runs/tiny-lama", "--out", "other")
    assert code == 2 and "--run runs/tiny-lama: made none of the models that are measured" in errors
    succeed(scenograph("scene", "from-results", "evaluation/results.csv", "--out", "placed.json"))
    assert len(json.loads((tmp_path / "placed.json").read_text())) == 4
    figures = {row["name"] for row in json.loads((tmp_path / "evaluation" / "report.json").read_text())["figures"]}
    assert {"relations", "category", "color", "all", "fd_classifier", "probe_move", "box_iou_equivalent"} <= figures
    page = (tmp_path / "evaluation" / "report.html").read_text()
    assert "<polyline" in page and "data:image/png;base64" in page
    succeed(scenograph("evaluate", "--model", "runs/tiny-sg2im/model", *measured, "--out", "sg2im"))
    assert "| relations |" in succeed(scenograph("evaluate", "compare", "evaluation", "sg2im"))
    succeed(scenograph("evaluate", *pair, *measured, "--steps", "1", "--given", "masks", "--out", "masks"))
    code, _, errors = scenograph("evaluate", "compare", "evaluation", "masks")
    assert code == 2 and "given: graph against masks: a model that is told boxes" in errors and "--force" in errors
    assert "unlike: given" in succeed(scenograph("evaluate", "compare", "evaluation", "masks", "--force"))
    measured[measured.index("4")] = "8"
    bench = ["bench", "quality", "tiny-sg2im", "tiny-lama", "--minutes", "0.02", *measured, "--device", "cpu"]
    table = succeed(scenograph(*bench))
    assert "| tiny-sg2im |" in table and "| tiny-lama |" in table and (tmp_path / "bench" / "bench.md").is_file()
    assert "| tiny-lama |" in succeed(scenograph(*bench))  # goes on: everything is there
    bench[bench.index("0.02")] = "0.03"
    code, _, errors = scenograph(*bench)
    assert code == 2 and "trained.json: trained by another recipe, on another pack or for another time" in errors


def test_folders_and_vectors_are_compared(scenograph, tmp_path):
    rng = np.random.default_rng(0)
    for folder in ("made", "real"):
        (tmp_path / folder).mkdir()
        for number in range(8):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    output = succeed(scenograph("evaluate", "folders", "made", "real", "--encoder", "classifier"))
    assert "fd_classifier" in output and "too few for a covariance" in output
    (tmp_path / "made" / "9.png").write_bytes(b"no picture")
    code, _, errors = scenograph("evaluate", "folders", "made", "real", "--encoder", "classifier")
    assert code == 2 and "9.png: not a readable picture" in errors
    (tmp_path / "empty").mkdir()
    code, _, errors = scenograph("evaluate", "folders", "empty", "real", "--encoder", "classifier")
    assert code == 2 and "holds no .png or .jpg pictures" in errors
    np.save(tmp_path / "q.npy", np.eye(12))
    assert "mAP" in succeed(scenograph("evaluate", "retrieval", "q.npy", "q.npy"))
    code, _, errors = scenograph("evaluate", "retrieval", "q.npy", "none.npy")
    assert code == 2 and "cannot read none.npy" in errors
    np.savez(tmp_path / "q.npz", np.eye(12))
    (tmp_path / "empty.npy").touch()
    for file in ("q.npz", "empty.npy", "made/9.png"):
        code, _, errors = scenograph("evaluate", "retrieval", "q.npy", file)
        assert code == 2 and f"cannot read {file}" in errors and errors.count("\n") == 1


def test_protocols_are_listed(scenograph):
    output = succeed(scenograph("evaluate", "protocols"))
    for name in ("lama-coco", "lostgan-coco", "ldm-2048", "sg2im", "rendered"):
        assert name in output


def test_seeds():
    assert parse_seeds("0-3") == [0, 1, 2, 3] and parse_seeds("7, 2,2") == [7, 2]
    for bad in ("", "a", "3-1", "1-", "-1", "0-99999"):
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(bad)


def test_help_needs_no_torch():
    code = "import sys; import scenograph.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_examples_are_valid(scenograph):
    for path in sorted((Path(__file__).parents[2] / "examples").glob("*.json")):
        succeed(scenograph("scene", "check", path))


def test_data_from_a_folder_to_a_checked_pack(scenograph, tmp_path):
    (tmp_path / "mine").mkdir()
    lines = []
    for number in range(6):
        Image.new("RGB", (40, 30), (40 * number, 0, 0)).save(tmp_path / "mine" / f"{number}.png")
        things = [{"category": "cat", "box": [0.1, 0.1, 0.5, 0.5]}, {"category": "dog", "box": [0.4, 0.4, 0.9, 0.9]}]
        lines.append(json.dumps({"image": f"{number}.png", "objects": things, "relationships": [[0, "near", 1]]}))
    (tmp_path / "mine" / "scenes.jsonl").write_text("\n".join([*lines, '{"image": "no.png", "objects": ["cat"]}']))
    code, output, _ = scenograph(
        "data", "pack", "folder", "validation_count=2", "--root", "mine", "--out", "packs/mine"
    )
    assert code == 0
    assert "validation: 2 scenes, 4 objects, 2 relations" in output
    assert "left out:       1  picture is missing or unreadable" in output
    assert "vocabulary: 2 categories, 1 predicates, no attributes" in output
    assert [path.name for path in (tmp_path / "packs").iterdir()] == ["mine"]
    code, output, _ = scenograph("data", "show", "packs/mine", "--out", "sheet.png")
    assert code == 0 and "most frequent predicates: near" in output
    assert Image.open(tmp_path / "sheet.png").width > 800
    code, output, _ = scenograph("data", "verify", "packs/mine")
    assert code == 0 and "ok: packs/mine" in output
    (tmp_path / "packs" / "mine" / "vocabulary.json").write_text('{"categories": ["cat"], "predicates": []}')
    code, output, errors = scenograph("data", "verify", "packs/mine")
    assert code == 2 and "unknown category 'dog'" in output and "problems; make the pack again" in errors
    code, _, errors = scenograph("data", "pack", "folder", "--root", "mine", "--out", "packs/mine")
    assert code == 2 and "exists; delete it" in errors


def test_sources_are_listed_with_their_options(scenograph):
    code, output, _ = scenograph("data", "sources")
    assert code == 0
    for name in ("coco", "visual-genome", "clipart", "min_object_size=0.02", "drawings=required"):
        assert name in output


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


def test_layouts_are_measured_without_pictures(scenograph, tmp_path, painted):
    """A layout model alone, whose names no image model here needs to know."""
    torch.manual_seed(0)
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    config = WsgcConfig(vocabulary=Wsgc.vocabulary_for(read_vocabulary(painted)).to_dict(), **shape)
    Wsgc(config).save_pretrained(tmp_path / "layout")
    options = ("--pack", str(painted), "--split", "validation", "--metrics", "layout,robustness")
    succeed(scenograph("evaluate", *options, "--layout", str(tmp_path / "layout"), "--out", "e"))
    report = json.loads((tmp_path / "e" / "report.json").read_text())
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    assert list(report["models"]) == ["layout"]
    assert 0 <= figures["box_iou"] <= 1 and {"box_iou_noisy", "box_iou_agreed"} <= set(figures)
    assert not (tmp_path / "e" / "pictures").exists()
    assert "Pairs of layouts: true, predicted." in (tmp_path / "e" / "report.html").read_text()
    assert len((tmp_path / "e" / "results.csv").read_text().splitlines()) > 8
    succeed(scenograph("evaluate", *options, "--layout", str(tmp_path / "layout"), "--precision", "bf16", "--out", "h"))
    half = json.loads((tmp_path / "h" / "report.json").read_text())["models"]["layout"]
    assert half == report["models"]["layout"] | {"precision": "bf16"}
    one = (*options[:-1], "layout", "--set", "candidates=1")
    held = {}
    for refine in ("false", "true"):
        command = ("evaluate", *one, "--set", f"refine={refine}", "--layout", str(tmp_path / "layout"))
        succeed(scenograph(*command, "--out", refine))
        figures = json.loads((tmp_path / refine / "report.json").read_text())["figures"]
        held[refine] = next(figure["value"] for figure in figures if figure["name"] == "relations")
    assert held["false"] < 1 and held["true"] == 1
    # Relations drawn from boxes, of which the data has not all names.
    drawn = ("--protocol", "wsgc", "--layout", str(tmp_path / "layout"), "--out", "canonical")
    assert "box_iou_equivalent" in succeed(scenograph("evaluate", *options, *drawn))
    # Published: one layout per graph. The best of several serves it better.
    succeed(scenograph("evaluate", *options, *drawn[:-1], "best", "--set", "candidates=8"))
    one, best = (json.loads((tmp_path / out / "report.json").read_text()) for out in ("canonical", "best"))
    assert [report["protocol"]["candidates"] for report in (one, best)] == [1, 8]
    held = [next(f["value"] for f in r["figures"] if f["name"] == "relations") for r in (one, best)]
    assert held[0] < held[1]
    code, _, error = scenograph("evaluate", "compare", "canonical", "best")
    assert code == 2 and "candidates: 1 against 8: the best of several layouts" in error
    code, _, error = scenograph("evaluate", *options, "--layout", "mise-rendered-64", "--out", "f")
    assert code == 2 and "places no objects" in error


def test_two_evaluations_are_drawn_side_by_side(scenograph, tmp_path, painted):
    options = ("--pack", str(painted), "--split", "validation", "--scenes", "3")
    for name, size in (("red", 24), ("blue", 32)):
        (tmp_path / name).mkdir()
        for layout in range(3):
            Image.new("RGB", (size, size), name).save(tmp_path / name / f"sample_{layout}_0.png")
        succeed(scenograph("evaluate", *options, "--pictures", name, "--metrics", "agreement", "--out", f"of-{name}"))
    compared = ("evaluate", "compare", "of-red", "of-blue/report.json", "--sheet", "beside.png")
    assert "wrote beside.png: pairs of of-red and of-blue/report.json" in succeed(scenograph(*compared))
    sheet = Image.open(tmp_path / "beside.png")
    assert sheet.size == (6 * 34 - 2, 32)
    assert [sheet.getpixel((34 * place + 16, 16)) for place in range(6)] == [(255, 0, 0), (0, 0, 255)] * 3
    sheet.rotate(180).save(tmp_path / "beside.png")
    code, _, error = scenograph(*compared)
    assert code == 2 and "beside.png exists and differs; add --overwrite" in error
    succeed(scenograph(*compared, "--overwrite"))
    (tmp_path / "red" / "sample_2_0.png").unlink()
    code, _, error = scenograph(*compared)
    assert code == 2 and "there is no sample_2_0.png" in error
    # Where one has layouts alone, both are drawn so, and of scenes that are not the same nothing.
    torch.manual_seed(0)
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    Wsgc(WsgcConfig(vocabulary=read_vocabulary(painted).to_dict(), **shape)).save_pretrained(tmp_path / "layout")
    for out in ("one", "other"):
        placed = ("--layout", "layout", "--metrics", "layout", "--out", out)
        succeed(scenograph("evaluate", *options, *placed))
    succeed(scenograph("evaluate", "compare", "one", "other", "--sheet", "layouts.png"))
    pairs = np.asarray(Image.open(tmp_path / "layouts.png"))
    assert pairs.shape[:2] == (2 * 242 - 2, 4 * 242 - 2) and np.array_equal(pairs[:240, :240], pairs[:240, 242:482])
    report = json.loads((tmp_path / "other" / "report.json").read_text())
    report["data"]["files"] = "of another pack"
    (tmp_path / "other" / "report.json").write_text(json.dumps(report))
    code, _, error = scenograph("evaluate", "compare", "one", "other", "--sheet", "none.png", "--force")
    assert code == 2 and "--sheet: the evaluations are of other scenes; measure both on one pack" in error
    assert not (tmp_path / "none.png").exists()


def test_the_inception_score_says_what_it_needs(scenograph, painted):
    options = ("evaluate", "--pack", str(painted), "--metrics", "score", "--scenes", "4")
    code, _, error = scenograph(*options)
    assert code == 2 and "the score metric is Inception's: --encoder inception" in error
    code, _, error = scenograph(*options, "--encoder", "inception")
    assert code == 2 and "the score metric needs 5 pictures, one per split: take more --scenes" in error


def test_models_that_lack_a_name_of_the_data_are_refused_before_anything_is_drawn(scenograph, tmp_path, painted):
    fewer = {"categories": ["cube", "sphere"], "predicates": list(VOCABULARY.predicates), "attributes": {}}
    shape = {"embedding_dim": 8, "gconv_dim": 8, "gconv_hidden_dim": 16, "gconv_num_layers": 2}
    Wsgc(WsgcConfig(vocabulary=fewer, **shape)).save_pretrained(tmp_path / "layout")
    plain = fewer | {"categories": list(VOCABULARY.categories)}
    Lama(LamaConfig(vocabulary=plain, image_size=64, channels=8, latent_size=16)).save_pretrained(tmp_path / "image")
    # By the protocol Inception would be downloaded for the first.
    data, layout = ("evaluate", "--pack", str(painted), "--split", "validation"), ("--layout", "layout")
    scenes = PackLoader(painted, "validation", (64, 64), 16).scenes(0, 8)
    first = next(i for i, one in enumerate(scenes) if any(thing.category == "cylinder" for thing in one.objects))
    cases = (
        (
            ("--image", "image", "--protocol", "sg2im"),
            "layout 0: the image model (lama): objects[0]: unknown attribute",
        ),
        ((*layout, "--metrics", "layout"), f"layout {first}: the layout model (wsgc): objects["),
        (("--image", "image", *layout, "--metrics", "layout", "--given", "boxes"), "the image model (lama)"),
    )
    for options, message in cases:
        code, _, error = scenograph(*data, *options, "--out", "e")
        assert code == 2 and f"{painted}, " in error and message in error and error.count("\n") == 1
    assert not (tmp_path / "e").exists()
    other = ("--classifier", "judge", "--minutes", "0.01", "--out", "b")
    vocabulary = ObjectClassifierConfig(vocabulary=fewer, groups=(), channels=(8, 8))
    ObjectClassifier(vocabulary).save_pretrained(tmp_path / "judge")
    code, _, error = scenograph("bench", "quality", "tiny-lama", "--pack", str(painted), *other)
    assert code == 2 and "the classifier does not know 'cylinder'" in error and not (tmp_path / "b").exists()


def test_other_pictures_are_another_evaluation(scenograph, tmp_path, painted):
    for folder, shade in (("light", 250), ("dark", 5)):
        (tmp_path / folder).mkdir()
        for number in range(8):
            Image.new("RGB", (64, 64), (shade,) * 3).save(tmp_path / folder / f"sample_{number}_0.png")
    measured = ("evaluate", "--pack", str(painted), "--split", "validation", "--metrics", "agreement", "--out", "e")
    succeed(scenograph(*measured, "--pictures", "light"))
    succeed(scenograph(*measured, "--pictures", "light"))  # goes on
    code, _, error = scenograph(*measured, "--pictures", "dark")
    assert code == 2 and "e holds another evaluation" in error
    code, _, error = scenograph(*measured, "--pictures", "light", "--model", "mise")
    assert code == 2 and "either pictures (light) or models that draw them (mise)" in error
