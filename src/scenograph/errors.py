"""The one exception that a user, not a programmer, can cause and repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Checked = TypeVar("Checked", bound=BaseModel)
Item = TypeVar("Item")
Made = TypeVar("Made")


class UserError(ValueError):
    """Bad input: the message names the place, the value and the remedy in one line.

    The command line prints the message alone and exits with status 2. Code that uses the package
    as a library catches it as the ``ValueError`` it is.
    """


def for_all(make: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What is made of every item. All of it is tried, so that what is wrong can be mended at once.

    Raises ``UserError`` with every item's message, a line each.
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
    """``values`` as a ``kind``; a ``UserError`` of what is first found wrong in them, if anything is."""
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


def rule_and_value(complaint: ErrorDetails) -> str:
    """What pydantic asks for, in its words, and what it found instead where that is small and not among them."""
    rule, value = complaint["msg"].removeprefix("Value error, "), complaint["input"]
    shown = repr(value)
    whole = complaint["type"] == "missing" or isinstance(value, dict) or len(shown) > 80
    named = isinstance(value, str) and shown in rule
    return rule if whole or named else f"{rule} (found {shown})"


def reason(error: Exception, otherwise: str = "") -> str:
    """What was wrong, in one line: of the system's errors without the number and the path that they repeat.

    ``otherwise`` stands for what is not the system's.
    """
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    said = getattr(error, "strerror", None) or otherwise or str(error).strip()
    return str(said).splitlines()[0] if said else type(error).__name__


def unreadable(path: object, error: Exception, otherwise: str = "") -> UserError:
    """For what opening or reading ``path`` raised."""
    return UserError(f"cannot read {path}: {reason(error, otherwise)}")


@contextmanager
def expecting(what: str) -> Iterator[None]:
    """Turn what content of another form provokes inside into one line: ``what``, and what was stumbled over."""
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{what} ({type(error).__name__}: {reason(error)})") from error


def missing_extra(package: str, extra: str) -> UserError:
    """For a dependency that only some uses need: says what to install."""
    return UserError(f"this needs the package {package}: python -m pip install 'scenograph[{extra}]'")
