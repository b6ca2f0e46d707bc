"""The report of an evaluation: ``report.json``, and the same to read, as Markdown and as a page with pictures.

Reports are compared only where protocol, data and networks agree; what differs is named and explained.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict

from scenograph.errors import UserError, shortened, unreadable, validate
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.protocols import EXPLANATIONS, Protocol
from scenograph.files import parse_json, read_json, write_atomically
from scenograph.version import __version__

Sheet = tuple[str, Image.Image]
"""What a report shows, and what it says of it."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .3rem .6rem; text-align: left;
border-bottom: 1px solid #ddd; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
img { max-width: 100%; image-rendering: pixelated; } .note { color: #864; } code { background: #f4f4f4; }
svg { width: 100%; max-width: 40rem; }
"""


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
        "figures": [{**asdict(figure), "error": _finite(figure.error)} for figure in figures],
    }


def write_report(
    folder: Path, report: dict[str, Any], sheet: Sheet | None, curves: dict[str, list[tuple[float, float]]]
) -> list[Path]:
    """``report.json``, ``report.md`` and ``report.html``; returns their paths."""
    paths = []
    for name, text in (
        ("report.json", json.dumps(report, indent=1) + "\n"),
        ("report.md", as_markdown(report)),
        ("report.html", as_html(report, sheet, curves)),
    ):
        paths.append(write_atomically(folder / name, text.encode()))
    return paths


class _Row(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    value: float
    error: float | None
    weights: str


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
            lines.append(f"{name}: {_said(one)} against {_said(other)}: {why}")
    if first["data"].get("files") != second["data"].get("files"):
        one, other = (_data(report) for report in (first, second))
        lines.append(f"data: {one} against {other}: other pictures are compared with")
    elif first["data"].get("layouts") != second["data"].get("layouts"):
        one, other = (report["data"].get("layouts") for report in (first, second))
        lines.append(f"number of layouts: {one} against {other}: FID falls with the number of pictures")
    weights = [{row["name"]: row["weights"] for row in report["figures"]} for report in (first, second)]
    unlike = sorted(name for name in weights[0].keys() & weights[1].keys() if weights[0][name] != weights[1][name])
    if unlike:
        lines.append(f"weights of the measuring network ({', '.join(unlike)}): two networks measure two things")
    return lines


def compare(first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]) -> str:
    """Both reports' figures side by side as a Markdown table, with the difference and whether it is clear.

    A difference is clear if it is more than twice its standard error.
    """
    rows = {row["name"]: row for row in first["figures"]}
    others = {row["name"]: row for row in second["figures"]}
    lines = [f"| | {_cell(names[0])} | {_cell(names[1])} | difference |", "|---|---|---|---|"]
    for name in dict.fromkeys([*rows, *others]):
        one, other = rows.get(name), others.get(name)
        if one is None or other is None:
            lines.append(f"| {_cell(name)} | {_value(one)} | {_value(other)} | |")
            continue
        change = other["value"] - one["value"]
        errors = [row["error"] for row in (one, other)]
        clear = ""
        if all(error is not None for error in errors):
            clear = " (clear)" if abs(change) > 2 * math.hypot(*errors) else " (within chance)"
        lines.append(f"| {_cell(name)} | {_value(one)} | {_value(other)} | {change:+.4g}{clear} |")
    return "\n".join(lines) + "\n"


def as_markdown(report: dict[str, Any]) -> str:
    """Tables to read."""
    protocol = report["protocol"]
    lines = [
        f"# {_cell(_title(report))}",
        "",
        f"Protocol {_cell(protocol['name'])}, version {protocol['version']} ({protocol['fingerprint']}): "
        f"{_cell(protocol['about'])}",
        "",
        f"Data: {_cell(_data(report))}, {report['data']['layouts']} layouts x {protocol['repeats']}.",
        "",
        *(f"**Note:** {_cell(note)}\n" for note in report["notes"]),
        "| figure | value | 95 % interval | of | meaning |",
        "|---|---|---|---|---|",
    ]
    for row in report["figures"]:
        cells = (row["name"], f"{row['value']:.4f}", _interval(row), str(row["count"]), _meaning(row))
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    for line in _measuring(report):
        lines += ["", _cell(line)]
    settings = ", ".join(f"{key} {_said(protocol[key])}" for key in EXPLANATIONS)
    models = ", ".join(f"{role} {row['name']} ({_weights(row)})" for role, row in report["models"].items())
    lines += ["", f"Models: {_cell(models)}.", "", f"Settings: {_cell(settings)}."]
    lines += ["", f"Made by scenograph {report['scenograph']}, torch {report['torch']}.", ""]
    return "\n".join(lines)


def as_html(report: dict[str, Any], sheet: Sheet | None, curves: dict[str, list[tuple[float, float]]]) -> str:
    """The same as one page that needs nothing else."""
    protocol = report["protocol"]
    rows = "".join(
        f"<tr><td>{html.escape(row['name'])}</td><td class=number>{row['value']:.4f}</td>"
        f"<td class=number>{html.escape(_interval(row))}</td><td class=number>{row['count']}</td>"
        f"<td>{html.escape(_meaning(row))}</td></tr>"
        for row in report["figures"]
    )
    notes = "".join(f"<p class=note>{html.escape(note)}</p>" for note in report["notes"])
    measuring = "".join(f"<p>{html.escape(line)}</p>" for line in _measuring(report))
    models = "".join(
        f"<tr><td>{html.escape(role)}</td><td>{html.escape(str(row['name']))}</td>"
        f"<td><code>{html.escape(_weights(row))}</code></td></tr>"
        for role, row in report["models"].items()
    )
    settings = "".join(f"<tr><td>{key}</td><td>{html.escape(_said(protocol[key]))}</td></tr>" for key in EXPLANATIONS)
    picture = ""
    if sheet is not None:
        caption, image = sheet
        stream = io.BytesIO()
        image.save(stream, "PNG")
        code = base64.b64encode(stream.getvalue()).decode()
        picture = (
            f'<h2>Pictures</h2><p>{html.escape(caption)}</p><img alt="pictures" src="data:image/png;base64,{code}">'
        )
    plots = "".join(f"<h3>{html.escape(name)}</h3>{line_plot({'': points})}" for name, points in curves.items())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{NOTHING_ELSE}"
        f"<meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(_title(report))}</title><style>{STYLE}</style><h1>{html.escape(_title(report))}</h1>"
        f"<p>Protocol <b>{html.escape(protocol['name'])}</b>, version {html.escape(str(protocol['version']))} "
        f"(<code>{html.escape(str(protocol['fingerprint']))}</code>): {html.escape(protocol['about'])}</p>"
        f"<p>Data: {html.escape(_data(report))}, {report['data']['layouts']} layouts x {protocol['repeats']}.</p>"
        f"{notes}"
        f"<table><tr><th>figure<th>value<th>95 % interval<th>of<th>meaning</tr>{rows}</table>{measuring}{picture}"
        f"{'<h2>Training</h2>' if plots else ''}{plots}<h2>Models</h2><table>{models}</table>"
        f"<h2>Settings</h2><table>{settings}</table>"
        f"<p>Made by scenograph {report['scenograph']}, torch {report['torch']}.</p></html>\n"
    )


NOTHING_ELSE = (
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
"""Tells browsers that the page loads and runs nothing, whatever names in it look like."""
COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#475569")
DASHES = ("none", "7 4", "2 3", "10 3 2 3")


def line_plot(
    curves: Mapping[str, Sequence[tuple[float, float]]], colours: int = len(COLOURS), axes: tuple[str, str] = ("", "")
) -> str:
    """Curves by name as SVG; after ``colours`` curves they repeat, dashed. ``axes`` are named across and up."""
    usable = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in curves.items()
    }
    if not usable or min(len(points) for points in usable.values()) < 2:
        return "<p>too few points for a curve</p>"
    xs, ys = zip(*(point for points in usable.values() for point in points), strict=True)
    (x0, x1), (y0, y1) = (min(xs), max(xs)), (min(ys), max(ys))
    width, height = 640, max(240, 36 + 16 * len(usable))  # every name has a line
    left, bottom = 54 + 18 * bool(axes[1]), 24 + 18 * bool(axes[0])
    right = width - (250 if any(usable) else 24)  # names stand beside the curves

    def across(x: float) -> float:
        return round(left + (x - x0) / ((x1 - x0) or 1) * (right - left), 1)

    def down(y: float) -> float:
        return round(height - bottom - (y - y0) / ((y1 - y0) or 1) * (height - bottom - 12), 1)

    label = "<text x='{}' y='{}' font-size='12' fill='{}'{}>{}</text>"
    parts = [f"<rect x='{left}' y='12' width='{right - left}' height='{height - bottom - 12}' fill='#fafafa' "
             "stroke='#ddd' />"]  # fmt: skip
    for x in _round_numbers(x0, x1):
        parts.append(f"<path d='M{across(x)} 12V{height - bottom}' stroke='#ddd' />")
        parts.append(label.format(across(x), height - bottom + 16, "#555", " text-anchor='middle'", f"{x:.6g}"))
    for y in _round_numbers(y0, y1):
        parts.append(f"<path d='M{left} {down(y)}H{right}' stroke='#ddd' />")
        parts.append(label.format(left - 6, down(y) + 4, "#555", " text-anchor='end'", f"{y:.6g}"))
    for number, (name, points) in enumerate(usable.items()):
        line = " ".join(f"{across(x)},{down(y)}" for x, y in points)
        colour, dashes = COLOURS[number % colours], DASHES[number // colours % len(DASHES)]
        stroke = f"fill='none' stroke='{colour}' stroke-width='1.5' stroke-dasharray='{dashes}'"
        parts.append(f"<polyline points='{line}' {stroke} />")
        if name:
            middle = 24 + 16 * number
            parts.append(f"<polyline points='{right + 8},{middle - 4} {right + 32},{middle - 4}' {stroke} />")
            parts.append(label.format(right + 38, middle, colour, "", html.escape(name)))
    centre, up = (left + right) / 2, (height - bottom + 12) / 2
    upwards = f" transform='rotate(-90 14 {up})'"
    for text, x, y, turned in ((axes[0], centre, height - 6, ""), (axes[1], 14, up, upwards)):
        if text:
            parts.append(label.format(x, y, "#555", f" text-anchor='middle'{turned}", html.escape(text)))
    opening = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img' font-family='sans-serif'>"
    )
    return f"{opening}{''.join(parts)}</svg>"


def _round_numbers(low: float, high: float) -> list[float]:
    """Two to six multiples of 1, 2 or 5 times a power of ten, from one number to another; the one if they are equal."""
    span = high - low
    if not 1e-300 < span < math.inf:
        return [low]
    unit = 10.0 ** math.floor(math.log10(span / 5))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 5 + 1e-9)
    return [step * number for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


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
    values = {figure["name"]: figure["value"] for figure in report["figures"]}
    rows.append({"step": step, "protocol": fingerprint, "figures": values})
    write_atomically(path, "".join(json.dumps(row) + "\n" for row in rows).encode())
    alike = sorted((row["step"], row["figures"]) for row in rows if row["protocol"] == fingerprint)
    return (
        {f"evaluation: {name}": [(at, figures[name]) for at, figures in alike if name in figures] for name in values}
        if len(alike) > 1
        else {}
    )


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


def _cell(text: str) -> str:
    """A text as plain text of a Markdown page, or a cell of a table in one: no markup, no links."""
    return re.sub(r"([|\[\]`\\])", r"\\\1", text).replace("<", "&lt;").replace("\n", " ")


def _title(report: dict[str, Any]) -> str:
    return " + ".join(str(row["name"]) for row in report["models"].values()) or "pictures"


def _data(report: dict[str, Any]) -> str:
    data, splits = report["data"], ", ".join(report["protocol"]["splits"])
    options = ", ".join(f"{key}={value}" for key, value in data.get("options", {}).items() if key == "preset")
    return f"{data.get('source')}{f' ({options})' if options else ''}, {splits}"


def _weights(model: dict[str, str]) -> str:
    """The start of a model's digest, and the precision it rendered in, if not float32."""
    return ", ".join([model["digest"][:12], *([model["precision"]] if "precision" in model else [])])


def _said(value: object) -> str:
    return "all" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _value(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['value']:.4f}" + ("" if row["error"] is None else f" ± {row['error']:.4f}")


def _meaning(row: dict[str, Any]) -> str:
    return "; ".join([row["meaning"], *row["notes"]])


def _measuring(report: dict[str, Any]) -> list[str]:
    """A line per network that measured: the checksum of its weights, and its figures."""
    figures: dict[str, list[str]] = {}
    for row in report["figures"]:
        if row["weights"]:
            figures.setdefault(row["weights"], []).append(row["name"])
    return [f"Measured with weights {weights}: {', '.join(names)}." for weights, names in figures.items()]


def _interval(row: dict[str, Any]) -> str:
    if row["error"] is None:
        return ""
    low, high = (row["value"] + sign * 1.96 * row["error"] for sign in (-1, 1))
    if row["share"]:
        low, high = max(low, 0.0), min(high, 1.0)
    return f"{low:.4f} to {high:.4f}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
