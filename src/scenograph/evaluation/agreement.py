"""The metric ``agreement``: do generated objects look like what was asked? A classifier of real crops answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from scenograph.evaluation.figure import Figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import Metric, counted, counted_figures
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.tools import Tools
from scenograph.models.base import state_digest
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.scenes.batch import SceneBatch, picture_to_pixels, pixels_to_tensor
from scenograph.scenes.scene import Scene
from scenograph.scenes.scoring import Figures, per_picture
from scenograph.scenes.vocabulary import Vocabulary

PARTS = {
    "things": "things recognised as the asked category",
    "regions": "regions of the backdrop recognised as the asked category",
}

NOTHING_COUNTS = {
    **dict.fromkeys(("category", "all"), "every object is smaller than smallest_side"),
    "things": "no thing is large enough to count",
    "regions": "no region of the backdrop is asked for",
    "position": "no object that counts has room beside it",
}
"""Why shares may be of nothing."""


class AgreementMetric(Metric):
    """Objects that a classifier recognises as what was asked."""

    title = "Recognised objects"
    order = 10
    headline = ("all", "category")

    @classmethod
    def why_inapplicable(cls, layouts: Layouts, subject: Subject, tools: Tools) -> str:
        """As in the base class; and there must be a classifier that knows the data."""
        why = super().why_inapplicable(layouts, subject, tools)
        return why or tools.why_no_classifier(layouts.vocabulary.categories)

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        super().__init__(layouts, tools)
        remedy = ", or leave agreement out of --metrics"
        self.classifier = tools.load_classifier(layouts.vocabulary.categories, remedy)
        self.digest = state_digest(self.classifier.state_dict())

    def digests(self) -> dict[str, str]:
        """The classifier's, by the name that evaluations have recorded it under from the first."""
        return {"judge": self.digest}

    def notes(self) -> list[str]:
        """Which classifier was chosen."""
        return self.tools.remarks()

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Sums and counts per layout."""
        protocol = self.layouts.protocol
        found = object_agreement(
            chunk.pictures, chunk.scenes, self.classifier, protocol.smallest_side, protocol.regions
        )
        return counted(found, chunk.repeats)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Shares of the objects."""
        meanings = {
            "category": "objects recognised as the asked category",
            **(PARTS if self.layouts.protocol.regions else {}),
            **{group: f"objects whose {group} is recognised" for group in self.classifier.config.groups},
            "all": "objects recognised in everything that was asked",
            "position": "objects likelier where they were asked than half a side beside it",
        }
        groups = {group: f"no object that counts says its {group}" for group in self.classifier.config.groups}
        return counted_figures(evaluation, meanings, {**NOTHING_COUNTS, **groups}, short(self.digest))


def object_agreement(
    images: Sequence[Image.Image],
    scenes: Sequence[Scene],
    classifier: ObjectClassifier,
    smallest_side: float = 0.1,
    regions: Collection[str] = (),
) -> Figures:
    """Per head (``category`` and attribute groups), and of objects that agree in ``all`` of them: shares that agree.

    ``position``: the share of objects that are likelier, for the classifier, to be what was asked in the asked box than
    in any of the boxes half a side beside, above and below it (as far as these are on the canvas).

    ``things``, ``regions``: as ``category``, of the objects of other categories than ``regions``, and of these alone.

    ``scenes`` say what was asked, with the boxes at which to look. Pictures are brought to the classifier's size.
    Objects whose longer side is at most ``smallest_side``, a fraction of the picture, are left out.
    """
    batch, pictures = seen_by(classifier, images, scenes)
    targets = classifier.targets(batch.objects, batch.attributes)
    with torch.inference_mode():
        heads = classifier(pictures, batch.boxes, batch.object_to_image)
        chance = log_chance(heads, targets)
        placed, beside = torch.ones_like(chance, dtype=torch.bool), torch.zeros_like(chance, dtype=torch.bool)
        for moved in _moved(batch.boxes):
            inside = (moved >= 0).all(dim=1) & (moved <= 1).all(dim=1)
            likelier = chance > log_chance(classifier(pictures, moved, batch.object_to_image), targets)
            placed, beside = placed & (likelier | ~inside), beside | inside
    large = (batch.boxes[:, 2:] - batch.boxes[:, :2]).amax(dim=1) > smallest_side
    names = ("category", *classifier.config.groups)
    everything = large.clone()
    owner = batch.object_to_image.cpu().numpy()

    def count(agrees: Tensor, counted: Tensor) -> tuple[np.ndarray, np.ndarray]:
        rows = counted.cpu().numpy()
        return per_picture(agrees.cpu().numpy()[rows], owner[rows], batch.num_images)

    figures = {}
    for name, logits, target in zip(names, heads, targets, strict=True):
        agrees = (logits.argmax(dim=1) == target) | (target < 0)
        everything &= agrees
        counted = large & (target >= 0)
        figures[name] = count(agrees, counted)
    if regions:
        numbers = [classifier.vocabulary.category_index[name] for name in regions]
        region = torch.isin(batch.objects, torch.tensor(numbers, device=batch.objects.device))
        agrees = heads[0].argmax(dim=1) == targets[0]
        figures |= {"things": count(agrees, large & ~region), "regions": count(agrees, large & region)}
    return {**figures, "all": count(everything, large), "position": count(placed, large & beside)}


def seen_by(
    classifier: ObjectClassifier, images: Sequence[Image.Image], scenes: Sequence[Scene]
) -> tuple[SceneBatch, Tensor]:
    """Scenes of categories that a classifier knows as a batch, and their pictures (N, 3, S, S) at its size.

    The batch has no relations, and no attributes that the classifier does not know.
    """
    asked = [_recognisable(scene, classifier.vocabulary) for scene in scenes]
    batch = SceneBatch.from_scenes(asked, classifier.vocabulary).to(classifier.device)
    side = classifier.config.image_size
    pixels = np.stack([picture_to_pixels(image, side, side) for image in images])
    return batch, pixels_to_tensor(pixels).to(classifier.device)


def _recognisable(scene: Scene, names: Vocabulary) -> Scene:
    """A scene without relations, and without attributes that a classifier does not know."""
    known = names.attribute_index
    objects = [replace(one, attributes=tuple(a for a in one.attributes if a in known)) for one in scene.objects]
    return replace(scene, objects=tuple(objects), relations=())


def log_chance(heads: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """The log probability of all that was asked of each object (O,)."""
    total = torch.zeros(len(targets[0]), device=targets[0].device)
    for logits, target in zip(heads, targets, strict=True):
        asked = logits.log_softmax(dim=1).gather(1, target.clamp(min=0)[:, None])[:, 0]
        total = total + torch.where(target >= 0, asked, 0.0)
    return total


def _moved(boxes: Tensor) -> list[Tensor]:
    """Boxes (O, 4) half a side to the left, to the right, up and down."""
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    across, down = half * half.new_tensor([1.0, 0.0]), half * half.new_tensor([0.0, 1.0])
    return [boxes + shift.repeat(1, 2) for shift in (-across, across, -down, down)]
