"""Furniture and what belongs to rooms."""

from __future__ import annotations

import math

import numpy as np

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

WOODS = ("#a8703f", "#8f5a34", "#c08a52", "#d9b07a", "#6f4a33", "#f1ece0")
CLOTHS = ("#d65a4a", "#4d82b5", "#5a9e6a", "#e0ac3e", "#8a6aa8", "#e39aa8", "#7f8894", "#c9a582", "#3f7f8a")
IRON = "#4b4d57"


def chair(rng: np.random.Generator, colour: str | None) -> str:
    """A kitchen chair, a little from the side."""
    pen = Pen()
    wood, seat = tone(rng, colour, WOODS), some(rng, 148, 160)
    top, form = some(rng, 16, 34), int(rng.integers(3))
    pen.fill(rect(76, seat, 11, 232 - seat, 3), shade(wood, 0.68))
    pen.fill(rect(172, seat, 11, 232 - seat, 3), shade(wood, 0.68))
    for x in (68, 176):
        pen.solid(rect(x, top, 13, seat - top + 10, 5), wood, (-4, 0), 0.8)
    if form == 0:
        for k in range(3):
            pen.solid(rect(72, top + 14 + k * 34, 112, 17, 4), shade(wood, 0.95), (0, -4), 0.8)
    elif form == 1:
        pen.solid(rect(72, top + 8, 112, 18, 5), wood, (0, -4), 0.8)
        for k in range(4):
            pen.fill(rect(91 + k * 20, top + 22, 10, seat - top - 24), shade(wood, 0.88))
    else:
        pen.solid(rect(70, top + 6, 116, 78, 14), wood, (-3, -5), 0.8)
        pen.fill(rect(84, top + 20, 88, 50, 9), one(rng, CLOTHS) if not colour else shade(wood, 1.3))
    pen.solid(polygon((70, seat), (186, seat), (204, seat + 22), (52, seat + 22)), shade(wood, 1.15), (0, -4), 0.8)
    if chance(rng, 0.35):
        pen.fill(polygon((78, seat - 6), (178, seat - 6), (192, seat + 12), (64, seat + 12)), one(rng, CLOTHS), soft=10)
    pen.fill(rect(52, seat + 20, 152, 12, 3), shade(wood, 0.8))
    for x in (54, 188):
        pen.solid(rect(x, seat + 26, 14, 222 - seat, 4), wood, (-5, 0), 0.8)
    pen.fill(rect(60, 212, 136, 9, 3), shade(wood, 0.74))
    return pen.body()


def armchair(rng: np.random.Generator, colour: str | None) -> str:
    """An armchair."""
    return _sofa(rng, colour, 1)


def couch(rng: np.random.Generator, colour: str | None) -> str:
    """A couch for two or three."""
    return _sofa(rng, colour, int(rng.integers(2, 4)))


def _sofa(rng: np.random.Generator, colour: str | None, places: int) -> str:
    pen = Pen()
    cloth = tone(rng, colour, CLOTHS)
    wide, back = 92 * places, some(rng, 40, 62)
    left, right, arm = 128 - wide / 2, 128 + wide / 2, some(rng, 26, 36)
    for x in (left - arm * 0.6, right + arm * 0.6):
        pen.fill(polygon((x - 9, 216), (x + 9, 216), (x + 5, 244), (x - 5, 244)), "#7a5234")
    pen.solid(rect(left - 10, back, wide + 20, 150, 22), shade(cloth, 0.9), (-3, -6), 0.84)
    for k in range(places):
        pen.solid(rect(left + 2 + k * 92, back + 14, 88, 92, 14), cloth, (-4, -5), 0.86)
    pen.fill(rect(left - 6, 176, wide + 12, 48, 8), shade(cloth, 0.78))
    for k in range(places):
        pen.solid(rect(left + 1 + k * 92, 150, 90, 40, 12), shade(cloth, 1.12), (-3, -6), 0.84)
    for x in (left - arm, right):
        pen.solid(rect(x, 122, arm, 104, 14), cloth, (-5, -5), 0.8)
    pillow = one(rng, CLOTHS)
    for k in range(places):
        if chance(rng, 0.45):
            x = left + 46 + k * 92
            pen.solid(
                smooth(
                    (x - 28, 108),
                    (x, 114),
                    (x + 28, 108),
                    (x + 24, 134),
                    (x + 28, 160),
                    (x, 155),
                    (x - 28, 160),
                    (x - 24, 134),
                    tension=0.6,
                ),
                pillow,
                (-3, -4),
            )
    return pen.body()


