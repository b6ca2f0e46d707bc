"""Free-hand sketches of drawings: outline and inner edges as strokes, by a careful, a quick or a loose hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from scenograph.scenes.sketch import Sketch

Hand = Literal["careful", "quick", "loose"]
"""Rendered scenes are sketched by the first two; the third is one that nothing has learned from."""

WORKING_SIDE = 80
"""Longer side in pixels at which outlines are traced."""
LEAST_CONTRAST = 60
"""Sum of the differences of the channels across a border that is drawn."""
_REACH = 2
"""Lines are at least this many working pixels apart."""
MAX_STROKES = 15
MAX_POINTS = 200


@dataclass(frozen=True)
class _Style:
    smoothing: float
    """Width of the smoothing along the lines, in working pixels."""
    tolerance: float
    """Of the simplification, in working pixels."""
    corners: int
    """Pieces into which an outline is split, at most."""
    outlines: int
    inner: int
    shortest: float
    """Shortest inner line, as a share of the longer side."""
    wobble: float
    """Size of slow deviations, as a share of the box."""
    slip: float
    """Size of the shift of a whole stroke, likewise."""
    loose: float
    """Gaps and overshoots at the ends of a closed line, as a share of its length."""


_STYLES: dict[str, _Style] = {
    "careful": _Style(1.2, 0.4, 5, 5, 9, 0.1, 0.004, 0.002, 0.0),
    "quick": _Style(3.5, 0.9, 2, 2, 3, 0.22, 0.016, 0.01, 0.05),
    "loose": _Style(2.5, 0.7, 4, 3, 2, 0.3, 0.026, 0.018, 0.08),
}


def sketch_of(sprite: np.ndarray, hand: Hand, rng: np.random.Generator) -> Sketch:
    """A sketch of a drawing (h, w, 4) uint8: at most 15 strokes and 200 points, in fractions of the drawing's box."""
    style = _STYLES[hand]
    small = _working_copy(sprite)
    height, width = small.shape[:2]
    solid = small[..., 3] >= 128
    loops = sorted(_loops(solid), key=len, reverse=True)
    loops = [loop for i, loop in enumerate(loops[: style.outlines]) if i == 0 or len(loop) > 0.3 * max(height, width)]
    if not loops:
        return Sketch((np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]], np.float32),))
    lines = [piece for loop in loops for piece in _pieces(_smooth(loop, style.smoothing, True), style, rng)]
    lines = lines[: MAX_STROKES - 1]
    inner = _inner_lines(small, solid, loops, style)[: max(1, min(style.inner, MAX_STROKES - len(lines)))]
    lines += [_smooth(line, style.smoothing * 0.7, bool((line[0] == line[-1]).all())) for line in inner]
    lines = lines[:MAX_STROKES]
    tolerance = style.tolerance
    kept = [_simplify(line, tolerance) for line in lines]
    while sum(map(len, kept)) > MAX_POINTS:
        tolerance *= 1.3
        kept = [_simplify(line, tolerance) for line in kept]
    extent = np.array([width, height])
    return Sketch(tuple(_drawn(line / extent, style, rng) for line in kept))


