"""LAMA: layout to image with locality-aware mask adaption (Li, Wu, Koh, Tang, Sun; ICCV 2021).

Every object has a category and a latent of its own. From them a network predicts its mask, which is pasted into
its box; the masks of overlapping objects are then adapted to each other, pixel by pixel (section 3.2). The picture
grows from one more latent through residual blocks whose every normalization the objects modulate where they are.

Beyond the paper: attributes condition the object's vector where the vocabulary has any; masks that a scene has
replace predicted ones; any number of objects.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field, PositiveInt, model_validator
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
from scenograph.models.exporting import Exports, Plan, Port, exported_with_latents
from scenograph.models.sizes import one_side
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.layers import channels_last, orthogonal_
from scenograph.nn.normalization import BatchNorm2d, LayoutNorm, moments, pixel_shares
from scenograph.nn.painting import ObjectCondition, sample_masks
from scenograph.nn.spectral import SpectralConv2d, SpectralLinear, fold_spectral_norms
from scenograph.nn.upsampling import add_upsampled_, upsampled_conv2d
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

WIDTHS = {64: (16, 8, 4, 2, 1), 128: (8, 8, 4, 4, 2, 1), 256: (16, 8, 8, 4, 4, 2, 1)}
"""Channels at 4 x 4 pixels and after each block, in units of ``channels``, by picture size."""
EMBEDDINGS = {64: 128, 128: 160, 256: 192}
MASK_HIDDEN = 128
ADAPTATION_SIZE = 64
"""The side at which masks are adapted to each other, whatever the picture's."""
GROUPS = 4
EPSILON = 1e-4
SLOPE = 0.01


class LamaConfig(ModelConfig):
    """The published constructor's settings."""

    image_size: Annotated[Literal[64, 128, 256], BeforeValidator(one_side)] = 128
    channels: int = Field(default=64, ge=4, multiple_of=4)
    latent_size: PositiveInt = 128
    image_object: bool = False
    """Whether every picture has one more object, ``__image__``, over the whole canvas, as on Visual Genome."""
    max_objects: PositiveInt | None = 8
    initial_scale: float = Field(default=0.0, ge=-1, le=1)
    """Initial value of the learnt scales of residuals and of modulation; above 0, training starts faster."""
    pixel_noise: bool = True
    """Whether every block adds noise sampled by the picture's seed, as in training."""
    mask_size: Literal[32] = 32

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), image_size=64, channels=4, latent_size=16, initial_scale=0.5)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        features = self.latent_size + EMBEDDINGS[self.image_size] + 2
        if features // 4 % GROUPS:
            raise ValueError(
                f"latent_size {self.latent_size} leaves {features // 4} channels for the adaptation of masks, which "
                f"{GROUPS} groups cannot share; choose a multiple of 16"
            )
        return self


