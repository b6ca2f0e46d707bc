"""``scenograph data``: render, download and pack data sets; show, verify and share packs."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from scenograph.cli.console import console, reporting, say_part, track, write_files
from scenograph.cli.options import Cluster, Overwrite, PartName, Workers, shared_work
from scenograph.errors import UserError, counted, suggest, validate
from scenograph.files import make_folder

if TYPE_CHECKING:
    from scenograph.data.pack import Pack
    from scenograph.data.source import Options

app = typer.Typer(no_args_is_help=True, help="Render, download and pack data sets.")

RenderFolder = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to fill.")]
RenderSeed = Annotated[int, typer.Option("--seed", metavar="SEED", min=0, help="Seed of the data set.")]
Pictures = Annotated[bool, typer.Option("--pictures/--no-pictures", help="Write pictures, or only scenes and masks.")]
PackFolder = Annotated[Path, typer.Argument(metavar="PACK", help="Folder of a pack.")]
Repository = Annotated[
    str, typer.Argument(metavar="USER/NAME", help="Data set on the Hugging Face Hub, or an address: s3://bucket/name.")
]


render_app = typer.Typer(help="Render scenes with exact boxes and masks.")
app.add_typer(render_app, name="render")


@render_app.callback(invoke_without_command=True)
def render_clevr(
    context: typer.Context,
    out: RenderFolder = Path("renders"),
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Number of scenes.")] = 100,
    size: Annotated[int, typer.Option("--size", metavar="N", help="Side of the pictures in pixels.")] = 128,
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="Light paths per pixel.")] = 64,
    min_objects: Annotated[int, typer.Option("--min-objects", metavar="N", help="Fewest objects in a scene.")] = 1,
    max_objects: Annotated[int, typer.Option("--max-objects", metavar="N", help="Most objects in a scene.")] = 6,
    seed: RenderSeed = 0,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split that the scenes belong to.")] = "train",
    pictures: Pictures = True,
    workers: Workers = None,
    cluster: Cluster = None,
    part: PartName = None,
) -> None:
    """Render CLEVR-style scenes with exact boxes and masks.

    This needs the extra named render. Scene i depends only on the seed and i.

    Run the same command again to resume after an interruption.
    """
    if context.invoked_subcommand is not None:
        return
    from scenograph.data.rendered import RenderSettings, render_dataset

    settings = RenderSettings(size, samples, min_objects, max_objects, seed, split, pictures)
    sharing, own = shared_work(workers, cluster, part)
    make_folder(out)
    own_count = len(own.numbers(count))
    for _ in track(render_dataset(out, count, settings, sharing, own), "rendering", own_count):
        pass
    if not own.finishes:
        say_part(own, f"{count} scenes in {out}")
        return
    console.print(f"wrote {count} scenes to {out}")
    console.print(f"next: scenograph data pack clevr --root {out} --out packs/NAME")


@render_app.command("picture-book")
def render_picture_book_scenes(
    out: RenderFolder = Path("renders"),
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="Number of scenes in all parts.")] = 100,
    part: PartName = None,
    drawings: Annotated[
        Path | None,
        typer.Option("--drawings", metavar="FOLDER", help="Folder of an npm install of drawings. (default: own ones)"),
    ] = None,
    world: Annotated[str, typer.Option("--world", metavar="NAME", help="Only this world. (default: all)")] = "",
    size: Annotated[int, typer.Option("--size", metavar="N", help="Side of the pictures in pixels.")] = 128,
    seed: RenderSeed = 0,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="train, validation or test; each holds out drawings.")
    ] = "train",
    pictures: Pictures = True,
    pages: Annotated[
        float, typer.Option("--pages", metavar="SHARE", help="Share of scenes that show things on plain paper.")
    ] = 0.0,
    workers: Workers = None,
    cluster: Cluster = None,
) -> None:
    """Render picture-book scenes composed from drawings.

    This needs the extra named render. Scene i depends only on the seed and i.

    Run the same command again to resume after an interruption.
    """
    from scenograph.data.picture_book.render import PictureBookSettings, drawings_in, render_picture_book

    settings = PictureBookSettings(size, seed, split, world, pictures, pages)
    sharing, own = shared_work(workers, cluster, part)
    known = drawings_in(drawings)
    more = "" if drawings else "; more with --drawings FOLDER"
    console.print(f"{len(known.categories())} categories from {len(known.rows)} drawings{more}")
    for key in known.missing:
        console.print(Text("missing:", "yellow"), f"{key}: its package has no such drawing")
    make_folder(out)
    rendered = render_picture_book(out, range(count), settings, drawings, sharing, own)
    for _ in track(rendered, "rendering", len(own.numbers(count))):
        pass
    console.print(f"wrote {len(own.numbers(count))} scenes to {out}")
    console.print(f"next: scenograph data pack picture-book --root {out} --out packs/NAME")


@app.command()
def sources() -> None:
    """List the data sets that can be packed, with their options."""
    from scenograph.data.sources import SOURCES

    for name, source in SOURCES.items():
        console.print(Text(name, "bold"), f" {source.title}")
        defaults = source.options_type.defaults()
        for key, field in source.options_type.model_fields.items():
            default = "required" if field.is_required() else _shown(defaults[key])
            console.print(f"    {key}={default} ", Text(field.description or "a named set of defaults", "dim"))
    console.print("pack one:  scenograph data pack NAME key=value ... --root FOLDER --out PACK")


@app.command()
def pack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set; see scenograph data sources.")],
    options: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Options of that data set.")] = None,
    root: Annotated[
        Path, typer.Option("--root", metavar="FOLDER", help="Folder of the data set in its official form.")
    ] = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Pack to write. (default: packs/NAME)")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", metavar="N", min=16, help="Shrink larger pictures to this shorter side.")
    ] = None,
    workers: Workers = None,
    cluster: Cluster = None,
    part: PartName = None,
) -> None:
    """Convert a data set into a pack, which training reads.

    Run the same command again to resume after an interruption.
    """
    from scenograph.data.pack import LEFT_OUT, read_vocabulary, work_folder, write_pack
    from scenograph.data.sources import SOURCES

    if name not in SOURCES:
        raise UserError(f"no data set {name!r} {suggest(name, SOURCES)}; see: scenograph data sources")
    sharing, own = shared_work(workers, cluster, part)
    kind, out = SOURCES[name], out or Path("packs") / name
    if not root.exists():
        raise UserError(f"--root {root}: there is no such folder")
    if out.exists():
        raise UserError(f"--out {out} exists; delete it or choose another name")
    # The folder for intermediate files depends on the options, which the source knows only once it is made.
    source = kind(root, _parse_options(kind.options_type, options or [], name), Path())
    source.work = work_folder(out, source, size)
    with reporting() as progress:
        record = write_pack(out, source, size, sharing, progress, source.work, own)
    if record is None:
        say_part(own, str(out))
        return
    console.print(f"wrote {out} from {source.title}")
    _print_record(record)
    if (out / LEFT_OUT).exists():
        console.print(f"  all that was left out while reading: {out / LEFT_OUT}")
    _print_vocabulary(read_vocabulary(out))
    console.print(f"look at it: scenograph data show {out} --out sheet.png")


@app.command()
def show(
    folder: PackFolder,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split to show.")] = "train",
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, max=256, help="Scenes on the sheet.")] = 6,
    first: Annotated[int, typer.Option("--first", metavar="N", min=0, help="First scene on the sheet.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Sheet of scenes to write (.png).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Print what a pack holds, and draw some of its scenes.

    The sheet shows pictures, layouts and the stored relations. Of a split that
    stores none it shows some derived from boxes, in another colour.
    """
    from scenograph.data.pack import Pack, read_record
    from scenograph.data.sheet import pack_sheet

    opened = Pack(folder, split)
    record = read_record(folder)
    console.print(f"{folder}, from {record['source']}")
    _print_record(record)
    _print_vocabulary(opened.vocabulary)
    _print_statistics(opened, split)
    if out is not None:
        if first >= len(opened):
            raise UserError(f"--first {first}: the split {split!r} has scenes 0 to {len(opened) - 1}")
        stream = io.BytesIO()
        pack_sheet(opened, first, count).save(stream, "PNG")
        write_files([(out, stream.getvalue())], overwrite)
        console.print(f"wrote {out}")


