"""Scenes in words: ``two sheep standing on grass; a tree behind one sheep; a boat in the ocean``.

    text     = clause ((";" | "." | newline) clause)*
    clause   = things (said | ("," | "and") (said | things))*
    said     = ["that" | "is" | ...] (relation things | attributes)
    things   = thing (("," | "and") thing)*
    thing    = [article | number] attribute* category [number]

Words are a vocabulary's names and others that stand for these (:mod:`scenograph.scenes.lexicon`), and spatial
predicates even if the vocabulary lacks them. The same description in two clauses is the same object; twice in one
clause it is two objects, unless *the* says otherwise; numbers distinguish more of them
(``cube 1 left of cube 2; cube 2 left of cube 3``). ``docs/scenes.md`` lists the rules, each with an example.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from scenograph.errors import UserError, check_text
from scenograph.scenes.grammar import Describes, Grammar, Phrase, Relates, Subject, Things, clauses, known_names
from scenograph.scenes.lexicon import ATTRIBUTES, CATEGORIES, PREDICATES, UNCHANGED, plural, root, spoken
from scenograph.scenes.phrases import GENDERS, PRONOUNS, WORN
from scenograph.scenes.scene import MAX_OBJECTS, Relation, Scene, SceneObject
from scenograph.scenes.synonyms import (
    UnknownWordError,
    name_for,
    nearest,
    nearest_names,
    predicate_for,
    with_known_names,
)
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

MAX_RELATIONS = MAX_OBJECTS**2
SEARCHED = 10_000
"""So many characters of a text are searched for all unknown words when one is found."""
HELD = ("holding", "wearing", "with", "eating")
"""What these reach stays with who does it."""


def scene_from_text(text: str, vocabulary: Vocabulary, where: str = "text") -> Scene:
    """Parse a scene from text; messages say which words were read as others or left out.

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
    try:
        for number, words in clauses(text):
            reader.clause(words, f"{where}, clause {number}")
    except UserError as error:
        raise _with_all_unknown(error, text, vocabulary) from None
    if not reader.objects:
        raise UserError(f"{where}: the scene is empty; name at least one object")
    if reader.idle:
        log.warning("leaving out %s: nothing is named that it relates to", ", ".join(dict.fromkeys(reader.idle)))
    things = tuple(SceneObject(thing.category, tuple(thing.attributes)) for thing in reader.objects)
    (scene,) = with_known_names([Scene(things, tuple(reader.relations))], vocabulary)
    for thing in scene.objects:  # a part of a thing that stands alone
        if thing.category not in vocabulary.category_index:
            remedy = nearest_names(thing.category, CATEGORIES, vocabulary.category_index)
            raise UnknownWordError(f"{where}: unknown word {thing.category!r} {remedy}", thing.category)
    return scene


def _with_all_unknown(error: UserError, text: str, vocabulary: Vocabulary) -> UserError:
    """The error, with all other words of the text that nothing is known by, so that they can be mended at once."""
    more = [word for word in _unknown_words(text, vocabulary) if repr(word) not in str(error)]
    if not more:
        return error
    message = f"{error}; unknown, too: {', '.join(map(repr, more))}"
    return UnknownWordError(message, *error.words, *more) if isinstance(error, UnknownWordError) else UserError(message)


def _unknown_words(text: str, vocabulary: Vocabulary) -> Iterable[str]:
    """The words of a text, as far as it is searched, that nothing is known by."""
    grammar = Grammar(vocabulary)
    text = text if len(text) <= SEARCHED else text[:SEARCHED].rpartition(" ")[0]
    return dict.fromkeys(word for _, words in clauses(text) for word in grammar.unknown(words))


def names_in_text(text: str, vocabulary: Vocabulary) -> int:
    """How many categories of a vocabulary a text names, by themselves or by words that stand for them."""
    known, found = known_names(CATEGORIES, tuple(vocabulary.category_index)), set()
    for _, words in clauses(text):
        matches = (known.match(words, at) for at in range(len(words)))
        found |= {name_for(each.word, CATEGORIES, vocabulary.category_index) for each in matches if each is not None}
    return len(found - {None})


def names_near_text(text: str, vocabulary: Vocabulary) -> int:
    """How many unknown words of a text categories are near to, in meaning or else in spelling."""
    unknown = _unknown_words(text, vocabulary)
    return sum(bool(nearest(word, CATEGORIES, vocabulary.category_index)) for word in unknown)


