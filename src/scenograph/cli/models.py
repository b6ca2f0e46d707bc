"""``scenograph models`` and ``scenograph import``."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Collection
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from scenograph.cli.console import console
from scenograph.errors import UserError, suggest
from scenograph.files import is_folder
from scenograph.models.published import IMPORTERS, import_published

app = typer.Typer(no_args_is_help=True, help="List and describe models.")


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
    """List the shipped models, or those in a folder, with their role and size.

    A model also knows words that stand for one of its names, as sky does for
    sky-other.
    """
    from scenograph.models.registry import model_vocabulary
    from scenograph.pipelines.defaults import PUBLISHED
    from scenograph.scenes.synonyms import knows

    found = _named(which)
    words = [word.strip().casefold() for word in (known or "").split(",") if word.strip()]
    found = {name: path for name, path in found.items() if all(knows(model_vocabulary(path), word) for word in words)}
    if not found:
        these = "all of these words" if len(words) > 1 else "this word"
        raise UserError(f"--knows {known}: no model here knows {these}; {PUBLISHED}")
    width = max(len(name) for name in found) + 2
    for name, folder in found.items():
        console.print(f"{name:<{width}}{_roles(folder):<16}{_size(folder):>8}  {_summary(folder)}")


@app.command()
def info(model: Annotated[str, typer.Argument(metavar="MODEL", help="Shipped name, folder or Hub id.")]) -> None:
    """Print the settings, vocabulary and card of a model."""
    from scenograph.models.registry import find_model, model_vocabulary, read_config

    folder = find_model(model)
    kind, config = read_config(model)
    del config["vocabulary"]
    vocabulary = model_vocabulary(model)
    console.print(f"{folder}\nmodel {kind} ({_roles(folder)}), {_size(folder)}")
    for key, value in config.items():
        console.print(f"  {key}: {value}")
    console.print(f"categories {_some(vocabulary.category_index)}")
    console.print(f"predicates {_some(vocabulary.predicate_index)}")
    for group, names in vocabulary.attributes.items():
        console.print(f"{group} {_some(names)}")
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
    option = "--model" if len(model.roles) > 1 else f"--{model.roles[0]}"
    console.print(f"try: scenograph generate SCENE.json {option} {folder}")


def _named(which: str) -> dict[str, Path]:
    """Shipped models by a pattern, or those in a folder."""
    from scenograph.models.registry import models_in, shipped_models

    if is_folder(which):
        found = models_in(Path(which))
        if not found:
            raise UserError(f"{which} holds no model folder, nor do the folders in it")
        return found
    found = {name: path for name, path in shipped_models().items() if fnmatch.fnmatch(name, which)}
    if not found:
        raise UserError(f"no model matches {which!r} {suggest(which, shipped_models())}")
    return found


def _roles(folder: Path) -> str:
    from scenograph.models.registry import MODELS, read_config

    return " + ".join(MODELS[read_config(folder)[0]].roles) or "measuring"


def _size(folder: Path) -> str:
    return f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB"


def _summary(folder: Path) -> str:
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    return next((line for line in lines if line and not line.startswith(("#", "-", "`"))), "")


def _some(names: Collection[str], limit: int = 20) -> str:
    return f"({len(names)}): {', '.join(islice(names, limit))}{', ...' if len(names) > limit else ''}"
