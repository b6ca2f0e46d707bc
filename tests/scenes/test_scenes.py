from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recordings import corners
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.scenes.batch import SceneBatch, images_to_uint8
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.drawing import draw_graph, draw_layout
from scenograph.scenes.geometry import (
    CONVERSES,
    box_from_xywh,
    box_iou,
    is_region,
    mask_centre,
    relation_holds,
    sg2im_relation,
)
from scenograph.scenes.masks import decode_mask, encode_mask
from scenograph.scenes.scene import (
    MAX_OBJECTS,
    Relation,
    Scene,
    SceneObject,
    load_scenes,
    parse_scenes,
    save_scenes,
    scenes_to_json,
)
from scenograph.scenes.shapes import INK, Drawing, Label, Polyline, Rectangle, text_width
from scenograph.scenes.text import scene_from_text, scene_to_text
from scenograph.scenes.vocabulary import Vocabulary


def test_the_fields_form_and_the_rich_form():
    plain, rich = parse_scenes(
        '[{"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]},'
        ' {"objects": [{"category": "cube", "attributes": ["red"], "box": [0.1, 0.2, 0.5, 0.6]}, "sphere"]}]'
    )
    assert [thing.category for thing in plain.objects] == ["sky", "grass"]
    assert plain.relations == (Relation(0, "above", 1),)
    assert plain.to_dict() == {"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}
    assert rich.objects[0].box == (0.1, 0.2, 0.5, 0.6)
    assert rich.objects[0].label == "red cube"


BAD_SCENES = {
    "{": "not valid JSON",
    "3": "expected an object with 'objects', found 3",
    "[]": "the list holds no scene",
    '{"objects": []}': "the scene is empty",
    '{"objects": "cube"}': 'scene.objects: expected a list of names or objects, found "cube"',
    '{"objects": ["a"], "relations": []}': "unknown field 'relations'",
    '{"objects": [7]}': "scene.objects[0]: expected a name or an object, found 7",
    '{"objects": ["a"], "relationships": [[0, "on", 1]]}': "relationships[0][2]: index 1 is out of range",
    '{"objects": ["a"], "relationships": [[-1, "on", 0]]}': "relationships[0][0]: index -1 is out of range",
    '{"objects": ["a", "b"], "relationships": [[true, "on", 1]]}': "expected an index into objects, found true",
    '{"objects": ["a", "b"], "relationships": [[0, 5, 1]]}': "relationships[0][1]: expected a predicate name, found 5",
    '{"objects": ["a"], "relationships": [[0, "left of", 0]]}': "object 0 cannot be 'left of' itself",
    '{"objects": [{"category": "a", "box": [0, 0, NaN, 1]}]}': "[0, 0, nan, 1] holds a number that is not finite",
    '{"objects": [{"category": "a", "box": [0.9, 0, 0.1, 1]}]}': "objects[0].box: [0.9, 0, 0.1, 1] is empty or inverted",
    '{"objects": [{"category": "a", "box": [2, 2, 3, 3]}]}': "lies outside the canvas",
    '{"objects": [{"category": "a", "box": [0, 0, 64, 64]}]}': "divide pixels by its width and height",
    '{"objects": [{"category": "a", "box": "left"}]}': "expected [x0, y0, x1, y1]",
    '{"objects": [{"category": "a", "mask": {"size": [2, 2], "counts": [4]}}]}': "has no box; add one",
    '{"objects": [{"category": "a", "box": [0,0,1,1], "mask": {"size": [2, 2], "counts": [9]}}]}': "sum to 9, not 2 x 2",
    json.dumps({"objects": ["a"] * 10_000}): f"10000 objects; at most {MAX_OBJECTS}",
}


@pytest.mark.parametrize("text", BAD_SCENES, ids=list(BAD_SCENES.values()))
def test_bad_scenes_name_place_and_remedy(text):
    with pytest.raises(UserError) as caught:
        parse_scenes(text)
    assert BAD_SCENES[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_published_scene_graphs_parse_unchanged(real_data):
    for path in sorted((real_data / "scene_graphs").glob("*.json")):
        raw = json.loads(path.read_text())
        scenes = load_scenes(path)
        assert [scene.to_dict() for scene in scenes] == raw


def test_files_round_trip(tmp_path):
    mask = np.random.default_rng(0).random((9, 7)) > 0.5
    scene = Scene((SceneObject("cube", ("red",), (0.1, 0.2, 0.3, 0.4), mask), SceneObject("sphere")))
    for scenes in ([scene], [scene, scene]):
        save_scenes(tmp_path / "s.json", scenes)
        again = load_scenes(tmp_path / "s.json")
        assert [item.to_dict() for item in again] == [item.to_dict() for item in scenes]
        assert np.array_equal(again[0].objects[0].mask, mask)
    for box in ((1 / 3, 0.1234567891, 2 / 3, 0.2), (0.1, 0.1, 0.100001, 0.3)):
        assert parse_scenes(scenes_to_json([Scene((SceneObject("cube", box=box),))]))[0].objects[0].box == box


def test_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot read .*none.json: No such file"):
        load_scenes(tmp_path / "none.json")


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_mask_run_lengths_round_trip(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    assert np.array_equal(decode_mask(encode_mask(mask)), mask)


def test_vocabulary_names_the_nearest():
    with pytest.raises(UserError, match=r"objects\[1\]: unknown category 'spere' \(did you mean 'sphere'\?\)"):
        VOCABULARY.check([Scene((SceneObject("cube"), SceneObject("spere")))])
    with pytest.raises(UserError, match=r"relationships\[0\]: unknown predicate 'lefd of' \(did you mean 'left of'"):
        VOCABULARY.check([Scene((SceneObject("cube"), SceneObject("cube")), (Relation(0, "lefd of", 1),))])
    with pytest.raises(UserError, match="'red' and 'blue' are both a color; keep one"):
        VOCABULARY.check([Scene((SceneObject("cube", ("red", "blue")),))])
    with pytest.raises(UserError, match="scene 1, "):
        VOCABULARY.check([Scene((SceneObject("cube"),)), Scene((SceneObject("cub"),))])


def test_vocabulary_hides_holes():
    vocabulary = Vocabulary.from_dict(
        {"object_idx_to_name": ["__image__", "sky", "NONE"], "pred_idx_to_name": ["__in_image__", "above"]}
    )
    assert vocabulary.category_index == {"sky": 1} and vocabulary.predicate_index == {"above": 1}
    assert Vocabulary.from_dict(vocabulary.to_dict()) == vocabulary


def test_text_form():
    scene = scene_from_text(
        "a large red metal cube left of the small blue sphere; small blue sphere behind cylinder", VOCABULARY
    )
    assert scene.to_dict() == {
        "objects": [
            {"category": "cube", "attributes": ["large", "red", "metal"]},
            {"category": "sphere", "attributes": ["small", "blue"]},
            "cylinder",
        ],
        "relationships": [[0, "left of", 1], [1, "behind", 2]],
    }
    twins = scene_from_text("cube left of cube; cube 2 behind cube 3", VOCABULARY)
    assert [(r.subject, r.object) for r in twins.relations] == [(0, 1), (1, 2)]


BAD_TEXTS = {
    "cubee left of sphere": "clause 1: unknown word 'cubee' (did you mean 'cube'?)",
    "cube; cube lef of sphere": "clause 2: expected a relation at 'lef of' (did you mean 'left of'?)",
    "cube left of": "clause 1: expected an object after 'of'",
    "cube 1 left of cube 1": "related to itself",
    " ; ": "the scene is empty",
}


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_bad_texts(text):
    with pytest.raises(UserError) as caught:
        scene_from_text(text, VOCABULARY)
    assert BAD_TEXTS[text] in str(caught.value)


@st.composite
def text_scenes(draw):
    objects = draw(
        st.lists(
            st.builds(
                lambda category, color, size: SceneObject(category, tuple(a for a in (size, color) if a)),
                st.sampled_from(VOCABULARY.categories),
                st.sampled_from(["", "red", "blue"]),
                st.sampled_from(["", "large"]),
            ),
            min_size=1,
            max_size=5,
        )
    )
    pairs = [(i, j) for i in range(len(objects)) for j in range(len(objects)) if i != j]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=6)) if pairs else []
    predicates = [draw(st.sampled_from(VOCABULARY.predicates)) for _ in chosen]
    return Scene(tuple(objects), tuple(Relation(i, p, j) for (i, j), p in zip(chosen, predicates, strict=True)))


@given(text_scenes())
def test_text_round_trip(scene):
    assert scene_from_text(scene_to_text(scene), VOCABULARY).to_dict() == scene.to_dict()


def test_geometry():
    assert np.allclose(box_from_xywh(np.array([10, 20, 30, 40]), 100, 200), [0.1, 0.1, 0.4, 0.3])
    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]])
    assert box_iou(boxes[0], boxes[1]) == pytest.approx(0.0625 / 0.4375)
    mask = np.zeros((3, 3), bool)
    mask[0, 2] = True
    assert mask_centre((0.0, 0.0, 1.0, 1.0), mask) == (1.0, 0.0)
    assert mask_centre((0.0, 0.0, 1.0, 0.5), None) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(0, "right of"), (44, "right of"), (46, "below"), (134, "below"), (136, "left of"), (180, "left of"),
     (-136, "left of"), (-134, "above"), (-46, "above"), (-44, "right of")],
)  # fmt: skip
def test_sg2im_relation_quadrants(degrees, expected):
    x, y = 0.3 * np.cos(np.radians(degrees)), 0.3 * np.sin(np.radians(degrees))
    box = (0.4 + x, 0.4 + y, 0.6 + x, 0.6 + y)
    assert sg2im_relation(box, (0.4, 0.4, 0.6, 0.6), (x, y), (0.0, 0.0)) == expected


