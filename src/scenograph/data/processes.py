"""Work spread over processes, as packing and rendering do it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from scenograph.errors import UserError

Result = TypeVar("Result")


def run_in_processes(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[Result]:
    """Call a function for many tasks in several processes.

    An interrupt, or an exception from a task, stops the other processes at once: tasks must leave whole results
    or none.

    Args:
        function: Of a module, so that other processes can import it.
        tasks: The arguments of each call.
        workers: Processes; with one worker or one task everything runs in this process.

    Yields:
        Results, in the order in which they are finished.

    Raises:
        UserError: A process dies.
    """
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
