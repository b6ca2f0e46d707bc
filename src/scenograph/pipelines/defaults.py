"""Which models generate when none is named: the first pair that knows the names of a scene."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scenograph.errors import UserError
from scenograph.models.registry import MODELS, model_vocabulary, models_in, read_config, shipped_models
from scenograph.scenes.scene import Scene
from scenograph.scenes.synonyms import UnknownWordError, knows
from scenograph.scenes.text import names_in_text, names_near_text
from scenograph.scenes.vocabulary import Vocabulary

COLLAGE = "collage"
"""The name of the renderer that composes pictures from drawings."""
DIFFUSERS = "diffusers:"
"""What names of diffusion models of other makers begin with, before a folder or an ID of the Hugging Face hub."""
DRAWINGS = "drawings"
"""The name, among memories of crops, of the drawings that ship."""


@dataclass(frozen=True)
class Pair:
    """A layout model and what renders its layouts."""

    layout: str
    image: str
    about: str
    """What the pair generates, for messages."""

    @cached_property
    def placed(self) -> Vocabulary:
        """The names that the layout model knows."""
        return model_vocabulary(self.layout)

    @cached_property
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
    """The pair that knows most names of a scene; if none knows any, that with names nearest to them; else the first.

    Args:
        words: A text, or all names in a scene file.
    """
    known = [names_in_text(words, pair.vocabulary) for pair in PAIRS]
    if not any(known):  # so that a message about unknown words suggests what may be meant
        known = [names_near_text(words, pair.vocabulary) for pair in PAIRS]
    return PAIRS[known.index(max(known))]


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
        known = models_that_know(*cause.words)
        here = f"known by {', '.join(known)} (scenograph models list --knows {shlex.quote(','.join(cause.words))})"
        them = "all of them" if len(cause.words) > 1 else "it"
        raise UserError(f"{error}; {here if known else f'no model here knows {them}; {PUBLISHED}'}") from error


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
