"""Folders of pictures, without scenes: one against another, or the Inception Score of one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenograph.data.pictures import pictures_in
from scenograph.errors import UserError
from scenograph.evaluation.encoders import Encoder
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.pictures import read_picture
from scenograph.evaluation.quality import set_figures
from scenograph.evaluation.score import score_figures
from scenograph.evaluation.session import BATCH, Progress

log = logging.getLogger(__name__)


def folder_figures(
    generated: Path, real: Path | None, encoder: Encoder, splits: int, progress: Progress
) -> list[Figure]:
    """Distances between two folders of pictures, and the Inception Score of the first; each may have its own size.

    Raises ``UserError`` if a folder holds no picture, one that cannot be read, pictures of several sizes, or fewer than
    there are splits; and if one folder is to be measured by an encoder without classes.
    """
    if real is None and encoder.name != "inception":
        raise UserError(f"{generated}: of one folder only the Inception Score is measured: --encoder inception")
    probabilities: list[np.ndarray] = []

    def features(folder: Path, chances: list[np.ndarray]) -> Iterator[np.ndarray]:
        paths = _pictures(folder)
        size = read_picture(paths[0]).size
        for start in range(0, len(paths), BATCH):
            progress(str(folder), start, len(paths))
            part = [np.asarray(read_picture(path, size)) for path in paths[start : start + BATCH]]
            rows, classes = encoder(np.stack(part))
            if classes is not None:
                chances.append(classes)
            yield rows

    figures: list[Figure] = []
    if real is None:
        for _ in features(generated, probabilities):
            pass  # of the classes alone
    else:
        figures, _ = set_figures(encoder, features(real, []), features(generated, probabilities), objects=False)
    count = sum(map(len, probabilities))
    return figures + (score_figures(encoder, iter(probabilities), count, splits) if probabilities else [])


def _pictures(folder: Path) -> list[Path]:
    """Files that are pictures by their names; says which are not."""
    paths, others = pictures_in(folder)
    named = ", ".join(str(path.relative_to(folder)) for path in others[:3]) + (", ..." if len(others) > 3 else "")
    if not paths:
        raise UserError(
            f"{folder}: holds no .png or .jpg pictures, nor others that can be read"
            + (f"; its {len(others)} files are of other kinds: {named}" if others else "")
        )
    if others:
        log.warning("%s: %d files are left out, being no pictures by their names: %s", folder, len(others), named)
    return paths
