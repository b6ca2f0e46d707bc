"""What the package logs while it works for a request, for the answer to that request."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from scenograph.errors import NOTE
from scenograph.studio.server.problems import for_clients

_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


class _Collector(logging.Handler):
    """Gives messages to whoever collects them in this thread or task, and all others to the root logger's handlers."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        super().__init__()
        self.ids = ids

    def emit(self, record: logging.LogRecord) -> None:
        """As the base class wants it."""
        notes = _collected.get()
        if notes is None:
            logging.getLogger().handle(record)
        elif (message := for_clients(record.getMessage(), self.ids)) not in notes:
            notes.append(message)


@contextmanager
def notes_caught(ids: Mapping[str, str]) -> Iterator[None]:
    """While the service runs: remarks on what a request says go to its client, not to the service's terminal.

    ``ids`` are names for the paths that they may tell.
    """
    logger, handler = logging.getLogger("scenograph"), _Collector(ids)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(min(logger.getEffectiveLevel(), NOTE))
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


@contextmanager
def collecting() -> Iterator[list[str]]:
    """The messages that are logged inside, in this thread, each once."""
    notes: list[str] = []
    token = _collected.set(notes)
    try:
        yield notes
    finally:
        _collected.reset(token)
