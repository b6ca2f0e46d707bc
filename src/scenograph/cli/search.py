"""``scenograph search``: make the scenes of a pack searchable, and search them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from scenograph.cli.console import console, reporting, say_part, write_files
from scenograph.cli.options import Cluster, Overwrite, PartName, Workers, shared_work
from scenograph.cli.scene import is_file_of_scenes, load_file
from scenograph.errors import UserError, counted

if TYPE_CHECKING:
    from scenograph.retrieval.scene_search import Found, SceneIndex
    from scenograph.scenes.scene import Scene

FIND = "INDEX"
"""The name of the command that searches, as the help shows it: an index stands in its place."""


class SearchGroup(TyperGroup):
    """Commands, of which the one that searches is not named: what is no command is an index."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer does."""
        named = args and (args[0].startswith("-") or (args[0] in self.commands and args[0] != FIND))
        return super().parse_args(ctx, args if named or not args else [FIND, *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """As typer does; the usage of the command that searches does not name it."""
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == FIND else name, command, rest


app = typer.Typer(cls=SearchGroup, no_args_is_help=True)

IndexFolder = Annotated[Path, typer.Argument(metavar="INDEX", help="Folder of an index.")]


@app.callback()
def search() -> None:
    """Find the scenes of a pack that match a sketch, a text, a layout or a picture.

    Start with:  scenograph search build --pack PACK --out book.index
    then:  scenograph search book.index --scene "dog left of tree"

    All ways to search:  scenograph search INDEX --help
    """


@app.command()
def build(
    pack: Annotated[Path, typer.Option("--pack", metavar="PACK", help="Folder of a pack.")],
    out: Annotated[Path, typer.Option("--out", metavar="INDEX", help="Folder to write.")],
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Split of the pack.")] = "train",
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", metavar="MODEL", help="Model that compares looks, such as scene-search-picture-book."
        ),
    ] = None,
    author: Annotated[str, typer.Option("--author", metavar="NAME", help="Author of pictures that name none.")] = "",
    licence: Annotated[str, typer.Option("--licence", metavar="NAME", help="Licence of pictures that name none.")] = "",
    workers: Workers = None,
    cluster: Cluster = None,
    part: PartName = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the scenes of a pack searchable.

    Run the same command again to resume after an interruption.
    """
    from scenograph.retrieval.scene_build import build_index

    sharing, own = shared_work(workers, cluster, part)
    with reporting() as progress:
        record = build_index(out, pack, split, encoder, licence, author, sharing, overwrite, progress, own)
    if record is None:
        say_part(own, str(out))
        return
    console.print(f"wrote {out}: {record.scenes} scenes of {len(record.categories)} categories")
    for why, count in record.dropped.items():
        console.print(Text("left out:", "yellow"), f"{why}: {count}, such as {'; '.join(record.examples[why])}")
    console.print(f'search it: scenograph search {out} --scene "{next(iter(record.categories))}" --out strip.png')


@app.command(FIND)
def find(
    folder: IndexFolder,
    scene: Annotated[
        str | None, typer.Option("--scene", metavar="SCENE", help='Scene file (.json), or text as "dog left of tree".')
    ] = None,
    sketch: Annotated[
        str | None,
        typer.Option("--sketch", metavar="FILE", help="Drawing (.svg, .ndjson, .jpg), or scene file with sketches."),
    ] = None,
    picture: Annotated[
        str | None, typer.Option("--picture", metavar="FILE", help="Picture of the pack, or one made by scenograph.")
    ] = None,
    like: Annotated[str | None, typer.Option("--like", metavar="ID", help="Scenes like this one of the index.")] = None,
    crops: Annotated[
        list[str] | None,
        typer.Option("--crop", metavar="OBJECT=FILE", help="Looks of an object, by number or name. Repeatable."),
    ] = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, max=1000, help="Scenes at most.")] = 20,
    category: Annotated[str, typer.Option("--category", metavar="A,B", help="Only scenes that also show these.")] = "",
    licence: Annotated[str, typer.Option("--licence", metavar="A,B", help="Only scenes under these licences.")] = "",
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="S", min=0, max=1, help="Lowest score, from 0 to 1.")
    ] = 0.0,
    out: Annotated[
        list[Path] | None, typer.Option("--out", metavar="FILE", help="Strip (.png) or results (.json). Repeatable.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Find scenes, the best first, and say which objects match.

    A sketch, a scene, a picture or an id says what to look for.
    """
    from scenograph.retrieval.scene_search import SceneIndex

    asked = [name for name, value in _named(scene, sketch, picture, like).items() if value is not None]
    if len(asked) > 1 or not (asked or crops):
        raise UserError("give one of --scene, --sketch, --picture and --like, or crops with --crop NAME=FILE")
    if crops and asked and asked[0] in ("--picture", "--like"):
        raise UserError(f"{asked[0]} and --crop: a picture has its own looks; give a scene with --scene")
    for path in out or ():
        if path.suffix not in (".png", ".json"):
            raise UserError(f"--out {path}: expected a file that ends in .png or .json")
    index = SceneIndex.open(folder)
    if changed := index.changed_pack():
        console.print(Text("note:", "yellow"), f"{changed}; what is found is as it was when {folder} was built")
    options: dict[str, Any] = {"categories": _listed(category), "licences": _listed(licence), "threshold": threshold}
    if like is not None:
        found = index.like(like, top, **options)
    elif picture is not None:
        found = index.like_picture(picture, top=top, **options)
    else:
        found = index.search(_asked(index, scene, sketch, crops or []), top, **options)
    if not found:
        raise UserError(_nothing(found, folder, threshold))
    _print(found)
    files = [(path, _content(found, path, index)) for path in out or ()]
    write_files(files, overwrite)
    for path, _ in files:
        console.print(f"wrote {path}")


def _named(*values: str | None) -> dict[str, str | None]:
    return dict(zip(("--scene", "--sketch", "--picture", "--like"), values, strict=True))


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _asked(index: SceneIndex, scene: str | None, sketch: str | None, crops: list[str]) -> Scene:
    """The scene of --scene or --sketch, with the crops."""
    from scenograph.pipelines.given_crops import with_given_crops
    from scenograph.scenes.lexicon import CATEGORIES
    from scenograph.scenes.scene import Scene, SceneObject
    from scenograph.scenes.synonyms import name_for

    def known(name: str) -> str:
        return name_for(name, CATEGORIES, index.record.categories) or name

    source = scene if sketch is None else sketch
    asked = Scene(())
    if source is not None:
        if sketch is None and not is_file_of_scenes(source):
            asked = index.read(source)
        else:
            asked, *more = load_file(source)
            if more:
                raise UserError(f"{source} holds {1 + len(more)} scenes; give a file of one")
    if sketch is not None and all(thing.sketch is None for thing in asked.objects):
        raise UserError(f"{sketch}: no object has a sketch; add strokes, or give it with --scene")
    numbered = []
    for option in crops:
        name, equals, file = option.partition("=")
        if name and equals and not re.fullmatch(r"\d+", name):  # the first of this name, or one more object
            same = (i for i, thing in enumerate(asked.objects) if known(thing.category) == known(name))
            number = next(same, len(asked.objects))
            if number == len(asked.objects):
                asked = Scene((*asked.objects, SceneObject(name)), asked.relations)
            option = f"{number}={file}"  # noqa: PLW2901
        numbered.append(option)
    if not asked.objects:
        raise UserError(f"--crop {crops[0]!r}: there is no scene yet; give one with --scene, or a name, as dog=dog.png")
    (asked,) = with_given_crops([asked], numbered)
    if not index.record.encoder and any(thing.crop is not None or thing.sketch is not None for thing in asked.objects):
        console.print(
            Text("note:", "yellow"),
            "the index has no encoder, so sketches and crops count by their names and boxes alone; "
            "build it with --encoder to compare looks",
        )
    return asked


def _nothing(found: Found, folder: Path, threshold: float) -> str:
    """Why nothing was found."""
    best = found.nearest
    if best is None:
        return f"{folder}: no scene is left by --category and --licence; ask for less"
    return f"{folder}: no scene reaches --threshold {threshold:g}; the best one, {best.id}, has {best.score:.2f}"


def _print(found: Found) -> None:
    """A line for each scene, and why it was found."""
    for rank, hit in enumerate(found, start=1):
        copies = f", {counted(len(hit.copies), 'near-duplicate')} folded" if hit.copies else ""
        licence = f"  {hit.stored.licence}" if hit.stored.licence else ""
        console.print(Text(f"{rank:3}  {hit.score:.3f}  {hit.id}{licence}{copies}", "bold"))
        console.print(f"     {found.why(hit)}")


def _content(found: Found, path: Path, index: SceneIndex) -> bytes:
    """The content of a file of results."""
    import io

    if path.suffix == ".json":
        record = index.record
        about = {"index": str(index.folder), "pack": record.pack, "split": record.split, "encoder": record.encoder}
        return (json.dumps(about | found.to_dict(), indent=1) + "\n").encode()
    stream = io.BytesIO()
    found.sheet.save(stream, "PNG")
    return stream.getvalue()
