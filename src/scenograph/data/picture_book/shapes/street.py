"""Things along streets, in parks and on beaches."""

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

IRON, STEEL = "#4b4d57", "#9aa0a8"
BRIGHT = ("#d63c35", "#2f73c8", "#f2b92f", "#4a9c56", "#e8762c", "#8a4fae", "#e77fb2", "#2f8f8f")


def bench(rng: np.random.Generator, colour: str | None) -> str:
    """A park bench from the front."""
    pen = Pen()
    wood, count = tone(rng, colour, ("#b5793f", "#9a6538", "#c89052", "#8a5a3c")), int(rng.integers(2, 5))
    half, iron = some(rng, 104, 118), one(rng, (IRON, "#3f5a45", "#8a8f96"))
    for x in (128 - half + 22, 128 + half - 22):
        pen.fill(rect(x - 5, 122, 10, 76), shade(iron, 0.8))
    step = 56 / count
    for k in range(count):
        pen.solid(rect(128 - half, 112 + k * step, 2 * half, step - 5, 4), wood, (0, -4), 0.8)
    for k in range(2):
        pen.solid(
            rect(128 - half - 4 - 3 * k, 182 + 11 * k, 2 * half + 8 + 6 * k, 11, 4),
            shade(wood, 1.1 - 0.12 * k),
            (0, -3),
            0.8,
        )
    for way in (-1, 1):
        x = 128 + way * (half - 12)
        pen.fill(rect(x - 6, 202, 12, 46, 3), iron)
        pen.fill(rect(x - 13, 241, 26, 8, 3), iron)
        if half > 110:
            pen.stroke(iron, 9, (x + way * 8, 200), (x + way * 10, 164), (x - way * 6, 158))
    return pen.body()


def traffic_light(rng: np.random.Generator, colour: str | None) -> str:
    """A traffic light on its pole."""
    pen = Pen()
    case, lit = one(rng, ("#3a3d48", "#3f4a45", "#e0ac2c")), int(rng.integers(3))
    pole = some(rng, 50, 110)
    low = 178
    pen.solid(rect(122, low - 4, 13, pole, 2), "#6a6d76", (-4, 0), 0.75)
    pen.fill(rect(108, low + pole - 12, 41, 12, 3), "#55585f")
    pen.solid(rect(90, 10, 76, low - 10, 18), case, (-6, -4), 0.78)
    for k, lamp in enumerate(("#f0453a", "#f7c436", "#4fc25a")):
        y = 40 + k * 54
        pen.fill(circle(128, y, 24), shade(case, 0.55))
        pen.fill(circle(128, y, 20), lamp if k == lit else shade(lamp, 0.6))
        pen.fill(ellipse(121, y - 8, 7, 5, -30), shade(lamp, 1.6 if k == lit else 1.0))
        pen.line(dome(104, 152, y, 25)[:-1], shade(case, 0.5), 5)
    return pen.body()


def stop_sign(rng: np.random.Generator, colour: str | None) -> str:
    """An octagon with a bar in four pieces, where the letters are."""
    pen = Pen()
    red, pole = tone(rng, None, ("#d2322d", "#c62f2f", "#dc3b33")), some(rng, 60, 130)

    def octagon(r: float) -> str:
        return polygon(
            *(
                (128 + r * math.cos(math.pi * (k + 0.5) / 4), 80 + r * math.sin(math.pi * (k + 0.5) / 4))
                for k in range(8)
            )
        )

    pen.solid(rect(122, 120, 13, 36 + pole, 2), one(rng, (STEEL, "#c9ced6", "#8a6240")), (-4, 0), 0.75)
    pen.fill(octagon(76), "#fbfaf6", soft=3)
    pen.solid(octagon(68), red, (-4, -5), 0.86)
    for k in range(4):
        pen.fill(rect(75 + k * 28, 62, 22, 36, 6), "#fbfaf6")
    return pen.body()


