"""The one place where a name in an annotation becomes a picture file, under the root of its data set.

Annotations come from other machines and from strangers: their names hold other separators, absolute paths and ways out
of the folder. Nothing outside the root is read unless the option ``outside`` asks for it.
"""

from __future__ import annotations

import os
import re
import unicodedata
import uuid
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from scenograph.data.records import Skip

SPLIT_WORDS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Words in names of files and folders, and the splits they tell."""


def split_of(name: str) -> str | None:
    """The split that a whole word of a name tells: ``val2017`` and ``valid``, but not ``festival`` or ``trainval``."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    told = {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}
    return told.pop() if len(told) == 1 else None


class PictureFiles:
    """The files under a root, found by the names that annotations give them.

    Args:
        root: The folder of the data set.
        outside: Whether names and links may lead out of it.
    """

    def __init__(self, root: Path, outside: bool = False) -> None:
        self.root, self.outside = root, outside
        self._real = os.path.realpath(root)
        # Copies of this object in a worker process share one index.
        self._token = uuid.uuid4().hex

    def find(
        self,
        name: object,
        *folders: Path,
        split: str | None = None,
        search: bool = True,
        remarks: list[str] | None = None,
    ) -> Path:
        """The file that a name means.

        That is the one in the first of ``folders`` (by default the root) that has it, or else the only file under the
        root whose path ends like the name, by as many parts as possible: so are found the layouts of annotation tools,
        and absolute paths of other machines.

        Args:
            name: As it is in the annotation.
            folders: Where the data set's own layout has it.
            split: Files in a folder whose name tells another split are not searched.
            search: Off, only ``folders`` are looked in: for data sets whose masks are called as their pictures.
            remarks: To which is added that a name leads out of the root, and that a file inside is taken for it.

        Raises:
            Skip: There is no such file, there are several, or it lies outside the root.
        """
        if not isinstance(name, str) or not name.strip():
            raise Skip("picture has no file name", repr(name)[:60])
        places = folders or (self.root,)
        readings = list(_readings(name))
        led_out = None
        for reading in readings:
            for folder in places:
                path = folder / reading
                if os.path.isfile(path):  # noqa: PTH113 - unlike Path.is_file it accepts any text
                    if self.holds(path):
                        return path
                    led_out = path
        found = next(filter(None, (self._search(reading, split) for reading in readings if search)), [])
        found = [path for path in found if os.path.isfile(self.root / path)]  # noqa: PTH113 - not a pipe, which waits
        if len(found) == 1:
            if remarks is not None and (led_out or any(map(_leads_out, readings))):
                remarks.append("picture's name leads out of the root: the file of that name inside it is taken")
            return self.checked(self.root / found[0])
        if found:
            raise Skip("several files under the root have the picture's name", f"{name}: {found[0]} and {found[1]}")
        if led_out is not None:
            return self.checked(led_out)
        searched = ", ".join(dict.fromkeys(os.path.relpath(folder, self.root) for folder in places))
        everywhere = ", and all of --root" if search else ""
        raise Skip("picture is missing or unreadable", f"{name} (looked for in {searched}{everywhere})")

    def holds(self, path: Path) -> bool:
        """Whether a file may be read: it lies under the root, links followed, or ``outside`` is set."""
        return self.outside or _is_under(os.path.realpath(path), self._real)

    def checked(self, path: Path) -> Path:
        """A file that may be read. Raises :class:`Skip` if it lies outside the root."""
        if not self.holds(path):
            raise Skip("picture lies outside the root; outside=true reads it", os.path.relpath(path, self.root))
        return path

    def _search(self, reading: str, split: str | None) -> list[str]:
        """Paths under the root that end like a name, by as many parts of it as any does."""
        parts = _folded(reading)
        same_name = [
            (path, _folded(path))
            for path in _index(self._real, self._token).get(parts[-1] if parts else "", ())
            if split is None or split_of(str(PurePosixPath(path).parent)) in (None, split)
        ]
        for count in range(len(parts), 0, -1):
            found = [path for path, own in same_name if own[-count:] == parts[-count:]]
            if found:
                # Names that differ in case alone are told apart where both are there.
                ending = PurePosixPath(reading).parts[-count:]
                return [path for path in found if PurePosixPath(path).parts[-count:] == ending] or found
        return []


def _is_under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _readings(name: str) -> Iterator[str]:
    """A name as it stands, then without what other systems and web addresses add to it."""
    yield name
    plain = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*", "", name)  # https://host, file://
    plain = plain.rpartition("?d=")[2]  # Label Studio's local files
    plain = re.sub(r"^[A-Za-z]:", "", plain.replace("\\", "/"))
    if plain != name:
        yield plain
    if "%" in plain:
        yield unquote(plain).replace("\\", "/")
    if "?" in plain:
        yield unquote(plain.partition("?")[0])


def _leads_out(name: str) -> bool:
    """Whether a relative name has more steps up than down."""
    return PurePosixPath(os.path.normpath(name)).parts[:1] == ("..",)


def _folded(path: str) -> tuple[str, ...]:
    """The parts of a path, the same for all spellings that a file system may take for one."""
    return PurePosixPath(unicodedata.normalize("NFC", path).casefold()).parts


@lru_cache(maxsize=2)
def _index(root: str, token: str) -> dict[str, list[str]]:
    """Folded file name to the paths of that name under a folder, hidden ones aside; made once per ``token``."""
    found: dict[str, list[str]] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        inside = PurePosixPath(os.path.relpath(folder, root).replace(os.sep, "/"))
        for name in sorted(names):
            if not name.startswith("."):
                found.setdefault(_folded(name)[-1], []).append(str(inside / name))
    return found
