"""Appliances, cupboards and bags."""

from __future__ import annotations

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

ENAMEL = ("#eef0f0", "#c9ced6", "#9cc9c4", "#d65a4a", "#f0dfa8", "#8f959e")
STEEL = "#9aa0a8"


def fridge(rng: np.random.Generator, colour: str | None) -> str:
    """A refrigerator with two doors."""
    pen = Pen()
    paint = tone(rng, colour, ENAMEL)
    wide, split, low = some(rng, 52, 64), some(rng, 84, 112), chance(rng, 0.4)
    if low:
        split = 256 - split
    for way in (-1, 1):
        pen.fill(rect(128 + way * wide * 0.7 - 9, 238, 18, 10, 2), IRON)
    pen.fill(rect(128 - wide, 8, 2 * wide, 234, 12), shade(paint, 0.7))
    for y, h in ((8, split - 11), (split, 242 - split)):
        pen.solid(rect(128 - wide, y, 2 * wide, h, 12), paint, (-8, 0), 0.86)
    for y, h in ((split - 46, 34), (split + 10, 40)):
        pen.fill(rect(128 - wide + 12, y, 8, h, 4), shade(STEEL, 0.8))
    for _ in range(int(rng.integers(0, 4))):
        x, y = 128 + some(rng, -10, wide - 24), split + some(rng, 16, 60) * (-1 if low else 1)
        pen.fill(rect(x, y, 15, 15, 3), one(rng, ("#e8503f", "#f2c037", "#4d82b5", "#5a9e6a")))
    return pen.body()


def oven(rng: np.random.Generator, colour: str | None) -> str:
    """A cooker with an oven below and plates on top."""
    pen = Pen()
    paint = tone(rng, colour, ENAMEL)
    dark = "#3a3b45"
    for x in (62, 176):
        pen.fill(rect(x, 236, 18, 12, 2), IRON)
    if chance(rng, 0.6):
        pot = one(rng, CLOTHS)
        x = one(rng, (88, 168))
        pen.solid(rect(x - 27, 20, 54, 36, 5), pot, (-6, 0), 0.8)
        pen.fill(rect(x - 31, 16, 62, 8, 4), shade(pot, 0.7))
        pen.fill(circle(x, 12, 6), dark)
    for x in (88, 168):
        pen.fill(rect(x - 34, 54, 68, 8, 3), dark)
    pen.solid(rect(36, 60, 184, 180, 8), paint, (-8, 0), 0.86)
    pen.fill(rect(36, 60, 184, 38, 8), shade(paint, 0.8))
    for k in range(5):
        x = 58 + k * 35
        pen.fill(circle(x, 79, 11), dark)
        pen.stroke("#f1ece0", 3, (x, 79), (x + 4, 72), curved=False)
    pen.fill(rect(52, 112, 152, 112, 8), shade(paint, 0.7))
    pen.fill(rect(58, 108, 140, 10, 5), STEEL)
    glass = rect(66, 132, 124, 76, 8)
    pen.fill(glass, "#4a3a3a" if chance(rng, 0.6) else "#e8923f")
    with pen.within(glass):
        for y in (158, 182):
            pen.stroke("#8a8088", 4, (60, y), (200, y), curved=False)
        pen.fill(polygon((120, 120), (150, 120), (110, 220), (80, 220)), "#ffffff", opacity=0.16)
    return pen.body()


