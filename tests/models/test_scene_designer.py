"""The options and ablations of Scene Designer: each changes what it should, and nothing else."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from helpers import generators, tiny
from scenograph.data.clevr import VOCABULARY
from scenograph.errors import UserError
from scenograph.models.scene_designer import SceneDesigner, SceneDesignerConfig, areas, attributes, places, with_graph
from scenograph.nn.distances import distance_maps
from scenograph.nn.normalization import FrozenBatchNorm2d
from scenograph.nn.scene_transformer import SceneDecoder, SceneTransformer, sinusoids
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject
from scenograph.scenes.sketch import Sketch

BOXES = [(0.0, 0.0, 0.4, 0.4), (0.5, 0.1, 0.9, 0.6), (0.2, 0.6, 0.6, 1.0), (0.1, 0.1, 1.0, 1.0)]


def model_of(**settings) -> SceneDesigner:
    torch.manual_seed(0)
    return tiny("scene-designer", **settings)


def batch_of(model: SceneDesigner, counts=(3, 1)) -> SceneBatch:
    scenes = [Scene(tuple(SceneObject("cube", box=box) for box in BOXES[:count])) for count in counts]
    return with_graph(SceneBatch.from_scenes(scenes, model.vocabulary, 8), model.vocabulary.predicates)


def encodings_of(model: SceneDesigner, batch: SceneBatch) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(len(batch.objects), model.config.encoding_dim, generator=generator)


def seen_by(model: SceneDesigner, batch: SceneBatch | None = None, generators=None):
    batch = batch or batch_of(model)
    return model.encode_scenes(encodings_of(model, batch), batch, generators)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"three_part_positions": True},
        {"random_positions": True},
        {"positions_in_graph": True},
        {"use_graph": False},
        {"use_transformer": False},
        {"bottleneck": True},
        {"positional": False},
        {"positions_in_graph": True, "use_graph": False, "use_transformer": False},
    ],
)
def test_every_option_gives_vectors_of_one_shape_and_gradients(settings):
    model = model_of(**settings)
    batch = batch_of(model)
    encodings = encodings_of(model, batch).requires_grad_()
    seen = model.encode_scenes(encodings, batch, generators(0, 1))
    assert seen.scenes.shape == (2, 16) and seen.objects.shape == (4, 16)
    boxes, logits = model.predict(seen.objects)
    assert boxes.shape == (4, 4) and logits.shape == (4, 8, 8)
    (seen.scenes.sum() + logits.sum()).backward()
    assert encodings.grad.abs().sum() > 0


def test_positions_in_the_graph_widen_its_first_layer_alone():
    plain, wider = model_of(), model_of(positions_in_graph=True)
    sizes = {key: value.shape for key, value in plain.state_dict().items()}
    changed = [key for key, value in wider.state_dict().items() if value.shape != sizes[key]]
    assert changed == ["gconv.net1.0.weight"]
    assert wider.gconv.net1[0].in_features == plain.gconv.net1[0].in_features + 2 * 35
    moved = batch_of(wider)
    moved = replace(moved, boxes=moved.boxes * 0.5)  # every relation stays, and every size and place changes
    still = wider._joined(encodings_of(wider, moved), batch_of(wider))
    assert not torch.equal(wider._joined(encodings_of(wider, moved), moved), still)
    assert torch.equal(
        plain._joined(encodings_of(plain, moved), moved), plain._joined(encodings_of(plain, moved), batch_of(plain))
    )


def test_scenes_in_half_precision():
    model = model_of().eval()
    drawn = SceneObject("cube", box=BOXES[0], sketch=Sketch((np.array([[0.0, 0.0], [1.0, 1.0]]),)))
    seen = SceneObject("sphere", box=BOXES[1], crop=np.full((8, 8, 4), 200, np.uint8))
    batch = SceneBatch.from_scenes([Scene((drawn, seen))], model.vocabulary, 8, 32, 32)
    with torch.no_grad():
        whole = model.scene_vectors(batch)
        with torch.autocast("cpu", torch.bfloat16):
            half = model.scene_vectors(batch)
    torch.testing.assert_close(half.float(), whole, atol=0.05, rtol=0.05)


def test_the_copy_for_inference_gives_the_same_vectors():
    model = model_of().eval()
    for norm in model.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            for values in (norm.running_mean, norm.weight.data, norm.bias.data):
                values.add_(torch.randn(values.shape, generator=torch.Generator().manual_seed(2)) / 5)
    copied, pictures = model.for_inference(), torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(copied.encode_photos(pictures), model.encode_photos(pictures), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(layer, FrozenBatchNorm2d) for layer in copied.photo_encoder.modules())
    assert isinstance(model.photo_encoder.backbone.first.norm, FrozenBatchNorm2d), "the model itself stays as it was"


def test_sizes_and_places_of_boxes():
    boxes = torch.tensor([[0.0, 0.0, 0.1, 0.1], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 1.0, 1.0], [1.2, 0.9, 1.6, 1.4]])
    assert areas(boxes).tolist() == [0, 9, 2, 2]
    assert places(boxes).tolist() == [0, 12, 18, 24]  # beyond the canvas: its last place
    assert attributes(boxes).sum(dim=1).tolist() == [2, 2, 2, 2] and attributes(boxes).shape == (4, 35)


def test_positions_in_three_parts():
    network = SceneTransformer(8, 1, 2, 8, three_parts=True)
    assert network.parts == [4, 2, 2]
    tables = [sinusoids(25, width) for width in (4, 2, 2)]
    found = network._encoded(torch.tensor([[13]]), torch.tensor([[7]]), [1], None)
    assert torch.equal(found[0, 0], torch.cat([tables[0][3], tables[1][2], tables[2][7]]))  # column 3, row 2
    seen = []
    network.layers[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    network(torch.zeros(1, 1, 8), torch.ones(1, 1, dtype=torch.bool), torch.tensor([[13]]), None, torch.tensor([[7]]))
    assert torch.equal(seen[0][0, 0], torch.cat([table[-1] for table in tables]))  # the token


def filled(module: torch.nn.Module, tag: str) -> None:
    """Give a network numbers that depend on the names of its weights alone, in TensorFlow's order of axes."""
    state = {}
    for key, value in module.state_dict().items():
        name = key
        if ".norm" in key:
            name = key.replace("weight", "gamma").replace("bias", "beta")
        state[key] = torch.from_numpy(numbers(f"{tag}.{name}", (*value.shape[::-1],)).transpose())
    module.load_state_dict(state)


