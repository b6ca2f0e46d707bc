"""The rule of the house: a module imports only from floors below its own, never in a circle, never private names."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "scenograph"
FLOORS = (
    ("errors", "files", "devices", "version"),
    ("scenes",),
    ("nn",),
    ("models", "data"),
    ("retrieval", "pretrained"),
    ("pipelines", "training"),
    ("evaluation",),
    ("cli", "studio"),
)
"""Rooms of the package, from the ground up; rooms of one floor do not know each other."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
DOORS = FLOORS[-1]
COMMANDS = "studio.commands"
"""The commands of another door, which the command line registers and does nothing else with."""
ENTRANCES = ("__init__", "__main__")
"""They stand above all rooms: one offers what a user imports, the other runs the command line."""
ROOT_MODULES = FLOORS[0]

Import = tuple[str, int, bool]
"""The module, the line, and whether the import runs when the importing module is loaded."""


@cache
def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts if parts[-1] != "__init__" or len(parts) == 1 else parts[:-1])
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.Module, known: set[str]) -> list[Import]:
    """Modules of the package that a module imports, with the names it takes resolved to modules where they are some."""
    found: list[Import] = []

    def visit(node: ast.AST, loaded: bool) -> None:
        for child in ast.iter_child_nodes(node):
            inside = loaded and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not _for_types(child)
            if isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"line {child.lineno}: a relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    found.extend(
                        _own(whole if whole.removeprefix("scenograph.") in known else child.module, child, loaded)
                    )
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    found.extend(_own(alias.name, child, loaded))
            visit(child, inside)

    visit(tree, True)
    return found


def _own(module: str | None, node: ast.stmt, loaded: bool) -> list[Import]:
    if module == "scenograph":
        return [("__init__", node.lineno, loaded)]
    if module is None or not module.startswith("scenograph."):
        return []
    return [(module.removeprefix("scenograph."), node.lineno, loaded)]


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def complaints(trees: dict[str, ast.Module]) -> list[str]:
    """Every import that goes up, between rooms of one floor, or between doors."""
    lines = []
    for name, tree in trees.items():
        if name in ENTRANCES:
            continue
        room = name.split(".")[0]
        for module, line, _ in imports(tree, set(trees)):
            other = module.split(".")[0]
            where = f"{name.replace('.', '/')}.py:{line}"
            if (name, module) == ("cli.main", COMMANDS):
                continue
            if other in ENTRANCES:
                lines.append(f"{where} imports the package's entrance; import from the room itself")
            elif room == other:
                continue
            elif room in DOORS and other in DOORS:
                lines.append(f"{where}: a door imports a door ({other})")
            elif FLOOR[other] > FLOOR[room]:
                lines.append(f"{where} imports upward: {room} -> {module}")
            elif FLOOR[other] == FLOOR[room] and room not in ROOT_MODULES:
                lines.append(f"{where} imports a neighbour: {room} -> {module}")
    return lines


def private_uses(trees: dict[str, ast.Module]) -> list[str]:
    """Every private name taken from another module, by import or as an attribute of an imported module."""
    lines = []
    for name, tree in trees.items():
        aliases = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scenograph"):
                aliases |= {a.asname or a.name for a in node.names if f"{node.module}.{a.name}"[11:] in trees}
                lines += [f"{name}:{node.lineno}: {node.module}.{a.name}" for a in node.names if _private(a.name)]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                lines += [f"{name}:{node.lineno}: {node.value.id}.{node.attr}"] * (
                    node.value.id in aliases and _private(node.attr)
                )
    return lines


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - set(ENTRANCES) <= set(FLOOR)


def test_no_import_goes_up_or_sideways():
    assert not complaints(modules())


def test_no_private_name_leaves_its_module():
    assert not private_uses(modules())


def test_no_circle_of_imports():
    trees = modules()
    graph = {
        name: {module for module, _, loaded in imports(tree, set(trees)) if loaded and module in trees}
        for name, tree in trees.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' -> '.join(error.args[1])}")


def test_only_devices_names_an_accelerator():

    named = [
        name
        for name, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == "cuda"
        and isinstance(node.value, ast.Name)
        and node.value.id == "torch"
    ]
    assert not named


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("scenes.x", "from scenograph.models.base import Model", "imports upward"),
        ("scenes.x", "def f():\n    from scenograph.pipelines import Pipeline", "imports upward"),
        ("cli.x", "from scenograph.studio.server import app", "a door imports a door"),
        ("cli.main", "from scenograph.studio import client", "a door imports a door"),
        ("studio.x", "from scenograph.cli.console import console", "a door imports a door"),
        ("models.x", "import scenograph.data.pack", "imports a neighbour"),
        ("data.x", "from scenograph import Scene", "entrance"),
    ],
)
def test_what_the_rule_forbids_is_found(module, text, complaint):
    found = complaints({module: ast.parse(text)})
    assert len(found) == 1 and complaint in found[0]


def test_private_names_and_circles_are_found():
    trees = {
        "scenes.a": ast.parse("from scenograph.scenes.b import _hidden"),
        "scenes.b": ast.parse("from scenograph.scenes import a\na._secret"),
    }
    assert len(private_uses(trees)) == 2
