"""Trees, plants, rocks and clouds."""

from __future__ import annotations

import math

import numpy as np

from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    blob,
    chance,
    circle,
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

BARK = ("#7a5234", "#6b4a35", "#8a6240", "#75604f")
GREENS = ("#5a9e46", "#4b8c3f", "#6fae4a", "#3f8048", "#86b84d")
AUTUMN = ("#e08a2e", "#d4582c", "#e8b53c", "#b8452e")
PETALS = ("#e8506a", "#f2b632", "#f4f1ea", "#9a5cc4", "#e77fb2", "#5b86d8", "#ef7d3a")


def _trunk(pen: Pen, x: float, top: float, foot: float, width: float, colour: str) -> None:
    flare = width * 0.75
    data = (
        f"M{x - width / 2:.1f} {top:.1f}C{x - width / 2:.1f} {foot - 30:.1f} {x - width / 2:.1f} {foot - 8:.1f} "
        f"{x - width / 2 - flare:.1f} {foot:.1f}L{x + width / 2 + flare:.1f} {foot:.1f}C{x + width / 2:.1f} "
        f"{foot - 8:.1f} {x + width / 2:.1f} {foot - 30:.1f} {x + width / 2:.1f} {top:.1f}Z"
    )
    pen.solid(data, colour, (-width * 0.3, 0), 0.8)


def _leafy(rng: np.random.Generator, leaf: str) -> str:
    """A tree with a crown of leaves."""
    pen = Pen()
    bark, width, top = one(rng, BARK), some(rng, 18, 28), some(rng, 70, 92)
    _trunk(pen, 128, 110, 250, width, bark)
    for way in (-1, 1):
        pen.stroke(bark, width * 0.45, (128, 186), (128 + way * 18, 166), (128 + way * 38, 140))
    form = int(rng.integers(3))
    if form == 0:
        crown = puffs(rng, 128, top + 8, some(rng, 52, 66), some(rng, 42, 54), int(rng.integers(7, 10)), 31)
    elif form == 1:
        rx, ry = some(rng, 66, 80), some(rng, 74, 92)
        crown = smooth((128, top - ry), (128 + rx, top - 8), (128 + rx * 0.75, top + 66), (128, top + 80)
                       , (128 - rx * 0.75, top + 66), (128 - rx, top - 8))  # fmt: skip
    else:
        parts = ((128, 50, 46), (78, 84, 42), (178, 84, 42), (100, 124, 38), (156, 124, 38), (128, 96, 48))
        crown = "".join(
            circle(x + some(rng, -6, 6), top - 84 + y + some(rng, -5, 5), r * some(rng, 0.9, 1.1)) for x, y, r in parts
        )
    pen.solid(crown, leaf, (-7, -11), 0.8)
    with pen.within(crown):
        for x, y, r in ((-34, -28, 24), (14, -44, 18), (-6, 16, 15)):
            pen.fill(blob(rng, 128 + x, top + y, r, r * 0.7, 0.12), shade(leaf, 1.16))
        for x, y in ((36, 18), (48, -8), (-44, 40)):
            pen.stroke(shade(leaf, 0.76), 4, (120 + x, top + y), (128 + x, top + y + 7), (136 + x, top + y))
        if chance(rng, 0.25):
            for _ in range(9):
                pen.fill(circle(128 + some(rng, -54, 54), top + some(rng, -48, 56), 7), "#d93d3d")
    return pen.body()


def tree_round(rng: np.random.Generator, colour: str | None) -> str:
    """A broadleaf tree in summer."""
    return _leafy(rng, tone(rng, colour, GREENS))


def tree_autumn(rng: np.random.Generator, colour: str | None) -> str:
    """A broadleaf tree in autumn, or in blossom."""
    return _leafy(rng, tone(rng, colour, (*AUTUMN, *AUTUMN, "#f0a9c0")))


