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
from scenograph.models.published import IMPORTERS, import_published

app = typer.Typer(no_args_is_help=True, help="List and describe models.")


@app.command("list")
def list_models(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Names to list, such as 'mise*'.")] = "*",
) -> None:
    """List the shipped models with their role and size."""
    from scenograph.models.registry import shipped_models

    found = {name: path for name, path in shipped_models().items() if fnmatch.fnmatch(name, pattern)}
    if not found:
        raise UserError(f"no model matches {pattern!r} {suggest(pattern, shipped_models())}")
    width = max(len(name) for name in found) + 2
    for name, folder in found.items():
        console.print(f"{name:<{width}}{_roles(folder):<16}{_size(folder):>8}  {_summary(folder)}")


@app.command()
def info(model: Annotated[str, typer.Argument(metavar="MODEL", help="Shipped name, folder or Hub id.")]) -> None:
    """Print the settings, vocabulary and card of a model."""
    from scenograph.models.registry import find_model, read_config
    from scenograph.scenes.vocabulary import Vocabulary

    folder = find_model(model)
    kind, config = read_config(model)
    vocabulary = Vocabulary.from_dict(config.pop("vocabulary"))
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
    if model.roles:
        option = "--model" if len(model.roles) > 1 else f"--{model.roles[0]}"
        console.print(f"try: scenograph generate SCENE.json {option} {folder}")


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
