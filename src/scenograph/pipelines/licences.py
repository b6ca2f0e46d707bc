"""Under which licences the package, what it ships, and the installed packages that it uses stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from scenograph.data.picture_book.atlas import Atlas
from scenograph.models.registry import shipped_models
from scenograph.version import __version__

UNKNOWN = "not stated"
LICENCE_LINE = re.compile(r"^- Licence: (.+?)(?:,|\.?$|\. )", re.MULTILINE)
REQUIRED = re.compile(r"([\w.-]+)\s*(?:\[([^\]]*)\])?")
IN_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)")
CLASSIFIER = "License :: "
LONGEST = 60
"""Characters of a free text that is taken for a licence's name, not for its whole text."""


@dataclass(frozen=True)
class Licensed:
    """A row of the report."""

    name: str
    version: str
    """Of what ships: what it is."""
    licence: str


def shipped_licences() -> list[Licensed]:
    """The package, its weights by their cards, and the drawings in the atlas by author. ``NOTICE`` has the texts."""
    rows = [Licensed("scenograph", __version__, "Apache-2.0")]
    for name, folder in shipped_models().items():
        card = folder / "README.md"
        found = LICENCE_LINE.search(card.read_text(encoding="utf-8")) if card.is_file() else None
        rows.append(Licensed(name, "weights", found[1] if found else UNKNOWN))
    for (author, licence), count in Atlas().authors().most_common():
        rows.append(Licensed(f"drawings by {author}", f"{count} in atlas.zip", licence))
    return rows


def dependency_licences(package: str = "scenograph") -> list[Licensed]:
    """The installed packages that a package needs, at first or second hand, by name.

    All its extras are included; of other packages, those that are asked for, as in ``moto[s3]``. Empty where the
    package itself is not installed, but read from a folder.
    """
    found: dict[str, Distribution] = {}
    open_names, seen = [(package, "*")], set()
    while open_names:
        name, extra = wanted = open_names.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of an extra, or of another system
            continue
        for one in found[name].requires or ():
            asked = IN_EXTRA.search(one)
            if extra == "*" or asked is None or asked[1] == extra:
                needed, extras = _parsed(one)
                open_names += [(needed, more) for more in ("", *extras)]
    found.pop(package, None)
    return [Licensed(one.name, one.version, licence_of(one)) for _, one in sorted(found.items())]


def licence_of(package: Distribution) -> str:
    """What a package's metadata says: an SPDX expression, or the older classifiers, or a short text."""
    told = package.metadata
    if "License-Expression" in told:
        return told["License-Expression"]
    classifiers = [one for one in told.get_all("Classifier") or () if one.startswith(CLASSIFIER)]
    names = [one.rpartition(" :: ")[2] for one in classifiers if one != f"{CLASSIFIER}OSI Approved"]
    text = told["License"].strip() if "License" in told else ""
    if names:
        return ", ".join(dict.fromkeys(names))
    return text if 0 < len(text) <= LONGEST and "\n" not in text else UNKNOWN


def _parsed(requirement: str) -> tuple[str, list[str]]:
    """The name of a package, as indexes compare it, and the extras of it that a requirement asks for."""
    found = REQUIRED.match(requirement)
    assert found is not None, "installers check it"
    return re.sub(r"[-_.]+", "-", found[1]).lower(), re.findall(r"[\w.-]+", found[2] or "")
