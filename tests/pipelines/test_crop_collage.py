"""A collage takes its crops from any memory, says where every one came from, and keeps those that are given."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import succeed, tiny
from scenograph.errors import NOTE, UserError
from scenograph.pipelines import Pipeline
from scenograph.pipelines.credits import credit_lines
from scenograph.pipelines.renderers.collage import CropCollage
from scenograph.pipelines.renderers.crops import DrawnCrops, MemoryCrops
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.own_crops import add_files
from scenograph.scenes.openraster import merged
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Relation, Scene, SceneObject

SCENE = Scene(
    (
        SceneObject("grass", box=(0.0, 0.5, 1.0, 1.0)),
        SceneObject("cube", box=(0.1, 0.2, 0.4, 0.5)),
        SceneObject("sphere", box=(0.5, 0.5, 0.9, 0.9)),
    )
)
FILE = json.dumps(SCENE.to_dict())
SHEEP = Scene((SceneObject("sheep", ("red",), (0.2, 0.2, 0.8, 0.8)),))


@pytest.fixture(scope="module")
def pipe(built_memory) -> Pipeline:
    return Pipeline(CropCollage(MemoryCrops(built_memory)))


def test_every_object_is_shown_by_a_crop_of_its_category_in_its_box(pipe):
    conditioned = pipe.encode(SCENE, seeds=[4], size=100)
    grass, cube, sphere = pipe.crops_shown(conditioned)[0]
    assert grass is None and conditioned.scenes[0].objects[0].origin is None
    (picture,) = pipe.render(conditioned)
    pixels = np.asarray(picture).astype(int)
    for crop, thing in ((cube, SCENE.objects[1]), (sphere, SCENE.objects[2])):
        x0, y0, x1, y1 = (round(100 * value) for value in thing.box)
        assert np.abs(pixels[(y0 + y1) // 2, (x0 + x1) // 2] - crop.pixels[4, 4, :3]).max() <= 1
        assert np.abs(pixels[y1 + 2, x0] - crop.pixels[4, 4, :3]).max() > 1
    (stored,) = pipe.renderer.source.memory.crops([cube.origin.crop])
    assert stored.category == "cube" and np.array_equal(stored.pixels, cube.pixels)
    assert conditioned.scenes[0].objects[1].origin == cube.origin.text


def test_seeds_change_crops_and_batches_do_not(pipe):
    together = pipe(SCENE, seeds=range(6), size=64, temperature=2)
    assert all(
        np.array_equal(np.asarray(image), np.asarray(pipe(SCENE, seeds=[seed], size=64, temperature=2).images[0]))
        for seed, image in zip(range(6), together.images, strict=True)
    )
    chosen = {tuple(thing.origin for thing in scene.objects) for scene in together.scenes}
    assert len(chosen) > 3
    best = pipe(SCENE, seeds=range(3), temperature=0)
    assert len({tuple(thing.origin for thing in scene.objects) for scene in best.scenes}) == 1


def test_depth_follows_relations_then_the_foot_line(pipe):
    objects = (SceneObject("cube", box=(0.1, 0.1, 0.7, 0.7)), SceneObject("sphere", box=(0.2, 0.3, 0.8, 0.9)))
    for relations, order in (((), ["cube", "sphere"]), ((Relation(0, "in front of", 1),), ["sphere", "cube"])):
        (layers,) = pipe.layers(pipe.encode(Scene(objects, relations), size=64))
        assert [layer.name for layer in layers] == ["ground", *order]


def test_shadows_lie_under_what_stands(pipe):
    plain, shaded = (pipe.layers(pipe.encode(SCENE, size=200, shadow=shadow))[0] for shadow in (False, True))
    assert [layer.name for layer in shaded] == ["ground", "shadow of cube", "cube", "shadow of sphere", "sphere"]
    dark = merged(plain) - merged(shaded)
    assert dark.min() >= 0 and dark[100:104, 20:80].max() > 0.05 and not dark[:80].any()


def test_a_given_crop_wins_and_is_a_part_of_the_record(pipe, tmp_path, caplog):
    caplog.set_level(NOTE)
    Image.new("RGB", (10, 10), (1, 2, 250)).save(tmp_path / "own.png")
    name = CropMemory(pipe.renderer.source.memory.folder).rows("cube").ids[5]
    (scene,) = pipe.with_given_crops([SCENE], [f"2={tmp_path / 'own.png'}"], [f"1={name}"])
    assert "own.png has no transparency: its background counts as a part of object 2" in caplog.text
    made = pipe(scene, seeds=range(4), size=100)
    for image, shown in zip(made.images, made.scenes, strict=True):
        assert np.abs(np.asarray(image)[70, 70].astype(int) - (1, 2, 250)).max() <= 1
        assert Origin.parse(shown.objects[1].origin).crop == name
        assert shown.objects[2].origin == "own.png"
    for options, complaint in (
        ((["7=own.png"], []), "cannot read|is missing"),
        (([], ["0=nobody/9"]), "holds no crop 'nobody/9'"),
        (([], [f"3={name}"]), "a crop for object 3: the scene has objects 0 to 2"),
        ((["own.png"], []), "--crop 'own.png': expected an object's number"),
        ((["1=a.png"], [f"01={name}"]), "object 1 is given two crops, '1=a.png' and '01="),
    ):
        with pytest.raises(UserError, match=complaint):
            pipe.with_given_crops([SCENE], *options)


def test_what_the_memory_lacks_is_named_with_the_remedy(pipe):
    sheep = {"objects": ["grass", {"category": "sheep", "box": [0.1, 0.1, 0.5, 0.5]}]}
    sheep["objects"][0] = {"category": "grass", "box": [0, 0.5, 1, 1]}
    with pytest.raises(UserError, match=r"^objects\[1\]: .* holds no crop of 'sheep' .*scenograph memory add"):
        pipe(sheep)
    with pytest.raises(
        UserError, match=r"scene 1, objects\[2\]: .*under mit; its crops of it are under CC0-1.0|objects"
    ):
        pipe([SCENE, SCENE], licence="mit")
    with pytest.raises(UserError, match="takes no style"):
        pipe(SCENE, style=Image.new("RGB", (4, 4)))


def test_attributes_of_the_memorys_crops_may_be_asked_for(pipe):
    asked = {"objects": [{"category": "cube", "attributes": ["rubber", "small"], "box": [0.1, 0.1, 0.5, 0.5]}]}
    (shown,) = pipe(asked, temperature=0, size=32).scenes
    (crop,) = pipe.renderer.source.memory.crops([Origin.parse(shown.objects[0].origin).crop])
    assert "rubber" in crop.attributes
    asked["objects"][0]["attributes"] = ["ruber"]
    with pytest.raises(UserError, match=r"unknown attribute 'ruber' .did you mean 'rubber'"):
        pipe(asked)


def test_a_partial_collage_leaves_out_what_the_memory_lacks_and_says_it_once(pipe, caplog):
    sheep = replace(SCENE, objects=(*SCENE.objects, SceneObject("sheep", box=(0.1, 0.1, 0.5, 0.5))))
    partial = Pipeline(CropCollage(pipe.renderer.source, partial=True))
    for _ in range(2):
        conditioned = partial.encode(sheep, seeds=[3], size=64)
        assert partial.crops_shown(conditioned)[0][3] is None
    told = [message for message in caplog.messages if "no crop" in message]
    assert told == ["there is no crop of 'sheep': the collage leaves it out"]
    (shown,), (whole,) = partial.render(conditioned), pipe(SCENE, seeds=[3], size=64).images
    assert np.array_equal(np.asarray(shown), np.asarray(whole))


def test_the_drawings_that_ship_are_a_source_like_any_memory():
    pipe = Pipeline(CropCollage(DrawnCrops()))
    (shown,) = pipe(SHEEP, seeds=[1], size=64).scenes
    origin = Origin.parse(shown.objects[0].origin)
    assert origin.author and origin.licence in ("Apache-2.0", "MIT") and not origin.crop
    for seed in range(6):
        (shown,) = pipe(SHEEP, seeds=[seed], size=32, licence="MIT").scenes
        assert Origin.parse(shown.objects[0].origin).licence == "MIT"
    with pytest.raises(UserError, match=r"objects\[0\]: no drawing of 'sheep' is under gpl; those that ship are under"):
        pipe(SHEEP, licence="gpl")
    (scene,) = pipe.with_given_crops([SHEEP], pins=["0=own/sheep"])
    assert Origin.parse(scene.objects[0].origin).source == "own/sheep"
    with pytest.raises(UserError, match="no drawing 'own/shep' ships .did you mean"):
        pipe.with_given_crops([SHEEP], pins=["0=own/shep"])


def test_a_network_takes_no_crops():
    with pytest.raises(UserError, match="takes no crops of a memory; add --image collage"):
        Pipeline.from_pretrained(memory="drawings")
    with pytest.raises(UserError, match="composes no crops; add --image collage --memory"):
        Pipeline.from_pretrained().with_given_crops([SHEEP], ["0=x.png"])


def test_origins_are_read_as_they_are_written():
    for origin in (
        Origin("noto/cat", "Google Inc", "Apache-2.0"),
        Origin("a", "Cats, Dogs, and Co", "MIT", "picture/3"),
        Origin("robot.png"),
        Origin("robot.png", crop="1a2b"),
        Origin("robot.png", "", "MIT"),
    ):
        assert Origin.parse(origin.text) == origin
    assert Origin.parse(None) == Origin("")


def test_credits_name_each_source_once():
    objects = [SceneObject("sheep", origin="noto/ewe, Google Inc, Apache-2.0") for _ in range(2)]
    lines = credit_lines(Scene((*objects, SceneObject("robot", origin="r.png"), SceneObject("grass"))))
    assert lines == [
        "sheep: noto/ewe by Google Inc, licence Apache-2.0",
        "robot: r.png, author and licence unknown",
    ]


def test_generate_composes_from_a_memory_and_credits_tells_of_whom(scenograph, crop_memory, tmp_path):
    shutil.copytree(crop_memory, tmp_path / "memory")
    Path("scene.json").write_text(FILE)
    Image.new("RGB", (9, 9), "navy").save("own.png")
    name = CropMemory(tmp_path / "memory").rows("cube").ids[0]
    command = ["generate", "scene.json", "--memory", "memory", "--seeds", "0-2", "--size", "64", "--draw-crops"]
    said = succeed(scenograph(*command, "--pin", f"1={name}", "--crop", "2=own.png", "--out", "p"))
    assert "p/scene-seed0-crops.png" in said
    credits = succeed(scenograph("credits", "p/scene-seed0.png"))
    assert f"(crop {name}) by A. Painter, licence CC0-1.0" in credits
    assert "sphere: own.png, author and licence unknown" in credits
    before = Path("p/scene-seed1.png").read_bytes()
    code, _, errors = scenograph("generate", "p/scene-seed1.png", "--out", "again")
    assert code == 2 and "made with crops of a memory, 'memory'; give that with --memory" in errors
    succeed(scenograph("generate", "p/scene-seed1.png", "--memory", "memory", "--out", "again"))
    assert Path("again/scene-seed1.png").read_bytes() == before
    assert "3 of 3 pictures were there already" in succeed(
        scenograph(*command, "--pin", f"1={name}", "--crop", "2=own.png", "--out", "p")
    )
    succeed(scenograph("memory", "remove", "memory", "--source", f"samples made in Python/{name.split('/')[0]}"))
    _, _, errors = scenograph("generate", "p/scene-seed1.png", "--memory", "memory", "--out", "later")
    assert errors == "" or "memory of crops" in errors


def test_a_model_that_needs_no_crops_shows_those_that_are_given(scenograph, crop_memory, tmp_path):
    shutil.copytree(crop_memory, tmp_path / "memory")
    tiny("mise-layers").save_pretrained(tmp_path / "layers")
    Path("scene.json").write_text(
        json.dumps(Scene((SceneObject("cylinder", box=(0, 0, 1, 1)), *SCENE.objects[1:])).to_dict())
    )
    Image.new("RGB", (9, 9), "navy").save("own.png")
    name = CropMemory(tmp_path / "memory").rows("cube").ids[0]
    drawn = ["generate", "scene.json", "--image", "layers", "--size", "32"]
    succeed(scenograph(*drawn, "--crop", "2=own.png", "--draw-crops", "--out", "p"))
    code, _, errors = scenograph("credits", "p/scene-seed0.png", "--out", "p/scene-seed0.png", "--overwrite")
    assert code == 2 and "is the picture whose credits are asked for" in errors
    assert succeed(scenograph("credits", "p/scene-seed0.png")).splitlines()[1:] == [
        "- sphere: own.png, author and licence unknown"
    ]
    succeed(scenograph(*drawn, "--memory", "memory", "--pin", f"1={name}", "--crop", "2=own.png", "--out", "q"))
    credits = succeed(scenograph("credits", "q/scene-seed0.png"))
    assert f"cube: samples made in Python/{name.split('/')[0]} (crop {name}) by A. Painter, licence CC0-1.0" in credits
    for options, wanted in (
        (("--pin", f"1={name}"), "there is no memory to take the crop from; name one with --memory"),
        (("--shadow",), "name one with --memory, or add --image collage"),
    ):
        code, _, errors = scenograph(*drawn, *options, "--out", "r")
        assert code == 2 and wanted in " ".join(errors.split())


def test_generate_draws_with_the_drawings_that_ship(scenograph):
    Path("scene.json").write_text(json.dumps(SHEEP.to_dict()))
    succeed(scenograph("generate", "scene.json", "--shadow", "--size", "64", "--out", "p"))
    succeed(scenograph("generate", "p/scene-seed0.png", "--out", "again"))
    assert Path("p/scene-seed0.png").read_bytes() == Path("again/scene-seed0.png").read_bytes()
    succeed(scenograph("generate", "scene.json", "--image", "collage", "--size", "64", "--out", "plain"))
    assert "sheep: " in succeed(scenograph("credits", "plain/scene-seed0.png", "p/scene-seed0.png"))
    succeed(scenograph("credits", "plain/scene-seed0.png", "--out", "credits.txt"))
    assert "licence" in Path("credits.txt").read_text()
    Image.new("RGB", (4, 4)).save("other.png")
    code, _, errors = scenograph("credits", "other.png")
    assert code == 2 and "not made by scenograph" in errors


def test_a_crop_of_a_region_fills_its_box_and_its_holes_get_its_colours(crop_memory, tmp_path):
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:, :4, :3], pixels[:, 4:, 3] = (250, 0, 250), 0
    pixels[0, 7] = pixels[7, 7] = (250, 0, 250, 255)  # or the transparent half would be cut off
    Image.fromarray(pixels).save(tmp_path / "grass.png")
    memory = CropMemory(crop_memory)
    add_files(memory, [tmp_path / "grass.png"], "grass")
    with_crop = Pipeline(CropCollage(MemoryCrops(crop_memory)))
    (scene,) = with_crop(Scene(SCENE.objects[:1]), size=64).scenes
    (image,) = with_crop(Scene(SCENE.objects[:1]), size=64).images
    shown = np.asarray(image).astype(int)
    assert scene.objects[0].origin.startswith("grass.png")
    assert (np.abs(shown[40:60, 2:16] - (250, 0, 250)).max() <= 1) and (
        np.abs(shown[40:56, 44:60] - (250, 0, 250)).max() <= 12
    )
