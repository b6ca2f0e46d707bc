"""Boxes, and when a spatial relation between two boxes holds.

Boxes are ``(x0, y0, x1, y1)``, fractions of the canvas, origin top left. Functions take arrays whose last
dimension is 4 and broadcast over the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

CONVERSES: dict[str, str] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "inside": "surrounding",
    "surrounding": "inside",
    "in front of": "behind",
    "behind": "in front of",
    "larger than": "smaller than",
    "smaller than": "larger than",
    "wider than": "narrower than",
    "narrower than": "wider than",
    "taller than": "shorter than",
    "shorter than": "taller than",
}
"""Spatial predicates that no object has to itself, each with its converse."""


class Measure(NamedTuple):
    """An inequality between two boxes: a weighted sum of the subject's edges is less than one of the object's.

    It may be up to ``slack``, a fraction of the canvas, more.
    """

    subject: tuple[float, float, float, float]
    object: tuple[float, float, float, float]
    slack: float = 0.0


SLACK = 0.02
"""How far boxes that touch may be apart, or reach beyond each other."""


def _same(*weights: float) -> Measure:
    """A measure of the same weighted sum of both boxes."""
    x0, y0, x1, y1 = weights
    return Measure((x0, y0, x1, y1), (x0, y0, x1, y1))


def _apart(sides: float) -> tuple[Measure, ...]:
    """Gaps along both axes below this many sides of either box: below 0, boxes share rows and columns."""
    more, slack = 1 + sides, SLACK if not sides else 0.0
    found = (
        # The object's lower edge lies less than a gap beyond the subject's upper one, which is ``more`` times its side
        # beyond its own lower one; then in sides of the object; then the other way round; then along the other axis.
        Measure((sides, 0, -more, 0), (-1, 0, 0, 0), slack),
        Measure((0, 0, -1, 0), (-more, 0, sides, 0), slack),
        Measure((1, 0, 0, 0), (-sides, 0, more, 0), slack),
        Measure((more, 0, -sides, 0), (0, 0, 1, 0), slack),
        Measure((0, sides, 0, -more), (0, -1, 0, 0), slack),
        Measure((0, 0, 0, -1), (0, -more, 0, sides), slack),
        Measure((0, 1, 0, 0), (0, -sides, 0, more), slack),
        Measure((0, more, 0, -sides), (0, 0, 0, 1), slack),
    )
    return tuple(dict.fromkeys(found))


_NARROWER, _SHORTER, _HIGHER = _same(-1, 0, 1, 0), _same(0, -1, 0, 1), _same(0, 0.5, 0, 0.5)
_WITHIN_COLUMNS = (Measure((0.5, 0, 0.5, 0), (0, 0, 1, 0)), Measure((-0.5, 0, -0.5, 0), (-1, 0, 0, 0)))
_FOOT_WITHIN = (
    *_WITHIN_COLUMNS,
    Measure((0, 0, 0, 1), (0, 0, 0, 1), SLACK),
    Measure((0, 0, 0, -1), (0, -1, 0, 0), SLACK),
)
MEASURES: dict[str, tuple[Measure, ...]] = {
    "left of": (_same(0.5, 0, 0.5, 0),),
    "above": (_HIGHER,),
    "inside": (_same(-1, 0, 0, 0), _same(0, -1, 0, 0), _same(0, 0, 1, 0), _same(0, 0, 0, 1)),
    "behind": (_same(0, 0, 0, 1),),
    "smaller than": (_NARROWER, _SHORTER),
    "narrower than": (_NARROWER,),
    "shorter than": (_SHORTER,),
}
"""One of each pair of converses, which holds if all its measures do."""
CONTACTS: dict[str, tuple[Measure, ...]] = {
    **dict.fromkeys(("on", "standing on", "parked on", "in", "flying in"), _FOOT_WITHIN),
    "riding": (*_FOOT_WITHIN, _HIGHER),
    "under": (*_WITHIN_COLUMNS, Measure((0, -0.5, 0, -0.5), (0, -0.5, 0, -0.5))),
    "holding": _apart(0),
    "next to": _apart(0.5),
}
"""The same of relations that are no order: nothing follows from two of them.

Where one box is, the other may be as well. The foot of what is on or in something lies within its box; the columns of
what is under something, too, and it is lower. What somebody holds touches them. Things next to each other are less than
half a side apart, of the smaller one.
"""
ON = ("on", "standing on", "parked on")
"""What is on a thing, not on a region, is on the upper part of it, as if it were ``riding`` it."""
REGION_AREA, REGION_WIDTH = 0.25, 0.6
"""Fractions of the canvas from which a box is that of a region, such as the sky, in which things are."""

MIRRORED: dict[str, str] = {
    "left of": "right of",
    "right of": "left of",
    "facing left": "facing right",
    "facing right": "facing left",
}
"""Predicates and attributes that mirroring changes, and what they become."""

SG2IM_PREDICATES = ("left of", "right of", "above", "below", "inside", "surrounding")
"""The predicates of :func:`sg2im_relation`, in the order of sg2im's vocabulary."""

CLEVR_PREDICATES = {"left": "left of", "right": "right of", "front": "in front of", "behind": "behind"}
"""CLEVR's direction names and the predicates they become."""


def box_from_xywh(box: np.ndarray, width: float, height: float) -> np.ndarray:
    """Pixel (x, y, width, height), as COCO and Visual Genome store it, to canvas fractions."""
    x, y, w, h = np.moveaxis(np.asarray(box, dtype=np.float64), -1, 0)
    return np.stack([x / width, y / height, (x + w) / width, (y + h) / height], axis=-1)


