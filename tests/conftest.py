"""What several test files need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(os.environ.get("SCENOGRAPH_SHARED", Path(__file__).parents[2] / "shared"))
"""Recorded outputs of the original systems and real data; tests that read them are skipped where they are absent."""

torch.set_num_threads(2)


@pytest.fixture
def golden() -> Path:
    folder = SHARED / "golden"
    if not folder.is_dir():
        pytest.skip(f"no recorded outputs at {folder}")
    return folder


@pytest.fixture
def real_data() -> Path:
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
