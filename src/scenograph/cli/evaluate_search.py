"""``scenograph evaluate search`` and ``features``: search for scenes by sketch, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from scenograph.cli.console import console, progress_reports
from scenograph.cli.evaluate import app
from scenograph.cli.figures import print_figures, print_wrapped
from scenograph.cli.options import Device, Overwrite
from scenograph.errors import UserError
from scenograph.files import would_replace

NeededPack = Annotated[Path, typer.Option("--pack", metavar="PACK", help="Pack whose objects have sketches.")]
ProtocolOption = Annotated[
    str | None, typer.Option("--protocol", metavar="NAME", help="Protocol. (default: by the data)")
]
SplitOption = Annotated[str | None, typer.Option("--split", metavar="NAME", help="Split. (default: the protocol's)")]
ScenesOption = Annotated[
    int | None, typer.Option("--scenes", metavar="N", min=10, help="Only the first N scenes with sketches.")
]
IdsOption = Annotated[Path | None, typer.Option("--ids", metavar="FILE", help="Ids of the scenes to use, one a line.")]
QueriesOption = Annotated[
    str | None,
    typer.Option("--queries", metavar="KIND", help="Queries: sketches, mirrored, or mixed with crops of pictures."),
]


@app.command("search")
def evaluate_search(
    pack: Annotated[
        Path | None, typer.Option("--pack", metavar="PACK", help="Pack whose objects have sketches.")
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="NAME",
            help="Model, or classifier of sketches; layouts or matching, which are told categories and boxes. "
            "Repeatable. (default: these two)",
        ),
    ] = None,
    features: Annotated[
        Path | None, typer.Option("--features", metavar="FILE", help="Measure vectors of a file (.npz) instead.")
    ] = None,
    protocol: ProtocolOption = None,
    split: SplitOption = None,
    scenes: ScenesOption = None,
    ids: IdsOption = None,
    queries: QueriesOption = None,
    shift: Annotated[
        float | None, typer.Option("--shift", metavar="SIDES", help="Spread of shifts of the queries' objects.")
    ] = None,
    missing: Annotated[
        float | None, typer.Option("--missing", metavar="SHARE", help="Share of objects that queries lack.")
    ] = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the results.")] = Path("evaluation"),
) -> None:
    """Measure how well sketches find their pictures, encoder by encoder.

    scenograph evaluate search --pack PACK --encoder MODEL --encoder layouts

    mAP and top 1, 5, 10: of all scenes, by number of objects, among scenes of the
    same categories; and whether a picture is told from its mirror image. Strips
    show results, maps the vectors by t-SNE. Figures also of a file that scenograph
    evaluate features wrote, or Scene Designer's code.
    """
    changes = {"split": split, "scenes": scenes, "queries": queries, "shift": shift, "missing": missing}
    if features is not None:
        others = {"pack": pack, "encoder": encoder, "protocol": protocol, "ids": ids} | changes
        if given := [f"--{name}" for name, value in others.items() if value is not None]:
            raise UserError(f"--features measures a file as it is; leave {' and '.join(given)} out")
        _print_features(features)
        return
    from scenograph.data.pack import read_record
    from scenograph.devices import pick_device
    from scenograph.evaluation.scene_search import WITHOUT_LEARNING, Gallery, search_scenes, searchers
    from scenograph.evaluation.search_protocols import find_search_protocol, read_ids
    from scenograph.evaluation.search_report import table, write_report

    if pack is None:
        raise UserError("give the data to measure on: scenograph evaluate search --pack PACK")
    chosen = find_search_protocol(protocol, pack, changes)
    where, names = pick_device(device), list(dict.fromkeys(encoder or WITHOUT_LEARNING))
    methods = searchers(names, where)
    gallery = Gallery.of(pack, chosen, None if ids is None else read_ids(ids))
    with progress_reports() as progress:
        searched = [search_scenes(method, gallery, chosen, progress) for method in methods]
    record = {key: read_record(pack)[key] for key in ("source", "options")}
    paths = write_report(out, gallery, chosen, searched, record)
    print_wrapped(
        f"protocol {chosen.name} ({chosen.fingerprint}): {len(gallery)} scenes of {pack}, split {chosen.split}; "
        "per cent, with 95 % intervals"
    )
    console.print(table(searched))
    for path in paths:
        console.print(f"wrote {path}")


def _print_features(path: Path) -> None:
    from scenograph.evaluation.search_features import measure_features

    groups, notes = measure_features(path)
    for number, (name, figures) in enumerate(groups.items()):
        console.print(Text(f"{name} ({figures[0].count})", "bold"))
        print_figures(figures, [] if number else notes)


@app.command("features")
def extract_features(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write (.npz).")],
    pack: NeededPack,
    encoder: Annotated[str, typer.Option("--encoder", metavar="NAME", help="Model, or layouts.")],
    protocol: ProtocolOption = None,
    split: SplitOption = None,
    scenes: ScenesOption = None,
    ids: IdsOption = None,
    queries: QueriesOption = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write vectors of sketches and pictures (img_reps, skt_reps) to a file.

    Sketches are as they are: neither shifted nor with objects left out.
    """
    from scenograph.devices import pick_device
    from scenograph.evaluation.scene_search import Gallery, search_scenes, searcher
    from scenograph.evaluation.search_features import write_features
    from scenograph.evaluation.search_protocols import find_search_protocol, read_ids

    if out.suffix != ".npz":
        raise UserError(f"--out {out}: expected a file that ends in .npz")
    if out.exists() and not overwrite:
        raise would_replace(out)
    if encoder == "matching":
        raise UserError("--encoder matching: compares objects one by one and has no vectors; give a model, or layouts")
    changes = {"split": split, "scenes": scenes, "queries": queries, "shift": 0.0, "missing": 0.0}
    chosen = find_search_protocol(protocol, pack, changes)
    method = searcher(encoder, pick_device(device))
    gallery = Gallery.of(pack, chosen, None if ids is None else read_ids(ids))
    with progress_reports() as progress:
        searched = search_scenes(method, gallery, chosen, progress)
    write_features(out, gallery, searched)
    size = searched.vectors.gallery.shape[1]
    console.print(f"wrote {out}: vectors of {size} numbers of {len(gallery)} scenes, by {encoder}")


