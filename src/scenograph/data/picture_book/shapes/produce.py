"""Fruit, vegetables, bread and salad."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    circle,
    dome,
    ellipse,
    one,
    polygon,
    rect,
    shade,
    smooth,
    some,
    tone,
)

LEAF, STALK = "#5a9e46", "#6b4a30"


def pear(rng: np.random.Generator, colour: str | None) -> str:
    """A pear."""
    pen = Pen()
    skin, fat = tone(rng, None, ("#b9c94a", "#d9c24a", "#9fbf4f")), some(rng, 74, 86)
    data = smooth(
        (128, 44),
        (162, 64),
        (168, 112),
        (128 + fat, 176),
        (170, 238),
        (128, 246),
        (86, 238),
        (128 - fat, 176),
        (88, 112),
        (94, 64),
    )
    pen.stroke(STALK, 9, (128, 54), (132, 30), (142, 10))
    pen.solid(smooth((136, 36), (160, 8), (200, 12), (178, 38), tension=0.9), LEAF, (-3, -5), 0.8)
    pen.solid(data, skin, (-8, -8), 0.82)
    pen.fill(ellipse(92, 176, 13, 32, 10), "#ffffff", opacity=0.38)
    return pen.body(some(rng, -8, 8))


def strawberry(rng: np.random.Generator, colour: str | None) -> str:
    """A strawberry."""
    pen = Pen()
    skin, fat = tone(rng, None, ("#d9343a", "#e0453f", "#c92f3a")), some(rng, 86, 100)
    data = smooth(
        (128, 60),
        (128 + fat * 0.7, 62),
        (128 + fat, 112),
        (176, 194),
        (128, 248),
        (80, 194),
        (128 - fat, 112),
        (128 - fat * 0.7, 62),
    )
    pen.solid(data, skin, (-8, -8), 0.82)
    for row, count in enumerate((4, 5, 4, 3, 2)):
        for k in range(count):
            x = 128 + (k - (count - 1) / 2) * 36
            pen.fill(ellipse(x, 98 + row * 29, 4.5, 7), "#f7dc8a")
    for angle in (-74, -38, 0, 38, 74):
        a = math.radians(angle)
        tip = (128 + 74 * math.sin(a), 58 + 52 * math.cos(a) * 0.7)
        pen.fill(
            smooth(
                (118, 56),
                ((118 + tip[0]) / 2, tip[1] - 10),
                tip,
                ((138 + tip[0]) / 2, tip[1] - 4),
                (138, 56),
                tension=0.7,
            ),
            shade(LEAF, 0.95),
            soft=3,
        )
    pen.stroke(LEAF, 9, (128, 58), (132, 34), (144, 20))
    return pen.body(some(rng, -14, 14))


def grapes(rng: np.random.Generator, colour: str | None) -> str:
    """A bunch of grapes."""
    pen = Pen()
    skin = tone(rng, None, ("#7a4a9a", "#5f3f86", "#a9c94f", "#8a3f5f"))
    pen.stroke(STALK, 9, (128, 66), (130, 38), (148, 16))
    pen.solid(smooth((132, 52), (150, 20), (206, 22), (214, 52), (176, 70), tension=0.7), LEAF, (-3, -5), 0.8)
    for row, count in enumerate((5, 4, 4, 3, 2, 1)):
        for k in range(count):
            x = 128 + (k - (count - 1) / 2) * 41 + some(rng, -4, 4)
            y = 82 + row * 29 + some(rng, -3, 3)
            pen.solid(circle(x, y, 25), shade(skin, some(rng, 0.94, 1.1)), (-4, -5), 0.78)
            pen.fill(ellipse(x - 8, y - 9, 6, 4, -36), "#ffffff", opacity=0.5)
    return pen.body()


def melon(rng: np.random.Generator, colour: str | None) -> str:
    """A slice of water melon."""
    pen = Pen()
    flesh, deep = tone(rng, None, ("#e8505a", "#ea5f5f", "#f07a5a")), some(rng, 106, 122)
    for reach, paint in ((1.0, "#3f8a4a"), (0.93, "#9ccf6f"), (0.86, "#f2f3d8"), (0.8, flesh)):
        pen.fill(dome(128 - 120 * reach, 128 + 120 * reach, 80, -deep * reach), paint)
    for k in range(int(rng.integers(6, 10))):
        x, y = 58 + (k % 5) * 35 + some(rng, -6, 6), 98 + (k // 5) * 32 + some(rng, -5, 5)
        pen.fill(ellipse(x, y, 4.5, 7.5), "#3a2a2a")
    return pen.body(some(rng, -16, 16))


def cherries(rng: np.random.Generator, colour: str | None) -> str:
    """A pair of cherries."""
    pen = Pen()
    skin, high = tone(rng, None, ("#c22f3a", "#a82a3a", "#d9383f")), some(rng, 16, 30)
    for x, y in ((74, 184), (180, 196)):
        pen.stroke("#6f8a3a", 8, (x, y - 40), (x + (140 - x) * 0.45, 92), (142, high))
    pen.solid(
        smooth((142, high), (176, high - 8), (226, high + 32), (180, high + 44), tension=0.9), LEAF, (-3, -5), 0.8
    )
    for x, y in ((74, 184), (180, 196)):
        pen.solid(
            smooth(
                (x, y - 44),
                (x + 38, y - 48),
                (x + 54, y),
                (x + 30, y + 48),
                (x - 30, y + 48),
                (x - 54, y),
                (x - 38, y - 48),
            ),
            skin,
            (-5, -8),
            0.78,
        )
        pen.fill(ellipse(x - 20, y - 16, 9, 17, 30), "#ffffff", opacity=0.42)
    return pen.body()


def tomato(rng: np.random.Generator, colour: str | None) -> str:
    """A tomato."""
    pen = Pen()
    skin, fat = tone(rng, None, ("#dc3f33", "#e0553a", "#d2362f")), some(rng, 104, 118)
    pen.solid(
        smooth((128, 74), (190, 66), (128 + fat, 138), (196, 218), (128, 230), (60, 218), (128 - fat, 138), (66, 66)),
        skin,
        (-8, -9),
        0.82,
    )
    for k in range(5):
        a = math.radians(-80 + k * 40 + some(rng, -6, 6))
        tip = (128 + 62 * math.sin(a), 70 + 40 * math.cos(a))
        pen.fill(polygon((119, 68), tip, (137, 72)), LEAF, soft=6)
    pen.stroke(LEAF, 11, (128, 72), (131, 54), (140, 42))
    pen.fill(ellipse(72, 122, 14, 25, 26), "#ffffff", opacity=0.38)
    return pen.body()


def aubergine(rng: np.random.Generator, colour: str | None) -> str:
    """An aubergine."""
    pen = Pen()
    skin, fat = tone(rng, None, ("#5f3a7a", "#4f2f6a", "#6a3f80")), some(rng, 54, 68)
    pen.solid(
        smooth(
            (128, 60),
            (156, 72),
            (164, 120),
            (128 + fat, 190),
            (168, 244),
            (128, 252),
            (88, 244),
            (128 - fat, 190),
            (92, 120),
            (100, 72),
        ),
        skin,
        (-7, -6),
        0.76,
    )
    pen.fill(ellipse(100, 176, 9, 38, 9), "#ffffff", opacity=0.35)
    for x, y in ((-38, 96), (-14, 108), (14, 108), (38, 94)):
        pen.fill(polygon((118, 56), (128 + x, y), (138, 56)), LEAF, soft=12)
    pen.stroke(shade(LEAF, 0.85), 14, (128, 56), (130, 34), (140, 18))
    return pen.body(some(rng, 22, 48))


def corn(rng: np.random.Generator, colour: str | None) -> str:
    """A cob of maize."""
    pen = Pen()
    grain, wide = tone(rng, None, ("#f5cf3f", "#f2c037", "#f7dc6a")), some(rng, 34, 42)
    data = smooth(
        (128, 8),
        (128 + wide * 0.8, 44),
        (128 + wide, 120),
        (128 + wide * 0.8, 210),
        (128, 236),
        (128 - wide * 0.8, 210),
        (128 - wide, 120),
        (128 - wide * 0.8, 44),
    )
    pen.fill(data, shade(grain, 0.76))
    with pen.within(data):
        for row in range(20):
            for k in range(7):
                pen.fill(rect(128 - 46 + k * 14 - 1, 6 + row * 12, 12, 10, 4), grain if k < 5 else shade(grain, 0.9))
    for way in (-1, 1):
        pen.solid(
            smooth(
                (128, 250),
                (128 + way * 30, 226),
                (128 + way * 62, 130),
                (128 + way * 44, 96),
                (128 + way * 14, 190),
                tension=0.85,
            ),
            shade("#7fb84a", 1.0 if way < 0 else 0.88),
            (-3, -4),
            0.8,
        )
    return pen.body(some(rng, -40, 40))


def mushroom(rng: np.random.Generator, colour: str | None) -> str:
    """A mushroom."""
    pen = Pen()
    cap, stem = tone(rng, None, ("#b5824f", "#e3cfae", "#a8744a")), "#f3e8d2"
    wide, high = some(rng, 96, 116), some(rng, 90, 116)
    pen.solid(
        smooth((100, 136), (156, 136), (158, 196), (170, 244), (86, 244), (98, 196), tension=0.6), stem, (-8, 0), 0.84
    )
    pen.fill(ellipse(128, 140, wide * 0.92, 17), shade(stem, 0.8))
    data = dome(128 - wide, 128 + wide, 140, high)
    pen.solid(data, cap, (-8, -9), 0.82)
    with pen.within(data):
        for x, y, r in ((-54, 104, 14), (-10, 74, 17), (44, 96, 15), (74, 124, 10), (4, 122, 11)):
            pen.fill(ellipse(128 + x, y + some(rng, -6, 6), r, r * 0.85), shade(cap, 1.75))
    return pen.body()


def bread(rng: np.random.Generator, colour: str | None) -> str:
    """A loaf of bread."""
    pen = Pen()
    crust = tone(rng, None, ("#d09850", "#b97a3c", "#e0b06a"))
    high, cuts = some(rng, 84, 108), int(rng.integers(3, 5))
    data = smooth(
        (10, 196),
        (26, 214 - high * 0.8),
        (90, 206 - high),
        (166, 206 - high),
        (230, 214 - high * 0.8),
        (246, 196),
        (220, 216),
        (36, 216),
        tension=0.75,
    )
    pen.solid(data, crust, (-4, -10), 0.8)
    with pen.within(data):
        for k in range(cuts):
            x = 128 + (k - (cuts - 1) / 2) * 150 / cuts
            pen.stroke(
                shade(crust, 1.55),
                13,
                (x - 18, 206 - high * 0.42),
                (x + 2, 206 - high * 0.7),
                (x + 22, 198 - high * 0.86),
            )
    return pen.body()


def cheese(rng: np.random.Generator, colour: str | None) -> str:
    """A piece of cheese with holes."""
    pen = Pen()
    paint, top = tone(rng, None, ("#f5cf4f", "#f2c040", "#f7dc7a")), some(rng, 100, 124)
    pen.fill(polygon((14, top + 12), (192, top - 58), (242, top + 12)), shade(paint, 1.35), soft=6)
    data = polygon((14, top + 12), (242, top + 12), (242, 226), (14, 226))
    pen.fill(data, shade(paint, 0.95), soft=6)
    with pen.within(data):
        for x, y, r in ((64, 160, 20), (126, 200, 17), (150, 146, 13), (206, 172, 22), (36, 216, 14), (96, 128, 9)):
            pen.fill(circle(x + some(rng, -6, 6), y + some(rng, -5, 5), r), shade(paint, 0.74))
            pen.fill(circle(x + 3, y + 4, r * 0.72), shade(paint, 0.82))
    return pen.body()


def salad(rng: np.random.Generator, colour: str | None) -> str:
    """A bowl of salad."""
    pen = Pen()
    glaze = tone(rng, colour, ("#f3efe4", "#4d82b5", "#e0ac3e", "#a8703f", "#5f8f8f"))
    for k in range(13):
        a = math.pi * k / 12
        x, y = 128 - 94 * math.cos(a), 126 - 40 * math.sin(a) * some(rng, 0.8, 1.2)
        pen.solid(ellipse(x, y, 33, 19, some(rng, -60, 60)), one(rng, ("#7fb84a", "#5a9e46", "#9ccf5f")), (-3, -5))
    for x, y in ((76, 106), (130, 92), (186, 108)):
        pen.solid(circle(x + some(rng, -8, 8), y, 20), "#dc3f33", (-3, -4), 0.82)
    for x in (104, 160):
        pen.fill(circle(x, 112, 17), "#cfe6a0")
        pen.line(circle(x, 112, 15), "#6fae4a", 5)
    pen.fill(rect(90, 222, 76, 16, 6), shade(glaze, 0.74))
    pen.solid(dome(10, 246, 126, -some(rng, 98, 106)), glaze, (-6, -10), 0.82)
    pen.fill(rect(4, 120, 248, 13, 6), shade(glaze, 1.3))
    return pen.body()


SHAPES = (
    Shape("pear", "fruit", "front", "table", 0.1, pear),
    Shape("strawberry", "fruit", "front", "table", 0.06, strawberry),
    Shape("grapes", "fruit", "front", "table", 0.16, grapes),
    Shape("melon", "fruit", "front", "table", 0.14, melon),
    Shape("cherries", "fruit", "front", "table", 0.07, cherries),
    Shape("tomato", "vegetable", "front", "table", 0.08, tomato),
    Shape("aubergine", "vegetable", "top", "table", 0.18, aubergine),
    Shape("corn", "vegetable", "top", "table", 0.2, corn),
    Shape("mushroom", "vegetable", "front", "table", 0.08, mushroom),
    Shape("bread", "food-other", "side", "table", 0.13, bread),
    Shape("cheese", "food-other", "quarter", "table", 0.1, cheese),
    Shape("salad", "salad", "front", "table", 0.14, salad, recolour=True),
)
