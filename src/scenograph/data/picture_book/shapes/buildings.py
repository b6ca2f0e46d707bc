"""Houses, large buildings, tents and fences."""

from __future__ import annotations

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

WALLS = ("#f4e6c8", "#f2c97a", "#e99a6b", "#d96a54", "#9cc4d8", "#f1efe8", "#b9cf9a", "#e7b7b0", "#c79a72")
ROOFS = ("#b5482f", "#8f4a38", "#5a6472", "#7a5340", "#c4603a", "#4d6a7a")
PANE, LIT = "#a9d8ee", "#f7dc8a"


def _window(pen: Pen, x: float, y: float, w: float, h: float, frame: str = "#ffffff", pane: str = PANE) -> None:
    pen.fill(rect(x - 4, y - 4, w + 8, h + 8, 2), frame)
    pen.fill(rect(x, y, w, h), pane)
    pen.fill(
        polygon((x, y + h), (x, y + h * 0.35), (x + w * 0.65, y), (x + w, y), (x + w, y + h * 0.1)), shade(pane, 1.4)
    )
    pen.stroke(frame, 3, (x + w / 2, y), (x + w / 2, y + h), curved=False)
    pen.stroke(frame, 3, (x, y + h / 2), (x + w, y + h / 2), curved=False)
    pen.fill(rect(x - 7, y + h + 2, w + 14, 6, 2), shade(frame, 0.88))


def _door(pen: Pen, x: float, foot: float, w: float, h: float, paint: str) -> None:
    pen.fill(rect(x - 5, foot - h - 5, w + 10, h + 5, 3), "#f6f1e6")
    pen.solid(rect(x, foot - h, w, h, 2), paint, (-3, 0), 0.82)
    pen.fill(rect(x + w * 0.2, foot - h * 0.88, w * 0.6, h * 0.3, 2), shade(paint, 0.78))
    pen.fill(circle(x + w * 0.82, foot - h * 0.45, 3), "#f2cf5b")


def house(rng: np.random.Generator, colour: str | None) -> str:
    """A house with a gable to the front."""
    pen = Pen()
    wall, roof = tone(rng, colour, WALLS), one(rng, ROOFS)
    half, floors = some(rng, 74, 96), int(rng.integers(1, 3))
    eaves, rise = 250 - 84 * floors, some(rng, 52, 82)
    trim = "#ffffff" if wall < "#f0" else "#f6f1e6"
    if chance(rng, 0.75):
        x = 128 + one(rng, (-1, 1)) * half * 0.5
        pen.solid(rect(x - 13, eaves - rise * 0.8 - 14, 26, 70), "#a8604a", (-6, 0), 0.8)
        pen.fill(rect(x - 17, eaves - rise * 0.8 - 20, 34, 10, 2), "#7d4638")
    body = polygon((128 - half, 250), (128 - half, eaves), (128, eaves - rise), (128 + half, eaves), (128 + half, 250))
    pen.solid(body, wall, (-8, 0), 0.86)
    with pen.within(body):
        pen.fill(polygon((128 - half, eaves), (128, eaves - rise), (128 + half, eaves), (128 + half, eaves + 12),
            (128, eaves - rise + 18)
                         , (128 - half, eaves + 12)), shade(wall, 0.78))  # fmt: skip
        pen.fill(rect(0, 240, 256, 12), shade(wall, 0.72))
    over = half + 16
    slope = rise * over / half
    for way in (-1, 1):
        pen.solid(
            polygon(
                (128, eaves - rise - 14),
                (128 + way * over, eaves - rise + slope - 8),
                (128 + way * over, eaves - rise + slope + 10),
                (128, eaves - rise + 6),
            ),
            shade(roof, 1.0 if way < 0 else 0.88),
            (0, -5),
            0.8,
        )
    if chance(rng, 0.6):
        pen.fill(circle(128, eaves - rise * 0.3, 14), trim)
        pen.fill(circle(128, eaves - rise * 0.3, 10), PANE)
    side = one(rng, (-1, 0, 1))
    _door(
        pen,
        128 + side * half * 0.48 - 17,
        250,
        34,
        62,
        one(rng, ("#7a4a32", "#3f7a5c", "#b03d34", "#35618f", "#d9a441")),
    )
    spots = {-1: (0.45,), 0: (-0.62, 0.62), 1: (-0.45,)}[side]
    pane = LIT if chance(rng, 0.12) else PANE
    size = 26 if side == 0 else 40
    for t in spots:
        _window(pen, 128 + t * half - size / 2, 196, size, 30, trim, pane)
    if floors == 2:
        for t in (-0.5, 0.5) if chance(rng, 0.6) else (-0.6, 0, 0.6):
            _window(pen, 128 + t * half - 14, 110, 28, 34, trim, pane)
    return pen.body()


