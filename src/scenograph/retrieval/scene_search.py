"""Search for scenes: vectors find candidates among all, then objects are matched one to one, which ranks them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from scenograph.data.pictures import decode_rgb
from scenograph.data.records import Skip
from scenograph.errors import NOTE, UserError, counted
from scenograph.files import is_file, parse_json
from scenograph.retrieval.matching import Match, match
from scenograph.retrieval.scene_index import StoredScene, StoredScenes
from scenograph.retrieval.scene_rows import LAYOUT, LEARNED, differing_bits, picture_hash
from scenograph.retrieval.scene_vectors import encode_layouts
from scenograph.scenes.png import SHOWN, is_png, read_record
from scenograph.scenes.scene import Relation, Scene, keep_objects, load_scenes
from scenograph.scenes.search_sheets import FoundPicture, draw_found
from scenograph.scenes.synonyms import UnknownWordError, renamed, say_read
from scenograph.scenes.text import objects_in_words, scene_from_text

log = logging.getLogger(__name__)

CANDIDATES, PER_RESULT = 500, 10
"""Scenes that are compared one by one: at least, and for each result that is asked for."""
WHOLE = 0.5
"""How much the distance of the model's vectors of whole scenes counts beside the matched objects."""
COPY_BITS, COPY_SHADES = 5, 10
"""Most bits in which the hashes of copies of a picture differ, and most shades (of 256) between them on average."""

BITS = 2**64 - 1


@dataclass(frozen=True, eq=False)
class Hit:
    """A scene that was found."""

    stored: StoredScene
    match: Match
    score: float
    """In [0, 1]."""
    copies: tuple[str, ...] = ()
    """The ids of near-duplicates of it, which are not listed."""

    @property
    def id(self) -> str:
        """The picture's id in the pack."""
        return self.stored.id

    @property
    def scene(self) -> Scene:
        """What the picture shows."""
        return self.stored.scene

    @property
    def image(self) -> Image.Image | None:
        """The picture, small."""
        return self.stored.thumbnail


@dataclass(frozen=True, eq=False)
class Found(Sequence[Hit]):
    """Scenes that were found, the best first."""

    query: Scene
    hits: tuple[Hit, ...]
    nearest: Hit | None = None
    """The best scene, whether it reaches the threshold or not."""

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index: Any) -> Any:
        return self.hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __repr__(self) -> str:
        return (
            f"<Found {counted(len(self), 'scene')}: {', '.join(f'{hit.id} {hit.score:.2f}' for hit in self.hits[:5])}>"
        )

    @property
    def sheet(self) -> Image.Image:
        """Each picture beside the query, with lines between matched objects. Raises ``UserError`` without any."""
        if not self.hits:
            raise UserError("nothing was found, so that there is nothing to draw")
        pictures = [
            FoundPicture(hit.scene, hit.image, hit.stored.aspect, hit.match.pairs, self._caption(rank, hit))
            for rank, hit in enumerate(self.hits, start=1)
        ]
        return draw_found(self.query, pictures)

    def _repr_png_(self) -> bytes | None:
        """The sheet, as notebooks show it."""
        return self.sheet._repr_png_() if self.hits else None

    def _caption(self, rank: int, hit: Hit) -> str:
        """Rank, score and what it shows; small, what of the query it lacks, and its id."""
        _, _, lacks = self.why(hit).partition("; ")
        shown = f"{rank}   {hit.score:.2f}   {objects_in_words(hit.scene)}"
        return "\n".join((shown, "  ·  ".join(filter(None, (lacks, hit.id)))))

    def why(self, hit: Hit) -> str:
        """Which objects were matched, and what the query asks for that the scene lacks."""
        parts = [
            f"{self.query.objects[one].label} = {hit.scene.objects[other].label} ({other}) {value:.2f}"
            for one, other, value in hit.match.pairs
        ]
        missing = {*range(len(self.query.objects))} - {one for one, _, _ in hit.match.pairs}
        lacks = [self.query.objects[number].label for number in sorted(missing)]
        lacks += [self._in_words(relation) for relation in hit.match.broken]
        return ", ".join(parts) + (f"; lacks {', '.join(lacks)}" if lacks else "")

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"query": self.query.to_dict(), "results": [self._hit(rank, hit) for rank, hit in enumerate(self, 1)]}

    def _hit(self, rank: int, hit: Hit) -> dict[str, Any]:
        pairs = [{"query": one, "object": other, "likeness": round(value, 4)} for one, other, value in hit.match.pairs]
        broken = [[relation.subject, relation.predicate, relation.object] for relation in hit.match.broken]
        return {
            "rank": rank,
            "id": hit.id,
            "score": round(hit.score, 4),
            "matched": pairs,
            "lacking": broken,
            "licence": hit.stored.licence,
            "author": hit.stored.author,
            "copies": list(hit.copies),
            "scene": hit.scene.to_dict(),
        }

    def _in_words(self, relation: Relation) -> str:
        ends = [self.query.objects[number].category for number in (relation.subject, relation.object)]
        return f"{ends[0]} {relation.predicate} {ends[1]}"


