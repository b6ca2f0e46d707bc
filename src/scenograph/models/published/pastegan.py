"""Checkpoints of yikang-li/PasteGAN: whole training states, and files of the generator alone."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from scenograph.errors import UserError, validate
from scenograph.models.base import load_state
from scenograph.models.pastegan import PasteGan, PasteGanConfig
from scenograph.models.published.checkpoint import (
    Rule,
    importer,
    read_training_state,
    refuse_vocabulary,
    rename,
    tensors,
)
from scenograph.models.sizes import made_for
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

NAMES: tuple[Rule, ...] = (
    (r"^obj_embeddings\.", "object_embedding.category."),
    (r"^pred_embeddings\.", "predicate_embedding."),
    (r"^gconv\.", "graph_layers.0."),
    (r"^gconv_net\.gconvs\.(\d+)\.", lambda found: f"graph_layers.{int(found[1]) + 1}."),
    (r"^crop_encoder\.model\.", "crop_encoder.net."),
    (r"^crop_encoder\.output_mean\.", "crop_encoder.output."),
    (r"^object_refiner\.gconvs\.", "refiner."),
    (r"\.net1_2d\.", ".triple_net."),
    (r"\.net2_2d\.", ".pooled_net."),
    (r"\.net_obj\.", ".object_net."),
    (r"\.activation\.", ".predicate_net."),
    (r"\.(flow|mask)_net\.0\.", r".\1_net."),
    (r"^obj_img_fuser\.attn_1\.0\.", "fuser.query."),
    (r"^obj_img_fuser\.attn_2\.0\.", "fuser.key."),
    (r"^obj_img_fuser\.attn_3\.0\.", "fuser.value."),
    (r"^canvas_res(\d+)\.", lambda found: f"canvas_blocks.{int(found[1]) - 1}."),
    (r"^img_decoder\.", "decoder."),
)
UNUSED = re.compile(
    r"obj_vec_transform\.|crop_encoder_copy\.|object_refiner\.gconvs\.\d+\.attn_|"
    r"obj_img_fuser\.(net1_2d|net2_2d|net_obj|activation|flow_net|mask_net)\."
)
"""Weights in its files that no picture depends on."""

RENAMED = {
    "embedding_dim": "embedding_dim",
    "gconv_hidden_dim": "hidden_dim",
    "gconv_pooling": "graph_pooling",
    "gconv2d_num_layers": "refiner_layers",
    "transform_residual": "refiner_residual",
    "use_flow_net": "refiner_flow",
    "use_mask_net": "refiner_mask",
    "gconv_valid_edge_only": "valid_edges_only",
    "refinement_dims": "refinement_dims",
    "normalization": "normalization",
    "activation": "activation",
    "class_related_bbox": "class_boxes",
    "image_size": "image_size",
}
"""Its constructor's settings and ours."""
CONSTRUCTOR_DEFAULTS: dict[str, Any] = {"transform_residual": False, "use_flow_net": False}
"""The constructor's defaults where they differ from the published configuration's, which are ours."""
DEPTH_OFFSET = 1
"""Its number of graph layers counts one more than it builds."""
FORM = {"mlp_normalization": "none", "canvas_noise_dim": 0}
"""Settings whose other values the original cannot run."""


@importer
def import_pastegan(path: Path, vocabulary: Vocabulary | None = None) -> PasteGan:
    """The generator of a checkpoint, in eval mode. Raises ``UserError`` naming what is wrong with the file."""
    refuse_vocabulary(vocabulary, path)
    checkpoint = read_training_state(path)
    settings = checkpoint.get("model_kwargs")
    if not isinstance(settings, dict) or not isinstance(settings.get("crop_encoder"), dict):
        raise UserError(f"{path}: not a PasteGAN checkpoint: it holds no 'model_kwargs' with a 'crop_encoder'")
    if checkpoint.get("model_state") is None:
        raise UserError(f"{path}: holds no 'model_state' weights")
    config = published_settings(settings, checkpoint.get("vocab"), path)
    state = used_weights(tensors(checkpoint["model_state"], f"{path}, model_state"))
    model = made_for(state, lambda: PasteGan(config), str(path))
    # Counters of batches, which torch 0.4 did not store, start at their initial value.
    counters = {key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")}
    load_state(model, counters | state, str(path))
    return model.eval()


def used_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that pictures depend on, under our names."""
    return rename({key: value for key, value in state.items() if not UNUSED.match(key)}, NAMES)


def published_settings(settings: dict[str, Any], vocab: Any, path: Path) -> PasteGanConfig:
    """Its constructor's settings as ours."""
    where = f"{path}: model_kwargs"
    encoder, names = settings["crop_encoder"], settings.get("vocab", vocab)
    convolutions = encoder.get("crop_encoder_kwargs", {})
    if not isinstance(names, dict):
        raise UserError(f"{path}: holds no 'vocab', which names the categories and predicates")
    widths = {
        "embedding_dim": settings.get("embedding_dim"),
        "gconv_dim": settings.get("gconv_dim"),
        "crop_embedding_dim": encoder.get("crop_embedding_dim"),
    }
    if len(set(widths.values())) > 1:
        shown = ", ".join(f"{name} {value}" for name, value in widths.items())
        raise UserError(f"{where}: {shown}: these must be equal, as in every model that the original can run")
    for name, value in FORM.items():
        if settings.get(name, value) != value:
            raise UserError(f"{where}: {name} {settings[name]!r}: only {value!r} is known")
    if encoder.get("category_aware_encoder") or convolutions.get("padding", "same") != "same":
        raise UserError(f"{where}: crop_encoder: no model of this form was published")
    given = CONSTRUCTOR_DEFAULTS | settings
    ours = {
        "vocabulary": Vocabulary.from_dict(names).to_dict(),
        **{our: given[theirs] for theirs, our in RENAMED.items() if theirs in given},
        "graph_layers": int(settings.get("gconv_num_layers", 5)) - DEPTH_OFFSET,
        "canvas_blocks": 6 if settings.get("use_canvas_res") else 0,
        "crop_arch": convolutions.get("arch"),
        "crop_normalization": convolutions.get("normalization"),
        "crop_activation": convolutions.get("activation"),
    }
    # To sg2im, whose activations ours are, "relu" is a leaky one.
    ours |= {key: "leakyrelu-0" for key in ("activation", "crop_activation") if ours.get(key) == "relu"}
    known = {*RENAMED, *FORM, "vocab", "crop_encoder", "gconv_dim", "gconv_num_layers", "use_canvas_res"}
    ignored = sorted(set(settings) - known - {"crop_matching_loss", "mask_size", "last_v"})
    if ignored:
        log.warning("%s: settings that no part of the model reads are ignored: %s", path, ", ".join(ignored))
    return validate(PasteGanConfig, ours, where)
