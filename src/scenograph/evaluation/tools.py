"""The networks that several metrics share, and the files and names that the others load theirs by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from scenograph.errors import UserError, suggest
from scenograph.evaluation.encoders import ClassifierEncoder, DinoEncoder, Encoder, InceptionEncoder
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel
from scenograph.pipelines.defaults import choose_classifier

ENCODERS = ("inception", "dinov2", "classifier")


@dataclass
class Tools:
    """What metrics measure with. Shared networks are loaded when a metric first asks for them."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    classifier_name: str | None = None
    """The classifier of objects, by name or folder; without, the shipped one that knows the data's categories."""
    detector_name: str | None = None
    detections: Path | None = None
    """Results of a detector that was run elsewhere."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Local files that are read instead of downloads, by the name of the weights."""
    classifier: ObjectClassifier | None = None
    encoder: Encoder | None = None

    def load_classifier(self, categories: Sequence[str] = (), remedy: str = "") -> ObjectClassifier:
        """The classifier of objects.

        Raises:
            UserError: For any other model, and for a classifier that does not know all ``categories``, with a further
                ``remedy``.
        """
        classifier = self._any_classifier(categories)
        unknown = [name for name in categories if name not in classifier.vocabulary.category_index]
        if unknown:
            raise UserError(
                f"the classifier does not know {unknown[0]!r}: give one trained on this data with --classifier{remedy}"
            )
        return classifier

    def load_encoder(self, name: str, categories: Sequence[str] = ()) -> Encoder:
        """The network by whose features pictures are compared; a classifier, if none is named, by ``categories``.

        Raises:
            UserError: For any name but those of :data:`ENCODERS`.
        """
        if self.encoder is None:
            if name == "inception":
                self.encoder = InceptionEncoder(self.weights.get("inception"), self.device)
            elif name == "dinov2":
                self.encoder = DinoEncoder(self.weights.get("dinov2"), self.device)
            elif name == "classifier":
                self.encoder = ClassifierEncoder(self._any_classifier(categories))
            else:
                raise UserError(f"--encoder {name!r}: unknown {suggest(name, ENCODERS)}")
        return self.encoder

    def _any_classifier(self, categories: Sequence[str]) -> ObjectClassifier:
        """The one that is named, or the shipped one for these categories, whether it knows all of them or not."""
        if self.classifier is None:
            loaded = AutoModel.from_pretrained(self.classifier_name or choose_classifier(categories))
            if not isinstance(loaded, ObjectClassifier):
                raise UserError(f"--classifier {self.classifier_name}: is a {loaded.name}, not an object-classifier")
            self.classifier = loaded.to(self.device)
        return self.classifier
