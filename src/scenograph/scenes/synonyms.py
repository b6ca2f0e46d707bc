"""Words that people use for the names of a vocabulary: Visual Genome's for COCO-Stuff's, above all."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from scenograph.errors import NOTE
from scenograph.scenes.scene import Scene, keep_objects
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

CATEGORIES: dict[str, tuple[str, ...]] = {
    "sky": ("sky-other",),
    "cloud": ("clouds",),
    "ocean": ("sea",),
    "water": ("water-other", "sea", "river"),
    "lake": ("water-other", "river"),
    "street": ("road",),
    "sidewalk": ("pavement",),
    "path": ("pavement", "dirt"),
    "track": ("railroad",),
    "beach": ("sand",),
    "ground": ("ground-other", "dirt"),
    "field": ("grass",),
    "lawn": ("grass",),
    "hedge": ("bush",),
    "stone": ("rock",),
    "plant": ("plant-other", "potted plant"),
    "building": ("building-other",),
    "tower": ("skyscraper", "building-other"),
    "window": ("window-other",),
    "door": ("door-stuff",),
    "wall": ("wall-other", "wall-concrete"),
    "brick": ("wall-brick",),
    "floor": ("floor-wood", "floor-other"),
    "lamp": ("light",),
    "lamp post": ("light",),
    "street light": ("light",),
    "sofa": ("couch",),
    "television": ("tv",),
    "phone": ("cell phone",),
    "fridge": ("refrigerator",),
    "glass": ("wine glass", "cup"),
    "mug": ("cup",),
    "food": ("food-other",),
    "ball": ("sports ball",),
    "plate": ("bowl",),
    "board": ("surfboard", "skateboard"),
    "sign": ("stop sign",),
    "wave": ("sea",),
    "cage": ("fence",),
    "bag": ("handbag", "backpack"),
    "bike": ("bicycle",),
    "motorbike": ("motorcycle",),
    "plane": ("airplane",),
    "ship": ("boat",),
    "sailboat": ("boat",),
    "lamb": ("sheep",),
    "puppy": ("dog",),
    "kitten": ("cat",),
    **dict.fromkeys(
        ("man", "woman", "boy", "girl", "child", "kid", "baby", "lady", "guy", "people", "player", "skier", "surfer"),
        ("person",),
    ),
}
"""Each word with the names that it may stand for, the likeliest first."""
PREDICATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("by", "beside", "near", "along", "close to", "next to"), ("next to",)),
    **dict.fromkeys(("beneath", "underneath"), ("under", "below")),
    "under": ("below",),
    "over": ("above",),
    "in back of": ("behind",),
    "to the left of": ("left of",),
    "to the right of": ("right of",),
    "on the left of": ("left of",),
    "on the right of": ("right of",),
    "within": ("inside",),
    "on top of": ("on", "above"),
    "riding": ("on", "above"),
    "riding on": ("riding", "on", "above"),
    **dict.fromkeys(("carrying", "flying"), ("holding",)),
    "sitting in": ("in", "inside"),
    **dict.fromkeys(("sitting on", "lying on", "hanging on", "growing on"), ("on", "above")),
    **dict.fromkeys(("walking on", "standing in", "grazing on", "grazing in"), ("standing on", "on", "above")),
    **dict.fromkeys(("swimming in", "floating in", "floating on", "sailing on"), ("in", "inside")),
    "flying over": ("above",),
    **dict.fromkeys(("has", "with", "eating", "looking at", "watching", "facing", "touching"), ("next to",)),
}
"""The same of relations."""
# fmt: off
PARTS = frozenset((
    "arm", "back", "background", "base", "branch", "ear", "edge", "eye", "face", "foot", "frame", "front", "hair",
    "hand", "handle", "head", "leg", "line", "mane", "mouth", "neck", "nose", "part", "paw", "roof", "seat", "shadow",
    "short", "side", "sleeve", "spot", "stripe", "tail", "top", "trunk", "wheel", "windshield", "wing",
))
# fmt: on
"""Words for parts of things, which are drawn with them: objects of these names are left out where they are unknown."""


def synonyms(table: Mapping[str, tuple[str, ...]], names: Collection[str]) -> dict[str, str]:
    """The words of a table that stand for one of these names and are none themselves, with the name."""
    found = {}
    for word, candidates in table.items():
        name = next((candidate for candidate in candidates if candidate in names), None)
        if name is not None and word not in names:
            found[word] = name
    return found


def say_read(read: Mapping[str, str]) -> None:
    """Note by which names words were replaced."""
    log.log(NOTE, "%s", ", ".join(f"{word} is taken as {name}" for word, name in read.items()))


def with_known_names(scenes: Sequence[Scene], vocabulary: Vocabulary) -> list[Scene]:
    """Scenes in the names of a vocabulary, as far as synonyms go; messages say what was changed.

    Unknown words are replaced by the names that they stand for, and unknown parts of things are left out.
    """
    categories = synonyms(CATEGORIES, vocabulary.category_index)
    predicates = synonyms(PREDICATES, vocabulary.predicate_index)
    parts = PARTS - vocabulary.category_index.keys() - categories.keys()
    read: dict[str, str] = {}
    left_out: set[str] = set()
    result = []
    for scene in scenes:
        known = _without(scene, parts)
        left_out |= {thing.category for thing in scene.objects} - {thing.category for thing in known.objects}
        found = {thing.category for thing in known.objects} & categories.keys()
        related = {relation.predicate for relation in known.relations} & predicates.keys()
        if found or related:
            read |= {word: categories[word] for word in sorted(found)} | {w: predicates[w] for w in sorted(related)}
            known = replace(
                known,
                objects=tuple(replace(t, category=categories.get(t.category, t.category)) for t in known.objects),
                relations=tuple(
                    replace(r, predicate=predicates.get(r.predicate, r.predicate)) for r in known.relations
                ),
            )
        result.append(known)
    if read:
        say_read(read)
    if left_out:
        log.warning("leaving out %s: parts are drawn with their things", ", ".join(sorted(left_out)))
    return result


def _without(scene: Scene, parts: Collection[str]) -> Scene:
    """The scene without objects of these names, unless it has no others."""
    kept = [number for number, thing in enumerate(scene.objects) if thing.category not in parts]
    return keep_objects(scene, kept) if 0 < len(kept) < len(scene.objects) else scene
