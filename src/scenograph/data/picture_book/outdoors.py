"""The worlds under the sky."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.layers import Backdrop, Light, Stage
from scenograph.data.picture_book.noise import colour, pick, ridge, step
from scenograph.data.picture_book.scenery import clouds, fence, haze, hills, mountains, skyline, trees
from scenograph.data.picture_book.textures import paint

LINE = colour("f2f0e6")


def light_of(rng: np.random.Generator) -> Light:
    """Mostly day."""
    chance = rng.random()
    if chance < 0.72:
        return Light("day", (1.0, float(rng.uniform(0.97, 1.0)), float(rng.uniform(0.93, 1.0))), 1.0)
    if chance < 0.88:
        return Light("dusk", (1.0, 0.82, 0.72), float(rng.uniform(0.6, 0.9)))
    return Light("night", (0.5, 0.58, 0.82), float(rng.uniform(0.75, 0.95)))


def _stage(side: int, rng: np.random.Generator, low: float = 0.36, high: float = 0.58, cloudy: float = 0.6) -> Stage:
    """A canvas with a sky and perhaps clouds."""
    stage = Stage(side, rng, light_of(rng), float(rng.uniform(low, high)))
    stage.add("sky-other", None, _paint(stage, "sky-other"))
    if rng.random() < cloudy:
        clouds(stage)
    return stage


def _paint(stage: Stage, texture: str, horizon: float | None = None) -> np.ndarray:
    return paint(texture, stage.size, stage.rng, stage.light, stage.horizon if horizon is None else horizon)


def _edge(stage: Stage, height: float, wave: float, cells: int = 3) -> np.ndarray:
    """A wavy line from left to right, (size,) heights."""
    return (height + wave * ridge(stage.rng, stage.size, cells, 2)).astype(np.float32)


def _ground(stage: Stage, category: str, texture: str | None = None, wave: float = 0.0) -> None:
    edge = stage.horizon if wave == 0 else np.minimum(_edge(stage, stage.horizon, wave), stage.horizon + 0.01)
    stage.add(category, stage.below(edge), _paint(stage, texture or category))


def _far(stage: Stage, *choices: str) -> None:
    """Something at the back, or nothing; each of the choices is as likely."""
    base = stage.horizon + 0.012
    match choices[int(stage.rng.integers(len(choices)))]:
        case "mountains":
            mountains(stage, base)
        case "both":
            mountains(stage, base)
            hills(stage, base, layers=1)
        case "hills":
            hills(stage, base)
        case "trees":
            trees(stage, base, float(stage.rng.uniform(0.06, 0.11)))
        case "pines":
            trees(stage, base, float(stage.rng.uniform(0.08, 0.14)), pointed=True)
        case "hedge":
            trees(stage, base, float(stage.rng.uniform(0.045, 0.07)), "bush", air=0.2)


def _winding(stage: Stage, wide: float, sway: float) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half width (size, 1) of a way that winds to the horizon."""
    rng, near = stage.rng, stage.near
    goal, start = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.8)
    phase, turns = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.5)
    bend = sway * np.sin(phase + turns * 2 * np.pi * np.sqrt(near)) * (0.15 + near)
    middle = goal + (start - goal) * near**1.2 + bend
    return middle, wide * (0.03 + near**1.25) * (stage.y >= stage.horizon)


def _pond(stage: Stage) -> None:
    """Still water with a bank in the middle distance."""
    rng, span = stage.rng, 1 - stage.horizon
    at_x, at_y = rng.uniform(0.15, 0.85), stage.horizon + span * rng.uniform(0.25, 0.55)
    wide, tall = rng.uniform(0.2, 0.36), span * rng.uniform(0.08, 0.15)
    angle = np.arctan2((stage.y - at_y) / tall, (stage.x - at_x) / wide)
    rim = 1 + 0.07 * np.sin(2 * angle + rng.uniform(0, 6)) + 0.05 * np.sin(3 * angle + rng.uniform(0, 6))
    distance = (rim - np.sqrt(((stage.x - at_x) / wide) ** 2 + ((stage.y - at_y) / tall) ** 2)) * tall
    stage.touch(stage.inside(distance + 0.007), pick(rng, ("a8946a", "8f9a5c")))
    stage.add("water-other", stage.inside(distance), _paint(stage, "water-other"))


