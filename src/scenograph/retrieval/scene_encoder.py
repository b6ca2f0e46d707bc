"""The vectors that a model gives scenes of sketches and of photographs, and the objects in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scenograph.errors import UserError
from scenograph.files import is_folder
from scenograph.models.base import EncodesScenes, Model
from scenograph.models.registry import AutoModel
from scenograph.scenes.batch import SceneBatch, picture_to_pixels, pixels_to_tensor
from scenograph.scenes.completion import without_unknown_attributes
from scenograph.scenes.drawing import draw_sketches
from scenograph.scenes.fields import CANVAS
from scenograph.scenes.scene import Scene, keep_objects

TOGETHER = 64
"""Scenes that are encoded at once."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a model makes of a scene."""

    scene: np.ndarray | None
    """(D,) float32; None if there is no object that it could see."""
    objects: np.ndarray
    """(O, D) float32: each object as a scene of its own; NaN where it cannot be seen."""


class SceneEncoder:
    """A model of the role :class:`~scenograph.models.base.EncodesScenes`.

    Args:
        name: A shipped name, a folder or a hub id.

    Raises:
        UserError: The model cannot be loaded, or has another role.
    """

    def __init__(self, name: str) -> None:
        self.name = str(Path(name).resolve()) if is_folder(name) else name
        model = AutoModel.from_pretrained(name)
        if not isinstance(model, EncodesScenes):
            raise UserError(
                f"--encoder {name}: {model.name} encodes no scenes; give a model that does, such as a trained "
                "scene-designer, or leave --encoder out"
            )
        self.model: Model = model
        self.size: int = model.vector_size

    @property
    def digest(self) -> str:
        """Of the model's settings and weights: vectors of another one cannot be compared with these."""
        return self.model.digest

    def encode(self, scenes: Sequence[Scene], pictures: Sequence[Image.Image | None]) -> list[Encoded]:
        """The vectors of scenes whose objects have sketches or crops.

        An object without a box, without either, or of a category that the model does not know, is not seen.

        Args:
            scenes: Any number.
            pictures: Of each scene; without one, the drawing of its sketches and crops stands for it.
        """
        parts: list[Scene] = []
        seen: list[Image.Image] = []
        places: list[tuple[int, int | None]] = []
        for number, (scene, picture) in enumerate(zip(scenes, pictures, strict=True)):
            kept = [index for index, thing in enumerate(scene.objects) if self._sees(scene, index)]
            whole = [index for index in kept if scene.objects[index].box is not None]
            if whole:
                part = keep_objects(scene, whole)
                parts.append(part)
                seen.append(picture or self._drawn(part))
                places.append((number, None))
            for index in kept:
                alone = Scene((replace(scene.objects[index], box=CANVAS),))
                parts.append(alone)
                seen.append(self._drawn(alone))
                places.append((number, index))
        vectors = self._vectors(parts, seen)
        objects = [np.full((len(scene.objects), self.size), np.nan, np.float32) for scene in scenes]
        found: dict[int, np.ndarray] = {}
        for (number, place), vector in zip(places, vectors, strict=True):
            if place is None:
                found[number] = vector
            else:
                objects[number][place] = vector
        return [Encoded(found.get(number), rows) for number, rows in enumerate(objects)]

    def _sees(self, scene: Scene, index: int) -> bool:
        thing = scene.objects[index]
        known = thing.category in self.model.vocabulary.category_index
        return known and (thing.sketch is not None or thing.crop is not None)

    def _drawn(self, scene: Scene) -> Image.Image:
        """The sketches and crops of a scene in their boxes, at the size of the model's pictures."""
        height, width = self.model.config.picture_sides
        drawn = draw_sketches(scene, width, height)
        for thing in scene.objects:
            if thing.sketch is None and thing.crop is not None and thing.box is not None:
                x0, y0, x1, y1 = (
                    round(min(max(v, 0), 1) * s) for v, s in zip(thing.box, (width, height) * 2, strict=True)
                )
                crop = Image.fromarray(thing.crop).resize((max(x1 - x0, 1), max(y1 - y0, 1)))
                drawn.paste(crop, (x0, y0), crop)
        return drawn

    def _vectors(self, scenes: Sequence[Scene], pictures: Sequence[Image.Image]) -> np.ndarray:
        """(N, D) float32."""
        config, names = self.model.config, self.model.vocabulary
        sides = (config.mask_side, config.sketch_side, config.sketch_side or config.crop_side)
        known = [without_unknown_attributes(replace(scene, relations=()), names) for scene in scenes]
        parts = [np.zeros((0, self.size), np.float32)]
        for start in range(0, len(known), TOGETHER):
            stop = start + TOGETHER
            pixels = np.stack([picture_to_pixels(one, *config.picture_sides) for one in pictures[start:stop]])
            batch = SceneBatch.from_scenes(known[start:stop], names, *sides)
            with torch.inference_mode():
                assert isinstance(self.model, EncodesScenes)
                found = self.model.scene_vectors(replace(batch, images=pixels_to_tensor(pixels)))
            if not found.isfinite().all():
                raise UserError(f"{self.name}: its vectors are not finite: its training has diverged; train it again")
            parts.append(found.float().numpy())
        return np.concatenate(parts)
