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
from scenograph.pipelines.pipeline import DEFAULT_CLASSIFIER

ENCODERS = ("inception", "dinov2", "classifier")


@dataclass
class Tools:
    """What metrics measure with. Shared networks are loaded when a metric first asks for them."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    classifier_name: str | None = None
    """The classifier of objects, by name or folder; the shipped one without."""
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
        if self.classifier is None:
            loaded = AutoModel.from_pretrained(self.classifier_name or DEFAULT_CLASSIFIER)
            if not isinstance(loaded, ObjectClassifier):
                raise UserError(f"--classifier {self.classifier_name}: is a {loaded.name}, not an object-classifier")
            self.classifier = loaded.to(self.device)
        unknown = [name for name in categories if name not in self.classifier.vocabulary.category_index]
        if unknown:
            raise UserError(
                f"the classifier does not know {unknown[0]!r}: give one trained on this data with --classifier{remedy}"
            )
        return self.classifier

    def load_encoder(self, name: str) -> Encoder:
        """The network by whose features pictures are compared.

        Raises:
            UserError: For any name but those of :data:`ENCODERS`.
        """
        if self.encoder is None:
            if name == "inception":
                self.encoder = InceptionEncoder(self.weights.get("inception"), self.device)
            elif name == "dinov2":
                self.encoder = DinoEncoder(self.weights.get("dinov2"), self.device)
            elif name == "classifier":
                self.encoder = ClassifierEncoder(self.load_classifier())
            else:
                raise UserError(f"--encoder {name!r}: unknown {suggest(name, ENCODERS)}")
        return self.encoder