def meadow(side: int, rng: np.random.Generator) -> Backdrop:
    """Grass to the horizon, hills, mountains or trees behind it."""
    stage = _stage(side, rng)
    _far(stage, "mountains", "both", "hills", "hills", "trees", "pines", "none")
    _ground(stage, "grass", wave=float(rng.choice([0.0, 0.012])))
    if rng.random() < 0.12:
        _pond(stage)
    return stage.finish()


def farm(side: int, rng: np.random.Generator) -> Backdrop:
    """A ploughed field beside or behind grass, sometimes a fence."""
    stage = _stage(side, rng)
    _far(stage, "hills", "hills", "trees", "hedge", "none")
    span = 1 - stage.horizon
    if rng.random() < 0.5:
        _ground(stage, "dirt", "furrows")
        foot = stage.horizon + span * float(rng.uniform(0.3, 0.5))
        stage.add("grass", stage.below(_edge(stage, foot, 0.012)), _paint(stage, "grass"))
    else:
        _ground(stage, "grass")
        foot = stage.horizon + span * 0.3
        slope, turn = rng.uniform(0.5, 1.1), float(rng.choice([-1, 1]))
        beside = stage.inside((turn * (stage.x - rng.uniform(0.42, 0.58)) - stage.near * slope * 0.35) * 0.9)
        stage.add("dirt", beside * stage.below(stage.horizon), _paint(stage, "furrows"))
    if rng.random() < 0.15:
        edge = _edge(stage, float(rng.uniform(0.8, 0.9)), 0.02)
        stage.add("mud", stage.below(edge), _paint(stage, "mud"))
    if rng.random() < 0.55:
        fence(stage, foot, span * float(rng.uniform(0.13, 0.18)))
    return stage.finish()


def forest(side: int, rng: np.random.Generator) -> Backdrop:
    """Walls of leaves or pines behind a clearing."""
    stage = _stage(side, rng, 0.4, 0.58, 0.2)
    base = stage.horizon + 0.012
    pointed = bool(rng.random() < 0.45)
    trees(stage, base, stage.horizon * float(rng.uniform(0.6, 0.85)), "leaves", pointed=pointed, air=0.55)
    trees(stage, base, stage.horizon * float(rng.uniform(0.4, 0.6)), "leaves", pointed=pointed, air=0.3)
    if rng.random() < 0.6:
        trees(stage, base, stage.horizon * 0.16, "bush", air=0.08)
    _ground(stage, *(("grass", "grass"), ("moss", "moss"), ("dirt", "dirt"))[int(rng.integers(3))])
    if rng.random() < 0.4:
        middle, half = _winding(stage, 0.14, 0.12)
        if "dirt" not in stage.categories:
            stage.add("dirt", stage.strip(middle, half), _paint(stage, "dirt"))
    return stage.finish()


def savanna(side: int, rng: np.random.Generator) -> Backdrop:
    """Dry grass or bare earth under a wide sky."""
    stage = _stage(side, rng, 0.36, 0.5)
    if rng.random() < 0.6:
        hills(stage, stage.horizon + 0.012, ("b0a070", "a8987c", "9c9a74"), int(rng.integers(1, 3)))
    _ground(stage, "grass", "savanna")
    if rng.random() < 0.3:
        edge = _edge(stage, stage.horizon + (1 - stage.horizon) * float(rng.uniform(0.4, 0.7)), 0.03)
        stage.add("dirt", stage.below(edge), _paint(stage, "dirt"))
    elif rng.random() < 0.35:
        _pond(stage)
    return stage.finish()


def _glitter(stage: Stage) -> None:
    """A path of light on the water."""
    if stage.light.name == "day" or stage.rng.random() < 0.3:
        return
    middle = stage.rng.uniform(0.2, 0.8)
    path = np.exp(-(((stage.x - middle) / (0.03 + 0.12 * stage.near)) ** 2)) * (1 - 0.75 * stage.near)
    shade = colour("ffe2b0") if stage.light.name == "dusk" else colour("c8d4f0")
    stage.touch((path * 0.35 * (stage.y > stage.horizon)).astype(np.float32), shade, lit=False)


