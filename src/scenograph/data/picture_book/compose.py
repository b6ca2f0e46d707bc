"""A scene of a picture-book world: sampled from a seed, composed far to near, and known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from scenograph.data.picture_book.backdrops import WORLDS as BACKDROPS
from scenograph.data.picture_book.backdrops import Backdrop
from scenograph.data.picture_book.colours import COLOURS, NATURAL
from scenograph.data.picture_book.drawings import Drawing, Drawings
from scenograph.data.picture_book.layers import LIVES_ON, Light
from scenograph.data.picture_book.pairs import OPAQUE, PAIRS, Pair
from scenograph.data.picture_book.worlds import WORLDS, World
from scenograph.scenes.fields import Box
from scenograph.scenes.openraster import window
from scenograph.scenes.png import scaled

TRIES = 40
"""Places that are tried for a thing before the scene does without it."""
SMALLEST = 0.09
"""Height or width of a thing, whichever is larger, as a fraction of the canvas."""
TALLEST = 0.85
HIDDEN = 0.4
"""Largest share of a thing that nearer ones may hide."""
BESIDE = 1e-4
"""How much nearer or farther than its host a guest is, as a fraction of the canvas: nothing else comes between."""
LARGE, SMALL = 0.38, 0.16
"""Longer sides from which and up to which a thing is called large or small."""
COLOURED = 0.6
"""Share of the things that may have any colour of which the colour is chosen, and told."""
VARIANTS = 64
"""Different renderings of each parametric drawing."""
PAGE = "page"
"""Name of the world in which things lie side by side on paper."""


@dataclass(frozen=True)
class Placed:
    """One thing in a scene."""

    drawing: Drawing
    attributes: tuple[str, ...]
    box: Box
    """Of the whole drawing, also where nearer things hide it."""
    crop: np.ndarray
    """(h, w, 4) uint8 at the size in the picture, without the light of the scene."""
    mask: np.ndarray
    """(h, w) bool: what of the crop is seen."""
    visible: float
    """The share of its pixels that is seen."""
    foot: float
    """Where it, or what carries it, touches the ground, as a fraction of the canvas; larger is nearer."""
    pair: Pair | None = None
    """Of a guest, how it belongs to its host."""
    host: int | None = None
    """The number of that host among the things."""

    @property
    def carried(self) -> bool:
        """Whether another thing carries it, so that it does not touch the ground."""
        return self.pair is not None and self.pair.carried


@dataclass(frozen=True)
class Composed:
    """A picture and what is in it, things far to near."""

    picture: np.ndarray
    """(S, S, 3) uint8."""
    world: str
    backdrop: Backdrop
    things: tuple[Placed, ...]


@dataclass(eq=False)
class _Candidate:
    drawing: Drawing
    attributes: tuple[str, ...]
    pixels: np.ndarray  # (h, w, 4) float32, colours multiplied by alpha
    left: int
    top: int
    foot: float
    pair: Pair | None = None
    host: _Candidate | None = None

    def window(self, side: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of the canvas, then those of the drawing, that lie on each other."""
        height, width = self.pixels.shape[:2]
        return window(self.top, self.left, height, width, side, side)


def compose(drawings: Drawings, kept: frozenset[str], side: int, rng: np.random.Generator, world: str = "") -> Composed:
    """Sample and compose a scene.

    Args:
        drawings: What there is to draw with.
        kept: Keys of the drawings that may be used, so that splits can hold out whole drawings.
        side: Side of the picture in pixels.
        rng: Decides everything.
        world: Its name; a random one if empty.
    """
    name = world or str(rng.choice(list(WORLDS)))
    backdrop, kind = BACKDROPS[name](side, rng), WORLDS[name]
    rows = _by_category(drawings, kept, kind.without)
    eye = float(rng.uniform(*kind.eye))
    candidates: list[_Candidate] = []
    for category in _sampled_categories(kind, tuple(one for one in rows if one in kind.things), rng):
        drawing = rows[category][int(rng.integers(len(rows[category])))]
        placed = _place(drawings, drawing, backdrop, eye, side, candidates, rng)
        if placed is None:
            continue
        candidates.append(placed)
        pair = _sampled_pair(drawing, name, rng)
        if pair is not None and len(candidates) < kind.count[1]:
            guest = _attach(drawings, rows.get(pair.guest, []), pair, placed, side, candidates, rng)
            candidates += [] if guest is None else [guest]
    candidates.sort(key=lambda one: one.foot)
    return Composed(_picture(backdrop, candidates, side), name, backdrop, _known(candidates, side))


