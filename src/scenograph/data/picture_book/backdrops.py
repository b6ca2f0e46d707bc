"""The worlds without their things: sky, far scenery and ground, or a room, with exact labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scenograph.data.picture_book import indoors, outdoors
from scenograph.data.picture_book.layers import Backdrop, Light

__all__ = ["WORLDS", "Backdrop", "Light"]

WORLDS: dict[str, Callable[[int, np.random.Generator], Backdrop]] = {
    "meadow": outdoors.meadow,
    "farm": outdoors.farm,
    "forest": outdoors.forest,
    "savanna": outdoors.savanna,
    "sea": outdoors.sea,
    "beach": outdoors.beach,
    "river": outdoors.river,
    "street": outdoors.street,
    "city": outdoors.city,
    "snow": outdoors.snow,
    "park": outdoors.park,
    "field": outdoors.field,
    "railway": outdoors.railway,
    "kitchen": indoors.kitchen,
    "living room": indoors.living_room,
    "sky": outdoors.sky,
}
"""Each makes a backdrop of a side of 64 to 512 pixels; the generator decides everything else."""
