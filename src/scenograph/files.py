"""Files that are either the old one or the new one, never half of one."""

from __future__ import annotations

import codecs
import errno
import hashlib
import itertools
import json
import os
import re
import secrets
import sys
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from scenograph.errors import UserError, reason, system_error, unreadable

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What reading a damaged zip archive raises, one of arrays (.npz) too, beside ``OSError`` and ``ValueError``."""

GZIP = b"\x1f\x8b"
"""How compressed files begin."""

TEMPORARY = ".tmp"
LONGEST_NAME = 120
"""Characters of a name that is made from a text."""
NAME_KEPT = 48
"""Characters of a name in its temporary one, which must not be too long for a file system either."""

DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)
"""Names that Windows keeps for devices, whatever their suffix."""


def is_file(name: str | Path) -> bool:
    """Whether a name is a file's; a text that can be none, being too long for one or of odd characters, is not."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def is_folder(name: str | Path) -> bool:
    """As :func:`is_file`, for folders."""
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):
        return False


def write_atomically(path: Path, content: bytes | Callable[[IO[bytes]], object], durable: bool = False) -> Path:
    """Write bytes, or what a function writes to the open stream, to a temporary name beside ``path``; rename.

    A ``durable`` file is on the disk before it has its name, so that not even a power cut leaves half of it.

    Raises ``UserError`` naming ``path`` when the folder is missing or read-only or the disk is full.
    """
    temporary = path.with_name(f".{path.name[:NAME_KEPT]}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        with temporary.open("xb") as stream:
            if isinstance(content, bytes):
                stream.write(content)
            else:
                content(stream)
        if durable:
            flush_to_disk(temporary)
        temporary.replace(path)
        if durable:
            flush_to_disk(path.parent)
    except BaseException as error:
        with suppress(OSError, ValueError):  # where the name itself is the trouble
            temporary.unlink(missing_ok=True)
        if refused := system_error(error):
            raise UserError(f"cannot write {path}: {reason(refused)}") from error
        raise
    return path


def portable_name(name: str) -> str:
    """A file's name without what Windows refuses or reads otherwise: ``:`` and the like, devices such as ``con``."""
    portable = re.sub(r'[<>:"|?*\x00-\x1f]', "_", name).rstrip(". ") or "_"
    return f"_{portable}" if DEVICE.fullmatch(portable.partition(".")[0].rstrip()) else portable


def safe_names(names: Iterable[str]) -> list[str]:
    """Names of files for any texts: what no file system or shell would misread, and no two alike.

    A name does not depend on those behind it.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        safe = re.sub(r"[^\w.+-]+", "_", unicodedata.normalize("NFC", name)).strip("._")[:LONGEST_NAME] or "_"
        safe = portable_name(safe)
        numbers = itertools.count(2)
        unlike = safe
        while unlike.casefold() in taken:
            unlike = f"{safe}-{next(numbers)}"
        taken.add(unlike.casefold())
        found.append(unlike)
    return found


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or which names a folder has, is on the disk and not in memory alone."""
    folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows flushes what is open for writing alone
    except PermissionError:
        if folder:
            return  # Windows opens none
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # what some file systems say of folders
            raise
    finally:
        os.close(handle)


def remove_temporaries(folder: Path) -> None:
    """Delete what :func:`write_atomically` left in a folder when it was killed."""
    for path in folder.glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """The value in a JSON file, with or without a byte order mark. Raises ``UserError`` naming it if it holds none."""
    return parse_json(read_text(path), f"cannot read {path}")


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text. Raises ``UserError``, which begins with ``where`` and tells the place, if it is none.

    So it does for what Python refuses beside: nesting of a thousand levels, and integers of thousands of digits.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        explained = isinstance(error, json.JSONDecodeError | RecursionError)
        fault = reason(error) if explained else _too_long_number(text)
        raise UserError(f"{where}: not valid JSON: {fault}") from error


def _too_long_number(text: str) -> str:
    """Where the first integer is that Python refuses to read for its length."""
    most = sys.get_int_max_str_digits()
    tokens = re.finditer(r'"(?:[^"\\]|\\.)*+"|(\d++)(?![.eE])|[\d.eE+-]++', text)
    start, digits = next((found.start(), len(found[1])) for found in tokens if len(found[1] or "") > most)
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return f"integer of {digits} digits, at most {most} are read: line {line} column {column}"


def digest(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file, as hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def make_folder(folder: Path) -> Path:
    """Create a folder, parents included; ``UserError`` if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"cannot make folder {folder}: it is a file; choose another place") from error
    except OSError as error:
        raise UserError(f"cannot make folder {folder}: {reason(error)}; choose another place") from error
    return folder


def cache_folder(what: str) -> Path:
    """Where something is kept that can be made again; whoever needs room may delete it."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "scenograph" / what


def would_replace(path: Path) -> UserError:
    """The error for a file that exists and that is replaced only on request."""
    return UserError(f"{path} exists and differs; add --overwrite, or write to another place")


@contextmanager
def reserved(folder: Path, name: str = ".lock") -> Iterator[None]:
    """Make a folder and lock it against other processes meanwhile. Raises ``UserError`` if one works there already.

    Processes that may work there at the same time have locks of different names.
    """
    lock = FileLock(make_folder(folder) / name)
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
            with suppress(PermissionError):  # on Windows, where the release deletes it
                Path(lock.lock_file).unlink(missing_ok=True)  # while it is held: nobody waits for it
            lock.release()


@contextmanager
def in_turn(folder: Path, name: str) -> Iterator[None]:
    """One process at a time, by a lock of this name in a folder, while others wait; on file systems with locks."""
    lock = FileLock(make_folder(folder) / name)
    with suppress(OSError, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
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
    if start == GZIP:
        return UserError(f"cannot read {path}: it is compressed by gzip; unpack it with gunzip")
    name = "UTF-16" if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "not UTF-8"
    return UserError(f"cannot read {path}: it is {name} text; save it as UTF-8")
