"""Animals, seen from the side and looking left."""

from __future__ import annotations

from collections.abc import Sequence

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

DARK = "#3b3236"


def leg(
    pen: Pen, x: float, top: float, foot: float, width: float, colour: str, hoof: str = "", step: float = 0
) -> None:
    """A leg from a hip to the ground, with a hoof or paw."""
    half, end = width / 2, x + step
    knee = (top + foot) / 2
    pen.fill(
        polygon(
            (x - half * 1.25, top),
            (x + half * 1.25, top),
            (x + step * 0.4 + half * 0.85, knee),
            (end + half * 0.8, foot - 2),
            (end - half * 0.8, foot - 2),
            (x + step * 0.4 - half * 0.85, knee),
        ),
        colour,
        soft=4,
    )
    if hoof:
        pen.fill(rect(end - half - 2, foot - width * 0.55, width + 3, width * 0.55, 2), hoof)


def legs(
    pen: Pen, xs: Sequence[float], top: float, foot: float, width: float, colour: str, hoof: str, step: float
) -> None:
    """Two legs at the given hips, one stepping forward and one back."""
    for x, way in zip(xs, (-1, 1), strict=True):
        leg(pen, x, top, foot, width, colour, hoof, way * step)


def sheep(rng: np.random.Generator, colour: str | None) -> str:
    """A woolly sheep."""
    pen = Pen()
    wool = tone(rng, colour, ("#f6f1e4", "#f3ece0", "#efe7d6", "#f6f1e4", "#efe7d6", "#8a7868", "#6d625e"))
    skin = one(rng, ("#4a4048", "#57494a", "#e6c8ac")) if colour != "black" else "#c9a98d"
    foot, step = some(rng, 206, 222), some(rng, 0, 7)
    legs(pen, (100, 182), 160, foot - 3, 13, shade(skin, 0.8), DARK, -step)
    legs(pen, (116, 168), 160, foot, 14, skin, DARK, step)
    rx, ry = some(rng, 62, 72), some(rng, 40, 48)
    pen.fill(circle(140 + rx + 14, 112, 13), shade(wool, 0.86))
    pen.solid(puffs(rng, 140, 128, rx, ry, 12, 19), wool, dark=0.84)
    for _ in range(5):
        x, y = 140 + some(rng, -40, 45), 128 + some(rng, -28, 28)
        pen.stroke(shade(wool, 0.84), 4, (x - 8, y), (x, y + 6), (x + 8, y))
    y = some(rng, 92, 112)
    pen.fill(ellipse(92, y - 8, 18, 8, 24), shade(skin, 0.78))
    pen.solid(smooth((48, y + 18), (60, y - 14), (80, y - 22), (92, y), (80, y + 22), (60, y + 32)), skin, (-2, -4))
    pen.fill(ellipse(90, y - 2, 17, 7, 30), shade(skin, 1.12))
    pen.solid(puffs(rng, 76, y - 20, 11, 7, 7, 9), wool, (-2, -4))
    pen.eye(66, y + 1, 4.5, "#ffffff" if skin < "#80" else "#2b2426")
    pen.fill(circle(66, y + 1, 2.2), "#1d1a1c")
    pen.stroke(shade(skin, 0.6), 2.5, (52, y + 22), (58, y + 24), (64, y + 22))
    return pen.body()