def dining_table(rng: np.random.Generator, colour: str | None) -> str:
    """A table with its top seen a little from above, sometimes with a cloth."""
    pen = Pen()
    wood, half, deep = tone(rng, colour, WOODS), some(rng, 104, 118), some(rng, 24, 38)
    top = 112
    if chance(rng, 0.25):
        pen.solid(rect(116, top + 10, 24, 104, 4), shade(wood, 0.9), (-7, 0), 0.8)
        pen.solid(
            smooth((70, 234), (110, 208), (146, 208), (186, 234), (128, 224), tension=0.7),
            shade(wood, 0.85),
            (-3, -4),
            0.8,
        )
        pen.fill(ellipse(128, top + 8, half, deep), shade(wood, 0.74))
        pen.fill(ellipse(128, top, half, deep), shade(wood, 1.1))
        pen.fill(ellipse(122, top - 3, half * 0.8, deep * 0.7), shade(wood, 1.2))
        return pen.body()
    for way in (-1, 1):
        pen.fill(rect(128 + way * (half - 34) - 7, top, 14, 104), shade(wood, 0.66))
    for way in (-1, 1):
        pen.solid(
            polygon(
                (128 + way * (half - 12) - 10, top),
                (128 + way * (half - 12) + 10, top),
                (128 + way * (half - 12) + 6, 240),
                (128 + way * (half - 12) - 6, 240),
            ),
            wood,
            (-5, 0),
            0.8,
        )
    pen.fill(rect(128 - half + 8, top + 8, 2 * half - 16, 24), shade(wood, 0.76))
    pen.fill(
        polygon(
            (128 - half + 22, top - deep), (128 + half - 22, top - deep), (128 + half, top + 2), (128 - half, top + 2)
        ),
        shade(wood, 1.14),
        soft=6,
    )
    pen.fill(rect(128 - half - 3, top, 2 * half + 6, 15, 4), shade(wood, 0.9))
    if chance(rng, 0.35):
        cloth = one(rng, CLOTHS)
        pen.fill(
            polygon((88, top - deep - 2), (168, top - deep - 2), (178, top + 4), (78, top + 4)), shade(cloth, 1.35)
        )
        pen.fill(polygon((78, top + 2), (178, top + 2), (178, top + 34), (128, top + 52), (78, top + 34)), cloth)
    return pen.body()


def bed(rng: np.random.Generator, colour: str | None) -> str:
    """A bed from the side."""
    pen = Pen()
    wood, quilt = one(rng, WOODS[:5]), tone(rng, colour, CLOTHS)
    head, foot = some(rng, 84, 104), some(rng, 142, 158)
    pen.solid(rect(8, head, 18, 232 - head, 6), wood, (-5, 0), 0.8)
    pen.fill(rect(20, 184, 216, 30, 3), shade(wood, 0.86))
    pen.fill(rect(22, 160, 212, 32, 10), "#f6f3ea")
    for x in (36,) if chance(rng) else (34, 54):
        pen.solid(
            smooth((x - 6, 164), (x - 4, 138), (x + 24, 130), (x + 46, 138), (x + 50, 162), (x + 22, 168), tension=0.8),
            "#fdfcf8",
            (-3, -4),
            0.88,
        )
    data = smooth((92, 156), (120, 142), (180, 144), (236, 150), (238, 204), (160, 208), (90, 202), tension=0.5)
    pen.solid(data, quilt, (-3, -7), 0.84)
    with pen.within(data):
        form = int(rng.integers(3))
        for k in range(8):
            if form == 0:
                pen.fill(rect(84 + k * 24, 130, 10, 90), shade(quilt, 1.3))
            elif form == 1:
                for row in range(3):
                    pen.fill(circle(100 + k * 22 + 10 * (row % 2), 160 + row * 20, 5), shade(quilt, 1.55))
    pen.solid(
        smooth((84, 152), (98, 142), (118, 142), (116, 176), (116, 206), (88, 204), tension=0.6),
        shade(quilt, 1.5),
        (-3, -4),
        0.9,
    )
    pen.solid(rect(230, foot, 18, 232 - foot, 6), wood, (-5, 0), 0.8)
    return pen.body()


