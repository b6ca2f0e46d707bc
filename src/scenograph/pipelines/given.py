"""What a call of the pipeline is given: scenes in several forms, and seeds."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard

from scenograph.data.drawn import DRAWINGS
from scenograph.errors import UserError, shortened
from scenograph.files import is_file
from scenograph.pipelines.sketched import load_any_scenes
from scenograph.scenes.scene import Relation, Scene, SceneObject

MOST_SEEDS = 10_000
"""Seeds of a call."""
_SCENE_FORMS = (
    "give a Scene, a dictionary, one line of text, or the pathlib.Path of a scene file, drawing or generated picture"
)

SceneLike = Scene | dict | str | Path  # type: ignore[type-arg]


def given_scenes(scenes: SceneLike | Iterable[SceneLike]) -> list[str | Scene]:
    """What a call asks for: texts, which only a vocabulary makes scenes of, and the scenes of everything else.

    Raises ``UserError`` for whatever else is given, and for scenes without objects.
    """
    alone = isinstance(scenes, Scene | dict | str | Path)
    items: Any = [scenes] if alone else scenes
    if isinstance(items, bytes | bytearray) or not isinstance(items, Iterable):
        raise UserError(f"scenes: {_SCENE_FORMS}, or a list of these; found {shortened(scenes)}")
    found: list[str | Scene] = []
    for number, item in enumerate(items):
        where = "scene" if alone else f"scene {number}"
        if isinstance(item, Path):
            found += load_any_scenes(item)
        elif isinstance(item, str):
            if item.endswith((".json", ".png", *DRAWINGS)) and is_file(item):
                raise UserError(f"{item!r} is a file, and a text is read as a scene: give pathlib.Path({item!r})")
            found.append(item)
        elif isinstance(item, Scene):
            found.append(_whole(item, where))
        elif isinstance(item, dict):
            found.append(Scene.from_dict(item, where))
        else:
            raise UserError(f"{where}: {_SCENE_FORMS}; found {shortened(item)}")
    return found


def _whole(scene: Scene, where: str) -> Scene:
    """The scene. Raises ``UserError`` for one that was built of other parts than a scene has."""
    count = len(scene.objects)
    if count == 0:
        raise UserError(f"{where}: it is empty; give it at least one object")
    for number, thing in enumerate(scene.objects):
        if not isinstance(thing, SceneObject) or not isinstance(thing.category, str):
            raise UserError(f"{where}, objects[{number}]: expected SceneObject(category), found {shortened(thing)}")
    for number, one in enumerate(scene.relations):
        place = f"{where}, relations[{number}]"
        if not isinstance(one, Relation) or not isinstance(one.predicate, str):
            raise UserError(f"{place}: expected Relation(subject, predicate, object), found {shortened(one)}")
        ends = [one.subject, one.object]
        if not all(_is_whole(end) and 0 <= end < count for end in ends):
            raise UserError(f"{place}: {shortened(ends)} are no two of the scene's objects 0 to {count - 1}")
    return scene


def given_seeds(seeds: int | Iterable[int]) -> list[int]:
    """The first so many from 0, or those that are named. Raises ``UserError`` for others than whole numbers from 0."""
    rule = f"give how many, such as 3, or a list of whole numbers from 0; at most {MOST_SEEDS}"
    if _is_whole(seeds):
        if not 0 < int(seeds) <= MOST_SEEDS:
            raise UserError(f"seeds {seeds}: {rule}")
        return list(range(int(seeds)))
    named = list(islice(seeds, MOST_SEEDS + 1)) if isinstance(seeds, Iterable) else None
    if named is None or not all(_is_whole(one) and 0 <= int(one) < 2**64 for one in named):
        raise UserError(f"seeds {shortened(seeds if named is None else named)}: {rule}")
    if len(named) > MOST_SEEDS:
        raise UserError(f"seeds: too many are named; {rule}")
    return [int(one) for one in named]


def _is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, of Python or NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)
