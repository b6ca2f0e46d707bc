"""One bounded queue with one thread that works it off: batches, newest first wins, cancelling, and a clean end."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

from scenograph.studio.server.metrics import Metrics
from scenograph.studio.server.problems import ServiceError

log = logging.getLogger(__name__)

MOST_TOGETHER = 8
"""Requests in a batch: more make the first of them wait longer than they save."""
SMOOTHING = 0.2
"""Weight of the last piece of work in the mean time of one."""

Work = Callable[[Sequence[Any]], Sequence[Any]]
"""From what is asked, one or several at once, to a result or an exception for each."""


class Ticket:
    """A place in the queue.

    Args:
        work: Does it.
        asked: What ``work`` gets.
        together: Tickets of equal ones, and of the same work, may be done in one batch; None is done alone.
        session: A newer ticket with the same one replaces this while it waits; None is never replaced.
        moved: Told the new place in the queue, from 0.
    """

    def __init__(
        self,
        work: Work,
        asked: Any,
        together: Hashable = None,
        session: Hashable = None,
        moved: Callable[[int], None] | None = None,
    ) -> None:
        self.work, self.asked, self.together, self.session, self.moved = work, asked, together, session, moved
        self.future: Future[Any] = Future()
        self.entered = time.monotonic()
        self.waited = 0.0
        """Seconds until it was taken up."""

    def joins(self, other: Ticket) -> bool:
        """Whether both may be done in one batch."""
        return self.together is not None and (self.work, self.together) == (other.work, other.together)


class WorkQueue:
    """Tickets that wait, and the thread that takes them up, in the order in which they came.

    Args:
        name: Of the thread, and in metrics.
        length: Most tickets that wait.
        metrics: Where to count.
    """

    def __init__(self, name: str, length: int, metrics: Metrics) -> None:
        self.name, self.length, self.metrics = name, length, metrics
        self._waiting: deque[Ticket] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._seconds = 0.1
        """Mean time of a piece of work."""
        self._thread = threading.Thread(target=self._run, name=f"studio-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, ticket: Ticket) -> Ticket:
        """Let a ticket wait. Raises ``ServiceError`` if the queue is full (429) or closing (503)."""
        with self._changed:
            if self._closing:
                raise shutting_down()
            if ticket.session is not None:
                for older in [other for other in self._waiting if other.session == ticket.session]:
                    self._waiting.remove(older)
                    _fail(older, ServiceError(409, "replaced", "a newer request of the same session replaced this one"))
                    self.metrics.count("replaced")
            if len(self._waiting) >= self.length:
                seconds = min(max(math.ceil(len(self._waiting) * self._seconds), 1), 60)
                self.metrics.count("refused")
                message = f"{len(self._waiting)} requests are waiting; ask again in {seconds} s"
                raise ServiceError(429, "queue_full", message, retry_after=seconds)
            self._waiting.append(ticket)
            self._tell_places()
            self._changed.notify()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Take a ticket out of the queue; what has been taken up goes on."""
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                self.metrics.count("cancelled")
                self._tell_places()
        ticket.future.cancel()

    def close(self, seconds: float = 0.0) -> None:
        """Refuse what waits and what comes, and wait up to so long for what has been taken up."""
        with self._changed:
            self._closing = True
            while self._waiting:
                _fail(self._waiting.popleft(), shutting_down())
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _run(self) -> None:
        while tickets := self._take():
            began = time.monotonic()
            for ticket in tickets:
                ticket.waited = began - ticket.entered
            try:
                results = tickets[0].work([ticket.asked for ticket in tickets])
            except Exception as error:
                results = [error] * len(tickets)
            for ticket, result in zip(tickets, results, strict=True):
                if isinstance(result, Exception):
                    ticket.future.set_exception(result)
                else:
                    ticket.future.set_result(result)
            seconds = time.monotonic() - began
            self._seconds += SMOOTHING * (seconds / len(tickets) - self._seconds)
            self.metrics.worked(self.name, len(tickets), seconds)

    def _take(self) -> list[Ticket]:
        """The next ticket and those that join it; none at the end."""
        with self._changed:
            while True:
                while not self._waiting:
                    if self._closing:
                        return []
                    self._changed.wait()
                first = self._waiting.popleft()
                taken = [first, *[other for other in self._waiting if first.joins(other)][: MOST_TOGETHER - 1]]
                for other in taken[1:]:
                    self._waiting.remove(other)
                self._tell_places()
                # A future that was cancelled in this moment is not worked on.
                if taken := [ticket for ticket in taken if ticket.future.set_running_or_notify_cancel()]:
                    return taken

    def _tell_places(self) -> None:
        for place, ticket in enumerate(self._waiting):
            if ticket.moved is not None:
                ticket.moved(place)


def one_by_one(work: Callable[[Any], Any]) -> Work:
    """Work on one thing as work on several."""

    def on_all(asked: Sequence[Any]) -> list[Any]:
        results: list[Any] = []
        for one in asked:
            try:
                results.append(work(one))
            except Exception as error:
                results.append(error)
        return results

    return on_all


def shutting_down() -> ServiceError:
    """The answer to what cannot be done any more."""
    return ServiceError(503, "shutting_down", "the service is shutting down", retry_after=5)


def _fail(ticket: Ticket, error: Exception) -> None:
    if ticket.future.set_running_or_notify_cancel():
        ticket.future.set_exception(error)
