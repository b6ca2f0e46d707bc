"""Value noise, the ground plane in perspective, and small colour helpers for painted textures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


def colour(code: str) -> np.ndarray:
    """``"rrggbb"`` as (3,) float32 in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255


def vary(base: np.ndarray, rng: np.random.Generator, amount: float = 0.03) -> np.ndarray:
    """A colour close to ``base`` (3,), in [0, 1]."""
    shift = rng.normal(0, amount, 3) * 0.35 + rng.normal(0, amount)
    return np.clip(base + shift, 0, 1).astype(np.float32)


def pick(rng: np.random.Generator, codes: Sequence[str], amount: float = 0.02) -> np.ndarray:
    """One of the hex colours, varied a little; (3,) float32."""
    return vary(colour(codes[int(rng.integers(len(codes)))]), rng, amount)


def step(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between (``low`` may be the greater)."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    """``a`` where the weight is 0, ``b`` where it is 1.

    Colours are (..., 3); a weight (h, w) is for the pixels of a picture, and the result is then (h, w, 3) float32.
    """
    if not isinstance(weight, np.ndarray) or weight.ndim != 2:
        return a + (b - a) * weight
    weight = weight.astype(np.float32, copy=False)
    shape = np.broadcast_shapes(weight.shape, *(one.shape[:-1] for one in (a, b)))
    mixed = np.empty((*shape, 3), np.float32)
    for channel in range(3):  # much faster than broadcasting a short last axis
        first, second = a[..., channel], b[..., channel]
        np.add((second - first).astype(np.float32, copy=False) * weight, first, out=mixed[..., channel])
    return mixed


def over(pixels: np.ndarray, colours: np.ndarray, coverage: np.ndarray) -> None:
    """Lay ``colours``, (3,) or (h, w, 3), on ``pixels`` (h, w, 3) in place where the coverage (h, w) is."""
    rows = np.flatnonzero(coverage.max(1) > 0)
    if not len(rows):
        return
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    colours = colours[part] if colours.ndim == 3 and len(colours) == len(pixels) else colours
    coverage = coverage[part].astype(np.float32, copy=False)
    for channel in range(3):
        below = pixels[part, :, channel]
        below += (colours[..., channel] - below) * coverage


def shaded(pixels: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Pixels or a colour (..., 3) times (h, w): (h, w, 3) float32."""
    result = np.empty((*np.broadcast_shapes(factor.shape, pixels.shape[:-1]), 3), np.float32)
    for channel in range(3):
        np.multiply(pixels[..., channel], factor, out=result[..., channel], casting="same_kind")
    return result


def gradient(positions: np.ndarray, stops: Sequence[tuple[float, np.ndarray]]) -> np.ndarray:
    """Colours (n, 3) at ``positions`` (n,) of a gradient through ``stops``, softened at the stops."""
    at = np.array([stop for stop, _ in stops], np.float32)
    colours = np.stack([shade for _, shade in stops])
    index = np.clip(np.searchsorted(at, positions, side="right") - 1, 0, len(at) - 2)
    t = np.clip((positions - at[index]) / (at[index + 1] - at[index]), 0, 1)[:, None]
    t = t * 0.5 + t * t * (3 - 2 * t) * 0.5
    return (colours[index] * (1 - t) + colours[index + 1] * t).astype(np.float32)


def _weights(size: int, cells: int) -> np.ndarray:
    """Interpolation weights (size, cells + 1) from lattice values to samples, smooth steps between."""
    position = (np.arange(size, dtype=np.float32) + 0.5) / size * cells
    index = position.astype(np.int64)
    t = position - index
    t = t * t * (3 - 2 * t)
    weights = np.zeros((size, cells + 1), np.float32)
    rows = np.arange(size)
    weights[rows, index] = 1 - t
    weights[rows, index + 1] = t
    return weights


def ridge(rng: np.random.Generator, size: int, cells: int, octaves: int = 3, persistence: float = 0.5) -> np.ndarray:
    """A wavy line: (size,) float32 about 0, nearly all in [-1, 1]."""
    total = np.zeros(size, np.float32)
    weight = 1.0
    for octave in range(octaves):
        count = cells * 2**octave
        total += weight * (_weights(size, count) @ rng.uniform(-1, 1, count + 1).astype(np.float32))
        weight *= persistence
    return total


def flat_noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> np.ndarray:
    """Noise in the picture plane: (h, w) float32 in [0, 1] with ``cells`` lattice cells down and across."""
    lattice = rng.random((cells[0] + 1, cells[1] + 1), dtype=np.float32)
    return _weights(shape[0], cells[0]) @ lattice @ _weights(shape[1], cells[1]).T


def cloudy(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int], octaves: int = 3) -> np.ndarray:
    """Sum of octaves of :func:`flat_noise`, (h, w) float32 in [0, 1]."""
    total = np.zeros(shape, np.float32)
    weight, whole = 1.0, 0.0
    for octave in range(octaves):
        total += weight * flat_noise(rng, shape, (cells[0] * 2**octave, cells[1] * 2**octave))
        whole += weight
        weight *= 0.5
    return total / whole


