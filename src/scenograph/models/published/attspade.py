"""Generators of roeiherz/CanonicalSg2Im: the ``layout_to_image_model`` half of ``itr_<step>.pt``."""

from __future__ import annotations

import re
from pathlib import Path

from scenograph.errors import UserError
from scenograph.files import read_json
from scenograph.models.attspade import AttSpade, AttSpadeConfig
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import (
    Rule,
    importer,
    published_config,
    read_training_state,
    refuse_vocabulary,
    rename,
    tensors,
)
from scenograph.models.published.spade import NAMES as SPADE_NAMES
from scenograph.models.published.spade import join_modulations
from scenograph.models.published.wsgc import published_vocabulary
from scenograph.nn.spade import DOUBLINGS, WIDTHS
from scenograph.scenes.vocabulary import Vocabulary

PREFIX = re.compile(r"layout_to_image_model\.(module\.)?")
UNUSED = re.compile(r"(repr_net|image_encoder)\.")
"""Networks that no picture passes through."""
NAMES: tuple[Rule, ...] = (
    (r"^attribute_embedding\.att_emb_(\d+)\.", r"object_embedding.tables.\1."),
    (r"^attribute_embedding\.attribute_fc_gen\.", "object_embedding.mix."),
    *SPADE_NAMES,
)


@importer
def import_attspade(path: Path, vocabulary: Vocabulary | None = None) -> AttSpade:
    """The generator of a checkpoint, in eval mode; its picture size comes from ``run_args.json`` beside it.

    Raises ``UserError`` naming what is wrong.
    """
    refuse_vocabulary(vocabulary, path)
    checkpoint = read_training_state(path)
    every = tensors(checkpoint.get("model_state"), f"{path}, model_state")
    state = {key[found.end() :]: value for key, value in every.items() if (found := PREFIX.match(key))}
    state = {key: value for key, value in state.items() if not UNUSED.match(key)}
    if "fc.weight" not in state:
        wanted = "layout_to_image_model.module.fc"
        raise UserError(f"{path}: not a checkpoint with an AttSPADE generator: it holds no weights {wanted!r}")
    file = path.parent / "run_args.json"
    try:
        arguments = read_json(file)
        size, upsampling = int(arguments["image_size"][0]), str(arguments["num_upsampling_layers"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
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
    load_state(model, rename(join_modulations(state), NAMES), str(path))
    return model.eval()
