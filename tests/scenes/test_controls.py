"""Control pictures, pixel by pixel, of scenes small enough to be worked out by hand."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from scenograph.errors import UserError
from scenograph.scenes.controls import KINDS, draw_controls
from scenograph.scenes.masks import outlines
from scenograph.scenes.palettes import CLASSES, class_colors, class_for, instance_color
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.silhouettes import back_to_front, silhouette, spread_regions
from scenograph.scenes.sketch import Sketch

SKY, GRASS, SHEEP = (6, 230, 230), (4, 250, 7), (255, 0, 122)
"""Of ADE20K; a sheep has the class animal."""


def scene(*things: tuple[str, tuple[float, float, float, float]], relations=()) -> Scene:
    objects = tuple(SceneObject(name, box=box) for name, box in things)
    return Scene(objects, tuple(Relation(*each) for each in relations))


def drawn(placed: Scene, kind: str, width: int = 8, height: int = 8, **options) -> np.ndarray:
    return np.asarray(draw_controls(placed, [kind], width, height, **options)[kind])


def picture(text: str) -> np.ndarray:
    return np.array([[character == "#" for character in line] for line in text.split()])


MEADOW = scene(("sheep", (0.25, 0.5, 0.75, 0.75)), ("sky", (0, 0, 1, 0.5)), ("grass", (0, 0.5, 1, 1)))


def test_edges_are_where_visible_silhouettes_end():
    expected = """
        ........
        ........
        ........
        ########
        .#...#..
        .#####..
        ........
        ........
    """
    assert (drawn(MEADOW, "edges") == np.where(picture(expected), 255, 0)).all()


def test_segmentation_has_the_colours_of_ade20k_and_says_what_has_no_class(caplog):
    with caplog.at_level(logging.INFO):
        pixels = drawn(MEADOW, "segmentation")
    expected = np.empty((8, 8, 3), np.uint8)
    expected[:4], expected[4:], expected[4:6, 2:6] = SKY, GRASS, SHEEP
    assert (pixels == expected).all()
    assert "ade20k has no class of its own for these; coloured: sheep as animal" in caplog.text
    assert tuple(drawn(scene(("cube", (0, 0, 1, 1))), "segmentation")[0, 0]) == (0, 0, 0)
    assert tuple(drawn(MEADOW, "segmentation", palette="instances")[0, 0]) == instance_color(1)
    assert tuple(drawn(MEADOW, "segmentation", palette="coco-stuff")[4, 3]) == class_colors("coco-stuff")["sheep"]


@pytest.mark.parametrize(
    ("palette", "category", "expected"),
    [
        ("ade20k", "sky-other", "sky"),
        ("ade20k", "window", "windowpane"),
        ("ade20k", "cube", None),
        ("coco-stuff", "sky", "sky-other"),
        ("coco-stuff", "sheep", "sheep"),
    ],
)
def test_categories_find_classes_by_meaning(palette, category, expected):
    assert class_for(category, palette) == expected


def test_palettes_are_whole():
    assert [len(class_colors(name)) for name in CLASSES] == [150, 171]
    assert list(class_colors("ade20k").items())[:2] == [("wall", (120, 120, 120)), ("building", (180, 120, 120))]
    assert len({instance_color(number) for number in range(256)}) == 256


def test_depth_grows_from_the_horizon_to_the_lower_edge_and_things_stand_on_their_feet():
    depth = drawn(MEADOW, "depth")
    assert (depth[:4] == 0).all()  # the sky
    # Rows of the ground, at (row + 1/2) / 8 with the horizon at 1/2: 0.1 + 0.9 * (1/8, 3/8, 5/8, 7/8).
    assert depth[4:, 0].tolist() == [54, 112, 169, 226]
    assert set(depth[4:6, 2:6].ravel()) == {140}  # the sheep's foot at 0.75: 0.1 + 0.9 * 1/2
    assert (depth[6:, 2:6] == depth[6:, :1]).all()


def test_relations_say_which_thing_is_nearer():
    cup, table = ("cup", (0.4, 0.2, 0.6, 0.5)), ("table", (0.2, 0.4, 0.8, 0.9))
    on = scene(cup, table, relations=[(0, "on", 1)])
    assert back_to_front(on) == [1, 0] and back_to_front(scene(cup, table)) == [0, 1]
    depth = drawn(on, "depth")
    assert depth[3, 3] == depth[5, 3] + 2  # the cup over the table
    riding = scene(("person", (0.4, 0, 0.6, 0.6)), ("horse", (0.2, 0.4, 0.8, 0.9)), ("tree", (0, 0, 0.9, 0.8)))
    assert back_to_front(riding) == [0, 2, 1]
    riding = scene(*((one.category, one.box) for one in riding.objects), relations=[(0, "riding", 1)])
    assert back_to_front(riding) == [2, 0, 1]  # the rider is as near as the horse, before the tree


def test_things_in_regions_are_before_them():
    assert back_to_front(
        scene(("boat", (0.4, 0.4, 0.6, 0.6)), ("sea", (0, 0.4, 1, 0.8)), relations=[(0, "in", 1)])
    ) == [
        1,
        0,
    ]


def test_boxes_are_filled_nearer_ones_over_others():
    pixels = drawn(scene(("dog", (0.25, 0.25, 1, 1)), ("cat", (0, 0, 0.5, 0.5))), "boxes")
    expected = np.zeros((8, 8, 3), np.uint8)
    expected[:4, :4], expected[2:, 2:] = instance_color(1), instance_color(0)
    assert (pixels == expected).all()


def test_scribbles_are_strokes_hidden_by_what_is_nearer_and_contours_elsewhere():
    across = Sketch((np.array([[0, 0.5], [1, 0.5]], np.float32),))
    far = SceneObject("cat", box=(0, 0, 1, 0.5), sketch=across)
    near = SceneObject("dog", box=(0.5, 0, 1, 1))
    expected = """
        ...#....
        ...#....
        ####....
        ...#....
        ...#....
        ...#....
        ...#....
        ...#....
    """
    assert (drawn(Scene((far, near)), "scribble") == np.where(picture(expected), 255, 0)).all()


def test_lines_of_scribbles_are_wider_in_larger_pictures():
    halves = scene(("sky", (0, 0, 1, 0.5)), ("grass", (0, 0.5, 1, 1)))
    assert np.flatnonzero(drawn(halves, "scribble", 512, 512)[:, 9]).tolist() == [254, 255, 256]


def test_masks_are_resized_to_pixels_and_cut_at_the_canvas():
    mask = np.array([[False, True], [True, True]])
    thing = SceneObject("cat", box=(0.5, 0, 1.5, 1), mask=mask)
    found = silhouette(thing, 8, 8)
    assert found is not None and (found.left, found.top) == (4, 0)
    assert (found.mask == np.repeat([[False] * 4, [True] * 4], 4, axis=0)).all()
    assert silhouette(SceneObject("cat", box=(1.5, 0, 2, 1)), 8, 8) is None
    crop = np.zeros((2, 2, 4), np.uint8)
    crop[0, 0] = 255
    found = silhouette(SceneObject("cat", box=(0, 0, 1, 1), crop=crop), 2, 2)
    assert found is not None and found.mask.tolist() == [[True, False], [False, False]]


def test_regions_that_are_boxes_reach_the_edges_that_they_almost_reach():
    placed = scene(("sky", (0.02, 0.01, 0.97, 0.5)), ("cat", (0.02, 0.01, 0.97, 0.5)))
    assert [thing.box for thing in spread_regions(placed).objects] == [(0, 0, 1, 0.5), (0.02, 0.01, 0.97, 0.5)]


def test_sizes_need_not_be_square_and_every_kind_has_them():
    made = draw_controls(MEADOW, KINDS, 24, 16)
    assert list(made) == ["edges", "depth", "segmentation", "scribble", "boxes"]
    assert {one.size for one in made.values()} == {(24, 16)}
    assert [one.mode for one in made.values()] == ["L", "L", "RGB", "L", "RGB"]


@pytest.mark.parametrize(
    ("kinds", "size", "palette", "told"),
    [
        (["dept"], (8, 8), "ade20k", r"unknown kind of control picture 'dept' \(did you mean 'depth'\?\)"),
        (["depth"], (8, 8), "ade", r"unknown palette 'ade' \(.*ade20k"),
        (["depth"], (4097, 8), "ade20k", "size 4097x8: sides go from 8 to 4096 pixels"),
        (["depth"], (8, 7), "ade20k", "size 8x7"),
    ],
)
def test_wrong_requests_are_named(kinds, size, palette, told):
    with pytest.raises(UserError, match=told):
        draw_controls(MEADOW, kinds, *size, palette)


def test_what_is_not_placed_is_named():
    with pytest.raises(UserError, match=r"objects\[0\]: cat has no box; place it first, with scenograph layout"):
        draw_controls(Scene((SceneObject("cat"),)), ["edges"], 8, 8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("##\n##", [[(0, 0), (2, 0), (2, 2), (0, 2)]]),
        ("#.\n##", [[(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)]]),
    ],
)
def test_outlines_go_around_pixels(text, expected):
    assert outlines(picture(text)) == expected


def test_outlines_go_around_holes_and_corners_that_touch():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random((6, 7)) < 0.5
        rings = outlines(mask)
        areas = [sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(r, r[1:] + r[:1], strict=True)) / 2 for r in rings]
        assert sum(areas) == mask.sum()  # holes go the other way round
        assert all((a[0] == b[0]) != (a[1] == b[1]) for r in rings for a, b in zip(r, r[1:] + r[:1], strict=True))
        assert all(
            (a[0] == b[0]) != (b[0] == c[0])
            for r in rings
            for a, b, c in zip(r, r[1:] + r[:1], r[2:] + r[:2], strict=True)
        )
