"""Food and fruit."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    blob,
    chance,
    circle,
    dome,
    ellipse,
    one,
    polygon,
    puffs,
    rect,
    shade,
    smooth,
    some,
    tone,
)

ICING = ("#f29ac0", "#8a5234", "#f8efe0", "#f2c65a", "#9fd8c0", "#b79ae0")
SPRINKLES = ("#e8503f", "#f2c037", "#4db3c8", "#fbfaf6", "#7fc24a")


def banana(rng: np.random.Generator, colour: str | None) -> str:
    """A banana, or a hand of them."""
    pen = Pen()
    peel = tone(rng, None, ("#f5d13f", "#f2c832", "#e9d24a", "#c9cf4a"))
    for k in reversed(range(int(one(rng, (1, 1, 2, 3))))):
        dx, dy = k * 10, -k * 20
        data = smooth((42 + dx, 50), (34 + dx, 120 + dy), (78 + dx, 196 + dy), (160 + dx, 222 + dy),
            (228 + dx, 196 + dy), (232 + dx, 176 + dy), (180 + dx, 168 + dy)
                      , (118 + dx, 136 + dy), (76 + dx, 92 + dy * 0.6), (66 + dx, 48), tension=0.9)  # fmt: skip
        pen.solid(data, shade(peel, 1 - 0.06 * k), (2, -12), 0.84)
        pen.stroke(
            shade(peel, 0.78), 4, (50 + dx, 70), (60 + dx, 130 + dy * 0.9), (104 + dx, 178 + dy), (180 + dx, 198 + dy)
        )
        pen.fill(ellipse(232 + dx, 187 + dy, 8, 11, 10), "#6b4a2a")
    pen.fill(polygon((42, 54), (46, 22), (66, 20), (74, 50)), "#9a8a3a", soft=6)
    pen.fill(rect(44, 14, 24, 12, 3), "#6b4a2a")
    return pen.body()


def apple(rng: np.random.Generator, colour: str | None) -> str:
    """An apple."""
    pen = Pen()
    skin, fat = tone(rng, colour, ("#d6352f", "#c22f2f", "#8fbf3f", "#e8c23f")), some(rng, 96, 110)
    data = smooth(
        (128, 74),
        (160, 58),
        (128 + fat, 100),
        (128 + fat * 0.9, 180),
        (160, 244),
        (128, 236),
        (96, 244),
        (128 - fat * 0.9, 180),
        (128 - fat, 100),
        (96, 58),
        tension=0.95,
    )
    pen.solid(data, skin, (-8, -10), 0.8)
    pen.fill(ellipse(86, 112, 16, 30, 24), "#ffffff", opacity=0.4)
    pen.fill(ellipse(128, 74, 24, 8), shade(skin, 0.7))
    pen.stroke("#6b4a30", 9, (128, 78), (130, 50), (140 + some(rng, -16, 12), 24))
    if chance(rng, 0.8):
        pen.solid(smooth((138, 48), (160, 18), (204, 18), (184, 50), tension=0.9), "#6fae3f", (-3, -5), 0.8)
    return pen.body()


def orange(rng: np.random.Generator, colour: str | None) -> str:
    """An orange, whole or with a half beside it."""
    pen = Pen()
    peel = tone(rng, None, ("#f39a2c", "#ef8a22", "#f5a83a"))
    half = chance(rng, 0.4)
    x = 104 if half else 128
    pen.solid(circle(x, 138, 104), peel, (-8, -10), 0.84)
    for _ in range(14):
        a, r = some(rng, 0, math.tau), some(rng, 20, 88)
        pen.fill(circle(x + r * math.cos(a), 138 + r * math.sin(a), 3), shade(peel, 0.84))
    pen.fill(ellipse(x - 40, 92, 25, 15, -40), "#ffffff", opacity=0.35)
    pen.fill(circle(x + 6, 40, 8), "#6b8a3a")
    if chance(rng, 0.7) or not half:
        pen.solid(smooth((x + 8, 40), (x + 30, 12), (x + 74, 16), (x + 48, 46), tension=0.9), "#5a9e3f", (-3, -5), 0.8)
    if half:
        cx, cy = 196, 182
        pen.fill(circle(cx, cy, 62), peel)
        pen.fill(circle(cx, cy, 54), "#fbe8c0")
        for k in range(8):
            a, b = math.tau * k / 8 + 0.06, math.tau * (k + 1) / 8 - 0.06
            pen.fill(
                polygon(
                    (cx + 9 * math.cos((a + b) / 2), cy + 9 * math.sin((a + b) / 2)),
                    (cx + 43 * math.cos(a), cy + 43 * math.sin(a)),
                    (cx + 43 * math.cos(b), cy + 43 * math.sin(b)),
                ),
                "#f7ac45",
                soft=5,
            )
    return pen.body()


def pizza(rng: np.random.Generator, colour: str | None) -> str:
    """A whole pizza from above, or a slice."""
    pen = Pen()
    crust, cheese = "#d99a4e", one(rng, ("#f7d36a", "#f5c95a", "#f3dc8a"))

    def topping(x: float, y: float, r: float) -> None:
        kind = int(rng.integers(4))
        if kind < 2:
            pen.solid(circle(x, y, r), "#c8432f", (-2, -3), 0.84)
            pen.fill(circle(x - r * 0.3, y - r * 0.2, r * 0.18), "#e88a6a")
        elif kind == 2:
            pen.fill(ellipse(x, y, r * 0.9, r * 0.45, some(rng, 0, 180)), "#5a9e46")
        else:
            pen.fill(circle(x, y, r * 0.55), "#3f3a44")
            pen.fill(circle(x, y, r * 0.24), cheese)

    if chance(rng, 0.5):
        data = polygon((20, 66), (236, 66), (128, 246))
        pen.fill(data, cheese, soft=8)
        with pen.within(data):
            pen.fill(smooth((190, 40), (250, 60), (128, 260), (120, 240)), shade(cheese, 0.9))
            for x, y in ((78, 100), (140, 110), (196, 96), (110, 158), (150, 168), (128, 210)):
                topping(x + some(rng, -6, 6), y + some(rng, -5, 5), 20)
        pen.solid(
            smooth((10, 62), (60, 34), (128, 26), (196, 34), (246, 62), (236, 82), (128, 66), (20, 82), tension=0.8),
            crust,
            (-2, -7),
            0.82,
        )
        return pen.body()
    pen.solid(circle(128, 128, 120), crust, (-4, -6), 0.82)
    pen.fill(blob(rng, 128, 128, 101, 101, 0.02), "#d2602f")
    pen.fill(blob(rng, 128, 128, 97, 97, 0.05, 14), cheese)
    for k in range(11):
        a, r = k * 2.4 + some(rng, -0.2, 0.2), 26 * math.sqrt(k) + 4
        topping(128 + min(r, 76) * math.cos(a), 128 + min(r, 76) * math.sin(a), 19)
    for k in range(4):
        a = math.pi * k / 4 + 0.2
        pen.stroke(
            shade(cheese, 0.78),
            3,
            (128 - 112 * math.cos(a), 128 - 112 * math.sin(a)),
            (128 + 112 * math.cos(a), 128 + 112 * math.sin(a)),
            curved=False,
        )
    return pen.body()


def cake(rng: np.random.Generator, colour: str | None) -> str:
    """A round cake on a plate, with candles, or a piece of one."""
    pen = Pen()
    icing, crumb = tone(rng, colour, ICING), one(rng, ("#f2d59a", "#a8703f", "#f5e3c0"))
    if chance(rng, 0.3):
        pen.fill(polygon((16, 116), (240, 116), (240, 236), (16, 236)), crumb, soft=6)
        for y, h in ((150, 13), (192, 13)):
            pen.fill(rect(13, y, 230, h), shade(icing, 0.86))
        pen.fill(polygon((16, 116), (190, 66), (240, 104), (240, 118)), icing, soft=8)
        pen.fill(rect(12, 108, 232, 17, 7), shade(icing, 0.9))
        pen.solid(circle(186, 66, 22), "#d6352f", (-4, -5), 0.8)
        pen.stroke("#5a9e46", 5, (186, 46), (192, 32))
        return pen.body()
    tiers = ((104, 150), (72, 96)) if chance(rng, 0.5) else ((104, 126),)
    pen.solid(ellipse(128, 234, 122, 14), "#e8eef2", (-2, -4), 0.8)
    low = 230.0
    for half, top in tiers:
        pen.solid(rect(128 - half, top, 2 * half, low - top, 12), crumb, (-9, 0), 0.86)
        count = int(rng.integers(5, 8))
        step = 2 * half / count
        drip = "".join(rect(128 - half + k * step, top, step + 0.5, some(rng, 22, 42), step / 2) for k in range(count))
        pen.fill(rect(128 - half - 3, top - 4, 2 * half + 6, 22, 11), icing)
        pen.fill(drip, icing)
        pen.fill(rect(128 - half, top - 3, 2 * half, 8, 4), shade(icing, 1.35))
        for k in range(count):
            pen.fill(circle(128 - half + (k + 0.5) * step, low - 8, step * 0.42), shade(icing, 0.9))
        low = top + 2
    candles = int(rng.integers(0, 5))
    for k in range(candles):
        x = 128 + (k - (candles - 1) / 2) * 26
        pen.fill(rect(x - 5, low - 46, 10, 42, 3), one(rng, SPRINKLES))
        pen.fill(smooth((x, low - 70), (x + 7, low - 54), (x, low - 47), (x - 7, low - 54)), "#f7a72c")
    if not candles:
        for x in (-40, 0, 40):
            pen.solid(circle(128 + x, low - 14, 16), "#d6352f", (-3, -4), 0.8)
    return pen.body()


def sandwich(rng: np.random.Generator, colour: str | None) -> str:
    """A sandwich of bread slices, or a roll."""
    pen = Pen()
    bread = one(rng, ("#e0ac63", "#c98f4a", "#edc687"))
    roll = chance(rng, 0.5)
    y = 152.0
    layers: list[str] = [
        str(paint) for paint in rng.permutation(["#d6453a", "#f5cf4f", "#e9a3a0", "#f4efdf"])[: int(rng.integers(2, 4))]
    ]
    pen.solid(rect(16, y + 40, 224, 40, 18 if roll else 10), bread, (-3, -8), 0.82)
    if not roll:
        pen.fill(rect(22, y + 44, 212, 18, 6), "#f7e6c0")
    for k, paint in enumerate(layers):
        top = y + 26 - k * 15
        pen.solid(rect(20 + 4 * (k % 2), top, 214 - 6 * (k % 2), 18, 8), paint, (0, -4), 0.84)
        if paint == "#f5cf4f":
            for left in (64, 152):
                pen.fill(polygon((left, top + 14), (left + 44, top + 14), (left + 22, top + 34)), paint, soft=3)
    top = y + 26 - (len(layers) - 1) * 15
    wave = [(12 + k * 29, top - 10 + 12 * (k % 2)) for k in range(9)]
    pen.fill(smooth((10, top - 16), (246, top - 16), *reversed(wave)), "#7fb84a", soft=8)
    if roll:
        data = dome(14, 242, top - 10, some(rng, 76, 96))
        pen.solid(data, bread, (-5, -10), 0.84)
        for _ in range(8):
            x = some(rng, 70, 186)
            pen.fill(
                ellipse(x, top - 36 - some(rng, 0, 34) * (1 - abs(x - 128) / 110), 6, 3.5, some(rng, -40, 40)),
                "#f8ecd0",
            )
    else:
        pen.solid(rect(14, top - 54, 228, 44, 12), bread, (-3, -8), 0.82)
        pen.fill(rect(20, top - 34, 216, 18, 6), "#f7e6c0")
        pen.stroke("#b5793f", 4, (128, top - 84), (128, top - 50), curved=False)
        pen.solid(ellipse(128, top - 90, 15, 18), "#8a9a3f", (-3, -4))
        pen.fill(circle(128, top - 102, 5), "#c8432f")
    return pen.body()


def broccoli(rng: np.random.Generator, colour: str | None) -> str:
    """A head of broccoli."""
    pen = Pen()
    green, stalk = tone(rng, None, ("#4b8c3f", "#3f8048", "#5a9a3f")), "#a9cf6f"
    wide = some(rng, 24, 32)
    pen.solid(
        smooth(
            (128 - wide, 150),
            (128 + wide, 150),
            (128 + wide * 0.8, 200),
            (128 + wide, 246),
            (128 - wide, 246),
            (128 - wide * 0.8, 200),
            tension=0.5,
        ),
        stalk,
        (-9, 0),
        0.84,
    )
    for way in (-1, 1):
        pen.stroke(shade(stalk, 0.92), 21, (128, 200), (128 + way * 32, 172), (128 + way * 56, 136))
    for middle, centre, r in ((64, 112, 38), (192, 112, 38), (96, 64, 40), (160, 64, 40), (128, 108, 44)):
        x, y = middle + some(rng, -5, 5), centre + some(rng, -5, 5)
        pen.solid(puffs(rng, x, y, r * 0.8, r * 0.7, 9, r * 0.34), shade(green, some(rng, 0.92, 1.1)), (-4, -6), 0.76)
        for _ in range(5):
            pen.fill(circle(x + some(rng, -r, r) * 0.6, y + some(rng, -r, r) * 0.55, 4.5), shade(green, 1.3))
    return pen.body()


def carrot(rng: np.random.Generator, colour: str | None) -> str:
    """A carrot with its leaves."""
    pen = Pen()
    root, wide = tone(rng, None, ("#f0852c", "#ea7726", "#f2963f")), some(rng, 34, 46)
    for x, y, bend in ((-34, 26, -14), (34, 22, 14), (0, 8, 0)):
        pen.stroke("#4f9a3f", 8, (128, 84), (128 + x * 0.5, 58), (128 + x, y))
        for t in (0.4, 0.65, 0.9):
            for way in (-1, 1):
                pen.fill(ellipse(128 + x * t + way * 10, 84 + (y - 84) * t, 13, 6.5, bend + way * -34), "#5fae46")
    data = smooth(
        (128, 76),
        (128 + wide * 0.8, 80),
        (128 + wide, 104),
        (128 + wide * 0.55, 180),
        (128, 250),
        (128 - wide * 0.55, 180),
        (128 - wide, 104),
        (128 - wide * 0.8, 80),
        tension=0.75,
    )
    pen.solid(data, root, (-9, -2), 0.82)
    with pen.within(data):
        for y in (110, 138, 166, 194, 214):
            across = 128 + one(rng, (-1, 1)) * wide * 0.7 * (250 - y) / 160
            pen.stroke(shade(root, 0.76), 4, (across - 15, y), (across, y + 3), (across + 15, y))
    return pen.body(one(rng, (-1, 1)) * some(rng, 30, 66))


def donut(rng: np.random.Generator, colour: str | None) -> str:
    """A ring with icing and sprinkles, a little from above."""
    pen = Pen()
    dough, icing = one(rng, ("#d9a05a", "#c98f4f", "#a8703f")), tone(rng, colour, ICING)
    flat = some(rng, 0.76, 0.98)
    pen.solid(ellipse(128, 134, 120, 116 * flat), dough, (-4, -8), 0.8)
    pen.fill(blob(rng, 128, 126, 109, 102 * flat, 0.045, 14), shade(icing, 0.86))
    pen.fill(blob(rng, 126, 121, 107, 99 * flat, 0.045, 14), icing)
    bits = [paint for paint in SPRINKLES if paint[1:3] != icing[1:3]]
    for _ in range(30 if chance(rng, 0.75) else 0):
        a, r = some(rng, 0, math.tau), some(rng, 58, 92)
        x, y, turn = 126 + r * math.cos(a), 122 + r * flat * math.sin(a), some(rng, 0, math.pi)
        pen.stroke(
            one(rng, bits),
            6,
            (x - 6 * math.cos(turn), y - 6 * math.sin(turn)),
            (x + 6 * math.cos(turn), y + 6 * math.sin(turn)),
            curved=False,
        )
    pen.fill(ellipse(128, 126, 42, 38 * flat), shade(icing, 0.8))
    pen.fill(ellipse(128, 130, 37, 32 * flat), shade(dough, 0.84))
    pen.fill(ellipse(128, 134, 30, 25 * flat), "#5a4030")
    return pen.body()


def hot_dog(rng: np.random.Generator, colour: str | None) -> str:
    """A sausage in a roll."""
    pen = Pen()
    bun, deep = tone(rng, None, ("#e0ac63", "#d09850", "#edc687")), some(rng, 8, 16)
    pen.solid(rect(22, 92, 212, 70, 35), shade(bun, 0.92), (-3, -7), 0.82)
    pen.solid(rect(4, 112, 248, 56, 28), one(rng, ("#b5482f", "#c4573a")), (-3, -8), 0.8)
    pen.stroke("#f5c83a", 11, *((28 + k * 25, 132 + deep * (k % 2 - 0.5)) for k in range(9)))
    pen.solid(
        smooth(
            (18, 150),
            (60, 160),
            (128, 162),
            (196, 160),
            (238, 150),
            (236, 190),
            (200, 208),
            (56, 208),
            (20, 190),
            tension=0.8,
        ),
        bun,
        (-3, -8),
        0.82,
    )
    return pen.body()


SHAPES = (
    Shape("banana", "banana", "side", "table", 0.16, banana),
    Shape("apple", "apple", "front", "table", 0.09, apple, recolour=True),
    Shape("orange", "orange", "front", "table", 0.09, orange),
    Shape("pizza", "pizza", "top", "table", 0.3, pizza),
    Shape("cake", "cake", "front", "table", 0.2, cake, recolour=True),
    Shape("sandwich", "sandwich", "front", "table", 0.12, sandwich),
    Shape("broccoli", "broccoli", "front", "table", 0.15, broccoli),
    Shape("carrot", "carrot", "top", "table", 0.14, carrot),
    Shape(
        "donut",
        "donut",
        "quarter",
        "table",
        0.1,
        donut,
        recolour=True,
    ),
    Shape("hot-dog", "hot dog", "quarter", "table", 0.09, hot_dog),
)