def tree_conifer(rng: np.random.Generator, colour: str | None) -> str:
    """A fir."""
    pen = Pen()
    leaf = tone(rng, None, ("#2f6f4a", "#37794a", "#2a6457", "#4a8548"))
    count, reach = int(rng.integers(3, 6)), some(rng, 62, 88)
    snowy = chance(rng, 0.2)
    _trunk(pen, 128, 190, 250, some(rng, 18, 26), one(rng, BARK))
    step = 150 / count
    for k in reversed(range(count)):
        top, low = 4 + k * step * 0.85, 4 + (k + 1) * step + 60 * (k + 1) / count
        half = reach * (0.42 + 0.58 * k / max(count - 1, 1))
        data = smooth((128, top), (128 + half * 0.45, (top + low) / 2), (128 + half, low),
            (128 + half * 0.5, low + 7), (128, low + 2)
                      , (128 - half * 0.5, low + 7), (128 - half, low),
                      (128 - half * 0.45, (top + low) / 2), tension=0.6)  # fmt: skip
        pen.solid(data, shade(leaf, 1 + 0.05 * (count - k)), (-7, -8), 0.78)
        if snowy:
            with pen.within(data):
                pen.fill(
                    smooth(
                        (128 - half, top - 4),
                        (128, top - 30),
                        (128 + half * 0.3, top + 30),
                        (128, top + 24),
                        (112, top + 36),
                    ),
                    "#f4f7fa",
                )
    return pen.body()


def tree_bare(rng: np.random.Generator, colour: str | None) -> str:
    """A tree without leaves."""
    pen = Pen()
    bark = tone(rng, None, BARK)

    def branch(x: float, y: float, angle: float, length: float, width: float, depth: int) -> None:
        bend = angle + some(rng, -0.12, 0.12)
        end = (x + length * math.sin(bend), y - length * math.cos(bend))
        pen.stroke(bark, width, (x, y), ((x + end[0]) / 2 + some(rng, -4, 4), (y + end[1]) / 2), end)
        if depth:
            for turn in (-0.5, 0.45) if depth < 4 else (-0.55, 0.05, 0.6):
                branch(
                    *end, bend + turn + some(rng, -0.12, 0.12), length * some(rng, 0.66, 0.8), width * 0.62, depth - 1
                )

    _trunk(pen, 128, 170, 250, 24, bark)
    branch(128, 196, some(rng, -0.05, 0.05), 52, 22, 4)
    return pen.body()


def tree_palm(rng: np.random.Generator, colour: str | None) -> str:
    """A palm."""
    pen = Pen()
    bark, leaf = (
        tone(rng, None, ("#a87b4f", "#96714c", "#b58a5c")),
        tone(rng, None, ("#4f9a48", "#3f8a4c", "#6aa945")),
    )
    lean = some(rng, -34, 34)
    points = ((128 - lean, 250), (126 - lean * 0.7, 200), (124 + lean * 0.1, 140), (128 + lean * 0.5, 84))
    top = points[-1]
    pen.stroke(bark, 19, *points)
    pen.fill(ellipse(points[0][0], 248, 16, 8), bark)
    for k in range(9):
        t = k / 9
        x = points[0][0] * (1 - t) ** 2 + 2 * t * (1 - t) * (122 - lean * 0.2) + points[3][0] * t * t
        pen.stroke(shade(bark, 0.76), 3, (x - 8, 244 - 156 * t), (x, 247 - 156 * t), (x + 8, 244 - 156 * t))
    angles = (-100, -62, -30, 8, 40, 72, 108)
    for k, angle in enumerate((angles[0], angles[6], angles[1], angles[5], angles[2], angles[4], angles[3])):
        turn, length = math.radians(angle + some(rng, -7, 7)), some(rng, 78, 98)
        tip = (top[0] + length * math.sin(turn), top[1] - length * math.cos(turn) * 0.72 + 34)
        middle = (top[0] + length * 0.55 * math.sin(turn), top[1] - length * 0.62 * math.cos(turn) - 10)
        upper = (middle[0] - 3, middle[1] - 15)
        lower = (middle[0] - 8 * math.sin(turn), middle[1] + 17)
        pen.solid(smooth(top, upper, tip, lower, tension=0.9), shade(leaf, 0.82 + 0.05 * k), (-1, -6), 0.8)
    for x in (-8, 8) if chance(rng, 0.7) else ():
        pen.solid(circle(top[0] + x, top[1] + 10, 9), "#7a4f32", (-2, -3))
    return pen.body()


