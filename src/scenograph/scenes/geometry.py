"""Boxes, and when a spatial relation between two boxes holds.

Boxes are ``(x0, y0, x1, y1)``, fractions of the canvas, origin top left. Functions take arrays whose last
dimension is 4 and broadcast over the others.
"""

from __future__ import annotations

import math
from functools import lru_cache

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

_NARROWER, _SHORTER = (-1.0, 0.0, 1.0, 0.0), (0.0, -1.0, 0.0, 1.0)
MEASURES: dict[str, tuple[tuple[float, float, float, float], ...]] = {
    "left of": ((0.5, 0.0, 0.5, 0.0),),
    "above": ((0.0, 0.5, 0.0, 0.5),),
    "inside": ((-1.0, 0.0, 0.0, 0.0), (0.0, -1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
    "behind": ((0.0, 0.0, 0.0, 1.0),),
    "smaller than": (_NARROWER, _SHORTER),
    "narrower than": (_NARROWER,),
    "shorter than": (_SHORTER,),
}
"""One of each pair of converses. It holds if all these weighted sums of edges are less for the subject's box."""

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


def relation_holds(predicate: str, subject: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Whether each pair of boxes shows the predicate, or None for predicates that geometry cannot decide.

    Left, right, above and below compare centres. "In front of" and "behind" compare lower edges: on a common
    floor seen from above, nearer objects reach lower in the picture. A larger object is both wider and taller.
    """
    if predicate not in CONVERSES:
        return None
    if predicate not in MEASURES:
        return relation_holds(CONVERSES[predicate], other, subject)
    measures = np.array(MEASURES[predicate], dtype=subject.dtype).T
    return (subject @ measures < other @ measures).all(axis=-1)


WIDE, NEAR_EDGE = 0.7, 0.15
"""Width from which a region is meant to span the picture, and the margin that it may leave above and below."""


def to_edges(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """The box of a region without the stripes that it would leave at the edges of the picture.

    Layout models place skies and meadows almost as wide as the picture; they go on beyond it.
    """
    x0, y0, x1, y1 = box
    if x1 - x0 > WIDE:
        x0, x1 = 0.0, 1.0
    return x0, 0.0 if y0 < NEAR_EDGE else y0, x1, 1.0 if y1 > 1 - NEAR_EDGE else y1
