"""Two folders of pictures against each other, without scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenograph.errors import UserError
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.quality import set_figures
from scenograph.evaluation.score import score_figures
from scenograph.evaluation.session import BATCH, Progress


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
