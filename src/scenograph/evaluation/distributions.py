"""How far apart two sets of pictures are, by the features of a network: FID, KID, Inception Score, precision, recall.

Sets are streamed: what is kept is of constant size, and parts measured by several processes are merged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from scenograph.errors import UserError

NEIGHBOURS = 5
KERNEL_SUBSETS, KERNEL_SUBSET_SIZE = 100, 1000


class Moments:
    """Number, mean (D,) and covariance (D, D) of rows that come in parts, in float64."""

    def __init__(self, size: int) -> None:
        self.count = 0.0
        self.mean = torch.zeros(size, dtype=torch.float64)
        self.scatter = torch.zeros((size, size), dtype=torch.float64)

    def add(self, rows: np.ndarray, weights: np.ndarray | None = None) -> None:
        """More rows (N, D), each counted ``weights`` (N,) times."""
        values = torch.from_numpy(np.asarray(rows)).double()
        counts = torch.ones(len(values), dtype=torch.float64) if weights is None else torch.from_numpy(weights).double()
        total = float(counts.sum())
        if not total:
            return
        mean = counts @ values / total
        centred = values - mean
        part = Moments(len(self.mean))
        part.count, part.mean, part.scatter = total, mean, (centred * counts[:, None]).T @ centred
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Add what other rows gave (Chan, Golub, LeVeque 1979)."""
        total = self.count + other.count
        shift = other.mean - self.mean
        self.scatter += other.scatter + torch.outer(shift, shift) * (self.count * other.count / total)
        self.mean += shift * (other.count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased one; needs two rows."""
        if self.count < 2:
            raise UserError(f"a covariance needs at least 2 pictures, found {self.count:g}")
        return self.scatter / (self.count - 1)

    @staticmethod
    def of(parts: Iterable[np.ndarray]) -> Moments:
        """Of rows in parts; at least one part."""
        moments: Moments | None = None
        for rows in parts:
            moments = moments or Moments(rows.shape[1])
            moments.add(rows)
        if moments is None:
            raise UserError("no pictures to measure")
        return moments


class FrechetDistance:
    """``|m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2))`` (Heusel et al. 2017): FID, if the features are Inception's.

    The root's trace is the sum of the roots of the eigenvalues of ``S1^(1/2) S2 S1^(1/2)``, which is symmetric; what
    belongs to the first set is computed once for any number of others.
    """

    def __init__(self, first: Moments) -> None:
        self.first = first
        values, vectors = torch.linalg.eigh(first.covariance)
        self.root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def __call__(self, second: Moments) -> float:
        """The distance to another set."""
        mixed = torch.linalg.eigvalsh(self.root @ second.covariance @ self.root).clamp(min=0).sqrt().sum()
        spread = self.first.covariance.trace() + second.covariance.trace() - 2 * mixed
        return float((self.first.mean - second.mean).square().sum() + spread)


def kernel_distance(first: np.ndarray, second: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """KID (Binkowski et al. 2018): unbiased squared MMD of random subsets, kernel ``(x y / D + 1)^3``; mean and std."""
    rng = np.random.default_rng(seed)
    # Of a small set, half: subsets that were the whole set would all be one.
    size = min(KERNEL_SUBSET_SIZE, len(first) // 2, len(second) // 2)
    if size < 2:
        raise UserError(f"KID needs at least 4 pictures on each side, found {len(first)} and {len(second)}")
    results = []
    for _ in range(KERNEL_SUBSETS):
        x = torch.from_numpy(first[rng.permutation(len(first))[:size]]).double()
        y = torch.from_numpy(second[rng.permutation(len(second))[:size]]).double()
        same_x, same_y, mixed = _kernel(x, x), _kernel(y, y), _kernel(x, y)
        inner = sum(float(same.sum() - same.diagonal().sum()) for same in (same_x, same_y)) / (size * (size - 1))
        results.append(inner - 2 * float(mixed.mean()))
    return float(np.mean(results)), float(np.std(results))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3


def neighbourhoods(real: np.ndarray, generated: np.ndarray, k: int = NEIGHBOURS) -> dict[str, np.ndarray]:
    """Precision and recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020), by ``k`` neighbours.

    Precision and density for each generated picture, recall and coverage for each real one; their means are the scores.

    Each set is a union of balls around its members, as wide as the distance to the k-th nearest of their own.
    """
    if min(len(real), len(generated)) <= k:
        raise UserError(f"precision and recall need more than {k} pictures a side, found {len(real)}, {len(generated)}")
    x, y = (torch.from_numpy(np.asarray(rows)).double() for rows in (real, generated))
    real_radii, generated_radii = (torch.cdist(rows, rows).kthvalue(k + 1, dim=1).values for rows in (x, y))
    distances = torch.cdist(x, y)
    inside_real = distances <= real_radii[:, None]
    return {
        "precision": inside_real.any(dim=0).double().numpy(),
        "recall": (distances <= generated_radii[None]).any(dim=1).double().numpy(),
        "density": (inside_real.sum(dim=0).double() / k).numpy(),
        "coverage": (distances.min(dim=1).values <= real_radii).double().numpy(),
    }


class InceptionScore:
    """``exp(mean KL(p(y|x) || p(y)))`` (Salimans et al. 2016) of ``splits`` chunks of ``total`` pictures in order."""

    def __init__(self, total: int, splits: int) -> None:
        if total < splits:
            raise UserError(f"an Inception Score of {splits} splits needs at least as many pictures, found {total}")
        self.edges = np.array([number * total // splits for number in range(splits + 1)])
        self.sums: np.ndarray | None = None
        self.entropies = np.zeros(splits)
        self.seen = 0

    def add(self, probabilities: np.ndarray) -> None:
        """The next pictures' class probabilities (N, K)."""
        values = np.asarray(probabilities, dtype=np.float64)
        if self.sums is None:
            self.sums = np.zeros((len(self.entropies), values.shape[1]))
        split = np.searchsorted(self.edges, self.seen + np.arange(len(values)), side="right") - 1
        np.add.at(self.sums, split, values)
        np.add.at(self.entropies, split, _plogp(values).sum(axis=1))
        self.seen += len(values)

    def result(self) -> tuple[float, float]:
        """Mean and (population) standard deviation over the splits."""
        assert self.sums is not None and self.seen == self.edges[-1], "not all pictures have come"
        sizes = np.diff(self.edges)
        scores = np.exp(self.entropies / sizes - _plogp(self.sums / sizes[:, None]).sum(axis=1))
        return float(scores.mean()), float(scores.std())


