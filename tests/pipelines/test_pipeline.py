"""The shipped pair, from Python."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers import tiny
from scenograph import Pipeline
from scenograph.cli.main import run
from scenograph.errors import UserError
from scenograph.evaluation.agreement import object_agreement
from scenograph.models.registry import AutoModel, shipped_models
from scenograph.pipelines import DEFAULT_CLASSIFIER, DEFAULT_IMAGE, DEFAULT_LAYOUT, check_names
from scenograph.pipelines.placing import place_objects
from scenograph.pipelines.provenance import read_record
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.completion import complete_attributes
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.scoring import layout_figures_of_scenes, relations_hold, totals
from scenograph.scenes.text import scene_from_text
from scenograph.scenes.vocabulary import Vocabulary

TEXT = (
    "large red metal cube left of small blue rubber sphere; small blue rubber sphere behind large green metal cylinder"
)


@pytest.fixture(scope="module")
def pipe():
    return Pipeline.from_pretrained(device="cpu")


@pytest.mark.parametrize("name", shipped_models())
def test_shipped_models_have_cards_and_are_small(name):
    assert {DEFAULT_IMAGE, DEFAULT_LAYOUT, DEFAULT_CLASSIFIER} <= {*shipped_models()}
    folder = shipped_models()[name]
    # A pair for a rich world may have 60 MB together; all others are smaller by far.
    most = 55e6 if name == "mise-layers-picture-book-128" else 12e6
    assert (folder / "model.safetensors").stat().st_size < most
    card = (folder / "README.md").read_text()
    for word in ("Apache-2.0", "scenograph train", "Limits"):
        assert word in card
    assert AutoModel.from_pretrained(name).vocabulary.categories


def test_a_layout_model_reads_scenes_in_its_own_names(caplog):
    """A model that knows six predicates places what another draws."""
    scene = Scene((SceneObject("sheep"), SceneObject("grass")), (Relation(0, "standing on", 1),))
    few = tiny("mise-layout", Vocabulary(("sheep", "grass"), SG2IM_PREDICATES)).for_inference()
    check_names([scene], None, few)
    assert caplog.messages == ["mise-layout, the layout model, reads standing on as above"]
    (placed,) = place_objects(few, [scene], [0])
    assert placed.relations == scene.relations and placed.objects[0].box is not None
    said = replace(scene, relations=(Relation(0, "above", 1),))
    assert place_objects(few, [said], [0])[0].objects[0].box == placed.objects[0].box


def test_a_picture_depends_on_scene_and_seed_alone(pipe):
    many = pipe([TEXT, "cube"], seeds=[0, 1, 2])
    alone = pipe("cube", seeds=[1])
    assert many.seeds == [0, 1, 2, 0, 1, 2]
    # One grey level of difference is allowed: sums round differently in batches of other sizes.
    difference = np.abs(np.asarray(many.images[4]).astype(int) - np.asarray(alone.images[0]))
    assert difference.max() <= 1
    assert np.abs(np.asarray(many.images[0]).astype(int) - np.asarray(many.images[1])).max() > 30
    assert many.scenes[4].to_dict() == alone.scenes[0].to_dict()


def test_more_objects_than_a_model_saw_bring_a_warning(pipe, caplog):
    crowd = Scene(tuple(SceneObject("cube") for _ in range(7)))
    pipe.read(Scene(crowd.objects[:6]))
    assert not caplog.messages
    pipe.read([Scene(crowd.objects[:2]), crowd])
    expected = [
        "mise-rendered-64 saw at most 6 in training: all are drawn; mise-crowds-64 saw more",
        "mise-layout-rendered saw at most 6 in training: all are placed; mise-layout-crowds saw more",
    ]
    assert caplog.messages == [f"a scene has 7 objects, {rest}" for rest in expected]
    caplog.clear()
    placed = replace(crowd, objects=tuple(replace(thing, box=(0.1, 0.1, 0.9, 0.9)) for thing in crowd.objects))
    pipe.read(placed)
    assert caplog.messages == [f"a scene has 7 objects, {expected[0]}"]


def test_sizes_that_a_model_does_not_draw_are_its_own_enlarged_or_reduced(pipe, caplog):
    own = pipe("cube", seeds=[3], steps=1).images[0]
    assert np.array_equal(pipe("cube", seeds=[3], steps=1, size=64).images[0], own) and not caplog.messages
    for size, done in ((160, "enlarged"), (30, "reduced")):
        caplog.clear()
        pictures = [pipe("cube", seeds=[3], steps=1, size=size).images[0] for _ in range(2)]
        assert caplog.messages == [f"mise-rendered-64 draws 64 x 64: its pictures are {done} to {size}"], "once"
        assert pictures[0].size == (size, size)
        expected = own.resize((size, size), Image.Resampling.BICUBIC)
        assert np.abs(np.asarray(expected, int) - np.asarray(pictures[0], int)).mean() < 3


def test_relations_hold_and_boxes_lie_on_the_canvas(pipe):
    result = pipe(TEXT, seeds=range(16))
    batch = SceneBatch.from_scenes(result.scenes, pipe.vocabulary)
    boxes = batch.boxes.numpy()
    assert boxes.min() >= 0 and boxes.max() <= 1
    holds, decided = relations_hold(boxes, batch.triples.numpy(), pipe.vocabulary)
    assert holds[decided].mean() >= 0.9


def test_the_pair_for_crowds_places_and_colours_them():
    crowd = Scene.from_dict(json.loads((Path(__file__).parents[2] / "examples" / "crowd.json").read_text()))
    made = Pipeline.from_pretrained(layout="mise-layout-crowds", image="mise-crowds-64", device="cpu")(crowd, range(4))
    judge = AutoModel.from_pretrained(DEFAULT_CLASSIFIER)
    figures = layout_figures_of_scenes(made.scenes, [crowd] * 4, judge.vocabulary)
    seen = totals({**figures, **object_agreement(made.images, made.scenes, judge)})
    share = {name: total / count for name, (total, count) in seen.items() if count}
    assert share["relations"] >= 0.9 and share["collisions"] <= 0.1 and share["color"] >= 0.9
    assert seen["collisions"][1] == 4 * 16


def test_given_boxes_and_attributes_are_kept(pipe):
    asked = scene_from_text("red cube left of sphere", pipe.vocabulary)
    box = (0.05, 0.4, 0.3, 0.7)
    asked = replace(asked, objects=(replace(asked.objects[0], box=box), asked.objects[1]))
    for scene in pipe(asked, seeds=[0, 1]).scenes:
        assert scene.objects[0].box == box and "red" in scene.objects[0].attributes
        assert all(len(thing.attributes) == 3 and thing.box for thing in scene.objects)


def test_a_red_cube_is_red(pipe):
    asked = scene_from_text("large red rubber cube", pipe.vocabulary)
    asked = replace(asked, objects=(replace(asked.objects[0], box=(0.3, 0.3, 0.7, 0.7)),))
    pixels = np.asarray(pipe(asked, seeds=[5]).images[0]).astype(int)
    inside, corner = pixels[26:38, 26:38].mean(axis=(0, 1)), pixels[:8, :8].mean(axis=(0, 1))
    assert inside[0] > inside[1] + 60 and inside[0] > inside[2] + 60
    assert np.ptp(corner) < 25


def test_rendering_again_moves_one_object_only(pipe):
    """Encoding and rendering apart: an edited box keeps the rest of the picture."""
    first = pipe.encode(TEXT, seeds=[3])
    scene = first.scenes[0]
    moved = replace(scene.objects[1], box=tuple(np.add(scene.objects[1].box, 0.02).clip(0, 1).tolist()))
    again = pipe.encode(replace(scene, objects=(scene.objects[0], moved, scene.objects[2])), seeds=[3])
    assert pipe.render(first)[0].size == (64, 64)
    before, after = (np.asarray(pipe.render(encoding)[0]).astype(int) for encoding in (first, again))
    x0, y0, x1, y1 = (int(64 * value) for value in scene.objects[0].box)
    cube = np.abs(before - after)[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2]
    assert cube.mean() < 12


def test_open_attributes_are_chosen_by_the_seed(pipe):
    asked = scene_from_text("cube; sphere; cylinder", pipe.vocabulary)
    chosen = [complete_attributes(asked, pipe.vocabulary, seed).to_dict() for seed in range(8)]
    assert chosen[3] == complete_attributes(asked, pipe.vocabulary, 3).to_dict()
    assert len({str(value) for value in chosen}) > 4


def test_a_box_that_is_given_decides_the_size(pipe):
    near, far = (0.1, 0.55, 0.4, 0.9), (0.5, 0.3, 0.62, 0.43)
    asked = Scene((SceneObject("cube", box=near), SceneObject("cube", box=far), SceneObject("cube", ("small",), near)))
    for seed in range(4):
        sizes = [thing.attributes[0] for thing in complete_attributes(asked, pipe.vocabulary, seed).objects]
        assert sizes == ["large", "small", "small"], "what is named stays"
    crowd = Scene((replace(asked.objects[1], box=(0.1, 0.5, 0.17, 0.57)),) * 40 + (replace(asked.objects[1], box=far),))
    found = [thing.attributes[0] for thing in complete_attributes(crowd, pipe.vocabulary, 0).objects]
    assert found == ["large"] * 41, "of many objects, all are smaller"


def test_bad_input(pipe):
    for scene, message in (
        ("cone", "unknown word 'cone'"),
        (
            {"objects": ["cube", "spher"]},
            r"^the image model .mise-rendered-64.: objects\[1\]: unknown category 'spher' .did you mean 'sphere'",
        ),
        ({"objects": []}, "the scene is empty"),
    ):
        with pytest.raises(UserError, match=message):
            pipe(scene)
    with pytest.raises(UserError, match="truncation 0: must be at least"):
        pipe("cube", truncation=0)
    cone = [Scene((SceneObject("cone"),))]
    with pytest.raises(
        UserError, match="sphere, cylinder.; give every object a box, or name a layout model that knows"
    ):
        check_names(cone, None, pipe.layout)
    with pytest.raises(UserError, match="sphere, cylinder.; say what a cone is"):
        check_names(cone, None, pipe.layout, remedy="say what a cone is")
    for scenes, seeds in (([], [0]), ("cube", [])):
        with pytest.raises(UserError, match="at least one scene and one seed"):
            pipe(scenes, seeds=seeds)
    with pytest.raises(UserError, match="draws no pictures"):
        Pipeline.from_pretrained(image=DEFAULT_LAYOUT, device="cpu")
    with pytest.raises(UserError, match="places no objects"):
        Pipeline.from_pretrained(layout=DEFAULT_IMAGE, device="cpu")


def test_pictures_saved_from_python_are_made_again_by_the_command(pipe, tmp_path, monkeypatch, capsys):
    made = pipe([TEXT, "cube"], seeds=[3], steps=2)
    paths = made.save(tmp_path / "saved", "pair")
    assert [path.name for path in paths] == ["pair-0-seed3.png", "pair-1-seed3.png"]
    assert made.save(tmp_path / "saved", "pair") == paths  # they are there already
    made.images[0].save(tmp_path / "one.png")
    for saved, name in ((paths[0], "pair-seed3.png"), (tmp_path / "one.png", "one-seed3.png")):
        command = ["scenograph", "generate", str(saved), "--out", str(tmp_path / "again"), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            run()
        assert not stop.value.code, capsys.readouterr().err
        again = np.asarray(Image.open(tmp_path / "again" / name)).astype(int)
        assert np.abs(again - np.asarray(made.images[0])).max() <= 1
    with pytest.raises(UserError, match=r"pair-0-seed3.png exists and differs"):
        pipe(["sphere", "cube"], seeds=[3]).save(tmp_path / "saved", "pair")
    made.images[0].resize((8, 8)).save(tmp_path / "small.png")
    assert read_record(tmp_path / "small.png") is None


def test_a_number_of_seeds_stands_for_the_first_ones(pipe, tmp_path):
    made = pipe("cube", seeds=3, steps=1)
    assert made.seeds == [0, 1, 2] and pipe.encode("cube", seeds=2).seeds == [0, 1]
    made.images[2].save(tmp_path / "cube.png")
    again = pipe(tmp_path / "cube.png", seeds=[np.int64(2)], steps=1)
    assert np.abs(np.asarray(again.images[0]).astype(int) - np.asarray(made.images[2])).max() <= 1
    assert pipe.encode("cube", seeds=np.int64(2)).seeds == pipe.encode("cube", seeds=iter(range(2))).seeds == [0, 1]
    for seeds in (0, -1, True, 2.5, ["a"], [-1], None, [True], 2**40, range(2**40)):
        with pytest.raises(UserError, match="give how many, such as 3, or a list of whole numbers from 0"):
            pipe("cube", seeds=seeds)
    with pytest.raises(UserError, match="is a file, and a text is read as a scene: give pathlib.Path"):
        pipe(str(tmp_path / "cube.png"))


def test_pipelines_and_results_show_themselves(pipe):
    made = pipe(["cube", "red cube left of sphere"], seeds=2, steps=1)
    assert repr(made) == "<Generation: 4 pictures of 2 scenes, 64 x 64 pixels>"
    lines = str(made).splitlines()
    assert len(lines) == 5 and "  seed 1: " in lines[-1] and " left of " in lines[-1]
    shown = Image.open(io.BytesIO(made._repr_png_()))
    assert shown.size == made.sheet().size and shown.width > 2 * 64
    found = "image mise-rendered-64, layout mise-layout-rendered; others by the names in a scene"
    assert repr(pipe) == f"<Pipeline: {found}>"
    page = pipe._repr_html_()
    assert "cube, sphere, cylinder" in page and "left of" in page and "cpu" in page


@pytest.mark.parametrize(
    "option", [{"control": "edges"}, {"strength": 0.5}, {"prompt": "a photo"}, {"guidance": 0}, {"offload": "model"}]
)
def test_options_of_diffusion_models_are_refused_by_other_renderers(pipe, option):
    (name,) = option
    with pytest.raises(UserError, match=f"takes no {name}, which diffusion models do; .* --image diffusers:ID"):
        pipe("cube", **option)


def test_options_are_checked_by_name_and_value(pipe):
    for options, message in (
        ({"step": 3}, "no option 'step' .did you mean 'steps'"),
        ({"steps": 0}, "steps 0: must be at least 1"),
        ({"steps": True}, "steps: expected a number .found True"),
        ({"candidates": True}, "candidates: expected a number"),
        ({"refine": "yes"}, "refine: expected true or false .found 'yes'"),
        ({"size": 5000}, "size 5000: must be at most 2048"),
        ({"precision": "bf32"}, "unknown precision 'bf32': use no, bf16"),
    ):
        with pytest.raises(UserError, match=message):
            pipe("cube", **options)


class Flat(Renderer):
    """Fills each box with one grey: a renderer without a network and without names of its own."""

    name, digest, device, places, vocabulary = "flat", "flat-1", torch.device("cpu"), False, None

    def check(self, scenes):
        pass

    def condition(self, scenes, seeds, options):
        return ConditionedScenes(list(scenes), list(seeds), [thing.box for thing in scenes[0].objects], options)

    def render(self, conditioned):
        side = conditioned.options.size or 16
        picture = torch.ones(len(conditioned.scenes), 3, side, side)
        for x0, y0, x1, y1 in conditioned.condition:
            picture[:, :, int(y0 * side) : int(y1 * side), int(x0 * side) : int(x1 * side)] = 0
        return picture


def test_any_renderer_serves_the_pipeline(pipe):
    scene = Scene((SceneObject("unicorn", box=(0.25, 0.25, 0.75, 0.75)),))
    made = Pipeline(Flat())(scene, seeds=[5], size=8)
    assert made.images[0].size == (8, 8) and made.images[0].getpixel((4, 4)) == (128, 128, 128)
    assert made.request.digests == {"image model": "flat-1"}
    placed = Pipeline(Flat(), pipe.layout)("cube left of sphere").scenes[0]
    assert all(thing.box for thing in placed.objects)
    with pytest.raises(UserError, match="flat needs a box for every object"):
        Pipeline(Flat())(Scene((SceneObject("unicorn"),)))
    with pytest.raises(UserError, match="flat has no names of its own"):
        Pipeline(Flat())("a unicorn")


def test_relations_that_contradict_others_are_kept_on_request(pipe, caplog):
    told = {"objects": ["cube"] * 3, "relationships": [[0, "left of", 1], [1, "left of", 2], [0, "left of", 2]]}
    told["relationships"].append([2, "left of", 0])
    assert len(pipe.read(told)[0].relations) == 3 and len(caplog.messages) == 1
    assert len(pipe.read(told, keep_contradictions=True)[0].relations) == 4
    made = pipe(told, steps=1, keep_contradictions=True)
    assert len(made.scenes[0].relations) == 4 and len(caplog.messages) == 1
    assert '"keep_contradictions": true' in made.images[0].record


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "scenes: give a Scene, a dictionary, one line of text, or .* found nothing"),
        (5, "found 5"),
        (b"cube", "found .b'cube'"),
        (["cube", 5], "scene 1: give a Scene.* found 5"),
        (Scene((), ()), "scene: it is empty; give it at least one object"),
        (Scene(("cube",), ()), r"objects.0.: expected SceneObject.category., found \"cube"),
        (
            Scene((SceneObject("cube"),), (Relation(0, "left of", 7),)),
            r"relations.0.: .0, 7. are no two of the scene's objects 0 to 0",
        ),
    ],
)
def test_what_is_no_scene_is_refused(pipe, given, message):
    for ask in (pipe, pipe.read):
        with pytest.raises(UserError, match=message):
            ask(given)