def scene_to_text(scene: Scene) -> str:
    """Say a scene in words.

    Args:
        scene: Its boxes are not said.

    Returns:
        One line that :func:`scene_from_text` reads back into the same objects and relations.
    """
    # Objects are numbered in order of appearance, so those not met in this order are listed first.
    names, relations = _numbered(scene), _in_words(scene)
    appearance = list(dict.fromkeys(i for r in scene.relations for i in (r.subject, r.object)))
    in_order = appearance == sorted(appearance) == list(range(len(names)))
    return "; ".join(relations if in_order else [*names, *relations])


def scene_to_lines(scene: Scene) -> list[str]:
    """What a scene says, for people: a line with all objects, then a line for each relation."""
    total = len(scene.objects)
    return [f"{total} object{'s' * (total != 1)}: {objects_in_words(scene, attributes=True)}", *_in_words(scene)]


def objects_in_words(scene: Scene, attributes: bool = False) -> str:
    """What there is in a scene, for people: ``house, 2 sheep, tree``."""
    counts = Counter(labels_in_words(scene, attributes))
    return ", ".join(label if count == 1 else f"{count} {plural(label)}" for label, count in counts.items())


def relation_to_text(scene: Scene, number: int) -> str:
    """One relation for messages, with the numbers of its objects: ``[2] cube (0) left of sphere (1)``."""
    relation = scene.relations[number]
    words = labels_in_words(scene, attributes=False)
    subject, other = (f"{words[i]} ({i})" for i in (relation.subject, relation.object))
    return f"[{number}] {subject} {relation.predicate} {other}"


def _in_words(scene: Scene) -> list[str]:
    """Each relation with the names of its objects."""
    names = _numbered(scene)
    return [f"{names[r.subject]} {r.predicate} {names[r.object]}" for r in scene.relations]


def _numbered(scene: Scene) -> list[str]:
    """The label of each object, with a number where several have the same."""
    return numbered(labels_in_words(scene))


def labels_in_words(scene: Scene, attributes: bool = True) -> list[str]:
    """What people call each object, with or without its attributes."""
    words = spoken(thing.category for thing in scene.objects)
    return [" ".join((*thing.attributes * attributes, words[thing.category])) for thing in scene.objects]


def numbered(labels: Sequence[str]) -> list[str]:
    """Labels with a number, from 1, after those that there are several of: ``sheep 1``, ``sheep 2``."""
    total = Counter(labels)
    seen: Counter[str] = Counter()
    names = []
    for label in labels:
        seen[label] += 1
        names.append(f"{label} {seen[label]}" if total[label] > 1 else label)
    return names


@dataclass
class _Thing:
    """An object, in the words of the text."""

    category: str
    attributes: list[str]


_Group = list[list[int]]
"""The objects of each of some phrases, by number."""


