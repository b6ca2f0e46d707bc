"""An evaluation in a folder: pictures are rendered, then measured, chunk by chunk, then summed up.

A chunk is a fixed run of layouts with all its pictures, and every chunk's result is a file of its own. So several
processes share the work, an interrupted evaluation goes on where it stopped, and neither moves a number. Summing up
streams over the chunks: memory does not grow with the number of pictures.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from accelerate import PartialState
from PIL import Image

from scenograph.data.processes import WHOLE, Part
from scenograph.errors import UserError
from scenograph.evaluation.crops import Rounding, object_crop
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.layouts import Layouts, given_part
from scenograph.evaluation.metrics import metric_class
from scenograph.evaluation.pictures import read_picture, to_bytes
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.tools import Tools
from scenograph.files import make_folder, write_atomically
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Scene, parse_scenes, scenes_to_json

if TYPE_CHECKING:
    from scenograph.evaluation.metric import Metric

BATCH = 32
"""Pictures that go through a network at once."""
SEED_STEP = 1_000_000
"""The seed of repeat r of layout i is ``i + r * SEED_STEP``."""

Progress = Callable[[str, int, int], None]
"""What is done, how much of it, and of how much."""


@dataclass
class Chunk:
    """What a metric measures at once: the pictures of a run of layouts, generated or real, and their scenes."""

    pictures: Sequence[Image.Image]
    """Layout by layout, every repeat; none where layouts alone are measured."""
    scenes: Sequence[Scene]
    """What each picture shows, with all boxes."""
    true: Sequence[Scene]
    """The data's scene of each picture."""
    repeats: int
    """Pictures per layout."""
    corners: Rounding
    """How the corners of crops become whole pixels."""
    file: Path
    """Where the arrays go; a metric's own files lie beside it."""

    @cached_property
    def boxed(self) -> list[tuple[int, Box, str]]:
        """Number of the picture, box and category of every object that has a box."""
        return [
            (number, thing.box, thing.category)
            for number, scene in enumerate(self.scenes)
            for thing in scene.objects
            if thing.box is not None
        ]

    def crops(self, side: int) -> Iterator[np.ndarray]:
        """Pixels (side, side, 3) uint8 of each object in :attr:`boxed`."""
        return (object_crop(self.pictures[number], box, side, self.corners) for number, box, _ in self.boxed)

    @cached_property
    def _features(self) -> dict[str, dict[str, np.ndarray]]:
        return {}

    def features(self, encoder: Encoder) -> dict[str, np.ndarray]:
        """``features`` (N, D), and ``probabilities`` (N, K) of encoders with classes; computed once for all metrics."""
        if encoder.digest not in self._features:
            self._features[encoder.digest] = encode(encoder, (np.asarray(one) for one in self.pictures))
        return self._features[encoder.digest]