def test_sg2im_containment_comes_first_and_is_strict():
    outer, inner = (0.0, 0.0, 1.0, 1.0), (0.1, 0.1, 0.2, 0.2)
    assert sg2im_relation(outer, inner, (0.5, 0.5), (0.1, 0.1)) == "surrounding"
    assert sg2im_relation(inner, outer, (0.1, 0.1), (0.5, 0.5)) == "inside"
    assert sg2im_relation(outer, outer, (0.6, 0.5), (0.5, 0.5)) == "right of"


@pytest.mark.parametrize(
    ("first", "second", "holding"),
    [
        (
            (0.1, 0.1, 0.2, 0.2),
            (0.3, 0.5, 0.7, 0.8),
            "left of, above, behind, smaller than, narrower than, shorter than",
        ),
        (
            (0.4, 0.2, 0.5, 0.9),
            (0.3, 0.1, 0.8, 1.0),
            "inside, left of, behind, smaller than, narrower than, shorter than",
        ),
        ((0.3, 0.4, 0.7, 0.5), (0.4, 0.1, 0.6, 0.6), "below, behind, wider than, shorter than"),
        ((0.3, 0.4, 0.7, 0.5), (0.3, 0.4, 0.7, 0.5), ""),
        (
            (0.0, 0.3, 0.9, 0.9),
            (0.1, 0.3, 0.2, 0.8),
            "right of, below, in front of, larger than, wider than, taller than",
        ),
    ],
)
def test_what_boxes_show(first, second, holding):
    shown = {name for name in CONVERSES if relation_holds(name, np.array(first), np.array(second))}
    assert shown == set(filter(None, holding.split(", ")))


