"""A memory of crops on disk: a LanceDB table, and a record of what it was made from and with.

``MEMORY/memory.json`` names the encoders and their checksum; ``MEMORY/crops.lance`` holds the rows. Every change is a
version of the table that appears whole or not at all: who reads a version goes on reading it meanwhile.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from scenograph.data.source import Progress
from scenograph.errors import MALFORMED, UserError, reason, suggest, validate
from scenograph.files import is_file, read_json, reserved
from scenograph.models.base import Model
from scenograph.retrieval.encoder import CropEncoder
from scenograph.retrieval.rows import Crop, check_area, crop_of
from scenograph.retrieval.store import cannot_write, connect, equals, quoted, reading, stamp
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.synonyms import name_for, say_read
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

TABLE, RECORD = "crops", "memory.json"
BUILD_AGAIN = "build it again with: scenograph memory build"
INDEXED = 200_000
"""Crops of one category above which an index of vectors is made and used: below, comparing with all is as fast."""
PROBES = 20
"""Parts of the index that are searched."""
SAMPLED = 2000
"""Vectors, about, by which the scale of their distances is found."""
CACHED = 256 * 2**20
"""Bytes of vectors that stay in memory."""
LIGHT = ("id", "attributes", "width", "height", "look", "picture", "source", "author", "licence")
"""What choosing needs of a row, beside its vectors."""


class MemoryRecord(BaseModel):
    """What ``memory.json`` says."""

    format: int = 1
    source: str
    """What the first rows were made from."""
    state: str
    """A checksum of that, of its options and of the encoders."""
    encoders: list[str]
    encoder: str
    """The checksum of the encoders' settings and weights."""
    sizes: dict[str, int]
    """The length of the vectors of each key."""
    dropped: dict[str, int] = {}
    """What was left out, and why."""


@dataclass(frozen=True, eq=False)
class CategoryRows:
    """The rows of a category, or those of them that may be the nearest: all but the pixels."""

    category: str
    ids: np.ndarray
    """(R,) of text, as are ``pictures``, ``sources``, ``authors`` and ``licences``."""
    attributes: list[frozenset[str]]
    aspects: np.ndarray
    """(R,) float32, logarithm of width / height in pixels."""
    lengths: np.ndarray
    """(R,) float32, the longer side in pixels."""
    looks: np.ndarray
    """(R, 6) float32: mean and spread of red, green and blue."""
    pictures: np.ndarray
    sources: np.ndarray
    authors: np.ndarray
    licences: np.ndarray
    vectors: dict[str, np.ndarray]
    """(R, D) float32 by key."""
    scales: dict[str, float]
    """The mean squared distance between two rows, by key: what a distance is large or small against."""

    def __len__(self) -> int:
        return len(self.ids)

    def distances(self, key: str, query: np.ndarray) -> np.ndarray:
        """Squared distances of all rows to a vector (D,) in a key, by one product: (R,) float64."""
        products = self.vectors[key] @ query.astype(np.float32)
        found: np.ndarray = self._squares[key] - 2 * products + float(query @ query)
        return np.maximum(found, 0).astype(np.float64)

    @cached_property
    def _squares(self) -> dict[str, np.ndarray]:
        """(R,) by key: the squared lengths of the vectors."""
        return {key: np.einsum("rd,rd->r", values, values) for key, values in self.vectors.items()}

    @property
    def size(self) -> int:
        """Bytes of its vectors."""
        return sum(values.nbytes for values in self.vectors.values())


