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


class AttributeEmbedding(nn.Module):
    """Concatenated vectors of attributes, which a linear map mixes if there are several or ``mixed`` is set."""

    def __init__(self, sizes: Sequence[int], embedding_dim: int, mixed: bool = False) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, embedding_dim) for size in sizes)
        self.width = embedding_dim * len(sizes)
        self.mix: nn.Module = nn.Linear(self.width, self.width) if len(sizes) > 1 or mixed else nn.Identity()

    def forward(self, attributes: Tensor) -> Tensor:
        """(O, A) int64 -> (O, A * embedding_dim)."""
        parts = [table(attributes[:, number]) for number, table in enumerate(self.tables)]
        result: Tensor = self.mix(torch.cat(parts, dim=1))
        return result


def drop_attributes(attributes: Tensor, uniform: Tensor, probability: float) -> Tensor:
    """Open each attribute where ``uniform`` (O, G) in [0, 1) falls below the probability."""
    return torch.where(uniform < probability, torch.full_like(attributes, -1), attributes)