def cow(rng: np.random.Generator, colour: str | None) -> str:
    """A cow, plain or with patches."""
    pen = Pen()
    hide = tone(rng, colour, ("#f4efe6", "#f4efe6", "#a9693c", "#8a5632", "#d9b483"))
    spots = "#43383a" if sum(int(hide[i : i + 2], 16) for i in (1, 3, 5)) > 300 else "#efe6da"
    foot, step, y = some(rng, 208, 222), some(rng, 0, 8), some(rng, 72, 92)
    legs(pen, (92, 186), 150, foot - 4, 18, shade(hide, 0.78), DARK, -step)
    pen.stroke(shade(hide, 0.8), 6, (212, 96), (226, 112), (224, 150))
    pen.fill(ellipse(223, 160, 7, 13, 8), spots)
    pen.fill(ellipse(170, 170, 20, 13), "#eeb0a8")
    legs(pen, (108, 200), 140, foot, 20, hide, DARK, step)
    trunk = smooth((70, 100), (98, 80), (150, 84), (204, 80), (218, 112), (206, 156), (150, 168), (96, 164), (72, 138))
    pen.solid(trunk, hide, (-2, -9))
    with pen.within(trunk):
        for x in (100, 142, 190) if chance(rng, 0.75) else ():
            pen.fill(
                blob(rng, x + some(rng, -12, 12), some(rng, 92, 150), some(rng, 15, 25), some(rng, 12, 22), 0.3), spots
            )
    pen.solid(smooth((108, 90), (76, y - 4), (62, y + 14), (72, y + 52), (96, 148), (116, 130)), hide, (-3, -5))
    pen.fill(ellipse(88, y + 2, 19, 8, 15), shade(hide, 0.75))
    for x, way in ((58, -1), (76, 1)):
        pen.stroke("#d9c9a4", 7, (x, y - 8), (x + way * 5, y - 20), (x + way * 2, y - 29))
    head = smooth((34, y + 32), (46, y - 4), (66, y - 14), (82, y - 2), (78, y + 28), (62, y + 46), (42, y + 50))
    pen.solid(head, hide, (-2, -4))
    with pen.within(head):
        pen.fill(ellipse(82, y + 4, 17, 26), spots)
        pen.fill(ellipse(40, y + 42, 25, 17, -12), "#eeb0a8")
    pen.fill(ellipse(38, y + 38, 3, 4), "#a9605c")
    pen.fill(ellipse(50, y + 40, 3, 4), "#a9605c")
    pen.eye(58, y + 10, 5)
    return pen.body()


def horse(rng: np.random.Generator, colour: str | None) -> str:
    """A horse with a mane."""
    pen = Pen()
    coat = tone(rng, colour, ("#8c5530", "#a8703f", "#6b4128", "#c99a62", "#e9e2d6", "#55454a", "#9a9794"))
    mane = shade(coat, 0.5) if chance(rng, 0.6) or colour == "white" else "#f1e3c2"
    sock = one(rng, (coat, "#f3ede2", shade(coat, 0.7)))
    foot, step = some(rng, 222, 238), some(rng, 0, 12)
    for x, back, way in ((100, 0.78, -1.3), (192, 0.78, -1), (112, 1, 1), (206, 1, 1)):
        far = shade(coat, back)
        leg(pen, x, 140, foot - 5 * (back < 1), 17, far, "", way * step)
        leg(
            pen, x + way * step * 0.75, foot - 36, foot - 5 * (back < 1), 13, shade(sock, back), DARK, way * step * 0.25
        )
    tail = smooth((214, 104), (236, 112), (242, 150), (232, 196), (226, 160), (216, 132))
    pen.solid(tail, mane, (-3, -2))
    y = some(rng, -8, 12)
    neck = smooth(
        (90, 150), (82, 124), (76, 92), (64, 74 + y), (36, 86 + y), (26, 76 + y), (34, 60 + y), (66, 36 + y),
        (86, 38 + y), (104, 62)
        , (122, 92), (160, 98), (204, 92), (222, 116), (216, 148), (196, 160), (150, 164), (112, 166)
    )  # fmt: skip
    pen.fill(polygon((76, 44 + y), (78, 20 + y), (88, 40 + y)), shade(coat, 0.75), soft=3)
    pen.solid(neck, coat, (-2, -8))
    with pen.within(neck):
        pen.fill(ellipse(26, 78 + y, 16, 13, -30), shade(coat, 0.72))
    pen.fill(polygon((66, 42 + y), (68, 16 + y), (80, 38 + y)), coat, soft=3)
    pen.solid(
        smooth(
            (70, 26 + y),
            (92, 30 + y),
            (112, 56),
            (126, 94),
            (116, 102),
            (108, 92),
            (102, 84),
            (94, 68),
            (84, 50 + y),
            (64, 48 + y),
        ),
        mane,
        (-3, -3),
    )
    if chance(rng, 0.4):
        pen.stroke("#f6f0e6", 5, (58, 48 + y), (48, 58 + y), (40, 64 + y))
    pen.eye(62, 56 + y, 4.5)
    pen.fill(ellipse(32, 74 + y, 2.5, 3), shade(coat, 0.4))
    return pen.body()


