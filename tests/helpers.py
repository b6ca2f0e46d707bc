"""What test files of several rooms share; fixtures are in ``conftest.py``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

from scenograph.data.clevr import VOCABULARY
from scenograph.data.source import Sample
from scenograph.models.base import Model
from scenograph.models.registry import MODELS
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.vocabulary import Vocabulary

TEXT = "large red metal cube left of small blue rubber sphere"
PLACING = [name for name, kind in MODELS.items() if "layout" in kind.roles]
DRAWING = [name for name, kind in MODELS.items() if "image" in kind.roles]
WAYS_TO_DRAW = [*((name, {}) for name in DRAWING), ("lostgan", {"version": 2, "image_size": 128, "channels": 2})]
"""Every model that draws, tiny; and with other settings where another part of it draws then."""


def tiny(name: str, vocabulary: Vocabulary = VOCABULARY, **settings: Any) -> Model:
    """A registered model in its tiny size, but for the given settings."""
    kind = MODELS[name]
    config = kind.Config.tiny(kind.vocabulary_for(vocabulary))
    return kind(kind.Config.model_validate(config.model_dump() | settings))


class PlainCrops:
    """A source of crops: each of one colour, by its category and the seed."""

    digest = "plain"

    def select(self, scene: Scene, seed: int, exclude: str | None = None) -> Scene:
        objects = []
        for number, thing in enumerate(scene.objects):
            rng = np.random.default_rng([seed, number, len(thing.category)])
            colour = (*rng.integers(0, 255, 3).tolist(), 255)
            crop = np.asarray(Image.new("RGBA", (8, 8), colour)) if thing.crop is None else thing.crop
            objects.append(replace(thing, crop=crop))
        return replace(scene, objects=tuple(objects))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def succeed(result: tuple[int, str, str]) -> str:
    """The output of a command that the fixture ``scenograph`` ran."""
    code, output, errors = result
    assert code == 0, errors
    return output


def many_scenes(count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)) for _ in range(count)]
    scene = Scene((SceneObject("cube", box=(0.1, 0.1, 0.5, 0.5)),))
    return [Sample(str(number), scene, picture) for number, picture in enumerate(pictures)]