@dataclass(frozen=True, eq=False)
class _Query:
    """A scene that is asked for, and its vectors."""

    scene: Scene
    vectors: dict[str, np.ndarray]
    looks: np.ndarray | None = None
    """(Q, D), as of a stored scene."""
    itself: int = -1
    """The number of the scene that it was taken from, which is not found."""


class SceneIndex(StoredScenes):
    """The scenes of a pack, to be searched: ``SceneIndex.open("book.index").search("dog left of tree", top=20)``.

    Args:
        folder: As ``scenograph search build`` made it.

    Raises:
        UserError: It is no index, damaged, or made by another version, or ``lancedb`` is missing.
    """

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """The index in a folder."""
        return cls(Path(folder))

    def search(
        self,
        scene: Scene | str,
        top: int = 20,
        categories: Sequence[str] = (),
        licences: Sequence[str] = (),
        threshold: float = 0.0,
    ) -> Found:
        """Scenes like one that is given.

        Args:
            scene: Objects with boxes, sketches or crops as far as they are known, and relations; or a line of text.
            top: At most so many.
            categories: Each of which a scene has to show beside the query's.
            licences: No other ones may apply to what is found.
            threshold: Lowest score.

        Returns:
            The best scenes; none if there is no better one than the threshold.

        Raises:
            UserError: The query is empty, a sketch cannot be seen, the index holds nothing of what it names, or it was
                made with an encoder that is gone.
        """
        asked = self.read(scene) if isinstance(scene, str) else self._known(scene)
        check_sketches(asked)
        vectors, looks = {LAYOUT: encode_layouts([asked], self.weights)[0]}, None
        if self.record.encoder and any(thing.sketch is not None or thing.crop is not None for thing in asked.objects):
            assert self.encoder is not None
            (encoded,) = self.encoder.encode([asked], [None])
            looks = encoded.objects / self.record.units["looks"]
            if encoded.scene is not None:
                whole = encoded.scene - np.array(self.record.centre or 0.0, dtype=np.float32)
                vectors[LEARNED] = whole / self.record.units[LEARNED]
        return self._search(_Query(asked, vectors, looks), top, categories, licences, threshold)

    def read(self, text: str) -> Scene:
        """The scene that a line of text describes. Raises ``UserError`` for a word that the index has nothing of."""
        try:
            return scene_from_text(text, self.vocabulary)
        except UnknownWordError as error:
            for word in error.words:
                self.known_category(word, "")  # says what there is here, not what models know
            raise

    def like(
        self,
        identifier: str,
        top: int = 20,
        categories: Sequence[str] = (),
        licences: Sequence[str] = (),
        threshold: float = 0.0,
    ) -> Found:
        """Scenes like one of the index, without that one.

        Args:
            identifier: Its id, as in what a search finds.
            top: As for :meth:`search`, and so are the others.
            categories: See there.
            licences: See there.
            threshold: See there.

        Returns:
            As :meth:`search`.

        Raises:
            UserError: The index has no scene of this id.
        """
        number = self.number_of(identifier)
        if number is None:
            raise UserError(f"{self.folder} has no scene {identifier!r}; a search names ids of what it finds")
        (stored,) = self.scenes([number], relations=())
        vectors = {LAYOUT: encode_layouts([stored.scene], self.weights)[0]}
        if self.record.size:
            vectors[LEARNED] = self.vectors(LEARNED, [number])[0]
        # Without its relations: where the boxes are says all that most of them do.
        return self._search(_Query(stored.scene, vectors, stored.looks, number), top, categories, licences, threshold)

    def like_picture(self, picture: str | Path, **options: Any) -> Found:
        """Scenes like that of a picture: one of the index, by its id or as a file, or one that holds its scene.

        Args:
            picture: An id, or a file.
            **options: Those of :meth:`search`.

        Returns:
            As :meth:`search`.

        Raises:
            UserError: Nobody knows what the picture shows.
        """
        if self.number_of(str(picture)) is not None:
            return self.like(str(picture), **options)
        path = Path(picture)
        if not is_file(path):
            raise UserError(f"{picture}: neither a file nor the id of a picture in {self.folder}")
        if (scene := _scene_shown(path)) is not None:
            return self.search(scene, **options)
        known = self._known_picture(path)
        if known is None:
            raise UserError(
                f"{path} holds no scene, and is no picture of {self.folder}: what it shows is not known; write its "
                "objects and their boxes into a scene file, and give that with --scene"
            )
        return self.like(known, **options)

    def known_objects(self, scene: Scene) -> list[int]:
        """The numbers of the objects that :meth:`search` asks for, the others being left out: those of its matches."""
        return self._sorted_out(renamed(scene, self.vocabulary)[0])[0]

    def _sorted_out(self, scene: Scene) -> tuple[list[int], list[str]]:
        """The numbers of objects that the index has some of, and what is wrong with the others."""
        kept, complaints = [], []
        for number, thing in enumerate(scene.objects):
            try:
                self.known_category(thing.category, f"objects[{number}]: ")
                kept.append(number)
            except UserError as error:
                complaints.append(str(error))
        return kept, complaints

    def _known(self, scene: Scene) -> Scene:
        """A scene in the names of the index; objects that it has none of are left out, and said."""
        scene, read = renamed(scene, self.vocabulary)
        kept, complaints = self._sorted_out(scene)
        if not kept:
            raise UserError("\n".join(complaints) or "the scene is empty; name at least one object")
        if read:
            say_read(read)
        if complaints:
            log.log(NOTE, "left out of the query: %s", "; ".join(complaints))
        return keep_objects(scene, kept)

    def _search(
        self, query: _Query, top: int, categories: Sequence[str], licences: Sequence[str], threshold: float
    ) -> Found:
        """Candidates by each kind of vector, compared one by one."""
        if top < 1 or not 0 <= threshold <= 1:
            raise UserError(f"top {top} and threshold {threshold:g}: expected at least 1, and a score from 0 to 1")
        condition, count = self.condition(categories, licences), max(CANDIDATES, PER_RESULT * top)
        numbers: dict[int, None] = {}
        for key, vector in query.vectors.items():
            numbers |= dict.fromkeys(self.nearest(key, vector, count, condition).tolist())
        numbers.pop(query.itself, None)
        chosen = list(numbers)
        apart = None
        if LEARNED in query.vectors and chosen:
            apart = np.square(self.vectors(LEARNED, chosen) - query.vectors[LEARNED]).sum(axis=1)
        hits = []
        predicates = {relation.predicate for relation in query.scene.relations}
        for place, stored in enumerate(self.scenes(chosen, predicates)):
            found = match(query.scene, stored.scene, self.weights, _alike(query.looks, stored.looks))
            score = found.score
            if apart is not None:
                score = (1 - WHOLE) * score + WHOLE * float(np.exp(-apart[place]))
            hits.append(Hit(stored, found, score))
        hits.sort(key=lambda hit: (-hit.score, hit.stored.number))
        kept = _folded([hit for hit in hits if hit.score >= threshold and hit.score > 0], top)
        whole = self.whole_scenes([hit.stored.number for hit in kept])
        shown = tuple(replace(hit, stored=stored) for hit, stored in zip(kept, whole, strict=True))
        return Found(query.scene, shown, hits[0] if hits else None)

    def _known_picture(self, path: Path) -> str | None:
        """The id of the picture of the index that a file shows, scaled or compressed anew at most."""
        try:
            picture = decode_rgb(path)
        except Skip as skip:
            raise UserError(f"{path}: {skip}{f' ({skip.example})' if skip.example else ''}") from skip
        numbers, hashes = self.hashes
        bits = differing_bits(hashes, picture_hash(picture))
        near = np.argsort(bits, kind="stable")[:PER_RESULT]
        for stored in self.whole_scenes(numbers[near[bits[near] <= COPY_BITS]].tolist()):
            small = stored.thumbnail
            assert small is not None, "only pictures have hashes"
            apart = np.asarray(picture.resize(small.size), dtype=np.float32) - np.asarray(small, dtype=np.float32)
            if np.abs(apart).mean() <= COPY_SHADES:
                return stored.id
        return None