def dog(rng: np.random.Generator, colour: str | None) -> str:
    """A dog with a collar."""
    pen = Pen()
    coat = tone(rng, colour, ("#c98f4f", "#8a5a38", "#f1e7d6", "#e0b579", "#574a4a", "#b9773f"))
    ear = shade(coat, one(rng, (0.55, 0.7)))
    low, foot, step = some(rng, -14, 10), some(rng, 206, 226), some(rng, 0, 9)
    tail = one(
        rng,
        (((212, 118), (232, 100), (232, 70)), ((212, 118), (236, 108), (246, 88)), ((212, 116), (234, 92), (220, 70))),
    )
    for x, way, k in ((98, -1, 0.78), (182, -1, 0.78)):
        leg(pen, x, 150, foot - 3, 17, shade(coat, k), "", way * step)
        pen.fill(ellipse(x + way * step - 4, foot - 8, 12, 6), shade(coat, k))
    pen.stroke(coat, 13, *tail)
    for x, way in ((112, 1), (200, 1)):
        leg(pen, x, 140, foot, 19, coat, "", way * step)
        pen.fill(ellipse(x + way * step - 4, foot - 6, 13, 7), coat)
    trunk = smooth(
        (76, 120), (92, 92), (150, 104), (206, 100), (222, 124), (208, 152), (160, 158), (112, 172), (84, 152)
    )
    pen.solid(trunk, coat, (-2, -7))
    if chance(rng, 0.45):
        with pen.within(trunk):
            pen.fill(blob(rng, some(rng, 150, 190), 112, some(rng, 20, 32), 24, 0.2), ear)
    pen.solid(smooth((70, 90 + low), (104, 80 + low), (122, 112), (112, 146), (82, 146)), coat, (-3, -3))
    pen.stroke(
        one(rng, ("#d63a3a", "#2f73c8", "#3f9a50")), 9, (74, 118 + low / 2), (92, 124 + low / 2), (112, 112 + low / 2)
    )
    head = smooth((22, 78 + low), (30, 66 + low), (52, 60 + low), (66, 40 + low), (94, 36 + low), (112, 58 + low),
        (106, 90 + low)
                  , (82, 104 + low), (52, 102 + low), (26, 94 + low))  # fmt: skip
    pen.solid(head, coat, (-2, -5))
    pen.fill(ellipse(26, 74 + low, 10, 8), "#2d2527")
    pen.stroke("#2d2527", 3, (32, 90 + low), (46, 94 + low), (58, 88 + low))
    if chance(rng, 0.5):
        pen.fill(rect(42, 92 + low, 12, 17, 6), "#e8707c")
    if chance(rng, 0.7):
        pen.solid(
            smooth((86, 42 + low), (106, 38 + low), (118, 62 + low), (112, 100 + low), (98, 106 + low), (90, 80 + low)),
            ear,
            (-3, -3),
        )
    else:
        pen.fill(polygon((84, 44 + low), (100, 12 + low), (110, 52 + low)), ear, soft=8)
    pen.eye(66, 62 + low, 5.5)
    return pen.body()


def _cat_face(pen: Pen, x: float, y: float, coat: str, rng: np.random.Generator) -> None:
    for way in (-1, 1):
        pen.fill(polygon((x + way * 38, y - 6), (x + way * 33, y - 52), (x + way * 6, y - 30)), coat, soft=6)
        pen.fill(polygon((x + way * 33, y - 14), (x + way * 30, y - 42), (x + way * 14, y - 30)), "#eba6a4", soft=2)
    pen.solid(ellipse(x, y, 43, 35), coat, (-2, -5))
    pen.fill(ellipse(x - 8, y + 16, 13, 10), shade(coat, 1.55))
    pen.fill(ellipse(x + 8, y + 16, 13, 10), shade(coat, 1.55))
    iris = one(rng, ("#8fc25a", "#e9b944", "#74b5dd"))
    for way in (-1, 1):
        pen.fill(ellipse(x + way * 18, y - 3, 8.5, 9), iris)
        pen.fill(ellipse(x + way * 18, y - 3, 4, 8), "#1f1b1d")
        for k in (-1, 0, 1):
            pen.stroke(
                "#fbf6ee" if coat < "#70" else "#5b4c48",
                2,
                (x + way * 24, y + 14 + 3 * k),
                (x + way * 54, y + 12 + 9 * k),
            )
    pen.fill(polygon((x - 6, y + 8), (x + 6, y + 8), (x, y + 14)), "#e07f86", soft=3)
    pen.stroke("#4a3c3a", 2.5, (x - 11, y + 17), (x - 6, y + 22), (x, y + 16), (x + 6, y + 22), (x + 11, y + 17))