def tv(rng: np.random.Generator, colour: str | None) -> str:
    """A flat television on its stand, or an old one with aerials."""
    pen = Pen()
    glow = one(rng, (("#8fd0ea", "#6fae5a"), ("#f2b07a", "#b5624a"), ("#5f7fae", "#3f4f7a"), ("#9fd8c0", "#4a8f7a")))
    if chance(rng, 0.3):
        case = one(rng, ("#a8703f", "#c0503c", "#4d82b5", "#e0ac3e"))
        for way in (-1, 1):
            pen.stroke(IRON, 5, (128, 74), (128 + way * 44, 26), curved=False)
            pen.fill(circle(128 + way * 44, 26, 6), IRON)
            pen.fill(
                polygon((128 + way * 62, 206), (128 + way * 82, 206), (128 + way * 86, 232), (128 + way * 78, 232)),
                IRON,
            )
        pen.solid(rect(22, 72, 212, 140, 22), case, (-5, -6), 0.8)
        screen = rect(38, 88, 136, 108, 26)
        for y in (106, 140):
            pen.fill(circle(204, y, 13), "#f1ece0")
            pen.stroke(IRON, 4, (204, y), (204 + 8, y - 6), curved=False)
        for y in (168, 178, 188):
            pen.fill(rect(190, y, 28, 4, 2), shade(case, 0.6))
    else:
        pen.fill(rect(118, 186, 20, 32), "#3a3b45")
        pen.fill(rect(76, 214, 104, 12, 6), "#4b4d57")
        pen.fill(rect(8, 60, 240, 136, 9), "#2f3038")
        screen = rect(17, 69, 222, 116, 3)
    pen.fill(screen, glow[0])
    with pen.within(screen):
        pen.fill(circle(80, 104, 15), "#fff3c0")
        pen.fill(smooth((0, 176), (70, 132), (130, 160), (200, 128), (256, 160), (256, 220), (0, 220)), glow[1])
        pen.fill(polygon((150, 60), (196, 60), (120, 220), (74, 220)), "#ffffff", opacity=0.2)
    return pen.body()


def laptop(rng: np.random.Generator, colour: str | None) -> str:
    """An open laptop."""
    pen = Pen()
    case, screen = (
        tone(rng, colour, ("#b9bec6", "#8f959e", "#5a5d68", "#d9dbe0")),
        one(rng, ("#7fc4e8", "#a8d8b0", "#f2c99a", "#9fa8e0")),
    )
    top = some(rng, 60, 76)
    pen.fill(rect(42, top, 172, 188 - top, 9), shade(case, 0.72))
    inner = rect(51, top + 9, 154, 168 - top, 3)
    pen.fill(inner, screen)
    with pen.within(inner):
        pen.fill(rect(62, top + 20, 66, 44, 3), "#f8fafc")
        for k in range(3):
            pen.fill(rect(138, top + 22 + k * 15, 54 - 12 * k, 7, 3), shade(screen, 0.76))
        pen.fill(polygon((170, top), (206, top), (206, 130), (140, 190)), "#ffffff", opacity=0.25)
    pen.fill(polygon((42, 184), (214, 184), (248, 222), (8, 222)), case, soft=5)
    for row in range(3):
        for k in range(11):
            spread = 1 + 0.09 * row
            pen.fill(rect(128 + (k - 5.5) * 13.5 * spread + 1.5, 189 + row * 7, 10.5 * spread, 5, 1), shade(case, 0.5))
    pen.fill(polygon((108, 211), (148, 211), (152, 220), (104, 220)), shade(case, 0.8))
    pen.fill(rect(6, 221, 244, 8, 4), shade(case, 0.65))
    return pen.body()