def _plogp(values: np.ndarray) -> np.ndarray:
    return values * np.log(np.maximum(values, 1e-300))


@dataclass
class Sample:
    """At most ``limit`` of the rows that come, chosen by a checksum of their number: the same in any division."""

    limit: int
    rows: np.ndarray | None = None
    keys: np.ndarray | None = None
    seen: int = 0

    def add(self, rows: np.ndarray) -> None:
        """More rows (N, D)."""
        numbers = (np.arange(self.seen, self.seen + len(rows), dtype=np.uint64) + 1) * np.uint64(0x9E3779B97F4A7C15)
        keys = numbers ^ (numbers >> np.uint64(29))
        self.seen += len(rows)
        if self.rows is not None and self.keys is not None:
            rows, keys = np.concatenate([self.rows, rows]), np.concatenate([self.keys, keys])
        kept = np.sort(np.argsort(keys, kind="stable")[: self.limit])
        self.rows, self.keys = rows[kept], keys[kept]


def poisson_weights(count: int, replicates: int, seed: int = 0) -> np.ndarray:
    """How often each of ``count`` layouts is sampled in each bootstrap replicate: (replicates, count)."""
    return np.random.default_rng([seed, count]).poisson(1.0, (replicates, count)).astype(np.float64)


def ratio_with_error(sums: np.ndarray, counts: np.ndarray, replicates: int = 200) -> tuple[float, float]:
    """``sum / count`` over layouts, and its standard error by bootstrap over layouts; (NaN, NaN) without any count."""
    if counts.sum() == 0:
        return float("nan"), float("nan")
    value = float(sums.sum() / counts.sum())
    if len(sums) < 2:
        return value, float("nan")
    weights = poisson_weights(len(sums), replicates)
    totals = weights @ counts
    ratios = (weights @ sums)[totals > 0] / totals[totals > 0]
    return value, float(ratios.std())
