"""Packs at an address: object storage (``s3://``, ``gs://``), the hub (``hf://datasets/user/name``), a web server.

Whatever fsspec reads. A split is fetched when it is first opened, file by file, each compared with its checksum, to a
cache on this machine, where it is a pack like any other: batches, resuming and figures are those of a local pack. The
processes of a machine fetch once, and an interrupted fetch goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from scenograph.errors import UserError, expecting, reason
from scenograph.files import cache_folder, digest, in_turn, make_folder, parse_json, read_json

ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+(?=[^/])")
"""How addresses begin, also those that were paths for a while, which leaves one of their two slashes."""
RECORD = "pack.json"
SMALL = ("state.json", "dataset_info.json")
"""Files of a split beside its rows."""
AT_ONCE = 8
"""Files that are transferred at the same time."""
PACKAGES = {"s3": "s3", "s3a": "s3"}
"""The extra that reads a kind of address; of others fsspec says what to install."""
OBJECT_STORAGE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss")
"""Kinds without folders: to make one would make the bucket or container, whose name may be mistyped."""


def is_address(place: str | Path) -> bool:
    """Whether it names a pack elsewhere, and no folder of this machine."""
    return ADDRESS.match(str(place)) is not None


@lru_cache(maxsize=16)
def at_hand(place: str | Path) -> Path:
    """The folder of a pack: of one elsewhere, the cached folder, with all that is known of its splits.

    Raises ``UserError`` if there is no pack at an address, or what reads such addresses is missing.
    """
    if not is_address(place):
        return Path(place)
    address = _address(place)
    with _reaching(address) as (files, root):
        content, names = _contents(files, root, address)
        folder = make_folder(cache_folder("packs") / hashlib.sha256(address.encode() + content).hexdigest()[:16])
        with in_turn(folder, ".lock"):
            _fetch(files, root, folder, {name: checksum for name, checksum in names.items() if not checksum})
    return folder


def fetch_split(place: str | Path, split: str) -> None:
    """Have the rows of a split in the cached folder. Raises ``UserError`` if they cannot be read, or are damaged."""
    if not is_address(place):
        return
    address, folder = _address(place), at_hand(place)
    known = read_json(folder / RECORD)["splits"][split]["files"]
    with _reaching(address) as (files, root), in_turn(folder, ".lock"):
        _fetch(files, root, folder, {_plain(name): checksum for name, checksum in known.items()})


def fetch_pack(address: str, folder: Path) -> None:
    """Copy a pack from an address to a folder. Raises ``UserError`` as :func:`at_hand` and :func:`fetch_split` do."""
    address = _address(address)
    with _reaching(address) as (files, root):
        _fetch(files, root, folder, _contents(files, root, address)[1])


def push_files(folder: Path, address: str) -> None:
    """Copy a pack to an address. What says that it is a pack comes last. Raises ``UserError`` if that cannot be."""
    address = _address(address)
    inside = [path for path in sorted(folder.rglob("*")) if path.is_file() and "graphs" not in path.parts]
    names = [path.relative_to(folder).as_posix() for path in inside if path != folder / RECORD]
    with _reaching(address) as (files, root):
        if _kind(address) not in OBJECT_STORAGE:
            with suppress(FileExistsError, NotImplementedError):
                for parent in sorted({str(PurePosixPath(name).parent) for name in names}):
                    files.makedirs(f"{root}/{parent}".removesuffix("/."), exist_ok=True)
        _at_once(lambda name: files.put_file(str(folder / name), f"{root}/{name}"), names)
        files.put_file(str(folder / RECORD), f"{root}/{RECORD}")


def _contents(files: Any, root: str, address: str) -> tuple[bytes, dict[str, str]]:
    """The record of a pack, and the names of all its files, with checksums of those that hold rows."""
    try:
        content: bytes = files.cat_file(f"{root}/{RECORD}")
    except FileNotFoundError as error:
        raise UserError(f"{address} is no pack: there is no {RECORD}") from error
    record = parse_json(content.decode("utf-8", "replace"), f"{address}/{RECORD}")
    names = {"vocabulary.json": ""}
    with expecting(f"{address}/{RECORD}: not the record of a pack"):
        for split, known in record["splits"].items():
            names |= {f"{split}/{name}": "" for name in SMALL} | known["files"]
    return content, {_plain(name): checksum for name, checksum in names.items()} | {RECORD: ""}


def _fetch(files: Any, root: str, folder: Path, names: dict[str, str]) -> None:
    """Files by name, those that are missing, with checksums where they are known."""

    def fetch(name: str) -> None:
        path = folder / name
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        make_folder(path.parent)
        try:
            files.get_file(f"{root}/{name}", str(temporary))
            if names[name] and digest(temporary) != names[name]:
                raise UserError(f"{root}/{name}: its checksum differs from that in {RECORD}; push the pack again")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    _at_once(fetch, [name for name in names if not (folder / name).is_file()])


def _at_once(transfer: Any, names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(transfer, names))


@contextmanager
def _reaching(address: str) -> Iterator[tuple[Any, str]]:
    """The file system of an address and the path in it; what goes wrong inside becomes a ``UserError``."""
    import fsspec

    kind = _kind(address)
    try:
        yield fsspec.core.url_to_fs(address)
    except UserError:
        raise
    except ImportError as error:
        extra = f"python -m pip install 'scenograph[{PACKAGES[kind]}]'" if kind in PACKAGES else reason(error)
        raise UserError(f"{address}: what reads {kind}:// is missing: {extra}") from error
    except Exception as error:  # each kind of storage has errors of its own
        raise UserError(f"cannot reach {address}: {reason(error)}") from error


def _kind(address: str) -> str:
    return address.partition(":")[0]


def _address(place: str | Path) -> str:
    """With both slashes, and none at the end."""
    return ADDRESS.sub(r"\1://", str(place), count=1).rstrip("/")


def _plain(name: str) -> str:
    """A name in a pack. Raises ``UserError`` for one that would lead out of its folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise UserError(f"{RECORD} names {name!r}, which is no file of a pack")
    return name
