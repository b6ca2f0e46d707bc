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
    for old in _list(folder)[:-KEPT]:
        old.unlink()
    return path


def load_checkpoint(folder: Path, *parts: str) -> dict[str, Any] | None:
    """The newest checkpoint of a run, on the CPU, or None before the first one.

    Args:
        folder: Of the checkpoints.
        parts: Names of dictionaries that it must hold beside its step.

    Raises:
        UserError: It is damaged, or lacks a part.
    """
    found = _list(folder)
    if not found:
        return None
    try:
        state = torch.load(found[-1], map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can fail anywhere inside torch's readers
        raise UserError(f"{unreadable(found[-1], error, 'damaged or cut short')}; {REMEDY}") from error
    match state:
        case {"step": int()} if all(isinstance(state.get(part), dict) for part in parts):
            return dict(state)
    raise UserError(f"cannot read {found[-1]}: not a checkpoint of a run; {REMEDY}")


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has a checkpoint."""
    return bool(_list(folder))


def _list(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("checkpoint-*.pt") if re.fullmatch(r"checkpoint-\d{8}\.pt", path.name))
