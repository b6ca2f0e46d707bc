"""Answers about scenes that draw nothing: text, descriptions, checks, refining, records and crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenograph.errors import UserError, suggest
from scenograph.pipelines.defaults import naming_who_knows
from scenograph.pipelines.provenance import made_from
from scenograph.pipelines.renderers.crops import CropSource, DrawnCrops, MemoryCrops
from scenograph.retrieval.selector import CropSelector
from scenograph.scenes.geometry import relation_holds
from scenograph.scenes.lexicon import CATEGORIES
from scenograph.scenes.origin import Origin
from scenograph.scenes.png import png_to_text, record_in
from scenograph.scenes.repair import repairs
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.solver import refine
from scenograph.scenes.synonyms import name_for, nearest
from scenograph.scenes.text import scene_from_text, scene_to_lines, scene_to_text
from scenograph.studio.server.limits import MOST_OBJECTS, opened, read_picture, read_scene
from scenograph.studio.server.notes import collecting
from scenograph.studio.server.offer import Offer
from scenograph.studio.server.problems import ServiceError
from scenograph.studio.server.schemas import (
    LARGEST_SEED,
    ChecksAsked,
    ChecksReply,
    Contradiction,
    CropEntry,
    CropsAsked,
    CropsReply,
    DescriptionReply,
    FoundScene,
    RecordAsked,
    RecordReply,
    RefineAsked,
    SceneAsked,
    SceneReply,
    SearchAsked,
    SearchReply,
    TextAsked,
    UnknownCategory,
)

NEAREST = 6
"""Names that are offered for an unknown one."""
MOST_REPAIRS, MOST_LOOKED_AT = 8, 2048
"""Contradictions that are told at once; and relations that are looked at for them, as each costs a look at all."""


class SceneWork:
    """The answers, one method each; :meth:`crops` is for the model thread, as a memory encodes what it compares."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer

    def text(self, asked: TextAsked) -> SceneReply:
        """A text as a scene."""
        names = self.offer.vocabulary(self.offer.choose(asked.text, asked.layout, asked.image))
        with collecting() as notes, naming_who_knows():
            scene = scene_from_text(asked.text, names)
        if len(scene.objects) > MOST_OBJECTS:
            message = f"text: it names {len(scene.objects)} objects, at most {MOST_OBJECTS} are allowed"
            raise ServiceError(413, "too_many_objects", message, "text")
        return SceneReply(scene=scene.to_dict(), notes=notes)

    def description(self, asked: SceneAsked) -> DescriptionReply:
        """A scene as a text."""
        scene = read_scene(asked.scene)
        return DescriptionReply(text=scene_to_text(scene), lines=scene_to_lines(scene))

    def checks(self, asked: ChecksAsked) -> ChecksReply:
        """What contradicts, what is unknown, and what the boxes show."""
        scene = read_scene(asked.scene)
        names = self.offer.vocabulary(self.offer.choose(scene, asked.layout, asked.image)).category_index
        unknown = [
            UnknownCategory(
                object=number, category=thing.category, nearest=nearest(thing.category, CATEGORIES, names)[:NEAREST]
            )
            for number, thing in enumerate(scene.objects)
            if name_for(thing.category, CATEGORIES, names) is None
        ]
        most = min(max(MOST_LOOKED_AT // max(len(scene.relations), 1), 1), MOST_REPAIRS)
        found = [Contradiction(relations=one.relations, repair=[one.left_out]) for one in repairs(scene, most)]
        return ChecksReply(contradictions=found, unknown=unknown, holds=_holds(scene))

    def refine(self, asked: RefineAsked) -> SceneReply:
        """A scene with boxes moved so that all spatial relations hold."""
        scene = read_scene(asked.scene)
        if asked.movable is not None and len(asked.movable) != len(scene.objects):
            message = f"movable: {len(asked.movable)} values for {len(scene.objects)} objects; give one for each"
            raise ServiceError(400, "bad_scene", message, "movable")
        with collecting() as notes:
            return SceneReply(scene=refine(scene, asked.movable).to_dict(), notes=notes)

    def search(self, asked: SearchAsked) -> SearchReply:
        """Scenes of a collection that are like one."""
        if asked.search not in self.offer.searches:
            remedy = suggest(asked.search, self.offer.searches)
            raise ServiceError(404, "unknown_search", f"no collection {asked.search!r} {remedy}", "search")
        with collecting() as notes:
            index, scene = self.offer.searches[asked.search], read_scene(asked.scene)
            found = index.search(scene, top=asked.top)
        numbers = index.known_objects(scene)  # as the query leaves out what no scene of the index shows
        results = [
            FoundScene(
                id=hit.id,
                score=round(hit.score, 4),
                thumbnail="" if hit.image is None else png_to_text(np.asarray(hit.image)),
                scene=hit.scene.to_dict(),
                matches=[(numbers[one], other) for one, other, _ in hit.match.pairs],
                author=hit.stored.author,
                licence=hit.stored.licence,
            )
            for hit in found
        ]
        return SearchReply(results=results, notes=notes)

    def record(self, asked: RecordAsked) -> RecordReply:
        """What a picture was made from. Models that are not offered here are left out, with a note."""
        text = record_in(opened(read_picture(asked.png, "png"), "png"))
        if text is None:
            raise ServiceError(400, "no_record", "png: not made by scenograph, it holds no scene", "png")
        made, recorded = made_from(text, "png")
        scene = read_scene(made.scene)
        notes = []
        offered = self.offer.describe()
        named: dict[str, str | None] = {"layout": made.layout, "image": made.image or made.model, "memory": made.memory}
        for role, entries in (("layout", offered.layout), ("image", offered.image), ("memory", offered.memory)):
            if named[role] is not None and named[role] not in [entry.id for entry in entries]:
                notes.append(f"made with the {role} {named[role]!r}, which is not offered here")
                named[role] = None
        seed = made.seed
        if seed > LARGEST_SEED:
            notes.append(f"made with the seed {seed}; here seeds go up to {LARGEST_SEED}")
            seed = 0
        known = {name: recorded.get(name) for name in ("size", "steps", "candidates")}
        options = {name: value for name, value in known.items() if type(value) is int}
        return RecordReply(scene=scene.to_dict(), seed=seed, options=options, notes=notes, **named)

    def crops(self, asked: CropsAsked) -> CropsReply:
        """Crops of a category; those of a memory in the order in which they suit an object, if one is named."""
        if asked.memory not in self.offer.memories:
            remedy = suggest(asked.memory, self.offer.memories)
            raise ServiceError(404, "unknown_memory", f"no memory {asked.memory!r} {remedy}", "memory")
        scene, number = Scene((SceneObject(asked.category),)), 0
        if asked.scene is not None:
            scene, number = read_scene(asked.scene), asked.object or 0
            if number >= len(scene.objects):
                message = f"object: no object {number}; the scene has objects 0 to {len(scene.objects) - 1}"
                raise ServiceError(400, "bad_scene", message, "object")
            thing = replace(scene.objects[number], category=asked.category)
            scene = replace(scene, objects=(*scene.objects[:number], thing, *scene.objects[number + 1 :]))
        return CropsReply(crops=_crops(self.offer.memories[asked.memory], scene, number, asked.top))


def _crops(source: CropSource, scene: Scene, number: int, top: int) -> list[CropEntry]:
    """The crops of a source that suit an object best."""
    if isinstance(source, MemoryCrops):
        (ranking,) = CropSelector(source.memory, top=top).rank(scene, [number])
        return [_entry(crop.id, crop.pixels, crop.origin) for crop in source.memory.crops(ranking.ids)]
    assert isinstance(source, DrawnCrops)
    category = scene.objects[number].category
    name = name_for(category, CATEGORIES, source.atlas.entries)
    if name is None:
        near = nearest(category, CATEGORIES, source.atlas.entries)[:NEAREST]
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise UserError(f"objects[{number}]: unknown category {category!r}, of which no drawing ships{hint}")
    drawn = [source.named(entry.drawing.key) for entry in source.atlas.entries[name][:top]]
    return [_entry(crop.origin.source, crop.pixels, crop.origin) for crop in drawn]


def _entry(name: str, pixels: np.ndarray, origin: Origin) -> CropEntry:
    return CropEntry(
        id=name,
        png=png_to_text(pixels),
        source=origin.source,
        author=origin.author,
        licence=origin.licence,
        origin=origin.text,
    )


def _holds(scene: Scene) -> list[bool | None]:
    """For each relation whether the boxes show it; None where they are missing or cannot tell."""
    boxes = [None if thing.box is None else np.array(thing.box) for thing in scene.objects]
    found: list[bool | None] = []
    for relation in scene.relations:
        subject, other = boxes[relation.subject], boxes[relation.object]
        if subject is None or other is None or relation.subject == relation.object:
            found.append(None)
            continue
        answer = relation_holds(relation.predicate, subject, other)
        found.append(None if answer is None else bool(answer))
    return found