def numbers(name: str, shape: tuple[int, ...], scale: float = 0.2) -> np.ndarray:
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(0, scale, shape) + name.endswith("gamma")
    return values.astype(np.float32)


def test_three_parts_and_the_bottleneck_are_the_originals():
    """Recorded from its code on TensorFlow 2.15: the first numbers of scenes, of objects, and of decoded objects."""
    encoder, decoder = SceneTransformer(32, 2, 4, 48, three_parts=True).eval(), SceneDecoder(32, 2, 4, 48, 8).eval()
    filled(encoder, "transformer")
    filled(decoder, "decoder")
    real = torch.arange(8) < torch.tensor([3, 8, 1])[:, None]
    objects = torch.zeros(3, 8, 32)
    objects[real] = torch.from_numpy(numbers("objects", (12, 32), 1.0))
    where, sizes = torch.zeros(3, 8, dtype=torch.int64), torch.zeros(3, 8, dtype=torch.int64)
    where[real], sizes[real] = torch.arange(12) * 7 % 25, torch.arange(12) * 3 % 10
    with torch.no_grad():
        scenes, seen = encoder(objects, real, where, None, sizes)
        decoded = decoder(scenes, 8)
    expected = {
        "scenes": [0.65855, -0.38476, 0.28705],
        "objects": [0.39418, 1.15104, 1.03349, -0.08842, -0.95919, 0.28794, 0.79695, 0.3405, 1.28491, 0.30398],
        "decoded": [0.18391, -0.20681, 0.04409, 0.48179, 0.2809, 0.41048, 0.40114, 0.17382, 0.36546, 0.40022],
    }
    for name, found in (("scenes", scenes), ("objects", seen[real]), ("decoded", decoded[real])):
        np.testing.assert_allclose(found[: len(expected[name]), 0].numpy(), expected[name], atol=2e-5)


def test_random_positions_are_left_out_in_training_alone():
    model = model_of(random_positions=True, dropout=0.0)
    batch = batch_of(model)
    still = seen_by(model, batch).scenes
    assert torch.equal(still, seen_by(model_of(dropout=0.0), batch).scenes)
    sampled = [seen_by(model, batch, generators(seed, seed)).scenes for seed in range(6)]
    assert any(not torch.allclose(one, still) for one in sampled)
    assert torch.equal(sampled[0], seen_by(model, batch, generators(0, 0)).scenes)
    alone = seen_by(model, batch_of(model, (3,)), generators(0)).scenes
    torch.testing.assert_close(sampled[0][:1], alone)  # whatever the batch


