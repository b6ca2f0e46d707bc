"""LostGAN and LAMA against the recorded outputs of the original code."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scenograph.data.vocabularies import coco_vocabulary_by_id
from scenograph.models.lama import Block, Lama, LamaConfig, MaskNetwork, Norm
from scenograph.models.lostgan import LostGan, LostGanConfig, inside_boxes
from scenograph.models.lostgan import MaskNetwork as LostGanMaskNetwork
from scenograph.models.published import lama as lama_names
from scenograph.models.published import lostgan as lostgan_names
from scenograph.models.published.checkpoint import rename
from scenograph.models.published.lama import import_lama
from scenograph.models.published.lostgan import import_lostgan
from scenograph.nn.crops import roi_align
from scenograph.nn.normalization import LayoutNorm, pixel_shares
from scenograph.nn.object_discriminators import DiscriminatorBlock, ObjectAwareDiscriminator
from scenograph.nn.painting import sample_masks
from scenograph.nn.perceptual import FeatureStack, feature_distance
from scenograph.pretrained.networks import load_vgg19
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.layout_gan import LamaObjective, LostGanObjective

pytestmark = pytest.mark.golden

VOCABULARY = Vocabulary(("__image__", *(f"category {i}" for i in range(1, 12))), ("__in_image__",))
LOSTGAN = ("v1_64", "v1_128", "v2_128", "v2_256")


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as data:
        return {name: torch.from_numpy(data[name]) for name in data.files}


def unpacked(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(io.BytesIO(gzip.decompress(path.read_bytes())), weights_only=True)


def state(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in torch.load(path, weights_only=True).items()
        if key.startswith(prefix)
    }


def imported(system, path: Path, tmp_path: Path):
    """Through the file, as a user would."""
    file = tmp_path / "checkpoint.pth"
    file.write_bytes(gzip.decompress(path.read_bytes()))
    model = {"lama": import_lama, "lostgan": import_lostgan}[system](file, VOCABULARY)
    # The recorded batches hold their image objects, where they have any.
    object.__setattr__(model.config, "image_object", False)
    return model


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual.detach().float(), expected.float(), atol=tolerance, rtol=0)


def close_to_largest(actual, expected, tolerance):
    close(actual, expected, tolerance * float(expected.abs().max()))


def corners(boxes: torch.Tensor) -> torch.Tensor:
    flat = boxes.float().reshape(-1, 4)
    return torch.cat([flat[:, :2], flat[:, :2] + flat[:, 2:]], dim=1)


def slots(data: dict[str, torch.Tensor], mask_size: int = 16) -> SceneBatch:
    """Every recorded slot as an object, absent ones included: in training they count in the masks' statistics."""
    count, places = data["label"].shape
    z = data.get("z")
    return SceneBatch(
        num_images=count,
        objects=data["label"].flatten(),
        attributes=torch.zeros((count * places, 0), dtype=torch.int64),
        triples=torch.zeros((0, 3), dtype=torch.int64),
        object_to_image=torch.arange(count).repeat_interleave(places),
        triple_to_image=torch.zeros(0, dtype=torch.int64),
        boxes=corners(data["bbox"]),
        masks=torch.ones(count * places, mask_size, mask_size),
        known_masks=torch.zeros(count * places, dtype=torch.bool),
        object_latents=None if z is None else z.flatten(0, 1),
        picture_latents=data.get("z_im"),
    )


def present(batch: SceneBatch) -> SceneBatch:
    """Without absent slots and image objects, as discriminators see it."""
    kept = batch.objects > 0
    return replace(
        batch,
        **{name: getattr(batch, name)[kept] for name in ("objects", "attributes", "object_to_image", "boxes", "masks", "known_masks")},
        object_latents=None,
    )  # fmt: skip


def noise_maps(data):
    return [value for key, value in data.items() if key.startswith("noise/")]


def check_buffers(model, path: Path, rules, first_block=None):
    """Running statistics and the vectors of spectral norms after a training forward."""
    own, checked = model.state_dict(), 0
    for key, value in rename(
        {k.removeprefix("module."): v for k, v in torch.load(path, weights_only=True).items()}, rules
    ).items():
        if not key.endswith("num_batches_tracked"):  # the original's counters stand still in LostGAN
            close(own[key], value.reshape(own[key].shape), 1e-5)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("size", [64, 128, 256])
