"""Scenes edited, printed and shown; drawings of them on sheets."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image

from scenograph.errors import UserError
from scenograph.files import safe_names
from scenograph.pipelines.provenance import RecordedImage, shown_scene
from scenograph.scenes.drawing import CAPTION, contact_sheet, draw_graph, draw_layout, draw_relations, draw_scene
from scenograph.scenes.scene import MAX_OBJECTS, Relation, Scene, SceneObject, load_scenes
from scenograph.scenes.shapes import Label, Rectangle, text_width

SCENE = Scene(
    (
        SceneObject("cube", ("red",), (0.1, 0.2, 0.4, 0.5), np.eye(4, dtype=bool)),
        SceneObject("sphere"),
        SceneObject("cylinder", ("blue",)),
    ),
    (Relation(0, "left of", 1), Relation(1, "behind", 2)),
)


def test_an_edit_makes_another_scene():
    before = SCENE.to_dict()
    moved = SCENE.replace_object(0, box=[0.5, 0.5, 0.9, 0.9], attributes=("blue", "metal"), seed=3)
    thing = moved.objects[0]
    assert (thing.category, thing.attributes, thing.box, thing.seed) == (
        "cube",
        ("blue", "metal"),
        (0.5, 0.5, 0.9, 0.9),
        3,
    )
    assert thing.mask is SCENE.objects[0].mask and moved.relations == SCENE.relations
    bare = SCENE.replace_object(0, box=None, mask=None, attributes=None).objects[0]
    assert (bare.box, bare.mask, bare.attributes) == (None, None, ())
    longer = SCENE.add_object("cube", box=(0, 0, 0.1, 0.1)).add_object(SceneObject("sphere", ("green",)))
    assert [thing.category for thing in longer.objects[3:]] == [
        "cube",
        "sphere",
    ] and longer.relations == SCENE.relations
    shorter = SCENE.remove_object(0)
    assert [thing.category for thing in shorter.objects] == ["sphere", "cylinder"]
    assert shorter.relations == (Relation(0, "behind", 1),)
    assert SCENE.add_relation(2, "above", 0).relations[-1] == Relation(2, "above", 0)
    assert SCENE.add_relation(0, "left of", 1) is SCENE
    assert SCENE.remove_relation(0, "left of", 1).relations == SCENE.relations[1:]
    assert SCENE.to_dict() == before


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda: SCENE.replace_object(3, box=None), "no object 3; the scene has objects 0 to 2"),
        (lambda: SCENE.replace_object(-1), "no object -1"),
        (lambda: SCENE.replace_object(0, colour="red"), "no field 'colour'"),
        (lambda: SCENE.replace_object(0, box=(0.5, 0, 0.1, 1)), r"objects\[0\].box: .* is empty or inverted"),
        (lambda: SCENE.replace_object(0, box=None), "take both away, with mask=None"),
        (
            lambda: SCENE.add_object("cube", mask=np.eye(2, dtype=bool)),
            r"objects\[3\]: its mask is relative to its box",
        ),
        (lambda: SCENE.add_object(""), r"objects\[3\].category: expected a name"),
        (lambda: Scene((SceneObject("a"),)).remove_object(0), "at least one object"),
        (lambda: SCENE.add_relation(0, "above", 0), "cannot be 'above' itself"),
        (lambda: SCENE.add_relation(0, "above", 7), "index 7 is out of range"),
        (lambda: SCENE.remove_relation(1, "left of", 0), "no relation"),
        (lambda: Scene((SceneObject("a"),) * MAX_OBJECTS).add_object("b"), f"has {MAX_OBJECTS} objects"),
    ],
)
def test_edits_that_make_no_scene_are_refused(edit, message):
    with pytest.raises(UserError, match=message):
        edit()


def test_printed_scenes_are_short():
    assert repr(SCENE) == "<Scene: 3 objects, 2 relations: red cube, sphere, blue cylinder>"
    lines = str(SCENE).splitlines()
    assert lines[0] == "scene of 3 objects, 2 relations"
    assert lines[1] == "   0  red cube       box 0.10 0.20 0.40 0.50, mask"
    assert lines[-1] == "      sphere (1) behind blue cylinder (2)"
    many = Scene(SCENE.objects * 40, tuple(Relation(i, "on", i + 1) for i in range(100)))
    assert len(repr(many)) < 130 and len(str(many).splitlines()) == 1 + 2 * 21
    assert repr(SCENE.objects[0]) == "SceneObject('cube', attributes=('red',), box=(0.1, 0.2, 0.4, 0.5), mask=...)"


def test_scenes_show_layout_and_graph():
    graph, layout, both = draw_graph(SCENE), draw_layout(SCENE), draw_scene(SCENE)
    assert both.width == layout.width + 12 + graph.width and len(both.shapes) == len(layout.shapes) + len(graph.shapes)
    assert ">left of<" in SCENE._repr_svg_() and ">red cube<" in SCENE._repr_svg_()
    assert draw_scene(SCENE.remove_object(0)).width == draw_graph(SCENE.remove_object(0)).width


def test_objects_without_relations_stand_below_the_graph():
    things = (*SCENE.objects, *(SceneObject(f"thing {number}") for number in range(9)))
    drawing = draw_graph(Scene(things, SCENE.relations))
    nodes = [shape for shape in drawing.shapes if isinstance(shape, Rectangle) and shape.stroke is not None]
    assert len(nodes) == 12 and min(node.y0 for node in nodes[3:]) > max(node.y1 for node in nodes[:3])
    for node in nodes:
        assert 0 < node.x0 < node.x1 < drawing.width and 0 < node.y0 < node.y1 < drawing.height


def test_layouts_keep_the_shape_of_pictures():
    for aspect, size in ((2.0, (480, 240)), (0.5, (240, 480))):
        drawing = draw_layout(SCENE, aspect=aspect)
        assert (drawing.width, drawing.height) == size
        box = next(shape for shape in drawing.shapes if isinstance(shape, Rectangle) and shape.opacity == 0.12)
        assert (box.x0, box.y1) == (0.1 * size[0], 0.5 * size[1])


def test_relations_in_words_are_all_there_and_apart():
    relations = tuple(Relation(i % 3, "in front of", (i + 1) % 3) for i in range(25))
    drawing = draw_relations(Scene(SCENE.objects, relations), height=100)
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label)]
    assert len(labels) == 75 and max(label.y for label in labels) < 100
    rows = {}
    for label in labels:
        rows.setdefault(label.y, []).append(label)
    for row in rows.values():
        row.sort(key=lambda label: label.x)
        for one, other in itertools.pairwise(row):
            assert one.x + text_width(one.text, CAPTION) < other.x
        assert row[-1].x + text_width(row[-1].text, CAPTION) <= drawing.width


def test_sheets_have_captions_and_keep_shapes():
    wide, tall = Image.new("RGB", (40, 20), "red"), Image.new("RGB", (20, 60), "blue")
    plain = contact_sheet([wide, tall], columns=8)
    assert plain.size == (40 + 2 + 40, 60) and plain.getpixel((20, 30)) == (255, 0, 0)
    sheet = contact_sheet([wide, tall], 8, gap=4, captions=["a" * 99, "b"], title="both", side=100)
    line = CAPTION + 7
    assert sheet.size == (2 * (100 + 4) + 4, line + 100 + line + 8)
    pixels = np.asarray(sheet)
    assert (pixels[line + 4 + 100 : -4, 4:104] < 128).any(), "a caption"
    assert (pixels[:, 104:108][line + 4 :] == 255).all(), "which is cut, and does not reach the next one"
    assert (sheet.getpixel((54, line + 54)), sheet.getpixel((158, line + 54))) == ((255, 0, 0), (0, 0, 255))
    small = np.asarray(contact_sheet([wide], 1, gap=4, captions=["a\nsmall print"], side=100)).astype(int)
    assert small.shape == (50 + 2 * line + 8, 108, 3)
    print_below = small[-line - 4 : -4]
    assert (print_below < 160).any() and print_below.min() > 90, "grey"


def test_pictures_reopen_as_scenes(tmp_path):
    asked = Scene((SceneObject("cube"),))
    record = json.dumps({"scene": asked.to_dict(), "seed": 0})
    RecordedImage.of(Image.new("RGB", (8, 8)), record, SCENE).save(tmp_path / "cube.png")
    assert [scene.to_dict() for scene in load_scenes(tmp_path / "cube.png")] == [asked.to_dict()]
    shown = shown_scene(tmp_path / "cube.png")
    assert shown is not None and shown.to_dict() == SCENE.to_dict()
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "PNG")
    (tmp_path / "other.png").write_bytes(stream.getvalue())
    assert shown_scene(tmp_path / "other.png") is None
    with pytest.raises(UserError, match="was not made by scenograph"):
        load_scenes(tmp_path / "other.png")
    (tmp_path / "torn.png").write_bytes(stream.getvalue()[:40])
    with pytest.raises(UserError, match="not a picture, or cut short"):
        load_scenes(tmp_path / "torn.png")


def test_names_of_files_are_safe_and_unlike():
    names = safe_names(["a/b", "a b", "A_B", "../..", "", "x" * 300, "train_000", "été"])
    assert names == ["a_b", "a_b-2", "A_B-3", "_", "_-2", "x" * 120, "train_000", "été"]


def test_drawings_use_plain_words_where_they_are_clear():
    things = tuple(map(SceneObject, ("sky-other", "desk-stuff", "window-other", "window", "sheep", "sheep")))
    texts = {shape.text for shape in draw_graph(Scene(things)).shapes if isinstance(shape, Label)}
    assert texts == {"sky", "desk", "window-other", "window", "sheep 1", "sheep 2"}


def test_long_titles_of_sheets_are_wrapped():
    picture = Image.new("RGB", (200, 40))
    heights = [contact_sheet([picture], 1, title=" ".join(["word"] * count)).height for count in (1, 9, 20, 99)]
    lines = [(height - heights[0]) / (CAPTION + 7) for height in heights]
    assert lines == [0, 1, 2, 2]
