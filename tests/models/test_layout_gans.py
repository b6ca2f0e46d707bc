"""LostGAN and LAMA by themselves: pictures, editing, and import."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.data.vocabularies import coco_vocabulary_by_id
from scenograph.errors import UserError
from scenograph.models.lama import Lama, LamaConfig
from scenograph.models.lostgan import LostGan, LostGanConfig
from scenograph.models.published.lama import import_lama
from scenograph.models.published.lostgan import import_lostgan
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.scene import Scene, SceneObject

NAMES = VOCABULARY.with_image_object().to_dict()
BOXES = [(0.05, 0.1, 0.45, 0.5), (0.4, 0.4, 0.95, 0.9), (0.6, 0.05, 0.8, 0.3)]


def lama(**options) -> Lama:
    torch.manual_seed(0)
    settings = {"image_size": 64, "channels": 8, "latent_size": 16, "initial_scale": 0.7, "vocabulary": NAMES}
    return Lama(LamaConfig(**{**settings, **options}))


def lostgan(**options) -> LostGan:
    torch.manual_seed(0)
    settings = {"version": 1, "image_size": 64, "channels": 8, "latent_size": 16, **options}
    return LostGan(LostGanConfig(vocabulary=NAMES, **settings))


MODELS = {"lama": lama, "lostgan 1": lostgan, "lostgan 2": lambda: lostgan(version=2, image_size=128, channels=4)}


def layout_scene(count: int = 3) -> Scene:
    kinds = ["cube", "sphere", "cylinder"]
    return Scene(tuple(SceneObject(kinds[i % 3], ("red", "metal", "large"), BOXES[i % 3]) for i in range(count)))


def pixels(generation, number=0) -> np.ndarray:
    return np.asarray(generation.images[number]).astype(int)


# Pictures


@pytest.mark.parametrize("name", MODELS)
def test_a_picture_depends_on_scene_and_seed_alone(name):
    pipe = Pipeline(MODELS[name]())
    scene = layout_scene()
    many, alone = pipe([scene, layout_scene(2)], seeds=[0, 1]), pipe(layout_scene(2), seeds=[1])
    assert np.abs(pixels(many, 3) - pixels(alone)).max() <= 1
    assert np.abs(pixels(many, 0) - pixels(many, 1)).max() > 10
    assert many.scenes[0].objects[0].mask is not None


@pytest.mark.parametrize("name", MODELS)
def test_fast_models_draw_the_same(name):
    model = MODELS[name]().eval()
    batch = SceneBatch.from_scenes([layout_scene(), layout_scene(1)], model.vocabulary, model.config.mask_size)
    pictures = [
        one(batch, [torch.Generator().manual_seed(i) for i in range(2)]).images
        for one in (model, model.for_inference())
    ]
    torch.testing.assert_close(*pictures, atol=1e-4, rtol=0)


def test_pixel_noise_can_be_switched_off():
    noisy, plain = lama(), lama(pixel_noise=False)
    for model in (noisy, plain):
        for block in model.blocks:
            torch.nn.init.constant_(block.noise1, 1.0)
    batch = SceneBatch.from_scenes([layout_scene()], noisy.vocabulary, 32)
    for model, equal in ((noisy.eval(), False), (plain.eval(), True)):
        layout = model.condition(batch, [torch.Generator().manual_seed(0)]).condition
        first, second, again = (model.render(layout, [torch.Generator().manual_seed(i)]) for i in (1, 2, 1))
        assert torch.equal(first, again) and torch.equal(first, second) == equal


def test_objects_have_looks_of_their_own():
    """Latents follow (seed, place in the scene), or the object's own seed wherever it is."""
    pipe = Pipeline(lama())

    def styles(scene, seed=0, **options):
        return pipe.encode(scene, seeds=[seed], **options).condition.styles[0]

    def with_seeds(*seeds):
        scene = layout_scene(2)
        same = replace(scene.objects[0], category="cube")
        return replace(scene, objects=tuple(replace(same, seed=seed) for seed in seeds))

    scene = layout_scene(2)
    moved = replace(scene, objects=(replace(scene.objects[0], box=BOXES[2]), scene.objects[1]))
    assert torch.equal(styles(scene), styles(moved)) and not torch.equal(styles(scene), styles(scene, 1))
    fixed, swapped = styles(with_seeds(7, 9)), styles(with_seeds(9, 7), 5)
    assert torch.equal(fixed, swapped.flip(0))
    ends = [styles(with_seeds((7, 9, share), 1))[0] for share in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(ends[0], fixed[0])
    torch.testing.assert_close(ends[2], fixed[1])
    assert 0 < float((ends[1] - ends[0]).norm()) < float((ends[2] - ends[0]).norm())
    assert torch.equal(styles(with_seeds((1, 0), (1, 1)), 5), styles(with_seeds(None, None), 1)), "as in that picture"
    partly = replace(scene, objects=(replace(scene.objects[0], seed=3), scene.objects[1]))
    assert torch.equal(styles(partly)[1], styles(scene)[1]) and not torch.equal(styles(partly)[0], styles(scene)[0])


def test_truncation_bounds_latents(monkeypatch):
    pipe = Pipeline(lama())
    seen = []
    condition = pipe.renderer.model.condition
    monkeypatch.setattr(
        pipe.renderer.model, "condition", lambda batch, *rest: seen.append(batch) or condition(batch, *rest)
    )
    pipe(layout_scene(), seeds=range(20), truncation=0.5)
    pipe(layout_scene(), seeds=range(20))
    for batch, most in zip(seen, (0.5, 2.0), strict=True):
        assert 0.9 * most < batch.object_latents.abs().max() <= most and batch.picture_latents.abs().max() <= most


@pytest.mark.parametrize("name", MODELS)
def test_given_masks_replace_predicted_ones(name):
    model = MODELS[name]().eval()
    size = model.config.mask_size
    left = np.zeros((size, size), bool)
    left[:, : size // 2] = True
    scene = layout_scene(1)
    scene = replace(scene, objects=(replace(scene.objects[0], box=(0.0, 0.0, 1.0, 1.0), mask=left),))
    batch = SceneBatch.from_scenes([scene], model.vocabulary, size)
    output = model.condition(batch, [torch.Generator().manual_seed(0)])
    assert torch.equal(output.masks[0] > 0.5, torch.from_numpy(left))
    plane = output.condition.planes[0, 0]
    half = plane.shape[1] // 2
    assert plane[:, : half - 4].min() > 0.1 and plane[:, half + 4 :].max() < 1e-6
    if name == "lostgan 2":
        assert not output.condition.regions[0, 0, :, half + 4 :].any()
    shown = Pipeline(model)(scene).scenes[0].objects[0].mask
    assert np.array_equal(shown, left)


def test_attributes_change_the_picture():
    pipe = Pipeline(lama())
    scene = layout_scene(1)
    blue = replace(scene, objects=(replace(scene.objects[0], attributes=("blue", "metal", "large")),))
    assert np.abs(pixels(pipe(scene)) - pixels(pipe(blue))).max() > 5


def test_more_objects_than_in_training_are_all_drawn(caplog):
    pipe = Pipeline(lama())
    with caplog.at_level(logging.WARNING):
        encoding = pipe.encode(layout_scene(40))
    assert encoding.condition.planes.shape[1] == 40
    assert "a scene has 40 objects, lama saw at most 8 in training: all are drawn" in caplog.text


def test_an_image_object_covers_the_canvas():
    model = lama(image_object=True).eval()
    batch = SceneBatch.from_scenes([layout_scene(2), layout_scene(1)], model.vocabulary, 32)
    output = model.condition(batch)
    assert output.condition.planes.shape[1] == 3 and len(output.masks) == 3
    assert output.condition.planes[0, 2].mean() > 0.1 and output.condition.planes[1, 1].mean() > 0.1


def test_what_cannot_be_drawn_is_one_line():
    pipe = Pipeline(lama())
    with pytest.raises(UserError, match="lama needs a box for every object"):
        pipe("red cube")
    with pytest.raises(UserError, match=r"objects\[0\]: unknown category 'cubee' .did you mean 'cube'"):
        pipe({"objects": [{"category": "cubee", "box": [0, 0, 1, 1]}]})
    with pytest.raises(UserError, match=r"objects\[0\].box: .* is empty or inverted"):
        pipe({"objects": [{"category": "cube", "box": [0.5, 0, 0.5, 1]}]})
    with pytest.raises(UserError, match="300 objects; at most 256"):
        pipe({"objects": [{"category": "cube", "box": [0, 0, 1, 1]}] * 300})
    with pytest.raises(UserError, match="expected a seed such as 7"):
        pipe({"objects": [{"category": "cube", "box": [0, 0, 1, 1], "seed": "seven"}]})
    with pytest.raises(ValueError, match="version 2 draws 128 or 256 px, not 64"):
        lostgan(version=2)
    with pytest.raises(ValueError, match="choose a multiple of 16"):
        lama(latent_size=20)


# Published weights


def published(model, rules) -> dict[str, torch.Tensor]:
    """A model's weights as the original's data-parallel training saved them."""
    state = {}
    for key, value in model.state_dict().items():
        name = key
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        if key.replace("weight", "weight_u") in model.state_dict():
            name = re.sub(r"\.weight$", ".weight_orig", name)
        state[f"module.{name}"] = value
    return state


COMMON = (
    (r"^object_embedding\.category\.", "label_embedding."),
    (r"\.norm([12])\.", r".b\1."),
    (r"\.gain\.", ".weight_proj."),
    (r"\.shift\.", ".bias_proj."),
    (r"\.batch_norm\.", ".batch_norm2d."),
    (r"\.shortcut\.", ".c_sc."),
)
LAMA = (
    (r"^mask_network\.convs\.(\d)\.norm\.", lambda m: f"mask_regress.conv{int(m[1]) + 1}.conv.0."),
    (r"^mask_network\.convs\.(\d)\.conv\.", lambda m: f"mask_regress.conv{int(m[1]) + 1}.conv.2."),
    (r"^mask_network\.convs\.(\d)\.", lambda m: f"mask_regress.conv{int(m[1]) + 1}."),
    (r"^mask_network\.local\.(\d)\.norm\.", r"mask_regress.query_local.\1.conv.0."),
    (r"^mask_network\.local\.(\d)\.conv\.", r"mask_regress.query_local.\1.conv.2."),
    (r"^mask_network\.local\.", "mask_regress.query_local."),
    (r"^mask_network\.(key|query)\.", r"mask_regress.\1_affine."),
    (r"^mask_network\.alpha", "mask_regress.mask_adjust_alpha"),
    (r"^mask_network\.norm\.", "mask_regress.final.0."),
    (r"^mask_network\.final\.", "mask_regress.final.2."),
    (r"^mask_network\.", "mask_regress."),
    (r"^blocks\.(\d)\.", lambda m: f"res{int(m[1]) + 2}."),
    (r"\.noise([12])$", r".noise\1.noise_weight_seed"),
    *COMMON,
)
LOSTGAN = (
    (r"^mask_network\.convs\.(\d)\.", lambda m: f"mask_regress.conv{int(m[1]) + 1}."),
    (r"^mask_network\.final\.", "mask_regress.conv3.3."),
    (r"^mask_network\.", "mask_regress."),
    (r"^blocks\.(\d)\.", lambda m: f"res{int(m[1]) + 2}."),
    *COMMON,
)


@pytest.fixture
def lama_file(tmp_path):
    vocabulary = coco_vocabulary_by_id().to_dict()
    model = lama(vocabulary=vocabulary)
    state = published(model, LAMA)
    state["module.mask_regress.final.2.weight_orig"] = state["module.mask_regress.final.2.weight_orig"][..., None, None]
    torch.save(state, tmp_path / "coco_64.pth")
    return tmp_path / "coco_64.pth", model


def test_import_of_lama(lama_file):
    path, model = lama_file
    again = import_lama(path, coco_vocabulary_by_id())
    assert again.config.image_size == 64 and again.config.channels == 8 and again.config.max_objects == 8
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_import_of_lostgan_leaves_out_exactly_what_it_says(tmp_path, caplog):
    model = lostgan()
    state = published(model, LOSTGAN)
    state |= {f"module.res3.b1.{name}": torch.zeros(8) for name in ("running_mean", "running_var")}
    torch.save(state, tmp_path / "G.pth")
    with caplog.at_level(logging.WARNING):
        again = import_lostgan(tmp_path / "G.pth", VOCABULARY)
    assert "2 statistics that the original never used are left out (res3.b1.running_mean, ...)" in caplog.text
    assert again.config.version == 1 and again.config.image_object
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    torch.save({**state, "module.res3.b3.running_mean": torch.zeros(8)}, tmp_path / "G.pth")
    with pytest.raises(UserError, match=r"1 unknown \(blocks.1.b3.running_mean\)"):
        import_lostgan(tmp_path / "G.pth", VOCABULARY)


def test_wrong_checkpoints_are_one_line(lama_file, tmp_path):
    path, _ = lama_file
    with pytest.raises(UserError, match="not a LostGAN generator: it holds no weights 'mask_regress.conv1.0"):
        import_lostgan(path, VOCABULARY)
    with pytest.raises(UserError, match="184 categories without their names; give --vocabulary coco-stuff"):
        import_lama(path)
    with pytest.raises(UserError, match="holds 184 categories, __image__ included; the given vocabulary has 4"):
        import_lama(path, VOCABULARY)
    state = torch.load(path, weights_only=True)
    broken = {key: value for key, value in state.items() if "noise1" not in key}
    broken["module.res2.extra"], broken["module.final.0.bias"] = torch.zeros(3), torch.zeros(3)
    torch.save(broken, tmp_path / "broken.pth")
    message = r"4 missing \(blocks.0.noise1, .*, ...\); 1 unknown \(blocks.0.extra\); 1 of another shape \(final.0.bias"
    with pytest.raises(UserError, match=message):
        import_lama(tmp_path / "broken.pth", coco_vocabulary_by_id())
