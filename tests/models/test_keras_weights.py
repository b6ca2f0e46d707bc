"""Keras' weights of ImageNet in the backbones of a Scene Designer."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from helpers import tiny
from scenograph.errors import UserError
from scenograph.models.base import load_state
from scenograph.models.published.keras import backbone_state, load_backbones, read_keras
from scenograph.nn.inception import KerasInception
from scenograph.nn.mobilenet import STAGES, MobileNetV2, scaled_width
from scenograph.nn.resnet_v2 import ResNet50V2

NORM = ("gamma", "beta", "moving_mean", "moving_variance")
Arrays = dict[str, dict[str, tuple[int, ...]]]
"""Shapes of the arrays of each layer, as Keras names and orders them."""


def norm(channels: int, names=NORM) -> dict[str, tuple[int, ...]]:
    return dict.fromkeys(names, (channels,))


def mobilenet(alpha: float) -> Arrays:
    channels = scaled_width(32, alpha)
    layers: Arrays = {"Conv1": {"kernel": (3, 3, 3, channels)}, "bn_Conv1": norm(channels)}
    number = 0
    for expansion, wanted, count, _ in STAGES:
        for _ in range(count):
            name, wide, width = f"block_{number}", channels * expansion, scaled_width(wanted, alpha)
            if number:
                layers |= {f"{name}_expand": {"kernel": (1, 1, channels, wide)}, f"{name}_expand_BN": norm(wide)}
            else:
                name = "expanded_conv"
            layers[f"{name}_depthwise"] = {"depthwise_kernel": (3, 3, wide, 1)}
            layers[f"{name}_depthwise_BN"] = norm(wide)
            layers |= {f"{name}_project": {"kernel": (1, 1, wide, width)}, f"{name}_project_BN": norm(width)}
            channels, number = width, number + 1
    return layers | {"Conv_1": {"kernel": (1, 1, channels, 1280)}, "Conv_1_bn": norm(1280)}


def inception(first: int = 7) -> Arrays:
    """Filters and kernels in the order in which keras.applications makes them, numbered from ``first``."""
    sizes: list[tuple[int, int, int, int]] = [
        (3, 32, 3, 3),
        (32, 32, 3, 3),
        (32, 64, 3, 3),
        (64, 80, 1, 1),
        (80, 192, 3, 3),
    ]
    for before, pool in ((192, 32), (256, 64), (288, 64)):
        sizes += [(before, 64, 1, 1), (before, 48, 1, 1), (48, 64, 5, 5)]
        sizes += [(before, 64, 1, 1), (64, 96, 3, 3), (96, 96, 3, 3), (before, pool, 1, 1)]
    sizes += [(288, 384, 3, 3), (288, 64, 1, 1), (64, 96, 3, 3), (96, 96, 3, 3)]
    for n in (128, 160, 160, 192):
        sizes += [(768, 192, 1, 1), (768, n, 1, 1), (n, n, 1, 7), (n, 192, 7, 1)]
        sizes += [(768, n, 1, 1), (n, n, 7, 1), (n, n, 1, 7), (n, n, 7, 1), (n, 192, 1, 7), (768, 192, 1, 1)]
    sizes += [
        (768, 192, 1, 1),
        (192, 320, 3, 3),
        (768, 192, 1, 1),
        (192, 192, 1, 7),
        (192, 192, 7, 1),
        (192, 192, 3, 3),
    ]
    for before in (1280, 2048):
        sizes += [(before, 320, 1, 1), (before, 384, 1, 1), (384, 384, 1, 3), (384, 384, 3, 1)]
        sizes += [(before, 448, 1, 1), (448, 384, 3, 3), (384, 384, 1, 3), (384, 384, 3, 1), (before, 192, 1, 1)]
    layers: Arrays = {}
    for number, (before, after, height, width) in reversed([*enumerate(sizes, start=first)]):  # any order
        layers[f"conv2d_{number}"] = {"kernel": (height, width, before, after)}
        layers[f"batch_normalization_{number}"] = norm(after, NORM[1:])
    return layers


def resnet() -> Arrays:
    layers: Arrays = {"conv1_conv": {"kernel": (7, 7, 3, 64), "bias": (64,)}}
    before = 64
    for stage, (inner, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=2):
        for block in range(1, count + 1):
            name, after = f"conv{stage}_block{block}", 4 * inner
            layers[f"{name}_preact_bn"] = norm(before)
            if block == 1:
                layers[f"{name}_0_conv"] = {"kernel": (1, 1, before, after), "bias": (after,)}
            layers |= {f"{name}_1_conv": {"kernel": (1, 1, before, inner)}, f"{name}_1_bn": norm(inner)}
            layers |= {f"{name}_2_conv": {"kernel": (3, 3, inner, inner)}, f"{name}_2_bn": norm(inner)}
            layers[f"{name}_3_conv"] = {"kernel": (1, 1, inner, after), "bias": (after,)}
            before = after
    return layers | {"post_bn": norm(before)}


def write(path: Path, layers: Arrays, classifier: bool = False, nested: bool = False) -> dict[str, float]:
    """A file as Keras writes it, every array full of a number of its own; returns these."""
    numbers: dict[str, float] = {}
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        named = layers | ({"predictions": {"kernel": (1280, 10), "bias": (10,)}} if classifier else {})
        root.attrs["layer_names"] = [name.encode() for name in ("input_1", *named)]
        root.create_group("input_1").attrs["weight_names"] = np.zeros(0, "S1")
        for layer, arrays in named.items():
            group = root.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in arrays]
            for name, shape in arrays.items():
                numbers[f"{layer}/{name}"] = len(numbers) + 1
                group.create_dataset(f"{layer}/{name}:0", shape, "f4", fillvalue=len(numbers))
    return numbers


def filled(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that depend on the name alone, in the range of trained ones."""
    rng, last = np.random.default_rng(zlib.crc32(name.encode())), name.rsplit("/", 1)[1]
    if last in ("gamma", "moving_variance"):
        values = rng.uniform(0.5, 1.5, shape)
    elif last == "kernel":
        values = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
    else:
        values = rng.normal(0, 0.3 if last == "depthwise_kernel" else 0.1, shape)
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("layers", "make", "mean", "first"),
    [
        (
            lambda: mobilenet(0.35),
            lambda: MobileNetV2(0.35, cut=None),
            1.0684667,
            [0.0, 0.778022, 0.0, 1.848145, 0.202861, 5.034264],
        ),
        pytest.param(
            lambda: inception(1),
            KerasInception,
            0.17300272,
            [0.244083, 0.084293, 0.0, 0.302248, 0.0, 0.0],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            resnet,
            ResNet50V2,
            636.73969,
            [0.0, 2270.541992, 225.166626, 2082.33374, 130.986832, 488.845581],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["mobilenet", "inception", "resnet"],
)
def test_outputs_are_those_of_keras(layers, make, mean, first):
    """Recorded from tf.keras.applications of TensorFlow 2.15, at an odd side: all channels' mean, and six of them."""
    arrays = {
        (layer, name): filled(f"{layer}/{name}", shape)
        for layer, own in layers().items()
        for name, shape in own.items()
    }
    network = make().eval()
    load_state(network, backbone_state(arrays, network), "numbers")
    pixels = np.random.default_rng(7).uniform(-1, 1, (1, 75, 75, 3)).astype(np.float32)
    with torch.no_grad():
        found = network(torch.from_numpy(pixels).permute(0, 3, 1, 2)).mean(dim=(2, 3))[0]
    assert float(found.mean()) == pytest.approx(mean, rel=1e-4)
    np.testing.assert_allclose(found[:6].numpy(), first, rtol=1e-3, atol=1e-4 * max(first))


@pytest.mark.parametrize("nested", [True, False])
def test_both_encoders_get_the_weights(tmp_path, nested):
    path = tmp_path / "mobilenet.h5"
    numbers = write(path, mobilenet(0.1), classifier=True, nested=nested)
    model = tiny("scene-designer")
    load_backbones(model, path)
    for encoder in (model.photo_encoder, model.sketch_encoder):
        backbone = encoder.backbone
        assert (backbone.first.convolution.weight == numbers["Conv1/kernel"]).all()
        assert (backbone.blocks[0].project.convolution.weight == numbers["expanded_conv_project/kernel"]).all()
        assert (backbone.blocks[16].project.norm.running_var == numbers["block_16_project_BN/moving_variance"]).all()
        assert (backbone.blocks[3].depthwise.norm.bias == numbers["block_3_depthwise_BN/beta"]).all()
    whole = MobileNetV2(0.1, cut=None)
    load_state(whole, backbone_state(read_keras(path), whole), "whole")
    assert (whole.last.norm.weight == numbers["Conv_1_bn/gamma"]).all()


def test_axes_are_those_of_pytorch(tmp_path):
    """A file of numbers that differ: kernels (K, K, C, C') and depthwise ones (K, K, C, 1)."""
    layers, rng = mobilenet(0.1), np.random.default_rng(0)
    path, kept = tmp_path / "mobilenet.h5", {}
    write(path, layers)
    with h5py.File(path, "a") as file:
        for layer, name in (("Conv1", "kernel"), ("block_1_depthwise", "depthwise_kernel")):
            kept[layer] = rng.random(layers[layer][name], np.float32)
            file[layer][f"{layer}/{name}:0"][...] = kept[layer]
    model = tiny("scene-designer")
    load_backbones(model, path)
    backbone = model.photo_encoder.backbone
    assert backbone.first.convolution.weight[3, 2, 0, 1] == kept["Conv1"][0, 1, 2, 3]
    assert backbone.blocks[1].depthwise.convolution.weight[5, 0, 2, 1] == kept["block_1_depthwise"][2, 1, 5, 0]


@pytest.mark.parametrize(
    ("layers", "make", "places"),
    [
        (
            inception,
            KerasInception,
            {
                "Conv2d_1a_3x3.conv.weight": "conv2d_7/kernel",
                "Mixed_7c.branch_pool.bn.running_mean": "batch_normalization_100/moving_mean",
            },
        ),
        (
            resnet,
            ResNet50V2,
            {
                "first.bias": "conv1_conv/bias",
                "stages.1.3.conv2.weight": "conv3_block4_2_conv/kernel",
                "stages.0.0.shortcut.weight": "conv2_block1_0_conv/kernel",
                "norm.weight": "post_bn/gamma",
            },
        ),
    ],
)
def test_every_array_of_other_networks_has_its_place(tmp_path, layers, make, places):
    numbers = write(tmp_path / "weights.h5", layers())
    with torch.device("meta"):
        network = make()
    state = backbone_state(read_keras(tmp_path / "weights.h5"), network)
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }
    assert len(state) == len(numbers)
    for key, name in places.items():
        assert state[key].flatten()[0] == numbers[name], key


