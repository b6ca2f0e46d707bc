"""What lives in each world, read from ``worlds.toml``: a new world is a table there and a backdrop."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from scenograph.errors import validate


class World(BaseModel):
    """A world, by the name of its backdrop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    things: dict[str, float]
    """How often each category comes, relative to the others."""
    count: tuple[int, int]
    """Fewest and most things."""
    eye: tuple[float, float]
    """Height of the camera in metres, lowest and highest: from higher up, things look smaller."""
    without: tuple[str, ...] = ()
    """Names of drawings that do not belong here, such as palms in the snow."""


def _read() -> dict[str, World]:
    text = (files("scenograph.data.picture_book") / "worlds.toml").read_text(encoding="utf-8")
    return {name: validate(World, table, f"worlds.toml, {name}") for name, table in tomllib.loads(text).items()}


WORLDS = _read()
"""By the name of the backdrop."""
