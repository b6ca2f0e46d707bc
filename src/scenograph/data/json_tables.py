"""Large JSON files read in constant memory: streamed once into an SQLite table, then looked up by key.

COCO's and Visual Genome's annotation files are single JSON values of up to 700 MB; loaded whole they take ten
times that in memory, and once more per worker process.

Records are put in order on their way into a table, so that all that is read from one is of the right form.
"""

from __future__ import annotations

import codecs
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from scenograph.data.records import Id, Reasons, Skip, identity
from scenograph.data.source import Progress
from scenograph.errors import MALFORMED, UserError, reason, shortened, unreadable
from scenograph.files import GZIP, not_utf8

Record = dict[str, Any]
Tidy = Callable[[Record, Reasons], Record]
"""Brings a record into the form that is read later, notes what is left out of it, and raises ``Skip`` to leave out all
of it."""

DEEPEST = 200
"""Levels of a JSON file, objects and lists; annotations have ten."""

NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

LEFT_OUT = "left out"
"""Table of what was left out: how often, why, and an example."""


class JsonTables:
    """Tables of JSON records under integer or text keys, in file order. Safe to send to other processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_connection": None}

    def add(
        self,
        table: str,
        source: Path,
        prefix: str,
        key: str,
        progress: Progress,
        tidy: Tidy = lambda record, left_out: record,
        unique: bool = False,
    ) -> None:
        """Stream the records of a JSON file into a table, unless an earlier run has done so.

        Args:
            table: Its name.
            source: The JSON file.
            prefix: Where the records are: ``annotations.item``, for example, or ``item`` in a list.
            key: The field that becomes the key, in the form of :func:`scenograph.data.records.identity`.
            progress: Called with the file's name and the number of records so far.
            tidy: What each record goes through.
            unique: Leave out further records of a key.

        Raises:
            UserError: The file cannot be read or is broken, or none of its records has the key.
        """
        if self._rows("SELECT 1 FROM sqlite_master WHERE name = ?", table):
            return
        left_out = Reasons()
        with self._refusals(), self._open() as connection:  # the table appears complete or not at all
            connection.execute("BEGIN")
            connection.execute(f'CREATE TABLE "{table}" (place INTEGER PRIMARY KEY, key, body TEXT)')
            rows = _rows(source, prefix, key, tidy, left_out, lambda done: progress(source.name, done))
            connection.executemany(f'INSERT INTO "{table}" (key, body) VALUES (?, ?)', rows)
            connection.execute(f'CREATE INDEX "{table}_key" ON "{table}" (key)')
            if unique:
                later = f'FROM "{table}" WHERE place NOT IN (SELECT MIN(place) FROM "{table}" GROUP BY key)'
                for (repeated,) in connection.execute(f"SELECT key {later}").fetchall():
                    left_out.note(f"{key} is listed twice", f"{source.name}: {repeated}")
                connection.execute(f"DELETE {later}")
            notes = [(count, why, json.dumps(left_out.examples.get(why, []))) for why, count in left_out.items()]
            connection.executemany(f'INSERT INTO "{LEFT_OUT}" VALUES (?, ?, ?)', notes)

    def left_out(self) -> Reasons:
        """What the tables lack of their files, by all runs that made them."""
        found = Reasons()
        for count, why, examples in self._rows(f'SELECT count, why, examples FROM "{LEFT_OUT}"'):
            found.include(Reasons({why: count}, {why: json.loads(examples)}))
        return found

    def all(self, table: str) -> Iterator[Record]:
        """Every record, in file order."""
        for (body,) in self._stream(f'SELECT body FROM "{table}" ORDER BY place'):
            yield json.loads(body)

    def keys(self, table: str) -> Iterator[Any]:
        """Every record's key, in file order."""
        for (key,) in self._stream(f'SELECT key FROM "{table}" ORDER BY place'):
            yield key

    def get(self, table: str, key: Id) -> list[Record]:
        """The records under a key in any of its forms, in file order."""
        rows = self._rows(f'SELECT body FROM "{table}" WHERE key = ? ORDER BY place', identity(key))
        return [json.loads(body) for (body,) in rows]

    def repeated(self, table: str) -> list[Id]:
        """The keys of several records."""
        query = f'SELECT key FROM "{table}" GROUP BY key HAVING COUNT(*) > 1'
        return [key for (key,) in self._rows(query)]

    def orphans(self, table: str, owners: str) -> list[Id]:
        """The keys of the records whose key the table ``owners`` lacks."""
        query = f'SELECT key FROM "{table}" WHERE key NOT IN (SELECT key FROM "{owners}") ORDER BY place'
        return [key for (key,) in self._rows(query)]

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return list(self._stream(query, *values))

    def _stream(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        with self._refusals():
            yield from self._open().execute(query, values)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Turn what SQLite refuses inside into a ``UserError``: a full disk, and a file that is damaged."""
        try:
            yield
        except sqlite3.Error as error:
            raise UserError(
                f"cannot keep annotations in {self.path}: {reason(error)}; free space or delete it"
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, isolation_level=None)
            # If the machine crashes, the index is lost, which takes a minute to make again.
            self._connection.execute("PRAGMA synchronous = OFF")
            self._connection.execute(f'CREATE TABLE IF NOT EXISTS "{LEFT_OUT}" (count, why, examples)')
        return self._connection


def stream_json(path: Path, prefix: str) -> Iterator[Any]:
    """The values at ``prefix`` of a JSON file, one at a time.

    A byte order mark is no part of it. NaN and infinities, which JSON lacks and Python writes, and integers of more
    than 64 bits are null.

    Raises:
        UserError: The file cannot be read, is broken or nested too deeply, or of another encoding than UTF-8.
    """
    import ijson  # of the extra train; vocabularies of sources are read without it

    done = 0
    try:
        with path.open("rb") as stream:
            for value in ijson.items(_ShallowJson(path, stream), prefix, use_float=True):
                yield value
                done += 1
    except UserError:
        raise
    except (ijson.JSONError, ValueError):  # the latter for a number of too many digits
        try:
            with path.open("rb") as stream:
                again = _FiniteJson(_ShallowJson(path, stream))
                yield from islice(ijson.items(again, prefix, use_float=True), done, None)
        except UserError:
            raise
        except (ijson.JSONError, ValueError) as error:
            raise _not_json(path, error) from error
    except OSError as error:
        raise unreadable(path, error) from error


def _not_json(path: Path, error: Exception) -> UserError:
    """The error for a file that a parser of JSON refused."""
    with path.open("rb") as stream:
        other = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, GZIP)
    return not_utf8(path) if other or "UTF8" in str(error) else UserError(f"{path}: not valid JSON: {reason(error)}")


class _ShallowJson:
    """The bytes of a JSON file without a byte order mark. Raises ``UserError`` where it is nested too deeply.

    A parser takes time, and its values stack, by the square of the levels.
    """

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self.path, self.stream = path, stream
        if stream.read(3) != codecs.BOM_UTF8:
            stream.seek(0)
        self.level, self.quoted, self.backslash = 0, False, b""

    def read(self, size: int = 65536) -> bytes:
        """At least one byte, or none at the end."""
        content = self.stream.read(size)
        text = (self.backslash + content).replace(rb"\\", b"")
        self.backslash = text[len(text.removesuffix(b"\\")) :]  # what it escapes comes next
        parts = text.removesuffix(b"\\").replace(rb"\"", b"").split(b'"')
        structure = b"".join(parts[self.quoted :: 2])
        self.quoted ^= len(parts) % 2 == 0
        steps = (np.frombuffer(structure.translate(None, NOT_BRACKETS), np.int8) & 2) - 1  # opened 1, closed -1
        if self.level + np.cumsum(steps, dtype=np.int64).max(initial=0) > DEEPEST:
            raise UserError(f"{self.path}: not valid JSON: nested more than {DEEPEST} levels deep")
        self.level += int(steps.sum(dtype=np.int64))
        return content


class _FiniteJson:
    """The bytes of a JSON file with null for what no parser reads: NaN, infinities, integers of more than 64 bits."""

    TOKENS = re.compile(
        rb'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|(?<![\w.+-])-?(?:NaN\b|Infinity\b|\d{19,}+(?![.eE]))', re.DOTALL
    )

    def __init__(self, stream: _ShallowJson) -> None:
        self.stream, self.rest = stream, b""

    def read(self, size: int = 65536) -> bytes:
        """At least one byte, or none at the end."""
        if size == 0:
            return b""  # ijson asks what kind of stream this is
        more = self.stream.read(max(size, 65536, len(self.rest)))  # a long text is not searched again and again
        text = self.rest + more
        end = len(text)
        if more:
            # A text or a word that the next bytes go on with waits for them.
            opened = [found for found in self.TOKENS.finditer(text) if found[1] == b""]
            end = opened[-1].start() if opened else len(text.rstrip(b"-+.NaInfityE0123456789"))
        self.rest = text[end:]
        done = self.TOKENS.sub(lambda found: found[0] if _is_readable(found[0]) else b"null", text[:end])
        return done or (self.read(size) if more else b"")


def _is_readable(token: bytes) -> bool:
    """Whether a text or a number, which is long or none, is of use to the parser."""
    return token.startswith(b'"') or (len(token) <= 20 and token[-1:].isdigit() and abs(int(token)) < 2**63)


def _rows(
    source: Path, prefix: str, key: str, tidy: Tidy, left_out: Reasons, progress: Callable[[int], None]
) -> Iterator[tuple[Id, str]]:
    """Key and text of every record that has a key. Raises ``UserError`` if none has."""
    first: Exception | None = None
    any_good = False
    for number, record in enumerate(stream_json(source, prefix)):
        if number % 1000 == 0:
            progress(number)
        where = f"{source.name}, record {number}"
        found = identity(record.get(key)) if isinstance(record, dict) else None
        if found is None:
            complaint = f"expected an object with {key!r}, found {shortened(record)}"
            first = first or UserError(f"{source}, record {number}: {complaint}")
            left_out.note(f"record has no {key}", f"{where}: {shortened(record)}")
            continue
        try:
            body = json.dumps(tidy(record | {key: found}, left_out), separators=(",", ":"))
        except Skip as skip:
            left_out.note(str(skip), f"{where}: {skip.example or shortened(record)}")
        except MALFORMED as error:
            first = first or error
            left_out.note("record is of an unexpected form", f"{where}: {shortened(record)}")
        else:
            any_good = True
            yield found, body
    if any_good:
        return
    if first:
        raise first
    _check_list(source, prefix)


def _check_list(source: Path, prefix: str) -> None:
    """Raise ``UserError`` if there is no list where the records, of which there are none, should be."""
    import ijson

    outer = prefix.rpartition("item")[0].rstrip(".")
    with source.open("rb") as stream:
        events = ijson.parse(_FiniteJson(_ShallowJson(source, stream)))
        event = next((event for place, event, _ in events if place == outer), None)
    if event != "start_array":
        complaint = f"{outer!r} is no list" if event else f"there is no list {outer!r}"
        raise UserError(f"{source}: {complaint if outer else 'expected a list of records'}")
