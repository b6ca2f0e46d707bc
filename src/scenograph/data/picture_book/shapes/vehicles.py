"""Vehicles on roads, rails, water and in the air, seen from the side and heading left."""

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

PAINTS = ("#d63c35", "#2f73c8", "#f2b92f", "#4a9c56", "#f1efe8", "#e8762c", "#5c6670", "#2f8f8f")
GLASS, TYRE, STEEL = "#bfe3f2", "#33323a", "#b9bec6"


def _wheel(pen: Pen, x: float, y: float, r: float, hub: str = STEEL) -> None:
    pen.fill(circle(x, y, r), TYRE)
    pen.fill(circle(x, y, r * 0.56), hub)
    pen.fill(circle(x, y, r * 0.22), shade(hub, 0.6))


def _pane(pen: Pen, data: str) -> None:
    """A window with a streak of light."""
    numbers = [
        float(value) for value in data.replace("M", " ").replace("L", " ").replace("C", " ").replace("Z", " ").split()
    ]
    left, top, right, low = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    pen.fill(data, GLASS)
    with pen.within(data):
        wide = max((right - left) * 0.22, 5)
        middle = left + (right - left) * 0.45
        pen.fill(polygon((middle, low), (middle + wide, low), (middle + wide + 14, top), (middle + 14, top)), "#e6f6fb")


def car(rng: np.random.Generator, colour: str | None) -> str:
    """A car: small, long or tall."""
    pen = Pen()
    paint = tone(rng, colour, PAINTS)
    form = int(rng.integers(3))
    roof = some(rng, 92, 104) if form < 2 else some(rng, 82, 92)
    back = (210, 226, 238)[form]
    front = some(rng, 70, 84)
    cabin = smooth(
        (front - 14, 152), (front + 26, roof + 4), (128, roof - 4), (back - 40, roof + 2), (back - 4, 152), tension=0.8
    )
    if form == 2:
        cabin = polygon((front - 8, 152), (front + 22, roof), (back - 12, roof), (back + 4, 152))
    pen.fill(cabin, shade(paint, 0.92), soft=10)
    _pane(pen, polygon((front + 6, 148), (front + 32, roof + 12), (130, roof + 10), (130, 148)))
    _pane(
        pen,
        polygon(
            (140, 148),
            (140, roof + 10),
            (back - 40 if form < 2 else back - 22, roof + 12),
            (back - 22 if form < 2 else back - 14, 148),
        ),
    )
    lower = smooth(
        (14, 188),
        (18, 160),
        (60, 148),
        (128, 146),
        (220, 146),
        (242, 158),
        (244, 190),
        (232, 202),
        (24, 202),
        tension=0.6,
    )
    pen.solid(lower, paint, (-2, -12), 0.8)
    with pen.within(lower):
        pen.fill(ellipse(18, 168, 13, 8), "#ffe9a0")
        pen.fill(ellipse(244, 166, 9, 8), "#c8322d")
        for x in (64, 196):
            pen.fill(circle(x, 200, 33), shade(paint, 0.55))
    pen.stroke(shade(paint, 0.7), 3, (135, 150), (135, 196), curved=False)
    pen.stroke(shade(paint, 0.6), 4, (146, 162), (158, 162))
    pen.fill(rect(8, 190, 26, 12, 6), STEEL)
    pen.fill(rect(224, 190, 26, 12, 6), STEEL)
    for x in (64, 196):
        _wheel(pen, x, 202, 26)
    return pen.body()


