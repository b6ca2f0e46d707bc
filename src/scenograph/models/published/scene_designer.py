"""Checkpoints of leosampaio/scene-designer, as TensorFlow 2 saves them: ``ckpt-N.index`` and its data beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from scenograph.errors import UserError
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import Rule, importer, published_config, rename
from scenograph.models.published.tensorflow import read_bundle
from scenograph.models.scene_designer import Backbone, SceneDesigner, SceneDesignerConfig
from scenograph.nn.inception import Convolution, KerasInception
from scenograph.nn.mobilenet import LAST_BLOCK, scaled_width
from scenograph.nn.resnet_v2 import STAGES
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.vocabulary import IMAGE_CATEGORY, IN_IMAGE_PREDICATE, Vocabulary

TRAINING = re.compile(r"optimizer/|(current_step|save_counter|step)$")
"""State of training, which a model has no use for."""
ALPHAS = (1.0, 1.4, 1.3, 0.75, 0.5, 0.35)
"""Widths of MobileNetV2 that Keras has weights of."""
DOMAINS = {"obj": "photo", "skt": "sketch"}
HEADS = {"wq": "query", "wk": "key", "wv": "value", "dense": "out"}
PARTS = ("expand", "depthwise", "project")
TITLES: dict[Backbone, str] = {"mobilenet": "MobileNetV2", "inception": "InceptionV3", "resnet": "ResNet50V2"}
BACKBONE = re.compile(
    r"transformer/multidomain_encoder/(obj|skt)_encoder/"
    r"(?:sketch_cut_model|encoder/layer_with_weights-0)/layer_with_weights-(\d+)(?=/)"
)
"""A layer of the network of an object encoder, of which the original names the one that is cut for sketches."""
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


def _mobilenet_layers() -> list[str]:
    # The first bottleneck has no convolution that expands.
    parts = [(block, part) for block in range(LAST_BLOCK + 1) for part in PARTS[block == 0 :]]
    kinds = ("convolution", "norm")
    return [
        *(f"first.{kind}" for kind in kinds),
        *(f"blocks.{block}.{part}.{kind}" for block, part in parts for kind in kinds),
    ]


def _resnet_layers() -> list[str]:
    # The projection lies as far from the output as the last convolution, and is its block's first branch.
    parts = ("norm0", "conv1", "norm1", "conv2", "norm2", "shortcut", "conv3")
    blocks = [(stage, block) for stage, (_, count) in enumerate(STAGES) for block in range(count)]
    inner = [
        f"stages.{stage}.{block}.{part}" for stage, block in blocks for part in parts if not block or part != "shortcut"
    ]
    return ["first", *inner, "norm"]


def _inception_layers() -> list[str]:
    with torch.device("meta"):
        network = KerasInception()
    layers = []
    for title, block in network.named_children():
        # Branch, step and, where the last step is two convolutions side by side, which of them.
        steps = [] if isinstance(block, Convolution) else [name for name, _ in block.named_children()]
        found = [named for name in steps if (named := re.fullmatch(r"(branch\w*?)(?:_(\d)([ab])?)?", name))]
        last = {branch: int(step or 1) for branch, step, _ in (named.groups() for named in found)}
        joined = {named[1] for named in found if named[3]}
        far: list[tuple[int, str]] = []
        for named in found:
            # A step is a convolution, its norm and an activation; the two side by side are joined before all are.
            depth = 3 * (last[named[1]] - int(named[2] or 1)) + (named[1] in joined)
            far += [(depth + 3, f"{title}.{named[0]}.conv"), (depth + 2, f"{title}.{named[0]}.bn")]
        far = far or [(3, f"{title}.conv"), (2, f"{title}.bn")]
        layers += [name for _, name in sorted(far, key=lambda layer: -layer[0])]
    return layers


LAYER_ORDER: dict[Backbone, Callable[[], list[str]]] = {
    "mobilenet": _mobilenet_layers,
    "inception": _inception_layers,
    "resnet": _resnet_layers,
}
"""Layers with weights as Keras counts them: those farther from the output first, and of equals the first branch's."""


