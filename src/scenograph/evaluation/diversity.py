"""The metric ``diversity``: how much do two pictures of one layout differ (LPIPS, Zhang et al. 2018)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from scenograph.evaluation.figure import Figure, mean_figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import Metric
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.tools import Tools
from scenograph.models.base import state_digest
from scenograph.pretrained.networks import Download, load_perceptual_distance, perceptual_downloads
from scenograph.scenes.batch import pixels_to_tensor


class DiversityMetric(Metric):
    """LPIPS between the first two pictures of each layout."""

    title = "Variety"
    order = 20
    headline = ("diversity",)

    @classmethod
    def why_inapplicable(cls, layouts: Layouts, subject: Subject, tools: Tools) -> str:
        """As in the base class; and there must be two pictures per layout."""
        why = super().why_inapplicable(layouts, subject, tools)
        return why or ("it takes two pictures per layout: --repeats 2" if layouts.protocol.repeats < 2 else "")

    @classmethod
    def downloads(cls, layouts: Layouts, tools: Tools) -> Sequence[Download]:
        """LPIPS's two files."""
        weights = tools.weights
        return perceptual_downloads(layouts.protocol.lpips, weights.get("backbone"), weights.get("heads"))

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        super().__init__(layouts, tools)
        weights = tools.weights
        distance = load_perceptual_distance(layouts.protocol.lpips, weights.get("backbone"), weights.get("heads"))
        self.distance, self.digest = distance.to(tools.device), state_digest(distance.state_dict())

    def digests(self) -> dict[str, str]:
        """LPIPS's."""
        return {"lpips": self.digest}

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """One distance per layout."""
        first, second = (
            pixels_to_tensor(np.stack([np.asarray(one) for one in chunk.pictures[start :: chunk.repeats]]))
            for start in (0, 1)
        )
        device = self.tools.device
        with torch.inference_mode():
            return {"diversity": self.distance(first.to(device), second.to(device)).cpu().numpy()}

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The mean over layouts."""
        distances = evaluation.all("diversity").astype(np.float64)
        meaning = f"LPIPS ({evaluation.protocol.lpips}) between two pictures of one layout: more is more varied"
        figure = mean_figure("diversity", distances, meaning, short(self.digest), share=False)
        if len(distances) < 2:
            return [figure]
        return [replace(figure, notes=(f"standard deviation over layouts {distances.std(ddof=1):.4f}",))]