@app.command("designs")
def evaluate_designs(
    layout: Annotated[str, typer.Option("--layout", metavar="MODEL", help="A scene-designer.")],
    pack: NeededPack,
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="MODEL", help="Model that renders the layouts. (default: they are drawn)"),
    ] = None,
    protocol: ProtocolOption = None,
    split: SplitOption = None,
    scenes: ScenesOption = 48,
    ids: IdsOption = None,
    label_maps: Annotated[
        bool, typer.Option("--label-maps", help="Write label and instance maps, as SPADE's tools read them.")
    ] = False,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the results.")] = Path("evaluation"),
) -> None:
    """Make layouts and pictures of sketched scenes, in several ways, side by side.

    From sketches, from crops of the pictures, from sketches that face the other
    way, from half of each, and with the true layout. Prints how well sketches and
    crops are recognised, and how well masks fit; draws masks of some objects, and a
    map by t-SNE of the vectors of sketches and crops.
    """
    from scenograph.devices import pick_device
    from scenograph.evaluation.designs import design_scenes, write_designs
    from scenograph.evaluation.scene_search import Gallery, Learned
    from scenograph.evaluation.search_protocols import find_search_protocol, read_ids
    from scenograph.models.registry import AutoModel
    from scenograph.pipelines.pipeline import Pipeline

    changes = {"split": split, "scenes": scenes, "shift": 0.0, "missing": 0.0}
    chosen, where = find_search_protocol(protocol, pack, changes), pick_device(device)
    designer = Learned(layout, AutoModel.from_pretrained(layout).to(where), "--layout")
    pipe = None if image is None else Pipeline.from_pretrained(image=image, device=where)
    gallery = Gallery.of(pack, chosen, None if ids is None else read_ids(ids))
    with progress_reports() as progress:
        designs = design_scenes(designer, gallery, chosen, progress)
    print_figures(designs.figures, [])
    for path in write_designs(out, gallery, designs, pipe, label_maps):
        console.print(f"wrote {path}")
