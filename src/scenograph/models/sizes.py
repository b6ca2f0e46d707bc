"""Bounds of what a configuration may ask for, which may come from anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

import torch
from pydantic import BaseModel, BeforeValidator, PositiveInt
from torch import Tensor, nn

from scenograph.errors import UserError

LARGEST = 16_384
"""Of every whole number in a configuration."""
Network = TypeVar("Network", bound=nn.Module)


def _sides(value: object) -> object:
    """Height and width."""
    match value:
        case int(side):
            return (side, side)
        case [int(), int()]:
            return value
    raise ValueError("expected a side such as 64, or height and width such as [64, 96]")


def one_side(value: object) -> object:
    """The side of a square that may be given by height and width. Raises ``ValueError`` for what is no square."""
    match value:
        case int(side):
            return side
        case [int(height), int(width)] if height == width:
            return height
    raise ValueError("expected one side such as 64, since this network draws squares")


Sides = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_sides)]
"""Height and width of pictures. One number stands for both."""
Side = Annotated[PositiveInt, BeforeValidator(one_side)]
"""The side of square pictures. Height and width may be given if they are equal."""


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
