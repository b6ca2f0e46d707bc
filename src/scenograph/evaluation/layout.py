"""The metric ``layout``: do boxes show the relations that are asked for, and do they lie where the true ones do?"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

import numpy as np

from scenograph.evaluation.figure import Figure
from scenograph.evaluation.layouts import without_attributes
from scenograph.evaluation.metric import Metric, counted, counted_figures
from scenograph.evaluation.results_csv import results_text, scene_result
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.files import write_atomically
from scenograph.scenes.scoring import layout_figures_of_scenes

MEANINGS = {
    "box_iou": "mean overlap with the true boxes",
    "box_iou_with_image": "the same, the picture itself counted as a box",
    "recall_0.3": "boxes that overlap the true one by more than 0.3",
    "recall_0.5": "boxes that overlap the true one by more than 0.5",
    "relations": "asked relations that the layout shows",
    "collisions": "objects that another covers by more than three quarters: less is better",
}


class LayoutMetric(Metric):
    """Agreement of predicted boxes with the graph and with the true boxes."""

    title = "Layouts"
    needs = frozenset({"predicted boxes"})
    order = 0
    headline = ("relations", "box_iou")
    # 2: contact counts as a relation and excuses overlap, and regions neither cover nor are covered.
    versions = MappingProxyType({"relations": 2, "collisions": 2})

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Sums and counts per layout."""
        placed, true = without_attributes(chunk.scenes), without_attributes(chunk.true)
        return counted(layout_figures_of_scenes(placed, true, self.layouts.vocabulary), chunk.repeats)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Shares and means."""
        nothing = {"relations": "the scenes have no relations that boxes can show"}
        return counted_figures(evaluation, MEANINGS, nothing)

    def write_files(self, evaluation: Evaluation) -> list[Path]:
        """True and predicted boxes of the first repeats, as Canonical Sg2Im's scripts read them."""
        results, layouts, repeats = [], evaluation.layouts, evaluation.protocol.repeats
        for chunk in range(layouts.chunks):
            true, ids = layouts.scenes(chunk), layouts.ids(chunk)
            placed = evaluation.scenes(chunk)[::repeats]
            results += [scene_result(*row) for row in zip(ids, placed, true, strict=True)]
        return [write_atomically(evaluation.folder / "results.csv", results_text(results).encode())]