class Evaluation:
    """An evaluation's folder. Call :meth:`run`, then :meth:`figures`; the same calls continue a stopped one.

    Metrics that cannot be measured here are in :attr:`left_out`, by name, with the reason. Raises ``UserError`` if no
    others are asked for, or if a metric's settings or networks are not what it needs.
    """

    def __init__(self, folder: Path, layouts: Layouts, subject: Subject, tools: Tools, cache: Path) -> None:
        self.folder, self.layouts, self.subject, self.tools = folder, layouts, subject, tools
        self.picture_folder = subject.pictures or folder / "pictures"
        self.protocol, self.cache = layouts.protocol, cache
        self.processes = PartialState()
        self._first = 0
        kinds, self.left_out = applicable_metrics(layouts, subject, tools)
        self.metrics = {name: kind(layouts, tools) for name, kind in kinds.items()}
        self.comparing = {name: made for name, made in self.metrics.items() if "real pictures" in made.needs}

    @property
    def versions(self) -> dict[str, int]:
        """Of the figures whose definition has changed."""
        return {name: number for metric in self.metrics.values() for name, number in metric.versions.items()}

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of all networks and files that measure."""
        return {name: digest for metric in self.metrics.values() for name, digest in metric.digests().items()}

    def run(
        self, request: dict[str, Any], progress: Progress = lambda what, done, of: None, part: Part = WHOLE
    ) -> None:
        """Render and measure a part, or all. ``request`` identifies the evaluation: a folder has one."""
        if self.comparing:
            remedy = f"to compare with; leave {', '.join(sorted(self.comparing))} out of --metrics"
            for loader in self.layouts.parts:
                loader.pack.check_pictures(remedy)
        self.claim(request)
        chunks = list(part.numbers(self.layouts.chunks))
        if self.subject.pictures is None:
            self._first = chunks[0] if chunks else 0
        for what, file, work in self._steps():
            self._each_chunk(what, part, file, work, progress)

    def finish(self, chunk: int) -> None:
        """Render and measure one chunk, as far as that is not done: the work of one process among others."""
        if self.subject.pictures is None:
            self._first = chunk
        for _, file, work in self._steps():
            if not _is_whole(file(chunk)):
                work(chunk)

    def _steps(self) -> Iterator[tuple[str, Callable[[int], Path], Callable[[int], None]]]:
        """What is done with each chunk, in this order: its name, the file that it leaves, and the work."""
        if self.subject.pictures is None:
            what = "rendering" if self.subject.render else "placing"
            yield what, lambda chunk: scenes_file(self.folder, chunk), self._make
        yield "measuring", self.measured, self._measure
        if self.comparing:
            make_folder(self._reference)
            yield "real pictures", self.referenced, self._measure_real

    def figures(self, progress: Progress = lambda what, done, of: None) -> list[Figure]:
        """The figures of all metrics, once everything is measured."""
        progress("summing up", 0, 1)
        found: dict[str, Figure] = {}
        for name, metric in self.metrics.items():
            for figure in metric.figures(self, progress):
                version = metric.versions.get(figure.name, 1)
                # Two metrics may have one in common.
                found.setdefault(figure.name, replace(figure, metric=name, version=version))
        progress("summing up", 1, 1)
        return list(found.values())

    def claim(self, request: dict[str, Any]) -> None:
        """Note whose folder this is. Raises ``UserError`` if it is another evaluation's."""
        path = self.folder / "request.json"
        content = json.dumps(request, indent=1, sort_keys=True)
        rendered = self.subject.render is not None and any(self.picture_folder.glob("*"))
        begun = rendered or any(self.folder.glob("chunks/*"))  # a refused request leaves nothing
        if begun and path.exists() and path.read_text(encoding="utf-8") != content:
            raise UserError(f"{self.folder} holds another evaluation; choose another --out")
        self.processes.wait_for_everyone()
        if self.processes.is_main_process:
            make_folder(self.folder / "chunks")
            if self.subject.render:
                make_folder(self.picture_folder)
            write_atomically(path, content.encode())
        self.processes.wait_for_everyone()

    def _each_chunk(
        self, what: str, part: Part, file: Callable[[int], Path], work: Callable[[int], None], progress: Progress
    ) -> None:
        """Chunks of a part whose file is missing or cut short, divided among the processes."""
        chunks = range(self.layouts.chunks)
        missing = part.left(chunks, lambda number: _is_whole(file(number)), f"{self.folder}, {what}")
        self.processes.wait_for_everyone()  # before any process adds a file
        own = missing[self.processes.process_index :: self.processes.num_processes]
        for done, number in enumerate(own):
            progress(what, done, len(own))
            work(number)
        progress(what, len(own), len(own))
        self.processes.wait_for_everyone()

    def measured(self, chunk: int) -> Path:
        """The file of a chunk's measures."""
        return self.folder / "chunks" / f"measures-{chunk:05d}.npz"

    def referenced(self, chunk: int) -> Path:
        """The same of its real pictures."""
        return self._reference / f"measures-{chunk:05d}.npz"

    def arrays(self, name: str, real: bool = False) -> Iterator[np.ndarray]:
        """One array of every chunk in order; chunks without any are left out."""
        for chunk in range(self.layouts.chunks):
            with np.load(self.referenced(chunk) if real else self.measured(chunk)) as found:
                if name in found and len(found[name]):
                    yield found[name]

    def all(self, name: str) -> np.ndarray:
        """One array of all chunks as one."""
        return np.concatenate(list(self.arrays(name)))

    def _make(self, chunk: int) -> None:
        """All pictures of a chunk, or its layouts alone; the file with the scenes they show is the last to appear."""
        numbers = self.layouts.numbers(chunk)
        given = {
            number: given_part(scene, self.protocol.given)
            for number, scene in zip(numbers, self.layouts.scenes(chunk), strict=True)
        }
        asked = [(number, repeat) for number in numbers for repeat in range(self.protocol.repeats)]
        shown: list[Scene] = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            shown += self._make_batch([given[number] for number, _ in part], part)
        write_atomically(scenes_file(self.folder, chunk), scenes_to_json(shown).encode())

    def _make_batch(self, scenes: Sequence[Scene], asked: Sequence[tuple[int, int]]) -> list[Scene]:
        """Place scenes, and save their pictures by layout and repeat if the subject renders."""
        seeds = [number + repeat * SEED_STEP for number, repeat in asked]
        if self.subject.render is None:
            assert self.subject.place is not None
            return self.subject.place(scenes, seeds)
        images, shown = self.subject.render(scenes, seeds)
        for (number, repeat), image in zip(asked, images, strict=True):
            if not bool(image.isfinite().all()):
                raise UserError(f"layout {number}, repeat {repeat}: the model drew numbers that are not finite")
        pixels = to_bytes(images, self.protocol.rounding, self.protocol.file_form == "stretched-jpeg")
        for (number, repeat), one in zip(asked, pixels, strict=True):
            self._save_picture(one, number, repeat)
        return shown

    def _save_picture(self, pixels: np.ndarray, number: int, repeat: int) -> None:
        stream = io.BytesIO()
        if self.protocol.file_form == "png":
            Image.fromarray(pixels).save(stream, "PNG")
        else:
            Image.fromarray(pixels).save(stream, "JPEG", quality=75)
        suffix = "png" if self.protocol.file_form == "png" else "jpg"
        write_atomically(self.picture_folder / f"sample_{number}_{repeat}.{suffix}", stream.getvalue())

    def pictures(self, chunk: int) -> list[Image.Image]:
        """The saved pictures of a chunk, layout by layout. Raises ``UserError`` for missing or damaged ones."""
        return [
            read_picture(self._file(number, repeat), self.size)
            for number in self.layouts.numbers(chunk)
            for repeat in range(self.protocol.repeats)
        ]

    def _file(self, number: int, repeat: int) -> Path:
        return picture_file(self.picture_folder, number, repeat, self.protocol.repeats)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, by the first one; of rendered ones, all alike, by one that is there."""
        return read_picture(self._file(self.layouts.numbers(self._first)[0], 0)).size

    def scenes(self, chunk: int) -> list[Scene]:
        """The scenes that the pictures of a chunk show, in their order; the true ones for pictures made elsewhere."""
        if self.subject.pictures is None:
            path = scenes_file(self.folder, chunk)
            return parse_scenes(path.read_text(encoding="utf-8"), str(path))
        return self._true_scenes(chunk)

    def _true_scenes(self, chunk: int) -> list[Scene]:
        """As many of each as there are repeats."""
        return [scene for scene in self.layouts.scenes(chunk) for _ in range(self.protocol.repeats)]

    def _measure(self, chunk: int) -> None:
        protocol, path = self.protocol, self.measured(chunk)
        pictures = self.pictures(chunk) if self.subject.pictured else []
        made = Chunk(
            pictures,
            self.scenes(chunk),
            self._true_scenes(chunk),
            protocol.repeats,
            protocol.generated_corners,
            path,
        )
        arrays = {name: array for metric in self.metrics.values() for name, array in metric.measure(made).items()}
        _save_arrays(path, arrays)

    def _measure_real(self, chunk: int) -> None:
        filters = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos")}
        chosen = filters[self.protocol.reference_filter]
        pictures = [
            one if one.size == self.size else one.resize(self.size, chosen) for one in self.layouts.pictures(chunk)
        ]
        scenes, path = self.layouts.scenes(chunk), self.referenced(chunk)
        real = Chunk(pictures, scenes, scenes, 1, self.protocol.real_corners, path)
        arrays = {name: array for metric in self.comparing.values() for name, array in metric.measure(real).items()}
        _save_arrays(path, arrays)

    @cached_property
    def _reference(self) -> Path:
        """Where measures of the real pictures are kept for other evaluations of the same kind."""
        settings = self.protocol.settings()
        kept = {"splits", "layouts", "reference_filter", "real_corners"}
        kept |= {name for metric in self.comparing.values() for name in metric.reference_settings}
        identity = {
            "data": self.layouts.identity(),
            "size": self.size,
            "networks": [metric.digests() for metric in self.comparing.values()],
            "metrics": sorted(self.comparing),
            "settings": {name: settings[name] for name in sorted(kept)},
        }
        return self.cache / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def applicable_metrics(
    layouts: Layouts, subject: Subject, tools: Tools
) -> tuple[dict[str, type[Metric]], dict[str, str]]:
    """The protocol's metrics that can be measured, by name and in order, and the others with the reason.

    Loads none of their networks. Raises ``UserError`` if there are none, or if a setting is not what one needs.
    """
    kinds = {name: metric_class(name) for name in layouts.protocol.metrics}
    if not kinds:
        raise UserError(f"protocol {layouts.protocol.name}: no metric to measure; name some with --metrics")
    reasons = {name: kind.why_inapplicable(layouts, subject, tools) for name, kind in kinds.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if len(left_out) == len(kinds):
        raise UserError("; ".join(f"cannot measure {name}: {why}" for name, why in left_out.items()))
    measured = sorted(kinds.keys() - left_out.keys(), key=lambda name: (kinds[name].order, name))
    for name in measured:
        kinds[name].check(layouts, tools)
    return {name: kinds[name] for name in measured}, left_out


def scenes_file(folder: Path, chunk: int) -> Path:
    """The scenes of a chunk as an evaluation rendered or placed them, every repeat."""
    return folder / "chunks" / f"scenes-{chunk:05d}.json"


def picture_file(folder: Path, number: int, repeat: int, repeats: int) -> Path:
    """The picture of a layout. Raises ``UserError`` if there is none."""
    name = f"sample_{number}_{repeat}"
    found = next((path for path in (folder / f"{name}.png", folder / f"{name}.jpg") if path.exists()), None)
    if found is None:
        raise UserError(f"{folder}: there is no {name}.png; every layout needs {repeats} picture(s)")
    return found


def encode(encoder: Encoder, pictures: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
    """``features`` and ``probabilities`` of pictures (H, W, 3), a batch at a time; of no pictures there are none."""
    features, probabilities = [], []
    while batch := list(islice(pictures, BATCH)):
        rows, chances = encoder(np.stack(batch))
        features.append(rows)
        if chances is not None:
            probabilities.append(chances)
    arrays = {"features": np.concatenate(features)} if features else {}
    if probabilities:
        arrays["probabilities"] = np.concatenate(probabilities)
    return arrays


def _is_whole(path: Path) -> bool:
    return zipfile.is_zipfile(path) if path.suffix == ".npz" else path.exists()


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_atomically(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]  # names are arrays'
