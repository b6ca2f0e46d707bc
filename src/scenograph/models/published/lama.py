"""Generators of ZejianLi/LAMA: flat state dictionaries at 64, 128 or 256 px."""

from __future__ import annotations

import re
from pathlib import Path

from scenograph.models.base import load_state
from scenograph.models.lama import WIDTHS, Lama, LamaConfig
from scenograph.models.published.checkpoint import (
    COCO_CATEGORIES,
    LAYOUT_NORM_NAMES,
    Rule,
    generator_state,
    importer,
    named_categories,
    published_config,
    rename,
)
from scenograph.scenes.vocabulary import Vocabulary

NAMES: tuple[Rule, ...] = (
    (r"^label_embedding\.", "object_embedding.category."),
    (r"^mask_regress\.conv(\d)\.conv\.0\.", lambda found: f"mask_network.convs.{int(found[1]) - 1}.norm."),
    (r"^mask_regress\.conv(\d)\.conv\.2\.", lambda found: f"mask_network.convs.{int(found[1]) - 1}.conv."),
    (r"^mask_regress\.conv(\d)\.alpha", lambda found: f"mask_network.convs.{int(found[1]) - 1}.alpha"),
    (r"^mask_regress\.query_local\.(\d)\.conv\.0\.", r"mask_network.local.\1.norm."),
    (r"^mask_regress\.query_local\.(\d)\.conv\.2\.", r"mask_network.local.\1.conv."),
    (r"^mask_regress\.query_local\.", "mask_network.local."),
    (r"^mask_regress\.(key|query)_affine\.", r"mask_network.\1."),
    (r"^mask_regress\.mask_adjust_alpha", "mask_network.alpha"),
    (r"^mask_regress\.final\.0\.", "mask_network.norm."),
    (r"^mask_regress\.final\.2\.", "mask_network.final."),
    (r"^mask_regress\.", "mask_network."),
    (r"^res\.(\d)\.model\.", r"blocks.\1."),
    (r"\.noise([12])\.noise_weight_seed", r".noise\1"),
    *LAYOUT_NORM_NAMES,
)
"""Their names to ours, in this order; blocks of the two smaller models are numbered below."""


@importer
def import_lama(path: Path, vocabulary: Vocabulary | None = None) -> Lama:
    """The generator of a checkpoint, in eval mode; its size and widths are read off the weights.

    ``vocabulary`` names its categories. Raises ``UserError`` naming what is wrong with the file.
    """
    state = generator_state(path, "mask_regress.mask_adjust_alpha", "a LAMA generator")
    first_block = min((int(found[1]) for key in state if (found := re.match(r"res(\d)\.", key))), default=0)
    size = 64 if first_block == 2 else 128 if first_block == 1 else 256
    categories, latent = state["label_embedding.weight"].shape[0], state["fc.weight_orig"].shape[1]
    settings = {
        "vocabulary": named_categories(categories, vocabulary, str(path)).to_dict(),
        "image_size": size,
        "channels": state["fc.weight_orig"].shape[0] // (16 * WIDTHS[size][0]),
        "latent_size": latent,
        "image_object": categories != COCO_CATEGORIES,
        "max_objects": 8 if categories == COCO_CATEGORIES else 10,
    }
    model = Lama(published_config(LamaConfig, settings, str(path)))
    final = "mask_regress.final.2.weight_orig"
    if final in state and state[final].ndim == 4:
        state[final] = state[final][:, :, 0, 0]  # a 1 x 1 convolution as a linear map: (1, C, 1, 1) -> (1, C)
    blocks = (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - first_block}.")
    load_state(model, rename(state, (*NAMES, blocks)), str(path))
    return model.eval()
