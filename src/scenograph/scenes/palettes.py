"""Colours of categories in pictures of segmentations.

``tables/ade20k.csv`` and ``tables/coco-stuff.csv`` hold the 150 and 171 classes and colours of MMSegmentation 1.2.2
(``mmseg/datasets/ade.py`` and ``coco_stuff.py``, Apache-2.0), which are those that ControlNet's segmentation model was
trained with (ADE20K, Zhou et al. 2017) and those of COCO-Stuff (Caesar et al. 2018).
"""

from __future__ import annotations

import colorsys
import csv
import logging
from functools import lru_cache
from importlib.resources import files

import numpy as np

from scenograph.errors import NOTE, UserError, suggest
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import name_for

log = logging.getLogger(__name__)

CLASSES = ("ade20k", "coco-stuff")
PALETTES = (*CLASSES, "instances")
"""``instances`` gives every object a colour of its own, whatever its category."""
BLACK = (0, 0, 0)


def check_palette(name: str) -> None:
    """Raise ``UserError`` for a name that is none of :data:`PALETTES`."""
    if name not in PALETTES:
        raise UserError(f"unknown palette {name!r} {suggest(name, PALETTES)}")


def object_colors(scene: Scene, palette: str) -> np.ndarray:
    """(objects, 3) uint8: the colour of each object.

    A category without a class has the colour of one that is near in meaning, or else black; a note says so.
    """
    check_palette(palette)
    if palette == "instances":
        return np.array([instance_color(number) for number in range(len(scene.objects))], dtype=np.uint8)
    colors = class_colors(palette)
    known = {thing.category: class_for(thing.category, palette) for thing in scene.objects}
    others = [f"{one} as {known[one] or 'black'}" for one in known if not _means(one, known[one])]
    if others:
        log.log(NOTE, "%s has no class of its own for these; coloured: %s", palette, ", ".join(others))
    found = [known[thing.category] for thing in scene.objects]
    return np.array([BLACK if name is None else colors[name] for name in found], dtype=np.uint8)


def class_for(category: str, palette: str) -> str | None:
    """The class of a palette that stands for a category, or that is of the same kind; None if there is none."""
    names = class_colors(palette)
    return name_for(category, CATEGORIES, names) or next(iter(CATEGORIES.relatives(category, list(names))), None)


def _means(category: str, name: str | None) -> bool:
    """Whether a class is what a category says, not something like it."""
    return name is not None and CATEGORIES.same(category, name)


@lru_cache(maxsize=len(CLASSES))
def class_colors(palette: str) -> dict[str, tuple[int, int, int]]:
    """The classes of a palette of :data:`CLASSES`, in its order, with their colours."""
    text = (files("scenograph") / "scenes" / "tables" / f"{palette}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["category"]: (int(row["red"]), int(row["green"]), int(row["blue"])) for row in rows}


def instance_color(number: int) -> tuple[int, int, int]:
    """A bright colour for an object by its number: hues of neighbours are far apart, and none occurs twice."""
    hue = number * 0.618034 % 1  # the golden ratio spreads any number of hues evenly
    red, green, blue = colorsys.hsv_to_rgb(hue, (0.9, 0.6, 0.75)[number % 3], (1.0, 0.9, 0.7)[number // 3 % 3])
    return round(red * 255), round(green * 255), round(blue * 255)
