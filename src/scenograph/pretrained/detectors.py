"""Detectors, and networks that choose among words for a crop, through ``transformers``: the user's own or the hub's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from PIL import Image
from safetensors import SafetensorError

from scenograph.errors import MALFORMED, UserError, expecting, missing_extra, reason
from scenograph.nn.overlaps import without_repeats
from scenograph.pretrained.quiet import quiet
from scenograph.scenes.fields import Box

OPEN = ("owlv2", "owlvit")
"""Kinds of detectors that find whatever they are asked for."""
NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""How ``transformers`` loads a model: code beside its weights is not run, nor does it ask whether to."""
PHRASE = "a photo of a {}"
"""How networks that learned from pictures and their captions are asked for a name."""
LIKELY, LIKELY_OPEN = 0.5, 0.1
"""Scores from which a detector is believed, as their authors' examples have it: of fixed categories, and of any."""


class Found(NamedTuple):
    """An object that a detector found."""

    name: str
    score: float
    box: Box
    """x0, y0, x1, y1 in fractions of the picture."""


class HubDetector:
    """A detector of ``transformers``: DETR, RT-DETR, YOLOS and their kin, or OWL-ViT and OWLv2, which take any names.

    Raises ``UserError`` if ``source``, a folder or a name on the hub, holds none.
    """

    def __init__(self, source: str, device: torch.device) -> None:
        self.source, self._device = source, device
        with loading("detector", source):
            from transformers import (
                AutoConfig,
                AutoImageProcessor,
                AutoModelForObjectDetection,
                AutoModelForZeroShotObjectDetection,
                AutoProcessor,
            )

            self.open = AutoConfig.from_pretrained(source, **NO_CODE).model_type in OPEN
            kind = AutoModelForZeroShotObjectDetection if self.open else AutoModelForObjectDetection
            self._network = kind.from_pretrained(source, **NO_CODE).to(device).eval()
            processor = AutoProcessor if self.open else AutoImageProcessor
            self._processor = processor.from_pretrained(source, **NO_CODE)
        self.least = LIKELY_OPEN if self.open else LIKELY
        self.names: Sequence[str] = [] if self.open else [str(name) for name in self._network.config.id2label.values()]
        """What it finds; empty if that is asked for."""

    def __call__(self, picture: Image.Image, least: float, names: Sequence[str] = ()) -> list[Found]:
        """What a picture shows, the likeliest first.

        Args:
            picture: In RGB.
            least: Score from which an object counts.
            names: What to look for, for a detector that is open.
        """
        said = {"text": [[PHRASE.format(name) for name in names]]} if self.open else {}
        with torch.inference_mode(), expecting(f"the detector {self.source} cannot read a picture; check its files"):
            inputs = self._processor(images=[picture], return_tensors="pt", **said).to(self._device)
            output = self._network(**inputs)
        sizes = [(picture.height, picture.width)]
        if self.open:
            (found,) = self._processor.post_process_grounded_object_detection(output, least, sizes)
        else:
            (found,) = self._processor.post_process_object_detection(output, least, sizes)
        order = found["scores"].argsort(descending=True)
        sides = torch.tensor([picture.width, picture.height] * 2, device=found["boxes"].device)
        boxes, labels = (found["boxes"] / sides).clamp(0, 1)[order], found["labels"][order]
        kept = [number for number in without_repeats(labels, boxes) if (boxes[number, 2:] > boxes[number, :2]).all()]
        called = list(names) if self.open else self._network.config.id2label
        scores = found["scores"][order].tolist()
        return [
            Found(str(called[int(labels[number])]), scores[number], tuple(boxes[number].tolist())) for number in kept
        ]


class HubNamer:
    """CLIP, SigLIP or their kin: which of some descriptions fits a picture best. Raises ``UserError`` as above."""

    def __init__(self, source: str, device: torch.device) -> None:
        with loading("model of attributes", source):
            from transformers import pipeline

            self._pipe: Any = pipeline("zero-shot-image-classification", model=source, device=device, **NO_CODE)

    def __call__(self, picture: Image.Image, descriptions: Sequence[str]) -> tuple[int, float]:
        """The number of the description that fits best, and its probability among them."""
        said = self._pipe(picture, candidate_labels=list(descriptions), hypothesis_template=PHRASE)
        best = max(said, key=lambda one: one["score"])
        return list(descriptions).index(best["label"]), float(best["score"])


@contextmanager
def loading(what: str, source: str) -> Iterator[None]:
    """One clear message for whatever keeps a network from being loaded."""
    try:
        with quiet("transformers"):
            yield
    except ImportError as error:
        if error.name == "transformers":
            raise missing_extra("transformers", "metrics") from error
        raise UserError(f"cannot load the {what} {source}: {reason(error)}") from error
    except (OSError, SafetensorError, UnpicklingError, *MALFORMED) as error:
        raise UserError(f"cannot load the {what} {source}: {reason(error)}; give a folder or a model") from error
