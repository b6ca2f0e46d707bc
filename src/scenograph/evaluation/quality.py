"""The metric ``quality``: how far are generated pictures from real ones, in the features of a network?

FID, KID, precision, recall, density and coverage (see :mod:`scenograph.evaluation.distributions`), and the Inception
Score where there are pictures enough for its splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from scenograph.evaluation.distributions import (
    NEIGHBOURS,
    FrechetDistance,
    Moments,
    Sample,
    kernel_distance,
    neighbourhoods,
    poisson_weights,
)
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.figure import Figure, mean_figure, short, undefined
from scenograph.evaluation.metric import EncoderMetric
from scenograph.evaluation.score import score_figures
from scenograph.evaluation.session import Chunk, Evaluation, Progress

SAMPLE = 5000
"""Feature vectors kept for measures that compare all with all."""
REPLICATES = 20
"""Bootstrap replicates of distances between distributions, each of which is a pass over all features."""

NEIGHBOUR_MEANINGS = {
    "precision": "generated pictures that lie among real ones",
    "recall": "real pictures that lie among generated ones",
    "density": "how densely generated pictures lie among real ones; 1 as densely as those",
    "coverage": "real pictures that have a generated one near them",
}
_NAMES = {
    "inception": {"distance": "fid", "object_distance": "scene_fid", "kernel": "kid"},
    "dinov2": {"distance": "fd_dinov2", "object_distance": "scene_fd_dinov2", "kernel": "kd_dinov2"},
    "classifier": {"distance": "fd_classifier", "object_distance": "scene_fd_classifier", "kernel": "kd_classifier"},
}


class QualityMetric(EncoderMetric):
    """Distances between generated and real pictures."""

    title = "Quality of the pictures"
    needs = frozenset({"pictures", "real pictures"})
    order = 30
    headline = ("fid", "fd_dinov2", "fd_classifier", "inception_score")

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Features of the pictures, and class probabilities where the encoder has classes."""
        return chunk.features(self.encoder)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """The distances, and the Inception Score if there is a picture for each of its splits."""
        figures, distance_to = set_figures(
            self.encoder, evaluation.arrays("features", real=True), evaluation.arrays("features"), objects=False
        )
        count, splits = evaluation.layouts.count * evaluation.protocol.repeats, evaluation.protocol.inception_splits
        if distance_to is not None:
            error = distance_error(evaluation, "features", None, distance_to)
            figures = [replace(figures[0], error=error), *figures[1:]]
        if count < splits:
            return figures
        return figures + score_figures(self.encoder, evaluation.arrays("probabilities"), count, splits)


def set_figures(
    encoder: Encoder, real: Iterator[np.ndarray], generated: Iterator[np.ndarray], objects: bool
) -> tuple[list[Figure], FrechetDistance | None]:
    """Distances between two streams of features (N, D), the Frechet distance first, and how it was measured.

    That is None where there are too few for it.

    For ``objects`` precision and recall, which compare all with all, are left out.
    """
    weights, what, names = short(encoder.digest), "objects" if objects else "pictures", _NAMES[encoder.name]
    name = names["object_distance" if objects else "distance"]
    meaning = f"Frechet distance between {what}, features of {encoder.name}: less is better"
    real_sample, sample = Sample(SAMPLE), Sample(SAMPLE)
    real_moments, moments = _moments(real, real_sample), _moments(generated, sample)
    if moments is None or real_moments is None or min(moments.count, real_moments.count) < 2:
        why = f"it takes two {what} on each side, of which there are {sample.seen} generated, {real_sample.seen} real"
        return [undefined(name, meaning, why, weights)], None
    assert sample.rows is not None and real_sample.rows is not None
    count, size = int(moments.count), len(moments.mean)
    notes = []
    if min(moments.count, real_moments.count) <= size:
        notes.append(
            f"{count} generated and {int(real_moments.count)} real {what} for {size} features: too few for a "
            "covariance of full rank; the distance is far from its limit"
        )
    distance_to = FrechetDistance(real_moments)
    value = distance_to(moments)
    fewest = min(len(sample.rows), len(real_sample.rows))
    if fewest <= NEIGHBOURS:
        notes.append(f"kernel distance, precision and recall need more than {NEIGHBOURS} {what} and are left out")
        return [Figure(name, value, float("nan"), count, meaning, weights, tuple(notes))], distance_to
    figures = [Figure(name, value, float("nan"), count, meaning, weights, tuple(notes))]
    kernel, spread = kernel_distance(real_sample.rows, sample.rows)
    name = ("object_" if objects else "") + names["kernel"]
    note = ("error: over random subsets",)
    figures.append(
        Figure(name, kernel, spread, count, f"kernel distance between {what}: less is better", weights, note)
    )
    if not objects:
        for measure, each in neighbourhoods(real_sample.rows, sample.rows).items():
            bounded = measure != "density"
            figures.append(mean_figure(measure, each, NEIGHBOUR_MEANINGS[measure], weights, share=bounded))
    return figures, distance_to


def distance_error(evaluation: Evaluation, features: str, owner: str | None, distance_to: FrechetDistance) -> float:
    """Standard error of a distance by bootstrap over layouts, real pictures staying as they are.

    ``features`` and ``owner`` name arrays (N, D) and (N,): the rows, and the picture in its chunk that each belongs to
    (None: every row is a picture).
    """
    results, layouts = [], evaluation.layouts
    for weights in poisson_weights(layouts.count, REPLICATES):
        moments = Moments(len(distance_to.first.mean))
        for chunk in range(layouts.chunks):
            with np.load(evaluation.measured(chunk)) as found:
                if features in found:
                    rows = found[features]
                    picture = np.arange(len(rows)) if owner is None else found[owner]
                    first = layouts.numbers(chunk).start
                    moments.add(rows, weights[first + picture // evaluation.protocol.repeats])
        if moments.count > 1:
            results.append(distance_to(moments))
    return float(np.std(results)) if len(results) > 1 else float("nan")


def _moments(parts: Iterator[np.ndarray], sample: Sample) -> Moments | None:
    """Those of all rows, some of which ``sample`` keeps; None if there are no rows."""
    sampled = _sampled(parts, sample)
    first = next(sampled, None)
    return None if first is None else Moments.of(chain([first], sampled))


def _sampled(parts: Iterator[np.ndarray], sample: Sample) -> Iterator[np.ndarray]:
    for part in parts:
        sample.add(part)
        yield part
