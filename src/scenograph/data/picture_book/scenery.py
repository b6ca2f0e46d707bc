"""What stands far away: clouds, mountains, hills, trees, skylines and fences."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from scenograph.data.picture_book.layers import Stage
from scenograph.data.picture_book.noise import cloudy, colour, flat_noise, mix, pick, ridge, shaded, step
from scenograph.data.picture_book.textures import HAZE, foliage


def haze(stage: Stage) -> np.ndarray:
    """(3,) the colour of the air."""
    return colour(HAZE[stage.light.name])


def clouds(stage: Stage, top: float = 0.03, bottom: float = 0.75, count: int | None = None) -> None:
    """Heaps with soft edges and flat feet; ``top`` and ``bottom`` are fractions of the sky's height."""
    rng, n = stage.rng, stage.size
    count = int(rng.integers(1, 5)) if count is None else count
    clear = np.ones((n, n), np.float32)
    shade = np.zeros((n, n), np.float32)
    for _ in range(count):
        level = rng.uniform(top, bottom)
        foot = level * stage.horizon + 0.06
        width = rng.uniform(0.12, 0.3) * (1.15 - 0.6 * level)
        middle = rng.uniform(0, 1)
        puffs = int(rng.integers(4, 8))
        for place in np.linspace(-1, 1, puffs) + rng.normal(0, 0.1, puffs):
            radius = width * (0.2 + 0.24 * (1 - abs(place)) + rng.uniform(0, 0.1))
            at_x, at_y = middle + place * width * 0.75, foot - radius * rng.uniform(0.35, 0.8)
            left, right = (int(np.clip((at_x + s * radius * 1.2) * n, 0, n)) for s in (-1, 1))
            high, low = (int(np.clip((at_y + s * radius * 1.2) * n, 0, n)) for s in (-1, 1))
            if left >= right or high >= low:
                continue
            y = stage.y[high:low]
            distance = np.sqrt((stage.x[:, left:right] - at_x) ** 2 + (y - at_y) ** 2) / radius
            soft = step(distance, 1.1, 0.86) * step(y, foot + 0.012, foot - 0.008)
            clear[high:low, left:right] *= 1 - soft
            light = np.clip((foot - y) / (width * 0.6), 0, 1) * 0.6 + np.clip(1 - distance, 0, 1) * 0.5
            part = shade[high:low, left:right]
            part += (np.maximum(light, part * 0.8) - part) * soft
    white, grey = {
        "day": ("ffffff", "cfdcea"),
        "dusk": ("ffe8d2", "d09ca4"),
        "night": ("7c88b4", "3c4878"),
    }[stage.light.name]
    pixels = mix(colour(grey), colour(white), np.clip(shade * 1.5, 0, 1))
    stage.add("clouds", 1 - clear, pixels.astype(np.float32))


def mountains(stage: Stage, base: float) -> None:
    """Peaks with a lit and a shaded side, sometimes with snow, paler towards the foot."""
    rng, n = stage.rng, stage.size
    for far in (True, False)[int(rng.random() < 0.5) :]:
        count = int(rng.integers(2, 6))
        peaks = ((np.arange(count) + rng.uniform(0.1, 0.9, count)) / count * 1.2 - 0.1).astype(np.float32)
        heights = (rng.uniform(0.4, 1.0, count) * stage.horizon * (0.5 if far else 0.42)).astype(np.float32)
        slopes = rng.uniform(0.75, 1.5, (count, 1)).astype(np.float32)
        x = stage.x[0]
        lines = heights[:, None] - np.abs(x[None] - peaks[:, None]) * slopes
        which = lines.argmax(0)
        crest = lines.max(0) + 0.016 * ridge(rng, n, 9, 4, 0.6)
        top = (base - np.maximum(crest, 0.01)).astype(np.float32)
        rows = slice(max(int(top.min() * n) - 1, 0), int(base * n) + 1)
        y = stage.y[rows]
        depth = y - top[None]
        wobble = cloudy(rng, (n, n), (10, 8), 2)[rows] - 0.5
        lit = step(peaks[which][None] - stage.x + wobble * 0.16 + depth * 0.15, -0.008, 0.008)
        stone = pick(rng, ("7f8aa4", "8d8794", "76909c", "927f86"))
        pixels = mix(stone * np.float32(0.8), mix(stone, np.ones(3, np.float32), 0.22), lit)
        pixels = shaded(pixels, 0.95 + 0.1 * flat_noise(rng, (n, n), (28, 28))[rows])
        if rng.random() < 0.65:
            line = heights[which] * np.float32(rng.uniform(0.55, 0.75))
            cap = step(base - y - line[None] + wobble * 0.14, -0.004, 0.004)
            pixels = mix(pixels, mix(colour("c8d4e8"), colour("ffffff"), lit), cap)
        air = (0.35 if far else 0.1) + 0.45 * np.clip(1 - (base - y) / 0.25, 0, 1)
        canvas = np.zeros((n, n, 3), np.float32)
        canvas[rows] = mix(stage.light.on(pixels).astype(np.float32), haze(stage), air)
        stage.add("mountain", np.minimum(stage.below(top), 1 - stage.below(base)), canvas)


