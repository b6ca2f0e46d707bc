"""People: standing, walking and children, with many skins, hairs and clothes."""

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
    puffs,
    rect,
    shade,
    smooth,
    some,
    tone,
)

SKINS = ("#fbd9bd", "#f0c19a", "#d9a06f", "#b57a4c", "#8a5634", "#5f3a26")
HAIRS = ("#2f2624", "#4a3226", "#7a4a2a", "#a8672f", "#dcb35c", "#c9c6c2")
CLOTHES = ("#d63c35", "#2f73c8", "#f2b92f", "#4a9c56", "#e8762c", "#8a4fae", "#2f8f8f", "#e77fb2", "#f1efe8", "#5c6670")
TROUSERS = ("#3a4a6b", "#4a4d57", "#6b5440", "#2f5f7a", "#7a7f88", "#3f5a45")
SHOES = ("#4a3a34", "#2f2f36", "#c8372f", "#f1efe8", "#6b4a35")


def _looks(rng: np.random.Generator) -> tuple[str, str]:
    """Skin and hair."""
    skin = one(rng, SKINS)
    return skin, one(rng, HAIRS if skin in SKINS[:3] else (*HAIRS[:3], HAIRS[0], HAIRS[5]))


def _hair_behind(pen: Pen, style: int, x: float, y: float, r: float, hair: str) -> None:
    if style == 1:
        pen.fill(
            smooth(
                (x - r * 1.15, y),
                (x, y - r * 1.2),
                (x + r * 1.15, y),
                (x + r * 1.2, y + r * 1.7),
                (x, y + r * 1.5),
                (x - r * 1.2, y + r * 1.7),
            ),
            shade(hair, 0.85),
        )
    elif style == 2:
        pen.fill(circle(x, y - r * 1.2, r * 0.5), shade(hair, 0.88))
    elif style == 4:
        for way in (-1, 1):
            pen.fill(ellipse(x + way * r * 1.2, y + r * 0.45, r * 0.38, r * 0.75, way * -14), shade(hair, 0.88))


def _face(pen: Pen, rng: np.random.Generator, x: float, y: float, r: float, skin: str, hair: str, style: int) -> None:
    """A head from the front; styles: short, long, bun, curly, bunches, cap, bald."""
    if style == 3:
        pen.fill(puffs(rng, x, y - r * 0.35, r * 0.95, r * 0.75, 11, r * 0.34), hair)
    for way in (-1, 1):
        pen.fill(circle(x + way * r * 0.98, y + r * 0.1, r * 0.2), shade(skin, 0.88))
    pen.solid(ellipse(x, y, r, r * 1.08), skin, (-r * 0.06, -r * 0.1), 0.88)
    if style == 5:
        cap = one(rng, CLOTHES)
        pen.fill(dome(x - r * 1.06, x + r * 1.06, y - r * 0.25, r * 0.95), cap)
        pen.fill(rect(x - r * 1.25, y - r * 0.36, r * 2.1, r * 0.24, r * 0.12), shade(cap, 0.78))
    elif style != 6:
        part = one(rng, (-0.45, 0.0, 0.45)) * r
        fringe = smooth(
            (x - r * 1.06, y + r * 0.12), (x - r * 1.0, y - r * 0.6), (x, y - r * 1.22),
            (x + r * 1.0, y - r * 0.6), (x + r * 1.06, y + r * 0.12)
            , (x + r * 0.86, y - r * 0.3), (x + part, y - r * 0.52), (x - r * 0.86, y - r * 0.3)
        )  # fmt: skip
        pen.fill(fringe, hair)
    if style == 6:
        pen.stroke(
            shade(hair, 0.9), r * 0.22, (x - r * 0.5, y + r * 0.72), (x, y + r * 0.95), (x + r * 0.5, y + r * 0.72)
        )
    for way in (-1, 1):
        pen.fill(ellipse(x + way * r * 0.38, y + r * 0.08, r * 0.12, r * 0.15), "#2b2426")
        pen.fill(circle(x + way * r * 0.56, y + r * 0.42, r * 0.17), "#e8735f", opacity=0.35)
    pen.stroke(
        "#8f3f34" if skin > "#8b" else "#3f1f1a",
        r * 0.11,
        (x - r * 0.3, y + r * 0.46),
        (x, y + r * 0.6),
        (x + r * 0.3, y + r * 0.46),
    )