def sea(side: int, rng: np.random.Generator) -> Backdrop:
    """Open water, sometimes with a far coast."""
    stage = _stage(side, rng, 0.35, 0.55, 0.7)
    _far(stage, "none", "none", "hills", "mountains")
    _ground(stage, "sea")
    _glitter(stage)
    return stage.finish()


def beach(side: int, rng: np.random.Generator) -> Backdrop:
    """Sea behind sand, foam between them."""
    stage = _stage(side, rng, 0.35, 0.48)
    _far(stage, "none", "none", "hills", "mountains")
    _ground(stage, "sea")
    _glitter(stage)
    span = 1 - stage.horizon
    shore = _edge(stage, stage.horizon + span * float(rng.uniform(0.22, 0.42)), 0.02 + 0.03 * rng.random())
    shore = shore + (stage.x[0] - 0.5) * np.float32(rng.normal(0, 0.1))
    shore = np.maximum(shore, stage.horizon + 0.05 * span).astype(np.float32)
    stage.add("sand", stage.below(shore), _paint(stage, "sand"))
    distance = stage.y - shore[None]
    wet = step(distance, span * 0.1, span * 0.02)
    stage.touch((wet * stage.below(shore) * 0.3).astype(np.float32), colour("a8885c"))
    for layer in (-2, -1):
        stage.touch_layer(
            layer, (step(np.abs(distance + 0.004), 0.012, 0.004) * 0.85).astype(np.float32), colour("f8fcff")
        )
    return stage.finish()


def river(side: int, rng: np.random.Generator) -> Backdrop:
    """Grass with a river that winds to the horizon or flows across."""
    stage = _stage(side, rng)
    _far(stage, "mountains", "both", "hills", "trees", "pines")
    _ground(stage, "grass")
    water = _paint(stage, "river")
    bank = pick(rng, ("c8ae7c", "8f9a5c", "b09a70"))
    if rng.random() < 0.7:
        middle, half = _winding(stage, float(rng.uniform(0.24, 0.36)), 0.16)
        stage.touch(stage.strip(middle, half * 1.14 + 0.004), bank)
        stage.add("river", stage.strip(middle, half), water)
    else:
        span = 1 - stage.horizon
        top = _edge(stage, stage.horizon + span * float(rng.uniform(0.12, 0.3)), 0.015)
        low = _edge(stage, stage.horizon + span * float(rng.uniform(0.6, 0.75)), 0.025)
        stage.touch(stage.below(top - 0.014) * (1 - stage.below(low + 0.022)), bank)
        stage.add("river", stage.below(top) * (1 - stage.below(low)), water)
    return stage.finish()


def _across(stage: Stage, top: float, bottom: float) -> None:
    """A road from left to right with its marks."""
    stage.add("road", stage.rectangle(-1, top, 2, bottom), _paint(stage, "asphalt"))
    tall = bottom - top
    middle = top + tall * 0.44
    depth = 1 / (stage.near + 0.09)
    dash = np.sin((stage.x - 0.5) * depth * 9 + stage.rng.uniform(0, 6))
    dash = np.clip(dash * stage.size / (depth * 9) + 0.5, 0, 1)
    stage.touch(
        (stage.rectangle(-1, middle - tall * 0.025, 2, middle + tall * 0.025) * dash * 0.9).astype(np.float32), LINE
    )
    if stage.rng.random() < 0.5:
        for at, thick in ((top + tall * 0.07, 0.012), (bottom - tall * 0.09, 0.02)):
            stage.touch(stage.rectangle(-1, at, 2, at + tall * thick) * np.float32(0.7), LINE)


