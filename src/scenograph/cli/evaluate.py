"""``scenograph evaluate``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import typer

from scenograph.cli.console import console, evaluation_progress, print_evaluated, print_figures, write_files
from scenograph.devices import Precision
from scenograph.errors import UserError, unreadable

app = typer.Typer()

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
    from scenograph.data.pack import read_record
    from scenograph.devices import pick_device
    from scenograph.evaluation.evaluate import evaluate as run
    from scenograph.evaluation.metrics import metric_class
    from scenograph.evaluation.protocols import default_protocol, find_protocol
    from scenograph.evaluation.tools import Tools
    from scenograph.models.base import LayoutModel
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
    needs = set().union(*(metric_class(name).needs for name in chosen.metrics))
    where = pick_device(device)
    subject: Pipeline | LayoutModel | Path
    if pictures is not None:
        subject = pictures
    elif layout and layout_alone and chosen.given == "graph" and needs <= {"predicted boxes"}:
        subject = load_layout_model(layout, where, precision)
    else:
        subject = Pipeline.from_pretrained(model, layout=layout, image=image, device=where, precision=precision)
    tools = Tools(where, classifier, detector, detections, _files(weights))
    names = {"layout": layout, "image": model or image}
    with evaluation_progress() as progress:
        evaluated = run(
            pack,
            subject,
            chosen,
            out,
            tools=tools,
            names=names,
            precision=precision,
            steps=steps,
            training_run=training_run,
            progress=progress,
        )
    if evaluated is not None:
        print_evaluated(evaluated)


@app.command("compare")
def compare_reports(
    first: Annotated[Path, typer.Argument(help="An evaluation's folder, or its report.json.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", help="Write their pictures of the same scenes side by side here, or their layouts (.png)."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare even what was measured by unlike protocols.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing sheet.")] = False,
) -> None:
    """Two evaluations side by side, if their protocols, data and networks agree."""
    from scenograph.evaluation.evaluate import sheet_of_two
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
    if sheet is not None:
        folders = [path if path.is_dir() else path.parent for path in (first, second)]
        stream = io.BytesIO()
        sheet_of_two(folders, reports).save(stream, "PNG")
        write_files([(sheet, stream.getvalue())], overwrite)
        console.print(f"wrote {sheet}: pairs of {first} and {second}", markup=False)


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
    from scenograph.evaluation.folders import folder_figures
    from scenograph.evaluation.tools import Tools

    tools = Tools(pick_device(device), classifier, weights=_files(weights))
    chosen = tools.load_encoder(encoder)
    with evaluation_progress() as progress:
        figures = folder_figures(generated, real, chosen, splits, progress)
    print_figures(figures, [])


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

    from scenograph.evaluation.figure import mean_figure
    from scenograph.evaluation.ranking import retrieval_figures

    if (query_labels is None) != (gallery_labels is None):
        raise UserError("give --query-labels and --gallery-labels together")
    arrays = [None if path is None else _array(path) for path in (queries, gallery, query_labels, gallery_labels)]
    assert arrays[0] is not None and arrays[1] is not None
    found = retrieval_figures(arrays[0], arrays[1], arrays[2], arrays[3])
    meanings = {"average_precision": "mAP"} | {f"top_{k}": f"of what was wanted, in the first {k}" for k in (1, 5, 10)}
    figures = [mean_figure(name, values[np.isfinite(values)], meanings[name]) for name, values in found.items()]
    print_figures(figures, [])


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


def _array(path: Path) -> Any:
    import numpy as np

    try:
        with path.open("rb") as stream:  # np.load takes other files for pickles and zips
            return np.lib.format.read_array(stream, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise unreadable(path, error, "not an array of numbers (.npy), or cut short") from error
