"""Keras' weights of ImageNet (``.h5``) for the backbones of Scene Designer's object encoders.

The files of ``keras.applications`` (MobileNetV2, InceptionV3 and ResNet50V2, with or without the classifier) hold a
group per layer, whose attribute ``weight_names`` lists its arrays. Nothing in them can run code; links to other files
are not followed, and no array is read that is larger than any of these networks has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from scenograph.errors import UserError, expecting, missing_extra, unreadable
from scenograph.models.base import Model, load_state
from scenograph.models.published.checkpoint import Rule
from scenograph.models.published.scene_designer import LAYERS, TITLES, to_torch
from scenograph.models.scene_designer import Backbone, Features, SceneDesigner
from scenograph.nn.inception import KerasInception
from scenograph.nn.mobilenet import LAST_BLOCK, MobileNetV2

SUFFIXES = (".h5", ".hdf5")
LARGEST, MOST = 8_000_000, 2_000
"""Numbers of an array, and arrays of a file, beyond those of any of the networks."""
CLASSIFIER = ("predictions", "Logits", "fc1000", "probs")
"""Layers after the features, which are left out."""
MARKS: dict[Backbone, str] = {"mobilenet": r"bn_Conv1$", "inception": r"conv2d(_\d+)?$", "resnet": r"post_bn$"}
"""A layer that only this network has."""


def _part(found: re.Match[str]) -> str:
    """A convolution of a bottleneck, or its norm."""
    block = found[1] or "0"
    return f"blocks.{block}.{found[2]}.{'norm' if found[3] else 'convolution'}"


MOBILENET: tuple[Rule, ...] = (
    (r"^Conv1$", "first.convolution"),
    (r"^bn_Conv1$", "first.norm"),
    (r"^(?:expanded_conv|block_(\d+))_(expand|depthwise|project)(_BN)?$", _part),
    (r"^Conv_1$", "last.convolution"),
    (r"^Conv_1_bn$", "last.norm"),
)
RESNET: tuple[Rule, ...] = (
    (r"^conv1_conv$", "first"),
    (r"^post_bn$", "norm"),
    (r"^conv(\d)_block(\d)_", lambda found: f"stages.{int(found[1]) - 2}.{int(found[2]) - 1}."),
    (r"\.preact_bn$", ".norm0"),
    (r"\.0_conv$", ".shortcut"),
    (r"\.(\d)_conv$", r".conv\1"),
    (r"\.(\d)_bn$", r".norm\1"),
)


def load_backbones(model: Model, path: Path) -> None:
    """Give both object encoders of a Scene Designer the weights of a file.

    Args:
        model: Its backbone is the network that the file is of.
        path: As ``keras.applications`` downloads it, or ``model.save_weights`` writes it.

    Raises:
        UserError: The file is missing, damaged, or of another network; the message names what does not fit.
    """
    if not isinstance(model, SceneDesigner):
        raise UserError(f"{path}: Keras' weights are for the backbones of scene-designer, not for {model.called}")
    arrays = read_keras(path)
    kind = next((name for name in MARKS if any(re.match(MARKS[name], layer) for layer, _ in arrays)), None)
    if kind is None:
        raise UserError(f"{path}: neither of {', '.join(TITLES.values())}: no layer has a name of theirs")
    if kind != model.config.backbone:
        raise UserError(
            f"{path}: weights of {TITLES[kind]}, but the model has another backbone; set model.backbone={kind}"
        )
    for encoder in (model.photo_encoder, model.sketch_encoder):
        state = backbone_state(arrays, encoder.backbone)
        load_state(encoder.backbone, state, f"{path}, for model.backbone={kind}")


def read_keras(path: Path) -> dict[tuple[str, str], np.ndarray]:
    """The arrays of a file by layer and name, as ``("Conv1", "kernel")``; those of a classifier are left out.

    Raises:
        UserError: It cannot be read, or is no such file.
    """
    try:
        import h5py
    except ImportError as error:
        raise missing_extra("h5py", "data") from error
    try:
        with h5py.File(path, "r") as file, expecting(f"{path}: not weights as Keras writes them to .h5"):
            root = _inside(file, "model_weights", path) if "model_weights" in file else file
            return dict(_arrays(root, path))
    except OSError as error:
        raise unreadable(path, error, "not an HDF5 file, or cut short; download it again") from error


def _arrays(root: Any, path: Path) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    layers = _names(root, "layer_names")
    if not layers:
        raise UserError(
            f"{path}: no weights as Keras writes them to .h5: it has no layer_names; Keras 3's .weights.h5 are written "
            "again by model.save_weights('NAME.h5') of Keras 2"
        )
    count = 0
    for layer in layers:
        if layer in CLASSIFIER:
            continue
        group = _inside(root, layer, path)
        for name in _names(group, "weight_names"):
            count += 1
            if count > MOST:
                raise UserError(f"{path}: more than {MOST} arrays, which no backbone has")
            array = _array(_inside(group, name, path), f"{path}, {name}")
            yield (layer, name.rsplit("/", 1)[-1].partition(":")[0]), array


def _names(group: Any, key: str) -> list[str]:
    """An attribute of names, which Keras divides among several where it is long."""
    parts = [group.attrs[key]] if key in group.attrs else []
    while (more := f"{key}{len(parts)}") in group.attrs:
        parts.append(group.attrs[more])
    return [name.decode() if isinstance(name, bytes) else str(name) for part in parts for name in part]


def _inside(group: Any, name: str, path: Path) -> Any:
    """What a group of a file holds under a name, which may lead through further groups, but not into another file."""
    import h5py

    for part in name.split("/"):
        if isinstance(group.get(part, getlink=True), h5py.ExternalLink):
            raise UserError(f"{path}, {name}: refused: it lies in another file")
        group = group[part]
    return group


def _array(found: Any, where: str) -> np.ndarray:
    """The numbers of a data set, unless they lie elsewhere or are more than any backbone has."""
    import h5py

    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external or found.dtype.kind != "f":
        raise UserError(f"{where}: refused: no array of numbers of its own")
    if found.size > LARGEST:
        raise UserError(f"{where}: refused: {found.size:,} numbers, more than any array of a backbone has")
    return np.asarray(found, dtype=np.float32)


def backbone_state(arrays: dict[tuple[str, str], np.ndarray], backbone: Features) -> dict[str, Tensor]:
    """The arrays under our names. What a cut leaves off is left out; what is unknown keeps its name."""
    names = _layer_names([layer for layer, _ in arrays], backbone)
    state = {
        f"{names.get(layer, layer)}.{LAYERS.get(name, name)}": to_torch(f"{layer}/{name}", value)
        for (layer, name), value in arrays.items()
    }
    if isinstance(backbone, MobileNetV2) and backbone.last is None:
        beyond = tuple(f"blocks.{number}." for number in range(len(backbone.blocks), LAST_BLOCK + 1))
        state = {key: value for key, value in state.items() if not key.startswith(("last.", *beyond))}
    return state


def _layer_names(layers: Sequence[str], backbone: Features) -> dict[str, str]:
    """What we call each of Keras' layers."""
    if isinstance(backbone, KerasInception):
        return _inception_names(layers, backbone)
    found = {}
    for layer in layers:
        name = layer
        for pattern, replacement in MOBILENET if isinstance(backbone, MobileNetV2) else RESNET:
            name = re.sub(pattern, replacement, name)
        found[layer] = name
    return found


def _inception_names(layers: Sequence[str], backbone: KerasInception) -> dict[str, str]:
    """Keras numbers its convolutions and norms as it makes them, from any number on."""
    own = {layer: name for name, layer in backbone.named_modules()}
    names: dict[str, str] = {}
    for kind, part in (("conv2d", "conv"), ("batch_normalization", "bn")):
        theirs = {layer for layer in layers if re.fullmatch(rf"{kind}(_\d+)?", layer)}
        numbered = sorted(theirs, key=lambda layer: int(layer.rpartition("_")[2]) if layer != kind else 0)
        names |= {
            layer: f"{own[convolution]}.{part}"
            for layer, convolution in zip(numbered, backbone.convolutions(), strict=False)
        }
    return names
