"""How commands speak: one console, one progress bar, one way to read options that name several things."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from scenograph.errors import UserError, printable
from scenograph.files import make_folder, would_replace, write_atomically

if TYPE_CHECKING:
    from scenograph.data.source import Progress as Reported

BATCH = 32
"""Scenes that are placed or rendered at once."""
SHOWN = 12
"""Files that are named one by one."""
LARGEST_SEED = 999_999_999
"""On the command line, where seeds become parts of file names."""
EVERY = 30.0
"""Seconds between two lines about progress, where it cannot be drawn."""
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

    def on_broken_pipe(self) -> None:
        """End well: whoever closed the pipe, such as ``head``, has read enough. rich would end with status 1."""
        with suppress(SystemExit):
            super().on_broken_pipe()
        raise SystemExit(0)


console, errors = PlainConsole(), PlainConsole(stderr=True)


class ProgressBar(Progress):
    """A bar on a terminal; elsewhere, in a log file for example, a line now and then. On stderr, apart from output."""

    def __init__(
        self, *columns: ProgressColumn, number: Callable[[float], str], unit: str = "", quiet: bool = False
    ) -> None:
        """``number`` writes counts and, with ``unit`` behind it, speeds; a ``quiet`` bar shows nothing."""
        drawn = errors.is_terminal and not quiet
        super().__init__(*columns, console=errors, transient=True, disable=not drawn, speed_estimate_period=120)
        self._number, self._unit, self._quiet, self._told = number, unit, quiet or drawn, self.get_time()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """As rich does."""
        super().update(task_id, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """As rich does."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        """A line about a task, if none was written for :data:`EVERY` seconds."""
        if self._quiet or self.get_time() - self._told < EVERY:
            return
        self._told = self.get_time()
        task = self._tasks[task_id]
        parts = [self._number(task.completed) + ("" if task.total is None else f" of {self._number(task.total)}")]
        parts[0] += self._unit
        if task.speed:
            parts.append(f"{self._number(task.speed)}{self._unit}/s")
        if task.time_remaining is not None:
            parts.append(f"{timedelta(seconds=task.time_remaining)} left")
        self.console.print(f"{task.description}: {', '.join(parts)}")


def progress_bar(unit: str = "", quiet: bool = False) -> ProgressBar:
    """Progress by count, with elapsed and remaining time. A ``unit``, such as " steps", follows numbers in lines."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return ProgressBar(*columns, TextColumn("eta"), TimeRemainingColumn(), number=_count, unit=unit, quiet=quiet)


def transfer_bar() -> ProgressBar:
    """Progress by bytes: how many of how many, how fast, and the time that remains."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return ProgressBar(*columns, TimeRemainingColumn(), number=lambda value: decimal(int(value)))


def _count(value: float) -> str:
    """Whole where it is large, with two digits where it is not."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


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
        found = re.fullmatch(r"\s*(\d{1,99})(?:\s*-\s*(\d{1,99}))?\s*", part)
        if not found:
            raise UserError(f"--seeds {text!r}: expected numbers and ranges, for example 0-15 or 1,4,8")
        first, last = int(found[1]), int(found[2] or found[1])
        if max(first, last) > LARGEST_SEED:
            raise UserError(f"--seeds {text!r}: {max(first, last)} is too large; seeds go to {LARGEST_SEED}")
        if last < first or last - first >= 10_000:
            raise UserError(f"--seeds {text!r}: the range {part.strip()} must rise and hold at most 10000 seeds")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))


def parse_names(texts: Iterable[str]) -> list[str]:
    """``a,b`` and ``c`` to a list without repetitions and empty names."""
    return list(dict.fromkeys(name for text in texts for part in text.split(",") if (name := part.strip())))


def parse_size(text: str) -> tuple[int, int]:
    """``512`` or ``640x384`` to width and height in pixels."""
    found = re.fullmatch(r"\s*(\d{1,9})(?:\s*[xX×]\s*(\d{1,9}))?\s*", text)
    if not found:
        raise UserError(f"--size {text!r}: expected pixels, for example 512, or width and height, 640x384")
    return int(found[1]), int(found[2] or found[1])


def write_files(files: Sequence[tuple[Path, bytes]], overwrite: bool) -> None:
    """Write all files, or none if one would replace a different file and ``overwrite`` is not set.

    Folders that are missing are made.
    """
    if not overwrite:
        for path, content in files:
            if path.exists() and path.read_bytes() != content:
                raise would_replace(path)
    for path, content in files:
        make_folder(path.parent)
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


def say_part(part: object, what: object) -> None:
    """Say that a part of some work is done, and what is next."""
    console.print(f"made part {part} of {what}; when all parts are made, repeat the command with --part merge")


@contextmanager
def progress_reports() -> Iterator[Callable[..., None]]:
    """Progress of work in several parts, as the function that it reports to: what is done, how much, and of how much.

    Of the last one is None where nobody knows; processes that report nothing show nothing.
    """
    with progress_bar() as bar:

        def report(what: str, done: int, of: int | None = None) -> None:
            if not bar.task_ids:
                bar.add_task(what, total=of)
            task = bar.tasks[0]
            if task.description != what:  # each part has a pace of its own
                bar.reset(task.id, description=what)
                task.total = of
            bar.update(task.id, completed=done, total=of)

        yield report


@contextmanager
def reporting() -> Iterator[Reported]:
    """As :func:`progress_reports`, of work with data sets."""
    import datasets

    datasets.disable_progress_bars()  # ours says the same in one line
    with progress_reports() as report:
        yield report
