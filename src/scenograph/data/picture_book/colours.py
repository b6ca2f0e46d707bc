"""The colours that can be asked for, by the name of the attribute."""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (240, 138, 36),
    "yellow": (247, 206, 54),
    "green": (76, 159, 62),
    "blue": (48, 111, 205),
    "purple": (134, 76, 180),
    "pink": (238, 130, 170),
    "brown": (134, 88, 52),
    "black": (52, 52, 58),
    "white": (240, 240, 236),
    "gray": (143, 147, 152),
}
"""sRGB, 0 to 255."""

_COATS = ("brown", "black", "white", "gray")
NATURAL: dict[str, tuple[str, ...]] = {
    "sheep": ("white", "black", "brown"),
    "cow": ("brown", "black", "white"),
    "horse": _COATS,
    "dog": _COATS,
    "cat": (*_COATS, "orange"),
    "bear": ("brown", "black", "white"),
    "bird": ("red", "yellow", "green", "blue", "brown", "black", "white", "gray"),
    "tree": ("green", "orange", "yellow", "red"),
    "clouds": ("white", "gray"),
    "apple": ("red", "green", "yellow"),
    "dining table": ("brown", "white", "gray"),
    "knife": ("gray", "black", "brown"),
    "wine glass": ("red", "white", "yellow"),
}
"""The colours that things of a category come in; others come in all of them."""
