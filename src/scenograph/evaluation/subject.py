"""What is measured: a pipeline, a layout model alone, or the pictures of another program."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from scenograph.devices import Precision, RenderPrecision
from scenograph.errors import UserError
from scenograph.evaluation.layouts import Layouts, given_part
from scenograph.evaluation.protocols import Protocol
from scenograph.models.base import LayoutModel, Model
from scenograph.pipelines.checks import check_contradictions, check_names
from scenograph.pipelines.defaults import layout_for
from scenograph.pipelines.pipeline import DEFAULT_IMAGE, Pipeline
from scenograph.pipelines.placing import place_objects
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.scenes.scene import Scene

Render = Callable[[Sequence[Scene], Sequence[int]], tuple[Tensor, list[Scene]]]
"""Scenes and as many seeds to pictures (N, 3, H, W), about [-1, 1], and the scenes they show, all boxes decided."""
Place = Callable[[Sequence[Scene], Sequence[int]], list[Scene]]
"""Scenes and as many seeds to scenes with all boxes decided."""


@dataclass(frozen=True)
class Subject:
    """What is measured: a model that renders, one that only places objects, or pictures made elsewhere."""

    models: dict[str, dict[str, str]]
    """Name and checksum of each model, by what it does, for the report."""
    render: Render | None = None
    place: Place | None = None
    pictures: Path | None = None
    """Their folder: ``sample_<layout>_<repeat>.png`` (or ``.jpg``)."""

    @property
    def pictured(self) -> bool:
        """Whether there are pictures, and not layouts alone."""
        return self.render is not None or self.pictures is not None


def pipeline_subject(
    pipe: Pipeline, protocol: Protocol, names: Mapping[str, str | None], steps: int | None = None
) -> Subject:
    """A pipeline's pictures, and its layouts; ``names`` of its models, the shipped ones without."""
    encode: Callable[..., ConditionedScenes] = partial(pipe.encode_pairs, **protocol.generation())

    def render(scenes: Sequence[Scene], seeds: Sequence[int]) -> tuple[Tensor, list[Scene]]:
        encoding = encode(scenes, seeds)
        return pipe.pixels(encoding, steps), encoding.scenes

    def place(scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Scene]:
        return encode(scenes, seeds).scenes

    models = {}
    if pipe.layout is not None and protocol.given == "graph":
        placer = None if pipe.shapes is not None else names.get("layout")
        models["layout"] = _identity(pipe.layout, placer or layout_for(pipe.vocabulary))
    if isinstance(pipe.shapes, Model):
        models["masks"] = {"name": names.get("layout") or pipe.shapes.called, "digest": pipe.shapes.digest}
    models["image"] = _identity(pipe.renderer, names.get("image") or DEFAULT_IMAGE, pipe.precision)
    if pipe.crops is not None and pipe.renderer.crop_side:
        models["crops"] = {"name": type(pipe.crops).__name__, "digest": pipe.crops.digest}
    return Subject(models, render, place)


def layout_subject(model: LayoutModel, protocol: Protocol, name: str, precision: Precision) -> Subject:
    """A layout model's layouts alone."""
    place = partial(place_objects, model, refine=protocol.refine, candidates=protocol.candidates, precision=precision)
    return Subject({"layout": _identity(model, name, precision)}, place=place)


def pictures_subject(source: Path) -> Subject:
    """Another program's pictures, identified by name, size and time. Raises ``UserError`` for what is no folder."""
    if not source.is_dir():
        raise UserError(f"--pictures {source}: not a folder")
    folder = source.resolve()
    states = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.glob("sample_*"))
    digest = hashlib.sha256(json.dumps(states).encode()).hexdigest()
    return Subject({"pictures": {"name": str(folder), "digest": digest}}, pictures=folder)


def _identity(model: LayoutModel | Renderer, name: str, precision: RenderPrecision = "no") -> dict[str, str]:
    halved = {} if precision == "no" else {"precision": precision}
    return {"name": name, "digest": model.digest, **halved}


def check_scenes(layouts: Layouts, image: Renderer | None, layout: LayoutModel | None) -> None:
    """Raise ``UserError`` if a scene has a name that a model does not know, or relations that cannot be refined."""
    refine = layouts.protocol.refine
    known = [named.vocabulary for named in (image, layout) if named is not None]
    unknown = any(names.lacks(layouts.vocabulary) for names in known if names is not None)
    if not unknown and not refine:
        return  # no need to read the scenes
    remedy = "name a layout model that knows it with --layout"
    if image is not None:
        remedy = f"tell the boxes, too, with --given boxes, or {remedy}"
    for number, scene in enumerate(scene for chunk in range(layouts.chunks) for scene in layouts.scenes(chunk)):
        try:
            asked = given_part(scene, layouts.protocol.given)
            check_names([asked], image, layout, refine, remedy)
            if refine:
                check_contradictions([asked])
        except UserError as error:
            raise UserError(f"{layouts.pack}, layout {number}: {error}") from error