def bush(rng: np.random.Generator, colour: str | None) -> str:
    """A bush, sometimes with berries or flowers."""
    pen = Pen()
    leaf = tone(rng, None, GREENS)
    wide = some(rng, 60, 92)
    parts = [ellipse(128, 200, wide, 46)]
    count = int(rng.integers(4, 7))
    for k in range(count):
        t = k / (count - 1) * 2 - 1
        parts.append(circle(128 + t * wide * 0.86, 200 - 44 * (1 - t * t) * some(rng, 0.8, 1.3), some(rng, 30, 40)))
    data = "".join(parts)
    pen.fill(rect(128 - wide * 0.9, 200, wide * 1.8, 38, 14), shade(leaf, 0.8))
    pen.solid_over(data, leaf, 238, (-6, -10), 0.8)
    with pen.within(data):
        for x, y, r in ((-40, 178, 20), (8, 160, 24), (50, 186, 16)):
            pen.fill(blob(rng, 128 + x, y, r, r * 0.7, 0.12), shade(leaf, 1.15))
        dot = one(rng, ("#e0485a", "#f4f0e6", "#f0c13a", "#e58ab5"))
        for _ in range(9 if chance(rng, 0.4) else 0):
            pen.fill(circle(128 + some(rng, -wide, wide), some(rng, 150, 222), 6), dot)
    return pen.body()


def _blossom(pen: Pen, rng: np.random.Generator, x: float, y: float, r: float, petal: str) -> None:
    form = int(rng.integers(3))
    if form == 0:
        cup = smooth((x - r, y - r), (x - r * 0.45, y - r * 0.5), (x, y - r * 1.2), (x + r * 0.45, y - r * 0.5),
            (x + r, y - r)
                     , (x + r * 0.9, y + r * 0.4), (x, y + r), (x - r * 0.9, y + r * 0.4), tension=0.7)  # fmt: skip
        pen.solid(cup, petal, (-4, -5), 0.82)
        return
    count = int(rng.integers(5, 7)) if form == 1 else int(rng.integers(9, 14))
    for k in range(count):
        turn = 360 * k / count + some(rng, -4, 4)
        a = math.radians(turn)
        wide = 0.46 if form == 1 else 0.24
        pen.solid(
            ellipse(x + r * 0.62 * math.cos(a), y + r * 0.62 * math.sin(a), r * 0.5, r * wide, turn),
            petal,
            (-2, -3),
            0.85,
        )
    pen.solid(circle(x, y, r * 0.36), "#f2c037" if petal < "#f2" else "#b5742c", (-2, -3))


def flower(rng: np.random.Generator, colour: str | None) -> str:
    """A flower on its stem, or a few of them."""
    pen = Pen()
    petal, green = tone(rng, colour, PETALS), tone(rng, None, ("#5a9e46", "#4b8c3f"))
    count = int(one(rng, (1, 1, 3)))
    for k in range(count):
        x = 128 + (k - (count - 1) / 2) * 62
        top, r = (70 if count == 1 else 74 + 34 * (k % 2) + some(rng, -8, 8)), (62 if count == 1 else 36)
        lean = some(rng, -8, 8)
        pen.stroke(green, 9, (128 + (x - 128) * 0.35, 248), ((x + 128) / 2 + lean, 180), (x, top + r * 0.5))
        for way in (-1, 1) if count == 1 or k == 1 else ():
            low = (128, 236)
            tip = (128 + way * some(rng, 44, 60), some(rng, 160, 186))
            pen.solid(
                smooth(low, (low[0] + way * 12, 196), tip, (low[0] + way * 40, 214), tension=0.9),
                shade(green, 0.92),
                (-2, -5),
            )
        _blossom(pen, rng, x, top, r, petal)
    return pen.body()


