"""Textures of rooms: floors and table tops in perspective, walls and ceilings upright."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenograph.data.picture_book.noise import (
    Plane,
    cloudy,
    colour,
    flat_noise,
    joints,
    mix,
    pick,
    shaded,
    step,
    tones,
)

PAINTS = ("f0e4cc", "dfe6e0", "d8e4ec", "f2d9cc", "e6dcec", "d3e2d0", "f4e8c0", "cfdcdf", "e9c9b6", "b9cfc4")
"""Wall colours."""


def _shade(g: Plane, base: np.ndarray) -> np.ndarray:
    """(h, 1, 3): a little darker far away, under the wall."""
    return base * (0.86 + 0.14 * step(g.near, -0.1, 0.6))[:, :, None]


def floor_wood(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Planks towards the eye."""
    base = pick(rng, ("c08a56", "a8743f", "d3a671", "b5835a", "9a6a48"))
    across, away = 6.0, 1.3
    u = g.u * across + 0.5
    shift = tones(rng, u)
    v = g.v * away + shift
    pixels = shaded(_shade(g, base), 1 + 0.07 * tones(rng, u, v) + 0.05 * g.noise(rng, 26, 2.5))
    lines = np.maximum(joints(u, g.across_pixels(across)), joints(v, g.away_pixels(away)) * 0.8)
    return mix(pixels, base * np.float32(0.62), lines * 0.6)


def _tiles(
    codes: tuple[tuple[str, str], ...], across: float, away: float, veins: float
) -> Callable[[Plane, np.random.Generator], np.ndarray]:
    def painted(g: Plane, rng: np.random.Generator) -> np.ndarray:
        first, second = codes[int(rng.integers(len(codes)))]
        u, v = g.u * across + 0.5, g.v * away
        odd = ((np.floor(u) + np.floor(v)) % 2).astype(np.float32)
        pixels = mix(_shade(g, pick(rng, (first,))), pick(rng, (second,)), odd)
        pixels = shaded(pixels, 1 + 0.03 * tones(rng, u, v))
        if veins:
            vein = step(np.abs(g.octaves(rng, 3, 3)), 0.12, 0.0)
            pixels = mix(pixels, colour("9a98a0"), vein * veins)
        lines = np.maximum(joints(u, g.across_pixels(across)), joints(v, g.away_pixels(away)))
        return mix(pixels, pick(rng, ("a8a49c",)), lines * 0.6)

    return painted


