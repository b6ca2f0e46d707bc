"""How commands speak: one console, one progress bar, one way to read options that name several things."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

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
from rich.text import Text

from scenograph.errors import UserError, printable
from scenograph.files import would_replace, write_atomically

if TYPE_CHECKING:
    from scenograph.data.source import Progress as Reported
    from scenograph.evaluation.evaluate import Evaluated
    from scenograph.evaluation.figure import Figure

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


def say_written(pictures: Sequence[Path], others: Sequence[Path] = ()) -> None:
    """Name the files that were written; of many pictures the first and the last."""
    many = len(pictures) + len(others) > SHOWN
    for path in others[-SHOWN:] if many else [*pictures, *others]:
        console.print(f"wrote {path}")
    if many and pictures:
        console.print(f"wrote {len(pictures)} pictures, {pictures[0]} to {pictures[-1].name}")


def print_evaluated(evaluated: Evaluated) -> None:
    """Print the figures of an evaluation, its notes, and where its files are."""
    print_figures(evaluated.figures, evaluated.report["notes"])
    for path in evaluated.paths:
        console.print(f"wrote {path}")


@contextmanager
def evaluation_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar for an evaluation, as the function that it reports to."""
    with progress_bar() as bar:

        def report(what: str, done: int, of: int) -> None:
            task = bar.task_ids[0] if bar.task_ids else bar.add_task(what)  # processes that report nothing show none
            bar.update(task, description=what, completed=done, total=of)

        yield report


@contextmanager
def reporting() -> Iterator[Reported]:
    """A progress callback that shows what is being done and how far it is."""
    import datasets

    datasets.disable_progress_bars()  # ours says the same in one line
    with progress_bar() as bar:
        task = bar.add_task("starting", total=None)
        yield lambda what, done: bar.update(task, description=what, completed=done)


def print_figures(figures: Sequence[Figure], notes: Sequence[str]) -> None:
    """Each figure on a line, with its error and what it means, below what is to be noted."""
    for note in notes:
        console.print(Text("note:", "yellow"), note)
    width = max((len(figure.name) for figure in figures), default=0) + 2
    for figure in figures:
        error = f"± {figure.error:.4f}" if math.isfinite(figure.error) else ""
        meaning = "; ".join([figure.meaning, *figure.notes])
        console.print(f"  {figure.name:<{width}}{figure.value:>10.4f} {error:<11}{meaning}")
