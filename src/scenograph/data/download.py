"""Fetch data sets from their official addresses: in parallel, resumed after any interruption, verified."""

from __future__ import annotations

import base64
import logging
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from scenograph.errors import UserError, reason, suggest
from scenograph.files import DAMAGED_ZIP, digest, make_folder, reserved

log = logging.getLogger(__name__)

ATTEMPTS = 6
"""Attempts in a row without a new byte before giving up."""

TIMEOUT = 60.0
"""Seconds without an answer that count as a lost connection."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch to ``path`` under the data set's folder; zip archives are unpacked into ``path``'s folder.

    ``md5`` is the published checksum, where there is one. Without, the server's own (Google's storage sends one)
    is used, and archives are checked by the checksums inside.
    """

    url: str
    path: str
    md5: str | None = None


@dataclass(frozen=True)
class Collection:
    """The files of a data set, and its licence."""

    licence: str
    files: tuple[RemoteFile, ...] = ()
    instead: str = ""
    """What to do instead, for data sets without a public address."""


_COCO = "http://images.cocodataset.org"
_GENOME = "https://homes.cs.washington.edu/~ranjay/visualgenome/data/dataset"
_GENOME_PICTURES = "https://cs.stanford.edu/people/rak248/VG_100K_2"

COLLECTIONS: dict[str, Collection] = {
    "coco": Collection(
        "annotations CC BY 4.0; each photograph under the Flickr licence that its annotation names",
        (
            RemoteFile(f"{_COCO}/zips/train2017.zip", "train2017.zip", "cced6f7f71b7629ddf16f17bbcfab6b2"),
            RemoteFile(f"{_COCO}/zips/val2017.zip", "val2017.zip", "442b8da7639aecaf257c1dceb8ba8c80"),
            RemoteFile(
                f"{_COCO}/annotations/annotations_trainval2017.zip",
                "annotations_trainval2017.zip",
                "f4bbac642086de4f52a3fdda2de5fa2c",
            ),
            RemoteFile(f"{_COCO}/annotations/stuff_annotations_trainval2017.zip", "stuff_annotations_trainval2017.zip"),
        ),
    ),
    "visual-genome": Collection(
        "CC BY 4.0",
        (
            *(
                RemoteFile(f"{_GENOME}/{name}.json.zip", f"{name}.json.zip")
                for name in ("objects", "attributes", "relationships", "image_data")
            ),
            *(RemoteFile(f"{_GENOME}/{name}.txt", f"{name}.txt") for name in ("object_alias", "relationship_alias")),
            RemoteFile(
                "https://raw.githubusercontent.com/google/sg2im/master/sg2im/data/vg_splits.json", "vg_splits.json"
            ),
            RemoteFile(f"{_GENOME_PICTURES}/images.zip", "images.zip"),
            RemoteFile(f"{_GENOME_PICTURES}/images2.zip", "images2.zip"),
        ),
    ),
    "clevr": Collection(
        "CC BY 4.0",
        (
            RemoteFile(
                "https://dl.fbaipublicfiles.com/clevr/CLEVR_v1.0.zip",
                "CLEVR_v1.0.zip",
                "b11922020e72d0cd9154779b2d3d07d2",
            ),
        ),
    ),
    "quickdraw": Collection("CC BY 4.0, Google"),
    "sketchycoco": Collection(
        "as COCO, Sketchy and TU-Berlin, from which it is derived",
        instead="it is handed out from a shared drive: follow the links on https://github.com/sysu-imsl/SketchyCOCO, "
        "unzip, and pack it with: scenograph data pack sketchycoco --root FOLDER",
    ),
    "clipart": Collection(
        "CC BY-NC 4.0 (CoDraw); clip art for research only",
        instead="take the scenes and sprites from https://github.com/facebookresearch/CoDraw, and pack them with: "
        "scenograph data pack clipart --root FOLDER",
    ),
}