@dataclass(frozen=True, eq=False)
class Plane:
    """A level plane seen in perspective, the rows from ``top`` to the bottom of a square of ``side`` pixels."""

    side: int
    top: int
    near: np.ndarray  # (h, 1) 0 at the horizon, 1 at the bottom
    depth: np.ndarray  # (h, 1) distance, about 1 at the bottom and 1 / eps far away
    u: np.ndarray  # (h, side) across, 0 in the middle
    v: np.ndarray  # (h, 1) away from the eye
    eps: float

    @staticmethod
    def of(side: int, horizon: float, eps: float) -> Plane:
        """The plane below ``horizon`` (fraction of the side); ``eps`` is the slope that is left at the far end."""
        top = min(int(horizon * side), side - 1)
        y = (np.arange(top, side, dtype=np.float32) + 0.5) / side
        near = np.clip((y - horizon) / (1 - horizon), 0, 1)[:, None].astype(np.float32)
        depth = (1 / (near + np.float32(eps))).astype(np.float32)
        x = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
        return Plane(side, top, near, depth, x[None] * depth, depth, eps)

    def across_pixels(self, frequency: float) -> np.ndarray:
        """(h, 1) width in pixels of one cell."""
        return self.side / (frequency * self.depth)

    def away_pixels(self, frequency: float) -> np.ndarray:
        """(h, 1) height in pixels of one cell."""
        return (self.side - self.top) / (frequency * self.depth**2)

    def noise(self, rng: np.random.Generator, across: float, away: float) -> np.ndarray:
        """(h, side) float32 about 0 in [-1, 1], ``across`` and ``away`` cells a unit, fading where cells get small."""
        nearest = 1 / (1 + self.eps)
        v = np.maximum(self.v[:, 0] - nearest, 0) * away
        row = v.astype(np.int64)
        ease = step(v - row, 0, 1)[:, None]
        columns = 128
        count = int((1 / self.eps - nearest) * away) + 3  # the same at every size
        lattice = rng.random((count, columns), dtype=np.float32) * 2 - 1
        lattice = np.concatenate([lattice, lattice[:, :1]], 1)
        size = np.minimum(self.across_pixels(across), self.away_pixels(away))
        fade = np.clip(size * 0.6 - 0.2, 0, 1)
        first = int((fade[:, 0] == 0).sum())  # the far rows, where nothing is seen
        row, ease = row[first:], ease[first:]
        rows = lattice[row] * (1 - ease) + lattice[row + 1] * ease
        u = self.u[first:] * np.float32(across) + np.float32(columns * 64)
        index = u.astype(np.int32)
        t = u - index
        t *= t * (3 - 2 * t)
        index &= columns - 1
        index += (np.arange(len(rows), dtype=np.int32) * (columns + 1))[:, None]
        flat = rows.ravel()
        left = flat.take(index)
        index += 1
        values = np.zeros(self.u.shape, np.float32)
        np.multiply(left + (flat.take(index) - left) * t, fade[first:], out=values[first:])
        return values

    def octaves(self, rng: np.random.Generator, across: float, away: float, count: int = 2) -> np.ndarray:
        """Sum of octaves of :meth:`noise`."""
        total = self.noise(rng, across, away)
        for octave in range(1, count):
            total = total + self.noise(rng, across * 2**octave, away * 2**octave) * 0.5**octave
        return total


def joints(cells: np.ndarray, pixels: np.ndarray | float, width: float = 1.5) -> np.ndarray:
    """Lines between cells, in [0, 1]: ``cells`` are coordinates in cells, ``pixels`` the size of one cell."""
    distance = np.abs(cells - np.round(cells)) * pixels
    return np.clip(width / 2 + 0.5 - distance, 0, 1) * np.clip(np.asarray(pixels) / (4 * width) - 0.2, 0, 1)


def tones(rng: np.random.Generator, *cells: np.ndarray) -> np.ndarray:
    """A random value in [-1, 1] for each cell (integers of the coordinates), broadcast together."""
    table = rng.uniform(-1, 1, 256).astype(np.float32)
    index: np.ndarray = np.zeros((1, 1), np.int64)
    for factor, cell in zip((37, 113), cells, strict=False):
        index = index + np.floor(cell).astype(np.int64) * factor
    return table[index & 255]
