"""Scenes that can be searched: a LanceDB table, matrices of vectors, and a record of what they were made from and with.

``INDEX/index.json`` names the pack and the encoder with their checksums, ``INDEX/scenes.lance`` holds the rows, and
``INDEX/*.f16`` the vectors once more, in half precision, row by row, so that all can be compared with a query at once.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, NonNegativeInt, PositiveInt

from scenograph.data.pack import DAMAGED, RELATION_COLUMNS, row_to_scene
from scenograph.errors import UserError, reason, suggest, validate
from scenograph.files import digest, is_file, read_json
from scenograph.retrieval.scene_encoder import SceneEncoder
from scenograph.retrieval.scene_rows import LAYOUT, LEARNED, SCENE, allowed_licences
from scenograph.retrieval.scene_vectors import SIZE, settings_digest
from scenograph.retrieval.store import connect, equals, quoted, reading, stamp
from scenograph.scenes.geometry import CONTACTS, CONVERSES
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import name_for, nearest_names
from scenograph.scenes.vocabulary import Vocabulary

TABLE, RECORD = "scenes", "index.json"
BUILD_AGAIN = "build it again with: scenograph search build"
EXACT = 4_000_000
"""Scenes up to which a query is compared with all of them; with more, LanceDB's index finds the nearest.

In a million, the comparison takes half of the index's time, and the index misses half of the nearest 500.
"""
PROBES = 40
"""Parts of that index that are searched."""
LIGHT = (*SCENE, "number", "id", "aspect", "licence", "author", "hash")
"""What is read of the rows that are compared one by one."""


class SceneIndexRecord(BaseModel):
    """What ``index.json`` says."""

    format: Literal[1] = 1
    source: str
    """What the pack was made from."""
    pack: str
    split: str
    pack_digest: str
    """The checksum of ``pack.json``, which holds those of all files of the pack."""
    state: str
    """A checksum of all that the rows depend on."""
    layout: str
    """The checksum of the settings of the vectors that are made without learning."""
    encoder: str = ""
    """The model, empty without one."""
    encoder_digest: str = ""
    size: NonNegativeInt = 0
    """The length of the model's vectors."""
    units: dict[str, float] = {}
    """By which the model's vectors are divided, of scenes and of objects: their mean distance is 1 then."""
    centre: list[float] = []
    """The mean of the model's vectors of scenes, which is taken off before; empty for none."""
    scenes: PositiveInt
    names: dict[str, Any]
    """The pack's vocabulary."""
    categories: dict[str, PositiveInt]
    """How many scenes show each."""
    licences: dict[str, int]
    """How many scenes are under each combination of licences."""
    exact: bool
    """Whether there are matrices to compare with all scenes."""
    dropped: dict[str, int] = {}
    """What was left out, and why."""
    examples: dict[str, list[str]] = {}


@dataclass(frozen=True, eq=False)
class StoredScene:
    """A row of an index."""

    number: int
    id: str
    scene: Scene
    licence: str
    author: str
    hash: int | None
    aspect: float
    """Width by height of the picture."""
    jpeg: bytes
    """Empty for scenes without a picture."""
    looks: np.ndarray | None
    """(O, D) float32, NaN for objects that the model did not see; None without a model."""

    @property
    def thumbnail(self) -> Image.Image | None:
        """The picture, small. Raises ``UserError`` if it is damaged."""
        try:
            return Image.open(io.BytesIO(self.jpeg)).convert("RGB") if self.jpeg else None
        except DAMAGED as error:
            raise UserError(f"the small picture of {self.id} is damaged ({reason(error)}); {BUILD_AGAIN}") from error


