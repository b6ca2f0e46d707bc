"""Textures of skies, grounds and waters; :func:`paint` makes any of them and those of rooms and streets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from scenograph.data.picture_book.layers import Light
from scenograph.data.picture_book.noise import (
    Plane,
    cloudy,
    colour,
    flat_noise,
    gradient,
    joints,
    mix,
    pick,
    shaded,
    step,
    tones,
    vary,
)
from scenograph.data.picture_book.surfaces import INDOORS, UPRIGHT

SKIES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "day": (
        ("4f9fe0", "8cc6f0", "d8eef8"),
        ("66b4ea", "a4d6f4", "e6f4f6"),
        ("7fb6de", "b4d6ea", "eef2ea"),
        ("5aa8d8", "9ad2e4", "f2efdc"),
        ("9fb9cc", "bccfdb", "dde6ea"),
    ),
    "dusk": (
        ("5b6fb0", "d99bb0", "ffd3a0"),
        ("6f82c4", "f0a890", "ffe0b0"),
        ("7a6aa8", "e58f88", "ffc58a"),
        ("8fa4d0", "f3bfa8", "fde3bd"),
    ),
    "night": (
        ("10183c", "24356e", "4a5c96"),
        ("0f2244", "214a78", "4f7ea0"),
        ("1a1842", "3a3672", "6a5c94"),
    ),
}
HAZE = {"day": "d4e6f0", "dusk": "f0c2ac", "night": "3c4a78"}
GRASSES = (
    ("5fa845", "add381", "3f8f3f"),
    ("4f9d40", "a2cc74", "2f8038"),
    ("74a84a", "c4d488", "55893a"),
    ("4b9c5e", "a4d2a0", "338050"),
    ("8fa64a", "ccca84", "6f8a3c"),
)


def sky(side: int, rng: np.random.Generator, light: Light, horizon: float) -> np.ndarray:
    """(side, side, 3): a soft gradient with a glow, sometimes the sun, the moon or stars."""
    stops = SKIES[light.name]
    top, middle, low = (vary(colour(code), rng, 0.015) for code in stops[int(rng.integers(len(stops)))])
    y = ((np.arange(side, dtype=np.float32) + 0.5) / side) / max(horizon, 0.3)
    rows = gradient(np.clip(y, 0, 1), ((0.0, top), (0.55, middle), (1.0, low)))
    pixels = np.repeat(rows[:, None], side, 1)
    veil = step(cloudy(rng, (side, side), (6, 2), 2), 0.35, 0.9)
    pixels = mix(pixels, low, veil * float(rng.uniform(0.1, 0.4)))
    x = (np.arange(side, dtype=np.float32)[None] + 0.5) / side
    y = (np.arange(side, dtype=np.float32)[:, None] + 0.5) / side
    if light.name == "night":
        count = int(rng.integers(15, 50))
        at = (rng.random((count, 2)) * (side, side * horizon)).astype(int)
        pixels[at[:, 1], at[:, 0]] += (1 - pixels[at[:, 1], at[:, 0]]) * rng.random((count, 1))
    if rng.random() < 0.55:
        low_sun = light.name == "dusk"
        at_x = rng.uniform(0.1, 0.9)
        at_y = rng.uniform(0.6, 0.95) * horizon if low_sun else rng.uniform(0.1, 0.4) * horizon
        radius = rng.uniform(0.03, 0.055)
        distance = np.sqrt((x - at_x) ** 2 + (y - at_y) ** 2).astype(np.float32)
        disc = colour({"day": "fff4c4", "dusk": "fff0b8", "night": "f4f2e0"}[light.name])
        reach = 0.12 if light.name == "night" else 0.28
        pixels = mix(pixels, disc, np.exp(-((distance / reach) ** 2)) * (0.3 if light.name == "night" else 0.5))
        pixels = mix(pixels, disc, np.clip((radius - distance) * side * 0.6 + 0.5, 0, 1) * 0.95)
    return pixels


def _base(g: Plane, near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """(h, 1, 3): ``far`` at the horizon to ``near`` at the bottom."""
    return mix(far, near, step(g.near, -0.1, 0.75)[:, :, None])


def _grain(g: Plane, pixels: np.ndarray, noise: np.ndarray, amount: float) -> np.ndarray:
    return shaded(pixels, 1 + noise * np.float32(amount))


def tufts(g: Plane, rng: np.random.Generator, count: int, height: float, spread: float) -> np.ndarray:
    """(h, side) float32 coverage of small tufts of blades, smaller towards the horizon."""
    rows = g.side - g.top
    canvas = Image.new("L", (g.side, rows), 0)
    pen = ImageDraw.Draw(canvas)
    width = max(1, round(g.side / 220))
    for near, x, turn in zip(rng.random(count) ** 0.7, rng.random(count), rng.normal(0, 0.3, count), strict=True):
        size = height * (0.12 + near) * g.side
        foot = (x * g.side, near * rows)
        for lean in (-0.8, 0.0, 0.8):
            reach = (foot[0] + (lean + turn) * spread * size, foot[1] - size * (1 - 0.3 * abs(lean)))
            pen.line((foot, reach), fill=255, width=width)
    return np.asarray(canvas, np.float32) / 255


def grass(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Patches, fine blades and tufts, sometimes with small blossoms."""
    near, far, deep = (vary(colour(code), rng) for code in GRASSES[int(rng.integers(len(GRASSES)))])
    patches = step(g.octaves(rng, 1.7, 2.2), -0.7, 0.9)
    pixels = mix(_base(g, near, far), deep, patches * 0.45 * step(g.near, -0.2, 0.6))
    pixels = _grain(g, pixels, g.noise(rng, 46, 16), 0.09)
    pixels = mix(pixels, deep * 0.85, tufts(g, rng, 45, 0.035, 0.45) * 0.6)
    pixels = mix(pixels, mix(near, far, 0.7), tufts(g, rng, 35, 0.03, 0.5) * 0.6)
    if rng.random() < 0.35:
        shade = pick(rng, ("fdf6e0", "f6d860", "e88aa0", "b79ae0"))
        canvas = Image.new("L", (g.side, g.side - g.top), 0)
        pen = ImageDraw.Draw(canvas)
        for at, x in zip(rng.random(40) ** 0.8, rng.random(40), strict=True):
            r = (0.003 + 0.006 * at) * g.side
            pen.ellipse(
                (x * g.side - r, at * (g.side - g.top) - r * 0.8, x * g.side + r, at * (g.side - g.top) + r * 0.8), 255
            )
        pixels = mix(pixels, shade, np.asarray(canvas, np.float32) / 255 * 0.9)
    return pixels


