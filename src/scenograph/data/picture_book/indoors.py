"""The worlds under a roof."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.layers import Backdrop, Light, Stage
from scenograph.data.picture_book.noise import Plane, colour, mix, pick, shaded, step
from scenograph.data.picture_book.surfaces import PAINTS
from scenograph.data.picture_book.textures import paint


def light_of(rng: np.random.Generator) -> Light:
    """Daylight or lamps."""
    if rng.random() < 0.75:
        return Light("day", (1.0, float(rng.uniform(0.97, 1.0)), float(rng.uniform(0.92, 1.0))), 1.0)
    return Light("dusk", (1.0, 0.88, 0.76), float(rng.uniform(0.6, 0.9)))


def _room(
    side: int, rng: np.random.Generator, walls: tuple[str, ...], floors: tuple[str, ...], low: float, high: float
) -> tuple[Stage, float]:
    """A wall and a floor; the stage and the height of the line between them."""
    stage = Stage(side, rng, light_of(rng), 0.0)
    line = float(rng.uniform(low, high))
    stage.horizon = line - float(rng.uniform(0.17, 0.21))
    wall = walls[int(rng.integers(len(walls)))]
    pixels = paint(wall, stage.size, rng, stage.light, stage.horizon)
    glow = np.exp(-(((stage.x - rng.uniform(0.1, 0.9)) / 0.6) ** 2) - ((stage.y - 0.1) / 0.6) ** 2)
    pixels = shaded(pixels, 0.94 + 0.08 * glow)
    stage.add(wall, None, np.clip(pixels, 0, 1))
    floor = floors[int(rng.integers(len(floors)))]
    stage.add(floor, stage.below(line), paint(floor, stage.size, rng, stage.light, line))
    shadow = step(stage.y, line + 0.06, line) * 0.22 * np.ones_like(stage.x)
    stage.touch((shadow * stage.below(line)).astype(np.float32), colour("4c3c34"))
    return stage, line


def _skirting(stage: Stage, line: float) -> None:
    """A board along the foot of the wall."""
    board = pick(stage.rng, ("f6f2ea", "e4d8c4", "b48a60"))
    stage.touch_layer(0, stage.rectangle(-1, line - 0.028, 2, line + 0.01), board)
    stage.touch_layer(0, stage.rectangle(-1, line - 0.03, 2, line - 0.025), board * np.float32(0.8))


def _window(stage: Stage, left: float, top: float, right: float, bottom: float, curtains: bool) -> None:
    """A window with a view, perhaps with curtains."""
    rng = stage.rng
    light = Light("day", (1.0, 1.0, 1.0), 0.0) if stage.light.name == "day" else Light("dusk", (1.0, 0.85, 0.75), 0.8)
    view = paint("sky-other", stage.size, rng, light, bottom)
    stage.add("window-other", stage.rectangle(left, top, right, bottom), view)
    hill = bottom - 0.05 + 0.02 * np.sin(stage.x[0] * 14 + rng.uniform(0, 6))
    stage.touch(stage.below(hill) * np.float32(0.9), pick(rng, ("9cc48c", "8fb88c", "b0c89c")))
    frame = pick(rng, ("fbf8f2", "d8b48c", "a87c54"))
    thick = 0.014
    inner = stage.rectangle(left + thick, top + thick, right - thick, bottom - thick)
    middle = (left + right) / 2
    bars = np.maximum(stage.rectangle(middle - thick / 2, top, middle + thick / 2, bottom), 1 - inner)
    bars = np.maximum(
        bars, stage.rectangle(left, top * 0.55 + bottom * 0.45, right, top * 0.55 + bottom * 0.45 + thick * 0.8)
    )
    stage.touch(bars * stage.rectangle(left, top, right, bottom), frame)
    if curtains:
        wide = (right - left) * 0.24
        coverage = np.maximum(
            stage.rectangle(left - 0.05, top - 0.03, left + wide - 0.03, bottom + 0.08),
            stage.rectangle(right - wide + 0.03, top - 0.03, right + 0.05, bottom + 0.08),
        )
        stage.add("curtain", coverage, paint("curtain", stage.size, rng, stage.light, 0.0))
        stage.touch(stage.rectangle(left - 0.07, top - 0.045, right + 0.07, top - 0.028) * coverage, colour("8c6a48"))


def living_room(side: int, rng: np.random.Generator) -> Backdrop:
    """A wall, a floor, often a rug, a window and curtains."""
    walls = ("wall-concrete", "wall-other", "wall-other", "wall-panel", "wall-brick", "wall-wood")
    stage, line = _room(
        side, rng, walls, ("floor-wood", "floor-wood", "carpet", "floor-marble", "floor-tile"), 0.55, 0.64
    )
    _skirting(stage, line)
    if rng.random() < 0.25:
        _ceiling(stage)
    if rng.random() < 0.75:
        _rug(stage, line)
    if rng.random() < 0.5:
        left, wide = float(rng.uniform(0.08, 0.6)), float(rng.uniform(0.22, 0.3))
        top = float(rng.uniform(0.13, 0.17))
        _window(stage, left, top, left + wide, top + wide * float(rng.uniform(0.85, 1.05)), bool(rng.random() < 0.6))
    return stage.finish()


def _ceiling(stage: Stage) -> None:
    """A strip of the ceiling with a moulding under it."""
    edge = float(stage.rng.uniform(0.05, 0.08))
    name = "ceiling-other" if stage.rng.random() < 0.7 else "ceiling-tile"
    stage.add(name, stage.rectangle(-1, -1, 2, edge), paint(name, stage.size, stage.rng, stage.light, 0.0))
    stage.touch_layer(0, stage.rectangle(-1, edge, 2, edge + 0.016), colour("fbf8f0"))
    stage.touch_layer(0, stage.rectangle(-1, edge + 0.016, 2, edge + 0.021), colour("a89c90"))


def _rug(stage: Stage, line: float) -> None:
    """An oval or a rectangle in perspective, with a border."""
    rng, n = stage.rng, stage.size
    span = 1 - line
    top, bottom = line + span * float(rng.uniform(0.2, 0.35)), line + span * float(rng.uniform(0.75, 0.92))
    middle, wide = float(rng.uniform(0.4, 0.6)), float(rng.uniform(0.25, 0.36))
    if rng.random() < 0.5:
        centre, tall = (top + bottom) / 2, (bottom - top) / 2
        reach = 1 - np.sqrt(((stage.x - middle) / wide) ** 2 + ((stage.y - centre) / tall) ** 2)
        distance = reach * tall
    else:
        grow = 0.72 + 0.28 * (stage.y - top) / (bottom - top)
        distance = np.minimum(
            wide * grow - np.abs(stage.x - 0.5 - (middle - 0.5) * grow), np.minimum(stage.y - top, bottom - stage.y)
        )
    base = pick(rng, ("c4685c", "5f88a8", "d8b070", "7f9c80", "a07fa0", "e0d0b8"))
    other = mix(base, pick(rng, ("fbf2e0", "fbf2e0", "4c4854")), 0.6)
    pixels = np.repeat(np.repeat(base[None, None], n, 0), n, 1)
    period = span * float(rng.uniform(0.09, 0.14))
    rings = int(rng.integers(1, 4))
    band = np.clip(np.sin(distance / period * 2 * np.pi) * period * n / 6 + 0.5, 0, 1) * (distance < period * rings)
    pixels = mix(pixels, other, band * 0.85)
    plane = Plane.of(n, line, 0.3)
    pixels[plane.top :] *= (1 + 0.06 * plane.noise(rng, 60, 40))[..., None]
    stage.add("rug", stage.inside(distance), np.clip(stage.light.on(pixels), 0, 1).astype(np.float32))


def kitchen(side: int, rng: np.random.Generator) -> Backdrop:
    """A wall, a floor and a table in front, or a counter along the wall."""
    walls = ("wall-tile", "wall-tile", "wall-concrete", "wall-wood", "wall-brick", "wall-other", "wall-stone")
    floors = ("floor-tile", "floor-tile", "floor-wood", "floor-stone", "floor-marble")
    if rng.random() < 0.6:
        stage, line = _room(side, rng, walls, floors, 0.53, 0.6)
        _skirting(stage, line)
        top = float(rng.uniform(0.63, 0.7))
        front = float(rng.uniform(0.91, 1.02))
        west, east = rng.uniform(-0.25, 0.1), rng.uniform(0.9, 1.25)
        slide = (stage.y - top) / (1 - top) * 0.12
        coverage = stage.inside(
            np.minimum(np.minimum(stage.x - west - 0.08 + slide, east - 0.08 + slide - stage.x), stage.y - top)
        )
        stage.add("table", coverage, paint("table", stage.size, rng, stage.light, top))
        edge = stage.below(front)
        stage.touch(edge * coverage * np.float32(0.45), colour("4c3828"))
        stage.touch(stage.rectangle(-1, top, 2, top + 0.006) * np.float32(0.35), colour("ffffff"))
        return stage.finish()
    stage, line = _room(side, rng, walls, floors, 0.66, 0.72)
    stage.horizon = float(rng.uniform(0.35, 0.38))
    board = stage.horizon + 0.05
    brim = board + float(rng.uniform(0.08, 0.11))
    left = float(rng.choice([-0.1, -0.1, 0.0])) + float(rng.uniform(0, 0.1))
    right = float(rng.uniform(0.72, 1.2))
    _fronts(stage, left, brim, right, line + 0.03)
    stage.add(
        "counter",
        stage.rectangle(left - 0.012, board, right + 0.012, brim + 0.02),
        paint("counter", stage.size, rng, stage.light, board),
    )
    stage.touch(stage.rectangle(-1, brim, 2, brim + 0.02) * np.float32(0.35), colour("3c3430"))
    return stage.finish()


def _fronts(stage: Stage, left: float, top: float, right: float, bottom: float) -> None:
    """Doors of a kitchen cabinet."""
    rng = stage.rng
    stage.add("cabinet", stage.rectangle(left, top, right, bottom), paint("cabinet", stage.size, rng, stage.light, 0.0))
    doors = int(rng.integers(3, 6))
    wide = (right - left) / doors
    shade = pick(rng, PAINTS)
    for door in range(doors):
        at = left + door * wide
        outer = stage.rectangle(at + 0.01, top + 0.03, at + wide - 0.01, bottom - 0.02)
        inner = stage.rectangle(at + 0.014, top + 0.034, at + wide - 0.014, bottom - 0.024)
        stage.touch(outer * (1 - inner) * np.float32(0.4), colour("3c2c24"))
        knob = at + (wide * 0.84 if door % 2 == 0 else wide * 0.16)
        ring = np.sqrt((stage.x - knob) ** 2 + (stage.y - top - 0.07) ** 2)
        stage.touch(stage.inside(0.011 - ring), shade)
    stage.touch(stage.rectangle(left, bottom - 0.016, right, bottom), colour("5c4c44"))