def test_every_spatial_predicate_has_its_converse():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (500, 2, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.5, (500, 2, 2))], axis=-1)
    first, second = boxes[:, 0], boxes[:, 1]
    for predicate, converse in CONVERSES.items():
        holds = relation_holds(predicate, first, second)
        assert holds.any() and not (holds & relation_holds(converse, first, second)).any()
        assert np.array_equal(holds, relation_holds(converse, second, first))
    assert relation_holds("looking at", boxes[:, 0], boxes[:, 1]) is None


GRASS, HORSE = (0.0, 0.5, 1.0, 1.0), (0.3, 0.5, 0.7, 0.9)


@pytest.mark.parametrize(
    ("predicate", "subject", "other", "shown"),
    [
        ("standing on", (0.4, 0.3, 0.5, 0.7), GRASS, True),
        ("standing on", (0.4, 0.8, 0.5, 1.0), GRASS, True),  # at the lower edge of the canvas
        ("standing on", (0.4, 0.1, 0.5, 0.4), GRASS, False),  # floats
        ("on", (0.4, 0.29, 0.5, 0.49), HORSE, True),  # just above it
        ("on", (0.4, 0.2, 0.5, 0.4), HORSE, False),
        ("on", (0.75, 0.4, 0.85, 0.6), HORSE, False),  # beside it
        ("on", (0.4, 0.7, 0.5, 0.85), HORSE, False),  # before it
        ("parked on", (0.4, 0.7, 0.5, 0.85), GRASS, True),
        ("riding", (0.4, 0.3, 0.6, 0.7), HORSE, True),
        ("riding", (0.4, 0.6, 0.6, 0.89), HORSE, False),
        ("in", (0.4, 0.6, 0.6, 0.8), HORSE, True),
        ("in", (0.4, 0.6, 0.6, 0.95), HORSE, False),
        ("flying in", (0.1, 0.1, 0.2, 0.2), (0.0, 0.0, 1.0, 0.5), True),
        ("under", (0.4, 0.75, 0.5, 0.9), HORSE, True),
        ("under", (0.75, 0.75, 0.85, 0.9), HORSE, False),
        ("under", (0.4, 0.4, 0.5, 0.6), HORSE, False),
        ("holding", (0.1, 0.3, 0.29, 0.9), HORSE, True),
        ("holding", (0.1, 0.3, 0.25, 0.9), HORSE, False),
        ("next to", (0.1, 0.6, 0.25, 0.9), HORSE, True),
        ("next to", (0.1, 0.6, 0.19, 0.9), HORSE, False),  # farther away than half of its width
        ("next to", (0.35, 0.1, 0.45, 0.2), HORSE, False),
        ("next to", (0.72, 0.6, 0.9, 0.9), HORSE, True),
    ],
)
def test_what_touches(predicate, subject, other, shown):
    assert relation_holds(predicate, np.array(subject), np.array(other)) == shown
    if predicate in ("next to", "holding"):
        assert relation_holds(predicate, np.array(other), np.array(subject)) == shown
    both = relation_holds(predicate, np.array([subject, subject]), np.array([other, (0.8, 0.0, 0.9, 0.1)]))
    assert both.tolist() == [shown, False]


