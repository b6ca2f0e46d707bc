"""``scenograph export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenograph.cli.console import console
from scenograph.errors import UserError

app = typer.Typer(no_args_is_help=True, help="Export models for other runtimes.")


@app.callback()
def export() -> None:
    """Export models for other runtimes."""


@app.command("onnx")
def export_as_onnx(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Shipped name, folder or Hub id.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to write. (default: NAME-onnx)")
    ] = None,
) -> None:
    """Write a model as ONNX graphs, for ONNX Runtime, browsers and OpenVINO.

    Numbers of objects, relations and pictures stay free. model.json beside the
    graphs says what goes in, what comes out, and the steps from one to the
    other.
    """
    from scenograph.models.onnx_files import export_onnx
    from scenograph.models.registry import AutoModel
    from scenograph.pipelines.defaults import COLLAGE

    if model == COLLAGE:
        raise UserError(f"{COLLAGE} composes pictures from drawings: there is no network to export; choose a model")
    folder = out or Path(f"{Path(model).name}-onnx")
    files = export_onnx(AutoModel.from_pretrained(model, others=(COLLAGE,)), folder)
    for path in files:
        console.print(f"{path.name:<24}{path.stat().st_size / 1e6:>7.1f} MB")
    console.print(f"wrote {folder}: {files[-1].name} says how the graphs are used")
