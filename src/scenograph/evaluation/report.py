"""The report of an evaluation: ``report.json``, and the same to read, as Markdown and as a page with pictures.

Reports are compared only where protocol, data and networks agree; what differs is named and explained.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict

from scenograph.errors import UserError, shortened, unreadable, validate
from scenograph.evaluation import summary
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.page import Exhibit, as_html
from scenograph.evaluation.protocols import EXPLANATIONS, Protocol
from scenograph.files import parse_json, read_json, write_atomically
from scenograph.version import __version__


def make_report(
    protocol: Protocol, data: dict[str, Any], models: dict[str, Any], figures: Sequence[Figure], notes: Sequence[str]
) -> dict[str, Any]:
    """Everything that a number depends on, beside the numbers."""
    return {
        "scenograph": __version__,
        "torch": torch.__version__,
        "protocol": {**protocol.recorded(), "fingerprint": protocol.fingerprint},
        "data": data,
        "models": models,
        "notes": list(notes),
        "figures": [
            {**asdict(figure), "value": _finite(figure.value), "error": _finite(figure.error)} for figure in figures
        ],
    }


def write_report(
    folder: Path,
    report: dict[str, Any],
    exhibits: Sequence[Exhibit],
    curves: Mapping[str, Sequence[tuple[float, float]]],
) -> list[Path]:
    """``report.json``, ``report.md`` and ``report.html``; returns their paths."""
    paths = []
    for name, text in (
        ("report.json", json.dumps(report, indent=1) + "\n"),
        ("report.md", as_markdown(report)),
        ("report.html", as_html(report, exhibits, curves)),
    ):
        paths.append(write_atomically(folder / name, text.encode()))
    return paths


def _defined(value: float | None) -> float | None:
    """Older reports hold NaN where a figure is not defined."""
    return None if value is None else _finite(value)


class _Row(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    value: Annotated[float | None, AfterValidator(_defined)]
    error: Annotated[float | None, AfterValidator(_defined)]
    weights: str
    version: int = 1


class _Report(BaseModel):
    """What comparing needs of a report; the rest stays as it is."""

    model_config = ConfigDict(extra="allow")

    protocol: dict[str, Any]
    data: dict[str, Any]
    models: dict[str, dict[str, str]]
    figures: list[_Row]


def read_report(path: Path) -> dict[str, Any]:
    """A report by its file or folder; ``UserError`` if it is none."""
    file = path / "report.json" if path.is_dir() else path
    if not file.exists():
        raise UserError(f"cannot read {file}: No such file or directory; make it with: scenograph evaluate")
    try:
        value = read_json(file)
    except UserError as error:
        raise UserError(f"{file}: not a report of scenograph evaluate: {error}") from error
    return validate(_Report, value, f"{file}: not a report of scenograph evaluate").model_dump()


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Why two reports cannot be compared, one line each; empty if they can."""
    lines = []
    for name, why in EXPLANATIONS.items():
        default = Protocol.model_fields[name].default  # of a setting that an older report does not know
        one, other = (report["protocol"].get(name, default) for report in (first, second))
        if one != other:
            lines.append(f"{name}: {summary.setting(one)} against {summary.setting(other)}: {why}")
    if first["data"].get("files") != second["data"].get("files"):
        one, other = (summary.data(report) for report in (first, second))
        lines.append(f"data: {one} against {other}: other pictures are compared with")
    elif first["data"].get("layouts") != second["data"].get("layouts"):
        one, other = (report["data"].get("layouts") for report in (first, second))
        lines.append(f"number of layouts: {one} against {other}: FID falls with the number of pictures")
    rows = [{row["name"]: row for row in report["figures"]} for report in (first, second)]
    common = sorted(rows[0].keys() & rows[1].keys())
    if unlike := [name for name in common if rows[0][name]["weights"] != rows[1][name]["weights"]]:
        lines.append(f"weights of the measuring network ({', '.join(unlike)}): two networks measure two things")
    for name in common:
        one, other = (each[name].get("version", 1) for each in rows)
        if one != other:
            lines.append(f"{name}: definition {one} against {other}: what it counts has changed since")
    return lines