def clock(rng: np.random.Generator, colour: str | None) -> str:
    """A round clock for a wall."""
    pen = Pen()
    rim = tone(rng, colour, ("#d65a4a", "#4d82b5", "#5a9e6a", "#a8703f", "#3a3b45", "#e0ac3e"))
    pen.solid(circle(128, 128, 118), rim, (-5, -8), 0.8)
    pen.fill(circle(128, 128, 96), "#fbf8ef")
    for k in range(12):
        a = math.tau * k / 12
        inner = 74 if k % 3 == 0 else 81
        pen.stroke(
            IRON,
            8 if k % 3 == 0 else 5,
            (128 + inner * math.sin(a), 128 - inner * math.cos(a)),
            (128 + 86 * math.sin(a), 128 - 86 * math.cos(a)),
            curved=False,
        )
    hour = some(rng, 0, 12)
    for a, reach, width in ((math.tau * hour / 12, 44, 11), (math.tau * (hour % 1), 68, 7)):
        pen.stroke("#2f2f36", width, (128, 128), (128 + reach * math.sin(a), 128 - reach * math.cos(a)), curved=False)
    pen.fill(circle(128, 128, 9), "#d63c35")
    return pen.body()


def window(rng: np.random.Generator, colour: str | None) -> str:
    """A window to the outside, sometimes with curtains."""
    pen = Pen()
    frame = tone(rng, colour, ("#fbfaf6", "#f1ece0", "#a8703f", "#8f5a34"))
    wide, high = some(rng, 84, 108), some(rng, 88, 110)
    left, top = 128 - wide, 128 - high
    pen.fill(rect(left - 12, top - 12, 2 * wide + 24, 2 * high + 24, 4), shade(frame, 0.84))
    pen.fill(rect(left - 10, top - 10, 2 * wide + 16, 2 * high + 16, 4), frame)
    glass = rect(left, top, 2 * wide, 2 * high)
    pen.fill(glass, "#9fd4f0")
    with pen.within(glass):
        pen.fill(smooth((0, 190), (70, 170), (140, 196), (256, 166), (256, 260), (0, 260)), "#7db560")
        for x in (90, 104, 122):
            pen.fill(circle(x, top + 44 - abs(x - 104) * 0.3, 16), "#f6fafc")
        pen.fill(
            polygon(
                (left + wide * 1.1, top),
                (left + wide * 1.6, top),
                (left + wide * 0.7, top + 2 * high),
                (left + wide * 0.2, top + 2 * high),
            ),
            "#ffffff",
            opacity=0.25,
        )
    pen.fill(rect(123, top, 10, 2 * high), frame)
    bars = (0,) if chance(rng) else (-high * 0.34, high * 0.34)
    for y in bars:
        pen.fill(rect(left, 124 + y, 2 * wide, 9), frame)
    pen.solid(rect(left - 20, 128 + high + 4, 2 * wide + 40, 14, 3), frame, (0, -5), 0.8)
    if chance(rng, 0.3):
        cloth = one(rng, CLOTHS)
        for way in (-1, 1):
            x = 128 + way * (wide + 6)
            pen.fill(
                smooth(
                    (x, top - 6),
                    (x - way * wide * 0.7, top - 6),
                    (x - way * wide * 0.55, 100),
                    (x - way * wide * 0.25, 160),
                    (x, 172),
                    tension=0.6,
                ),
                shade(cloth, 1.2),
                soft=3,
            )
        pen.fill(rect(left - 20, top - 16, 2 * wide + 40, 12, 5), "#8f5a34")
    return pen.body()