def test_lama_generator(golden, tmp_path, size):
    folder = golden / "lama" / f"gen{size}"
    model = imported("lama", folder / "checkpoint.pt.gz", tmp_path)
    data, expected = arrays(folder / "inputs.npz"), arrays(folder / "expected_eval.npz")
    inner = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: inner.__setitem__(name, output))
        for name, module in model.named_modules()
    ]
    with torch.no_grad():
        encoded = model.condition(slots(data))
        picture = model.render_with_noise(encoded.condition, noise_maps(data))
    for hook in hooks:
        hook.remove()
    close(picture, expected["image"], 1e-4)
    close(encoded.condition.planes, expected["mask"], 2e-5)
    close(encoded.masks, expected["object_mask32"].flatten(0, 1), 2e-5)
    close_to_largest(inner["fc"], expected["inner/fc"], 1e-4)
    close_to_largest(inner["style_mapping"], expected["inner/style_mapping"], 1e-4)
    blocks = [value for key, value in expected.items() if key.startswith("inner/res")]
    for number, block in enumerate(blocks):
        close_to_largest(inner[f"blocks.{number}"], block, 1e-4)
    fast = model.for_inference()
    with torch.no_grad():
        close(fast.render_with_noise(fast.condition(slots(data)).condition, noise_maps(data)), expected["image"], 1e-4)
    trained = arrays(folder / "train_forward.npz")
    model.train()
    with torch.no_grad():
        encoded = model.condition(slots(trained))
        picture = model.render_with_noise(encoded.condition, noise_maps(trained))
    stride = json.loads((folder / "config.json").read_text())["train_forward_image_stride"]
    close(picture[:, :, ::stride, ::stride], trained["image"], 1e-3)
    close(encoded.condition.planes.mean(dim=(2, 3)), trained["mask_mean"], 1e-4)
    first = {64: 2, 128: 1, 256: 0}[size]
    rules = (*lama_names.NAMES, (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - first}."))
    check_buffers(model, folder / "buffers_after_train_forward.pt", rules)


@pytest.mark.parametrize("name", LOSTGAN)
def test_lostgan_generator(golden, tmp_path, name):
    folder = golden / "lostgan" / f"gen_{name}"
    model = imported("lostgan", folder / "checkpoint.pt.gz", tmp_path)
    assert f"v{model.config.version}_{model.config.image_size}" == name
    data, expected = arrays(folder / "inputs.npz"), arrays(folder / "expected_eval.npz")
    inner = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: inner.__setitem__(name, output))
        for name, module in model.named_modules()
    ]
    with torch.no_grad():
        encoded = model.condition(slots(data))
        picture = model.render(encoded.condition)
    for hook in hooks:
        hook.remove()
    close(picture, expected["image"], 1e-4)
    close(encoded.condition.planes, expected["mask64"], 2e-5)
    close(encoded.masks, expected["object_mask16"].flatten(0, 1), 2e-5)
    stages = [key for key in expected if re.fullmatch(r"inner/res\d", key)]
    for number, key in enumerate(stages):
        close_to_largest(inner[f"blocks.{number}"], expected[key], 1e-4)
        if f"{key}_stage_mask" in expected:
            maps, recorded = inner[f"refiners.{number}.maps"], expected[f"{key}_stage_mask"]
            assert maps.shape[1] == 184
            stride = maps.shape[2] // recorded.shape[2]
            close_to_largest(maps[:, : recorded.shape[1], ::stride, ::stride], recorded, 1e-4)
    fast = model.for_inference()
    with torch.no_grad():
        close(fast.render(fast.condition(slots(data)).condition), expected["image"], 1e-4)
    trained = arrays(folder / "train_forward.npz")
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0  # as recorded
    with torch.no_grad():
        picture = model.render(model.condition(slots(trained)).condition)
    stride = json.loads((folder / "config.json").read_text())["train_forward_image_stride"]
    close(picture[:, :, ::stride, ::stride], trained["image"], 1e-3)
    first = 2 if name == "v1_64" else 1
    rules = (*lostgan_names.NAMES, (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - first}."))
    check_buffers(model, folder / "buffers_after_train_forward.pt", rules)


@pytest.mark.parametrize("system", ["lama", "lostgan"])
def test_published_schemas(golden, system):
    """Models of the published sizes have exactly the published weights, names and shapes."""
    schemas = json.loads((golden / system / "published_schema.json").read_text())
    count = 0
    for name, shapes in schemas.items():
        if not name.startswith("gen") or name.endswith("_vg"):
            continue
        size = int(re.search(r"(64|128|256)_coco", name)[1])
        vocabulary = coco_vocabulary_by_id().to_dict()
        with torch.device("meta"):
            if system == "lama":
                model = Lama.__new__(Lama)
                Lama.__init__(model, LamaConfig(vocabulary=vocabulary, image_size=size))
                first, rules = {64: 2, 128: 1, 256: 0}[size], lama_names.NAMES
            else:
                version = 2 if "v2" in name else 1
                model = LostGan(LostGanConfig(vocabulary=vocabulary, image_size=size, version=version))
                first, rules = 2 if size == 64 else 1, lostgan_names.NAMES
        theirs = {key.removeprefix("module."): torch.empty(shape, device="meta") for key, shape in shapes.items()}
        theirs = rename(
            theirs, (*rules, (r"^res(\d)\.", lambda found, first=first: f"blocks.{int(found[1]) - first}."))
        )
        ours = model.state_dict()
        assert set(ours) == set(theirs)
        for key, value in ours.items():
            assert value.numel() == theirs[key].numel(), key
        count += 1
    assert count >= 3


@pytest.mark.parametrize("system", ["lama", "lostgan"])
@pytest.mark.parametrize("size", [64, 128, 256])
def test_discriminator(golden, system, size):
    folder = golden / system / f"disc{size}"
    config = json.loads((folder / "config.json").read_text())
    judge = ObjectAwareDiscriminator(system, size, 12, channels=config["constructor"]["ch"]).eval()
    judge.load_state_dict(discriminator_state(unpacked(folder / "checkpoint.pt.gz")))
    data = arrays(folder / "data.npz")
    batch = slots(data)
    kept = present(batch)
    rows = ((batch.objects > 0).cumsum(0) - 1)[data["object_row_order"]]

    def scores(images):
        return judge(images, kept.objects, kept.attributes, kept.boxes, kept.object_to_image)

    images = data["images"].clone().requires_grad_()
    on_images, on_objects = scores(images)
    close_to_largest(on_images, data["out_image"][:, 0], 1e-4)
    close_to_largest(on_objects[rows], data["out_object"][:, 0], 1e-4)
    (0.5 * on_images.sum() + on_objects.sum()).backward()
    stride = config["grad_stride"]
    close_to_largest(images.grad[:, :, ::stride, ::stride], data["grad_images"], 1e-4)
    judge.train()
    with torch.no_grad():
        on_images, on_objects = scores(data["images"])
    close_to_largest(on_images, data["train_out_image"][:, 0], 1e-4)
    close_to_largest(on_objects[rows], data["train_out_object"][:, 0], 1e-4)


def discriminator_state(recorded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their names to ours. The blocks of objects count from another number at every size."""
    numbers = sorted({found[1] for key in recorded if (found := re.search(r"block_obj(\d)", key))})
    names = dict(zip(numbers, ["own", "common", "last"] if len(numbers) == 3 else ["last"], strict=True))
    rules = (
        (r"^(module\.)?obD\.", ""),
        (r"^block_obj(\d)\.", lambda found: f"{names[found[1]]}."),
        (r"^block(\d)\.", lambda found: f"trunk.{int(found[1]) - 1}."),
        (r"\.c_sc\.", ".shortcut."),
        (r"^(l_im|l7|l8)\.", "image_score."),
        (r"^l_obj\.", "object_score."),
        (r"^l_y\.", "category."),
        (r"weight_orig$", "weight"),
    )
    return rename(recorded, rules)


def test_lama_mask_network(golden, tmp_path):
    folder = golden / "lama" / "mask_regression"
    network = MaskNetwork(64).eval()
    recorded = {
        f"mask_regress.{k.removeprefix('module.')}": v for k, v in unpacked(folder / "checkpoint.pt.gz").items()
    }
    recorded["mask_regress.final.2.weight_orig"] = recorded["mask_regress.final.2.weight_orig"][:, :, 0, 0]
    renamed = rename(recorded, lama_names.NAMES)
    network.load_state_dict({key.removeprefix("mask_network."): value for key, value in renamed.items()})
    data = arrays(folder / "data.npz")
    features, boxes = data["obj_feat"], corners(data["bbox"])
    with torch.no_grad():
        masks = network.shapes(features.flatten(0, 1))
        close(masks, data["object_mask32"].flatten(0, 1), 2e-5)
        raw = sample_masks(boxes, masks, 64, 64).unflatten(0, features.shape[:2])
        close(raw, data["raw_mask"], 2e-5)
        # In float32 the convolution with channels last is faster and less exact than the recorded one.
        close(network.adapt(raw, features), data["adapted_mask"], 1e-4)
        close(network.double().adapt(raw.double(), features.double()), data["adapted_mask"], 2e-5)


def test_lama_adaptation(golden):
    folder = golden / "lama" / "adaptation"
    network, data = MaskNetwork(96).eval(), arrays(folder / "data.npz")
    recorded = {f"mask_regress.{key}": value for key, value in state(folder / "weights.pt").items()}
    renamed = {k.removeprefix("mask_network."): v for k, v in rename(recorded, lama_names.NAMES).items()}
    missing, unknown = network.load_state_dict(renamed, strict=False)
    assert not unknown and not [key for key in missing if key.startswith(("key", "query", "local", "alpha"))]
    raw, features = data["raw_mask"].requires_grad_(), data["obj_feat"].requires_grad_()
    adapted = network.adapt(raw, features)
    close(adapted, data["adapted_mask"], 2e-5)
    (adapted * data["cotangent"]).sum().backward()
    close_to_largest(raw.grad, data["grad_raw_mask"], 1e-4)
    close_to_largest(features.grad, data["grad_obj_feat_via_adaptation_only"], 1e-4)


def test_lama_blocks(golden):
    folder = golden / "lama" / "blocks"
    data = arrays(folder / "data.npz")
    x, styles, mask = data["x"], data["vector"], data["mask"]
    here, finer = pixel_shares(mask, 10, 10, 1e-4), pixel_shares(mask, 20, 20, 1e-4)
    norm, block = Norm(12, 20), Block(12, 8, 20)
    norm.load_state_dict(block_state(folder, "norm."))
    block.load_state_dict(block_state(folder, "resblock_g."))
    with torch.no_grad():
        close(norm.eval()(x, here, styles), data["norm_eval"], 2e-5)
        maps = [data["noise1"], data["noise2"]]
        close(block.eval()(x, here, finer, styles, maps), data["resblock_g_eval"], 2e-5)
        close(norm.train()(x, here, styles), data["norm_train"], 2e-5)
        for name, first, size, result, source in (
            ("resblock_d.", False, 12, "resblock_d_eval", "x"),
            ("optimized.", True, 3, "optimized_eval", "optimized_in"),
        ):
            judge = DiscriminatorBlock(size, 8, True, first, 0.0, 0.01).eval()
            judge.load_state_dict(block_state(folder, name))
            close(judge(data[source]), data[result], 2e-5)


def block_state(folder: Path, prefix: str) -> dict[str, torch.Tensor]:
    recorded = {f".{key}": value for key, value in state(folder / "weights.pt", prefix).items()}
    return {key.removeprefix("."): value for key, value in rename(recorded, lama_names.NAMES).items()}


def test_lostgan_norm(golden):
    folder = golden / "lostgan" / "norm"
    data, norm = arrays(folder / "data.npz"), LayoutNorm(12, 20)
    recorded = {f".{key}": value for key, value in state(folder / "weights.pt").items()}
    norm.load_state_dict({k.removeprefix("."): v for k, v in rename(recorded, lostgan_names.NAMES).items()})
    styles, mask = data["vector"].unflatten(0, (2, 4)), data["mask"]
    here = pixel_shares(mask, 10, 10, 1e-6)
    with torch.no_grad():
        close(norm.eval()(data["x"], here, styles), data["out_eval"], 2e-5)
        cropped = pixel_shares(mask[:, :, :10, :10], 10, 10, 1e-6)
        close(norm(data["x"], cropped, styles), data["out_eval_mask10"], 2e-5)
        close(norm.train()(data["x"], here, styles), data["out_train"], 2e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_lostgan_mask_network(golden, version):
    folder = golden / "lostgan" / f"mask_regression_v{version}"
    network = LostGanMaskNetwork(20, {1: 128, 2: 256}[version], batch_norm=version == 1).eval()
    recorded = {
        f"mask_regress.{k.removeprefix('module.')}": v for k, v in unpacked(folder / "checkpoint.pt.gz").items()
    }
    renamed = rename(recorded, lostgan_names.NAMES)
    network.load_state_dict({key.removeprefix("mask_network."): value for key, value in renamed.items()})
    data = arrays(folder / "data.npz")
    boxes, shape = corners(data["bbox"]), data["bbox"].shape[:2]
    with torch.no_grad():
        masks = network(data["obj_feat"])
        close(masks, data["object_mask16"].flatten(0, 1), 2e-5)
        close(sample_masks(boxes, masks, 64, 64).unflatten(0, shape), data["mask64"], 2e-5)
        masks = network.train()(data["obj_feat"])
        close(sample_masks(boxes, masks, 64, 64).unflatten(0, shape), data["train_mask64"], 2e-5)


def test_geometry(golden):
    data = arrays(golden / "lostgan" / "geometry" / "data.npz")
    boxes, shape = corners(data["boxes"]), data["boxes"].shape[:2]
    close(sample_masks(boxes, data["masks"].flatten(0, 1), 64, 64).unflatten(0, shape), data["layout64"], 1e-5)
    for side in (64, 128):
        assert torch.equal(inside_boxes(boxes, side).unflatten(0, shape), data[f"bbox_mask_{side}"].bool())
    data = arrays(golden / "lama" / "masks_to_layout" / "data.npz")
    boxes, masks, shape = corners(data["boxes"]), data["masks"].flatten(0, 1), data["boxes"].shape[:2]
    close(sample_masks(boxes, masks, 64, 64).unflatten(0, shape), data["layout"], 1e-5)
    close(sample_masks(boxes, masks, 40, 56).unflatten(0, shape), data["layout_rect_h40_w56"], 1e-5)


def test_roi_align(golden):
    data = arrays(golden / "lama" / "roi_align" / "data.npz")
    boxes, owner = data["rois"][:, 1:], data["rois"][:, 0].long()
    for scale in (2, 4, 8, 16):
        features = data["features"].clone().requires_grad_()
        crops = roi_align(features, boxes, owner, (8, 8), 1 / scale)
        close(crops, data[f"out_s{scale}"], 1e-5)
        (crops * data[f"cotangent_s{scale}"]).sum().backward()
        close(features.grad, data[f"grad_s{scale}"], 1e-5)
    close(roi_align(data["features"], boxes, owner, (8, 8), 1 / 4, 2), data["out_s4_sampling2"], 1e-5)
    close(roi_align(data["features"], boxes, owner, (7, 5), 1 / 4), data["out_s4_7x5"], 1e-5)


def test_feature_distance(golden):
    folder = golden / "lostgan" / "vgg_loss"
    features, data = load_vgg19(folder / "vgg19_features_narrow.pt"), arrays(folder / "data.npz")
    x = data["x"].requires_grad_()
    loss = feature_distance(features, x, data["y"]).mean()
    torch.testing.assert_close(loss, data["loss"].float(), rtol=1e-5, atol=0)
    loss.backward()
    close_to_largest(x.grad, data["grad_x"], 1e-4)
    levels = [(a - b).abs().mean() for a, b in zip(features(x), features(data["y"]), strict=True)]
    torch.testing.assert_close(torch.stack(levels).float(), data["l1_per_level"].float(), rtol=1e-5, atol=1e-7)
    assert isinstance(features, FeatureStack)


@pytest.mark.parametrize("system", ["lama", "lostgan"])
def test_one_training_step(golden, tmp_path, float64, system):
    """Scores, losses, gradients and weights of one step of both players, in the original's order.

    In float64: one activation whose sign float32 rounds the other way, as some processors do, moves gradients further
    than the tolerance.
    """
    folder = golden / system / "train_step"
    model = imported(system, folder / "generator.pt.gz", tmp_path).train()
    kind = {"lama": LamaObjective, "lostgan": LostGanObjective}[system]
    extra = {} if system == "lama" else {"vgg_file": golden / "lostgan" / "vgg_loss" / "vgg19_features_narrow.pt"}
    objective = kind(kind.Config(discriminator_channels=4, **extra), model)
    if system == "lostgan":
        objective.vgg.double()
    judge = objective.discriminator
    judge.load_state_dict(discriminator_state(unpacked(folder / "discriminator.pt.gz")))
    data = {k: v.double() if v.is_floating_point() else v for k, v in arrays(folder / "data.npz").items()}
    batch = slots(data)
    seen = present(batch)
    batch = replace(batch, images=data["real"])
    scores = []

    def judged(images, _):
        pair = judge(images, seen.objects, seen.attributes, seen.boxes, seen.object_to_image)
        scores.append(pair)
        return pair

    objective._discriminate = judged
    if system == "lama":
        model.render = lambda layout, *_: model.render_with_noise(layout, noise_maps(data))
    rules = lama_names.NAMES if system == "lama" else lostgan_names.NAMES
    rules = (*rules, (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - 2}."))
    all_norms = json.loads((folder / "grad_norms.json").read_text())
    memory = {}
    for phase, loss_name in (("discriminator", "d_loss"), ("generator", "g_loss")):
        module = objective.modules()[phase]
        groups = []
        for name, parameter in module.named_parameters():
            rate = [factor for part, factor in objective.rates(phase).items() if part in name][-1]
            groups.append({"params": [parameter], "lr": 1e-4 * rate})
        adam = torch.optim.Adam(groups, betas=(0.0, 0.999))
        loss, _ = objective.loss(phase, batch, Totals(3, len(seen.objects), 0), [], memory)
        torch.testing.assert_close(loss, data[loss_name].float(), rtol=1e-4, atol=0)
        if phase == "discriminator":
            close(memory["fake"], data["fake"], 1e-3)
        adam.zero_grad()
        loss.backward()
        recorded = {key.removeprefix("module."): value for key, value in all_norms[phase].items()}
        norms = discriminator_state(recorded) if phase == "discriminator" else rename(recorded, rules)
        checked = 0
        for name, parameter in module.named_parameters():
            expected = norms.get(name)
            if expected is not None and parameter.grad is not None:
                torch.testing.assert_close(
                    float(parameter.grad.norm()), float(expected), rtol=1e-4, atol=1e-5, msg=name
                )
                checked += 1
        assert checked > 20
        adam.step()
        after = torch.load(folder / f"after_step_{phase}_part.pt", weights_only=True)
        after = {key.removeprefix("module."): value for key, value in after.items()}
        after = discriminator_state(after) if phase == "discriminator" else rename(after, rules)
        parameters = dict(module.named_parameters())
        for name, value in after.items():
            if name in parameters and parameters[name].grad is not None:
                clear = parameters[name].grad.abs() >= 1e-6
                close(parameters[name][clear], value.reshape(parameters[name].shape)[clear], 2e-5)
    names = ("real", "fake", "g")
    for name, (on_images, on_objects) in zip(names, scores, strict=True):
        close_to_largest(on_images, data[f"{name}_image_score"][:, 0], 1e-3)
        close_to_largest(on_objects.sort().values, data[f"{name}_object_score"][:, 0].sort().values, 1e-3)