def cottage(rng: np.random.Generator, colour: str | None) -> str:
    """A house seen from its long side, with a broad roof."""
    pen = Pen()
    wall, roof = tone(rng, colour, WALLS), one(rng, ROOFS)
    eaves, ridge, half = some(rng, 152, 166), some(rng, 62, 92), some(rng, 104, 116)
    x = 128 + some(rng, -60, 60)
    pen.solid(rect(x - 13, ridge - 26, 26, 60), "#a8604a", (-6, 0), 0.8)
    pen.fill(rect(x - 17, ridge - 32, 34, 10, 2), "#7d4638")
    pen.solid(rect(128 - half, eaves - 6, 2 * half, 256 - eaves), wall, (-8, 0), 0.86)
    pen.fill(rect(128 - half, eaves - 6, 2 * half, 18), shade(wall, 0.8))
    pen.fill(rect(128 - half, 240, 2 * half, 10), shade(wall, 0.72))
    data = polygon(
        (128 - half * 0.78, ridge), (128 + half * 0.78, ridge), (128 + half + 14, eaves), (128 - half - 14, eaves)
    )
    pen.solid(data, roof, (0, -8), 0.75)
    with pen.within(data):
        for row in range(1, 6):
            y = ridge + row * (eaves - ridge) / 6
            pen.stroke(shade(roof, 0.82), 3, (0, y), (256, y), curved=False)
            for k in range(16):
                pen.stroke(
                    shade(roof, 0.82), 3, (k * 18 + 9 * (row % 2), y), (k * 18 + 9 * (row % 2), y + 12), curved=False
                )
    door = 128 + one(rng, (-60, 0, 62))
    _door(pen, door - 17, 250, 34, 64, one(rng, ("#7a4a32", "#3f7a5c", "#b03d34", "#35618f")))
    for t in (-66, 0, 66):
        if abs(128 + t - door) > 30:
            _window(pen, 128 + t - 18, 188, 36, 28)
    return pen.body()


def barn(rng: np.random.Generator, colour: str | None) -> str:
    """A barn with a broken roof."""
    pen = Pen()
    wall = tone(rng, colour, ("#b53a30", "#a8443a", "#8f5a38", "#c0503c"))
    half, eaves, top = some(rng, 88, 106), some(rng, 138, 152), some(rng, 40, 62)
    points = ((128 - half, 250), (128 - half, eaves), (128 - half * 0.64, top + 34), (128, top),
        (128 + half * 0.64, top + 34), (128 + half, eaves)
              , (128 + half, 250))  # fmt: skip
    data = polygon(*points)
    pen.solid(data, wall, (-8, 0), 0.84)
    with pen.within(data):
        for k in range(1, 14):
            pen.stroke(shade(wall, 0.86), 3, (128 - half + k * 16, 0), (128 - half + k * 16, 256), curved=False)
    edge = tuple((128 + (x - 128) * 1.08, y - (2 if y > 130 else 5)) for x, y in points[1:6])
    pen.line(polygon(*edge)[:-1], one(rng, ("#5a6472", "#6b4a3a", "#4b4d57")), 15)
    white = "#f6f1e6"
    pen.fill(rect(84, 168, 88, 82), white)
    pen.fill(rect(91, 175, 74, 75), shade(wall, 0.8))
    for a, b in (
        ((91, 175), (128, 250)),
        ((128, 175), (91, 250)),
        ((128, 175), (165, 250)),
        ((165, 175), (128, 250)),
        ((128, 172), (128, 250)),
    ):
        pen.stroke(white, 5, a, b, curved=False)
    pen.fill(rect(110, top + 46, 36, 36), white)
    pen.fill(rect(116, top + 52, 24, 24), "#4a3a38")
    return pen.body()


