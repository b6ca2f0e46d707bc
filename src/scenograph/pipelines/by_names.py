"""The pipeline without named models: each call is left to the shipped pair that knows the names in its scenes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from scenograph.devices import RenderPrecision
from scenograph.errors import UserError
from scenograph.models.registry import AutoModel
from scenograph.pipelines.defaults import DEFAULT, Pair, choose_pair, naming_who_knows, with_room
from scenograph.pipelines.given import SceneLike, given_scenes
from scenograph.pipelines.pipeline import Generation, Pipeline
from scenograph.pipelines.renderers.base import ConditionedScenes
from scenograph.scenes.scene import Scene
from scenograph.scenes.text import names_in_text, scene_from_text


class ByNames(Pipeline):
    """The default pair, which leaves scenes to other shipped pairs where these know their names, or as many objects.

    Those are loaded when they are first needed, and kept. All scenes of a call are for one pair.
    """

    def __init__(self, device: torch.device, precision: RenderPrecision) -> None:
        image, layout = (AutoModel.from_pretrained(name).to(device) for name in (DEFAULT.image, DEFAULT.layout))
        super().__init__(image, layout, precision)
        self._device, self._others = device, dict[tuple[str, str], Pipeline]()

    def _models(self) -> dict[str, str]:
        return {"image": DEFAULT.image, "layout": DEFAULT.layout}

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}; others by the names in a scene>"

    def __call__(
        self, scenes: SceneLike | Iterable[SceneLike], seeds: int | Iterable[int] = (0,), **options: Any
    ) -> Generation:
        """As :meth:`Pipeline.__call__`. Raises ``UserError`` for scenes that different pairs know, too."""
        pipe, read = self._choose(scenes)
        return super().__call__(read, seeds, **options) if pipe is self else pipe(read, seeds, **options)

    def encode(
        self, scenes: SceneLike | Iterable[SceneLike], seeds: int | Iterable[int] = (0,), **options: Any
    ) -> ConditionedScenes:
        """As :meth:`Pipeline.encode`, with the pair that knows the names; :meth:`render` renders with the same."""
        pipe, read = self._choose(scenes)
        return super().encode(read, seeds, **options) if pipe is self else pipe.encode(read, seeds, **options)

    def choose(self, scenes: SceneLike | Iterable[SceneLike]) -> Pipeline:
        """As in the base class. Raises ``UserError`` for scenes that different pairs know."""
        return self._choose(scenes)[0]

    def _choose(self, scenes: SceneLike | Iterable[SceneLike]) -> tuple[Pipeline, list[Scene]]:
        """The pipeline for scenes, and these, read with its names."""
        given = given_scenes(scenes)
        pair = _pair_for([one if isinstance(one, str) else _names(one) for one in given])
        with naming_who_knows():
            read = [scene_from_text(one, pair.vocabulary) if isinstance(one, str) else one for one in given]
        pair = with_room(pair, read)
        if pair is DEFAULT:
            return self, read
        key = (pair.layout, pair.image)
        if key not in self._others:
            self._others[key] = Pipeline.from_pretrained(
                layout=pair.layout, image=pair.image, device=self._device, precision=self.precision
            )
        return self._others[key], read


def _pair_for(texts: list[str]) -> Pair:
    """The pair that knows most names of all texts. Raises ``UserError`` if another knows more names of one of them."""
    pair = choose_pair("; ".join(texts))
    for number, text in enumerate(texts):
        own = choose_pair(text)
        if names_in_text(text, own.vocabulary) > names_in_text(text, pair.vocabulary):
            raise UserError(
                f"scene {number} is for {own.layout} ({own.about}), others are for {pair.layout} ({pair.about}); "
                "give them in separate calls"
            )
    return pair


def _names(scene: Scene) -> str:
    """The names of a scene, as a text."""
    return "; ".join(thing.category for thing in scene.objects)