def hills(
    stage: Stage, base: float, codes: tuple[str, ...] = ("7fb36a", "8fba74", "6fa86c", "a3bb72"), layers: int = 0
) -> None:
    """One to three rounded rows, the farther the paler."""
    rng, n = stage.rng, stage.size
    layers = layers or int(rng.integers(1, 4))
    tone = pick(rng, codes)
    for layer in range(layers):
        far = (layers - layer) / (layers + 1)
        height = stage.horizon * (0.06 + 0.2 * far)
        wave = ridge(rng, n, int(rng.integers(2, 5)), 2, 0.3)
        top = (base - height * (1 + 0.6 * wave)).astype(np.float32)
        rows = slice(max(int(top.min() * n) - 1, 0), min(int(base * n) + 1, n))
        depth = np.clip((stage.y[rows] - top[None]) / 0.16, 0, 1)
        patches = flat_noise(rng, (n, n), (14, 6))[rows]
        pixels = mix(tone * np.float32(1.08), tone * np.float32(0.86), np.clip(depth * 0.8 + patches * 0.4 - 0.1, 0, 1))
        pixels = mix(stage.light.on(pixels).astype(np.float32), haze(stage), 0.12 + 0.55 * far)
        pixels = mix(pixels, haze(stage), (0.3 * depth * far).astype(np.float32))
        canvas = np.zeros((n, n, 3), np.float32)
        np.clip(pixels, 0, 1, out=canvas[rows])
        stage.add("hill", np.minimum(stage.below(np.minimum(top, base - 0.012)), 1 - stage.below(base)), canvas)


def trees(
    stage: Stage, base: float, height: float, category: str = "leaves", pointed: bool = False, air: float = 0.35
) -> None:
    """A line of round or pointed crowns that stand at ``base``."""
    rng, n = stage.rng, stage.size
    canvas = Image.new("L", (n, n), 0)
    pen = ImageDraw.Draw(canvas)
    foot = base * n
    swell = 1 + 0.35 * ridge(rng, n, 4, 1)
    x = -0.03 * n
    while x < 1.03 * n:
        size = height * n * rng.uniform(0.65, 1.1) * swell[int(np.clip(x, 0, n - 1))]
        if pointed:
            for tier in (1.0, 0.76, 0.52, 0.3):
                half = size * 0.3 * tier**0.9
                pen.polygon(
                    (
                        (x - half, foot - size * (1 - tier)),
                        (x + half, foot - size * (1 - tier)),
                        (x, foot - size * (1.35 - tier * 0.6)),
                    ),
                    255,
                )
            pen.rectangle((x - size, foot - size * 0.2, x + size, foot), 255)
            x += size * rng.uniform(0.2, 0.4)
        else:
            r = size * 0.5
            pen.ellipse((x - r, foot - size, x + r, foot - size + 2 * r), 255)
            pen.rectangle((x - r, foot - r, x + r, foot), 255)
            x += r * rng.uniform(0.5, 1.1)
    coverage = np.asarray(canvas, np.float32) / 255
    codes = {
        True: ("3f7a58", "4a8260", "567f68"),
        False: ("4f9448", "5fa04c", "3f8a50", "c08a3c", "7fa850")
        if category == "leaves"
        else ("4f9448", "6aa64c", "3f8446"),
    }[pointed]
    pixels = stage.light.on(foliage(n, rng, codes))
    fall = np.clip((base - stage.y) / height, 0, 1)
    pixels = shaded(pixels, 0.8 + 0.3 * fall)
    stage.add(category, coverage, np.clip(mix(pixels.astype(np.float32), haze(stage), air), 0, 1))