def _working_copy(sprite: np.ndarray) -> np.ndarray:
    """(h, w, 4) uint8 with a longer side of ``WORKING_SIDE``."""
    height, width = sprite.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    image = Image.fromarray(np.ascontiguousarray(sprite))
    reduce = max(1, int(1 / scale) // 2)
    image = image.reduce(reduce) if reduce > 1 else image
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def _loops(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines (n, 2) of x, y along the edges of the pixels of a mask (h, w), the mask on their right."""
    height, width = mask.shape
    padded = np.zeros((height + 2, width + 2), bool)
    padded[1:-1, 1:-1] = mask
    row = width + 1  # corners a row
    after: dict[int, int] = {}
    crossing: dict[int, int] = {}
    falls = padded[1:, :] & ~padded[:-1, :], padded[:-1, :] & ~padded[1:, :]
    sides = padded[:, 1:] & ~padded[:, :-1], padded[:, :-1] & ~padded[:, 1:]
    starts, ends = [], []
    for edges, ahead in zip(falls, (1, -1), strict=True):  # top edges to the right, bottom edges to the left
        left = np.flatnonzero(edges[:, 1:-1])
        left = left + left // width
        starts.append(left if ahead == 1 else left + 1)
        ends.append(left + 1 if ahead == 1 else left)
    for edges, ahead in zip(sides, (-1, 1), strict=True):  # left edges upwards, right edges downwards
        top = np.flatnonzero(edges[1:-1])
        starts.append(top + row if ahead == -1 else top)
        ends.append(top if ahead == -1 else top + row)
    for start, end in zip(np.concatenate(starts).tolist(), np.concatenate(ends).tolist(), strict=True):
        (crossing if start in after else after)[start] = end
    loops = []
    while after:
        start = next(iter(after))
        chain = [start]
        at = after.pop(start)
        while at != start:
            chain.append(at)
            at = after.pop(at) if at in after else crossing.pop(at)
        points = np.array(chain)
        loops.append(np.stack([points % row, points // row], 1).astype(np.float64))
        if start in crossing:
            after[start] = crossing.pop(start)
        for point in [point for point in crossing if point not in after]:
            after[point] = crossing.pop(point)
    return loops


def _smooth(line: np.ndarray, width: float, closed: bool) -> np.ndarray:
    """A line (n, 2) smoothed along itself; a closed one comes back with its first point repeated at its end."""
    if closed and len(line) > 1 and (line[0] == line[-1]).all():
        line = line[:-1]
    reach = min(int(width * 2.5) + 1, max(1, len(line) // 4))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(width, 0.3)) ** 2)
    kernel /= kernel.sum()
    if closed:
        extended = np.concatenate([line[-reach:], line, line[:reach]])
    else:
        extended = np.concatenate([2 * line[:1] - line[reach:0:-1], line, 2 * line[-1:] - line[-2 : -reach - 2 : -1]])
    smooth = np.stack([np.convolve(extended[:, axis], kernel, "valid") for axis in (0, 1)], 1)
    smooth = smooth if len(smooth) < 150 else smooth[::2]
    return np.concatenate([smooth, smooth[:1]]) if closed else smooth


def _turns(loop: np.ndarray, reach: int) -> np.ndarray:
    """How sharply a closed line (n, 2, no point twice) turns at each point: 0 straight, 2 back."""
    ahead = np.roll(loop, -reach, 0) - loop
    behind = loop - np.roll(loop, reach, 0)
    lengths = np.linalg.norm(ahead, axis=1) * np.linalg.norm(behind, axis=1)
    return 1 - (ahead * behind).sum(1) / np.maximum(lengths, 1e-9)


def _pieces(loop: np.ndarray, style: _Style, rng: np.random.Generator) -> list[np.ndarray]:
    """A closed line split at its sharpest corners."""
    ring = loop[:-1]
    count = len(ring)
    reach = max(2, count // 50)
    turns = _turns(ring, reach)
    wanted = int(rng.integers(1, style.corners + 1)) if count > 1.2 * WORKING_SIDE else 1
    cuts: list[int] = []
    for index in np.argsort(-turns, kind="stable").tolist():
        if len(cuts) == wanted or (cuts and turns[index] < 0.4):
            break
        if all(min(abs(index - cut), count - abs(index - cut)) > count / 9 for cut in cuts):
            cuts.append(index)
    cuts.sort()
    pieces = []
    for start, end in zip(cuts, [*cuts[1:], cuts[0] + count], strict=True):
        pieces.append(ring[np.arange(start, end + 1) % count])
    if style.loose:
        loose = round(style.loose * len(pieces[0]) * float(rng.uniform(-1, 1)))
        if loose < 0:  # a gap
            pieces = [piece[: len(piece) + loose] if len(piece) + loose > 4 else piece for piece in pieces]
        elif len(pieces) == 1:  # past the start
            pieces = [np.concatenate([pieces[0], pieces[0][1 : loose + 1]])]
    return pieces


def _inner_lines(small: np.ndarray, solid: np.ndarray, loops: list[np.ndarray], style: _Style) -> list[np.ndarray]:
    """Borders between the colours of a drawing, those of most contrast and length first, none twice."""
    height, width = solid.shape
    colours = small[..., :3]
    palette = Image.fromarray(colours[solid][None]).quantize(7, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    labels = np.full((height, width), 255, np.uint8)
    labels[solid] = np.asarray(palette)[0]
    signed = colours.astype(np.int16)
    contrast = np.zeros((height + 1, width + 1), np.int16)
    contrast[1:-1, 1:-1] = np.abs(signed[1:, 1:] - signed[:-1, :-1]).sum(2)
    contrast[1:-1, 1:-1] += np.abs(signed[1:, :-1] - signed[:-1, 1:]).sum(2)
    taken = np.zeros((height + 1 + 2 * _REACH, width + 1 + 2 * _REACH), bool)
    for loop in loops:
        _take(taken, loop)
    shortest = style.shortest * max(height, width)
    found: list[tuple[float, np.ndarray]] = []
    for label in np.unique(labels[solid]).tolist():
        for loop in _loops(labels == label):
            if len(loop) >= shortest:
                at = loop.astype(int)
                strong = contrast[at[:, 1], at[:, 0]]
                free = _free(taken, loop) & (strong > LEAST_CONTRAST)
                for run in _runs(loop, free) if free.sum() >= shortest else ():
                    if len(run) >= shortest:
                        found.append((float(strong.mean()) * len(run) ** 0.8, run))
    found.sort(key=lambda item: -item[0])
    lines: list[np.ndarray] = []
    for _, line in found:
        free = _free(taken, line)
        runs = [line] if free.all() else [run for run in _runs(line, free) if len(run) >= shortest]
        for run in runs:
            lines.append(run)
            _take(taken, run)
        if len(lines) >= style.inner:
            break
    return lines[: style.inner]


def _take(taken: np.ndarray, line: np.ndarray) -> None:
    """Mark the points near a line (n, 2) in ``taken``, which has a border of ``_REACH`` pixels."""
    at = line.astype(int) + _REACH
    across, down = np.meshgrid(np.arange(-_REACH, _REACH + 1), np.arange(-_REACH, _REACH + 1))
    taken[at[:, 1, None] + down.ravel(), at[:, 0, None] + across.ravel()] = True


def _free(taken: np.ndarray, line: np.ndarray) -> np.ndarray:
    """(n,) which points of a line are not near one that is drawn."""
    at = line.astype(int) + _REACH
    return ~taken[at[:, 1], at[:, 0]]


def _runs(loop: np.ndarray, free: np.ndarray) -> list[np.ndarray]:
    """The parts of a closed line (n, 2) whose points are free, whole and closed if all are."""
    if free.all():
        return [np.concatenate([loop, loop[:1]])]
    first = int(np.argmin(free))
    loop, free = np.roll(loop, -first, 0), np.roll(free, -first)
    changes = np.flatnonzero(np.diff(np.concatenate([[0], free.astype(np.int8), [0]])))
    return [loop[start:end] for start, end in changes.reshape(-1, 2)]


def _simplify(line: np.ndarray, tolerance: float) -> np.ndarray:
    """Douglas and Peucker's subset of the points of a line (n, 2), nowhere farther from it than ``tolerance``."""
    keep = np.zeros(len(line), bool)
    keep[[0, -1]] = True
    stack = [(0, len(line) - 1)]
    while stack:
        start, end = stack.pop()
        if end - start < 2:
            continue
        origin, chord = line[start], line[end] - line[start]
        between = line[start + 1 : end] - origin
        length = float(np.hypot(*chord))
        if length < 1e-6:
            distances = np.hypot(between[:, 0], between[:, 1])
        else:
            distances = np.abs(between[:, 0] * chord[1] - between[:, 1] * chord[0]) / length
        farthest = int(distances.argmax())
        if distances[farthest] > tolerance:
            middle = start + 1 + farthest
            keep[middle] = True
            stack += [(start, middle), (middle, end)]
    return line[keep]


def _drawn(line: np.ndarray, style: _Style, rng: np.random.Generator) -> np.ndarray:
    """A stroke (n, 2) float32 in [0, 1] as an unsteady hand draws it."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    knots = max(3, round(along[-1] / 0.3) + 2)
    at = along / max(along[-1], 1e-9) * (knots - 1)
    index = np.minimum(at.astype(int), knots - 2)
    t = (at - index)[:, None]
    t = t * t * (3 - 2 * t)
    offsets = rng.normal(0, style.wobble, (knots, 2))
    shift = rng.normal(0, style.slip, 2)
    moved = line + offsets[index] * (1 - t) + offsets[index + 1] * t + shift
    return np.clip(moved, 0, 1).astype(np.float32)