def block(rng: np.random.Generator, colour: str | None) -> str:
    """A town building with shops below or an entrance."""
    pen = Pen()
    wall = tone(rng, colour, WALLS)
    floors, columns = int(rng.integers(3, 6)), int(rng.integers(3, 6))
    half = 22 + columns * 17
    top = 186 - floors * 38
    pen.solid(rect(128 - half, top, 2 * half, 250 - top), wall, (-9, 0), 0.86)
    pen.fill(rect(128 - half - 7, top - 10, 2 * half + 14, 16, 3), shade(wall, 0.7))
    step = (2 * half - 14) / columns
    for row in range(floors):
        for k in range(columns):
            x = 128 - half + 7 + k * step + step / 2 - 9
            pane = LIT if chance(rng, 0.12) else PANE
            pen.fill(rect(x - 3, top + 17 + row * 38, 24, 24, 2), shade(wall, 1.6))
            pen.fill(rect(x, top + 20 + row * 38, 18, 18), pane)
            pen.fill(rect(x - 4, top + 40 + row * 38, 26, 4, 1), shade(wall, 0.75))
    if chance(rng, 0.5):
        awning = one(rng, ("#d63c35", "#2f8f5f", "#2f73c8", "#e8922f"))
        pen.fill(rect(128 - half, 206, 2 * half, 44), shade(wall, 0.7))
        pen.fill(rect(128 - half + 8, 216, half - 4, 28), PANE)
        _door(pen, 128 + half * 0.35, 250, 24, 36, shade(awning, 0.7))
        count = columns * 2
        wide = (2 * half + 8) / count
        for k in range(count):
            x = 128 - half - 4 + k * wide
            pen.fill(rect(x, 194, wide, 18) + dome(x, x + wide, 211, -8), awning if k % 2 else "#f8f3e8")
    else:
        _door(pen, 114, 250, 28, 42, one(rng, ("#7a4a32", "#35618f", "#3f7a5c")))
        pen.fill(rect(100, 194, 56, 9, 3), shade(wall, 0.66))
    return pen.body()


def public_building(rng: np.random.Generator, colour: str | None) -> str:
    """A museum or town hall with columns."""
    pen = Pen()
    stone = tone(rng, None, ("#ece4d2", "#e3d6bd", "#dfe0de", "#e8cfae"))
    top, rise, count = some(rng, 96, 112), some(rng, 40, 54), one(rng, (4, 6))
    if chance(rng, 0.4):
        pen.solid(dome(84, 172, top - rise * 0.4, 60), one(rng, ("#6fa89a", "#b8864a", "#7d8fa3")), (-6, -4), 0.8)
        pen.fill(rect(124, top - rise * 0.4 - 74, 8, 20, 3), "#8a7a5a")
    pen.fill(rect(28, top + 10, 200, 116), shade(stone, 0.72))
    pen.solid(polygon((8, top), (128, top - rise), (248, top)), stone, (0, -5), 0.8)
    pen.fill(polygon((50, top - 7), (128, top - rise + 14), (206, top - 7)), shade(stone, 0.84))
    pen.solid(rect(16, top - 2, 224, 20, 2), stone, (0, -5), 0.82)
    pen.fill(rect(113, 172, 30, 58, 3), "#6b4a35")
    step = 190 / (count - 1)
    for k in range(count):
        x = 33 + k * step
        pen.solid(rect(x - 10, top + 18, 20, 212 - top), stone, (-6, 0), 0.82)
        pen.fill(rect(x - 14, top + 18, 28, 8, 2), shade(stone, 1.3))
        pen.fill(rect(x - 14, 220, 28, 10, 2), shade(stone, 0.86))
    for k in range(3):
        pen.fill(rect(18 - 6 * k, 228 + 8 * k, 220 + 12 * k, 9, 1), shade(stone, 1.1 - 0.12 * k))
    return pen.body()


