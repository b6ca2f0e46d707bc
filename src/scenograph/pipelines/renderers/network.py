"""Our own image models as a renderer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from scenograph.data.pictures import read_rgb
from scenograph.devices import half_precision
from scenograph.errors import UserError
from scenograph.models.base import (
    NO_STYLE,
    DrawsFromCrops,
    ImageModel,
    LayeredModel,
    LayoutModel,
    ObjectLatents,
    PictureStyles,
)
from scenograph.models.runtimes import use_runtime
from scenograph.pipelines.checks import warn_about_crowds
from scenograph.pipelines.latents import seeded_generators, with_latents
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.placing import batch_for, place_objects
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.scenes.completion import with_layout, without_unknown_spatial
from scenograph.scenes.openraster import Layer
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class NetworkRenderer(Renderer):
    """An image model; one that is a layout model, too, places objects itself."""

    def __init__(self, model: ImageModel[Any]) -> None:
        self.model: ImageModel[Any] = model.for_inference()
        self.name, self.digest, self.device = model.called, model.digest, model.device
        self._resized: set[int] = set()
        """Sizes whose pictures were said to be resized."""
        if isinstance(model, DrawsFromCrops):
            self.crop_side, self.needs_crops = model.config.crop_side, model.needs_crops
        self.places, self.completes_attributes = isinstance(model, LayoutModel), model.completes_attributes

    @property
    def vocabulary(self) -> Vocabulary:
        """The model's."""
        return self.model.vocabulary

    def check(self, scenes: Sequence[Scene]) -> None:
        """Warn of more objects than in training, and of object seeds that change nothing."""
        warn_about_crowds(self.model, scenes)
        seeded = any(thing.seed is not None for scene in scenes for thing in scene.objects)
        if seeded and not isinstance(self.model, ObjectLatents | DrawsFromCrops):
            log.warning("%s gives objects no looks of their own: their seeds change nothing", self.name)

    def wants_crops(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """As in the base class."""
        if self.needs_crops or not isinstance(self.model, DrawsFromCrops):
            return super().wants_crops(scenes)
        with torch.inference_mode():
            flags = self.model.wants_crops(batch_for(self.model, scenes)).tolist()
        ends = list(accumulate(len(scene.objects) for scene in scenes))
        return [flags[start:end] for start, end in pairwise([0, *ends])]

    def has_looks(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """As in the base class: of models with latents or crops of objects. What is no layer is part of the ground."""
        if isinstance(self.model, LayeredModel):
            return self.wants_crops([replace(scene, relations=()) for scene in scenes])
        own = isinstance(self.model, ObjectLatents | DrawsFromCrops)
        return [[own] * len(scene.objects) for scene in scenes]

    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        """As in the base class, without gradients."""
        complete, model = list(scenes), self.model
        use_runtime(self.model, options.runtime)
        with torch.inference_mode():
            if options.refine and isinstance(model, LayoutModel):
                complete = place_objects(model, complete, seeds, options.refine, options.candidates)
            known = [without_unknown_spatial(s, model.vocabulary) for s in complete] if options.refine else complete
            batch = batch_for(model, known)
            if isinstance(model, ObjectLatents):
                batch = with_latents(batch, complete, seeds, model.latent_size, options.truncation)
            if options.style is not None:
                if not isinstance(model, PictureStyles):
                    raise UserError(f"{self.name}: {NO_STYLE}")
                picture = read_rgb(options.style) if isinstance(options.style, Path) else options.style
                latents = model.style_latents(picture, seeded_generators(seeds, "picture"))
                batch = replace(batch, picture_latents=latents)
            made = model.condition(batch, seeded_generators(seeds, "layout"), self._own_size(options.size))
        return ConditionedScenes(with_layout(complete, made.boxes, made.masks), list(seeds), made.condition, options)

    def render(self, conditioned: ConditionedScenes) -> Tensor:
        """As in the base class, in the precision of the options."""
        options, generators = conditioned.options, seeded_generators(conditioned.seeds, "picture")
        use_runtime(self.model, options.runtime)
        with torch.inference_mode(), half_precision(self.device, options.precision):
            pictures = self.model.render(conditioned.condition, generators, options.steps).float()
        return pictures if options.size is None else _with_longer_side(pictures, options.size)

    def check_options(self, options: GenerateOptions) -> None:
        """As in the base class; another runtime has one precision."""
        super().check_options(options)
        if options.runtime != "torch" and options.precision != "no":
            raise UserError(f"runtime {options.runtime}: computes in float32; leave precision {options.precision} out")

    def _own_size(self, size: int | None) -> int | None:
        """The size at which the model draws; a warning, the first time, if that is not the one asked for."""
        if size is None or self.model.draws(size):
            return size
        if size not in self._resized:
            self._resized.add(size)
            height, width = self.model.config.picture_sides
            done = "enlarged" if size > max(height, width) else "reduced"
            log.warning("%s draws %d x %d: its pictures are %s to %d", self.name, width, height, done, size)
        return None

    def check_layers(self) -> None:
        """As in the base class."""
        if not isinstance(self.model, LayeredModel):
            super().check_layers()

    def layers(self, conditioned: ConditionedScenes) -> list[list[Layer]]:
        """As in the base class, in the precision of the options."""
        self.check_layers()
        options, generators = conditioned.options, seeded_generators(conditioned.seeds, "picture")
        with torch.inference_mode(), half_precision(self.device, options.precision):
            return cast(LayeredModel[Any], self.model).render_layers(conditioned.condition, generators, options.steps)


def _with_longer_side(pictures: Tensor, size: int) -> Tensor:
    """Pictures (N, 3, H, W), scaled if the longer side is another."""
    height, width = pictures.shape[2:]
    if size == max(height, width):
        return pictures
    sides = [max(round(side * size / max(height, width)), 1) for side in (height, width)]
    return F.interpolate(pictures, sides, mode="bicubic", antialias=True).clamp(-1, 1)
