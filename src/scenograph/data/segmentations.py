"""COCO's segmentations: polygons and run lengths as masks and boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from scenograph.data.records import numbers
from scenograph.errors import UserError, missing_extra

FAR = 10
"""Polygons that lie so many times the picture's size outside it are mistakes."""


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons, uncompressed or compressed run lengths, as (height, width) bool.

    Raises ``ValueError`` for one that cannot be decoded or has another size.
    """
    try:
        from pycocotools import mask as rle
    except ImportError as error:
        raise missing_extra("pycocotools", "data") from error
    try:
        if isinstance(segmentation, list):
            polygons = polygons_of(segmentation, height, width)
            if not polygons:
                raise ValueError("segmentation has no polygon of three points or more")
            encoded = rle.merge(rle.frPyObjects(polygons, height, width))
        else:
            _check_run_lengths(segmentation, height, width)
            listed = isinstance(segmentation["counts"], list)
            encoded = rle.frPyObjects(segmentation, height, width) if listed else segmentation
        mask = rle.decode(encoded)
    except ValueError:
        raise
    except Exception as error:  # the C extension raises bare Exception too
        raise ValueError(f"segmentation cannot be decoded ({type(error).__name__})") from error
    if mask.shape != (height, width):
        raise ValueError("segmentation has another size than its picture")
    return mask.astype(bool)


def box_of_segmentation(segmentation: Any, height: int, width: int) -> list[float] | None:
    """x, y, width and height of what a segmentation covers, or None if nothing can be read from it."""
    if isinstance(segmentation, list):
        points = [value for polygon in polygons_of(segmentation, height, width) for value in polygon]
        if not points:
            return None
        x, y = min(points[::2]), min(points[1::2])
        return [x, y, max(points[::2]) - x, max(points[1::2]) - y]
    try:
        return _box_of_mask(decode_segmentation(segmentation, height, width))
    except UserError:  # about this installation
        raise
    except ValueError:
        return None


def crop_mask(mask: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """The part of a picture's mask in a pixel box (x, y, w, h), bounds rounded as in sg2im; at least one pixel."""
    x, y, w, h = box
    top, left = max(round(y), 0), max(round(x), 0)
    bottom, right = max(top + 1, round(y + h)), max(left + 1, round(x + w))
    cropped = mask[top:bottom, left:right]
    return cropped if cropped.size else np.zeros((1, 1), bool)


def polygons_of(segmentation: list[Any], height: int, width: int) -> list[list[float]]:
    """The polygons of a list that have three points or more; a flat list of numbers is one polygon, as are points.

    ``pycocotools`` takes two points for a box, and refuses the whole list for one point.
    """
    if numbers(segmentation) is not None:
        segmentation = [segmentation]
    elif len(segmentation) > 2 and all(numbers(one, 2) is not None for one in segmentation):
        segmentation = [[value for point in segmentation for value in point]]
    polygons = [numbers(one) or [] for one in segmentation]
    furthest = FAR * max(height, width)
    return [one for one in polygons if len(one) >= 6 and len(one) % 2 == 0 and max(map(abs, one)) <= furthest]


def _check_run_lengths(segmentation: Any, height: int, width: int) -> None:
    """Raise ``ValueError`` for runs that are not of a picture of this size, which ``pycocotools`` does not check."""
    if list(segmentation["size"]) != [height, width]:
        raise ValueError("segmentation has another size than its picture")
    counts = segmentation["counts"]
    if isinstance(counts, list) and (min(counts, default=0) < 0 or sum(counts) != height * width):
        raise ValueError("segmentation has runs of another length than its picture")


def _box_of_mask(mask: np.ndarray) -> list[float]:
    """x, y, width and height of what is set; all zero if nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]
