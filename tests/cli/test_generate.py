"""``scenograph generate``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers import TEXT, succeed
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import NOTE
from scenograph.models.lama import Lama, LamaConfig
from scenograph.models.spade import Spade, SpadeConfig
from scenograph.pipelines.outputs import SHEET_GAP, SHEET_SIDE
from scenograph.scenes.drawing import CAPTION

STEM = "large-red-metal-cube-left-of-small-blue"


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
    monkeypatch.setattr("scenograph.pipelines.outputs.ON_SHEET", 3)
    succeed(scenograph("generate", "cube", "--seeds", "0-4", "--steps", "1"))
    size = (3 * (SHEET_SIDE + SHEET_GAP) + SHEET_GAP, SHEET_SIDE + 2 * (CAPTION + 7) + 2 * SHEET_GAP)
    assert Image.open(tmp_path / "pictures" / "cube-sheet.png").size == size
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
    monkeypatch.setattr("scenograph.pipelines.outputs.TOGETHER", 2)
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
    assert Image.open(sheet).width == 6 * (SHEET_SIDE + SHEET_GAP) + SHEET_GAP
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
    assert (
        code == 2
        and "odd.png, as it was made: precision: Input should be 'no', 'bf16' or 'fp16' (found 'bf1')" in errors
    )


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
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--image", "lama", "--out", "same"))
    assert caplog.messages == []
    with torch.no_grad():
        next(model.parameters()).add_(1)
    model.save_pretrained(tmp_path / "lama")
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--image", "lama", "--out", "other"))
    said = ["the image model is not the one that made pictures/cube-seed0.png: the picture will differ"]
    assert caplog.messages == said
    code, _, errors = scenograph("generate", "pictures/cube-seed0.png", "--out", "asked")
    assert code == 2 and "made with 'lama', which does not ship in the package" in errors
    assert "if you trust it, add --image lama" in errors and not (tmp_path / "asked").exists()
    succeed(scenograph("generate", "pictures/cube-seed0.png", "--image", "mise-rendered-64", "--out", "asked"))
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
    succeed(scenograph("generate", "pictures/s-seed0.png", "--image", "lama", "--out", "again"))
    assert (tmp_path / "again" / "s-seed0.png").read_bytes() == first
    succeed(scenograph(*base, "--object-seed", "1=8", "--out", "other"))
    assert (tmp_path / "other" / "s-seed0.png").read_bytes() != first
    succeed(scenograph(*base, "--object-seed", "1=7:8:0.5", "--truncation", "0.7", "--out", "between"))
    succeed(scenograph(*base, "--object-seed", "1=0:1", "--out", "pinned", "--save-scenes", "pinned.json"))
    assert json.loads((tmp_path / "pinned.json").read_text())["objects"][1]["seed"] == [0, 1]
    succeed(scenograph("generate", "cube left of sphere", "--image", "lama", "--out", "placed"))
    code, _, errors = scenograph(*base, "--object-seed", "5=7")
    assert code == 2 and "--object-seed '5=7': the scene has objects 0 to 1" in errors
    code, _, errors = scenograph(*base, "--object-seed", "1=7", "--object-seed", "1=8")
    assert code == 2 and "--object-seed '1=8': object 1 has a seed already, '1=7'" in errors
    code, _, errors = scenograph(*base, "--object-seed", "red")
    assert code == 2 and "expected OBJECT=SEED such as 2=7" in errors
    succeed(scenograph("generate", "s.json", "--object-seed", "0=1", "--steps", "1", "--out", "mise"))
    assert "mise-rendered-64 gives objects no looks of their own: their seeds change nothing" in caplog.text


def test_a_picture_gives_its_style(scenograph, tmp_path):
    torch.manual_seed(0)
    sizes = {"image_size": (32, 32), "channels": 2, "norm_channels": 4, "latent_size": 4, "mask_size": 8}
    Spade(SpadeConfig(vocabulary=VOCABULARY.to_dict(), **sizes)).save_pretrained(tmp_path / "spade")
    Image.effect_noise((90, 60), 80).save(tmp_path / "photo.png")
    base = ["generate", "cube left of sphere", "--image", "spade"]
    succeed(scenograph(*base, "--style", "photo.png"))
    picture = "pictures/cube-left-of-sphere-seed0.png"
    code, _, errors = scenograph("generate", picture, "--image", "spade", "--out", "again")
    assert code == 2 and "made in the style of another picture, 'photo.png'; give that with --style" in errors
    succeed(scenograph("generate", picture, "--image", "spade", "--style", "photo.png", "--out", "again"))
    assert (tmp_path / "again" / Path(picture).name).read_bytes() == (tmp_path / picture).read_bytes()
    code, _, errors = scenograph(*base, "--style", "none.png", "--out", "other")
    assert code == 2 and "cannot read none.png: No such file or directory" in errors
    code, _, errors = scenograph(
        "generate", "cube left of sphere", "--style", "photo.png", "--out", "none", "--dry-run"
    )
    assert code == 2 and "mise-rendered-64: this model reads no style off a picture" in errors
    assert not (tmp_path / "other").exists()


def test_layers_are_written_beside_the_pictures(scenograph, tmp_path):
    scene = {
        "objects": [{"category": "grass", "box": [0, 0.5, 1, 1]}, {"category": "sheep", "box": [0.2, 0.5, 0.6, 0.9]}]
    }
    (tmp_path / "s.json").write_text(json.dumps(scene))
    command = ("generate", "s.json", "--image", "collage", "--size", "64", "--layers", "--out", "p")
    assert "p/s-seed0.ora" in succeed(scenograph(*command))
    with zipfile.ZipFile(tmp_path / "p" / "s-seed0.ora") as file, file.open("mergedimage.png") as whole:
        assert Image.open(whole).tobytes() == Image.open(tmp_path / "p" / "s-seed0.png").tobytes()
    code, _, error = scenograph("generate", "red cube", "--layers", "--out", "q")
    assert (code, (tmp_path / "q").exists()) == (2, False)
    assert "mise-rendered-64: its pictures have no layers" in error


def test_what_was_read_otherwise_is_said_once(scenograph, caplog):
    caplog.set_level(NOTE)
    succeed(scenograph("generate", "a crimson cube by a sphere, standing", "--dry-run"))
    assert caplog.messages == [
        "leaving out standing: nothing is named that it relates to",
        "crimson is taken as red, by is taken as left of",
    ]


def test_options_are_checked_before_files_that_exist(scenograph):
    for command in ("generate", "compose"):
        succeed(scenograph(command, "cube", "--steps", "1", "--out", command))
        code, _, errors = scenograph(command, "cube", "--steps", "1", "--out", command, "--strength", "0.5")
        assert code == 2 and "takes no strength, which diffusion models do" in errors
