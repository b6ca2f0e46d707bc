"""The Arrow files of packs: their columns, and whether they can be read without harm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenograph.errors import UserError, reason
from scenograph.files import read_json
from scenograph.scenes.fields import FIELDS

REQUIRED = ("id", "image", "categories")
"""Columns of every pack, however old."""
MAKE_AGAIN = "the pack is damaged: fetch or make it again"


@contextmanager
def blaming_damage() -> Iterator[None]:
    """Add to any ``UserError`` about a file of a pack that the pack is damaged, and what to do."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error}; {MAKE_AGAIN}") from error


def features() -> Any:
    """The columns of a pack, as ``datasets`` describes them."""
    from datasets import Features, List, Value

    types = {name: Value(name) for name in ("string", "binary", "float32", "float64")}
    types |= {f"list<{name}>": List(value) for name, value in types.items()}
    return Features(
        {
            "id": types["string"],
            "image": types["binary"],
            **{field.column: List(types[field.cell]) for field in FIELDS},
            "relation_ends": List(List(Value("int32"))),
            "relation_predicates": List(types["string"]),
        }
    )


def check_files(folder: Path) -> dict[str, int]:
    """The names of a split's Arrow files, in order, and how many rows each has.

    Raises ``UserError`` naming the file that is damaged such that reading its rows would crash. Lengths and offsets are
    checked, not the bytes of pictures and numbers: cheap, whatever the pack's size.
    """
    import pyarrow as pa

    with blaming_damage():
        state = read_json(folder / "state.json")
    files = state.get("_data_files") if isinstance(state, dict) else None
    names = [file.get("filename") for file in files if isinstance(file, dict)] if isinstance(files, list) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise UserError(f"{folder / 'state.json'}: '_data_files' does not name the Arrow files beside it; {MAKE_AGAIN}")
    if state.get("_format_type") or state.get("_format_columns"):
        raise UserError(f"{folder / 'state.json'}: asks for the rows in another format; {MAKE_AGAIN}")
    rows = {}
    for path in (folder / str(name) for name in names):
        try:
            table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
            table.validate(full=True)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise UserError(f"{path}: not a readable data set: {reason(error)}; {MAKE_AGAIN}") from error
        check_columns(table.schema, path)
        rows[path.name] = table.num_rows
    return rows


def check_columns(schema: Any, path: Path) -> None:
    """Raise ``UserError`` naming a column of another type than a pack's, or one that is missing."""
    for known in features().arrow_schema:
        place = schema.get_field_index(known.name)
        if place < 0 and known.name in REQUIRED:
            raise UserError(f"{path}: has no column {known.name!r}; {MAKE_AGAIN}")
        if place >= 0 and schema.field(place).type != known.type:
            found = schema.field(place).type
            raise UserError(f"{path}: column {known.name!r} holds {found}, not {known.type}; {MAKE_AGAIN}")
