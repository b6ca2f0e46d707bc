"""A small memory of painted rectangles, and the tiny encoders that it was made with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from helpers import tiny
from scenograph.retrieval.build import build_memory


@pytest.fixture(scope="session")
def encoders(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("encoders")
    names = []
    for name in ("sg2im", "object-classifier"):
        torch.manual_seed(0)
        tiny(name).save_pretrained(folder / name)
        names.append(str(folder / name))
    return names


@pytest.fixture(scope="session")
def built(painted, encoders, tmp_path_factory) -> Path:
    pytest.importorskip("lancedb")
    folder = tmp_path_factory.mktemp("memories") / "painted.memory"
    build_memory(folder, painted, "train", encoders, licence="CC0-1.0", author="A. Painter")
    return folder


@pytest.fixture
def memory(built, tmp_path) -> Path:
    shutil.copytree(built, tmp_path / "m")
    return tmp_path / "m"
