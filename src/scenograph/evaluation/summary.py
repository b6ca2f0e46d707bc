"""From the measures of an evaluation's chunks to its figures, as a stream: memory does not grow with their number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenograph.errors import UserError
from scenograph.evaluation.classification import CropFiles, classification_accuracy
from scenograph.evaluation.detection import average_precision, read_detections
from scenograph.evaluation.distributions import (
    NEIGHBOURS,
    FrechetDistance,
    InceptionScore,
    Moments,
    Sample,
    kernel_distance,
    neighbourhoods,
    poisson_weights,
    ratio_with_error,
)
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.pictures import read_picture, to_bytes
from scenograph.evaluation.probes import MEANINGS, run_probes
from scenograph.evaluation.robustness import MEANINGS as FORMS
from scenograph.evaluation.robustness import robustness
from scenograph.evaluation.session import BATCH, CHUNK, Draw, Evaluation, Place, Progress, without_layout, without_looks
from scenograph.files import write_atomically
from scenograph.scenes.coco import coco_annotations
from scenograph.scenes.scene import Scene

SAMPLE = 5000
"""Feature vectors kept for measures that compare all with all."""
PROBED = 24
"""Scenes that probes are run on."""
REPLICATES = 20
"""Bootstrap replicates of distances between distributions, each of which is a pass over all features."""

LAYOUT_MEANINGS = {
    "relations": "asked relations that the layout shows",
    "collisions": "objects that another covers by more than three quarters: less is better",
    "box_iou": "mean overlap with the true boxes",
    "box_iou_with_image": "the same, the picture itself counted as a box",
    "recall_0.3": "boxes that overlap the true one by more than 0.3",
    "recall_0.5": "boxes that overlap the true one by more than 0.5",
}
AGREEMENT_MEANINGS = {
    "category": "objects recognised as the asked category",
    "all": "objects recognised in everything that was asked",
    "position": "objects likelier where they were asked than half a side beside it",
}
NEIGHBOUR_MEANINGS = {
    "precision": "generated pictures that lie among real ones",
    "recall": "real pictures that lie among generated ones",
    "density": "how densely generated pictures lie among real ones; 1 as densely as those",
    "coverage": "real pictures that have a generated one near them",
}
_DISTANCE_NAMES = {
    "inception": {"distance": "fid", "object_distance": "scene_fid", "kernel": "kid"},
    "dinov2": {"distance": "fd_dinov2", "object_distance": "scene_fd_dinov2", "kernel": "kd_dinov2"},
    "classifier": {"distance": "fd_classifier", "object_distance": "scene_fd_classifier", "kernel": "kd_classifier"},
}


@dataclass(frozen=True)
class Figure:
    """One number. ``error`` is its standard error by bootstrap over layouts; NaN where there is none."""

    name: str
    value: float
    error: float
    count: int
    meaning: str
    weights: str = ""
    """The beginning of the SHA-256 of the network that measured it."""
    notes: tuple[str, ...] = ()
    share: bool = False
    """Whether it lies between 0 and 1, and so does its interval."""


class Summary:
    """Of a measured evaluation."""

    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation

    def figures(self, progress: Progress) -> list[Figure]:
        """All that the protocol asks for."""
        progress("summing up", 0, 1)
        figures = self._counted_figures()
        if "quality" in self.evaluation.metrics:
            figures += self._distances("")
        if self.evaluation.metrics & {"quality", "score"}:
            figures += self._score()
        if "objects" in self.evaluation.metrics:
            figures += self._distances("crop ")
        if "classification" in self.evaluation.metrics:
            figures += self._classification(progress)
        if "detection" in self.evaluation.metrics:
            figures += self._detection(progress)
        if self.evaluation.draw is not None and "probes" in self.evaluation.metrics:
            figures += self._probes(self.evaluation.draw)
        if self.evaluation.place is not None and "robustness" in self.evaluation.metrics:
            figures += self._robustness(self.evaluation.place)
        progress("summing up", 1, 1)
        return figures

    def _arrays(self, name: str, real: bool = False) -> Iterator[np.ndarray]:
        """One array of every chunk in order; chunks without any are left out."""
        for chunk in range(self.evaluation.layouts.chunks):
            with np.load(self.evaluation.referenced(chunk) if real else self.evaluation.measured(chunk)) as found:
                if name in found and len(found[name]):
                    yield found[name]

    def _counted_figures(self) -> list[Figure]:
        """Shares and means over layouts."""
        with np.load(self.evaluation.measured(0)) as first:
            names = [name.removeprefix("sum ") for name in first.files if name.startswith("sum ")]
        judge = _short(self.evaluation.tools.digests.get("judge", ""))
        result = []
        for name in names:
            sums, counts = (np.concatenate(list(self._arrays(f"{kind} {name}"))) for kind in ("sum", "count"))
            value, error = ratio_with_error(sums, counts)
            weights = "" if name in LAYOUT_MEANINGS else judge
            meaning = LAYOUT_MEANINGS.get(name) or AGREEMENT_MEANINGS.get(name, f"objects whose {name} is recognised")
            result.append(Figure(name, value, error, int(counts.sum()), meaning, weights, share=True))
        if "diversity" in self.evaluation.metrics and self.evaluation.protocol.repeats > 1:
            distances = np.concatenate(list(self._arrays("diversity"))).astype(np.float64)
            spread = f"standard deviation over layouts {distances.std(ddof=1):.4f}" if len(distances) > 1 else ""
            value, error = ratio_with_error(distances, np.ones(len(distances)))
            notes = (spread,) if spread else ()
            meaning = (
                f"LPIPS ({self.evaluation.protocol.lpips}) between two pictures of one layout: more is more varied"
            )
            weights = _short(self.evaluation.tools.digests["lpips"])
            result.append(Figure("diversity", value, error, len(distances), meaning, weights, notes))
        return result

    def _distances(self, prefix: str) -> list[Figure]:
        """Distances between generated and real features, of pictures or of ``crop``s."""
        encoder = self.evaluation.tools.encoder
        assert encoder is not None
        features = f"{prefix}features"
        figures, distance_to = set_figures(
            encoder, self._arrays(features, real=True), self._arrays(features), bool(prefix)
        )
        distance, *others = figures
        return [replace(distance, error=self._distance_error(prefix, distance_to)), *others]

    def _score(self) -> list[Figure]:
        """The Inception Score, where there are pictures enough for its splits."""
        encoder, protocol = self.evaluation.tools.encoder, self.evaluation.protocol
        assert encoder is not None
        count, splits = self.evaluation.layouts.count * protocol.repeats, protocol.inception_splits
        return score_figures(encoder, self._arrays("probabilities"), count, splits) if count >= splits else []

    def _distance_error(self, prefix: str, distance_to: FrechetDistance) -> float:
        """Standard error of a distance by bootstrap over layouts, real pictures staying as they are."""
        results = []
        for weights in poisson_weights(self.evaluation.layouts.count, REPLICATES):
            moments = Moments(len(distance_to.first.mean))
            for chunk in range(self.evaluation.layouts.chunks):
                with np.load(self.evaluation.measured(chunk)) as found:
                    if f"{prefix}features" in found:
                        rows = found[f"{prefix}features"]
                        picture = found["crop picture"] if prefix else np.arange(len(rows))
                        moments.add(rows, weights[chunk * CHUNK + picture // self.evaluation.protocol.repeats])
            if moments.count > 1:
                results.append(distance_to(moments))
        return float(np.std(results)) if len(results) > 1 else float("nan")

    def _classification(self, progress: Progress) -> list[Figure]:
        epochs = self.evaluation.protocol.classification_epochs
        generated, real = (
            CropFiles(
                [self.evaluation.crops(path(n)) for n in range(self.evaluation.layouts.chunks)], self._labels(path)
            )
            for path in (self.evaluation.measured, self.evaluation.referenced)
        )
        right, curve = classification_accuracy(
            generated,
            real,
            self.evaluation.protocol.classification_network,
            epochs,
            self.evaluation.folder / "classification",
            self.evaluation.tools.device,
            progress=lambda epoch: progress("classification", epoch, epochs),
        )
        write_atomically(self.evaluation.folder / "classification" / "curve.json", json.dumps(curve).encode())
        value, error = ratio_with_error(right.astype(np.float64), np.ones(len(right)))
        meaning = (
            f"real crops recognised by a {self.evaluation.protocol.classification_network} trained on generated ones"
        )
        return [Figure("classification_accuracy", value, error, len(right), meaning, share=True)]

    def _labels(self, path: Callable[[int], Path]) -> list[np.ndarray]:
        labels = []
        for chunk in range(self.evaluation.layouts.chunks):
            with np.load(path(chunk)) as found:
                labels.append(found["crop labels"])
        return labels

    def _detection(self, progress: Progress) -> list[Figure]:
        annotations = self._annotations()
        categories = {str(row["name"]): int(row["id"]) for row in annotations["categories"]}
        image_ids = [int(row["id"]) for row in annotations["images"]]
        if self.evaluation.tools.detections is not None:
            sizes = [self.evaluation.size] * len(image_ids)
            detections = read_detections(self.evaluation.tools.detections, sizes, image_ids, categories)
        else:
            assert self.evaluation.tools.detector is not None
            detections, seen = [], 0
            for chunk in range(self.evaluation.layouts.chunks):
                progress("detecting", chunk, self.evaluation.layouts.chunks)
                pictures = self.evaluation.pictures(chunk)
                for start in range(0, len(pictures), BATCH):
                    part = pictures[start : start + BATCH]
                    ids = image_ids[seen : seen + len(part)]
                    detections += self.evaluation.tools.detector(part, ids, categories)
                    seen += len(part)
            write_atomically(self.evaluation.folder / "detections.json", json.dumps(detections).encode())
        count = len(annotations["annotations"])
        meaning = "average precision of a detector against the layouts"
        weights = _short(self.evaluation.tools.digests.get("detector", ""))
        return [
            Figure(name, value, float("nan"), count, meaning, weights)
            for name, value in average_precision(annotations, detections).items()
        ]

    def _annotations(self) -> dict[str, Any]:
        """The layouts as a COCO file, written beside the pictures for detectors run elsewhere."""
        scenes, names = [], []
        for chunk in range(self.evaluation.layouts.chunks):
            for number, scene in enumerate(self.evaluation.scenes(chunk)):
                layout, repeat = divmod(number, self.evaluation.protocol.repeats)
                names.append(f"pictures/sample_{chunk * CHUNK + layout}_{repeat}.png")
                # Without masks: COCO takes annotations with run-length masks for crowds.
                scenes.append(Scene(tuple(replace(thing, mask=None) for thing in scene.objects)))
        annotations = coco_annotations(scenes, names, *self.evaluation.size)
        write_atomically(self.evaluation.folder / "annotations.json", json.dumps(annotations).encode())
        return annotations

    def _robustness(self, place: Place) -> list[Figure]:
        """Over the scenes that probes use, with their true boxes as the standard."""
        layouts = self.evaluation.layouts
        true = [scene for chunk in range(self._probed_chunks) for scene in layouts.scenes(chunk)]
        true = [scene for scene in true if scene.relations][: 4 * PROBED]
        asked = [without_layout(scene) for scene in true]

        def in_batches(scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Scene]:
            starts = range(0, len(scenes), BATCH)
            parts = [place(scenes[start : start + BATCH], seeds[start : start + BATCH]) for start in starts]
            return without_looks([scene for part in parts for scene in part])

        found = robustness(in_batches, asked, without_looks(true), layouts.vocabulary) if true else {}
        figures = []
        for name, (sums, counts) in found.items():
            value, error = ratio_with_error(sums, counts)
            figures.append(Figure(f"box_iou_{name}", value, error, int(counts.sum()), FORMS[name], share=True))
        return figures

    @property
    def _probed_chunks(self) -> int:
        return min(-(-4 * PROBED // CHUNK), self.evaluation.layouts.chunks)

    def _probes(self, draw: Draw) -> list[Figure]:
        def draw_pictures(scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Image.Image]:
            images, _ = draw(scenes, seeds)
            return [
                Image.fromarray(one) for one in to_bytes(images, self.evaluation.protocol.rounding, stretched=False)
            ]

        scenes = [scene for chunk in range(self._probed_chunks) for scene in self.evaluation.scenes(chunk)]
        chosen = scenes[:: self.evaluation.protocol.repeats][:PROBED]
        results = run_probes(draw_pictures, chosen, self.evaluation.layouts.vocabulary)
        figures = []
        for name, meaning in MEANINGS.items():
            scores = np.array([probe.score for probe in results if probe.name == name])
            if len(scores):
                value, error = ratio_with_error(scores, np.ones(len(scores)))
                figures.append(Figure(f"probe_{name}", value, error, len(scores), meaning, share=True))
        return figures


def set_figures(
    encoder: Encoder, real: Iterator[np.ndarray], generated: Iterator[np.ndarray], objects: bool
) -> tuple[list[Figure], FrechetDistance]:
    """Distances between two streams of features (N, D), the Frechet distance first, and how it was measured.

    For ``objects`` precision and recall, which compare all with all, are left out.
    """
    weights, what, names = _short(encoder.digest), "objects" if objects else "pictures", _DISTANCE_NAMES[encoder.name]
    real_sample, sample = Sample(SAMPLE), Sample(SAMPLE)
    real_moments, moments = Moments.of(_sampled(real, real_sample)), Moments.of(_sampled(generated, sample))
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
    name = names["object_distance" if objects else "distance"]
    meaning = f"Frechet distance between {what}, features of {encoder.name}: less is better"
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
            value, error = ratio_with_error(each, np.ones(len(each)))
            meaning, bounded = NEIGHBOUR_MEANINGS[measure], measure != "density"
            figures.append(Figure(measure, value, error, len(each), meaning, weights, share=bounded))
    return figures, distance_to


def score_figures(encoder: Encoder, probabilities: Iterator[np.ndarray], count: int, splits: int) -> list[Figure]:
    """The Inception Score of a stream of class probabilities; nothing for networks without classes."""
    score = InceptionScore(count, splits)
    for part in probabilities:
        score.add(part)
    if not score.seen:
        return []
    value, spread = score.result()
    meaning, note = f"Inception Score, {splits} splits: more is better", ("error: over the splits",)
    return [Figure("inception_score", value, spread, count, meaning, _short(encoder.digest), note)]


def folder_figures(generated: Path, real: Path, encoder: Encoder, splits: int, progress: Progress) -> list[Figure]:
    """Distances between two folders of pictures, and the Inception Score of the first; each may have its own size."""
    probabilities: list[np.ndarray] = []

    def features(folder: Path, chances: list[np.ndarray]) -> Iterator[np.ndarray]:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
        if not paths:
            raise UserError(f"{folder}: holds no .png or .jpg pictures")
        size = read_picture(paths[0]).size
        for start in range(0, len(paths), BATCH):
            progress(str(folder), start, len(paths))
            part = [np.asarray(read_picture(path, size)) for path in paths[start : start + BATCH]]
            rows, classes = encoder(np.stack(part))
            if classes is not None:
                chances.append(classes)
            yield rows

    figures, _ = set_figures(encoder, features(real, []), features(generated, probabilities), objects=False)
    count = figures[0].count
    return figures + (score_figures(encoder, iter(probabilities), count, splits) if probabilities else [])


def _sampled(parts: Iterator[np.ndarray], sample: Sample) -> Iterator[np.ndarray]:
    for part in parts:
        sample.add(part)
        yield part


def _short(digest: str) -> str:
    return digest[:12]