def _away(stage: Stage, ways: bool) -> None:
    """A road to the horizon, with pavements beside it if ``ways``."""
    goal = float(stage.rng.uniform(0.4, 0.6))
    near = stage.near + 0.012
    middle = np.full_like(near, goal) + (0.5 - goal) * near * 0.3
    half = near * float(stage.rng.uniform(0.34, 0.5))
    down = stage.below(stage.horizon)
    if ways:
        stage.add("pavement", stage.strip(middle, half * 1.55) * down, _paint(stage, "pavement"))
    stage.add("road", stage.strip(middle, half) * down, _paint(stage, "asphalt"))
    for side in (-1, 1):
        stage.touch(stage.strip(middle + side * half * 0.92, half * 0.025) * down * np.float32(0.8), LINE)
    depth = 1 / (stage.near + 0.05)
    dash = step(np.sin(depth * 9 + stage.rng.uniform(0, 6)), -0.2, 0.2) * step(stage.near, 0.04, 0.15)
    stage.touch((stage.strip(middle, half * 0.03) * dash * down * 0.9).astype(np.float32), LINE)


def street(side: int, rng: np.random.Generator) -> Backdrop:
    """A road, pavement and green verges; houses come as things."""
    stage = _stage(side, rng, 0.36, 0.52)
    _far(stage, "hills", "trees", "hedge", "none")
    span = 1 - stage.horizon
    _ground(stage, "grass")
    if rng.random() < 0.72:
        top = stage.horizon + span * float(rng.uniform(0.26, 0.4))
        bottom = float(rng.uniform(0.88, 0.97))
        walk = span * float(rng.uniform(0.1, 0.16))
        stage.add("pavement", stage.below(top - walk), _paint(stage, "pavement"))
        _across(stage, top, bottom)
        stage.touch(stage.rectangle(-1, top, 2, top + 0.012), colour("dcd8ce"))
    else:
        _away(stage, ways=True)
    return stage.finish()


def city(side: int, rng: np.random.Generator) -> Backdrop:
    """A skyline behind pavement and road."""
    stage = _stage(side, rng, 0.38, 0.54, 0.45)
    skyline(stage, stage.horizon + 0.02, bool(rng.random() < 0.6))
    span = 1 - stage.horizon
    _ground(stage, "pavement")
    if rng.random() < 0.75:
        top = stage.horizon + span * float(rng.uniform(0.24, 0.38))
        _across(stage, top, float(rng.uniform(0.9, 1.2)))
        stage.touch(stage.rectangle(-1, top, 2, top + 0.012), colour("dcd8ce"))
    else:
        _away(stage, ways=False)
    return stage.finish()


def snow(side: int, rng: np.random.Generator) -> Backdrop:
    """Snow to the horizon, mountains or pines behind it."""
    stage = _stage(side, rng)
    _far(stage, "mountains", "mountains", "pines", "pines", "none")
    if rng.random() < 0.4:
        edge = _edge(stage, stage.horizon - 0.03, 0.03, 2)
        pixels = _paint(stage, "snow", stage.horizon - 0.1)
        stage.add("snow", stage.below(np.minimum(edge, stage.horizon)), pixels * 0.75 + haze(stage) * 0.25)
    _ground(stage, "snow", wave=0.01)
    return stage.finish()


def park(side: int, rng: np.random.Generator) -> Backdrop:
    """Lawns with a path, trees behind them."""
    stage = _stage(side, rng)
    base = stage.horizon + 0.012
    trees(stage, base, float(rng.uniform(0.1, 0.17)), "leaves", air=0.35)
    if rng.random() < 0.5:
        trees(stage, base, float(rng.uniform(0.05, 0.08)), "bush", air=0.12)
    _ground(stage, "grass")
    kind = rng.random()
    if kind < 0.18:
        _pond(stage)
    elif kind < 0.75:
        middle, half = _winding(stage, float(rng.uniform(0.13, 0.2)), 0.14)
        stage.touch(stage.strip(middle, half * 1.1 + 0.002), colour("8f9a60"))
        way = ("pavement", "pavement", "gravel", "dirt")[int(rng.integers(4))]
        stage.add(way, stage.strip(middle, half), _paint(stage, way))
    else:
        span = 1 - stage.horizon
        top = _edge(stage, stage.horizon + span * float(rng.uniform(0.35, 0.55)), 0.012)
        stage.add("pavement", stage.below(top) * (1 - stage.below(top + span * 0.22)), _paint(stage, "pavement"))
    return stage.finish()


