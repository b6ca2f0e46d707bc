"""Things to play, work and travel with."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.home import CLOTHS, IRON, WOODS
from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    chance,
    circle,
    ellipse,
    one,
    polygon,
    rect,
    shade,
    smooth,
    some,
    tone,
)

BRIGHT = ("#d63c35", "#2f73c8", "#f2b92f", "#4a9c56", "#e8762c", "#8a4fae", "#e77fb2", "#2f8f8f")
STEEL = "#b9bec6"


def skis(rng: np.random.Generator, colour: str | None) -> str:
    """A pair of skis with their poles, standing in the snow."""
    pen = Pen()
    paint, other = tone(rng, colour, BRIGHT), one(rng, ("#f8f3e8", "#f2c037", "#3a3d48"))
    lean = some(rng, 5, 11)
    for way in (-1, 1):
        x = 128 + way * 70
        pen.stroke("#6a6d76", 6, (x, 84), (x - way * 8, 246), curved=False)
        pen.stroke("#3a3b45", 11, (x + way * 2, 62), (x, 94), curved=False)
        pen.line(ellipse(x - way * 7, 222, 15, 6), "#3a3b45", 5)
    for way in (-1, 1):
        data = smooth((128 + way * 8, 246), (128 + way * 34, 246), (128 + way * (32 + lean), 60),
            (128 + way * (24 + lean), 12)
                      , (128 + way * (8 + lean), 58), tension=0.35)  # fmt: skip
        pen.solid(data, paint, (-5, 0), 0.8)
        with pen.within(data):
            for y in (70, 196):
                pen.fill(polygon((60, y), (200, y - 12), (200, y + 6), (60, y + 18)), other)
            pen.fill(rect(60, 130, 140, 32), IRON)
    return pen.body()


def snowboard(rng: np.random.Generator, colour: str | None) -> str:
    """A snowboard on its end."""
    pen = Pen()
    paint, other = tone(rng, colour, BRIGHT), one(rng, ("#f8f3e8", "#f2c037", "#3a3d48"))
    wide = some(rng, 36, 44)
    data = smooth((128, 8), (128 + wide * 0.8, 24), (128 + wide, 64), (128 + wide * 0.84, 128), (128 + wide, 192),
            (128 + wide * 0.8, 232)
                  , (128, 248), (128 - wide * 0.8, 232), (128 - wide, 192), (128 - wide * 0.84, 128), (128 - wide, 64)
                  , (128 - wide * 0.8, 24), tension=0.9)  # fmt: skip
    pen.solid(data, paint, (-6, -2), 0.82)
    with pen.within(data):
        form = int(rng.integers(2))
        for k in range(5):
            y = 20 + k * 50
            if form:
                pen.fill(polygon((60, y), (128, y - 34), (200, y), (200, y + 16), (128, y - 18), (60, y + 16)), other)
            else:
                pen.fill(circle(128 + 20 * (-1) ** k, y + 8, 11), other)
    for y in (78, 178):
        pen.solid(rect(104, y - 12, 48, 28, 8), IRON, (-2, -4), 0.7)
        pen.fill(rect(98, y - 4, 60, 11, 5), shade(IRON, 1.4))
    return pen.body()


def racket(rng: np.random.Generator, colour: str | None) -> str:
    """A tennis racket."""
    pen = Pen()
    frame, grip = tone(rng, colour, BRIGHT), one(rng, ("#3a3d48", "#6b4530", "#f1efe8"))
    wide = some(rng, 52, 62)
    head = ellipse(128, 84, wide, 76)
    pen.fill(head, "#f4f1e4", opacity=0.55)
    with pen.within(head):
        for k in range(-5, 6):
            pen.stroke("#cfcabb", 2.5, (128 + k * 12, 0), (128 + k * 12, 180), curved=False)
        for k in range(-6, 7):
            pen.stroke("#cfcabb", 2.5, (40, 84 + k * 12), (220, 84 + k * 12), curved=False)
    for way in (-1, 1):
        pen.stroke(shade(frame, 0.86), 9, (128 + way * wide * 0.6, 144), (128 + way * 14, 176), (128, 202))
    pen.line(head, shade(frame, 0.8), 13)
    pen.line(ellipse(127, 82, wide, 76), frame, 8)
    pen.solid(rect(118, 190, 20, 92, 7), grip, (-6, 0), 0.75)
    for k in range(5):
        pen.stroke(shade(grip, 0.65), 3, (119, 214 + k * 14), (137, 206 + k * 14), curved=False)
    return pen.body(some(rng, -40, -8))


def bat(rng: np.random.Generator, colour: str | None) -> str:
    """A baseball bat."""
    pen = Pen()
    wood, grip = tone(rng, colour, ("#c9975a", "#b57f45", "#8f5a34")), one(rng, ("#3a3d48", "#d63c35", "#35618f"))
    data = smooth(
        (106, 30),
        (128, 8),
        (150, 30),
        (152, 110),
        (138, 200),
        (137, 276),
        (119, 276),
        (118, 200),
        (104, 110),
        tension=0.7,
    )
    pen.solid(data, wood, (-9, 0), 0.8)
    with pen.within(data):
        pen.fill(rect(90, 212, 80, 80), grip)
        for k in range(4):
            pen.stroke(shade(grip, 0.7), 3, (110, 232 + 12 * k), (146, 222 + 12 * k), curved=False)
    pen.fill(rect(112, 272, 32, 12, 6), shade(wood, 0.8))
    return pen.body(some(rng, 24, 46))


def handbag(rng: np.random.Generator, colour: str | None) -> str:
    """A handbag."""
    pen = Pen()
    leather, metal = tone(rng, colour, (*BRIGHT, "#8f5a34", "#3a3d48")), "#e8c04a"
    top, half, spread = some(rng, 112, 130), some(rng, 74, 88), some(rng, 14, 30)
    pen.line(
        smooth(
            (128 - half * 0.6, top + 6),
            (128 - half * 0.5, 40),
            (128, 16),
            (128 + half * 0.5, 40),
            (128 + half * 0.6, top + 6),
            closed=False,
        ),
        shade(leather, 0.72),
        12,
    )
    body = smooth(
        (128 - half, top),
        (128 + half, top),
        (128 + half + spread, 224),
        (128 + half, 244),
        (128 - half, 244),
        (128 - half - spread, 224),
        tension=0.45,
    )
    pen.solid(body, leather, (-8, -6), 0.82)
    if chance(rng, 0.6):
        pen.solid(
            smooth(
                (128 - half - 2, top - 2),
                (128 + half + 2, top - 2),
                (128 + half * 0.9, top + 44),
                (128, top + 66),
                (128 - half * 0.9, top + 44),
                tension=0.5,
            ),
            shade(leather, 0.88),
            (-2, -5),
            0.8,
        )
        pen.fill(rect(116, top + 48, 24, 26, 5), metal)
    else:
        pen.fill(rect(128 - half, top, 2 * half, 13, 5), metal)
        pen.fill(circle(120, top - 3, 8) + circle(136, top - 3, 8), metal)
    for way in (-1, 1):
        pen.fill(circle(128 + way * half * 0.6, top + 8, 8), metal)
    return pen.body()


def scissors(rng: np.random.Generator, colour: str | None) -> str:
    """Open scissors."""
    pen = Pen()
    grip, wide = tone(rng, colour, BRIGHT), some(rng, 17, 30)
    for way in (-1, 1):
        tip = (128 + way * wide * 1.6, 8)
        pen.fill(
            polygon(tip, (128 + way * 4 + 12, 132), (128 - way * 12, 150), (128 + way * 2 - 12, 128)),
            shade(STEEL, 1.0 if way < 0 else 1.35),
            soft=5,
        )
        pen.stroke(grip, 15, (128, 142), (128 - way * 18, 170), curved=False)
        pen.line(ellipse(128 - way * (28 + wide * 0.5), 204, 23, 36, way * 22), shade(grip, 0.82), 15)
        pen.line(ellipse(127 - way * (28 + wide * 0.5), 202, 23, 36, way * 22), grip, 10)
    pen.fill(circle(128, 136, 8), "#6a6d76")
    return pen.body(one(rng, (-1, 1)) * some(rng, 20, 60))


def phone(rng: np.random.Generator, colour: str | None) -> str:
    """A mobile phone."""
    pen = Pen()
    case, wide = tone(rng, colour, ("#3a3d48", "#f1efe8", *BRIGHT)), some(rng, 54, 64)
    screen = one(rng, ("#7fc4e8", "#a8d8b0", "#f2c99a", "#9fa8e0"))
    pen.solid(rect(128 - wide, 8, 2 * wide, 240, 20), case, (-5, -3), 0.75)
    inner = rect(128 - wide + 9, 30, 2 * wide - 18, 188, 5)
    pen.fill(inner, screen)
    with pen.within(inner):
        icons = [*BRIGHT, "#f8f3e8"]
        for k in range(12):
            size = (2 * wide - 18) / 3
            pen.fill(
                rect(128 - wide + 15 + (k % 3) * size, 44 + (k // 3) * 38, size - 13, size - 13, 7), one(rng, icons)
            )
        pen.fill(polygon((150, 20), (200, 20), (200, 90), (90, 230), (60, 230)), "#ffffff", opacity=0.16)
    pen.fill(rect(112, 17, 32, 5, 2), shade(case, 0.6))
    pen.fill(circle(128, 232, 8), shade(case, 0.6))
    return pen.body()


def keyboard(rng: np.random.Generator, colour: str | None) -> str:
    """A computer keyboard, a little from above."""
    pen = Pen()
    case = tone(rng, colour, ("#4b4d57", "#d9dbe0", "#8f959e"))
    dark = sum(int(case[i : i + 2], 16) for i in (1, 3, 5)) < 380
    key, rows = ("#e8eaee" if dark else shade(case, 0.55)), int(rng.integers(4, 6))
    pen.fill(polygon((24, 96), (232, 96), (250, 186), (6, 186)), shade(case, 0.66), soft=10)
    pen.fill(polygon((24, 92), (232, 92), (250, 178), (6, 178)), case, soft=10)
    for row in range(rows):
        y0 = 97 + row * 80 / rows
        half = 102 + 17 * (row + 0.5) / rows
        count = 12 if row < rows - 1 else 5
        for k in range(count):
            left, right = 128 - half + 2 * half * k / count, 128 - half + 2 * half * (k + 1) / count
            pen.fill(rect(left + 2, y0, right - left - 4, 80 / rows - 4, 3), key)
    return pen.body()


def toilet(rng: np.random.Generator, colour: str | None) -> str:
    """A toilet with its cistern, from the side."""
    pen = Pen()
    white, lid = tone(rng, None, ("#f3f5f5", "#eef0ea", "#e6ecf0")), one(rng, ("#f3f5f5", "#a8703f", "#8f959e"))
    tilt = some(rng, -8, 6)
    pen.solid(rect(168, 40, 62, 104, 8), white, (-7, -3), 0.84)
    pen.fill(rect(162, 30, 74, 16, 6), shade(white, 0.92))
    pen.fill(rect(176, 58, 24, 8, 4), STEEL)
    pen.solid(polygon((150, 128), (166 + tilt, 46), (176 + tilt, 46), (170, 134)), lid, (-3, 0), 0.82)
    pen.solid(
        smooth((36, 142), (212, 142), (212, 180), (176, 196), (170, 240), (92, 240), (96, 206), (52, 184), tension=0.6),
        white,
        (-6, -6),
        0.84,
    )
    pen.fill(rect(80, 232, 110, 16, 6), shade(white, 0.88))
    pen.fill(rect(26, 126, 156, 18, 9), shade(lid, 0.9))
    return pen.body()


def basket(rng: np.random.Generator, colour: str | None) -> str:
    """A woven basket, empty or with fruit."""
    pen = Pen()
    cane, half = tone(rng, None, ("#c2935a", "#a8743e", "#d0a66a")), some(rng, 84, 104)
    pen.line(
        smooth(
            (128 - half * 0.8, 132),
            (128 - half * 0.7, 54),
            (128, 18),
            (128 + half * 0.7, 54),
            (128 + half * 0.8, 132),
            closed=False,
        ),
        shade(cane, 0.8),
        12,
    )
    if chance(rng, 0.6):
        for x, y in ((-50, 122), (50, 122), (0, 112), (-25, 124), (28, 126)):
            pen.solid(
                circle(128 + x * half / 94, y, 27),
                one(rng, ("#d93d3d", "#f0a030", "#8fc24a", "#f2cf4a")),
                (-4, -5),
                0.82,
            )
    data = polygon((128 - half, 132), (128 + half, 132), (128 + half * 0.78, 244), (128 - half * 0.78, 244))
    pen.solid(data, cane, (-8, 0), 0.84)
    with pen.within(data):
        for row in range(6):
            for k in range(12):
                pen.fill(rect(24 + k * 20 + 10 * (row % 2), 148 + row * 17, 15, 11, 4), shade(cane, 0.8))
    pen.fill(rect(128 - half - 7, 124, 2 * half + 14, 18, 8), shade(cane, 1.15))
    pen.fill(rect(128 - half * 0.8, 236, half * 1.6, 11, 5), shade(cane, 0.72))
    return pen.body()


def hay(rng: np.random.Generator, colour: str | None) -> str:
    """A bale of straw, round or square."""
    pen = Pen()
    straw = tone(rng, None, ("#e5c25a", "#d9b048", "#ecd07a"))
    if chance(rng):
        data = circle(112, 138, 106) + circle(156, 138, 106) + rect(112, 32, 44, 212)
        pen.solid(data, straw, (-2, -9), 0.8)
        pen.fill(circle(112, 138, 106), shade(straw, 1.22))
        for k in range(5):
            r = 92 - k * 19
            turn = some(rng, 0, math.tau)
            points = [(112 + r * math.cos(turn + a), 138 + r * math.sin(turn + a)) for a in np.linspace(0, 5.2, 8)]
            pen.stroke(shade(straw, 0.78), 4, *points)
        return pen.body()
    high = some(rng, 108, 136)
    top = 246 - high
    pen.fill(polygon((40, top), (236, top), (216, top + 26), (20, top + 26)), shade(straw, 1.3), soft=10)
    data = rect(14, top + 20, 214, high - 22, 10)
    pen.solid(data, straw, (-5, -8), 0.82)
    with pen.within(data):
        for _ in range(34):
            x, y = some(rng, 20, 220), some(rng, top + 26, 240)
            pen.stroke(
                shade(straw, one(rng, (0.76, 1.5))),
                3,
                (x - some(rng, 6, 12), y),
                (x + 9, y + some(rng, -5, 5)),
                curved=False,
            )
    for x in (74, 166):
        pen.stroke("#a8542f", 5, (x + 20, top), (x, top + 24), (x, 242), curved=False)
    return pen.body()


def box(rng: np.random.Generator, colour: str | None) -> str:
    """A cardboard box, open or closed."""
    pen = Pen()
    card, high = tone(rng, None, ("#c99a62", "#b98a54", "#d6ac78")), some(rng, 110, 150)
    top = 244 - high
    if chance(rng):
        pen.fill(polygon((40, top), (216, top), (196, top - 30), (60, top - 30)), shade(card, 0.6))
        pen.fill(polygon((40, top), (8, top - 34), (36, top - 52), (62, top - 30)), shade(card, 1.2), soft=3)
        pen.fill(polygon((216, top), (248, top - 34), (220, top - 52), (194, top - 30)), shade(card, 0.9), soft=3)
    else:
        pen.fill(polygon((40, top), (216, top), (190, top - 36), (66, top - 36)), shade(card, 1.25), soft=3)
        pen.fill(polygon((116, top), (140, top), (137, top - 36), (119, top - 36)), "#ead6a8")
    pen.solid(rect(40, top, 176, high, 2), card, (-7, -3), 0.86)
    pen.fill(rect(116, top, 24, 44), "#ead6a8")
    pen.fill(rect(164, 204, 34, 24, 2), shade(card, 1.5))
    for y in (211, 219):
        pen.stroke(shade(card, 0.7), 3, (170, y), (190, y), curved=False)
    return pen.body()


def mirror(rng: np.random.Generator, colour: str | None) -> str:
    """A mirror in its frame."""
    pen = Pen()
    frame, wide = tone(rng, colour, ("#c9a04a", *WOODS[:4], "#f1ece0", *CLOTHS[:3])), some(rng, 66, 92)
    data, inner = (ellipse(128, 128, wide, 118), ellipse(128, 128, wide - 15, 103)) if chance(rng) else (
        rect(128 - wide, 10, 2 * wide, 236, 12), rect(113 - wide + 30, 25, 2 * wide - 30, 206, 4))  # fmt: skip
    pen.solid(data, frame, (-4, -5), 0.8)
    pen.fill(inner, "#cfe6f0")
    with pen.within(inner):
        for x, w in ((60, 34), (118, 14)):
            pen.fill(polygon((x + 70, 0), (x + 70 + w, 0), (x - 60 + w, 256), (x - 60, 256)), "#eef8fb")
    return pen.body()


SHAPES = (
    Shape("skis", "skis", "front", "snow", 1.7, skis, recolour=True),
    Shape("snowboard", "snowboard", "front", "snow", 1.5, snowboard, recolour=True),
    Shape("tennis-racket", "tennis racket", "quarter", "ground", 0.6, racket, recolour=True),
    Shape("baseball-bat", "baseball bat", "quarter", "ground", 0.6, bat, recolour=True),
    Shape("handbag", "handbag", "front", "floor", 0.35, handbag, recolour=True),
    Shape("scissors", "scissors", "top", "table", 0.15, scissors, recolour=True),
    Shape("cell-phone", "cell phone", "front", "table", 0.15, phone, recolour=True),
    Shape("keyboard", "keyboard", "quarter", "table", 0.08, keyboard, recolour=True),
    Shape("toilet", "toilet", "side", "floor", 0.8, toilet),
    Shape("basket", "basket", "front", "table", 0.3, basket),
    Shape("hay", "straw", "side", "ground", 1.1, hay),
    Shape("box", "cardboard", "front", "floor", 0.4, box),
    Shape("mirror", "mirror-stuff", "front", "wall", 0.9, mirror, recolour=True),
)
