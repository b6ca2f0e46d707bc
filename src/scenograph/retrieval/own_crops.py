"""A user's own crops: picture files, with or without alpha, for a memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scenograph.data.pictures import decode_rgba, files_in, readable_suffixes
from scenograph.data.records import Reasons, Skip
from scenograph.data.source import Progress
from scenograph.errors import UserError
from scenograph.retrieval.encoder import APPEARANCE, GRAPH
from scenograph.retrieval.memory import CropMemory
from scenograph.retrieval.rows import SIDE, VISIBLE, Candidate, check_area, table_of
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, SceneObject

TOGETHER = 512
"""Files that are encoded and added at once."""


@dataclass
class Added:
    """What became of files."""

    crops: int = 0
    known: int = 0
    """Files whose pixels were there already."""
    unknown: set[str] = field(default_factory=set)
    """Categories that the graph encoder does not know: their crops are found by pixels and shape alone."""
    dropped: Reasons = field(default_factory=Reasons)


def add_files(
    memory: CropMemory,
    files: Sequence[Path],
    category: str | None = None,
    attributes: Sequence[str] = (),
    author: str = "",
    licence: str = "",
    progress: Progress = lambda what, done: None,
) -> Added:
    """Add pictures of single objects to a memory. What is transparent around an object is cut off.

    Args:
        memory: Is changed.
        files: Pictures, or folders of pictures.
        category: Of all of them; without it, that of each file is the name of its folder.
        attributes: Of all of them.
        author: Whom to name.
        licence: An SPDX identifier, as far as there is one.
        progress: Called with what is done and how many files so far.

    Returns:
        How many were added; a file that is no picture, or shows nothing, is left out and counted.

    Raises:
        UserError: A file is missing, there is none, or the memory cannot be changed.
    """
    paths = _pictures(files)
    result = Added()
    encoder = memory.encoder
    for start in range(0, len(paths), TOGETHER):
        candidates: dict[str, Candidate] = {}
        for path in paths[start : start + TOGETHER]:
            try:
                one = _candidate(path, category or path.absolute().parent.name, tuple(attributes), author, licence)
            except Skip as skip:
                result.dropped.note(str(skip), skip.example or str(path))
                continue
            candidates[one.id] = one
        batch = list(candidates.values())
        result.unknown |= {one.thing.category for one in batch if encoder.graph_lacks(one.thing.category)}
        rows = _rows(memory, batch)
        added = memory.add(rows) if batch else 0
        result.crops += added
        result.known += len(batch) - added
        progress("adding files", min(start + TOGETHER, len(paths)))
    return result


def read_crop(path: Path) -> np.ndarray:
    """A picture of one object, (h, w, 4) uint8 at most 256 pixels long, cut to what is visible.

    Raises:
        Skip: It is no picture, or shows nothing.
    """
    pixels = np.asarray(decode_rgba(path))
    check_area(pixels)
    seen = pixels[..., 3] > VISIBLE
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min(SIDE / max(pixels.shape[:2]), 1)
    height, width = (max(round(side * scale), 1) for side in pixels.shape[:2])
    crop = np.asarray(scaled(pixels, height, width).convert("RGBA"))
    check_area(crop)
    return crop


def _candidate(path: Path, category: str, attributes: tuple[str, ...], author: str, licence: str) -> Candidate:
    crop = read_crop(path)
    identifier = hashlib.sha256(category.encode() + repr(crop.shape).encode() + crop.tobytes()).hexdigest()[:16]
    thing = SceneObject(category, attributes, crop=crop)
    return Candidate(identifier, thing, Origin(path.name, author, licence))


def _rows(memory: CropMemory, candidates: Sequence[Candidate]) -> object:
    """The rows of crops, each as the only object of a scene."""
    encoder, keys = memory.encoder, {}
    if GRAPH in memory.record.sizes:
        alone = encoder.graph_vectors([Scene((one.thing,)) for one in candidates])
        keys[GRAPH] = np.concatenate(alone) if alone else np.zeros((0, memory.record.sizes[GRAPH]), np.float32)
    if APPEARANCE in memory.record.sizes:
        keys[APPEARANCE] = encoder.appearance_vectors(
            [one.thing.crop for one in candidates if one.thing.crop is not None]
        )
    return table_of(candidates, keys, memory.record.encoder, memory.record.sizes)


def _pictures(files: Sequence[Path]) -> list[Path]:
    """The files, and the pictures in folders."""
    found: list[Path] = []
    for path in files:
        if path.is_dir():
            found += [one for one in files_in(path) if one.suffix.lower() in readable_suffixes()]
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"there is no file {path}")
    if not found:
        raise UserError(f"no picture in {', '.join(map(str, files))}; give picture files, or folders of them")
    return found