def skyscraper(rng: np.random.Generator, colour: str | None) -> str:
    """A tall tower with many windows."""
    pen = Pen()
    wall = tone(rng, colour, ("#6f8fb0", "#8a97a6", "#5f7f8f", "#b08a72", "#9a8fa8", "#55627a"))
    form, half = int(rng.integers(3)), some(rng, 30, 44)
    pane = one(rng, ("#bfe0f0", "#d9ecf5", "#f3e3a6"))
    tiers: list[tuple[float, float]] = [(half, 30.0)]
    if form == 1:
        tiers = [(half * 0.55, 14.0), (half * 0.8, 50.0), (half * 1.05, 104.0)]
    if form < 2 and chance(rng, 0.6):
        pen.stroke("#6a6d76", 4, (128, tiers[0][1] - some(rng, 16, 34)), (128, tiers[0][1]), curved=False)
    for wide, top in tiers:
        data = rect(128 - wide, top, 2 * wide, 250 - top, 2)
        if form == 2:
            data = polygon((128 - wide, 250), (128 - wide, top + 34), (128 + wide, top), (128 + wide, 250))
        pen.solid(data, wall, (-wide * 0.3, 0), 0.82)
        with pen.within(data):
            columns = max(int(wide * 2 // 15), 2)
            step = (2 * wide - 6) / columns
            for row in range(int((232 - top) // 14)):
                for k in range(columns):
                    lit = chance(rng, 0.1)
                    pen.fill(
                        rect(128 - wide + 5 + k * step, top + 10 + row * 14, step - 4, 8, 1), "#ffe08a" if lit else pane
                    )
    pen.fill(rect(128 - tiers[-1][0], 234, 2 * tiers[-1][0], 16), shade(wall, 0.6))
    pen.fill(rect(118, 236, 20, 14, 2), "#e8f3f8")
    return pen.body()


def tent(rng: np.random.Generator, colour: str | None) -> str:
    """A camping tent, a ridge tent or a dome."""
    pen = Pen()
    cloth = tone(rng, colour, ("#e8762c", "#4a9c56", "#2f73c8", "#d63c35", "#f2b92f", "#b59a6a"))
    if chance(rng, 0.35):
        high = some(rng, 108, 130)
        pen.solid(dome(16, 240, 232, high), cloth, (-6, -10), 0.8)
        pen.line(smooth((18, 230), (96, 236 - high), (128, 232 - high), closed=False), shade(cloth, 0.72), 4)
        pen.line(smooth((238, 230), (160, 236 - high), (128, 232 - high), closed=False), shade(cloth, 0.72), 4)
        pen.fill(dome(86, 170, 232, high * 0.68), shade(cloth, 1.4))
        pen.fill(dome(94, 150, 232, high * 0.6), shade(cloth, 0.42))
        return pen.body()
    peak = some(rng, 70, 96)
    for way in (-1, 1):
        pen.stroke("#8a6a4a", 4, (128 + way * 62, 160), (128 + way * 118, 232), curved=False)
    pen.stroke("#8a6240", 7, (128, peak - 14), (128, 232), curved=False)
    pen.fill(polygon((128, peak), (232, 232), (24, 232)), cloth, soft=6)
    pen.fill(polygon((128, peak), (232, 232), (166, 232)), shade(cloth, 0.84), soft=4)
    pen.fill(polygon((128, peak + 36), (172, 232), (84, 232)), shade(cloth, 0.4))
    pen.fill(smooth((128, peak + 34), (118, 186), (70, 232), (94, 232), (124, 200), tension=0.6), shade(cloth, 1.35))
    pen.fill(smooth((128, peak + 34), (138, 186), (186, 232), (162, 232), (132, 200), tension=0.6), shade(cloth, 1.2))
    return pen.body()


def fence(rng: np.random.Generator, colour: str | None) -> str:
    """A picket fence or a farm fence of rails."""
    pen = Pen()
    wood = tone(rng, colour, ("#f5f1e6", "#a8764a", "#8f6542", "#c79c6a"))
    if chance(rng, 0.55):
        count = int(rng.integers(6, 10))
        step = 236 / count
        for y in (176, 220):
            pen.fill(rect(6, y, 244, 12, 2), shade(wood, 0.78))
        for k in range(count):
            x = 10 + k * step + step * 0.12
            w = step * 0.68
            top = 140 + some(rng, -3, 3)
            pen.solid(
                polygon((x, 250), (x, top + 14), (x + w / 2, top), (x + w, top + 14), (x + w, 250)),
                wood,
                (-w * 0.28, 0),
                0.86,
            )
    else:
        count = int(rng.integers(3, 5))
        for k, y in enumerate((162, 192, 222)[: int(rng.integers(2, 4))]):
            pen.solid(
                polygon((4, y + some(rng, -3, 3)), (252, y + some(rng, -3, 3)), (252, y + 13), (4, y + 13)),
                shade(wood, 0.96 - 0.04 * k),
                (0, -4),
                0.78,
            )
        for k in range(count):
            x = 22 + k * 212 / (count - 1)
            pen.solid(rect(x - 10, 142, 20, 108, 5), wood, (-6, 0), 0.78)
            pen.fill(ellipse(x, 145, 10, 4), shade(wood, 1.3))
    return pen.body()


SHAPES = (
    Shape("house", "house", "front", "ground", 7.0, house, recolour=True),
    Shape("cottage", "house", "front", "ground", 5.5, cottage, recolour=True),
    Shape("barn", "building-other", "front", "ground", 8.0, barn, recolour=True),
    Shape("block", "building-other", "front", "ground", 14.0, block, recolour=True),
    Shape("public-building", "building-other", "front", "ground", 14.0, public_building),
    Shape("skyscraper", "skyscraper", "front", "ground", 60.0, skyscraper, recolour=True),
    Shape("tent", "tent", "front", "ground", 1.8, tent, recolour=True),
    Shape("fence", "fence", "front", "ground", 1.1, fence, recolour=True),
)
