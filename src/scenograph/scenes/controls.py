"""Control pictures: what ControlNet and its kin are conditioned on, drawn from placed scenes.

All show the same thing, which objects are visible where (:mod:`scenograph.scenes.silhouettes`), and none is smoothed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from scenograph.errors import UserError, suggest
from scenograph.scenes.fields import CANVAS
from scenograph.scenes.palettes import check_palette, instance_color, object_colors
from scenograph.scenes.scene import Scene, cut
from scenograph.scenes.silhouettes import (
    back_to_front,
    boxes_of,
    is_ground,
    is_region,
    is_sky,
    pixel_box,
    silhouette,
    spread_regions,
    visible_objects,
)

SMALLEST, LARGEST = 8, 4096
"""Sides of control pictures, in pixels."""
FAR = 0.1
"""Nearness of the horizon; that of the sky is 0, and of what stands at the lower edge of the picture 1."""
LEVEL = 2 / 255
"""How much nearer a thing is drawn than another that it must lie over."""
HORIZON = 1 / 3
"""Where the horizon is, from the top, if no region tells."""
LINES_PER_SIDE = 256
"""A line of a scribble is as wide as this part of the picture's shorter side, in an odd number of pixels."""


def draw_controls(
    scene: Scene, kinds: Iterable[str], width: int, height: int, palette: str = "ade20k"
) -> dict[str, Image.Image]:
    """Draw control pictures of a placed scene.

    Args:
        scene: All its objects have boxes; masks, crops and sketches are shown where they have them.
        kinds: Names of :data:`KINDS`.
        width: Of the pictures, in pixels.
        height: Of the pictures, in pixels.
        palette: Colours of ``segmentation``, one of :data:`~scenograph.scenes.palettes.PALETTES`.

    Returns:
        By kind, pictures in mode L (``edges``, ``depth``, ``scribble``) or RGB (``segmentation``, ``boxes``).

    Raises:
        UserError: A kind or a palette is unknown, a side is too small or too large, or an object has no box.
    """
    kinds = list(kinds)
    check_kinds(kinds)
    check_palette(palette)
    check_sides(width, height)
    shown = _Shown(spread_regions(scene), width, height, palette)
    return {kind: Image.fromarray(KINDS[kind](shown)) for kind in kinds}


def check_kinds(kinds: Iterable[str]) -> None:
    """Raise ``UserError`` for a kind of control picture that there is none of, naming the nearest."""
    for kind in kinds:
        if kind not in KINDS:
            raise UserError(f"unknown kind of control picture {kind!r} {suggest(kind, KINDS)}")


def check_sides(width: int, height: int) -> None:
    """Raise ``UserError`` for sides of a picture that are too small or too large."""
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise UserError(f"size {width}x{height}: sides go from {SMALLEST} to {LARGEST} pixels")


@dataclass(frozen=True)
class _Shown:
    """A placed scene on a canvas of pixels."""

    scene: Scene
    width: int
    height: int
    palette: str

    @cached_property
    def order(self) -> list[int]:
        """Objects, the farthest first."""
        return back_to_front(self.scene)

    @cached_property
    def places(self) -> np.ndarray:
        """(height, width) int16: the place in :attr:`order` of what each pixel shows, -1 where there is nothing."""
        place = np.full(len(self.order) + 1, -1, dtype=np.int16)
        place[self.order] = np.arange(len(self.order), dtype=np.int16)
        return place[self.objects]

    @cached_property
    def objects(self) -> np.ndarray:
        """(height, width) int16: the number of the object that each pixel shows, -1 where there is none."""
        return visible_objects(self.scene, self.order, self.width, self.height)


def _edges(shown: _Shown) -> np.ndarray:
    """(H, W) uint8: white where a visible silhouette ends, one pixel wide."""
    return np.where(_contours(shown) >= 0, 255, 0).astype(np.uint8)


def _contours(shown: _Shown) -> np.ndarray:
    """(H, W) int16: the place of the nearer of two objects where a pixel differs from that to its right or below it.

    -1 where all three are the same; beyond the picture nothing ends.
    """
    places = shown.places
    contours = np.full_like(places, -1)
    contours[:, :-1] = _nearer(places[:, :-1], places[:, 1:])
    contours[:-1] = np.maximum(contours[:-1], _nearer(places[:-1], places[1:]))
    return contours


