"""The metric ``score``: the Inception Score alone (Salimans et al. 2016), which needs no real pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scenograph.errors import UserError
from scenograph.evaluation.distributions import InceptionScore
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.figure import Figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import EncoderMetric
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.evaluation.tools import Tools


class ScoreMetric(EncoderMetric):
    """The Inception Score."""

    title = "Quality of the pictures"
    order = 31
    headline = ("inception_score",)

    @classmethod
    def check(cls, layouts: Layouts, tools: Tools) -> None:
        """The encoder must be Inception, and there must be a picture for each split."""
        protocol = layouts.protocol
        if protocol.encoder != "inception":
            raise UserError("the score metric is Inception's: --encoder inception")
        if layouts.count * protocol.repeats < protocol.inception_splits:
            raise UserError(
                f"the score metric needs {protocol.inception_splits} pictures, one per split: take more --scenes or "
                "--repeats, or fewer splits with --set inception_splits=N"
            )

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Class probabilities of the pictures, and their features."""
        return chunk.features(self.encoder)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The score."""
        count, splits = evaluation.layouts.count * evaluation.protocol.repeats, evaluation.protocol.inception_splits
        return score_figures(self.encoder, evaluation.arrays("probabilities"), count, splits)


def score_figures(encoder: Encoder, probabilities: Iterator[np.ndarray], count: int, splits: int) -> list[Figure]:
    """The Inception Score of a stream of class probabilities; nothing for networks without classes."""
    score = InceptionScore(count, splits)
    for part in probabilities:
        score.add(part)
    if not score.seen:
        return []
    value, spread = score.result()
    meaning, note = f"Inception Score, {splits} splits: more is better", ("error: over the splits",)
    return [Figure("inception_score", value, spread, count, meaning, short(encoder.digest), note)]
