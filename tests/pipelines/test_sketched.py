"""Drawings as scenes: who says what the objects are, and what their sketches do for pictures."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from helpers import generators, succeed, tiny
from scenograph import Pipeline
from scenograph.data.loader import PackLoader
from scenograph.data.picture_book.source import vocabulary
from scenograph.errors import NOTE, UserError
from scenograph.evaluation.layouts import given_part
from scenograph.evaluation.protocols import Given
from scenograph.pipelines.renderers.collage import CollageRenderer
from scenograph.pipelines.shaping import say_shapes, with_shapes
from scenograph.pipelines.sketched import draw_as_published, load_any_scenes, recognise, scene_of_drawing
from scenograph.scenes.completion import cut_to_canvas
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import FARTHEST, Sketch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.object_classifier import ObjectClassifierObjective, ObjectClassifierObjectiveConfig

RING = Sketch(tuple(np.array([[np.cos(a), np.sin(a)] for a in part]) * 0.45 + 0.5 for part in
                    (np.linspace(0, 3, 30), np.linspace(3.1, 6.2, 30))))  # fmt: skip
ZIGZAG = Sketch((np.array([[0, 0], [0.5, 1], [1, 0]], np.float32),))
BOOK = vocabulary()


def drawing(word: str | None = None) -> dict:
    named = {} if word is None else {"word": word}
    return named | {"drawing": [[[0, 9, 9, 0, 0], [0, 0, 9, 9, 0]]]}


@pytest.fixture
def reader(tmp_path):
    """A classifier of sketches that says sheep, or nothing for sure."""

    def made(sure: bool) -> str:
        torch.manual_seed(0)
        names = Vocabulary(("cow", "sheep", "tree"), ("above",))
        model = tiny("object-classifier", names, input="sketch", groups=())
        with torch.no_grad():
            model.heads[0].weight.zero_()
            model.heads[0].bias.copy_(torch.tensor([0.0, 4.0 if sure else 0.01, 0.0]))
        model.save_pretrained(tmp_path / f"reader{sure}")
        return str(tmp_path / f"reader{sure}")

    return made


def unnamed_svg(folder):
    pytest.importorskip("svgelements")
    path = folder / "drawing.svg"
    path.write_text('<svg viewBox="0 0 100 100" xmlns="http://www.w3.org/2000/svg"><path d="M10 10 h30 v30 h-30 z"/>'
                    '<g id="tree"><path d="M60 10 h30 v30 h-30 z"/></g></svg>')  # fmt: skip
    return path


def test_what_nothing_names_is_recognised_or_asked_for(tmp_path, caplog, reader):
    path = unnamed_svg(tmp_path)
    caplog.set_level(25)
    tree, sheep = scene_of_drawing(path, classifier=reader(True)).objects
    assert (tree.category, sheep.category) == ("tree", "sheep") and sheep.box == (0.1, 0.1, 0.4, 0.4)
    assert "object 1 (top left) is recognised as sheep (96%; next: " in caplog.text
    remedy = r"from-sketch \S+drawing.svg --names 1=sheep, or leave some out: --leave-out 1"
    with pytest.raises(UserError, match=rf"object 1 \(top left\) may be sheep \(3.%; next: .*{remedy}"):
        scene_of_drawing(path, classifier=reader(False))
    path.write_text(path.read_text().replace("<path", '<path id="sun"', 1))
    with pytest.raises(UserError, match=r"object 1 \(top left, 'sun' in the file\) may be sheep"):
        scene_of_drawing(path, classifier=reader(False))
    assert [thing.category for thing in scene_of_drawing(path, without=[1]).objects] == ["tree"]
    for numbers, message in (([0, 1], "--leave-out 0,1: no object is left"), ([2], "the drawing has 2 objects")):
        with pytest.raises(UserError, match=message):
            scene_of_drawing(path, without=numbers)
    assert scene_of_drawing(path, {1: "cow"}).objects[1].category == "cow"
    with pytest.raises(UserError, match="that does not look at sketches"):
        tiny("mise").save_pretrained(tmp_path / "other")
        scene_of_drawing(path, classifier=str(tmp_path / "other"))


def test_the_shipped_classifier_names_what_it_is_sure_of():
    pytest.importorskip("svgelements")
    house, tree, *_ = scene_of_drawing(Path(__file__).parents[2] / "examples" / "sketch.svg").objects
    (found,) = recognise([house.sketch], None, "it", {0: "object 0"})
    assert found.name == "house" and found.probability > 0.9
    with pytest.raises(UserError, match=r"it: object 3 may be tree \(\d+%; next: .*--names 1=cow,3=tree"):
        recognise([house.sketch, tree.sketch], None, "it", {0: "object 0", 3: "object 3"}, {1: "cow"})


def test_a_drawing_is_read_once_for_a_command_and_again_when_it_changes(tmp_path):
    path = tmp_path / "a.ndjson"
    path.write_text(json.dumps(drawing("sheep")))
    first, again = load_any_scenes(path), load_any_scenes(path)
    assert first[0] is again[0] and first[0].objects[0].category == "sheep"
    with pytest.raises(UserError, match="boxes are for pictures"):
        scene_of_drawing(path, like=first[0])
    with pytest.raises(UserError, match=r"cannot read .*none\.ndjson"):
        load_any_scenes(tmp_path / "none.ndjson")


def test_drawings_are_scenes_of_commands(scenograph, tmp_path):
    lines = [drawing("sheep"), drawing("palm tree"), drawing("dragon")]
    (tmp_path / "herd.ndjson").write_text("\n".join(map(json.dumps, lines[:2])))
    output = scenograph("generate", "herd.ndjson", "--dry-run")
    assert "would write pictures/herd-seed0.png" in succeed(output)
    (tmp_path / "odd.ndjson").write_text("\n".join(map(json.dumps, lines)))
    code, _, errors = scenograph("generate", "odd.ndjson")
    assert code == 2 and "dragon" in errors
    said = succeed(scenograph("scene", "from-sketch", "odd.ndjson", "--names", "2=cow,0=dog", "--out", "new/s.json"))
    code, _, errors = scenograph("scene", "from-sketch", "odd.ndjson", "--out", "odd.ndjson", "--overwrite")
    assert code == 2 and "--out odd.ndjson: expected a scene file, whose name ends in .json" in errors
    assert said.startswith("wrote new/s.json: ")
    things = json.loads((tmp_path / "new" / "s.json").read_text())["objects"]
    assert [thing["category"] for thing in things] == ["dog", "tree", "cow"] and "sketch" in things[2]
    for wrong, message in (("sheep", "expected an object's number"), ("0=a,0=b", "object 0 has a name already, 'a'")):
        code, _, errors = scenograph("scene", "from-sketch", "odd.ndjson", "--names", wrong, "--out", "t.json")
        assert code == 2 and message in errors
    code, _, errors = scenograph("scene", "from-sketch", "odd.ndjson", "--leave-out", "dragon", "--out", "t.json")
    assert code == 2 and "--leave-out 'dragon': expected numbers of objects" in errors
    succeed(scenograph("scene", "from-sketch", "odd.ndjson", "--leave-out", "2", "--out", "t.json"))
    assert len(json.loads((tmp_path / "t.json").read_text())["objects"]) == 2


def test_a_photograph_of_paper_is_a_scene_of_commands(scenograph, tmp_path):
    pytest.importorskip("scipy")
    picture = Image.new("RGB", (320, 240), (190, 188, 180))
    ImageDraw.Draw(picture).rectangle((200, 140, 280, 220), outline=(30, 30, 30), width=4)
    picture.save(tmp_path / "scan.jpg")
    picture.save(tmp_path / "scan.png")
    code, _, errors = scenograph("scene", "draw", "scan.jpg")
    assert code == 2 and "scan.jpg: object 0 (bottom right) may be" in errors
    code, _, errors = scenograph("scene", "draw", "scan.png")
    assert code == 2 and "scenograph scene from-sketch scan.png" in errors


def test_sketches_are_drawn_beside_graph_and_layout(scenograph, tmp_path):
    thing = {"category": "sheep", "box": [0.1, 0.1, 0.6, 0.6], "sketch": RING.to_dict()}
    (tmp_path / "a.json").write_text(json.dumps({"objects": [thing, {**thing, "box": [0.2, 0.2, 0.7, 0.7]}]}))
    drawn = []
    for style in ("smooth", "published", "spread"):
        succeed(scenograph("scene", "draw", "a.json", "--sketches", style, "--out", style))
        drawn.append((tmp_path / style / "a-sketch.png").read_bytes())
    assert len(set(drawn)) == 3


def test_published_pictures_of_sketches_have_ink_in_the_boxes():
    scene = Scene((SceneObject("sheep", box=(0.0, 0.0, 0.5, 0.5), sketch=RING), SceneObject("cow")))
    picture = draw_as_published(scene, spread=True)
    assert picture.shape == (256, 256) and picture[:130, :130].min() < 80 and picture[140:].min() == 255


# What sketches do for pictures


def test_outlines_are_masks_where_they_enclose_something(caplog):
    whole = SceneObject("sheep", box=(0.0, 0.0, 0.5, 0.5), sketch=RING)
    given = replace(whole, mask=np.eye(4, dtype=bool))
    things = (whole, replace(whole, sketch=ZIGZAG), given, SceneObject("cow", box=(0.0, 0.0, 1.0, 1.0)))
    (shaped,) = with_shapes([Scene(things)], None)
    mask = shaped.objects[0].mask
    assert mask[32, 32] and not mask[2, 2] and 0.55 < mask.mean() < 0.75  # a disc that fills its box, less a margin
    assert shaped.objects[1].mask is None and shaped.objects[3].mask is None
    assert shaped.objects[2].mask is given.mask
    caplog.set_level(NOTE)
    say_shapes([Scene(things)], None)
    assert caplog.messages == [
        "sheep 1, sheep 2: what the sketch's outline encloses is the mask, where the renderer uses masks"
    ]


def test_scene_designer_shapes_what_it_sees_and_knows(tmp_path, caplog):
    caplog.set_level(25)
    torch.manual_seed(0)
    model = tiny("scene-designer", Vocabulary(("sheep", "tree"), ("above",)))
    torch.nn.init.constant_(model.mask_net[-1].bias, 5.0)
    model.save_pretrained(tmp_path / "designer")
    pipe = Pipeline.from_pretrained(layout=tmp_path / "designer", image="collage")
    assert isinstance(pipe.renderer, CollageRenderer) and "mask model" in pipe.digests()
    crop = np.full((8, 8, 4), 255, np.uint8)
    box = (0.1, 0.3, 0.4, 0.8)
    things = (
        SceneObject("sheep", box=box, sketch=ZIGZAG),
        SceneObject("tree", crop=crop),
        SceneObject("tree"),
        SceneObject("dog", box=box, sketch=RING),
    )
    encoded = pipe.encode(Scene(things))
    sketched, cropped, named, other = encoded.scenes[0].objects
    assert sketched.mask.shape == (8, 8) and sketched.box == box and cropped.mask.shape == (8, 8)
    assert named.mask is None and named.box is not None and other.mask.shape == (64, 64)
    assert "tree 2, dog: scene-designer gives no mask, for want of a sketch or crop" in caplog.text


def test_evaluations_give_sketches_only_where_they_say_so():
    scene = Scene((SceneObject("sheep", box=(0.0, 0.0, 0.5, 0.5), mask=np.ones((2, 2), bool), sketch=RING),))
    for what in get_args(Given):
        thing = given_part(scene, what).objects[0]
        given = {name for name in ("box", "mask", "sketch") if getattr(thing, name) is not None}
        assert (
            given == {"graph": set(), "boxes": {"box"}, "masks": {"box", "mask"}, "sketches": {"box", "sketch"}}[what]
        )


def test_a_sketch_whose_box_is_cut_goes_on_beyond_the_canvas():
    thing = SceneObject("sheep", box=(0.5, 0.5, 1.5, 1.0), sketch=ZIGZAG)
    seen = cut_to_canvas(Scene((thing,))).objects[0]
    assert seen.box == (0.5, 0.5, 1.0, 1.0) and seen.sketch.strokes[0].tolist() == [[0, 0], [1, 1], [2, 0]]
    sliver = cut_to_canvas(Scene((replace(thing, box=(0.99, 0.5, 3.9, 1.0)),))).objects[0]
    assert sliver.sketch.strokes[0].max() == FARTHEST
    picture = Sketch(picture=np.arange(16, dtype=np.uint8).reshape(4, 4)).part(0.0, 0.5, 0.5, 1.0).picture
    assert picture.tolist() == [[8, 9], [12, 13]]


def test_an_empty_sketch_is_refused():
    with pytest.raises(UserError, match=r"scene.objects\[0\].sketch.strokes: the sketch is empty"):
        Scene.from_dict({"objects": [{"category": "sheep", "sketch": {"strokes": []}}]})


# The classifier of sketches


def test_a_classifier_learns_from_sketches_alone(painted):
    torch.manual_seed(0)
    loader = PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=16)
    loader.pictures = False
    batch = loader.batch(0, 0, 4)
    assert batch.images is None
    hidden = replace(batch, sketches=torch.where(batch.object_to_image[:, None, None] == 0, 1.0, batch.sketches))
    model = tiny("object-classifier", input="sketch")
    config = ObjectClassifierObjectiveConfig(coarse=0.5, bold=0.5, turn=0.2)
    objective = ObjectClassifierObjective(config, model)
    totals = Totals(4, len(batch.objects), 0)
    loss, _ = objective.loss("model", hidden, totals, generators(0, 1, 2, 3), {})
    again, _ = objective.loss("model", hidden, totals, generators(0, 1, 2, 3), {})
    loss.backward()
    assert loss.item() == again.item() and model.features[0].weight.grad.abs().sum() > 0
    assert model.features[0].weight.shape[1] == 1
    right, of = objective.validate(model.eval(), hidden, generators(0, 1, 2, 3))["category"]
    assert of == int((batch.object_to_image != 0).sum()) and 0 <= right <= of