def carpet(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Plain and soft."""
    base = pick(rng, ("b9a48e", "a8b0a0", "9fb0c0", "c4a098", "b0a0b4", "c8b89c"))
    return shaded(_shade(g, base), 1 + 0.05 * g.octaves(rng, 2, 3) + 0.08 * g.noise(rng, 60, 40))


def table(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Wood, a checked cloth or plain paint."""
    kind = rng.random()
    if kind < 0.65:
        base = pick(rng, ("b97d48", "cc9a62", "9c6840", "d8b080"))
        grain = g.noise(rng, 1.2, 26) + 0.6 * g.noise(rng, 3, 50)
        pixels = shaded(_shade(g, base), 1 + 0.09 * grain + 0.05 * tones(rng, g.v * 3 + 0 * g.u))
        return mix(pixels, base * np.float32(0.65), joints(g.v * 3, g.away_pixels(3)) * 0.5 + 0 * g.u)
    if kind < 0.88:
        stripe = pick(rng, ("d0584c", "4f86c0", "5f9f6a", "d88a3c"))
        u = step(np.cos(g.u * 2 * np.pi * 5) * np.clip(g.across_pixels(5) / 6, 0, 1), -0.15, 0.15)
        v = step(np.cos(g.v * 2 * np.pi * 5) * np.clip(g.away_pixels(5) / 6, 0, 1), -0.15, 0.15)
        return mix(_shade(g, colour("faf5ea")), stripe, (u + v) * 0.42)
    base = pick(rng, ("d98c6a", "7fa8b8", "e0c070", "9fb890", "efe6d4"))
    return shaded(_shade(g, base), 1 + 0.03 * g.octaves(rng, 2, 3))


def counter(g: Plane, rng: np.random.Generator) -> np.ndarray:
    """Speckled stone."""
    base = pick(rng, ("d8d4cc", "b8b4b0", "8f8c8c", "e4ddd0", "a89a8c"))
    return shaded(_shade(g, base), 1 + 0.12 * g.noise(rng, 40, 26) + 0.05 * g.octaves(rng, 3, 4))


def _blank(side: int, base: np.ndarray, rng: np.random.Generator, amount: float = 0.04) -> np.ndarray:
    return shaded(base, 1 - amount / 2 + amount * cloudy(rng, (side, side), (3, 3), 2))


def _blocks(
    side: int,
    rng: np.random.Generator,
    base: np.ndarray,
    mortar: np.ndarray,
    size: tuple[float, float],
    tone: float,
    width: float,
) -> np.ndarray:
    """Courses of blocks, every other one shifted; ``size`` is their number down and across."""
    middle = (np.arange(side, dtype=np.float32) + 0.5) / side
    v = middle[:, None] * size[0]
    u = middle[None] * size[1] + 0.5 * (np.floor(v) % 2)
    pixels = shaded(base, 1 + tone * tones(rng, u, v))
    thick = max(side * width, 1.2)
    lines = np.maximum(joints(u, side / size[1], thick), joints(v, side / size[0], thick))
    return mix(pixels, mortar, lines * 0.85)


def wall_brick(side: int, rng: np.random.Generator) -> np.ndarray:
    """Red, brown or pale bricks."""
    base = pick(rng, ("b5654c", "a8705a", "c98f74", "d9c6b0"))
    size = float(rng.uniform(16, 22))
    return _blocks(side, rng, base, mix(base, colour("e8ded0"), 0.6), (size, size * 0.42), 0.1, 0.006)


def wall_stone(side: int, rng: np.random.Generator) -> np.ndarray:
    """Courses of grey or sandy stone."""
    base = pick(rng, ("a8a49c", "b8a88c", "98a0a4"))
    pixels = _blocks(side, rng, base, base * np.float32(0.72), (9.0, 4.7), 0.12, 0.008)
    return shaded(pixels, 0.92 + 0.16 * flat_noise(rng, (side, side), (24, 24)))


def wall_tile(side: int, rng: np.random.Generator) -> np.ndarray:
    """Glazed tiles, some of another colour."""
    base = pick(rng, ("e9f0ee", "d6e8ea", "f2ead8", "cfe2d4", "dbe4f2"), 0.01)
    count = int(rng.integers(9, 15))
    middle = (np.arange(side, dtype=np.float32) + 0.5) / side * count
    u, v = middle[None], middle[:, None]
    tone = tones(rng, u, v)
    pixels = shaded(base, 1 + 0.025 * tone)
    if rng.random() < 0.5:
        pixels = mix(pixels, pick(rng, ("8fb8c8", "e8b48c", "9cc09c", "e0c46c")), (tone > 0.8).astype(np.float32) * 0.7)
    shine = step((u % 1) + (v % 1), 0.55, 0.2) * 0.25
    pixels = mix(pixels, np.ones(3, np.float32), shine)
    return mix(pixels, base * np.float32(0.8), np.maximum(joints(u, side / count), joints(v, side / count)) * 0.8)


def wall_wood(side: int, rng: np.random.Generator) -> np.ndarray:
    """Boards, upright or level."""
    base = pick(rng, ("c79f6e", "a9805a", "d8bc94", "b0b8b0", "c8d0d4"))
    count = int(rng.integers(6, 11))
    v = np.broadcast_to(((np.arange(side, dtype=np.float32) + 0.5) / side * count)[:, None], (side, side))
    grain = flat_noise(rng, (side, side), (60, 4)) - 0.5
    pixels = shaded(base, 1 + 0.05 * tones(rng, v) + 0.12 * grain)
    pixels = mix(pixels, base * np.float32(0.7), joints(v, side / count) * 0.7)
    return np.ascontiguousarray(pixels.transpose(1, 0, 2)) if rng.random() < 0.5 else pixels


def wall_panel(side: int, rng: np.random.Generator) -> np.ndarray:
    """Framed panels."""
    base = pick(rng, PAINTS)
    count = int(rng.integers(3, 6))
    u = ((np.arange(side, dtype=np.float32) + 0.5) / side * count)[None]
    v = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2.2 + 0.35)[:, None]
    pixels = _blank(side, base, rng)
    inner_u, inner_v = np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)
    distance = np.minimum((0.4 - inner_u) * side / count, (0.42 - inner_v) * side / 2.2)
    frame = np.clip(1.5 - np.abs(distance), 0, 1)
    lift = np.clip(distance, 0, 1) * 0.4
    return mix(mix(pixels, np.ones(3, np.float32), lift * 0.5), base * np.float32(0.78), frame * 0.8)


