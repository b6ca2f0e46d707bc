"""Words that people use, read as the names of a vocabulary: Visual Genome's as COCO-Stuff's, others as either."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING

from scenograph.errors import NOTE, UserError, suggest
from scenograph.scenes.geometry import CONVERSES
from scenograph.scenes.lexicon import ATTRIBUTES, CATEGORIES, PREDICATES, Lexicon, root, singulars, spoken
from scenograph.scenes.phrases import PARTICLES
from scenograph.scenes.scene import Relation, Scene, keep_objects

if TYPE_CHECKING:
    from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

SHOWN = 6
"""Names of the same kind that a message lists."""
LISTED = 16
"""As many names or fewer are listed where none is near."""
ALIKE = 0.7
"""From this ratio, a name looks like a word."""
NEARLY = 0.85
"""From this ratio of ``difflib``, a word is another with an error of spelling."""


class UnknownWordError(UserError):
    """Words that a vocabulary has no names for; ``words`` are as they were said."""

    def __init__(self, message: str, *words: str) -> None:
        super().__init__(message)
        self.words = words


def synonyms(lexicon: Lexicon, names: Iterable[str]) -> Mapping[str, str]:
    """The words of a lexicon that stand for one of these names and are none themselves, with the name."""
    return _synonyms(lexicon, tuple(names))


def name_for(word: str, lexicon: Lexicon, names: Collection[str]) -> str | None:
    """The name that a word of a scene stands for, itself if it is one: it may be a plural.

    Of what somebody does and where, such as ``sitting down next to``, the place decides where the whole has no name.
    """
    if word in names:
        return word
    found = synonyms(lexicon, names)
    for form in (word, *singulars(word)):
        if (name := form if form in names else found.get(form)) is not None:
            return name
    first, _, rest = word.partition(" ")
    if lexicon is not PREDICATES or not rest or not is_verb(first):
        return None
    particle, _, place = rest.partition(" ")
    return name_for(rest, lexicon, names) or (name_for(place, lexicon, names) if particle in PARTICLES else None)


def knows(vocabulary: Vocabulary, word: str) -> bool:
    """Whether a vocabulary has a category, an attribute or a predicate that a word is or stands for."""
    return (
        name_for(word, CATEGORIES, vocabulary.category_index) is not None
        or name_for(word, ATTRIBUTES, vocabulary.attribute_index) is not None
        or name_for(word, PREDICATES, vocabulary.predicate_index) is not None
    )


def is_verb(predicate: str) -> bool:
    """Whether a predicate is a verb that a place may follow: *sitting*, in ``sitting next to``."""
    return any(PREDICATES.has_kind(predicate, kind) for kind in ("verb", "living"))


def predicate_for(word: str, known: Collection[str]) -> str | None:
    """As :func:`name_for`; if there is no name, that of a spatial predicate, which refining can see to."""
    return name_for(word, PREDICATES, known) or name_for(word, PREDICATES, CONVERSES)


def nearest_names(word: str, lexicon: Lexicon, names: Iterable[str]) -> str:
    """The remedy for a word without a name, like :func:`~scenograph.errors.suggest`, by meaning before spelling."""
    allowed = list(names)
    near = nearest(word, lexicon, allowed)
    if _meant(word, lexicon) is not None:
        if near:
            return f"(nearest in meaning: {', '.join(near[:SHOWN])}{', ...' if len(near) > SHOWN else ''})"
        return _listed(allowed)
    # A word that is nearly spelt so is meant, be it a name or not; then a name that looks alike.
    for words in ({name.casefold(): name for name in allowed}, {each: each for each in lexicon.meanings}):
        spelled = get_close_matches(word.casefold(), words, n=1, cutoff=NEARLY)
        if spelled:
            return f"(did you mean {words[spelled[0]]!r}?)"
    return f"(did you mean {' or '.join(map(repr, near))}?)" if near else _listed(allowed)


def nearest(word: str, lexicon: Lexicon, names: Iterable[str]) -> list[str]:
    """The names nearest to a word without one: in meaning or, if it means nothing known, in spelling; perhaps none."""
    allowed = list(names)
    known = _meant(word, lexicon)
    if known is not None:  # what it means is known, so that no name that looks alike is meant
        return lexicon.relatives(known, allowed)
    folded = {name.casefold(): name for name in allowed}
    return [folded[each] for each in get_close_matches(word.casefold(), folded, n=3, cutoff=ALIKE)]


def _meant(word: str, lexicon: Lexicon) -> str | None:
    """The form of a word that the lexicon has."""
    return next((form for form in (word, *singulars(word)) if form in lexicon.meanings), None)


def _listed(allowed: Sequence[str]) -> str:
    """The names if they are few, or where they are listed: the first of many help nobody."""
    if len(allowed) > LISTED:
        return "(`scenograph models info MODEL` lists the words of a model)"
    return suggest("", allowed)


def say_read(read: Mapping[str, str]) -> None:
    """Note by which names words were replaced, in the words of people: that a sky is ``sky-other`` is no news."""
    said = spoken(read.values())
    notes = [f"{word} is taken as {said[name]}" for word, name in read.items() if word != said[name]]
    if notes:
        log.log(NOTE, "%s", ", ".join(notes))


def with_known_names(scenes: Sequence[Scene], vocabulary: Vocabulary) -> list[Scene]:
    """Scenes in the names of a vocabulary, as far as synonyms go; messages say what was changed.

    Unknown words are replaced by the names that they stand for, and unknown parts of things are left out.
    """
    read: dict[str, str] = {}
    left_out: set[str] = set()
    result = []
    for scene in scenes:
        known = _without_parts(scene, vocabulary)
        left_out |= {thing.category for thing in scene.objects} - {thing.category for thing in known.objects}
        known, replaced = renamed(known, vocabulary)
        read |= replaced
        result.append(known)
    if read:
        say_read(read)
    if left_out:
        log.warning("leaving out %s: parts are drawn with their things", ", ".join(sorted(left_out)))
    return result


def renamed(scene: Scene, vocabulary: Vocabulary) -> tuple[Scene, dict[str, str]]:
    """A scene in the names of a vocabulary, as far as synonyms go, and the words that were replaced with their names.

    Its objects keep their places; a scene whose names are all known is returned as it is.
    """
    found = _replacements(scene, vocabulary)
    if not any(found):
        return scene, {}
    categories, attributes, predicates = found
    return _renamed(scene, *found), categories | attributes | predicates


def _replacements(scene: Scene, vocabulary: Vocabulary) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The categories, attributes and predicates of a scene that a vocabulary has other names for."""
    things, predicates = scene.objects, vocabulary.predicate_index
    categories = _other_names({thing.category for thing in things}, CATEGORIES, vocabulary.category_index)
    attributes = _other_names({a for thing in things for a in thing.attributes}, ATTRIBUTES, vocabulary.attribute_index)
    related = {word: predicate_for(word, predicates) for word in sorted({r.predicate for r in scene.relations})}
    return categories, attributes, {word: name for word, name in related.items() if name not in (None, word)}