def compose_page(drawings: Drawings, kept: frozenset[str], side: int, rng: np.random.Generator) -> Composed:
    """A page of a word book: two to six large things on plain paper, every category as often as any other.

    In the other worlds some categories are rare and most things small; what learns how things look needs neither.
    Args as for :func:`compose`.
    """
    rows = _by_category(drawings, kept)
    names = list(rows)
    candidates: list[_Candidate] = []
    for _ in range(int(rng.integers(2, 7))):
        choices = rows[names[int(rng.integers(len(names)))]]
        drawing = choices[int(rng.integers(len(choices)))]
        sprite, colour = _variant(drawings, drawing, rng)
        for _ in range(TRIES):
            scale = rng.uniform(0.28, 0.5) * side / max(sprite.shape[:2])
            pixels = _scaled(sprite, *(max(round(scale * length), 1) for length in sprite.shape[:2]))
            height, width = pixels.shape[:2]
            top, left = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
            foot = (top + height) / side
            made = _Candidate(drawing, _attributes(max(height, width) / side, colour), pixels, left, top, foot)
            if not any(_overlap(made, other) for other in candidates):
                candidates.append(made)
                break
    candidates.sort(key=lambda one: one.foot)
    shade = rng.uniform(0.55, 1.0, 3).astype(np.float32)
    paper = np.broadcast_to((shade + 2 * shade.max()) / 3, (side, side, 3))  # pale
    labels = np.zeros((side, side), np.int16)
    backdrop = Backdrop(paper, labels, ("paper",), 0.0, Light("day", (1.0, 1.0, 1.0), 0.0), {})
    return Composed(_picture(backdrop, candidates, side), PAGE, backdrop, _known(candidates, side))


def _by_category(drawings: Drawings, kept: frozenset[str], without: tuple[str, ...] = ()) -> dict[str, list[Drawing]]:
    """The drawings that may be used, but for those of some names."""
    rows: dict[str, list[Drawing]] = {}
    for drawing in drawings.rows:
        if drawing.key in kept and drawing.name not in without:
            rows.setdefault(drawing.category, []).append(drawing)
    return rows


def _overlap(one: _Candidate, other: _Candidate) -> bool:
    """Whether the boxes of two things overlap."""
    down = max(one.top, other.top) < min(one.top + one.pixels.shape[0], other.top + other.pixels.shape[0])
    across = max(one.left, other.left) < min(one.left + one.pixels.shape[1], other.left + other.pixels.shape[1])
    return down and across


