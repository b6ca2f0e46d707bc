"""What words mean: tables, in the way of WordNet, that lead from what people say to the names of a vocabulary.

A row of ``words/*.csv`` holds words of one meaning (with the kind ``each``, each has a meaning of its own), the words
to take where none of them is known, the nearest first (their rows lead further), and kinds. Add a row, or a word to a
row, and every text and scene file may use it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files


@dataclass(frozen=True)
class Meaning:
    """A row of a table."""

    words: tuple[str, ...]
    near: tuple[str, ...]
    kinds: frozenset[str]


class Lexicon:
    """A table of words.

    Kinds of categories: ``region`` (sky, grass), ``raised`` (a region that things stand beside: mountains),
    ``living``, ``male`` and ``female`` (whom *he* and *she* may be), ``garment`` (its color is that of who wears it),
    ``container`` (it stands for what is in it, as in *a glass of wine*), and ``part`` (of a thing, which is drawn with
    it). Kinds of predicates: ``living`` (its subject lives), ``support`` (its object is one, such as what something
    stands on), ``verb`` (it may stand alone: *a bird flying*) and ``inverse`` (subject and object change places).
    """

    def __init__(self, table: str) -> None:
        self.table = table

    @cached_property
    def meanings(self) -> dict[str, Meaning]:
        """The row of every word."""
        text = (files("scenograph") / "scenes" / "words" / f"{self.table}.csv").read_text(encoding="utf-8")
        found: dict[str, Meaning] = {}
        for row in csv.DictReader(text.splitlines()):
            words, near, kinds = (tuple(filter(None, row[name].split("|"))) for name in ("words", "near", "kinds"))
            for group in [(word,) for word in words] if "each" in kinds else [words]:
                found |= dict.fromkeys(group, Meaning(group, near, frozenset(kinds)))
        return found

    def has_kind(self, word: str, kind: str) -> bool:
        """Whether a word is of a kind."""
        return word in self.meanings and kind in self.meanings[word].kinds

    def same(self, word: str, other: str) -> bool:
        """Whether two words mean the same."""
        return word == other or (word in self.meanings and other in self.meanings[word].words)

    def nearest(self, word: str, names: Collection[str]) -> str | None:
        """The one of these names that is nearest in meaning to a word: the same, or what the word is a kind of."""
        return next((near for near in self._widening(word) if near in names), None)

    def relatives(self, word: str, names: Collection[str]) -> list[str]:
        """Names that are kinds of what a word is a kind of: for *wolf*, all animals."""
        wider = {near for near in self._widening(word) if not self.same(word, near)}
        return [name for name in names if not wider.isdisjoint(self._widening(name))]

    def _widening(self, word: str) -> Iterator[str]:
        """A word, those of the same meaning, then those that are near and of the same meaning as these, and so on."""
        waiting, seen = [word], {word}
        for one in waiting:
            yield one
            meaning = self.meanings.get(one)
            if meaning is None:
                continue
            following = list(meaning.words)
            for near in meaning.near:
                following += [near, *(self.meanings[near].words if near in self.meanings else ())]
            waiting += [other for other in dict.fromkeys(following) if other not in seen]
            seen.update(following)


CATEGORIES, PREDICATES, ATTRIBUTES = Lexicon("categories"), Lexicon("predicates"), Lexicon("attributes")

IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose",
    "feet": "foot", "teeth": "tooth", "oxen": "ox", "calves": "calf", "knives": "knife", "leaves": "leaf",
    "loaves": "loaf", "shelves": "shelf", "wolves": "wolf", "halves": "half", "scarves": "scarf", "hooves": "hoof",
    "wives": "wife", "lives": "life", "thieves": "thief", "elves": "elf", "skies": "sky", "cookies": "cookie",
    "pies": "pie", "ties": "tie", "movies": "movie", "zombies": "zombie", "buses": "bus", "axes": "axe",
    "potatoes": "potato", "tomatoes": "tomato",
}  # fmt: skip
"""Plurals, and compounds that end with them (``policemen``), that follow no rule or the wrong one."""
UNCHANGED = ("sheep", "deer", "moose", "fish", "bison", "cattle", "aircraft", "series", "goldfish")
"""Words whose plural is the same."""


def spoken(categories: Iterable[str]) -> dict[str, str]:
    """What people call categories: ``sky-other`` is a sky, and ``wall-brick`` a brick wall.

    The words mean the same as the names, so that a text with them is read back as these, by a vocabulary that does not
    have both. A word that would stand for two of the categories is used for neither.
    """
    words = {name: _spoken(name) for name in dict.fromkeys(categories)}
    times = Counter([*words.values(), *(name for name, word in words.items() if name != word)])
    return {name: word if times[word] == 1 else name for name, word in words.items()}


@lru_cache(maxsize=4096)
def _spoken(category: str) -> str:
    head, _, kind = category.partition("-")
    if not kind or category not in CATEGORIES.meanings:
        return category
    words = CATEGORIES.meanings[category].words
    plain = (head,) if kind in ("other", "stuff") else (word for word in words if word.endswith(f" {head}"))
    return next((word for word in plain if word in words), category)


def singulars(word: str) -> Iterator[str]:
    """What a word may be the plural of, the likeliest first; nothing for a word that cannot be one."""
    for plural, singular in IRREGULAR.items():
        if word == plural or word.endswith(f" {plural}") or (word.endswith(plural) and plural == "men"):
            yield word.removesuffix(plural) + singular
    if word.endswith("ies") and len(word) > 4:
        yield word[:-3] + "y"
    if re.search(r"(s|x|z|ch|sh|o)es$", word):
        yield word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 2:
        yield word[:-1]


@lru_cache(maxsize=4096)
def root(word: str) -> str:
    """A category as the table of them has it, which a plural may not be."""
    return next((form for form in (word, *singulars(word)) if form in CATEGORIES.meanings), word)


def plural(word: str) -> str:
    """The plural of a word, by its last part."""
    before, space, last = word.rpartition(" ")
    for many, one in IRREGULAR.items():
        if last == one or (last.endswith(one) and one == "man" and last != "human"):
            return before + space + last.removesuffix(one) + many
    if (
        last in UNCHANGED
        or last in IRREGULAR
        or last.endswith("men")
        or (last.endswith("s") and not last.endswith(("ss", "us")))
    ):
        return word
    if re.search(r"[^aeiou]y$", last):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", last) else "s")
