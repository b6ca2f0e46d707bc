"""``scenograph cite``: what to cite."""

from __future__ import annotations

from typing import Annotated

import typer

from scenograph.cli.console import console
from scenograph.pipelines.citations import Format, citations


def cite(
    systems: Annotated[
        list[str] | None,
        typer.Argument(metavar="SYSTEM", help="Models or data sets, such as lama or coco.", show_default=False),
    ] = None,
    style: Annotated[Format, typer.Option("--format", help="How to write them.")] = "bibtex",
) -> None:
    """Print what to cite for systems and data sets; without a name, for all systems.

    Models of our own, such as mise, are cited as Scenograph, with the methods that
    they learn by. With --format cff, the works are the references in a CITATION.cff
    of Scenograph.
    """
    console.print(citations(systems or (), style), end="")
