"""The rows of a scene index: a scene as packs have it, a small picture of it, and what tells its copies."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from scenograph.retrieval.scene_vectors import SIZE
from scenograph.scenes.origin import Origin
from scenograph.scenes.scene import Scene

THUMBNAIL, QUALITY = 256, 88
"""Longer side in pixels and JPEG quality of the pictures that an index keeps."""
LAYOUT, LEARNED = "layout", "learned"
"""The vectors of a scene: made without learning, and by a model."""
SCENE = ("categories", "attributes", "boxes", "relation_ends", "relation_predicates")
"""Columns of a pack that say what a scene is, its pixels aside."""
HASH_GRID, HASH_SIDE = 32, 8
"""Side of the picture whose spectrum is hashed, and of the part of the spectrum that is."""


@dataclass(frozen=True, eq=False)
class SceneRow:
    """A scene that is to be stored, before its vectors are known."""

    columns: Mapping[str, Any]
    """Of :data:`SCENE`, as the pack has them."""
    scene: Scene
    id: str
    licence: str
    author: str
    picture: Image.Image | None
    """In RGB."""


def schema(learned: int) -> Any:
    """The columns of an index as an Arrow schema; ``learned`` is the length of a model's vectors, 0 without one."""
    import pyarrow as pa

    text, numbers = pa.string(), pa.float32()
    fields = [
        ("number", pa.int32()),
        ("id", text),
        ("categories", pa.list_(text)),
        ("attributes", pa.list_(pa.list_(text))),
        ("boxes", pa.list_(pa.list_(numbers))),
        ("relation_ends", pa.list_(pa.list_(pa.int32()))),
        ("relation_predicates", pa.list_(text)),
        ("thumbnail", pa.binary()),
        ("aspect", numbers),
        ("licence", text),
        ("author", text),
        ("hash", pa.int64()),
        (LAYOUT, pa.list_(pa.float16(), SIZE)),
    ]
    if learned:
        fields += [(LEARNED, pa.list_(pa.float16(), learned)), ("looks", pa.binary())]
    return pa.schema(fields)


def plain_columns(row: SceneRow) -> dict[str, Any]:
    """All columns of a row but its number and its vectors."""
    picture = row.picture
    return {
        **{name: row.columns[name] for name in SCENE},
        "id": row.id,
        "licence": row.licence,
        "author": row.author,
        "thumbnail": b"" if picture is None else thumbnail(picture),
        "aspect": 1.0 if picture is None else picture.width / picture.height,
        "hash": None if picture is None else picture_hash(picture),
    }


def vector_column(vectors: np.ndarray) -> Any:
    """Vectors (N, D) as an Arrow column of float16."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float16).ravel(), pa.float16())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def thumbnail(picture: Image.Image) -> bytes:
    """A picture in RGB as a JPEG of at most ``THUMBNAIL`` pixels."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=QUALITY, subsampling=0)
    return stream.getvalue()


def picture_hash(picture: Image.Image) -> int:
    """64 bits, of which copies of a picture, scaled or compressed anew, have nearly all in common.

    Each says whether a coefficient of the grey picture's lowest frequencies is above their median (the pHash of
    Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010).
    """
    grey = picture.convert("L").resize((HASH_GRID, HASH_GRID), Image.Resampling.BOX)
    waves = _waves()
    found = (waves @ np.asarray(grey, dtype=np.float64) @ waves.T).ravel()
    bits = found > np.median(found[1:])  # the first is the mean brightness
    return int(np.packbits(bits).view(">i8")[0])


def differing_bits(hashes: np.ndarray, one: int) -> np.ndarray:
    """How many bits of hashes (N,) int64 differ from those of one: (N,)."""
    apart = np.ascontiguousarray(hashes ^ np.int64(one)).view(np.uint8).reshape(len(hashes), 8)
    return np.unpackbits(apart, axis=1).sum(axis=1)


def licences_of(origins: Iterable[str], default: Origin) -> tuple[str, str]:
    """The licences of a scene's objects and their authors, each once and sorted, separated by commas.

    Those of ``default`` are of objects that do not say their own, and of scenes of which no object has an origin.
    """
    found = [Origin.parse(text) if text else default for text in origins] or [default]
    parts = []
    for name in ("licence", "author"):
        given = {getattr(one, name) or getattr(default, name) for one in found}
        parts.append(", ".join(sorted(given - {""})))
    return parts[0], parts[1]


def allowed_licences(known: Iterable[str], wanted: Sequence[str]) -> list[str]:
    """Of combinations of licences those in which no other than the wanted ones occurs."""
    names = {name.casefold() for name in wanted}
    return [text for text in known if text and {one.casefold() for one in text.split(", ")} <= names]


@lru_cache(maxsize=1)
def _waves() -> np.ndarray:
    """The lowest cosines of the discrete cosine transform: (HASH_SIDE, HASH_GRID)."""
    places = (np.arange(HASH_GRID) + 0.5) / HASH_GRID
    return np.cos(np.pi * np.arange(HASH_SIDE)[:, None] * places)
