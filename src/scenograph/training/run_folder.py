"""What a run writes beside its checkpoints and its model: its recipe, vocabulary, curves and picture grids."""

from __future__ import annotations

import json
import logging
import math
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import yaml
from PIL import Image
from PIL.ImageOps import pad
from torch.utils.tensorboard import SummaryWriter

from scenograph.errors import UserError, reason, unreadable
from scenograph.files import make_folder, remove_temporaries, write_atomically
from scenograph.scenes.drawing import contact_sheet, draw_graph
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.curves import Curves, draw_curves
from scenograph.training.recipe import MAY_CHANGE, Recipe, load_recipe
from scenograph.version import __version__

log = logging.getLogger(__name__)

Kind = Literal["train", "validation"]
"""Of figures."""
GRAPH_SIDES = (800, 600)
"""Of a drawn scene graph in the sheet of them, in pixels."""


class RunFolder:
    """The records in a run's folder. Only the main process ``writes``; elsewhere nothing is written."""

    def __init__(self, folder: Path, writes: bool) -> None:
        self.folder, self.writes = folder, writes
        self._tensorboard: SummaryWriter | None = None

    def vocabulary(self) -> Vocabulary | None:
        """The names that the run's model learns; None before the run has begun. Raises ``UserError`` if unreadable."""
        path = self.folder / "vocabulary.json"
        try:
            return Vocabulary.load(path) if path.exists() else None
        except UserError as error:
            raise UserError(f"{error}; delete it if the pack still has the names") from error

    def claim(self, recipe: Recipe, vocabulary: Vocabulary) -> None:
        """Record the run's recipe, vocabulary and versions in its folder.

        Raises:
            UserError: The folder belongs to a run with another recipe. Only the settings of
                :data:`~scenograph.training.recipe.MAY_CHANGE` may differ.
        """
        path = self.folder / "recipe.yaml"
        if path.exists():
            # Fields that recipes did not have when the run began take their defaults.
            before, now = load_recipe(str(path)).settings(), recipe.settings()
            for name in sorted((before.keys() | now.keys()) - MAY_CHANGE):
                if before.get(name) != now.get(name):
                    was, wanted = (f"{name}={settings.get(name)}" for settings in (before, now))
                    raise UserError(
                        f"{self.folder} holds a run with {was}, not {wanted}; choose another --out, where "
                        f"training.start_from={self.folder} takes its networks over"
                    )
        if not self.writes:
            return
        for place in [self.folder, *(part for part in self.folder.iterdir() if part.is_dir())]:
            remove_temporaries(place)
        write_atomically(path, yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False).encode())
        write_atomically(self.folder / "vocabulary.json", vocabulary.to_json().encode())
        write_atomically(self.folder / "versions.json", json.dumps(_versions(), indent=1).encode())

    @contextmanager
    def continued_from(self, step: int) -> Iterator[None]:
        """Continue the curves after a step; points of later steps, which a killed run left, are removed."""
        if not self.writes:
            yield
            return
        path = self.folder / "metrics.jsonl"
        if path.exists():
            lines = _lines(path)
            write_atomically(path, "".join(line for line in lines if _step_of(line) <= step).encode())
            if damaged := sum(_step_of(line) == math.inf for line in lines[:-1]):  # the last one may be cut short
                log.warning("%s: %d lines are damaged and left out", path, damaged)
        with SummaryWriter(self.folder / "tensorboard", purge_step=step + 1) as self._tensorboard:
            yield

    def log(
        self, step: int, kind: Kind, figures: dict[str, float], tag: Callable[[Kind, str], str] = "{}/{}".format
    ) -> None:
        """Add a point to each curve, whose name in TensorBoard is the ``tag`` of its kind and name."""
        if self._tensorboard is None:
            return
        for name, value in figures.items():
            self._tensorboard.add_scalar(tag(kind, name), value, step)
        path = self.folder / "metrics.jsonl"
        try:
            with path.open("a") as stream:
                stream.write(json.dumps({"step": step, "kind": kind, **figures}) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {path}: {reason(error)}") from error

    def add_grid(self, step: int, columns: dict[str, Sequence[Image.Image]]) -> None:
        """Write a sheet of the same scenes, rendered in several ways, side by side."""
        pictures = [picture for row in zip(*columns.values(), strict=True) for picture in row]
        sheet = contact_sheet(pictures, columns=len(columns) * max(8 // len(columns), 1))
        folder = make_folder(self.folder / "grids")
        write_atomically(folder / f"step-{step:08d}.png", lambda stream: sheet.save(stream, "PNG"))
        self._show(step, ", ".join(columns), sheet)

    def picture(self, step: int) -> Path | None:
        """The grid of a step, or, of models that render none, the curves up to here."""
        grid = self.folder / "grids" / f"step-{step:08d}.png"
        if grid.exists():
            return grid
        path = self.folder / "metrics.jsonl"
        sheet = draw_curves(_points(_lines(path))) if path.exists() else None
        if sheet is None:
            return None
        return write_atomically(self.folder / "curves.png", lambda stream: sheet.save(stream, "PNG"))

    def add_graphs(self, step: int, scenes: Sequence[Scene]) -> None:
        """Write a sheet of the scene graphs of the grid, once: they stay the same."""
        path = self.folder / "grids" / "graphs.png"
        if path.exists():
            return
        drawings = [draw_graph(scene).to_image() for scene in scenes]
        sheet = contact_sheet([pad(drawing, GRAPH_SIDES, color="white") for drawing in drawings], columns=4)
        write_atomically(path, lambda stream: sheet.save(stream, "PNG"))
        self._show(step, "scene graphs", sheet)

    def _show(self, step: int, name: str, sheet: Image.Image) -> None:
        if self._tensorboard is not None:
            self._tensorboard.add_image(name, np.asarray(sheet), step, dataformats="HWC")


def _points(lines: Sequence[str]) -> Curves:
    """Each figure's steps and values, by its name; those of validations in front."""
    found: dict[str, Curves] = {"validation": {}, "train": {}}
    for line in lines:
        if _step_of(line) == math.inf:
            continue
        point = json.loads(line)
        curves = found.get(str(point.pop("kind", "")), {})
        step = point.pop("step")
        for name, value in point.items():
            if isinstance(value, int | float):
                curves.setdefault(name, []).append((step, value))
    return {f"{kind} {name}": points for kind, curves in found.items() for name, points in curves.items()}


def _lines(path: Path) -> list[str]:
    """The lines of a file; bytes that are no text make a line that is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    except OSError as error:
        raise unreadable(path, error) from error


def _step_of(line: str) -> float:
    """The step of a logged line; infinity for a line that was cut short."""
    try:
        return float(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


def _versions() -> dict[str, str | None]:
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return {
        "scenograph": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "git": git.stdout.strip() or None,
    }
