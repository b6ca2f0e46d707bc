"""SVG drawings: groups and named shapes become objects, their outlines strokes.

A file from anywhere is read: what would make a reader follow addresses, or unfold into much more than the file holds,
is refused before anything is read.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from scenograph.data.drawn import Drawn, check_strokes, placed, touching
from scenograph.data.picture_book.source import vocabulary as picture_book
from scenograph.data.vocabularies import shipped_vocabulary
from scenograph.errors import UserError, missing_extra, reason, unreadable
from scenograph.scenes.fields import Box
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.synonyms import name_for

log = logging.getLogger(__name__)

LARGEST_FILE = 16 * 2**20
"""Bytes: beyond it a file holds pictures, or no drawing by hand."""
MOST_ELEMENTS, DEEPEST = 60_000, 64
MOST_NUMBERS = 300_000
"""In the outlines of a file: fifty thousand curves take a quarter of a minute to read."""
NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
PER_CURVE = 12
"""Points on each piece of a curve."""
UNDRAWN = {"clippath", "defs", "marker", "mask", "pattern", "symbol"}
"""Elements whose shapes are not drawn where they stand."""
TOGETHER = 0.02
"""Shapes outside groups are one object if their boxes are less than this part of the canvas apart."""
LABEL = "{http://www.inkscape.org/namespaces/inkscape}label"
GENERIC = re.compile(
    r"(layer|ebene|group|frame|vector|path|shape|object|svg|g|rect|line|union)?[\s_-]*\d*", re.IGNORECASE
)
"""Labels that drawing programs give on their own."""


def read_svg(path: Path) -> list[Drawn]:
    """The objects of an SVG file, with boxes in fractions of its canvas.

    An object is a group, or a shape outside groups, that a title, a label or an id names. Of groups without a name the
    innermost that have one inside them count; else a group is one object, and so are loose shapes that touch.

    Raises:
        UserError: The file is no SVG, is damaged, holds no path, too much, or references to follow.
    """
    try:
        from svgelements import SVG
    except ModuleNotFoundError as error:
        raise missing_extra("svgelements", "sketch") from error
    content = _drawn_alone(_checked(path))
    try:
        drawing = SVG.parse(io.BytesIO(content), reify=True)
        width, height = float(drawing.width), float(drawing.height)
    except Exception as error:  # the parser raises almost anything for damaged attributes
        raise UserError(f"{path}: cannot be read as SVG: {reason(error)}") from error
    if not (np.isfinite([width, height]).all() and width > 0 and height > 0):
        raise UserError(f"{path}: its canvas is {width:g} x {height:g}; give the svg element a viewBox")
    parts = list(_parts(drawing, np.array([width, height]), whole=True))
    if not any(part.strokes for part in parts):
        raise UserError(f"{path}: holds no path, line or polygon; text and embedded pictures are not read")
    check_strokes([stroke for part in parts for stroke in part.strokes], str(path))
    kept = []
    for name, label, strokes in parts:
        where = f"{path}, {name or label or 'an object without a name'}"
        if strokes and (one := placed(strokes, name, where)) is not None:
            kept.append(replace(one, label=label))
    if not kept:
        raise UserError(f"{path}: nothing lies on the canvas, {width:g} x {height:g}; correct its viewBox")
    return kept


def _checked(path: Path) -> bytes:
    """The content of a file that is XML, of bounded size, and refers to nothing."""
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise UserError(f"{path}: {size:,} bytes; at most {LARGEST_FILE:,} are read as a drawing")
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    counts = {"elements": 0, "depth": 0, "numbers": 0}

    def refuse(what: str) -> None:
        raise UserError(f"{path}: {what}; save it as plain SVG, with all copies turned into paths")

    def begin(name: str, attributes: dict[str, str]) -> None:
        counts["elements"] += 1
        counts["depth"] += 1
        if counts["elements"] > MOST_ELEMENTS:
            refuse(f"holds more than {MOST_ELEMENTS:,} elements")
        if counts["depth"] > DEEPEST:
            refuse(f"is nested more than {DEEPEST} levels deep")
        kind = name.rpartition(":")[2].lower()
        if counts["depth"] == 1 and kind != "svg":
            raise UserError(f"{path}: is no SVG file: its first element is {name[:60]!r}")
        outlines = (attributes.get("d", ""), attributes.get("points", ""))
        counts["numbers"] += sum(1 for outline in outlines for _ in NUMBER.finditer(outline))
        if counts["numbers"] > MOST_NUMBERS:
            raise UserError(f"{path}: its outlines hold more than {MOST_NUMBERS:,} numbers; simplify them")
        target = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "href"), "")
        if kind == "use":
            refuse("holds a reference to another part of it (use), which is not followed")
        if kind in ("script", "foreignobject"):
            refuse(f"holds a {kind}")
        if kind not in ("a", "image") and target and not target.startswith(("#", "data:")):
            refuse(f"refers to {target[:60]!r}, which is not followed")

    def end(name: str) -> None:
        counts["depth"] -= 1

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.EntityDeclHandler = lambda *_: refuse("declares an entity, which is not unfolded")
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise UserError(f"{path}: not a whole XML file: {reason(error)}") from error
    return content


def _drawn_alone(content: bytes) -> bytes:
    """A checked file without the shapes that are there for others to use."""
    root = ElementTree.fromstring(content)
    for parent in list(root.iter()):
        for child in list(parent):
            if isinstance(child.tag, str) and child.tag.rpartition("}")[2].lower() in UNDRAWN:
                # Style sheets often stand among definitions, and count for all.
                kept = [one for one in child.iter() if isinstance(one.tag, str) and one.tag.endswith("style")]
                parent[list(parent).index(child) : list(parent).index(child) + 1] = kept
    return ElementTree.tostring(root)


class _Part(NamedTuple):
    """An object in the file: its name, or what the file calls it if that is no name that is known; and its strokes."""

    name: str | None
    label: str | None
    strokes: list[np.ndarray]


def _parts(element: Any, canvas: np.ndarray, whole: bool) -> Iterator[_Part]:
    """The objects in an element; ``whole`` if it is all of the drawing, and no object itself."""
    inside = [part for part in element if _is_drawn(part)]
    named = any(_name(part) or (_is_group(part) and _any_named(part)) for part in inside)
    if not whole and not named:
        yield _Part(None, _label(element), _strokes(element, canvas))
        return
    loose: list[_Part] = []
    for part in inside:
        if (name := _name(part)) is not None:
            yield _Part(name, None, _strokes(part, canvas))
        elif _is_group(part):
            yield from _parts(part, canvas, whole=len(inside) == 1)
        elif strokes := _strokes(part, canvas):
            loose.append(_Part(None, _label(part), strokes))
    for group in touching([_around(part.strokes) for part in loose], TOGETHER):
        label = next((loose[number].label for number in group if loose[number].label), None)
        yield _Part(None, label, [stroke for number in group for stroke in loose[number].strokes])


def _is_group(element: Any) -> bool:
    return isinstance(element, list)


def _is_drawn(element: Any) -> bool:
    from svgelements import Shape

    return _is_group(element) or (isinstance(element, Shape) and _is_seen(element))


def _is_seen(shape: Any) -> bool:
    """Whether a shape is visible and painted: programs leave invisible ones as frames around drawings."""
    values = shape.values
    hidden = values.get("visibility") in ("hidden", "collapse") or values.get("opacity") in ("0", 0)
    return not hidden and not (shape.fill.value is None and shape.stroke.value is None)


def _any_named(group: Any) -> bool:
    return any(_is_drawn(part) and (_name(part) or (_is_group(part) and _any_named(part))) for part in group)


def _name(element: Any) -> str | None:
    """What a title, a label or an id says that an element is. An id counts only if it is a word that is known."""
    own = element.values.get("attributes", {})
    titles = [getattr(part, "title", None) for part in element] if _is_group(element) else []
    for text in (*titles, own.get(LABEL)):
        if text and not GENERIC.fullmatch(text.strip()):
            return _known(text) or _words(text)
    return _known(own.get("id") or own.get("class") or "")


def _label(element: Any) -> str | None:
    """What an element's id calls it, unless a drawing program gave that on its own."""
    label = element.values.get("attributes", {}).get("id") or ""
    return None if GENERIC.fullmatch(label.strip()) else _words(label)


