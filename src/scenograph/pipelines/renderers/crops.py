"""Where renderers get the pixels of objects from: one interface, for the drawings that ship and for any memory."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from scenograph.data.picture_book.atlas import Atlas, Entry
from scenograph.errors import UserError, suggest
from scenograph.pipelines.defaults import DRAWINGS
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pipelines.renderers.casting import cast, colour_of
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.rows import Crop
from scenograph.retrieval.selector import OURS, PUBLISHED, CropSelector
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene

log = logging.getLogger(__name__)

SIDE = 256
"""Side of the pictures in pixels, unless another size is asked for."""


@dataclass(frozen=True, eq=False)
class GivenCrop:
    """What shows an object."""

    pixels: np.ndarray
    """(h, w, 4) uint8: red, green, blue, alpha."""
    origin: Origin
    hangs: bool = False
    """Whether it flies or hangs: then it lies in the middle of its box, else it stands on the lower edge."""


class CropSource(ABC):
    """A choice of crops for the objects of scenes."""

    digest: str
    """A checksum of everything that decides what is chosen."""
    categories: Collection[str]
    """What it has crops of."""

    @property
    def attributes(self) -> Collection[str]:
        """What its crops may be asked to be, beside the attributes of the picture-book world."""
        return ()

    @abstractmethod
    def choose(
        self, scene: Scene, objects: Sequence[int], seed: int, options: GenerateOptions, where: str = ""
    ) -> list[GivenCrop]:
        """A crop for each of some objects, chosen together.

        Args:
            scene: Complete, with all boxes. Crops of its own picture, if it has one, are left out unless options allow
                them.
            objects: The numbers of those that need a crop.
            seed: Of the picture: the same scene and seed get the same crops, in any batch.
            options: Those of generation.
            where: The beginning of messages about the scene.

        Raises:
            UserError: It has no crop of a category, or none that the options allow.
        """

    def has(self, category: str, besides: str | None = None) -> bool:
        """Whether it has a crop of this very category, of another picture than one if that is given."""
        return category in self.categories

    @abstractmethod
    def named(self, name: str) -> GivenCrop:
        """The crop of an id. Raises ``UserError`` if there is none."""


class CropPasting(ABC):
    """The role of renderers that show objects by crops."""

    source: CropSource

    @abstractmethod
    def crops(self, conditioned: ConditionedScenes) -> list[list[GivenCrop | None]]:
        """What shows each object of conditioned scenes; None where it is painted."""


class DrawnCrops(CropSource):
    """The drawings that ship, recoloured as attributes ask."""

    def __init__(self, atlas: Atlas | None = None) -> None:
        self.atlas = atlas or Atlas()
        self.digest = self.atlas.digest
        self.categories = frozenset(self.atlas.entries)

    def choose(
        self, scene: Scene, objects: Sequence[int], seed: int, options: GenerateOptions, where: str = ""
    ) -> list[GivenCrop]:
        """As in the base class."""
        licences = options.licences
        allowed: dict[str, list[Entry]] = {}
        for number in objects:
            thing = scene.objects[number]
            if thing.category not in self.categories:
                remedy = suggest(thing.category, self.categories)
                raise UserError(f"{where}objects[{number}]: no drawing of {thing.category!r} ships {remedy}")
            entries = self.atlas.entries[thing.category]
            allowed[thing.category] = [
                one for one in entries if not licences or one.drawing.licence.casefold() in licences
            ]
            if not allowed[thing.category]:
                held = ", ".join(sorted({one.drawing.licence for one in entries}))
                raise UserError(
                    f"{where}objects[{number}]: no drawing of {thing.category!r} is under {options.licence}; "
                    f"those that ship are under {held}"
                )
        shown = cast(scene, seed, {**self.atlas.entries, **allowed}).entries
        chosen = ((shown[number], colour_of(scene.objects[number])) for number in objects)
        return [self._given(entry, colour) for entry, colour in chosen if entry is not None]

    def named(self, name: str) -> GivenCrop:
        """As in the base class: by set and name, such as ``noto/ewe``."""
        known = {entry.drawing.key: entry for entries in self.atlas.entries.values() for entry in entries}
        if name not in known:
            raise UserError(f"no drawing {name!r} ships {suggest(name, known)}")
        return self._given(known[name])

    def _given(self, entry: Entry, colour: str | None = None) -> GivenCrop:
        return GivenCrop(self.atlas.sprite(entry, colour), Origin.parse(entry.origin), entry.hangs)


class MemoryCrops(CropSource):
    """The crops of a memory. Raises ``UserError`` if ``folder`` is none."""

    def __init__(self, folder: Path) -> None:
        self.memory = CropMemory(folder)
        self.digest = self.memory.digest
        self.categories = frozenset(self.memory.counts)

    @property
    def attributes(self) -> Collection[str]:
        """As in the base class."""
        return self.memory.attributes

    @cached_property
    def _hanging(self) -> frozenset[str]:
        """Categories that always fly or hang, by the drawings that ship."""
        entries = Atlas().entries.items()
        return frozenset(name for name, drawn in entries if all(entry.hangs for entry in drawn))

    def choose(
        self, scene: Scene, objects: Sequence[int], seed: int, options: GenerateOptions, where: str = ""
    ) -> list[GivenCrop]:
        """As in the base class."""
        selector = CropSelector(
            self.memory,
            PUBLISHED if options.published else OURS,
            temperature=options.temperature,
            own="allowed" if options.own_picture else "excluded",
            licences=options.licences,
            side=options.size or SIDE,
        )
        return [self._given(crop) for crop in selector.choose(scene, seed, objects, scene.picture or "", where)]

    def has(self, category: str, besides: str | None = None) -> bool:
        """As in the base class."""
        return self.memory.has(category, besides)

    def named(self, name: str) -> GivenCrop:
        """As in the base class."""
        (crop,) = self.memory.crops([name])
        return self._given(crop)

    def _given(self, crop: Crop) -> GivenCrop:
        return GivenCrop(crop.pixels, crop.origin, crop.category in self._hanging)


@dataclass(frozen=True)
class SourceCrops:
    """A source's crops for models that draw from crops: a :class:`~scenograph.scenes.selection.GivesCrops`."""

    source: CropSource
    options: GenerateOptions = field(default_factory=GenerateOptions)
    needed: bool = True
    """Whether it is said of which categories there is no crop, so that objects get none."""
    lacking: set[str] = field(default_factory=set, compare=False)
    """Categories of which it was said that there is no crop."""

    @property
    def digest(self) -> str:
        """The source's."""
        return self.source.digest

    def under(self, options: GenerateOptions) -> SourceCrops:
        """The same source under the options of a generation."""
        return replace(self, options=options)

    def select(self, scene: Scene, seed: int, exclude: str | None = None) -> Scene:
        """A crop for each object that has none and of whose category the source has one.

        Raises ``UserError`` as :meth:`CropSource.choose`.
        """
        scene = scene if exclude is None else replace(scene, picture=exclude)
        wanted = []
        for number, thing in enumerate(scene.objects):
            if thing.crop is None:
                if self.source.has(thing.category, None if self.options.own_picture else scene.picture):
                    wanted.append(number)
                elif self.needed and thing.category not in self.lacking:
                    self.lacking.add(thing.category)
                    log.warning("there is no crop of %r: it is drawn without one", thing.category)
        objects = list(scene.objects)
        for number, crop in zip(wanted, self.source.choose(scene, wanted, seed, self.options), strict=True):
            objects[number] = replace(objects[number], crop=crop.pixels, origin=crop.origin.text)
        return replace(scene, objects=tuple(objects))


def crop_source(name: str | Path) -> CropSource:
    """The drawings that ship, if that is the name, else the memory in a folder. Raises ``UserError`` if it is none."""
    return DrawnCrops() if str(name) == DRAWINGS else MemoryCrops(Path(name))


def pasting(renderer: Renderer) -> CropPasting:
    """The renderer, as one that shows objects by crops. Raises ``UserError`` if it does not."""
    if not isinstance(renderer, CropPasting):
        raise UserError(f"{renderer.name} composes no crops; add --image collage --memory MEMORY (or drawings)")
    return renderer


def with_origins(scene: Scene, origins: Sequence[Origin | None]) -> Scene:
    """The scene with where the pixels of its objects come from; None leaves an object as it is."""
    objects = (
        thing if origin is None else replace(thing, origin=origin.text)
        for thing, origin in zip(scene.objects, origins, strict=True)
    )
    return replace(scene, objects=tuple(objects))
