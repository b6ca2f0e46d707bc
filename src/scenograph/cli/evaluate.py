"""``scenograph evaluate``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from scenograph.cli.console import console, progress_reports, say_part, write_files
from scenograph.cli.figures import print_evaluated, print_figures, print_plan, print_wrapped
from scenograph.cli.options import (
    ClassifierName,
    Cluster,
    Device,
    ImageName,
    LayoutName,
    MemoryName,
    ModelName,
    Overwrite,
    PartName,
    PrecisionName,
    Weights,
    shared_work,
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
        typer.Option(
            "--metrics", metavar="NAMES", help="Metrics, such as quality,agreement. (default: the protocol's)"
        ),
    ] = None,
    scenes: Annotated[
        int | None, typer.Option("--scenes", metavar="N", min=1, help="Measure only the first N layouts.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Split to measure. (default: the protocol's)")
    ] = None,
    given: Annotated[
        str | None, typer.Option("--given", metavar="NAME", help="Model input: graph, boxes, masks or sketches.")
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
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", metavar="FILE", help="COCO's instances_*.json, to compare detections with."),
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
    cluster: Cluster = None,
    part: PartName = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the report.")] = Path("evaluation"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the request, and name what would be downloaded.")
    ] = False,
) -> None:
    """Generate the scenes of a pack, measure them, and write a report.

    scenograph evaluate --pack packs/rendered-64

    Protocols fix how to measure; scenograph evaluate protocols lists them. A
    layout model is measured alone by --protocol wsgc, or by --metrics layout.

    Run the same command again to resume after an interruption.
    """
    if context.invoked_subcommand is not None:
        before = [one.opts[0] for one in context.command.params if _is_given(context, str(one.name))]
        if before:
            command = context.invoked_subcommand
            raise UserError(f"{before[0]} stands before {command}, which does not see it; write it behind")
        return
    if pack is None:
        raise UserError("give the data to measure on: scenograph evaluate --pack PACK")
    from scenograph.devices import pick_device
    from scenograph.evaluation.evaluate import evaluate as run
    from scenograph.evaluation.evaluate import plan_evaluation
    from scenograph.evaluation.named import Named
    from scenograph.evaluation.tools import Tools

    options = {
        "layouts": ("--scenes", scenes),
        "repeats": ("--repeats", repeats),
        "splits": ("--split", None if split is None else (split,)),
        "given": ("--given", given),
        "encoder": ("--encoder", encoder),
        "metrics": ("--metrics", None if metrics is None else tuple(part.strip() for part in metrics.split(","))),
    }
    _, own = shared_work(None, cluster, part)
    subject, changes = Named(model, layout, image, pictures, memory), _settings(settings, options)
    tools = Tools(pick_device(device), classifier, detector, detections, annotations, _files(weights))
    if dry_run:
        planned = plan_evaluation(
            pack, subject, protocol, changes=changes, tools=tools, precision=precision, training_run=training_run
        )
        print_plan(planned)
        return
    with progress_reports() as progress:
        evaluated = run(
            pack,
            subject,
            protocol,
            out,
            changes=changes,
            tools=tools,
            precision=precision,
            steps=steps,
            training_run=training_run,
            progress=progress,
            part=own,
            cluster=cluster or "",
            device=device,
        )
    if evaluated is not None:
        print_evaluated(evaluated)
    elif not own.finishes:
        say_part(own, f"the evaluation in {out}")


@app.command("compare")
def compare_reports(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Folder of an evaluation, or its report.json.")],
    others: Annotated[list[Path], typer.Argument(metavar="OTHERS", help="The evaluations to compare it with.")],
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="FILE", help="Sheet of all, side by side, to write (.png)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare even if protocols or data differ.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Compare evaluations that were measured alike.

    Of two, the table says which differences are clear.
    """
    from scenograph.evaluation.report import compare, compare_all, differences, read_report
    from scenograph.evaluation.sheets import sheet_of_all

    paths = [first, *others]
    reports, names = [read_report(path) for path in paths], [str(path) for path in paths]
    for path, report in zip(others, reports[1:], strict=True):
        reasons = differences(reports[0], report)
        if reasons and not force:
            raise UserError(
                f"{first} and {path} were not measured alike: {'; '.join(reasons)}. Measure one again by the other's "
                "protocol, or add --force"
            )
        for reason in reasons:
            print_wrapped(reason, "unlike: ")
    table = compare(reports[0], reports[1], (names[0], names[1])) if len(reports) == 2 else compare_all(reports, names)
    console.print(table, markup=False, end="")
    if sheet is not None:
        folders = [path if path.is_dir() else path.parent for path in paths]
        stream = io.BytesIO()
        sheet_of_all(folders, reports).save(stream, "PNG")
        write_files([(sheet, stream.getvalue())], overwrite)
        *before, last = names
        shown = f"pairs of {names[0]} and {last}" if len(names) == 2 else f"columns {', '.join(before)} and {last}"
        console.print(f"wrote {sheet}: {shown}")


