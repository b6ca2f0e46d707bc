"""A small detector: the objects of a picture as points of a map, with their boxes.

Each object is a peak in the map of its category, at the centre of its box; the size of the box, and where in its cell
the centre lies, are read there (Zhou, Wang, Krähenbühl, Objects as points, 2019). Layers of a feature pyramid (Lin et
al., CVPR 2017) bring what the whole picture shows to every cell. Things and regions have boxes of their own, because a
sky or a meadow often has its centre where a thing has it.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import Model, ModelConfig, Widths
from scenograph.models.sizes import Side
from scenograph.nn.normalization import BatchNorm2d
from scenograph.nn.overlaps import without_repeats
from scenograph.nn.resnet import halving_blocks
from scenograph.scenes.lexicon import CATEGORIES, root
from scenograph.scenes.vocabulary import Vocabulary

RARE = -4.6
"""Logit of every category in every cell before training: one of a hundred cells is a peak."""
NARROW = -1.5
"""Logit of a side before training: a fifth of the picture."""


class DetectorConfig(ModelConfig):
    """``channels``: of each halving of the picture; ``width``: of the map of a quarter of its side that is read."""

    image_size: Side = 128
    channels: Widths = (24, 48, 96, 160, 224)
    width: PositiveInt = 96

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), image_size=32, channels=(8, 8, 8), width=8)

    @model_validator(mode="after")
    def _deep_enough(self) -> Self:
        if len(self.channels) < 2:
            raise ValueError("channels: expected two or more, as the map that is read is a quarter of the picture")
        return self


class Detected(NamedTuple):
    """The objects of one picture, the likeliest first."""

    categories: Tensor
    """(K,) indices."""
    scores: Tensor
    """(K,) in [0, 1]."""
    boxes: Tensor
    """(K, 4) x0, y0, x1, y1 in fractions of the picture."""


class Detector(Model):
    """A convolutional network of residual blocks, a feature pyramid, and two heads."""

    name = "detector"
    not_exported = "what it finds is decided after its network"
    Config = DetectorConfig
    config: DetectorConfig
    roles = ()
    kinds: Tensor

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__(config)
        self.config = config
        first, width = len(config.channels), config.width
        blocks = halving_blocks(config.channels)
        self.stem, self.blocks = nn.Sequential(*blocks[:-first], blocks[-first]), nn.ModuleList(blocks[1 - first :])
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in config.channels[1:])
        self.merge = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), BatchNorm2d(width), nn.ReLU())
        names = self.vocabulary.categories
        self.peaks, self.shapes = _head(width, len(names), RARE), _head(width, 2 * 4, 0.0)
        with torch.no_grad():
            last = self.shapes[-1]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            last.bias.view(2, 4)[:, 2:] = NARROW
        kinds = [int(CATEGORIES.has_kind(root(name), "region")) for name in names]
        self.register_buffer("kinds", torch.tensor(kinds), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What each cell of a map of a quarter of the picture's side shows.

        Args:
            images: (N, 3, H, W) in [-1, 1].

        Returns:
            Logits (N, C, h, w) that a cell is the centre of an object of a category, and the boxes
            (N, 2, 4, h, w) of a thing and of a region centred there, x0, y0, x1, y1 in fractions of the picture.
        """
        x, maps = self.stem(images), []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        merged = self.laterals[-1](maps[-1])
        for lateral, level in zip(list(self.laterals)[-2::-1], maps[-2::-1], strict=True):
            merged = F.interpolate(merged, level.shape[2:], mode="nearest") + lateral(level)
        merged = self.merge(merged)
        return self.peaks(merged).float(), _boxes(self.shapes(merged).float().unflatten(1, (2, 4)))

    def detect(self, images: Tensor, least: float = 0.3, most: int = 40) -> list[Detected]:
        """The objects of pictures.

        Args:
            images: (N, 3, H, W) in [-1, 1].
            least: Score from which a peak is an object.
            most: Objects of a picture.

        Returns:
            For each picture its objects; of boxes that overlap too much the likelier one.
        """
        logits, shapes = self(images)
        scores = logits.sigmoid()
        scores = scores * (F.max_pool2d(scores, 3, 1, 1) == scores)
        cells = scores.shape[2] * scores.shape[3]
        # (N, C, h, w) -> (N, C * h * w)
        best = scores.flatten(1).topk(min(2 * most, scores[0].numel()), dim=1)
        boxes = shapes.flatten(3)  # (N, 2, 4, h * w)
        found = []
        for number, likely in enumerate(best.values >= least):
            values, places = best.values[number][likely], best.indices[number][likely]
            categories, cell = places // cells, places % cells
            chosen = boxes[number][self.kinds[categories], :, cell].clamp(0, 1)
            kept = torch.tensor(without_repeats(categories, chosen)[:most], dtype=torch.long, device=images.device)
            found.append(Detected(categories[kept], values[kept], chosen[kept]))
        return found


def _head(width: int, outputs: int, bias: float) -> nn.Sequential:
    last = nn.Conv2d(width, outputs, 1)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), last)


def _boxes(shapes: Tensor) -> Tensor:
    """Logits (N, 2, 4, h, w) of the place of the centre in its cell and of both sides, as boxes of the same shape."""
    height, width = shapes.shape[3:]
    across = torch.arange(width, device=shapes.device)
    down = torch.arange(height, device=shapes.device)[:, None]
    x_in, y_in, wide, high = shapes.sigmoid().unbind(2)  # (N, 2, h, w) each
    x, y = (across + x_in) / width, (down + y_in) / height
    return torch.stack([x - wide / 2, y - high / 2, x + wide / 2, y + high / 2], dim=2)
