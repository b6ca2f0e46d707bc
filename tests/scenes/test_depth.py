"""Depth: nearer things reach lower, unless a relation says otherwise; and the edges of regions."""

from __future__ import annotations

import pytest

from scenograph.scenes.depth import depth_order
from scenograph.scenes.geometry import to_edges


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ([], [1, 0, 2]),
        ([(0, "left of", 1)], [1, 0, 2]),
        ([(0, "riding", 1)], [0, 1, 2]),
        ([(2, "behind", 1)], [0, 2, 1]),
        ([(2, "in", 0)], [1, 2, 0]),
        ([(1, "on", 0), (0, "on", 2)], [2, 0, 1]),
        ([(0, "inside", 2), (2, "surrounding", 1)], [2, 0, 1]),
    ],
)
def test_relations_win_over_depths(relations, expected):
    assert depth_order([0.5, 0.2, 0.9], relations) == expected


def test_circles_end():
    assert sorted(depth_order([0.5, 0.2], [(0, "behind", 1), (1, "behind", 0)])) == [0, 1]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0.1, 0.05, 0.9, 0.5), (0.0, 0.0, 1.0, 0.5)),
        ((0.2, 0.05, 0.7, 0.5), (0.0, 0.0, 1.0, 0.5)),
        ((0.1, 0.4, 0.5, 0.9), (0.1, 0.4, 0.5, 1.0)),
        ((0.2, 0.3, 0.6, 0.7), (0.2, 0.3, 0.6, 0.7)),
    ],
)
def test_regions_leave_no_stripes_at_the_edges(box, expected):
    assert to_edges(box) == expected
