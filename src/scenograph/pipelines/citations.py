"""Works to cite: those of the systems and data sets, from the table ``citations.toml``, in three formats."""

from __future__ import annotations

import json
import textwrap
import tomllib
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scenograph.errors import UserError, suggest
from scenograph.version import __version__

Format = Literal["bibtex", "text", "cff"]
ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"'}
"""LaTeX's commands for combining accents."""
CFF_KINDS = {"inproceedings": "conference-paper", "article": "article", "software": "software"}


class Work(BaseModel):
    """A row of the table; ``key`` is its BibTeX key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    names: Annotated[tuple[str, ...], Field(alias="for", min_length=1)]
    kind: Literal["inproceedings", "article", "software"]
    data: bool = False
    """Whether it describes a data set, not a system."""
    title: str
    authors: Annotated[tuple[str, ...], Field(min_length=1)]
    venue: str = ""
    year: Annotated[int, Field(ge=1950, le=2100)]
    date: str = ""
    pages: Annotated[str, Field(pattern=r"^(\d+-\d+)?$")] = ""
    arxiv: Annotated[str, Field(pattern=r"^(\d{4}\.\d{4,5})?$")] = ""
    doi: Annotated[str, Field(pattern=r"^(10\.\d{4,9}/\S+)?$")] = ""
    url: str = ""

    @model_validator(mode="after")
    def _can_be_found(self) -> Work:
        if self.kind != "software" and not (self.venue and (self.arxiv or self.doi or self.url)):
            raise ValueError(f"{self.key}: a venue, and an arXiv number, DOI or address are needed")
        return self


@cache
def works() -> tuple[Work, ...]:
    """Every work of the table, Scenograph first."""
    table = tomllib.loads((files("scenograph") / "pipelines" / "citations.toml").read_text(encoding="utf-8"))
    return tuple(Work(key=key, **row) for key, row in table.items())


def cited_for(names: Sequence[str] = ()) -> list[Work]:
    """The works to cite for systems and data sets.

    Args:
        names: Models, sources of data, or what else the table knows, in any case; none: Scenograph and all systems.

    Raises:
        UserError: A name is unknown.
    """
    known = {name for work in works() for name in work.names}
    wanted = [name.strip().casefold().replace("_", "-").replace(" ", "-") for name in names]
    for name, given in zip(wanted, names, strict=True):
        if name not in known:
            raise UserError(f"nothing to cite for {given!r} {suggest(name, sorted(known))}")
    return [work for work in works() if (set(wanted) & set(work.names) if wanted else not work.data)]


def citations(names: Sequence[str] = (), style: Format = "bibtex") -> str:
    """The works of :func:`cited_for`, whose errors it raises, as text: a BibTeX file, lines, or a ``CITATION.cff``.

    A ``CITATION.cff`` describes Scenograph; the other works are its references.
    """
    chosen = cited_for(names)
    if style == "cff":
        return _cff([work for work in chosen if work.kind != "software"])
    write: Callable[[Work], str] = _bibtex if style == "bibtex" else _line
    return "\n".join(map(write, chosen))


def _bibtex(work: Work) -> str:
    software = work.kind == "software"
    fields = {
        "title": f"{{{_latex(work.title)}}}",  # braces keep the capitals
        "author": " and ".join(f"{{{_latex(one)}}}" if software else _latex(one) for one in work.authors),
        ("journal" if work.kind == "article" else "booktitle"): _latex(work.venue),
        "year": str(work.year),
        "pages": work.pages.replace("-", "--"),
        "version": __version__ if software else "",
        "eprint": work.arxiv,
        "archiveprefix": "arXiv" if work.arxiv else "",
        "doi": work.doi,
        "url": work.url,
    }
    lines = [f"  {name:<13} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@{work.kind}{{{work.key},", *lines, "}", ""])


def _latex(text: str) -> str:
    """Accents as LaTeX's commands, so that BibTeX sorts and prints them in any encoding."""
    found = ""
    for letter in text:
        parts = unicodedata.normalize("NFD", letter)
        found += f"{{\\{ACCENTS[parts[1]]}{parts[0]}}}" if parts[1:] in ACCENTS else letter
    return found.replace("&", r"\&")


def _line(work: Work) -> str:
    authors = [" ".join(reversed(one.split(", "))) for one in work.authors]
    where = f"{work.venue}, {work.year}" if work.venue else f"Version {__version__}, {work.year}"
    found = (
        [f"arXiv:{work.arxiv}"] * bool(work.arxiv) + [f"doi:{work.doi}"] * bool(work.doi) + [work.url] * bool(work.url)
    )
    text = ". ".join([", ".join(authors), work.title, where, *([", ".join(found)] if found else [])])
    return textwrap.fill(text + ("" if found else "."), 100, break_long_words=False, break_on_hyphens=False) + "\n"


def _cff(references: Sequence[Work]) -> str:
    """A file of the Citation File Format 1.2.0. Its strings are written as JSON has them, which YAML reads as well."""
    own = works()[0]
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use Scenograph, please cite it and the system that you used: scenograph cite SYSTEM."',
        f"title: {own.title}",
        "type: software",
        "license: Apache-2.0",
        f"version: {__version__}",
        f"date-released: {own.date}",
        "authors:",
        *(f"  - name: {name}" for name in own.authors),
        *(["references:"] if references else []),
    ]
    for work in references:
        lines += [f"  - type: {CFF_KINDS[work.kind]}", f"    title: {_quoted(work.title)}", "    authors:"]
        for family, given in (one.split(", ") for one in work.authors):
            lines.append(f"      - {{family-names: {_quoted(family)}, given-names: {_quoted(given)}}}")
        venue = "journal" if work.kind == "article" else "collection-title"
        lines += [f"    {venue}: {_quoted(work.venue)}", f"    year: {work.year}"]
        if work.pages:
            start, end = work.pages.split("-")
            lines += [f"    start: {start}", f"    end: {end}"]
        lines += [f"    doi: {_quoted(work.doi)}"] * bool(work.doi)
        address = work.url or (f"https://arxiv.org/abs/{work.arxiv}" if work.arxiv else "")
        lines += [f"    url: {_quoted(address)}"] * bool(address)
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
