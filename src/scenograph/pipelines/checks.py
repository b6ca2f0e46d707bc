"""Checks of scenes before anything is rendered: names, contradictions, and more objects than a model learned from."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scenograph.errors import UserError, for_all
from scenograph.models.base import ImageModel, Model
from scenograph.pipelines.defaults import roomier
from scenograph.pipelines.renderers.base import Renderer
from scenograph.scenes.canonical import agreed
from scenograph.scenes.completion import is_open, without_unknown_attributes, without_unknown_spatial
from scenograph.scenes.scene import Scene, with_places
from scenograph.scenes.synonyms import renamed

log = logging.getLogger(__name__)


def without_contradictions(scenes: Sequence[Scene], refine: bool, keep: bool = False) -> list[Scene]:
    """The scenes without relations that contradict others, each with a warning; with ``keep`` nothing is left out.

    With ``refine`` they are kept, and a contradiction is a ``UserError``, since no boxes can show it.
    """
    if refine:
        check_contradictions(scenes)
    return list(scenes) if refine or keep else agreed(scenes)


def check_contradictions(scenes: Sequence[Scene]) -> None:
    """Raise ``UserError`` naming every scene whose relations no boxes can show, so that it cannot be refined."""
    from scenograph.scenes.solver import check_relations  # its solver takes a while to import

    for_all(lambda each: check_relations(*each), with_places(scenes))


def check_names(
    scenes: Sequence[Scene],
    image: Model | Renderer | None,
    layout: Model | None,
    refine: bool = False,
    remedy: str = "give every object a box, or name a layout model that knows it with --layout",
) -> None:
    """Raise ``UserError`` at the first name that a model does not know.

    The layout model's names matter where boxes are missing, and attributes that it does not know never do; a warning
    says which words it reads as others. ``remedy`` ends messages about them. With ``refine``, models need not know
    spatial predicates, which the solver handles.
    """
    if image is not None:
        check_model_names("image", image, scenes, refine)
    if layout is not None:
        unplaced, read = for_placing([scene for scene in scenes if is_open(scene)], layout)
        if read:
            changes = ", ".join(f"{word} as {name}" for word, name in read.items())
            log.warning("%s, the layout model, reads %s", layout.called, changes)
        check_model_names("layout", layout, unplaced, refine, f"; {remedy}")


def for_placing(scenes: Sequence[Scene], layout: Model) -> tuple[list[Scene], dict[str, str]]:
    """Scenes as a layout model sees them, and the words for which it has other names.

    It may know fewer predicates than what renders the scenes. Attributes that it does not know are left out.
    """
    found: list[Scene] = []
    read: dict[str, str] = {}
    for scene in scenes:
        named, replaced = renamed(scene, layout.vocabulary)
        read |= replaced
        found.append(without_unknown_attributes(named, layout.vocabulary))
    return found, read


def check_model_names(
    half: str, model: Model | Renderer, scenes: Sequence[Scene], refine: bool, remedy: str = ""
) -> None:
    """:func:`check_names` for one model, which messages call the image or the layout model."""
    if (names := model.vocabulary) is None:
        return
    try:
        names.check([without_unknown_spatial(scene, names) for scene in scenes] if refine else scenes)
    except UserError as error:
        called = model.called if isinstance(model, Model) else model.name
        raise UserError(f"the {half} model ({called}): {error}{remedy}") from error


def check_crops(scenes: Sequence[Scene], name: str) -> None:
    """Raise ``UserError`` if an object has no crop, for a model of that name which draws from crops."""
    for scene, where in with_places(scenes):
        for number, thing in enumerate(scene.objects):
            if thing.crop is None:
                raise UserError(
                    f"{where}objects[{number}]: {thing.category!r} has no crop, and {name} draws from crops; name a "
                    "memory to choose them from with --memory, or give each object's in the scene file"
                )


def warn_about_crowds(model: Model, scenes: Sequence[Scene]) -> None:
    """Warn if a scene has more objects than those that a model learned from; names a shipped model that saw more."""
    most, found = model.config.max_objects, max((len(scene.objects) for scene in scenes), default=0)
    if most is not None and found > most:
        done = "drawn" if isinstance(model, ImageModel) else "placed"
        other = roomier(model.name, model.config.model_dump(), found)
        remedy = f"; {other} saw more" if other else ""
        what = "a scene has %d objects, %s saw at most %d in training: all are %s%s"
        log.warning(what, found, model.called, most, done, remedy)
