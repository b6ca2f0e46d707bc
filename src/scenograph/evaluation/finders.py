"""Detectors, as a checker asks them: what of a scene's objects do they find in a picture, and where?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from scenograph.errors import UserError, missing_extra, reason
from scenograph.evaluation.detection import Detector
from scenograph.scenes.fields import Box
from scenograph.scenes.scene import Scene
from scenograph.scenes.text import labels_in_words

OWL = ("owlvit", "owlv2")
"""Detectors of an open vocabulary, by the type in their configuration."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's pixels, by which OWL-ViT's are normed."""


class Found(NamedTuple):
    """Something that a detector finds."""

    box: Box
    score: float


class Finder(ABC):
    """A detector, as the checker asks it."""

    name: str
    least: float
    """The score from which something is found; of what is asked for by name, scores are low."""

    @abstractmethod
    def find(self, picture: Image.Image, scene: Scene) -> list[list[Found] | None]:
        """For each object, all that looks like it, whatever the score; None if the detector has no word for it."""


class ClosedFinder(Finder):
    """A detector of COCO's things."""

    least = 0.3

    def __init__(self, source: str, device: torch.device) -> None:
        self.detector, self.name = Detector(source, device), source

    def find(self, picture: Image.Image, scene: Scene) -> list[list[Found] | None]:
        """As in the base class, by category alone."""
        asked = dict.fromkeys(one.category for one in scene.objects if one.category in self.detector.nameable)
        numbers = {name: number for number, name in enumerate(asked)}
        there: dict[int, list[Found]] = {number: [] for number in numbers.values()}
        for row in self.detector([picture], [{"id": 0, "width": 1, "height": 1}], numbers):
            x, y, width, height = row["bbox"]
            there[row["category_id"]].append(Found((x, y, x + width, y + height), row["score"]))
        return [there[numbers[one.category]] if one.category in numbers else None for one in scene.objects]


class OpenFinder(Finder):
    """A detector of whatever it is asked for, through ``transformers``: OWL-ViT (Minderer et al. 2022) or OWLv2."""

    least = 0.1

    def __init__(self, source: str, device: torch.device) -> None:
        from transformers import AutoModelForZeroShotObjectDetection, AutoTokenizer

        with _loading(source):
            self.network = AutoModelForZeroShotObjectDetection.from_pretrained(source).to(device).eval()
            self.tokenizer = AutoTokenizer.from_pretrained(source)
        self.name, self.device = source, device

    def find(self, picture: Image.Image, scene: Scene) -> list[list[Found] | None]:
        """As in the base class, by attributes and category in words."""
        labels = labels_in_words(scene)
        asked = list(dict.fromkeys(labels))
        pixels, (across, down) = self._pixels(picture)
        words = self.tokenizer(
            [f"a photo of a {label}" for label in asked], padding="max_length", truncation=True, max_length=16,
            return_tensors="pt",
        )  # fmt: skip
        with torch.inference_mode():
            output = self.network(
                input_ids=words["input_ids"].to(self.device),
                attention_mask=words["attention_mask"].to(self.device),
                pixel_values=pixels,
            )
        scores = output.logits[0].float().sigmoid().cpu().numpy()  # (patches, asked)
        centres = output.pred_boxes[0].double().cpu().numpy()  # (patches, 4): x, y, width, height
        corners = np.concatenate([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], axis=1)
        corners = (corners * [across, down, across, down]).clip(0, 1)
        best = scores.argmax(axis=1)
        there: list[list[Found]] = [[] for _ in asked]
        for row, (label, box) in enumerate(zip(best.tolist(), corners.tolist(), strict=True)):
            there[label].append(Found((box[0], box[1], box[2], box[3]), float(scores[row, label])))
        return [there[asked.index(label)] for label in labels]

    def _pixels(self, picture: Image.Image) -> tuple[torch.Tensor, tuple[float, float]]:
        """A picture (1, 3, S, S) as the network sees it, and the sides of that in sides of the picture."""
        side, shown = self.network.config.vision_config.image_size, picture.convert("RGB")
        sides = 1.0, 1.0
        if self.network.config.model_type == "owlv2":  # it sees pictures whole, at the upper left of a square
            longest = max(shown.size)
            square = Image.new("RGB", (longest, longest), (128, 128, 128))
            square.paste(shown)
            sides = longest / shown.width, longest / shown.height
            shown = square
        pixels = np.asarray(shown.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32) / 255
        normed = (pixels - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)
        # (S, S, 3) -> (1, 3, S, S)
        return torch.from_numpy(normed).permute(2, 0, 1)[None].to(self.device), sides


def load_finder(source: str, device: torch.device) -> Finder:
    """A detector by its folder or hub id, of an open or a closed vocabulary. Raises ``UserError`` if there is none."""
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise missing_extra("transformers", "metrics") from error
    with _loading(source):
        kind = AutoConfig.from_pretrained(source).model_type
    return OpenFinder(source, device) if kind in OWL else ClosedFinder(source, device)


@contextmanager
def _loading(source: str) -> Iterator[None]:
    """Turn what ``transformers`` raises into a ``UserError`` that names the detector."""
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise UserError(f"cannot load the detector {source}: {reason(error)}; give its folder") from error
