"""What a picture shows of what was asked: verdicts on objects and relations by a classifier, a detector or probes.

A checker looks at one picture, and at the complete scene that it was rendered from. It need not be able to tell
everything: what it cannot tell counts neither as right nor as wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from scenograph.evaluation.agreement import log_chance, seen_by
from scenograph.evaluation.finders import Finder
from scenograph.evaluation.probes import QUIET, change_by_place, contrast
from scenograph.evaluation.tools import Tools
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.pipelines.pictured import DETECTOR, load_detector
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pretrained.detectors import Found
from scenograph.scenes.fields import Box
from scenograph.scenes.geometry import box_iou, relation_holds
from scenograph.scenes.lexicon import spoken
from scenograph.scenes.scene import Scene, keep_objects
from scenograph.scenes.text import labels_in_words

Kind = Literal["classifier", "detector", "probes"]
OBEYED = 0.5
"""Contrast from which an object is there for the probes: its place changes three times as much as the rest."""
OVERLAP = 0.3
"""Intersection over union from which what a detector finds is where it was asked."""


@dataclass(frozen=True)
class Verdict:
    """Whether an object or a relation is as it was asked."""

    right: bool | None
    """None: the checker cannot tell."""
    confidence: float
    """That it is right, from 0 to 1."""
    seen: str = ""
    """What is seen of what is not right."""


UNTOLD = Verdict(None, 0.5)


@dataclass(frozen=True)
class Findings:
    """What a checker finds in a picture, in the order of the scene's objects and relations."""

    objects: tuple[Verdict, ...]
    relations: tuple[Verdict, ...]

    @property
    def wrong(self) -> list[int]:
        """The numbers of the objects that are not right."""
        return [number for number, verdict in enumerate(self.objects) if verdict.right is False]

    @property
    def all_right(self) -> bool:
        """Whether nothing is wrong."""
        return all(verdict.right is not False for verdict in (*self.objects, *self.relations))

    @property
    def score(self) -> tuple[float, float]:
        """The higher, the better: the mean of the shares of objects and relations that are right; then confidence."""
        shares = [share_right(verdicts) for verdicts in (self.objects, self.relations)]
        told = [share for share in shares if share is not None]
        confidences = [verdict.confidence for verdict in self.objects]
        return float(np.mean(told)) if told else 0.0, float(np.mean(confidences)) if confidences else 0.0


def share_right(verdicts: Sequence[Verdict]) -> float | None:
    """The share of those that are right among all that could be told; None if none could."""
    right, told = count_right(verdicts)
    return right / told if told else None


