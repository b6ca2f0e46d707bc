"""The names a model knows: categories, predicates and groups of attributes, each with its index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from scenograph.errors import UserError, unreadable
from scenograph.files import read_json
from scenograph.scenes.geometry import CONVERSES, SG2IM_PREDICATES
from scenograph.scenes.lexicon import ATTRIBUTES, CATEGORIES, PREDICATES
from scenograph.scenes.scene import Scene, with_places
from scenograph.scenes.synonyms import UnknownWordError, nearest_names

IMAGE_CATEGORY = "__image__"
IN_IMAGE_PREDICATE = "__in_image__"


@dataclass(frozen=True)
class Vocabulary:
    """Index = position in the list. ``attributes`` maps a group, such as colour, to names of which an object has one.

    Names of COCO's unused ids (``NONE``) and sg2im's ``__image__`` and ``__in_image__`` keep their positions,
    but scenes cannot use them.
    """

    categories: tuple[str, ...]
    predicates: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @staticmethod
    def from_dict(value: dict[str, Any]) -> Vocabulary:
        """From our JSON, or from the ``vocab`` dictionary of the published sg2im checkpoints and packs."""
        try:
            if "object_idx_to_name" in value:
                return Vocabulary(_names(value["object_idx_to_name"]), _names(value["pred_idx_to_name"]))
            groups = {group: _names(names) for group, names in value.get("attributes", {}).items()}
            return Vocabulary(_names(value["categories"]), _names(value["predicates"]), groups)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"vocabulary: expected lists 'categories' and 'predicates' ({error})") from error

    @staticmethod
    def load(path: Path) -> Vocabulary:
        """From a JSON file, which may be a mere list of categories: sg2im's predicates then come to them.

        Raises ``UserError`` if it cannot be read or holds no vocabulary.
        """
        content = read_json(path)
        if isinstance(content, list) and content:
            content = {"categories": content, "predicates": SG2IM_PREDICATES}
        try:
            return Vocabulary.from_dict(content)
        except UserError as error:
            raise unreadable(path, error) from error

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; read back by :meth:`from_dict`."""
        groups = {group: list(names) for group, names in self.attributes.items()}
        return {"categories": list(self.categories), "predicates": list(self.predicates), "attributes": groups}

    def with_image_object(self) -> Vocabulary:
        """The same names with sg2im's ``__image__`` and ``__in_image__`` in front, where they are lacking."""
        if IMAGE_CATEGORY in self.categories:
            return self
        categories, predicates = (IMAGE_CATEGORY, *self.categories), (IN_IMAGE_PREDICATE, *self.predicates)
        return replace(self, categories=categories, predicates=predicates)

    @cached_property
    def category_index(self) -> dict[str, int]:
        """Name to index, of the names that scenes can use."""
        return _index(self.categories)

    @cached_property
    def predicate_index(self) -> dict[str, int]:
        """Name to index, of the names that scenes can use."""
        return _index(self.predicates)

    @cached_property
    def attribute_index(self) -> dict[str, tuple[int, int]]:
        """Name to (group position, index in the group)."""
        return {
            name: (place, index)
            for place, names in enumerate(self.attributes.values())
            for index, name in enumerate(names)
        }

    def lacks(self, other: Vocabulary) -> list[str]:
        """Names that scenes can use only with the other vocabulary, sorted; attributes with their groups."""
        names = [*(other.category_index.keys() - self.category_index.keys())]
        names += other.predicate_index.keys() - self.predicate_index.keys()
        for group, values in other.attributes.items():
            names += [f"{group} {value}" for value in values if value not in self.attributes.get(group, ())]
        return sorted(names)

    def check(self, scenes: Sequence[Scene]) -> None:
        """Raise ``UserError`` at the first name that this vocabulary lacks, with the nearest one it has."""
        for scene, where in with_places(scenes):
            for i, thing in enumerate(scene.objects):
                if thing.category not in self.category_index:
                    remedy = nearest_names(thing.category, CATEGORIES, self.category_index)
                    message = f"{where}objects[{i}]: unknown category {thing.category!r} {remedy}"
                    raise UnknownWordError(message, thing.category)
                self._check_attributes(thing.attributes, f"{where}objects[{i}]")
            for i, relation in enumerate(scene.relations):
                if relation.predicate not in self.predicate_index:
                    remedy = nearest_names(relation.predicate, PREDICATES, self.predicate_index)
                    if relation.predicate in CONVERSES:
                        remedy += ", or let --refine see to it"
                    raise UserError(f"{where}relationships[{i}]: unknown predicate {relation.predicate!r} {remedy}")

    def _check_attributes(self, attributes: Sequence[str], where: str) -> None:
        taken: dict[int, str] = {}
        for name in attributes:
            if name not in self.attribute_index:
                known = self.attribute_index
                remedy = nearest_names(name, ATTRIBUTES, known) if known else "(this model knows none)"
                raise UserError(f"{where}: unknown attribute {name!r} {remedy}")
            group = self.attribute_index[name][0]
            if taken.setdefault(group, name) != name:
                kind = list(self.attributes)[group]
                raise UserError(f"{where}: {taken[group]!r} and {name!r} are both a {kind}; keep one")

    def to_json(self) -> str:
        """The dictionary as text, for files."""
        return json.dumps(self.to_dict(), indent=1)


def _names(values: Sequence[str]) -> tuple[str, ...]:
    """Raises ``TypeError`` for a value that is no name, and for a text or an object in place of a list of names."""
    if isinstance(values, str | dict):
        raise TypeError(f"{values!r} is no list")
    for value in values:
        if not isinstance(value, str):
            raise TypeError(f"{value!r} is no name")
    return tuple(values)


def _index(names: Sequence[str]) -> dict[str, int]:
    return {name: i for i, name in enumerate(names) if name != "NONE" and not name.startswith("__")}
