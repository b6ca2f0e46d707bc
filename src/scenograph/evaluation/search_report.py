"""What measuring searches leaves: figures as JSON and as a table, strips of results, and a map of the vectors."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from scenograph.evaluation.figure import Figure
from scenograph.evaluation.scene_search import Gallery, Searched, queries_of
from scenograph.evaluation.search_protocols import SearchProtocol
from scenograph.evaluation.vector_maps import RIGHT, scene_map
from scenograph.files import make_folder, write_atomically
from scenograph.scenes.drawing import contact_sheet, draw_sketches
from scenograph.scenes.png import encode_png
from scenograph.scenes.text import objects_in_words

SHOWN, FIRST = 12, 5
"""Queries on a sheet of strips, and results of each."""
SIDE = 128
"""Of pictures on strips, in pixels."""
FRAME = 5
"""Width of the frame around the right picture."""
INTERVAL = 1.96
"""Standard errors to either side of a figure that hold it in 95 of 100 cases."""
COLUMNS = {"average_precision": "mAP", "top_1": "top 1", "top_5": "top 5", "top_10": "top 10", "preferred": "preferred"}


def write_report(
    folder: Path, gallery: Gallery, protocol: SearchProtocol, searched: Sequence[Searched], pack: dict[str, Any]
) -> list[Path]:
    """Write ``results.json``, ``results.md``, ``map-ENCODER.png`` and ``strips-ENCODER.png``; returns the paths.

    Args:
        folder: Made if it is missing; files in it are replaced.
        gallery: What was searched.
        protocol: By which.
        searched: What each method found.
        pack: What to record of the data.
    """
    make_folder(folder)
    content = json.dumps(results(gallery, protocol, searched, pack), indent=1) + "\n"
    files = {"results.json": content.encode(), "results.md": (table(searched) + "\n").encode()}
    queries = queries_of(gallery, protocol)
    drawn = [np.asarray(draw_sketches(queries[number], SIDE, SIDE)) for number in _spread(len(gallery))]
    for one in searched:
        files[f"strips-{one.name}.png"] = encode_png(np.asarray(strips(gallery, one, drawn)))
        files[f"map-{one.name}.png"] = encode_png(np.asarray(scene_map(one)))
    return [write_atomically(folder / name, written) for name, written in files.items()]


def results(
    gallery: Gallery, protocol: SearchProtocol, searched: Sequence[Searched], pack: dict[str, Any]
) -> dict[str, Any]:
    """All that was measured, with the place at which every query found its picture."""
    return {
        "protocol": protocol.model_dump(mode="json") | {"fingerprint": protocol.fingerprint},
        "data": {"pack": str(gallery.pack.folder), "split": gallery.pack.split, "scenes": len(gallery)} | pack,
        "ids": [gallery.pack.ids[row] for row in gallery.rows],
        "encoders": {
            one.name: {
                "figures": {group: [_plain(figure) for figure in figures] for group, figures in one.groups.items()},
                "places": one.places.tolist(),
                "seconds": round(one.seconds, 2),
            }
            for one in searched
        },
    }


def _plain(figure: Figure) -> dict[str, Any]:
    """A figure as JSON, which knows no NaN."""
    values = {key: value for key, value in asdict(figure).items() if value not in ("", ())}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def table(searched: Sequence[Searched]) -> str:
    """Figures of all methods by group, in per cent with half of their 95 % intervals, as a Markdown table."""
    names = list(dict.fromkeys(group for one in searched for group in one.groups))
    titles = ("scenes", "encoder", "count", *list(COLUMNS.values())[:4])
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for group in names:
        for one in searched:
            figures = {figure.name: figure for figure in one.groups.get(group, ())}
            if not figures:
                continue
            shown = [_cell(figures.get(name)) for name in list(COLUMNS)[:4]]
            if "preferred" in figures:
                shown[1] = _cell(figures["preferred"])
            count = next(iter(figures.values())).count
            lines.append(f"| {group} | {one.name} | {count} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    interval = "" if math.isnan(figure.error) else f" ± {100 * INTERVAL * figure.error:.1f}"
    return f"{100 * figure.value:.1f}{interval}"


def strips(gallery: Gallery, searched: Searched, sketches: Sequence[np.ndarray]) -> Image.Image:
    """Queries in rows: the sketch, its picture, and the first results, the right one framed.

    Below each is what it shows: of a sketch what is drawn of it, of results after their ranks.
    """
    cells, captions = [], []
    for number, sketch in zip(_spread(len(gallery)), sketches, strict=True):
        first = searched.order[number, :FIRST]
        pictures = [Image.fromarray(one) for one in gallery.pictures([number, *first.tolist()], (SIDE, SIDE))]
        pictures[1:] = [_framed(one) if row == number else one for row, one in zip(first, pictures[1:], strict=True)]
        cells += [Image.fromarray(sketch), *pictures]
        named = [objects_in_words(gallery.scenes[row]) for row in (number, *first)]
        captions += ["sketch", f"right: place {searched.places[number]}\n{named[0]}"]
        captions += [f"{rank}\n{name}" for rank, name in enumerate(named[1:], start=1)]
    title = f"{searched.name}: {len(gallery)} scenes, searched by sketch"
    return contact_sheet(cells, FIRST + 2, gap=6, captions=captions, title=title)


def _spread(count: int) -> list[int]:
    """Rows evenly over all of them."""
    return np.linspace(0, count - 1, min(SHOWN, count)).astype(int).tolist()


def _framed(picture: Image.Image) -> Image.Image:
    ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=RIGHT, width=FRAME)
    return picture
