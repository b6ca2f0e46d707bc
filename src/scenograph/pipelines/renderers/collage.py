"""A collage: pictures composed from drawings that ship, so that any layout of the picture-book world can be seen."""

from __future__ import annotations

import hashlib
import logging
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
from scenograph.data.picture_book.textures import TEXTURES
from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.backdrops import backdrop, box_of, setting
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.casting import Cast, cast, colour_of
from scenograph.pipelines.renderers.crops import CropPasting, CropSource, GivenCrop, with_origins
from scenograph.pipelines.renderers.sight import ashore, in_sight, in_size, moved_to
from scenograph.scenes.batch import pixels_to_tensor
from scenograph.scenes.depth import STEP, depth_order
from scenograph.scenes.fields import Box
from scenograph.scenes.openraster import Layer, merged, window
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, SceneObject, with_places
from scenograph.scenes.settling import broken
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

WATERS = ("water-other",)
"""Painted, though there are drawings of fountains: a lake is asked for more often."""
SIDE = 256
"""Side of the pictures in pixels, unless another size is asked for."""
SHAPES = 512
"""Side of the picture in whose pixels the shapes of drawings are told."""
BESIDE = 0.15
"""Half of the room on a host that each of several guests has, in its widths."""
STRETCH = 1.25
"""How much wider or higher than it is a drawing may become to fill its box."""
PAINTED = 768
"""Side up to which backgrounds are painted; larger ones are enlarged from it."""
COARSE_SIDE = 48
"""Side, in pixels, of the pictures in which is seen what things hide."""
COARSE, FAINT = 8, 0.02
"""Side, in pixels, of the picture of colours behind holes, and how much of all colours is in each."""
SHADE, DEPTH = 0.4, 0.16
"""How dark a shadow is in its middle, and its height as a share of its width."""


