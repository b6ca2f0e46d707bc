"""Mise in layers: a layer fills its box, objects keep their looks, and training learns what is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import generators, tiny
from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.data.loader import PackLoader
from scenograph.errors import UserError
from scenograph.models.mise_layers import MiseLayersConfig
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.openraster import merged
from scenograph.scenes.scene import Relation, Scene, SceneObject
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.mise_layers import MiseLayersObjective, MiseLayersObjectiveConfig

COLORS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def model(things=("cube", "sphere")):
    torch.manual_seed(0)
    made = tiny("mise-layers").eval()
    numbers = torch.tensor([VOCABULARY.category_index[name] for name in things])
    made.kind_logits = lambda batch: torch.isin(batch.objects, numbers).float() - 0.5
    return made


def scene(*boxes):
    names = ("cylinder", "cube", "sphere")
    return Scene(tuple(SceneObject(name, (), box) for name, box in zip(names, boxes, strict=True)))


FIRST = scene((0.0, 0.0, 1.0, 1.0), (0.125, 0.25, 0.375, 0.5), (0.5, 0.5, 1.0, 1.0))
MOVED = scene((0.0, 0.0, 1.0, 1.0), (0.125, 0.25, 0.375, 0.5), (0.25, 0.5, 0.75, 0.9))


def layers_of(pipe, one, seed=0):
    conditioned = pipe.encode(one, seeds=[seed], size=32)
    (layers,) = pipe.layers(conditioned)
    picture = np.asarray(pipe.render(conditioned)[0])
    np.testing.assert_allclose(picture / 255, merged(layers), atol=0.5 / 255 + 1e-6)
    return {layer.name: layer for layer in layers}


def test_layers_fill_their_boxes_and_keep_their_looks():
    pipe = Pipeline(model())
    first, moved = layers_of(pipe, FIRST), layers_of(pipe, MOVED)
    assert list(first) == ["ground", "cube", "sphere"]  # the cylinder is a region here, and part of the ground
    cube, sphere = first["cube"], first["sphere"]
    assert (cube.left, cube.top, cube.pixels.shape) == (4, 8, (8, 8, 4))
    assert (sphere.left, sphere.top, sphere.pixels.shape) == (16, 16, (16, 16, 4))
    assert (moved["sphere"].left, moved["sphere"].top, moved["sphere"].pixels.shape) == (8, 16, (13, 16, 4))
    lit = moved["cube"].pixels[..., 3], first["cube"].pixels[..., 3]
    np.testing.assert_allclose(*lit, atol=1e-6)
    assert np.abs(layers_of(pipe, FIRST, 1)["cube"].pixels - cube.pixels).max() > 1e-3


def test_relations_say_what_is_nearer():
    overlapping = scene((0.0, 0.0, 1.0, 1.0), (0.1, 0.2, 0.6, 0.7), (0.3, 0.2, 0.8, 0.6))
    pipe = Pipeline(model())
    assert list(layers_of(pipe, overlapping)) == ["ground", "sphere", "cube"]
    behind = replace(overlapping, relations=(Relation(1, "behind", 2), Relation(2, "in front of", 0)))
    assert list(layers_of(pipe, behind)) == ["ground", "cube", "sphere"]


def test_an_object_seed_changes_its_layer_alone():
    pipe = Pipeline(model())
    other = replace(FIRST, objects=(*FIRST.objects[:2], replace(FIRST.objects[2], seed=5)))
    first, changed = layers_of(pipe, FIRST), layers_of(pipe, other)
    np.testing.assert_allclose(first["cube"].pixels[..., 3], changed["cube"].pixels[..., 3], atol=1e-6)
    assert np.abs(first["sphere"].pixels - changed["sphere"].pixels).max() > 1e-3


def with_crop(one, number, rgb, alpha=255, **changes):
    crop = np.full((8, 4, 4), [*rgb, alpha], np.uint8)
    return one.replace_object(number, crop=crop, origin="mine", **changes)


def test_a_given_crop_changes_its_layer_alone_and_an_empty_one_nothing():
    pipe = Pipeline(model())
    first = layers_of(pipe, FIRST)
    empty = layers_of(pipe, with_crop(FIRST, 2, (0, 0, 0), 0))
    for name, layer in first.items():
        np.testing.assert_array_equal(layer.pixels, empty[name].pixels)
    red, blue = (layers_of(pipe, with_crop(FIRST, 2, COLORS[name])) for name in COLORS)
    assert red["sphere"].pixels.shape == first["sphere"].pixels.shape
    assert np.abs(red["sphere"].pixels - blue["sphere"].pixels).max() > 1e-3
    np.testing.assert_allclose(red["cube"].pixels[..., 3], first["cube"].pixels[..., 3], atol=1e-6)
    # What is given is shown, also of a category that is usually a region.
    assert "cylinder" in layers_of(pipe, with_crop(FIRST, 0, COLORS["red"]))


class RedCrops:
    digest = "red"

    def select(self, scene, seed, exclude=None):
        crop = np.full((4, 4, 4), [255, 0, 0, 255], np.uint8)
        objects = (replace(thing, crop=crop, origin="red") if thing.crop is None else thing for thing in scene.objects)
        return replace(scene, objects=tuple(objects))


def test_crops_are_chosen_for_things_only_and_none_is_needed():
    pipe = Pipeline(model(), crops=RedCrops())
    (shown,) = pipe.encode(with_crop(FIRST, 1, COLORS["blue"])).scenes
    assert [thing.origin for thing in shown.objects] == [None, "mine", "red"]
    assert [crop and crop.origin.source for crop in pipe.crops_shown(pipe.encode(FIRST))[0]] == [None, "red", "red"]
    assert pipe.digests()["source of crops"] == "red"
    assert [thing.origin for thing in Pipeline(model()).encode(FIRST).scenes[0].objects] == [None] * 3


def test_details_of_crops_begin_as_nothing_and_older_weights_have_none(tmp_path):
    learned = model()
    bare = learned.config.model_copy(update={"crop_details": False})
    older = type(learned)(bare)
    state = {key: value for key, value in learned.state_dict().items() if not learned.may_lack(key)}
    older.load_state_dict(state)
    one = with_crop(FIRST, 2, COLORS["red"])
    batch = SceneBatch.from_scenes([one], VOCABULARY, 8, crop_size=16)
    things, latents = torch.tensor([1, 2]), torch.zeros(2, learned.latent_size)
    layers = [each.eval().generate_layers(batch, things, latents) for each in (learned, older)]
    torch.testing.assert_close(*layers, rtol=0, atol=0)
    torch.nn.init.normal_(learned.decoder.details[0].output.weight)
    changed = (learned.generate_layers(batch, things, latents) - layers[1]).abs().flatten(1).amax(dim=1)
    assert changed[0] == 0 and changed[1] > 1e-4


def test_learning_the_details_of_crops_alone_leaves_all_else_as_it_is():
    torch.manual_seed(0)
    learning = tiny("mise-layers").train()
    before = {name: value.clone() for name, value in learning.named_parameters()}
    objective = MiseLayersObjective(MiseLayersObjectiveConfig(crops_alone=True), learning)
    one = with_crop(scene((0, 0, 1, 1), (0.1, 0.1, 0.9, 0.9), (0.2, 0.2, 0.8, 0.8)), 1, COLORS["red"])
    batch = SceneBatch.from_scenes([with_crop(one, 2, COLORS["blue"])], VOCABULARY, 8, crop_size=16)
    batch = replace(batch, images=torch.zeros(1, 3, 16, 16))
    learned = [parameter for parameter in learning.parameters() if parameter.requires_grad]
    optimizer, losses = torch.optim.Adam(learned, 3e-3), []
    for step in range(30):
        loss, terms = objective.loss("model", batch, Totals(1, 3, 1), generators(step), {})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert set(terms) == {"layer"}
    assert losses[-1] < 0.95 * losses[0]  # the decoder, frozen as it began, can be told little
    moved = {name for name, value in learning.named_parameters() if not torch.equal(value, before[name])}
    assert moved and all(learning.may_lack(name) for name in moved)
    none = MiseLayersObjective(MiseLayersObjectiveConfig(given_crops=0.0), learning)
    assert none.validate(learning, batch, generators(0))["layer"][0] > 0  # no thing is made from a crop
    plain = type(learning)(learning.config.model_copy(update={"crop_details": False}))
    with pytest.raises(UserError, match=r"objective.crops_alone: the model takes no details"):
        MiseLayersObjective(MiseLayersObjectiveConfig(crops_alone=True), plain)


def test_wrong_sides_are_refused():
    for changes in ({"image_size": 20}, {"layer_size": 12}, {"ground_channels": (32, 20)}):
        with pytest.raises(ValueError, match=next(iter(changes))):
            MiseLayersConfig(vocabulary=VOCABULARY.to_dict(), **changes)


def test_the_light_is_measured_on_things():
    objective = MiseLayersObjective(MiseLayersObjectiveConfig(), model())
    crop = np.asarray([[[200, 100, 60, 255]]], np.uint8).repeat(8, 0).repeat(8, 1)
    lit = SceneObject("cube", (), (0.25, 0.25, 0.75, 0.75), np.ones((8, 8), bool), crop=crop)
    batch = SceneBatch.from_scenes([Scene((lit,)), Scene((replace(lit, crop=None),))], VOCABULARY, 8, crop_size=16)
    colour = torch.tensor([200, 100, 60]) / 255 * torch.tensor([0.9, 0.6, 0.5])
    batch = replace(batch, images=(2 * colour - 1)[None, :, None, None].expand(2, 3, 16, 16))
    crops = (batch.crops[:1] + 1) / 2
    known, factor = objective._light(batch, torch.tensor([0]), crops)
    assert known.tolist() == [1, 0]
    torch.testing.assert_close(factor[0].exp(), torch.tensor([0.9, 0.6, 0.5]), rtol=1e-3, atol=1e-3)


def test_training_learns_the_colours_that_are_asked_for():
    torch.manual_seed(0)
    learning = tiny("mise-layers").train()
    objective = MiseLayersObjective(MiseLayersObjectiveConfig(attribute_dropout=0.0), learning)
    box = (0.25, 0.25, 0.75, 0.75)
    scenes = [
        Scene(
            (SceneObject("cube", (name,), box, np.ones((8, 8), bool), crop=np.full((8, 8, 4), [*rgb, 255], np.uint8)),)
        )
        for name, rgb in COLORS.items()
    ]
    batch = SceneBatch.from_scenes(4 * scenes, VOCABULARY, 8, crop_size=16)
    images = (2 * batch.crops[:, :3] - 1) * 0.5
    batch = replace(batch, images=images)
    optimizer, errors = torch.optim.Adam(learning.parameters(), 3e-3), []
    for step in range(200):
        drawn = generators(*range(8 * step, 8 * step + 8))
        loss, terms = objective.loss("model", batch, Totals(8, 8, 1), drawn, {})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append({name: float(term) for name, term in terms.items()})
    for name in ("layer", "code", "thing", "ground"):
        early, late = (np.mean([one[name] for one in part]) for part in (errors[:10], errors[-10:]))
        assert late < 0.75 * early, name
    assert (learning.kind_logits(batch) > 0).all()
    pipe = Pipeline(learning.eval())
    for name, colour in COLORS.items():
        asked = Scene((SceneObject("cube", ("large", name, "rubber"), box),))
        shown = [layers_of(pipe, asked, seed)["cube"].pixels.mean(axis=(0, 1))[:3] for seed in range(8)]
        assert np.mean(shown, axis=0).argmax() == np.argmax(colour), (name, shown)


def test_a_pack_without_crops_is_refused(painted):
    loader = PackLoader(painted, "train", (16, 16), 8)
    loader.pack.table = loader.pack.table.remove_columns("crops")
    with pytest.raises(UserError, match=r"no object of split 'train' has pixels of its own"):
        loader.pack.check_objects("crops", "has pixels of its own")