class CropMemory:
    """The crops in a folder, at the version that it has when it is opened.

    Args:
        folder: As ``scenograph memory build`` made it.

    Raises:
        UserError: It is no memory, or damaged, or ``lancedb`` is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened = stamp(folder / RECORD)
        self.record = read_memory_record(folder)
        with self.reading():
            self.table = connect(folder).open_table(TABLE)
        self._rows: OrderedDict[str, CategoryRows] = OrderedDict()
        self._read_as: set[str] = set()

    def __len__(self) -> int:
        with self.reading():
            return int(self.table.count_rows())

    @cached_property
    def counts(self) -> Counter[str]:
        """How many crops there are of each category."""
        return Counter(self.column("category"))

    @cached_property
    def attributes(self) -> frozenset[str]:
        """What any of its crops is said to be, such as *red*."""
        return frozenset(name for names in self.column("attributes") for name in names)

    @cached_property
    def digest(self) -> str:
        """A checksum of what the memory was made from and of the crops that it holds."""
        total = hashlib.sha256(self.record.state.encode())
        for name in sorted(self.column("id")):
            total.update(f" {name}".encode())
        return total.hexdigest()

    @cached_property
    def encoder(self) -> CropEncoder:
        """The models that its vectors were made with. Raises ``UserError`` if they are not there, or have changed."""
        try:
            found = CropEncoder(self.record.encoders)
        except UserError as error:
            raise UserError(f"{self.folder} was built with an encoder that cannot be loaded: {error}") from error
        if found.digest != self.record.encoder:
            names = ", ".join(self.record.encoders)
            raise UserError(
                f"{self.folder} was built with another version of its encoder ({names}): vectors of different encoders "
                f"cannot be compared; put that version back, or {BUILD_AGAIN} ... --encoder MODEL"
            )
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names that a query may use: the memory's categories, and what the graph encoder knows."""
        graph = self.encoder.graph
        names = graph.vocabulary if isinstance(graph, Model) else Vocabulary((), SG2IM_PREDICATES)
        return replace(names, categories=tuple(sorted({*self.counts, *names.category_index})))

    def column(self, name: str) -> list[Any]:
        """A column of all rows."""
        with self.reading():
            return self.table.search().select([name]).limit(None).to_arrow().column(name).to_pylist()

    def known_category(self, name: str, where: str) -> str:
        """The category of the memory that a name means.

        Args:
            name: Of a category, or a synonym of one.
            where: What the error begins with.

        Returns:
            The name itself, or the category that it is a synonym of.

        Raises:
            UserError: There is none; says what to do.
        """
        if name in self.counts:
            return name
        if not self.counts:
            raise UserError(f"{where}{self.folder} is empty; add crops with: scenograph memory add {self.folder} FILES")
        if (other := name_for(name, CATEGORIES, self.counts)) is not None:
            if name not in self._read_as:
                say_read({name: other})
            self._read_as.add(name)
            return other
        raise UserError(
            f"{where}{self.folder} holds no crop of {name!r} {suggest(name, self.counts)}; "
            f"add some with: scenograph memory add {self.folder} FILES --category '{name}'"
        )

    def has(self, category: str, besides: str | None = None) -> bool:
        """Whether there is a crop of this very category.

        Args:
            category: No synonym of it counts.
            besides: The id of a picture whose crops do not count.

        Returns:
            Whether there is one.
        """
        if category not in self.counts:
            return False
        return besides is None or bool((self.rows(category).pictures != besides).any())

    def rows(self, category: str) -> CategoryRows:
        """The rows of a category; those of the last categories asked for stay in memory."""
        if category not in self._rows:
            self._rows[category] = self._read_rows(category)
            while sum(rows.size for rows in self._rows.values()) > CACHED and len(self._rows) > 1:
                self._rows.popitem(last=False)
        self._rows.move_to_end(category)
        return self._rows[category]

    def candidates(self, category: str, vectors: Mapping[str, np.ndarray], count: int) -> CategoryRows:
        """The rows of a category that may be the nearest to some vectors.

        Args:
            category: One that the memory has.
            vectors: (D,) by key, such as ``looks``; D as the memory's record says.
            count: Of very many rows, about so many that the index finds for each key.

        Returns:
            All rows of the category, to be compared exactly; of very many, those that were found.
        """
        if self.counts[category] <= INDEXED or not vectors or not self._indexed:
            return self.rows(category)
        parts = []
        with self.reading():
            for key, vector in vectors.items():
                search = self.table.search(vector.astype(np.float32), vector_column_name=key).distance_type("l2")
                search = search.where(equals("category", category), prefilter=True).limit(count)
                search = search.nprobes(PROBES).select([*self._light, "_distance"])
                parts.append(search.to_arrow().select(self._light))
        import pyarrow as pa

        table = pa.concat_tables(parts)
        _, first = np.unique(table.column("id").to_numpy(zero_copy_only=False), return_index=True)
        return _category_rows(category, table.take(np.sort(first)), list(self.record.sizes))

    @cached_property
    def _indexed(self) -> bool:
        """Whether there is an index of vectors."""
        with self.reading():
            return any(set(index.columns) & set(self.record.sizes) for index in self.table.list_indices())

    def crops(self, ids: Sequence[str]) -> list[Crop]:
        """The crops of these ids, in that order. Raises ``UserError`` for one that is missing or damaged."""
        wanted = sorted(set(ids))
        found: dict[str, Crop] = {}
        columns = ["id", "category", "attributes", "crop", "source", "author", "licence"]
        for start in range(0, len(wanted), 512):
            with self.reading():
                names = ", ".join(map(quoted, wanted[start : start + 512]))
                search = self.table.search().where(f"id IN ({names})").select(columns).limit(None)
                rows = search.to_arrow().to_pylist()
            for row in rows:
                try:
                    found[row["id"]] = crop_of(row)
                except MALFORMED as error:
                    raise UserError(
                        f"{self.folder}, crop {row['id']}: damaged ({reason(error)}); "
                        f"scenograph memory verify {self.folder} names all that are"
                    ) from error
        missing = next((name for name in wanted if name not in found), None)
        if missing is not None:
            raise UserError(f"{self.folder} holds no crop {missing!r}; scenograph memory query names some")
        return [found[name] for name in ids]

    def batches(self, columns: Sequence[str], size: int = 1024) -> Iterator[Any]:
        """All rows, some columns of them.

        Args:
            columns: By name.
            size: Rows of a batch at most.

        Yields:
            Arrow record batches.

        Raises:
            UserError: The memory is damaged.
        """
        with self.reading():
            yield from self.table.search().select(list(columns)).limit(None).to_batches(size)

    def add(self, rows: Any) -> int:
        """Add rows (see ``rows.table_of``) in one step; those whose id is there already are left out. Returns how many.

        Raises ``UserError`` if another command changes the memory, or the disk is full.
        """
        before = len(self)
        with reserved(self.folder), self._writing():
            self.table.checkout_latest()
            before = self.table.count_rows()
            self.table.merge_insert("id").when_not_matched_insert_all().execute(rows)
            self.table.optimize()
        self._forget()
        return len(self) - before

    def remove(self, source: str | None = None, licence: str | None = None) -> int:
        """Remove crops of a source or a licence, one of which is needed; with both, those that have both.

        Args:
            source: And of all that lies below it, as ``noto`` above ``noto/cat``.
            licence: In upper or lower case.

        Returns:
            How many were removed.

        Raises:
            UserError: As :meth:`add`.
        """
        conditions = []
        if source is not None:
            conditions.append(f"({equals('source', source)} OR starts_with(source, {quoted(source + '/')}))")
        if licence is not None:
            conditions.append(f"lower(licence) = {quoted(licence.casefold())}")
        assert conditions
        with reserved(self.folder), self._writing():
            self.table.checkout_latest()
            before = self.table.count_rows()
            self.table.delete(" AND ".join(conditions))
        self._forget()
        return before - len(self)

    def verify(self, progress: Progress = lambda what, done: None) -> list[str]:
        """Everything that is wrong with the rows, as lines."""
        problems: list[str] = []
        seen: set[str] = set()
        done = 0
        for batch in self.batches(self.table.schema.names, 256):
            for row in batch.to_pylist():
                problems += [f"crop {row['id']}: {what}" for what in self._problems(row)]
                if row["id"] in seen:
                    problems.append(f"crop {row['id']}: there are several of this id")
                seen.add(row["id"])
                done += 1
            progress("checking crops", done)
        return problems

    @property
    def _light(self) -> list[str]:
        return [*LIGHT, *self.record.sizes]

    def _read_rows(self, category: str) -> CategoryRows:
        with self.reading():
            search = self.table.search().where(equals("category", category)).select(self._light).limit(None)
            table = search.to_arrow().combine_chunks()
        return _category_rows(category, table, list(self.record.sizes))

    def _problems(self, row: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with a row."""
        try:
            crop = crop_of(row)
            check_area(crop.pixels)
            if crop.pixels.shape[:2] != (row["height"], row["width"]):
                yield f"{row['width']} x {row['height']} pixels are recorded, {crop.pixels.shape[1::-1]} are there"
        except Exception as error:  # whatever damaged pixels raise
            yield reason(error)
        if row["encoder"] != self.record.encoder:
            yield "its vectors were made with another encoder than the memory's"
        for key, size in self.record.sizes.items():
            vector = np.asarray(row[key], dtype=np.float32)
            if vector.shape != (size,) or not np.isfinite(vector).all():
                yield f"its vector for {key} is damaged"

    def _forget(self) -> None:
        """What was known of the rows, after a change."""
        self._rows.clear()
        for name in ("counts", "attributes", "digest"):
            self.__dict__.pop(name, None)

    def reading(self) -> AbstractContextManager[None]:
        """Turn what LanceDB raises inside into a ``UserError`` that names the memory."""
        return reading(self.folder / RECORD, self._opened, BUILD_AGAIN)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise cannot_write(self.folder, error) from error


def read_memory_record(folder: Path) -> MemoryRecord:
    """What ``memory.json`` says. Raises ``UserError`` if ``folder`` is no memory."""
    if not is_file(folder / RECORD):
        raise UserError(f"{folder} is not a memory of crops; make one with: scenograph memory build --pack PACK")
    return validate(MemoryRecord, read_json(folder / RECORD), str(folder / RECORD))


def _category_rows(category: str, table: Any, keys: Collection[str]) -> CategoryRows:
    """Arrow columns as arrays."""

    def text(name: str) -> np.ndarray:
        return table.column(name).to_numpy().astype(object)

    def numbers(name: str, size: int) -> np.ndarray:
        column = table.column(name).combine_chunks()
        values = column.flatten() if len(table) else np.zeros(0, np.float32)
        return np.asarray(values, dtype=np.float32).reshape(len(table), size)

    vectors = {key: numbers(key, table.schema.field(key).type.list_size) for key in keys}
    sizes = np.stack([table.column(name).to_numpy().astype(np.float32) for name in ("width", "height")])
    sizes = np.maximum(sizes, 1)
    return CategoryRows(
        category,
        text("id"),
        [frozenset(names) for names in table.column("attributes").to_pylist()],
        np.log(sizes[0] / sizes[1]),
        sizes.max(axis=0),
        numbers("look", 6),
        text("picture"),
        text("source"),
        text("author"),
        text("licence"),
        vectors,
        {key: _spread(values) for key, values in vectors.items()},
    )


def _spread(vectors: np.ndarray) -> float:
    """The mean squared distance between two of the vectors (R, D), by some of them; 1 if all are one."""
    some = vectors[:: len(vectors) // SAMPLED + 1]
    spread = 2 * float(some.var(axis=0, dtype=np.float64).sum()) if len(some) else 0.0
    return spread if spread > 1e-6 else 1.0
