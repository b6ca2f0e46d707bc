"""Drawings in files of other programs: Quick, Draw!'s lines, SVG and scans, whole, odd and hostile."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scenograph.data.drawn import MOST_STROKES, placed, read_vectors, touching, with_names
from scenograph.data.scans import read_scan, thinned
from scenograph.errors import UserError
from scenograph.scenes.sketch import FARTHEST

SQUARE = [[[0, 200, 200, 0, 0], [0, 0, 100, 100, 0]]]


def line(word: str | None = "sheep", drawing: object = SQUARE) -> str:
    return json.dumps(({} if word is None else {"word": word}) | {"recognized": True, "drawing": drawing})


def test_lines_of_quick_draw_are_objects_of_a_scene(tmp_path, caplog):
    path = tmp_path / "my_drawings.ndjson"
    raw = [[[0, 9.5], [1, 8.25], [0, 31]]]
    lines = [line(), line("palm tree", raw), line("dragon"), line(None), '{"word": "cat", "drawing": [[[1, 2']
    path.write_text("\ufeff" + "\n".join(lines))
    found = read_vectors(path)
    assert [each.name for each in found] == ["sheep", "tree", "dragon", "my drawings"]
    assert all(each.box is None for each in found) and found[0].sketch.strokes[0].max() == 1
    assert "line 5" in caplog.text and "left out" in caplog.text
    assert [each.name for each in with_names(found, {1: "cow"}, "it")] == ["sheep", "cow", "dragon", "my drawings"]
    with pytest.raises(UserError, match=r"--names 4=cow: it has 4 objects, 0 to 3"):
        with_names(found, {4: "cow"}, "it")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no drawing, one JSON object per line"),
        ('{"word": "cat", "draw', "line 1: not valid JSON"),
        (line(drawing=[]), "no stroke with a point"),
        (line(drawing=[[[0], [1e300]]]), "not finite, or larger"),
        (line(drawing=[[0, 1]]), r"line 1, drawing\[0\]: not a drawing: expected \[\[x, ...\], \[y, ...\]\]"),
        (line(drawing=[[[0, 1], [0]]]), r"drawing\[0\]: not a drawing: expected"),
        (line(drawing=[[[0, 10**400], [0, 1]]]), r"drawing\[0\]: not a drawing: expected"),
        (line(drawing=[[[0, 1]]]), r"drawing\[0\]: not a drawing: expected"),
        ("[1]", "line 1: not a drawing: expected"),
        ('{"word": "cat"}', "line 1: not a drawing: expected"),
        (line(drawing=[[[0] * 100_001] * 2]), "a stroke of 100,001 points; at most 100,000 are read"),
        (line(drawing=[[[0], [0]]] * (MOST_STROKES + 1)), "at most 20000 are read as a drawing by hand"),
        ("\n".join([line()] * 257), "more than 256 drawings, which is a data set and no scene"),
        ("\x1f\x8b", "gzip"),
    ],
)
def test_damaged_lines_are_one_message(tmp_path, content, message):
    path = tmp_path / "cat.ndjson"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=message) as caught:
        read_vectors(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"
 viewBox="0 0 200 100" width="400" height="200">{}</svg>"""


def svg(folder, inside: str, whole: str = SVG):
    pytest.importorskip("svgelements")
    path = folder / "drawing.svg"
    path.write_text(whole.format(inside))
    return path


def test_groups_and_named_shapes_are_objects(tmp_path):
    inside = """<g id="layer1" inkscape:label="Layer 1">
      <g id="g7" transform="translate(10,10)"><title>a sheep</title><path d="M0 0 C 10 10 20 10 30 0 Z m 3 3 l 2 2"/></g>
      <polyline id="tree_1" points="100,10 110,20 120,10"/>
      <line x1="150" y1="50" x2="160" y2="90"/><circle cx="162" cy="70" r="3"/><rect x="20" y="60" width="9" height="9"/>
      <g style="display:none"><line x1="0" y1="0" x2="5" y2="5"/></g><text x="3" y="3">hello</text></g>"""
    found = read_vectors(svg(tmp_path, inside))
    assert [each.name for each in found] == ["sheep", "tree", None, None]
    np.testing.assert_allclose(found[0].box, (0.05, 0.1, 0.2, 0.175), atol=1e-4)
    assert len(found[0].sketch.strokes) == 2 and len(found[2].sketch.strokes) == 2  # the line and the circle touch
    for each in found:
        points = np.concatenate(each.sketch.strokes)
        assert points.min() == pytest.approx(0, abs=1e-5) and points.max() == pytest.approx(1, abs=1e-5)