def test_regions_are_large_or_wide():
    boxes = np.array([GRASS, (0.2, 0.9, 0.9, 1.0), (0.0, 0.0, 0.4, 0.4), (0.0, 0.0, 0.5, 0.6)])
    assert is_region(boxes).tolist() == [True, True, False, True]


def test_batches_are_ragged_and_pad():
    scenes = [scene_from_text("red cube left of sphere", VOCABULARY), scene_from_text("cylinder", VOCABULARY)]
    batch = SceneBatch.from_scenes(scenes, VOCABULARY)
    assert batch.objects.tolist() == [0, 1, 2] and batch.object_to_image.tolist() == [0, 0, 1]
    assert batch.attributes.tolist() == [[-1, 1, -1], [-1, -1, -1], [-1, -1, -1]]
    assert batch.boxes.isnan().all() and not batch.known_boxes.any()
    padded, real = batch.padded(batch.objects)
    assert padded.tolist() == [[0, 1], [2, 0]] and real.tolist() == [[True, True], [True, False]]
    swapped = SceneBatch.from_scenes(scenes[::-1], VOCABULARY)
    assert swapped.triples.tolist() == [[1, 0, 2]]


def test_pictures_are_clipped_and_rounded():
    pixels = images_to_uint8(torch.tensor([-2.0, -1.0, 0.0, 1.0]).reshape(1, 1, 2, 2).expand(1, 3, 2, 2))[0]
    assert np.array_equal(np.asarray(pixels)[..., 0], [[0, 0], [128, 255]])


