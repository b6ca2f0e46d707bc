"""The one way to place objects: candidates are sampled, the lowest-cost one is kept, and boxes may be refined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from scenograph.devices import Precision, half_precision, keep_freed_memory, warn_if_bf16_emulated
from scenograph.errors import UserError, with_article
from scenograph.models.base import DrawsFromCrops, LayoutModel, Model, ShapesObjects
from scenograph.models.registry import AutoModel
from scenograph.pipelines.checks import (
    check_model_names,
    check_names,
    for_placing,
    warn_about_crowds,
    without_contradictions,
)
from scenograph.pipelines.defaults import layout_for
from scenograph.pipelines.latents import seeded_generators
from scenograph.pipelines.options import GenerateOptions
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.completion import is_open, with_layout, without_unknown_spatial
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import layout_costs
from scenograph.scenes.settling import settle_regions
from scenograph.scenes.vocabulary import Vocabulary

CANDIDATES: int = GenerateOptions.model_fields["candidates"].default


def load_layout_model(name: str | Path, device: torch.device, precision: Precision) -> LayoutModel:
    """A model that places objects, ready for inference in a precision. Raises ``UserError`` for one that does not."""
    return _ready(AutoModel.from_pretrained(name), name, device, precision)


def load_layout_models(
    name: str | Path, device: torch.device, precision: Precision
) -> tuple[LayoutModel, ShapesObjects | None]:
    """As :func:`load_layout_model`; or, if what is named predicts masks of sketches, the shipped one beside it."""
    model = AutoModel.from_pretrained(name)
    if not isinstance(model, ShapesObjects):
        return _ready(model, name, device, precision), None
    return load_layout_model(layout_for(model.vocabulary), device, precision), model.to(device)


def _ready(model: Model, name: str | Path, device: torch.device, precision: Precision) -> LayoutModel:
    if not isinstance(model, LayoutModel):
        raise UserError(f"--layout {name}: is {with_article(model.name)}, which places no objects")
    warn_if_bf16_emulated(device, precision)
    keep_freed_memory(device)
    return model.for_inference().to(device)


def load_placers(
    name: str | Path | None, vocabulary: Vocabulary, device: torch.device
) -> tuple[Model, ShapesObjects | None]:
    """What places objects for a renderer, and what predicts masks of sketches, if that is what was named.

    Args:
        name: A model; one that predicts masks gets the shipped one that places. None stands for that one alone.
        vocabulary: The renderer's.
        device: Of both.
    """
    model = AutoModel.from_pretrained(name or layout_for(vocabulary)).to(device)
    if not isinstance(model, ShapesObjects):
        return model, None
    return AutoModel.from_pretrained(layout_for(vocabulary)).to(device), model


def read_to_place(
    model: LayoutModel,
    scenes: Sequence[Scene],
    refine: bool = False,
    keep_contradictions: bool = False,
    shapes: ShapesObjects | None = None,
) -> list[Scene]:
    """Scenes checked for a layout model alone, or beside one that predicts masks of what has a box.

    Raises ``UserError`` for names that it does not know and, with ``refine``, for contradictory relations, which are
    otherwise left out with a warning, unless they are to be kept. Beside another, names matter where boxes are missing.
    """
    if shapes is None:
        check_model_names("layout", model, scenes, refine)
        warn_about_crowds(model, scenes)
    else:
        check_names(scenes, None, model, refine)
        warn_about_crowds(model, [scene for scene in scenes if is_open(scene)])
    return without_contradictions(scenes, refine, keep_contradictions)


def place_objects(
    model: LayoutModel,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    refine: bool = False,
    candidates: int = CANDIDATES,
    precision: Precision = "no",
) -> list[Scene]:
    """Choose boxes, and masks where the model has them, for the objects that have none.

    Args:
        model: A model that places objects.
        scenes: Those that lack boxes have names that it knows, or words that stand for these.
        seeds: One per scene.
        refine: Then move these boxes, and only these, so that every relation holds.
        candidates: Layouts sampled per scene by stochastic models; the lowest-cost one is kept.
        precision: The network's.
    """
    open_ones = [number for number, scene in enumerate(scenes) if is_open(scene)]
    if not open_ones:
        return list(scenes)
    if len(open_ones) < len(scenes):  # the others may have names that the model does not know
        result, chosen = list(scenes), ([scenes[n] for n in open_ones], [seeds[n] for n in open_ones])
        for number, scene in zip(open_ones, place_objects(model, *chosen, refine, candidates, precision), strict=True):
            result[number] = scene
        return result
    known, _ = for_placing(scenes, model)
    if refine:
        known = [without_unknown_spatial(scene, model.vocabulary) for scene in known]
    batch = batch_for(model, known)
    with torch.inference_mode(), half_precision(model.device, precision):
        outputs = model.candidates(batch, candidates, seeded_generators(seeds, "layout"))
    boxes = torch.stack([output.boxes for output in outputs])  # (candidates, O, 4)
    costs = np.stack([layout_costs(candidate, batch, model.vocabulary) for candidate in boxes])
    best = torch.from_numpy(costs.argmin(axis=0)).to(batch.object_to_image)[batch.object_to_image]
    rows = torch.arange(len(best), device=best.device)
    masks = [output.masks.float() for output in outputs if output.masks is not None]
    placed = with_layout(scenes, boxes[best, rows], torch.stack(masks)[best, rows] if masks else None)
    movable = [[thing.box is None for thing in scene.objects] for scene in scenes]
    placed = [settle_regions(scene, free) for scene, free in zip(placed, movable, strict=True)]
    if not refine:
        return placed
    from scenograph.scenes.solver import refine as refine_boxes  # its solver takes a while to import

    return [refine_boxes(scene, free) for scene, free in zip(placed, movable, strict=True)]


def batch_for(model: Model, scenes: Sequence[Scene]) -> SceneBatch:
    """The scenes as tensors on a model's device, with masks, and sketches and crops if it reads them, of its sizes."""
    config = model.config
    crop_side = config.crop_side if isinstance(model, DrawsFromCrops) else config.sketch_side
    sides = (config.mask_side, config.sketch_side, crop_side)
    return SceneBatch.from_scenes(scenes, model.vocabulary, *sides).to(model.device)
