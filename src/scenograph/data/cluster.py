"""Work spread over the workers of a Dask cluster (``--cluster ADDRESS``), through its ``concurrent.futures`` executor.

Workers share the file system of the command, at the same paths, and have the same version of this package. Dask gives
what a worker was doing when it died to another one; tasks leave whole results or none, so that nothing else is needed.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from scenograph.errors import UserError, missing_extra, reason
from scenograph.version import __version__

if TYPE_CHECKING:
    from distributed import Client

Result = TypeVar("Result")

log = logging.getLogger(__name__)

MOST = 10_000
"""Tasks that a scheduler is given; of more, several go together."""
PATIENCE = 10
"""Seconds to wait for the scheduler to answer."""

_alone = threading.Lock()
"""In a worker: tasks change folder and keep models, so one runs at a time, however many threads there are."""
_served: list[str] = []
"""In a worker: the command whose tasks it ran last, if any."""


def run_on_cluster(function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], address: str) -> Iterator[Result]:
    """Call a function for many tasks on the workers of a cluster.

    Args:
        function: Of a module of this package.
        tasks: The arguments of each call.
        address: Of the scheduler, such as ``tcp://10.0.0.1:8786``.

    Yields:
        Results, in the order in which they are finished.

    Raises:
        UserError: ``distributed`` is missing, no scheduler answers, workers differ from this machine, or a task kills
            every worker that runs it.
    """
    with _connected(address) as client:
        from distributed import KilledWorker

        if not client.scheduler_info()["workers"]:
            log.warning("the cluster %s has no workers yet; waiting for some", address)
        size = -(-len(tasks) // MOST) or 1
        groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
        executor = client.get_executor(pure=False)
        run = functools.partial(_run_tasks, secrets.token_hex(8), __version__, Path.cwd(), function)
        try:
            for future in as_completed([executor.submit(run, group) for group in groups]):
                yield from future.result()
        except KilledWorker as error:
            raise UserError(
                f"--cluster {address}: the same work killed several workers, probably for lack of memory ({error}); "
                "give workers more, or start fewer of them on a machine"
            ) from error
        except CancelledError as error:
            raise UserError(f"--cluster {address}: the scheduler stopped; the same command goes on") from error
        except (ModuleNotFoundError, RuntimeError) as error:
            missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
            if not isinstance(missing, ModuleNotFoundError):
                raise
            raise UserError(
                f"--cluster {address}: a package is missing there ({missing}); start its scheduler and its workers "
                "from an environment like this one"
            ) from error
        finally:
            executor.shutdown(wait=False)  # cancels what has not begun


def _connected(address: str) -> Client:
    """A client of the scheduler, which closes as a context. Raises ``UserError`` if there is none."""
    try:
        from distributed import Client
        from distributed.comm.addressing import get_address_host_port
    except ImportError as error:
        raise missing_extra("distributed", "cluster") from error
    logging.getLogger("distributed.client").setLevel(logging.ERROR)  # that a worker died, and its work is done again
    try:
        get_address_host_port(address)  # of what is none, a client complains once more when it is deleted
        return Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--cluster {address}: no Dask scheduler answers there ({reason(error)}); start one with: dask scheduler"
        ) from error


def _run_tasks(
    command: str, version: str, folder: Path, function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]]
) -> list[Result]:
    """In a worker: the results of some tasks, in the folder that the command was started in."""
    if version != __version__:
        raise UserError(
            f"the worker on {socket.gethostname()} has scenograph {__version__}, not {version}; install one version"
        )
    with _alone:
        try:
            os.chdir(folder)
        except OSError as error:
            raise UserError(
                f"the worker on {socket.gethostname()} has no folder {folder}: workers need the file system of this "
                "machine, at the same paths"
            ) from error
        if _served != [command]:
            _forget()
            _served[:] = [command]
        return [function(*task) for task in tasks]


def _forget() -> None:
    """Empty the caches of all modules: files may have changed since the last command, and names mean others here."""
    for name, module in [*sys.modules.items()]:
        if name.partition(".")[0] == "scenograph":
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()
