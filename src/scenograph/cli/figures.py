"""How commands print figures, within the width of a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from scenograph.cli.console import console

if TYPE_CHECKING:
    from scenograph.evaluation.evaluate import Evaluated, Plan
    from scenograph.evaluation.figure import Figure
    from scenograph.pretrained.networks import Download

WIDTH = 80


def print_evaluated(evaluated: Evaluated) -> None:
    """Print what was measured, its notes, the figures in groups, and where the files are."""
    from scenograph.evaluation.summary import sentence

    print_wrapped(sentence(evaluated.report))
    print_figures(evaluated.figures, evaluated.report["notes"])
    for path in evaluated.paths:
        console.print(f"wrote {path}")


def print_plan(plan: Plan) -> None:
    """Print what an evaluation would do."""
    from scenograph.evaluation.evaluate import unmeasured

    protocol = plan.protocol
    print_wrapped(
        f"protocol {protocol.name}: {plan.layouts} scenes, {protocol.repeats} of each, given {protocol.given}"
    )
    print_wrapped(f"models: {', '.join(plan.models)}")
    print_wrapped(f"metrics: {', '.join(plan.metrics)}")
    _print_notes(unmeasured(plan.left_out))
    print_downloads(plan.downloads)


def print_downloads(downloads: Sequence[Download]) -> None:
    """Print what would be fetched, from where and to where."""
    for one in downloads:
        console.print(f"would download {one.name} ({one.size})")
        console.print(f"  from {one.url}")
        console.print(f"  to {one.folder}")


def print_figures(figures: Sequence[Figure], notes: Sequence[str]) -> None:
    """Each figure with its error and what it means, in groups, below what is to be noted."""
    from scenograph.evaluation.metrics import METRICS, metric_class

    _print_notes(notes)
    width = max((len(figure.name) for figure in figures), default=0) + 2
    for metric, group in groupby(figures, key=lambda figure: figure.metric):
        if metric in METRICS:
            console.print(Text(metric_class(metric).title or metric, "bold"))
        for figure in group:
            value = "-" if math.isnan(figure.value) else f"{figure.value:.4f}"
            error = f"± {figure.error:.4f}" if math.isfinite(figure.error) else ""
            print_wrapped("; ".join([figure.meaning, *figure.notes]), f"  {figure.name:<{width}}{value:>9} {error:<10}")


def print_wrapped(text: str, start: str = "") -> None:
    """A text in lines of at most :data:`WIDTH` characters, the first after ``start``, the others below the text."""
    room = max(WIDTH - len(start), 24)
    first, *others = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    console.print(f"{start}{first}")
    for line in others:
        console.print(" " * len(start) + line)


def _print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        first, *others = textwrap.wrap(note, WIDTH - 6, break_long_words=False, break_on_hyphens=False)
        console.print(Text("note:", "yellow"), first)
        for line in others:
            console.print(f"      {line}")
