"""Drawings of our own: each is a function that draws a thing anew from a seed."""

from __future__ import annotations

from scenograph.data.picture_book.shapes import (
    animals,
    boats,
    buildings,
    food,
    gear,
    home,
    kitchen,
    nature,
    people,
    produce,
    room,
    street,
    tableware,
    vehicles,
    wild,
)
from scenograph.data.picture_book.shapes.shape import Shape, shape_svg

__all__ = ["SHAPES", "Shape", "shape_svg"]

PARTS = (
    animals,
    wild,
    nature,
    people,
    buildings,
    vehicles,
    boats,
    street,
    home,
    room,
    kitchen,
    tableware,
    food,
    produce,
    gear,
)
SHAPES: dict[str, Shape] = {shape.name: shape for part in PARTS for shape in part.SHAPES}
"""By name."""
