"""How search by sketch is measured: what is sketched, how, and what it is looked for among."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from scenograph.data.pack import read_record
from scenograph.errors import UserError, suggest, validate
from scenograph.files import read_text

Queries = Literal["sketches", "mirrored", "mixed"]
"""What scenes are looked for by: their sketches; these with every object facing the other way in its place; or
sketches of every other object and crops of the photograph for the rest."""


class SearchProtocol(BaseModel):
    """Everything that moves a number, apart from the encoder and the data."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int = 1
    about: str
    source: str
    """How the name of the pack's source begins; empty for any."""
    options: dict[str, str] = {}
    """With which the pack must have been made."""
    needs: str
    """How to get the data."""
    split: str
    scenes: PositiveInt | None = None
    """The first so many with sketches; None takes all."""
    expected: int | None = None
    """How many the published evaluation has."""
    queries: Queries = "sketches"
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Standard deviation of the shifts of a query's objects, in sides of the canvas, and a third of that of the
    logarithms of their sides."""
    missing: float = Field(default=0.0, ge=0, lt=1)
    """How likely an object of a scene is left out of its query; one is kept."""

    @property
    def fingerprint(self) -> str:
        """Twelve characters that differ whenever anything that moves a number does."""
        return hashlib.sha256(json.dumps(self.settings(), sort_keys=True).encode()).hexdigest()[:12]

    def settings(self) -> dict[str, object]:
        """What moves numbers."""
        return self.model_dump(mode="json", exclude={"name", "version", "about", "needs", "expected"})

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Whether a pack, by what its ``pack.json`` records, is of the data that this is a protocol for."""
        made = {key: record["options"].get(key) for key in self.options}
        return str(record["source"]).startswith(self.source) and made == self.options


SEARCH_PROTOCOLS: dict[str, SearchProtocol] = {
    protocol.name: protocol
    for protocol in (
        SearchProtocol(
            name="picture-book-sketch",
            about="Picture-book scenes by sketches of a hand that no model has learned from, a little out of place "
            "and one object in ten left out.",
            source="picture-book",
            options={"hand": "loose"},
            needs="scenograph data pack picture-book hand=loose, of scenes rendered with --split test",
            split="test",
            shift=0.03,
            missing=0.1,
        ),
        SearchProtocol(
            name="sketchycoco-sl",
            about="SketchyCOCO-SL (Liu et al., SceneSketcher, ECCV 2020): 210 test pairs of SketchyCOCO, which --ids "
            "names; the 1,015 training pairs are for training.",
            source="SketchyCOCO",
            needs="SketchyCOCO's Scene and Annotation archives, scenograph data pack sketchycoco",
            split="test",
            expected=210,
        ),
        SearchProtocol(
            name="quickdraw-coco-92c",
            about="QuickDrawCOCO-92c (Ribeiro et al., ICCVW 2021): val2017 of COCO without its first 1,024 pictures, "
            "every object sketched by a drawing of Quick, Draw! that training has not seen.",
            source="QuickDrawCOCO",
            needs="COCO with stuff annotations and Quick, Draw!, scenograph data pack quickdraw-coco drawings=FOLDER",
            split="test",
        ),
        SearchProtocol(
            name="sketched-scenes",
            about="For any other data with sketches, as they are.",
            source="",
            needs="a pack whose objects have sketches",
            split="test",
        ),
    )
}


def find_search_protocol(name: str | None, pack: Path, changes: Mapping[str, object]) -> SearchProtocol:
    """A protocol by name, or the one for the data of a pack, with settings changed.

    A changed one is called ``name (changed)``. Changes that are None change nothing.

    Raises:
        UserError: There is no such protocol, a value is wrong, or the pack is of other data.
    """
    record = read_record(pack)
    if name is None:
        name = next(n for n, one in SEARCH_PROTOCOLS.items() if one.fits(record))
    if name not in SEARCH_PROTOCOLS:
        raise UserError(f"no protocol {name!r} {suggest(name, SEARCH_PROTOCOLS)}")
    protocol = SEARCH_PROTOCOLS[name]
    if not protocol.fits(record):
        raise UserError(f"{pack}, made from {record['source']}, is other data; protocol {name} needs {protocol.needs}")
    real = {key: value for key, value in changes.items() if value is not None}
    changed = validate(SearchProtocol, protocol.model_dump() | real, "protocol")
    moved = changed.settings() != protocol.settings()
    return changed.model_copy(update={"name": f"{name} (changed)"}) if moved else changed


def read_ids(path: Path) -> list[str]:
    """Ids of scenes, or names of their files, one a line."""
    ids = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not ids:
        raise UserError(f"{path}: names no scene; expected one id a line")
    return ids
