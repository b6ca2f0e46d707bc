"""Which models generate when none is named: the first pair that knows the names of a scene."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scenograph.errors import UserError
from scenograph.models.registry import MODELS, model_vocabulary, models_in, read_config, shipped_models
from scenograph.scenes.synonyms import UnknownWordError, knows
from scenograph.scenes.text import names_in_text
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
        return model_vocabulary(self.layout)

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
PUBLISHED = "published checkpoints know COCO-Stuff's or Visual Genome's names: see scenograph import and docs/systems"
"""Where models with other names come from."""


def choose_pair(words: str) -> Pair:
    """The pair that knows most names of a scene; of several, the first.

    Args:
        words: A text, or all names in a scene file.
    """
    return max(PAIRS, key=lambda pair: names_in_text(words, pair.vocabulary))


def layout_for(vocabulary: Vocabulary) -> str:
    """The layout model for an image model that is used alone: the one that shares most categories.

    Args:
        vocabulary: The image model's.
    """
    names = set(vocabulary.categories)
    return max(PAIRS, key=lambda pair: len(names & set(pair.placed.categories))).layout


def choose_classifier(categories: Collection[str]) -> str | None:
    """The first classifier that knows all of these categories; None if none does."""
    known = (name for name in CLASSIFIERS if {*categories} <= {*model_vocabulary(name).categories})
    return next(known, None)


def models_that_know(*words: str) -> list[str]:
    """Shipped models, and those in folders here, that place or render and have names for all of these words."""
    found = {**shipped_models(), **models_in(Path())}
    roles = {name: MODELS[read_config(path)[0]].roles for name, path in found.items()}
    return [name for name in found if roles[name] and all(knows(model_vocabulary(found[name]), word) for word in words)]


@contextmanager
def naming_who_knows() -> Iterator[None]:
    """Add to a message about an unknown word which models know it, or where others come from."""
    try:
        yield
    except UserError as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UnknownWordError):
            cause = cause.__cause__
        if cause is None or "did you mean" in str(error):
            raise
        known = models_that_know(cause.word)
        here = f"known by {', '.join(known)} (scenograph models list --knows {shlex.quote(cause.word)})"
        raise UserError(f"{error}; {here if known else f'no model here knows it; {PUBLISHED}'}") from error
