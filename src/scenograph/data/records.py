"""Records of annotation files: what is left out of them and why, and fields read in any form that has one meaning.

Tools write ids as numbers or as text, sizes as ``80``, ``80.0`` or ``"80"``, and null where they know nothing. One
record of another form never stops the reading of the others: it is left out, counted, and the first few are named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from scenograph.errors import MALFORMED, shortened

Id = int | str
Value = TypeVar("Value")

EXAMPLES = 3
"""How many records are named of those left out for one reason."""

MAX_SIDE = 1_000_000
"""Pixels; a picture of a longer side is a mistake."""


class Skip(Exception):  # noqa: N818 - not an error: the sample is left out and counted
    """Raised to leave a sample out. The message is the reason, which the summary counts.

    ``example`` is shown for the first samples left out for that reason: the file, and what is wrong with it.
    """

    def __init__(self, reason: str, example: str = "") -> None:
        super().__init__(reason)
        self.example = example


class Reasons(Counter[str]):
    """How many records were left out for which reason, and the first of them, in order of their names."""

    def __init__(
        self, counts: Mapping[str, int] | None = None, examples: Mapping[str, list[str]] | None = None
    ) -> None:
        self.examples: dict[str, list[str]] = dict(examples or {})
        super().__init__(counts or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), self.examples)

    def note(self, reason: str, example: str = "", count: int = 1) -> None:
        """Count records, one of which is the ``example``."""
        self[reason] += count
        if example:
            self._show(reason, [example])

    def include(self, other: Mapping[str, int]) -> None:
        """Sum up, in any order to the same result."""
        self.update(other)
        if isinstance(other, Reasons):
            for reason, examples in other.examples.items():
                self._show(reason, examples)

    def described(self, reason: str) -> str:
        """The reason with its number and the records that are named."""
        named = self.examples.get(reason, [])
        return f"{reason}: {self[reason]}{', such as ' if named else ''}{'; '.join(named)}"

    def _show(self, reason: str, examples: list[str]) -> None:
        self.examples[reason] = sorted({*self.examples.get(reason, []), *examples})[:EXAMPLES]


def identity(value: object) -> Id | None:
    """An id in the one form of all that mean the same: ``1``, ``1.0`` and ``"1"`` are 1. None if it is no id."""
    if isinstance(value, str) and len(value) < 20 and value.removeprefix("-").isdecimal() and value.isascii():
        value = int(value) if str(int(value)) == value else value  # 007 is a name
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    return value if isinstance(value, str) and value else None


def number(value: object) -> float | None:
    """A finite number, written as one or as text; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(read):
        return None
    return read if isinstance(value, str) else value


def numbers(value: object, count: int | None = None) -> list[float] | None:
    """A list of finite numbers, of ``count`` if that is given; else None."""
    if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
        return None
    read = [one for one in map(number, value) if one is not None]
    return read if len(read) == len(value) else None


def side(value: object) -> int | None:
    """A width or height in whole pixels; else None."""
    read = number(value)
    return int(read) if read is not None and 1 <= read <= MAX_SIDE and float(read).is_integer() else None


def name_of(value: object) -> str | None:
    """A name that is text or a number; else None."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


def read_each(
    values: object, read: Callable[[Any], Value], left_out: Reasons, where: str, what: str = "record"
) -> list[Value]:
    """Read a list, leaving out what cannot be.

    Args:
        values: The list. Anything else is left out as a whole.
        read: Of one entry. It raises :class:`Skip` for one to leave out; an entry of the wrong form may raise what it
            happens to.
        left_out: Where they are counted.
        where: The place of the list, for examples.
        what: An entry of it.
    """
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping):
        left_out.note(f"{what}s are no list", f"{where}: {shortened(values)}")
        return []
    found = []
    for place, value in enumerate(values):
        try:
            found.append(read(value))
        except Skip as skip:
            left_out.note(str(skip), f"{where}, {what} {place}: {skip.example or shortened(value)}")
        except MALFORMED:
            left_out.note(f"{what} is of an unexpected form", f"{where}, {what} {place}: {shortened(value)}")
    return found
