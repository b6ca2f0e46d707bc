"""An evaluation from the data to the report, as one call: what is measured, with what, and what comes of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from scenograph.data.crops import PackCrops
from scenograph.devices import Precision
from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.protocols import Protocol
from scenograph.evaluation.report import Sheet, evaluation_curves, make_report, training_curves, write_report
from scenograph.evaluation.session import Evaluation, Progress, picture_file, scenes_file
from scenograph.evaluation.subject import Subject, check_scenes, layout_subject, pictures_subject, pipeline_subject
from scenograph.evaluation.tools import Tools
from scenograph.files import reserved
from scenograph.models.base import LayoutModel
from scenograph.models.registry import AutoModel
from scenograph.pipelines.pipeline import Pipeline
from scenograph.scenes.drawing import contact_sheet, draw_layout
from scenograph.scenes.scene import Scene, load_scenes

PAIRS = 24
"""Real and generated pictures, or layouts, that the report shows side by side."""
COLUMNS = 12
"""Scenes of a sheet of several evaluations."""
TRAINING = "train"
"""The split that crops come from, for models that draw from crops: none of a measured picture's own."""
DRAWN = (240, 240)
"""Sides of a layout there, in pixels."""


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
    tools: Tools | None = None,
    names: Mapping[str, str | None] | None = None,
    precision: Precision = "no",
    steps: int | None = None,
    training_run: Path | None = None,
    progress: Progress = lambda what, done, of: None,
) -> Evaluated | None:
    """Measure a pipeline, a layout model or a folder of pictures, as ``scenograph evaluate`` does.

    Args:
        pack: The data whose scenes are asked for.
        subject: What is measured: a pipeline, a layout model for the metrics of layouts alone, or the path of a folder
            of pictures named ``sample_<layout>_<repeat>.png``.
        protocol: How to measure: :func:`scenograph.evaluation.protocols.find_protocol` has them by name.
        out: The evaluation's folder; the same call continues a stopped one.
        tools: The networks to measure with, and the device they run on; the shipped and published ones on the CPU if
            absent.
        names: Of the models, for the report, by ``layout`` and ``image``.
        precision: A layout model's, where it is measured alone.
        steps: Sampling steps of the image model.
        training_run: The folder of the training run that made one of the models, for the curves in the report.
        progress: Is called with what is done, how much of it, and of how much; on the main process only.

    Returns:
        The report, its figures, and the files; None on processes other than the main one.

    Raises:
        UserError: For data, models and networks that the protocol cannot be measured with.
    """
    if (Path(out) / "pack.json").exists():
        raise UserError(f"{out} is a pack; choose another --out")
    layouts, names = Layouts(Path(pack), protocol), names or {}
    curves = {} if training_run is None else training_curves(training_run)
    if isinstance(subject, str | Path):
        measured = pictures_subject(Path(subject))
    elif isinstance(subject, Pipeline):
        check_scenes(layouts, subject.renderer, subject.layout)
        if subject.crops is None and (side := subject.renderer.crop_side):
            subject = copy(subject)
            subject.crops = PackCrops(Path(pack), TRAINING, side)
        measured = pipeline_subject(subject, protocol, names, steps)
    elif not isinstance(subject, LayoutModel):
        raise UserError(f"cannot measure a {type(subject).__name__}: give a Pipeline, a layout model or a folder")
    else:
        check_scenes(layouts, None, subject)
        measured = layout_subject(subject, protocol, names.get("layout") or subject.name, precision)
    if training_run is not None and measured.pictures is None:
        _check_run(training_run, measured)
    evaluation = Evaluation(Path(out), layouts, measured, tools or Tools(), _cache())
    request = {
        "protocol": protocol.recorded(),
        "data": layouts.identity(),
        "models": measured.models,
        "steps": steps,
        "tools": evaluation.digests,
    }
    if not evaluation.processes.is_main_process:
        evaluation.run(request)
        return None
    with reserved(Path(out)):
        evaluation.run(request, progress)
        figures = evaluation.figures(progress)
    report = make_report(protocol, layouts.identity(), measured.models, figures, _notes(evaluation))
    history = {} if training_run is None else evaluation_curves(training_run, report)
    paths = write_report(Path(out), report, _sheet(evaluation), history | curves)
    paths += [path for metric in evaluation.metrics.values() for path in metric.write_files(evaluation)]
    return Evaluated(report, figures, paths)


def _check_run(run: Path, subject: Subject) -> None:
    """Raise ``UserError`` if a training run made none of the models, which its curves would then be shown with."""
    made = run / "model"
    if AutoModel.from_pretrained(made).digest not in {model["digest"] for model in subject.models.values()}:
        raise UserError(f"--run {run}: made none of the models that are measured; measure {made}, or leave --run out")


def _cache() -> Path:
    """Where measures of real pictures are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scenograph" / "references"


def _notes(evaluation: Evaluation) -> list[str]:
    count, expected = evaluation.layouts.count, evaluation.protocol.expected
    notes = [f"{name} not measured: {why}" for name, why in evaluation.left_out.items()]
    notes += dict.fromkeys(note for metric in evaluation.metrics.values() for note in metric.notes())
    if expected is not None and count != expected:
        notes.append(f"{count} layouts where the published evaluation has {expected}: not comparable with it")
    return notes


def _sheet(evaluation: Evaluation) -> Sheet:
    """The first real and generated pictures, or true and predicted layouts, side by side."""
    layouts, repeats = evaluation.layouts, evaluation.protocol.repeats
    if not evaluation.subject.pictured:
        return "Pairs of layouts: true, predicted.", _layout_pairs(layouts.scenes(0), evaluation.scenes(0)[::repeats])
    made = evaluation.pictures(0)[::repeats][:PAIRS]
    try:
        real = layouts.pictures(0)[:PAIRS]
    except UserError:
        return "Generated; the data has no pictures.", contact_sheet(made, columns=8)
    return "Pairs: real, generated.", _picture_pairs(real, made)


def sheet_of_two(folders: Sequence[Path], reports: Sequence[dict[str, Any]]) -> Image.Image:
    """What two evaluations rendered of the same scenes, or how they placed them if one has no pictures, side by side.

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


def sheet_of_many(layouts: Layouts, folders: Sequence[Path]) -> Image.Image:
    """The first real pictures in a row, and below them, row by row, what evaluations of the same scenes rendered.

    Raises ``UserError`` if pictures are missing.
    """
    count, repeats = min(layouts.count, COLUMNS), layouts.protocol.repeats
    rows = [layouts.pictures(0)[:count]]
    for folder in folders:
        rows.append([read_picture(picture_file(folder / "pictures", number, 0, repeats)) for number in range(count)])
    size = max(one.size for row in rows[1:] for one in row)
    return contact_sheet([one.resize(size) for row in rows for one in row], columns=count)


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
