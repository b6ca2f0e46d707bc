"""``scenograph evaluate``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scenograph.cli.console import console, progress_bar
from scenograph.devices import Precision
from scenograph.errors import UserError, suggest, unreadable

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from scenograph.evaluation.encoders import Encoder
    from scenograph.evaluation.protocols import Protocol
    from scenograph.evaluation.session import Evaluation, Layouts, Subject, Tools
    from scenograph.evaluation.summary import Figure
    from scenograph.models.base import Model
    from scenograph.models.object_classifier import ObjectClassifier
    from scenograph.pipelines import Pipeline

app = typer.Typer()

PAIRS = 24
"""Real and generated pictures that the report shows side by side."""
WEIGHTS = ("inception", "dinov2", "backbone", "heads")


@app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    pack: Annotated[Path | None, typer.Option("--pack", help="Pack whose scenes are asked for.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", help="How to measure: see scenograph evaluate protocols. (default: by the data)"),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="As in generate.")] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            help="As in generate. Without an image model, --protocol wsgc or --metrics layout,robustness measure its "
            "layouts alone.",
        ),
    ] = None,
    image: Annotated[str | None, typer.Option("--image", help="As in generate.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", help="Measure pictures made elsewhere: a folder of sample_LAYOUT_REPEAT.png."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option("--metrics", help="Only these, for example quality,agreement. (default: all of it)")
    ] = None,
    scenes: Annotated[int | None, typer.Option("--scenes", min=1, help="Only the first so many layouts.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Another split than the protocol's.")] = None,
    given: Annotated[
        str | None, typer.Option("--given", help="What the model is told: graph, boxes, or masks with their boxes.")
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", min=1, help="Pictures per layout.")] = None,
    encoder: Annotated[str | None, typer.Option("--encoder", help="inception, dinov2 or classifier.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="Any other setting of the protocol. Repeatable."),
    ] = None,
    classifier: Annotated[
        str | None, typer.Option("--classifier", help="Judge of objects. (default: the shipped one)")
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights",
            metavar="NAME=FILE",
            help="A local file instead of a download: inception, dinov2, or LPIPS's backbone and heads. Repeatable.",
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option("--detector", help="Detector for the detection metric: folder or hub id.")
    ] = None,
    detections: Annotated[
        Path | None, typer.Option("--detections", help="Or your own detector's results, in COCO's form or Darknet's.")
    ] = None,
    training_run: Annotated[
        Path | None,
        typer.Option("--run", help="Training run that made the model: its curves go into the report."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="As in generate.")] = None,
    device: Annotated[str, typer.Option("--device", help="As in generate.")] = "auto",
    precision: Annotated[Precision, typer.Option("--precision", help="Of drawing, or of placing alone.")] = "no",
    out: Annotated[Path, typer.Option("--out", help="Folder; the same command goes on in it.")] = Path("evaluation"),
) -> None:
    """Measure models by named protocols: draw the scenes of a pack, measure the pictures, write a report.

    scenograph evaluate --pack packs/rendered-64
    """
    if context.invoked_subcommand is not None:
        return
    if pack is None:
        raise UserError("give the data to measure on: scenograph evaluate --pack PACK")
    from scenograph.data.pack import pack_splits, read_record
    from scenograph.devices import pick_device
    from scenograph.evaluation.protocols import default_protocol, find_protocol
    from scenograph.evaluation.report import training_curves
    from scenograph.evaluation.session import LAYOUT_METRICS, Layouts
    from scenograph.pipelines import Pipeline, load_layout_model

    if pictures is not None and (named := model or layout or image):
        raise UserError(f"give either pictures ({pictures}) or models that draw them ({named}), not both")
    changes = {
        "layouts": scenes,
        "repeats": repeats,
        "splits": None if split is None else (split,),
        "given": given,
        "encoder": encoder,
        "metrics": None if metrics is None else tuple(part.strip() for part in metrics.split(",")),
        **_settings(settings),
    }
    layout_alone = layout is not None and model is None and image is None and pictures is None
    chosen = find_protocol(protocol or default_protocol(str(read_record(pack)["source"]), layout_alone), changes)
    missing = [name for name in chosen.splits if name not in pack_splits(pack)]
    if missing:
        have = ", ".join(pack_splits(pack))
        raise UserError(f"{pack}: no split {missing[0]!r}, which protocol {chosen.name} measures; --split: {have}")
    where = pick_device(device)
    # A wrong name is said now, before downloads and hours of drawing.
    curves = training_curves(training_run) if training_run else {}
    layouts = Layouts(pack, chosen)
    if pictures is not None:
        subject = _pictures_subject(pictures)
    elif layout and layout_alone and chosen.given == "graph" and set(chosen.metrics) <= LAYOUT_METRICS:
        placer = load_layout_model(layout, where, precision)
        _check_names(layouts, None, placer)
        subject = _layout_subject(placer, layout, chosen.candidates, precision)
    else:
        pipe = Pipeline.from_pretrained(model, layout=layout, image=image, device=where, precision=precision)
        _check_names(layouts, pipe.image, pipe.layout)
        subject = pipeline_subject(pipe, chosen, {"layout": layout, "image": model or image}, steps)
    if training_run is not None and pictures is None:
        _check_run(training_run, subject)
    tools = _tools(layouts, where, classifier, _files(weights), detector, detections)
    measure(layouts, out, subject, tools, steps, curves, training_run)


def measure(
    layouts: Layouts,
    out: Path,
    subject: Subject,
    tools: Tools,
    steps: int | None = None,
    curves: dict[str, list[tuple[float, float]]] | None = None,
    training_run: Path | None = None,
) -> dict[str, Any] | None:
    """Evaluate in the folder ``out``, print the figures and write the report; None on processes but the main one."""
    from scenograph.evaluation.report import evaluation_curves, make_report, write_report
    from scenograph.evaluation.session import Evaluation
    from scenograph.evaluation.summary import Summary
    from scenograph.files import reserved

    protocol = layouts.protocol
    request = {
        "protocol": protocol.model_dump(mode="json"),
        "data": layouts.identity(),
        "models": subject.models,
        "steps": steps,
        "tools": tools.digests,
    }
    evaluation = Evaluation(out, layouts, subject, tools, _cache())
    main = evaluation.processes.is_main_process
    with reserved(out) if main else nullcontext(), progress_bar() as bar:
        bar.disable = bar.disable or not main
        task = bar.add_task("", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        evaluation.run(request, progress)
        if not main:
            return None
        figures = Summary(evaluation).figures(progress)
    report = make_report(protocol, layouts.identity(), subject.models, figures, _notes(evaluation))
    history = {} if training_run is None else evaluation_curves(training_run, report)
    paths = write_report(out, report, _pairs(evaluation), history | (curves or {}))
    if "layout" in evaluation.metrics:
        paths.append(_results(evaluation))
    _print(figures, report["notes"])
    for path in paths:
        console.print(f"wrote {path}")
    return report


@app.command("compare")
def compare_reports(
    first: Annotated[Path, typer.Argument(help="An evaluation's folder, or its report.json.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    force: Annotated[bool, typer.Option("--force", help="Compare even what was measured by unlike protocols.")] = False,
) -> None:
    """Two evaluations side by side, if their protocols, data and networks agree."""
    from scenograph.evaluation.report import compare, differences, read_report

    reports = read_report(first), read_report(second)
    reasons = differences(*reports)
    if reasons and not force:
        raise UserError(
            f"{first} and {second} were not measured alike: {'; '.join(reasons)}. Measure one again by the other's "
            "protocol, or add --force"
        )
    for reason in reasons:
        console.print(f"[yellow]unlike:[/yellow] {reason}")
    console.print(compare(*reports, (str(first), str(second))), markup=False, end="")


@app.command("protocols")
def list_protocols() -> None:
    """The named ways to measure, and what each fixes."""
    from scenograph.evaluation.protocols import PROTOCOLS

    for protocol in PROTOCOLS.values():
        console.print(f"[bold]{protocol.name}[/bold] {protocol.version} ({protocol.fingerprint}): {protocol.about}")
        settings = {key: value for key, value in protocol.settings().items() if value is not None}
        console.print("  " + ", ".join(f"{key} {value}" for key, value in settings.items()), markup=False)
        console.print(f"  metrics: {', '.join(protocol.metrics)}")


@app.command("folders")
def compare_folders(
    generated: Annotated[Path, typer.Argument(help="A folder of generated pictures, sub-folders included.")],
    real: Annotated[Path, typer.Argument(help="A folder of real ones.")],
    encoder: Annotated[str, typer.Option("--encoder", help="inception, dinov2 or classifier.")] = "inception",
    weights: Annotated[list[str] | None, typer.Option("--weights", metavar="NAME=FILE", help="As in evaluate.")] = None,
    classifier: Annotated[str | None, typer.Option("--classifier", help="As in evaluate.")] = None,
    splits: Annotated[int, typer.Option("--splits", min=1, help="Of the Inception Score.")] = 5,
    device: Annotated[str, typer.Option("--device", help="As in generate.")] = "auto",
) -> None:
    """FID, KID, Inception Score, precision and recall of two folders of pictures."""
    from scenograph.devices import pick_device
    from scenograph.evaluation.summary import folder_figures

    chosen = _encoder(
        encoder,
        pick_device(device),
        _files(weights),
        lambda: judge_of(classifier, pick_device(device)),
    )
    with progress_bar() as bar:
        task = bar.add_task("", total=None)
        figures = folder_figures(
            generated, real, chosen, splits, lambda w, d, t: bar.update(task, description=w, completed=d, total=t)
        )
    _print(figures, [])


@app.command("retrieval")
def evaluate_retrieval(
    queries: Annotated[Path, typer.Argument(help="Vectors (Q, D) as .npy.")],
    gallery: Annotated[Path, typer.Argument(help="Vectors (G, D) as .npy.")],
    query_labels: Annotated[
        Path | None, typer.Option("--query-labels", help="Labels (Q,) as .npy. (default: query i wants row i)")
    ] = None,
    gallery_labels: Annotated[Path | None, typer.Option("--gallery-labels", help="Labels (G,) as .npy.")] = None,
) -> None:
    """Mean average precision and top 1, 5, 10 of a search by distance between vectors."""
    import numpy as np

    from scenograph.evaluation.distributions import ratio_with_error
    from scenograph.evaluation.retrieval import retrieval_figures
    from scenograph.evaluation.summary import Figure

    if (query_labels is None) != (gallery_labels is None):
        raise UserError("give --query-labels and --gallery-labels together")
    arrays = [None if path is None else _array(path) for path in (queries, gallery, query_labels, gallery_labels)]
    assert arrays[0] is not None and arrays[1] is not None
    found = retrieval_figures(arrays[0], arrays[1], arrays[2], arrays[3])
    meanings = {"average_precision": "mAP"} | {f"top_{k}": f"of what was wanted, in the first {k}" for k in (1, 5, 10)}
    figures = []
    for name, values in found.items():
        usable = values[np.isfinite(values)]
        value, error = ratio_with_error(usable, np.ones(len(usable)))
        figures.append(Figure(name, value, error, len(usable), meanings[name], share=True))
    _print(figures, [])


def _settings(options: list[str] | None) -> dict[str, str]:
    for option in options or []:
        if "=" not in option:
            raise UserError(f"--set {option!r}: expected SETTING=VALUE, for example lpips=vgg")
    return dict(option.split("=", 1) for option in options or [])


def _files(options: list[str] | None) -> dict[str, Path]:
    files = {}
    for option in options or []:
        name, _, path = option.partition("=")
        if name not in WEIGHTS or not path:
            raise UserError(f"--weights {option!r}: expected NAME=FILE, NAME one of {', '.join(WEIGHTS)}")
        if not Path(path).exists():
            raise UserError(f"--weights {option!r}: there is no {path}")
        files[name] = Path(path)
    return files


def judge_of(
    classifier: str | None, device: torch.device, categories: Sequence[str] = (), remedy: str = ""
) -> ObjectClassifier:
    """The classifier that judges objects: a model by name or folder, or the shipped one.

    Raises ``UserError`` for any other model, and for one that does not know all ``categories``.
    """
    from scenograph.models.object_classifier import ObjectClassifier
    from scenograph.models.registry import AutoModel
    from scenograph.pipelines import DEFAULT_CLASSIFIER

    judge = AutoModel.from_pretrained(classifier or DEFAULT_CLASSIFIER)
    if not isinstance(judge, ObjectClassifier):
        raise UserError(f"--classifier {classifier}: is a {judge.name}, not an object-classifier")
    unknown = [name for name in categories if name not in judge.vocabulary.category_index]
    if unknown:
        raise UserError(
            f"the classifier does not know {unknown[0]!r}: give one trained on this data with --classifier{remedy}"
        )
    return judge.to(device)


def _encoder(name: str, device: torch.device, files: dict[str, Path], judge: Callable[[], ObjectClassifier]) -> Encoder:
    from scenograph.evaluation.encoders import ClassifierEncoder, DinoEncoder, InceptionEncoder

    if name == "inception":
        return InceptionEncoder(files.get("inception"), device)
    if name == "dinov2":
        return DinoEncoder(files.get("dinov2"), device)
    if name != "classifier":
        raise UserError(f"--encoder {name!r}: unknown {suggest(name, ('inception', 'dinov2', 'classifier'))}")
    return ClassifierEncoder(judge())


def _tools(
    layouts: Layouts,
    device: torch.device,
    classifier: str | None,
    files: dict[str, Path],
    detector: str | None,
    detections: Path | None,
) -> Tools:
    """The networks that the metrics need, before anything is drawn."""
    from scenograph.evaluation.detection import Detector
    from scenograph.evaluation.session import Tools
    from scenograph.models.published.features import load_perceptual_distance

    protocol = layouts.protocol
    wanted, tools = set(protocol.metrics), Tools(detections=detections, device=device)
    if "agreement" in wanted:
        remedy = ", or leave agreement out of --metrics"
        tools.judge = judge_of(classifier, device, layouts.vocabulary.categories, remedy)
    if wanted & {"quality", "objects"}:
        tools.encoder = _encoder(protocol.encoder, device, files, lambda: tools.judge or judge_of(classifier, device))
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


def _check_run(run: Path, subject: Subject) -> None:
    """Raise ``UserError`` if a training run made none of the models, which its curves would then be shown with."""
    from scenograph.models.registry import AutoModel

    made = run / "model"
    if AutoModel.from_pretrained(made).digest not in {model["digest"] for model in subject.models.values()}:
        raise UserError(f"--run {run}: made none of the models that are measured; measure {made}, or leave --run out")


def _check_names(layouts: Layouts, image: Model | None, layout: Model | None) -> None:
    """Raise ``UserError`` if a scene that is asked for has a name that a model does not know."""
    from scenograph.evaluation.session import given_part
    from scenograph.pipelines import check_names

    if not any(model.vocabulary.lacks(layouts.vocabulary) for model in (image, layout) if model is not None):
        return  # no need to read the scenes
    numbered = enumerate(scene for chunk in range(layouts.chunks) for scene in layouts.scenes(chunk))
    for number, scene in numbered:
        try:
            check_names([given_part(scene, layouts.protocol.given)], image, layout)
        except UserError as error:
            raise UserError(f"{layouts.pack}, layout {number}: {error}") from error


def pipeline_subject(
    pipe: Pipeline, protocol: Protocol, names: dict[str, str | None], steps: int | None = None
) -> Subject:
    """A pipeline's pictures, and its layouts; ``names`` of its models, the shipped ones without."""
    from scenograph.evaluation.session import Subject
    from scenograph.pipelines import DEFAULT_IMAGE, DEFAULT_LAYOUT

    encode = partial(pipe.encode_pairs, truncation=protocol.truncation, candidates=protocol.candidates)

    def draw(scenes: Sequence[Any], seeds: Sequence[int]) -> tuple[torch.Tensor, list[Any]]:
        encoding = encode(scenes, seeds)
        return pipe.pixels(encoding, steps), encoding.scenes

    def place(scenes: Sequence[Any], seeds: Sequence[int]) -> list[Any]:
        return encode(scenes, seeds).scenes

    models = {}
    if pipe.layout is not None and protocol.given == "graph":
        models["layout"] = _identity(pipe.layout, names.get("layout") or DEFAULT_LAYOUT)
    models["image"] = _identity(pipe.image, names.get("image") or DEFAULT_IMAGE, pipe.precision)
    return Subject(models, draw, place)


