"""The docstrings of what the API pages show: arguments, what is returned, and what is raised, each in its section."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import scenograph

PAGES = sorted((Path(__file__).parents[1] / "docs" / "api").glob("*.md"))
ENTRY = re.compile(r"^::: ([\w.]+)\.(\w+)$", re.MULTILINE)


def entry_points() -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Functions, constructors and methods of two or more parameters: their names, they themselves, and docstrings."""
    for page in PAGES:
        for module, name in ENTRY.findall(page.read_text(encoding="utf-8")):
            thing = getattr(import_module(module), name)
            if not inspect.isclass(thing):
                yield name, inspect.unwrap(thing), inspect.getdoc(thing) or ""
                continue
            for method, value in vars(thing).items():
                called = getattr(value, "__func__", value)
                own = inspect.isfunction(called) and called.__qualname__ == f"{name}.{method}"
                if not own or (method == "__init__" and dataclasses.is_dataclass(thing)):
                    continue
                always = method in ("__init__", "__call__", "from_pretrained")
                if always or (not method.startswith("_") and len(inspect.signature(called).parameters) > 2):
                    about = f"{thing.__doc__ or ''}\n{called.__doc__ or ''}" if method == "__init__" else called.__doc__
                    yield f"{name}.{method}", called, inspect.cleandoc(about or "")


def lacking(function: Callable[..., Any], about: str) -> list[str]:
    """What its docstring does not say. One that begins with another's name is like that one's."""
    signature = inspect.signature(function)
    parameters = [name for name in signature.parameters if name not in ("self", "cls")]
    if not parameters or about.startswith((":meth:", "As :meth:")):
        return []
    found = [name for name in parameters if not re.search(rf"^\s+\*{{0,2}}{name}: \S", about, re.MULTILINE)]
    found += [] if "Args:\n" in about else ["Args"]
    silent = signature.return_annotation in (None, "None", inspect.Signature.empty)
    found += [] if silent or re.search("(Returns|Yields):\n", about) else ["Returns"]
    raises = "raise UserError" in inspect.getsource(function)
    return found + (["Raises"] if raises and "Raises:\n" not in about else [])


def test_entry_points_say_what_they_take_return_and_raise():
    found = {name: missing for name, function, about in entry_points() if (missing := lacking(function, about))}
    assert found == {}


def test_the_pages_show_what_the_package_exports():
    shown = {name for page in PAGES for _, name in ENTRY.findall(page.read_text(encoding="utf-8"))}
    assert {*scenograph.__all__} - {"__version__"} <= shown
    assert {"write_pack", "Pipeline.from_pretrained", "Trainer.__init__"} <= {name for name, *_ in entry_points()}


@pytest.mark.parametrize(
    ("about", "missing"), [("Short.", ["size", "Args", "Returns", "Raises"]), ("As :meth:`other`.", [])]
)
def test_what_is_missing_is_found(about, missing):
    def function(size: int) -> int:
        raise UserError  # noqa: F821

    assert lacking(function, about) == missing