def remote_files(name: str, classes: Sequence[str] = ()) -> tuple[Collection, list[RemoteFile]]:
    """The files of a data set.

    Args:
        name: One of :data:`COLLECTIONS`.
        classes: Of Quick, Draw!, which is downloaded by class.

    Raises:
        UserError: The data set is unknown or has no public address; the message says what to do instead.
    """
    if name not in COLLECTIONS:
        raise UserError(f"no data set {name!r} to download {suggest(name, COLLECTIONS)}")
    collection = COLLECTIONS[name]
    if collection.instead:
        raise UserError(f"{name} has no public address: {collection.instead}")
    if name != "quickdraw":
        return collection, list(collection.files)
    if not classes:
        raise UserError("quickdraw has 345 classes in 50 million drawings: name some, for example --classes cat,sheep")
    base = "https://storage.googleapis.com/quickdraw_dataset/full/simplified"
    return collection, [RemoteFile(f"{base}/{urllib.parse.quote(c)}.ndjson", f"{c}.ndjson") for c in classes]


def through_mirror(files: Sequence[RemoteFile], mirror: str) -> list[RemoteFile]:
    """The same files from another server that keeps the official paths."""
    return [replace(f, url=mirror.rstrip("/") + urllib.parse.urlsplit(f.url).path) for f in files]


def sizes_of(files: Sequence[RemoteFile], workers: int = 4) -> list[int]:
    """Bytes of each file by its server, or -1 if it does not state them. Raises ``UserError`` if one is unreachable."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_size_of, files))


def check_space(folder: Path, files: Sequence[RemoteFile], sizes: Sequence[int]) -> None:
    """Raise ``UserError`` if the disk has no room for the files and what archives unpack to, taken to be as large."""
    present = sum(
        path.stat().st_size for f in files for path in (folder / f.path, _part(folder / f.path)) if path.exists()
    )
    needed = sum(size * (2 if f.path.endswith(".zip") else 1) for f, size in zip(files, sizes, strict=True) if size > 0)
    free = shutil.disk_usage(folder).free
    if needed - present > free:
        raise UserError(f"{folder}: needs {(needed - present) / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free")


def download(
    folder: Path,
    files: Sequence[RemoteFile],
    workers: int = 4,
    progress: Callable[[int], None] = lambda count: None,
    keep_archives: bool = False,
) -> None:
    """Download files and unpack archives. Complete ones are kept, so the same call continues after an interruption.

    Args:
        folder: Made if it is missing.
        files: What to download.
        workers: Connections at once.
        progress: Called with the number of new bytes as they arrive.
        keep_archives: Whether archives stay after they are unpacked.

    Raises:
        UserError: A file cannot be fetched or fails its checksum, or another process downloads to the folder.
    """
    stopped = threading.Event()

    def report(count: int) -> None:
        if stopped.is_set():  # the other threads must not finish their gigabytes first
            raise CancelledError
        progress(count)

    with reserved(folder), ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(_fetch_and_unpack, folder, f, report, keep_archives) for f in files]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch_and_unpack(folder: Path, file: RemoteFile, progress: Callable[[int], None], keep_archive: bool) -> None:
    path = folder / file.path
    done = path.with_name(f".{path.name}.done")
    if done.exists():
        progress(int(done.read_text() or 0))
        return
    make_folder(path.parent)
    if not path.exists():
        _fetch(file, path, progress)
    size = path.stat().st_size
    if path.suffix == ".zip":
        unpack(path, path.parent)
        if not keep_archive:
            path.unlink()
    done.write_text(str(size))


def _fetch(file: RemoteFile, path: Path, progress: Callable[[int], None]) -> None:
    """To a temporary name, over as many connections as it takes, then verified and renamed."""
    part = _part(path)
    progress(part.stat().st_size if part.exists() else 0)
    server_md5, failures = None, 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            server_md5 = _fetch_rest(file.url, part, progress) or server_md5
            break
        except (OSError, HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500 and error.code not in {408, 429}:
                raise UserError(f"{file.url}: the server answers {error.code} {error.reason}") from error
            after = part.stat().st_size if part.exists() else 0
            failures = 0 if after > before else failures + 1
            if failures >= ATTEMPTS:
                raise UserError(
                    f"{file.url}: lost the connection {ATTEMPTS} times in a row ({error}); the same command goes on"
                ) from error
            log.info("%s: %s; trying again", file.url, error)
            time.sleep(min(2.0**failures, 30) * 0.25)
    expected = file.md5 or server_md5
    if expected is not None and digest(part, "md5") != expected:
        part.unlink()
        raise UserError(f"{file.url}: the checksum differs from {expected}; what came was deleted, try again")
    part.rename(path)


def _fetch_rest(url: str, part: Path, progress: Callable[[int], None]) -> str | None:
    """Append what is missing; returns the server's MD5, if it sends one. Raises ``OSError`` when cut off."""
    have = part.stat().st_size if part.exists() else 0
    tag = part.with_name(part.name + ".etag")
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and tag.exists():
        headers["If-Range"] = tag.read_text()
    try:
        response = _open(url, headers)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is missing
            return _google_md5(error.headers)
        raise
    with response:
        if response.status != 206 and have:
            progress(-have)  # the file has changed, or the server cannot resume
            have = 0
        if response.headers.get("ETag"):
            tag.write_text(response.headers["ETag"])
        promised = _length(response.headers)
        received = 0
        with part.open("ab" if have else "wb") as stream:
            while chunk := response.read(CHUNK):
                stream.write(chunk)
                received += len(chunk)
                progress(len(chunk))
        if received < promised:
            raise ConnectionError(f"{received} of {promised} bytes came")
        tag.unlink(missing_ok=True)
        return _google_md5(response.headers)


