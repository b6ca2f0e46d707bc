"""How good a search is: mean average precision, and how much of what was wanted is among the first results."""

from __future__ import annotations

import numpy as np
import torch

from scenograph.errors import UserError

FIRST = (1, 5, 10)


def rank(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """For each query (Q, D) the rows of the gallery (G, D) by Euclidean distance, nearest first: (Q, G)."""
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise UserError(f"queries {queries.shape} and gallery {gallery.shape}: expected rows of one length")
    distances = torch.cdist(torch.from_numpy(queries).double(), torch.from_numpy(gallery).double())
    return torch.argsort(distances, dim=1, stable=True).numpy()


def retrieval_figures(
    queries: np.ndarray,
    gallery: np.ndarray,
    query_labels: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Per query (Q,): ``average_precision``, and ``top_1``, ``top_5``, ``top_10``, the share of what was wanted found.

    Wanted is the gallery's row of the same number, or all rows of the same label. Queries without any wanted row
    are NaN. Raises ``UserError`` if the gallery has fewer than ten rows or the numbers do not fit.
    """
    check_gallery(len(gallery))
    if query_labels is None or gallery_labels is None:
        if len(queries) > len(gallery):
            raise UserError(f"{len(queries)} queries for {len(gallery)} rows: give labels, or a row for each query")
        query_labels, gallery_labels = np.arange(len(queries)), np.arange(len(gallery))
    if len(query_labels) != len(queries) or len(gallery_labels) != len(gallery):
        raise UserError("there must be one label per query and per row of the gallery")
    return ranked_figures(rank(queries, gallery), query_labels, gallery_labels)


def ranked_figures(order: np.ndarray, query_labels: np.ndarray, gallery_labels: np.ndarray) -> dict[str, np.ndarray]:
    """:func:`retrieval_figures` of rows of the gallery in order (Q, G), which may be ranked by anything."""
    wanted = gallery_labels[order] == query_labels[:, None]
    total = wanted.sum(axis=1)
    found = wanted.cumsum(axis=1)
    precision = found / np.arange(1, order.shape[1] + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        figures = {"average_precision": (precision * wanted).sum(axis=1) / total}
        figures |= {f"top_{k}": found[:, k - 1] / total for k in FIRST}
    return figures


def check_gallery(count: int) -> None:
    """Raise ``UserError`` if a gallery has too few rows to be measured."""
    if count < FIRST[-1]:
        raise UserError(f"the gallery has {count} rows; top {FIRST[-1]} needs at least as many")