def _nearer(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The larger of two places where they differ, -1 where they do not."""
    return np.where(one != other, np.maximum(one, other), -1)


def _depth(shown: _Shown) -> np.ndarray:
    """(H, W) uint8: near is bright. Inverse depth, which on a plane grows evenly from the horizon down."""
    scene = shown.scene
    horizon = _horizon(scene)
    rows = (np.arange(shown.height)[:, None] + 0.5) / shown.height  # (H, 1)
    ground = _nearness(rows, horizon)
    depth = np.where(rows < horizon, 0, ground) + np.zeros((1, shown.width))
    nearest = 0.0
    for number in shown.order:
        thing = scene.objects[number]
        pixels = silhouette(thing, shown.width, shown.height)
        if is_sky(thing):
            value: np.ndarray | float = 0.0
        elif is_ground(thing):
            value = ground
        else:
            value = float(_nearness(np.array(boxes_of(scene)[number][3]), horizon))
            if not is_region(thing):  # things come in order, so that one that stands higher must lie over the last
                value = value if value > nearest else min(nearest + LEVEL, 1.0)
                nearest = value
        if pixels is not None:
            pixels.paint(depth, value)
    return (depth * 255).round().astype(np.uint8)


def _nearness(feet: np.ndarray, horizon: float) -> np.ndarray:
    """Of what stands at these heights of the picture, from 0 at the top to 1, in [FAR, 1]."""
    return FAR + (1 - FAR) * ((feet - horizon) / (1 - horizon)).clip(0, 1)


def _horizon(scene: Scene) -> float:
    """The upper edge of the highest ground; without one, the lower edge of the lowest sky."""
    boxes = list(zip(scene.objects, boxes_of(scene), strict=True))
    grounds = [box[1] for thing, box in boxes if is_ground(thing)]
    skies = [box[3] for thing, box in boxes if is_sky(thing)]
    found = min(grounds) if grounds else max(skies) if skies else HORIZON
    return min(max(found, 0.0), 0.9)  # a strip of ground at the lower edge has depth as well


def _segmentation(shown: _Shown) -> np.ndarray:
    """(H, W, 3) uint8: the colour of what is visible; black where nothing is."""
    return _colored(shown.objects, object_colors(shown.scene, shown.palette))


def _boxes(shown: _Shown) -> np.ndarray:
    """(H, W, 3) uint8: whole boxes in colours of the objects' own, nearer ones over others, on black."""
    objects = np.full((shown.height, shown.width), -1)
    for number in shown.order:
        seen = cut(shown.scene.objects[number], CANVAS)
        if seen is not None and seen.box is not None:
            left, top, right, bottom = pixel_box(seen.box, shown.width, shown.height)
            objects[top:bottom, left:right] = number
    return _colored(objects, [instance_color(number) for number in range(len(shown.scene.objects))])


def _colored(objects: np.ndarray, colors: np.ndarray | Sequence[tuple[int, int, int]]) -> np.ndarray:
    """(H, W) numbers of objects, -1 for none, to (H, W, 3) uint8."""
    return np.array([*colors, (0, 0, 0)], dtype=np.uint8)[objects]


def _scribble(shown: _Shown) -> np.ndarray:
    """(H, W) uint8: white strokes where objects have a sketch, their contours where not, hidden by what is nearer."""
    reach = min(shown.width, shown.height) // LINES_PER_SIDE // 2
    contours = _contours(shown)
    drawn = np.zeros(contours.shape, dtype=bool)
    for place, number in enumerate(shown.order):
        strokes = _strokes(shown, number, 2 * reach + 1)
        if strokes is not None:
            contours[contours == place] = -1
            drawn |= strokes & (shown.places <= place)
    return np.where(drawn | _thickened(contours >= 0, reach), 255, 0).astype(np.uint8)


def _thickened(lines: np.ndarray, reach: int) -> np.ndarray:
    """Lines (H, W) bool, grown by so many pixels to all eight sides; rows and columns apart, for wide ones too."""
    for axis in (0, 1):
        padded = np.pad(lines, [(reach, reach) if side == axis else (0, 0) for side in (0, 1)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
        lines = np.asarray(windows.any(axis=-1))
    return lines


def _strokes(shown: _Shown, number: int, line_width: int) -> np.ndarray | None:
    """(H, W) bool: the ink of an object's sketch on the canvas, None if it has none."""
    seen = cut(shown.scene.objects[number], CANVAS)
    if seen is None or seen.sketch is None or seen.box is None:
        return None
    canvas = Image.new("1", (shown.width, shown.height))
    left, top, right, bottom = pixel_box(seen.box, shown.width, shown.height)
    if seen.sketch.picture is not None:
        ink = Image.fromarray(seen.sketch.picture).resize((right - left, bottom - top), Image.Resampling.BOX)
        canvas.paste(ink.point(lambda grey: 255 if grey < 128 else 0).convert("1"), (left, top))
        return np.asarray(canvas)
    pen = ImageDraw.Draw(canvas)
    for stroke in seen.sketch.strokes:
        points = np.array([left, top]) + stroke * [right - left - 1, bottom - top - 1]
        pen.line([tuple(point) for point in points.round().tolist()] * (2 if len(points) == 1 else 1), 1, line_width)
    return np.asarray(canvas)


KINDS: dict[str, Callable[[_Shown], np.ndarray]] = {
    "edges": _edges,
    "depth": _depth,
    "segmentation": _segmentation,
    "scribble": _scribble,
    "boxes": _boxes,
}
"""What draws each kind of control picture."""