def box_area(boxes: np.ndarray) -> np.ndarray:
    """Area as a fraction of the canvas; 0 for inverted boxes."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None)
    return sides[..., 0] * sides[..., 1]


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union in [0, 1], element by element; 0 where both are empty."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    intersection = box_area(np.concatenate([low, high], axis=-1))
    union = box_area(first) + box_area(second) - intersection
    return intersection / np.maximum(union, 1e-12)


def mask_centre(box: tuple[float, float, float, float], mask: np.ndarray | None) -> tuple[float, float]:
    """Mean position of the pixels of a box-relative (M, M) mask, as sg2im computes it; the box centre without one."""
    x0, y0, x1, y1 = box
    if mask is None:
        return ((x0 + x1) / 2, (y0 + y1) / 2)
    (ones_y, ys), (ones_x, xs) = (_ramp(side) for side in mask.shape)
    pixels = mask.astype(np.float32)
    columns = ones_y @ pixels
    total = float(columns @ ones_x)
    if not total:
        return ((x0 + x1) / 2, (y0 + y1) / 2)
    # The mean of linspace(x0, x1) over the pixels of the mask, and of linspace(y0, y1).
    x, y = float(columns @ xs) / total, float((pixels @ ones_x) @ ys) / total
    return (x0 + (x1 - x0) * x, y0 + (y1 - y0) * y)


@lru_cache(maxsize=1024)
def _ramp(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Ones, and numbers from 0 to 1."""
    return np.ones(side, dtype=np.float32), np.linspace(0, 1, side, dtype=np.float32)


def sg2im_relation(
    subject_box: tuple[float, float, float, float],
    object_box: tuple[float, float, float, float],
    subject_centre: tuple[float, float],
    object_centre: tuple[float, float],
) -> str:
    """The predicate that sg2im assigns to an ordered pair (Johnson et al. 2018, section 4.1 and its loader).

    Strict containment decides first; otherwise the direction of the centres in four quadrants.
    """
    sx0, sy0, sx1, sy1 = subject_box
    ox0, oy0, ox1, oy1 = object_box
    if sx0 < ox0 and sx1 > ox1 and sy0 < oy0 and sy1 > oy1:
        return "surrounding"
    if sx0 > ox0 and sx1 < ox1 and sy0 > oy0 and sy1 < oy1:
        return "inside"
    theta = math.atan2(subject_centre[1] - object_centre[1], subject_centre[0] - object_centre[0])
    if theta >= 3 * math.pi / 4 or theta <= -3 * math.pi / 4:
        return "left of"
    if theta < -math.pi / 4:
        return "above"
    if theta < math.pi / 4:
        return "right of"
    return "below"


def is_region(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes (..., 4) cover so much of the canvas that things are in them: the sky, a meadow, a road."""
    return (box_area(boxes) > REGION_AREA) | (boxes[..., 2] - boxes[..., 0] > REGION_WIDTH)


def measures(predicate: str, on_region: bool = True) -> tuple[Measure, ...] | None:
    """When two boxes show a predicate: if all of these hold. None if geometry cannot decide it.

    Of one that has a converse in :data:`MEASURES`, the measures are that one's with the boxes exchanged.
    ``on_region`` says whether the object's box is that of a region.
    """
    if predicate in ON and not on_region:
        predicate = "riding"
    found = CONTACTS.get(predicate) or MEASURES.get(predicate)
    if found is None and predicate in CONVERSES:
        return tuple(Measure(_minus(m.object), _minus(m.subject), m.slack) for m in MEASURES[CONVERSES[predicate]])
    return found


def _minus(weights: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = weights
    return -x0, -y0, -x1, -y1


def relation_holds(predicate: str, subject: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Whether each pair of boxes shows the predicate, or None for predicates that geometry cannot decide.

    Left, right, above and below compare centres. "In front of" and "behind" compare lower edges: on a common
    floor seen from above, nearer objects reach lower in the picture. A larger object is both wider and taller.
    :data:`CONTACTS` says what the others compare.
    """
    found = measures(predicate)
    if found is None:
        return None
    holds = _all_hold(found, subject, other)
    return holds & (is_region(other) | _all_hold(CONTACTS["riding"], subject, other)) if predicate in ON else holds


def _all_hold(found: Sequence[Measure], subject: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether each pair of boxes (..., 4) shows all of these measures, (...) bool."""
    first, second = (np.array([m[side] for m in found], dtype=subject.dtype).T for side in (0, 1))
    slack = np.array([m.slack for m in found], dtype=subject.dtype)
    return (subject @ first < other @ second + slack).all(axis=-1)


SPANNING, SPANNING_ABOVE, NEAR_EDGE = 0.7, 0.4, 0.15
"""Widths from which a region is meant to span the picture, anywhere and at its upper edge, and the margin that it may
leave above and below."""


def to_edges(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box of a region without the stripes that it would leave at the edges of the picture.

    Layout models place skies and meadows almost as wide as the picture; they go on beyond it.
    """
    x0, y0, x1, y1 = box
    if x1 - x0 > (SPANNING_ABOVE if y0 < NEAR_EDGE else SPANNING):
        x0, x1 = 0.0, 1.0
    return x0, 0.0 if y0 < NEAR_EDGE else y0, x1, 1.0 if y1 > 1 - NEAR_EDGE else y1
