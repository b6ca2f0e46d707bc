"""Options that are read by hand."""

from __future__ import annotations

import pytest

from scenograph.cli.console import parse_seeds
from scenograph.errors import UserError


def test_seeds():
    assert parse_seeds("0-3") == [0, 1, 2, 3] and parse_seeds("7, 2,2") == [7, 2]
    for bad in ("", "a", "3-1", "1-", "-1", "0-99999"):
        with pytest.raises(UserError, match="--seeds"):
            parse_seeds(bad)
