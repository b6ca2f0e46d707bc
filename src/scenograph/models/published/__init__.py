"""The authors' own checkpoints, turned into ours: one file per system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenograph.models.base import Model
from scenograph.models.published.sg2im import import_sg2im

IMPORTERS: dict[str, Callable[[Path], Model]] = {"sg2im": import_sg2im}
"""System name to the function that reads its checkpoint file."""
