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
from scenograph.data.picture_book.colours import COLOURS
from scenograph.data.picture_book.layers import Light
from scenograph.data.picture_book.recolour import recoloured
from scenograph.data.picture_book.source import vocabulary
from scenograph.data.picture_book.textures import GROUNDS, TEXTURES, paint
from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.scenes.batch import pixels_to_tensor
from scenograph.scenes.depth import depth_order
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import to_edges
from scenograph.scenes.openraster import Layer, merged, window
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

SIDE = 256
"""Side of the pictures in pixels, unless another size is asked for."""
SKIES = ("sky-other", "clouds", "fog")
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
        chosen = [self._choose(scene, seed) for scene, seed in zip(scenes, seeds, strict=True)]
        return ConditionedScenes(list(scenes), list(seeds), chosen, options)

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
            self._layers(scene, entries, seed, side)
            for scene, entries, seed in zip(conditioned.scenes, chosen, conditioned.seeds, strict=True)
        ]

    def _choose(self, scene: Scene, seed: int) -> list[Entry | None]:
        """A drawing of each object; none for regions. Objects of one category mostly look alike."""
        chosen: list[Entry | None] = []
        for thing in scene.objects:
            entries = self.atlas.entries.get(thing.category, [])
            if not entries:
                chosen.append(None)
                continue
            # An object's own seed decides its look in every picture; else things of one category mostly look alike.
            own = thing.seed[0] if isinstance(thing.seed, tuple) else thing.seed
            rng = np.random.default_rng([seed, len(thing.category)] if own is None else [own])
            chosen.append(entries[int(rng.integers(len(entries)))])
        return chosen

    def _layers(self, scene: Scene, entries: Sequence[Entry | None], seed: int, side: int) -> list[Layer]:
        """The regions as one layer, then the things, far to near."""
        rng = np.random.default_rng([seed, 1])
        light = Light("day", (1.0, 1.0, 1.0), 0.0)
        regions = [thing for thing, entry in zip(scene.objects, entries, strict=True) if entry is None]
        backdrop = _backdrop(regions, side, rng, light).clip(0, 1)
        layers = [Layer("ground", 0, 0, np.concatenate([backdrop, np.ones((side, side, 1), np.float32)], axis=2))]
        depths = [_depth(thing, entry) for thing, entry in zip(scene.objects, entries, strict=True)]
        for number in depth_order(depths, ((r.subject, r.predicate, r.object) for r in scene.relations)):
            thing, entry = scene.objects[number], entries[number]
            if entry is None:
                continue
            colour = next((name for name in thing.attributes if name in COLOURS), None)
            sprite = self.atlas.sprite(entry)
            layers.append(_fitted(recoloured(sprite, colour) if colour else sprite, thing, entry, side))
        return layers


def _depth(thing: SceneObject, entry: Entry | None) -> float:
    """Nearer things reach lower; what flies or hangs is behind all others, and regions behind that."""
    behind = 4 if entry is None else 2 if entry.drawing.habitat in ("air", "wall") else 0
    return _box(thing)[3] - behind


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