def _words(label: str) -> str:
    """``dining table`` of ``Dining_table-2``."""
    return re.sub(r"[\s_.-]+", " ", re.sub(r"[\s_.-]*\d+$", "", label.strip())).strip().lower()


def _known(label: str) -> str | None:
    """The name of a label in the vocabularies that ship."""
    word = re.sub(r"^(a|an|the) ", "", _words(label))
    for names in _known_names():
        if word and (name := name_for(word, CATEGORIES, names)) is not None:
            return name
    return None


@cache
def _known_names() -> tuple[dict[str, int], ...]:
    return picture_book().category_index, shipped_vocabulary("coco-stuff").category_index


def _strokes(element: Any, canvas: np.ndarray) -> list[np.ndarray]:
    """The outlines (n, 2) of a shape, or of all in a group, in fractions of the canvas."""
    if _is_group(element):
        return [stroke for part in element if _is_drawn(part) for stroke in _strokes(part, canvas)]
    from svgelements import Path as Outline

    # A rectangle or an ellipse that is turned has its transform beside it: abs applies that.
    return [np.array(points) / canvas for points in _lines(abs(Outline(element))) if points]


def _lines(outline: Any) -> Iterator[list[tuple[float, float]]]:
    """The points of each part of an outline; curves become short lines."""
    from svgelements import Close, Line, Move

    points: list[tuple[float, float]] = []
    for piece in outline:
        if isinstance(piece, Move):
            yield points
            points = [] if piece.end is None else [(piece.end.x, piece.end.y)]
        elif isinstance(piece, Line | Close):
            if piece.end is not None:
                points.append((piece.end.x, piece.end.y))
        else:
            points += map(tuple, piece.npoint(np.arange(1, PER_CURVE + 1) / PER_CURVE).tolist())
    yield points


def _around(strokes: Sequence[np.ndarray]) -> Box:
    points = np.concatenate(strokes)
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return x0, y0, x1, y1
