"""Layouts and pictures: what the model thread does, for one request or for several of equal options at once."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.provenance import Request, png_bytes
from scenograph.pipelines.renderers.base import ConditionedScenes
from scenograph.scenes.png import png_to_text
from scenograph.scenes.scene import Scene
from scenograph.studio.server.limits import read_scene
from scenograph.studio.server.notes import collecting
from scenograph.studio.server.offer import Chosen, Offer
from scenograph.studio.server.schemas import LayoutAsked, Milliseconds, PictureReply, Rendering, SceneReply
from scenograph.studio.server.work_queue import one_by_one

PREVIEW_STEPS = 2
"""Sampling steps of the first preview."""
KEPT = 4
"""Encoded scenes that are kept, so that the same scene drawn with other steps is not encoded again."""

Say = Callable[[str, dict[str, Any]], None]
"""Takes the name of an event and its data."""


@dataclass(frozen=True)
class Task:
    """A request for a layout or a picture, read."""

    scene: Scene
    chosen: Chosen
    seed: int
    options: GenerateOptions
    fingerprint: str
    """Of the scene, the seed and the models."""

    @property
    def together(self) -> Hashable:
        """What must be equal to be drawn in one batch."""
        return self.chosen, tuple(sorted(self.options.recorded().items()))


@dataclass(frozen=True)
class _Read:
    """A task whose scene a pipeline has read: with the names of its models, and what was said of it."""

    task: Task
    scene: Scene
    notes: list[str]


class PictureWork:
    """Layouts and pictures; :meth:`prepare` is for any thread, all else for the model thread."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self._encoded: OrderedDict[tuple[str, int | None, int], ConditionedScenes] = OrderedDict()

    def prepare(self, asked: Rendering | LayoutAsked) -> Task:
        """Read a request. Raises ``ServiceError`` or ``UserError`` for what is wrong with it."""
        scene = read_scene(asked.scene)
        chosen = self.offer.choose(scene, asked.layout, asked.image, asked.memory)
        options = GenerateOptions().changed(candidates=asked.candidates)
        if isinstance(asked, Rendering):
            options = options.changed(size=asked.size, steps=asked.steps)
        told = json.dumps([asked.scene, asked.seed, chosen], sort_keys=True)
        return Task(scene, chosen, asked.seed, options, hashlib.sha256(told.encode()).hexdigest())

    def layouts(self, tasks: Sequence[Task]) -> list[SceneReply | Exception]:
        """Scenes of equal options with a box for every object."""
        return self._at_once(tasks, self._layouts)

    def pictures(self, tasks: Sequence[Task]) -> list[PictureReply | Exception]:
        """Pictures of equal options: for each the same as if it were drawn alone."""
        return self._at_once(tasks, self._pictures)

    def watched(self, task: Task, say: Say, check: Callable[[], None]) -> PictureReply:
        """A picture with events: progress, and a preview of few sampling steps where the model has many.

        ``check`` is called between the stages, and raises to end the work.
        """
        pipe, (read,) = self._read_all([task])
        steps = task.options.steps or self.offer.steps(task.chosen.image) or 1
        previewed = steps > 2 * PREVIEW_STEPS
        total = 3 if previewed else 2
        say("progress", {"done": 0, "total": total})
        began = time.monotonic()
        with collecting() as notes:
            encoding = self._encode(pipe, [read])
            placed = time.monotonic()
            check()
            say("progress", {"done": 1, "total": total})
            if previewed:
                (first,) = pipe.render(encoding, PREVIEW_STEPS)
                check()
                say("preview", {"picture": png_to_text(np.asarray(first))})
                say("progress", {"done": 2, "total": total})
            (image,) = pipe.render(encoding, task.options.steps)
        say("progress", {"done": total, "total": total})
        return _reply(pipe, read, image, encoding.scenes[0], notes, placed - began, time.monotonic() - placed)

    def encoded(self, task: Task) -> tuple[Pipeline, ConditionedScenes]:
        """The pipeline of a task, and its scene ready to be drawn: for what is made beside pictures."""
        pipe, read = self._read_all([task])
        encoding = self._encode(pipe, read)
        return pipe, replace(encoding, options=encoding.options.changed(steps=task.options.steps))

    def _at_once(self, tasks: Sequence[Task], make: Callable[[Pipeline, list[_Read]], list[Any]]) -> list[Any]:
        """What ``make`` makes of all tasks, or an exception for those that have one."""
        pipe = self.offer.pipeline(tasks[0].chosen)
        read = one_by_one(lambda task: _read(pipe, task))(tasks)
        good = [one for one in read if isinstance(one, _Read)]
        try:
            made: Sequence[Any] = make(pipe, good) if good else []
        except UserError as error:  # of one of them, such as a crop that a memory lacks
            made = [error] if len(good) == 1 else one_by_one(lambda one: make(pipe, [one])[0])(good)
        rest = iter(made)
        return [next(rest) if isinstance(one, _Read) else one for one in read]

    def _read_all(self, tasks: Sequence[Task]) -> tuple[Pipeline, list[_Read]]:
        pipe = self.offer.pipeline(tasks[0].chosen)
        return pipe, [_read(pipe, task) for task in tasks]

    def _encode(self, pipe: Pipeline, read: Sequence[_Read]) -> ConditionedScenes:
        """Scenes ready to be drawn; a scene alone is kept, and taken from those that were."""
        scenes, seeds = [one.scene for one in read], [one.task.seed for one in read]
        size, candidates = read[0].task.options.size, read[0].task.options.candidates
        if len(read) > 1:
            return pipe.encode_pairs(scenes, seeds, size=size, candidates=candidates)
        key = read[0].task.fingerprint, size, candidates
        if key not in self._encoded:
            self._encoded[key] = pipe.encode_pairs(scenes, seeds, size=size, candidates=candidates)
            if len(self._encoded) > KEPT:
                self._encoded.popitem(last=False)
        self._encoded.move_to_end(key)
        return self._encoded[key]

    def _layouts(self, pipe: Pipeline, read: list[_Read]) -> list[SceneReply]:
        with collecting() as notes:
            encoding = self._encode(pipe, read)
        return [
            SceneReply(scene=_with_boxes_of(one.scene, shown).to_dict(), notes=_all(one.notes, notes))
            for one, shown in zip(read, encoding.scenes, strict=True)
        ]

    def _pictures(self, pipe: Pipeline, read: list[_Read]) -> list[PictureReply]:
        began = time.monotonic()
        with collecting() as notes:
            encoding = self._encode(pipe, read)
            placed = time.monotonic()
            images = pipe.render(encoding, read[0].task.options.steps)
        spent = placed - began, time.monotonic() - placed
        return [
            _reply(pipe, one, image, shown, notes, *spent)
            for one, image, shown in zip(read, images, encoding.scenes, strict=True)
        ]


