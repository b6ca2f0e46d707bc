"""Pairs of things that belong together, read from ``pairs.toml``: riders, what people hold, what stands on a table."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from scenograph.errors import validate

Share = Annotated[float, Field(ge=0, le=1)]


class Pair(BaseModel):
    """A guest that is placed by its host: a point of its box comes to lie on a point of the host's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """Category of what stands by itself."""
    guest: str
    """Category of what comes with it."""
    predicate: str
    """Of the guest and the host; of the host and the guest if the host is ``holding`` it."""
    share: Share
    """How often a host of a fitting drawing gets this guest."""
    across: tuple[float, float]
    """Where on the host, in its widths from the left; lowest and highest."""
    down: float
    """The same in its heights: below its outline there with ``outline``, below its upper edge without."""
    at: tuple[float, float]
    """The guest's own point, in its widths and heights from its upper left corner."""
    outline: bool = False
    nearer: bool
    """Whether the guest covers the host, not the host the guest."""
    size: tuple[float, float] | None = None
    """Height of the guest in heights of the host, lowest and highest; by nature if None."""
    hosts: tuple[str, ...] = ("*",)
    """Patterns of the keys of the drawings that the host may be."""
    guests: tuple[str, ...] = ("*",)
    """The same of the guest."""
    worlds: tuple[str, ...] = ()
    """Where it is seen; everywhere if empty."""

    @property
    def carried(self) -> bool:
        """Whether the host carries the guest, which then does not touch the ground."""
        return self.predicate != "under"


def _read() -> tuple[Pair, ...]:
    text = (files("scenograph.data.picture_book") / "pairs.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["pairs"]
    return tuple(validate(Pair, row, f"pairs.toml, pairs[{number}]") for number, row in enumerate(rows))


PAIRS = _read()
"""All pairs."""
