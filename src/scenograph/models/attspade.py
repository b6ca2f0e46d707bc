"""AttSPADE: layouts of attribute vectors to pictures (Herzig, Bar et al., ECCV 2020, section 5).

Every object's category and attributes are embedded and painted where the object is; a SPADE generator (Park et al.,
CVPR 2019) whose every norm reads that layout draws the picture.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.models.base import Generators, Model, ModelConfig, ModelOutput, check_side
from scenograph.nn.embedding import AttributeEmbedding
from scenograph.nn.layers import channels_last
from scenograph.nn.layout import compose_layout, sample_boxes, sample_masks
from scenograph.nn.spade import SLOPE, SpadeBlock
from scenograph.nn.spectral import fold_spectral_norms
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

WIDTHS = (16, 16, 16, 16, 8, 4, 2, 1)
"""Channels before and after each block, in units of ``channels``."""
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}


class AttSpadeConfig(ModelConfig):
    """The published constructor's settings."""

    image_size: int = 128
    channels: int = Field(default=64, ge=1)
    embedding_dim: int = Field(default=32, ge=1)
    upsampling: Literal["normal", "more", "most"] = "normal"
    """How often the map doubles: five, six or seven times."""
    mask_size: Literal[16] = 16

    @model_validator(mode="after")
    def _whole_pixels(self) -> Self:
        factor = 2 ** DOUBLINGS[self.upsampling]
        if self.image_size % factor:
            raise ValueError(f"image_size {self.image_size}: must be a multiple of {factor} for {self.upsampling!r}")
        return self


class AttSpade(Model):
    """The generator; its layout is a map (N, A * embedding_dim, S, S). The same picture for any seed."""

    name = "attspade"
    Config = AttSpadeConfig
    config: AttSpadeConfig
    roles = ("image",)

    def __init__(self, config: AttSpadeConfig) -> None:
        super().__init__(config)
        self.config = config
        groups = [len(names) + 1 for names in self.vocabulary.attributes.values()]
        self.object_embedding = AttributeEmbedding([len(self.vocabulary.categories), *groups], config.embedding_dim)
        layout_channels = config.embedding_dim * (1 + len(groups))
        widths = [config.channels * factor for factor in WIDTHS]
        if config.upsampling == "most":
            widths.append(config.channels // 2)
        self.first = nn.Conv2d(layout_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(SpadeBlock(before, after, layout_channels) for before, after in pairwise(widths))
        self.last = nn.Conv2d(widths[-1], 3, 3, padding=1)
        channels_last(self)

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """Index 0 is the published ``__image__``."""
        return vocabulary.with_image_object()

    def encode(self, batch: SceneBatch, generators: Generators = None, size: int | None = None) -> ModelOutput:
        """The layout. Every object needs a box; masks that are given decide which object a pixel belongs to."""
        check_side(size, self.config.image_size)
        if not bool(batch.known_boxes.all()):
            raise UserError(f"{self.name} needs a box for every object")
        return ModelOutput(boxes=batch.boxes, layout=self.paint(batch))

    def paint(self, batch: SceneBatch) -> Tensor:
        """Attribute vectors in their boxes, summed where they overlap; in training, and without masks.

        With masks, for inference: whole objects, those of least mass (the sum of their vector over their pixels)
        first, and nothing over them.
        """
        side = self.config.image_size
        vectors = self.object_embedding(torch.cat([batch.objects[:, None], batch.attributes + 1], dim=1))
        if not bool(batch.known_masks.any()):
            planes = sample_boxes(batch.boxes, side, side)
        else:
            planes = sample_masks(batch.boxes, batch.masks, side, side)
            if not self.training:
                planes = _uncovered(planes, vectors.sum(dim=1), batch.object_to_image, batch.num_images)
        return compose_layout(vectors, planes, batch.object_to_image, batch.num_images)

    def render(self, layout: Tensor, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Pictures (N, 3, S, S) in [-1, 1]."""
        layouts = {layout.shape[2]: layout}

        def at(side: int) -> Tensor:
            """The layout resized once per size, not once per norm."""
            if side not in layouts:
                layouts[side] = F.interpolate(layout, (side, side), mode="nearest")
            return layouts[side]

        side = self.config.image_size >> DOUBLINGS[self.config.upsampling]
        x = self.first(at(side))
        # The two blocks in the middle share one size, unless there are more doublings.
        same = {0, 2} if self.config.upsampling == "normal" else {0}
        for number, block in enumerate(self.blocks):
            if number not in same:
                side *= 2
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x, at(side))
        return torch.tanh(self.last(F.leaky_relu(x, SLOPE)))

    def for_inference(self) -> Self:
        """A copy with spectral norms folded."""
        faster = copy.deepcopy(self).eval()
        fold_spectral_norms(faster)
        return channels_last(faster)


def _uncovered(planes: Tensor, sums: Tensor, owner: Tensor, pictures: int) -> Tensor:
    """What is left of the masks (O, H, W): each where it exceeds a half and no lighter object's does."""
    kept = torch.zeros_like(planes)
    mass = sums * planes.sum(dim=(1, 2))
    for picture in range(pictures):
        rows = (owner == picture).nonzero()[:, 0]
        rows = rows[torch.argsort(mass[rows], stable=True)]
        shown = planes[rows] > 0.5
        before = shown.cumsum(dim=0) - shown.long()
        kept[rows] = planes[rows] * (shown & (before == 0))
    return kept
