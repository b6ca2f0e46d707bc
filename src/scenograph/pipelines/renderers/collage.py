"""A collage: pictures composed from drawings that ship, so that any layout of the picture-book world can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.data.picture_book.atlas import Atlas, Entry
from scenograph.data.picture_book.layers import Light
from scenograph.data.picture_book.source import vocabulary
from scenograph.data.picture_book.textures import GROUNDS, TEXTURES, paint
from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.casting import Cast, cast, colour_of
from scenograph.scenes.batch import pixels_to_tensor
from scenograph.scenes.depth import STEP, depth_order
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import relation_holds, to_edges
from scenograph.scenes.openraster import Layer, merged, window
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

SIDE = 256
"""Side of the pictures in pixels, unless another size is asked for."""
SKIES = ("sky-other", "clouds", "fog")
BESIDE = 0.15
"""Half of the room on a host that each of several guests has, in its widths."""
STRETCH = 1.25
"""How much wider or higher than it is a drawing may become to fill its box."""
PAPER = (0.93, 0.92, 0.88)
"""What is seen where the scene says nothing."""


class CollageRenderer(Renderer):
    """Regions are painted, far to near; then each thing's drawing fills its box, far to near."""

    name, places, device = "collage", False, torch.device("cpu")
    completes_attributes = False

    def __init__(self, atlas: Atlas | None = None) -> None:
        self.atlas = atlas or Atlas()
        self.digest = self.atlas.digest

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The categories that there are drawings or textures of."""
        names = vocabulary()
        shown = {*self.atlas.entries, *TEXTURES}
        return replace(names, categories=tuple(name for name in names.categories if name in shown))

    def check(self, scenes: Sequence[Scene]) -> None:
        """Nothing is ignored."""

    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        """As in the base class: which drawing shows each object. Raises ``UserError`` for a style."""
        if options.style is not None:
            raise UserError(f"{self.name}: takes no style; leave --style out")
        chosen = [cast(scene, seed, self.atlas.entries) for scene, seed in zip(scenes, seeds, strict=True)]
        return ConditionedScenes(list(scenes), list(seeds), chosen, options)

    def settle(self, scenes: Sequence[Scene], seeds: Sequence[int], movable: Sequence[Sequence[bool]]) -> list[Scene]:
        """As in the base class: riders, what is held and the like come to where their hosts' drawings have them."""
        return [self._settled(*one) for one in zip(scenes, seeds, movable, strict=True)]

    def render(self, conditioned: ConditionedScenes) -> Tensor:
        """As in the base class."""
        pictures = [(merged(layers) * 255).round().astype(np.uint8) for layers in self.layers(conditioned)]
        return pixels_to_tensor(np.stack(pictures))

    def check_layers(self) -> None:
        """All its pictures have layers."""

    def layers(self, conditioned: ConditionedScenes) -> list[list[Layer]]:
        """As in the base class."""
        side = conditioned.options.size or SIDE
        chosen = conditioned.condition
        assert isinstance(chosen, list)
        return [
            self._layers(scene, shown, seed, side)
            for scene, shown, seed in zip(conditioned.scenes, chosen, conditioned.seeds, strict=True)
        ]

    def _layers(self, scene: Scene, shown: Cast, seed: int, side: int) -> list[Layer]:
        """The regions as one layer, then the things, far to near."""
        rng = np.random.default_rng([seed, 1])
        light = Light("day", (1.0, 1.0, 1.0), 0.0)
        regions = [thing for thing, entry in zip(scene.objects, shown.entries, strict=True) if entry is None]
        backdrop = _backdrop(regions, side, rng, light).clip(0, 1)
        layers = [Layer("ground", 0, 0, np.concatenate([backdrop, np.ones((side, side, 1), np.float32)], axis=2))]
        for number in depth_order(_depths(scene, shown), shown.order(scene.relations)):
            if shown.entries[number] is not None:
                layers.append(self._layer(scene, shown, number, side))
        return layers

    def _layer(self, scene: Scene, shown: Cast, number: int, side: int) -> Layer:
        """A thing in its box."""
        thing, entry = scene.objects[number], shown.entries[number]
        assert entry is not None, "regions are no layers"
        return _fitted(self._sprite(scene, shown, number), thing, entry, side)

    def _sprite(self, scene: Scene, shown: Cast, number: int) -> np.ndarray:
        """The drawing of a thing in its colour, (h, w, 4) uint8."""
        entry = shown.entries[number]
        assert entry is not None, "regions have no drawings"
        sprite = self.atlas.sprite(entry, colour_of(scene.objects[number]))
        return np.rot90(sprite) if number in shown.turned else sprite

    def _settled(self, scene: Scene, seed: int, movable: Sequence[bool]) -> Scene:
        """The scene with guests on their hosts, hosts first, unless a relation that held would not hold any more."""
        shown = cast(scene, seed, self.atlas.entries)
        for guest, seat in shown.seats.items():
            moved = scene
            if seat.pair.turned and movable[seat.host]:
                moved = _moved(moved, seat.host, self._lying(moved, shown, seat.host, _box(moved.objects[guest])))
            if movable[guest]:
                moved = _moved(moved, guest, self._seat(moved, shown, guest))
            scene = scene if _broken(moved) - _broken(scene) else moved
        return scene

    def _lying(self, scene: Scene, shown: Cast, host: int, guest: Box) -> Box:
        """The box of a host that lies on its side: as long as it, or the guest on it, was high."""
        (x0, y0, x1, y1), sprite = _box(scene.objects[host]), self._sprite(scene, shown, host)
        width = min(max(x1 - x0, y1 - y0, guest[3] - guest[1]), 1.0)
        left = min(max((x0 + x1 - width) / 2, 0.0), 1.0 - width)
        return (left, y1 - width * sprite.shape[0] / sprite.shape[1], left + width, y1)

    def _seat(self, scene: Scene, shown: Cast, guest: int) -> Box:
        """The box of a guest on its host: as large as it was, and as far to the side, if its host can have it there."""
        seat, box = shown.seats[guest], _box(scene.objects[guest])
        one, other = shown.entries[guest], shown.entries[seat.host]
        assert one is not None and other is not None, "regions are no guests"
        host, sprite = self._layer(scene, shown, seat.host, SIDE), self._sprite(scene, shown, guest)
        tall, wide = host.pixels.shape[:2]
        lowest, highest = (tall * share for share in seat.pair.heights(one.drawing, other.drawing))
        height = float(np.clip((box[3] - box[1]) * SIDE, lowest, highest))
        height = min(height, SIDE, SIDE * sprite.shape[0] / sprite.shape[1])
        size = max(round(height), 1), max(round(height * sprite.shape[1] / sprite.shape[0]), 1)
        across = float(np.clip(((box[0] + box[2]) / 2 * SIDE - host.left) / wide, *_reach(scene, shown, guest)))
        top, left = seat.pair.seat(host.pixels, (host.top, host.left), across, size)
        top, left = min(max(top, 0), SIDE - size[0]), min(max(left, 0), SIDE - size[1])
        return (left / SIDE, top / SIDE, (left + size[1]) / SIDE, (top + size[0]) / SIDE)


