"""Maps of vectors by t-SNE (van der Maaten and Hinton, JMLR 2008): what a model takes for alike lies together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from scenograph.errors import missing_extra
from scenograph.evaluation.scene_search import Searched
from scenograph.scenes.drawing import CAPTION, write_line
from scenograph.scenes.lexicon import spoken
from scenograph.scenes.shapes import Color, font

SIDE, MARGIN, LINE = 720, 20, CAPTION + 7
"""Side of a map, the white around what is on it, and the height of a line of words, in pixels."""
SCENES = 150
"""Scenes on a map, each by its sketch and its picture."""
CATEGORIES, OBJECTS = 10, 1000
"""Categories on a map of objects, the most frequent ones, and most objects of all of them, as in Scene Designer."""
PERPLEXITY = 30.0
RIGHT: Color = (20, 150, 60)
NEAR: Color = (220, 140, 0)
FAR: Color = (200, 40, 40)
"""Of sketches that find their picture first, among the first ten, and later."""
COLOURS: tuple[Color, ...] = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (110, 110, 110), (170, 170, 20), (23, 190, 207),
)  # fmt: skip
"""Of the categories."""


def scene_map(searched: Searched) -> Image.Image:
    """Vectors of sketches (rings) and of their pictures (dots), pairs joined.

    Colours tell how soon the sketch finds its picture: green at once, orange among the first ten, red later.
    """
    rows = np.linspace(0, len(searched.order) - 1, min(SCENES, len(searched.order))).astype(int)
    sketches, pictures = searched.vectors.queries[rows], searched.vectors.gallery[rows]
    places = flat_places(np.concatenate([sketches, pictures]))
    found = searched.places[rows]
    colours = [RIGHT if place == 1 else NEAR if place <= 10 else FAR for place in found]
    title = f"{searched.name}: sketches (rings) and their pictures (dots), by t-SNE"
    key = (("found first", RIGHT), ("among the first 10", NEAR), ("later", FAR))
    return _drawn(places, colours, title, key, joined=True)


def object_map(sketches: np.ndarray, crops: np.ndarray, categories: Sequence[str]) -> Image.Image:
    """Vectors (O, D) of sketched objects (rings) and of their crops (dots), of the most frequent ``categories`` (O,).

    Colours tell the categories.
    """
    names = [category for category, _ in Counter(categories).most_common(CATEGORIES)]
    chosen = [row for row, category in enumerate(categories) if category in names]
    rows = np.array(chosen)[np.linspace(0, len(chosen) - 1, min(OBJECTS, len(chosen))).astype(int)]
    places = flat_places(np.concatenate([sketches[rows], crops[rows]]))
    colour = dict(zip(names, COLOURS, strict=False))
    title, words = "sketches of objects (rings) and their crops (dots), by t-SNE", spoken(names)
    key = [(words[name], colour[name]) for name in names]
    return _drawn(places, [colour[categories[row]] for row in rows], title, key, joined=False)


def flat_places(vectors: np.ndarray) -> np.ndarray:
    """Places (N, 2) in [0, 1] of vectors (N, D), N at least 4, by t-SNE: the same for the same vectors."""
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise missing_extra("scikit-learn", "train") from error
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    spread = max(float(vectors.std()), 1e-12)
    flat = TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(vectors.astype(np.float64) / spread)
    low, high = flat.min(axis=0), flat.max(axis=0)
    places: np.ndarray = (flat - low) / np.maximum(high - low, 1e-9)
    return places


def _drawn(
    places: np.ndarray, colours: Sequence[Color], title: str, key: Sequence[tuple[str, Color]], joined: bool
) -> Image.Image:
    """A map of pairs: rings at the first half of the places (2 N, 2), dots at the second, title and key below."""
    count = len(colours)
    at = MARGIN + places * (SIDE - 2 * MARGIN)
    entries, below = _spread_key(key)
    picture = Image.new("RGB", (SIDE, SIDE + LINE + below + 4), "white")
    pen = ImageDraw.Draw(picture)
    pairs = list(zip(at[:count].tolist(), at[count:].tolist(), colours, strict=True))
    for ring, dot, colour in pairs if joined else ():
        pen.line((*ring, *dot), fill=colour)
    for (x, y), (u, v), colour in pairs:
        pen.ellipse((x - 4, y - 4, x + 4, y + 4), outline=colour, fill="white")
        pen.ellipse((u - 3, v - 3, u + 3, v + 3), fill=colour)
    write_line(pen, (MARGIN, SIDE), title, SIDE - 2 * MARGIN)
    for x, y, word, colour in entries:
        top = SIDE + LINE + y
        pen.ellipse((x, top + 4, x + 8, top + 12), fill=colour)
        write_line(pen, (x + 14, top), word, SIDE - MARGIN - x)
    return picture


def _spread_key(key: Sequence[tuple[str, Color]]) -> tuple[list[tuple[float, float, str, Color]], int]:
    """Where the entries of a key are, in lines as wide as the map, and how high these are together."""
    entries: list[tuple[float, float, str, Color]] = []
    x, y = float(MARGIN), 0
    for word, colour in key:
        wide = font(CAPTION).getlength(word) + 34
        if x > MARGIN and x + wide > SIDE - MARGIN:
            x, y = float(MARGIN), y + LINE
        entries.append((x, y, word, colour))
        x += wide
    return entries, y + LINE