def sky(side: int, rng: np.random.Generator) -> Backdrop:
    """Sky with clouds, sometimes hills at the bottom."""
    low = rng.random() < 0.35
    stage = Stage(side, rng, light_of(rng), float(rng.uniform(0.5, 0.6)))
    stage.add("sky-other", None, paint("sky-other", stage.size, rng, stage.light, 0.95))
    real, stage.horizon = stage.horizon, 1.0
    clouds(stage, 0.05, 0.85, int(rng.integers(2, 8)))
    stage.horizon = real
    if low:
        hills(stage, 1.05, layers=int(rng.integers(1, 3)))
    return stage.finish()


def field(side: int, rng: np.random.Generator) -> Backdrop:
    """A mown field with its lines."""
    stage = _stage(side, rng, 0.36, 0.52)
    _far(stage, "trees", "hedge", "hills", "trees", "none")
    _ground(stage, "playingfield")
    span, near = 1 - stage.horizon, stage.near
    goal = rng.uniform(0.2, 0.8)
    lines = stage.strip(goal + (near + 0.06) * rng.uniform(-0.5, 0.5), (near + 0.06) * 0.014) * stage.below(
        stage.horizon + 0.08 * span
    )
    for at in (0.08, float(rng.uniform(0.4, 0.75))):
        y = stage.horizon + span * at
        lines = np.maximum(lines, stage.rectangle(-1, y, 2, y + span * (0.006 + 0.03 * at)))
    if rng.random() < 0.5:
        at, wide = 0.4, rng.uniform(0.18, 0.3)
        ring = np.sqrt((stage.x - 0.5) ** 2 + ((stage.y - stage.horizon - span * at) * 2.6) ** 2)
        lines = np.maximum(lines, stage.inside(0.008 - np.abs(ring - wide)) * stage.below(stage.horizon + 0.08 * span))
    stage.touch(lines * np.float32(0.85), LINE)
    if rng.random() < 0.35:
        y = stage.horizon + span * float(rng.uniform(0.78, 0.88))
        stage.add("dirt", stage.below(_edge(stage, y, 0.006)), _paint(stage, "dirt"))
    return stage.finish()


def railway(side: int, rng: np.random.Generator) -> Backdrop:
    """A track across or towards the horizon, in grass."""
    stage = _stage(side, rng)
    _far(stage, "hills", "trees", "mountains", "both", "none")
    _ground(stage, "grass")
    span = 1 - stage.horizon
    if rng.random() < 0.7:
        top = stage.horizon + span * float(rng.uniform(0.3, 0.5))
        tall = span * float(rng.uniform(0.22, 0.3))
        bed = stage.below(_edge(stage, top, 0.003, 12)) * (1 - stage.below(_edge(stage, top + tall, 0.004, 12)))
        stage.add("railroad", bed, _paint(stage, "gravel"))
        cells = np.sin((stage.x - 0.5) * (1 + (stage.y - top) * 0.8) * 2 * np.pi * 16)
        stage.touch(
            (step(cells, 0.1, 0.5) * stage.rectangle(-1, top + tall * 0.2, 2, top + tall * 0.86)).astype(np.float32),
            pick(rng, ("6e5140", "7c5c46")),
        )
        for at in (0.3, 0.68):
            for offset, shade in ((0.0, "cfd6dc"), (0.045, "565a64")):
                y = top + tall * (at + offset)
                stage.touch(stage.rectangle(-1, y, 2, y + tall * 0.05), colour(shade))
        if rng.random() < 0.35:
            edge = float(rng.uniform(0.86, 0.92))
            stage.add("platform", stage.below(edge), _paint(stage, "platform"))
            stage.touch(stage.rectangle(-1, edge, 2, edge + 0.014), colour("f0e0a0"))
    else:
        pixels = _paint(stage, "railroad")
        near = stage.near + 0.05
        stage.add("railroad", stage.strip(np.full_like(near, 0.5), near * 0.3) * stage.below(stage.horizon), pixels)
    return stage.finish()