def test_slanted_lines_are_smooth():
    image = Drawing(40, 30, (Polyline(((5, 5), (35, 24)), INK),)).to_image()
    assert image.size == (80, 60)
    assert len(image.getcolors()) > 2, "no shades between ink and paper"


def test_drawings():
    scene = Scene(
        (
            SceneObject("a & b", (), (0.1, 0.1, 0.6, 0.6), np.eye(4, dtype=bool)),
            SceneObject("sky", ("red",), (0, 0, 1, 1)),
        ),
        (Relation(0, "on", 1), Relation(1, "by", 0), Relation(0, "near", 0)),
    )
    graph, layout = draw_graph(scene), draw_layout(scene)
    assert "a &amp; b" in graph.to_svg() and ">near<" in graph.to_svg() and layout.to_svg().count("<rect") > 6
    for drawing in (graph, layout):
        picture = np.asarray(drawing.to_image())
        assert (picture < 128).any() and (picture == 255).any()
    lonely = draw_graph(Scene((SceneObject("cube"),))).to_image()
    assert lonely.width > 50


@pytest.mark.parametrize("count", [4, 9])
def test_labels_of_crossing_arrows_stand_apart(count):
    relations = tuple(Relation(i, "left of", j) for i in range(count) for j in range(i + 1, count))
    cube = SceneObject("cube", ("large", "green"))
    drawing = draw_graph(Scene((cube,) * count, relations))
    labels = [shape for shape in drawing.shapes if isinstance(shape, Label) and shape.text == "left of"]
    assert len(labels) == count * (count - 1) // 2
    for one, other in itertools.combinations(labels, 2):
        assert abs(one.x - other.x) > text_width("left of", 13) or abs(one.y - other.y) > 13
    papers = [shape for shape in drawing.shapes if isinstance(shape, Rectangle)]
    assert len(papers) == count + len(labels)
    for one, other in itertools.combinations(papers, 2):
        assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 or other.y1 <= one.y0


def test_graphs_of_many_objects_fit_into_a_picture_and_their_arrows_reach():
    cube = SceneObject("cube")
    relations = (*(Relation(i, "near", (i + 60) % 128) for i in range(128)), Relation(60, "by", 0))
    drawing = draw_graph(Scene((cube,) * 128, relations))
    picture = drawing.to_image()
    assert max(picture.size) == 6000 and picture.getcolors(1 << 20)
    nodes = [shape for shape in drawing.shapes if isinstance(shape, Rectangle) and shape.stroke is not None]
    arrows = [shape for shape in drawing.shapes if isinstance(shape, Polyline) and shape.fill is None]
    assert len(nodes) == 128 and len(arrows) == 129
    for relation, arrow in zip(relations, arrows, strict=True):
        (x, y), node = arrow.points[-1], nodes[relation.object]
        gaps = max(node.x0 - x, x - node.x1), max(node.y0 - y, y - node.y1)
        assert 0 < max(gaps) < 6


def test_of_many_relations_those_are_drawn_that_the_others_follow_from():
    count = 8
    relations = [(i, "left of" if i < j else "right of", j) for i in range(count) for j in range(count) if i != j]
    things = tuple(SceneObject("cube") for _ in range(count))
    drawing = draw_graph(Scene(things, (*(Relation(*triple) for triple in relations), Relation(0, "near", 5))))
    texts = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert texts.count("left of") == count - 1 and texts.count("near") == 1 and "right of" not in texts
    assert texts[-1] == "drawn are the 8 relations that imply all 57"
    note = drawing.shapes[-1]
    assert note.y + 10 < drawing.height and text_width(note.text, 13) < drawing.width


def boxed_scene(*boxes):
    return Scene(tuple(SceneObject("cube", ("large", "green"), box=box) for box in boxes))


