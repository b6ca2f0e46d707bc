"""An evaluation from the data to the report, as one call: what is measured, with what, and what comes of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from scenograph.devices import Precision
from scenograph.errors import UserError, suggest
from scenograph.evaluation.detection import Detector
from scenograph.evaluation.encoders import ClassifierEncoder, DinoEncoder, Encoder, InceptionEncoder
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.protocols import Protocol
from scenograph.evaluation.report import Sheet, evaluation_curves, make_report, write_report
from scenograph.evaluation.results_csv import results_text, scene_result
from scenograph.evaluation.session import (
    Evaluation,
    Layouts,
    Progress,
    Subject,
    Tools,
    given_part,
    picture_file,
    scenes_file,
)
from scenograph.evaluation.summary import Figure, Summary
from scenograph.files import make_folder, reserved, write_atomically
from scenograph.models.base import LayoutModel
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel
from scenograph.pipelines.checks import check_contradictions, check_names
from scenograph.pipelines.pipeline import DEFAULT_CLASSIFIER, DEFAULT_IMAGE, DEFAULT_LAYOUT, Pipeline
from scenograph.pipelines.placing import place_objects
from scenograph.pipelines.renderers.base import ConditionedScenes, Renderer
from scenograph.pretrained.networks import WEIGHTS, load_perceptual_distance
from scenograph.scenes.drawing import contact_sheet, draw_layout
from scenograph.scenes.scene import Scene, load_scenes

PAIRS = 24
"""Real and generated pictures, or layouts, that the report shows side by side."""
DRAWN = (240, 240)
"""Sides of a layout there, in pixels."""


def pipeline_subject(
    pipe: Pipeline, protocol: Protocol, names: dict[str, str | None], steps: int | None = None
) -> Subject:
    """A pipeline's pictures, and its layouts; ``names`` of its models, the shipped ones without."""
    encode: Callable[..., ConditionedScenes] = partial(pipe.encode_pairs, **protocol.generation())

    def draw(scenes: Sequence[Any], seeds: Sequence[int]) -> tuple[torch.Tensor, list[Any]]:
        encoding = encode(scenes, seeds)
        return pipe.pixels(encoding, steps), encoding.scenes

    def place(scenes: Sequence[Any], seeds: Sequence[int]) -> list[Any]:
        return encode(scenes, seeds).scenes

    models = {}
    if pipe.layout is not None and protocol.given == "graph":
        models["layout"] = _identity(pipe.layout, names.get("layout") or DEFAULT_LAYOUT)
    models["image"] = _identity(pipe.renderer, names.get("image") or DEFAULT_IMAGE, pipe.precision)
    return Subject(models, draw, place)


def layout_subject(model: LayoutModel, protocol: Protocol, name: str, precision: Precision) -> Subject:
    """A layout model's layouts alone."""
    place = partial(place_objects, model, refine=protocol.refine, candidates=protocol.candidates, precision=precision)
    return Subject({"layout": _identity(model, name, precision)}, place=place)


def pictures_subject(source: Path) -> Subject:
    """The pictures of another program; their names, sizes and times tell them."""
    if not source.is_dir():
        raise UserError(f"--pictures {source}: not a folder")
    folder = source.resolve()
    states = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.glob("sample_*"))
    digest = hashlib.sha256(json.dumps(states).encode()).hexdigest()
    return Subject({"pictures": {"name": str(folder), "digest": digest}}, pictures=folder)


def _identity(model: LayoutModel | Renderer, name: str, precision: Precision = "no") -> dict[str, str]:
    halved = {} if precision == "no" else {"precision": precision}
    return {"name": name, "digest": model.digest, **halved}


def judge_of(
    classifier: str | None, device: torch.device, categories: Sequence[str] = (), remedy: str = ""
) -> ObjectClassifier:
    """The classifier that judges objects: a model by name or folder, or the shipped one.

    Raises ``UserError`` for any other model, and for one that does not know all ``categories``.
    """
    judge = AutoModel.from_pretrained(classifier or DEFAULT_CLASSIFIER)
    if not isinstance(judge, ObjectClassifier):
        raise UserError(f"--classifier {classifier}: is a {judge.name}, not an object-classifier")
    unknown = [name for name in categories if name not in judge.vocabulary.category_index]
    if unknown:
        raise UserError(
            f"the classifier does not know {unknown[0]!r}: give one trained on this data with --classifier{remedy}"
        )
    return judge.to(device)


def encoder_of(
    name: str, device: torch.device, files: dict[str, Path], judge: Callable[[], ObjectClassifier]
) -> Encoder:
    """The network by whose features pictures are compared; ``judge`` loads the classifier where that is asked for.

    Raises ``UserError`` for any name but inception, dinov2 and classifier.
    """
    if name == "inception":
        return InceptionEncoder(files.get("inception"), device)
    if name == "dinov2":
        return DinoEncoder(files.get("dinov2"), device)
    if name != "classifier":
        raise UserError(f"--encoder {name!r}: unknown {suggest(name, ('inception', 'dinov2', 'classifier'))}")
    return ClassifierEncoder(judge())


