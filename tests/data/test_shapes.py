"""The parametric drawings of the picture-book world."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from scenograph.data.picture_book.shapes import SHAPES, Shape, shape_svg
from scenograph.data.picture_book.shapes.shape import Pen, circle, ellipse, rect, shade, smooth
from scenograph.data.vocabularies import shipped_vocabulary

SEEDS = range(6)
ALL = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
WANTED = (
    *("sheep", "cow", "horse", "dog", "cat", "bird", "elephant", "giraffe", "zebra", "bear", "person", "tree", "bush"),
    *("flower", "plant-other", "potted plant", "rock", "clouds", "house", "building-other", "skyscraper", "tent"),
    *("fence", "bench", "boat", "car", "bus", "truck", "train", "bicycle", "motorcycle", "airplane", "kite"),
    *("traffic light", "stop sign", "fire hydrant", "parking meter", "umbrella", "chair", "dining table", "couch"),
    *("bed", "tv", "laptop", "refrigerator", "oven", "microwave", "sink", "clock", "vase", "bottle", "cup", "bowl"),
    *("wine glass", "knife", "fork", "spoon", "book", "teddy bear", "sports ball", "frisbee", "skateboard"),
    *("surfboard", "banana", "apple", "orange", "pizza", "cake", "sandwich", "broccoli", "carrot", "donut", "light"),
    *("backpack", "suitcase", "window-other", "door-stuff", "curtain", "shelf", "cabinet", "pillow", "rug"),
)


def svg_of(shape: Shape, seed: int, colour: str | None = None) -> str:
    return shape_svg(shape, np.random.default_rng(seed), colour)


def pixels_of(svg: str) -> np.ndarray:
    resvg = pytest.importorskip("resvg_py")
    picture = Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg, width=256, skip_system_fonts=True))))
    return np.asarray(picture.convert("RGBA"))


def test_every_wanted_category_is_drawn():
    assert set(WANTED) <= {shape.category for shape in SHAPES.values()}


@ALL
def test_facts_are_plausible(shape):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", shape.name)
    assert shape.category in (*shipped_vocabulary("coco-stuff").categories, "basket")
    assert 0.02 <= shape.height <= 200
    assert 0 <= shape.foot < 0.5


@ALL
def test_svg_is_whole_and_without_text(shape):
    for seed in range(20):
        root = ET.fromstring(svg_of(shape, seed))
        assert root.get("viewBox") == "0 0 256 256"
        tags = {element.tag.split("}")[1] for element in root.iter()}
        assert tags <= {"svg", "g", "path", "clipPath"}
        names = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(set(names)) == len(names)


@ALL
def test_drawing_fills_its_canvas_and_is_not_cut(shape):
    for seed in SEEDS:
        rows, columns = np.nonzero(pixels_of(svg_of(shape, seed))[..., 3] > 20)
        top, low, left, right = rows.min(), rows.max(), columns.min(), columns.max()
        assert min(top, left) >= 4
        assert max(low, right) < 252
        assert max(low - top, right - left) > 0.75 * 256
        assert min(low - top, right - left) > 0.1 * 256
        assert low >= 236  # stands at the lower edge


@ALL
def test_seed_decides_the_drawing(shape):
    drawn = [svg_of(shape, seed) for seed in range(8)]
    assert drawn == [svg_of(shape, seed) for seed in range(8)]
    assert len(set(drawn)) == 8


@ALL
def test_colour_decides_the_body(shape):
    def mean(colour):
        pixels = [pixels_of(svg_of(shape, seed, colour)) for seed in (3, 4)]
        return np.mean([part[part[..., 3] > 128][:, :3].mean(0) for part in pixels], axis=0)

    if shape.recolour:
        red, blue = mean("red"), mean("blue")
        assert (red[0] - red[2]) - (blue[0] - blue[2]) > 25
    else:
        assert svg_of(shape, 3, "red") == svg_of(shape, 3)


def test_helpers():
    assert shade("#808080", 0.5) == "#404040"
    assert shade("#808080", 2) == "#ffffff"
    assert smooth((0, 0), (10, 0), (10, 10)).endswith("Z")
    assert not smooth((0, 0), (10, 0), closed=False).endswith("Z")
    numbers = np.array([float(value) for value in re.findall(r"-?\d+\.?\d*", ellipse(50, 60, 20, 10, 90))]).reshape(
        -1, 2
    )
    np.testing.assert_allclose([*numbers.min(0), *numbers.max(0)], [40, 40, 60, 80], atol=0.11)


def test_pen_fits_what_it_draws_and_ignores_what_is_hidden():
    pen = Pen()
    pen.fill(rect(1000, 1000, 20, 10), "#ff0000")
    with pen.within(rect(1000, 1000, 20, 10)):
        pen.fill(circle(0, 0, 900), "#00ff00")
    pixels = pixels_of(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">{pen.body()}</svg>')
    rows, columns = np.nonzero(pixels[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (128, 247, 8, 247)
