"""``scenograph models`` and ``scenograph import``."""

from __future__ import annotations

import fnmatch
import shutil
import textwrap
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import console
from scenograph.errors import UserError, suggest
from scenograph.files import is_folder
from scenograph.models.published import IMPORTERS, import_published

if TYPE_CHECKING:
    from scenograph.scenes.vocabulary import Vocabulary

app = typer.Typer(no_args_is_help=True, help="List and describe models.")

WEIGHTS = "model.safetensors"
COMPOSES = (
    "Composes pictures of any layout of the picture-book world from drawings that ship; nothing in it is learned."
)


@app.command("list")
def list_models(
    which: Annotated[
        str, typer.Argument(metavar="PATTERN|FOLDER", help="Shipped names, such as 'mise*', or a folder of your own.")
    ] = "*",
    known: Annotated[
        str | None,
        typer.Option("--knows", metavar="WORDS", help="Only models that know these words, such as sheep,grass."),
    ] = None,
) -> None:
    """List the shipped models and renderers, or those in a folder, with their role and size.

    A model also knows words that stand for one of its names, as sky does for
    sky-other.
    """
    from scenograph.data.picture_book.atlas import ATLAS
    from scenograph.models.registry import summary_of
    from scenograph.pipelines.defaults import PUBLISHED
    from scenograph.scenes.synonyms import knows

    words = [word.strip().casefold() for word in (known or "").split(",") if word.strip()]
    named = _named(which)
    if words:
        named = {name: path for name, path in named.items() if all(knows(_names_of(path), word) for word in words)}
    if not named:
        these = "all of these words" if len(words) > 1 else "this word"
        raise UserError(f"--knows {known}: no model here knows {these}; {PUBLISHED}")
    found = {
        name: (_roles(path), _size(path / WEIGHTS), summary_of(path)) if path else ("renderer", _size(ATLAS), COMPOSES)
        for name, path in named.items()
    }
    width = max(len(name) for name in found) + 2
    for name, (role, size, summary) in found.items():
        console.print(f"{name:<{width}}{role:<16}{size:>8}  {summary}")


@app.command()
def info(model: Annotated[str, typer.Argument(metavar="MODEL", help="Shipped name, folder or Hub id.")]) -> None:
    """Print the settings, vocabulary and card of a model."""
    from scenograph.models.registry import find_model, model_vocabulary, read_config
    from scenograph.pipelines.defaults import COLLAGE

    if model == COLLAGE:
        _describe_collage()
        return
    folder = find_model(model, others=(COLLAGE,))
    kind, config = read_config(model)
    del config["vocabulary"]
    vocabulary = model_vocabulary(model)
    console.print(f"{folder}\nmodel {kind} ({_roles(folder)}), {_size(folder / WEIGHTS)}")
    for key, value in config.items():
        console.print(f"  {key}: {value}")
    _print_names("categories", vocabulary.category_index)
    _print_names("predicates", vocabulary.predicate_index)
    for group, names in vocabulary.attributes.items():
        _print_names(group, names)
    card = folder / "README.md"
    if card.is_file():
        console.print(f"\n{card.read_text(encoding='utf-8')}")


def import_checkpoint(
    system: Annotated[str, typer.Argument(metavar="SYSTEM", help=f"The published system: {', '.join(IMPORTERS)}.")],
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE", help="The authors' .pt or .pth file.")],
    vocabulary: Annotated[
        str | None,
        typer.Option(
            "--vocabulary",
            metavar="NAME",
            help="Category names, for systems whose files lack them.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Model folder to write. (default: STEM)")
    ] = None,
) -> None:
    """Convert a published checkpoint into a model folder.

    A vocabulary is coco-stuff, ade20k, cityscapes, a pack, or a JSON file: a
    list of names, a vocab.json or a vocabulary.json.
    """
    from scenograph.data.vocabularies import vocabulary_of

    if system not in IMPORTERS:
        raise UserError(f"unknown system {system!r} {suggest(system, IMPORTERS)}")
    folder = out or Path(checkpoint.stem)
    if folder.exists():
        raise UserError(f"{folder} exists; choose another --out")
    model = import_published(system, checkpoint, None if vocabulary is None else vocabulary_of(vocabulary))
    try:
        model.save_pretrained(folder)
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    parameters = sum(parameter.numel() for parameter in model.parameters())
    console.print(f"wrote {folder} ({system}, {parameters / 1e6:.1f} M parameters)")
    if model.roles:
        option = "--model" if len(model.roles) > 1 else f"--{model.roles[0]}"
        console.print(f"try: scenograph generate SCENE.json {option} {folder}")


def _named(which: str) -> dict[str, Path | None]:
    """Shipped models by a pattern, the collage among them, which has no folder; or those in a folder."""
    from scenograph.models.registry import models_in, shipped_models
    from scenograph.pipelines.defaults import COLLAGE

    if is_folder(which):
        own = models_in(Path(which))
        if not own:
            raise UserError(f"{which} holds no model folder, nor do the folders in it")
        return {**own}
    shipped: dict[str, Path | None] = {**shipped_models(), COLLAGE: None}
    found = {name: shipped[name] for name in sorted(shipped) if fnmatch.fnmatch(name, which)}
    if not found:
        raise UserError(f"no model matches {which!r} {suggest(which, shipped)}")
    return found


def _names_of(folder: Path | None) -> Vocabulary:
    """The vocabulary of a model, or of the collage."""
    from scenograph.models.registry import model_vocabulary
    from scenograph.pipelines.renderers.collage import CollageRenderer

    return CollageRenderer().vocabulary if folder is None else model_vocabulary(folder)


def _roles(folder: Path) -> str:
    from scenograph.models.base import EncodesScenes
    from scenograph.models.registry import MODELS, read_config

    kind = MODELS[read_config(folder)[0]]
    return " + ".join(kind.roles) or ("search" if issubclass(kind, EncodesScenes) else "measuring")


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"


def _print_names(title: str, names: Collection[str]) -> None:
    """All names of a vocabulary, on lines that a terminal shows whole."""
    text = f"{title} ({len(names)}): {', '.join(names)}"
    console.print(textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False))


def _describe_collage() -> None:
    """What the collage knows, and where its drawings come from."""
    from scenograph.data.picture_book.textures import TEXTURES
    from scenograph.pipelines.renderers.collage import SIDE, CollageRenderer

    renderer = CollageRenderer()
    atlas, names = renderer.atlas, renderer.vocabulary
    drawings = [entry.drawing for entries in atlas.entries.values() for entry in entries]
    console.print(f"{atlas.path}\n{renderer.name} (renderer), {_size(atlas.path)}\n{COMPOSES}")
    console.print(f"pictures of {SIDE} px, or of any --size; --layers writes their layers; give it as --image")
    _print_names("things", [name for name in names.categories if name in atlas.entries])
    _print_names("regions", [name for name in names.categories if name in TEXTURES and name not in atlas.entries])
    _print_names("predicates", names.predicates)
    for group, values in names.attributes.items():
        _print_names(group, values)
    console.print(f"drawings ({len(drawings)}):")
    for (author, licence), count in Counter((one.author, one.licence) for one in drawings).most_common():
        console.print(f"  {count} by {author}, {licence}")
