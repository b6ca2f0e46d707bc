"""Wild animals and birds, seen from the side and looking left."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.shapes.animals import DARK, leg
from scenograph.data.picture_book.shapes.shape import (
    Pen,
    Point,
    Shape,
    blob,
    chance,
    circle,
    ellipse,
    one,
    polygon,
    shade,
    smooth,
    some,
    tone,
)


def zebra(rng: np.random.Generator, colour: str | None) -> str:
    """A zebra."""
    pen = Pen()
    coat, dark, foot, step, y = "#f5f2ea", "#35302f", some(rng, 214, 228), some(rng, 0, 10), some(rng, 0, 12)

    def striped(x: float, back: float, way: float) -> None:
        end = foot - 5 * (back < 1)
        leg(pen, x, 140, end, 17, shade(coat, back), dark, way * step)
        for k in range(4):
            low = 168 + k * (end - 180) / 4
            middle = x + way * step * (low - 140) / (end - 140)
            pen.stroke(dark, 4, (middle - 6, low), (middle + 6, low + 1))

    for hip, back, way in ((100, 0.8, -1.3), (190, 0.8, -1), (112, 1, 1), (204, 1, 1)):
        striped(hip, back, way)
    pen.stroke(coat, 6, (214, 106), (230, 124), (230, 160))
    pen.fill(ellipse(230, 166, 6, 15), dark)
    trunk = smooth(
        (88, 146), (80, 122), (76, 96), (64, 84 + y), (38, 98 + y), (27, 88 + y), (36, 70 + y), (66, 46 + y),
        (86, 48 + y), (106, 72)
        , (124, 94), (160, 98), (204, 94), (221, 118), (214, 150), (194, 162), (150, 166), (110, 166)
    )  # fmt: skip
    pen.fill(polygon((78, 52 + y), (82, 28 + y), (90, 50 + y)), dark, soft=3)
    mane = smooth((66, 40 + y), (88, 34 + y), (112, 60), (130, 92), (118, 100), (90, 60 + y))
    pen.fill(mane, dark)
    pen.solid(trunk, coat, (-2, -8))
    gap = some(rng, 15, 19)
    with pen.within(trunk):
        for k in range(9):
            x = 106 + k * gap
            pen.stroke(dark, 7, (x + 8, 84), (x + some(rng, -4, 2), 124), (x + 4, 150 + 6 * (k % 2)))
        for k in range(4):
            pen.stroke(
                dark, 7, (112 - k * 9, 106 - k * 14 + y / 2), (92 - k * 7, 112 - k * 13 + y / 2), (68 - k, 112 - k * 12)
            )
        for k in range(3):
            pen.stroke(dark, 4, (70 - k * 10, 44 + k * 7 + y), (64 - k * 9, 60 + k * 5 + y))
        pen.fill(ellipse(26, 92 + y, 17, 13, -30), dark)
    pen.fill(polygon((66, 52 + y), (68, 27 + y), (80, 48 + y)), coat, soft=3)
    pen.eye(60, 67 + y, 5)
    return pen.body()


def giraffe(rng: np.random.Generator, colour: str | None) -> str:
    """A giraffe."""
    pen = Pen()
    coat, spot = tone(rng, None, ("#f2c46d", "#f0bd62", "#edc98a")), tone(rng, None, ("#a8632c", "#8f5429", "#b5713a"))
    rise, step = some(rng, -22, 18), some(rng, 0, 8)
    for hip, back, way in ((104, 0.8, -1), (170, 0.8, -1), (116, 1, 1), (182, 1, 1)):
        leg(pen, hip, 176, 286 - 5 * (back < 1), 15, shade(coat, back), DARK, way * step)
    pen.stroke(shade(coat, 0.85), 5, (190, 152), (204, 176), (202, 200))
    pen.fill(ellipse(202, 208, 6, 12), DARK)
    top = 34 + rise
    trunk = smooth(
        (92, 184), (86, 152), (74, 100), (62, top + 30), (38, top + 36), (28, top + 28), (36, top + 14),
        (62, top), (78, top + 6), (94, 90)
        , (116, 134), (156, 142), (188, 150), (198, 176), (186, 204), (150, 206), (112, 208)
    )  # fmt: skip
    for horn in (66, 74):
        pen.stroke(shade(coat, 0.8), 5, (horn, top + 6), (horn + 1, top - 13))
        pen.fill(circle(horn + 1, top - 15, 5), DARK)
    pen.fill(ellipse(88, top + 8, 13, 6, 12), shade(coat, 0.85))
    pen.stroke(shade(spot, 0.8), 8, (79, top + 10), (97, 90), (118, 132))
    pen.solid(trunk, coat, (-2, -8))
    with pen.within(trunk):
        for row in range(12):
            for column in range(8):
                x = 62 + column * 19 + (row % 2) * 9 + some(rng, -2, 2)
                y = 76 + rise / 2 + row * 15 + some(rng, -2, 2)
                pen.fill(blob(rng, x, y, 7.8, 6.6, 0.15, 6), spot)
        pen.fill(ellipse(30, top + 30, 14, 11, -20), shade(coat, 1.5))
    pen.eye(58, top + 14, 4.5)
    pen.fill(circle(35, top + 26, 2), "#7a4a2c")
    return pen.body()


def elephant(rng: np.random.Generator, colour: str | None) -> str:
    """An elephant."""
    pen = Pen()
    skin = tone(rng, None, ("#98a1ab", "#8c959f", "#a39d9c", "#86909c"))
    foot, lift, step = some(rng, 208, 220), some(rng, -10, 60), some(rng, 0, 5)
    for x, way in ((112, -1), (186, -1)):
        leg(pen, x, 150, foot - 4, 32, shade(skin, 0.74), "", way * step)
    pen.stroke(shade(skin, 0.8), 6, (222, 106), (236, 126), (234, 156))
    for x, way in ((132, 1), (206, 1)):
        leg(pen, x, 140, foot, 34, shade(skin, 0.95), "", way * step)
        for k in (-10, 0, 10):
            pen.fill(ellipse(x + step + k, foot - 2, 4.5, 3.5), "#efe7da")
    pen.solid(
        smooth((92, 110), (108, 66), (160, 50), (212, 66), (230, 112), (216, 156), (160, 170), (108, 160)),
        skin,
        (-3, -10),
    )
    end: tuple[Point, ...] = ((44, 150), (34, 186 - lift), (18, 196 - lift))
    for k, colour_of in enumerate((shade(skin, 0.86), skin)):
        trunk = (
            (58, 104),
            (48 - k, 130),
            (end[0][0] - 2 * k, end[0][1]),
            (end[1][0] - 2 * k, end[1][1] - 2 * k),
            end[2],
        )
        pen.stroke(colour_of, 22 - 4 * k, *trunk)
    pen.fill(smooth((66, 140), (54, 158), (36, 160), (52, 150), (58, 134)), "#fbf4e4", soft=3)
    pen.solid(smooth((44, 100), (56, 60), (90, 48), (120, 66), (122, 116), (96, 144), (62, 140)), skin, (-3, -7))
    ear = smooth((96, 76), (126, 58), (152, 76), (150, 118), (126, 146), (106, 128), (94, 104))
    pen.solid(ear, shade(skin, 0.9), (-3, -6), 0.82)
    pen.fill(smooth((108, 84), (126, 74), (140, 86), (138, 112), (124, 130), (112, 114)), "#d9a9a8", opacity=0.7)
    pen.eye(70, 94, 5)
    return pen.body()


def bear(rng: np.random.Generator, colour: str | None) -> str:
    """A bear on four paws."""
    pen = Pen()
    fur = tone(rng, colour, ("#7b4f30", "#8d5c38", "#5d3d29", "#4a3c3a", "#6b4a33"))
    foot, step, y = some(rng, 204, 216), some(rng, 0, 8), some(rng, 84, 106)
    for x, way, back in ((98, -1, 0.76), (186, -1, 0.76), (120, 1, 0.95), (208, 1, 0.95)):
        end = foot - 4 * (back < 0.9)
        leg(pen, x, 145, end, 30, shade(fur, back), "", way * step)
        pen.fill(ellipse(x + way * step - 4, end - 6, 19, 8), shade(fur, back))
    pen.fill(circle(230, 108, 10), shade(fur, 0.85))
    pen.solid(
        smooth((80, 120), (100, 76), (136, 64), (190, 72), (230, 104), (226, 150), (180, 168), (120, 168), (86, 156)),
        fur,
        (-3, -9),
    )
    for x, k in ((92, 0.8), (64, 1.0)):
        pen.fill(circle(x, y - 28, 12), shade(fur, k))
        pen.fill(circle(x, y - 27, 6), shade(fur, 0.6))
    pen.solid(
        smooth((38, y + 14), (46, y - 20), (76, y - 32), (104, y - 18), (110, y + 14), (90, y + 36), (56, y + 34)),
        fur,
        (-3, -5),
    )
    pen.solid(ellipse(46, y + 16, 24, 17, -8), shade(fur, 1.35), (-2, -4))
    pen.fill(ellipse(28, y + 8, 9, 7), "#2d2527")
    pen.stroke("#2d2527", 3, (32, y + 22), (44, y + 26), (54, y + 22))
    pen.eye(62, y - 5, 5)
    return pen.body()


def songbird(rng: np.random.Generator, colour: str | None) -> str:
    """A small bird on its feet."""
    pen = Pen()
    back = tone(rng, colour, ("#4f8fd0", "#d95a48", "#8a6a4e", "#e8b83a", "#5c6670", "#5da361"))
    belly = one(rng, ("#f6ead2", "#f0c9a0", shade(back, 1.6)))
    for x in (112, 134):
        pen.stroke("#b3722f", 6, (x + 6, 186), (x, 224), curved=False)
        pen.line(polygon((x - 16, 227), (x, 224), (x + 14, 227))[:-1], "#b3722f", 6)
    tail = some(rng, 96, 150)
    pen.fill(polygon((172, 150), (238, tail), (246, tail + 22), (180, 172)), shade(back, 0.75), soft=5)
    body = smooth(
        (58, 98), (74, 62), (108, 54), (134, 82), (178, 120), (192, 158), (160, 192), (110, 196), (74, 166), (62, 132)
    )
    pen.solid(body, back, (-3, -6))
    with pen.within(body):
        pen.fill(ellipse(84, 158, 50, 52, 20), belly)
    wing = smooth((112, 116), (150, 112), (188, 146), (206, 172), (160, 172), (124, 154))
    pen.solid(wing, shade(back, 0.8), (-3, -6), 0.8)
    pen.fill(polygon((62, 84), (28, 98), (64, 106)), "#f0a030", soft=4)
    pen.eye(86, 88, 6.5)
    return pen.body()


def duck(rng: np.random.Generator, colour: str | None) -> str:
    """A swimming duck, or a swan when white and long-necked."""
    pen = Pen()
    coat = tone(rng, colour, ("#f7f4ec", "#a98a68", "#f2d04c", "#8d8f93"))
    swan = min(int(coat[i : i + 2], 16) for i in (1, 3, 5)) > 200 and chance(rng, 0.6)
    head = coat if swan or chance(rng, 0.5) or colour else "#2f7a55"
    top = 40 if swan else 92
    body = smooth(
        (66, 168), (84, 150), (130, 152), (180, 146), (232, 116), (226, 168), (196, 206), (110, 210), (74, 196)
    )
    if swan:
        pen.stroke(shade(coat, 0.88), 26, (92, 184), (104, 140), (76, 100), (84, 52), (66, top))
        pen.stroke(coat, 22, (90, 184), (102, 140), (74, 100), (82, 52), (66, top))
    else:
        pen.fill(smooth((72, 180), (66, 120), (98, 104), (112, 150), (120, 190)), head)
    pen.solid(body, coat, (-3, -6))
    pen.solid(smooth((116, 164), (160, 150), (214, 148), (196, 182), (140, 190)), shade(coat, 0.92), (-3, -5), 0.86)
    size = 21 if swan else 32
    pen.solid(ellipse(72, top, size + 3, size), head, (-2, -4))
    pen.fill(
        smooth((72 - size, top - 4), (72 - size - 18, top + 6), (72 - size - 26, top + 12), (72 - size - 4, top + 14)),
        "#f09a2e",
        soft=4,
    )
    pen.eye(66, top - 4, 5)
    return pen.body()


def flying_bird(rng: np.random.Generator, colour: str | None) -> str:
    """A bird in flight."""
    pen = Pen()
    coat = tone(rng, colour, ("#f4f3ee", "#6d5a4d", "#4d535c", "#8fa6bd", "#5b87bd"))
    tip = shade(coat, 0.55)
    up = some(rng, 14, 58)
    far = smooth((108, 140), (128, 92), (176, up + 14), (226, up), (214, up + 44), (176, 146), tension=0.9)
    pen.solid(far, shade(coat, 0.76), (-3, -3))
    pen.fill(polygon((188, 142), (244, 126), (254, 150), (238, 164), (190, 164)), shade(coat, 0.8), soft=4)
    trunk = smooth(
        (40, 142), (56, 120), (84, 120), (130, 132), (196, 142), (198, 158), (140, 178), (84, 172), (50, 158)
    )
    pen.solid(trunk, coat, (-2, -7), 0.82)
    wing = smooth(
        (92, 146), (84, 96), (58, up + 12), (10, up), (28, up + 50), (70, 132), (112, 166), (156, 152), tension=0.9
    )
    pen.solid(wing, shade(coat, 0.92), (-3, -4), 0.84)
    with pen.within(wing):
        pen.fill(ellipse(10, up, 50, 38, 20), tip)
        for k in range(3):
            pen.stroke(
                shade(coat, 0.76),
                4,
                (62 + 14 * k, 80 + 20 * k),
                (84 + 12 * k, 104 + 14 * k),
                (98 + 12 * k, 138 + 6 * k),
            )
    pen.fill(polygon((44, 134), (18, 146), (46, 152)), "#f0a030", soft=4)
    pen.eye(60, 136, 5.5)
    return pen.body()


SHAPES = (
    Shape("zebra", "zebra", "side", "ground", 1.6, zebra),
    Shape("giraffe", "giraffe", "side", "ground", 4.6, giraffe),
    Shape("elephant", "elephant", "side", "ground", 2.9, elephant),
    Shape("bear", "bear", "side", "ground", 1.3, bear, recolour=True),
    Shape(
        "songbird",
        "bird",
        "side",
        "ground",
        0.25,
        songbird,
        recolour=True,
    ),
    Shape(
        "duck",
        "bird",
        "side",
        "water",
        0.5,
        duck,
        recolour=True,
        foot=0.12,
    ),
    Shape(
        "flying-bird",
        "bird",
        "side",
        "air",
        0.6,
        flying_bird,
        recolour=True,
    ),
)