def compare(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> str:
    """Both reports' figures side by side as a Markdown table, with the difference and whether it is clear.

    A difference is clear if it is more than twice its standard error.
    """
    rows = {row["name"]: row for row in first["figures"]}
    others = {row["name"]: row for row in second["figures"]}
    lines = [f"| | {plain(names[0])} | {plain(names[1])} | difference |", "|---|---|---|---|"]
    for name in dict.fromkeys([*rows, *others]):
        one, other = rows.get(name), others.get(name)
        if one is None or other is None or one["value"] is None or other["value"] is None:
            lines.append(f"| {plain(name)} | {_both(one)} | {_both(other)} | |")
            continue
        change = other["value"] - one["value"]
        errors = [row["error"] for row in (one, other)]
        clear = ""
        if all(error is not None for error in errors):
            clear = " (clear)" if abs(change) > 2 * math.hypot(*errors) else " (within chance)"
        lines.append(f"| {plain(name)} | {_both(one)} | {_both(other)} | {change:+.4g}{clear} |")
    return "\n".join(lines) + "\n"


def compare_all(reports: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The figures of any number of reports side by side as a Markdown table."""
    tables = [{row["name"]: row for row in report["figures"]} for report in reports]
    lines = [f"| | {' | '.join(map(plain, names))} |", "|---" * (len(names) + 1) + "|"]
    for name in dict.fromkeys(name for table in tables for name in table):
        lines.append(f"| {plain(name)} | {' | '.join(_both(table.get(name)) for table in tables)} |")
    return "\n".join(lines) + "\n"


def as_markdown(report: dict[str, Any]) -> str:
    """A report as text with tables."""
    protocol, head = report["protocol"], summary.headline(report)
    lines = [
        f"# {plain(summary.title(report))}",
        "",
        plain(summary.sentence(report)),
        "",
        *(f"- {plain(row['name'])} **{summary.value_and_error(row)}**: {plain(row['meaning'])}" for row in head),
        "",
        *(f"**Note:** {plain(note)}\n" for note in report["notes"]),
    ]
    for title, rows in summary.groups(report):
        lines += [f"## {plain(title or 'Figures')}", ""]
        lines += ["| figure | value | 95 % interval | of | meaning |", "|---|---|---|---|---|"]
        for row in rows:
            cells = (row["name"], summary.number(row["value"]), summary.interval(row), str(row["count"]))
            lines.append("| " + " | ".join(map(plain, (*cells, summary.meaning(row)))) + " |")
        lines.append("")
    for line in summary.networks(report["figures"]):
        lines += [plain(line), ""]
    settings = ", ".join(f"{key} {summary.setting(protocol[key])}" for key in EXPLANATIONS)
    models = ", ".join(f"{role} {row['name']} ({summary.weights(row)})" for role, row in report["models"].items())
    named = f"{protocol['name']}, version {protocol['version']} ({protocol['fingerprint']}): {protocol['about']}"
    lines += [
        f"Protocol {plain(named)}",
        "",
        f"Settings: {plain(settings)}.",
        "",
        f"Models: {plain(models)}.",
        "",
        f"Made by scenograph {report['scenograph']}, torch {report['torch']}.",
        "",
    ]
    return "\n".join(lines)


def training_curves(run: Path) -> dict[str, list[tuple[float, float]]]:
    """The curves in a training run's ``metrics.jsonl``, validation first; ``UserError`` if it has none."""
    rows = _metrics(run)
    curves: dict[str, list[tuple[float, float]]] = {}
    for kind in ("validation", "train"):
        for row in rows:
            if row.get("kind") == kind:
                for name, value in row.items():
                    if name not in ("step", "kind") and isinstance(value, int | float):
                        curves.setdefault(f"{kind}: {name}", []).append((row["step"], value))
    return curves


def evaluation_curves(run: Path, report: dict[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Add a report to those of a training run at earlier steps, in ``evaluations.jsonl``; its figures over training.

    Only reports of one protocol make a curve; a report at the step of another replaces it.
    """
    step = max((row["step"] for row in _metrics(run)), default=0)
    fingerprint = report["protocol"]["fingerprint"]
    path = run / "evaluations.jsonl"
    before = _rows(path) if path.exists() else []
    if not all(isinstance(row.get("protocol"), str) and isinstance(row.get("figures"), dict) for row in before):
        raise UserError(f"{path}: a line is no evaluation; delete the file to begin its curves anew")
    rows = [row for row in before if (row["step"], row["protocol"]) != (step, fingerprint)]
    values = {figure["name"]: figure["value"] for figure in report["figures"] if figure["value"] is not None}
    versions = {figure["name"]: figure["version"] for figure in report["figures"] if figure["version"] > 1}
    rows.append({"step": step, "protocol": fingerprint, "figures": values, "versions": versions})
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    alike = sorted((row for row in rows if row["protocol"] == fingerprint), key=lambda row: row["step"])
    if len(alike) < 2:
        return {}
    return {
        f"evaluation: {name}": [
            (row["step"], row["figures"][name])
            for row in alike
            if name in row["figures"] and row.get("versions", {}).get(name, 1) == versions.get(name, 1)
        ]
        for name in values
    }


def _metrics(run: Path) -> list[dict[str, Any]]:
    try:
        return _rows(run / "metrics.jsonl")
    except UserError as error:
        raise UserError(f"{run}: not the folder of a training run: {error}") from error


def _rows(path: Path) -> list[dict[str, Any]]:
    """The points in a file of curves, but for a last line that was cut short. Raises ``UserError`` if one is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    where = f"cannot read {path}, point"
    rows = [parse_json(line, f"{where} {number}") for number, line in enumerate(lines, 1) if line.endswith("}")]
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("step"), int):
            raise UserError(f"{path}, point {number}: expected an object with a 'step', found {shortened(row)}")
    return rows


def plain(text: str) -> str:
    """A text as plain text of a Markdown page, or a cell of a table in one: no markup, no links."""
    return re.sub(r"([|\[\]`\\])", r"\\\1", text).replace("<", "&lt;").replace("\n", " ")


def _both(row: summary.Row | None) -> str:
    return "" if row is None else summary.value_and_error(row)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
