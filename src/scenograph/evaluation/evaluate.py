"""An evaluation from the data to the report, as one call: what is measured, with what, and what comes of it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from scenograph.data.crops import PackCrops
from scenograph.data.processes import WHOLE, Part, run_in_processes
from scenograph.devices import Precision, pick_device
from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.named import Named
from scenograph.evaluation.protocols import Protocol
from scenograph.evaluation.report import evaluation_curves, make_report, training_curves, write_report
from scenograph.evaluation.session import Evaluation, Progress, applicable_metrics
from scenograph.evaluation.sheets import examples
from scenograph.evaluation.subject import Subject, check_scenes, layout_subject, pictures_subject, pipeline_subject
from scenograph.evaluation.tools import Tools
from scenograph.files import cache_folder, reserved
from scenograph.models.base import LayoutModel
from scenograph.models.registry import AutoModel
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.renderers.collage import CropCollage
from scenograph.pretrained.networks import Download

TRAINING = "train"
"""The split that crops come from, for models that draw from crops: none of a measured picture's own."""


@dataclass(frozen=True)
class Evaluated:
    """What came of an evaluation."""

    report: dict[str, Any]
    figures: list[Figure]
    paths: list[Path]
    """Of the files for a reader."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{figure.name} {figure.value:.4g}" for figure in self.figures[:4])
        more = ", ..." if len(self.figures) > 4 else ""
        return f"<Evaluated by {self.report['protocol']['name']}: {shown}{more}>"

    def _repr_html_(self) -> str:
        """The page of the report, as notebooks show it, in a frame because it brings its own style."""
        page = next(path for path in self.paths if path.suffix == ".html").read_text(encoding="utf-8")
        return f'<iframe srcdoc="{html.escape(page)}" style="width: 100%; height: 40rem; border: 0"></iframe>'


@dataclass(frozen=True)
class Plan:
    """What an evaluation would do."""

    protocol: Protocol
    models: list[str]
    layouts: int
    metrics: list[str]
    left_out: dict[str, str]
    """Metrics that do not apply, with the reason."""
    downloads: list[Download]
    """Networks that are not on this machine."""


def evaluate(
    pack: str | Path,
    subject: Named | Pipeline | LayoutModel | str | Path,
    protocol: Protocol | str | None = None,
    out: str | Path = "evaluation",
    *,
    changes: Mapping[str, object] | None = None,
    tools: Tools | None = None,
    names: Mapping[str, str | None] | None = None,
    precision: Precision = "no",
    steps: int | None = None,
    training_run: Path | None = None,
    progress: Progress = lambda what, done, of: None,
    part: Part = WHOLE,
    cluster: str = "",
    device: str = "",
) -> Evaluated | None:
    """Measure models or a folder of pictures, as ``scenograph evaluate`` does.

    Args:
        pack: The data whose scenes are asked for.
        subject: What is measured: models by name, a pipeline, a layout model for the metrics of layouts alone, or the
            path of a folder of pictures named ``sample_<layout>_<repeat>.png``.
        protocol: How to measure, or the name of a protocol; the data's own if absent.
        out: The evaluation's folder; the same call continues a stopped one.
        changes: Settings of a protocol that is given by name or is absent.
        tools: The networks to measure with, and the device that everything runs on; the shipped and published ones on
            the CPU if absent.
        names: Of the models, for the report, by ``layout`` and ``image``, if the subject does not name them.
        precision: Of models that are loaded here.
        steps: Sampling steps of the image model.
        training_run: The folder of the training run that made one of the models, for the curves in the report.
        progress: Is called with what is done, how much of it, and of how much; on the main process only.
        part: Which layouts to render and measure. Of several parts, the last step, which merges, makes the report.
        cluster: The address of a Dask scheduler whose workers do it. They know models and pictures by name only.
        device: Of each worker; that of ``tools`` if absent.

    Returns:
        The report, its figures, and the files; None on processes other than the main one, and of a mere part.

    Raises:
        UserError: For data, models and networks that the protocol cannot be measured with, and if results of parts to
            merge are missing.
    """
    if (Path(out) / "pack.json").exists():
        raise UserError(f"{out} is a pack; choose another --out")
    tools = tools or Tools()
    # Who shares the work shares the evaluation's folder, but perhaps no other.
    cache = Path(out) / "references" if cluster or part != WHOLE else cache_folder("references")
    asked = Asked(str(out), cache, pack, subject, protocol, changes or {}, tools, names or {}, precision, steps)
    unopened = replace(asked, tools=replace(tools))  # without the networks that are loaded now
    evaluation, request = asked.open()
    curves = _curves(training_run, evaluation.subject)
    if not evaluation.processes.is_main_process:
        evaluation.run(request, part=part)
        return None
    with reserved(Path(out), part.lock):
        if cluster:
            _on_cluster(evaluation, request, unopened, cluster, device, progress)
            part = Part(merges=True)
        evaluation.run(request, progress, part)
        if not part.finishes:
            return None
        figures = evaluation.figures(progress)
    layouts, measured = evaluation.layouts, evaluation.subject
    report = make_report(layouts.protocol, layouts.identity(), measured.models, figures, _notes(evaluation))
    history = {} if training_run is None else evaluation_curves(training_run, report)
    paths = write_report(Path(out), report, examples(evaluation), history | curves)
    paths += [path for metric in evaluation.metrics.values() for path in metric.write_files(evaluation)]
    return Evaluated(report, figures, paths)


@dataclass(frozen=True)
class Asked:
    """What :func:`evaluate` was asked for, as any process can begin it. The folder identifies it."""

    out: str
    cache: Path = field(compare=False)
    pack: str | Path = field(compare=False)
    subject: Named | Pipeline | LayoutModel | str | Path = field(compare=False)
    protocol: Protocol | str | None = field(compare=False)
    changes: Mapping[str, object] = field(compare=False)
    tools: Tools = field(compare=False)
    names: Mapping[str, str | None] = field(compare=False)
    precision: Precision = field(compare=False)
    steps: int | None = field(compare=False)

    def open(self) -> tuple[Evaluation, dict[str, Any]]:
        """The evaluation, and the request by which its folder knows it."""
        layouts, measured = _prepare(
            self.pack, self.subject, self.protocol, self.changes, self.tools, self.names, self.precision, self.steps
        )
        evaluation = Evaluation(Path(self.out), layouts, measured, self.tools, self.cache)
        request = {
            "protocol": layouts.protocol.recorded(),
            "data": layouts.identity(),
            "models": measured.models,
            "steps": self.steps,
            "tools": evaluation.digests,
            **({"versions": evaluation.versions} if evaluation.versions else {}),
        }
        return evaluation, request


def _on_cluster(
    evaluation: Evaluation, request: dict[str, Any], asked: Asked, cluster: str, device: str, progress: Progress
) -> None:
    """Have the workers of a cluster render and measure every chunk, as far as that is not done."""
    if not isinstance(asked.subject, Named | str | Path):
        raise UserError("the workers of a cluster load models themselves: give their names, as a Named")
    evaluation.claim(request)
    tasks = [(asked, device or str(asked.tools.device), chunk) for chunk in range(evaluation.layouts.chunks)]
    for done, _ in enumerate(run_in_processes(_finish_chunk, tasks, cluster), start=1):
        progress("rendering and measuring", done, len(tasks))


def _finish_chunk(asked: Asked, device: str, chunk: int) -> None:
    """In a worker: render and measure a chunk."""
    _opened(asked, device).finish(chunk)


@lru_cache(maxsize=1)
def _opened(asked: Asked, device: str) -> Evaluation:
    """Once per worker. Raises ``UserError`` if models or networks are others here by the same names."""
    evaluation, request = replace(asked, tools=replace(asked.tools, device=pick_device(device))).open()
    evaluation.claim(request)
    return evaluation


def plan_evaluation(
    pack: str | Path,
    subject: Named | Pipeline | LayoutModel | str | Path,
    protocol: Protocol | str | None = None,
    *,
    changes: Mapping[str, object] | None = None,
    tools: Tools | None = None,
    precision: Precision = "no",
    training_run: Path | None = None,
) -> Plan:
    """What :func:`evaluate` would do, with everything checked that needs no download.

    Args:
        pack: As for :func:`evaluate`, and so are the others.
        subject: See there.
        protocol: See there.
        changes: See there.
        tools: See there.
        precision: See there.
        training_run: See there.

    Returns:
        The protocol, models, number of layouts, metrics, and what would be downloaded.

    Raises:
        UserError: As :func:`evaluate`.
    """
    tools = tools or Tools()
    layouts, measured = _prepare(pack, subject, protocol, changes or {}, tools, {}, precision, None)
    _curves(training_run, measured)
    kinds, left_out = applicable_metrics(layouts, measured, tools)
    downloads: dict[Download, None] = {}
    for kind in kinds.values():
        missing = kind.downloads(layouts, tools)
        downloads |= dict.fromkeys(missing)
        if not missing:
            kind(layouts, tools)  # loads and checks its files
    models = [f"{role} {row['name']}" for role, row in measured.models.items()]
    return Plan(layouts.protocol, models, layouts.count, list(kinds), left_out, list(downloads))


def _prepare(
    pack: str | Path,
    subject: Named | Pipeline | LayoutModel | str | Path,
    protocol: Protocol | str | None,
    changes: Mapping[str, object],
    tools: Tools,
    names: Mapping[str, str | None],
    precision: Precision,
    steps: int | None,
) -> tuple[Layouts, Subject]:
    """The scenes that are asked for, and what is measured, which is known to know their names."""
    named = subject if isinstance(subject, Named) else Named()
    if not isinstance(protocol, Protocol):
        protocol = named.protocol(Path(pack), protocol, changes)
    elif changes:
        raise UserError("give the name of a protocol and changes, or a protocol that has them")
    layouts = Layouts(Path(pack), protocol)
    if isinstance(subject, Named):
        subject, names = subject.load(Path(pack), protocol, tools.device, precision)
    if isinstance(subject, str | Path):
        return layouts, pictures_subject(Path(subject))
    if isinstance(subject, Pipeline):
        check_scenes(layouts, subject.renderer, subject.layout)
        return layouts, pipeline_subject(equipped_for(subject, Path(pack)), protocol, names, steps)
    if isinstance(subject, LayoutModel):
        check_scenes(layouts, None, subject)
        return layouts, layout_subject(subject, protocol, names.get("layout") or subject.name, precision)
    raise UserError(f"cannot measure a {type(subject).__name__}: give a Pipeline, a layout model or a folder")


def equipped_for(pipe: Pipeline, pack: Path) -> Pipeline:
    """The pipeline as it is measured, so that a crop that is lacking ends no evaluation.

    A collage leaves out the things that its source has no crop of. A model that needs crops, without a source of them,
    takes those of the pack's training split.
    """
    equipped = copy(pipe)
    if isinstance(pipe.renderer, CropCollage):
        equipped.renderer = CropCollage(pipe.renderer.source, partial=True)
    elif pipe.crops is None and pipe.renderer.needs_crops and (side := pipe.renderer.crop_side):
        equipped.crops = PackCrops(pack, TRAINING, side)
    return equipped


def _curves(run: Path | None, subject: Subject) -> dict[str, list[tuple[float, float]]]:
    """The curves of a training run, if one is named. Raises ``UserError`` if it made none of the models."""
    if run is None:
        return {}
    curves, made = training_curves(run), run / "model"
    if subject.pictures is None:
        known = {model["digest"] for model in subject.models.values()}
        if AutoModel.from_pretrained(made).digest not in known:
            raise UserError(
                f"--run {run}: made none of the models that are measured; measure {made}, or leave --run out"
            )
    return curves


def unmeasured(left_out: Mapping[str, str]) -> list[str]:
    """A line per reason why metrics do not apply."""
    reasons: dict[str, list[str]] = {}
    for name, why in left_out.items():
        reasons.setdefault(why, []).append(name)
    return [f"{', '.join(names)} not measured: {why}" for why, names in reasons.items()]


def _notes(evaluation: Evaluation) -> list[str]:
    count, expected = evaluation.layouts.count, evaluation.protocol.expected
    notes = unmeasured(evaluation.left_out)
    notes += dict.fromkeys(note for metric in evaluation.metrics.values() for note in metric.notes())
    if expected is not None and count != expected:
        notes.append(f"{count} layouts where the published evaluation has {expected}: not comparable with it")
    return notes
