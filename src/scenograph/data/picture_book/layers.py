"""Regions laid over one another, far to near, with smooth edges and an exact label map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scenograph.data.picture_book.noise import Colour, over

OVERSAMPLING = 2
SMALLEST_SHARE = 0.012
"""A category that covers less of the canvas is left out."""
FOOTING = 0.02
"""Things stand at least this far below the horizon, as a fraction of the canvas."""

HABITATS: dict[str, tuple[str, ...]] = {
    "sky-other": ("air",),
    "clouds": ("air",),
    "snow": ("snow", "ground"),
    "road": ("road",),
    "railroad": ("road",),
    **dict.fromkeys(("sea", "river", "water-other"), ("water",)),
    **dict.fromkeys(("table", "counter", "desk-stuff"), ("table",)),
    **dict.fromkeys(
        (
            "grass",
            "dirt",
            "sand",
            "pavement",
            "platform",
            "gravel",
            "mud",
            "moss",
            "rock",
            "ground-other",
            "playingfield",
        ),
        ("ground",),
    ),
}
"""The habitats of a region's category; floors and walls go by their names."""
LIVES_ON: dict[str, tuple[str, ...]] = {"table": ("table", "floor"), "ground": ("ground", "floor", "snow")}
"""Of a drawing's habitat, what it may stand on, the best first; others stand on their own only."""


def habitats_of(region: str) -> tuple[str, ...]:
    """The habitats of a region, by its category."""
    if region.startswith("wall-"):
        return ("wall",)
    if region.startswith("floor-") or region in ("carpet", "rug", "mat"):
        return ("floor",)
    return HABITATS.get(region, ())


@dataclass(frozen=True)
class Light:
    """The light of a scene: :meth:`factor` multiplies the colours of sprites and of the ground."""

    name: Literal["day", "dusk", "night"]
    tint: Colour
    strength: float
    """How much of the tint there is, 0 to 1."""

    def factor(self) -> np.ndarray:
        """(3,) float32, what white becomes."""
        return 1 + np.float32(self.strength) * (np.array(self.tint, np.float32) - 1)

    def on(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels (..., 3) in this light; at night they lose some of their colour as well."""
        if self.name == "night":
            grey = pixels.mean(-1, keepdims=True)
            pixels = grey + (pixels - grey) * np.float32(0.7)
        return pixels * self.factor()


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A world without its things."""

    pixels: np.ndarray
    """(S, S, 3) float32 in [0, 1]."""
    labels: np.ndarray
    """(S, S) int16, index into ``names``."""
    names: tuple[str, ...]
    """Categories of the regions that are seen, each on at least a hundredth of the pixels."""
    horizon: float
    """Height of the eye in the picture, where parallel lines of the ground meet; fraction of the canvas."""
    light: Light
    grounds: dict[str, np.ndarray]
    """By habitat, (S, S) bool: where the foot of a thing may stand (air and wall: anywhere there)."""


@dataclass(eq=False)
class _Layer:
    category: str
    coverage: np.ndarray | None
    pixels: np.ndarray


class Stage:
    """A canvas of ``size`` = 2 ``side`` pixels a side on which regions are laid, the farthest first."""

    def __init__(self, side: int, rng: np.random.Generator, light: Light, horizon: float) -> None:
        self.side, self.rng, self.light, self.horizon = side, rng, light, horizon
        self.size = side * OVERSAMPLING
        middle = (np.arange(self.size, dtype=np.float32) + 0.5) / self.size
        self.x, self.y = middle[None], middle[:, None]
        self._layers: list[_Layer] = []

    @property
    def categories(self) -> set[str]:
        """What has been laid so far."""
        return {layer.category for layer in self._layers}

    @property
    def near(self) -> np.ndarray:
        """(size, 1) 0 at the horizon and above, 1 at the bottom."""
        return np.clip((self.y - self.horizon) / (1 - self.horizon), 0, 1)

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Coverage in [0, 1] from signed distances (fractions of the canvas, positive inside)."""
        return np.clip(distance * np.float32(self.size) + 0.5, 0, 1)

    def below(self, edge: np.ndarray | float) -> np.ndarray:
        """Coverage (size, size) of what lies below a line: one height or (size,) heights from left to right."""
        return self.inside(self.y - np.broadcast_to(np.asarray(edge, np.float32), (self.size,))[None])

    def rectangle(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        """Coverage (size, size) of a box, in fractions of the canvas."""
        across = self.inside(np.minimum(self.x - left, right - self.x))
        return across * self.inside(np.minimum(self.y - top, bottom - self.y))

    def strip(self, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
        """Coverage of a band from top to bottom: middle and half width of each row, (size, 1)."""
        return self.inside(half - np.abs(self.x - middle)) * np.clip(half * self.size, 0, 1)

    def add(self, category: str, coverage: np.ndarray | None, pixels: np.ndarray) -> None:
        """Lay a region over the others: coverage (size, size) or None for all, pixels (size, size, 3)."""
        self._layers.append(_Layer(category, coverage, pixels))

    def touch(self, coverage: np.ndarray, colours: np.ndarray, lit: bool = True) -> None:
        """Paint on the last region without changing its label; ``lit`` applies the light to the colours."""
        self.touch_layer(-1, coverage, colours, lit)

    def touch_layer(self, index: int, coverage: np.ndarray, colours: np.ndarray, lit: bool = True) -> None:
        """Like :meth:`touch`, on any region."""
        colours = self.light.on(colours) if lit else colours
        over(self._layers[index].pixels, colours, coverage)

    def finish(self) -> Backdrop:
        """The backdrop. Categories that cover too little are left out."""
        layers = self._layers
        small = [None if layer.coverage is None else _halved(layer.coverage) >= 0.5 for layer in layers]
        while True:
            order = list(dict.fromkeys(layer.category for layer in layers))
            labels = np.zeros((self.side, self.side), np.int16)
            for layer, mask in zip(layers, small, strict=True):
                if mask is None:
                    labels[:] = order.index(layer.category)
                else:
                    labels[mask] = order.index(layer.category)
            shares = np.bincount(labels.ravel(), minlength=len(order)) / labels.size
            poor = {name for name, share in zip(order, shares, strict=True) if share < SMALLEST_SHARE}
            kept = [i for i, layer in enumerate(layers) if layer.category not in poor or i == 0]
            if len(kept) == len(layers):
                break
            layers, small = [layers[i] for i in kept], [small[i] for i in kept]
        pixels = np.clip(_halved(self._painted(layers)), 0, 1)
        return Backdrop(pixels, labels, tuple(order), self.horizon, self.light, self._grounds(labels, order))

    def _painted(self, layers: list[_Layer]) -> np.ndarray:
        canvas = layers[0].pixels.copy()
        for layer in layers[1:]:
            if layer.coverage is None:
                canvas[:] = layer.pixels
                continue
            over(canvas, layer.pixels, layer.coverage)
        return canvas

    def _grounds(self, labels: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        grounds: dict[str, np.ndarray] = {}
        rows = (np.arange(self.side) + 0.5) / self.side
        below = (rows > self.horizon + FOOTING)[:, None]
        for index, name in enumerate(names):
            for habitat in habitats_of(name):
                mask = labels == index if habitat in ("air", "wall") else (labels == index) & below
                if mask.any():
                    grounds[habitat] = grounds[habitat] | mask if habitat in grounds else mask
        return grounds


def _halved(values: np.ndarray) -> np.ndarray:
    """Means of two by two pixels: (2S, 2S, ...) to (S, S, ...)."""
    rows = values[::2] + values[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)