def unpack(archive: Path, folder: Path) -> None:
    """Extract a zip archive, archives inside it included; members that are there in full already are kept.

    Raises ``UserError`` for a damaged archive, one that would not fit, or one with paths outside ``folder``.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            size = sum(member.file_size for member in members)
            free = shutil.disk_usage(folder).free
            if size > free:
                raise UserError(f"{archive}: holds {size / 1e9:.1f} GB, but only {free / 1e9:.1f} GB are free")
            for member in members:
                target = folder / member.filename
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise UserError(f"{archive}: member {member.filename!r} points outside the folder; refused")
                if not (target.is_file() and target.stat().st_size == member.file_size):
                    opened.extract(member, folder)  # compares the member's CRC
                if target.suffix == ".zip" and "panoptic" in target.name:
                    unpack(target, target.parent)
    except DAMAGED_ZIP as error:
        archive.unlink(missing_ok=True)
        raise UserError(
            f"{archive}: damaged archive ({reason(error)}); it was deleted, run the command again"
        ) from error


def _open(url: str, headers: dict[str, str], method: str = "GET") -> Any:
    request = urllib.request.Request(url, headers={"User-Agent": "scenograph", **headers}, method=method)
    return urllib.request.urlopen(request, timeout=TIMEOUT)


def _size_of(file: RemoteFile) -> int:
    for attempt in range(ATTEMPTS):
        try:
            with _open(file.url, {}, "HEAD") as response:
                return _length(response.headers)
        except urllib.error.HTTPError as error:
            raise UserError(f"{file.url}: the server answers {error.code} {error.reason}") from error
        except (OSError, HTTPException) as error:
            failure = error
            time.sleep(0.25 * 2**attempt)
    raise UserError(f"{file.url}: cannot reach the server ({failure})")


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _length(headers: Any) -> int:
    """Bytes that an answer promises, or -1 where it names none: proxies send all kinds of things."""
    value = headers.get("Content-Length", "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else -1


def _google_md5(headers: Any) -> str | None:
    """The MD5 among ``x-goog-hash`` headers, as hexadecimal; None if there is none, or one that is no MD5."""
    for value in headers.get_all("x-goog-hash") or []:
        for item in value.split(","):
            kind, _, checksum = item.strip().partition("=")
            if kind == "md5":
                try:
                    decoded = base64.b64decode(checksum, validate=True)
                except ValueError:
                    return None
                return decoded.hex() if len(decoded) == 16 else None
    return None
