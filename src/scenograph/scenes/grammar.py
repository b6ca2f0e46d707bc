"""Sentences: the words of a clause become phrases for things, and relations between these."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

from scenograph.errors import UserError, suggest
from scenograph.scenes import phrases
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.lexicon import ATTRIBUTES, CATEGORIES, PREDICATES, UNCHANGED, Lexicon, root, singulars
from scenograph.scenes.synonyms import UnknownWordError, is_verb, name_for, nearest_names, synonyms
from scenograph.scenes.vocabulary import Vocabulary

SIDES = re.compile(r"\b(?:to|on|at) (?:the |its )?(left|right)(?:[- ]hand)?(?: side)? of\b")
WORN_GLASSES = re.compile(r"\b(wear(?:ing|s)?(?: \S+){0,2}?) glasses\b")
JOINS = frozenset(("and", "&", "plus", "while", "but"))
DEPTH = 4
"""Predicates in a row, as in *sitting down on*, and things in a row that share a name: *a red and a blue cube*."""
Subject = Literal["last", "first", "which", "who"]


@dataclass(frozen=True)
class Phrase:
    """What a text says of one or several alike things."""

    category: str
    """As the text or the vocabulary has it; empty for a pronoun."""
    attributes: tuple[str, ...] = ()
    count: int | None = None
    number: int | None = None
    """Which one of those that are alike: ``cube 2``, ``the second cube``."""
    plural: bool = False
    definite: bool = False
    other: str = ""
    pronoun: str = ""


class Things(NamedTuple):
    """Things are named; what follows is said of the last one, or of all if ``joined`` by *and*."""

    phrases: tuple[Phrase, ...]
    joined: bool


class Relates(NamedTuple):
    """A relation to things, or to each other, if there are none.

    Its subject is what was named last, what the statement began with, or, in a relative clause, the last thing alone,
    which lives, if it is *who*.
    """

    predicate: str
    objects: tuple[Phrase, ...]
    subject: Subject


class Describes(NamedTuple):
    """Attributes of what was named."""

    attributes: tuple[str, ...]
    subject: Subject


class Idles(NamedTuple):
    """A verb without an object, which relates nothing."""

    verb: str


class _Match(NamedTuple):
    """A phrase that was found: as a table or vocabulary has it, where, and whether it is a plural in the text."""

    word: str
    start: int
    end: int
    plural: bool


class _UnreadError(Exception):
    """Nothing that is known starts at a word."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at


def clauses(text: str) -> Iterator[tuple[int, list[str]]]:
    """The words of each clause that has any, with its number from 1; commas are words."""
    for number, clause in enumerate(re.split(r"[;.:!?\n]", text.casefold().replace("’", "'")), start=1):
        plain = " ".join(re.findall(r"[^\s,()\"“”]+|,", clause))
        plain = WORN_GLASSES.sub(r"\1 eyeglasses", SIDES.sub(r"\1 of", phrases.OPENING.sub("", plain)))
        words = plain.split()
        if set(words) - {","}:
            yield number, words


class KnownNames:
    """Finds known phrases that start at a word."""

    def __init__(self, names: Iterable[str], others: Iterable[str] = ()) -> None:
        self._by_words = {tuple(word.split()): word for word in others}
        self._by_words |= {tuple(name.casefold().split()): name for name in names}
        self._longest = max((len(words) for words in self._by_words), default=0)

    def matches(self, words: Sequence[str], at: int) -> Iterator[_Match]:
        """All that start here, the longest first."""
        for length in range(min(self._longest, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + length])
            if phrase in self._by_words:
                yield _Match(self._by_words[phrase], at, at + length, False)
                continue
            for one in singulars(phrase[-1]):
                if (singular := (*phrase[:-1], one)) in self._by_words:
                    yield _Match(self._by_words[singular], at, at + length, True)
                    break

    def match(self, words: Sequence[str], at: int) -> _Match | None:
        """The longest."""
        return next(self.matches(words, at), None)


@lru_cache(maxsize=64)
def known_names(lexicon: Lexicon, names: tuple[str, ...]) -> KnownNames:
    """Names, words of a lexicon that stand for one, and those for parts of things; *and* only if it is a name."""
    parts = (word for word in lexicon.meanings if lexicon.has_kind(word, "part"))
    return KnownNames(names, (word for word in (*parts, *synonyms(lexicon, names)) if word not in JOINS))