def hydrant(rng: np.random.Generator, colour: str | None) -> str:
    """A fire hydrant."""
    pen = Pen()
    paint, cap = (
        tone(rng, colour, ("#d2322d", "#e0ac2c", "#d63c35", "#d63c35")),
        one(rng, ("#c9ced6", "#f0d27a", "#f1efe8")),
    )
    wide, top = some(rng, 36, 44), some(rng, 74, 88)
    for way in (-1, 1):
        pen.fill(rect(128 + way * (wide + 14) - 14, 136, 28, 32, 3), shade(paint, 0.82))
        pen.fill(rect(128 + way * (wide + 30) - 6, 132, 12, 40, 3), cap)
    pen.solid(rect(128 - wide, top, 2 * wide, 150, 4), paint, (-wide * 0.35, 0), 0.8)
    pen.solid(dome(128 - wide, 128 + wide, top, 42), paint, (-wide * 0.25, -2), 0.8)
    pen.fill(rect(116, top - 54, 24, 18, 4), cap)
    pen.solid(rect(128 - wide - 8, top - 6, 2 * wide + 16, 15, 5), shade(paint, 1.12), (-4, -3), 0.78)
    pen.solid(rect(128 - wide - 16, 222, 2 * wide + 32, 22, 5), shade(paint, 0.92), (-4, -5), 0.78)
    pen.fill(circle(128, 152, 23), shade(paint, 0.7))
    pen.solid(circle(128, 152, 17), cap, (-3, -3))
    pen.fill(circle(128, 152, 5), shade(cap, 0.7))
    return pen.body()


def parking_meter(rng: np.random.Generator, colour: str | None) -> str:
    """A parking meter on its pole."""
    pen = Pen()
    case, pole = tone(rng, colour, ("#6f7f8f", "#5f6b78", "#4d82b5", "#8a8f96")), some(rng, 90, 130)
    pen.solid(rect(119, 124, 18, pole + 4, 2), STEEL, (-6, 0), 0.75)
    pen.fill(rect(102, 124 + pole, 52, 10, 3), shade(STEEL, 0.7))
    pen.solid(dome(80, 176, 62, 54) + rect(80, 60, 96, 50, 2), case, (-8, -4), 0.8)
    pen.solid(polygon((80, 108), (176, 108), (158, 138), (98, 138)), shade(case, 0.88), (-8, 0), 0.8)
    pen.fill(dome(94, 162, 60, 38), "#eaf5f4")
    pen.stroke("#d2322d", 5, (128, 58), (128 + some(rng, -18, 18), 34), curved=False)
    for k in (-22, 0, 22):
        pen.stroke("#6a6d76", 3, (128 + k, 30 + abs(k) * 0.3), (128 + k * 0.85, 37 + abs(k) * 0.3), curved=False)
    pen.fill(rect(108, 74, 16, 22, 3), shade(case, 0.5))
    pen.fill(circle(145, 85, 9), "#e0ac2c")
    pen.stroke("#8a6a1a", 3, (145, 80), (145, 90), curved=False)
    return pen.body()