def bus(rng: np.random.Generator, colour: str | None) -> str:
    """A city or school bus."""
    pen = Pen()
    paint = tone(rng, colour, ("#d63c35", "#f2b92f", "#2f73c8", "#4a9c56", "#e8762c"))
    double = chance(rng, 0.3)
    top = 20 if double else some(rng, 74, 86)
    body = rect(8, top, 240, 206 - top, 16)
    pen.solid(body, paint, (-2, -10), 0.82)
    with pen.within(body):
        pen.fill(rect(0, 176, 256, 9), shade(paint, 1.75))
        pen.fill(rect(0, top, 256, 9), shade(paint, 1.25))
    count = int(rng.integers(4, 6))
    for low in (106, top + 20) if double else (top + 20,):
        deep = 50 if not double else 42
        step = 188 / count
        for k in range(count):
            _pane(pen, rect(54 + k * step, low, step - 8, deep, 5))
    _pane(pen, rect(12, 106 if double else top + 20, 14, 50, 4))
    pen.fill(rect(30, 106 if double else top + 20, 20, 100 if double else 186 - top, 3), shade(paint, 0.55))
    _pane(pen, rect(33, (110 if double else top + 24), 14, 66, 2))
    pen.fill(ellipse(13, 192, 7, 6), "#ffe9a0")
    pen.fill(rect(242, 184, 6, 14, 2), "#8f2420" if paint > "#c" else "#d23a33")
    for x in (82, 196):
        pen.fill(dome(x - 32, x + 32, 206, 32), shade(paint, 0.5))
        _wheel(pen, x, 206, 24)
    return pen.body()


def truck(rng: np.random.Generator, colour: str | None) -> str:
    """A lorry with a box, or a pickup or tipper with its load."""
    pen = Pen()
    paint = tone(rng, colour, PAINTS)
    box = one(rng, ("#f1efe8", "#e6dcc6", "#c5ccd4", "#f0c968"))
    form, top = int(rng.integers(3)), some(rng, 66, 84)
    if form == 0:
        pen.solid(rect(88, top, 162, 190 - top, 6), box, (-3, -6), 0.84)
        for k in range(1, int(rng.integers(4, 7))):
            pen.stroke(shade(box, 0.84), 3, (88 + k * 27, top + 10), (88 + k * 27, 180), curved=False)
    elif form == 1:
        for x in (120, 152, 184, 214):
            pen.solid(circle(x, 130 + some(rng, -8, 4), 22), one(rng, ("#b98a4e", "#a8743e")), (-3, -4))
        pen.solid(polygon((90, 128), (246, 128), (240, 190), (96, 190)), shade(box, 0.9), (-3, -6), 0.8)
        for x in (128, 168, 208):
            pen.stroke(shade(box, 0.72), 4, (x, 132), (x, 186), curved=False)
    else:
        pen.solid(rect(92, 132, 156, 56, 18), box, (-3, -8), 0.8)
        pen.solid(rect(92, top + 24, 156, 108, 54), box, (-3, -10), 0.84)
        pen.fill(rect(92, 124, 156, 14), paint)
    cab = polygon((14, 190), (14, 148), (34, 108), (84, 108), (84, 190))
    pen.fill(cab, shade(paint, 0.82), soft=10)
    with pen.within(cab):
        pen.fill(polygon((8, 182), (8, 146), (32, 100), (80, 100), (80, 182)), paint)
    _pane(pen, polygon((26, 148), (42, 116), (74, 116), (74, 148)))
    pen.stroke(shade(paint, 0.6), 4, (62, 160), (72, 160))
    pen.fill(rect(8, 186, 242, 18, 4), "#4b4d57")
    pen.fill(ellipse(16, 176, 7, 8), "#ffe9a0")
    for x in (52, 168, 216) if form != 1 or chance(rng) else (52, 200):
        _wheel(pen, x, 206, 23)
    return pen.body()


