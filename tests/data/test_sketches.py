"""Sketches traced from drawings by several hands."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from scenograph.data.picture_book.sketches import MAX_POINTS, MAX_STROKES, sketch_of


def _house(width=96, height=96):
    image = Image.new("RGBA", (width * 2, height * 2), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    w, h = width * 2, height * 2
    pen.rectangle((w * 0.15, h * 0.45, w * 0.85, h - 1), (240, 210, 150, 255))
    pen.polygon(((0, h * 0.45), (w / 2, 0), (w - 1, h * 0.45)), (190, 60, 50, 255))
    pen.rectangle((w * 0.42, h * 0.65, w * 0.6, h - 1), (110, 70, 40, 255))
    pen.ellipse((w * 0.2, h * 0.55, w * 0.36, h * 0.7), (120, 180, 230, 255))
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


def _disc():
    image = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((2, 2, 93, 93), (200, 80, 60, 255))
    return np.asarray(image)


def _noise():
    rng = np.random.default_rng(0)
    sprite = rng.integers(0, 256, (96, 96, 4), dtype=np.uint8)
    return sprite


@pytest.mark.parametrize("hand", ["careful", "quick", "loose"])
@pytest.mark.parametrize("sprite", [_house(), _house(40, 120), _house(256, 128), _disc(), _noise(), _house(12, 12)])
def test_strokes_are_few_and_inside(sprite, hand):
    for seed in range(4):
        sketch = sketch_of(sprite, hand, np.random.default_rng(seed))
        assert sketch.picture is None
        assert 1 <= len(sketch.strokes) <= MAX_STROKES
        assert 2 <= sum(map(len, sketch.strokes)) <= MAX_POINTS
        for stroke in sketch.strokes:
            assert stroke.dtype == np.float32
            assert stroke.ndim == 2
            assert stroke.shape[1] == 2
            assert stroke.min() >= 0
            assert stroke.max() <= 1


def test_a_seed_decides_everything():
    first, again, other = (sketch_of(_house(), "quick", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert len(first.strokes) == len(again.strokes)
    assert all(np.array_equal(a, b) for a, b in zip(first.strokes, again.strokes, strict=True))
    assert first.to_dict() != other.to_dict()


def test_hands_differ():
    careful, quick = (sketch_of(_house(), hand, np.random.default_rng(0)) for hand in ("careful", "quick"))
    assert sum(map(len, careful.strokes)) > sum(map(len, quick.strokes))
    assert len(careful.strokes) > len(quick.strokes)


@pytest.mark.parametrize(("hand", "reach"), [("careful", 0.025), ("quick", 0.1), ("loose", 0.1)])
def test_ink_lies_near_the_outline(hand, reach):
    for seed in range(5):
        sketch = sketch_of(_disc(), hand, np.random.default_rng(seed))
        ink = np.argwhere(sketch.rasterise(96, 96, 1) < 0.5)
        assert len(ink) > 100
        radius = np.hypot(*(ink - 47.5).T)
        assert np.abs(radius - 46).mean() < reach * 96
        angles = np.unique((np.arctan2(*(ink - 47.5).T) * 8 / np.pi).astype(int))
        assert len(angles) >= 14


def test_inner_edges_are_drawn():
    sketch = sketch_of(_house(), "careful", np.random.default_rng(0))
    ink = sketch.rasterise(96, 96, 1) < 0.5
    assert ink[48:70, 14:40].sum() > 20  # the round window


def test_nothing_to_draw():
    sketch = sketch_of(np.zeros((20, 30, 4), np.uint8), "careful", np.random.default_rng(0))
    assert len(sketch.strokes) == 1
