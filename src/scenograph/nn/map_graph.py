"""Graph convolution over feature maps: PasteGAN's object refiner (Li et al., NeurIPS 2019, section 3.3, and its code).

Objects and predicates are small maps instead of vectors. Convolutions are linear, so what a triple computes of one
object alone is computed once per object, and what is summed per object is summed before the convolution, not after it.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.nn.convolution import SameConv2d, same_conv2d, take
from scenograph.nn.discriminators import build_cnn
from scenograph.nn.graph import Edges, Pooling
from scenograph.nn.layers import Normalization, leaky_activation, normalization_layers

FLOW_DEVIATION = 0.01
"""Of the initial weights of the network of displacements."""


class MapGraphConv(nn.Module):
    """One layer: every triple computes maps for its three members; an object pools its own and adds what it was.

    ``flow`` first moves each object's features by up to half the map; ``mask`` weighs them by a learnt mask.
    ``residual`` adds the object's input. Triples are weighted by the confidences of the edges: those of weight 0 give
    predicate maps alone.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        predicate_channels: int | None = None,
        normalization: Normalization = "batch",
        activation: str = "leakyrelu-0.1",
        pooling: Pooling = "avg",
        flow: bool = False,
        mask: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.hidden, self.pooling, self.residual = channels, hidden, pooling, residual
        self.predicate_channels = predicate_channels or channels

        def network(description: str, activated: bool = False) -> nn.Sequential:
            return build_cnn(description, normalization, activation, "same", activated=activated)[0]

        self.triple_net = network(f"I{2 * channels + self.predicate_channels},C3-{hidden},C3-{2 * hidden + channels}")
        self.predicate_net = nn.Sequential(*normalization_layers(normalization, channels), leaky_activation(activation))
        self.pooled_net = network(f"I{hidden},C3-{hidden},C1-{channels}", activated=True)
        self.object_net = network(f"I{channels},C3-{hidden},C1-{channels}", activated=True)
        self.flow_net = network(f"I{channels},C3-{channels},C3-{channels},C3-2") if flow else None
        self.mask_net = network(f"I{channels},C1-{channels},C3-{channels},C1-1") if mask else None
        for layer in self.flow_net or ():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=FLOW_DEVIATION)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # these convolutions have one

    def forward(self, maps: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Objects (O, C, h, w), predicates (T, P, h, w) or (T, P) for constant maps -> (O, C, h, w), (T, C, h, w)."""
        x = maps
        if self.flow_net is not None:
            x = displaced(x, torch.tanh(self.flow_net(x)))
        if self.mask_net is not None:
            x = x * self.mask_net(x).sigmoid()
        if predicates.ndim == 2:
            predicates = predicates[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        pooled, new_predicates = self._pool(x, predicates, edges)
        result = self.pooled_net(pooled) + self.object_net(x)
        return result + maps if self.residual else result, self.predicate_net(new_predicates)

    def _pool(self, x: Tensor, predicates: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """What objects pool of their triples (O, hidden, h, w), and the triples' own maps (T, C, h, w)."""
        first, *middle, second = self.triple_net
        first, second = cast(SameConv2d, first), cast(SameConv2d, second)
        # (hidden, 2 C + P, 3, 3) -> by input; (2 hidden + C, hidden, 3, 3) -> by output
        of_subject, of_predicate, of_object = first.weight.split(
            [self.channels, self.predicate_channels, self.channels], dim=1
        )
        parts = [self.hidden, self.channels, self.hidden]
        to_subject, to_predicate, to_object = second.weight.split(parts)
        subject_bias, predicate_bias, object_bias = second.bias.split(parts)  # type: ignore[union-attr]
        ends = torch.cat([same_conv2d(x, of_subject, first.bias), same_conv2d(x, of_object, None)])
        table = map_rows(ends)
        as_subject = table.new_zeros((x.shape[0], table.shape[1]))
        as_object, counts, found = torch.zeros_like(as_subject), x.new_zeros((2, x.shape[0], 1)), []
        for part, by_subject, by_object, _ in edges.parts:
            hidden = rows_to_maps(take(table, edges.ends[part]), ends)
            hidden = hidden + same_conv2d(predicates[part], of_predicate, None)
            for layer in middle:
                hidden = layer(hidden)
            found.append(same_conv2d(hidden, to_predicate, predicate_bias))
            rows = map_rows(hidden)
            ones = torch.ones_like(rows[:, :1])
            as_subject, as_object = as_subject + by_subject.sum(rows), as_object + by_object.sum(rows)
            counts = counts + torch.stack([by_subject.sum(ones), by_object.sum(ones)])
        pooled = same_conv2d(rows_to_maps(as_subject, ends), to_subject, None)
        pooled = pooled + same_conv2d(rows_to_maps(as_object, ends), to_object, None)
        pooled = pooled + (counts[0] * subject_bias + counts[1] * object_bias)[:, :, None, None]
        if self.pooling == "avg":
            pooled = pooled / edges.appearances.to(pooled.dtype)[:, :, None, None]
        return pooled, torch.cat(found) if found else x.new_zeros((0, *x.shape[1:]))


def displaced(x: Tensor, displacements: Tensor) -> Tensor:
    """Maps (O, C, h, w) sampled at their pixels moved by (O, 2, h, w) in half maps, right and down; beyond is 0."""
    height, width = x.shape[2:]
    across = torch.linspace(-1, 1, width, device=x.device)
    down = torch.linspace(-1, 1, height, device=x.device)
    identity = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1)  # (h, w, 2)
    grid = identity + displacements.permute(0, 2, 3, 1).float()  # (O, h, w, 2)
    with torch.autocast(x.device.type, enabled=False):
        moved = F.grid_sample(x.float(), grid, align_corners=True)
    return moved.to(x.dtype)


def map_rows(maps: Tensor) -> Tensor:
    """Maps (R, C, h, w) as rows (R, h * w * C), without a copy if their channels are last in memory."""
    return maps.permute(0, 2, 3, 1).flatten(1)


def rows_to_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Rows (R, h * w * C) as maps (R, C, h, w) of the sizes of others."""
    return rows.unflatten(1, (*like.shape[2:], -1)).permute(0, 3, 1, 2)
