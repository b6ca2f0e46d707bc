"""Which models generate when none is named: the first pair that knows the names of a scene."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scenograph.models.registry import read_config, shipped_models
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import CATEGORIES, synonyms
from scenograph.scenes.vocabulary import Vocabulary

COLLAGE = "collage"
"""The name of the renderer that composes pictures from drawings."""


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


def with_room(pair: Pair, scenes: Sequence[Scene]) -> Pair:
    """The pair, or shipped models of the same names that, unlike it, learned from scenes of as many objects."""
    objects = max((len(scene.objects) for scene in scenes), default=0)
    layout, image = (
        name if name == COLLAGE else roomier(*read_config(name), objects) or name for name in (pair.layout, pair.image)
    )
    if (layout, image) == (pair.layout, pair.image):
        return pair
    return replace(pair, layout=layout, image=image, about=f"{pair.about}, {objects} in a picture")


def roomier(kind: str, config: Mapping[str, Any], objects: int) -> str | None:
    """The shipped model that knows the same names and learned from scenes of so many objects.

    Args:
        kind: The architecture of a model.
        config: Its settings.
        objects: Of a scene.

    Returns:
        A name; None if the model itself learned from as many, or if there is none.
    """
    if config.get("max_objects") is None or config["max_objects"] >= objects:
        return None
    for name in shipped_models():
        other, settings = read_config(name)
        most, names = settings.get("max_objects"), set(settings["vocabulary"]["categories"])
        if other == kind and names >= set(config["vocabulary"]["categories"]) and (most is None or most >= objects):
            return name
    return None


def _known(vocabulary: Vocabulary, words: str) -> int:
    """How many names of categories, or words that stand for one, are among words."""
    names = {*vocabulary.categories, *synonyms(CATEGORIES, vocabulary.category_index)}
    return sum(bool(re.search(rf"\b{re.escape(name.casefold())}\b", words)) for name in names)
