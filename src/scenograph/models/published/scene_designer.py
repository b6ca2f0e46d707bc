"""Checkpoints of leosampaio/scene-designer, as TensorFlow 2 saves them: ``ckpt-N.index`` and its data beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenograph.errors import UserError
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import Rule, importer, published_config, rename
from scenograph.models.published.tensorflow import read_bundle
from scenograph.models.scene_designer import SceneDesigner, SceneDesignerConfig
from scenograph.nn.mobilenet import scaled_width
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

TRAINING = re.compile(r"optimizer/|(current_step|save_counter|step)$")
"""State of training, which a model has no use for."""
ALPHAS = (1.0, 1.4, 1.3, 0.75, 0.5, 0.35)
"""Widths of MobileNetV2 that Keras has weights of."""
DOMAINS = {"obj": "photo", "skt": "sketch"}
HEADS = {"wq": "query", "wk": "key", "wv": "value", "dense": "out"}
PARTS = ("expand", "depthwise", "project")
LAYERS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "w": "weight",
    "embeddings": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "sn_u": "weight_u",
    "sn_v": "weight_v",
}


def _backbone(found: re.Match[str]) -> str:
    """Keras counts a network's layers with weights: two for the first convolution, six for every bottleneck."""
    number = int(found[2])
    layer = ("convolution", "norm")[number % 2]
    if number < 2:
        return f"{DOMAINS[found[1]]}_encoder.backbone.first.{layer}"
    # The first bottleneck has no convolution that expands, and begins two layers later.
    block, part = divmod(number, 6)
    return f"{DOMAINS[found[1]]}_encoder.backbone.blocks.{block}.{PARTS[part // 2]}.{layer}"


def _mask_net(found: re.Match[str]) -> str:
    """A convolution and a norm per doubling, among four of our layers."""
    doubling, layer = divmod(int(found[1]), 2)
    return f"mask_net.{4 * doubling + 1 + layer}"


NAMES: tuple[Rule, ...] = (
    (r"^transformer/", ""),
    (r"/", "."),
    (r"layer_with_weights-", ""),
    (r"^multidomain_encoder\.(obj)_encoder\.encoder\.0\.(\d+)", _backbone),
    (r"^multidomain_encoder\.(skt)_encoder\.sketch_cut_model\.(\d+)", _backbone),
    (r"^multidomain_encoder\.(obj|skt)_encoder", lambda found: f"{DOMAINS[found[1]]}_encoder"),
    (r"_encoder\.encoder\.(\d)", lambda found: f"_encoder.head.{int(found[1]) - 1}"),
    (r"_encoder\.embedding_classifier", "_encoder.category"),
    (r"^enc_net\.0", "shared.0"),
    (r"^multidomain_encoder\.repr_net\.1", "representation.0"),
    (r"^pred_embeddings", "predicate_embedding"),
    (r"^gconv\.0\.", "gconv."),
    (r"^gconv\.1\.", "gconv_net."),
    (r"\.(net[12])\.(\d)\.", lambda found: f".{found[1]}.{2 * int(found[2])}."),
    (r"^graph_encoder\.embedding_token", "transformer.token"),
    (r"^graph_encoder\.enc_layers", "transformer.layers"),
    (r"\.mha\.(wq|wk|wv|dense)\.", lambda found: f".{HEADS[found[1]]}."),
    (r"\.ffn\.(\d)\.", lambda found: f".feed_forward.{2 * int(found[1])}."),
    (r"\.layernorm([12])\.", r".norm\1."),
    (r"^global_triplet_encoder", "contrast"),
    (r"^box_net\.(\d)", lambda found: f"box_net.{2 * int(found[1])}"),
    (r"^mask_net\.(\d+)", _mask_net),
    (r"^end_classifier", "category"),
    (r"\.(\w+)$", lambda found: f".{LAYERS.get(found[1], found[1])}"),
)


