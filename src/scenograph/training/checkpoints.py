"""Checkpoints: everything that a run needs to continue on the same curve."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from scenograph.errors import UserError, unreadable
from scenograph.files import make_folder, remove_temporaries, write_atomically

KEPT = 2
"""How many of the newest checkpoints are kept, in case the last one is damaged."""
REMEDY = "delete it to use the one before"


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write ``checkpoint-<step>.pt`` whole or not at all, then delete all but the newest ones.

    Later ones are of a run that was continued from an earlier step, and are deleted, too.

    Args:
        folder: Made if it is missing.
        step: Updates done.
        state: Tensors and plain values.

    Returns:
        The new file.

    Raises:
        UserError: The folder cannot be written.
    """
    remove_temporaries(make_folder(folder))
    path = write_atomically(
        folder / f"checkpoint-{step:08d}.pt", lambda stream: torch.save(state, stream), durable=True
    )
    found = _list(folder)
    here = [one.name for one in found].index(path.name)
    for other in [*found[: max(here + 1 - KEPT, 0)], *found[here + 1 :]]:
        other.unlink()
    return path


def load_checkpoint(folder: Path, *parts: str) -> dict[str, Any] | None:
    """The newest checkpoint of a run, on the CPU, or None before the first one.

    Args:
        folder: Of the checkpoints.
        parts: Names of dictionaries that it must hold beside its step.

    Raises:
        UserError: It is damaged, or lacks a part.
    """
    path = newest_checkpoint(folder)
    return None if path is None else read_state(path, *parts)


def read_state(path: Path, *parts: str) -> dict[str, Any]:
    """A checkpoint, on the CPU; ``parts`` and errors as for :func:`load_checkpoint`."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside torch's readers
        raise UserError(f"{unreadable(path, error, 'damaged or cut short')}; {REMEDY}") from error
    match state:
        case {"step": int()} if all(isinstance(state.get(part), dict) for part in parts):
            return dict(state)
    raise UserError(f"cannot read {path}: not a checkpoint of a run; {REMEDY}")


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in a folder of them; None before the first one."""
    return next(reversed(_list(folder)), None)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has a checkpoint."""
    return newest_checkpoint(folder) is not None


def checkpoint_to_resume(resume: str, run: Path) -> Path | None:
    """The checkpoint from which a run continues, or None if it begins.

    Args:
        resume: ``latest``, the run's newest one if it has one; ``none``, to begin; or a checkpoint's path, or that of
            another run, whose newest one is meant.
        run: The run's folder.

    Raises:
        UserError: There is no such checkpoint, or a run that is to begin has begun.
    """
    newest = newest_checkpoint(run / "checkpoints")
    if resume == "latest":
        return newest
    if resume == "none":
        if newest is not None:
            raise UserError(
                f"--resume none: {run} holds a run already, up to {newest.name}; choose another --out, or delete it"
            )
        return None
    path = Path(resume)
    chosen = newest_checkpoint(path / "checkpoints") if path.is_dir() else path
    if chosen is None or not chosen.is_file():
        raise UserError(f"--resume {resume}: no checkpoint there; choose latest, none, or a checkpoint-*.pt of a run")
    return chosen


def _list(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("checkpoint-*.pt") if re.fullmatch(r"checkpoint-\d{8}\.pt", path.name))
