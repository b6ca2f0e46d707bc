"""Mise in layers: each thing is generated as an RGBA layer, the ground behind them as a picture, and both are composed.

Both are decoded from codes in one pass. An autoencoder learns the codes, vectors of a hundred numbers; a rectified
flow (Liu et al. 2022) learns the codes of each category with its attributes, and those of grounds with given regions.
What is to be seen modulates every block of the decoders, so that they cannot ignore it: of a layer, its category; of
the ground, a map of its regions and of the silhouettes before them (as in SPADE, Park et al. 2019).

The layout is obeyed exactly: a layer fills its box. Objects have looks of their own, any number of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import (
    Conditioned,
    DrawsFromCrops,
    Generators,
    LayeredModel,
    ModelConfig,
    ObjectLatents,
    Widths,
    noise,
    object_latents,
    picture_latents,
)
from scenograph.models.exporting import ComputesGraphs, Exports, Plan, Port, ScenePorts
from scenograph.models.sizes import Side
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.layers import channels_last
from scenograph.nn.painting import paint_vectors, sample_planes, stacked
from scenograph.nn.unet import HEAD_SIZE, ModulatedUNet, ResidualBlock, time_features
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.depth import depth_order
from scenograph.scenes.geometry import NEAR_EDGE, SPANNING, SPANNING_ABOVE, to_edges
from scenograph.scenes.openraster import Layer, merged
from scenograph.scenes.vocabulary import Vocabulary

PATCH = 4
"""Pixels that are folded into channels, per side: at the full side, most time would go into few features."""
EDGE = 6
"""Pixels along the edges of a ground that are replaced by those further inside."""
DARK = 0.8
"""Light on things, 1 being that of the day, below which it is night."""
GROUND_TRIES = 3
"""Grounds that are sampled for a picture until one is not dark."""
HOW = (
    "Run 'kinds': objects with positive logits, and those with a crop, are things; the others are regions.",
    "Run 'layers' on the things alone, or 'layers_of_crops' on those that have a crop.",
    "Widen the boxes of regions without a mask: to 0 and 1 where they are wider than 'spanning', or than "
    "'spanning_above' if y0 < 'near_edge'; y0 to 0 if below 'near_edge'; y1 to 1 if above 1 - 'near_edge'.",
    "Run 'ground' on all objects, with the silhouettes as masks of things, known_masks true for them, and is_layer.",
    "If the mean of 'light' is below 'dark', run it on other noise, 'grounds_at_most' times in all.",
    "Multiply the colours of the layers by the light, resize each to its box, and lay them on the ground, "
    "(ground + 1) / 2, the farthest first: colour + ground * (1 - alpha). A thing is nearer the lower its box ends, "
    "unless a relation such as 'in front of' or 'behind' says otherwise.",
)
"""How the graphs are used."""
LIGHT_SIDE = 8
"""Side of the thumbnail of the ground from which the light on things is read."""


class MiseLayersConfig(ModelConfig):
    """Sides in pixels and widths of the networks."""

    image_size: Side = 128
    """Side of the ground; pictures of other sides show it resampled."""
    layer_size: PositiveInt = 64
    """Side of the layers, which are resampled to their boxes."""
    mask_size: PositiveInt = 32
    embedding_size: PositiveInt = 128
    code_size: PositiveInt = 128
    layer_channels: Widths = (96, 160, 256)
    """Per level of the encoder and the decoder of layers, from fine to coarse."""
    ground_channels: Widths = (64, 96, 128)
    """Per level of the encoder and the decoder of grounds, from fine to coarse."""
    crop_details: bool = False
    """Whether the decoder of layers sees a given crop's features beside its code."""
    flow_width: PositiveInt = 384
    flow_blocks: PositiveInt = 4
    steps: PositiveInt = 16
    """Default number of sampling steps of codes, which take hardly any time."""

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
            crop_details=True,
            steps=2,
        )

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
        if self.ground_channels[-1] % HEAD_SIZE:
            raise ValueError(
                f"ground_channels {list(self.ground_channels)}: the last must be a multiple of {HEAD_SIZE}"
            )
        return self


