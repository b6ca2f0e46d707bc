"""A drawing's body in another colour."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.colours import COLOURS
from scenograph.errors import UserError, suggest

REACH = 30.0
"""Degrees of hue to either side of the body's that belong to it."""
PALE = 0.12
"""Below this saturation a hue means nothing."""


def recoloured(sprite: np.ndarray, colour: str) -> np.ndarray:
    """A sprite whose body (the pixels of its commonest hue) has another colour.

    Shading stays: what was darker or paler than most of the body is so still. Outlines and details of other hues,
    and alpha, stay as they are. A sprite without any colour comes back unchanged.

    Args:
        sprite: (h, w, 4) uint8 RGBA, not premultiplied; left alone.
        colour: A key of ``COLOURS``.

    Raises:
        UserError: There is no such colour.
    """
    if colour not in COLOURS:
        raise UserError(f"no colour {colour!r} {suggest(colour, COLOURS)}")
    made = sprite.copy()
    visible = sprite[..., 3] > 0
    hue, saturation, value = _hsv(sprite[visible][:, :3] / 255.0)
    weight = saturation * value * sprite[visible][:, 3]
    weight[saturation < PALE] = 0
    if not weight.any():
        return made
    body_hue = _commonest(hue, weight)
    away = (hue - body_hue + 180) % 360 - 180
    body = (np.abs(away) <= REACH) & (saturation >= PALE)
    away, saturation, value = away[body], saturation[body], value[body]
    usual_saturation, usual_value = float(np.median(saturation)), float(np.median(value))

    (to_hue,), (to_saturation,), (to_value,) = _hsv(np.array([COLOURS[colour]]) / 255.0)
    # What is usual becomes the colour itself and the rest keeps its ratio to it, but runs evenly up to white at most.
    lit = to_value + (1 - to_value) * (value - usual_value) / max(1 - usual_value, 1e-6)
    ratio = to_value * value / max(usual_value, 1e-6)
    new_value = np.where(value > usual_value, np.minimum(lit, ratio), ratio)
    new_saturation = np.minimum(to_saturation * saturation / usual_saturation, min(1.3 * to_saturation, 1.0))
    pixels = made[visible]
    pixels[body, :3] = np.round(255 * _rgb((to_hue + 0.4 * away) % 360, new_saturation, new_value))
    made[visible] = pixels
    return made


def _commonest(hue: np.ndarray, weight: np.ndarray) -> float:
    """The hue, in degrees, around which most weight lies."""
    bins = 36
    counts = np.bincount((hue / (360 / bins)).astype(int) % bins, weight, bins)
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
    peak = (int(smooth.argmax()) + 0.5) * 360 / bins
    away = (hue - peak + 180) % 360 - 180
    near = np.abs(away) <= REACH / 2
    return float((peak + np.average(away[near], weights=weight[near])) % 360)


def _hsv(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hue in degrees, saturation and value in [0, 1], each (N,), of (N, 3) colours in [0, 1]."""
    value, low = rgb.max(1), rgb.min(1)
    spread = value - low
    safe = np.where(spread > 0, spread, 1)
    red, green, blue = rgb.T
    hue = np.select(
        [value == red, value == green], [(green - blue) / safe % 6, (blue - red) / safe + 2], (red - green) / safe + 4
    )
    saturation = spread / np.where(value > 0, value, 1)
    return np.where(spread > 0, hue * 60, 0), saturation, value


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(N, 3) colours in [0, 1]; the inverse of :func:`_hsv`."""
    sector = (np.array([5, 3, 1])[None] + hue[:, None] / 60) % 6
    part = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return value[:, None] * (1 - saturation[:, None] * part)
