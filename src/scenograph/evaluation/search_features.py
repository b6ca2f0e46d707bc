"""Vectors of sketches and pictures in a file, as Scene Designer's ``extract-features`` leaves them, without pickles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from scenograph.data.pickles import read_object_arrays
from scenograph.errors import UserError
from scenograph.evaluation.figure import Figure
from scenograph.evaluation.ranking import rank
from scenograph.evaluation.scene_search import Gallery, Searched, grouped_figures
from scenograph.files import write_atomically
from scenograph.scenes.masks import resize_mask

MASK_SIDE = 64


def write_features(path: Path, gallery: Gallery, searched: Searched) -> None:
    """Write what a method makes of a gallery.

    ``img_reps`` and ``skt_reps`` (N, D) are the vectors of pictures and sketches, ``ids`` (N,) the names of scenes.
    Objects stand one after the other: ``objs`` (O,) are their numbers in ``categories``, ``boxes`` (O, 4) are in
    fractions, ``masks`` (O, 64, 64) relative to these (the whole box where unknown), and ``obj_to_img`` (O,) says which
    scene each is in. Every array is readable without pickles.
    """
    things = [thing for scene in gallery.scenes for thing in scene.objects]
    names = gallery.pack.vocabulary.categories
    numbers = {name: number for number, name in enumerate(names)}
    whole = np.ones((MASK_SIDE, MASK_SIDE), bool)
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        img_reps=searched.vectors.gallery,
        skt_reps=searched.vectors.queries,
        ids=np.array([gallery.pack.ids[row] for row in gallery.rows]),
        objs=np.array([numbers[thing.category] for thing in things]),
        obj_to_img=np.arange(len(gallery)).repeat(gallery.counts),
        boxes=np.array([thing.box for thing in things], dtype=np.float32),
        masks=np.array([whole if one.mask is None else resize_mask(one.mask, MASK_SIDE) for one in things]),
        categories=np.array(names),
    )
    write_atomically(path, stream.getvalue())


def measure_features(path: Path) -> tuple[dict[str, list[Figure]], list[str]]:
    """Instance-level search by a file of features: ours, or one that Scene Designer's own code made.

    Arrays of objects, which theirs hold, are pickles; they are read by an allow-list that runs no code.

    Returns:
        Figures by group of scenes, and notes.

    Raises:
        UserError: The file is damaged, or holds no vectors of sketches and pictures.
    """
    arrays = dict(read_object_arrays(path))
    missing = [name for name in ("img_reps", "skt_reps") if name not in arrays]
    if missing:
        raise UserError(f"{path}: no array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'}")
    pictures, sketches = (_rows(arrays[name], f"{path}, {name}") for name in ("img_reps", "skt_reps"))
    if pictures.shape != sketches.shape:
        shapes = f"{sketches.shape} vectors of sketches for {pictures.shape} of pictures"
        raise UserError(f"{path}: {shapes}; expected one of each for every scene")
    counts = _counts(arrays, len(pictures), str(path))
    notes = [] if counts is not None else [f"{path} does not say how many objects its scenes have"]
    known = np.zeros(len(pictures), dtype=int) if counts is None else counts
    return grouped_figures(rank(sketches, pictures), known), notes


def _rows(values: np.ndarray, where: str) -> np.ndarray:
    """Vectors as numbers (N, D)."""
    try:
        rows = np.stack([np.asarray(one, dtype=np.float64).reshape(-1) for one in values])
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: expected vectors of one length, one for each scene") from error
    if not np.isfinite(rows).all():
        raise UserError(f"{where}: holds numbers that are not finite")
    return rows


def _counts(arrays: dict[str, np.ndarray], scenes: int, where: str) -> np.ndarray | None:
    """Objects of each scene (N,), if the file says so: by the scene of each object, or by objects of each scene."""
    owners: Any = arrays.get("obj_to_img")
    if owners is not None and owners.ndim == 1 and np.issubdtype(owners.dtype, np.integer):
        if ((owners < 0) | (owners >= scenes)).any():
            raise UserError(f"{where}, obj_to_img: names scenes that are not among its {scenes}")
        return np.bincount(owners, minlength=scenes)
    objects: Any = arrays.get("objs")
    if objects is not None and len(objects) == scenes:
        return np.array([np.size(one) for one in objects])
    return None
