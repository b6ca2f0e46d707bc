"""The vectors by which crops are found: of a graph network, and of a classifier of crops."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scenograph.errors import UserError
from scenograph.files import is_folder
from scenograph.models.base import GraphVectors, Model
from scenograph.models.object_classifier import ObjectClassifier
from scenograph.models.registry import AutoModel
from scenograph.scenes.batch import SceneBatch, pixels_to_tensor
from scenograph.scenes.completion import without_unknown_attributes
from scenograph.scenes.png import scaled
from scenograph.scenes.scene import Scene, keep_objects

GRAPH, APPEARANCE = "graph", "appearance"
DEFAULT_ENCODERS = ("mise-layout-picture-book", "object-classifier-picture-book")
"""Models that ship: the first encodes graphs, the second crops."""
PAPER = 222
"""The grey behind a crop, 0 to 255."""
TOGETHER = 256
"""Crops that are encoded at once."""


class CropEncoder:
    """A graph network gives the key of an object with its relations, a classifier that of a crop's pixels.

    Args:
        names: Of models: one whose role is :class:`~scenograph.models.base.GraphVectors` (sg2im, mise-layout), an
            object classifier, or one of each; shipped names, folders or hub ids.

    Raises:
        UserError: A model cannot be loaded, is of neither kind, or there are two of one kind.
    """

    def __init__(self, names: Sequence[str] = DEFAULT_ENCODERS) -> None:
        self.names = tuple(str(Path(name).resolve()) if is_folder(name) else str(name) for name in names)
        self.graph: GraphVectors | None = None
        self.classifier: ObjectClassifier | None = None
        digests = []
        for name in self.names:
            model = AutoModel.from_pretrained(name)
            self._take(model, name)
            digests.append(model.digest)
        self.digest = hashlib.sha256(" ".join(digests).encode()).hexdigest()
        """Of the models: vectors of other ones cannot be compared with these."""

    @property
    def sizes(self) -> dict[str, int]:
        """The length of the vectors of each key."""
        found = {}
        if self.graph is not None:
            found[GRAPH] = self.graph.vector_size
        if self.classifier is not None:
            found[APPEARANCE] = self.classifier.config.channels[-1]
        return found

    def graph_lacks(self, category: str) -> bool:
        """Whether there is a graph network, and it does not know a category."""
        return isinstance(self.graph, Model) and category not in self.graph.vocabulary.category_index

    def graph_vectors(self, scenes: Sequence[Scene]) -> list[np.ndarray]:
        """Vectors (O, D) float32 of the objects of each scene.

        Attributes and relations that the model does not know are left out; an object of an unknown category has zeros.
        """
        assert self.graph is not None and isinstance(self.graph, Model)
        names = self.graph.vocabulary
        result = [np.zeros((len(scene.objects), self.graph.vector_size), np.float32) for scene in scenes]
        known = [
            [number for number, thing in enumerate(scene.objects) if thing.category in names.category_index]
            for scene in scenes
        ]
        encoded = [number for number, rows in enumerate(known) if rows]
        if not encoded:
            return result
        parts = []
        for number in encoded:
            part = without_unknown_attributes(keep_objects(scenes[number], known[number]), names)
            relations = tuple(r for r in part.relations if r.predicate in names.predicate_index)
            objects = tuple(replace(o, mask=None, sketch=None, crop=None) for o in part.objects)
            parts.append(Scene(objects, relations))
        with torch.inference_mode():
            vectors = self.graph.graph_vectors(SceneBatch.from_scenes(parts, names)).numpy()
        row = 0
        for number in encoded:
            count = len(known[number])
            result[number][known[number]] = vectors[row : row + count]
            row += count
        return result

    def appearance_vectors(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Features (R, D) float32 of crops (h, w, 4) uint8, each on grey paper with the classifier's margin."""
        assert self.classifier is not None
        side, margin = self.classifier.config.crop_size, self.classifier.config.margin
        parts = [np.zeros((0, self.sizes[APPEARANCE]), np.float32)]
        for start in range(0, len(crops), TOGETHER):
            pixels = np.stack([_on_paper(crop, side, margin) for crop in crops[start : start + TOGETHER]])
            with torch.inference_mode():
                parts.append(self.classifier.picture_features(pixels_to_tensor(pixels)).numpy())
        return np.concatenate(parts)

    def _take(self, model: Model, name: str) -> None:
        """Give a model its part."""
        if isinstance(model, ObjectClassifier):
            taken, self.classifier = self.classifier is not None, model
        elif isinstance(model, GraphVectors):
            taken, self.graph = self.graph is not None, model
        else:
            raise UserError(
                f"--encoder {name}: {model.name} encodes neither graphs nor crops; give a sg2im or mise-layout model, "
                "an object-classifier, or one of each"
            )
        if taken:
            raise UserError(f"--encoder {name}: there is another of its kind; give one for graphs and one for crops")


def _on_paper(crop: np.ndarray, side: int, margin: float) -> np.ndarray:
    """A crop (h, w, 4) as a picture (side, side, 3) uint8, stretched, on paper that is seen around it."""
    inner = max(round(side / (1 + 2 * margin)), 1)
    pixels = np.full((side, side, 3), PAPER, np.float32)
    shown = np.asarray(scaled(crop, inner, inner, Image.Resampling.BILINEAR), dtype=np.float32)  # alpha is in it
    edge = (side - inner) // 2
    part = pixels[edge : edge + inner, edge : edge + inner]
    part *= 1 - shown[..., 3:] / 255
    part += shown[..., :3]
    return pixels.round().astype(np.uint8)