def count_right(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """How many are right, and how many could be told."""
    told = [verdict.right for verdict in verdicts if verdict.right is not None]
    return sum(told), len(told)


class Checker(ABC):
    """Looks for what was asked in a picture."""

    name: str
    """For reports."""

    @abstractmethod
    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        """Judge every object and relation.

        Args:
            picture: Of any size.
            scene: What it was rendered from; every object has a box.
            seed: With which it was rendered.
        """


class ClassifierChecker(Checker):
    """Objects are right if a classifier sees the asked category and attributes in their boxes."""

    def __init__(self, classifier: ObjectClassifier) -> None:
        self.classifier, self.name = classifier, classifier.called

    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        """As in the base class. Objects of categories that the classifier does not know cannot be told."""
        names = self.classifier.vocabulary
        known = [number for number, one in enumerate(scene.objects) if one.category in names.category_index]
        verdicts = [UNTOLD] * len(scene.objects)
        if known:
            for number, verdict in zip(known, self._seen(picture, keep_objects(scene, known)), strict=True):
                verdicts[number] = verdict
        return Findings(tuple(verdicts), judge_relations(scene, verdicts, [one.box for one in scene.objects]))

    def _seen(self, picture: Image.Image, scene: Scene) -> list[Verdict]:
        classifier, known = self.classifier, self.classifier.vocabulary
        batch, pictures = seen_by(classifier, [picture], [scene])
        targets = classifier.targets(batch.objects, batch.attributes)
        with torch.inference_mode():
            heads = classifier(pictures, batch.boxes, batch.object_to_image)
        chances = log_chance(heads, targets).exp().tolist()
        choices = [known.categories, *(known.attributes[group] for group in classifier.config.groups)]
        verdicts = []
        for row, chance in enumerate(chances):
            likeliest = [int(head[row].argmax()) for head in heads]
            asked = [int(target[row]) for target in targets]
            found = zip(choices, likeliest, asked, strict=True)
            unlike = [names[one] for names, one, other in found if other not in (-1, one)]
            seen = f"looks {unlike[0]}" if unlike else ""
            if likeliest[0] != asked[0]:
                seen = f"looks like {spoken(unlike[:1])[unlike[0]]}"
            verdicts.append(Verdict(not unlike, chance, seen))
        return verdicts


class DetectorChecker(Checker):
    """Objects are right if a detector finds them where they were asked, relations if the boxes that it finds show them.

    Several objects that are asked for by the same name need as many findings.
    """

    def __init__(self, finder: Finder) -> None:
        self.finder, self.name = finder, finder.name

    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        """As in the base class. Objects that the detector has no word for cannot be told."""
        found = self.finder.find(picture, scene)
        matched = _match(scene, found, self.finder.least)
        verdicts = []
        for number, there in enumerate(found):
            one = matched.get(number)
            if there is None:
                verdicts.append(UNTOLD)
            elif one is not None:
                verdicts.append(Verdict(True, one.score))
            else:
                elsewhere = any(other.score >= self.finder.least for other in there)
                seen = "found elsewhere or too few times" if elsewhere else "not found"
                near = [other.score for other in there if _overlap(scene, number, other) >= OVERLAP]
                verdicts.append(Verdict(False, min(max(near, default=0.0), self.finder.least), seen))
        boxes = [matched[number].box if number in matched else None for number in range(len(found))]
        return Findings(tuple(verdicts), judge_relations(scene, verdicts, boxes))


def _match(scene: Scene, found: Sequence[list[Found] | None], least: float) -> dict[int, Found]:
    """What shows each object, by its number: pairs of the largest overlap first, nothing shows two objects."""
    pairs = [
        (_overlap(scene, number, one), number, one)
        for number, there in enumerate(found)
        for one in there or ()
        if one.score >= least
    ]
    matched: dict[int, Found] = {}
    for overlap, number, one in sorted(pairs, key=lambda pair: (-pair[0], pair[1])):
        if overlap >= OVERLAP and number not in matched and one not in matched.values():
            matched[number] = one
    return matched


def _overlap(scene: Scene, number: int, found: Found) -> float:
    return float(box_iou(np.array(scene.objects[number].box), np.array(found.box)))


class ProbesChecker(Checker):
    """Objects are right if leaving them out changes their place and little else.

    It needs no network, but a further rendering for each object, and does not know what things look like. Looks must
    not depend on how many objects there are (:meth:`~scenograph.pipelines.renderers.base.Renderer.with_looks`).
    """

    name = "obedience probes"

    def __init__(self, pipe: Pipeline, **options: Any) -> None:
        """``options`` are those that the pictures are rendered with."""
        self.pipe, self.options = pipe, options

    def check(self, picture: Image.Image, scene: Scene, seed: int) -> Findings:
        """As in the base class. What an only object changes cannot be told."""
        count = len(scene.objects)
        if count == 1:
            return Findings((UNTOLD,), (UNTOLD,) * len(scene.relations))
        fewer = [keep_objects(scene, [other for other in range(count) if other != number]) for number in range(count)]
        pictures = self.pipe.render(self.pipe.encode_pairs(fewer, [seed] * count, **self.options))
        before = _levels(picture)
        verdicts = []
        for number, (thing, without) in enumerate(zip(scene.objects, pictures, strict=True)):
            assert thing.box is not None, "every object has a box"
            inside, outside, _ = change_by_place(before, _levels(without), (number, [thing.box]), scene)
            found = contrast(inside, outside)
            seen = "nothing changes there without it" if inside < QUIET else "the rest changes with it"
            verdicts.append(Verdict(found >= OBEYED, found, "" if found >= OBEYED else seen))
        return Findings(tuple(verdicts), judge_relations(scene, verdicts, [one.box for one in scene.objects]))


def _levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), dtype=np.float64)


def judge_relations(scene: Scene, objects: Sequence[Verdict], boxes: Sequence[Box | None]) -> tuple[Verdict, ...]:
    """Verdicts on relations: both objects must be right, and boxes (one per object, None if unknown) must show it.

    Relations that geometry cannot decide cannot be told, unless an object is wrong.
    """
    labels = labels_in_words(scene)
    verdicts = []
    for relation in scene.relations:
        ends = relation.subject, relation.object
        wrong = [end for end in ends if objects[end].right is False]
        first, second = (boxes[end] for end in ends)
        holds = None
        if first is not None and second is not None and not any(objects[end].right is None for end in ends):
            holds = relation_holds(relation.predicate, np.array(first), np.array(second))
        confidence = min(objects[end].confidence for end in ends)
        if wrong:
            verdicts.append(Verdict(False, confidence, f"{labels[wrong[0]]} is wrong"))
        elif holds is None:
            verdicts.append(UNTOLD)
        else:
            verdicts.append(Verdict(True, confidence) if holds else Verdict(False, 0.0, "the boxes do not show it"))
    return tuple(verdicts)


def load_checker(
    kind: Kind, scenes: Sequence[Scene], pipe: Pipeline, tools: Tools, options: Mapping[str, Any]
) -> Checker:
    """The checker of a kind.

    Args:
        kind: Which.
        scenes: What will be checked, whose categories a classifier must know.
        pipe: Renders what the probes need.
        tools: What the classifier and the detector are, and where they run.
        options: Of generation, for the probes.

    Raises:
        UserError: The classifier does not know the names, or a model cannot be loaded.
    """
    if kind == "probes":
        return ProbesChecker(pipe, **options)
    if kind == "detector":
        name = tools.detector_name or DETECTOR
        return DetectorChecker(Finder(load_detector(name, tools.device), name))
    categories = list(dict.fromkeys(thing.category for scene in scenes for thing in scene.objects))
    return ClassifierChecker(tools.load_classifier(categories, ", or add --check probes, which needs none"))