def _reach(scene: Scene, shown: Cast, guest: int) -> tuple[float, float]:
    """Where a guest may be on its host, in widths of it: side by side with others in the same relation to it."""
    seat = shown.seats[guest]
    low, high = seat.pair.across
    beside = [number for number, other in shown.seats.items() if other == seat]
    if len(beside) == 1:
        return low, high
    beside.sort(key=lambda number: _box(scene.objects[number])[0] + _box(scene.objects[number])[2])
    half = max((high - low) / 2, min(BESIDE * len(beside), 0.4))
    place = (low + high) / 2 + half * ((2 * beside.index(guest) + 1) / len(beside) - 1)
    return place, place


def _moved(scene: Scene, number: int, box: Box) -> Scene:
    """The scene with another box of an object."""
    objects = list(scene.objects)
    objects[number] = replace(objects[number], box=box, mask=None)
    return replace(scene, objects=tuple(objects))


def _broken(scene: Scene) -> set[int]:
    """The numbers of the relations that the boxes do not show."""
    boxes = np.array([_box(thing) for thing in scene.objects])
    found = [relation_holds(one.predicate, boxes[[one.subject]], boxes[[one.object]]) for one in scene.relations]
    return {number for number, holds in enumerate(found) if holds is not None and not holds[0]}