class Encoder(nn.Module):
    """Pictures to codes of unit variance. A vector modulates every block, and a map if ``map_channels`` says so."""

    def __init__(
        self, channels_in: int, side: int, widths: Sequence[int], config: MiseLayersConfig, map_channels: int = 0
    ) -> None:
        super().__init__()
        size = config.embedding_size
        self.input = nn.Conv2d(channels_in * PATCH**2, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            ResidualBlock(before, after, size, map_channels) for before, after in pairwise((widths[0], *widths))
        )
        coarsest = side // PATCH // 2 ** (len(widths) - 1)
        self.output = nn.Linear(widths[-1] * coarsest**2, config.code_size)
        self.norm = nn.LayerNorm(config.code_size, elementwise_affine=False)

    def forward(self, pictures: Tensor, vector: Tensor, condition: Tensor | None = None) -> Tensor:
        """Pictures (P, channels_in, S, S), vectors (P, embedding_size), maps (P, map_channels, S / 4, S / 4)."""
        return self.codes(self.features(pictures, vector, condition)[-1])

    def features(self, pictures: Tensor, vector: Tensor, condition: Tensor | None = None) -> list[Tensor]:
        """Maps (P, C, s, s) of each level, from fine to coarse; arguments as for :meth:`forward`."""
        h = self.input(F.pixel_unshuffle(pictures, PATCH).contiguous(memory_format=torch.channels_last))
        levels: list[Tensor] = []
        for block in self.blocks:
            if levels:
                h = F.avg_pool2d(h, 2)
                condition = None if condition is None else F.avg_pool2d(condition, 2)
            h = block(h, vector, condition)
            levels.append(h)
        return levels

    def codes(self, coarsest: Tensor) -> Tensor:
        """The last of the :meth:`features` to codes (P, code_size)."""
        # (P, C, s, s) -> (P, C * s * s) -> (P, code_size)
        codes: Tensor = self.norm(self.output(F.silu(coarsest).flatten(1)))
        return codes


class Details(nn.Module):
    """What a level of the decoder takes from the same level of the encoder of a given crop; starts as nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Conv2d(2 * width, width, 3, padding=1)
        self.output = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)  # type: ignore[arg-type]

    def forward(self, made: Tensor, seen: Tensor) -> Tensor:
        """Features (L, width, s, s) of the decoder and of the encoder -> what is added to the former."""
        result: Tensor = self.output(F.silu(self.input(torch.cat([made, seen], dim=1))))
        return result


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
        self.details = nn.ModuleList(map(Details, widths)) if config.crop_details else None
        fine = max(widths[-1] // 4, 16)
        self.unfold = nn.Conv2d(widths[-1], 4 * fine, 3, padding=1)
        self.output = nn.Conv2d(fine, 4 * (PATCH // 2) ** 2, 3, padding=1)

    def forward(self, codes: Tensor, style: Tensor, seen: Sequence[Tensor] = (), which: Tensor | None = None) -> Tensor:
        """Codes (L, code_size) and vectors of categories (L, embedding_size) -> (L, 4, S, S).

        ``seen`` are the encoder's features (G, C, s, s) of the crops of some layers, ``which`` (G,), from fine to
        coarse.
        """
        given = torch.cat([codes, style], dim=1)
        modulation = self.style(given)
        # (L, C * s * s) -> (L, C, s, s)
        h = self.input(given).unflatten(1, (-1, self.side, self.side)).contiguous(memory_format=torch.channels_last)
        for level, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
            h = first(F.interpolate(h, scale_factor=2.0) if level else h, modulation)
            if self.details is not None and which is not None and which.shape[0]:
                h = h.index_add(0, which, self.details[level](h[which], seen[-1 - level]).to(h.dtype))
            h = second(h, modulation)
        h = F.pixel_shuffle(self.unfold(F.silu(h)), 2)
        layers: Tensor = F.pixel_shuffle(self.output(F.silu(h)), PATCH // 2)
        return layers


class CodeFlow(nn.Module):
    """The velocity of codes from noise, given a vector of ``given_size`` for each."""

    def __init__(self, config: MiseLayersConfig, given_size: int) -> None:
        super().__init__()
        width = config.flow_width
        self.width = width
        self.given = nn.Linear(given_size, width)
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
        """Codes (P, code_size), times (P,) in [0, 1], given (P, given_size) -> (P, code_size)."""
        modulation = F.silu(self.given(given) + self.time(time_features(time, self.width)))
        h = self.input(codes)
        for linear, block in zip(self.modulations, self.blocks, strict=True):
            scale, shift, gate = linear(modulation).chunk(3, dim=1)
            h = h + gate * block(self.norm(h) * (1 + scale) + shift)
        velocity: Tensor = self.output(self.norm(h))
        return velocity

    def sample(self, noise: Tensor, given: Tensor, steps: int) -> Tensor:
        """Codes (P, code_size) from noise (P, code_size), in Euler steps."""
        codes = noise
        for now, later in pairwise(torch.linspace(0, 1, steps + 1).tolist()):
            codes = codes + (later - now) * self(codes, codes.new_full((codes.shape[0],), now), given)
        return codes


@dataclass(frozen=True)
class Ground:
    """What a ground is decoded from, beside its code."""

    map: Tensor
    """(N, C, H / 4, W / 4): regions and silhouettes."""
    summary: Tensor
    """(N, embedding_size): the regions, by the share of the picture that each covers."""


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
    batch: SceneBatch
    """All objects: regions up to the edges, things with their silhouettes as masks."""
    is_layer: Tensor
    """(O,) bool: which of them are things."""
    side: int
    """Of the pictures."""


Grounds = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Noise (R, code_size) and the pictures (R,) that it is for -> grounds (R, 3, H, W) and their light (R, 3)."""


