"""Jobs: work whose events a client watches as they happen."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.work_queue import Ticket

MOST_JOBS = 128
"""Jobs that are remembered."""
REMEMBERED = 600.0
"""Seconds for which a finished job is, for clients whose connection broke."""
LAST = ("done", "failed")
"""Events that end a job."""
PING = 15.0
"""Seconds after which a comment is sent where nothing happens, so that a vanished client is noticed."""


class Job:
    """Events of a piece of work, and whether it was cancelled. Events may be told from any thread."""

    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(16)
        self.ticket: Ticket | None = None
        self.finished_at: float | None = None
        self._events: list[tuple[str, str]] = []
        self._cancelled = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def say(self, name: str, data: dict[str, Any]) -> None:
        """Tell an event; of previews, and of places in the queue, only the newest is kept. Nothing follows the last."""
        if self.finished_at is not None:
            return
        if name in LAST:
            self.finished_at = time.monotonic()
        if name in ("preview", "queued") and self._events and self._events[-1][0] == name:
            self._events.pop()
        self._events.append((name, json.dumps(data)))
        self._loop.call_soon_threadsafe(self._wake)

    def check(self) -> None:
        """Raise ``ServiceError`` if the job was cancelled."""
        if self._cancelled.is_set():
            raise cancelled()

    def cancel(self) -> None:
        """End it: at once if it waits, else after its present stage."""
        self._cancelled.set()
        self.say("failed", cancelled().body)

    async def events(self) -> AsyncIterator[str]:
        """All events from the first on, as server-sent ones, up to the last."""
        told = 0
        while True:
            more = self._more
            for name, data in self._events[told:]:
                told += 1
                yield f"id: {told}\nevent: {name}\ndata: {data}\n\n"
                if name in LAST:
                    return
            try:
                await asyncio.wait_for(more.wait(), PING)
            except TimeoutError:
                yield ": waiting\n\n"

    def _wake(self) -> None:
        self._more, before = asyncio.Event(), self._more
        before.set()


class Jobs:
    """Jobs by their ids, which only those know who made them."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def add(self, job: Job) -> None:
        """Remember a job. Raises ``ServiceError`` if there are too many that are not finished."""
        now = time.monotonic()
        for name, old in list(self._jobs.items()):
            if old.finished_at is not None and (len(self._jobs) >= MOST_JOBS or now - old.finished_at > REMEMBERED):
                del self._jobs[name]
        if len(self._jobs) >= MOST_JOBS:
            raise ServiceError(429, "queue_full", "too many jobs are not finished", retry_after=5)
        self._jobs[job.id] = job

    def forget(self, job: Job) -> None:
        """Forget a job."""
        self._jobs.pop(job.id, None)

    def find(self, name: str) -> Job:
        """A job by its id. Raises ``ServiceError`` if there is none."""
        if name not in self._jobs:
            raise ServiceError(404, "unknown_job", "no such job: it was never begun, or finished long ago", "id")
        return self._jobs[name]


def cancelled() -> ServiceError:
    """The end of a job that its client cancelled."""
    return ServiceError(409, "cancelled", "the job was cancelled")
