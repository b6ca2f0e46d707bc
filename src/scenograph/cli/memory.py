"""``scenograph memory``: build, query and change a memory of object crops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.text import Text

from scenograph.cli.console import console, progress_reports, reporting, say_part, write_files
from scenograph.cli.figures import print_figures
from scenograph.cli.options import Cluster, Overwrite, PartName, SceneArgument, Workers, shared_work
from scenograph.errors import UserError, counted
from scenograph.files import make_folder, would_replace, write_atomically

if TYPE_CHECKING:
    from scenograph.retrieval.memory import CropMemory, MemoryRecord
    from scenograph.scenes.origin import Origin
    from scenograph.scenes.scene import Scene

app = typer.Typer(no_args_is_help=True, help="Build, query and change a memory of object crops.")

MemoryFolder = Annotated[Path, typer.Argument(metavar="MEMORY", help="Folder of a memory.")]
PackOption = Annotated[Path, typer.Option("--pack", metavar="PACK", help="Folder of a pack.")]
Author = Annotated[str, typer.Option("--author", metavar="NAME", help="Author of crops that name none.")]
Licence = Annotated[str, typer.Option("--licence", metavar="NAME", help="Licence of crops that name none.")]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, max=1000, help="Crops per object.")]
OwnPicture = Annotated[
    bool, typer.Option("--own-picture", help="Allow crops of the scene's own picture, as the released PasteGAN does.")
]
ON_SHEET = 12
"""Categories on a sheet, and crops of each."""


@app.command()
def build(
    pack: PackOption,
    out: Annotated[Path, typer.Option("--out", metavar="MEMORY", help="Folder to write.")],
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the pack.")] = "train",
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            "--encoder",
            metavar="MODEL",
            help="sg2im or mise-layout model, or object classifier. Repeatable. (default: shipped ones)",
        ),
    ] = None,
    scenes: Annotated[
        int | None, typer.Option("--scenes", metavar="N", min=1, help="Only the first N scenes of the split.")
    ] = None,
    author: Author = "",
    licence: Licence = "",
    workers: Workers = None,
    cluster: Cluster = None,
    part: PartName = None,
    overwrite: Overwrite = False,
) -> None:
    """Put the objects of a pack into a memory.

    Run the same command again to resume after an interruption.
    """
    from scenograph.retrieval.build import build_memory
    from scenograph.retrieval.memory import CropMemory

    sharing, own = shared_work(workers, cluster, part)
    with reporting() as progress:
        record = build_memory(out, pack, split, encoder, licence, author, sharing, overwrite, progress, scenes, own)
    if record is None:
        say_part(own, str(out))
        return
    console.print(f"wrote {out}")
    _print_memory(CropMemory(out), record)
    console.print(f"look at it: scenograph memory show {out} --out sheet.png")


@app.command()
def add(
    folder: MemoryFolder,
    files: Annotated[list[Path], typer.Argument(metavar="FILES", help="Pictures of one object each, or folders.")],
    category: Annotated[
        str | None,
        typer.Option("--category", metavar="NAME", help="Category of all pictures. (default: the folder's name)"),
    ] = None,
    attributes: Annotated[str, typer.Option("--attributes", metavar="A,B", help="Attributes of all pictures.")] = "",
    author: Author = "",
    licence: Licence = "",
) -> None:
    """Add your own crops, with or without transparency.

    What is transparent around an object is cut off.
    """
    from scenograph.retrieval.memory import CropMemory
    from scenograph.retrieval.own_crops import add_files

    names = [name.strip() for name in attributes.split(",") if name.strip()]
    with reporting() as progress:
        added = add_files(CropMemory(folder), files, category, names, author, licence, progress)
    for why in added.dropped:
        console.print(Text("left out:", "yellow"), added.dropped.described(why))
    if added.unknown:
        unknown = ", ".join(sorted(added.unknown))
        console.print(Text("note:", "yellow"), f"the graph encoder does not know {unknown}: found by looks and shape")
    known = f"; {added.known} were there already" if added.known else ""
    console.print(f"added {counted(added.crops, 'crop')} to {folder}{known}")


@app.command()
def query(
    folder: MemoryFolder,
    source: SceneArgument,
    top: Top = 5,
    licence: Annotated[str, typer.Option("--licence", metavar="A,B", help="Only crops under these licences.")] = "",
    published: Annotated[
        bool, typer.Option("--published", help="Choose by graph vectors alone, as PasteGAN does.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Strip of the crops (.png).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """List the crops that suit each object of a scene, the best first."""
    from scenograph.cli.scene import read_source
    from scenograph.retrieval.memory import CropMemory
    from scenograph.retrieval.selector import OURS, PUBLISHED, CropSelector
    from scenograph.scenes.crop_sheets import CropRow, draw_crop_rows
    from scenograph.scenes.png import encode_png
    from scenograph.scenes.scene import with_places

    memory = CropMemory(folder)
    scenes, _ = read_source(source, memory.vocabulary)
    licences = [name.strip() for name in licence.split(",") if name.strip()]
    selector = CropSelector(memory, PUBLISHED if published else OURS, top, licences=licences)
    rows = []
    for scene, where in with_places(scenes):
        held = _held(memory, scene, where)
        for number, ranking in zip(held, selector.rank(scene, held, where=where), strict=True):
            thing = scene.objects[number]
            console.print(Text(f"{where}{number} {thing.label}", "bold"))
            crops = memory.crops(ranking.ids)
            for crop, cost in zip(crops, ranking.costs, strict=True):
                console.print(f"  {cost:8.3f}  {crop.id:<24} {crop.origin.source}, {_credit(crop.origin)}")
            captions = [f"{crop.id} {cost:.2f}" for crop, cost in zip(crops, ranking.costs, strict=True)]
            rows.append(CropRow(f"{number} {thing.label}", [crop.pixels for crop in crops], captions))
    if out is not None:
        write_files([(out, encode_png(np.asarray(draw_crop_rows(rows))))], overwrite)
        console.print(f"wrote {out}")


@app.command()
def show(
    folder: MemoryFolder,
    category: Annotated[str | None, typer.Option("--category", metavar="NAME", help="Only this category.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Sheet of crops to write (.png).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Print what a memory holds, and draw some of its crops."""
    from scenograph.retrieval.memory import CropMemory
    from scenograph.scenes.crop_sheets import CropRow, draw_crop_rows
    from scenograph.scenes.png import encode_png

    memory = CropMemory(folder)
    _print_memory(memory, memory.record)
    if out is None:
        return
    names = [name for name, _ in memory.counts.most_common(ON_SHEET)]
    if category is not None:
        names = [memory.known_category(category, "--category: ")]
    rows = []
    for name in names:
        held = memory.rows(name)
        step = max(len(held) // ON_SHEET, 1)
        crops = memory.crops(held.ids[::step][:ON_SHEET].tolist())
        rows.append(CropRow(f"{name} ({memory.counts[name]})", [c.pixels for c in crops], [c.id for c in crops]))
    write_files([(out, encode_png(np.asarray(draw_crop_rows(rows))))], overwrite)
    console.print(f"wrote {out}")


@app.command()
def remove(
    folder: MemoryFolder,
    source: Annotated[
        str | None, typer.Option("--source", metavar="NAME", help="Of this source: noto, noto/cat, robot.png.")
    ] = None,
    licence: Annotated[str | None, typer.Option("--licence", metavar="NAME", help="Under this licence.")] = None,
) -> None:
    """Remove the crops of a source, or under a licence."""
    from scenograph.retrieval.memory import CropMemory

    if source is None and licence is None:
        raise UserError("nothing is named to remove; give --source or --licence")
    memory = CropMemory(folder)
    count = memory.remove(source, licence)
    if not count:
        named = source if source is not None else licence
        raise UserError(f"{folder} holds no crop of {named!r}; scenograph memory show {folder} lists what it holds")
    console.print(f"removed {count} crops; {len(memory)} are left")


@app.command()
def verify(folder: MemoryFolder) -> None:
    """Check every crop of a memory: its pixels, its vectors and its encoder."""
    from scenograph.retrieval.memory import CropMemory

    with reporting() as progress:
        problems = CropMemory(folder).verify(progress)
    for problem in problems[:20]:
        console.print(problem)
    if problems:
        more = f" (the first 20 of {len(problems)} are above)" if len(problems) > 20 else ""
        raise UserError(f"{folder}: {counted(len(problems), 'problem')}{more}; build it again")
    console.print(f"ok: {folder}")


@app.command()
def evaluate(
    folder: MemoryFolder,
    pack: PackOption,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the queries.")] = "validation",
    scenes: Annotated[int, typer.Option("--scenes", metavar="N", min=1, help="Scenes, the first ones.")] = 200,
    published: Annotated[
        bool, typer.Option("--published", help="Choose by graph vectors alone, as PasteGAN does.")
    ] = False,
    own_picture: OwnPicture = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Report to write (.json).")] = None,
) -> None:
    """Measure retrieval: purity, recall of neighbours, variety, time per scene."""
    import json
    from dataclasses import asdict

    from scenograph.evaluation.retrieval import evaluate_memory
    from scenograph.retrieval.selector import OURS, PUBLISHED, Own

    with progress_reports() as progress:
        weights = PUBLISHED if published else OURS
        own: Own = "allowed" if own_picture else "excluded"
        figures, notes = evaluate_memory(folder, pack, split, scenes, weights, own, progress=progress)
    print_figures(figures, notes)
    if out is not None:
        measured = [asdict(figure) for figure in figures]
        report = {"memory": str(folder), "pack": str(pack), "split": split, "notes": notes, "figures": measured}
        make_folder(out.parent)
        write_atomically(out, (json.dumps(report, indent=1) + "\n").encode())
        console.print(f"wrote {out}")


@app.command()
def export(
    folder: MemoryFolder,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to fill.")],
    form: Annotated[str, typer.Option("--form", metavar="NAME", help="Form of the lists: vg or coco.")] = "vg",
    overwrite: Overwrite = False,
) -> None:
    """Write mem_bank.json and top10_crop_ids_L2.pickle, as the released PasteGAN reads them."""
    from scenograph.retrieval.memory import CropMemory
    from scenograph.retrieval.published import export as write_published

    if form not in ("vg", "coco"):
        raise UserError(f"--form {form!r}: expected vg or coco")
    if not overwrite and (out / "mem_bank.json").exists():
        raise would_replace(out / "mem_bank.json")
    memory = CropMemory(folder)
    count = write_published(memory, make_folder(out), "coco" if form == "coco" else "vg")
    console.print(f"wrote {count} crops to {out}")


def _held(memory: CropMemory, scene: Scene, where: str) -> list[int]:
    """The objects of a scene that the memory has crops of; the others are named, and must not be all."""
    held, complaints = [], []
    for number, thing in enumerate(scene.objects):
        try:
            memory.known_category(thing.category, f"{where}objects[{number}]: ")
            held.append(number)
        except UserError as error:
            complaints.append(str(error))
    if not held:
        raise UserError("\n".join(complaints))
    for complaint in complaints:
        console.print(Text("note:", "yellow"), complaint)
    return held


def _print_memory(memory: CropMemory, record: MemoryRecord) -> None:
    """What it was made from and holds."""
    console.print(f"{memory.folder}: {len(memory)} crops, from {record.source}")
    console.print(f"  encoders: {', '.join(record.encoders)}")
    for why, count in record.dropped.items():
        console.print(Text("  left out:", "yellow"), f"{why}: {count}")
    sources = [name.partition("/")[0] if "/" in name else name for name in memory.column("source")]
    parts = {
        "categories": memory.counts,
        "licences": Counter(name or "(unknown)" for name in memory.column("licence")),
        "sources": Counter(sources),
    }
    for title, counts in parts.items():
        shown = ", ".join(f"{name} {count}" for name, count in counts.most_common(8))
        more = f", and {len(counts) - 8} more" if len(counts) > 8 else ""
        console.print(f"  {title}: {shown}{more}")


def _credit(origin: Origin) -> str:
    return ", ".join(part for part in (origin.author, origin.licence) if part) or "author and licence unknown"
