"""Where an object's pixels come from: the text in a scene, and its parts."""

from __future__ import annotations

from dataclasses import dataclass

CROP = "crop "
"""How the last part begins, if it names a crop of a memory."""


@dataclass(frozen=True)
class Origin:
    """A source with its author and licence; each is empty where it is not known."""

    source: str
    """What it is a part of: a drawing such as ``noto/cat``, a picture, a file."""
    author: str = ""
    licence: str = ""
    """An SPDX identifier, as far as there is one."""
    crop: str = ""
    """The crop's id in the memory that it was taken from."""

    @property
    def text(self) -> str:
        """``source, author, licence``, then ``crop ID``; what :meth:`parse` reads."""
        parts = [self.source]
        if self.author or self.licence:
            parts += [self.author, self.licence]
        return ", ".join([*parts, CROP + self.crop] if self.crop else parts)

    @staticmethod
    def parse(text: str | None) -> Origin:
        """The parts of an ``origin`` as scenes and packs have it. An author's name may hold commas."""
        source, *rest = (text or "").split(", ")
        crop = rest.pop().removeprefix(CROP) if rest and rest[-1].startswith(CROP) else ""
        if len(rest) < 2:
            return Origin(", ".join([source, *rest]), crop=crop)
        return Origin(source, ", ".join(rest[:-1]), rest[-1], crop)
