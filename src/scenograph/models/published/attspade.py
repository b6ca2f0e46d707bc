"""Generators of roeiherz/CanonicalSg2Im: the ``layout_to_image_model`` half of ``itr_<step>.pt``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch

from scenograph.errors import UserError
from scenograph.models.attspade import DOUBLINGS, WIDTHS, AttSpade, AttSpadeConfig
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import Rule, published_config, read_checkpoint, rename, tensors
from scenograph.models.published.wsgc import published_vocabulary
from scenograph.scenes.vocabulary import Vocabulary

PREFIX = "layout_to_image_model.module."
UNUSED = re.compile(r"(repr_net|image_encoder)\.")
"""Networks that no picture passes through."""
BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
NAMES: tuple[Rule, ...] = (
    (r"^attribute_embedding\.att_emb_(\d+)\.", r"object_embedding.tables.\1."),
    (r"^attribute_embedding\.attribute_fc_gen\.", "object_embedding.mix."),
    (r"^fc\.", "first."),
    (r"^conv_img\.", "last."),
    *((rf"^{name}\.", f"blocks.{number}.") for number, name in enumerate(BLOCKS)),
    (r"\.(conv|norm)_0\.", r".\g<1>1."),
    (r"\.(conv|norm)_1\.", r".\g<1>2."),
    (r"\.conv_s\.", ".shortcut."),
    (r"\.norm_s\.", ".norm_shortcut."),
    (r"\.param_free_norm\.", ".norm."),
    (r"\.mlp_shared\.0\.", ".shared."),
    (r"\.weight_orig$", ".weight"),
)


def import_attspade(path: Path, vocabulary: Vocabulary | None = None) -> AttSpade:
    """The generator of a checkpoint, in eval mode; its picture size comes from ``run_args.json`` beside it.

    Raises ``UserError`` naming what is wrong.
    """
    checkpoint = read_checkpoint(path)
    every = tensors(checkpoint.get("model_state"), f"{path}, model_state")
    state = {key.removeprefix(PREFIX): value for key, value in every.items() if key.startswith(PREFIX)}
    state = {key: value for key, value in state.items() if not UNUSED.match(key)}
    if "fc.weight" not in state:
        raise UserError(f"{path}: not a checkpoint with an AttSPADE generator: it holds no weights '{PREFIX}fc'")
    file = path.parent / "run_args.json"
    try:
        arguments = json.loads(file.read_text(encoding="utf-8"))
        size, upsampling = int(arguments["image_size"][0]), str(arguments["num_upsampling_layers"])
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path}: needs the run_args.json that training wrote beside it ({error})") from error
    categories = state["attribute_embedding.att_emb_0.weight"]
    names = published_vocabulary(checkpoint.get("vocab"), categories, path)
    settings = {
        "vocabulary": names.to_dict(),
        "image_size": size,
        "channels": state["fc.weight"].shape[0] // WIDTHS[0],
        "embedding_dim": categories.shape[1],
        "upsampling": upsampling,
    }
    if upsampling not in DOUBLINGS:
        raise UserError(f"{file}: num_upsampling_layers {upsampling!r}: expected one of {', '.join(DOUBLINGS)}")
    model = AttSpade(published_config(AttSpadeConfig, settings, str(path)))
    for key in [key for key in state if key.endswith(".mlp_gamma.weight")]:
        norm = key.removesuffix(".mlp_gamma.weight")
        for kind in ("weight", "bias"):
            parts = [state.pop(f"{norm}.{name}.{kind}") for name in ("mlp_gamma", "mlp_beta")]
            state[f"{norm}.modulation.{kind}"] = torch.cat(parts)
    load_state(model, rename(state, NAMES), str(path))
    return model.eval()
