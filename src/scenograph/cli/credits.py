"""``scenograph credits``: whom to name for a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenograph.cli.console import console, write_files
from scenograph.cli.options import Overwrite
from scenograph.errors import UserError


def credits_of(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURES", help="Generated PNG files.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Text file to write.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Print whom to name for what a picture was composed from."""
    from scenograph.pipelines.credits import picture_credits

    if out is not None and out.resolve() in [path.resolve() for path in pictures]:
        raise UserError(f"--out {out}: is the picture whose credits are asked for; name a text file")
    text = picture_credits(pictures)
    if out is None:
        console.print(text, end="")
        return
    write_files([(out, text.encode())], overwrite)
    console.print(f"wrote {out}")
