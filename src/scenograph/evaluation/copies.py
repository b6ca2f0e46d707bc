"""The metric ``copies``: are generated pictures new, or pictures that a model was trained on?

Authenticity (Alaa, van Breugel, Saveliev & van der Schaar, ICML 2022): the share of pictures that are farther from the
training picture nearest to them than that one is from its own nearest neighbour among the others. Distances are between
features. Real pictures that no model was trained on are measured beside the generated ones, since authenticity of new
pictures is not 1 either.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from scenograph.data.pack import pack_splits
from scenograph.evaluation.figure import Figure, mean_figure, short
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.metric import EncoderMetric
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.session import Chunk, Evaluation, Progress, encode, picture_file
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.tools import Tools
from scenograph.files import make_folder, write_atomically
from scenograph.scenes.drawing import contact_sheet

CLOSEST = 0.01
"""Of real pictures, the share that is nearest to training pictures: generated ones as near are suspect."""
PAIRS = 24
"""Pairs on the sheet."""


class CopiesMetric(EncoderMetric):
    """Distances of generated pictures to the training pictures of the pack, its split ``train``."""

    title = "New pictures, or copies of training pictures"
    needs = frozenset({"pictures", "real pictures"})
    order = 50
    headline = ("authenticity",)

    @classmethod
    def why_inapplicable(cls, layouts: Layouts, subject: Subject, tools: Tools) -> str:
        """As in the base class; and there must be training pictures apart from those that are measured."""
        if "train" not in pack_splits(layouts.pack):
            return "the data has no split 'train'"
        if "train" in layouts.protocol.splits:
            return "the scenes are those of the training pictures"
        return super().why_inapplicable(layouts, subject, tools)

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Features of the pictures."""
        return chunk.features(self.encoder)

    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Authenticity, that of real pictures, and the share of suspects."""
        training = self._training_features(evaluation, progress)
        generated, real = evaluation.all("features"), np.concatenate([*evaluation.arrays("features", real=True)])
        distances, self.nearest = nearest(generated, training)
        self.closest = np.argsort(distances, kind="stable")[:PAIRS]
        real_distances, real_nearest = nearest(real, training)
        suspect = distances < np.quantile(real_distances, CLOSEST)
        authentic = distances > _own_distances(training, self.nearest)
        real_authentic = real_distances > _own_distances(training, real_nearest)
        repeats, weights = evaluation.protocol.repeats, short(self.encoder.digest)
        meanings = {
            "authenticity": "generated pictures farther from the nearest training picture than that is from others",
            "copies": f"generated pictures nearer to a training picture than {1 - CLOSEST:.0%} of the real ones are",
        }
        figures = [
            mean_figure(name, found.reshape(-1, repeats).mean(axis=1), meanings[name], weights)
            for name, found in (("authenticity", authentic), ("copies", suspect))
        ]
        return [*figures, mean_figure("authenticity_real", real_authentic, "the same of the real pictures", weights)]

    def write_files(self, evaluation: Evaluation) -> list[Path]:
        """A sheet of the generated pictures that are closest to training pictures, each beside that one."""
        repeats, training, pairs = evaluation.protocol.repeats, _training(self.layouts), []
        for number in self.closest.tolist():
            path = picture_file(evaluation.picture_folder, number // repeats, number % repeats, repeats)
            chunk, place = divmod(int(self.nearest[number]), len(training.numbers(0)))
            pairs += [read_picture(path), training.pictures(chunk)[place].resize(evaluation.size)]
        stream = io.BytesIO()
        contact_sheet(pairs, columns=8).save(stream, "PNG")
        return [write_atomically(evaluation.folder / "copies.png", stream.getvalue())]

    def _training_features(self, evaluation: Evaluation, progress: Progress) -> np.ndarray:
        """Features (T, D) of all training pictures, at the size of the generated ones; kept for other evaluations."""
        training, size = _training(self.layouts), evaluation.size
        chosen = evaluation.protocol.reference_filter
        identity = {"data": training.identity(), "size": size, "network": self.encoder.digest, "filter": chosen}
        name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        path = make_folder(evaluation.cache) / f"training-{name}.npy"
        if path.exists():
            with path.open("rb") as stream:
                kept: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
            return kept
        features, method = [], Image.Resampling[chosen.upper()]
        for chunk in range(training.chunks):
            progress("training pictures", chunk, training.chunks)
            pictures = (np.asarray(one.resize(size, method)) for one in training.pictures(chunk))
            features.append(encode(self.encoder, pictures)["features"])
        found = np.concatenate(features)
        write_atomically(path, lambda stream: np.save(stream, found))
        return found


def nearest(rows: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row (N, D) the distance to the nearest training row (T, D), and the number of that: (N,) each."""
    distances, numbers = _smallest(rows, training, 1)
    return distances[:, 0], numbers[:, 0]


def _own_distances(training: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Of training rows, by number (N,), the distance to the nearest other: (N,)."""
    return _smallest(training[numbers], training, 2)[0][:, 1]  # the nearest is the row itself


def _smallest(rows: np.ndarray, training: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The smallest distances of each row (N, D) to training rows, and their numbers: (N, count) each."""
    known = torch.from_numpy(training).double()
    parts = [
        torch.cdist(part, known).topk(count, dim=1, largest=False)
        for part in torch.from_numpy(rows).double().split(256)
    ]
    return torch.cat([p.values for p in parts]).numpy(), torch.cat([p.indices for p in parts]).numpy()


def _training(layouts: Layouts) -> Layouts:
    """All training pictures of the pack."""
    return Layouts(layouts.pack, layouts.protocol.model_copy(update={"splits": ("train",), "layouts": None}))
