"""The metric ``objects``: how far are crops of generated objects from real ones (SceneFID, Sylvain et al. 2021)?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenograph.evaluation.figure import Figure
from scenograph.evaluation.metric import EncoderMetric
from scenograph.evaluation.quality import distance_error, set_figures
from scenograph.evaluation.session import Chunk, Evaluation, Progress, encode


class ObjectsMetric(EncoderMetric):
    """Distances between generated and real objects."""

    title = "Quality of the objects"
    needs = frozenset({"pictures", "real pictures"})
    order = 40
    headline = ("scene_fid", "scene_fd_dinov2", "scene_fd_classifier")
    reference_settings = ("crop_size",)

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Features of the crops, and the number of the picture that each is from."""
        owner = np.array([number for number, _, _ in chunk.boxed], dtype=np.int64)
        found = encode(self.encoder, chunk.crops(self.layouts.protocol.crop_size))
        return {"crop picture": owner} | ({"crop features": found["features"]} if found else {})

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The distances."""
        real, generated = evaluation.arrays("crop features", real=True), evaluation.arrays("crop features")
        (distance, *others), distance_to = set_figures(self.encoder, real, generated, objects=True)
        if distance_to is None:
            return [distance]
        error = distance_error(evaluation, "crop features", "crop picture", distance_to)
        return [replace(distance, error=error), *others]