def microwave(rng: np.random.Generator, colour: str | None) -> str:
    """A microwave oven."""
    pen = Pen()
    paint, high = tone(rng, colour, ENAMEL), some(rng, 122, 142)
    top = 220 - high
    for x in (34, 200):
        pen.fill(rect(x, 216, 24, 12, 3), IRON)
    pen.solid(rect(8, top, 240, high, 10), paint, (-4, -7), 0.82)
    pen.fill(rect(20, top + 12, 154, high - 24, 8), "#3a3b45")
    glass = rect(34, top + 26, 126, high - 52, 6)
    pen.fill(glass, one(rng, ("#5a6070", "#f2c878", "#6a7078")))
    with pen.within(glass):
        pen.fill(ellipse(97, 196, 50, 8), "#dfe8ee")
        pen.fill(polygon((110, 0), (140, 0), (90, 256), (60, 256)), "#ffffff", opacity=0.18)
    pen.fill(rect(162, top + 18, 8, high - 36, 4), STEEL)
    pen.fill(rect(186, top + 16, 50, 22, 3), "#26302f")
    pen.fill(rect(192, top + 22, 26, 9, 2), "#6fe0a0")
    for k in range(9):
        pen.fill(rect(187 + (k % 3) * 17, top + 48 + (k // 3) * 16, 13, 11, 2), shade(paint, 0.6))
    return pen.body()


def toaster(rng: np.random.Generator, colour: str | None) -> str:
    """A toaster with bread in it."""
    pen = Pen()
    paint = tone(rng, colour, ("#d65a4a", "#c9ced6", "#4d82b5", "#9cc9c4", "#e0ac3e"))
    rise = some(rng, 20, 52)
    for x in (64, 128):
        pen.solid(rect(x, 96 - rise, 62, 90, 18), "#d9a05a", (-4, -5), 0.82)
        pen.fill(rect(x + 8, 104 - rise, 46, 80, 12), "#f2d7a0")
    pen.solid(
        smooth((22, 220), (22, 140), (52, 104), (128, 98), (204, 104), (234, 140), (234, 220), tension=0.55),
        paint,
        (-6, -8),
        0.8,
    )
    pen.fill(rect(40, 96, 176, 12, 6), IRON)
    pen.fill(rect(14, 212, 228, 16, 6), IRON)
    pen.fill(rect(226, 136, 24, 14, 5), IRON)
    pen.fill(circle(196, 186, 12), "#f1ece0")
    return pen.body()


def sink(rng: np.random.Generator, colour: str | None) -> str:
    """A sink: a basin on a foot, or one in a kitchen cupboard."""
    pen = Pen()
    white = "#f3f5f5"
    if chance(rng, 0.5):
        pen.solid(polygon((104, 130), (152, 130), (146, 248), (110, 248)), shade(white, 0.92), (-9, 0), 0.84)
        pen.solid(rect(30, 84, 196, 18, 9), white, (0, -6), 0.84)
        pen.solid(dome(40, 216, 101, -62), white, (-8, -8), 0.84)
    else:
        wood = tone(rng, None, (*WOODS, "#9cc4b8", "#7f9fb8"))
        pen.solid(rect(22, 100, 212, 142, 4), wood, (-8, 0), 0.84)
        pen.fill(rect(30, 236, 196, 12), shade(wood, 0.55))
        for x in (32, 132):
            pen.fill(rect(x, 150, 92, 80, 4), shade(wood, 0.8))
            pen.fill(rect(x + 5, 155, 82, 70, 3), shade(wood, 1.06))
        for x in (114, 142):
            pen.fill(circle(x, 178, 6), IRON)
        pen.fill(rect(12, 90, 232, 20, 4), "#d9d4c8")
        pen.solid(rect(62, 96, 132, 46, 12), white, (-6, -4), 0.84)
        pen.fill(rect(56, 90, 144, 14, 6), shade(white, 0.94))
    pen.fill(rect(120, 40, 14, 50), STEEL)
    turn = some(rng, 46, 62)
    pen.stroke(STEEL, 13, (127, 52), (127, 30), (127 - turn * 0.5, 18), (127 - turn, 34), (127 - turn, 50))
    for x in (96, 158):
        pen.fill(rect(x - 5, 70, 10, 18), STEEL)
        pen.fill(rect(x - 14, 62, 28, 11, 5), shade(STEEL, 0.8))
    return pen.body()


def cabinet(rng: np.random.Generator, colour: str | None) -> str:
    """A chest of drawers or a cupboard with doors."""
    pen = Pen()
    wood = tone(rng, colour, (*WOODS, "#9cc4b8", "#7f9fb8"))
    half, top = some(rng, 80, 112), some(rng, 40, 96)
    knob = one(rng, ("#e8c04a", IRON, "#f1ece0")) if colour != "white" else IRON
    for way in (-1, 1):
        pen.fill(
            polygon(
                (128 + way * half, 226),
                (128 + way * (half - 22), 226),
                (128 + way * (half - 6), 248),
                (128 + way * (half - 2), 248),
            ),
            shade(wood, 0.6),
        )
    pen.solid(rect(128 - half, top, 2 * half, 190 - top + 44, 4), wood, (-8, 0), 0.84)
    pen.fill(rect(128 - half - 8, top - 8, 2 * half + 16, 15, 4), shade(wood, 0.82))
    drawers = int(rng.integers(3, 5)) if chance(rng, 0.55) else 1
    if drawers == 1:
        pen.fill(rect(128 - half + 10, top + 16, 2 * half - 20, 30, 3), shade(wood, 0.78))
        pen.fill(rect(128 - half + 13, top + 19, 2 * half - 26, 26, 2), shade(wood, 1.1))
        pen.fill(circle(128, top + 31, 6), knob)
        for way in (-1, 1):
            x = 128 - half + 10 if way < 0 else 131
            pen.fill(rect(x, top + 54, half - 13, 168 - top, 3), shade(wood, 0.78))
            pen.fill(rect(x + 4, top + 58, half - 21, 160 - top, 2), shade(wood, 1.1))
            pen.fill(circle(128 + way * 15, 140 + top * 0.3, 6), knob)
        return pen.body()
    step = (218 - top) / drawers
    for k in range(drawers):
        y = top + 14 + k * step
        pen.fill(rect(128 - half + 10, y, 2 * half - 20, step - 8, 3), shade(wood, 0.76))
        pen.fill(rect(128 - half + 13, y + 3, 2 * half - 26, step - 14, 2), shade(wood, 1.1))
        for x in (-0.45, 0.45):
            pen.fill(circle(128 + x * half, y + step / 2 - 4, 6), knob)
    return pen.body()


def shelf(rng: np.random.Generator, colour: str | None) -> str:
    """A shelf with books and pots."""
    pen = Pen()
    wood = tone(rng, colour, WOODS)
    rows, half = int(rng.integers(3, 5)), some(rng, 70, 92)
    step = 226 / rows
    pen.fill(rect(128 - half, 10, 2 * half, 238, 4), shade(wood, 0.55))
    for row in range(rows):
        low, x = 18 + (row + 1) * step - 8, 128 - half + 12
        while x < 128 + half - 26:
            if chance(rng, 0.14):
                pot = one(rng, CLOTHS)
                for t in (-8, 0, 8):
                    pen.fill(ellipse(x + 14 + t, low - 30, 5, 13, t * 3), "#5a9e46")
                pen.fill(polygon((x + 3, low - 22), (x + 25, low - 22), (x + 21, low), (x + 7, low)), pot)
                x += 32
                continue
            wide, high = some(rng, 9, 16), step * some(rng, 0.52, 0.76)
            book = one(rng, CLOTHS)
            pen.fill(rect(x, low - high, wide, high, 2), book)
            pen.fill(rect(x, low - high * 0.8, wide, 5), shade(book, 1.5))
            x += wide + (some(rng, 8, 22) if chance(rng, 0.12) else 1.5)
    for row in range(rows + 1):
        pen.solid(rect(128 - half, 8 + row * step, 2 * half, 11), wood, (0, -4), 0.8)
    for way in (-1, 1):
        pen.solid(rect(128 + way * (half - 4) - 6, 8, 12, 240, 2), wood, (-4, 0), 0.8)
    return pen.body()


def backpack(rng: np.random.Generator, colour: str | None) -> str:
    """A backpack."""
    pen = Pen()
    cloth = tone(rng, colour, CLOTHS)
    strap = shade(cloth, 0.6)
    wide = some(rng, 70, 82)
    pen.line(smooth((104, 40), (108, 12), (148, 12), (152, 40), closed=False), strap, 10)
    for way in (-1, 1):
        pen.solid(rect(128 + way * wide - 17, 142, 34, 84, 14), shade(cloth, 0.82), (-4, -4), 0.8)
    pen.solid(
        smooth(
            (128 - wide, 240),
            (128 - wide, 110),
            (128 - wide * 0.7, 44),
            (128, 28),
            (128 + wide * 0.7, 44),
            (128 + wide, 110),
            (128 + wide, 240),
            tension=0.55,
        ),
        cloth,
        (-7, -8),
        0.82,
    )
    pen.stroke(
        strap,
        5,
        (128 - wide + 8, 112),
        (128 - wide * 0.6, 70),
        (128, 58),
        (128 + wide * 0.6, 70),
        (128 + wide - 8, 112),
    )
    pen.solid(rect(128 - wide * 0.72, 144, wide * 1.44, 84, 16), shade(cloth, 1.14), (-5, -6), 0.82)
    pen.stroke(strap, 5, (128 - wide * 0.6, 166), (128 + wide * 0.6, 166), curved=False)
    pen.fill(rect(122, 164, 12, 20, 4), "#f2d27a")
    pen.fill(rect(110, 94, 36, 26, 6), one(rng, ("#f1ece0", "#f2c037", "#e8503f")))
    return pen.body()


def suitcase(rng: np.random.Generator, colour: str | None) -> str:
    """A case on wheels, or one with a handle and belts."""
    pen = Pen()
    paint = tone(rng, colour, (*CLOTHS, "#a8703f", "#8f5a34"))
    if chance(rng, 0.5):
        rise = some(rng, 36, 58)
        for x in (98, 152):
            pen.fill(rect(x, 66 - rise, 7, rise + 12), STEEL)
        pen.fill(rect(92, 58 - rise, 73, 13, 6), IRON)
        for x in (80, 160):
            pen.fill(circle(x + 8, 238, 10), IRON)
        pen.solid(rect(60, 70, 136, 166, 16), paint, (-7, -6), 0.82)
        for k in range(4):
            pen.fill(rect(82 + k * 26, 84, 9, 138, 4), shade(paint, 0.82))
        return pen.body()
    top = some(rng, 84, 104)
    pen.line(smooth((98, top), (102, top - 30), (154, top - 30), (158, top), closed=False), "#6f4a33", 12)
    pen.solid(rect(14, top, 228, 232 - top, 16), paint, (-5, -8), 0.82)
    for x in (54, 182):
        pen.fill(rect(x, top, 20, 232 - top), shade(paint, 0.62))
        pen.fill(rect(x - 3, top + 34, 26, 22, 4), "#e8c04a")
    for x in (14, 214):
        pen.fill(rect(x, 206, 28, 26, 8), shade(paint, 0.7))
        pen.fill(rect(x, top, 28, 26, 8), shade(paint, 0.7))
    return pen.body()


SHAPES = (
    Shape("refrigerator", "refrigerator", "front", "floor", 1.8, fridge, recolour=True),
    Shape("oven", "oven", "front", "floor", 1.0, oven, recolour=True),
    Shape("microwave", "microwave", "front", "table", 0.32, microwave, recolour=True),
    Shape("toaster", "toaster", "front", "table", 0.22, toaster, recolour=True),
    Shape("sink", "sink", "front", "floor", 1.1, sink),
    Shape("cabinet", "cabinet", "front", "floor", 1.1, cabinet, recolour=True),
    Shape("shelf", "shelf", "front", "floor", 1.8, shelf, recolour=True),
    Shape("backpack", "backpack", "front", "floor", 0.5, backpack, recolour=True),
    Shape("suitcase", "suitcase", "front", "floor", 0.65, suitcase, recolour=True),
)
