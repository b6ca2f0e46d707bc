"""Pictures as scenes: objects by a detector, relations by geometry, attributes by what fits each crop best."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from scenograph.data.pictures import read_rgb
from scenograph.devices import pick_device
from scenograph.errors import NOTE, UserError, counted, reason, with_article
from scenograph.files import is_file, is_folder, read_json
from scenograph.models.detector import Detector
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel, shipped_models
from scenograph.pipelines.defaults import PAIRS, choose_classifier
from scenograph.pretrained.detectors import Found, HubDetector, HubNamer
from scenograph.scenes.batch import picture_to_pixels, pixels_to_tensor
from scenograph.scenes.geometry import mask_centre, sg2im_relation
from scenograph.scenes.lexicon import CATEGORIES, root, spoken
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.scenes.synonyms import name_for
from scenograph.scenes.vocabulary import Vocabulary

DETECTOR = "detector-picture-book"
"""The detector that is taken when none is named."""
MOST = 40
"""Objects of a scene."""
LEAST = 0.3
"""Score from which an object of a detector made here counts."""
SURE = 0.6
"""From this probability, an object has the attribute that fits best."""
SIZES = "size"
"""The group of attributes that a box shows and a crop does not."""

log = logging.getLogger(__name__)


class Finds(Protocol):
    """A detector of either kind."""

    least: float
    """Score from which it is believed, if nobody says otherwise."""
    names: Sequence[str]
    """What it finds; empty if that is asked for."""

    def __call__(self, picture: Image.Image, least: float, names: Sequence[str] = ()) -> list[Found]:
        """What a picture shows, the likeliest first; ``names`` are what to look for, if that is to be said."""
        ...


class OwnDetector:
    """A detector that was trained here."""

    least = LEAST

    def __init__(self, model: Detector) -> None:
        self.model = model
        self.names: Sequence[str] = model.vocabulary.categories

    def __call__(self, picture: Image.Image, least: float, names: Sequence[str] = ()) -> list[Found]:
        """As :class:`Finds`; it looks for all that it knows."""
        side = self.model.config.image_size
        pixels = pixels_to_tensor(picture_to_pixels(picture, side, side)[None]).to(self.model.device)
        with torch.inference_mode():
            (found,) = self.model.detect(pixels, least, MOST)
        rows = zip(found.categories.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True)
        return [
            Found(self.names[category], score, (x0, y0, x1, y1))
            for category, score, (x0, y0, x1, y1) in rows
            if x0 < x1 and y0 < y1
        ]


def scene_of_picture(
    path: Path,
    detector: str | None = None,
    vocabulary: Vocabulary | None = None,
    attributes: str | None = None,
    least: float | None = None,
    device: str = "auto",
) -> Scene:
    """The scene that a picture shows.

    Args:
        path: A picture file.
        detector: A detector that was trained here, or one of ``transformers``: a name, a folder or a hub id. By
            default the one that ships, if there is one.
        vocabulary: The names of the scene: what has none is left out. By default the detector's own, or, for one that
            finds whatever it is asked for, those of the picture-book world.
        attributes: What names attributes: a classifier of objects, or a model of ``transformers`` that compares
            pictures and texts. By default the classifier that ships, for a detector that was trained here.
        least: Score from which an object counts; by default the detector's own.
        device: Where networks compute.

    Returns:
        Objects with boxes, the likeliest first, each related to the nearest other one.

    Raises:
        UserError: The file is no picture, a network cannot be loaded, or nothing is found.
    """
    picture, place = read_rgb(path), pick_device(device)
    finder = load_detector(detector, place)
    own = finder.model.vocabulary if isinstance(finder, OwnDetector) else None
    names = vocabulary or own
    if names is None and isinstance(finder, HubDetector) and finder.open:
        names = PAIRS[1].vocabulary
    asked = spoken(names.category_index) if names is not None else {}
    meant = {word: name for name, word in asked.items()}
    least = finder.least if least is None else least
    found = [one._replace(name=meant.get(one.name, one.name)) for one in finder(picture, least, list(asked.values()))]
    objects = _in_known_names(found, vocabulary)[:MOST]
    if not objects:
        of_names = " of the names that are known" if found else ""
        raise UserError(f"{path}: nothing{of_names} is found with a score of {least:g}; lower --threshold")
    if attributes is not None or own is not None:
        objects = _with_attributes(objects, picture, names, attributes, place)
    return Scene(tuple(objects), tuple(nearest_relations(objects, names)))


def load_detector(source: str | None, device: torch.device) -> Finds:
    """A detector that was trained here, or one of ``transformers``; by default the one that ships.

    Raises ``UserError`` if there is none of that name.
    """
    source = DETECTOR if source is None else source
    if not _made_here(source):
        return HubDetector(source, device)
    model = AutoModel.from_pretrained(source)
    if not isinstance(model, Detector):
        raise UserError(f"--detector {source}: is {with_article(model.name)}, not a detector")
    return OwnDetector(model.to(device))


def _made_here(source: str) -> bool:
    """Whether a model is one of this package, by its ``config.json``; that of a model on the hub is fetched."""
    if source in shipped_models():
        return True
    if is_folder(source):
        file = Path(source) / "config.json"
        if not is_file(file):
            return False
    elif source.count("/") == 1 and not source.startswith((".", "/", "~")):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            file = Path(hf_hub_download(source, "config.json"))
        except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise UserError(f"no model {source!r}: not a folder, and the hub says: {reason(error)}") from error
    else:
        raise UserError(f"no model {source!r}: neither a folder, nor one that ships, nor owner/name of the hub")
    config = read_json(file)
    return isinstance(config, dict) and {"model", "vocabulary"} <= config.keys()


def _in_known_names(found: Sequence[Found], vocabulary: Vocabulary | None) -> list[SceneObject]:
    """Objects in the names of a vocabulary, if there is one; a message says what has none."""
    objects, unknown = [], []
    for one in found:
        name = one.name if vocabulary is None else name_for(one.name, CATEGORIES, vocabulary.category_index)
        if name is None:
            unknown.append(one.name)
        else:
            objects.append(SceneObject(name, box=one.box))
    if unknown:
        kinds = ", ".join(sorted({*unknown}))
        log.log(NOTE, "leaving out %s that the model has no names for: %s", counted(len(unknown), "object"), kinds)
    return objects


def _with_attributes(
    objects: Sequence[SceneObject],
    picture: Image.Image,
    names: Vocabulary | None,
    source: str | None,
    device: torch.device,
) -> list[SceneObject]:
    """Objects with the attributes that something is sure of; regions and sizes get none."""
    if source is not None and (names is None or not names.attributes):
        raise UserError(f"--attributes {source}: there are no names of attributes; name a model that has some: --model")
    chosen = source or choose_classifier({thing.category for thing in objects})
    if chosen is None or names is None:
        return list(objects)
    things = [number for number, thing in enumerate(objects) if not CATEGORIES.has_kind(root(thing.category), "region")]
    shown = [objects[number] for number in things]
    if not shown:
        return list(objects)
    if _made_here(chosen):
        found = _classified(shown, picture, chosen, device)
    else:
        found = _described(shown, picture, names, HubNamer(chosen, device))
    result = list(objects)
    for number, words in zip(things, found, strict=True):
        known = tuple(word for word in words if word in names.attribute_index)
        result[number] = replace(objects[number], attributes=known)
    return result


def _classified(
    objects: Sequence[SceneObject], picture: Image.Image, source: str, device: torch.device
) -> list[list[str]]:
    """What a classifier of objects is sure of."""
    model = AutoModel.from_pretrained(source)
    if not isinstance(model, ObjectClassifier) or model.config.input != "picture":
        raise UserError(f"--attributes {source}: is no classifier of objects in pictures")
    model, side = model.to(device), model.config.image_size
    pixels = pixels_to_tensor(picture_to_pixels(picture, side, side)[None]).to(device)
    boxes = torch.tensor([thing.box for thing in objects], device=device)
    with torch.inference_mode():
        _, *heads = model(pixels, boxes, torch.zeros(len(objects), dtype=torch.int64, device=device))
    found: list[list[str]] = [[] for _ in objects]
    for group, logits in zip(model.config.groups, heads, strict=True):
        chances, best = logits.softmax(1).max(1)
        for words, chance, number in zip(found, chances.tolist(), best.tolist(), strict=True):
            if chance >= SURE and group != SIZES:
                words.append(model.vocabulary.attributes[group][number])
    return found


def _described(
    objects: Sequence[SceneObject], picture: Image.Image, names: Vocabulary, namer: HubNamer
) -> list[list[str]]:
    """What fits each crop best, such as *red car* among cars of all colors."""
    words = spoken(thing.category for thing in objects)
    found = []
    for thing in objects:
        crop, told = picture.crop(_pixels(thing, picture)), list[str]()
        for group, choices in names.attributes.items():
            if group == SIZES or len(choices) < 2:
                continue
            best, chance = namer(crop, [f"{choice} {words[thing.category]}" for choice in choices])
            if chance >= SURE:
                told.append(choices[best])
        found.append(told)
    return found


def _pixels(thing: SceneObject, picture: Image.Image) -> tuple[int, int, int, int]:
    """The box of an object in whole pixels, one at least."""
    assert thing.box is not None
    x0, y0, x1, y1 = thing.box
    left, top = min(int(x0 * picture.width), picture.width - 1), min(int(y0 * picture.height), picture.height - 1)
    return left, top, max(round(x1 * picture.width), left + 1), max(round(y1 * picture.height), top + 1)


def nearest_relations(objects: Sequence[SceneObject], vocabulary: Vocabulary | None = None) -> list[Relation]:
    """How each object, which has a box, lies to the one whose centre is nearest: by sg2im's rule, each pair once.

    With a vocabulary, predicates that it lacks are left out.
    """
    boxes = [thing.box for thing in objects if thing.box is not None]
    centres = [mask_centre(box, None) for box in boxes]
    places = np.array(centres)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    found: dict[frozenset[int], Relation] = {}
    for one, other in enumerate(apart.argmin(axis=1).tolist() if len(boxes) > 1 else []):
        predicate = sg2im_relation(boxes[one], boxes[other], centres[one], centres[other])
        if vocabulary is None or predicate in vocabulary.predicate_index:
            found.setdefault(frozenset((one, other)), Relation(one, predicate, other))
    return list(found.values())
