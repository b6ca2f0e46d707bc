"""Scenes in one line: ``large red metal cube left of small blue sphere; small blue sphere behind cylinder``.

    scene   = clause (";" or newline, clause)*
    clause  = object (predicate object)*
    object  = ["a" | "an" | "the"] attribute* category [number]

The words are a vocabulary's names, others that stand for these (``ocean`` for ``sea``), and the spatial predicates even
if the vocabulary lacks them. The same description in two
clauses is the same object; twice in one clause it is two objects; numbers distinguish more of them
(``cube 1 left of cube 2; cube 2 left of cube 3``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from scenograph.errors import UserError, check_text, suggest
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.scene import MAX_OBJECTS, Relation, Scene, SceneObject
from scenograph.scenes.synonyms import CATEGORIES, PREDICATES, say_read, synonyms
from scenograph.scenes.vocabulary import Vocabulary

ARTICLES = ("a", "an", "the")


def scene_from_text(text: str, vocabulary: Vocabulary, where: str = "text") -> Scene:
    """Parse a scene from text.

    Args:
        text: Clauses of the grammar above.
        vocabulary: The names that the text may use.
        where: Names the text in error messages.

    Returns:
        Objects in order of appearance, without boxes, and the relations.

    Raises:
        UserError: A word is not understood, named with its clause, or the scene is empty or too large.
    """
    check_text(text, where)
    reader = _Reader(vocabulary)
    relations: list[Relation] = []
    for number, clause in enumerate(re.split(r"[;\n]", text), start=1):
        words = re.findall(r"[^\s,.]+", clause.casefold())
        if words:
            relations += reader.clause(words, f"{where}, clause {number}")
    if reader.read:
        say_read(reader.read)
    if not reader.objects:
        raise UserError(f"{where}: the scene is empty; name at least one object")
    return Scene(tuple(reader.objects), tuple(relations))


def scene_to_text(scene: Scene) -> str:
    """One line that :func:`scene_from_text` reads back into the same objects (but not boxes) and relations."""
    total = Counter(thing.label for thing in scene.objects)
    seen: Counter[str] = Counter()
    names = []
    for thing in scene.objects:
        seen[thing.label] += 1
        names.append(f"{thing.label} {seen[thing.label]}" if total[thing.label] > 1 else thing.label)
    # Objects are numbered in order of appearance, so those not met in this order are listed first.
    clauses = [f"{names[r.subject]} {r.predicate} {names[r.object]}" for r in scene.relations]
    appearance = list(dict.fromkeys(i for r in scene.relations for i in (r.subject, r.object)))
    in_order = appearance == sorted(appearance) == list(range(len(names)))
    return "; ".join(clauses if in_order else [*names, *clauses])


def relation_to_text(scene: Scene, number: int) -> str:
    """One relation for messages, with the numbers of its objects: ``[2] cube (0) left of sphere (1)``."""
    relation = scene.relations[number]
    subject, other = (f"{scene.objects[i].category} ({i})" for i in (relation.subject, relation.object))
    return f"[{number}] {subject} {relation.predicate} {other}"


@dataclass(frozen=True)
class _Mention:
    thing: SceneObject
    number: int | None


class _Reader:
    """Collects the objects of a text clause by clause."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.objects: list[SceneObject] = []
        self._rows: dict[tuple[frozenset[str], str, int], int] = {}
        predicates = dict.fromkeys((*vocabulary.predicate_index, *CONVERSES))
        self._categories = _Names(vocabulary.category_index, synonyms(CATEGORIES, vocabulary.category_index))
        self._attributes = _Names(vocabulary.attribute_index)
        self._predicates = _Names(predicates, synonyms(PREDICATES, predicates))

    @property
    def read(self) -> dict[str, str]:
        """The words that stood for names, with the names."""
        return self._categories.read | self._predicates.read

    def clause(self, words: Sequence[str], where: str) -> list[Relation]:
        """Read one clause; returns its relations."""
        mention, at = self._object(words, 0, where)
        row = self._row(mention, set(), where)
        taken, relations = {row}, []
        while at < len(words):
            predicate, at = self._predicate(words, at, where)
            mention, at = self._object(words, at, where)
            following = self._row(mention, taken if mention.number is None else set(), where)
            relations.append(Relation(row, predicate, following))
            if following == row:
                raise UserError(f"{where}: {mention.thing.label!r} is related to itself; name two different objects")
            row = following
            taken.add(row)
        return relations

    def _object(self, words: Sequence[str], at: int, where: str) -> tuple[_Mention, int]:
        if at < len(words) and words[at] in ARTICLES:
            at += 1
        attributes: list[str] = []
        while True:
            category, after = self._categories.match(words, at)
            if category is not None:
                break
            attribute, after = self._attributes.match(words, at)
            if attribute is None:
                known = [*self._categories.names, *self._attributes.names]
                if at >= len(words):
                    raise UserError(f"{where}: expected an object after {words[-1]!r} {suggest('', known)}")
                raise UserError(f"{where}: unknown word {words[at]!r} {suggest(words[at], known)}")
            attributes.append(attribute)
            at = after
        number = None
        if after < len(words) and words[after].isdecimal() and len(words[after]) < 10:
            number, after = int(words[after]), after + 1
        return _Mention(SceneObject(category, tuple(attributes)), number), after

    def _predicate(self, words: Sequence[str], at: int, where: str) -> tuple[str, int]:
        predicate, after = self._predicates.match(words, at)
        if predicate is None:
            phrase = " ".join(words[at : at + 2])
            raise UserError(f"{where}: expected a relation at {phrase!r} {suggest(phrase, self._predicates.names)}")
        return predicate, after

    def _row(self, mention: _Mention, taken: set[int], where: str) -> int:
        """The object that is meant, created at its first mention; without a number, one that is not in ``taken``."""
        number = mention.number or 1
        while True:
            key = (frozenset(mention.thing.attributes), mention.thing.category, number)
            if key not in self._rows:
                if len(self.objects) == MAX_OBJECTS:  # here, because the search takes longer the more there are
                    raise UserError(f"{where}: more than {MAX_OBJECTS} objects in one scene; tell it in several")
                self._rows[key] = len(self.objects)
                self.objects.append(mention.thing)
            if self._rows[key] not in taken:
                return self._rows[key]
            number += 1


class _Names:
    """Finds the longest vocabulary name, or word that stands for one, that starts at a word."""

    def __init__(self, names: Iterable[str], others: Mapping[str, str] = MappingProxyType({})) -> None:
        self.names, self._others = list(names), others
        self.read: dict[str, str] = {}
        """The words that have stood for names."""
        self._by_words = {tuple(word.split()): name for word, name in others.items()}
        self._by_words |= {tuple(name.casefold().split()): name for name in self.names}
        self._longest = max((len(words) for words in self._by_words), default=0)

    def match(self, words: Sequence[str], at: int) -> tuple[str | None, int]:
        for length in range(min(self._longest, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + length])
            name = self._by_words.get(phrase)
            if name is not None:
                if " ".join(phrase) in self._others:
                    self.read[" ".join(phrase)] = name
                return name, at + length
        return None, at