class MiseLayers(Exports, DrawsFromCrops, ObjectLatents, LayeredModel[Layers]):
    """The image model. Training calls its parts."""

    name = "mise-layers"
    has_runtimes = True
    completes_attributes = False
    needs_crops = False
    Config = MiseLayersConfig
    config: MiseLayersConfig

    def __init__(self, config: MiseLayersConfig) -> None:
        super().__init__(config)
        self.config = config
        categories = len(self.vocabulary.categories)
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        size = config.embedding_size
        self.layer_style = nn.Embedding(categories, size)
        self.encoder = channels_last(Encoder(4, config.layer_size, config.layer_channels, config))
        self.decoder = channels_last(LayerDecoder(config))
        self.code_given = ObjectEmbedding(categories, groups, size)
        self.code_flow = CodeFlow(config, size + 1)
        self.ground_embedding = ObjectEmbedding(categories, groups, size)
        channels = config.ground_channels
        self.paint = nn.Linear(size, size // 4)
        self.fold_map = nn.Sequential(nn.Conv2d((size // 4 + 2) * PATCH**2, channels[0], 1), nn.SiLU())
        self.ground_encoder = channels_last(Encoder(3, config.image_size, channels, config, channels[0]))
        self.ground_style = nn.Sequential(nn.Linear(config.code_size, 2 * size), nn.SiLU())
        self.ground_decoder = channels_last(
            ModulatedUNet(channels[0], 3 * PATCH**2, channels, 1, 2 * size, channels[0])
        )
        self.ground_flow = CodeFlow(config, size)
        self.light = nn.Sequential(nn.Linear(4 * LIGHT_SIDE**2, 64), nn.SiLU(), nn.Linear(64, 3))
        self.kind = nn.Sequential(nn.Linear(size + 4, 64), nn.SiLU(), nn.Linear(64, 1))

    @staticmethod
    def may_lack(key: str) -> bool:
        """As in the base class: the details of crops, which begin as nothing."""
        return key.startswith("decoder.details.")

    @property
    def latent_size(self) -> int:
        """Length of the noise that becomes an object's code."""
        return self.config.code_size

    def draws(self, size: int) -> bool:
        """Any: layers are fitted into boxes of whatever size."""
        return True

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Layers]:
        """Generate the layers, and paint the map of the ground."""
        side = size or self.config.image_size
        own = object_latents(batch, self.latent_size, generators)
        shared = picture_latents(batch, self.latent_size, generators)
        things = self._things_by_depth(batch)
        pixels = self._layers_of(batch, things, own[things], shared)
        masks, known, is_layer = batch.masks.clone(), batch.known_masks.clone(), torch.zeros_like(batch.known_masks)
        masks[things] = F.adaptive_avg_pool2d(pixels[:, 3], masks.shape[-1])
        known[things] = is_layer[things] = True
        spread = replace(self.regions_to_edges(batch, things), masks=masks, known_masks=known)
        rows = batch.objects[things], batch.boxes[things], batch.object_to_image[things]
        return Conditioned(boxes=batch.boxes, condition=Layers(pixels, *rows, spread, is_layer, side))

    def _layers_of(self, batch: SceneBatch, things: Tensor, own: Tensor, shared: Tensor) -> Tensor:
        """Layers (L, 4, S, S) of objects (L,), from their noise (L, code_size) and their pictures' (N, code_size)."""
        of_crops = batch.crops is not None and bool(has_pixels(batch.crops[things]).any())
        if self.graphs is None or of_crops or not len(things):
            return self.generate_layers(batch, things, _blended(own, shared[batch.object_to_image[things]]))
        rows = {name: getattr(batch, name)[things] for name in ("objects", "attributes", "boxes", "object_to_image")}
        return self.graphs("layers", replace(batch, **rows), object_latents=own, picture_latents=shared)[0]

    def _things_by_depth(self, batch: SceneBatch) -> Tensor:
        """The rows (L,) of the objects that are layers, the farthest of all first."""
        names = self.vocabulary.predicates
        # Nearer things reach lower, and regions are behind all of them, whatever stands on them.
        is_thing = self.wants_crops(batch)
        if batch.crops is not None:
            is_thing = is_thing | has_pixels(batch.crops)
        relations = [
            (one, names[name], other)
            for one, name, other in batch.triples.tolist()
            if is_thing[one] and is_thing[other]
        ]
        feet = batch.boxes[:, 3] - 4 * ~is_thing
        order = depth_order(feet.tolist(), relations)
        rows = torch.tensor(order, dtype=torch.long, device=batch.objects.device)
        return rows[is_thing[rows]]

    def regions_to_edges(self, batch: SceneBatch, things: Tensor) -> SceneBatch:
        """The batch with regions that leave no stripes at the edges of the picture, unless their masks are known."""
        kept = batch.known_masks.clone()
        kept[things] = True
        boxes = [box if keep else to_edges(tuple(box)) for box, keep in zip(batch.boxes.tolist(), kept, strict=True)]
        return replace(batch, boxes=batch.boxes.new_tensor(boxes).reshape(-1, 4))

    def exported(self) -> Plan:
        """Graphs of what is a thing, of the layers of things, and of the ground behind them."""
        config, ports = self.config, ScenePorts(self)
        side, mask_side, code = config.layer_size, config.mask_size, config.code_size
        scene = ("objects", "attributes", "object_to_image", "boxes")
        own = Port("object_latents", ("objects", code), "standard normal numbers, one row per object")
        shared = Port("picture_latents", ("pictures", code), "standard normal numbers, one row per picture")
        start = Port("ground_noise", ("pictures", code), "standard normal numbers, one row per picture")
        is_layer = Port("is_layer", ("objects",), "which objects are things", torch.bool)
        logits = Port("logits", ("objects",), "above 0 for things, which get a layer; others are regions of the ground")
        layers = [
            Port("layers", ("objects", 4, side, side), "in [0, 1]: colours multiplied by alpha, and alpha"),
            Port("silhouettes", ("objects", mask_side, mask_side), "their alpha, as masks for 'ground'"),
        ]
        ground = [
            Port("ground", ("pictures", 3, config.image_size, config.image_size), "pictures of it, about [-1, 1]"),
            Port("light", ("pictures", 3), "by what the colours of the layers are multiplied"),
        ]
        takes = ("pictures", *scene, "masks", "known_masks", is_layer, start)
        graphs = [
            ports.graph("kinds", "Which objects are things.", self.kind_logits, ["objects", "boxes"], [logits]),
            ports.graph("layers", "Generates the layers of things.", self._layers, [*scene, own, shared], layers),
            ports.graph("ground", "Generates the ground and its light.", self._ground, takes, ground),
        ]
        if config.crop_details:
            purpose = "The layers of things that have a crop, in the light of none."
            graphs.append(ports.graph("layers_of_crops", purpose, self._layers_of_crops, ["objects", "crops"], layers))
        edges = {"spanning": SPANNING, "spanning_above": SPANNING_ABOVE, "near_edge": NEAR_EDGE}
        numbers = {"dark": DARK, "grounds_at_most": GROUND_TRIES, **edges}
        return Plan(graphs=tuple(graphs), how=HOW, numbers=numbers)

    def _layers(self, batch: SceneBatch, own: Tensor, shared: Tensor) -> tuple[Tensor, Tensor]:
        all_rows = torch.arange(batch.objects.shape[0])
        pixels = self.generate_layers(batch, all_rows, _blended(own, shared[batch.object_to_image]))
        return pixels, F.adaptive_avg_pool2d(pixels[:, 3], self.config.mask_size)

    def _layers_of_crops(self, batch: SceneBatch) -> tuple[Tensor, Tensor]:
        assert batch.crops is not None
        style, all_rows = self.layer_style(batch.objects), torch.arange(batch.objects.shape[0])
        seen = self.encoder.features(layers_of(batch.crops), style)
        pixels = self.decoder(self.encoder.codes(seen[-1]), style, seen, all_rows).float().clamp(0, 1)
        return pixels, F.adaptive_avg_pool2d(pixels[:, 3], self.config.mask_size)

    def _ground(self, batch: SceneBatch, is_layer: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        without, given, seen = self._painted_grounds(batch, is_layer)
        ground = self._sampled_ground(start, without, given, self.config.steps)
        return ground, self.light_on_things(ground, seen)

    def _painted_grounds(self, batch: SceneBatch, is_layer: Tensor) -> tuple[Ground, Ground, Tensor]:
        """Grounds without and with things, and where these do not hide them, (N, 1, H, W) in [0, 1]."""
        given, hidden = self.paint_ground(batch, is_layer, batch.masks)
        without, _ = self.paint_ground(batch, is_layer, batch.masks * ~is_layer[:, None, None])
        return without, given, 1 - hidden

    def wants_crops(self, batch: SceneBatch) -> Tensor:
        """As in the base class: for things, for the ground has no layers. A crop that is given makes a thing of all."""
        return self.kind_logits(batch) > 0

    def kind_logits(self, batch: SceneBatch) -> Tensor:
        """Logits (O,) of whether each object is a thing, which gets a layer, or a region of the ground.

        A name does not always tell: clouds may be a part of the sky, or one cloud in front of it.
        """
        given = torch.cat([self.layer_style(batch.objects).detach(), batch.boxes], dim=1)
        logits: Tensor = self.kind(given)[:, 0].float()
        return logits

    def generate_layers(self, batch: SceneBatch, things: Tensor, latents: Tensor) -> Tensor:
        """Layers (L, 4, S, S) in [0, 1] of objects (L,): from their crops if given, or from noise (L, code_size)."""
        style = self.layer_style(batch.objects[things])
        codes = self.code_flow.sample(latents, self.code_condition(batch, things), self.config.steps)
        given = things.new_zeros(0) if batch.crops is None else has_pixels(batch.crops[things]).nonzero()[:, 0]
        if not len(given):
            return self.decoder(codes, style).float().clamp(0, 1)
        assert batch.crops is not None
        seen = self.encoder.features(layers_of(batch.crops[things[given]]), style[given])
        codes = codes.index_copy(0, given, self.encoder.codes(seen[-1]).to(codes.dtype))
        return self.decoder(codes, style, seen, given).float().clamp(0, 1)

    def code_condition(self, batch: SceneBatch, things: Tensor, attributes: Tensor | None = None) -> Tensor:
        """What the codes of objects (L,) depend on: (L, embedding_size + 1)."""
        attributes = batch.attributes if attributes is None else attributes
        x0, y0, x1, y1 = batch.boxes[things].unbind(dim=1)
        shape = ((x1 - x0).clamp(min=1e-3) / (y1 - y0).clamp(min=1e-3)).log().clamp(-1.5, 1.5)
        vectors = self.code_given(batch.objects[things], attributes[things])
        return torch.cat([vectors, shape[:, None]], dim=1)

    def paint_ground(self, batch: SceneBatch, is_layer: Tensor, masks: Tensor) -> tuple[Ground, Tensor]:
        """What the ground depends on, and where things hide it, (N, 1, H, W) in [0, 1].

        Args:
            batch: Every object needs a box; ``known_masks`` tells which regions have a mask.
            is_layer: (O,) bool: which objects are things, whose silhouettes are always known.
            masks: (O, M, M) in [0, 1], relative to the boxes, of things and regions.
        """
        side = self.config.image_size
        planes = sample_planes(batch.boxes, masks, batch.known_masks | is_layer, side, side)
        # Sky and walls first, then what begins lower: that lies nearer. Things are before all regions.
        boxes = batch.boxes
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        depth = torch.where(is_layer, 2 + boxes[:, 3], boxes[:, 1] - 0.1 * area)
        shown = stacked(planes, batch.object_to_image, batch.num_images, depth)
        hidden = planes.new_zeros((batch.num_images, side, side))
        hidden = hidden.index_add(0, batch.object_to_image, shown * is_layer[:, None, None])
        vectors = self.ground_embedding(batch.objects, batch.attributes)
        shares = shown.mean(dim=(1, 2), keepdim=True)[:, 0] * ~is_layer[:, None]  # (O, H, W) -> (O, 1)
        summary = vectors.new_zeros((batch.num_images, vectors.shape[1]))
        summary = summary.index_add(0, batch.object_to_image, vectors * shares)
        painted = paint_vectors(self.paint(vectors), shown, batch.object_to_image, batch.num_images)
        along = torch.linspace(-1, 1, side, device=painted.device, dtype=painted.dtype)
        places = torch.stack(torch.meshgrid(along, along, indexing="ij"))  # (2, H, W)
        painted = torch.cat([painted, places.expand(batch.num_images, 2, side, side)], dim=1)
        return Ground(self.fold_map(F.pixel_unshuffle(painted, PATCH)), summary), hidden[:, None]

    def decode_ground(self, codes: Tensor, ground: Ground) -> Tensor:
        """Codes (N, code_size) to pictures (N, 3, H, W), about [-1, 1]."""
        folded = self.ground_decoder(ground.map, self.ground_style(codes), ground.map)
        return F.pixel_shuffle(folded, PATCH).float()

    def light_on_things(self, ground: Tensor, seen: Tensor) -> Tensor:
        """By what the colours of things are multiplied, (N, 3), in the light of a ground (N, 3, H, W) in [-1, 1]."""
        small = F.adaptive_avg_pool2d(torch.cat([ground * seen, seen], dim=1), LIGHT_SIDE)
        return self.light(small.flatten(1)).exp()  # (N, 4, s, s) -> (N, 4 * s * s)

    def _day(self, condition: Layers, generators: Generators, steps: int) -> tuple[Tensor, Tensor]:
        """Grounds (N, 3, H, W) in [-1, 1] and their light (N, 3).

        Of those that are dark, others are sampled, for nobody can ask for the light.
        """
        # Another runtime has only the model's own number of steps.
        graphs = self.graphs if steps == self.config.steps else None
        sample = self._grounds(condition, steps) if graphs is None else _grounds_of(graphs, condition)
        device = condition.boxes.device
        rows = torch.arange(condition.batch.num_images, device=device)
        start = (self.config.code_size,)
        grounds, light = sample(noise(start, len(rows), generators, device), rows)
        for _ in range(GROUND_TRIES - 1):
            rows = (light.mean(dim=1) < DARK).nonzero()[:, 0]
            if not len(rows):
                break
            own = None if generators is None else [generators[row] for row in rows.tolist()]
            made = sample(noise(start, len(rows), own, device), rows)
            grounds, light = grounds.index_copy(0, rows, made[0]), light.index_copy(0, rows, made[1])
        return grounds, light

    def _grounds(self, condition: Layers, steps: int) -> Grounds:
        """Samples grounds in torch, of what is painted once."""
        without, given, seen = self._painted_grounds(condition.batch, condition.is_layer)

        def sample(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            ground = self._sampled_ground(start, _of(without, rows), _of(given, rows), steps)
            return ground, self.light_on_things(ground, seen[rows])

        return sample

    def _sampled_ground(self, start: Tensor, without: Ground, given: Ground, steps: int) -> Tensor:
        """Grounds (N, 3, H, W) in [-1, 1] from noise (N, code_size), with the shadows of things but not their halos."""
        codes = self.ground_flow.sample(start, given.summary, steps)
        bare, ground = (self.decode_ground(codes, one) for one in (without, given))
        # Convolutions see zeros beyond the edges, which leaves pale bands along them.
        edge = EDGE if min(bare.shape[-2:]) > 4 * EDGE else 0
        inner = _shaded(bare, ground)[..., edge : bare.shape[-2] - edge, edge : bare.shape[-1] - edge]
        return F.pad(inner, (edge,) * 4, mode="replicate")

    @torch.no_grad()
    def render(self, condition: Layers, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Sample a ground in ``steps`` Euler steps of its code, and lay the layers on it."""
        pictures = [merged(layers) for layers in self.render_layers(condition, generators, steps)]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(condition.boxes.device) * 2 - 1

    @torch.no_grad()
    def render_layers(
        self, condition: Layers, generators: Generators = None, steps: int | None = None
    ) -> list[list[Layer]]:
        """As in the base class: the ground, then the things in its light."""
        return self.composed(condition, *self._day(condition, generators, steps or self.config.steps))

    def composed(self, condition: Layers, ground: Tensor, light: Tensor) -> list[list[Layer]]:
        """The layers of each picture: a ground (N, 3, H, W), and the things of a condition in its light (N, 3)."""
        lit = condition.pixels[:, :3] * light[condition.pictures][:, :, None, None]
        pixels = torch.cat([lit, condition.pixels[:, 3:]], dim=1)
        if condition.side != self.config.image_size:
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


def _grounds_of(graphs: ComputesGraphs, condition: Layers) -> Grounds:
    """Samples grounds in another runtime, which paints them each time."""
    count = condition.batch.num_images

    def sample(start: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        whole = start.new_zeros((count, start.shape[1])).index_copy(0, rows, start)
        ground, light = graphs("ground", condition.batch, is_layer=condition.is_layer, ground_noise=whole)
        return ground[rows], light[rows]

    return sample


def _of(ground: Ground, rows: Tensor) -> Ground:
    """That of some pictures (R,)."""
    return Ground(ground.map[rows], ground.summary[rows])


def has_pixels(crops: Tensor) -> Tensor:
    """Which crops (O, 4, S, S) in [-1, 1] are not transparent everywhere, (O,) bool: those that there are."""
    return (crops[:, 3] > -1).flatten(1).any(dim=1)


def _blended(latents: Tensor, of_pictures: Tensor) -> Tensor:
    """Latents (O, L) of objects with those of their pictures, by which things of one category resemble each other."""
    return (latents + of_pictures) / 2**0.5


def layers_of(crops: Tensor) -> Tensor:
    """Crops (L, 4, S, S) in [-1, 1] to layers in [0, 1], whose colours are multiplied by alpha."""
    straight = (crops + 1) / 2
    return torch.cat([straight[:, :3] * straight[:, 3:], straight[:, 3:]], dim=1)


def _shaded(bare: Tensor, ground: Tensor) -> Tensor:
    """Bare grounds (N, 3, H, W) in [-1, 1], darkened where those with things before them are darker.

    The decoder paints shadows around silhouettes, but pale, blocky halos as well, for one of its places is four pixels.
    """
    one, other = (ground.clamp(-1, 1) + 1) / 2, (bare.clamp(-1, 1) + 1) / 2
    shade = one.mean(dim=1, keepdim=True) / other.mean(dim=1, keepdim=True).clamp(min=1e-3)
    return other * shade.clamp(max=1) * 2 - 1


def _pixels(layer: Tensor) -> np.ndarray:
    """(4, h, w) -> (h, w, 4) float32."""
    return layer.permute(1, 2, 0).float().cpu().numpy()
