"""Objects fused into one map by attention over the objects at each pixel: PasteGAN's fuser (Li et al., NeurIPS 2019).

The original places every channel of every object on the canvas, and multiplies it by matrices at every pixel. Placing
is linear: a placed map is a sum of its few texels, weighted by :func:`scenograph.nn.painting.placing_weights`. So
matrices are applied to texels, scores are a quadratic form of the weights, and the canvas is one matrix product.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.nn.painting import membership, placing_weights, rows_by_image

LEAST = 1e-5
"""Smallest sum of attention at a pixel, which matters only where the maximum is that of another picture."""


class ObjectFuser(nn.Module):
    """``background + sum of softmax(query . key) value`` over the objects of each picture, pixel by pixel.

    A pixel's query is a linear map of the object, its key one of the object's relation to the picture, and its value
    one of the query. Where an object is not, its features are 0, but the biases of these maps stay.
    ``batch_maximum`` subtracts the largest score of the whole batch before the exponential, as the original does: where
    that of another picture is far larger, attention vanishes. Otherwise pictures do not depend on each other.
    """

    def __init__(self, channels: int, batch_maximum: bool = False) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.batch_maximum = batch_maximum

    def forward(
        self,
        objects: Tensor,
        relations: Tensor,
        backgrounds: Tensor,
        boxes: Tensor,
        background_boxes: Tensor,
        owner: Tensor,
        shape: tuple[int, int],
    ) -> Tensor:
        """Fuse objects.

        Args:
            objects: (O, C, h, w), relative to their boxes.
            relations: (O, C, h, w): the relation of each object to its picture, in the object's box.
            backgrounds: (N, C, h, w): the maps of ``__image__``.
            boxes: (O, 4).
            background_boxes: (N, 4).
            owner: (O,) the picture of each object.
            shape: Height and width of the canvas.

        Returns:
            (N, C, height, width) float32, channels last.
        """
        with torch.autocast(objects.device.type, enabled=False):
            queries, keys = self._table(self.query, objects), self._table(self.key, relations)
            sides = objects.shape[2:]
            bias = F.pad(self.value.bias[None], (0, 0, sides.numel(), 0))  # type: ignore[index]  # (S + 1, C)
            values = F.linear(queries, _matrix(self.value)) + bias
            placed = placing_weights(boxes, sides, shape)  # (O, S, P): S texels, P pixels
            placed = torch.cat([placed, torch.ones_like(placed[:, :1])], dim=1)  # (O, S + 1, P)
            # (O, S + 1, C) @ (O, C, S + 1), @ (O, S + 1, P) -> (O, S + 1, P) -> (O, P)
            scores = (placed * (queries @ keys.transpose(1, 2) @ placed)).sum(dim=1)
            shares = placed * self._attention(scores, owner, backgrounds.shape[0])[:, None]
            behind = placing_weights(background_boxes, sides, shape)  # (N, S, P)
            ground = _texels(backgrounds.float())
            if is_compiling():
                inside = membership(owner, backgrounds.shape[0])
                # (P, O * (S + 1)) @ (N, O * (S + 1), C) + (N, P, S) @ (N, S, C) -> (N, P, C)
                own = shares.flatten(0, 1).T @ (inside[:, :, None, None] * values).flatten(1, 2)
                return (own + behind.transpose(1, 2) @ ground).unflatten(1, shape).permute(0, 3, 1, 2)
            pictures = []
            for number, rows in enumerate(rows_by_image(owner, len(backgrounds))):
                # (K * (S + 1) + S, P) and (K * (S + 1) + S, C) -> (P, C)
                weights = torch.cat([shares[rows].flatten(0, 1), behind[number]])
                pictures.append(weights.T @ torch.cat([values[rows].flatten(0, 1), ground[number]]))
        # (N, P, C) -> (N, H, W, C) -> (N, C, H, W)
        return torch.stack(pictures).unflatten(1, shape).permute(0, 3, 1, 2)

    def _table(self, layer: nn.Conv2d, maps: Tensor) -> Tensor:
        """A 1 x 1 convolution of the texels of maps (O, C, h, w): (O, S + 1, C), the bias as last row."""
        assert layer.bias is not None
        mapped = F.linear(_texels(maps.float()), _matrix(layer))
        return torch.cat([mapped, layer.bias.expand(maps.shape[0], 1, -1)], dim=1)

    def _attention(self, scores: Tensor, owner: Tensor, pictures: int) -> Tensor:
        """Scores (O, P) to shares of each picture's objects."""
        if self.batch_maximum:
            largest = scores.amax(dim=0) if len(scores) else scores
        else:
            index = owner[:, None].expand_as(scores)
            highest = scores.detach().new_full((pictures, scores.shape[1]), -math.inf)
            largest = highest.scatter_reduce(0, index, scores.detach(), "amax")[owner]
        weights = ((scores - largest) / math.sqrt(self.query.out_channels)).exp()
        sums = scores.new_zeros((pictures, scores.shape[1])).index_add(0, owner, weights)
        return weights / sums.clamp(min=LEAST)[owner]


def _texels(maps: Tensor) -> Tensor:
    """(O, C, h, w) -> (O, h * w, C)."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _matrix(layer: nn.Conv2d) -> Tensor:
    """The weight (C', C, 1, 1) of a 1 x 1 convolution as (C', C)."""
    return layer.weight.flatten(1)