class CollageRenderer(Renderer):
    """Regions are painted, far to near; then each thing's drawing fills its box, far to near."""

    name, places, device = "collage", False, torch.device("cpu")
    completes_attributes = False

    def __init__(self, atlas: Atlas | None = None) -> None:
        self.atlas = atlas or Atlas()
        self.digest = self.atlas.digest
        self.drawn = {name: entries for name, entries in self.atlas.entries.items() if name not in WATERS}

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
        chosen = [cast(scene, seed, self.drawn) for scene, seed in zip(scenes, seeds, strict=True)]
        origins = ([None if one is None else Origin.parse(one.origin) for one in shown.entries] for shown in chosen)
        shown = [with_origins(*one) for one in zip(scenes, origins, strict=True)]
        return ConditionedScenes(shown, list(seeds), chosen, options)

    def has_looks(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """As in the base class: of things. Regions are painted by the picture's seed."""
        return [[one.category in self.drawn for one in scene.objects] for scene in scenes]

    def settle(self, scenes: Sequence[Scene], seeds: Sequence[int], movable: Sequence[Sequence[bool]]) -> list[Scene]:
        """As in the base class: riders, what is held and the like come to where their hosts' drawings have them."""
        return [self._settled(*one) for one in zip(scenes, seeds, movable, strict=True)]

    def shaped(self, scene: Scene, seed: int, movable: Sequence[bool]) -> Scene:
        """The scene as its picture of this seed shows it: things where their drawings are, with the masks of these.

        Things with a mask, a sketch or a crop stay as they are, and so do regions and what there is no drawing of.
        """
        scene = self._settled(scene, seed, movable)
        shown = cast(scene, seed, self.drawn)
        objects = list(scene.objects)
        for number, (thing, entry) in enumerate(zip(scene.objects, shown.entries, strict=True)):
            if entry is None or any(field is not None for field in (thing.mask, thing.sketch, thing.crop)):
                continue
            layer = self._layer(scene, shown, number, SHAPES)
            height, width = layer.pixels.shape[:2]
            corners = layer.left, layer.top, layer.left + width, layer.top + height
            x0, y0, x1, y1 = (value / SHAPES for value in corners)
            objects[number] = replace(thing, box=(x0, y0, x1, y1), mask=layer.pixels[..., 3] > 0.5)
        return replace(scene, objects=tuple(objects))

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
        painted = backdrop([*self._setting(scene, regions), *regions], side, rng, light).clip(0, 1)
        layers = [Layer("ground", 0, 0, np.concatenate([painted, np.ones((side, side, 1), np.float32)], axis=2))]
        for number in depth_order(_depths(scene, shown), shown.order(scene.relations)):
            if shown.entries[number] is not None:
                layers.append(self._layer(scene, shown, number, side))
        return layers

    def _setting(self, scene: Scene, regions: Sequence[SceneObject]) -> list[SceneObject]:
        """What is painted beside the regions, by what the scene's categories tell."""
        habitats = [
            sorted({one.drawing.habitat for one in self.drawn.get(thing.category, ())}) for thing in scene.objects
        ]
        return setting(regions, [(thing, found) for thing, found in zip(scene.objects, habitats, strict=True) if found])

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
        shown = cast(scene, seed, self.drawn)
        scene = ashore(in_size(scene, shown, movable), shown, movable)
        scene = in_sight(scene, shown, movable, self._silhouettes)
        for guest, seat in shown.seats.items():
            moved = scene
            if seat.pair.turned and movable[seat.host]:
                moved = moved_to(moved, seat.host, self._lying(moved, shown, seat.host, box_of(moved.objects[guest])))
            if movable[guest]:
                moved = moved_to(moved, guest, self._seat(moved, shown, guest))
            scene = scene if broken(moved) - broken(scene) else moved
        return scene

    def _silhouettes(self, scene: Scene, shown: Cast) -> dict[int, np.ndarray]:
        """What each thing covers of a small picture, (S, S) bool, the farthest first."""
        covered = {}
        for number in depth_order(_depths(scene, shown), shown.order(scene.relations)):
            if shown.entries[number] is not None:
                layer, canvas = (
                    self._layer(scene, shown, number, COARSE_SIDE),
                    np.zeros((COARSE_SIDE, COARSE_SIDE), bool),
                )
                height, width = layer.pixels.shape[:2]
                rows, columns, own_rows, own_columns = window(layer.top, layer.left, height, width, *canvas.shape)
                canvas[rows, columns] = layer.pixels[own_rows, own_columns, 3] > 0.5
                covered[number] = canvas
        return covered

    def _lying(self, scene: Scene, shown: Cast, host: int, guest: Box) -> Box:
        """The box of a host that lies on its side: as long as it, or the guest on it, was high."""
        (x0, y0, x1, y1), sprite = box_of(scene.objects[host]), self._sprite(scene, shown, host)
        width = min(max(x1 - x0, y1 - y0, guest[3] - guest[1]), 1.0)
        left = min(max((x0 + x1 - width) / 2, 0.0), 1.0 - width)
        return (left, y1 - width * sprite.shape[0] / sprite.shape[1], left + width, y1)

    def _seat(self, scene: Scene, shown: Cast, guest: int) -> Box:
        """The box of a guest on its host: as large as it was, and as far to the side, if its host can have it there."""
        seat, box = shown.seats[guest], box_of(scene.objects[guest])
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
    beside.sort(key=lambda number: box_of(scene.objects[number])[0] + box_of(scene.objects[number])[2])
    half = max((high - low) / 2, min(BESIDE * len(beside), 0.4))
    place = (low + high) / 2 + half * ((2 * beside.index(guest) + 1) / len(beside) - 1)
    return place, place


def _depths(scene: Scene, shown: Cast) -> list[float]:
    """Nearer things reach lower; what flies or hangs is behind all others, and regions behind that.

    A guest is as near as its host.
    """
    depths = []
    for thing, entry in zip(scene.objects, shown.entries, strict=True):
        behind = 4 if entry is None else 2 if entry.drawing.habitat in ("air", "wall") else 0
        depths.append(box_of(thing)[3] - behind)
    for guest, seat in shown.seats.items():
        if seat.pair.carried:
            depths[guest] = depths[seat.host] + (STEP if seat.pair.nearer else -STEP)
    return depths


def _fitted(sprite: np.ndarray, thing: SceneObject, shown: Entry | GivenCrop, side: int) -> Layer:
    """A drawing fitted into its object's box, on the lower edge if it stands."""
    x0, y0, x1, y1 = (value * side for value in box_of(thing))
    wide, high = (x1 - x0) / sprite.shape[1], (y1 - y0) / sprite.shape[0]
    scale = min(wide, high)
    width = max(round(sprite.shape[1] * min(wide, scale * STRETCH)), 1)
    height = max(round(sprite.shape[0] * min(high, scale * STRETCH)), 1)
    pixels = np.asarray(scaled(sprite, height, width), dtype=np.float32) / 255
    left = round((x0 + x1 - width) / 2)
    top = round((y0 + y1 - height) / 2) if shown.hangs else round(y1) - height
    return Layer(thing.category, left, top, pixels)


class CropCollage(CollageRenderer, CropPasting):
    """A collage of crops: those that objects have, and for the others those of a source, such as a memory.

    Regions of which the source has no crop are painted; a crop of a region fills its box.

    Args:
        source: Of crops.
        partial: Whether things of which the source has no crop are left out of the picture, and their categories said
            once, where a ``UserError`` names them otherwise.
    """

    def __init__(self, source: CropSource, partial: bool = False) -> None:
        super().__init__()
        self.source, self.partial = source, partial
        self._lacking: set[str] = set()
        self.digest = hashlib.sha256(f"{self.digest} {source.digest}".encode()).hexdigest()

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names of the world, and those of the source's crops. What the source lacks it says itself."""
        names = vocabulary()
        categories = tuple(sorted({*names.categories, *self.source.categories}))
        known = {name for group in names.attributes.values() for name in group}
        # Of these it is not known which exclude each other: each is a group of its own.
        further = {f"crops: {name}": (name,) for name in sorted(set(self.source.attributes) - known)}
        return replace(names, categories=categories, attributes=names.attributes | further)

    @cached_property
    def painted(self) -> set[str]:
        """The categories of regions of which the source has no crop."""
        return set(TEXTURES) - set(self.source.categories)

    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        """As in the base class: a crop for each object. Raises ``UserError`` for one that there is no crop of."""
        if options.style is not None:
            raise UserError(f"{self.name}: takes no style; leave --style out")
        chosen = [
            self._crops(scene, seed, options, where)
            for (scene, where), seed in zip(with_places(scenes), seeds, strict=True)
        ]
        shown = [
            with_origins(scene, [None if crop is None else crop.origin for crop in crops])
            for scene, crops in zip(scenes, chosen, strict=True)
        ]
        return ConditionedScenes(shown, list(seeds), chosen, options)

    def has_looks(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """As in the base class: of all that a crop shows."""
        return [[one.category not in self.painted for one in scene.objects] for scene in scenes]

    def settle(self, scenes: Sequence[Scene], seeds: Sequence[int], movable: Sequence[Sequence[bool]]) -> list[Scene]:
        """Boxes stay: of crops it is not known where a guest sits."""
        return list(scenes)

    def layers(self, conditioned: ConditionedScenes) -> list[list[Layer]]:
        """As in the base class; of a shadow, too."""
        options, chosen = conditioned.options, conditioned.condition
        assert isinstance(chosen, list)
        return [
            self._crop_layers(scene, crops, seed, options.size or SIDE, options.shadow)
            for scene, crops, seed in zip(conditioned.scenes, chosen, conditioned.seeds, strict=True)
        ]

    def crops(self, conditioned: ConditionedScenes) -> list[list[GivenCrop | None]]:
        """As in the role."""
        assert isinstance(conditioned.condition, list)
        return conditioned.condition

    def _crops(self, scene: Scene, seed: int, options: GenerateOptions, where: str) -> list[GivenCrop | None]:
        """The crops that objects have, and those of the source."""
        found: list[GivenCrop | None] = [
            None if thing.crop is None else GivenCrop(thing.crop, Origin.parse(thing.origin)) for thing in scene.objects
        ]
        wanted = [
            number
            for number, thing in enumerate(scene.objects)
            if found[number] is None and thing.category not in self.painted
        ]
        if self.partial:
            wanted = [number for number in wanted if self._can_show(scene.objects[number].category, scene, options)]
        for number, crop in zip(wanted, self.source.choose(scene, wanted, seed, options, where), strict=True):
            found[number] = crop
        return found

    def _can_show(self, category: str, scene: Scene, options: GenerateOptions) -> bool:
        """Whether the source has a crop of a category; says once of each that it has none."""
        if self.source.has(category, None if options.own_picture else scene.picture):
            return True
        if category not in self._lacking:
            self._lacking.add(category)
            log.warning("there is no crop of %r: the collage leaves it out", category)
        return False

    def _crop_layers(
        self, scene: Scene, crops: Sequence[GivenCrop | None], seed: int, side: int, shadow: bool
    ) -> list[Layer]:
        """The painted regions as one layer, then the crops, far to near."""
        without = (thing for thing, crop in zip(scene.objects, crops, strict=True) if crop is None)
        regions = [thing for thing in without if thing.category in TEXTURES]
        layers = [Layer("ground", 0, 0, _ground([*self._setting(scene, regions), *regions], side, seed))]
        depths = [
            box_of(thing)[3] - (4 if thing.category in TEXTURES or crop is None else 2 if crop.hangs else 0)
            for thing, crop in zip(scene.objects, crops, strict=True)
        ]
        for number in depth_order(depths, ((r.subject, r.predicate, r.object) for r in scene.relations)):
            thing, crop = scene.objects[number], crops[number]
            if crop is None:
                continue
            if thing.category in TEXTURES:
                layers.append(_filling(crop.pixels, thing, side))
                continue
            layer = _fitted(crop.pixels, thing, crop, side)
            layers += [_shadow(layer), layer] if shadow and not crop.hangs else [layer]
        return layers


def _ground(regions: Sequence[SceneObject], side: int, seed: int) -> np.ndarray:
    """The regions as a layer's pixels (S, S, 4)."""
    light = Light("day", (1.0, 1.0, 1.0), 0.0)
    painted = backdrop(regions, min(side, PAINTED), np.random.default_rng([seed, 1]), light).clip(0, 1)
    ground = np.ones((side, side, 4), np.float32)
    if side > PAINTED:
        small = Image.fromarray((painted * 255).round().astype(np.uint8))
        large = np.asarray(small.resize((side, side), Image.Resampling.BILINEAR))
        np.multiply(large, np.float32(1 / 255), out=ground[..., :3])
    else:
        ground[..., :3] = painted
    return ground


def _filling(pixels: np.ndarray, thing: SceneObject, side: int) -> Layer:
    """A crop of a region, stretched to fill its box; holes, where things stood, get the colours around them."""
    x0, y0, x1, y1 = (round(value * side) for value in box_of(thing))
    size = max(x1 - x0, 1), max(y1 - y0, 1)
    coarse = np.asarray(scaled(pixels, COARSE, COARSE, Image.Resampling.BOX), dtype=np.float32) / 255
    colours = coarse + FAINT * coarse.mean(axis=(0, 1))  # where nothing is visible near, the mean of all
    colours = colours[..., :3] / np.maximum(colours[..., 3:], 1e-6)
    small = Image.fromarray((colours.clip(0, 1) * 255).round().astype(np.uint8))
    behind = np.asarray(small.resize(size, Image.Resampling.BICUBIC), dtype=np.float32) / 255
    shown = np.asarray(scaled(pixels, size[1], size[0]), dtype=np.float32) / 255
    shown[..., :3] += behind * (1 - shown[..., 3:])
    shown[..., 3] = 1
    return Layer(thing.category, x0, y0, shown)


def _shadow(layer: Layer) -> Layer:
    """A soft ellipse below what stands."""
    height, width = layer.pixels.shape[:2]
    tall = max(round(width * DEPTH), 2)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None] ** 2
    down = np.linspace(-1, 1, tall, dtype=np.float32)[:, None] ** 2
    pixels = np.zeros((tall, width, 4), np.float32)
    pixels[..., 3] = SHADE * np.clip(1 - across - down, 0, 1)
    return Layer(f"shadow of {layer.name}", layer.left, layer.top + height - tall // 2, pixels)
