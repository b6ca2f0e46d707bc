"""LostGAN and LAMA by themselves: blocks against their plain forms, editing, import, and training on several processes."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scenograph import Pipeline
from scenograph.data.clevr import VOCABULARY
from scenograph.data.vocabularies import coco_vocabulary_by_id
from scenograph.errors import UserError
from scenograph.models.lama import Lama, LamaConfig
from scenograph.models.lostgan import LostGan, LostGanConfig
from scenograph.models.published.lama import import_lama
from scenograph.models.published.lostgan import import_lostgan
from scenograph.nn import convolution
from scenograph.nn.crops import roi_align
from scenograph.nn.normalization import LayoutNorm, moments, pixel_shares
from scenograph.nn.object_discriminators import ObjectAwareDiscriminator
from scenograph.nn.spectral import SpectralConv2d, fold_spectral_norms
from scenograph.nn.upsampling import add_upsampled_, pooled_conv2d, upsampled_conv2d
from scenograph.pretrained.networks import load_vgg19
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.completion import cut_to_canvas
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


# Blocks


@pytest.mark.parametrize("wide", [1, 512], ids=["product", "convolution"])
def test_convolution_after_upsampling_and_its_gradients(monkeypatch, wide):
    monkeypatch.setattr(convolution, "WIDE", wide)
    x, weight = torch.randn(2, 5, 6, 4, requires_grad=True), torch.randn(3, 5, 3, 3, requires_grad=True)
    bias, cotangent = torch.randn(3, requires_grad=True), torch.randn(2, 3, 12, 8)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, bias, padding=1)
    fast = upsampled_conv2d(x, weight, bias)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    for one, other in zip(
        torch.autograd.grad(fast, (x, weight, bias), cotangent),
        torch.autograd.grad(plain, (x, weight, bias), cotangent),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    coarse = plain[:, :, ::2, ::2]
    torch.testing.assert_close(add_upsampled_(plain.clone(), coarse), plain + F.interpolate(coarse, scale_factor=2))


@pytest.mark.parametrize("wide", [1, 512], ids=["product", "convolution"])
@pytest.mark.parametrize("size", [(8, 6), (7, 9)], ids=["even", "odd"])
def test_pooled_convolution_and_its_gradients(monkeypatch, size, wide):
    monkeypatch.setattr(convolution, "WIDE", wide)
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((2, 5, *size), (4, 5, 3, 3), (4,))]
    x, weight, bias = inputs
    plain = F.avg_pool2d(F.conv2d(x, weight, bias, padding=1), 2)
    fast = pooled_conv2d(x, weight, bias)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    cotangent = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad(fast, inputs, cotangent), torch.autograd.grad(plain, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_moments_and_their_gradient():
    x = torch.randn(2, 7, 3, dtype=torch.float64).float().requires_grad_()
    mean, square = moments(x)
    torch.testing.assert_close(mean, x.mean(1))
    torch.testing.assert_close(square, x.square().mean(1))
    cotangents = torch.randn(2, 3), torch.randn(2, 3)
    found = torch.autograd.grad((mean, square), x, cotangents)[0]
    plain = torch.autograd.grad((x.mean(1), x.square().mean(1)), x, cotangents)[0]
    torch.testing.assert_close(found, plain)


def test_layout_norm_is_its_formula():
    norm = LayoutNorm(6, 5).train()
    x, planes, styles = torch.randn(2, 6, 8, 8), torch.rand(2, 3, 16, 16), torch.randn(2, 3, 5)
    shares = pixel_shares(planes, 8, 8, 1e-6)
    out = norm(x, shares, styles)
    norm.eval()  # the same vectors of spectral norms from here on
    gains, shifts = norm.gain(styles), norm.shift(styles)
    small = F.interpolate(planes, (8, 8), mode="bilinear")
    small = small / (small.sum(1, keepdim=True) + 1e-6)
    gain, shift = (torch.einsum("nkhw,nkc->nchw", small, values) for values in (gains, shifts))
    plain = F.batch_norm(x, None, None, training=True)
    torch.testing.assert_close(out, plain * (1 + gain) + shift, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(norm.batch_norm.running_mean, 0.1 * x.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)


def test_spectral_norm_bounds_and_folds():
    conv = SpectralConv2d(4, 6, 3, padding=1)
    for _ in range(100):
        conv.normalized_weight()
    assert float(torch.linalg.matrix_norm(conv.normalized_weight().detach().flatten(1), 2)) == pytest.approx(
        1.0, abs=1e-3
    )
    conv.eval()
    x = torch.randn(1, 4, 5, 5)
    before, factor = conv(x), torch.tensor(0.3)
    torch.testing.assert_close(conv(x, factor), 0.3 * before)
    fold_spectral_norms(conv)
    torch.testing.assert_close(conv(x), before)


def test_roi_align_averages_bilinear_samples():
    features = torch.randn(2, 3, 9, 11)
    boxes, owner = torch.tensor([[3.0, 2.0, 14.0, 17.0], [-4.0, 1.0, 30.0, 9.0], [5.0, 5.0, 5.2, 5.1]]), [1, 0, 1]
    crops = roi_align(features, boxes, torch.tensor(owner), (4, 4), 0.5)

    def sample(image, y, x):
        if not (-1 <= y <= 9 and -1 <= x <= 11):
            return torch.zeros(3)
        y, x = min(max(y, 0.0), 8.0), min(max(x, 0.0), 10.0)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, 8), min(x0 + 1, 10)
        top = image[:, y0, x0] * (1 - x + x0) + image[:, y0, x1] * (x - x0)
        return top * (1 - y + y0) + (image[:, y1, x0] * (1 - x + x0) + image[:, y1, x1] * (x - x0)) * (y - y0)

    for number, box in enumerate(boxes):
        x0, y0, x1, y1 = (float(value) * 0.5 for value in box)
        height, width = max(y1 - y0, 1.0), max(x1 - x0, 1.0)
        rows, columns = int(np.ceil(height / 4)), int(np.ceil(width / 4))
        for i in range(4):
            for j in range(4):
                samples = [
                    sample(features[owner[number]], y0 + (i + (a + 0.5) / rows) * height / 4, x0 + (j + (b + 0.5) / columns) * width / 4)
                    for a in range(rows)
                    for b in range(columns)
                ]  # fmt: skip
                torch.testing.assert_close(crops[number, :, i, j], torch.stack(samples).mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [64, 128, 256])
def test_discriminator_judges_objects_in_their_order(size):
    torch.manual_seed(0)
    judge = ObjectAwareDiscriminator("lama", size, 5, (3, 2), channels=4, initial_scale=0.5).eval()
    images = torch.randn(2, 3, size, size)
    objects, attributes = torch.tensor([1, 2, 3, 4]), torch.tensor([[0, 1], [-1, 0], [2, 1], [1, -1]])
    boxes = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.0, 0.0, 1.0, 1.0], [0.2, 0.3, 0.9, 0.9], [0.5, 0.5, 0.7, 0.7]])
    owner = torch.tensor([0, 1, 0, 1])
    scores, judged = judge(images, objects, attributes, boxes, owner)
    for row in range(4):
        alone = judge(images, objects[[row]], attributes[[row]], boxes[[row]], owner[[row]])[1]
        torch.testing.assert_close(judged[[row]], alone, atol=1e-4, rtol=1e-3)
    recoloured = judge(images, objects, torch.tensor([[1, 1], [0, 0], [2, 0], [0, -1]]), boxes, owner)[1]
    assert (recoloured - judged).abs().min() > 1e-5
    empty = torch.zeros(0, dtype=torch.int64)
    alone, none = judge(images, empty, torch.zeros((0, 2), dtype=torch.int64), torch.zeros((0, 4)), empty)
    torch.testing.assert_close(alone, scores)
    assert len(none) == 0


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


def test_boxes_beyond_the_canvas_are_cut_and_said(caplog):
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True
    scene = Scene((SceneObject("cube", (), (-0.4, 0.2, 0.4, 0.6), mask), SceneObject("cube", (), BOXES[0])))
    with caplog.at_level(logging.WARNING):
        cut = cut_to_canvas(scene)
    assert cut.objects[0].box == (0.0, 0.2, 0.4, 0.6) and cut.objects[0].mask.shape == (8, 8)
    assert cut.objects[0].mask.all() and cut.objects[1] is scene.objects[1]
    assert "objects[0].box: [-0.4, 0.2, 0.4, 0.6] reaches beyond the canvas and is cut to it" in caplog.text


def test_what_cannot_be_drawn_is_one_line():
    pipe = Pipeline(lama())
    with pytest.raises(UserError, match="lama needs a box for every object"):
        pipe("red cube")
    with pytest.raises(UserError, match="picture size 128: this model draws 64 x 64 only"):
        pipe(layout_scene(), size=128)
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


def test_vgg_files_are_checked(tmp_path):
    torch.save({"features.0.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "v.pth")
    with pytest.raises(UserError, match="not vgg19: it holds no weights 'features.0.weight'"):
        load_vgg19(tmp_path / "v.pth")
