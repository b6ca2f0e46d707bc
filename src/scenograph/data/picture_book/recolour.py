"""A drawing's body in another colour."""

from __future__ import annotations

import numpy as np

from scenograph.data.picture_book.colours import COLOURS
from scenograph.errors import UserError, suggest

REACH = 30.0
"""Degrees of hue to either side of the body's that belong to it."""
SPREAD = 0.25
"""Difference of value from the body's up to which a pixel without colour belongs to it."""
PALE = 0.12
"""Below this saturation a hue means nothing."""
DULL = 0.15
"""What a pixel without colour counts, where one of full colour counts 1: bodies are mostly the coloured part."""


def recoloured(sprite: np.ndarray, colour: str, body: np.ndarray | None = None) -> np.ndarray:
    """A sprite whose body has another colour.

    Shading stays: what was darker or paler than most of the body is so still. Outlines and details of other hues,
    and alpha, stay as they are.

    Args:
        sprite: (h, w, 4) uint8 RGBA, not premultiplied; left alone.
        colour: A key of ``COLOURS``.
        body: How much of each pixel is the body's, (h, w) uint8; by default, the pixels of the commonest hue, or of
            white, grey or black.

    Raises:
        UserError: There is no such colour.
    """
    if colour not in COLOURS:
        raise UserError(f"no colour {colour!r} {suggest(colour, COLOURS)}")
    made = sprite.copy()
    visible = sprite[..., 3] > 0
    hue, saturation, value = _hsv(sprite[visible][:, :3] / 255.0)
    share = (sprite[..., 3] if body is None else body)[visible]
    weight = np.where(saturation >= PALE, saturation * value * share, 0)
    away = (hue - _commonest(hue, weight) + 180) % 360 - 180 if weight.any() else np.full_like(hue, np.inf)
    share = _body(away, saturation, value, share) if body is None else share / 255
    chosen = share > 0
    if not chosen.any():
        return made
    away, saturation, value, share = away[chosen], saturation[chosen], value[chosen], share[chosen]
    most = share >= min(0.5, share.max())
    usual_saturation, usual_value = float(np.median(saturation[most])), float(np.median(value[most]))

    (to_hue,), (to_saturation,), (to_value,) = _hsv(np.array([COLOURS[colour]]) / 255.0)
    # What is usual becomes the colour itself and the rest keeps its ratio to it, but runs evenly up to white at most.
    lit = to_value + (1 - to_value) * (value - usual_value) / max(1 - usual_value, 1e-6)
    ratio = to_value * value / max(usual_value, 1e-6)
    new_value = np.where(value > usual_value, np.minimum(lit, ratio), ratio)
    plain = usual_saturation < PALE
    paleness = np.ones_like(saturation) if plain else saturation / usual_saturation
    new_saturation = np.minimum(to_saturation * paleness, min(1.3 * to_saturation, 1.0))
    new_hue = np.full_like(away, to_hue) if plain else (to_hue + 0.4 * np.clip(away, -REACH, REACH)) % 360
    pixels, new = made[visible], 255 * _rgb(new_hue, new_saturation, new_value)
    pixels[chosen, :3] = np.round(pixels[chosen, :3] * (1 - share[:, None]) + share[:, None] * new)
    made[visible] = pixels
    return made


def _body(away: np.ndarray, saturation: np.ndarray, value: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Which pixels are the body's, 1 or 0, by how many degrees their hues are away from the commonest; all (N,)."""
    coloured = saturation >= PALE
    body, dull = coloured & (np.abs(away) <= REACH), np.where(coloured, 0, alpha)
    plain = ~coloured & (np.abs(value - _usual(value, dull)) <= SPREAD)
    duller = DULL * dull[plain].sum() > (saturation * value * alpha)[body].sum()
    return (plain if duller else body).astype(float)


def _usual(value: np.ndarray, weight: np.ndarray) -> float:
    """The value around which most weight lies."""
    steps = np.minimum((value * 4).astype(int), 3)
    near = weight * (steps == np.bincount(steps, weight, 4).argmax())
    return float(np.average(value, weights=near)) if near.any() else 0.0


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
