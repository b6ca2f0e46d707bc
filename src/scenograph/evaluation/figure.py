"""A number of a report, and how counts over layouts become one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scenograph.evaluation.distributions import ratio_with_error


@dataclass(frozen=True)
class Figure:
    """One number; NaN where it is not defined, which a note then explains.

    ``error`` is its standard error by bootstrap over layouts; NaN where there is none.
    """

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
    metric: str = ""
    """The metric that it is of, which the evaluation fills in, as it does :attr:`version`."""
    version: int = 1
    """Of its definition: figures of several versions are not compared."""


NOTHING = "there is nothing that it could be measured on"


def undefined(name: str, meaning: str, why: str, weights: str = "", share: bool = False) -> Figure:
    """A figure that is not defined here, and the reason."""
    return Figure(name, math.nan, math.nan, 0, meaning, weights, (f"not defined: {why}",), share)


def mean_figure(
    name: str,
    values: Sequence[float] | np.ndarray,
    meaning: str,
    weights: str = "",
    share: bool = True,
    nothing: str = NOTHING,
) -> Figure:
    """The mean of values (N,), with its standard error; ``nothing`` says why there may be no values."""
    if not len(values):
        return undefined(name, meaning, nothing, weights, share)
    value, error = ratio_with_error(np.asarray(values, dtype=np.float64), np.ones(len(values)))
    return Figure(name, value, error, len(values), meaning, weights, share=share)


def ratio_figure(
    name: str, sums: np.ndarray, counts: np.ndarray, meaning: str, weights: str = "", nothing: str = NOTHING
) -> Figure:
    """The share that sums (N,) are of counts (N,), with its standard error; ``nothing`` says why all may be 0."""
    if not counts.sum():
        return undefined(name, meaning, nothing, weights, share=True)
    value, error = ratio_with_error(sums, counts)
    return Figure(name, value, error, int(counts.sum()), meaning, weights, share=True)


def short(digest: str) -> str:
    """The beginning of a digest, by which reports name a network."""
    return digest[:12]
