"""LostGAN: image synthesis from reconfigurable layout and style (Sun & Wu, ICCV 2019; version 2, TPAMI 2021).

Every object has a category and a latent of its own, which give its mask and its style. The masks, pasted into the
boxes, select the object's style that the normalization of every residual block uses at each pixel. Version 2
refines the masks from block to block by class maps that each block predicts.

Beyond the paper: attributes condition the object's vector where the vocabulary has any; masks that a scene has
replace predicted ones; any number of objects.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, PositiveInt, model_validator
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.models.base import (
    Conditioned,
    Generators,
    ImageModel,
    ModelConfig,
    ObjectLatents,
    check_side,
    noise,
    object_latents,
    picture_latents,
    with_image_objects,
)
from scenograph.models.exporting import Exports, Plan, exported_with_latents
from scenograph.models.sizes import one_side
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.layers import channels_last, orthogonal_
from scenograph.nn.normalization import BatchNorm2d, LayoutNorm, pixel_shares
from scenograph.nn.painting import ObjectCondition, sample_masks
from scenograph.nn.spectral import SpectralConv2d, SpectralLinear, fold_spectral_norms
from scenograph.nn.upsampling import add_upsampled_, upsampled_conv2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

WIDTHS = {
    (1, 64): (16, 8, 4, 2, 1),
    (1, 128): (16, 16, 8, 4, 2, 1),
    (2, 128): (16, 16, 8, 4, 2, 1),
    (2, 256): (16, 16, 8, 8, 4, 2, 1),
}
"""Channels at 4 x 4 pixels and after each block, in units of ``channels``, by version and picture size."""
MASK_HIDDEN = {1: 128, 2: 256}
CANVAS = 64
"""Masks are pasted at this side, whatever the picture's."""
MAP_CHANNELS = 100
EPSILON = 1e-6


class LostGanConfig(ModelConfig):
    """The published constructor's settings."""

    version: Literal[1, 2] = 2
    image_size: Annotated[Literal[64, 128, 256], BeforeValidator(one_side)] = 128
    channels: PositiveInt = 64
    latent_size: PositiveInt = 128
    class_maps: PositiveInt | None = None
    """Class maps of version 2: one per category, or as many as published weights have (184, whatever the data)."""
    image_object: bool = False
    """Whether every picture has one more object, ``__image__``, over the whole canvas, as on Visual Genome."""
    max_objects: PositiveInt | None = 8
    mask_size: Literal[16] = 16

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), version=1, image_size=64, channels=4, latent_size=16)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @model_validator(mode="after")
    def _published_size(self) -> Self:
        if (self.version, self.image_size) not in WIDTHS:
            sizes = [size for version, size in WIDTHS if version == self.version]
            raise ValueError(f"version {self.version} draws {' or '.join(map(str, sizes))} px, not {self.image_size}")
        return self


@dataclass(frozen=True)
class LostGanCondition(ObjectCondition):
    """With what version 2 refines masks by."""

    categories: Tensor
    """(N, K)."""
    regions: Tensor
    """(N, K, R, R) bool: where an object's refined mask may be: in its box, or in its given mask."""