def test_without_the_graph_relations_are_not_read():
    model, plain = model_of(use_graph=False), model_of()
    batch = batch_of(model)
    other = replace(batch, triples=batch.triples.roll(1, dims=0)[:, [2, 1, 0]])
    assert torch.equal(seen_by(model, batch).scenes, seen_by(model, other).scenes)
    assert not torch.equal(seen_by(plain, batch).scenes, seen_by(plain, other).scenes)
    assert "gconv.weight" in model.state_dict() and not any("gconv_net" in key for key in model.state_dict())


def test_without_the_transformer_a_scene_is_the_sum_of_its_objects():
    model = model_of(use_transformer=False)
    with torch.no_grad():
        model.transformer.token.copy_(torch.arange(16.0))
    batch = batch_of(model)
    seen, joined = seen_by(model, batch), model._joined(encodings_of(model, batch), batch)
    assert torch.equal(seen.objects, joined)
    torch.testing.assert_close(seen.scenes[0], joined[:3].sum(dim=0) + torch.arange(16.0))
    torch.testing.assert_close(seen.scenes[1], joined[3] + torch.arange(16.0))


def test_with_a_bottleneck_objects_come_from_the_scene_alone():
    model = model_of(bottleneck=True, bottleneck_objects=4)
    scenes = torch.randn(1, 16).requires_grad_()
    two, three = model.decoder(scenes, 2), model.decoder(scenes, 3)
    torch.testing.assert_close(two, three[:, :2])
    three.square().sum().backward()
    assert scenes.grad.abs().sum() > 0
    batch = batch_of(model)
    seen = seen_by(model, batch)
    torch.testing.assert_close(seen.objects[:3], model.decoder(seen.scenes[:1], 3)[0])
    with pytest.raises(UserError, match=r"has 4 objects, and this model decodes at most 3; .*bottleneck_objects=4"):
        seen_by(model_of(bottleneck=True, bottleneck_objects=3), batch_of(model, (4,)))


@pytest.mark.parametrize(("settings", "factor"), [({"encoder_gradient": 0.1}, 0.1), ({"shared_gradient": False}, 0.0)])
def test_gradients_into_the_representation(settings, factor):
    gradients = {}
    for name, given in (("plain", {}), ("less", settings)):
        model = model_of(**given)
        batch = batch_of(model)
        encodings = encodings_of(model, batch).requires_grad_()
        scenes = model.encode_scenes(encodings, batch).scenes
        scenes.square().sum().backward()
        shared = model.shared[0].weight.grad
        gradients[name] = (scenes.detach(), encodings.grad, shared, model.predicate_embedding.weight.grad)
    plain, less = gradients["plain"], gradients["less"]
    torch.testing.assert_close(plain[0], less[0])
    torch.testing.assert_close(plain[3], less[3])
    if factor:
        torch.testing.assert_close(less[1], factor * plain[1])
        torch.testing.assert_close(less[2], plain[2])  # the projection itself learns as before
    else:
        assert less[1] is None and less[2] is None


@pytest.mark.parametrize("backbone", ["inception", "resnet"])
def test_other_backbones(backbone):
    model = tiny("scene-designer", backbone=backbone, object_size=75)
    with torch.no_grad():
        assert model.encode_photos(torch.rand(1, 3, 75, 75)).shape == (1, 16)
        assert model.encode_sketches(torch.ones(1, 75, 75)).shape == (1, 16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "inception"}, "object_size 32: the inception backbone needs at least 75"),
        ({"positional": False, "random_positions": True}, "need positional=true"),
        ({"use_transformer": False, "bottleneck": True}, "need use_transformer=true"),
        ({"cut": 17}, "less than or equal to 16"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    config = SceneDesignerConfig.tiny(VOCABULARY).model_dump()
    with pytest.raises(ValueError, match=message):
        SceneDesignerConfig.model_validate(config | settings)


def test_distance_maps_are_exact():
    rng = np.random.default_rng(0)
    sketches = (rng.random((3, 20, 31)) > 0.03).astype(np.float32)
    found = distance_maps(torch.from_numpy(sketches))
    for one, sketch in zip(found.numpy(), sketches, strict=True):
        np.testing.assert_allclose(one, distance_transform_edt(sketch), atol=1e-5)
    assert distance_maps(torch.ones(1, 3, 4)).eq(5).all()  # no ink
    model, plain = model_of(distance_maps=True), model_of()
    drawn = torch.from_numpy(np.repeat((rng.random((1, 32, 32)) > 0.1).astype(np.float32), 2, axis=0))
    plain.load_state_dict(model.state_dict())
    torch.testing.assert_close(model.encode_sketches(drawn), plain.encode_sketches(distance_maps(drawn)))