def _front(rng: np.random.Generator, colour: str | None, head: float, tall: float, child: bool) -> str:
    """A figure that faces us; ``head`` is the radius of the head and ``tall`` the length of trunk and legs."""
    pen = Pen()
    skin, hair = _looks(rng)
    top, low = tone(rng, colour, CLOTHES), one(rng, TROUSERS)
    style = int(
        rng.choice(
            7, p=(0.26, 0.2, 0.1, 0.14, 0.1, 0.12, 0.08) if not child else (0.3, 0.15, 0.08, 0.17, 0.18, 0.12, 0)
        )
    )
    dress = style in (1, 2, 4) and chance(rng, 0.55)
    wide = head * (0.95 if child else some(rng, 0.98, 1.2))
    neck = 20 + 2.1 * head
    hip, foot = neck + tall * (0.46 if child else 0.42), neck + tall
    _hair_behind(pen, style, 128, 20 + head, head, hair)
    shoe, gap = one(rng, SHOES), wide * 0.46
    short = chance(rng, 0.35)
    for way in (-1, 1):
        x = 128 + way * gap
        pen.stroke(skin if dress or short else low, wide * 0.62, (x, hip), (x + way * 3, foot - 7), curved=False)
        if short and not dress:
            pen.stroke(low, wide * 0.72, (x, hip), (x + way, hip + (foot - hip) * 0.36), curved=False)
        pen.fill(dome(x - wide * 0.42 + way * 5, x + wide * 0.42 + way * 5, foot + 2, wide * 0.48), shoe)
    sleeve = chance(rng, 0.5)
    up = chance(rng, 0.15)
    for way in (-1, 1):
        shoulder = (128 + way * wide * 0.88, neck + wide * 0.34)
        hand = (128 + way * wide * some(rng, 1.35, 1.75), hip + some(rng, -4, 6))
        if up and way > 0:
            hand = (128 + way * wide * 1.8, neck - head * 0.9)
        elbow = ((shoulder[0] + hand[0]) / 2 + way * 5, (shoulder[1] + hand[1]) / 2)
        pen.stroke(skin, wide * 0.36, shoulder, elbow, hand)
        pen.fill(circle(*hand, wide * 0.23), skin)
        pen.stroke(
            shade(top, 0.84),
            wide * 0.46,
            shoulder,
            elbow if sleeve else ((shoulder[0] * 0.55 + elbow[0] * 0.45), shoulder[1] * 0.55 + elbow[1] * 0.45),
            curved=False,
        )
    pen.fill(rect(128 - head * 0.32, neck - head * 0.5, head * 0.64, head * 0.8), shade(skin, 0.84))
    flare, end = (wide * 1.55, hip + (foot - hip) * 0.48) if dress else (wide * 0.92, hip + wide * 0.25)
    trunk = smooth((128 - wide * 0.5, neck), (128 - wide * 0.98, neck + wide * 0.3),
        (128 - wide * 0.84, hip - wide * 0.4), (128 - flare, end), (128 + flare, end)
                   , (128 + wide * 0.84, hip - wide * 0.4), (128 + wide * 0.98, neck + wide * 0.3),
                   (128 + wide * 0.5, neck), tension=0.6)  # fmt: skip
    pen.solid(trunk, top, (-wide * 0.14, -3), 0.86)
    with pen.within(trunk):
        if chance(rng, 0.25):
            for k in range(12):
                pen.fill(rect(60, neck + 8 + k * 18, 140, 8), shade(top, 1.55) if colour != "white" else "#b9c4d0")
        pen.fill(ellipse(128, neck - 2, head * 0.42, head * 0.3), shade(skin, 0.92))
        if not dress:
            pen.fill(rect(60, hip + wide * 0.02, 140, 60), low)
    _face(pen, rng, 128, 20 + head, head, skin, hair, style)
    return pen.body()


def adult(rng: np.random.Generator, colour: str | None) -> str:
    """A grown-up who faces us; the colour is that of the shirt or dress."""
    return _front(rng, colour, some(rng, 25, 28), some(rng, 150, 172), False)


def child(rng: np.random.Generator, colour: str | None) -> str:
    """A child who faces us."""
    return _front(rng, colour, some(rng, 32, 36), some(rng, 100, 122), True)


