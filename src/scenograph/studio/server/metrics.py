"""What the service did, counted, in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

TOTALS = {
    "replaced": "Waiting requests that a newer one of the same session replaced.",
    "refused": "Requests refused because the queue was full.",
    "cancelled": "Requests that were cancelled, or whose clients vanished, while they waited.",
}


class Metrics:
    """Counters; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._totals: Counter[str] = Counter()
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._work: dict[str, list[float]] = {}
        """By queue: batches, requests, seconds."""

    def count(self, name: str) -> None:
        """One more of :data:`TOTALS`."""
        with self._lock:
            self._totals[name] += 1

    def answered(self, method: str, route: str, status: int) -> None:
        """One more answer."""
        with self._lock:
            self._answers[method, route, status] += 1

    def worked(self, queue: str, requests: int, seconds: float) -> None:
        """One more batch."""
        with self._lock:
            sums = self._work.setdefault(queue, [0, 0, 0.0])
            for place, value in enumerate((1, requests, seconds)):
                sums[place] += value

    def text(self, waiting: Mapping[str, int]) -> str:
        """All of it, with how many requests wait in each queue."""
        with self._lock:
            answers, totals = sorted(self._answers.items()), dict(self._totals)
            work = {name: list(sums) for name, sums in self._work.items()}
        lines = _heading("answers_total", "counter", "Answers by method, route and status.")
        for (method, route, status), count in answers:
            lines.append(f'scenograph_answers_total{{method="{method}",route="{route}",status="{status}"}} {count}')
        for name, about in TOTALS.items():
            lines += [*_heading(f"{name}_total", "counter", about), f"scenograph_{name}_total {totals.get(name, 0)}"]
        lines += _heading("waiting", "gauge", "Requests that wait, by queue.")
        lines += [f'scenograph_waiting{{queue="{name}"}} {count}' for name, count in waiting.items()]
        for place, (name, about) in enumerate(
            (
                ("batches_total", "Batches worked off, by queue."),
                ("worked_total", "Requests worked off, by queue."),
                ("work_seconds_total", "Seconds of work, by queue."),
            )
        ):
            lines += _heading(name, "counter", about)
            lines += [f'scenograph_{name}{{queue="{queue}"}} {sums[place]}' for queue, sums in work.items()]
        return "\n".join(lines) + "\n"


def _heading(name: str, kind: str, about: str) -> list[str]:
    return [f"# HELP scenograph_{name} {about}", f"# TYPE scenograph_{name} {kind}"]