class Lama(Exports, ObjectLatents, ImageModel[ObjectCondition]):
    """The generator. Its condition is an :class:`ObjectCondition` whose planes are adapted masks in [0, 2)."""

    name = "lama"
    Config = LamaConfig
    config: LamaConfig

    def __init__(self, config: LamaConfig) -> None:
        super().__init__(config)
        self.config = config
        size, latent, embedding = config.image_size, config.latent_size, EMBEDDINGS[config.image_size]
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        style = latent + embedding
        self.object_embedding = ObjectEmbedding(len(self.vocabulary.categories), groups, embedding)
        self.style_mapping = nn.Sequential(
            SpectralLinear(latent, latent),
            nn.LeakyReLU(SLOPE),
            SpectralLinear(latent, latent),
            nn.LeakyReLU(SLOPE),
            SpectralLinear(latent, latent),
        )
        self.mask_network = MaskNetwork(style + 2)
        widths = [config.channels * factor for factor in WIDTHS[size]]
        self.fc = SpectralLinear(latent, 16 * widths[0])
        self.blocks = nn.ModuleList(Block(before, after, style) for before, after in pairwise(widths))
        self.final = nn.Sequential(
            BatchNorm2d(widths[-1]),
            nn.LeakyReLU(SLOPE, inplace=True),
            SpectralConv2d(widths[-1], 3, 3, padding=1, epsilon=1e-4),
            nn.Tanh(),
        )
        orthogonal_(self)
        for module in self.modules():
            if isinstance(module, Norm | Block | ScaledConv):
                nn.init.constant_(module.alpha, config.initial_scale)
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
    ) -> Conditioned[ObjectCondition]:
        """Masks, and the condition with the latents of objects and pictures in it. Every object needs a box."""
        check_side(size, self.config.picture_sides)
        length, device = self.config.latent_size, batch.objects.device
        latents = object_latents(batch, length, generators)
        if self.config.image_object:
            latents = torch.cat([latents, noise((length,), batch.num_images, generators, device)])
        return self._conditioned(batch, latents, picture_latents(batch, length, generators))

    def _conditioned(
        self, batch: SceneBatch, latents: Tensor, latents_of_pictures: Tensor
    ) -> Conditioned[ObjectCondition]:
        """From the latents of objects, the image objects last if there are any, and those of pictures (N, Z)."""
        full = with_image_objects(batch) if self.config.image_object else batch
        embedded = self.object_embedding(full.objects, full.attributes)
        extent = full.boxes[:, 2:] - full.boxes[:, :2]
        features = torch.cat([embedded, latents, extent], dim=1)
        masks = self.mask_network.shapes(features)
        given = full.known_masks[:, None, None]
        if is_compiling() or bool(given.any()):
            masks = torch.where(given, full.masks.to(masks), masks)
        side = self.config.image_size
        pasted, _ = full.padded(sample_masks(full.boxes, masks, side, side))
        padded, _ = full.padded(features)
        styles, _ = full.padded(torch.cat([embedded, self.style_mapping(latents)], dim=1))
        condition = ObjectCondition(
            planes=self.mask_network.adapt(pasted, padded),
            styles=styles,
            latents=latents_of_pictures,
        )
        return Conditioned(boxes=batch.boxes, masks=masks[: batch.objects.shape[0]], condition=condition)

    def render(self, condition: ObjectCondition, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Pictures (N, 3, S, S) in [-1, 1]."""
        count, device = len(condition.latents), condition.latents.device
        maps = [noise((1, side, side), count, generators, device) for side in self.noise_sides]
        return self.render_with_noise(condition, maps)

    @property
    def noise_sides(self) -> list[int]:
        """The sides of the maps of noise, two per block, or none without."""
        blocks = 2 * len(self.blocks) if self.config.pixel_noise else 0
        return [8 * 2 ** (number // 2) for number in range(blocks)]

    def render_with_noise(self, condition: ObjectCondition, noise_maps: list[Tensor]) -> Tensor:
        """Pictures from a condition; ``noise_maps`` (N, 1, h, w), two per block, or an empty list for none."""
        # (N, Z) -> (N, 16 * C) -> (N, C, 4, 4)
        x = self.fc(condition.latents).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        shares = pixel_shares(condition.planes, 4, 4, EPSILON)
        for number, block in enumerate(self.blocks):
            side = 2 * x.shape[2]
            finer = pixel_shares(condition.planes, side, side, EPSILON)
            x = block(x, shares, finer, condition.styles, noise_maps[2 * number : 2 * number + 2])
            shares = finer
        result: Tensor = self.final(x)
        return result

    def exported(self) -> Plan:
        """One graph, from scenes to pictures."""
        maps = [
            Port(f"noise_{number}", ("pictures", 1, side, side), "standard normal numbers, a map per picture")
            for number, side in enumerate(self.noise_sides)
        ]
        return exported_with_latents(self, self.config.image_object, self._picture, maps)

    def _picture(
        self, batch: SceneBatch, latents: Tensor, latents_of_pictures: Tensor, *maps: Tensor
    ) -> tuple[Tensor, Tensor]:
        made = self._conditioned(batch, latents, latents_of_pictures)
        assert made.masks is not None
        return self.render_with_noise(made.condition, list(maps)), made.masks

    def for_inference(self) -> Self:
        """A copy with spectral norms folded."""
        faster = copy.deepcopy(self).eval()
        fold_spectral_norms(faster)
        return channels_last(faster)


class Norm(LayoutNorm):
    """Batch and group normalization mixed by ``rho``; the objects' part weighted by ``alpha`` (section 3.3)."""

    def __init__(self, channels: int, style_size: int) -> None:
        super().__init__(channels, style_size)
        self.rho = nn.Parameter(torch.tensor(0.1))
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def normalizer(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and offset (N, C), in which alone the two norms differ."""
        mean, square = moments(pixels)
        scale, offset = self.batch_norm.normalizer(mean, square, pixels.shape[1])
        group_mean = mean.unflatten(1, (GROUPS, -1)).mean(dim=2)  # (N, C) -> (N, groups, C / groups) -> (N, groups)
        variance = square.unflatten(1, (GROUPS, -1)).mean(dim=2) - group_mean.square()
        group_scale = torch.rsqrt(variance.clamp(min=0.0) + 1e-5)
        repeats = mean.shape[1] // GROUPS
        group_offset = (-group_mean * group_scale).repeat_interleave(repeats, dim=1)
        rho = self.rho.clamp(0, 1)
        return torch.lerp(scale[None], group_scale.repeat_interleave(repeats, dim=1), rho), torch.lerp(
            offset[None], group_offset, rho
        )

    def modulation(self, styles: Tensor) -> tuple[Tensor, Tensor]:
        """``n + alpha (g n + b)``: gain and shift of every object."""
        gain, shift = super().modulation(styles)
        alpha = self.alpha.clamp(-1, 1)
        return alpha * gain, alpha * shift


class Block(nn.Module):
    """Residual block that doubles the resolution; noise, one map for all channels, after each convolution."""

    def __init__(self, channels_in: int, channels_out: int, style_size: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(channels_in, style_size), Norm(channels_out, style_size)
        self.conv1 = SpectralConv2d(channels_in, channels_out, 3, padding=1, bias=False, epsilon=1e-4)
        self.conv2 = SpectralConv2d(channels_out, channels_out, 3, padding=1, bias=False, epsilon=1e-4)
        self.shortcut = SpectralConv2d(channels_in, channels_out, 1, epsilon=1e-4)
        self.noise1 = nn.Parameter(torch.zeros(1, channels_out, 1, 1))
        self.noise2 = nn.Parameter(torch.zeros(1, channels_out, 1, 1))
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor, shares: Tensor, finer: Tensor, styles: Tensor, noise_maps: list[Tensor]) -> Tensor:
        """(N, C, H, W) -> (N, C', 2 H, 2 W); ``shares`` of objects per pixel before, ``finer`` after upsampling."""
        hidden = F.leaky_relu(self.norm1(x, shares, styles), SLOPE, inplace=True)
        hidden = upsampled_conv2d(hidden, self.conv1.normalized_weight())
        if noise_maps:
            hidden = add_outer_(hidden, noise_maps[0], F.softplus(self.noise1))
        hidden = self.conv2(F.leaky_relu(self.norm2(hidden, finer, styles), SLOPE, inplace=True), self.alpha)
        if noise_maps:
            hidden = add_outer_(hidden, noise_maps[1], self.alpha * F.softplus(self.noise2))
        return add_upsampled_(hidden, self.shortcut(x))


class MaskNetwork(nn.Module):
    """Masks of single objects (:meth:`shapes`), and their adaptation to each other (:meth:`adapt`)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        adapted = features // 4
        self.fc = SpectralLinear(features, 16 * MASK_HIDDEN)
        self.convs = nn.ModuleList(ScaledConv(BatchNorm2d(MASK_HIDDEN), MASK_HIDDEN, epsilon=1e-4) for _ in range(3))
        self.norm = BatchNorm2d(MASK_HIDDEN)
        self.final = SpectralLinear(MASK_HIDDEN, 1)
        self.key = SpectralLinear(features, adapted)
        self.query = SpectralLinear(features, adapted)
        self.local = nn.Sequential(*(ScaledConv(nn.GroupNorm(GROUPS, adapted), adapted) for _ in range(2)))
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def shapes(self, features: Tensor) -> Tensor:
        """Object features (O, F) to box-relative masks (O, 32, 32) in (0, 1)."""
        # (O, F) -> (O, 16 * C) -> (O, C, 4, 4)
        x = self.fc(features).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        for conv in self.convs:
            x = F.interpolate(conv(x), scale_factor=2, mode="bilinear")
        hidden = F.leaky_relu(self.norm(x), SLOPE, inplace=True)
        # (O, C, 32, 32) -> (O, 32, 32, C) -> (O, 32, 32)
        return self.final(hidden.permute(0, 2, 3, 1))[..., 0].sigmoid()

    def adapt(self, planes: Tensor, features: Tensor) -> Tensor:
        """Masks on the canvas (N, K, S, S), scaled by factors in (0, 2) that depend on all objects at each pixel.

        ``features`` (N, K, F). Every pixel sums the queries of the objects that cover it; small convolutions make them
        local; their products with each object's key give its factors (section 3.2).
        """
        side = ADAPTATION_SIZE
        coarse = F.interpolate(planes, (side, side), mode="bilinear") if planes.shape[2] != side else planes
        # (N, K, S, S) -> (N, S * S, K), @ (N, K, A) -> (N, S * S, A) -> (N, S, S, A)
        queries = (coarse.flatten(2).transpose(1, 2) @ self.query(features)).unflatten(1, (side, side))
        queries = self.local(queries.permute(0, 3, 1, 2))  # (N, A, S, S)
        # (N, A, S, S) -> (N, S * S, A) -> (N, A, S * S); (N, K, A) @ (N, A, S * S) -> (N, K, S * S)
        energy = self.key(features) @ queries.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
        adjust = 1 + torch.tanh(energy.unflatten(2, (side, side)) * self.alpha.clamp(-1, 1))
        if planes.shape[2] != side:
            adjust = F.interpolate(adjust, planes.shape[2:], mode="bilinear")
        return planes * adjust


class ScaledConv(nn.Module):
    """``x + alpha * conv(act(norm(x)))``."""

    def __init__(self, norm: nn.Module, channels: int, epsilon: float = 1e-12) -> None:
        super().__init__()
        self.norm = norm
        self.conv = SpectralConv2d(channels, channels, 3, padding=1, bias=False, epsilon=epsilon)
        self.alpha = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        hidden: Tensor = self.conv(F.leaky_relu(self.norm(x), SLOPE, inplace=True), self.alpha)
        return x + hidden


def add_outer_(x: Tensor, plane: Tensor, scale: Tensor) -> Tensor:
    """``x += plane * scale``: features (N, C, H, W), plane (N, 1, H, W), scale (1, C, 1, 1); as a matrix product."""
    pixels = x.permute(0, 2, 3, 1).flatten(1, 2)  # (N, C, H, W) -> (N, H * W, C)
    # The outer product of pixels and channels: (N, H * W, 1) @ (N, 1, C)
    row = scale.view(1, 1, -1).expand(x.shape[0], -1, -1).to(x.dtype)
    total = pixels.baddbmm_(plane.flatten(2).transpose(1, 2).to(x.dtype), row)
    return total.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)  # (N, H * W, C) -> (N, C, H, W)
