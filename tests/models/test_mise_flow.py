"""What Mise computes once for all times of its flows is what it would compute at each."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from helpers import generators, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.models.base import noise, noise_per_object
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene

CUBE = {"category": "cube", "box": [0.1, 0.2, 0.5, 0.7]}
SCENES = {
    "one": [{"objects": ["cube", "sphere"], "relationships": [[0, "left of", 1]]}],
    "of one length": [
        {"objects": ["cube", "sphere"], "relationships": [[0, "left of", 1], [1, "behind", 0]]},
        {"objects": [CUBE, "cylinder"]},
    ],
    "of several lengths": [
        {"objects": ["cube"]},
        {"objects": [CUBE, "sphere", "cylinder"], "relationships": [[1, "right of", 0], [1, "right of", 2]]},
    ],
    "without relations": [{"objects": ["cube", CUBE]}],
}


def stirred(name, **settings):
    """A tiny model whose outputs are not zero, as those of new ones are."""
    torch.manual_seed(0)
    model = tiny(name, **settings).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.15)
    return model


def batch_of(scenes):
    return SceneBatch.from_scenes([Scene.from_dict(scene) for scene in scenes], VOCABULARY)


@pytest.mark.parametrize("scenes", SCENES.values(), ids=SCENES)
@torch.no_grad()
def test_a_layout_follows_the_velocity_by_heun_steps(scenes):
    model, batch = stirred("mise-layout", steps=4), batch_of(scenes)
    seeds, known = range(len(scenes)), batch.known_boxes
    given = model.standardize(batch.boxes)
    x = torch.where(known[:, None], given, noise_per_object(4, batch, generators(*seeds)))

    def slope(boxes, time):
        found = model.velocity(boxes, torch.full((len(scenes),), time), known, batch)
        return torch.where(known[:, None], 0.0, found)

    for number in range(4):
        now, later = number / 4, (number + 1) / 4
        direction = slope(x, now)
        if later < 1:
            direction = (direction + slope(x + direction / 4, later)) / 2
        x = x + direction / 4
    expected = torch.where(known[:, None], batch.boxes, model.destandardize(x))
    found = model.place(batch, generators(*seeds)).boxes
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (model.place(batch, generators(*(seed + 9 for seed in seeds))).boxes - found).abs().max() > 1e-3


@torch.no_grad()
def test_the_only_candidate_is_the_first_of_many():
    model, batch = stirred("mise-layout"), batch_of(SCENES["of several lengths"])
    (draft,) = model.candidates(batch, 1, generators(3, 4))
    first, *others = model.candidates(batch, 8, generators(3, 4))
    torch.testing.assert_close(draft.boxes, first.boxes, rtol=0, atol=1e-5)
    assert len(others) == 7 and all((other.boxes - first.boxes).abs().max() > 1e-3 for other in others)


@torch.no_grad()
def test_the_velocity_of_a_scene_depends_on_no_other():
    model = stirred("mise-layout")
    one, other = SCENES["of several lengths"]
    both, alone = batch_of([one, other]), batch_of([other])
    boxes, time = torch.randn(4, 4), torch.tensor([0.2, 0.7])
    found = model.velocity(boxes, time, both.known_boxes, both)[1:]
    expected = model.velocity(boxes[1:], time[1:], alone.known_boxes, alone)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_velocity_of_a_picture_reads_it_beside_the_condition():
    model = stirred("mise")
    noisy, condition, time = torch.randn(2, 3, 16, 16), torch.randn(2, 8, 16, 16), torch.tensor([0.1, 0.8])
    folded = F.pixel_unshuffle(torch.cat([noisy, condition], dim=1), 2)
    expected = F.pixel_shuffle(model.unet(folded, time), 2)
    found = model.velocity(noisy, time, condition)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    weight = model.unet.input.weight
    (gradient,), (wanted,) = (torch.autograd.grad(one.square().mean(), weight) for one in (found, expected))
    torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
@torch.no_grad()
def test_a_picture_follows_the_velocity_by_heun_steps(guidance):
    model = stirred("mise")
    condition = torch.randn(2, 8, 16, 16)
    x = noise((3, 16, 16), 2, generators(5, 6), condition.device)

    def slope(picture, time):
        with_it, without = (
            model.velocity(picture, torch.full((2,), time), seen) for seen in (condition, torch.zeros_like(condition))
        )
        return without + guidance * (with_it - without)

    first = slope(x, 0.0)
    x = x + (first + slope(x + first / 2, 0.5)) / 4
    expected = (x + slope(x, 0.5) / 2).clamp(-1, 1)
    found = model.render(condition, generators(5, 6), 2, guidance, "heun")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
