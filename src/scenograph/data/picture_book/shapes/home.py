"""Furniture and what belongs to rooms."""

from __future__ import annotations

import numpy as np

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
        case = tone(rng, None, ("#a8703f", "#c0503c", "#4d82b5", "#e0ac3e"))
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
        wide = some(rng, 100, 122)
        pen.fill(rect(128 - wide, 60, 2 * wide, 136, 9), "#2f3038")
        screen = rect(137 - wide, 69, 2 * wide - 18, 116, 3)
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
    ),
)
