"""Pairs of things that belong together, read from ``pairs.toml``: riders, what people hold, what stands on a table."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scenograph.data.picture_book.drawings import Drawing
from scenograph.errors import validate

Share = Annotated[float, Field(ge=0, le=1)]
ANY = "*"
"""The category of a host or a guest that may be anything."""
ALIKE = {"standing on": "on", "parked on": "on"}
"""Predicates whose pairs are those of another."""
OPAQUE = 0.5
"""Alpha from which a pixel belongs to a thing."""


class Pair(BaseModel):
    """A guest that is placed by its host: a point of its box comes to lie on a point of the host's.

    Worlds sample pairs by their share. Those with a share of 0 only show what a scene asks for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    """Category of what stands by itself, or ``*``."""
    guest: str
    """Category of what comes with it, or ``*``."""
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
    turned: bool = False
    """Whether the host lies on its side, as a surfboard does under a surfer."""

    @model_validator(mode="after")
    def _sampled_only_if_it_can_be(self) -> Self:
        if self.share and (self.turned or ANY in (self.host, self.guest)):
            raise ValueError("share: must be 0 with a host or a guest of any category, or with a turned host")
        return self

    @property
    def carried(self) -> bool:
        """Whether the host carries the guest, which then does not touch the ground."""
        return self.predicate != "under"

    def takes_host(self, drawing: Drawing) -> bool:
        """Whether the drawing may be the host."""
        return self.host in (ANY, drawing.category) and _named(drawing, self.hosts)

    def takes_guest(self, drawing: Drawing) -> bool:
        """Whether the drawing may be the guest."""
        return self.guest in (ANY, drawing.category) and _named(drawing, self.guests)

    def heights(self, guest: Drawing, host: Drawing) -> tuple[float, float]:
        """Lowest and highest height of the guest, in heights of the host."""
        if self.size is not None:
            return self.size
        natural = guest.told / host.told
        return 0.9 * natural, 1.1 * natural

    def seat(self, host: np.ndarray, corner: tuple[int, int], across: float, guest: tuple[int, int]) -> tuple[int, int]:
        """Top and left of a guest in pixels.

        Args:
            host: Its pixels (h, w, 4), alpha in [0, 1].
            corner: Its top and left.
            across: Where on the host, in its widths from the left.
            guest: Height and width of the guest.
        """
        column = across * host.shape[1]
        down = self.down * host.shape[0] + (_outline(host, column) if self.outline else 0)
        return round(corner[0] + down - self.at[1] * guest[0]), round(corner[1] + column - self.at[0] * guest[1])


def _named(drawing: Drawing, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(drawing.key, pattern) for pattern in patterns)


def _outline(pixels: np.ndarray, column: float) -> int:
    """The first row (h, w, 4) that is opaque at a column, or the last one."""
    opaque = pixels[:, min(max(int(column), 0), pixels.shape[1] - 1), 3] >= OPAQUE
    return int(opaque.argmax()) if opaque.any() else pixels.shape[0] - 1


def _read() -> tuple[Pair, ...]:
    text = (files("scenograph.data.picture_book") / "pairs.toml").read_text(encoding="utf-8")
    rows = tomllib.loads(text)["pairs"]
    return tuple(validate(Pair, row, f"pairs.toml, pairs[{number}]") for number, row in enumerate(rows))


PAIRS = _read()
"""All pairs."""


def pairs_for(guest: str, predicate: str, host: str) -> Sequence[Pair]:
    """The pairs of categories in a relation; those for any category only where there are none for these."""
    for guests, hosts in (((guest,), (host,)), ((ANY,), (host,)), ((guest, ANY), (ANY,))):
        fitting = [
            one
            for one in PAIRS
            if one.predicate == ALIKE.get(predicate, predicate) and one.guest in guests and one.host in hosts
        ]
        if fitting:
            return fitting
    return ()
