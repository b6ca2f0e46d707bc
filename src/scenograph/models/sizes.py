"""Bounds of what a configuration may ask for, which may come from anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from scenograph.errors import UserError

LARGEST = 16_384
"""Of every whole number in a configuration."""
Network = TypeVar("Network", bound=nn.Module)


def check_numbers(config: BaseModel) -> None:
    """Raise ``ValueError`` for a number beyond :data:`LARGEST`."""
    for name, value in config:
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, int) and number > LARGEST:
                raise ValueError(f"{name} {number}: no size or count exceeds {LARGEST}")


def made_for(state: Mapping[str, Tensor], make: Callable[[], Network], where: str) -> Network:
    """A new network for weights.

    Raises ``UserError``, which begins with ``where``, if it is more than twice as large as they are: before it takes
    memory.
    """
    with torch.device("meta"):
        wanted = sum(value.numel() for value in make().state_dict().values())
    held = sum(value.numel() for value in state.values())
    if wanted > 2 * held:
        raise UserError(f"{where}: the weights do not fit the configuration: {held:,} numbers instead of {wanted:,}")
    return make()
