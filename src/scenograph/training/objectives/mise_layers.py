"""The losses of Mise in layers: autoencoders of layers and grounds, flows of their codes, and the light on things."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from pydantic import NonNegativeFloat
from torch import Tensor

from scenograph.errors import UserError
from scenograph.models.base import Model, noise_per_object
from scenograph.models.mise_layers import CodeFlow, MiseLayers, has_pixels, layers_of
from scenograph.nn.crops import crop_boxes
from scenograph.nn.embedding import drop_attributes
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import (
    Generators,
    Objective,
    ObjectiveConfig,
    Probability,
    Totals,
    normal,
    uniform_per_object,
    with_some_masks,
)

SHARP = 0.25
"""Longer side of a thing, as a fraction of the canvas, from which it is always learned from; smaller ones are blurred,
and learned from with a probability that falls with their area."""
LIGHT_CROP = 16
"""Side of the crops from which the light is measured."""
SMALLER = (1.0, 0.75, 0.5, 0.375)
"""Sides of a thing in other scenes, of which its crop may be: shares of the layer's."""


class MiseLayersObjectiveConfig(ObjectiveConfig):
    """Weights, and probabilities of hiding a part of the condition."""

    given_masks: Probability = 0.5
    """Of a picture's regions to be painted through their masks, not their boxes."""
    attribute_dropout: Probability = 0.3
    given_crops: Probability = 0.5
    """Of things to be made from a given crop, with its details; the others are made from a code alone."""
    crops_alone: bool = False
    """Learn the details of given crops only: everything else stays as it is."""
    edge_weight: NonNegativeFloat = 1.0
    """Of the differences of neighbouring pixels of a layer."""
    code_noise: NonNegativeFloat = 0.1
    """Standard deviation of the noise on codes, which makes neighbouring codes look alike."""

    @classmethod
    def tiny(cls) -> Self:
        """Small enough to train a few steps on a CPU in seconds."""
        return cls()


