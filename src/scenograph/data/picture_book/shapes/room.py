"""What hangs in rooms, lies on their floors or is played with there."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.home import CLOTHS, IRON, WOODS
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
        for puff in (90, 104, 122):
            pen.fill(circle(puff, top + 44 - abs(puff - 104) * 0.3, 16), "#f6fafc")
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


def teddy(rng: np.random.Generator, colour: str | None) -> str:
    """A sitting teddy bear."""
    pen = Pen()
    fur = tone(rng, colour, ("#b97b45", "#c8925a", "#94602f", "#e3c49a"))
    pale, dark = shade(fur, 1.5), shade(fur, 0.72)
    for way in (-1, 1):
        pen.solid(ellipse(128 + way * 54, 156, 18, 36, -way * 38), fur, (-2, -4))
        pen.solid(circle(128 + way * 44, 46, 23), fur, (-2, -4))
        pen.fill(circle(128 + way * 44, 46, 12), pale)
    pen.solid(ellipse(128, 178, some(rng, 50, 60), 58), fur, (-3, -6))
    pen.fill(ellipse(128, 182, 32, 36), pale)
    for way in (-1, 1):
        pen.solid(ellipse(128 + way * 56, 218, 30, 29), fur, (-3, -4))
        pen.fill(ellipse(128 + way * 58, 220, 17, 17), pale)
    pen.solid(ellipse(128, 86, some(rng, 56, 62), 52), fur, (-3, -6))
    pen.fill(ellipse(128, 106, 28, 22), pale)
    pen.fill(ellipse(128, 96, 11, 8), "#38292a")
    pen.stroke("#38292a", 4, (116, 114), (128, 120), (140, 114))
    for way in (-1, 1):
        pen.eye(128 + way * 26, 78, 7)
    if chance(rng):
        bow = one(rng, ("#d63a4a", "#3a78cc", "#f0b93a"))
        for way in (-1, 1):
            pen.fill(polygon((128, 138), (128 + way * 30, 124), (128 + way * 30, 154)), bow, soft=6)
        pen.fill(circle(128, 139, 9), shade(bow, 0.8))
    else:
        pen.stroke(dark, 3, (128, 150), (128, 210), curved=False)
    return pen.body()


SHAPES = (
    Shape("clock", "clock", "front", "wall", 0.35, clock, mirror=False, recolour=True),
    Shape(
        "window",
        "window-other",
        "front",
        "wall",
        1.3,
        window,
        recolour=True,
    ),
    Shape("door", "door-stuff", "front", "floor", 2.1, door, recolour=True),
    Shape("curtain", "curtain", "front", "wall", 2.0, curtain, recolour=True),
    Shape("pillow", "pillow", "front", "floor", 0.4, pillow, recolour=True),
    Shape("rug", "rug", "quarter", "floor", 0.5, rug, recolour=True),
    Shape("floor-lamp", "light", "front", "floor", 1.6, floor_lamp, recolour=True),
    Shape("teddy-bear", "teddy bear", "front", "floor", 0.4, teddy, mirror=False, recolour=True),
)
