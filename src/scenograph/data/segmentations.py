"""COCO's segmentations: polygons and run lengths as masks and boxes."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from scenograph.data.records import numbers
from scenograph.errors import UserError, missing_extra

LONG, LONGEST = 1_000_000, 500_000_000
"""Pixels of an outline: that are filled at once, in 50 MB, and at most."""

FAR = 10
"""Polygons and boxes that reach so many times the picture's size out of it are mistakes."""

ROUNDED = 0.02
"""Pixels; the corner of a box may miss the picture's edge by so much because both its numbers have two decimals."""


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons, uncompressed or compressed run lengths, as (height, width) bool.

    Raises ``ValueError`` for one that cannot be decoded or has another size.
    """
    try:
        from pycocotools import mask as rle
    except ImportError as error:
        raise missing_extra("pycocotools", "data") from error
    try:
        if isinstance(segmentation, list) and segmentation and all(isinstance(one, dict) for one in segmentation):
            return reduce(np.logical_or, [decode_segmentation(one, height, width) for one in segmentation])
        if not isinstance(segmentation, list):
            counts = _run_lengths(segmentation, height, width)
            return np.asarray(
                rle.decode(rle.frPyObjects({"size": [height, width], "counts": counts}, height, width)) > 0
            )
        polygons = polygons_of(segmentation, height, width)
        if not polygons:
            raise ValueError("segmentation has no polygon of three points or more")
        outlines = [_short_outlines(polygon) for polygon in polygons]
        short = [parts[0] for parts in outlines if len(parts) == 1]
        mask = np.zeros((height, width), bool)
        if short:
            mask = np.asarray(rle.decode(rle.merge(rle.frPyObjects(short, height, width))) > 0)
        for parts in outlines:
            if len(parts) > 1:
                filled = (rle.decode(rle.frPyObjects([part], height, width)[0]) > 0 for part in parts)
                mask |= reduce(np.logical_xor, filled)
        return mask
    except ValueError:
        raise
    except Exception as error:  # the C extension raises bare Exception too
        raise ValueError(f"segmentation cannot be decoded ({type(error).__name__})") from error


def box_of_segmentation(segmentation: Any, height: int, width: int) -> list[float] | None:
    """x, y, width and height of what a segmentation covers, or None if nothing can be read from it."""
    if isinstance(segmentation, list):
        points = [value for polygon in polygons_of(segmentation, height, width) for value in polygon]
        if not points:
            return None
        x, y = min(points[::2]), min(points[1::2])
        return [x, y, max(points[::2]) - x, max(points[1::2]) - y]
    try:
        return box_of_mask(decode_segmentation(segmentation, height, width))
    except UserError:  # about this installation
        raise
    except ValueError:
        return None


def box_of_mask(mask: np.ndarray) -> list[float]:
    """x, y, width and height of what is set; all zero if nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def clip_box(box: list[float], width: int, height: int) -> list[float]:
    """A pixel box (x, y, w, h) without what reaches out of the picture; not positive in w or h if all of it does.

    A box that only rounding carries over the edge stays as it is, as published loaders have it.
    """
    x, y, w, h = box
    if x >= -ROUNDED and y >= -ROUNDED and x + w <= width + ROUNDED and y + h <= height + ROUNDED:
        return box
    left, top = max(x, 0), max(y, 0)
    return [left, top, min(x + w, width) - left, min(y + h, height) - top]


def crop_mask(mask: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a picture's mask in a pixel box (x, y, w, h), bounds rounded as in sg2im; at least one pixel.

    The box lies in the picture, as :func:`clip_box` has it: else the part would be smaller than the box says.
    """
    x, y, w, h = box
    top, left = max(round(y), 0), max(round(x), 0)
    bottom, right = max(top + 1, round(y + h)), max(left + 1, round(x + w))
    cropped = mask[top:bottom, left:right]
    return cropped if cropped.size else np.zeros((1, 1), bool)


def polygons_of(segmentation: list[Any], height: int, width: int) -> list[list[float]]:
    """The polygons of a list that have three points or more; a flat list of numbers is one polygon, as are points.

    ``pycocotools`` takes two points for a box, and refuses the whole list for one point.
    """
    whole = _coordinates(segmentation)
    polygons = [whole] if whole else [_coordinates(one) or [] for one in segmentation]
    furthest = FAR * max(height, width)
    return [one for one in polygons if len(one) >= 6 and len(one) % 2 == 0 and max(map(abs, one)) <= furthest]


def _coordinates(polygon: Any) -> list[float] | None:
    """The x, y, x, y, ... of a polygon that is a list of them, or of three points or more; else None."""
    if isinstance(polygon, list) and len(polygon) > 2 and all(numbers(point, 2) is not None for point in polygon):
        polygon = [value for point in polygon for value in point]
    return numbers(polygon)


def _short_outlines(polygon: list[float]) -> list[list[float]]:
    """Parts of a polygon that cover together, an odd number of times, what it covers.

    ``pycocotools`` keeps five points for every pixel of an outline, so that one of many long lines takes gigabytes.
    A part goes from the first point along a piece of the outline and back: the lines back cancel each other.

    Raises ``ValueError`` for an outline that would take minutes.
    """
    points = np.array(polygon).reshape(-1, 2)
    steps = np.abs(np.diff(points, axis=0, append=points[:1])).max(axis=1).cumsum()
    if steps[-1] > LONGEST:
        raise ValueError("segmentation's outline is too long")
    if steps[-1] <= LONG:
        return [polygon]
    parts, start = [], 1
    while start < len(points) - 1:
        end = max(int(np.searchsorted(steps, steps[start - 1] + LONG)), start + 1)
        parts.append([*points[0].tolist(), *points[start : end + 1].ravel().tolist()])
        start = end
    return parts


def _run_lengths(segmentation: Any, height: int, width: int) -> list[int]:
    """The runs of a segmentation. Raises ``ValueError`` if they are none of a picture of this size.

    ``pycocotools`` checks neither that nor whether compressed ones are text that it has written.
    """
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("segmentation is neither polygons nor run lengths")
    if numbers(segmentation["size"]) != [height, width]:
        raise ValueError("segmentation has another size than its picture")
    counts = segmentation["counts"]
    runs = _decompressed(counts) if isinstance(counts, str | bytes) else numbers(counts)
    if runs is None or any(run != int(run) for run in runs):
        raise ValueError("segmentation has no run lengths")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError("segmentation has runs of another length than its picture")
    return [int(run) for run in runs]


def _decompressed(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: digits of five bits from ``0`` on, low ones first, each but the last of a run + 32.

    A run is signed, and from the fourth on the difference to the last but one (``rleFrString`` of its API).
    """
    runs: list[int] = []
    value = shift = 0
    for character in text if isinstance(text, bytes) else map(ord, text):
        digit = character - ord("0")
        if not 0 <= digit < 64 or shift > 60:
            raise ValueError("segmentation has run lengths of other characters than COCO's")
        value |= (digit & 31) << shift
        shift += 5
        if digit < 32:
            value -= (digit & 16) << (shift - 4)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("segmentation has run lengths that are cut short")
    return runs