def wall_concrete(side: int, rng: np.random.Generator) -> np.ndarray:
    """Plain plaster in one paint."""
    return _blank(side, pick(rng, (*PAINTS, "c8c8c6")), rng, 0.06)


def wall_other(side: int, rng: np.random.Generator) -> np.ndarray:
    """Wallpaper: stripes, dots or plain."""
    base = pick(rng, PAINTS)
    other = mix(base, pick(rng, ("ffffff", "c08f80", "7f9fb0", "8fae8c", "c9a45c")), 0.4)
    pixels = _blank(side, base, rng)
    middle = (np.arange(side, dtype=np.float32) + 0.5) / side
    kind, count = rng.random(), int(rng.integers(7, 14))
    if kind < 0.45:
        stripe = step(np.sin(middle * 2 * np.pi * count), -0.2, 0.2)
        return mix(pixels, other, np.broadcast_to(stripe[None] * 0.6, (side, side)))
    if kind < 0.75:
        v = middle[:, None] * count
        u = middle[None] * count + 0.5 * (np.floor(v) % 2)
        distance = np.sqrt((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2)
        return mix(pixels, other, np.clip((0.16 - distance) * side / count + 0.5, 0, 1) * 0.8)
    return pixels


def ceiling_tile(side: int, rng: np.random.Generator) -> np.ndarray:
    """A pale grid."""
    base = pick(rng, ("f0eee8", "e8ecee"), 0.01)
    cells = (np.arange(side, dtype=np.float32) + 0.5) / side * 6
    lines = np.maximum(joints(cells[None], side / 6), joints(cells[:, None], side / 6))
    return mix(_blank(side, base, rng, 0.02), base * np.float32(0.85), lines * 0.7)


def ceiling(side: int, rng: np.random.Generator) -> np.ndarray:
    """Pale plaster."""
    return _blank(side, pick(rng, ("f4f1ea", "eef0f2", "f2ece0"), 0.01), rng, 0.03)


def cloth(side: int, rng: np.random.Generator) -> np.ndarray:
    """Folds that hang down."""
    base = pick(rng, ("c8685c", "6f9ab8", "d8a85c", "8fae86", "b08fb8", "e8d8c0"))
    folds = flat_noise(rng, (side, side), (1, 40))
    return shaded(base, 0.78 + 0.4 * folds)


def cabinet(side: int, rng: np.random.Generator) -> np.ndarray:
    """Plain painted wood."""
    return _blank(side, pick(rng, ("b98a5c", "e8e2d4", "9fb8b4", "d0b48c", "8fa6b8", "cf9a84")), rng, 0.04)


INDOORS: dict[str, Callable[[Plane, np.random.Generator], np.ndarray]] = {
    "floor-wood": floor_wood,
    "floor-tile": _tiles(
        (("e6e0d4", "c9b8a4"), ("f0eee8", "8fa6ae"), ("ead9c4", "ead9c4"), ("f2f0ea", "6f7478")), 3.2, 2.6, 0.0
    ),
    "floor-marble": _tiles((("e8e4e0", "e8e4e0"), ("dcd6d2", "e8e4de")), 2.2, 1.9, 0.35),
    "floor-stone": _tiles((("b0a898", "a89e90"), ("a4a8a8", "b0b0ac")), 2.6, 2.2, 0.0),
    "floor-other": carpet,
    "carpet": carpet,
    "rug": carpet,
    "mat": carpet,
    "table": table,
    "desk-stuff": table,
    "counter": counter,
}
"""Level: (h, side, 3) of a plane."""
UPRIGHT: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "wall-brick": wall_brick,
    "wall-concrete": wall_concrete,
    "wall-other": wall_other,
    "wall-panel": wall_panel,
    "wall-stone": wall_stone,
    "wall-tile": wall_tile,
    "wall-wood": wall_wood,
    "ceiling-other": ceiling,
    "ceiling-tile": ceiling_tile,
    "curtain": cloth,
    "cloth": cloth,
    "blanket": cloth,
    "towel": cloth,
    "banner": cloth,
    "cabinet": cabinet,
    "cupboard": cabinet,
    "shelf": cabinet,
}
"""Upright: (side, side, 3)."""