def _other_names(words: Iterable[str], lexicon: Lexicon, names: Collection[str]) -> dict[str, str]:
    found = {word: name_for(word, lexicon, names) for word in sorted(words)}
    return {word: name for word, name in found.items() if name not in (None, word)}


def _renamed(
    scene: Scene, categories: Mapping[str, str], attributes: Mapping[str, str], predicates: Mapping[str, str]
) -> Scene:
    things = (
        replace(
            thing,
            category=categories.get(thing.category, thing.category),
            attributes=tuple(dict.fromkeys(attributes.get(name, name) for name in thing.attributes)),
        )
        for thing in scene.objects
    )
    relations = []
    for relation in scene.relations:
        ends = relation.subject, relation.object
        if relation.predicate in predicates and PREDICATES.has_kind(relation.predicate, "inverse"):
            ends = relation.object, relation.subject
        predicate = predicates.get(relation.predicate, relation.predicate)
        if ends[0] == ends[1] and predicate in CONVERSES and predicate != relation.predicate:
            continue  # published graphs hold things "next to" themselves; none is left of itself
        relations.append(Relation(ends[0], predicate, ends[1]))
    return replace(scene, objects=tuple(things), relations=tuple(relations))


def _without_parts(scene: Scene, vocabulary: Vocabulary) -> Scene:
    """The scene without parts of things, unless it has no other objects."""
    known = vocabulary.category_index
    kept = [
        number
        for number, thing in enumerate(scene.objects)
        if not CATEGORIES.has_kind(root(thing.category), "part") or name_for(thing.category, CATEGORIES, known)
    ]
    return keep_objects(scene, kept) if 0 < len(kept) < len(scene.objects) else scene


@lru_cache(maxsize=64)
def _synonyms(lexicon: Lexicon, names: tuple[str, ...]) -> Mapping[str, str]:
    known = set(names)
    found = {word: lexicon.nearest(word, known) for word in lexicon.meanings if word not in known}
    return {word: name for word, name in found.items() if name is not None}
