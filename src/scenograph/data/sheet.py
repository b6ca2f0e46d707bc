"""Scenes of a pack to look at: pictures with their boxes, sketches, layouts and relations, on one sheet."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from scenograph.data.loader import random_sg2im_relations
from scenograph.data.pack import Pack, read_record
from scenograph.errors import counted
from scenograph.scenes.drawing import (
    CAPTION,
    GREY,
    draw_graph,
    draw_layout,
    draw_relations,
    draw_sketches,
    object_color,
    write_line,
)
from scenograph.scenes.scene import Scene
from scenograph.scenes.shapes import INK, Color, text_width

SIDE = 320
"""Longer side of a picture on the sheet, in pixels."""
WIDTH = 1900
"""Of a sheet, unless one scene needs more: scenes stand beside each other as far as this goes."""
GRAPH = (560, 330)
"""Most width and height of a drawn graph; larger ones are written out."""
SMALLEST_TEXT = 0.8
"""Of its full size, in a graph that is drawn smaller to fit."""
DERIVED: Color = (190, 80, 0)
"""Of relations that the pack does not store."""
GAP, LINE = 12, 20

Panel = tuple[str, Color, Image.Image]
"""What is shown, in words and their colour, and the picture."""


def pack_sheet(pack: Pack, first: int = 0, count: int = 6) -> Image.Image:
    """The scenes ``first`` to ``first + count`` of a split.

    Relations are those that the pack stores. Of a split that stores none, those are shown, in another colour and said
    to be derived, that ``relations: sg2im`` makes from the boxes: the same ones that validation and evaluation use.
    """
    stored = read_record(pack.folder)["splits"][pack.split]["relations"] > 0
    cards = [_card(pack, index, stored) for index in range(first, min(first + count, len(pack)))]
    rows: list[list[Image.Image]] = []
    for card in cards:
        if not rows or sum(one.width + 2 * GAP for one in rows[-1]) + card.width > WIDTH:
            rows.append([])
        rows[-1].append(card)
    width = max(sum(one.width + 2 * GAP for one in row) for row in rows)
    heights = [max(one.height for one in row) + 2 * GAP for row in rows]
    sheet = Image.new("RGB", (width, sum(heights)), "white")
    painter = ImageDraw.Draw(sheet)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for card in row:
            sheet.paste(card, (left + GAP, top + GAP))
            left += card.width + 2 * GAP
            painter.line((left, top, left, top + height), (225, 227, 232))
        top += height
        painter.line((0, top, width, top), (225, 227, 232))
    return sheet


def _card(pack: Pack, index: int, stored: bool) -> Image.Image:
    """One scene, its panels side by side, with a line about it above them and one above each."""
    scene, picture = pack[index]
    panels = _panels(scene, picture, index, stored)
    widths = [max(panel.width, math.ceil(text_width(title, CAPTION)) + 1) for title, _, panel in panels]
    width = sum(widths) + GAP * (len(widths) - 1)
    height = max(panel.height for _, _, panel in panels)
    card = Image.new("RGB", (width, height + 2 * LINE), "white")
    painter = ImageDraw.Draw(card)
    (row,) = pack.rows([index])
    objects, relations = len(scene.objects), len(scene.relations)
    said = [f"{pack.split} {index}", f"id {row['id']}", counted(objects, "object")]
    if relations:
        said.append(counted(relations, "relation"))
    write_line(painter, (0, 0), "  ·  ".join(said), width)
    left = 0
    for (title, color, panel), room in zip(panels, widths, strict=True):
        write_line(painter, (left, LINE), title, room, color)
        card.paste(panel, (left, 2 * LINE))
        left += room + GAP
    return card


def _panels(scene: Scene, picture: Image.Image | None, index: int, stored: bool) -> list[Panel]:
    aspect = 1.0 if picture is None else picture.width / picture.height
    width, height = max(round(SIDE * min(aspect, 1)), 1), max(round(SIDE / max(aspect, 1)), 1)
    panels: list[Panel] = []
    if picture is not None:
        shown = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        _outline(shown, scene)
        panels.append((f"picture, {picture.width} x {picture.height} pixels", INK, shown))
    if any(thing.sketch is not None for thing in scene.objects):
        panels.append(("sketches", INK, draw_sketches(scene, width, height)))
    masks = sum(thing.mask is not None for thing in scene.objects)
    layout = draw_layout(scene, SIDE, aspect=aspect).to_image(1)
    panels.append((f"boxes and {counted(masks, 'mask')}" if masks else "boxes, no masks", INK, layout))
    return [*panels, *_relations(scene, index, stored)]


def _outline(picture: Image.Image, scene: Scene) -> None:
    """Draw the boxes of objects, wholly inside the picture."""
    painter = ImageDraw.Draw(picture)
    width, height = picture.size
    for i, thing in enumerate(scene.objects):
        if thing.box is not None:
            x0, y0, x1, y1 = np.clip(thing.box, 0, 1) * [width - 1, height - 1, width - 1, height - 1]
            painter.rectangle((x0, y0, x1, y1), outline=object_color(scene, i), width=2)


def _relations(scene: Scene, index: int, stored: bool) -> list[Panel]:
    """The graph, or where it does not fit all relations in words; nothing if there are none and none can be derived."""
    color, title = INK, "relations, all that are stored"
    if not stored and len(scene.objects) > 1 and all(thing.box is not None for thing in scene.objects):
        color, title = DERIVED, "derived from boxes (none are stored)"
        derived = random_sg2im_relations(scene, np.random.default_rng([2, index]))
        scene = replace(scene, relations=tuple(dict.fromkeys(derived)))
    if not scene.relations:
        return []
    pairs = Counter(frozenset((relation.subject, relation.object)) for relation in scene.relations)
    graph = draw_graph(scene, compact=True, color=GREY if stored else DERIVED)
    scale = min(1, GRAPH[0] / graph.width, GRAPH[1] / graph.height)
    if scale < SMALLEST_TEXT or (len(pairs) > 1 and max(pairs.values()) > 1):
        return [(title, color, draw_relations(scene, SIDE, color).to_image(1))]
    return [(title, color, graph.to_image(scale))]
