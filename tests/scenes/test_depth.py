"""Depth: nearer things reach lower, unless a relation says otherwise."""

from __future__ import annotations

import pytest

from scenograph.scenes.depth import depth_order


@pytest.mark.parametrize(
    ("relations", "expected"),
    [
        ([], [1, 0, 2]),
        ([(0, "left of", 1)], [1, 0, 2]),
        ([(1, "riding", 0)], [0, 1, 2]),
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