def locomotive(rng: np.random.Generator, colour: str | None) -> str:
    """A steam engine with a wagon."""
    pen = Pen()
    paint = tone(rng, colour, ("#c8372f", "#2f6fb8", "#3f8a4c", "#3a3d48"))
    trim = one(rng, ("#f0c04a", "#e8e2d2"))
    iron = "#3a3b45"
    for x, y, r in ((52, 58, 15), (72, 40, 19), (98, 30, 14)):
        pen.fill(circle(x, y, r), "#eef1f4")
    wagon = tone(rng, None, PAINTS)
    pen.solid(rect(208, 118, 110, 76, 6), wagon, (-3, -6), 0.82)
    pen.fill(rect(202, 108, 122, 14, 6), shade(wagon, 0.6))
    for x in (218, 252, 286):
        _pane(pen, rect(x, 132, 24, 28, 4))
    pen.stroke(iron, 7, (190, 190), (214, 190), curved=False)
    pen.solid(rect(30, 124, 108, 62, 16), paint, (-1, -12), 0.78)
    for x in (60, 96):
        pen.fill(rect(x, 122, 8, 66), trim)
    pen.fill(polygon((40, 126), (44, 84), (36, 74), (72, 74), (64, 84), (66, 126)), iron, soft=4)
    pen.fill(dome(92, 120, 126, 22), trim)
    pen.solid(rect(132, 92, 62, 96, 4), paint, (-3, -4), 0.8)
    _pane(pen, rect(144, 106, 38, 34, 5))
    pen.fill(rect(124, 80, 78, 16, 7), iron)
    pen.fill(rect(22, 182, 176, 16, 4), iron)
    pen.fill(polygon((30, 186), (4, 214), (36, 214)), "#c33a32", soft=4)
    pen.fill(circle(28, 144, 9), "#ffe9a0")
    for x, r in ((62, 15), (104, 24), (158, 24)):
        _wheel(pen, x, 222 - r, r, trim)
    pen.stroke(STEEL, 6, (62, 206), (104, 204), (158, 204), curved=False)
    for x in (230, 296):
        _wheel(pen, x, 206, 16)
    return pen.body()


def railcar(rng: np.random.Generator, colour: str | None) -> str:
    """A modern train."""
    pen = Pen()
    paint = tone(rng, colour, ("#2f73c8", "#c8372f", "#4a9c56", "#e8762c", "#f1efe8"))
    roof = shade(paint, 0.7)
    band = "#f4f2ec" if sum(int(paint[i : i + 2], 16) for i in (1, 3, 5)) < 640 else "#c8372f"
    nose = some(rng, 34, 66)
    ends = (190, 344) if chance(rng, 0.6) else (344,)
    body = smooth((6, 180), (10 + nose * 0.3, 142), (14 + nose, 112), (60 + nose, 104), (200, 104), (344, 104),
        (344, 150), (344, 196)
                  , (170, 196), (14, 196), tension=0.45)  # fmt: skip
    pen.stroke("#6a6d76", 4, (206, 104), (224, 86), (206, 74), curved=False)
    pen.stroke("#6a6d76", 4, (190, 73), (222, 73), curved=False)
    pen.solid(body, paint, (-1, -8), 0.8)
    with pen.within(body):
        pen.fill(rect(0, 100, 360, 10), roof)
        pen.fill(rect(0, 166, 360, 9), band)
        _pane(pen, polygon((18 + nose * 0.5, 146), (24 + nose, 118), (44 + nose, 118), (44 + nose, 146)))
        left = 60 + nose
        count = int(rng.integers(4, 7))
        step = (334 - left) / count
        for k in range(count):
            _pane(pen, rect(left + k * step, 120, step - 10, 30, 5))
        for x in ends[:-1]:
            pen.stroke("#3a3b45", 7, (x + 12, 100), (x + 12, 200), curved=False)
    pen.fill(ellipse(19, 176, 8, 6), "#ffe9a0")
    pen.fill(rect(24, 196, 312, 9, 3), "#4b4d57")
    for x in (64, 96, 256, 288):
        _wheel(pen, x, 208, 13)
    return pen.body()


def _bike_wheel(pen: Pen, x: float, y: float, r: float, spokes: int) -> None:
    for k in range(spokes):
        a = math.pi * k / spokes + 0.2
        pen.stroke(
            "#9aa0a8",
            2,
            (x - r * math.cos(a), y - r * math.sin(a)),
            (x + r * math.cos(a), y + r * math.sin(a)),
            curved=False,
        )
    pen.line(circle(x, y, r), TYRE, 7)
    pen.fill(circle(x, y, 6), "#6a6d76")