def cactus(rng: np.random.Generator, colour: str | None) -> str:
    """A cactus."""
    pen = Pen()
    green = tone(rng, None, ("#4f9a58", "#3f8a5c", "#6aa04c"))
    left, right = some(rng, 130, 176), some(rng, 110, 160)
    for x, y, way in ((66, left, -1), (190, right, 1)):
        pen.stroke(shade(green, 0.9), 34, (128, y + 22), (x - way * 12, y + 22), (x, y), (x, y - some(rng, 30, 50)))
    data = rect(102, some(rng, 16, 50), 52, 300, 26)
    pen.solid_over(data, green, 250, (-8, -4), 0.82)
    with pen.within(data):
        for x in (116, 128, 140):
            for y in range(50, 240, 22):
                pen.stroke(shade(green, 1.6), 3, (x, y), (x, y + 6), curved=False)
    return pen.body()


def fern(rng: np.random.Generator, colour: str | None) -> str:
    """A tuft of long leaves."""
    pen = Pen()
    green, count = tone(rng, None, GREENS), int(rng.integers(7, 12))
    order = sorted(range(count), key=lambda k: -abs(k - (count - 1) / 2))
    for k in order:
        t = k / (count - 1) * 2 - 1
        tip = (128 + t * some(rng, 88, 112), 60 + 120 * t * t + some(rng, -24, 16))
        base = 128 + t * 14
        middle = (base + (tip[0] - base) * 0.35, 160 - 40 * (1 - abs(t)))
        data = smooth(
            (base - 7, 248),
            (middle[0] - 11, middle[1]),
            tip,
            (middle[0] + 11, middle[1] + 6),
            (base + 7, 248),
            tension=0.8,
        )
        pen.solid(data, shade(green, some(rng, 0.82, 1.08)), (-4, -2), 0.8)
    return pen.body()


def potted_plant(rng: np.random.Generator, colour: str | None) -> str:
    """A plant in a pot."""
    pen = Pen()
    pot, green = tone(rng, colour, ("#c96f45", "#e8ddca", "#4d82b5", "#e0b13e", "#b0583c")), tone(rng, None, GREENS)
    form, high = int(rng.integers(3)), some(rng, 20, 60)
    if form == 0:
        for k in (0, 6, 1, 5, 2, 4, 3):
            t = k / 3 - 1
            tip = (128 + t * some(rng, 74, 96), high + 84 * t * t)
            data = smooth(
                (128 + t * 8 - 6, 172),
                (128 + t * 36 - 16, 104),
                tip,
                (128 + t * 40 + 14, 116),
                (128 + t * 8 + 6, 172),
                tension=0.9,
            )
            pen.solid(data, shade(green, 0.84 + 0.06 * (k % 3)), (-4, -4), 0.82)
    elif form == 1:
        pen.stroke("#7a5234", 9, (128, 176), (126, 130), (128, 100))
        pen.solid(puffs(rng, 128, high + 46, 40, 34, 8, 22), green, (-5, -8), 0.82)
    else:
        for x in (-40, 0, 40):
            y = high + 30 + 20 * abs(x) / 40
            pen.stroke(green, 7, (128, 176), (128 + x * 0.7, 130), (128 + x, y))
            for way in (-1, 1):
                pen.fill(ellipse(128 + x * 0.75 + way * 15, 132 - abs(x) * 0.2, 17, 8, way * -32), shade(green, 0.88))
        petal = one(rng, PETALS)
        for x in (-40, 40, 0):
            _blossom(pen, rng, 128 + x, high + 30 + 20 * abs(x) / 40, 28, petal)
    half = some(rng, 40, 50)
    pen.solid(
        polygon((128 - half, 176), (128 + half, 176), (128 + half * 0.7, 248), (128 - half * 0.7, 248)),
        pot,
        (-9, 0),
        0.84,
    )
    pen.solid(rect(128 - half - 8, 164, 2 * half + 16, 24, 5), shade(pot, 1.12), (-9, 0), 0.84)
    return pen.body()