@importer
def import_scene_designer(path: Path, vocabulary: Vocabulary | None = None) -> SceneDesigner:
    """Import a model of the second or third stage.

    Args:
        path: ``ckpt-N.index``; its data is read from the files beside it.
        vocabulary: The names of the categories in the order of the model's classes, which is that of the
            ``obj_idx_to_name`` of its data's ``meta.json``, since it differs from run to run. ``__image__`` is the last
            one, and may be left out.

    Returns:
        The model in eval mode.

    Raises:
        UserError: A file is missing or of another form, or the names do not fit it.
    """
    if path.suffix in (".h5", ".hdf5"):
        raise UserError(
            f"{path}: Keras' weights are of a backbone, not of a whole model; train one that begins with them: "
            f"scenograph train scene-designer-quickdraw-coco-objects training.start_from={path}"
        )
    state, _ = convert(read_bundle(path))
    key = "category.weight"
    if key not in state or "predicate_embedding.weight" not in state:
        raise UserError(f"{path}: not a model of whole scenes of Scene Designer: it holds no end_classifier")
    classes, size = state[key].shape
    if vocabulary is None:
        raise UserError(
            f"{path}: holds {classes} categories without their names; give --vocabulary FILE, a list of them"
        )
    names = vocabulary.categories
    names = names if IMAGE_CATEGORY in names else (*names, IMAGE_CATEGORY)
    if len(names) != classes:
        raise UserError(
            f"{path}: holds {classes} categories, __image__ included; the given vocabulary has {len(names)}"
        )
    first, last = (
        len(state[f"photo_encoder.backbone.{part}.bias"]) for part in ("first.norm", "blocks.16.project.norm")
    )
    alpha = next((one for one in ALPHAS if (scaled_width(32, one), scaled_width(320, one)) == (first, last)), 1.0)
    predicates = (IN_IMAGE_PREDICATE, *SG2IM_PREDICATES)
    settings = {
        "vocabulary": replace(vocabulary, categories=names, predicates=predicates).to_dict(),
        "alpha": alpha,
        "mask_size": 2 ** sum(bool(re.fullmatch(r"mask_net\.\d+\.running_mean", key)) for key in state),
        "photo_hidden_dim": len(state["photo_encoder.head.0.bias"]),
        "encoding_dim": len(state["photo_encoder.head.1.bias"]),
        "shared_dim": len(state["shared.0.bias"]),
        "representation_dim": len(state["representation.0.bias"]),
        "predicate_dim": state["predicate_embedding.weight"].shape[1],
        "gconv_dim": size,
        "gconv_hidden_dim": len(state["gconv.net1.0.bias"]),
        "gconv_num_layers": 1 + _count(state, r"gconv_net\.gconvs\.(\d+)"),
        "transformer_layers": _count(state, r"transformer\.layers\.(\d+)"),
        "transformer_hidden_dim": len(state["transformer.layers.0.feed_forward.0.bias"]),
        "box_hidden_dim": len(state["box_net.0.bias"]),
    }
    model = SceneDesigner(published_config(SceneDesignerConfig, settings, str(path)))
    load_state(model, state, str(path))
    return model.eval()


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many layers there are."""
    return len({found[1] for key in state if (found := re.match(pattern, key))})


def to_torch(name: str, value: np.ndarray) -> Tensor:
    """A variable in PyTorch's order of axes, by its name."""
    tensor = torch.from_numpy(np.asarray(value, dtype=np.float32))
    last = name.rsplit("/", 1)[-1]
    if last == "depthwise_kernel":
        return tensor.permute(2, 3, 0, 1)  # (K, K, C, 1) -> (C, 1, K, K)
    if last in ("kernel", "w"):
        # (K, K, C, C') -> (C', C, K, K), or (D, D') -> (D', D)
        return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T
    return tensor.flatten() if last in ("embedding_token", "sn_u", "sn_v") else tensor


def convert(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the model, and those of its mask discriminator, under our names.

    Args:
        arrays: Variables by their paths in a checkpoint, as ``transformer/box_net/layer_with_weights-0/kernel``.
    """
    kept = {name: to_torch(name, value) for name, value in arrays.items() if not TRAINING.search(name)}
    named = rename(kept, NAMES)
    last = max((int(found[1]) for key in named if (found := re.match(r"gconv_net\.gconvs\.(\d+)", key))), default=0)
    score = max((int(found[1]) for key in named if (found := re.match(r"mask_net\.(\d+)", key))), default=0)
    own: tuple[Rule, ...] = (
        # A checkpoint holds a layer once, and this one under the name that it has in another part of the model.
        (r"^internal_gconv_net\.(\d)", lambda found: f"gconv_net.gconvs.{last}.net2.{2 * int(found[1])}"),
        (rf"^mask_net\.{score}\.", f"mask_net.{score - 1}."),  # the last convolution follows no doubling
    )
    named = rename(named, own)
    judge = "mask_dis."
    return (
        {key: value for key, value in named.items() if not key.startswith(judge)},
        discriminator({key.removeprefix(judge): value for key, value in named.items() if key.startswith(judge)}),
    )


def discriminator(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mask discriminator's blocks: the last one is its score, alone."""
    numbers = [int(found[1]) for key in state if (found := re.search(r"submodels\.0\.submodels\.(\d+)\.", key))]
    score = max(numbers, default=0)
    rules: tuple[Rule, ...] = (
        (r"^(0\.)?submodels\.0\.submodels\.", ""),
        (r"\.conv2DSN\.(layer\.)?", "."),
        (rf"^{score}\.0\.", "score."),
        (r"^(\d)\.0\.", r"blocks.\1.convolution."),
        (r"^(\d)\.1\.", r"blocks.\1.norm."),
    )
    renamed = rename(state, rules)
    for key, value in renamed.items():
        if key.endswith("weight_v"):
            # (K * K * C,) -> (C * K * K,)
            renamed[key] = value.view(3, 3, -1).permute(2, 0, 1).flatten()
    return renamed