class StoredScenes:
    """The scenes in a folder.

    Args:
        folder: As ``scenograph search build`` made it.

    Raises:
        UserError: It is no index, damaged, or made by another version, or ``lancedb`` is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened = stamp(folder / RECORD)
        self.record = read_index_record(folder)
        if self.record.layout != settings_digest():
            raise UserError(f"{folder} was built by another version of scenograph; {BUILD_AGAIN}")
        with self.reading():
            self.table = connect(folder).open_table(TABLE)
            if self.table.count_rows() != self.record.scenes:
                raise ValueError(f"{self.record.scenes} scenes are recorded, {self.table.count_rows()} are there")
            if len(self.record.centre) not in (0, self.record.size):
                raise ValueError(f"centre has {len(self.record.centre)} numbers instead of {self.record.size}")
            self.matrices = {key: self._matrix(key, size) for key, size in self.sizes.items() if self.record.exact}
            if stamp(folder / RECORD) != self._opened:
                raise ValueError("its record is another one")

    def __len__(self) -> int:
        return self.record.scenes

    @property
    def sizes(self) -> dict[str, int]:
        """The lengths of the vectors of a scene by kind."""
        return {LAYOUT: SIZE} | ({LEARNED: self.record.size} if self.record.size else {})

    @cached_property
    def encoder(self) -> SceneEncoder | None:
        """The model that encoded the photographs. Raises ``UserError`` if it is not there, or has changed."""
        if not self.record.encoder:
            return None
        try:
            found = SceneEncoder(self.record.encoder)
        except UserError as error:
            raise UserError(f"{self.folder} was built with an encoder that cannot be loaded: {error}") from error
        if found.digest != self.record.encoder_digest:
            raise UserError(
                f"{self.folder} was built with another version of its encoder ({found.name}): vectors of different "
                f"encoders cannot be compared; put that version back, or {BUILD_AGAIN} ... --encoder MODEL"
            )
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The names that a query may use: categories that occur, and every relation that boxes can show."""
        names = Vocabulary.from_dict(self.record.names)
        predicates = dict.fromkeys((*names.predicates, *CONVERSES, *CONTACTS))
        return Vocabulary(tuple(self.record.categories), tuple(predicates), names.attributes)

    @cached_property
    def weights(self) -> dict[str, float]:
        """How telling each category is: the logarithm of how rare it is."""
        return {name: math.log1p(len(self) / count) for name, count in self.record.categories.items()}

    @cached_property
    def hashes(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the scenes that have a picture, and the hash of each: (N,) int64 both."""
        with self.reading():
            table = self.table.search().select(["number", "hash"]).where("hash IS NOT NULL").limit(None).to_arrow()
            return table.column("number").to_numpy().astype(np.int64), table.column("hash").to_numpy()

    def changed_pack(self) -> str:
        """What has become of the pack since, in words; empty if it is as it was."""
        path = Path(self.record.pack) / "pack.json"
        if not is_file(path):
            return f"{self.record.pack} is not there any more"
        return f"{self.record.pack} has changed" if digest(path) != self.record.pack_digest else ""

    def known_category(self, name: str, where: str) -> str:
        """The category of the index that a name means: itself, or one that a synonym leads to.

        Raises:
            UserError: There is none; begins with ``where``, and names what is nearest.
        """
        found = name_for(name, CATEGORIES, self.record.categories)
        if found is None:
            remedy = nearest_names(name, CATEGORIES, self.record.categories)
            if "models info" in remedy:
                remedy = suggest("", self.record.categories)
            raise UserError(f"{where}no scene of {self.folder} shows {name!r} {remedy}")
        return found

    def condition(self, categories: Sequence[str], licences: Sequence[str]) -> str:
        """What rows have to fulfil, in SQL, empty if nothing.

        Raises:
            UserError: Nothing is of one of the categories, or under the licences.
        """
        parts = [f"array_has(categories, {quoted(self.known_category(name, '--category: '))})" for name in categories]
        if licences:
            allowed = allowed_licences(self.record.licences, licences)
            if not allowed:
                known = sorted({one for text in self.record.licences for one in text.split(", ") if one})
                there = f"there are {', '.join(known)}" if known else "no licence is known; build with --licence"
                raise UserError(f"--licence: no scene of {self.folder} is under {', '.join(licences)} alone; {there}")
            parts.append(f"licence IN ({', '.join(map(quoted, allowed))})")
        return " AND ".join(parts)

    def nearest(self, key: str, vector: np.ndarray, count: int, condition: str = "") -> np.ndarray:
        """The numbers of the nearest scenes, the first ones first.

        Args:
            key: Which vectors: those of ``LAYOUT`` are compared by their product, ``LEARNED`` ones by their distance.
            vector: (D,) float32.
            count: At most so many.
            condition: From :meth:`condition`.
        """
        with self.reading():
            if key not in self.matrices:
                search = (
                    self.table.search(vector, vector_column_name=key).nprobes(PROBES).select(["number", "_distance"])
                )
                search = search.distance_type("dot" if key == LAYOUT else "l2")
                search = search.where(condition, prefilter=True) if condition else search
                found: np.ndarray = search.limit(count).to_arrow().column("number").to_numpy()
                return found
            numbers = None
            if condition:
                search = self.table.search().where(condition).select(["number"]).limit(None)
                numbers = np.sort(search.to_arrow().column("number").to_numpy())
            scores = self._scores(key, vector)
            scores = scores if numbers is None else scores[numbers]
            best = np.argpartition(scores, max(len(scores) - count, 0))[-count:] if len(scores) else np.zeros(0, int)
            best = best[np.argsort(-scores[best], kind="stable")]
            return best if numbers is None else numbers[best]

    def vectors(self, key: str, numbers: Sequence[int]) -> np.ndarray:
        """Vectors (N, D) float32 of scenes by number."""
        with self.reading():
            table = self.table.take_offsets(list(numbers)).select(["number", key]).to_arrow().combine_chunks()
        flat = table.column(key).combine_chunks().flatten().to_numpy()
        rows = np.asarray(flat, dtype=np.float32).reshape(len(table), self.sizes[key])
        order = {number: row for row, number in enumerate(table.column("number").to_pylist())}
        return rows[[order[number] for number in numbers]]

    def scenes(self, numbers: Sequence[int], relations: Collection[str]) -> list[StoredScene]:
        """Scenes by number, in that order, without their pictures, and of their relations those of some predicates."""
        columns = [name for name in LIGHT if relations or name not in RELATION_COLUMNS]
        return self._read(numbers, [*columns, "looks"] if self.record.size else columns, relations)

    def whole_scenes(self, numbers: Sequence[int]) -> list[StoredScene]:
        """Scenes by number, in that order, with all that is stored of them."""
        return self._read(numbers, [*LIGHT, "thumbnail", "looks"] if self.record.size else [*LIGHT, "thumbnail"])

    def number_of(self, identifier: str) -> int | None:
        """The number of the scene with an id; None if there is none."""
        with self.reading():
            search = self.table.search().where(equals("id", identifier)).select(["number"]).limit(1)
            found: list[int] = search.to_arrow().column("number").to_pylist()
        return found[0] if found else None

    def reading(self) -> AbstractContextManager[None]:
        """Turn what LanceDB raises inside into a ``UserError`` that names the index."""
        return reading(self.folder / RECORD, self._opened, BUILD_AGAIN)

    def _read(
        self, numbers: Sequence[int], columns: Sequence[str], relations: Collection[str] | None = None
    ) -> list[StoredScene]:
        """Columns of scenes by number, in that order; of their relations all, or those of some predicates."""
        if not numbers:
            return []
        with self.reading():
            rows = self.table.take_offsets(list(numbers)).select(list(columns)).to_arrow().to_pylist()
            found = {row["number"]: _stored(row, relations) for row in rows}
            return [found[number] for number in numbers]

    def _scores(self, key: str, vector: np.ndarray) -> np.ndarray:
        """How near all scenes are to a vector (D,): products, or the negative of squared distances less a constant."""
        products = (self.matrices[key] @ torch.from_numpy(vector).half()).float().numpy()
        return products if key == LAYOUT else 2 * products - self._squares

    @cached_property
    def _squares(self) -> np.ndarray:
        """(N,): the squared lengths of the learned vectors."""
        return torch.cat([part.float().square().sum(dim=1) for part in self.matrices[LEARNED].split(4096)]).numpy()

    def _matrix(self, key: str, size: int) -> torch.Tensor:
        """The vectors (N, D) of a kind, mapped into memory."""
        path, count = self.folder / f"{key}.f16", len(self) * size
        if path.stat().st_size != 2 * count:
            raise ValueError(f"{path.name} has {path.stat().st_size} bytes instead of {2 * count}")
        return torch.from_file(str(path), shared=False, size=count, dtype=torch.float16).view(len(self), size)


def read_index_record(folder: Path) -> SceneIndexRecord:
    """What ``index.json`` says. Raises ``UserError`` if ``folder`` is no index."""
    if not is_file(folder / RECORD):
        raise UserError(f"{folder} is not an index of scenes; make one with: scenograph search build --pack PACK")
    return validate(SceneIndexRecord, read_json(folder / RECORD), str(folder / RECORD))


def _stored(row: dict[str, Any], relations: Collection[str] | None) -> StoredScene:
    """A row; building all relations of a scene takes longer than all else, so that they can be left out."""
    if relations:
        kept = [number for number, name in enumerate(row["relation_predicates"]) if name in relations]
        row |= {name: [row[name][number] for number in kept] for name in RELATION_COLUMNS}
    scene, looks = row_to_scene(row), None
    if "looks" in row:
        looks = np.frombuffer(row["looks"], np.float16).reshape(len(scene.objects), -1).astype(np.float32)
    names = ("number", "id", "licence", "author", "hash", "aspect")
    return StoredScene(**{name: row[name] for name in names}, scene=scene, jpeg=row.get("thumbnail", b""), looks=looks)


def state_of(*parts: object) -> str:
    """A checksum of all that the rows of an index depend on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()