class Grammar:
    """Reads clauses in the words of a vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._categories = known_names(CATEGORIES, tuple(vocabulary.category_index))
        self._attributes = known_names(ATTRIBUTES, tuple(vocabulary.attribute_index))
        predicates = tuple(dict.fromkeys((*vocabulary.predicate_index, *CONVERSES)))
        self._predicates = known_names(PREDICATES, predicates)
        self._joins = JOINS - {*predicates}

    def read(self, words: Sequence[str], where: str) -> Iterator[Things | Relates | Describes | Idles]:
        """What a clause says, piece by piece.

        Raises:
            UserError: Beginning with ``where``, for a word that is not understood.
        """
        words = self._straight(words)
        try:
            things, at = self._things(words, 0)
            yield things
            while at < len(words):
                joined, start = self._separator(words, at)
                if start == len(words):
                    return
                if not joined and self._accompanied(words, start):
                    joined, start = "and", start + 1
                if joined and self._starts(words, start):
                    things, at = self._things(words, start)
                    yield things
                else:
                    said, at = self._statement(words, start, "first" if joined else "last", where)
                    yield said
        except _UnreadError as unread:
            raise self._not_understood(words, unread.at, where) from None

    def _straight(self, words: Sequence[str]) -> Sequence[str]:
        """A clause that begins with a place, *behind the house is a tree*, in the usual order."""
        found = None if self._starts(words, 0) else self._predicate(words, 0)
        if found is None or not self._starts(words, found[1]):
            return words
        place = self._phrase(words, found[1])[1]
        at = self._without(words, place, {",", "there"} | phrases.COPULAS)
        verb = self._predicates.match(words, at)
        if verb is not None and PREDICATES.has_kind(verb.word, "verb"):
            at = self._without(words, verb.end, phrases.COPULAS)
        if not self._starts(words, at):
            return words
        end = self._things(words, at)[1]
        return [*words[at:end], *words[:place], ",", *words[end:]]  # the rest is said of the things

    def unknown(self, words: Sequence[str]) -> Iterator[str]:
        """The words of a clause that nothing is known by."""
        every = [known_names(lexicon, tuple(lexicon.meanings)) for lexicon in (CATEGORIES, ATTRIBUTES, PREDICATES)]
        every.append(known_names(CATEGORIES, tuple(phrases.SETTINGS)))
        at = 0
        while at < len(words):
            known = [names.match(words, at) for names in (self._categories, self._attributes, self._predicates)]
            end = max((each.end for each in known if each is not None), default=at)
            end = max(end, phrases.number_at(words, at)[1])
            if end == at:
                meant = [each for each in (names.match(words, at) for names in every) if each is not None]
                end = max((each.end for each in meant), default=at + 1)
                if words[at] not in phrases.SMALL and words[at] not in JOINS:
                    yield " ".join(words[at:end])
            at = end

    def _separator(self, words: Sequence[str], at: int) -> tuple[str, int]:
        """Commas and *and* that stand here: the last of them, and their end."""
        found = ""
        while at < len(words) and (words[at] == "," or words[at] in self._joins):
            found = words[at]
            at += 1
        return found, at

    def _starts(self, words: Sequence[str], at: int) -> bool:
        """Whether a phrase for a thing starts here."""
        try:
            self._phrase(words, at)
        except _UnreadError:
            return False
        return True

    def _ends(self, words: Sequence[str], at: int) -> bool:
        """Whether nothing more is said of the things before."""
        return at >= len(words) or bool(self._separator(words, at)[0])

    def _accompanied(self, words: Sequence[str], at: int) -> bool:
        """Whether *with* begins something new here, as in *with a tree behind it*."""
        if words[at] != "with" or not self._starts(words, at + 1):
            return False
        _, end = self._things(words, at + 1)
        predicate = self._predicate(words, end)
        return predicate is not None and words[predicate[1]] in phrases.PRONOUNS

    def _without(self, words: Sequence[str], at: int, small: Collection[str]) -> int:
        """Where the words that are not among these small ones go on."""
        while at < len(words) and words[at] in small:
            at += 1
        return at

    def _things(self, words: Sequence[str], at: int) -> tuple[Things, int]:
        phrase, at = self._phrase(words, at)
        found, joined = [phrase], False
        while True:
            separator, start = self._separator(words, at)
            if not separator or not self._starts(words, start):
                return Things(tuple(found), joined), at
            joined = separator in self._joins
            phrase, at = self._phrase(words, start)
            found.append(phrase)

    def _statement(
        self, words: Sequence[str], at: int, subject: Literal["last", "first"], where: str
    ) -> tuple[Relates | Describes | Idles, int]:
        """What is said of things: a relation, attributes, or what they do by themselves."""
        start = at
        while at < len(words) and words[at] in phrases.RELATIVE | phrases.COPULAS | phrases.ADVERBS:
            if words[at] in phrases.ADVERBS and next(self._predicates.matches(words, at), None) is not None:
                break
            at += 1
        # In "a man and a woman who are ..." both are meant.
        one = not phrases.RELATIVE.isdisjoint(words[start:at]) and "are" not in words[start:at]
        who = not {"who", "who's"}.isdisjoint(words[start:at])
        of: Subject = ("who" if who else "which") if one else subject
        if not phrases.COPULAS.isdisjoint(words[start:at]):
            found = self._adjectives(words, at)
            if found and self._categories.match(words, found[-1].end) is None:
                return Describes(tuple(each.word for each in found), of), found[-1].end
        worn = next((each for each in self._predicates.matches(words, at) if each.word in phrases.WORN), None)
        if worn is not None:  # "a woman in red"
            found = self._adjectives(words, worn.end)
            places = [*(each.start for each in found), *(each.end for each in found[-1:])]
            if found and all(self._categories.match(words, place) is None for place in places):
                return Describes(tuple(each.word for each in found), of), found[-1].end
        _refuse_negation(words, at, where)
        predicate, end = self._predicate(words, at) or (None, at)
        if predicate is not None:
            return self._relation(words, predicate, end, of)
        verb = self._predicates.match(words, at)
        if verb is None:
            raise self._no_relation(words, at, where)
        end = self._without(words, verb.end, phrases.PARTICLES | phrases.ADVERBS)
        if PREDICATES.has_kind(verb.word, "verb") and self._ends(words, end):
            return Idles(verb.word), end
        self._phrase(words, verb.end)  # says what is wrong with it
        raise _UnreadError(verb.end)

    def _predicate(self, words: Sequence[str], at: int, depth: int = DEPTH) -> tuple[str, int] | None:
        """The predicate that starts here and that a thing follows: the one that ends last.

        A verb and a place are one: *sitting down on*.
        """
        found: list[tuple[str, int]] = []
        for match in self._predicates.matches(words, at):
            end = match.end
            end = end if self._starts(words, end) else self._without(words, end, phrases.ADVERBS)
            if tuple(words[end : end + 2]) in phrases.EACH_OTHER or self._starts(words, end):
                found.append((match.word, end))
            if not (depth and is_verb(match.word)):
                continue
            for start in (end, self._without(words, end, phrases.PARTICLES)):
                if (more := self._predicate(words, start, depth - 1)) is not None:
                    found.append((f"{match.word} {more[0]}", more[1]))
        return max(found, key=lambda each: each[1], default=None)

    def _relation(self, words: Sequence[str], predicate: str, at: int, subject: Subject) -> tuple[Relates, int]:
        """The objects of a relation: *and* adds to them, unless it has one only or another relation follows."""
        if tuple(words[at : at + 2]) in phrases.EACH_OTHER:
            return Relates(predicate, (), subject), at + 2
        phrase, at = self._phrase(words, at)
        found = [phrase]
        between = predicate.endswith("between")
        while at < len(words) and words[at] in self._joins and self._starts(words, at + 1):
            phrase, end = self._phrase(words, at + 1)
            worn = predicate in phrases.WORN and CATEGORIES.nearest(root(phrase.category), ("clothes",)) is not None
            alone = not worn and (_supports(predicate) or not self._ends(words, end))
            if alone and not (between and len(found) == 1):
                break
            found.append(phrase)
            at = end
        return Relates(predicate, tuple(found), subject), at

    def _phrase(self, words: Sequence[str], at: int, depth: int = DEPTH) -> tuple[Phrase, int]:
        """A thing, with all that stands before its name."""
        try:
            return self._noun_phrase(words, at, depth)
        except _UnreadError:
            if at < len(words) and words[at] in phrases.PRONOUNS:
                return Phrase("", pronoun=words[at]), at + 1
            name = self._categories.match(words, at)  # a name may look like an article
            if name is None:
                raise
            return _numbered(Phrase(name.word, plural=name.plural), words, name.end)

    def _noun_phrase(self, words: Sequence[str], at: int, depth: int) -> tuple[Phrase, int]:
        phrase, start, some = _determiners(words, at)
        found = self._adjectives(words, start)
        places = [*(each.start for each in found), found[-1].end if found else start]
        names = [self._categories.match(words, place) for place in places]
        # The last of them, which may look like an attribute, as that of an orange does.
        count = max((number for number, name in enumerate(names) if name is not None), default=len(found))
        phrase = replace(phrase, attributes=tuple(dict.fromkeys(each.word for each in found[:count])))
        name = names[count]
        if name is None:
            return self._borrowing(words, phrase, places[-1], depth)
        whole = self._whole(words, phrase, name, depth) if words[name.end : name.end + 1] == ["of"] and depth else None
        if whole is not None:
            return whole
        paired = phrase.count == 2 and "pair" in words[start - 2 : start]
        if paired and not name.plural and name.word.endswith("s"):  # a pair of scissors
            phrase = replace(phrase, count=None)
        if some and phrase.count is None and (name.plural or name.word in UNCHANGED):
            phrase = replace(phrase, count=phrases.SEVERAL)
        return _numbered(replace(phrase, category=name.word, plural=name.plural), words, name.end)

    def _whole(self, words: Sequence[str], phrase: Phrase, name: _Match, depth: int) -> tuple[Phrase, int] | None:
        """What *the head of a cow*, *a glass of wine* and *a bowl of apples* stand for: a cow, a glass and apples."""
        known = self._vocabulary.category_index
        if "of" in self._vocabulary.predicate_index:
            return None
        if CATEGORIES.has_kind(name.word, "part") and name_for(name.word, CATEGORIES, known) is None:
            return self._phrase(words, name.end + 1, depth - 1) if self._starts(words, name.end + 1) else None
        if not CATEGORIES.has_kind(root(name.word), "container"):
            return None
        if self._starts(words, name.end + 1):
            content, end = self._phrase(words, name.end + 1, depth - 1)
            if content.count is not None or content.plural:
                return replace(content, count=content.count or phrases.SEVERAL), end
        elif (stuff := known_names(CATEGORIES, tuple(CATEGORIES.meanings)).match(words, name.end + 1)) is not None:
            end = stuff.end
        else:
            return None
        return replace(phrase, category=name.word, plural=name.plural), end

    def _borrowing(self, words: Sequence[str], phrase: Phrase, at: int, depth: int) -> tuple[Phrase, int]:
        """A phrase without a name, which has that of the next: *a red and a blue cube*."""
        separator, start = self._separator(words, at)
        if not (phrase.attributes and separator and depth):
            raise _UnreadError(at)
        following, _ = self._phrase(words, start, depth - 1)
        if following.pronoun:
            raise _UnreadError(at)
        return replace(phrase, category=following.category), at

    def _adjectives(self, words: Sequence[str], at: int) -> list[_Match]:
        """Attributes in a row, with commas or *and* between them."""
        found: list[_Match] = []
        while True:
            start = self._separator(words, at)[1] if found else at
            start = self._without(words, start, phrases.ADVERBS)
            match = self._attributes.match(words, start)
            if match is None or match.plural:
                return found
            found.append(match)
            at = match.end

    def _no_relation(self, words: Sequence[str], at: int, where: str) -> Exception:
        """What to say of a word where a relation was expected."""
        if at >= len(words):
            return _UnreadError(at)
        if (setting := self._setting(words, at, where)) is not None:
            return setting
        phrase = " ".join(words[at : at + 2])
        if self._starts(words, at):
            remedy = "(put 'and', a comma or a semicolon between two things)"
        elif phrases.number_at(words, at)[0] is not None:
            return _counts_nothing(words[at], where)
        else:
            names = dict.fromkeys((*self._vocabulary.predicate_index, *CONVERSES))
            remedy = nearest_names(phrase, PREDICATES, names)
        return UserError(f"{where}: expected a relation at {phrase!r} {remedy}")

    def _setting(self, words: Sequence[str], at: int, where: str) -> UserError | None:
        """What to say of a place, a time or weather, which are no objects."""
        match = known_names(CATEGORIES, tuple(phrases.SETTINGS)).match(words, at)
        if match is None or match.word not in phrases.SETTINGS:
            return None
        kind, things = phrases.SETTINGS[match.word]
        shown = [thing for thing in things if name_for(thing, CATEGORIES, self._vocabulary.category_index)]
        such = f", such as {', '.join(shown)}" if shown else ""
        return UserError(f"{where}: {match.word!r} is {phrases.SEEN[kind]}{such}")

    def _not_understood(self, words: Sequence[str], at: int, where: str) -> UserError:
        """What to say of a word where a thing was expected."""
        names = self._vocabulary.category_index
        if at >= len(words) or self._separator(words, at)[0]:
            before = f"after {words[at - 1]!r}" if at else f"before {words[at]!r}"
            return UserError(f"{where}: expected an object {before} {suggest('', names)}")
        word = words[at]
        _refuse_negation(words, at, where)
        if word in phrases.COPULAS or self._predicates.match(words, at) is not None:
            if at and phrases.number_at(words, at - 1)[0] is not None:
                return _counts_nothing(words[at - 1], where)
            return UserError(f"{where}: expected an object before {word!r} {suggest('', names)}")
        if word in phrases.PLACES:
            remedy = "say where things are by each other, as in 'left of the tree', or give boxes in a scene file"
            return UserError(f"{where}: {word!r} is a place in the picture; {remedy}")
        if (setting := self._setting(words, at, where)) is not None:
            return setting
        meant = known_names(CATEGORIES, tuple(CATEGORIES.meanings)).match(words, at)
        word = word if meant is None else " ".join(words[at : meant.end])
        if meant is None and self._starts(words, at + 1):
            known = self._vocabulary.attribute_index
            remedy = nearest_names(word, ATTRIBUTES, known) if known else "(this model knows no attributes)"
            message = f"{where}: unknown word {word!r} before {words[at + 1]!r} {remedy}"
            return UnknownWordError(message, word) if word in ATTRIBUTES.meanings else UserError(message)
        return UnknownWordError(f"{where}: unknown word {word!r} {nearest_names(word, CATEGORIES, names)}", word)


def _supports(predicate: str) -> bool:
    """Whether a predicate has one object only."""
    name = name_for(predicate, PREDICATES, PREDICATES.meanings)
    return name is not None and PREDICATES.has_kind(name, "support")


def _counts_nothing(number: str, where: str) -> UserError:
    return UserError(f"{where}: {number!r} needs the name of what it counts, as in 'one sheep'")


def _refuse_negation(words: Sequence[str], at: int, where: str) -> None:
    if at < len(words) and words[at] in phrases.NEGATIONS:
        raise UserError(f"{where}: {words[at]!r} says what is not there; a scene says only what is: leave it out")


def _determiners(words: Sequence[str], at: int) -> tuple[Phrase, int, bool]:
    """Articles, numbers and the like before a name, where they end, and whether *some* is among them."""
    phrase, some, start = Phrase(""), False, at
    while at < len(words):
        word = words[at]
        count, end = phrases.number_at(words, at)
        grouped = at >= 2 and " ".join(words[at - 2 : at]) in phrases.GROUPS  # "a herd of ten cows"
        if count is not None and (phrase.count is None or grouped):
            phrase, at = replace(phrase, count=count), end
            continue
        if count is not None and "of" in words[start:at]:  # "one of the two cubes"
            at = end
            continue
        if word in phrases.DEFINITE:
            count = 2 if word == "both" else phrase.count
            phrase = replace(phrase, definite=True, count=count, plural=word in ("all", "these", "those"))
        elif word in phrases.ORDINALS:
            phrase = replace(phrase, number=phrases.ORDINALS[word])
        elif word in phrases.OTHERS:
            phrase = replace(phrase, other=word)
        elif word == "some":
            some = True
        elif word not in phrases.INDEFINITE and not (word == "of" and phrase.count is not None):
            break
        at += 1
    return phrase, at, some


def _numbered(phrase: Phrase, words: Sequence[str], at: int) -> tuple[Phrase, int]:
    """The phrase with the number behind its name, if there is one."""
    if at < len(words) and words[at].isdecimal() and len(words[at]) < 10:
        return replace(phrase, number=int(words[at])), at + 1
    return phrase, at