def cat_sitting(rng: np.random.Generator, colour: str | None) -> str:
    """A cat that sits and looks at us."""
    pen = Pen()
    coat = tone(rng, colour, ("#e59a45", "#8d8a8c", "#4a4448", "#f2ebdf", "#c9a277"))
    stripe, striped = shade(coat, 0.7), chance(rng, 0.6)
    up = some(rng, 90, 150)
    pen.stroke(shade(coat, 0.9), 19, (160, 226), (206, 222), (214, up + 30), (196 + some(rng, 0, 24), up))
    body = smooth((94, 130), (128, 108), (160, 130), (182, 190), (176, 232), (128, 240), (80, 232), (74, 190))
    pen.solid(body, coat, (-3, -6))
    with pen.within(body):
        pen.fill(ellipse(128, 168, 24, 40), shade(coat, 1.5))
        for k in range(3) if striped else ():
            for way in (-1, 1):
                pen.stroke(stripe, 7, (128 + way * 62, 160 + k * 22), (128 + way * 36, 164 + k * 22))
    for x in (108, 148):
        pen.solid(rect(x - 13, 176, 26, 64, 13), coat, (-2, -3))
        pen.stroke(stripe, 2.5, (x - 3, 230), (x - 3, 238))
        pen.stroke(stripe, 2.5, (x + 4, 230), (x + 4, 238))
    _cat_face(pen, 128, 86, coat, rng)
    for k in (-1, 0, 1) if striped else ():
        pen.stroke(stripe, 5, (128 + k * 11, 54), (128 + k * 9, 68))
    return pen.body()


def cat_walking(rng: np.random.Generator, colour: str | None) -> str:
    """A cat that walks with its tail up."""
    pen = Pen()
    coat = tone(rng, colour, ("#e59a45", "#8d8a8c", "#4a4448", "#f2ebdf", "#c9a277"))
    stripe, step, foot = shade(coat, 0.72), some(rng, 2, 12), some(rng, 200, 212)
    for x, way in ((104, -1), (190, -1)):
        leg(pen, x, 150, foot - 3, 15, shade(coat, 0.8), "", way * step)
    bend = some(rng, -22, 22)
    pen.stroke(coat, 15, (206, 124), (226, 96), (224, 62), (228 + bend, 34))
    pen.fill(circle(228 + bend, 34, 7.5), stripe)
    for x, way in ((120, 1), (204, 1)):
        leg(pen, x, 140, foot, 17, coat, "", way * step)
        pen.fill(ellipse(x + way * step - 3, foot - 5, 11, 6), coat)
    body = smooth((90, 122), (110, 102), (160, 108), (206, 106), (220, 130), (206, 156), (150, 160), (104, 160))
    pen.solid(body, coat, (-2, -7))
    with pen.within(body):
        for k in range(5) if chance(rng, 0.65) else ():
            pen.stroke(stripe, 7, (130 + k * 18, 98), (127 + k * 18, 128 + 6 * (k % 2)))
    _cat_face(pen, 78, 100, coat, rng)
    return pen.body()


SHAPES = (
    Shape("sheep", "sheep", "side", "ground", 1.0, sheep, recolour=True),
    Shape("cow", "cow", "side", "ground", 1.5, cow, recolour=True),
    Shape("horse", "horse", "side", "ground", 1.9, horse, recolour=True),
    Shape("dog", "dog", "side", "ground", 0.65, dog, recolour=True),
    Shape(
        "cat-sitting",
        "cat",
        "front",
        "ground",
        0.45,
        cat_sitting,
        recolour=True,
    ),
    Shape(
        "cat-walking",
        "cat",
        "side",
        "ground",
        0.45,
        cat_walking,
        recolour=True,
    ),
)