@app.command()
def export(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Pack, evaluation, or folder of generated pictures.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder to fill.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="Write the pictures.")] = False,
    crops: Annotated[
        int | None,
        typer.Option("--crops", metavar="N", min=1, max=2048, help="Write a crop of each object, of this side."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", metavar="N", min=1, max=4096, help="Stretch pictures to this side first."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Split of a pack.")] = None,
    by_class: Annotated[bool, typer.Option("--by-class", help="Put crops into a folder per category.")] = False,
    rule: Annotated[
        Literal["lama", "sg2im", "scene-designer"],
        typer.Option("--rule", metavar="NAME", help="How to cut crops: as lama, sg2im or scene-designer."),
    ] = "lama",
    overwrite: Overwrite = False,
) -> None:
    """Write pictures, or crops of their objects, as plain files.

    scenograph data export packs/coco --split validation --crops 32 --out crops

    Files are named by the scene, and crops by the number of the object, too.
    """
    from scenograph.evaluation.export import Export, open_collection

    if pictures == (crops is not None):
        raise UserError("give either --pictures, or --crops N for a crop of each object")
    if pictures and by_class:
        raise UserError("--by-class sorts crops; give --crops N instead of --pictures")
    collection = open_collection(source, split)
    run = Export(out, size, crops, by_class, rule, overwrite)
    written = sum(track(run.run(collection), "exporting", len(collection)))
    for reason in sorted(run.left_out):
        console.print(f"  left out: {run.left_out.described(reason)}")
    if not written:
        raise UserError(f"{source}: nothing to export")
    console.print(f"wrote {counted(written, 'crop' if crops else 'picture')} to {out}")