def street_lamp(rng: np.random.Generator, colour: str | None) -> str:
    """A street lamp, old or new."""
    pen = Pen()
    iron, glow = tone(rng, None, (IRON, "#3f5a4f", "#5a6068")), "#ffe28a"
    if chance(rng, 0.55):
        foot = some(rng, 206, 256)
        pen.solid(rect(122, 70, 12, foot - 72, 2), iron, (-4, 0), 0.75)
        pen.fill(polygon((106, foot), (112, foot - 32), (144, foot - 32), (150, foot)), iron, soft=3)
        pen.fill(rect(112, 92, 32, 7, 3), iron)
        pen.solid(polygon((98, 28), (158, 28), (146, 76), (110, 76)), glow, (-8, 0), 0.88)
        for a, b in (((98, 28), (110, 76)), ((158, 28), (146, 76)), ((128, 28), (128, 76))):
            pen.stroke(iron, 5, a, b, curved=False)
        pen.fill(polygon((90, 28), (128, 4), (166, 28)), iron, soft=4)
        pen.fill(rect(104, 72, 48, 8, 3), iron)
        pen.fill(circle(128, 4, 5), iron)
    else:
        reach, twin = some(rng, 56, 76), chance(rng, 0.35)
        pen.solid(rect(123, 34, 11, 214, 3), iron, (-4, 0), 0.75)
        pen.fill(rect(112, 226, 33, 22, 3), iron)
        for way in (-1, 1) if twin else (-1,):
            pen.stroke(iron, 8, (128, 46), (128 + way * 10, 22), (128 + way * reach, 16))
            x = 128 + way * reach
            pen.fill(ellipse(x, 26, 22, 9), glow)
            pen.fill(dome(x - 26, x + 26, 25, 17), iron)
    return pen.body()


def umbrella(rng: np.random.Generator, colour: str | None) -> str:
    """An open umbrella, with a crook or standing as a parasol."""
    pen = Pen()
    cloth = tone(rng, colour, BRIGHT)
    other = "#f8f3e8" if chance(rng, 0.5) and colour != "white" else shade(cloth, 0.8)
    beach = chance(rng)
    base, high, ribs = 128, some(rng, 88, 106), 6
    if beach:
        pen.solid(rect(123, 100, 10, 148, 2), "#f1efe8", (-4, 0), 0.8)
    else:
        pen.line("M128 110L128 216C128 244 92 244 94 218", "#7a5234", 9)
    pen.fill(rect(125, base - high - 18, 6, 24, 3), "#7a5234")
    data = dome(12, 244, base, high)
    pen.fill(data, cloth)
    with pen.within(data):
        edges = [12 + 232 * (0.5 - 0.5 * math.cos(math.pi * k / ribs)) for k in range(ribs + 1)]
        for k in range(ribs):
            left, right = edges[k], edges[k + 1]
            top = base - high
            panel = f"M128 {top:.1f}C{left:.1f} {top + 20:.1f} {left:.1f} {base - 20:.1f} {left:.1f} {base}"
            panel += f"L{right:.1f} {base}C{right:.1f} {base - 20:.1f} {right:.1f} {top + 20:.1f} 128 {top:.1f}Z"
            pen.fill(panel, cloth if k % 2 == 0 else other)
        pen.fill(smooth((180, 0), (256, 40), (256, 140), (206, 140), (214, 80)), "#000000", opacity=0.1)
    for k in range(ribs):
        middle, half = (edges[k] + edges[k + 1]) / 2, (edges[k + 1] - edges[k]) / 2
        pen.fill(dome(middle - half, middle + half, base - 0.5, -9), cloth if k % 2 == 0 else other)
    return pen.body()


def kite(rng: np.random.Generator, colour: str | None) -> str:
    """A kite with its tail."""
    pen = Pen()
    cloth = tone(rng, colour, BRIGHT)
    other = one(rng, [paint for paint in BRIGHT if paint != cloth]) if not colour else shade(cloth, 1.5)
    wide, turn = some(rng, 54, 68), some(rng, 12, 34)
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def at(x: float, y: float) -> tuple[float, float]:
        return 128 + x * cos - y * sin, 90 + x * sin + y * cos

    top, right, low, left, middle = at(0, -76), at(wide, -14), at(0, 92), at(-wide, -14), at(0, -14)
    tail = [
        low,
        (low[0] - 18, low[1] + 22),
        (low[0] + 8, low[1] + 44),
        (low[0] - 16, low[1] + 66),
        (low[0] + 4, low[1] + 88),
    ]
    pen.stroke("#7a5234", 4, *tail)
    for k, (x, y) in enumerate(tail[1:4]):
        bow = cloth if k % 2 else other
        pen.fill(polygon((x - 16, y - 9), (x - 16, y + 9), (x + 16, y - 9), (x + 16, y + 9)), bow, soft=3)
    pen.fill(polygon(top, right, low, left), cloth, soft=5)
    pen.fill(polygon(top, right, middle), other)
    pen.fill(polygon(left, middle, low), shade(other, 0.9))
    pen.fill(polygon(right, middle, low), shade(cloth, 0.86))
    pen.stroke("#7a5234", 4, top, low, curved=False)
    pen.stroke("#7a5234", 4, left, right, curved=False)
    return pen.body()