class LostGan(Exports, ObjectLatents, ImageModel[LostGanCondition]):
    """The generator."""

    name = "lostgan"
    Config = LostGanConfig
    config: LostGanConfig

    def __init__(self, config: LostGanConfig) -> None:
        super().__init__(config)
        self.config = config
        categories = len(self.vocabulary.categories)
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        embedding = 128 if config.image_size == 64 else 180
        style = config.latent_size + embedding
        self.object_embedding = ObjectEmbedding(categories, groups, embedding)
        self.mask_network = MaskNetwork(style, MASK_HIDDEN[config.version], batch_norm=config.version == 1)
        widths = [config.channels * factor for factor in WIDTHS[config.version, config.image_size]]
        self.fc = SpectralLinear(config.latent_size, 16 * widths[0])
        self.blocks = nn.ModuleList(Block(before, after, style) for before, after in pairwise(widths))
        maps = config.class_maps or categories
        self.refiners = nn.ModuleList()
        if config.version == 2:
            for number, channels in enumerate(widths[1:-1]):
                pyramid = config.image_size == 128 and number == 3
                self.refiners.append(MaskRefiner(channels, maps, pyramid))
        self.final = nn.Sequential(
            BatchNorm2d(widths[-1]),
            nn.ReLU(inplace=True),
            SpectralConv2d(widths[-1], 3, 3, padding=1, epsilon=1e-4),
            nn.Tanh(),
        )
        orthogonal_(self)
        channels_last(self)

    @property
    def latent_size(self) -> int:
        """Length of the latent of each object, and of the picture."""
        return self.config.latent_size

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """Index 0 is the published ``__image__``."""
        return vocabulary.with_image_object()

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[LostGanCondition]:
        """Masks, and the condition with the latents of objects and pictures in it. Every object needs a box."""
        check_side(size, self.config.picture_sides)
        length, device = self.config.latent_size, batch.objects.device
        latents = object_latents(batch, length, generators)
        if self.config.image_object:
            latents = torch.cat([latents, noise((length,), batch.num_images, generators, device)])
        return self._conditioned(batch, latents, picture_latents(batch, length, generators))

    def _conditioned(
        self, batch: SceneBatch, latents: Tensor, latents_of_pictures: Tensor
    ) -> Conditioned[LostGanCondition]:
        """From the latents of objects, the image objects last if there are any, and those of pictures (N, Z)."""
        full = with_image_objects(batch) if self.config.image_object else batch
        vectors = torch.cat([latents, self.object_embedding(full.objects, full.attributes)], dim=1)
        masks = self.mask_network(vectors)
        given = full.known_masks[:, None, None]
        any_given = is_compiling() or bool(given.any())
        masks = torch.where(given, full.masks.to(masks), masks) if any_given else masks
        resolution = CANVAS * self.config.image_size // 128 if self.config.version == 2 else CANVAS
        regions = inside_boxes(full.boxes, resolution)
        if any_given:
            regions &= ~given | (sample_masks(full.boxes, full.masks, resolution, resolution) > 0.5)
        condition = LostGanCondition(
            planes=full.padded(sample_masks(full.boxes, masks, CANVAS, CANVAS))[0],
            styles=full.padded(vectors)[0],
            latents=latents_of_pictures,
            categories=full.padded(full.objects)[0],
            regions=full.padded(regions)[0],
        )
        return Conditioned(boxes=batch.boxes, masks=masks[: batch.objects.shape[0]], condition=condition)

    def render(self, condition: LostGanCondition, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Pictures (N, 3, S, S) in [-1, 1]; the same for the same condition."""
        # (N, Z) -> (N, 16 * C) -> (N, C, 4, 4)
        x = self.fc(condition.latents).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        planes = condition.planes
        shares = pixel_shares(planes, 4, 4, EPSILON)
        for number, block in enumerate(self.blocks):
            side = 2 * x.shape[2]
            finer = pixel_shares(planes, side, side, EPSILON)
            x = block(x, shares, finer, condition.styles)
            shares = finer
            if number < len(self.refiners):
                planes = self.refiners[number](x, condition)
                shares = pixel_shares(planes, side, side, EPSILON)
        result: Tensor = self.final(x)
        return result

    def exported(self) -> Plan:
        """One graph, from scenes to pictures."""
        return exported_with_latents(self, self.config.image_object, self._picture)

    def _picture(self, batch: SceneBatch, latents: Tensor, latents_of_pictures: Tensor) -> tuple[Tensor, Tensor]:
        made = self._conditioned(batch, latents, latents_of_pictures)
        assert made.masks is not None
        return self.render(made.condition), made.masks

    def for_inference(self) -> Self:
        """A copy with spectral norms folded."""
        faster = copy.deepcopy(self).eval()
        fold_spectral_norms(faster)
        return channels_last(faster)


class Block(nn.Module):
    """Residual block that doubles the resolution."""

    def __init__(self, channels_in: int, channels_out: int, style_size: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = LayoutNorm(channels_in, style_size), LayoutNorm(channels_out, style_size)
        self.conv1 = SpectralConv2d(channels_in, channels_out, 3, padding=1, epsilon=1e-4)
        self.conv2 = SpectralConv2d(channels_out, channels_out, 3, padding=1, epsilon=1e-4)
        self.shortcut = SpectralConv2d(channels_in, channels_out, 1, epsilon=1e-4)

    def forward(self, x: Tensor, shares: Tensor, finer: Tensor, styles: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W); ``shares`` of objects per pixel before, ``finer`` after upsampling."""
        hidden = F.relu(self.norm1(x, shares, styles), inplace=True)
        hidden = upsampled_conv2d(hidden, self.conv1.normalized_weight(), self.conv1.bias)
        hidden = self.conv2(F.relu(self.norm2(hidden, finer, styles), inplace=True))
        return add_upsampled_(hidden, self.shortcut(x))


class MaskNetwork(nn.Module):
    """Object vectors to box-relative masks. Version 1 has batch norms, version 2 instance norms."""

    def __init__(self, features: int, hidden: int, batch_norm: bool) -> None:
        super().__init__()
        self.fc = SpectralLinear(features, 16 * hidden)
        self.convs = nn.ModuleList(
            nn.Sequential(
                SpectralConv2d(hidden, hidden, 3, padding=1),
                BatchNorm2d(hidden) if batch_norm else nn.InstanceNorm2d(hidden),
                nn.ReLU(inplace=True),
            )
            for _ in range(3)
        )
        self.final = SpectralConv2d(hidden, 1, 1)

    def forward(self, vectors: Tensor) -> Tensor:
        """(O, D) -> (O, 16, 16) in (0, 1)."""
        # (O, D) -> (O, 16 * C) -> (O, C, 4, 4)
        x = self.fc(vectors).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for number, conv in enumerate(self.convs):
            x = conv(x)
            if number < 2:
                x = F.interpolate(x, scale_factor=2, mode="bilinear")
        return self.final(x)[:, 0].sigmoid()  # (O, 1, 16, 16) -> (O, 16, 16)


class MaskRefiner(nn.Module):
    """Version 2: class maps of a block's features, mixed into the masks of the objects of each class."""

    def __init__(self, channels: int, maps: int, pyramid: bool) -> None:
        super().__init__()
        if pyramid:
            context: list[nn.Module] = [PyramidPooling(channels, MAP_CHANNELS)]
        else:
            context = [
                nn.Conv2d(channels, MAP_CHANNELS, 3, padding=1),
                BatchNorm2d(MAP_CHANNELS),
                nn.ReLU(inplace=True),
            ]
        self.maps = nn.Sequential(*context, nn.Conv2d(MAP_CHANNELS, maps, 1))
        self.alpha = nn.Parameter(torch.zeros(1, maps, 1))

    def forward(self, x: Tensor, condition: LostGanCondition) -> Tensor:
        """Features (N, C, h, w) -> masks (N, K, h, w)."""
        height, width = x.shape[2:]
        chosen = condition.categories[:, :, None, None].expand(-1, -1, height, width)  # (N, K) -> (N, K, h, w)
        # (N, classes, h, w) -> (N, K, h, w)
        predicted = self.maps(x).float().gather(1, chosen).sigmoid()  # masks are float32 in half precision, too
        regions = F.interpolate(condition.regions.float(), (height, width), mode="nearest")
        pasted = F.interpolate(condition.planes, (height, width), mode="bilinear")
        # (1, classes, 1) -> (classes,) -> (N, K) -> (N, K, 1, 1)
        weight = self.alpha[0, :, 0].sigmoid()[condition.categories][:, :, None, None]
        return torch.lerp(pasted, predicted * regions, weight)


class PyramidPooling(nn.Module):
    """Context from averages over the whole map, its quarters, ninths and 36ths (Zhao et al. 2017)."""

    def __init__(self, channels: int, channels_out: int, sizes: tuple[int, ...] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(size),
                nn.Conv2d(channels, channels_out, 1, bias=False),
                BatchNorm2d(channels_out),
                nn.ReLU(),
            )
            for size in sizes
        )
        self.bottleneck = nn.Sequential(
            nn.Conv2d(channels + len(sizes) * channels_out, channels_out, 3, padding=1, bias=False),
            BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Dropout2d(0.1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        size = x.shape[2:]
        averages = [F.interpolate(stage(x), size, mode="bilinear", align_corners=True) for stage in self.stages]
        result: Tensor = self.bottleneck(torch.cat([*averages, x], dim=1))
        return result


def inside_boxes(boxes: Tensor, side: int) -> Tensor:
    """Which points of a ``side`` x ``side`` grid, edges included, lie in each box (O, 4): (O, side, side) bool."""
    x0, y0, x1, y1 = boxes.unbind(dim=1)
    places = torch.linspace(0, 1, side, device=boxes.device)
    across = (places - x0[:, None]) / (x1 - x0)[:, None]
    down = (places - y0[:, None]) / (y1 - y0)[:, None]
    # Rows and columns inside: (O, side, 1) & (O, 1, side)
    return ((down >= 0) & (down <= 1))[:, :, None] & ((across >= 0) & (across <= 1))[:, None, :]