def without(layer: str) -> Arrays:
    return {name: arrays for name, arrays in mobilenet(0.1).items() if name != layer}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (without("block_3_project"), r"1 missing \(blocks.3.project.convolution.weight\)"),
        (mobilenet(0.1) | {"extra": {"kernel": (1, 1, 2, 2)}}, r"1 unknown \(extra.weight\)"),
        (mobilenet(1.0), r"of another shape \(first.convolution.weight \(32, 3, 3, 3\) instead of"),
        (resnet(), "weights of ResNet50V2, but the model has another backbone; set model.backbone=resnet"),
        ({"dense": {"kernel": (2, 2)}}, "neither of MobileNetV2, InceptionV3, ResNet50V2"),
        ({**mobilenet(0.1), "Conv1": {"kernel": (9, 9, 1000, 1000)}}, "81,000,000 numbers, more than any array"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, layers, message):
    write(tmp_path / "w.h5", layers)
    with pytest.raises(UserError, match=message):
        load_backbones(tiny("scene-designer"), tmp_path / "w.h5")


def test_files_that_are_no_weights(tmp_path):
    model = tiny("scene-designer")
    with pytest.raises(UserError, match=r"cannot read .*missing\.h5"):
        load_backbones(model, tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("weights")
    with pytest.raises(UserError, match=r"cannot read .*text\.h5: not an HDF5 file, or cut short"):
        load_backbones(model, tmp_path / "text.h5")
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(UserError, match="it has no layer_names"):
        load_backbones(model, tmp_path / "empty.h5")
    write(tmp_path / "w.h5", mobilenet(0.1))
    with h5py.File(tmp_path / "w.h5", "a") as file:
        del file["Conv1"]
        file["Conv1"] = h5py.ExternalLink("secret.h5", "/Conv1")
    with pytest.raises(UserError, match=r"Conv1: refused: it lies in another file"):
        load_backbones(model, tmp_path / "w.h5")
    with pytest.raises(UserError, match="for the backbones of scene-designer, not for sg2im"):
        load_backbones(tiny("sg2im"), tmp_path / "w.h5")


def test_import_says_where_they_belong(tmp_path, scenograph):
    write(tmp_path / "w.h5", mobilenet(0.1))
    code, _, errors = scenograph("import", "scene-designer", tmp_path / "w.h5", "--vocabulary", "coco-stuff")
    assert code == 2 and "training.start_from=" in errors
