"""A transformer over the objects of a scene, and a token that sums the scene up (Scene Designer, section 3.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-6
ROWS = 5
"""Rows, and columns, of the places that a centre can be in."""
PLACES = ROWS * ROWS
SIZES = 10
"""Classes of an object's area."""


def sinusoids(positions: int, channels: int) -> Tensor:
    """The table of Vaswani et al. (2017): (positions, channels), sines on even channels and cosines on odd ones."""
    channel = torch.arange(channels, dtype=torch.float64)
    angles = torch.arange(positions, dtype=torch.float64)[:, None] / 10000 ** (2 * (channel // 2) / channels)
    return torch.where(channel % 2 == 0, angles.sin(), angles.cos()).float()


class SceneTransformer(nn.Module):
    """Objects of scenes to vectors that know their scene, and one vector per scene.

    Args:
        channels: D, of objects and scenes alike.
        layers: Encoder layers, each normalized after its sums.
        heads: Of the attention; must divide D.
        hidden: Width of the layers' feed-forward networks.
        dropout: Of the input and of both sums of each layer.
        positional: Whether where an object is, of :data:`PLACES`, is added to it.
        three_parts: Column, row and size have a third of the channels each, instead of the place all of them.
        random: In training every object, or each of its three parts, is as likely as not without.
    """

    positions: Tensor

    def __init__(
        self,
        channels: int,
        layers: int,
        heads: int,
        hidden: int,
        dropout: float = 0.1,
        positional: bool = True,
        three_parts: bool = False,
        random: bool = False,
    ) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(channels))
        self.layers = nn.ModuleList(_Layer(channels, heads, hidden) for _ in range(layers))
        self.dropout, self.positional, self.random = dropout, positional, random
        third = channels // 3
        self.parts = [channels - 2 * third, third, third] if three_parts else [channels]
        tables = [sinusoids(max(channels, PLACES), part) for part in self.parts]
        self.register_buffer("positions", torch.cat(tables, dim=1), persistent=False)

    def forward(
        self,
        objects: Tensor,
        real: Tensor,
        places: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        sizes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode N scenes.

        Args:
            objects: (N, K, D), padded.
            real: (N, K) bool: which are no padding.
            places: (N, K) int64 in [0, 25): where each object's centre is, in rows of five.
            generators: One per scene, for dropout and random positions, of which there are none without them.
            sizes: (N, K) int64 in [0, 10): how large each object is; read with ``three_parts``.

        Returns:
            Scene vectors (N, D) and object vectors (N, K, D), of which those of padding mean nothing.
        """
        count, _, channels = objects.shape
        token: Tensor = self.token
        x = objects * math.sqrt(channels)
        counts = real.sum(dim=1).tolist()
        if self.positional:
            x = x + self._encoded(places, sizes, counts, generators)
            # Of a table in one part the original means the last row and takes the last column, one number per channel.
            # It can, because its table is square; the published weights have learned with it.
            whole = len(self.parts) == 1
            token = token + (self.positions[:channels, -1] if whole else self.positions[-1])
        x = torch.cat([token.expand(count, 1, channels), x * real[..., None]], dim=1)  # (N, 1 + K, D)
        seen = F.pad(real, (1, 0), value=True)[:, None, None]  # (N, 1, 1, 1 + K)
        drop = _Dropout(self.dropout, [1 + count for count in counts], generators)
        x = drop(x)
        for layer in self.layers:
            x = layer(x, seen, drop)
        return x[:, 0], x[:, 1:]

    def _encoded(
        self,
        places: Tensor,
        sizes: Tensor | None,
        counts: Sequence[int],
        generators: Sequence[torch.Generator] | None,
    ) -> Tensor:
        """What is added to the objects (N, K, D), of which ``counts`` are real."""
        if len(self.parts) == 1:
            numbers = [places]
        else:
            assert sizes is not None, "three parts include the size"
            numbers = [places % ROWS, places // ROWS, sizes]
        tables = self.positions.split(self.parts, dim=1)
        parts = [table[number] for table, number in zip(tables, numbers, strict=True)]
        if self.random and generators is not None:
            kept = torch.zeros((*places.shape, len(parts)))
            for row, (length, generator) in enumerate(zip(counts, generators, strict=True)):
                kept[row, :length] = torch.rand((length, len(parts)), generator=generator)
            shown = (kept > 0.5).to(parts[0])
            parts = [part * shown[..., number, None] for number, part in enumerate(parts)]
        return torch.cat(parts, dim=-1)


class SceneSum(nn.Module):
    """In place of a transformer: a scene is the sum of its objects, which stay as they are, and a learned token."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(channels))

    def forward(
        self,
        objects: Tensor,
        real: Tensor,
        places: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        sizes: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`SceneTransformer.forward`."""
        return self.token + (objects * real[..., None]).sum(dim=1), objects


class SceneDecoder(nn.Module):
    """The vector of a scene back to those of its objects, which are told apart by their order alone.

    Layers and sizes are those of :class:`SceneTransformer`; nothing is masked.

    Args:
        channels: D.
        layers: Encoder layers.
        heads: Of the attention.
        hidden: Width of the feed-forward networks.
        objects: The most that a scene can have.
        dropout: As in the transformer.
    """

    def __init__(self, channels: int, layers: int, heads: int, hidden: int, objects: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.expand = nn.Linear(1, 1 + objects)
        self.layers = nn.ModuleList(_Layer(channels, heads, hidden) for _ in range(layers))
        self.dropout = dropout

    def forward(self, scenes: Tensor, objects: int, generators: Sequence[torch.Generator] | None = None) -> Tensor:
        """Scenes (N, D) to ``objects`` vectors (N, K, D) each."""
        x = self.expand(scenes[..., None]).transpose(1, 2)  # (N, D, 1) -> (N, D, 1 + most) -> (N, 1 + most, D)
        seen = torch.ones((1, 1, 1, x.shape[1]), dtype=torch.bool, device=x.device)
        drop = _Dropout(self.dropout, [x.shape[1]] * len(x), generators)
        x = drop(x)
        for layer in self.layers:
            x = layer(x, seen, drop)
        return x[:, 1 : 1 + objects]


@dataclass(frozen=True)
class _Dropout:
    """Zeros sampled scene by scene, so that a scene's do not depend on the others of its batch."""

    probability: float
    lengths: Sequence[int]
    """Of each scene's sequence, without padding."""
    generators: Sequence[torch.Generator] | None

    def __call__(self, x: Tensor) -> Tensor:
        """(N, L, D)."""
        if self.generators is None or not self.probability:
            return x
        kept = torch.zeros(x.shape)
        for row, (length, generator) in enumerate(zip(self.lengths, self.generators, strict=True)):
            kept[row, :length] = torch.rand((length, x.shape[2]), generator=generator)
        return x * (kept >= self.probability).to(x) / (1 - self.probability)


class _Layer(nn.Module):
    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(channels, channels) for _ in range(4))
        self.feed_forward = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.norm1, self.norm2 = (nn.LayerNorm(channels, eps=EPSILON) for _ in range(2))

    def forward(self, x: Tensor, seen: Tensor, drop: _Dropout) -> Tensor:
        # (N, L, D) -> (N, heads, L, D / heads)
        query, key, value = (
            projection(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        attended = attended.transpose(1, 2).flatten(2)  # (N, heads, L, D / heads) -> (N, L, D)
        x = self.norm1(x + drop(self.out(attended)))
        result: Tensor = self.norm2(x + drop(self.feed_forward(x)))
        return result
