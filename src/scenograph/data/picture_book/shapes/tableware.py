"""What stands and lies on tables: vessels, cutlery, books."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.home import CLOTHS
from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    chance,
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

STEEL = ("#b9bec6", "#a8aeb8", "#c9c4b4")


def _turned(profile: tuple[tuple[float, float], ...], tension: float = 0.8) -> str:
    """Path data of a vessel from half its profile (reach from the axis, height), top to foot."""
    right = [(128 + reach, y) for reach, y in profile]
    left = [(128 - reach, y) for reach, y in reversed(profile)]
    return smooth(*right, *left, tension=tension)


def vase(rng: np.random.Generator, colour: str | None) -> str:
    """A vase, often with flowers."""
    pen = Pen()
    glaze, form = tone(rng, colour, CLOTHS), int(rng.integers(3))
    mouth = 118
    if chance(rng, 0.65):
        for k, x in enumerate((-52, 0, 52)):
            top = (44, 22, 48)[k] + some(rng, -8, 8)
            pen.stroke("#5a9e46", 6, (128, mouth + 20), (128 + x * 0.5, 90), (128 + x, top))
            pen.fill(ellipse(128 + x * 0.7, 94, 9, 19, x), "#4b8c3f")
            petal = one(rng, ("#e8506a", "#f2b632", "#f8f4ea", "#9a5cc4", "#ef7d3a"))
            for i in range(6):
                a = math.tau * i / 6
                pen.fill(circle(128 + x + 15 * math.cos(a), top + 15 * math.sin(a), 12), petal)
            pen.fill(circle(128 + x, top, 9), "#f2c037" if petal != "#f2b632" else "#b5742c")
    profiles = (
        ((30, mouth), (20, 136), (54, 172), (56, 206), (34, 244)),
        ((36, mouth), (30, 150), (36, 200), (44, 244)),
        ((22, mouth), (20, 140), (30, 160), (66, 200), (44, 242)),
    )
    data = _turned(profiles[form])
    pen.solid(data, glaze, (-9, -3), 0.8)
    with pen.within(data):
        if chance(rng, 0.6):
            for y in (178, 200):
                pen.fill(rect(40, y, 180, 9), shade(glaze, 1.5))
        pen.fill(ellipse(106, 190, 8, 26, 8), "#ffffff", opacity=0.3)
    pen.fill(ellipse(128, mouth, profiles[form][0][0] + 4, 7), shade(glaze, 0.7))
    return pen.body()


def bottle(rng: np.random.Generator, colour: str | None) -> str:
    """A bottle with a label."""
    pen = Pen()
    glass = tone(rng, colour, ("#4f8a4a", "#8a5a30", "#7fc0d8", "#3f6a4a", "#c84a3a", "#e8a13a"))
    wide, shoulder, cap = some(rng, 30, 40), some(rng, 86, 116), one(rng, ("#d63c35", "#e8c04a", "#3a3b45", "#f1ece0"))
    data = _turned(
        ((12, 26), (13, shoulder - 30), (wide * 0.75, shoulder), (wide, shoulder + 34), (wide, 200), (wide - 3, 248)),
        0.6,
    )
    pen.solid(data, glass, (-8, 0), 0.8)
    with pen.within(data):
        label = one(rng, ("#f6efd9", "#f8f5ea", "#f2dca0"))
        pen.fill(rect(60, 156, 136, 54), label)
        pen.fill(rect(60, 162, 136, 6), one(rng, CLOTHS))
        pen.fill(circle(128, 187, 13), one(rng, CLOTHS))
        pen.fill(rect(128 - wide + 6, shoulder + 20, 7, 116, 3), "#ffffff", opacity=0.35)
    pen.fill(rect(112, 10, 32, 24, 5), cap)
    pen.fill(rect(114, 32, 28, 7, 3), shade(cap, 0.75))
    return pen.body()


def cup(rng: np.random.Generator, colour: str | None) -> str:
    """A mug or a teacup with its saucer."""
    pen = Pen()
    glaze, drink = tone(rng, colour, (*CLOTHS, "#f3efe4")), one(rng, ("#6b4226", "#8a5a34", "#c98f4a"))
    mug = chance(rng, 0.5)
    rim = 80 if mug else 99
    if mug:
        pen.line(smooth((186, 96), (234, 100), (236, 160), (184, 178), closed=False), shade(glaze, 0.85), 17)
        data = rect(40, 66, 150, 172, 22)
        pen.solid(data, glaze, (-12, -2), 0.82)
        with pen.within(data):
            form = int(rng.integers(3))
            for y in (140, 166) if form == 0 else ():
                pen.fill(rect(0, y, 256, 14), shade(glaze, 1.55))
            for k in range(12) if form == 1 else ():
                pen.fill(circle(62 + (k % 4) * 36, 120 + (k // 4) * 38, 9), shade(glaze, 1.55))
            if form == 2:
                pen.fill(
                    circle(100, 148, 15) + circle(126, 148, 15) + polygon((87, 156), (139, 156), (113, 188)),
                    "#f6efe2" if glaze < "#e8" else "#d65a4a",
                )
    else:
        pen.solid(ellipse(122, 220, 112, 20), shade(glaze, 1.1), (-3, -6), 0.8)
        pen.line(smooth((184, 112), (230, 108), (226, 152), (170, 172), closed=False), shade(glaze, 0.85), 13)
        data = dome(38, 194, 98, -118)
        pen.solid(data, glaze, (-10, -4), 0.82)
        with pen.within(data):
            pen.fill(rect(0, 118, 256, 9), shade(glaze, 1.55))
    half, x = 76, 115
    pen.fill(ellipse(x, rim, half + 2, 19), shade(glaze, 1.3))
    pen.fill(ellipse(x, rim + 2, half - 9, 13), drink)
    if chance(rng, 0.35):
        for dx in (-22, 14):
            pen.stroke(
                "#e4e7ea",
                8,
                (x + dx, rim - 24),
                (x + dx + 12, rim - 40),
                (x + dx - 4, rim - 56),
                (x + dx + 8, rim - 72),
            )
    return pen.body()


def bowl(rng: np.random.Generator, colour: str | None) -> str:
    """A bowl, empty or with fruit, soup or salad."""
    pen = Pen()
    glaze, form = tone(rng, colour, (*CLOTHS, "#f3efe4")), int(rng.integers(4))
    y = 128
    pen.fill(ellipse(128, y, 118, 26), shade(glaze, 0.62))
    if form == 1:
        for x, up in ((62, 4), (194, 4), (100, 22), (152, 24), (128, 2)):
            fruit = one(rng, ("#d93d3d", "#f0a030", "#8fc24a", "#f2cf4a"))
            pen.solid(circle(x, y - up, 31), fruit, (-5, -6), 0.82)
            pen.stroke("#6b4a30", 4, (x, y - up - 29), (x + 4, y - up - 38), curved=False)
    elif form == 2:
        pen.fill(ellipse(128, y + 1, 106, 19), one(rng, ("#e07a3a", "#d9b04a", "#7fae4a")))
        for k in range(5):
            pen.fill(circle(70 + k * 29, y + 4 * (-1) ** k, 6), one(rng, ("#f6e6b0", "#5a9e46", "#c8432f")))
    elif form == 3:
        for k in range(9):
            pen.solid(
                ellipse(44 + k * 21, y - 8 - 14 * math.sin(math.pi * k / 8), 27, 17, some(rng, -50, 50)),
                one(rng, ("#7fb84a", "#5a9e46", "#9ccf5f")),
                (-3, -4),
            )
        for x in (74, 132, 178):
            pen.solid(circle(x, y - 18, 14), "#d93d3d", (-3, -3))
    lower = some(rng, 92, 112)
    pen.fill(rect(88, y + lower - 16, 80, 20, 6), shade(glaze, 0.74))
    data = dome(8, 248, y, -lower)
    pen.solid(data, glaze, (-6, -10), 0.8)
    with pen.within(data):
        if chance(rng):
            pen.fill(
                smooth((0, y + 22), (128, y + 36), (256, y + 22), (256, y + 36), (128, y + 52), (0, y + 36)),
                shade(glaze, 1.5),
            )
    pen.line(smooth((10, y), (64, y + 17), (128, y + 23), (192, y + 17), (246, y), closed=False), shade(glaze, 1.3), 8)
    return pen.body()


def wine_glass(rng: np.random.Generator, colour: str | None) -> str:
    """A glass on a stem with wine or juice."""
    pen = Pen()
    drink = tone(rng, colour, ("#9a2238", "#8a1f3f", "#f0d98a", "#e8929a"))
    glass, wide, low = "#cfe4ee", some(rng, 50, 62), some(rng, 132, 148)
    pen.fill(rect(123, low - 6, 10, 102), glass)
    pen.solid(dome(78, 178, 248, 16), glass, (-4, -3), 0.84)
    data = smooth(
        (128 - wide * 0.78, 10),
        (128 - wide, 76),
        (128 - wide * 0.62, low - 22),
        (128, low),
        (128 + wide * 0.62, low - 22),
        (128 + wide, 76),
        (128 + wide * 0.78, 10),
        tension=0.75,
    )
    pen.solid(data, "#e2f0f6", (-7, 0), 0.88)
    fill = some(rng, 56, 84)
    with pen.within(data):
        pen.fill(rect(0, fill, 256, 200), drink)
        pen.fill(ellipse(128, fill, wide, 9), shade(drink, 1.25))
        pen.fill(ellipse(128 - wide * 0.58, 74, 6, 34, 4), "#ffffff", opacity=0.55)
    pen.line(data, "#b5d2e0", 5)
    return pen.body()


def fork(rng: np.random.Generator, colour: str | None) -> str:
    """A fork, lying."""
    pen = Pen()
    steel, tines = tone(rng, None, STEEL), int(rng.integers(3, 5))
    wide = some(rng, 28, 34)
    for k in range(tines):
        x = 128 + (k / (tines - 1) * 2 - 1) * (wide - 6)
        pen.fill(rect(x - 5.5, 8, 11, 84, 5), steel)
    pen.solid(
        smooth(
            (128 - wide, 72),
            (128 + wide, 72),
            (128 + wide * 0.9, 104),
            (138, 130),
            (118, 130),
            (128 - wide * 0.9, 104),
            tension=0.6,
        ),
        steel,
        (-5, -2),
        0.8,
    )
    pen.solid(
        smooth((120, 118), (136, 118), (137, 180), (144, 238), (128, 248), (112, 238), (119, 180), tension=0.7),
        _grip(rng, steel),
        (-5, 0),
        0.78,
    )
    return pen.body(_lying(rng))


def _lying(rng: np.random.Generator) -> float:
    """The turn of a thing that lies askew."""
    return one(rng, (-1, 1)) * some(rng, 38, 72)


def _grip(rng: np.random.Generator, steel: str) -> str:
    """The colour of a handle."""
    return one(rng, CLOTHS) if chance(rng, 0.4) else steel


def spoon(rng: np.random.Generator, colour: str | None) -> str:
    """A spoon, lying."""
    pen = Pen()
    steel = tone(rng, None, (*STEEL, "#c08a52"))
    wide = some(rng, 28, 36)
    pen.solid(
        smooth((121, 84), (135, 84), (136, 180), (143, 238), (128, 248), (113, 238), (120, 180), tension=0.7),
        _grip(rng, steel),
        (-5, 0),
        0.78,
    )
    pen.solid(ellipse(128, 56, wide, 48), steel, (-5, -4), 0.8)
    pen.fill(ellipse(128, 58, wide * 0.7, 36), shade(steel, 0.84))
    pen.fill(ellipse(120, 46, wide * 0.22, 18, 12), "#ffffff", opacity=0.55)
    return pen.body(_lying(rng))


def knife(rng: np.random.Generator, colour: str | None) -> str:
    """A table or kitchen knife, lying."""
    pen = Pen()
    steel, wide = one(rng, STEEL), some(rng, 30, 48)
    grip = tone(rng, colour, ("#6b4530", "#3a3b45", "#a8703f", "#c0503c", "#4d82b5"))
    blade = smooth(
        (112, 10),
        (112 + wide * 0.7, 34),
        (112 + wide, 96),
        (112 + wide * 0.9, 146),
        (112, 146),
        (112, 76),
        tension=0.55,
    )
    pen.fill(blade, shade(steel, 1.35))
    with pen.within(blade):
        pen.fill(rect(100, 0, 12 + wide * 0.42, 160), steel)
    pen.fill(rect(108, 140, 38, 12, 4), shade(steel, 0.75))
    pen.solid(
        smooth((112, 150), (142, 150), (140, 196), (146, 236), (130, 248), (112, 240), (114, 196), tension=0.6),
        grip,
        (-6, 0),
        0.78,
    )
    for y in (172, 200, 226):
        pen.fill(circle(127, y, 4), "#e8e2d2")
    return pen.body(_lying(rng))


def book(rng: np.random.Generator, colour: str | None) -> str:
    """A closed book, an open book, or a few in a pile."""
    pen = Pen()
    cover, form = tone(rng, colour, (*CLOTHS, "#8f3a3a", "#35618f")), int(rng.integers(3))
    pale = "#f3dfa0" if colour != "yellow" else "#fbf6e6"
    if form == 0:
        high = some(rng, 196, 226)
        top = 246 - high
        pen.fill(rect(62, top + 6, 142, high - 6, 8), shade(cover, 0.66))
        pen.fill(rect(70, top + high - 30, 130, 24, 4), "#f8f3e4")
        for k in range(2):
            pen.stroke("#d9cfb8", 2, (76, top + high - 22 + 8 * k), (198, top + high - 22 + 8 * k), curved=False)
        pen.solid(rect(56, top, 146, high - 26, 8), cover, (-3, -4), 0.84)
        pen.fill(rect(56, top, 20, high - 26, 8), shade(cover, 0.76))
        pen.fill(rect(96, top + 28, 84, 40, 4), pale)
        pen.fill(circle(138, top + 112, 24), pale)
        pen.fill(circle(138, top + 112, 15), cover)
        return pen.body()
    if form == 1:
        pen.fill(polygon((8, 82), (248, 82), (248, 204), (8, 204)), cover, soft=8)
        for way in (-1, 1):
            page = smooth(
                (128, 84),
                (128 + way * 50, 66),
                (128 + way * 110, 72),
                (128 + way * 110, 188),
                (128 + way * 50, 182),
                (128, 200),
                tension=0.55,
            )
            pen.fill(page, "#fbf6e6" if way < 0 else "#efe6d0")
            for k in range(5):
                row = 100 + k * 16
                pen.stroke(
                    "#bdb4a0", 4, (128 + way * 20, row - 2), (128 + way * 56, row - 10), (128 + way * 94, row - 8)
                )
        pen.stroke("#c9bfa8", 4, (128, 84), (128, 200), curved=False)
        return pen.body()
    y = 226.0
    for k in range(int(rng.integers(2, 5))):
        paint = cover if k == 0 or colour else one(rng, CLOTHS)
        thick, wide, x = some(rng, 28, 42), some(rng, 170, 214), 128 + some(rng, -14, 14)
        y -= thick
        pen.fill(rect(x - wide / 2, y, wide, thick - 2, 7), shade(paint, 1 - 0.07 * (k % 2)))
        pen.fill(rect(x - wide / 2 + 16, y + 6, wide - 12, thick - 14, 3), "#f8f3e4")
        pen.stroke("#d9cfb8", 2, (x - wide / 2 + 20, y + thick / 2), (x + wide / 2 - 2, y + thick / 2), curved=False)
        pen.fill(rect(x - wide / 2, y, 20, thick - 2, 7), shade(paint, 0.8))
    return pen.body()


SHAPES = (
    Shape("vase", "vase", "front", "table", 0.4, vase, recolour=True),
    Shape("bottle", "bottle", "front", "table", 0.3, bottle, recolour=True),
    Shape("cup", "cup", "front", "table", 0.1, cup, recolour=True),
    Shape("bowl", "bowl", "front", "table", 0.11, bowl, recolour=True),
    Shape(
        "wine-glass",
        "wine glass",
        "front",
        "table",
        0.2,
        wine_glass,
        recolour=True,
    ),
    Shape("fork", "fork", "top", "table", 0.12, fork),
    Shape("spoon", "spoon", "top", "table", 0.12, spoon),
    Shape("knife", "knife", "top", "table", 0.13, knife, recolour=True),
    Shape("book", "book", "quarter", "table", 0.22, book, recolour=True),
)