def bicycle(rng: np.random.Generator, colour: str | None) -> str:
    """A bicycle."""
    pen = Pen()
    paint = tone(rng, colour, ("#d63c35", "#2f73c8", "#4a9c56", "#e8762c", "#2f8f8f", "#8a4fae"))
    r, seat = some(rng, 46, 52), some(rng, 82, 94)
    low = 226 - r
    for x in (62, 196):
        _bike_wheel(pen, x, low, r, 6)
    head, crank, post = (84, 108), (126, low + 2), (158, 116)
    for a, b in (
        (crank, (196, low)),
        (post, (196, low)),
        (crank, post),
        (head, post),
        (head, crank),
        ((62, low), (82, 98)),
    ):
        pen.stroke(paint, 9, a, b, curved=False)
    pen.stroke(paint, 8, post, (163, seat), curved=False)
    pen.fill(smooth((140, seat - 6), (164, seat - 10), (188, seat - 8), (180, seat + 5), (156, seat + 2)), "#4a3a34")
    pen.stroke(STEEL, 7, (82, 100), (78, 78), curved=False)
    pen.stroke("#4a3a34", 8, (60, 76), (80, 74), (98, 86))
    pen.fill(circle(*crank, 13), "#6a6d76")
    pen.stroke("#4b4d57", 5, (crank[0] - 8, crank[1] + 24), (crank[0] + 8, crank[1] - 24), curved=False)
    if chance(rng, 0.4):
        pen.fill(polygon((34, 84), (70, 84), (64, 116), (40, 116)), "#c2935a", soft=5)
        pen.stroke("#9a6f3f", 3, (36, 96), (68, 96))
    if chance(rng, 0.4):
        pen.line(dome(196 - r - 8, 196 + r + 8, low - 2, r + 8)[:-1], shade(paint, 0.8), 5)
    return pen.body()


def motorcycle(rng: np.random.Generator, colour: str | None) -> str:
    """A motorcycle or a scooter."""
    pen = Pen()
    paint = tone(rng, colour, ("#d63c35", "#2f73c8", "#3a3d48", "#e8762c", "#4a9c56", "#f2b92f"))
    if chance(rng, 0.35):
        for x in (58, 196):
            _wheel(pen, x, 206, 24)
        pen.solid(smooth((150, 190), (140, 156), (160, 134), (212, 136), (236, 160), (232, 186), (196, 180),
            (170, 206), (96, 208)
                         , (98, 194), tension=0.7), paint, (-3, -6), 0.8)  # fmt: skip
        pen.stroke(STEEL, 9, (58, 204), (76, 140), curved=False)
        pen.solid(
            smooth((66, 112), (88, 104), (98, 150), (110, 206), (84, 206), (66, 160), tension=0.8), paint, (-3, -4), 0.8
        )
        pen.fill(dome(28, 90, 196, 30), shade(paint, 0.9))
        pen.fill(rect(146, 122, 78, 17, 8), "#4a3a34")
        pen.stroke("#3a3b45", 8, (80, 110), (78, 84), (100, 80))
        pen.fill(circle(66, 104, 11), "#ffe9a0")
        return pen.body()
    for x in (56, 200):
        _wheel(pen, x, 196, 36, "#c9ced6")
    pen.stroke(STEEL, 9, (56, 196), (86, 112), curved=False)
    pen.stroke(STEEL, 10, (118, 206), (170, 210), (244, 200))
    pen.fill(smooth((96, 170), (124, 150), (164, 154), (172, 190), (140, 214), (106, 206)), "#5a5d68")
    for k in (0, 11, 22):
        pen.stroke("#83878f", 4, (110, 168 + k), (156, 168 + k))
    pen.stroke("#4b4d57", 10, (160, 170), (200, 196), curved=False)
    pen.solid(smooth((80, 122), (104, 104), (142, 108), (160, 134), (130, 152), (92, 146)), paint, (-3, -7), 0.8)
    pen.fill(smooth((146, 128), (176, 134), (214, 120), (238, 116), (226, 138), (190, 154), (154, 150)), "#3f3a3d")
    pen.fill(smooth((196, 150), (226, 128), (246, 134), (226, 156)), shade(paint, 0.85))
    pen.line(dome(14, 98, 192, 42)[:-1], shade(paint, 0.85), 8)
    pen.stroke("#3a3b45", 8, (84, 110), (86, 84), (112, 78))
    pen.solid(circle(72, 104, 14), "#ffe9a0", (-2, -3))
    return pen.body()


