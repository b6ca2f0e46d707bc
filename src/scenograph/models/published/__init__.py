"""The authors' own checkpoints, turned into ours: one file per system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scenograph.models.base import Model
from scenograph.models.published.attspade import import_attspade
from scenograph.models.published.lama import import_lama
from scenograph.models.published.lostgan import import_lostgan
from scenograph.models.published.sg2im import import_sg2im
from scenograph.models.published.spade import import_spade
from scenograph.models.published.wsgc import import_wsgc
from scenograph.scenes.vocabulary import Vocabulary

IMPORTERS: dict[str, Callable[[Path, Vocabulary | None], Model]] = {
    "attspade": import_attspade,
    "lama": import_lama,
    "lostgan": import_lostgan,
    "sg2im": import_sg2im,
    "spade": import_spade,
    "wsgc": import_wsgc,
}
"""System name to the function that reads its checkpoint file; names of categories only where the file lacks them."""
