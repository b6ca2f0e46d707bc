"""Which models generate when none is named: the first pair that knows the names of a scene."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from scenograph.models.registry import read_config
from scenograph.scenes.synonyms import CATEGORIES, synonyms
from scenograph.scenes.vocabulary import Vocabulary

COLLAGE = "collage"
"""The name of the renderer that composes pictures from drawings."""
DRAWINGS = "drawings"
"""The name, among memories of crops, of the drawings that ship."""


@dataclass(frozen=True)
class Pair:
    """A layout model and what renders its layouts."""

    layout: str
    image: str
    about: str
    """What the pair generates, for messages."""

    @property
    def placed(self) -> Vocabulary:
        """The names that the layout model knows."""
        return Vocabulary.from_dict(read_config(self.layout)[1]["vocabulary"])

    @property
    def vocabulary(self) -> Vocabulary:
        """The names that both know."""
        if self.image != COLLAGE:
            return self.placed
        from scenograph.pipelines.renderers.collage import CollageRenderer  # reads its drawings

        return CollageRenderer().vocabulary


PAIRS = (
    Pair("mise-layout-rendered", "mise-rendered-64", "rendered cubes, spheres and cylinders"),
    Pair("mise-layout-picture-book", COLLAGE, "pictures composed from drawings"),
)
DEFAULT = PAIRS[0]

CLASSIFIERS = ("object-classifier-rendered", "object-classifier-picture-book")
"""The classifiers of objects that measure when none is named."""


def choose_pair(words: str) -> Pair:
    """The pair that knows most names of a scene; of several, the first.

    Args:
        words: A text, or all names in a scene file.
    """
    return max(PAIRS, key=lambda pair: _known(pair.vocabulary, words.casefold()))


def layout_for(vocabulary: Vocabulary) -> str:
    """The layout model for an image model that is used alone: the one that shares most categories.

    Args:
        vocabulary: The image model's.
    """
    names = set(vocabulary.categories)
    return max(PAIRS, key=lambda pair: len(names & set(pair.placed.categories))).layout


def choose_classifier(categories: Collection[str]) -> str:
    """The first classifier that knows all of these categories; the first of all if none does."""
    known = (name for name in CLASSIFIERS if {*categories} <= {*read_config(name)[1]["vocabulary"]["categories"]})
    return next(known, CLASSIFIERS[0])


def _known(vocabulary: Vocabulary, words: str) -> int:
    """How many names of categories, or words that stand for one, are among words."""
    names = {*vocabulary.categories, *synonyms(CATEGORIES, vocabulary.category_index)}
    return sum(bool(re.search(rf"\b{re.escape(name.casefold())}\b", words)) for name in names)
