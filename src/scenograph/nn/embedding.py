"""Objects as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ObjectEmbedding(nn.Module):
    """Category plus attributes, summed; an open attribute (-1) has a vector of its own.

    ``groups`` holds the number of names in each attribute group.
    """

    def __init__(self, categories: int, groups: Sequence[int], size: int) -> None:
        super().__init__()
        self.category = nn.Embedding(categories, size)
        self.attributes = nn.ModuleList(nn.Embedding(count + 1, size) for count in groups)

    def forward(self, categories: Tensor, attributes: Tensor) -> Tensor:
        """Categories (O,), attributes (O, G) with -1 for open -> (O, size)."""
        total = self.category(categories)
        for group, table in enumerate(self.attributes):
            total = total + table(attributes[:, group] + 1)
        return total


def drop_attributes(attributes: Tensor, uniform: Tensor, probability: float) -> Tensor:
    """Open each attribute where ``uniform`` (O, G) in [0, 1) falls below the probability."""
    return torch.where(uniform < probability, torch.full_like(attributes, -1), attributes)
