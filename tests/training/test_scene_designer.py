"""What Scene Designer's objective is trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers import generators, tiny
from scenograph.data.loader import PackLoader
from scenograph.errors import UserError
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.scene_designer import (
    SceneDesignerObjective,
    SceneDesignerObjectiveConfig,
    others,
    sketched,
)


@pytest.fixture
def batch(painted):
    return PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=32).batch(0, 0, 4)


def without(batch, pictures):
    """The batch without the sketches of these pictures."""
    hidden = torch.isin(batch.object_to_image, torch.tensor(pictures))
    return replace(batch, sketches=torch.where(hidden[:, None, None], 1.0, batch.sketches))


def test_objects_without_sketches_are_left_out(batch):
    left, pictures = sketched(without(batch, [1]))
    assert pictures == [0, 2, 3] and left.num_images == 3
    assert torch.equal(left.images, batch.images[[0, 2, 3]])
    kept = batch.object_to_image != 1
    assert torch.equal(left.boxes, batch.boxes[kept]) and torch.equal(left.objects, batch.objects[kept])
    assert left.object_to_image.unique().tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="no object of a batch has a sketch"):
        sketched(without(batch, [0, 1, 2, 3]))


def test_what_takes_an_objects_place_is_of_another_category(batch):
    chosen = others(batch, generators(0, 1, 2, 3))
    assert (batch.objects[chosen] != batch.objects).all()
    assert torch.equal(chosen, others(batch, generators(0, 1, 2, 3)))
    alike = replace(batch, objects=torch.zeros_like(batch.objects))
    assert torch.equal(others(alike, generators(0, 1, 2, 3)), torch.arange(len(alike.objects)))


@pytest.mark.parametrize("scenes", [True, False])
def test_losses_of_a_batch_with_a_picture_without_sketches(batch, scenes):
    torch.manual_seed(0)
    model = tiny("scene-designer")
    batch = replace(batch, objects=batch.objects + 1)  # __image__ is in front
    objective = SceneDesignerObjective(SceneDesignerObjectiveConfig.tiny().model_copy(update={"scenes": scenes}), model)
    memory = {}
    for phase in objective.phases:
        loss, terms = objective.loss(
            phase, without(batch, [1]), Totals(4, len(batch.objects), 0), generators(0, 1, 2, 3), memory
        )
        assert loss.isfinite() and loss.item() == pytest.approx(sum(terms.values()).item(), rel=1e-5)
    assert ("contrast" in {**objective.loss("model", batch, Totals(4, 1, 0), generators(0, 1, 2, 3), {})[1]}) == scenes