def rock(rng: np.random.Generator, colour: str | None) -> str:
    """A rock with facets."""
    pen = Pen()
    stone = tone(rng, None, ("#9a9a9c", "#8a8680", "#a59a8c", "#7f868c"))
    high, a, b = some(rng, 70, 130), some(rng, 78, 108), some(rng, 148, 178)
    left, right = some(rng, 190, 206), some(rng, 170, 198)
    peak = 236 - high
    data = polygon(
        (24, 236), (36, left - 22), (a - 20, peak + 22), (a + 16, peak), (b, peak + 8), (220, right - 20), (236, 236)
    )
    pen.fill(data, stone, soft=10)
    with pen.within(data):
        pen.fill(
            polygon((b, peak), (150, 190 - high * 0.25), (176, 240), (250, 240), (240, right - 30)), shade(stone, 0.8)
        )
        pen.fill(
            polygon(
                (a - 20, peak + 22), (a + 16, peak - 4), (b, peak + 4), (150, 190 - high * 0.25), (96, 196 - high * 0.3)
            ),
            shade(stone, 1.25),
        )
        for _ in range(4):
            x, y = some(rng, 60, 190), some(rng, 190, 226)
            pen.stroke(shade(stone, 0.66), 4, (x, y), (x + 12, y + 5))
        if chance(rng, 0.35):
            pen.fill(blob(rng, 60, 236, 44, 18, 0.2), "#7da255")
    return pen.body()


def cloud(rng: np.random.Generator, colour: str | None) -> str:
    """A cloud with a flat base."""
    pen = Pen()
    white = tone(rng, colour, ("#fbfcff", "#f7f8fb", "#f4f6fa", "#e4e9f0"))
    wide, count = some(rng, 84, 104), int(rng.integers(3, 6))
    base = 176
    parts = [rect(128 - wide, base - 46, 2 * wide, 46, 23)]
    peak = some(rng, -0.4, 0.4)
    for k in range(count):
        t = (k + 0.5) / count * 2 - 1
        r = 24 + 30 * max(0.0, 1 - abs(t - peak) ** 1.5) * some(rng, 0.8, 1.15)
        parts.append(circle(128 + t * wide * 0.74, base - 24 - r * 0.62, r))
    data = "".join(parts)
    pen.solid_over(data, white, base, (-5, -10), 0.9)
    return pen.body()


SHAPES = (
    Shape(
        "tree-round",
        "tree",
        "side",
        "ground",
        7.0,
        tree_round,
        recolour=True,
    ),
    Shape(
        "tree-autumn",
        "tree",
        "side",
        "ground",
        6.5,
        tree_autumn,
        recolour=True,
    ),
    Shape("tree-conifer", "tree", "side", "ground", 9.0, tree_conifer),
    Shape("tree-bare", "tree", "side", "ground", 6.5, tree_bare),
    Shape("tree-palm", "tree", "side", "ground", 7.5, tree_palm),
    Shape("bush", "bush", "side", "ground", 1.2, bush),
    Shape("flower", "flower", "side", "ground", 0.45, flower, recolour=True),
    Shape("cactus", "plant-other", "side", "ground", 1.6, cactus),
    Shape("fern", "plant-other", "side", "ground", 0.7, fern),
    Shape("potted-plant", "potted plant", "side", "floor", 0.7, potted_plant, recolour=True),
    Shape("rock", "rock", "side", "ground", 0.7, rock),
    Shape("cloud", "clouds", "side", "air", 12.0, cloud, recolour=True),
)