def tools_of(
    layouts: Layouts,
    device: torch.device,
    classifier: str | None,
    files: dict[str, Path],
    detector: str | None,
    detections: Path | None,
) -> Tools:
    """The networks that the metrics need, before anything is drawn."""
    protocol = layouts.protocol
    wanted = set(protocol.metrics) - layouts.left_out.keys()
    tools = Tools(detections=detections, device=device)
    if "agreement" in wanted:
        remedy = ", or leave agreement out of --metrics"
        tools.judge = judge_of(classifier, device, layouts.vocabulary.categories, remedy)
    if "score" in wanted:
        if protocol.encoder != "inception":
            raise UserError("the score metric is Inception's: --encoder inception")
        if layouts.count * protocol.repeats < protocol.inception_splits:
            raise UserError(
                f"the score metric needs {protocol.inception_splits} pictures, one per split: take more --scenes or "
                "--repeats, or fewer splits with --set inception_splits=N"
            )
    if wanted & {"quality", "score", "objects"}:
        tools.encoder = encoder_of(protocol.encoder, device, files, lambda: tools.judge or judge_of(classifier, device))
    if "diversity" in wanted:
        if protocol.repeats < 2:
            raise UserError("the diversity metric needs two pictures per layout: --repeats 2")
        distance = load_perceptual_distance(protocol.lpips, files.get("backbone"), files.get("heads"))
        tools.lpips = distance.to(device)
    if "detection" in wanted and detections is None:
        if detector is None:
            raise UserError("the detection metric needs --detector MODEL, or --detections FILE")
        tools.detector = Detector(detector, device)
    return tools


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation."""

    report: dict[str, Any]
    figures: list[Figure]
    paths: list[Path]
    """Of the files for a reader."""


def evaluate(
    pack: str | Path,
    subject: Pipeline | LayoutModel | str | Path,
    protocol: Protocol,
    out: str | Path,
    *,
    device: torch.device | None = None,
    classifier: str | None = None,
    weights: Mapping[str, Path] | None = None,
    detector: str | None = None,
    detections: Path | None = None,
    names: Mapping[str, str | None] | None = None,
    precision: Precision = "no",
    steps: int | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Evaluated | None:
    """Measure a pipeline, a layout model or a folder of pictures, as ``scenograph evaluate`` does.

    Args:
        pack: The data whose scenes are asked for.
        subject: What is measured: a pipeline, a layout model for the metrics of layouts alone, or the path of a folder
            of pictures named ``sample_<layout>_<repeat>.png``.
        protocol: How to measure: :func:`scenograph.evaluation.protocols.find_protocol` has them by name.
        out: The evaluation's folder; the same call continues a stopped one.
        device: Where the measuring networks run; the CPU if absent.
        classifier: The object classifier's name or folder; the shipped one if absent.
        weights: Local files instead of downloads, by ``inception``, ``dinov2``, ``backbone`` and ``heads``.
        detector: For the detection metric: a folder or hub id.
        detections: Or another detector's results.
        names: Of the models, for the report, by ``layout`` and ``image``.
        precision: A layout model's, where it is measured alone.
        steps: Sampling steps of the image model.
        progress: Is called with what is done, how much of it, and of how much.

    Returns:
        The report, its figures, and the files; None on processes other than the main one.

    Raises:
        UserError: For data, models and networks that the protocol cannot be measured with.
    """
    layouts = Layouts(Path(pack), protocol)
    if isinstance(subject, str | Path):
        measured = pictures_subject(Path(subject))
    elif isinstance(subject, Pipeline):
        check_scenes(layouts, subject.renderer, subject.layout)
        measured = pipeline_subject(subject, protocol, dict(names or {}), steps)
    else:
        check_scenes(layouts, None, subject)
        name = (names or {}).get("layout") or subject.name
        measured = layout_subject(subject, protocol, name, precision)
    where = device or torch.device("cpu")
    tools = tools_of(layouts, where, classifier, dict(weights or {}), detector, detections)
    return measure(layouts, Path(out), measured, tools, steps, progress=lambda: nullcontext(progress))


def measure(
    layouts: Layouts,
    out: Path,
    subject: Subject,
    tools: Tools,
    steps: int | None = None,
    curves: dict[str, list[tuple[float, float]]] | None = None,
    training_run: Path | None = None,
    progress: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda what, done, of: None),
) -> Evaluated | None:
    """Evaluate in the folder ``out`` and write the report; None on processes but the main one.

    ``progress`` opens what shows how far it is, on the main process only.
    """
    protocol = layouts.protocol
    request = {
        "protocol": protocol.recorded(),
        "data": layouts.identity(),
        "models": subject.models,
        "steps": steps,
        "tools": tools.digests,
    }
    evaluation = Evaluation(out, layouts, subject, tools, _cache())
    main = evaluation.processes.is_main_process
    silent: Progress = lambda what, done, of: None  # noqa: E731
    with reserved(out) if main else nullcontext(), progress() if main else nullcontext(silent) as report_progress:
        evaluation.run(request, report_progress)
        if not main:
            return None
        figures = Summary(evaluation).figures(report_progress)
    report = make_report(protocol, layouts.identity(), subject.models, figures, _notes(evaluation))
    history = {} if training_run is None else evaluation_curves(training_run, report)
    paths = write_report(out, report, _sheet(evaluation), history | (curves or {}))
    if "layout" in evaluation.metrics:
        paths.append(_results(evaluation))
    return Evaluated(report, figures, paths)


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


def _cache() -> Path:
    """Where measures of real pictures are kept."""
    return make_folder(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scenograph" / "references")


def _notes(evaluation: Evaluation) -> list[str]:

    layouts, protocol, encoder = evaluation.layouts, evaluation.protocol, evaluation.tools.encoder
    notes = [f"{name} not measured: {why}" for name, why in evaluation.left_out.items()]
    if isinstance(encoder, InceptionEncoder) and not encoder.digest.startswith(WEIGHTS["inception"].sha256):
        notes.append(f"Inception's weights ({encoder.digest[:8]}) are not the published ones: no score of any paper")
    if protocol.expected is not None and layouts.count != protocol.expected:
        notes.append(
            f"{layouts.count} layouts where the published evaluation has {protocol.expected}: not comparable with it"
        )
    return notes


def _results(evaluation: Evaluation) -> Path:
    """True and predicted boxes of the first repeats, as Canonical Sg2Im's scripts read them."""
    results, repeats = [], evaluation.protocol.repeats
    for chunk in range(evaluation.layouts.chunks):
        true, ids = evaluation.layouts.scenes(chunk), evaluation.layouts.ids(chunk)
        drawn = evaluation.scenes(chunk)[::repeats]
        results += [scene_result(*row) for row in zip(ids, drawn, true, strict=True)]
    return write_atomically(evaluation.folder / "results.csv", results_text(results).encode())


