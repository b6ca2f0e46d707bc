"""Files that are either the old one or the new one, never half of one."""

from __future__ import annotations

import codecs
import hashlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from scenograph.errors import UserError, reason, unreadable

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What reading a damaged zip archive raises, one of arrays (.npz) too, beside ``OSError`` and ``ValueError``."""


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], object]) -> Path:
    """Write bytes, or what a function writes to the open stream, to a temporary name beside ``path``; rename.

    Raises ``UserError`` naming ``path`` when the folder is missing or read-only or the disk is full.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error
    try:
        with os.fdopen(handle, "wb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                content(stream)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write {path}: {reason(error)}") from error
        raise
    return path


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def make_folder(folder: Path) -> Path:
    """Create a folder, parents included; ``UserError`` if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make folder {folder}: {reason(error)}; choose another place") from error
    return folder


def would_replace(path: Path) -> UserError:
    """The error for a file that exists and that is replaced only on request."""
    return UserError(f"{path} exists and differs; add --overwrite, or choose another --out")


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Make a folder and lock it against other processes meanwhile. Raises ``UserError`` if one works there already."""
    lock = FileLock(make_folder(folder) / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{folder}: another command is at work there; wait for its end, or choose another") from error
    except (OSError, NotImplementedError):
        pass  # a file system without locks; if it is read-only, the next write raises an error
    try:
        yield
    finally:
        if lock.is_locked:
            Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody waits for it
            lock.release()


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, a byte order mark aside.

    Raises ``UserError`` if it cannot be read, which names another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise not_utf8(path) from error
    except OSError as error:
        raise unreadable(path, error) from error


def not_utf8(path: Path) -> UserError:
    """The error for a text file of another encoding."""
    with path.open("rb") as stream:
        start = stream.read(2)
    name = "UTF-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "not UTF-8"
    return UserError(f"cannot read {path}: it is {name} text; save it as UTF-8")
