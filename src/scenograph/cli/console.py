"""How commands speak: one console, one progress bar, one way to read options that name several things."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from scenograph.errors import UserError, printable
from scenograph.files import would_replace, write_atomically

BATCH = 32
"""Scenes that are placed or rendered at once."""
SHOWN = 12
"""Files that are named one by one."""
Item = TypeVar("Item")


class PlainConsole(Console):
    """Prints text as it stands, for it holds names of files and things: no markup, nothing that steers the terminal.

    What is to stand out is a ``rich.text.Text``.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def print(self, *parts: Any, **options: Any) -> None:
        """As rich does."""
        super().print(*(printable(part) if isinstance(part, str) else part for part in parts), **options)


console, errors = PlainConsole(), PlainConsole(stderr=True)


def progress_bar() -> Progress:
    """A bar with count, elapsed and remaining time; on stderr, so that output can be piped."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def transfer_bar() -> Progress:
    """A bar of bytes: how many of how many, how fast, and the time that remains."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=errors, transient=True, disable=not errors.is_terminal)


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """Yield items under a progress bar."""
    with progress_bar() as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


def batches(items: Sequence[Item], description: str) -> Iterator[Sequence[Item]]:
    """Yield ``BATCH`` items at a time under a progress bar."""
    starts = range(0, len(items), BATCH)
    for start in track(starts, description, len(starts)):
        yield items[start : start + BATCH]


def parse_seeds(text: str) -> list[int]:
    """``0-15``, ``3`` or ``1,4,8-10`` to a list without repetitions."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        if not found:
            raise UserError(f"--seeds {text!r}: expected numbers and ranges, for example 0-15 or 1,4,8")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first >= 10_000:
            raise UserError(f"--seeds {text!r}: the range {part.strip()} must rise and hold at most 10000 seeds")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def write_files(files: Sequence[tuple[Path, bytes]], overwrite: bool) -> None:
    """Write all files, or none if one would replace a different file and ``overwrite`` is not set."""
    if not overwrite:
        for path, content in files:
            if path.exists() and path.read_bytes() != content:
                raise would_replace(path)
    for path, content in files:
        write_atomically(path, content)


def agreed(question: str) -> bool:
    """The answer to a question, yes or no; no where nobody can be asked."""
    return sys.stdin.isatty() and errors.is_terminal and typer.confirm(printable(question), err=True)


def say_written(pictures: Sequence[Path], others: Sequence[Path] = ()) -> None:
    """Name the files that were written; of many pictures the first and the last."""
    many = len(pictures) + len(others) > SHOWN
    for path in others[-SHOWN:] if many else [*pictures, *others]:
        console.print(f"wrote {path}")
    if many and pictures:
        console.print(f"wrote {len(pictures)} pictures, {pictures[0]} to {pictures[-1].name}")


@contextmanager
def evaluation_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for an evaluation, as the function that it reports to."""
    with progress_bar() as bar:

        def report(what: str, done: int, of: int) -> None:
            task = bar.task_ids[0] if bar.task_ids else bar.add_task(what)  # processes that report nothing show none
            bar.update(task, description=what, completed=done, total=of)

        yield report
