"""Checkpoints of google/sg2im: the published small ones, whole training states, and the old file container."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from torch import Tensor

from scenograph.errors import UserError, validate
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import importer, read_training_state, refuse_vocabulary, tensors
from scenograph.models.sg2im import Sg2Im, Sg2ImConfig
from scenograph.models.sizes import made_for
from scenograph.scenes.vocabulary import Vocabulary

log = logging.getLogger(__name__)

RENAMED = {
    "obj_embeddings.": "object_embedding.category.",
    "pred_embeddings.": "predicate_embedding.",
}
CONSTRUCTOR_DEFAULTS: dict[str, Any] = {
    "embedding_dim": 64,
    "mask_size": None,
    "layout_noise_dim": 0,
}
"""The constructor's defaults where they differ from the training script's, which are ours."""


@importer
def import_sg2im(path: Path, vocabulary: Vocabulary | None = None) -> Sg2Im:
    """The generator of a checkpoint, in eval mode. Raises ``UserError`` naming what is wrong with the file."""
    refuse_vocabulary(vocabulary, path)
    checkpoint = read_training_state(path)
    settings = checkpoint.get("model_kwargs")
    if not isinstance(settings, dict) or not isinstance(settings.get("vocab", checkpoint.get("vocab")), dict):
        raise UserError(f"{path}: not an sg2im checkpoint: it holds no 'model_kwargs' with a vocabulary")
    if checkpoint.get("model_state") is None:
        raise UserError(f"{path}: holds no 'model_state' weights; import the companion file saved with the model")
    config, state = _config(settings, checkpoint, path), tensors(checkpoint["model_state"], f"{path}, model_state")
    model = made_for(state, lambda: Sg2Im(config), str(path))
    load_state(model, _rename(model, state), str(path))
    return model.eval()


def _config(settings: dict[str, Any], checkpoint: dict[str, Any], path: Path) -> Sg2ImConfig:
    values = CONSTRUCTOR_DEFAULTS | settings
    vocabulary = Vocabulary.from_dict(values.pop("vocab", None) or checkpoint["vocab"])
    values["mask_size"] = values["mask_size"] or 0
    retired = sorted(set(values) - set(Sg2ImConfig.model_fields))
    if retired:
        log.warning("%s: settings that later versions of sg2im dropped are ignored: %s", path, ", ".join(retired))
    kept = {key: value for key, value in values.items() if key not in retired}
    return validate(Sg2ImConfig, {"vocabulary": vocabulary.to_dict(), **kept}, f"{path}: model_kwargs")


def _rename(model: Sg2Im, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names; batch counters, which torch 0.4 did not store, start at their initial value."""
    renamed = {key: value for key, value in model.state_dict().items() if key.endswith("num_batches_tracked")}
    for key, value in state.items():
        prefix = next((prefix for prefix in RENAMED if key.startswith(prefix)), "")
        renamed[RENAMED.get(prefix, "") + key.removeprefix(prefix)] = value
    return renamed
