"""A LanceDB table beside a JSON record, in a folder that appears whole or not at all: of crops, or of scenes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scenograph.errors import FULL, UserError, missing_extra, reason, system_error
from scenograph.files import flush_to_disk, make_folder

Stamp = tuple[int, int] | None


def connect(folder: Path) -> Any:
    """The LanceDB database in a folder. Raises ``UserError`` if the package is missing."""
    try:
        import lancedb
    except ImportError as error:
        raise missing_extra("lancedb", "search") from error
    return lancedb.connect(folder)


def check_target(folder: Path, record: str, overwrite: bool) -> None:
    """Raise ``UserError`` if a folder cannot be written: it exists, has no parent, or ``lancedb`` is missing.

    With ``overwrite``, one that holds the file ``record`` may be replaced.
    """
    if folder.exists() and not (overwrite and (folder / record).is_file()):
        raise UserError(f"{folder} exists; choose another --out{', or add --overwrite' if not overwrite else ''}")
    if not folder.absolute().parent.is_dir():
        raise UserError(f"cannot write {folder}: there is no folder {folder.parent}")
    connect(folder.parent)  # fail early without the package


@contextmanager
def replacing(folder: Path, temporary: Path) -> Iterator[None]:
    """Make ``temporary``, on the same disk, to be filled inside; rename it then, in place of what is there.

    Raises:
        UserError: It cannot be written, because the disk is full for example.
    """
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folder(temporary)
        yield
        for path in [*temporary.rglob("*"), temporary]:
            flush_to_disk(path)
        if folder.exists():
            aside = temporary.with_name("replaced")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        temporary.rename(folder)
        flush_to_disk(folder.absolute().parent)
    except UserError:
        raise
    except Exception as error:  # LanceDB raises RuntimeError for what the operating system refuses
        raise cannot_write(folder, error) from error


@contextmanager
def reading(record: Path, opened: Stamp, build_again: str) -> Iterator[None]:
    """Turn what LanceDB raises inside into a ``UserError`` that names the folder.

    Args:
        record: The file beside the table that is read.
        opened: The stamp of it when the table was opened: with another one, the folder has been replaced since.
        build_again: What to do if it is damaged.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # LanceDB raises RuntimeError, ValueError, OSError and others for damage
        if stamp(record) != opened:
            raise UserError(f"{record.parent} was replaced while it was read; run the command again") from error
        raise UserError(f"{record.parent}: damaged ({reason(error)[:200]}); {build_again}") from error


def stamp(path: Path) -> Stamp:
    """What tells a file from another one that replaces it; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def cannot_write(folder: Path, error: Exception) -> UserError:
    """The error for a folder that cannot be written: a full disk says so in LanceDB's messages alone."""
    refused = system_error(error)
    full = (refused is not None and refused.errno in FULL) or "No space left" in str(error)
    return UserError(f"cannot write {folder}: {'No space left on device' if full else reason(error)[:200]}")


def quoted(text: str) -> str:
    """A text in a condition."""
    return "'" + text.replace("'", "''") + "'"


def equals(column: str, text: str) -> str:
    """The condition that a column has a value."""
    return f"{column} = {quoted(text)}"