def _read(pipe: Pipeline, task: Task) -> _Read:
    with collecting() as notes:
        (scene,) = pipe.read(task.scene)
    return _Read(task, scene, notes)


def _reply(
    pipe: Pipeline,
    read: _Read,
    image: Image.Image,
    shown: Scene,
    notes: Sequence[str],
    layout_seconds: float,
    render_seconds: float,
) -> PictureReply:
    """The picture with its record. How long it waited, who let it wait knows."""
    task = read.task
    request = Request([read.scene], [task.seed], pipe.names, task.options, digests=pipe.digests())
    return PictureReply(
        picture=base64.b64encode(png_bytes(image, request.record(0, task.seed), shown)).decode(),
        scene=shown.to_dict(),
        notes=_all(read.notes, notes),
        milliseconds=Milliseconds(wait=0, layout=round(1000 * layout_seconds), render=round(1000 * render_seconds)),
    )


def _with_boxes_of(scene: Scene, placed: Scene) -> Scene:
    """A scene with the boxes and masks that it has not and another has; what its author left open stays open."""
    objects = (
        thing if thing.box is not None else replace(thing, box=other.box, mask=other.mask)
        for thing, other in zip(scene.objects, placed.objects, strict=True)
    )
    return replace(scene, objects=tuple(objects))


def _all(notes: Sequence[str], more: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*notes, *more]))
