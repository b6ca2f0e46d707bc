"""The networks that several metrics share, and the files and names that the others load theirs by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from scenograph.errors import UserError, suggest, with_article
from scenograph.evaluation.encoders import (
    DINO,
    DINO_MEGABYTES,
    ClassifierEncoder,
    DinoEncoder,
    Encoder,
    InceptionEncoder,
)
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel, read_config
from scenograph.pipelines.defaults import CLASSIFIERS, choose_classifier
from scenograph.pretrained.networks import Download, missing_from_hub, missing_weights

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
    annotations: Path | None = None
    """COCO's own annotations of the pictures, which detections are compared with."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Local files that are read instead of downloads, by the name of the weights."""
    classifier: ObjectClassifier | None = None
    encoder: Encoder | None = None
    _chosen: str | None = field(default=None, init=False)
    """The shipped classifier, if none is named."""

    def why_no_classifier(self, categories: Sequence[str]) -> str:
        """Why no classifier measures data of these categories; empty if one does.

        Raises ``UserError`` for one that is named and that does not know them all.
        """
        if self.classifier is not None or self.classifier_name is not None:
            self.load_classifier(categories)
            return ""
        if choose_classifier(categories) is not None:
            return ""
        return f"no classifier that ships knows {_few(_unknown(categories))}; give one with --classifier"

    def load_classifier(self, categories: Sequence[str] = (), remedy: str = "") -> ObjectClassifier:
        """The classifier of objects: the one that is named, or the shipped one that knows all ``categories``.

        Raises:
            UserError: If none knows them all, if the one that is named does not, with a further ``remedy``, or if it
                is another model.
        """
        if self.classifier is None:
            name = self.classifier_name or choose_classifier(categories)
            if name is None:
                raise _ignorant(_unknown(categories), remedy)
            self._chosen = None if self.classifier_name else name
            loaded = AutoModel.from_pretrained(name)
            if not isinstance(loaded, ObjectClassifier):
                raise UserError(
                    f"--classifier {self.classifier_name}: is {with_article(loaded.name)}, not an object-classifier"
                )
            self.classifier = loaded.to(self.device)
        known = self.classifier.vocabulary.category_index
        if unknown := [name for name in categories if name not in known]:
            raise _ignorant(unknown, remedy)
        return self.classifier

    def load_encoder(self, name: str, categories: Sequence[str] = ()) -> Encoder:
        """The network by whose features pictures are compared; a classifier must know all ``categories``.

        Raises:
            UserError: For any name but those of :data:`ENCODERS`, and as :meth:`load_classifier`.
        """
        if self.encoder is None:
            if name == "inception":
                self.encoder = InceptionEncoder(self.weights.get("inception"), self.device)
            elif name == "dinov2":
                self.encoder = DinoEncoder(self.weights.get("dinov2"), self.device)
            elif name == "classifier":
                self.encoder = ClassifierEncoder(self.load_classifier(categories))
            else:
                raise UserError(f"--encoder {name!r}: unknown {suggest(name, ENCODERS)}")
        return self.encoder

    def remarks(self) -> list[str]:
        """Which classifier measures, if it was not named: it may know the data's names from other pictures."""
        if self.classifier is None or self._chosen is None:
            return []
        return [f"the classifier is {self._chosen}, which knows all categories of the data; --classifier names another"]

    def remarks_on_pictures(self) -> list[str]:
        """What is to be known of features of pictures of which nobody says what they show."""
        if self.classifier is None or self._chosen is None:
            return []
        *others, last = self.classifier.vocabulary.categories
        return [
            f"the features are those of a shipped classifier, which knows {', '.join(others)} and {last}: distances "
            "between pictures of other things say little; give another with --classifier, or take --encoder inception"
        ]

    def encoder_downloads(self, name: str) -> list[Download]:
        """What :meth:`load_encoder` would fetch."""
        if self.encoder is not None or name not in ("inception", "dinov2") or name in self.weights:
            return []
        return missing_weights("inception") if name == "inception" else missing_from_hub(DINO, DINO_MEGABYTES)


def _unknown(categories: Sequence[str]) -> list[str]:
    """The categories that the shipped classifier which knows most of them does not know."""
    known = [{*read_config(name)[1]["vocabulary"]["categories"]} for name in CLASSIFIERS]
    return min(([name for name in categories if name not in names] for names in known), key=len)


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"


def _ignorant(unknown: Sequence[str], remedy: str) -> UserError:
    return UserError(
        f"the classifier does not know {_few(unknown)}: give one trained on this data with --classifier{remedy}"
    )
