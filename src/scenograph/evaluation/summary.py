"""An evaluation in words: what was measured, on what, and how figures are written; the same in every form of report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scenograph.evaluation.metrics import METRICS, metric_class
from scenograph.evaluation.protocols import TOLD

HEADLINES = 4
"""Figures at the head of a report."""
Row = Mapping[str, Any]
"""A figure as a report holds it."""


def title(report: Mapping[str, Any]) -> str:
    """The names of what was measured."""
    return " + ".join(str(row["name"]) for row in report["models"].values()) or "pictures"


def sentence(report: Mapping[str, Any]) -> str:
    """What was measured, on what, in a sentence."""
    protocol, count = report["protocol"], report["data"]["layouts"]
    given = TOLD[protocol["given"]]
    roles, repeats = report["models"].keys(), protocol["repeats"]
    if "pictures" in roles:
        what = "Pictures made elsewhere"
    elif roles == {"layout"}:
        what = "Layouts predicted from scene graphs"
    else:
        what = f"Pictures generated from {given}"
    each = "" if repeats == 1 else f", {repeats} of each"
    scenes = f"{count:,} scene{'' if count == 1 else 's'}"
    return f"{what}: {scenes} of {data(report)}{each}, measured by protocol {protocol['name']}."


def data(report: Mapping[str, Any]) -> str:
    """The data and its splits."""
    found, splits = report["data"], ", ".join(report["protocol"]["splits"])
    options = ", ".join(f"{key}={value}" for key, value in found.get("options", {}).items() if key == "preset")
    return f"{found.get('source')}{f' ({options})' if options else ''}, split {splits}"


def headline(report: Mapping[str, Any]) -> list[Row]:
    """The few figures that matter: the most telling one of each metric, then the next ones; defined ones alone."""
    rows = {row["name"]: row for row in report["figures"] if row["value"] is not None}
    names = list(dict.fromkeys(row.get("metric", "") for row in rows.values()))
    wanted = [[name for name in metric_class(one).headline if name in rows] for one in names if one in METRICS]
    ranked = [names[place] for place in range(HEADLINES) for names in wanted if len(names) > place]
    return [rows[name] for name in list(dict.fromkeys(ranked))[:HEADLINES]]


def groups(report: Mapping[str, Any]) -> list[tuple[str, list[Row]]]:
    """All figures by what they tell of: a title, and the rows."""
    found: dict[str, list[Row]] = {}
    for row in report["figures"]:
        metric = row.get("metric", "")
        found.setdefault((metric_class(metric).title if metric in METRICS else "") or metric, []).append(row)
    return list(found.items())


def number(value: float | None) -> str:
    """A figure's value; a dash if it is not defined."""
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def value_and_error(row: Row) -> str:
    """A figure with its standard error."""
    return number(row["value"]) + ("" if row["error"] is None else f" ± {row['error']:.4f}")


def interval(row: Row) -> str:
    """The 95 % interval of a figure, if there is one."""
    if row["error"] is None or row["value"] is None:
        return ""
    low, high = (row["value"] + sign * 1.96 * row["error"] for sign in (-1, 1))
    if row["share"]:
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{low:.4f} to {high:.4f}"


def meaning(row: Row) -> str:
    """What a figure means, and what is to be noted of it."""
    return "; ".join([row["meaning"], *row["notes"]])


def setting(value: object) -> str:
    """A setting of a protocol."""
    return "all" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def weights(model: Mapping[str, str]) -> str:
    """The start of a model's digest, and the precision it rendered in, if not float32."""
    return ", ".join([model["digest"][:12], *([model["precision"]] if "precision" in model else [])])


def networks(figures: Sequence[Row]) -> list[str]:
    """A line per network that measured: the checksum of its weights, and its figures."""
    found: dict[str, list[str]] = {}
    for row in figures:
        if row["weights"]:
            found.setdefault(row["weights"], []).append(row["name"])
    return [f"Measured with weights {digest}: {', '.join(names)}." for digest, names in found.items()]
