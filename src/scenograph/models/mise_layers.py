"""Mise in layers: each thing is generated as an RGBA layer, the ground behind them as a picture, and both are composed.

Category and style modulate every block of the network that makes a layer, so that it cannot ignore them. A layer is
encoded as one vector, its code; a rectified flow (Liu et al. 2022) learns the codes of each category with its
attributes, and a decoder makes the layer in one pass. The ground follows a rectified flow in pixel space: a map of the
regions, and of the silhouettes before them, scales and shifts the features of a U-Net (as in SPADE, Park et al. 2019).

The layout is obeyed exactly: a layer fills its box. Objects have looks of their own, any number of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import (
    Conditioned,
    Generators,
    LayeredModel,
    ModelConfig,
    ObjectLatents,
    Widths,
    noise,
    object_latents,
    picture_latents,
)
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.layers import channels_last
from scenograph.nn.painting import paint_vectors, rows_by_image, sample_planes
from scenograph.nn.unet import HEAD_SIZE, ResidualBlock, UNet, time_features
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.depth import depth_order
from scenograph.scenes.openraster import Layer, merged
from scenograph.scenes.vocabulary import Vocabulary

PATCH = 4
"""Pixels that are folded into channels, per side: at the full side, most time would go into few features."""
LIGHT_SIDE = 8
"""Side of the thumbnail of the ground from which the light on things is read."""


class MiseLayersConfig(ModelConfig):
    """Sides in pixels and widths of the networks."""

    image_size: PositiveInt = 128
    """Side of the ground; pictures of other sides show it resampled."""
    layer_size: PositiveInt = 64
    """Side of the layers, which are resampled to their boxes."""
    mask_size: PositiveInt = 32
    embedding_size: PositiveInt = 128
    code_size: PositiveInt = 128
    layer_channels: Widths = (96, 160, 256)
    """Per level of the encoder and the decoder of layers, from fine to coarse."""
    flow_width: PositiveInt = 384
    flow_blocks: PositiveInt = 4
    ground_channels: Widths = (64, 96, 128)
    ground_blocks: PositiveInt = 1
    steps: PositiveInt = 8
    """Default number of sampling steps of the ground."""
    code_steps: PositiveInt = 16
    """Sampling steps of the codes, which take hardly any time."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(
            vocabulary=vocabulary.to_dict(),
            image_size=16,
            layer_size=16,
            mask_size=8,
            embedding_size=16,
            code_size=8,
            layer_channels=(16, 32),
            flow_width=32,
            flow_blocks=1,
            ground_channels=(32, 32),
            steps=2,
            code_steps=2,
        )

    @property
    def picture_sides(self) -> tuple[int, int]:
        """Height and width."""
        return (self.image_size, self.image_size)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @property
    def crop_side(self) -> int:
        """Side of the crops in a batch."""
        return self.layer_size

    @model_validator(mode="after")
    def _whole_parts(self) -> Self:
        for name, side, widths in (
            ("image_size", self.image_size, self.ground_channels),
            ("layer_size", self.layer_size, self.layer_channels),
        ):
            unit = PATCH * 2 ** (len(widths) - 1)
            if side % unit:
                raise ValueError(f"{name} {side}: must be a multiple of {unit}")
        if self.ground_channels[0] % 2 or self.ground_channels[-1] % HEAD_SIZE:
            raise ValueError(
                f"ground_channels {list(self.ground_channels)}: the first must be even, the last a multiple of "
                f"{HEAD_SIZE}"
            )
        return self


class LayerEncoder(nn.Module):
    """Layers (L, 4, S, S) to codes (L, code_size) of unit variance."""

    def __init__(self, config: MiseLayersConfig) -> None:
        super().__init__()
        widths = config.layer_channels
        self.style_size = config.embedding_size
        self.input = nn.Conv2d(4 * PATCH**2, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, config.embedding_size) for before, after in pairwise((widths[0], *widths))
        )
        side = config.layer_size // PATCH // 2 ** (len(widths) - 1)
        self.output = nn.Linear(widths[-1] * side**2, config.code_size)
        self.norm = nn.LayerNorm(config.code_size, elementwise_affine=False)

    def forward(self, layers: Tensor, style: Tensor) -> Tensor:
        """Layers, and the vectors (L, embedding_size) of their categories."""
        h = self.input(F.pixel_unshuffle(layers, PATCH))
        for level, block in enumerate(self.blocks):
            h = block(F.avg_pool2d(h, 2) if level else h, style)
        codes: Tensor = self.norm(self.output(F.silu(h).flatten(1)))  # (L, C, s, s) -> (L, C * s * s) -> (L, code_size)
        return codes