def skyline(stage: Stage, base: float, tall: bool) -> None:
    """Rows of buildings with windows; ``tall`` ones are skyscrapers."""
    rng, n = stage.rng, stage.size
    night = stage.light.name == "night"
    palette = (
        ("c9b8a8", "b8a0a0", "a8b4c4", "d0c0a0", "b4c0b8", "c8a490")
        if not tall
        else ("9fb0c8", "a8a8bc", "8fa4b4", "b8b4b8", "94a8c4")
    )
    for row, air in ((0, 0.5), (1, 0.22)):
        mask = Image.new("L", (n, n), 0)
        picture = Image.new("RGB", (n, n))
        pens = ImageDraw.Draw(mask), ImageDraw.Draw(picture)
        x = -rng.uniform(0, 0.1)
        while x < 1:
            width = rng.uniform(0.07, 0.14) if tall else rng.uniform(0.1, 0.2)
            height = (
                stage.horizon
                * (rng.uniform(0.35, 0.8) if tall else rng.uniform(0.22, 0.42))
                * (1.0 if row == 0 else 0.75)
            )
            if row == 0 or rng.random() < 0.75:
                _building(stage, pens, (x, base - height, x + width, base), pick(rng, palette, 0.03), night)
            x += width * (1.0 if row == 0 else rng.uniform(1.0, 1.25))
        pixels = np.asarray(picture, np.float32) / 255
        if not night:
            pixels = stage.light.on(pixels)
        rise = np.clip((stage.y - base + 0.4) / 0.4, 0, 1) ** 2
        pixels = mix(
            pixels.astype(np.float32), haze(stage), np.broadcast_to(air * (0.6 + 0.6 * rise), (n, n)).astype(np.float32)
        )
        stage.add("skyscraper" if tall else "building-other", np.asarray(mask, np.float32) / 255, pixels)


def _building(
    stage: Stage,
    pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    box: tuple[float, float, float, float],
    shade: np.ndarray,
    night: bool,
) -> None:
    """A block with a roof of its own and rows of windows."""
    rng, n = stage.rng, stage.size
    left, top, right, bottom = (value * n for value in box)
    wall = shade * (stage.light.factor() * 0.8 if night else 1)
    fill = tuple((np.clip(wall, 0, 1) * 255).astype(int).tolist())
    dark = tuple((np.clip(wall * 0.9, 0, 1) * 255).astype(int).tolist())
    glass = tuple((np.clip(mix(wall, colour("5f7894"), 0.55), 0, 1) * 255).astype(int).tolist())
    pens[0].rectangle((left, top, right - 1, bottom), 255)
    pens[1].rectangle((left, top, right - 1, bottom), fill)
    pens[1].rectangle((right - (right - left) * 0.22, top, right - 1, bottom), dark)
    if rng.random() < 0.4:
        inset = (right - left) * 0.28
        pens[0].rectangle((left + inset, top - 0.03 * n, right - inset, top), 255)
        pens[1].rectangle((left + inset, top - 0.03 * n, right - inset, top), fill)
    columns, pitch = max(2, int((right - left) / (0.026 * n))), 0.034 * n
    cell = (right - left) / columns
    lamps = rng.random((columns, 64)) < 0.45
    for i in range(columns):
        for j in range(min(int((bottom - top) / pitch - 0.3), 64)):
            x, y = left + cell * (i + 0.28), top + pitch * (j + 0.45)
            lamp = night and lamps[i, j]
            pens[1].rectangle((x, y, x + cell * 0.44, y + pitch * 0.5), (246, 214, 130) if lamp else glass)


def fence(stage: Stage, foot: float, height: float) -> None:
    """Posts and two rails from left to right."""
    rng = stage.rng
    wood = pick(rng, ("f0ece0", "b08a60", "8c6a4c", "d0b890"))
    gap, half = height * rng.uniform(0.9, 1.3), height * 0.075
    cells = (stage.x / gap + rng.random()) % 1 - 0.5
    posts = stage.inside(half - np.abs(cells) * gap) * stage.inside(np.minimum(stage.y - foot + height, foot - stage.y))
    rails = [stage.rectangle(-1, foot - height * at - half * 2.2, 2, foot - height * at) for at in (0.3, 0.68)]
    coverage = np.maximum(posts, np.maximum(*rails))
    grain = 0.92 + 0.12 * flat_noise(rng, (stage.size, stage.size), (40, 8))
    pixels = shaded(stage.light.on(wood), grain)
    pixels = shaded(pixels, 1 - 0.18 * np.maximum(*rails) * (1 - posts))
    stage.add("fence", coverage, np.clip(pixels, 0, 1).astype(np.float32))