def check_sketches(scene: Scene) -> None:
    """Raise ``UserError`` naming an object whose sketch has no box, no stroke, or none on the canvas."""
    for number, thing in enumerate(scene.objects):
        if thing.sketch is None or thing.sketch.picture is not None:
            continue
        where = f"objects[{number}] ({thing.category})"
        if not any(len(stroke) for stroke in thing.sketch.strokes):
            raise UserError(f"{where}: its sketch is empty; draw a stroke, or leave the sketch out")
        if thing.box is None:
            raise UserError(f"{where}: its sketch has no box; say with 'box' where on the canvas it is")
        low, high = np.array(thing.box[:2]), np.array(thing.box[2:])
        points = np.concatenate([low + stroke * (high - low) for stroke in thing.sketch.strokes])
        if not ((points >= 0) & (points <= 1)).all(axis=1).any():
            raise UserError(
                f"{where}: its strokes lie outside the canvas; they are in fractions of its box, from 0 to 1"
            )


def _scene_shown(path: Path) -> Scene | None:
    """The scene that a picture made here shows, from its record; None for other pictures."""
    if not is_png(path):
        return None
    shown = read_record(path, SHOWN)
    if shown is not None:
        return Scene.from_dict(parse_json(shown, f"{path}: its scene cannot be read"), str(path))
    if read_record(path) is None:
        return None
    scenes = load_scenes(path)
    if len(scenes) > 1:
        raise UserError(f"{path} shows {len(scenes)} scenes; give a picture of one")
    return scenes[0]


def _alike(query: np.ndarray | None, scene: np.ndarray | None) -> np.ndarray | None:
    """How alike objects look by their vectors (Q, D) and (S, D): (Q, S) in [0, 1], NaN where one was not seen."""
    if query is None or scene is None:
        return None
    return np.exp(-np.square(query[:, None] - scene[None]).sum(axis=2))


def _folded(hits: Sequence[Hit], top: int) -> list[Hit]:
    """The first hits that are not copies of better ones: pictures nearly alike, of the same things."""
    kept: list[Hit] = []
    copies: list[list[str]] = []
    things: list[Counter[str]] = []
    for hit in hits:
        held = Counter(thing.category for thing in hit.scene.objects)
        place = next(
            (at for at, other in enumerate(kept) if things[at] == held and _near(hit.stored.hash, other.stored.hash)),
            None,
        )
        if place is not None:
            copies[place].append(hit.id)
        elif len(kept) < top:
            kept.append(hit)
            copies.append([])
            things.append(held)
    return [replace(hit, copies=tuple(ids)) for hit, ids in zip(kept, copies, strict=True)]


def _near(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and ((one ^ other) & BITS).bit_count() <= COPY_BITS
