"""Boats without water under them, seen from the side and heading left."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Shape,
    chance,
    circle,
    one,
    polygon,
    rect,
    shade,
    smooth,
    some,
    tone,
)
from scenograph.data.picture_book.shapes.vehicles import GLASS, PAINTS

WOOD = ("#a8703f", "#8f5a34", "#c08a52")


def sail_of(x: float, top: float, x1: float, y1: float, x2: float, y2: float, end: float) -> str:
    """Path data of a sail: a curve from its top over two handles to its end, and back along the mast."""
    return f"M{x:.1f} {top:.1f}C{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {end:.1f} 176L{x:.1f} 176Z"


def sail_boat(rng: np.random.Generator, colour: str | None) -> str:
    """A boat with one or two sails."""
    pen = Pen()
    sail = tone(rng, colour, ("#f8f5ec", "#f8f5ec", "#e8503f", "#f2b92f", "#4d8fd0", "#f0a060"))
    hull = tone(rng, None, (*WOOD, "#2f5f9f", "#c8372f", "#f1efe8"))
    mast, top = some(rng, 118, 132), some(rng, 6, 30)
    pen.stroke("#7a5234", 7, (mast, top), (mast, 200), curved=False)
    main = sail_of(mast + 6, top + 8, mast + 50, top + 50, mast + 86, 130, mast + 92)
    pen.solid(main, sail, (-7, -4), 0.86)
    with pen.within(main):
        for y in (70, 118) if chance(rng) else ():
            pen.fill(rect(0, y, 256, 14), shade(sail, 0.72) if colour != "white" else "#e8503f")
    if chance(rng, 0.75):
        jib = sail_of(mast - 6, top + 26, mast - 26, top + 80, mast - 56, 150, mast - 82)
        pen.solid(jib, shade(sail, 1.3) if chance(rng) else sail, (-5, -4), 0.86)
    if chance(rng):
        pen.fill(
            polygon((mast, top - 4), (mast + 28, top + 4), (mast, top + 12)), one(rng, ("#d63c35", "#f2b92f")), soft=3
        )
    data = smooth((22, 190), (128, 196), (238, 186), (222, 222), (196, 240), (84, 240), (46, 222), tension=0.75)
    pen.solid(data, hull, (-2, -10), 0.75)
    pen.stroke(shade(hull, 1.5), 6, (24, 192), (128, 198), (236, 188))
    return pen.body()


def rowing_boat(rng: np.random.Generator, colour: str | None) -> str:
    """A rowing boat with its oars."""
    pen = Pen()
    hull = tone(rng, colour, (*WOOD, *WOOD, "#d63c35", "#2f73c8", "#4a9c56"))
    oar = "#d9b47c"
    pen.fill(smooth((14, 136), (128, 154), (242, 136), (214, 166), (42, 166)), shade(hull, 0.5))
    for left in (84, 150):
        pen.fill(rect(left, 144, 30, 12, 3), "#c9995c")
    data = smooth(
        (8, 128),
        (64, 150),
        (128, 156),
        (192, 150),
        (248, 128),
        (236, 170),
        (204, 200),
        (128, 206),
        (52, 200),
        (20, 170),
        tension=0.85,
    )
    pen.solid(data, hull, (-1, -12), 0.78)
    with pen.within(data):
        for k in (1, 2):
            pen.stroke(shade(hull, 0.7), 3, (0, 134 + 18 * k), (128, 158 + 18 * k), (256, 134 + 18 * k))
    pen.stroke(shade(hull, 1.4), 7, (10, 130), (64, 151), (128, 157), (192, 151), (246, 130))
    x, lean = some(rng, 118, 140), some(rng, 46, 66)
    pen.stroke(oar, 7, (x + lean * 0.8, 106), (x - lean * 0.6, 196), curved=False)
    pen.fill(
        smooth((x - lean * 0.52, 188), (x - lean * 0.6 - 14, 232), (x - lean * 0.6 - 24, 228), (x - lean * 0.75, 190)),
        oar,
        soft=4,
    )
    return pen.body()


def ship(rng: np.random.Generator, colour: str | None) -> str:
    """A steamer with decks and funnels."""
    pen = Pen()
    hull = tone(rng, colour, ("#c8372f", "#2b3f66", "#2f73c8", "#3a3d48", "#2f7f6f"))
    funnel = one(rng, ("#d63c35", "#f2b92f", "#e8762c"))
    decks, funnels = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    top = 164 - decks * 28
    for k in range(funnels):
        x = 150 + (k - (funnels - 1) / 2) * 38
        pen.solid(
            polygon((x - 13, top + 4), (x - 10, top - 44), (x + 14, top - 44), (x + 15, top + 4)), funnel, (-5, 0), 0.8
        )
        pen.fill(polygon((x - 11, top - 32), (x - 10, top - 46), (x + 14, top - 46), (x + 14, top - 32)), "#33323a")
    for k in reversed(range(decks)):
        left, right = 66 + k * 14, 232 - k * 10
        y = 164 - (k + 1) * 28
        pen.solid(rect(left, y, right - left, 32, 3), "#f6f5f0", (-3, -5), 0.85)
        count = int((right - left - 12) // 22)
        for i in range(count):
            pen.fill(rect(left + 10 + i * 22, y + 9, 13, 11, 2), "#6fb1d8")
    data = smooth(
        (4, 152), (60, 162), (150, 164), (252, 160), (244, 200), (228, 232), (44, 232), (22, 200), tension=0.5
    )
    pen.solid(data, hull, (-2, -6), 0.8)
    with pen.within(data):
        pen.fill(rect(0, 212, 256, 40), shade(hull, 0.6) if hull < "#c0" else "#8f2a24")
        for x in range(48, 240, 24):
            pen.fill(circle(x, 186, 6), GLASS)
    pen.stroke("#f6f5f0", 5, (6, 155), (60, 163), (150, 165), (250, 162))
    return pen.body()


def motor_boat(rng: np.random.Generator, colour: str | None) -> str:
    """A small fishing or motor boat with a cabin."""
    pen = Pen()
    hull = tone(rng, colour, PAINTS)
    cabin = "#f6f3ea" if hull < "#e8" else "#4d82b5"
    left, roof = some(rng, 86, 116), some(rng, 82, 100)
    pen.stroke("#7a5234", 6, (left + 84, 60), (left + 84, 160), curved=False)
    pen.fill(polygon((left + 84, 44), (left + 118, 54), (left + 84, 66)), one(rng, ("#d63c35", "#f2b92f")), soft=3)
    pen.solid(rect(left, roof, 76, 90, 5), cabin, (-4, -5), 0.85)
    pen.fill(rect(left - 8, roof - 10, 92, 14, 5), shade(hull, 0.7))
    for x in (left + 8, left + 42):
        pen.fill(rect(x, roof + 16, 26, 26, 4), GLASS)
    data = smooth(
        (6, 142), (60, 160), (130, 166), (248, 158), (240, 200), (222, 228), (64, 228), (28, 196), tension=0.6
    )
    pen.solid(data, hull, (-2, -9), 0.78)
    pen.stroke(shade(hull, 1.6), 7, (8, 145), (60, 162), (130, 168), (246, 160))
    with pen.within(data):
        pen.fill(rect(0, 208, 256, 40), shade(hull, 0.62))
    for x in (112, 146, 180) if chance(rng) else ():
        pen.fill(circle(x, 188, 9), "#f6f3ea")
        pen.fill(circle(x, 188, 5), shade(hull, 0.6))
    return pen.body()


SHAPES = (
    Shape("sail-boat", "boat", "side", "water", 5.5, sail_boat, recolour=True, foot=0.12),
    Shape("rowing-boat", "boat", "side", "water", 1.2, rowing_boat, recolour=True, foot=0.25),
    Shape("ship", "boat", "side", "water", 16.0, ship, recolour=True, foot=0.09),
    Shape("motor-boat", "boat", "side", "water", 3.6, motor_boat, recolour=True, foot=0.11),
)