class _Reader:
    """Collects the objects of a text and their relations, clause by clause."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.objects: list[_Thing] = []
        self.relations: list[Relation] = []
        self.idle: list[str] = []
        self._vocabulary, self._grammar = vocabulary, Grammar(vocabulary)
        self._rows: dict[tuple[frozenset[str], str, int], int] = {}
        self._before: dict[tuple[int, ...], _Group] = {}
        """What the clause before named, in groups of phrases, by their objects; its subject comes first."""
        self._now: dict[tuple[int, ...], _Group] = {}
        self._held: set[int] = set()
        """What living things hold, wear or have with them."""
        self._taken: set[int] = set()
        """The objects that this clause named."""
        self._where = ""

    def clause(self, words: Sequence[str], where: str) -> None:
        """Read one clause."""
        self._where, self._now, self._taken = where, {}, set()
        chain: list[_Group] = []
        """The subject, then what each relation since reached."""
        for said in self._grammar.read(words, where):
            if isinstance(said, Things):
                parts = self._mention(said.phrases, avoid=(), several=1)
                chain = [parts if said.joined else parts[-1:]]
            elif isinstance(said, Relates):
                chain = self._relate(said, chain)
            elif isinstance(said, Describes):
                chain = self._said_of(said.subject, chain)
                self._describe(said.attributes, _flat(chain[-1]))
            else:
                self.idle.append(said.verb)
        self._before = self._now

    def _relate(self, said: Relates, chain: list[_Group]) -> list[_Group]:
        """Add the relations between a subject of the chain and things; returns the chain that goes on from these."""
        chain = self._said_of(said.subject, chain, said)
        subject = self._subject_of(said, chain)
        worn = self._worn(said, chain)
        if worn and len(worn) == len(said.objects):
            return chain
        said = said._replace(objects=tuple(each for each in said.objects if each not in worn))
        if not said.objects:  # each other
            if len(rows := _flat(subject)) < 2:
                raise UserError(f"{self._where}: 'each other' needs two things, and there is one")
            self._add(pairwise(rows), said.predicate)
            return chain
        if len(subject) > 1 and any(p.pronoun and PRONOUNS[p.pronoun] == 1 for p in said.objects):
            own = {*_flat(subject)}
            if all(own & {*rows} for rows in (*self._before, *self._now)):  # "a car and a bus behind it"
                subject = subject[-1:]
        several = any(p.pronoun for p in said.objects) or len(subject) == 1
        avoid = _flat(subject) if several else ()
        targets = self._mention(said.objects, avoid, len(_flat(subject)))
        if len(subject) > 1 and set(_flat(subject)) & set(_flat(targets)):  # "a cube and a sphere left of the cube"
            subject = subject[-1:]
        for phrase, rows in zip(said.objects, targets, strict=True):
            self._add(_pairs(_flat(subject), rows, phrase, said.predicate), self._ridden(said.predicate, rows))
        if self._are(subject, "living") and PREDICATES.nearest(said.predicate, HELD) is not None:
            self._held |= {row for row in _flat(targets) if not self._are([[row]], "living")}
        return [*chain, targets]

    def _subject_of(self, said: Relates, chain: list[_Group]) -> _Group:
        """The last group of a chain that can be a relation's subject.

        Living things ride and hold. A ground or the sky is where things are: what is beside one is said of these. On
        the ground are those who hold something, not what they hold.
        """
        ground = all(CATEGORIES.nearest(root(p.category), ("sky",)) is None for p in said.objects)
        to_region = all(p.pronoun or self._is_ground(p.category) for p in said.objects)
        verb = said.predicate.partition(" ")[0]
        living = any(PREDICATES.has_kind(each, "living") for each in (verb, said.predicate))
        for group in reversed(chain):
            able = not living or self._are(group, "living")
            held = to_region and ground and self._held.issuperset(_flat(group))
            if able and not held and (to_region or not self._are(group, "region")):
                return group
        return chain[-1]

    def _is_ground(self, category: str) -> bool:
        """Whether a category is a ground or the sky: beside mountains are things, not the ground that these are on."""
        word = root(category)
        return CATEGORIES.has_kind(word, "region") and not CATEGORIES.has_kind(word, "raised")

    def _said_of(self, subject: Subject, chain: list[_Group], said: Relates | None = None) -> list[_Group]:
        """The part of a chain that a statement goes on from, which may relate its subject to things."""
        if subject == "first":
            return chain[:1]
        if subject == "last":
            return chain
        if subject == "who":
            chain = [group for group in chain if self._are(group[-1:], "living")] or chain
        group = self._subject_of(said, chain) if said is not None else chain[-1]
        return [group[-1:]]

    def _worn(self, said: Relates, chain: list[_Group]) -> list[Phrase]:
        """The clothes among a relation's objects, which are no objects: who wears them has their color."""
        if said.predicate not in WORN or "color" not in self._vocabulary.attributes:
            return []
        named = self._vocabulary.category_index if said.predicate in self._vocabulary.predicate_index else ()
        worn = [
            each
            for each in said.objects  # the vocabulary may hold all words of "person in clothes"
            if CATEGORIES.has_kind(root(each.category), "garment") and each.category not in named
        ]
        wearers = next((group for group in reversed(chain) if self._are(group, "living")), None)
        people = wearers and all(
            CATEGORIES.nearest(root(self.objects[row].category), ("person",)) for row in _flat(wearers)
        )
        if wearers is None or not people or not worn:
            return []
        found = [word for each in worn for word in each.attributes if self._group(word) == "color"]
        colored = {row for row in _flat(wearers) if "color" in map(self._group, self.objects[row].attributes)}
        rows = [row for row in _flat(wearers) if row not in colored]
        self._describe(found[:1], rows)
        if found[1:] or (found and not rows):
            left = ", ".join(found[1:] if rows else found)
            log.warning("leaving out %s: a person has one color, that of the clothes named first", left)
        return worn

    def _group(self, attribute: str) -> str:
        """The name of the group of an attribute."""
        known = self._vocabulary.attribute_index
        return list(self._vocabulary.attributes)[known[name_for(attribute, ATTRIBUTES, known) or attribute][0]]

    def _are(self, group: _Group, kind: str) -> bool:
        return all(CATEGORIES.has_kind(root(self.objects[row].category), kind) for row in _flat(group))

    def _ridden(self, predicate: str, rows: list[int]) -> str:
        """A predicate for these objects: things are ridden, and who skis or rides on a ground is on it."""
        known = self._vocabulary.predicate_index
        names = all(self.objects[row].category in self._vocabulary.category_index for row in rows)
        given = predicate in known and (names or predicate != "riding")
        rides = PREDICATES.same(predicate_for(predicate, known) or predicate, "riding")
        return "on" if rides and not given and self._are([rows], "region") else predicate

    def _add(self, pairs: Iterable[tuple[int, int]], predicate: str) -> None:
        pairs = list(pairs)
        found = [(subject, other) for subject, other in pairs if subject != other]
        if not found:
            label = self._label(pairs[0][0])
            raise UserError(f"{self._where}: {label!r} is related to itself; name two different objects")
        self.relations += [Relation(subject, predicate, other) for subject, other in found]
        if len(self.relations) > MAX_RELATIONS:
            raise UserError(f"{self._where}: more than {MAX_RELATIONS} relations in one scene; tell it in several")

    def _describe(self, attributes: Sequence[str], rows: Sequence[int]) -> None:
        """Give objects more attributes."""
        for row in rows:
            thing = self.objects[row]
            thing.attributes = list(dict.fromkeys((*thing.attributes, *attributes)))
            self._check(thing.attributes)
            number = 1
            while (key := (*self._key(thing.category, thing.attributes), number)) in self._rows:
                number += 1
            self._rows[key] = row

    def _mention(self, said: Sequence[Phrase], avoid: Collection[int], several: int) -> _Group:
        """The objects of phrases, made where they are new; an open plural means so many, or two."""
        group: _Group = []
        for phrase in said:
            group.append(self._meant(phrase, avoid, several))
            self._taken.update(group[-1])
        self._now.setdefault(tuple(_flat(group)), group)
        return group

    def _meant(self, phrase: Phrase, avoid: Collection[int], several: int) -> list[int]:
        if phrase.pronoun:
            return self._antecedent(phrase.pronoun, avoid)
        self._check(phrase.attributes)
        if phrase.number is not None:
            if phrase.count is not None or phrase.plural:
                which, many = f"{phrase.category} {phrase.number}", f"{phrase.count or phrase.number} {phrase.category}"
                remedy = f"say {which!r} or {plural(many)!r}"
                raise UserError(f"{self._where}: a number before a name says how many, one after it which; {remedy}")
            return [self._row(phrase, phrase.number)]
        if (phrase.definite or phrase.other == "other") and (known := self._known(phrase, avoid)):
            return known
        if phrase.definite and not phrase.other:
            self._refuse_unheard(phrase, avoid)
        wanted = phrase.count
        if wanted is None:
            wanted = max(several, 2) if phrase.plural else 1
        if not wanted:
            raise UserError(f"{self._where}: 0 of a thing is none; leave it out")
        taken = {*avoid}
        if phrase.plural or phrase.count or not CATEGORIES.has_kind(root(phrase.category), "region"):
            taken |= self._taken  # one ground carries many things
        if phrase.other:
            taken |= set(self._rows.values())
        rows: list[int] = []
        number = 1
        while len(rows) < wanted:
            row = self._row(phrase, number)
            if row not in taken:
                rows.append(row)
            number += 1
        return rows

    def _known(self, phrase: Phrase, avoid: Collection[int]) -> list[int]:
        """The objects that *the* refers to; none if there are none of that description."""
        key = self._key(phrase.category, phrase.attributes)
        same = [row for found, row in self._rows.items() if found[1] == key[1] and found[0] >= key[0]]
        if not same:  # "a man ...; the person"
            name = self._name(phrase.category)
            same = [row for (has, _, _), row in self._rows.items() if has >= key[0] and self._named(row) == name]
        same = [row for row in dict.fromkeys(same) if row not in avoid]
        if phrase.other:
            mentioned = [row for rows in (*self._before, *self._now) for row in rows if row in same]
            same = [row for row in same if row not in mentioned[-1:]]
        if phrase.count is not None:
            return same[: phrase.count] if len(same) >= phrase.count else []
        if phrase.plural or root(phrase.category).split()[-1] in UNCHANGED or not same:
            return same
        exact = [row for row in same if self._key("", self.objects[row].attributes)[0] == key[0]] or same
        if len({self._label(row) for row in exact}) > 1:
            several = " or ".join(f"the {self._label(row)}" for row in exact[:3])
            raise UserError(f"{self._where}: 'the {phrase.category}' may be {several}; say which")
        return exact[:1]

    def _refuse_unheard(self, phrase: Phrase, avoid: Collection[int]) -> None:
        """Refuse *the black cat* where cats are named of which none is black, but one might be."""
        wanted, kept = self._key(phrase.category, phrase.attributes)
        groups = {self._group(word) for word in wanted}
        for (has, category, _), row in self._rows.items():
            free = groups.isdisjoint(self._group(word) for word in has - wanted)
            if category == kept and not has >= wanted and free and row not in avoid:
                said, known = " ".join((*phrase.attributes, phrase.category)), self._label(row)
                remedy = f"say 'another {said}', or 'the {phrase.category} is {' '.join(phrase.attributes)}' first"
                raise UserError(f"{self._where}: 'the {said}' is not named before, and the {known} is; {remedy}")

    def _antecedent(self, pronoun: str, avoid: Collection[int]) -> list[int]:
        """What a pronoun refers to: the subject of the clause before, or the only thing that it can be."""
        many = PRONOUNS[pronoun] > 1
        groups = (self._before | self._now).values()
        named = [group for group in ([rows for rows in each if not {*rows} & {*avoid}] for each in groups) if group]
        gender = GENDERS.get(pronoun)
        if not self._now and gender is None:  # the subject
            named = named[:1]
        fitting = [_flat(group) for group in named] if many else [rows for group in named for rows in group]
        fitting = [rows for rows in fitting if (len(rows) > 1) == many]
        if gender is not None:
            other = {"male": "female", "female": "male"}[gender]
            fitting = [rows for rows in fitting if self._are([rows], "living") and not self._are([rows], other)]
            fitting = [rows for rows in fitting if self._are([rows], gender)] or fitting
            if not self._now:
                fitting = [rows for rows in fitting if rows in named[0]] or fitting
        found = [rows for rows in fitting if not self._are([rows], "region")] or fitting
        first = next(iter(self._now.values()), [])
        if len(found) > 1 and not many and len(first) == 1:  # what this clause is about
            found = [rows for rows in found if rows == first[0]] or found
        if len(found) == 1:
            return found[0]
        several = [" and ".join(f"the {self._label(row)}" for row in rows) for rows in found[:3]]
        may = f"may be {' or '.join(several)}" if several else "has nothing that it can stand for"
        raise UserError(f"{self._where}: {pronoun!r} {may}; name it again")

    def _row(self, phrase: Phrase, number: int) -> int:
        """The object of a description with a number, made at its first mention."""
        key = (*self._key(phrase.category, phrase.attributes), number)
        if key not in self._rows:
            if len(self.objects) == MAX_OBJECTS:  # here, because the search takes longer the more there are
                raise UserError(f"{self._where}: more than {MAX_OBJECTS} objects in one scene; tell it in several")
            self._rows[key] = len(self.objects)
            self.objects.append(_Thing(phrase.category, list(phrase.attributes)))
        return self._rows[key]

    def _key(self, category: str, attributes: Iterable[str]) -> tuple[frozenset[str], str]:
        """A description, the same for words that mean the same: *ocean* and *sea*, but not *man* and *person*."""
        known = self._vocabulary.attribute_index
        name = self._name(category)
        kept = name if name is not None and CATEGORIES.same(root(category), name) else category
        return frozenset(name_for(word, ATTRIBUTES, known) or word for word in attributes), kept

    def _name(self, category: str) -> str | None:
        return name_for(category, CATEGORIES, self._vocabulary.category_index)

    def _named(self, row: int) -> str | None:
        return self._name(self.objects[row].category)

    def _label(self, row: int) -> str:
        thing = self.objects[row]
        return " ".join((*thing.attributes, thing.category))

    def _check(self, attributes: Iterable[str]) -> None:
        """Refuse two attributes of which a thing has one."""
        known = self._vocabulary.attribute_index
        taken: dict[int, str] = {}
        for word in attributes:
            name = name_for(word, ATTRIBUTES, known) or word
            first = taken.setdefault(known[name][0], word)
            if name_for(first, ATTRIBUTES, known) != name:
                remedy = f"keep one, or name two things, as in 'a {first} and a {word} cat'"
                raise UserError(f"{self._where}: {first!r} and {word!r} are both a {self._group(word)}; {remedy}")


def _flat(group: _Group) -> list[int]:
    return [row for rows in group for row in rows]


def _pairs(subjects: Sequence[int], objects: Sequence[int], phrase: Phrase, predicate: str) -> list[tuple[int, int]]:
    """Which subject is related to which object.

    All to all, but three people ride three horses one by one; so it is with all verbs of living things, and with
    plurals that do not say how many.
    """
    several = len(subjects), len(objects)
    if min(several) > 1 and (PREDICATES.has_kind(predicate, "living") or (phrase.plural and phrase.count is None)):
        most = max(several)
        return [(subjects[i * several[0] // most], objects[i * several[1] // most]) for i in range(most)]
    return [(subject, other) for subject in subjects for other in objects]
