"""Large JSON files read in constant memory: streamed once into an SQLite table, then looked up by key.

COCO's and Visual Genome's annotation files are single JSON values of up to 700 MB; loaded whole they take ten
times that in memory, and once more per worker process.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ijson

from scenograph.data.source import Progress
from scenograph.errors import UserError, reason, unreadable

Record = dict[str, Any]
Key = Callable[[Record], int | str]


class JsonTables:
    """Tables of JSON records under integer or text keys, in file order. Safe to send to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_connection": None}

    def add(self, table: str, source: Path, prefix: str, key: str, progress: Progress) -> None:
        """Stream the records of a JSON file into a table, unless an earlier run has done so.

        Args:
            table: Its name.
            source: The JSON file.
            prefix: Where the records are: ``annotations.item``, for example, or ``item`` in a list.
            key: The field that becomes the key.
            progress: Called with the file's name and the number of records so far.

        Raises:
            UserError: The file cannot be read or is broken.
        """
        connection = self._open()
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return
        with connection:  # the table appears complete or not at all
            connection.execute("BEGIN")
            connection.execute(f'CREATE TABLE "{table}" (place INTEGER PRIMARY KEY, key, body TEXT)')
            rows = _rows(stream_json(source, prefix), source, key, lambda done: progress(source.name, done))
            connection.executemany(f'INSERT INTO "{table}" (key, body) VALUES (?, ?)', rows)
            connection.execute(f'CREATE INDEX "{table}_key" ON "{table}" (key)')

    def all(self, table: str) -> Iterator[Record]:
        """Every record, in file order."""
        for (body,) in self._open().execute(f'SELECT body FROM "{table}" ORDER BY place'):
            yield json.loads(body)

    def keys(self, table: str) -> Iterator[Any]:
        """Every record's key, in file order."""
        for (key,) in self._open().execute(f'SELECT key FROM "{table}" ORDER BY place'):
            yield key

    def get(self, table: str, key: int | str) -> list[Record]:
        """The records under a key, in file order."""
        rows = self._open().execute(f'SELECT body FROM "{table}" WHERE key = ? ORDER BY place', (key,))
        return [json.loads(body) for (body,) in rows]

    def orphans(self, table: str, owners: str) -> int:
        """How many records have a key that the table ``owners`` lacks."""
        query = f'SELECT COUNT(*) FROM "{table}" WHERE key NOT IN (SELECT key FROM "{owners}")'
        return int(self._open().execute(query).fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            # If the machine crashes, the index is lost, which takes a minute to make again.
            self._connection.execute("PRAGMA synchronous = OFF")
        return self._connection


def stream_json(path: Path, prefix: str) -> Iterator[Record]:
    """The records at ``prefix`` of a JSON file, one at a time. Raises ``UserError`` for broken JSON."""
    try:
        with path.open("rb") as stream:
            yield from ijson.items(stream, prefix, use_float=True)
    except ijson.JSONError as error:
        raise UserError(f"{path}: not valid JSON: {reason(error)}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _rows(
    records: Iterator[Record], source: Path, key: str, progress: Callable[[int], None]
) -> Iterator[tuple[Any, str]]:
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not isinstance(record.get(key), int | str):
            raise UserError(f"{source}, record {number}: expected an object with {key!r}, found {str(record)[:60]}")
        if number % 1000 == 0:
            progress(number)
        yield record[key], json.dumps(record, separators=(",", ":"))