def door(rng: np.random.Generator, colour: str | None) -> str:
    """A closed door in its frame."""
    pen = Pen()
    paint = tone(rng, colour, (*WOODS[:5], "#4d82b5", "#5a9e6a", "#c0503c", "#f1ece0"))
    frame = shade(paint, 0.72) if chance(rng) else "#f3eee2"
    wide = some(rng, 50, 60)
    pen.fill(rect(128 - wide - 13, 8, 2 * wide + 26, 240, 3), frame)
    pen.solid(rect(128 - wide, 20, 2 * wide, 228), paint, (-5, 0), 0.84)
    form = int(rng.integers(3))
    panes = ((34, 84), (132, 100)) if form == 0 else ((34, 54), (100, 54), (166, 66)) if form == 1 else ((36, 64),)
    for k, (y, h) in enumerate(panes):
        if form == 2 or (form == 0 and k == 0 and chance(rng, 0.3)):
            pen.fill(rect(128 - wide + 18, y, 2 * wide - 36, h, 30 if form == 2 else 3), "#bfe3f2")
            continue
        for x, w in ((128 - wide + 13, wide - 18), (133, wide - 18)):
            pen.fill(rect(x, y, w, h, 3), shade(paint, 0.72))
            pen.fill(rect(x + 3, y + 4, w - 3, h - 4, 2), shade(paint, 0.9))
    pen.fill(circle(128 + wide - 11, 136, 7.5), "#e8c04a")
    pen.fill(circle(128 + wide - 13, 134, 2.5), "#fff3c0")
    return pen.body()


def curtain(rng: np.random.Generator, colour: str | None) -> str:
    """A pair of curtains on a rod."""
    pen = Pen()
    cloth, rod = tone(rng, colour, CLOTHS), one(rng, ("#8f5a34", IRON, "#c9a04a"))
    inner, tied = some(rng, 18, 44), chance(rng)
    low = 246
    for way in (-1, 1):
        outer, middle = 128 + way * 108, 128 + way * (inner if not tied else 8)
        waist = 128 + way * 78
        points = (
            (outer, 26),
            (middle, 26),
            (waist - way * 6 if tied else middle, 150),
            (waist - way * 30 if tied else middle, low),
            (outer + way * 2, low),
            (outer, 150),
        )
        data = smooth(*points, tension=0.5 if tied else 0.1)
        pen.fill(data, cloth)
        with pen.within(data):
            for k in range(5):
                x0, x1 = (
                    outer + (middle - outer) * (k + 0.5) / 5,
                    outer + ((waist if tied else middle) - outer) * (k + 0.5) / 5,
                )
                pen.stroke(
                    shade(cloth, 0.82 if k % 2 else 1.18),
                    9,
                    (x0, 20),
                    (x1, 150),
                    (outer + (points[3][0] - outer) * (k + 0.5) / 5, 260),
                )
        if tied:
            pen.stroke(shade(cloth, 0.6), 9, (outer + way * 3, 146), (waist - way * 7, 152))
    pen.stroke(rod, 9, (14, 22), (242, 22), curved=False)
    for x in (12, 244):
        pen.fill(circle(x, 22, 9), rod)
    return pen.body()