def test_what_leaves_the_canvas_goes_on_outside_its_box(tmp_path, caplog):
    inside = """<g id="cow"><path d="M 150 50 L 300 50 L 300 90"/></g><g id="cat"><path d="M 500 50 L 600 60"/></g>
    <g id="dog"><path d="M 190 10 L 199 12 L 9000 12"/></g>"""
    cow, dog = read_vectors(svg(tmp_path, inside))
    assert cow.box == (0.75, 0.5, 1.0, 0.9) and np.concatenate(cow.sketch.strokes).max() == 3
    assert np.concatenate(dog.sketch.strokes).max() == FARTHEST
    assert "cat: lies beside the canvas and is left out" in caplog.text
    assert "dog: reaches far beyond the canvas; its strokes end 10 sides" in caplog.text


def test_transforms_of_groups_and_shapes_are_obeyed(tmp_path):
    inside = """<g transform="translate(60 20) scale(2)"><g id="sheep" transform="rotate(90)">
      <rect width="10" height="20"/></g></g><ellipse id="cow" transform="rotate(90 150 50)" cx="150" cy="50" rx="40" ry="10"/>"""
    sheep, cow = read_vectors(svg(tmp_path, inside))
    np.testing.assert_allclose(sheep.box, (0.1, 0.2, 0.3, 0.4), atol=1e-4)
    np.testing.assert_allclose(cow.box, (0.7, 0.1, 0.8, 0.9), atol=1e-3)


def test_what_is_not_drawn_where_it_stands_is_no_object(tmp_path):
    """Definitions, what is hidden, and the unpainted frames that icons have."""
    shape = '<rect id="dog" width="9" height="9"/>'
    inside = "".join(f"<{kind}>{shape}</{kind}>" for kind in ("clipPath", "mask", "pattern", "marker", "symbol"))
    inside += (
        f"<defs>{shape}<style>.seen {{fill: none; stroke: black}}</style></defs><g visibility='hidden'>{shape}</g>"
    )
    inside += '<path d="M0 0h200v100H0z" fill="none"/><rect width="9" height="9" opacity="0"/>'
    inside += '<g id="cow"><path class="seen" d="M0 0 L50 50"/></g>'
    assert [each.name for each in read_vectors(svg(tmp_path, inside))] == ["cow"]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("", "holds no path, line or polygon"),
        ("<text>sheep</text>", "holds no path, line or polygon"),
        ('<g id="cat"><path d="M 500 50 L 600 60"/></g>', "nothing lies on the canvas, 400 x 200"),
        ('<path d="M 0 0 L 5', "not a whole XML file"),
        ('<defs><path id="a" d="M0 0L9 9"/></defs><use href="#a"/>', r"another part of it \(use\)"),
        ('<script>alert(1)</script><path d="M0 0L9 9"/>', "holds a script"),
        ('<linearGradient href="http://example.com/a"/><path d="M0 0L9 9"/>', "refers to 'http://example.com/a'"),
        ("<g>" * 70 + "</g>" * 70, "nested more than 64 levels"),
        ("<path/>" * 60_001, "more than 60,000 elements"),
        ('<path d="M 0 0 L 1e999 5"/>', "drawing.svg"),
        (f'<path d="M 0 0 {"l 1 1" * 150_000}"/>', "its outlines hold more than 300,000 numbers"),
    ],
)
def test_odd_and_hostile_svg_is_one_message(tmp_path, caplog, inside, message):
    with pytest.raises(UserError, match=message) as caught:
        read_vectors(svg(tmp_path, inside))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "declared", ['<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">', '<!ENTITY a SYSTEM "file:///etc/passwd">']
)
def test_entities_are_refused(tmp_path, declared):
    whole = f"<!DOCTYPE svg [{declared}]>" + SVG.replace("{}", "<text>&a;</text>")
    with pytest.raises(UserError, match="declares an entity, which is not unfolded"):
        read_vectors(svg(tmp_path, "", whole.replace("{", "{{").replace("}", "}}")))


def test_other_xml_is_no_drawing(tmp_path):
    with pytest.raises(UserError, match="is no SVG file: its first element is 'html'"):
        read_vectors(svg(tmp_path, "", "<html><body/></html>"))