def test_names_stand_at_boxes_where_they_fit():
    # The smallest lies where the name of the one below it would stand, which goes down into its own box.
    drawing = draw_layout(boxed_scene((0.1, 0.1, 0.9, 0.9), (0.3, 0.46, 0.5, 0.49), (0.3, 0.5, 0.8, 0.8)))
    assert drawing.width == drawing.height == 480
    flags = [shape for shape in drawing.shapes if isinstance(shape, Rectangle) and shape.stroke is None][1:]
    assert [(round(flag.x0), round(flag.y0)) for flag in flags] == [(48, 30), (144, 240), (144, 203)]
    texts = [shape.text for shape in drawing.shapes if isinstance(shape, Label)]
    assert texts == ["large green cube 1", "large green cube 3", "large green cube 2"]


def test_crowded_layouts_have_numbers_and_a_key():
    crowd = [(0.02 * i, 0.5, 0.02 * i + 0.015, 0.52) for i in range(45)]
    drawing = draw_layout(boxed_scene(*crowd))
    texts = [shape for shape in drawing.shapes if isinstance(shape, Label)]
    on_canvas, beside = ([t for t in texts if (t.x < 480) == inside] for inside in (True, False))
    assert sorted(int(t.text) for t in on_canvas) == list(range(45))
    assert [t.text for t in beside] == [text for i in range(45) for text in (str(i), "large green cube")]
    assert all(0 < t.x < drawing.width and 0 < t.y < drawing.height for t in texts)
    assert beside[-1].x + text_width("large green cube", 13) < drawing.width
    short = draw_layout(boxed_scene(*crowd), key=False)
    assert short.width == 480 and [s.text for s in short.shapes if isinstance(s, Label)] == [t.text for t in on_canvas]


def test_scene_files_have_a_line_per_object_and_relation():
    scene = Scene((SceneObject("cube", ("red",)), SceneObject("sky")), (Relation(0, "left of", 1),))
    lines = scenes_to_json([scene]).splitlines()
    assert lines[1] == '  {"category": "cube", "attributes": ["red"]},' and lines[-1] == '  [0, "left of", 1]]}'
    assert len(lines) == 5
    alone = Scene((SceneObject("cube"),))
    assert [s.to_dict() for s in parse_scenes(scenes_to_json([scene, alone]))] == [scene.to_dict(), alone.to_dict()]


def test_a_chain_of_one_description_takes_linear_time():
    """Every mention is another object, and the reader stops at the most that a scene may have."""

    def seconds(count: int) -> float:
        text = " left of ".join(["cube"] * count)
        start = time.process_time()
        with pytest.raises(UserError, match="more than 256 objects in one scene"):
            scene_from_text(text, VOCABULARY)
        return time.process_time() - start

    assert min(seconds(8000) for _ in range(3)) < 24 * min(seconds(1000) for _ in range(3))


def test_coco_annotations():
    mask = np.ones((2, 2), bool)
    mask[0, 0] = False
    scene = Scene((SceneObject("cube", ("red",), (0.25, 0.5, 0.75, 1.0), mask), SceneObject("ball")))
    value = coco_annotations([scene], ["p.png"], 64, 32)
    (annotation,) = value["annotations"]
    assert annotation["bbox"] == [16, 16, 32, 16] and annotation["attributes"] == ["red"]
    assert annotation["area"] == 32 * 16 * 3 // 4 == decode_mask(annotation["segmentation"]).sum()
    assert value["categories"] == [{"id": 1, "name": "ball"}, {"id": 2, "name": "cube"}]


@pytest.mark.golden
def test_overlaps_of_boxes(golden):
    data = np.load(golden / "wsgc" / "metrics" / "metrics.npz")
    first, second = (corners(torch.from_numpy(data[f"boxes_{kind}_xywh"])).numpy() for kind in "ab")
    found = box_iou(first, second)
    np.testing.assert_allclose(found, data["iou"], atol=1e-6)
    np.testing.assert_array_equal(found > 0.5, data["over_05"])
    np.testing.assert_array_equal(found > 0.3, data["over_03"])