def _layout_subject(model: Model, name: str, candidates: int, precision: Precision) -> Subject:
    """A layout model's layouts alone, the best of so many."""
    from scenograph.evaluation.session import Subject
    from scenograph.pipelines import place_objects

    place = partial(place_objects, model, candidates=candidates, precision=precision)
    return Subject({"layout": _identity(model, name, precision)}, place=place)


def _pictures_subject(source: Path) -> Subject:
    """The pictures of another program; their names, sizes and times tell them."""
    from scenograph.evaluation.session import Subject

    if not source.is_dir():
        raise UserError(f"--pictures {source}: not a folder")
    folder = source.resolve()
    states = sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in folder.glob("sample_*"))
    digest = hashlib.sha256(json.dumps(states).encode()).hexdigest()
    return Subject({"pictures": {"name": str(folder), "digest": digest}}, pictures=folder)


def _identity(model: Model, name: str, precision: Precision = "no") -> dict[str, str]:
    halved = {} if precision == "no" else {"precision": precision}
    return {"name": name, "digest": model.digest, **halved}


def _cache() -> Path:
    """Where measures of real pictures are kept."""
    import os

    from scenograph.files import make_folder

    return make_folder(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scenograph" / "references")


def _notes(evaluation: Evaluation) -> list[str]:
    from scenograph.evaluation.encoders import InceptionEncoder
    from scenograph.models.published.features import WEIGHTS

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
    from scenograph.evaluation.results_csv import results_text, scene_result
    from scenograph.files import write_atomically

    results, repeats = [], evaluation.protocol.repeats
    for chunk in range(evaluation.layouts.chunks):
        true, ids = evaluation.layouts.scenes(chunk), evaluation.layouts.ids(chunk)
        drawn = evaluation.scenes(chunk)[::repeats]
        results += [scene_result(*row) for row in zip(ids, drawn, true, strict=True)]
    return write_atomically(evaluation.folder / "results.csv", results_text(results).encode())


def _pairs(evaluation: Evaluation) -> Image.Image | None:
    """The first real and generated pictures, side by side."""
    from scenograph.scenes.drawing import contact_sheet

    if not evaluation.pictured:
        return None
    repeats = evaluation.protocol.repeats
    try:
        real = evaluation.layouts.pictures(0)[:PAIRS]
    except UserError:
        return None  # a pack without pictures
    made = evaluation.pictures(0)[::repeats][:PAIRS]
    sized = [one.resize(evaluation.size) for one in real]
    return contact_sheet([one for pair in zip(sized, made, strict=True) for one in pair], columns=8)


def _array(path: Path) -> Any:
    import numpy as np

    try:
        with path.open("rb") as stream:  # np.load takes other files for pickles and zips
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "not an array of numbers (.npy), or cut short") from error


def _print(figures: Sequence[Figure], notes: Sequence[str]) -> None:
    import math

    for note in notes:
        console.print(f"[yellow]note:[/yellow] {note}")
    width = max((len(figure.name) for figure in figures), default=0) + 2
    for figure in figures:
        error = f"± {figure.error:.4f}" if math.isfinite(figure.error) else ""
        meaning = "; ".join([figure.meaning, *figure.notes])
        console.print(f"  {figure.name:<{width}}{figure.value:>10.4f} {error:<11}{meaning}", markup=False)