def skateboard(rng: np.random.Generator, colour: str | None) -> str:
    """A skateboard."""
    pen = Pen()
    deck, wheel = tone(rng, colour, BRIGHT), one(rng, ("#f1efe8", "#f2b92f", "#e8503f", "#7fc4d8"))
    for x in (70, 186):
        pen.fill(polygon((x - 20, 176), (x + 20, 176), (x + 9, 198), (x - 9, 198)), STEEL)
    bend = some(rng, 20, 34)
    for k, width in ((shade(deck, 0.72), 18), (deck, 11)):
        pen.stroke(k, width, (16, 166 - bend), (46, 166), (128, 170), (210, 166), (240, 166 - bend))
    for x in (70, 186):
        for way in (-1, 1):
            pen.solid(circle(x + way * 17, 206, 17), wheel, (-3, -4), 0.8)
            pen.fill(circle(x + way * 17, 206, 6), IRON)
    return pen.body()


def surfboard(rng: np.random.Generator, colour: str | None) -> str:
    """A surfboard on its end."""
    pen = Pen()
    board = tone(rng, colour, ("#f6f1e4", "#f2b92f", "#4db3c8", "#e8762c", "#e77fb2"))
    stripe = (
        one(rng, ("#d63c35", "#2f73c8", "#2f8f8f", "#f2b92f"))
        if not colour
        else shade(board, 1.6 if colour != "white" else 0.6)
    )
    wide = some(rng, 30, 40)
    data = smooth((128, 6), (128 + wide * 0.75, 66), (128 + wide, 140), (128 + wide * 0.7, 214), (128, 248),
        (128 - wide * 0.7, 214)
                  , (128 - wide, 140), (128 - wide * 0.75, 66), tension=0.9)  # fmt: skip
    pen.solid(data, board, (-6, -3), 0.82)
    with pen.within(data):
        form = int(rng.integers(3))
        if form == 0:
            pen.fill(rect(122, 0, 12, 256), stripe)
        elif form == 1:
            for k in (150, 176, 202):
                pen.fill(polygon((60, k), (200, k - 34), (200, k - 18), (60, k + 16)), stripe)
        else:
            pen.fill(smooth((60, 150), (110, 170), (140, 140), (200, 160), (200, 260), (60, 260)), stripe)
            pen.fill(circle(128, 92, 15), stripe)
    return pen.body()


