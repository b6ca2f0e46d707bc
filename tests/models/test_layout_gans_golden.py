"""LostGAN and LAMA against the recorded outputs of the original code."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recordings import (
    arrays,
    close,
    close_to_largest,
    corners,
    discriminator_state,
    present,
    settings,
    slots,
    state,
    unpacked,
)
from scenograph.data.vocabularies import coco_vocabulary_by_id
from scenograph.models.lama import Block, Lama, LamaConfig, MaskNetwork, Norm
from scenograph.models.lostgan import LostGan, LostGanConfig, inside_boxes
from scenograph.models.lostgan import MaskNetwork as LostGanMaskNetwork
from scenograph.models.published import lama as lama_names
from scenograph.models.published import lostgan as lostgan_names
from scenograph.models.published.checkpoint import rename
from scenograph.models.published.lama import import_lama
from scenograph.models.published.lostgan import import_lostgan
from scenograph.nn.normalization import pixel_shares
from scenograph.nn.object_discriminators import DiscriminatorBlock
from scenograph.nn.painting import sample_masks
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.objectives.base import Totals
from scenograph.training.objectives.layout_gan import LamaObjective, LostGanObjective

pytestmark = pytest.mark.golden

LOSTGAN = ("v1_64", "v1_128", "v2_128", "v2_256")


def imported(system, path: Path, categories: int, tmp_path: Path):
    """Through the file, as a user would."""
    file = tmp_path / "checkpoint.pth"
    file.write_bytes(gzip.decompress(path.read_bytes()))
    names = Vocabulary(("__image__", *(f"category {i}" for i in range(1, categories))), ("__in_image__",))
    model = {"lama": import_lama, "lostgan": import_lostgan}[system](file, names)
    # The recorded batches hold their image objects, where they have any.
    object.__setattr__(model.config, "image_object", False)
    return model


def noise_maps(data):
    return [value for key, value in data.items() if key.startswith("noise/")]


def ours(system, recorded: dict) -> dict:
    """Anything by a generator's names, by our names. Blocks count from another number at every size."""
    plain = {key.removeprefix("module."): value for key, value in recorded.items()}
    first = min((int(found[1]) for key in plain if (found := re.match(r"res(\d)\.", key))), default=0)
    rules = {"lama": lama_names, "lostgan": lostgan_names}[system].NAMES
    return rename(plain, (*rules, (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - first}.")))


def check_buffers(system, model, path: Path):
    """Running statistics and the vectors of spectral norms after a training forward."""
    own, checked = model.state_dict(), 0
    for key, value in ours(system, torch.load(path, weights_only=True)).items():
        if not key.endswith("num_batches_tracked"):  # the original's counters stand still in LostGAN
            close(own[key], value.reshape(own[key].shape), 1e-5)
            checked += 1
    assert checked > 50


@pytest.mark.parametrize("size", [64, 128, 256])
def test_lama_generator(golden, tmp_path, size):
    folder = golden / "lama" / f"gen{size}"
    config = settings(folder)
    model = imported("lama", folder / "checkpoint.pt.gz", config["constructor"]["num_classes"], tmp_path)
    assert model.config.image_size == config["image_size"]
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
    stride = config["train_forward_image_stride"]
    close(picture[:, :, ::stride, ::stride], trained["image"], 1e-3)
    close(encoded.condition.planes.mean(dim=(2, 3)), trained["mask_mean"], 1e-4)
    check_buffers("lama", model, folder / "buffers_after_train_forward.pt")


@pytest.mark.parametrize("name", LOSTGAN)
def test_lostgan_generator(golden, two_threads, tmp_path, name):
    folder = golden / "lostgan" / f"gen_{name}"
    config = settings(folder)
    model = imported("lostgan", folder / "checkpoint.pt.gz", config["constructor"]["num_classes"], tmp_path)
    assert f"lostgan_v{model.config.version}_generator_{model.config.image_size}" == config["kind"]
    class_maps = unpacked(folder / "checkpoint.pt.gz").get("module.alpha1", torch.zeros(1, 0)).shape[1]
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
            assert maps.shape[1] == class_maps
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
    stride = config["train_forward_image_stride"]
    close(picture[:, :, ::stride, ::stride], trained["image"], 1e-3)
    check_buffers("lostgan", model, folder / "buffers_after_train_forward.pt")


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
            else:
                version = 2 if "v2" in name else 1
                model = LostGan(LostGanConfig(vocabulary=vocabulary, image_size=size, version=version))
        theirs = ours(system, {key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
        assert set(model.state_dict()) == set(theirs)
        for key, value in model.state_dict().items():
            assert value.numel() == theirs[key].numel(), key
        count += 1
    assert count >= 3


def test_lama_mask_network(golden, tmp_path):
    folder = golden / "lama" / "mask_regression"
    sizes = settings(folder)["constructor"]
    network = MaskNetwork(sizes["obj_feat"]).eval()
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
        assert masks.shape[1:] == (sizes["mask_size"], sizes["mask_size"])
        raw = sample_masks(boxes, masks, sizes["map_size"], sizes["map_size"]).unflatten(0, features.shape[:2])
        close(raw, data["raw_mask"], 2e-5)
        # In float32 the convolution with channels last is faster and less exact than the recorded one.
        close(network.adapt(raw, features), data["adapted_mask"], 1e-4)
        close(network.double().adapt(raw.double(), features.double()), data["adapted_mask"], 2e-5)


def test_lama_adaptation(golden):
    folder = golden / "lama" / "adaptation"
    network, data = MaskNetwork(settings(folder)["obj_feat"]).eval(), arrays(folder / "data.npz")
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
    data, sizes = arrays(folder / "data.npz"), settings(folder)
    x, styles, mask = data["x"], data["vector"], data["mask"]
    here, finer = (pixel_shares(mask, *data[key].shape[2:], 1e-4) for key in ("x", "resblock_g_eval"))
    norm = Norm(sizes["norm"]["num_features"], sizes["norm"]["num_w"])
    block = Block(*(sizes["resblock_g"][key] for key in ("in_ch", "out_ch", "num_w")))
    norm.load_state_dict(block_state(folder, "norm."))
    block.load_state_dict(block_state(folder, "resblock_g."))
    with torch.no_grad():
        close(norm.eval()(x, here, styles), data["norm_eval"], 2e-5)
        maps = [data["noise1"], data["noise2"]]
        close(block.eval()(x, here, finer, styles, maps), data["resblock_g_eval"], 2e-5)
        close(norm.train()(x, here, styles), data["norm_train"], 2e-5)
        for name, first, source in (("resblock_d", False, "x"), ("optimized", True, "optimized_in")):
            plan = (sizes[name][key] for key in ("in_ch", "out_ch", "downsample"))
            judge = DiscriminatorBlock(*plan, first, 0.0, 0.01).eval()
            judge.load_state_dict(block_state(folder, f"{name}."))
            close(judge(data[source]), data[f"{name}_eval"], 2e-5)


def block_state(folder: Path, prefix: str) -> dict[str, torch.Tensor]:
    recorded = {f".{key}": value for key, value in state(folder / "weights.pt", prefix).items()}
    return {key.removeprefix("."): value for key, value in rename(recorded, lama_names.NAMES).items()}


@pytest.mark.parametrize("version", [1, 2])
def test_lostgan_mask_network(golden, version):
    folder = golden / "lostgan" / f"mask_regression_v{version}"
    data, sizes = arrays(folder / "data.npz"), settings(folder)["constructor"]
    network = LostGanMaskNetwork(sizes["obj_feat"], data["conv1"].shape[1], batch_norm=version == 1).eval()
    recorded = {
        f"mask_regress.{k.removeprefix('module.')}": v for k, v in unpacked(folder / "checkpoint.pt.gz").items()
    }
    renamed = rename(recorded, lostgan_names.NAMES)
    network.load_state_dict({key.removeprefix("mask_network."): value for key, value in renamed.items()})
    boxes, shape = corners(data["bbox"]), data["bbox"].shape[:2]
    side, mask_side = sizes["map_size"], sizes["mask_size"]
    with torch.no_grad():
        masks = network(data["obj_feat"])
        close(masks, data[f"object_mask{mask_side}"].flatten(0, 1), 2e-5)
        close(sample_masks(boxes, masks, side, side).unflatten(0, shape), data[f"mask{side}"], 2e-5)
        masks = network.train()(data["obj_feat"])
        close(sample_masks(boxes, masks, side, side).unflatten(0, shape), data[f"train_mask{side}"], 2e-5)


def test_geometry(golden):
    """Maps of whatever sizes were recorded."""
    for folder, count in (("lostgan/geometry", 3), ("lama/masks_to_layout", 2)):
        data = arrays(golden / folder / "data.npz")
        boxes, masks, shape = corners(data["boxes"]), data["masks"].flatten(0, 1), data["boxes"].shape[:2]
        wanted = {key: value for key, value in data.items() if re.match(r"layout|bbox_mask", key)}
        wanted.pop("layout64_if_align_corners_false", None)
        assert len(wanted) >= count
        for key, maps in wanted.items():
            height, width = maps.shape[2:]
            if key.startswith("bbox_mask"):
                assert torch.equal(inside_boxes(boxes, width).unflatten(0, shape), maps.bool())
            else:
                close(sample_masks(boxes, masks, height, width).unflatten(0, shape), maps, 1e-5)


@pytest.mark.parametrize("system", ["lama", "lostgan"])
def test_one_training_step(golden, tmp_path, float64, system):
    """Scores, losses, gradients and weights of one step of both players, in the original's order.

    In float64: one activation whose sign float32 rounds the other way, as some processors do, moves gradients further
    than the tolerance.
    """
    folder = golden / system / "train_step"
    config = settings(folder)
    model = imported(system, folder / "generator.pt.gz", config["generator"]["num_classes"], tmp_path).train()
    kind = {"lama": LamaObjective, "lostgan": LostGanObjective}[system]
    adam_settings = config["adam"]
    extra = {}
    if system == "lostgan":
        extra = {"feature_weight": config["vgg"], "pixel_weight": config["pixel_l1"]}
        extra["vgg_file"] = folder / config["vgg_weights"]
    objective = kind(
        kind.Config(
            discriminator_channels=config["discriminator"]["ch"],
            image_weight=config["lamb_img"],
            object_weight=config["lamb_obj"],
            discriminator_rate=adam_settings["d_lr"] / adam_settings["g_lr"],
            **extra,
        ),
        model,
    )
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
    all_norms = json.loads((folder / "grad_norms.json").read_text())
    memory = {}
    for phase, loss_name in (("discriminator", "d_loss"), ("generator", "g_loss")):
        module = objective.modules()[phase]
        groups = []
        for name, parameter in module.named_parameters():
            rate = [factor for part, factor in objective.rates(phase).items() if part in name][-1]
            assert rate * adam_settings["g_lr"] == pytest.approx(recorded_rate(adam_settings, phase, name))
            groups.append({"params": [parameter], "lr": adam_settings["g_lr"] * rate})
        adam = torch.optim.Adam(groups, betas=tuple(map(float, adam_settings["betas"])), eps=adam_settings["eps"])
        loss, _ = objective.loss(phase, batch, Totals(batch.num_images, len(seen.objects), 0), [], memory)
        torch.testing.assert_close(loss, data[loss_name].float(), rtol=1e-4, atol=0)
        if phase == "discriminator":
            close(memory["fake"], data["fake"], 1e-3)
        adam.zero_grad()
        loss.backward()
        recorded = all_norms[phase]
        norms = discriminator_state(recorded) if phase == "discriminator" else ours(system, recorded)
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
        after = discriminator_state(after) if phase == "discriminator" else ours(system, after)
        parameters = dict(module.named_parameters())
        for name, value in after.items():
            if name in parameters and parameters[name].grad is not None:
                clear = parameters[name].grad.abs() >= 1e-6
                close(parameters[name][clear], value.reshape(parameters[name].shape)[clear], 2e-5)
    names = ("real", "fake", "g")
    for name, (on_images, on_objects) in zip(names, scores, strict=True):
        close_to_largest(on_images, data[f"{name}_image_score"][:, 0], 1e-3)
        close_to_largest(on_objects.sort().values, data[f"{name}_object_score"][:, 0].sort().values, 1e-3)


def recorded_rate(adam: dict, phase: str, name: str) -> float:
    """A parameter's learning rate: some kinds of them learn at a fraction (g_lr_x0_1: a tenth)."""
    rate = adam[f"{phase[0]}_lr"]
    for key, parts in adam.items():
        found = re.fullmatch(rf"{phase[0]}_lr_x(\d+)_(\d+)", key)
        if found and any(part in name for part in parts):
            rate *= float(f"{found[1]}.{found[2]}")
    return rate
