"""An evaluation in a folder: pictures are drawn, then measured, chunk by chunk, then summed up.

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
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from PIL import Image
from torch import Tensor

from scenograph.data.loader import PackLoader
from scenograph.data.pack import open_picture, read_record
from scenograph.errors import UserError
from scenograph.evaluation.agreement import object_agreement
from scenograph.evaluation.classification import SIDE
from scenograph.evaluation.crops import Rounding, object_crop
from scenograph.evaluation.detection import Detector
from scenograph.evaluation.encoders import Encoder, state_digest
from scenograph.evaluation.pictures import read_picture, to_bytes
from scenograph.evaluation.protocols import Protocol
from scenograph.files import digest, make_folder, write_atomically
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.nn.perceptual import PerceptualDistance
from scenograph.scenes.batch import pixels_to_tensor
from scenograph.scenes.canonical import with_locations
from scenograph.scenes.scene import Scene, parse_scenes, scenes_to_json
from scenograph.scenes.scoring import Figures, layout_figures_of_scenes
from scenograph.scenes.vocabulary import Vocabulary

CHUNK = 16
"""Layouts per chunk."""
BATCH = 32
"""Pictures that go through a network at once."""
SEED_STEP = 1_000_000
"""The seed of repeat r of layout i is ``i + r * SEED_STEP``."""

Draw = Callable[[Sequence[Scene], Sequence[int]], tuple[Tensor, list[Scene]]]
"""Scenes and as many seeds to pictures (N, 3, H, W), about [-1, 1], and the scenes they show, all boxes decided."""
Place = Callable[[Sequence[Scene], Sequence[int]], list[Scene]]
"""Scenes and as many seeds to scenes with all boxes decided."""

LAYOUT_METRICS = frozenset({"layout", "robustness"})
"""What is measured on layouts alone."""
COMPARING_METRICS = frozenset({"quality", "objects", "classification"})
"""What compares with real pictures."""
Progress = Callable[[str, int, int], None]
"""What is done, how much of it, and of how much."""


@dataclass(frozen=True)
class Subject:
    """What is measured: a model that draws, one that only places objects, or pictures made elsewhere."""

    models: dict[str, dict[str, str]]
    """Name and checksum of each model, by what it does, for the report."""
    draw: Draw | None = None
    place: Place | None = None
    pictures: Path | None = None
    """Their folder: ``sample_<layout>_<repeat>.png`` (or ``.jpg``)."""


@dataclass
class Tools:
    """The networks and files that a protocol's metrics need; the rest is None."""

    encoder: Encoder | None = None
    judge: ObjectClassifier | None = None
    lpips: PerceptualDistance | None = None
    detector: Detector | None = None
    detections: Path | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of those there are: a change of any makes another evaluation."""
        detector = None if self.detector is None else self.detector.network
        networks: dict[str, torch.nn.Module | None]
        networks = {"judge": self.judge, "lpips": self.lpips, "detector": detector}
        found = {name: state_digest(one.state_dict()) for name, one in networks.items() if one is not None}
        if self.encoder is not None:
            found["encoder"] = self.encoder.digest
        if self.detections is not None:
            found["detections"] = digest(self.detections)
        return found


@dataclass
class Layouts:
    """The scenes that a protocol asks for, with their real pictures."""

    pack: Path
    protocol: Protocol
    parts: list[PackLoader] = field(init=False)

    def __post_init__(self) -> None:
        self.parts = [
            PackLoader(self.pack, split, (64, 64), 32, relations=self.protocol.relations, cache=0)
            for split in self.protocol.splits
        ]

    @cached_property
    def count(self) -> int:
        """How many there are."""
        total = sum(len(part) for part in self.parts)
        return min(total, self.protocol.layouts or total)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The data's names, and those of the relations that are drawn from boxes, if the protocol asks for such."""
        names = self.parts[0].vocabulary
        return with_locations(names) if self.protocol.relations in ("sg2im", "canonical") else names

    @property
    def chunks(self) -> int:
        """How many chunks they make."""
        return -(-self.count // CHUNK)

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Metrics that the data cannot be measured by, and why."""
        if any(part.pack.pictured for part in self.parts):
            return {}
        return dict.fromkeys(COMPARING_METRICS, "the data has no pictures to compare with")

    def places(self, chunk: int) -> Iterator[tuple[PackLoader, int]]:
        """Loader and row of each layout of a chunk."""
        for number in range(chunk * CHUNK, min((chunk + 1) * CHUNK, self.count)):
            row = number
            for part in self.parts:
                if row < len(part):
                    yield part, row
                    break
                row -= len(part)

    def scenes(self, chunk: int) -> list[Scene]:
        """True scenes, with the relations that are asked for."""
        return [part.scenes(row, 1)[0] for part, row in self.places(chunk)]

    def ids(self, chunk: int) -> list[int]:
        """Numbers of the pictures: those in the data's own names, as COCO's, or else their places."""
        names = [str(part.pack.rows([row])[0]["id"]) for part, row in self.places(chunk)]
        return [int(name) if name.isdigit() else chunk * CHUNK + i for i, name in enumerate(names)]

    def pictures(self, chunk: int) -> list[Image.Image]:
        """Real pictures. Raises ``UserError`` if a scene has none."""
        result = []
        for part, row in self.places(chunk):
            picture = open_picture(part.pack.rows([row])[0])
            if picture is None:
                raise UserError(f"{self.pack}: scene {row} has no picture to compare with")
            result.append(picture.convert("RGB"))
        return result

    def identity(self) -> dict[str, Any]:
        """What pack and scenes these are: the source, its options, and a checksum over the files of the splits."""
        record = read_record(self.pack)
        files = [record["splits"][split]["files"] for split in self.protocol.splits]
        checksum = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        return {
            "source": record["source"],
            "options": record["options"],
            "picture_size": record["picture_size"],
            "layouts": self.count,
            "files": checksum,
        }


class Evaluation:
    """An evaluation's folder. Call :meth:`run`; the same call continues a stopped one.

    A subject that only places is enough for metrics of layouts (:data:`LAYOUT_METRICS`). Metrics that would mean
    nothing are left out, and raise ``UserError`` if no others are asked for.
    """

    def __init__(self, folder: Path, layouts: Layouts, subject: Subject, tools: Tools, cache: Path) -> None:
        self.folder, self.layouts, self.subject, self.tools = folder, layouts, subject, tools
        self.draw, self.place = subject.draw, subject.place
        self.picture_folder = subject.pictures or folder / "pictures"
        self.protocol, self.cache = layouts.protocol, cache
        self.processes = PartialState()
        self.left_out = _left_out(layouts, subject)
        self.metrics = set(self.protocol.metrics) - self.left_out.keys()
        if not self.metrics:
            raise UserError("; ".join(f"cannot measure {name}: {why}" for name, why in self.left_out.items()))

    @property
    def _made_elsewhere(self) -> bool:
        """Whether the pictures are another program's."""
        return self.subject.pictures is not None

    @property
    def pictured(self) -> bool:
        """Whether there are pictures, and not layouts alone."""
        return self.draw is not None or self._made_elsewhere

    def run(self, request: dict[str, Any], progress: Progress = lambda what, done, of: None) -> None:
        """Draw and measure; :class:`Summary` then sums up. ``request`` identifies the evaluation: a folder has one."""
        if self._needs_reference:
            for part in self.layouts.parts:
                part.pack.check_pictures("to compare with; leave quality, objects and classification out of --metrics")
        self._claim(request)
        if not self._made_elsewhere:
            self._each_chunk("drawing" if self.draw else "placing", self._drawn, self._draw, progress)
        self._each_chunk("measuring", self.measured, self._measure, progress)
        if self._needs_reference:
            make_folder(self._reference)
            self._each_chunk("real pictures", self.referenced, self._measure_real, progress)

    def _claim(self, request: dict[str, Any]) -> None:
        path = self.folder / "request.json"
        content = json.dumps(request, indent=1, sort_keys=True)
        drawn = self.draw is not None and any(self.picture_folder.glob("*"))
        begun = drawn or any(self.folder.glob("chunks/*"))  # a refused request leaves nothing
        if begun and path.exists() and path.read_text(encoding="utf-8") != content:
            raise UserError(f"{self.folder} holds another evaluation; choose another --out")
        self.processes.wait_for_everyone()
        if self.processes.is_main_process:
            make_folder(self.folder / "chunks")
            if self.draw:
                make_folder(self.picture_folder)
            write_atomically(path, content.encode())
        self.processes.wait_for_everyone()

    def _each_chunk(
        self, what: str, file: Callable[[int], Path], work: Callable[[int], None], progress: Progress
    ) -> None:
        """Chunks whose file is missing or cut short, divided among the processes."""
        total = self.layouts.chunks
        missing = [number for number in range(total) if not _is_whole(file(number))]
        self.processes.wait_for_everyone()  # before any process adds a file
        own = missing[self.processes.process_index :: self.processes.num_processes]
        for done, number in enumerate(own):
            progress(what, done, len(own))
            work(number)
        progress(what, len(own), len(own))
        self.processes.wait_for_everyone()

    def _drawn(self, chunk: int) -> Path:
        return scenes_file(self.folder, chunk)

    def measured(self, chunk: int) -> Path:
        """The file of a chunk's measures."""
        return self.folder / "chunks" / f"measures-{chunk:05d}.npz"

    def referenced(self, chunk: int) -> Path:
        """The same of its real pictures."""
        return self._reference / f"measures-{chunk:05d}.npz"

    def crops(self, measures: Path) -> Path:
        """The file of small crops that goes with measures."""
        return measures.with_name(measures.name.replace("measures", "crops")).with_suffix(".npy")

    def _draw(self, chunk: int) -> None:
        """All pictures of a chunk, or its layouts alone; the file with the scenes as drawn is the last to appear."""
        scenes = [given_part(scene, self.protocol.given) for scene in self.layouts.scenes(chunk)]
        repeats = self.protocol.repeats
        asked = [(chunk * CHUNK + i, repeat) for i in range(len(scenes)) for repeat in range(repeats)]
        drawn: list[Scene] = []
        for start in range(0, len(asked), BATCH):
            part = asked[start : start + BATCH]
            seeds = [layout + repeat * SEED_STEP for layout, repeat in part]
            wanted = [scenes[layout - chunk * CHUNK] for layout, _ in part]
            if self.draw is None:
                assert self.place is not None
                drawn.extend(self.place(wanted, seeds))
                continue
            images, shown = self.draw(wanted, seeds)
            for (layout, repeat), image in zip(part, images, strict=True):
                if not bool(image.isfinite().all()):
                    raise UserError(f"layout {layout}, repeat {repeat}: the model drew numbers that are not finite")
            stretched = self.protocol.file_form == "stretched-jpeg"
            pixels = to_bytes(images, self.protocol.rounding, stretched)
            for (layout, repeat), one in zip(part, pixels, strict=True):
                self._save_picture(one, layout, repeat)
            drawn.extend(shown)
        write_atomically(self._drawn(chunk), scenes_to_json(drawn).encode())

    def _save_picture(self, pixels: np.ndarray, layout: int, repeat: int) -> None:
        stream = io.BytesIO()
        if self.protocol.file_form == "png":
            Image.fromarray(pixels).save(stream, "PNG")
        else:
            Image.fromarray(pixels).save(stream, "JPEG", quality=75)
        suffix = "png" if self.protocol.file_form == "png" else "jpg"
        write_atomically(self.picture_folder / f"sample_{layout}_{repeat}.{suffix}", stream.getvalue())

    def pictures(self, chunk: int) -> list[Image.Image]:
        """The saved pictures of a chunk, layout by layout. Raises ``UserError`` for missing or damaged ones."""
        return [
            self._open(layout, repeat)
            for layout in range(chunk * CHUNK, min((chunk + 1) * CHUNK, self.layouts.count))
            for repeat in range(self.protocol.repeats)
        ]

    def _open(self, layout: int, repeat: int) -> Image.Image:
        return read_picture(self._file(layout, repeat), self.size)

    def _file(self, layout: int, repeat: int) -> Path:
        return picture_file(self.picture_folder, layout, repeat, self.protocol.repeats)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures, by the first one."""
        return read_picture(self._file(0, 0)).size

    def scenes(self, chunk: int) -> list[Scene]:
        """The scenes that the pictures of a chunk show, in their order; the true ones for pictures made elsewhere."""
        if not self._made_elsewhere:
            return parse_scenes(self._drawn(chunk).read_text(encoding="utf-8"), str(self._drawn(chunk)))
        return [scene for scene in self.layouts.scenes(chunk) for _ in range(self.protocol.repeats)]

    def _measure(self, chunk: int) -> None:
        pictures, scenes = self.pictures(chunk) if self.pictured else [], self.scenes(chunk)
        arrays = self._features(pictures, scenes, self.protocol.generated_corners, self.measured(chunk))
        true = [scene for scene in self.layouts.scenes(chunk) for _ in range(self.protocol.repeats)]
        repeats = self.protocol.repeats
        if "diversity" in self.metrics and repeats > 1:
            assert self.tools.lpips is not None
            device = next(self.tools.lpips.buffers()).device
            first, second = (
                pixels_to_tensor(np.stack([np.asarray(one) for one in pictures[start::repeats]])).to(device)
                for start in (0, 1)
            )
            with torch.inference_mode():
                arrays["diversity"] = self.tools.lpips(first, second).cpu().numpy()
        figures: Figures = {}
        if "layout" in self.metrics:
            vocabulary = self.layouts.vocabulary
            figures |= layout_figures_of_scenes(without_looks(scenes), without_looks(true), vocabulary)
        if "agreement" in self.metrics:
            assert self.tools.judge is not None
            figures |= object_agreement(pictures, scenes, self.tools.judge)
        for name, (sums, counts) in figures.items():
            # Repeats of one layout are not independent: they count together.
            arrays[f"sum {name}"] = sums.reshape(-1, repeats).sum(axis=1)
            arrays[f"count {name}"] = counts.reshape(-1, repeats).sum(axis=1)
        _save_arrays(self.measured(chunk), arrays)

    def _measure_real(self, chunk: int) -> None:
        filters = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos")}
        chosen = filters[self.protocol.reference_filter]
        pictures = [
            one if one.size == self.size else one.resize(self.size, chosen) for one in self.layouts.pictures(chunk)
        ]
        path = self.referenced(chunk)
        arrays = self._features(pictures, self.layouts.scenes(chunk), self.protocol.real_corners, path)
        _save_arrays(path, arrays)

    def _features(
        self, pictures: Sequence[Image.Image], scenes: Sequence[Scene], corners: Rounding, path: Path
    ) -> dict[str, np.ndarray]:
        """Features of pictures and of object crops, as far as the metrics need them."""
        arrays: dict[str, np.ndarray] = {}
        encoder = self.tools.encoder
        if self.metrics & {"quality", "score"}:
            assert encoder is not None
            arrays |= _encoded(encoder, (np.asarray(one) for one in pictures), "")
        things = [
            (number, thing.box, thing.category)
            for number, scene in enumerate(scenes)
            for thing in scene.objects
            if thing.box is not None
        ]
        if "objects" in self.metrics:
            assert encoder is not None
            side = self.protocol.crop_size
            arrays |= _encoded(encoder, (object_crop(pictures[n], box, side, corners) for n, box, _ in things), "crop ")
            arrays["crop picture"] = np.array([number for number, _, _ in things], dtype=np.int64)
        if "classification" in self.metrics:
            index = self.layouts.vocabulary.category_index
            arrays["crop labels"] = np.array([index[category] for _, _, category in things], dtype=np.int64)
            small = [object_crop(pictures[number], box, SIDE, corners) for number, box, _ in things]
            stacked = np.stack(small) if small else np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)
            write_atomically(self.crops(path), lambda stream: np.save(stream, stacked))
        return arrays

    @property
    def _needs_reference(self) -> bool:
        return bool(self.metrics & COMPARING_METRICS)

    @cached_property
    def _reference(self) -> Path:
        """Where measures of the real pictures are kept for other evaluations of the same kind."""
        settings = self.protocol.settings()
        kept = ("splits", "layouts", "reference_filter", "crop_size", "real_corners", "encoder")
        identity = {
            "data": self.layouts.identity(),
            "size": self.size,
            "encoder": self.tools.encoder.digest if self.tools.encoder else None,
            "metrics": sorted(self.metrics & COMPARING_METRICS),
            **{name: settings[name] for name in kept},
        }
        return self.cache / hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]


def scenes_file(folder: Path, chunk: int) -> Path:
    """The scenes of a chunk as an evaluation drew or placed them, every repeat."""
    return folder / "chunks" / f"scenes-{chunk:05d}.json"


def picture_file(folder: Path, layout: int, repeat: int, repeats: int) -> Path:
    """The picture of a layout. Raises ``UserError`` if there is none."""
    name = f"sample_{layout}_{repeat}"
    found = next((path for path in (folder / f"{name}.png", folder / f"{name}.jpg") if path.exists()), None)
    if found is None:
        raise UserError(f"{folder}: there is no {name}.png; every layout needs {repeats} picture(s)")
    return found


def _left_out(layouts: Layouts, subject: Subject) -> dict[str, str]:
    """Metrics of the protocol that would mean nothing here, and why."""
    protocol, reasons = layouts.protocol, dict(layouts.left_out)
    if protocol.given != "graph":
        reasons |= dict.fromkeys(LAYOUT_METRICS, f"objects are where the {protocol.given} that are given have them")
    if subject.pictures is not None:
        reasons |= dict.fromkeys(LAYOUT_METRICS, "pictures made elsewhere do not say where their objects are")
        reasons["probes"] = "of pictures made elsewhere no others can be asked for"
    return {name: reasons[name] for name in protocol.metrics if name in reasons}


def _is_whole(path: Path) -> bool:
    return zipfile.is_zipfile(path) if path.suffix == ".npz" else path.exists()


def given_part(scene: Scene, what: str) -> Scene:
    """A true scene without what the model is not told."""
    if what == "graph":
        return without_layout(scene)
    kept = what == "masks"
    return replace(scene, objects=tuple(replace(t, mask=t.mask if kept else None) for t in scene.objects))


def without_layout(scene: Scene) -> Scene:
    """The graph alone."""
    return replace(scene, objects=tuple(replace(thing, box=None, mask=None) for thing in scene.objects))


def without_looks(scenes: Sequence[Scene]) -> list[Scene]:
    """Categories and boxes: models may add attributes that the data's vocabulary lacks."""
    return [replace(s, objects=tuple(replace(thing, attributes=()) for thing in s.objects)) for s in scenes]


def _encoded(encoder: Encoder, pictures: Iterator[np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Features and probabilities of pictures (H, W, 3), a batch at a time."""
    features, probabilities = [], []
    while batch := list(islice(pictures, BATCH)):
        rows, chances = encoder(np.stack(batch))
        features.append(rows)
        if chances is not None:
            probabilities.append(chances)
    arrays = {f"{prefix}features": np.concatenate(features)} if features else {}
    if probabilities and not prefix:
        arrays["probabilities"] = np.concatenate(probabilities)
    return arrays


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_atomically(path, lambda stream: np.savez(stream, **arrays))  # type: ignore[arg-type]  # names are arrays'