def airplane(rng: np.random.Generator, colour: str | None) -> str:
    """An airliner or a small propeller plane."""
    pen = Pen()
    paint = tone(rng, colour, ("#2f73c8", "#d63c35", "#e8762c", "#2f8f8f", "#8a4fae"))
    small = chance(rng, 0.35)
    hull = paint if small or colour else "#f3f4f2"
    wing = shade(hull, 0.84) if colour or small else "#c9ced6"
    if small:
        pen.fill(rect(14, 100, 6, 84, 3), "#6a6d76")
        pen.fill(polygon((206, 128), (232, 78), (250, 78), (240, 136)), shade(paint, 0.85), soft=6)
        pen.solid(
            smooth(
                (20, 142), (30, 116), (92, 112), (150, 112), (242, 128), (236, 146), (140, 176), (50, 172), tension=0.8
            ),
            paint,
            (-2, -9),
            0.8,
        )
        _pane(pen, smooth((88, 114), (98, 90), (126, 84), (150, 94), (158, 114), tension=0.7))
        pen.solid(polygon((74, 150), (150, 146), (196, 168), (180, 178), (90, 168)), "#f1efe8", (-2, -5), 0.8)
        pen.fill(circle(18, 142, 10), "#4b4d57")
        for x in (72, 116):
            pen.stroke("#6a6d76", 5, (x, 170), (x - 4, 194), curved=False)
            _wheel(pen, x - 4, 198, 11)
        return pen.body()
    pen.fill(polygon((110, 120), (150, 120), (206, 72), (188, 72)), shade(wing, 0.85), soft=6)
    pen.fill(polygon((196, 124), (226, 62), (250, 62), (240, 128)), paint, soft=6)
    pen.solid(smooth((8, 142), (24, 122), (60, 112), (150, 112), (214, 116), (248, 120), (220, 146), (160, 164),
        (50, 166), (16, 156), tension=0.8)
              , hull, (-2, -9), 0.84)  # fmt: skip
    _pane(pen, polygon((26, 128), (38, 120), (50, 120), (50, 130)))
    for k in range(int(rng.integers(6, 9))):
        pen.fill(rect(66 + k * 16, 124, 9, 11, 4), "#6fb1d8" if not colour else GLASS)
    pen.fill(polygon((210, 136), (232, 132), (254, 146), (240, 148)), shade(wing, 0.9), soft=4)
    pen.solid(polygon((92, 146), (144, 144), (204, 196), (182, 200)), wing, (-3, -3), 0.8)
    pen.solid(rect(104, 164, 38, 19, 9), shade(paint, 0.9), (-2, -4), 0.8)
    return pen.body()


SHAPES = (
    Shape("car", "car", "side", "road", 1.5, car, recolour=True),
    Shape("bus", "bus", "side", "road", 3.2, bus, recolour=True),
    Shape("truck", "truck", "side", "road", 3.0, truck, recolour=True),
    Shape("steam-train", "train", "side", "ground", 4.2, locomotive, recolour=True),
    Shape("railcar", "train", "side", "ground", 3.9, railcar, recolour=True),
    Shape("bicycle", "bicycle", "side", "ground", 1.05, bicycle, recolour=True),
    Shape("motorcycle", "motorcycle", "side", "road", 1.15, motorcycle, recolour=True),
    Shape("airplane", "airplane", "side", "air", 9.0, airplane, recolour=True),
)
