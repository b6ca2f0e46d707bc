"""A contrastive loss of sketches and photographs of scenes, on sketches that are varied as hands vary them.

The sketch of each scene should tell its photograph among those of the batch, and the photograph its sketch: CLIP's
loss (Radford et al., ICML 2021). Sketches are ambiguous, so the targets leave a little to all others; that follows the
idea, not the code, of Demić & Čehovin Zajc (2025, "SketchScape"), a secondary source.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from scenograph.models.base import Model
from scenograph.models.scene_encoder import SceneEncoder
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import (
    Generators,
    Objective,
    ObjectiveConfig,
    Probability,
    Totals,
    normal,
    uniform,
    uniform_per_object,
)
from scenograph.training.objectives.scene_designer import sketched

LARGEST_SCALE = math.log(100)
KNOTS = 6
"""Points across a sketch whose shifts bend it."""


class SceneEncoderObjectiveConfig(ObjectiveConfig):
    """How sketches are varied, and how soft the targets are."""

    softness: float = Field(default=0.1, ge=0, lt=1)
    """Share of the targets' probability that is spread over all scenes of a batch."""
    dropped: Probability = 0.15
    """How likely an object is left out of a sketch; one is always kept."""
    jitter: NonNegativeFloat = 0.02
    """Standard deviation of the shifts of objects, in sides of the canvas, and a third of that of their sizes."""
    bend: NonNegativeFloat = 0.01
    """Standard deviation of the shifts of points of the whole sketch, in sides of the canvas."""
    thickness: Probability = 1.0
    """How far lines are made thicker by up to a pixel on each side: between 0 and this, at random."""

    @classmethod
    def tiny(cls) -> Self:
        """The whole loss."""
        return cls()


class SceneEncoderObjective(Objective):
    """One phase."""

    Config = SceneEncoderObjectiveConfig

    def __init__(self, config: SceneEncoderObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A mean over the scenes that have sketches; those without are left out."""
        (batch, pictures), model = sketched(batch), cast(SceneEncoder, self.model)
        sketch = self.varied([generators[number] for number in pictures], model, batch)
        assert batch.images is not None
        # One pass, so that the batch norms see both kinds.
        drawn, seen = model(torch.cat([sketch, batch.images])).chunk(2)
        scale = model.log_scale.float().clamp(max=LARGEST_SCALE).exp()
        loss = contrast(drawn, seen, scale, self.config.softness) * batch.num_images / totals.pictures
        return loss, {"contrast": loss.detach()}

    def varied(self, generators: Generators, model: SceneEncoder, batch: SceneBatch) -> Tensor:
        """Sketches of scenes (N, 3, H, W), paper 1 and ink -1, each as another hand may have drawn it."""
        config, owner = self.config, batch.object_to_image
        assert batch.sketches is not None
        chances, *moves = uniform_per_object(generators, batch, 5).to(owner.device).unbind(dim=1)
        most = torch.zeros(batch.num_images, device=owner.device).scatter_reduce(0, owner, chances, "amax")
        dropped = (chances < config.dropped) & (chances < most[owner])
        sketches = torch.where(dropped[:, None, None], 1.0, batch.sketches)
        boxes = moved(batch.boxes, torch.stack(moves, dim=1), config.jitter)
        ink = (1 - model.compose(replace(batch, sketches=sketches, boxes=boxes))[:, :1]) / 2
        ink = bent(ink, normal(generators, (2, KNOTS, KNOTS)).to(ink.device) * config.bend)
        share = (uniform(generators) * config.thickness).to(ink.device)[:, None, None, None]
        ink = ink + share * (F.max_pool2d(ink, 3, stride=1, padding=1) - ink)
        return (1 - 2 * ink).expand(-1, 3, -1, -1)

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """How often a sketch, as it is, finds its scene in a batch, and the reciprocal of its place."""
        (batch, _), encoder = sketched(batch), cast(SceneEncoder, model)
        assert batch.images is not None
        drawn, seen = encoder(encoder.compose(batch)), encoder(batch.images)
        likeness = drawn @ seen.T
        place = (likeness >= likeness.diagonal()[:, None]).sum(dim=1)  # from 1
        return {
            "found_in_batch": (float((place == 1).sum()), len(place)),
            "reciprocal_rank": (float((1 / place).sum()), len(place)),
        }


def contrast(sketches: Tensor, photographs: Tensor, scale: Tensor, softness: float) -> Tensor:
    """Cross-entropy of which of N photographs a sketch shows, and which sketch a photograph (unit vectors (N, D))."""
    logits = scale * sketches @ photographs.T
    right = torch.arange(len(logits), device=logits.device)
    both = (F.cross_entropy(one, right, label_smoothing=softness) for one in (logits, logits.T))
    return sum(both, logits.new_zeros(())) / 2


def moved(boxes: Tensor, chances: Tensor, jitter: float) -> Tensor:
    """Boxes (O, 4) shifted and scaled by numbers in [0, 1) per object (O, 4), with this standard deviation."""
    noise = (chances - 0.5) * math.sqrt(12) * jitter
    centres, halves = (boxes[:, 2:] + boxes[:, :2]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    centres, halves = centres + noise[:, :2], halves * (3 * noise[:, 2:]).exp()
    return torch.cat([centres - halves, centres + halves], dim=1)


def bent(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Pictures (N, 1, H, W) whose points move by a smooth field through shifts (N, 2, K, K), in sides."""
    height, width = pictures.shape[2:]
    field = F.interpolate(shifts, (height, width), mode="bicubic", align_corners=True)
    across, down = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
    still = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).to(pictures.device)  # (H, W, 2)
    grid = still + 2 * field.permute(0, 2, 3, 1)  # (N, 2, H, W) -> (N, H, W, 2)
    return F.grid_sample(pictures, grid, align_corners=True)