def _depths(scene: Scene, shown: Cast) -> list[float]:
    """Nearer things reach lower; what flies or hangs is behind all others, and regions behind that.

    A guest is as near as its host.
    """
    depths = []
    for thing, entry in zip(scene.objects, shown.entries, strict=True):
        behind = 4 if entry is None else 2 if entry.drawing.habitat in ("air", "wall") else 0
        depths.append(_box(thing)[3] - behind)
    for guest, seat in shown.seats.items():
        if seat.pair.carried:
            depths[guest] = depths[seat.host] + (STEP if seat.pair.nearer else -STEP)
    return depths


def _box(thing: SceneObject) -> Box:
    assert thing.box is not None, "a renderer gets scenes with all boxes"
    return thing.box


def _backdrop(regions: Sequence[SceneObject], side: int, rng: np.random.Generator, light: Light) -> np.ndarray:
    """The regions of a scene as a picture (S, S, 3): the sky or a wall behind all, then others from the top down."""
    canvas = np.ones((side, side, 3), np.float32) * np.array(PAPER, np.float32)
    ordered = sorted(regions, key=lambda thing: (thing.category not in SKIES, _box(thing)[1]))
    level = [_box(thing)[1] for thing in ordered if thing.category in GROUNDS]
    horizon = float(np.clip(min(level, default=0.5), 0.05, 0.9))
    for number, thing in enumerate(ordered):
        texture = paint(thing.category, side, rng, light, horizon)
        behind = number == 0 and thing.category not in GROUNDS
        cover = np.ones((side, side), np.float32) if behind else _cover(thing, side, rng)
        canvas += (texture - canvas) * cover[..., None]
    return canvas


def _cover(thing: SceneObject, side: int, rng: np.random.Generator) -> np.ndarray:
    """How much of each pixel a region covers, (S, S) in [0, 1]: its mask, or its box with a soft, wavy upper edge."""
    masked = thing.mask is not None and not thing.mask.all()
    x0, y0, x1, y1 = _box(thing) if masked else to_edges(_box(thing))
    left, right = round(x0 * side), max(round(x1 * side), round(x0 * side) + 1)
    top, bottom = round(y0 * side), max(round(y1 * side), round(y0 * side) + 1)
    cover = np.zeros((side, side), np.float32)
    if thing.mask is not None and masked:
        mask = Image.fromarray(thing.mask.astype(np.uint8) * 255).resize((right - left, bottom - top))
        part = np.asarray(mask, dtype=np.float32) / 255
        rows, columns, own_rows, own_columns = window(top, left, bottom - top, right - left, side, side)
        cover[rows, columns] = part[own_rows, own_columns]
        return cover
    across = np.arange(side) / side
    wave = 0.006 * np.sin(2 * np.pi * (across * rng.uniform(1, 3) + rng.random()))
    down = (np.arange(side) + 0.5)[:, None] - (top + wave * side)[None]
    cover[:, left:right] = np.clip(down[:, left:right], 0, 1)
    cover[bottom:] = 0
    return cover


def _fitted(sprite: np.ndarray, thing: SceneObject, entry: Entry, side: int) -> Layer:
    """A drawing fitted into its object's box, on the lower edge if it stands."""
    x0, y0, x1, y1 = (value * side for value in _box(thing))
    wide, high = (x1 - x0) / sprite.shape[1], (y1 - y0) / sprite.shape[0]
    scale = min(wide, high)
    width = max(round(sprite.shape[1] * min(wide, scale * STRETCH)), 1)
    height = max(round(sprite.shape[0] * min(high, scale * STRETCH)), 1)
    pixels = np.asarray(scaled(sprite, height, width), dtype=np.float32) / 255
    left = round((x0 + x1 - width) / 2)
    top = round((y0 + y1 - height) / 2) if entry.drawing.habitat in ("air", "wall") else round(y1) - height
    return Layer(thing.category, left, top, pixels)