def backbone_kind(arrays: Mapping[str, np.ndarray], where: str) -> Backbone | None:
    """The network of both object encoders, by its layers; None if there are no encoders.

    Raises ``UserError``, which begins with ``where``, if it is none of ours.
    """
    layers: dict[str, set[str]] = {}
    for name in arrays:
        if found := BACKBONE.match(name):
            layers.setdefault(found[1], set()).add(found[2])
    if not layers:
        return None
    counts = {len(numbers) for numbers in layers.values()}
    depthwise = any(name.endswith("/depthwise_kernel") for name in arrays)
    for kind, order in LAYER_ORDER.items():
        if counts == {len(order())} and depthwise == (kind == "mobilenet"):
            return kind
    known = ", ".join(f"{title} ({len(LAYER_ORDER[kind]())})" for kind, title in TITLES.items())
    raise UserError(
        f"{where}: the networks of its object encoders have {' and '.join(map(str, sorted(counts)))} layers with "
        f"weights{' (some depthwise)' * depthwise}, as none does that can be imported: {known}"
    )


def _mask_net(found: re.Match[str]) -> str:
    """A convolution and a norm per doubling, among four of our layers."""
    doubling, layer = divmod(int(found[1]), 2)
    return f"mask_net.{4 * doubling + 1 + layer}"


NAMES: tuple[Rule, ...] = (
    (r"^transformer/", ""),
    (r"/", "."),
    (r"layer_with_weights-", ""),
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
    arrays = read_bundle(path)
    state, _ = convert(arrays, str(path))
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
    predicates = (IN_IMAGE_PREDICATE, *SG2IM_PREDICATES)
    settings = {
        "vocabulary": replace(vocabulary, categories=names, predicates=predicates).to_dict(),
        "backbone": backbone_kind(arrays, str(path)),
        "alpha": _alpha(state),
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


def _alpha(state: Mapping[str, Tensor]) -> float:
    """The width of MobileNetV2, which others do not have."""
    norms = [f"photo_encoder.backbone.{part}.bias" for part in ("first.norm", "blocks.16.project.norm")]
    widths = tuple(len(state[norm]) for norm in norms if norm in state)
    return next((one for one in ALPHAS if (scaled_width(32, one), scaled_width(320, one)) == widths), 1.0)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many layers there are."""
    return len({found[1] for key in state if (found := re.match(pattern, key))})


def to_torch(name: str, value: np.ndarray) -> Tensor:
    """A variable in PyTorch's order of axes, by its name."""
    tensor = torch.from_numpy(np.array(value, dtype=np.float32))
    last = name.rsplit("/", 1)[-1]
    if last == "depthwise_kernel":
        return tensor.permute(2, 3, 0, 1)  # (K, K, C, 1) -> (C, 1, K, K)
    if last in ("kernel", "w"):
        # (K, K, C, C') -> (C', C, K, K), or (D, D') -> (D', D)
        return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T
    return tensor.flatten() if last in ("embedding_token", "sn_u", "sn_v") else tensor


def convert(
    arrays: Mapping[str, np.ndarray], where: str = "the checkpoint"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of the model, and those of its mask discriminator, under our names.

    Args:
        arrays: Variables by their paths in a checkpoint, as ``transformer/box_net/layer_with_weights-0/kernel``.
        where: What errors begin with.

    Raises:
        UserError: The object encoders have an unknown network.
    """
    kind = backbone_kind(arrays, where)
    layers = LAYER_ORDER[kind]() if kind else []
    kept = {name: to_torch(name, value) for name, value in arrays.items() if not TRAINING.search(name)}
    named = rename(
        kept, ((BACKBONE.pattern, lambda at: f"{DOMAINS[at[1]]}_encoder.backbone.{layers[int(at[2])]}"), *NAMES)
    )
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