def pillow(rng: np.random.Generator, colour: str | None) -> str:
    """A cushion."""
    pen = Pen()
    cloth, form, squash = tone(rng, colour, CLOTHS), int(rng.integers(4)), some(rng, 0.72, 1.0)

    def y(value: float) -> float:
        return 128 + (value - 128) * squash

    data = smooth(
        (18, y(24)),
        (128, y(40)),
        (238, y(24)),
        (222, 128),
        (238, y(232)),
        (128, y(218)),
        (18, y(232)),
        (34, 128),
        tension=0.75,
    )
    pen.solid(data, cloth, (-6, -10), 0.84)
    with pen.within(data):
        for k in range(7) if form == 0 else ():
            pen.fill(rect(24 + k * 34, 0, 14, 256), shade(cloth, 1.35))
        for k in range(25) if form == 1 else ():
            pen.fill(circle(44 + (k % 5) * 42, y(44 + (k // 5) * 42), 9), shade(cloth, 1.5))
        if form == 2:
            pen.fill(circle(128, 128, 16), shade(cloth, 0.66))
            for k in range(8):
                a = math.tau * k / 8
                pen.stroke(
                    shade(cloth, 0.78),
                    5,
                    (128 + 22 * math.cos(a), 128 + 22 * math.sin(a)),
                    (128 + 50 * math.cos(a), 128 + 50 * math.sin(a)),
                    curved=False,
                )
    return pen.body()


def rug(rng: np.random.Generator, colour: str | None) -> str:
    """A rug on the floor, seen from the front."""
    pen = Pen()
    cloth, other = tone(rng, colour, CLOTHS), one(rng, ("#f3ead6", "#e8d3a0"))
    deep = some(rng, 30, 46)
    if chance(rng, 0.45):
        for k, (r, paint) in enumerate(
            ((1, cloth), (0.8, other), (0.6, shade(cloth, 0.84)), (0.36, other), (0.18, cloth))
        ):
            pen.fill(ellipse(128, 200 - 0.4 * k, 120 * r, deep * 1.1 * r), paint)
        return pen.body()
    y0, y1 = 200 - deep, 200 + deep

    def band(t: float) -> str:
        return polygon(
            (44 + 84 * t, y0 + deep * t * 0.9),
            (212 - 84 * t, y0 + deep * t * 0.9),
            (248 - 100 * t, y1 - deep * t),
            (8 + 100 * t, y1 - deep * t),
        )

    for k in range(9):
        t = k / 8
        for way in (-1, 1):
            x = 128 + way * (84 + 36 * t)
            pen.stroke(other, 4, (x, y0 + 2 * deep * t), (x + way * 8, y0 + 2 * deep * t), curved=False)
    for t, paint in ((0, cloth), (0.16, other), (0.26, shade(cloth, 0.86)), (0.6, other), (0.74, cloth)):
        pen.fill(band(t), paint)
    return pen.body()


def floor_lamp(rng: np.random.Generator, colour: str | None) -> str:
    """A lamp with a cloth shade, standing on the floor."""
    pen = Pen()
    cloth, metal = (
        tone(rng, colour, ("#f2dc9a", "#f1e6cf", "#e39a7a", "#9cc4b8")),
        one(rng, (IRON, "#8f5a34", "#c9a04a")),
    )
    wide, high = some(rng, 44, 56), some(rng, 66, 82)
    pen.fill(rect(123, 70, 10, 168), metal)
    pen.fill(dome(90, 166, 244, 16), metal)
    pen.solid(
        polygon((128 - wide * 0.55, 10), (128 + wide * 0.55, 10), (128 + wide, 10 + high), (128 - wide, 10 + high)),
        cloth,
        (-9, 0),
        0.84,
    )
    pen.fill(rect(128 - wide, 6 + high, 2 * wide, 7, 2), shade(cloth, 0.78))
    pen.stroke(metal, 3, (146, 12 + high), (146, 36 + high), curved=False)
    pen.fill(circle(146, 38 + high, 4), metal)
    return pen.body()


SHAPES = (
    Shape("chair", "chair", "front", "floor", 0.95, chair, recolour=True),
    Shape("armchair", "chair", "front", "floor", 1.0, armchair, recolour=True),
    Shape("couch", "couch", "front", "floor", 0.95, couch, recolour=True),
    Shape(
        "dining-table",
        "dining table",
        "front",
        "floor",
        0.8,
        dining_table,
        recolour=True,
        colours=("brown", "white", "black", "gray"),
    ),
    Shape("bed", "bed", "side", "floor", 1.0, bed, recolour=True),
    Shape("tv", "tv", "front", "floor", 0.75, tv),
    Shape(
        "laptop",
        "laptop",
        "front",
        "table",
        0.25,
        laptop,
        recolour=True,
        colours=("gray", "white", "black", "red", "blue", "pink"),
    ),
    Shape("clock", "clock", "front", "wall", 0.35, clock, mirror=False, recolour=True),
    Shape(
        "window",
        "window-other",
        "front",
        "wall",
        1.3,
        window,
        recolour=True,
        colours=("white", "brown", "green", "blue"),
    ),
    Shape("door", "door-stuff", "front", "floor", 2.1, door, recolour=True),
    Shape("curtain", "curtain", "front", "wall", 2.0, curtain, recolour=True),
    Shape("pillow", "pillow", "front", "floor", 0.4, pillow, recolour=True),
    Shape("rug", "rug", "quarter", "floor", 0.5, rug, recolour=True),
    Shape("floor-lamp", "light", "front", "floor", 1.6, floor_lamp, recolour=True),
)