def test_ten_thousand_strokes_are_a_drawing(tmp_path):
    inside = "".join(f'<path d="M{i % 100} {i // 100} l.5 .5"/>' for i in range(10_000))
    (found,) = read_vectors(svg(tmp_path, f'<g id="cat">{inside}</g>'))
    assert len(found.sketch.strokes) == 10_000 and found.sketch.rasterise(48, 48).mean() < 0.9


def test_touching_goes_through_others():
    boxes = [(0.0, 0.0, 0.1, 0.1), (0.5, 0.5, 0.6, 0.6), (0.2, 0.0, 0.3, 0.1), (0.1, 0.0, 0.2, 0.1)]
    assert list(touching(boxes, 0.01)) == [[0, 2, 3], [1]]


def test_a_straight_line_has_a_box():
    drawn = placed([np.array([[0.2, 1.0], [0.8, 1.0]])], "fence", "here")
    assert drawn is not None and drawn.box[3] == 1 and drawn.box[3] - drawn.box[1] > 0.007


# Scans


def scan(folder, draw, paper=(250, 246, 235), shade: float = 0.4):
    """A photograph of paper with a shadow from the left."""
    picture = Image.new("RGB", (640, 480), paper)
    draw(ImageDraw.Draw(picture))
    light = np.linspace(1 - shade, 1, 640)[None, :, None]
    noisy = np.asarray(picture) * light + np.random.default_rng(0).normal(0, 2, (480, 640, 3))
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / "scan.jpg", quality=90)
    return folder / "scan.jpg"


def two_things(pen) -> None:
    pen.ellipse((60, 100, 200, 220), outline=(40, 40, 90), width=4)
    pen.rectangle((110, 140, 150, 180), outline=(40, 40, 90), width=3)  # within the outline
    pen.line((204, 150, 240, 130), fill=(40, 40, 90), width=4)  # a gap of a few pixels
    pen.polygon([(400, 300), (500, 120), (600, 300)], outline=(30, 30, 30), width=9)
    pen.point((10, 10), fill=0)


def test_connected_ink_is_an_object(tmp_path):
    pytest.importorskip("scipy")
    left, right = read_scan(scan(tmp_path, two_things))
    np.testing.assert_allclose(left.box, (60 / 640, 100 / 480, 240 / 640, 221 / 480), atol=0.01)
    np.testing.assert_allclose(right.box, (400 / 640, 120 / 480, 600 / 640, 301 / 480), atol=0.015)
    assert left.name is None and max(left.sketch.picture.shape) == 160
    for each in (left, right):  # lines are as wide, whatever pen drew them
        ink = each.sketch.picture == 0
        assert 2 < ink.sum() / thinned(np.pad(ink, 1)).sum() < 4
        assert each.sketch.silhouette().mean() > 0.3


def test_a_frame_is_no_object(tmp_path):
    pytest.importorskip("scipy")

    def framed(pen) -> None:
        two_things(pen)
        pen.rectangle((15, 15, 625, 465), outline=0, width=4)

    assert len(read_scan(scan(tmp_path, framed))) == 2


def test_boxes_may_be_given(tmp_path):
    path = scan(tmp_path, two_things)
    (found,) = read_scan(path, [(0.0, 0.0, 0.5, 1.0)])
    assert found.box == (0.0, 0.0, 0.5, 1.0) and (found.sketch.picture == 0).any()
    with pytest.raises(UserError, match=r"objects\[1\]\.box: no ink lies in it"):
        read_scan(path, [(0.0, 0.0, 0.5, 1.0), (0.4, 0.8, 0.5, 0.9)])


def test_what_is_no_drawing_on_paper_is_refused(tmp_path):
    pytest.importorskip("scipy")
    with pytest.raises(UserError, match="is blank"):
        read_scan(scan(tmp_path, lambda pen: None))
    with pytest.raises(UserError, match="is blank"):
        read_scan(scan(tmp_path, lambda pen: pen.line((10, 10, 12, 12), fill=0, width=2)))
    with pytest.raises(UserError, match="shows no light paper"):
        read_scan(scan(tmp_path, two_things, paper=(60, 110, 230)))
    noise = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)
    Image.fromarray(noise).resize((640, 480)).save(tmp_path / "photo.png")
    with pytest.raises(UserError, match="is no drawing on paper"):
        read_scan(tmp_path / "photo.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.png"):
        read_scan(tmp_path / "text.png")
