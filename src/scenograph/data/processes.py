"""Work in independent pieces: which of them a command does, and who does them.

Packing, rendering, generating, evaluating, and building memories and indexes share this. Their pieces are the same
however many take part, each leaves a whole file or none, and a piece whose file is there is done. So processes of this
machine, workers of a cluster (``--cluster ADDRESS``) and jobs of any scheduler (``--part K/N``) make the same bytes,
and whoever is killed loses the piece in hand, which the next one makes again.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from scenograph.data.cluster import run_on_cluster
from scenograph.errors import UserError, counted

Result = TypeVar("Result")
Piece = TypeVar("Piece")

Workers = int | str
"""How many processes of this machine share the work, or the address of a Dask scheduler whose workers do."""


def part_of(count: int, part: int, parts: int) -> range:
    """The numbers of the pieces in one of ``parts`` equal parts of ``count``; parts are numbered from 1."""
    return range(count * (part - 1) // parts, count * part // parts)


@dataclass(frozen=True)
class Part:
    """What a command does of its work: all of it, one of several parts, or merging what the parts made."""

    number: int = 1
    """From 1."""
    count: int = 1
    merges: bool = False

    def __str__(self) -> str:
        return "merge" if self.merges else f"{self.number}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """``3/16`` or ``merge``. Raises ``UserError`` for anything else."""
        if text == "merge":
            return cls(merges=True)
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise UserError(f"--part {text!r}: expected K/N with K from 1 to N, such as 3/16, or merge")
        return cls(int(found[1]), int(found[2]))

    @property
    def finishes(self) -> bool:
        """Whether the pieces are put together at the end, all of them being there."""
        return self.count == 1

    @property
    def lock(self) -> str:
        """The name of its lock in the folder of the work, in which the other parts may be at work, too."""
        return ".lock" if self.finishes else f".lock-{self.number}-of-{self.count}"

    def numbers(self, count: int) -> range:
        """The numbers of its pieces, of ``count``."""
        return part_of(count, self.number, self.count)

    def left(self, pieces: Sequence[Piece], is_done: Callable[[Piece], bool], what: str) -> list[Piece]:
        """The pieces that are to be made now: its own that are not done.

        Raises ``UserError``, which begins with ``what`` they are pieces of, if it merges and some are missing.
        """
        left = [number for number in self.numbers(len(pieces)) if not is_done(pieces[number])]
        if self.merges and left:
            shown = ", ".join(str(number + 1) for number in left[:8]) + (", ..." if len(left) > 8 else "")
            raise UserError(
                f"{what}: {len(left)} of {counted(len(pieces), 'piece')} not made yet (number {shown}); run again the "
                "--part K/N that stopped, or the command without --part, which makes what is missing"
            )
        return [pieces[number] for number in left]


WHOLE = Part()


def run_in_processes(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], workers: Workers
) -> Iterator[Result]:
    """Call a function for many tasks in several processes, of this machine or of a cluster.

    An interrupt, or an exception from a task, stops the other processes at once: tasks must leave whole results
    or none.

    Args:
        function: Of a module, so that other processes can import it.
        tasks: The arguments of each call.
        workers: Processes; with one worker or one task everything runs in this process. Or the address of a cluster.

    Yields:
        Results, in the order in which they are finished.

    Raises:
        UserError: A process dies, or see :func:`~scenograph.data.cluster.run_on_cluster`.
    """
    if isinstance(workers, str):
        yield from run_on_cluster(function, tasks, workers) if tasks else ()
        return
    if workers == 1 or len(tasks) < 2:
        yield from (function(*task) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(tasks)), mp_context=context, initializer=_exit_with_parent)
    others = set(multiprocessing.active_children())
    try:
        for future in as_completed([pool.submit(function, *task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError("a worker process died, probably for lack of memory; use fewer --workers") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()


def _exit_with_parent() -> None:
    """In a worker: exit when the main process is gone, for example after kill -9, instead of waiting for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
