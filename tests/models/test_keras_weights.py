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
from scenograph.models.published.scene_designer import backbone_kind, convert, import_scene_designer
from scenograph.nn.inception import KerasInception
from scenograph.nn.mobilenet import STAGES, MobileNetV2, scaled_width
from scenograph.nn.resnet_v2 import ResNet50V2
from scenograph.scenes.vocabulary import Vocabulary

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


INCEPTION_ORDER = """
c0 n0 c1 n1 c2 n2 c3 n3 c4 n4 c8 n8 c6 c9 n6 n9 c5 c7 c10 c11 n5 n7 n10 n11 c15 n15 c13 c16 n13 n16 c12 c14 c17 c18 n12
n14 n17 n18 c22 n22 c20 c23 n20 n23 c19 c21 c24 c25 n19 n21 n24 n25 c27 n27 c28 n28 c26 c29 n26 n29 c34 n34 c35 n35 c31
c36 n31 n36 c32 c37 n32 n37 c30 c33 c38 c39 n30 n33 n38 n39 c44 n44 c45 n45 c41 c46 n41 n46 c42 c47 n42 n47 c40 c43 c48
c49 n40 n43 n48 n49 c54 n54 c55 n55 c51 c56 n51 n56 c52 c57 n52 n57 c50 c53 c58 c59 n50 n53 n58 n59 c64 n64 c65 n65 c61
c66 n61 n66 c62 c67 n62 n67 c60 c63 c68 c69 n60 n63 n68 n69 c72 n72 c73 n73 c70 c74 n70 n74 c71 c75 n71 n75 c80 n80 c77
c81 n77 n81 c78 c79 c82 c83 c76 n78 n79 n82 n83 c84 n76 n84 c89 n89 c86 c90 n86 n90 c87 c88 c91 c92 c85 n87 n88 n91 n92
c93 n85 n93
"""
"""Layers with weights of TensorFlow 2.15.1's InceptionV3, as a checkpoint counts them: convolutions and norms by number."""


def in_order(kind: str) -> list[str]:
    """Keras' names of a network's layers with weights in the order of TensorFlow 2.15.1's checkpoints."""
    if kind == "inception":
        titles = {"c": "conv2d", "n": "batch_normalization"}
        return [f"{titles[token[0]]}_{token[1:]}" for token in INCEPTION_ORDER.split()]
    names = list(resnet())
    for name in [name for name in names if name.endswith("_0_conv")]:
        names.remove(name)
        names.insert(names.index(name.replace("_0_", "_3_")), name)
    return names


def checkpoint_arrays(kind: str, whole: bool) -> dict[str, np.ndarray]:
    """The variables of both object encoders by their paths; without ``whole``, of one number each."""
    layers = inception(0) if kind == "inception" else resnet()
    found: dict[str, np.ndarray] = {}
    for domain in ("obj", "skt"):
        base = f"transformer/multidomain_encoder/{domain}_encoder/encoder/layer_with_weights-0"
        for number, layer in enumerate(in_order(kind)):
            for name, shape in layers[layer].items():
                value = np.float32(zlib.crc32(f"{domain}/{layer}/{name}".encode()) % 2**20)
                sides = shape if whole else (1,) * len(shape)
                found[f"{base}/layer_with_weights-{number}/{name}"] = np.broadcast_to(value, sides)
    return found


@pytest.mark.parametrize(("kind", "make"), [("inception", KerasInception), ("resnet", ResNet50V2)])
def test_layers_of_a_tensorflow_checkpoint_are_counted_as_keras_does(kind, make):
    arrays = checkpoint_arrays(kind, whole=False)
    assert backbone_kind(arrays, "") == kind
    state, _ = convert(arrays)
    names = in_order(kind)
    for domain, encoder in (("obj", "photo_encoder"), ("skt", "sketch_encoder")):
        given = iter([value for path, value in arrays.items() if f"/{domain}_encoder/" in path])
        layers = inception(0) if kind == "inception" else resnet()
        by_name = {(layer, name): next(given) for layer in names for name in layers[layer]}
        expected = backbone_state(by_name, make())
        found = {key.removeprefix(f"{encoder}.backbone."): value for key, value in state.items() if encoder in key}
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_other_backbones_of_a_tensorflow_checkpoint_are_named():
    arrays = {name: value for name, value in checkpoint_arrays("resnet", False).items() if "weights-101/" not in name}
    with pytest.raises(
        UserError, match=r"ckpt: the networks of its object encoders have 101 layers .*InceptionV3 \(188\)"
    ):
        convert(arrays, "ckpt")
    deep = {f"{name.rpartition('/')[0]}/depthwise_kernel": value for name, value in arrays.items()}
    with pytest.raises(UserError, match="101 layers with weights .some depthwise.,"):
        convert(deep, "ckpt")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["inception", "resnet"])
def test_checkpoints_with_other_backbones_are_imported(kind, golden, monkeypatch):
    weights = np.load(golden / "scene_designer" / "full_model" / "weights.npz")
    arrays = {name: weights[name] for name in weights.files if "layer_with_weights-0/layer_with" not in name}
    arrays = {name: value for name, value in arrays.items() if "sketch_cut_model" not in name}
    arrays |= checkpoint_arrays(kind, whole=True)
    for domain in ("obj", "skt"):
        dense = f"transformer/multidomain_encoder/{domain}_encoder/encoder/layer_with_weights-1/kernel"
        arrays[dense] = np.zeros((2048, arrays[dense].shape[1]), np.float32)
    monkeypatch.setattr("scenograph.models.published.scene_designer.read_bundle", lambda path: arrays)
    model = import_scene_designer(Path("ckpt-1.index"), Vocabulary(("a", "b", "c", "d"), ()))
    assert model.config.backbone == kind
    first = model.sketch_encoder.backbone.state_dict()
    assert len({float(value.flatten()[0]) for value in first.values()}) > 0.9 * len(first)


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
