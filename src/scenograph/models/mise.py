"""Mise: layout to image by a rectified flow in pixel space.

Every object's vector (category and attributes) is painted through its mask or box into a map, which a U-Net
reads beside the noisy picture. The network predicts the velocity of the straight path from noise to picture
(Liu et al. 2022; Lipman et al. 2022; time is sampled logit-normal as in Esser et al. 2024, section 3.1).
Both are folded by ``patch`` so that the network works on a coarser map and sees every pixel.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from scenograph.models.base import Conditioned, Generators, ImageModel, ModelConfig, Widths, check_side, noise
from scenograph.models.exporting import Exports, Flow, Graph, Plan, Port, ScenePorts
from scenograph.models.sizes import Sides
from scenograph.nn.embedding import ObjectEmbedding
from scenograph.nn.layers import channels_last
from scenograph.nn.painting import paint_vectors, sample_planes
from scenograph.nn.unet import HEAD_SIZE, UNet
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

Solver = Literal["euler", "heun"]


class MiseConfig(ModelConfig):
    """``channels``: width per U-Net level; ``blocks`` per level; ``layout_channels``: width of the painted vectors."""

    image_size: Sides = (64, 64)
    patch: PositiveInt = 2
    layout_channels: PositiveInt = 32
    channels: Widths = (64, 128, 160)
    blocks: PositiveInt = 1
    mask_size: PositiveInt = 16
    steps: PositiveInt = 8
    """Default number of sampling steps (see the model card)."""
    solver: Solver = "euler"
    guidance: float = 1.0
    """Classifier-free guidance scale; 1 is none."""

    @classmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls(vocabulary=vocabulary.to_dict(), image_size=(16, 16), layout_channels=8, channels=(32, 32), steps=2)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return self.mask_size

    @property
    def unit(self) -> int:
        """Picture sides must be multiples of this."""
        return int(self.patch * 2 ** (len(self.channels) - 1))

    @model_validator(mode="after")
    def _whole_parts(self) -> Self:
        for side in self.image_size:
            if side % self.unit:
                raise ValueError(f"image_size {side}: must be a multiple of {self.unit}")
        if self.channels[0] % 2 or self.channels[-1] % HEAD_SIZE:
            raise ValueError(
                f"channels {list(self.channels)}: the first must be even, the last a multiple of {HEAD_SIZE}"
            )
        return self


class Mise(Exports, ImageModel[Tensor]):
    """The image model. :meth:`render` samples; training calls :meth:`velocity` on noisy pictures."""

    name = "mise"
    Config = MiseConfig
    config: MiseConfig

    def __init__(self, config: MiseConfig) -> None:
        super().__init__(config)
        self.config = config
        groups = [len(names) for names in self.vocabulary.attributes.values()]
        width = 4 * config.layout_channels
        self.embedding = ObjectEmbedding(len(self.vocabulary.categories), groups, width)
        self.paint = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.layout_channels))
        folded = config.patch**2
        self.unet = channels_last(
            UNet((3 + config.layout_channels) * folded, 3 * folded, config.channels, config.blocks)
        )

    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Tensor]:
        """The painted map (N, layout_channels, H, W)."""
        check_side(size, self.config.picture_sides)
        return Conditioned(boxes=batch.boxes, condition=self.paint_condition(batch))

    def paint_condition(self, batch: SceneBatch) -> Tensor:
        """Object vectors painted through masks where known, boxes elsewhere. Every object needs a box."""
        vectors = self.paint(self.embedding(batch.objects, batch.attributes))
        planes = sample_planes(batch.boxes, batch.masks, batch.known_masks, *self.config.image_size)
        return paint_vectors(vectors, planes, batch.object_to_image, batch.num_images)

    def exported(self) -> Plan:
        """Two graphs: the painted map of layouts, and the velocity, which is followed from noise."""
        config = self.config
        condition = Port("condition", ("pictures", config.layout_channels, *config.image_size), "the painted map")
        noisy = Port("noisy", ("pictures", 3, *config.image_size), "pictures on their way, at first noise")
        time = Port("time", ("pictures",), "0 (noise) to 1 (picture), the same for all")
        scene = ("pictures", "objects", "attributes", "object_to_image", "boxes", "masks", "known_masks")
        paint = ScenePorts(self).graph("condition", "Paints layouts.", self.paint_condition, scene, [condition])
        slope = Port("velocity", noisy.shape, "what a picture changes by in a unit of time")
        purpose = "The velocity of pictures on the way from noise."
        step = Graph("velocity", purpose, self.velocity, (noisy, time, condition), (slope,))
        flow = Flow(
            graph="velocity",
            state="noisy",
            start="standard normal numbers",
            finish="clip to [-1, 1]",
            solver=config.solver,
            steps=config.steps,
            guidance=config.guidance,
        )
        how = ("Every object needs a box. Run 'condition' once.", "Follow the flow; its result is the pictures.")
        return Plan(graphs=(paint, step), how=how, flow=flow)

    def velocity(self, noisy: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """D picture / d time at noisy pictures (N, 3, H, W) and times (N,) in [0, 1] (0 noise, 1 picture)."""
        return self._velocity(noisy, time, self._steady(condition))

    def _steady(self, condition: Tensor) -> Tensor:
        """What the network first makes of the condition, the same at all times: (N, channels[0], H', W')."""
        return self.unet.input_of(self._folded(condition))

    def _velocity(self, noisy: Tensor, time: Tensor, steady: Tensor) -> Tensor:
        folded = self.unet(self._folded(noisy), time, steady=steady)
        return F.pixel_shuffle(folded, self.config.patch).float()

    def _folded(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C * patch^2, H / patch, W / patch), channels last."""
        return F.pixel_unshuffle(maps, self.config.patch).contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def render(
        self,
        condition: Tensor,
        generators: Generators = None,
        steps: int | None = None,
        guidance: float | None = None,
        solver: Solver | None = None,
    ) -> Tensor:
        """Follow the flow from noise to pictures (N, 3, H, W) in [-1, 1].

        ``steps`` are Euler or Heun steps; Heun costs two network calls per step except the last.
        """
        count, _, height, width = condition.shape
        steps, solver = steps or self.config.steps, solver or self.config.solver
        guidance = self.config.guidance if guidance is None else guidance
        seen = condition if guidance == 1.0 else torch.cat([condition, torch.zeros_like(condition)])
        steady = self._steady(seen)
        x = noise((3, height, width), count, generators, condition.device)
        times = torch.linspace(0, 1, steps + 1).tolist()
        for now, later in pairwise(times):
            slope = self._guided(x, now, steady, guidance)
            ahead = x + (later - now) * slope
            if solver == "heun" and later < 1:
                slope = (slope + self._guided(ahead, later, steady, guidance)) / 2
                ahead = x + (later - now) * slope
            x = ahead
        return x.clamp(-1, 1)

    def _guided(self, x: Tensor, time: float, steady: Tensor, guidance: float) -> Tensor:
        """The velocity; with guidance, the second half of ``steady`` is of no condition."""
        times = torch.full((len(steady),), time, device=x.device)
        if guidance == 1.0:
            return self._velocity(x, times, steady)
        conditional, unconditional = self._velocity(x.repeat(2, 1, 1, 1), times, steady).chunk(2)
        return unconditional + guidance * (conditional - unconditional)