def _profile(pen: Pen, rng: np.random.Generator, x: float, y: float, r: float, skin: str, hair: str) -> None:
    """A head that looks left."""
    style = int(rng.integers(4))
    if style == 1:
        pen.fill(
            smooth(
                (x - r * 0.2, y - r),
                (x + r * 1.2, y - r * 0.5),
                (x + r * 1.5, y + r * 1.3),
                (x + r * 0.5, y + r * 1.6),
                (x + r * 0.1, y),
            ),
            shade(hair, 0.86),
        )
    elif style == 2:
        pen.fill(
            smooth(
                (x + r * 0.8, y - r * 0.7),
                (x + r * 1.7, y - r * 0.3),
                (x + r * 1.6, y + r * 0.9),
                (x + r * 1.1, y + r * 0.1),
            ),
            shade(hair, 0.86),
        )
    pen.fill(polygon((x - r * 0.9, y - r * 0.1), (x - r * 1.22, y + r * 0.3), (x - r * 0.8, y + r * 0.4)), skin, soft=3)
    pen.solid(ellipse(x, y, r, r * 1.06), skin, (-r * 0.08, -r * 0.08), 0.88)
    cap = smooth((x - r * 0.85, y - r * 0.55), (x - r * 0.3, y - r * 1.16), (x + r * 0.6, y - r * 1.08),
        (x + r * 1.12, y - r * 0.2), (x + r * 0.8, y + r * 0.75)
                 , (x + r * 0.4, y + r * 0.2), (x + r * 0.2, y - r * 0.35), tension=0.8)  # fmt: skip
    if style == 3:
        pen.fill(puffs(rng, x + r * 0.3, y - r * 0.5, r * 0.75, r * 0.5, 9, r * 0.3), hair)
    else:
        pen.fill(cap, hair)
    pen.fill(circle(x + r * 0.28, y + r * 0.22, r * 0.2), shade(skin, 0.86))
    pen.fill(ellipse(x - r * 0.5, y + r * 0.02, r * 0.12, r * 0.16), "#2b2426")
    pen.stroke(
        "#8f3f34" if skin > "#8b" else "#3f1f1a",
        r * 0.11,
        (x - r * 0.78, y + r * 0.54),
        (x - r * 0.6, y + r * 0.62),
        (x - r * 0.36, y + r * 0.5),
    )


def walker(rng: np.random.Generator, colour: str | None) -> str:
    """Somebody who walks to the left."""
    pen = Pen()
    skin, hair = _looks(rng)
    top, low, shoe = tone(rng, colour, CLOTHES), one(rng, TROUSERS), one(rng, SHOES)
    stride, swing = some(rng, 18, 36), some(rng, 16, 34)
    sleeve = chance(rng)

    def leg(way: float, k: float) -> None:
        knee, ankle = (128 + way * stride * 0.55 - 4, 192), (128 + way * stride + (6 if way > 0 else 0), 240)
        pen.stroke(shade(low, k), 22, (128, 146), knee, ankle)
        pen.fill(dome(ankle[0] - 22, ankle[0] + 11, 250, 15), shade(shoe, k))

    def arm(way: float, k: float) -> None:
        elbow, hand = (128 + way * swing * 0.7 + 3, 112), (128 + way * swing * 1.2 - 6, 138)
        pen.stroke(shade(skin, k), 13, (130, 84), elbow, hand)
        pen.fill(circle(*hand, 8), shade(skin, k))
        pen.stroke(shade(top, k), 17, (130, 84), elbow if sleeve else (130 + way * swing * 0.3, 98), curved=False)

    arm(1, 0.76)
    leg(1, 0.76)
    leg(-1, 1.0)
    if chance(rng, 0.25):
        pen.solid(rect(138, 74, 34, 52, 14), one(rng, CLOTHES), (-4, -4))
    pen.fill(rect(120, 56, 18, 24), shade(skin, 0.84))
    pen.solid(
        smooth((116, 72), (132, 68), (150, 82), (152, 120), (148, 152), (110, 152), (106, 112), (108, 84), tension=0.8),
        top,
        (-4, -3),
        0.86,
    )
    arm(-1, 0.96 if not sleeve else 0.9)
    _profile(pen, rng, 126, 40, 25, skin, hair)
    return pen.body()


SHAPES = (
    Shape("adult", "person", "front", "ground", 1.7, adult, recolour=True),
    Shape("child", "person", "front", "ground", 1.15, child, recolour=True),
    Shape("walker", "person", "side", "ground", 1.7, walker, recolour=True),
)