def playingfield(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Mown stripes, towards the eye or across."""
    near, far, deep = (vary(colour(code), rng, 0.01) for code in GRASSES[int(rng.integers(2))])
    away = rng.random() < 0.5
    cells = g.v * 3 + float(rng.random()) if away else g.u * 4 + float(rng.random())
    pixels_a_cell = g.away_pixels(3) if away else g.across_pixels(4)
    wave = np.clip(np.sin(cells * np.pi * 2) * pixels_a_cell / 6, -0.5, 0.5) + 0.5
    fade = np.clip(pixels_a_cell / 8, 0, 1)
    pixels = mix(_base(g, near, far), deep, np.broadcast_to(wave * fade * 0.5, g.u.shape))
    pixels = _grain(g, pixels, g.octaves(rng, 1.5, 1.5), 0.04)
    return _grain(g, pixels, g.noise(rng, 46, 16), 0.06)


def sand(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Soft dunes, ripples and specks."""
    near, far = (pick(rng, ("e6c584", "e3bf8a", "edd29a")), pick(rng, ("f4e2b6", "f2dcc0")))
    pixels = mix(_base(g, near, far), near * np.float32(0.86), step(g.octaves(rng, 1.3, 2.0), -0.3, 1.1) * 0.55)
    pixels = _grain(g, pixels, g.noise(rng, 3, 14), 0.05)
    return _grain(g, pixels, g.noise(rng, 60, 30), 0.06)


def savanna(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Dry grass: golden, with tufts."""
    near, far = pick(rng, ("cfa650", "c9a85a", "d6b05c", "b9a552")), pick(rng, ("e8d59a", "e9cf98"))
    deep = near * np.float32(0.78)
    pixels = mix(_base(g, near, far), deep, step(g.octaves(rng, 1.5, 2.2), -0.5, 1.0) * 0.5)
    pixels = _grain(g, pixels, g.noise(rng, 40, 10), 0.08)
    pixels = mix(pixels, deep * 0.9, tufts(g, rng, 70, 0.045, 0.4) * 0.65)
    return mix(pixels, far, tufts(g, rng, 40, 0.04, 0.45) * 0.6)


def snow(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Drifts with blue shadows."""
    near, far, shade = (
        vary(colour("f3f7fc"), rng, 0.01),
        vary(colour("e4ecf4"), rng, 0.01),
        pick(rng, ("c2d4ea", "cfd2ea")),
    )
    drifts = step(g.octaves(rng, 1.1, 2.4), -0.3, 1.0)
    pixels = mix(_base(g, near, far), shade, drifts * 0.75)
    return _grain(g, pixels, g.noise(rng, 40, 20), 0.025)


def _soil(
    codes: tuple[str, ...], far: str, coarse: float, fine: float
) -> Callable[[Plane, np.random.Generator], np.ndarray]:
    def painted(g: Plane, rng: np.random.Generator) -> np.ndarray:
        near, away = pick(rng, codes), pick(rng, (far,))
        patches = step(g.octaves(rng, 2.0, 3.0), -0.8, 0.9)
        pixels = mix(_base(g, near, away), near * np.float32(0.8), patches * coarse)
        pixels = _grain(g, pixels, g.noise(rng, 14, 8), 0.05)
        return _grain(g, pixels, g.noise(rng, 50, 24), fine)

    return painted


def furrows(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """A ploughed field: rows that meet at the horizon, sometimes with a crop."""
    near, away = pick(rng, ("a5774c", "96693f", "b08a58")), pick(rng, ("c8a67c",))
    cells = g.u * 5 + float(rng.random())
    wave = np.cos(cells * 2 * np.pi) * np.clip(g.across_pixels(5) / 6, 0, 1)
    pixels = mix(
        _base(g, near, away), near * np.float32(0.72), step(wave + 0.25 * g.noise(rng, 20, 14), -0.6, 0.9) * 0.7
    )
    if rng.random() < 0.6:
        crop = pick(rng, ("6da64a", "8cb04e", "d2b44c", "7fae8a"))
        pixels = mix(pixels, crop, step(-wave + 0.35 * g.noise(rng, 26, 12), 0.2, 0.7) * 0.9)
    return _grain(g, pixels, g.noise(rng, 40, 20), 0.07)


def water(g: Plane, rng: np.random.Generator, codes: tuple[tuple[str, str], ...], waves: float) -> np.ndarray:
    """Long soft waves, light crests and a paler distance."""
    near, far = (vary(colour(code), rng, 0.015) for code in codes[int(rng.integers(len(codes)))])
    pixels = mix(far, near, step(g.near, -0.15, 0.8)[:, :, None])
    swell = g.octaves(rng, 1.4, 6.5)
    pixels = mix(pixels, near * np.float32(0.86), step(swell, -0.2, 0.9) * 0.55 * waves)
    crests = step(g.noise(rng, 3.2, 15), 0.35, 0.75)
    pixels = mix(pixels, mix(far, np.ones(3, np.float32), 0.35), crests * 0.4 * waves)
    fine = step(g.noise(rng, 9, 34), 0.45, 0.8)
    return mix(pixels, mix(far, np.ones(3, np.float32), 0.5), fine * 0.3 * waves)


def sea(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Open water."""
    return water(g, rng, (("2b78b4", "78b8dc"), ("2a8fa8", "86cdd6"), ("35699e", "84add0"), ("3a9ac0", "9ad6e4")), 1.0)


def river(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Calm water."""
    return water(g, rng, (("4a97c4", "a4d2ea"), ("55a6b8", "b0dce0"), ("5b8fb4", "a8c8de")), 0.7)


def asphalt(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """A road without marks."""
    near, far = pick(rng, ("686a72", "74747a", "5f636c")), pick(rng, ("96989e", "8e939c"))
    pixels = _grain(g, _base(g, near, far), g.octaves(rng, 1.2, 2.5), 0.045)
    return _grain(g, pixels, g.noise(rng, 60, 30), 0.06)


def road(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """A road towards the horizon with a broken line in its middle."""
    pixels = asphalt(g, rng)
    dash = step(np.sin(g.v * 9), 0, 0.3) * np.clip(g.away_pixels(1.5) / 3, 0, 1)
    line = np.clip((0.022 - np.abs(g.u)) * g.side / g.depth + 0.5, 0, 1)
    return mix(pixels, colour("f2f0e4"), line * dash * 0.9)


def pavement(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Slabs."""
    near, far = pick(rng, ("bdb8b0", "c4b8a6", "b0b4b8", "c8b0a0")), pick(rng, ("d6d2ca", "d2d4d4"))
    across, away = 4.0, 3.2
    u, v = g.u * across + 0.5, g.v * away
    tone = tones(rng, u, v) * np.clip(g.away_pixels(away) / 8, 0, 1)
    pixels = _grain(g, _base(g, near, far), tone, 0.05)
    lines = np.maximum(joints(u, g.across_pixels(across)), joints(v, g.away_pixels(away)))
    pixels = mix(pixels, near * np.float32(0.72), lines * 0.6)
    return _grain(g, pixels, g.noise(rng, 30, 16), 0.04)


def railroad(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """A track towards the horizon on gravel."""
    pixels = GROUNDS["gravel"](g, rng)
    wood = step(np.cos(g.v * 14), 0.0, 0.4) * np.clip(g.away_pixels(2.2) / 4, 0.15, 1)
    u = np.abs(g.u)
    scale = g.side / g.depth
    pixels = mix(pixels, pick(rng, ("6e5140", "7c5c46")), np.clip((0.2 - u) * scale + 0.5, 0, 1) * wood * 0.9)
    for at, width, shade in ((0.13, 0.018, "5a5e68"), (0.127, 0.008, "c4cad2")):
        pixels = mix(pixels, colour(shade), np.clip((width - np.abs(u - at)) * scale + 0.5, 0, 1) * np.ones_like(g.u))
    return pixels


def foliage(
    side: int, rng: np.random.Generator, codes: tuple[str, ...] = ("4f9448", "3f8446", "6aa64c"), dabs: int = 420
) -> np.ndarray:
    """(side, side, 3): dabs of a brush in the tones of leaves."""
    base = pick(rng, codes, 0.03)
    ground = tuple(int(value) for value in np.clip(base * 0.86, 0, 1) * 255)
    canvas = Image.new("RGB", (side, side), ground)
    pen = ImageDraw.Draw(canvas)
    places = rng.random((dabs, 2)) * side
    sizes = rng.uniform(0.012, 0.04, dabs) * side
    shades = np.clip(base * rng.choice([0.8, 0.9, 1.0, 1.08, 1.16], dabs)[:, None], 0, 1) * 255
    for (x, y), r, shade in zip(places.tolist(), sizes.tolist(), shades.astype(int).tolist(), strict=True):
        pen.ellipse((x - r, y - r * 0.75, x + r, y + r * 0.75), fill=tuple(shade))
    return np.asarray(canvas, np.float32) / 255


def rocks(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3): folded stone."""
    base = pick(rng, ("8b8f9c", "9a8f8a", "7f8ea0"))
    folds = np.abs(cloudy(rng, (side, side), (5, 4), 3) - 0.5) * 4
    return shaded(base, 0.9 + 0.16 * np.clip(folds, 0, 1))


def hillside(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3): soft green patches."""
    base = pick(rng, ("7fb36a", "8fb878", "6fa868"))
    return shaded(base, 0.92 + 0.16 * cloudy(rng, (side, side), (6, 3), 2))


def fog(side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3): pale wafts."""
    return mix(
        np.ones((1, 1, 3), np.float32) * colour("e8eef2"), colour("ccd6de"), flat_noise(rng, (side, side), (5, 2))
    )


GROUNDS: dict[str, Callable[[Plane, np.random.Generator], np.ndarray]] = {
    "grass": grass,
    "playingfield": playingfield,
    "sand": sand,
    "savanna": savanna,
    "snow": snow,
    "dirt": _soil(("ab7d50", "b58c5c", "9f7448"), "d0b088", 0.5, 0.08),
    "ground-other": _soil(("b0996c", "a89a78"), "d0c4a0", 0.5, 0.07),
    "mud": _soil(("735340", "6b5044"), "a08a74", 0.7, 0.06),
    "gravel": _soil(("a9a49c", "9c9a98", "b0a898"), "c8c4bc", 0.25, 0.13),
    "moss": _soil(("6f9148", "5f8a4c"), "a0b880", 0.6, 0.1),
    "furrows": furrows,
    "sea": sea,
    "river": river,
    "water-other": river,
    "asphalt": asphalt,
    "road": road,
    "pavement": pavement,
    "platform": pavement,
    "railroad": railroad,
}
"""Out of doors: (h, side, 3) of a plane."""
SCENERY: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "bush": foliage,
    "leaves": foliage,
    "rock": rocks,
    "mountain": rocks,
    "hill": hillside,
    "fog": fog,
}

VARIETIES = ("savanna", "furrows", "asphalt")
"""Textures that are no categories: dry grass, a ploughed field, and a road without marks."""
TEXTURES = tuple(name for name in ("sky-other", *GROUNDS, *SCENERY, *INDOORS, *UPRIGHT) if name not in VARIETIES)
"""The categories that :func:`paint` knows."""


def paint(category: str, side: int, rng: np.random.Generator, light: Light, horizon: float) -> np.ndarray:
    """A texture in its light: (side, side, 3) float32 in [0, 1]. Level ones fill what is below the horizon.

    ``savanna`` (dry grass), ``furrows`` (a ploughed field) and ``asphalt`` (a road without marks) are textures beside
    the categories. Raises ``KeyError`` for a category without a texture.
    """
    if category in ("sky-other", "clouds"):
        return np.clip(sky(side, rng, light, horizon), 0, 1)
    if category in UPRIGHT or category in SCENERY:
        upright = (UPRIGHT.get(category) or SCENERY[category])(side, rng)
        return np.clip(light.on(upright), 0, 1).astype(np.float32)
    outdoors = category in GROUNDS
    plane = Plane.of(side, horizon, 0.09 if outdoors else 0.3)
    rows = light.on((GROUNDS[category] if outdoors else INDOORS[category])(plane, rng))
    if outdoors:
        rows = mix(rows, colour(HAZE[light.name]), (0.5 * np.exp(-plane.near * 7))[:, :, None].astype(np.float32))
    pixels = np.zeros((side, side, 3), np.float32)
    np.clip(rows, 0, 1, out=pixels[plane.top :])
    pixels[: plane.top] = pixels[plane.top]
    return pixels