@app.command()
def verify(folder: PackFolder) -> None:
    """Check the checksums, pictures and scenes of a pack."""
    from scenograph.data.pack import verify_pack

    with reporting() as progress:
        problems = verify_pack(folder, progress)
    for problem in problems[:20]:
        console.print(problem)
    if problems:
        more = f" (the first 20 of {len(problems)} are above)" if len(problems) > 20 else ""
        raise UserError(f"{folder}: {counted(len(problems), 'problem')}{more}; make the pack again")
    console.print(f"ok: {folder}")


@app.command()
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="coco, visual-genome, clevr or quickdraw.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to fill. (default: downloads/NAME)")
    ] = None,
    classes: Annotated[str, typer.Option("--classes", metavar="NAMES", help="Classes of quickdraw: a,b,c.")] = "",
    mirror: Annotated[str | None, typer.Option("--mirror", metavar="URL", help="Server to use instead.")] = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Parallel downloads.")] = 4,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep archives after unpacking.")] = False,
) -> None:
    """Download a data set from its official server and verify it.

    A mirror must have the official paths.

    Run the same command again to resume after an interruption.
    """
    from scenograph.cli.console import transfer_bar
    from scenograph.data.download import check_space, remote_files, sizes_of, through_mirror
    from scenograph.data.download import download as fetch

    collection, files = remote_files(name, [part.strip() for part in classes.split(",") if part.strip()])
    files = through_mirror(files, mirror) if mirror else files
    folder = make_folder(out or Path("downloads") / name)
    console.print(f"licence of {name}: {collection.licence}")
    sizes = sizes_of(files, workers)
    check_space(folder, files, sizes)
    with transfer_bar() as bar:
        task = bar.add_task(name, total=None if -1 in sizes else sum(sizes))
        fetch(folder, files, workers, lambda count: bar.advance(task, count), keep_archives)
    console.print(f"wrote {folder}")
    console.print(f"next: scenograph data pack {name} --root {folder} --out packs/{name}")


@app.command()
def push(
    folder: PackFolder,
    repository: Repository,
    private: Annotated[bool, typer.Option("--private", help="Make the data set private.")] = False,
) -> None:
    """Upload a pack to the Hugging Face Hub or to object storage.

    Check first that the licence of the source data allows it.
    """
    from scenograph.data.hub import push_pack

    console.print(f"wrote {push_pack(folder, repository, private)}")


@app.command()
def pull(
    repository: Repository,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Pack to write.")],
) -> None:
    """Download a pack from the Hugging Face Hub or object storage, and verify it."""
    from scenograph.data.hub import pull_pack

    pull_pack(repository, out)
    console.print(f"wrote {out}")


def _parse_options(kind: type[Options], overrides: list[str], name: str) -> Options:
    """``key=value`` pairs as the options of a source; lists are written with commas."""
    values: dict[str, Any] = {}
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"{override!r}: expected key=value; a folder goes after --root")
        field = kind.model_fields.get(key)
        is_list = field is not None and "tuple" in str(field.annotation)
        values[key] = [part.strip() for part in value.split(",")] if is_list else value
    return validate(kind, values, f"data set {name}")


def _shown(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _print_record(record: dict[str, Any]) -> None:
    for split, numbers in record["splits"].items():
        scenes, objects, relations = (numbers[name] for name in ("scenes", "objects", "relations"))
        console.print(f"  {split}: {scenes} scenes, {objects} objects, {relations} relations")
    for title, reasons in (("left out", record["dropped"]), ("noted", record["remarks"])):
        for reason, number in sorted(reasons.items(), key=lambda item: -item[1]):
            console.print(f"  {title}: {number:>7}  {reason}")
            for example in record["examples"].get(reason, []):
                console.print(f"{'':20}{example}")


def _print_vocabulary(vocabulary: Any) -> None:
    groups = vocabulary.attributes
    single = sum(len(names) == 1 for names in groups.values())
    attributes = f"{single} attributes" if single == len(groups) else f"attribute groups: {', '.join(groups)}"
    console.print(
        f"  vocabulary: {len(vocabulary.category_index)} categories, {len(vocabulary.predicate_index)} predicates, "
        f"{attributes if groups else 'no attributes'}",
    )


def _print_statistics(opened: Pack, split: str) -> None:
    """The most frequent names of a split, and how many objects have masks and sketches."""
    table = opened.table
    counts = [len(row) for row in table["categories"]]
    console.print(
        f"  {split}: {min(counts)} to {max(counts)} objects a scene, {sum(counts) / len(counts):.1f} on average"
    )
    for title, column in (("categories", "categories"), ("predicates", "relation_predicates")):
        common = Counter(name for row in table[column] for name in row).most_common(8)
        if common:
            console.print(f"  most frequent {title}: {', '.join(f'{n} {c}' for n, c in common)}")
    for title in ("masks", "sketches"):
        having = sum(bool(value) for row in table[title] for value in row)
        console.print(f"  objects with {title}: {having} of {sum(counts)}")
