"""The command ``scenograph``."""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError
from rich.text import Text

from scenograph.cli import (
    bench,
    cite,
    compose,
    credits,
    data,
    environment,
    evaluate,
    evaluate_search,  # noqa: F401 (adds commands to evaluate)
    export,
    generate,
    layout,
    memory,
    models,
    scene,
    search,
    train,
)
from scenograph.cli.console import console, errors
from scenograph.errors import EXTRAS, NOTE, UserError, missing_extra, readable, reason, rule_and_value
from scenograph.studio import commands as studio
from scenograph.version import __version__

app = typer.Typer(
    name="scenograph",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"scenograph {__version__}")
        raise typer.Exit


@app.callback()
def main(
    verbose: Annotated[bool, typer.Option("--verbose", help="Print log messages.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Turn scene graphs, layouts and text into images; train and evaluate models.

    Start with:  scenograph generate "red cube left of blue sphere"
    """
    logging.basicConfig(level=logging.INFO if verbose else NOTE, format="%(levelname)s: %(message)s")
    logging.getLogger("huggingface_hub").propagate = False  # it prints its messages itself: they would come twice


app.command("generate")(generate.generate)
app.command("layout")(layout.layout)
app.command("compose")(compose.compose)
app.add_typer(scene.app, name="scene")
app.add_typer(models.app, name="models")
app.command("train")(train.train)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bench.app, name="bench")
app.command("import")(models.import_checkpoint)
app.add_typer(export.app, name="export")
app.add_typer(data.app, name="data")
app.add_typer(memory.app, name="memory")
app.add_typer(search.app, name="search")
app.command("credits")(credits.credits_of)
app.command("cite")(cite.cite)
app.command("studio")(studio.studio)
app.command("serve")(studio.serve)
app.command("env")(environment.env)


def run() -> None:
    """Run the command line; bad input is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what a terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(app(prog_name=app.info.name, standalone_mode=False))
    except UserError as error:
        _refuse(str(error))
    except typer.TyperException as error:  # what the parser refuses
        if isinstance(error.__cause__, ValidationError):
            error.message = rule_and_value(error.__cause__.errors()[0])
        rule = error.format_message().removesuffix(".")
        if not rule:  # no command was named, and the help has been shown
            sys.exit(2)
        _refuse(f"{rule} (see {_command_named()} --help)")
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        _refuse(str(missing_extra(error.name, EXTRAS[error.name])))
    except BrokenPipeError as error:
        _end(error)
    except OSError as error:  # a full disk can strike wherever a library writes
        _refuse(f"{reason(error)}{f': {error.filename}' if error.filename else ''}")
    except SystemExit as stop:
        if stop.code == 130:  # typer's answer to Ctrl-C, which says nothing
            errors.print("interrupted; the same command goes on where it can")
        raise


def _end(error: BrokenPipeError) -> NoReturn:
    """Quietly where nobody reads the output any more, as after ``head``; else a pipe to another process broke."""
    try:
        sys.stdout.flush()
        _refuse(f"{reason(error)}: a process that this command needs is gone; run it again")
    except BrokenPipeError:
        os._exit(0)


def _command_named() -> str:
    """The command that was asked for, which the parser's errors do not always know."""
    names, command = [str(app.info.name)], typer.main.get_command(app)
    for word in sys.argv[1:]:
        below = getattr(command, "commands", {})
        if word in below:
            names.append(word)
            command = below[word]
    return " ".join(names)


def _refuse(message: str) -> NoReturn:
    errors.print(Text("error:", "red"), readable(message))
    sys.exit(2)