def ball(rng: np.random.Generator, colour: str | None) -> str:
    """A football, basketball, tennis ball or beach ball."""
    pen = Pen()
    form = 3 if colour else int(rng.integers(4))
    data = circle(128, 128, 116)
    base = tone(rng, colour, BRIGHT) if form == 3 else tone(rng, None, (("#f6f5f0", "#e5792f", "#cfe04a")[form],))
    pen.fill(data, base)
    turn = some(rng, 0, 1.2)
    with pen.within(data):
        if form == 0:
            for k in range(6):
                a = turn + math.tau * k / 5
                x, y, r = (128, 128, 36) if k == 5 else (128 + 98 * math.cos(a), 128 + 98 * math.sin(a), 36)
                pen.fill(
                    polygon(
                        *(
                            (x + r * math.cos(a + math.tau * i / 5), y + r * math.sin(a + math.tau * i / 5))
                            for i in range(5)
                        )
                    ),
                    "#33323a",
                    soft=4,
                )
                if k < 5:
                    pen.stroke("#33323a", 5, (128 + 30 * math.cos(a), 128 + 30 * math.sin(a)), (x, y), curved=False)
        elif form == 1:
            for line in (
                (128, 0, 128, 128, 128, 256),
                (0, 118, 128, 134, 256, 118),
                (30, 20, 86, 128, 30, 236),
                (226, 20, 170, 128, 226, 236),
            ):
                pen.stroke("#5a3420", 6, (line[0], line[1]), (line[2], line[3]), (line[4], line[5]))
        elif form == 2:
            pen.stroke("#fbfaf0", 10, (20, 40), (100, 90), (90, 180), (30, 230))
            pen.stroke("#fbfaf0", 10, (236, 20), (170, 90), (180, 170), (240, 220))
        else:
            for k in range(3):
                a, b = turn + math.tau * k / 3, turn + math.tau * k / 3 + 1.05
                pen.fill(
                    smooth(
                        (128, 116),
                        (128 + 90 * math.cos(a), 128 + 70 * math.sin(a)),
                        (128 + 150 * math.cos(a), 128 + 150 * math.sin(a)),
                        (128 + 150 * math.cos(b), 128 + 150 * math.sin(b)),
                        (128 + 80 * math.cos(b), 128 + 90 * math.sin(b)),
                        tension=0.6,
                    ),
                    "#fbfaf0",
                )
            pen.fill(circle(128, 116, 14), "#fbfaf0")
        pen.fill(smooth((246, 90), (256, 200), (160, 256), (60, 246), (150, 232), (216, 176)), "#000000", opacity=0.13)
        pen.fill(ellipse(86, 72, 30, 18, -36), "#ffffff", opacity=0.4)
    return pen.body(some(rng, -18, 18))


def frisbee(rng: np.random.Generator, colour: str | None) -> str:
    """A flying disc, seen a little from above."""
    pen = Pen()
    disc = tone(rng, colour, BRIGHT)
    turn, thin = some(rng, -16, 6), some(rng, 0.34, 0.46)
    pen.fill(ellipse(128, 146, 118, 118 * thin, turn), shade(disc, 0.7))
    pen.fill(ellipse(128, 132, 118, 118 * thin, turn), disc)
    pen.fill(ellipse(128, 131, 92, 92 * thin, turn), shade(disc, 1.2))
    pen.fill(ellipse(128, 134, 88, 88 * thin, turn), shade(disc, 0.93))
    pen.fill(ellipse(128, 132, 40, 40 * thin, turn), "#f8f3e8" if colour != "white" else "#b9c4d0")
    pen.fill(ellipse(128, 132, 28, 28 * thin, turn), disc)
    return pen.body()


SHAPES = (
    Shape("bench", "bench", "front", "ground", 0.9, bench, recolour=True),
    Shape("traffic-light", "traffic light", "front", "ground", 3.2, traffic_light, mirror=False),
    Shape("stop-sign", "stop sign", "front", "ground", 2.3, stop_sign),
    Shape("fire-hydrant", "fire hydrant", "front", "ground", 0.8, hydrant, recolour=True),
    Shape("parking-meter", "parking meter", "front", "ground", 1.4, parking_meter, recolour=True),
    Shape("street-lamp", "light", "side", "ground", 4.5, street_lamp),
    Shape("umbrella", "umbrella", "side", "ground", 2.0, umbrella, recolour=True),
    Shape("kite", "kite", "front", "air", 1.6, kite, recolour=True),
    Shape("skateboard", "skateboard", "side", "ground", 0.18, skateboard, recolour=True),
    Shape("surfboard", "surfboard", "front", "ground", 1.9, surfboard, recolour=True),
    Shape("ball", "sports ball", "front", "ground", 0.26, ball, recolour=True),
    Shape("frisbee", "frisbee", "quarter", "ground", 0.12, frisbee, recolour=True),
)