class MiseLayersObjective(Objective):
    """The sum of the errors of networks that share hardly more than the batch."""

    Config = MiseLayersObjectiveConfig

    def __init__(self, config: MiseLayersObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        if config.crops_alone:
            if not cast(MiseLayers, model).config.crop_details:
                raise UserError("objective.crops_alone: the model takes no details from crops; set model.crop_details")
            for name, parameter in model.named_parameters():
                parameter.requires_grad_("details" in name)

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, generators: Generators, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Layers and codes per thing, ground and light per picture."""
        model = cast(MiseLayers, self.model)
        errors = self._errors(model, batch, generators)
        terms = {
            name: error.sum() / (totals.pictures if name in ("ground", "ground_code", "light") else totals.objects)
            for name, error in errors.items()
        }
        return torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()}

    def validate(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, tuple[float, float]]:
        """The same errors on held-out scenes, at the same noise every time."""
        errors = self._errors(cast(MiseLayers, model), batch, generators)
        return {name: (float(error.sum()), max(len(error), 1)) for name, error in errors.items()}

    def render_grid(self, model: Model, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Pictures from true boxes and masks, and from the things' crops, too."""
        own = cast(MiseLayers, model)
        return {
            "true layout": own(replace(batch, crops=None), generators).images,
            "given crops": own(batch, generators).images,
        }

    def _errors(self, model: MiseLayers, batch: SceneBatch, generators: Generators) -> dict[str, Tensor]:
        """Errors of each thing (L,) and of each picture (N,), by name."""
        config = self.config
        assert batch.images is not None and batch.crops is not None
        device = batch.images.device
        is_thing = has_pixels(batch.crops)
        things = is_thing.nonzero()[:, 0]
        groups = batch.attributes.shape[1]
        columns = groups + (4 if model.config.crop_details else 2)
        per_object = uniform_per_object(generators, batch, columns).to(device)
        ground_times = normal(generators, ()).sigmoid().to(device)  # logit-normal
        ground_starts = normal(generators, (2 * model.config.code_size,)).to(device)
        starts = noise_per_object(2 * model.config.code_size, batch, generators)
        partly = with_some_masks(batch, config.given_masks, generators)

        layers = layers_of(batch.crops)
        layer = code = layers.new_zeros(0)
        sides = (batch.boxes[things, 2:] - batch.boxes[things, :2]).amax(dim=1)
        chosen = things[per_object[things, 0] < (sides / SHARP) ** 2]
        if len(chosen):
            opened = drop_attributes(batch.attributes, per_object[:, 2 : 2 + groups], config.attribute_dropout)
            given, moments = model.code_condition(batch, chosen, opened), per_object[chosen, 1]
            crops = per_object[chosen, 2 + groups :]
            layer, code = self._layer_errors(
                model, layers[chosen], batch.objects[chosen], given, moments, starts[chosen], crops
            )
        if config.crops_alone:
            return {"layer": layer}

        masks = torch.where(is_thing[:, None, None], batch.masks, partly.masks)
        given_ground, hidden = model.paint_ground(partly, is_thing, masks)
        # The edges of things shine through their neighbours, and the masks are coarse.
        seen = 1 - F.max_pool2d((hidden > 0.1).float(), 3, 1, 1)
        picture = _filled(batch.images, seen)
        codes = model.ground_encoder(picture, given_ground.summary, given_ground.map).float()
        noise, disturbance = ground_starts.chunk(2, dim=1)
        made = model.decode_ground(codes + config.code_noise * disturbance, given_ground)
        ground = ((made - picture).abs() * seen).sum(dim=(1, 2, 3)) / (3 * seen.sum(dim=(1, 2, 3))).clamp(min=1)
        ground_code = _velocity_error(model.ground_flow, codes, noise, ground_times, given_ground.summary.detach())

        known, factor = self._light(batch, things, layers[things])
        light = (model.light_on_things(picture, seen).log() - factor).square().mean(dim=1) * known
        thing = F.binary_cross_entropy_with_logits(model.kind_logits(batch), is_thing.float(), reduction="none")
        return {
            "layer": layer,
            "code": code,
            "thing": thing,
            "ground": ground,
            "ground_code": ground_code,
            "light": light,
        }

    def _layer_errors(
        self,
        model: MiseLayers,
        layers: Tensor,
        categories: Tensor,
        given: Tensor,
        moments: Tensor,
        starts: Tensor,
        crops: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Errors (L,) of the layers (L, 4, S, S) that are decoded again, and of the velocities of their codes.

        ``moments`` (L,) in [0, 1) become times; ``starts`` (L, 2 * code_size) is the noise at their beginning, and the
        noise on codes that are decoded. ``crops`` (L, 2) in [0, 1) decide which layers are made from a given crop, and
        in which size that crop was seen; (L, 0) of models that take no details from crops.
        """
        noise, disturbance = starts.chunk(2, dim=1)
        style = model.layer_style(categories)
        codes = model.encoder(layers, style).float()
        shown, seen = codes, list[Tensor]()
        share = 1.0 if self.config.crops_alone else self.config.given_crops
        which = (crops[:, :1] < share).flatten().nonzero()[:, 0]
        if len(which):
            seen = model.encoder.features(_seen_elsewhere(layers[which], crops[which, 1]), style[which])
            shown = codes.index_copy(0, which, model.encoder.codes(seen[-1]).float())
        made = model.decoder(shown + self.config.code_noise * disturbance, style, seen, which).float()
        times = torch.special.ndtri(moments.clamp(1e-4, 1 - 1e-4)).sigmoid()  # logit-normal
        error = _velocity_error(model.code_flow, codes, noise, times, given)
        return _distance(made, layers, self.config.edge_weight), error

    def _light(self, batch: SceneBatch, things: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Which pictures show things (N,), and the logarithm (N, 3) of what their colours are multiplied by there."""
        assert batch.images is not None
        where, size = batch.object_to_image[things], LIGHT_CROP
        shown = (crop_boxes(batch.images, batch.boxes[things], where, size, size) + 1) / 2
        small = F.interpolate(layers, (size, size), mode="area")
        mask = F.interpolate(batch.masks[things][:, None], (size, size), mode="area")
        sure = ((mask > 0.9) & (small[:, 3:] > 0.95)).float()
        # Least squares: shown = factor * colour
        sums = torch.stack([(shown * small[:, :3] * sure).sum((2, 3)), (small[:, :3].square() * sure).sum((2, 3))])
        above, below = sums.new_zeros((2, batch.num_images, 3)).index_add_(1, where, sums)
        known = (below > 1).all(dim=1)
        return known.float(), torch.where(known[:, None], above / below.clamp(min=1e-6), 1.0).clamp(0.05, 2).log()


def _seen_elsewhere(layers: Tensor, chance: Tensor) -> Tensor:
    """Layers (G, 4, S, S) as crops of other scenes show them, some smaller and so less sharp; ``chance`` (G,) decides.

    Decoded again, they shall be sharp.
    """
    result, choice = layers.clone(), (chance * len(SMALLER)).long()
    for number, share in enumerate(SMALLER):
        rows, side = (choice == number).nonzero()[:, 0], max(round(share * layers.shape[-1]), 1)
        if len(rows) and side < layers.shape[-1]:
            small = F.interpolate(layers[rows], (side, side), mode="area")
            result[rows] = F.interpolate(small, layers.shape[-2:], mode="bilinear")
    return result


def _velocity_error(flow: CodeFlow, codes: Tensor, noise: Tensor, times: Tensor, given: Tensor) -> Tensor:
    """Mean squared errors (P,) of the velocities of codes, which do not learn from it."""
    at, target = times[:, None], codes.detach()
    velocity = flow((1 - at) * noise + at * target, times, given).float()
    return (velocity - (target - noise)).square().mean(dim=1)


def _distance(made: Tensor, true: Tensor, edge_weight: float) -> Tensor:
    """Mean absolute error of layers (L, 4, S, S), and of the differences of their neighbouring pixels: (L,)."""
    difference = made - true
    edges = [difference.diff(dim=dim).abs().mean(dim=(1, 2, 3)) for dim in (2, 3)]
    return difference.abs().mean(dim=(1, 2, 3)) + edge_weight * (edges[0] + edges[1])


def _filled(images: Tensor, seen: Tensor) -> Tensor:
    """Pictures whose hidden pixels have the mean of the row's seen ones, or the picture's: sky above, grass below."""
    rows = seen.sum(dim=3, keepdim=True)
    mean = (images * seen).sum(dim=(2, 3), keepdim=True) / seen.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    row_mean = torch.where(rows > 4, (images * seen).sum(dim=3, keepdim=True) / rows.clamp(min=1), mean)
    return images * seen + row_mean * (1 - seen)
