"""A report as a page: what was measured, the figures that matter, all figures in groups, and pictures with captions."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from scenograph.evaluation import summary
from scenograph.evaluation.protocols import EXPLANATIONS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { margin-bottom: .2rem; overflow-wrap: anywhere; } h2 { margin-top: 2.2rem; }
.lead { font-size: 1.1rem; margin-top: 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; margin: 1.5rem 0; }
.card { border: 1px solid #ddd; border-radius: 8px; padding: .8rem 1rem; }
.card b { display: block; font-size: 2rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card small { color: #666; display: block; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .3rem .6rem; text-align: left;
border-bottom: 1px solid #ddd; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.note { color: #864; margin: .3rem 0; } code { background: #f4f4f4; overflow-wrap: anywhere; }
.gallery { display: flex; flex-wrap: wrap; gap: 1.5rem; }
figure { margin: 0; padding: .6rem; border: 1px solid #ddd; border-radius: 8px; }
figure div { display: flex; flex-wrap: wrap; gap: .6rem; }
figure span { display: block; color: #666; font-size: .85rem; text-align: center; }
figure p { margin: 0; } figure img { display: block; max-width: 100%; } img.small { image-rendering: pixelated; }
figcaption { max-width: 36rem; margin-top: .4rem; }
svg { width: 100%; max-width: 40rem; }
"""
NOTHING_ELSE = (
    "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
)
"""Tells browsers that the page loads and runs nothing, whatever names in it look like."""
SHOWN_SIDE = 224
"""About how wide a picture is shown, in pixels; smaller ones are enlarged by a whole number."""
LOSSLESS = 128
"""Pixels of a side up to which pictures are embedded as PNG; larger ones as JPEG, a tenth of the size."""


@dataclass(frozen=True)
class Exhibit:
    """What a report shows of one scene, side by side."""

    caption: str
    pictures: Sequence[tuple[str, Image.Image]]
    """Each with what it is."""


def as_html(
    report: dict[str, Any], exhibits: Sequence[Exhibit], curves: Mapping[str, Sequence[tuple[float, float]]]
) -> str:
    """A report as one page that needs nothing else."""
    protocol = report["protocol"]
    plots = "".join(f"<h3>{html.escape(name)}</h3>{line_plot({'': points})}" for name, points in curves.items())
    gallery = gallery_of(exhibits)
    settings = [(f"<td>{key}</td>", f"<td>{html.escape(summary.setting(protocol[key]))}</td>") for key in EXPLANATIONS]
    parts = [
        f"<div class=cards>{''.join(map(_card, summary.headline(report)))}</div>",
        "".join(f"<p class=note>{html.escape(note)}</p>" for note in report["notes"]),
        f"<h2>Examples</h2>{gallery}" if gallery else "",
        "".join(_group(*group) for group in summary.groups(report)),
        "".join(f"<p>{html.escape(line)}</p>" for line in summary.networks(report["figures"])),
        f"<h2>Training</h2>{plots}" if plots else "",
        f"<h2>Models</h2><table>{''.join(_model(*model) for model in report['models'].items())}</table>",
        f"<h2>Protocol</h2><p><b>{html.escape(protocol['name'])}</b>, version {html.escape(str(protocol['version']))} ",
        f"(<code>{html.escape(str(protocol['fingerprint']))}</code>): {html.escape(protocol['about'])}</p>",
        f"<table>{''.join(f'<tr>{name}{value}</tr>' for name, value in settings)}</table>",
        f"<p>Made by scenograph {html.escape(report['scenograph'])}, torch {html.escape(report['torch'])}.</p>",
    ]
    return whole_page(summary.title(report), summary.sentence(report), "".join(parts))


def whole_page(title: str, lead: str, body: str) -> str:
    """A page that needs nothing else, from a title and a sentence as texts, and HTML."""
    title = html.escape(title)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8>{NOTHING_ELSE}",
        "<meta name=viewport content='width=device-width'>",
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>",
        f"<p class=lead>{html.escape(lead)}</p>{body}</html>\n",
    ]
    return "".join(parts)


def _card(row: summary.Row) -> str:
    """One of the figures that matter."""
    error = "" if row["error"] is None else f"<small>± {row['error']:.4f}</small>"
    return (
        f"<div class=card><code>{html.escape(row['name'])}</code><b>{summary.number(row['value'])}</b>{error}"
        f"<small>{html.escape(row['meaning'])}</small></div>"
    )


def _group(title: str, rows: Sequence[summary.Row]) -> str:
    """A table of figures."""
    lines = "".join(
        f"<tr><td>{html.escape(row['name'])}</td><td class=number>{summary.number(row['value'])}</td>"
        f"<td class=number>{html.escape(summary.interval(row))}</td><td class=number>{row['count']}</td>"
        f"<td>{html.escape(summary.meaning(row))}</td></tr>"
        for row in rows
    )
    head = "<tr><th>figure<th>value<th>95 % interval<th>of<th>meaning</tr>"
    return f"<h2>{html.escape(title or 'Figures')}</h2><table>{head}{lines}</table>"


def _model(role: str, row: Mapping[str, str]) -> str:
    return (
        f"<tr><td>{html.escape(role)}</td><td>{html.escape(str(row['name']))}</td>"
        f"<td><code>{html.escape(summary.weights(row))}</code></td></tr>"
    )


def gallery_of(exhibits: Sequence[Exhibit]) -> str:
    """Exhibits as HTML; nothing without any."""
    shown = "".join(map(_exhibit, exhibits))
    return f"<div class=gallery>{shown}</div>" if shown else ""


def _exhibit(exhibit: Exhibit) -> str:
    """Pictures side by side, each over what it is, and a caption below."""
    pictures = "".join(_image(image, what) for what, image in exhibit.pictures)
    return f"<figure><div>{pictures}</div><figcaption>{html.escape(exhibit.caption)}</figcaption></figure>"


def _image(image: Image.Image, what: str) -> str:
    """A picture inside the page, large enough to be seen, and below it what it is."""
    factor = max(round(SHOWN_SIDE / max(image.size)), 1)
    lossless = max(image.size) <= LOSSLESS
    stream = io.BytesIO()
    image.save(stream, **({"format": "PNG"} if lossless else {"format": "JPEG", "quality": 92}))
    code, kind = base64.b64encode(stream.getvalue()).decode(), "png" if lossless else "jpeg"
    look = " class=small" if factor > 1 else ""
    return (
        f'<p><img{look} width={image.width * factor} alt="{html.escape(what)}" src="data:image/{kind};base64,{code}">'
        f"<span>{html.escape(what)}</span></p>"
    )


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
