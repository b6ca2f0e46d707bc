"""The baseline for search by sketch: what its network sees, how sketches are varied, and its loss."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from helpers import generators, tiny
from scenograph.data.loader import PackLoader
from scenograph.errors import UserError
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.scene_encoder import (
    SceneEncoderObjective,
    SceneEncoderObjectiveConfig,
    bent,
    contrast,
    moved,
)


@pytest.fixture
def batch(painted):
    return PackLoader(painted, "train", (32, 32), 8, "none", sketch_size=16).batch(0, 0, 4)


def test_sketches_are_seen_where_there_are_any_and_pictures_elsewhere(batch):
    torch.manual_seed(0)
    model = tiny("scene-encoder").eval()
    first = (batch.object_to_image == 0)[:, None, None]
    mixed = replace(batch, sketches=torch.where(first, 1.0, batch.sketches))
    vectors = model.scene_vectors(mixed)
    assert vectors.shape == (4, model.vector_size)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(vectors[:1], model(batch.images[:1]))
    torch.testing.assert_close(vectors[1:], model(model.compose(batch)[1:]))
    torch.testing.assert_close(model.scene_vectors(replace(batch, images=None)), model(model.compose(batch)))
    with pytest.raises(UserError, match="scene 0 has neither a sketch nor a picture"):
        model.scene_vectors(replace(mixed, images=None))


def test_a_composed_sketch_has_ink_in_the_boxes_alone(batch):
    pictures = tiny("scene-encoder").compose(batch)
    assert pictures.shape == (4, 3, 32, 32) and pictures.min() < 0 and pictures.max() == 1
    boxes = batch.boxes[batch.object_to_image == 0] * 31
    outside = torch.ones(32, 32, dtype=torch.bool)
    for x0, y0, x1, y1 in boxes.tolist():
        outside[max(math.floor(y0) - 1, 0) : math.ceil(y1) + 2, max(math.floor(x0) - 1, 0) : math.ceil(x1) + 2] = False
    assert (pictures[0, 0][outside] == 1).all()
    nowhere = replace(batch, boxes=torch.full_like(batch.boxes, math.nan))
    assert (tiny("scene-encoder").compose(nowhere) == 1).all()


def test_varied_sketches_keep_an_object_and_depend_on_the_picture_alone(batch):
    model = tiny("scene-encoder")
    objective = SceneEncoderObjective(SceneEncoderObjectiveConfig(dropped=1.0), model)
    varied = objective.varied(generators(0, 1, 2, 3), model, batch)
    assert (varied.amin(dim=(1, 2, 3)) < 0.5).all()
    assert torch.equal(varied, objective.varied(generators(0, 1, 2, 3), model, batch))
    assert not torch.equal(varied[0], objective.varied(generators(4, 1, 2, 3), model, batch)[0])
    still = SceneEncoderObjectiveConfig(dropped=0, jitter=0, bend=0, thickness=0)
    unchanged = SceneEncoderObjective(still, model).varied(generators(0, 1, 2, 3), model, batch)
    torch.testing.assert_close(unchanged, model.compose(batch), atol=1e-5, rtol=0)


def test_moves_have_the_asked_size():
    boxes = torch.tensor([[0.2, 0.3, 0.6, 0.7]]).repeat(4000, 1)
    found = moved(boxes, torch.rand(4000, 4, generator=torch.Generator().manual_seed(0)), 0.05)
    centres = (found[:, :2] + found[:, 2:]) / 2
    assert centres.std(dim=0).tolist() == pytest.approx([0.05, 0.05], rel=0.05)
    assert ((found[:, 2] - found[:, 0]) / 0.4).log().std().item() == pytest.approx(0.15, rel=0.05)
    ramp = torch.linspace(0, 1, 21).expand(1, 1, 21, 21)
    right = torch.zeros(1, 2, 4, 4)
    right[:, 0] = 0.1
    torch.testing.assert_close(bent(ramp, right)[..., :18], ramp[..., :18] + 0.1, atol=1e-4, rtol=0)


def test_the_loss_is_that_of_guessing_and_nearly_none_for_pairs():
    unit = torch.eye(4)
    scale = torch.tensor(50.0)
    assert contrast(unit, unit, scale, 0.0).item() == pytest.approx(0, abs=1e-4)
    assert contrast(unit[:1].expand(4, -1), unit[:1].expand(4, -1), scale, 0.1).item() == pytest.approx(math.log(4))
    assert contrast(unit, unit[[1, 0, 3, 2]], scale, 0.0).item() == pytest.approx(50, abs=1e-3)


def test_loss_and_validation_of_a_batch_with_a_scene_without_sketches(batch):
    torch.manual_seed(0)
    model = tiny("scene-encoder")
    objective = SceneEncoderObjective(SceneEncoderObjectiveConfig.tiny(), model)
    hidden = (batch.object_to_image == 1)[:, None, None]
    mixed = replace(batch, sketches=torch.where(hidden, 1.0, batch.sketches))
    loss, terms = objective.loss("model", mixed, Totals(4, 1, 0), generators(0, 1, 2, 3), {})
    loss.backward()
    assert loss.isfinite() and terms["contrast"] == loss and model.log_scale.grad is not None
    figures = objective.validate(model.eval(), mixed, generators(0, 1, 2, 3))
    assert {name: count for name, (_, count) in figures.items()} == {"found_in_batch": 3, "reciprocal_rank": 3}
    assert 1 <= figures["reciprocal_rank"][0] <= 3
