"""``scenograph evaluate``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from scenograph.cli.console import console, evaluation_progress, print_evaluated, print_figures, write_files
from scenograph.cli.options import (
    ClassifierName,
    Device,
    ImageName,
    LayoutName,
    MemoryName,
    ModelName,
    Overwrite,
    PrecisionName,
    Weights,
)
from scenograph.errors import UserError, unreadable

app = typer.Typer()

WEIGHTS = ("inception", "dinov2", "backbone", "heads")


@app.callback(invoke_without_command=True)
def evaluate(
    context: typer.Context,
    pack: Annotated[Path | None, typer.Option("--pack", metavar="PACK", help="Pack whose scenes to generate.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option("--protocol", metavar="NAME", help="Protocol to measure by. (default: by the data)"),
    ] = None,
    model: ModelName = None,
    layout: LayoutName = None,
    image: ImageName = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="FOLDER", help="Pictures made elsewhere, to measure instead."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="NAMES", help="Metrics, such as quality,agreement. (default: all)"),
    ] = None,
    scenes: Annotated[
        int | None, typer.Option("--scenes", metavar="N", min=1, help="Measure only the first N layouts.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Split to measure. (default: the protocol's)")
    ] = None,
    given: Annotated[
        str | None, typer.Option("--given", metavar="NAME", help="Model input: graph, boxes or masks.")
    ] = None,
    repeats: Annotated[int | None, typer.Option("--repeats", metavar="N", min=1, help="Pictures per layout.")] = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="NAME", help="Features: inception, dinov2 or classifier.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SETTING=VALUE", help="Other setting of the protocol. Repeatable."),
    ] = None,
    memory: MemoryName = None,
    classifier: ClassifierName = None,
    weights: Weights = None,
    detector: Annotated[
        str | None, typer.Option("--detector", metavar="MODEL", help="Object detector: folder or Hub id.")
    ] = None,
    detections: Annotated[
        Path | None, typer.Option("--detections", metavar="FILE", help="Results of a detector of your own.")
    ] = None,
    training_run: Annotated[
        Path | None,
        typer.Option("--run", metavar="FOLDER", help="Training run whose curves to report."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", metavar="N", min=1, help="Sampling steps. (default: the model's)")
    ] = None,
    device: Device = "auto",
    precision: PrecisionName = "no",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the report.")] = Path("evaluation"),
) -> None:
    """Generate the scenes of a pack, measure them, and write a report.

    scenograph evaluate --pack packs/rendered-64

    Protocols fix how to measure; scenograph evaluate protocols lists them. A
    layout model is measured alone by --protocol wsgc, or by --metrics layout.

    Run the same command again to resume after an interruption.
    """
    if context.invoked_subcommand is not None:
        return
    if pack is None:
        raise UserError("give the data to measure on: scenograph evaluate --pack PACK")
    from scenograph.data.pack import read_record, read_vocabulary
    from scenograph.devices import pick_device
    from scenograph.evaluation.evaluate import evaluate as run
    from scenograph.evaluation.metrics import metric_class
    from scenograph.evaluation.protocols import default_protocol, find_protocol
    from scenograph.evaluation.tools import Tools
    from scenograph.models.base import LayoutModel
    from scenograph.pipelines import Pipeline, load_layout_model
    from scenograph.pipelines.defaults import COLLAGE, choose_pair

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
    if model is None and pictures is None:  # what is not named is that of the pair that knows the data's names
        pair = choose_pair("; ".join(read_vocabulary(pack).categories))
        layout, image = layout or pair.layout, image or (pair.image if memory is None else COLLAGE)
    if pictures is not None:
        subject = pictures
    elif layout and layout_alone and chosen.given == "graph" and needs <= {"predicted boxes"}:
        subject = load_layout_model(layout, where, precision)
    else:
        subject = Pipeline.from_pretrained(
            model, layout=layout, image=image, memory=memory, device=where, precision=precision
        )
    tools = Tools(where, classifier, detector, detections, _files(weights))
    names = {"layout": layout, "image": model or (image if memory is None else f"{image} of {memory}")}
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
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Folder of an evaluation, or its report.json.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="The evaluation to compare it with.")],
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="FILE", help="Sheet of both, side by side, to write (.png)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare even if protocols or data differ.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare two evaluations that were measured alike."""
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
        console.print(Text("unlike:", "yellow"), reason)
    console.print(compare(*reports, (str(first), str(second))), markup=False, end="")
    if sheet is not None:
        folders = [path if path.is_dir() else path.parent for path in (first, second)]
        stream = io.BytesIO()
        sheet_of_two(folders, reports).save(stream, "PNG")
        write_files([(sheet, stream.getvalue())], overwrite)
        console.print(f"wrote {sheet}: pairs of {first} and {second}")


@app.command("protocols")
def list_protocols() -> None:
    """List the protocols with their settings and metrics."""
    from scenograph.evaluation.protocols import PROTOCOLS

    for protocol in PROTOCOLS.values():
        console.print(Text(protocol.name, "bold"), f"{protocol.version} ({protocol.fingerprint}): {protocol.about}")
        settings = {key: value for key, value in protocol.settings().items() if value is not None}
        console.print("  " + ", ".join(f"{key} {value}" for key, value in settings.items()))
        console.print(f"  metrics: {', '.join(protocol.metrics)}")


@app.command("folders")
def compare_folders(
    generated: Annotated[Path, typer.Argument(metavar="GENERATED", help="Folder of generated pictures.")],
    real: Annotated[Path, typer.Argument(metavar="REAL", help="Folder of real pictures.")],
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="Features: inception, dinov2 or classifier.")
    ] = "inception",
    weights: Weights = None,
    classifier: ClassifierName = None,
    splits: Annotated[int, typer.Option("--splits", metavar="N", min=1, help="Splits for the Inception Score.")] = 5,
    device: Device = "auto",
) -> None:
    """Compare two folders of pictures by FID and similar metrics.

    Prints FID, KID, Inception Score, precision and recall. Subfolders count.
    """
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
    queries: Annotated[Path, typer.Argument(metavar="QUERIES", help="Query vectors (Q, D) (.npy).")],
    gallery: Annotated[Path, typer.Argument(metavar="GALLERY", help="Gallery vectors (G, D) (.npy).")],
    query_labels: Annotated[
        Path | None, typer.Option("--query-labels", metavar="FILE", help="Query labels (Q,) (.npy).")
    ] = None,
    gallery_labels: Annotated[
        Path | None, typer.Option("--gallery-labels", metavar="FILE", help="Gallery labels (G,) (.npy).")
    ] = None,
) -> None:
    """Measure a search by vector distance: mAP and top-1, 5, 10.

    A query matches the gallery rows that have its label; without labels,
    query i matches row i.
    """
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