def _sampled_categories(kind: World, known: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    """Categories of the things of a scene; herds and rows of one category are common."""
    if not known:
        return []
    weights = np.array([kind.things[name] for name in known])
    count = int(rng.integers(kind.count[0], kind.count[1] + 1))
    chosen: list[str] = []
    while len(chosen) < count:
        category = str(rng.choice(known, p=weights / weights.sum()))
        chosen += [category] * (int(rng.integers(2, 4)) if rng.random() < 0.2 else 1)
    return chosen[:count]


def _place(
    drawings: Drawings,
    drawing: Drawing,
    backdrop: Backdrop,
    eye: float,
    side: int,
    others: list[_Candidate],
    rng: np.random.Generator,
) -> _Candidate | None:
    """A place where the thing can stand, is large enough, and hides too much of nothing; None if none is found."""
    ground = _ground(backdrop, drawing)
    if ground is None:
        return None
    sprite, colour = _variant(drawings, drawing, rng)
    stretch, grown = float(rng.uniform(0.92, 1.08)), float(rng.uniform(0.9, 1.1))
    rows, columns = np.nonzero(ground)
    for _ in range(TRIES):
        chosen = int(rng.integers(len(rows)))
        foot, across = (rows[chosen] + 1) / side, (columns[chosen] + 0.5) / side
        height = grown * _height(drawing, foot, backdrop.horizon, eye, rng)
        width = height * stretch * sprite.shape[1] / sprite.shape[0]
        longer = max(height, width)
        if not SMALLEST <= longer <= TALLEST:
            continue
        pixels = _scaled(sprite, round(height * side), round(width * side))
        top = round((foot + height * drawing.foot) * side) - pixels.shape[0]
        left = round(across * side - pixels.shape[1] / 2)
        if left < 0 or left + pixels.shape[1] > side or top < 0 or top + pixels.shape[0] > side:
            continue
        far = foot if drawing.habitat not in ("air", "wall") else foot - 2  # behind everything that stands
        made = _Candidate(drawing, _attributes(longer, colour), pixels, left, top, far)
        if _hides_little([*others, made], side):
            return made
    return None


def _sampled_pair(host: Drawing, world: str, rng: np.random.Generator) -> Pair | None:
    """A pair that a host becomes part of, or none."""
    chance = float(rng.random())
    for pair in PAIRS:
        if pair.share and pair.takes_host(host) and (not pair.worlds or world in pair.worlds):
            chance -= pair.share
            if chance < 0:
                return pair
    return None


def _attach(
    drawings: Drawings,
    rows: list[Drawing],
    pair: Pair,
    host: _Candidate,
    side: int,
    others: list[_Candidate],
    rng: np.random.Generator,
) -> _Candidate | None:
    """A guest where its host has it, under the conditions of :func:`_place`; None if none is found."""
    fitting = [drawing for drawing in rows if pair.takes_guest(drawing)]
    if not fitting:
        return None
    drawing = fitting[int(rng.integers(len(fitting)))]
    sprite, colour = _variant(drawings, drawing, rng)
    for _ in range(TRIES):
        height = host.pixels.shape[0] * rng.uniform(*pair.heights(drawing, host.drawing))
        width = height * sprite.shape[1] / sprite.shape[0]
        longer = max(height, width) / side
        if not SMALLEST <= longer <= TALLEST:
            continue
        pixels = _scaled(sprite, max(round(height), 1), max(round(width), 1))
        tall, wide = pixels.shape[:2]
        across = float(rng.uniform(*pair.across))
        top, left = pair.seat(host.pixels, (host.top, host.left), across, (tall, wide))
        if left < 0 or left + wide > side or top < 0 or top + tall > side:
            continue
        foot = host.foot + (BESIDE if pair.nearer else -BESIDE)
        made = _Candidate(drawing, _attributes(longer, colour), pixels, left, top, foot, pair, host)
        if _hides_little([*others, made], side):
            return made
    return None


def _variant(drawings: Drawings, drawing: Drawing, rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
    """The sprite of a drawing, which may be mirrored, and its colour if one was chosen."""
    colours = NATURAL.get(drawing.category, tuple(COLOURS))
    colour = str(rng.choice(colours)) if drawing.recolour and rng.random() < COLOURED else None
    sprite = drawings.sprite(drawing, int(rng.integers(VARIANTS)), colour)
    return (sprite[:, ::-1] if drawing.mirror and rng.random() < 0.5 else sprite), colour


def _attributes(longer: float, colour: str | None) -> tuple[str, ...]:
    """What is said about a thing of this longer side (a fraction of the canvas) and colour."""
    size = ("large",) if longer > LARGE else ("small",) if longer < SMALL else ()
    return (*size, *((colour,) if colour else ()))


def _ground(backdrop: Backdrop, drawing: Drawing) -> np.ndarray | None:
    """Where in the picture (S, S) the thing may stand; None if nowhere."""
    for name in LIVES_ON.get(drawing.habitat, (drawing.habitat,)):
        found = backdrop.grounds.get(name)
        if found is not None and found.any():
            return found
    return None


def _height(drawing: Drawing, foot: float, horizon: float, eye: float, rng: np.random.Generator) -> float:
    """Height in the picture, as a fraction of the canvas.

    A camera at the height of the eye sees what stands at ``foot`` under ``(foot - horizon) / eye`` per metre.
    """
    told = drawing.told
    if drawing.habitat == "air":
        return float(rng.uniform(0.035, 0.075)) * told
    if drawing.habitat in ("table", "wall"):
        return float(rng.uniform(0.16, 0.22)) * told**0.8
    return told * (foot - horizon) / eye


def _scaled(sprite: np.ndarray, height: int, width: int) -> np.ndarray:
    """A sprite (h, w, 4) uint8 at another size as float32 in [0, 1], colours multiplied by alpha."""
    method = Image.Resampling.BOX if height < 128 else Image.Resampling.BICUBIC
    small = scaled(sprite, height, width, method)
    return np.asarray(small, dtype=np.float32) / 255


def _hides_little(candidates: list[_Candidate], side: int) -> bool:
    """Whether at most :data:`HIDDEN` of every thing is hidden."""
    ordered = sorted(candidates, key=lambda one: one.foot)
    return all(share >= 1 - HIDDEN for share in _visible(ordered, side)[1])


def _visible(ordered: list[_Candidate], side: int) -> tuple[list[np.ndarray], list[float]]:
    """What is seen of each thing, (h, w) bool, and its share; things come far to near."""
    taken = np.zeros((side, side), dtype=bool)
    masks, shares = [], []
    for one in reversed(ordered):
        rows, columns, own_rows, own_columns = one.window(side)
        opaque = one.pixels[..., 3] >= OPAQUE
        seen = np.zeros_like(opaque)
        seen[own_rows, own_columns] = opaque[own_rows, own_columns] & ~taken[rows, columns]
        taken[rows, columns] |= opaque[own_rows, own_columns]
        masks.append(seen)
        shares.append(float(seen.sum() / max(opaque.sum(), 1)))
    return masks[::-1], shares[::-1]


def _picture(backdrop: Backdrop, ordered: list[_Candidate], side: int) -> np.ndarray:
    """The backdrop with shadows and things, (S, S, 3) uint8."""
    canvas = backdrop.pixels.astype(np.float32).copy()
    for one in ordered:
        carried = one.pair is not None and one.pair.carried
        if backdrop.grounds and one.drawing.habitat not in ("air", "wall", "water") and not carried:
            _shade(canvas, one, side)
    for one in ordered:
        rows, columns, own_rows, own_columns = one.window(side)
        part = one.pixels[own_rows, own_columns]
        lit = backdrop.light.on(part[..., :3])
        canvas[rows, columns] = canvas[rows, columns] * (1 - part[..., 3:]) + lit
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def _shade(canvas: np.ndarray, one: _Candidate, side: int) -> None:
    """Darken an ellipse under a thing."""
    height, width = one.pixels.shape[:2]
    middle, bottom = one.left + width / 2, one.top + height * (1 - one.drawing.foot)
    across, down = max(width * 0.48, 1.5), max(min(width * 0.12, height * 0.1), 1.0)
    top, left = max(int(bottom - 2 * down), 0), max(int(middle - 1.4 * across), 0)
    lowest, rightmost = min(int(bottom + 2 * down) + 1, side), min(int(middle + 1.4 * across) + 1, side)
    rows, columns = np.mgrid[top:lowest, left:rightmost]
    distance = ((columns + 0.5 - middle) / across) ** 2 + ((rows + 0.5 - bottom) / down) ** 2
    shadow = 0.28 * np.clip(1.3 - distance, 0, 1)
    canvas[rows, columns] *= 1 - shadow[..., None]


def _known(ordered: list[_Candidate], side: int) -> tuple[Placed, ...]:
    """What there is to say about each thing."""
    masks, shares = _visible(ordered, side)
    placed = []
    for one, mask, share in zip(ordered, masks, shares, strict=True):
        height, width = one.pixels.shape[:2]
        alpha = one.pixels[..., 3:]
        colours = np.divide(one.pixels[..., :3], alpha, out=np.zeros_like(one.pixels[..., :3]), where=alpha > 0)
        crop = (np.concatenate([colours, alpha], axis=2).clip(0, 1) * 255).round().astype(np.uint8)
        box = (one.left / side, one.top / side, (one.left + width) / side, (one.top + height) / side)
        host = None if one.host is None else ordered.index(one.host)
        placed.append(Placed(one.drawing, one.attributes, box, crop, mask, share, one.foot, one.pair, host))
    return tuple(placed)
