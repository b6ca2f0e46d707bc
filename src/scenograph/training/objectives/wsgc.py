"""WSGC's losses: boxes and masks, and the chances of converses, which are learnt by REINFORCE."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scenograph.evaluation.layouts import layout_figures, totals
from scenograph.models.base import Model, noise
from scenograph.models.wsgc import Wsgc
from scenograph.scenes.batch import SceneBatch
from scenograph.training.objectives.base import Draws, Objective, ObjectiveConfig, Totals


class WsgcObjectiveConfig(ObjectiveConfig):
    """The published weights; ``belief_rate`` is the learning rate of beliefs over the network's (1e-2 over 1e-4)."""

    box_weight: float = 10.0
    mask_weight: float = 0.0
    belief_rate: float = 100.0


class WsgcObjective(Objective):
    """Two phases: the network, its beliefs in transitivity with it, then the chances of converses.

    A converse that was drawn in pictures with less error than others of their part of the batch becomes likelier
    (Williams 1992; section 4.3).
    """

    Config = WsgcObjectiveConfig

    def __init__(self, config: WsgcObjectiveConfig, model: Model) -> None:
        super().__init__(config, model)
        self.config = config
        self.network = cast(Wsgc, model)
        self.chances = nn.ParameterList([self.network.converse])

    @property
    def phases(self) -> tuple[str, ...]:
        """The network, and the chances where they are learnt."""
        return ("layout", "converses") if self.network.config.learned_converse else ("layout",)

    def rates(self, phase: str) -> dict[str, float]:
        """Beliefs learn faster."""
        return {"": 1.0, "transitive": self.config.belief_rate} if phase == "layout" else {"": self.config.belief_rate}

    def modules(self) -> dict[str, nn.Module]:
        """Phase to module; the network holds the chances too, but its own phase gives them no gradient."""
        found: dict[str, nn.Module] = {"layout": self.network, "converses": self.chances}
        return {phase: found[phase] for phase in self.phases}

    def loss(
        self, phase: str, batch: SceneBatch, totals: Totals, draws: Draws, memory: dict[str, Any]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Smooth L1 of boxes (x, y, width, height) per object of a picture, averaged over pictures; then REINFORCE."""
        if phase == "converses":
            errors = memory["errors"]
            reward = errors - errors.mean()
            if len(errors) > 1:
                reward = reward / (errors.std() + torch.finfo(errors.dtype).eps)
            loss = (reward * self.network.log_probability(memory["graph"])).sum() / totals.pictures
            return loss, {"converses": loss.detach()}
        graph = memory["graph"] = self.network.canonicalize(batch, draws)
        errors, masks = self._errors(self.network, batch, draws, graph)
        memory["errors"] = errors.detach()
        terms = {"boxes": self.config.box_weight * errors.sum() / totals.pictures}
        if self.config.mask_weight and masks is not None:
            known = batch.known_masks
            wrong = F.binary_cross_entropy(masks[known].float(), batch.masks[known], reduction="none")
            terms["masks"] = self.config.mask_weight * wrong.mean(dim=(1, 2)).sum() / totals.objects
        loss = torch.stack(list(terms.values())).sum()
        return loss, {name: term.detach() for name, term in terms.items()}

    def _errors(self, model: Wsgc, batch: SceneBatch, draws: Draws, graph: Any) -> tuple[Tensor, Tensor | None]:
        """Box errors per picture (N,), and masks."""
        device = batch.objects.device
        boxes, masks = model.layout(
            batch, graph, noise((model.config.mask_noise_dim,), batch.num_images, draws, device)
        )
        wrong = F.smooth_l1_loss(_sides(boxes), _sides(batch.boxes), reduction="none").sum(dim=1)
        counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).clamp(min=1)
        return wrong.new_zeros(batch.num_images).index_add(0, batch.object_to_image, wrong) / counts, masks

    def validate(self, model: Model, batch: SceneBatch, draws: Draws) -> dict[str, tuple[float, float]]:
        """Box error; overlap, recalls and relations of predicted boxes."""
        network = cast(Wsgc, model)
        graph = network.canonicalize(batch, draws)
        errors, _ = self._errors(network, batch, draws, graph)
        boxes, _ = network.layout(batch, graph, errors.new_zeros((batch.num_images, network.config.mask_noise_dim)))
        figures = totals(layout_figures(boxes.clamp(0, 1).float(), batch, model.vocabulary))
        return {"box_error": (float(errors.sum()), len(errors)), **figures}


def _sides(boxes: Tensor) -> Tensor:
    """Corners to x, y, width, height."""
    return torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
