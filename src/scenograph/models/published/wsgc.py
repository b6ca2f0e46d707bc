"""Layout networks of roeiherz/CanonicalSg2Im: the ``sg_to_layout`` half of ``itr_<step>.pt``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import Tensor

from scenograph.errors import UserError, reason
from scenograph.files import read_json
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
from scenograph.models.wsgc import Wsgc, WsgcConfig
from scenograph.scenes.geometry import CLEVR_PREDICATES
from scenograph.scenes.vocabulary import Vocabulary

PREFIX = re.compile(r"sg_to_layout\.(module\.)?")
NAMES: tuple[Rule, ...] = (
    (r"^trans_candidates_weights$", "transitive"),
    (r"^(converse|antisymmetry)_candidates_weights$", "converse"),
    (r"^attribute_embedding\.att_emb_(\d+)\.", r"object_embedding.tables.\1."),
    (r"^attribute_embedding\.attribute_fc_gen\.", "object_embedding.mix."),
    (r"^pred_embeddings\.", "predicate_embedding."),
)
SHARED = r"gconvs\.\d+\.predicates_transitive_weights"
"""Copies of ``trans_candidates_weights`` in every layer."""
LOCATION = re.compile(r"__(below|above|left of|right of|inside|surrounding)__")
MASK_BLOCK = 4
"""Layers per doubling in its mask network."""


@importer
def import_wsgc(path: Path, vocabulary: Vocabulary | None = None) -> Wsgc:
    """The layout network of a checkpoint, in eval mode; its widths are read off the weights.

    The switches of the method come from ``run_args.json`` beside it, and are on without that file. Raises
    ``UserError`` naming what is wrong.
    """
    refuse_vocabulary(vocabulary, path)
    checkpoint = read_training_state(path)
    every = tensors(checkpoint.get("model_state"), f"{path}, model_state")
    state = {key[found.end() :]: value for key, value in every.items() if (found := PREFIX.match(key))}
    if "pred_embeddings.weight" not in state:
        raise UserError(f"{path}: not a checkpoint of Canonical Sg2Im: it holds no weights 'sg_to_layout.module.'")
    state = {key: value for key, value in state.items() if not re.fullmatch(SHARED, key)}
    settings = _settings(state) | _switches(path)
    names = published_vocabulary(checkpoint.get("vocab"), state["attribute_embedding.att_emb_0.weight"], path)
    model = Wsgc(published_config(WsgcConfig, {"vocabulary": names.to_dict(), **settings}, str(path)))
    load_state(model, rename(state, NAMES), str(path))
    return model.eval()


def published_vocabulary(vocab: Any, categories: Tensor, path: Path) -> Vocabulary:
    """Its vocabulary: the first attribute is the category; index 0 of the others is our open one."""
    if not isinstance(vocab, dict):
        raise UserError(f"{path}: holds no 'vocab' beside its weights, which names the categories and predicates")
    try:
        tables = [sorted(values.items(), key=lambda item: item[1]) for values in vocab["attributes"].values()]
        groups = list(vocab["attributes"])
        first = ["NONE"] * len(categories)
        for name, index in tables[0]:
            first[int(index)] = str(name)
        predicates = [LOCATION.sub(r"\1", str(name)) for name in vocab["pred_idx_to_name"]]
        if CLEVR_PREDICATES.keys() <= set(predicates) and "left of" not in predicates:  # plain CLEVR's
            predicates = [CLEVR_PREDICATES.get(name, name) for name in predicates]
        attributes = {
            group: tuple(str(name) for name, index in table if int(index))
            for group, table in zip(groups[1:], tables[1:], strict=True)
        }
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        found = ", ".join(map(str, vocab))
        raise UserError(
            f"{path}: its 'vocab' cannot be read ({type(error).__name__}: {reason(error)}): expected 'attributes' and "
            f"'pred_idx_to_name', found {found or 'nothing'}"
        ) from error
    return Vocabulary(tuple(first), tuple(predicates), attributes)


def _settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Widths and depths, from the shapes of the weights."""
    layers = 1 + max(int(found[1]) for key in state if (found := re.match(r"gconvs\.(\d+)\.", key)))
    width, hidden = state["box_net.0.weight"].shape[1], state["box_net.0.weight"].shape[0]
    masks = [int(found[1]) for key in state if (found := re.match(r"mask_net\.(\d+)\.", key))]
    return {
        "embedding_dim": state["pred_embeddings.weight"].shape[1],
        "gconv_dim": width,
        "gconv_hidden_dim": hidden,
        "gconv_num_layers": layers,
        "mask_size": 2 ** (max(masks) // MASK_BLOCK) if masks else 0,
        "mask_noise_dim": state["mask_net.1.weight"].shape[1] - width if masks else 0,
    }


def _switches(path: Path) -> dict[str, bool]:
    """Which parts of the method are on. Old runs call converses antisymmetry."""
    file = path.parent / "run_args.json"
    if not file.exists():
        return {"learned_transitivity": True, "learned_converse": True}
    try:
        arguments = read_json(file)
        converse = "learned_antisymmetry" if "learned_antisymmetry" in arguments else "learned_converse"
        return {
            "learned_transitivity": bool(arguments["learned_transitivity"]),
            "learned_converse": bool(arguments[converse]),
            "image_object": bool(arguments.get("include_dummies")),
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from error
