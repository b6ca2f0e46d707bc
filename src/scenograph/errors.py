"""The one exception that a user, not a programmer, can cause and repair, and remarks on what was understood."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Checked = TypeVar("Checked", bound=BaseModel)
Item = TypeVar("Item")
Made = TypeVar("Made")


LINES, WIDTH = 40, 600
"""Of a message on a terminal: at most so many lines of so many characters."""

NOTE = 25
"""Level of log messages that say how something was understood: no warning, but the command line shows them."""
logging.addLevelName(NOTE, "note")
EXTRAS = {
    "accelerate": "train",
    "datasets": "train",
    "fastapi": "studio",
    "ijson": "train",
    "omegaconf": "train",
    "pyarrow": "train",
    "scipy": "refine",
    "tensorboard": "train",
    "uvicorn": "studio",
}
"""Packages that only some commands need, and the extra that installs each; those of one feature name it themselves."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the operating system says of a full disk."""


class UserError(ValueError):
    """Bad input: the message names the place, the value and the remedy in one line.

    The command line prints the message alone and exits with status 2. Code that uses the package
    as a library catches it as the ``ValueError`` it is.
    """


def for_all(make: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """The results for all items. Every item is tried, so that a user can repair all errors at once.

    Raises ``UserError`` with the message of every failing item, a line each.
    """
    made, complaints = [], []
    for item in items:
        try:
            made.append(make(item))
        except UserError as error:
            complaints.append(str(error))
    if complaints:
        raise UserError("\n".join(complaints))
    return made


def suggest(name: str, allowed: Iterable[str], limit: int = 8) -> str:
    """The remedy for an unknown name: ``(did you mean 'cat'?)``, or the first allowed names."""
    choices = [str(choice) for choice in allowed]
    folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(name.casefold(), list(folded), n=1)
    if close:
        return f"(did you mean {folded[close[0]]!r}?)"
    shown = ", ".join(choices[:limit])
    return f"(choose from: {shown}{', ...' if len(choices) > limit else ''})"


def validate(kind: type[Checked], values: dict[str, Any], where: str) -> Checked:
    """Build a ``kind`` from ``values``. Raises ``UserError`` for the first wrong one, beginning with ``where``."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_first_complaint(kind, error)}") from error


def _first_complaint(kind: type[BaseModel], error: ValidationError) -> str:
    """In one line: the place, the rule, and the value where it is a small one, or the names that there are."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        *sections, name = first["loc"]
        section: Any = kind
        for part in sections:
            section = section.model_fields[part].annotation
        return f"{place}: no such setting {suggest(str(name), section.model_fields)}"
    return f"{place}: {rule_and_value(first)}".removeprefix(": ")


def check_text(text: str, where: str) -> str:
    """The text. Raises ``UserError``, which begins with ``where``, if it holds NUL, or bytes that are no UTF-8."""
    for place, one in enumerate(text):
        if one == "\0" or "\ud800" <= one <= "\udfff":
            raise UserError(f"{where}: character {place} is {one!a}, which is no text; leave it out")
    return text


def counted(count: int, noun: str) -> str:
    """``1 object``, ``3 objects``."""
    return f"{count} {noun}{'s' * (count != 1)}"


def with_article(noun: str) -> str:
    """``a detector``, ``an object-classifier``."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"


def shortened(value: object) -> str:
    """What was found, short enough for one line."""
    if value is None:
        return "nothing"
    try:
        shown = json.dumps(value, default=str)
    except RecursionError:
        return "something nested too deeply"
    return shown if len(shown) <= 60 else shown[:57] + "..."


def rule_and_value(complaint: ErrorDetails) -> str:
    """Pydantic's description of what is allowed, and the value found, if it is short and not mentioned already."""
    rule, value = complaint["msg"].removeprefix("Value error, "), complaint["input"]
    shown = repr(value)
    whole = complaint["type"] == "missing" or isinstance(value, dict) or len(shown) > 80
    named = isinstance(value, str) and shown in rule
    return rule if whole or named else f"{rule} (found {shown})"


def reason(error: Exception, otherwise: str = "") -> str:
    """An exception in one line, without the number and the path that errors of the operating system repeat.

    ``otherwise`` replaces the message of other exceptions.
    """
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    said = getattr(error, "strerror", None) or otherwise or str(error).strip()
    return str(said).splitlines()[0] if said else type(error).__name__


def system_error(error: BaseException | None) -> OSError | None:
    """The operating system's refusal behind an exception, which libraries may wrap in exceptions of their own."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def readable(message: str) -> str:
    """A message of bounded length."""
    lines = message.splitlines() or [""]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"... and {len(lines) - LINES + 1} more"]
    return "\n".join(map(_middle_left_out, lines))


def _middle_left_out(line: str) -> str:
    """Both ends of a long line: the place stands at the beginning, the remedy at the end."""
    return line if len(line) <= WIDTH else f"{line[: 2 * WIDTH // 3]} ... {line[-WIDTH // 3 :]}"


def printable(text: str) -> str:
    """A text with escapes in place of characters that would steer a terminal, and of halves of characters."""
    return "".join(one if one.isprintable() or one in "\t\n" else ascii(one)[1:-1] for one in text)


def unreadable(path: object, error: Exception, otherwise: str = "") -> UserError:
    """The ``UserError`` for an exception that opening or reading ``path`` raised."""
    return UserError(f"cannot read {path}: {reason(error, otherwise)}")


MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What reading content of another form than expected may raise."""


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Turn exceptions that malformed content raises inside into a ``UserError``: ``what``, then the exception."""
    try:
        yield
    except UserError:
        raise
    except MALFORMED as error:
        refused = system_error(error)
        if refused is not None and refused.errno in FULL:  # not the content's fault
            raise refused from error
        raise UserError(f"{what} ({type(error).__name__}: {reason(error)})") from error


def missing_extra(package: str, extra: str) -> UserError:
    """The ``UserError`` for a missing optional dependency, with the command that installs it."""
    return UserError(f"this needs the package {package}: python -m pip install 'scenograph[{extra}]'")