@app.command("protocols")
def list_protocols() -> None:
    """List the protocols with their settings and metrics."""
    from scenograph.evaluation.protocols import PROTOCOLS
    from scenograph.evaluation.search_protocols import SEARCH_PROTOCOLS
    from scenograph.evaluation.summary import setting

    for protocol in PROTOCOLS.values():
        console.print(Text(protocol.name, "bold"), f"{protocol.version} ({protocol.fingerprint})")
        settings = {key: setting(value) for key, value in protocol.settings().items() if value is not None}
        print_wrapped(protocol.about, "  ")
        print_wrapped(f"metrics: {', '.join(protocol.metrics)}", "  ")
        print_wrapped(f"settings: {', '.join(f'{key} {value}' for key, value in settings.items() if value)}", "  ")
    for one in SEARCH_PROTOCOLS.values():
        console.print(Text(one.name, "bold"), f"{one.version} ({one.fingerprint}), of scenograph evaluate search")
        print_wrapped(one.about, "  ")
        print_wrapped(f"needs: {one.needs}", "  ")
        print_wrapped(
            f"settings: {', '.join(f'{key} {value}' for key, value in one.settings().items() if value)}", "  "
        )


@app.command("folders")
def compare_folders(
    generated: Annotated[Path, typer.Argument(metavar="GENERATED", help="Folder of generated pictures.")],
    real: Annotated[Path | None, typer.Argument(metavar="REAL", help="Folder of real pictures.")] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="NAME", help="Features: inception, dinov2 or classifier.")
    ] = "inception",
    weights: Weights = None,
    classifier: ClassifierName = None,
    splits: Annotated[int, typer.Option("--splits", metavar="N", min=1, help="Splits for the Inception Score.")] = 5,
    device: Device = "auto",
) -> None:
    """Compare two folders of pictures by FID and similar metrics.

    Prints FID, KID, Inception Score, precision and recall; of one folder alone
    the Inception Score. Subfolders count, drawings and sheets do not.
    """
    from scenograph.devices import pick_device
    from scenograph.evaluation.folders import folder_figures
    from scenograph.evaluation.tools import Tools

    tools = Tools(pick_device(device), classifier, weights=_files(weights))
    with progress_reports() as progress:
        figures = folder_figures(generated, real, tools.load_encoder(encoder), splits, progress)
    print_figures(figures, tools.remarks_on_pictures())


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


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was written on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _settings(settings: list[str] | None, options: Mapping[str, tuple[str, object]]) -> dict[str, object]:
    """Settings of the protocol that are to change: those of ``--set``, and those that have an option of their own."""
    given = {name: option for name, (option, value) in options.items() if value is not None}
    changes = {name: value for name, (_, value) in options.items() if value is not None}
    for one in settings or []:
        name, equals, value = one.partition("=")
        if not equals:
            raise UserError(f"--set {one!r}: expected SETTING=VALUE, for example lpips=vgg")
        if name in given:
            raise UserError(f"--set {one}: {given[name]} sets {name}, too; leave one of them out")
        given[name], changes[name] = "another --set", value
    return changes


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
