"""The nearest crops of a memory for scenes that are learned from, as PasteGAN's training draws them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.published import DRAWN
from scenograph.retrieval.selector import PUBLISHED, CropSelector
from scenograph.scenes.scene import Scene

UNIFORM = 100.0
"""A temperature at which crops are chosen without regard to their costs."""


class NearestInMemory:
    """A :class:`~scenograph.scenes.selection.GivesCrops`: one of the three nearest crops by graph vectors.

    Crops of the scene's own picture are not among them; an object of a category that has no others gets none.

    Args:
        folder: The memory.
        side: Of the pictures that are learned from, in pixels.

    Raises:
        UserError: It is no memory, or one without graph vectors.
    """

    def __init__(self, folder: Path, side: int) -> None:
        self.memory = CropMemory(folder)
        self._selector = CropSelector(self.memory, PUBLISHED, DRAWN, UNIFORM, side=side)

    @property
    def digest(self) -> str:
        """The memory's."""
        return self.memory.digest

    def select(self, scene: Scene, seed: int, exclude: str | None = None) -> Scene:
        """As in the role."""
        open_ones = [number for number, thing in enumerate(scene.objects) if thing.crop is None]
        wanted = [number for number in open_ones if self.memory.has(scene.objects[number].category, exclude)]
        objects = list(scene.objects)
        chosen = self._selector.choose(scene, seed, wanted, exclude or "")
        for number, crop in zip(wanted, chosen, strict=True):
            objects[number] = replace(objects[number], crop=crop.pixels, origin=crop.origin.text)
        return replace(scene, objects=tuple(objects))