def _sheet(evaluation: Evaluation) -> Sheet:
    """The first real and generated pictures, or true and predicted layouts, side by side."""
    layouts, repeats = evaluation.layouts, evaluation.protocol.repeats
    if not evaluation.pictured:
        return "Pairs of layouts: true, predicted.", _layout_pairs(layouts.scenes(0), evaluation.scenes(0)[::repeats])
    made = evaluation.pictures(0)[::repeats][:PAIRS]
    try:
        real = layouts.pictures(0)[:PAIRS]
    except UserError:
        return "Generated; the data has no pictures.", contact_sheet(made, columns=8)
    return "Pairs: real, generated.", _picture_pairs(real, made)


def sheet_of_two(folders: Sequence[Path], reports: Sequence[dict[str, Any]]) -> Image.Image:
    """What two evaluations drew of the same scenes, or how they placed them if one drew nothing, side by side.

    Raises ``UserError`` if they were asked for other scenes, or if files are missing.
    """
    if len({report["data"].get("files") for report in reports}) > 1:
        raise UserError("--sheet: the evaluations are of other scenes; measure both on one pack")
    sources = [_pictures_of(folder, report) for folder, report in zip(folders, reports, strict=True)]
    repeats = [report["protocol"]["repeats"] for report in reports]
    count = min(PAIRS, *(report["data"]["layouts"] for report in reports))
    if not all(source.is_dir() for source in sources):
        placed = (load_scenes(scenes_file(folder, 0))[::n] for folder, n in zip(folders, repeats, strict=True))
        return _layout_pairs(*(scenes[:count] for scenes in placed))
    return _picture_pairs(
        *(
            [read_picture(picture_file(source, number, 0, n)) for number in range(count)]
            for source, n in zip(sources, repeats, strict=True)
        )
    )


def _pictures_of(folder: Path, report: dict[str, Any]) -> Path:
    """Where the pictures of an evaluation are, if it has any."""
    elsewhere = report["models"].get("pictures")
    return folder / "pictures" if elsewhere is None else Path(elsewhere["name"])


def _picture_pairs(first: Sequence[Image.Image], second: Sequence[Image.Image]) -> Image.Image:
    """All at the size of the second ones."""
    pairs = [one for pair in zip(first, second, strict=True) for one in pair]
    return contact_sheet([one.resize(second[0].size) for one in pairs], columns=8)


def _layout_pairs(first: Sequence[Scene], second: Sequence[Scene]) -> Image.Image:

    pairs = [scene for pair in zip(first[: PAIRS // 2], second[: PAIRS // 2], strict=True) for scene in pair]
    return contact_sheet([draw_layout(scene, key=False).to_image().resize(DRAWN) for scene in pairs], columns=4)