class LayerDecoder(nn.Module):
    """Codes to layers; the code and the category modulate every block."""

    def __init__(self, config: MiseLayersConfig) -> None:
        super().__init__()
        widths, style_size = config.layer_channels[::-1], 2 * config.embedding_size
        self.style = nn.Sequential(
            nn.Linear(config.code_size + config.embedding_size, style_size),
            nn.SiLU(),
            nn.Linear(style_size, style_size),
            nn.SiLU(),
        )
        self.side = config.layer_size // PATCH // 2 ** (len(widths) - 1)
        self.input = nn.Linear(config.code_size + config.embedding_size, widths[0] * self.side**2)
        pairs = list(pairwise((widths[0], *widths)))
        self.first = nn.ModuleList(ResidualBlock(before, after, style_size) for before, after in pairs)
        self.second = nn.ModuleList(ResidualBlock(after, after, style_size) for _, after in pairs)
        fine = max(widths[-1] // 4, 16)
        self.unfold = nn.Conv2d(widths[-1], 4 * fine, 3, padding=1)
        self.output = nn.Conv2d(fine, 4 * (PATCH // 2) ** 2, 3, padding=1)

    def forward(self, codes: Tensor, style: Tensor) -> Tensor:
        """Codes (L, code_size) and vectors of categories (L, embedding_size) -> (L, 4, S, S)."""
        given = torch.cat([codes, style], dim=1)
        modulation = self.style(given)
        # (L, C * s * s) -> (L, C, s, s)
        h = self.input(given).unflatten(1, (-1, self.side, self.side)).contiguous(memory_format=torch.channels_last)
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            h = second(first(F.interpolate(h, scale_factor=2.0) if level else h, modulation), modulation)
        h = F.pixel_shuffle(self.unfold(F.silu(h)), 2)
        layers: Tensor = F.pixel_shuffle(self.output(F.silu(h)), PATCH // 2)
        return layers


class CodeFlow(nn.Module):
    """The velocity of codes from noise, given the category and attributes of each and the shape of its box."""

    def __init__(self, config: MiseLayersConfig) -> None:
        super().__init__()
        width = config.flow_width
        self.width = width
        self.given = nn.Linear(config.embedding_size + 1, width)
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.input = nn.Linear(config.code_size, width)
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulations = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(config.flow_blocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
            for _ in range(config.flow_blocks)
        )
        self.output = nn.Linear(width, config.code_size)
        for layer in (*self.modulations, self.output):
            nn.init.zeros_(layer.weight)

    def forward(self, codes: Tensor, time: Tensor, given: Tensor) -> Tensor:
        """Codes (L, code_size), times (L,) in [0, 1], given (L, embedding_size + 1) -> (L, code_size)."""
        modulation = F.silu(self.given(given) + self.time(time_features(time, self.width)))
        h = self.input(codes)
        for linear, block in zip(self.modulations, self.blocks, strict=True):
            scale, shift, gate = linear(modulation).chunk(3, dim=1)
            h = h + gate * block(self.norm(h) * (1 + scale) + shift)
        velocity: Tensor = self.output(self.norm(h))
        return velocity


@dataclass(frozen=True)
class Layers:
    """What :meth:`MiseLayers.render` takes: things as layers, and the map of the ground behind them."""

    pixels: Tensor
    """(L, 4, S, S) in [0, 1]: colours multiplied by alpha, and alpha; the farthest of each picture first."""
    categories: Tensor
    """(L,) int64."""
    boxes: Tensor
    """(L, 4)."""
    pictures: Tensor
    """(L,) int64: which picture each is in."""
    ground: Tensor
    """(N, C, H, W): the map of regions and silhouettes."""
    seen: Tensor
    """(N, 1, H, W) in [0, 1]: where the ground is not hidden by things."""
    side: int
    """Of the pictures."""


class MiseLayers(ObjectLatents, LayeredModel[Layers]):
    """The image model. Training calls its parts."""

    name = "mise-layers"
    Config = MiseLayersConfig
    config: MiseLayersConfig

    def __init__(self, config: MiseLayersConfig) -> None:
        super().__init__(config)
        self.config = config
        categories = len(self.vocabulary.categories)
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        size = config.embedding_size
        self.layer_style = nn.Embedding(categories, size)
        self.encoder = channels_last(LayerEncoder(config))
        self.decoder = channels_last(LayerDecoder(config))
        self.code_given = ObjectEmbedding(categories, groups, size)
        self.code_flow = CodeFlow(config)
        self.ground_embedding = ObjectEmbedding(categories, groups, size)
        map_channels = config.ground_channels[0]
        self.paint = nn.Linear(size, size // 4)
        self.fold_map = nn.Sequential(nn.Conv2d((size // 4 + 2) * PATCH**2, map_channels, 1), nn.SiLU())
        self.ground = channels_last(
            UNet(3 * PATCH**2, 3 * PATCH**2, config.ground_channels, config.ground_blocks, map_channels)
        )
        self.light = nn.Sequential(nn.Linear(4 * LIGHT_SIDE**2, 64), nn.SiLU(), nn.Linear(64, 3))
        self.kind = nn.Sequential(nn.Linear(size + 4, 64), nn.SiLU(), nn.Linear(64, 1))

    @property
    def latent_size(self) -> int:
        """Length of the noise that becomes an object's code."""
        return self.config.code_size

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Layers]:
        """Generate the layers, and paint the map of the ground."""
        side = size or self.config.image_size
        latents = object_latents(batch, self.latent_size, generators)
        # What a picture has of its own makes things of one category resemble each other.
        own = (latents + picture_latents(batch, self.latent_size, generators)[batch.object_to_image]) / 2**0.5
        things = self._things_by_depth(batch)
        pixels = self.generate_layers(batch, things, own[things])
        silhouettes = torch.ones_like(batch.masks)
        silhouettes[things] = F.adaptive_avg_pool2d(pixels[:, 3], silhouettes.shape[-1])
        ground, hidden = self.paint_ground(batch, things, silhouettes)
        rows = batch.objects[things], batch.boxes[things], batch.object_to_image[things]
        layers = Layers(pixels, *rows, ground, 1 - hidden, side)
        return Conditioned(boxes=batch.boxes, condition=layers)

    def _things_by_depth(self, batch: SceneBatch) -> Tensor:
        """The rows (L,) of the objects that are layers, the farthest of all first."""
        names = self.vocabulary.predicates
        relations = [(one, names[name], other) for one, name, other in batch.triples.tolist()]
        # Nearer things reach lower, and regions are behind all of them.
        is_thing = self.kind_logits(batch) > 0
        feet = batch.boxes[:, 3] - 4 * ~is_thing
        order = depth_order(feet.tolist(), relations)
        rows = torch.tensor(order, dtype=torch.long, device=batch.objects.device)
        return rows[is_thing[rows]]

    def kind_logits(self, batch: SceneBatch) -> Tensor:
        """Logits (O,) of whether each object is a thing, which gets a layer, or a region of the ground.

        A name does not always tell: clouds may be a part of the sky, or one cloud in front of it.
        """
        given = torch.cat([self.layer_style(batch.objects).detach(), batch.boxes], dim=1)
        logits: Tensor = self.kind(given)[:, 0].float()
        return logits

    def generate_layers(self, batch: SceneBatch, things: Tensor, latents: Tensor) -> Tensor:
        """Layers (L, 4, S, S) in [0, 1] of objects (L,), from noise (L, code_size)."""
        given, codes = self.code_condition(batch, things), latents
        times = torch.linspace(0, 1, self.config.code_steps + 1).tolist()
        for now, later in pairwise(times):
            codes = codes + (later - now) * self.code_flow(codes, codes.new_full((len(codes),), now), given)
        return self.decoder(codes, self.layer_style(batch.objects[things])).float().clamp(0, 1)

    def code_condition(self, batch: SceneBatch, things: Tensor, attributes: Tensor | None = None) -> Tensor:
        """What the codes of objects (L,) depend on: (L, embedding_size + 1)."""
        attributes = batch.attributes if attributes is None else attributes
        x0, y0, x1, y1 = batch.boxes[things].unbind(dim=1)
        shape = ((x1 - x0).clamp(min=1e-3) / (y1 - y0).clamp(min=1e-3)).log().clamp(-1.5, 1.5)
        vectors = self.code_given(batch.objects[things], attributes[things])
        return torch.cat([vectors, shape[:, None]], dim=1)

    def paint_ground(self, batch: SceneBatch, things: Tensor, silhouettes: Tensor) -> tuple[Tensor, Tensor]:
        """The map (N, map_channels, H / 4, W / 4) of the ground, and where things hide it, (N, 1, H, W) in [0, 1].

        Args:
            batch: Every object needs a box; regions are painted through their masks where they are known.
            things: (L,) rows of the objects that are layers.
            silhouettes: (O, M, M) in [0, 1], relative to the boxes; those of things count.
        """
        side = self.config.image_size
        is_layer = torch.zeros_like(batch.known_masks)
        is_layer[things] = True
        masks = torch.where(is_layer[:, None, None], silhouettes, batch.masks)
        planes = sample_planes(batch.boxes, masks, batch.known_masks | is_layer, side, side)
        hidden = planes.new_zeros((batch.num_images, side, side))
        # Sky and walls first, then what begins lower: that lies nearer. Things are before all regions.
        boxes = batch.boxes
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        depth = torch.where(is_layer, 2 + boxes[:, 3], boxes[:, 1] - 0.1 * area)
        shown = torch.zeros_like(planes)
        for picture, rows in enumerate(rows_by_image(batch.object_to_image, batch.num_images)):
            stack = rows[depth[rows].argsort(descending=True, stable=True)]  # the nearest first
            through = (1 - planes[stack]).cumprod(dim=0).roll(1, dims=0)
            through[:1] = 1
            shown[stack] = planes[stack] * through
            hidden[picture] = shown[rows[is_layer[rows]]].sum(dim=0)
        vectors = self.paint(self.ground_embedding(batch.objects, batch.attributes))
        painted = paint_vectors(vectors, shown, batch.object_to_image, batch.num_images)
        along = torch.linspace(-1, 1, side, device=painted.device, dtype=painted.dtype)
        places = torch.stack(torch.meshgrid(along, along, indexing="ij"))  # (2, H, W)
        painted = torch.cat([painted, places.expand(batch.num_images, 2, side, side)], dim=1)
        return self.fold_map(F.pixel_unshuffle(painted, PATCH)), hidden[:, None]

    def predict_ground(self, noisy: Tensor, time: Tensor, ground: Tensor) -> Tensor:
        """The picture of the ground behind noisy pictures (N, 3, H, W) at times (N,) in [0, 1], given its map.

        The velocity would have the noise of every pixel in it, more than a narrow network can carry (Li & He, Back to
        Basics: Let Denoising Generative Models Denoise, 2025).
        """
        folded = F.pixel_unshuffle(noisy, PATCH).contiguous(memory_format=torch.channels_last)
        return F.pixel_shuffle(self.ground(folded, time, ground), PATCH).float()

    def light_on_things(self, ground: Tensor, seen: Tensor) -> Tensor:
        """By what the colours of things are multiplied, (N, 3), in the light of a ground (N, 3, H, W) in [-1, 1]."""
        small = F.adaptive_avg_pool2d(torch.cat([ground * seen, seen], dim=1), LIGHT_SIDE)
        return self.light(small.flatten(1)).exp()  # (N, 4, s, s) -> (N, 4 * s * s)

    @torch.no_grad()
    def render(self, condition: Layers, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Follow the flow of the ground in ``steps`` Euler steps, and lay the layers on it."""
        pictures = [merged(layers) for layers in self.render_layers(condition, generators, steps)]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(condition.ground.device) * 2 - 1

    @torch.no_grad()
    def render_layers(
        self, condition: Layers, generators: Generators = None, steps: int | None = None
    ) -> list[list[Layer]]:
        """As in the base class: the ground, then the things in its light."""
        side, count, device = self.config.image_size, len(condition.ground), condition.ground.device
        x = noise((3, side, side), count, generators, device)
        for now, later in pairwise(torch.linspace(0, 1, (steps or self.config.steps) + 1).tolist()):
            picture = self.predict_ground(x, torch.full((count,), now, device=device), condition.ground)
            x = x + (later - now) / (1 - now) * (picture - x)
        ground = x.clamp(-1, 1)
        light = self.light_on_things(ground, condition.seen)[condition.pictures]
        pixels = torch.cat([condition.pixels[:, :3] * light[:, :, None, None], condition.pixels[:, 3:]], dim=1)
        if condition.side != side:
            ground = F.interpolate(ground, (condition.side,) * 2, mode="bicubic", antialias=True).clamp(-1, 1)
        opaque = torch.cat([(ground + 1) / 2, torch.ones_like(ground[:, :1])], dim=1)
        result = [[Layer("ground", 0, 0, _pixels(one))] for one in opaque]
        names = self.vocabulary.categories
        rows = zip(pixels, condition.boxes, condition.pictures.tolist(), condition.categories.tolist(), strict=True)
        for one, box, picture, category in rows:
            left, top = (int(value) for value in (box[:2] * condition.side).round())
            width, height = (max(int(value), 1) for value in ((box[2:] - box[:2]) * condition.side).round())
            fitted = F.interpolate(one[None], (height, width), mode="bilinear", antialias=True)[0]
            result[picture].append(Layer(names[category], left, top, _pixels(fitted)))
        return result


def _pixels(layer: Tensor) -> np.ndarray:
    """(4, h, w) -> (h, w, 4) float32."""
    return layer.permute(1, 2, 0).float().cpu().numpy()
