"""Generators of WillSuen/LostGANs: flat state dictionaries of version 1 (64, 128 px) or 2 (128, 256 px)."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from scenograph.models.base import load_state
from scenograph.models.lostgan import WIDTHS, LostGan, LostGanConfig
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

log = logging.getLogger(__name__)

NAMES: tuple[Rule, ...] = (
    (r"^label_embedding\.", "object_embedding.category."),
    (r"^mask_regress\.conv3\.3\.", "mask_network.final."),
    (r"^mask_regress\.conv(\d)\.", lambda found: f"mask_network.convs.{int(found[1]) - 1}."),
    (r"^mask_regress\.", "mask_network."),
    (r"^res(\d)\.conv_mask\.", lambda found: f"refiners.{int(found[1]) - 1}.maps."),
    (r"^alpha(\d)$", lambda found: f"refiners.{int(found[1]) - 1}.alpha"),
    *LAYOUT_NORM_NAMES,
)
"""Their names to ours, in this order; blocks are numbered below."""

LEFT_OVER = r"res\d\.b[12]\.(running_mean|running_var|num_batches_tracked)"
"""Statistics that early files of version 1 hold beside those in use, because the norm itself was a batch norm."""


@importer
def import_lostgan(path: Path, vocabulary: Vocabulary | None = None) -> LostGan:
    """The generator of a checkpoint, in eval mode; its version, size and widths are read off the weights.

    ``vocabulary`` names its categories. Raises ``UserError`` naming what is wrong with the file.
    """
    state = generator_state(path, "mask_regress.conv1.0.weight_orig", "a LostGAN generator")
    unused = [key for key in state if re.fullmatch(LEFT_OVER, key)]
    if unused:
        log.warning(
            "%s: %d statistics that the original never used are left out (%s, ...)", path, len(unused), unused[0]
        )
        state = {key: value for key, value in state.items() if key not in unused}
    version = 2 if "alpha1" in state else 1
    first_block = 1 if any(key.startswith("res1.") for key in state) else 2
    size = 64 if first_block == 2 else 256 if "res6.conv1.weight_orig" in state else 128
    categories, latent = state["label_embedding.weight"].shape[0], state["fc.weight_orig"].shape[1]
    settings = {
        "vocabulary": named_categories(categories, vocabulary, str(path)).to_dict(),
        "version": version,
        "image_size": size,
        "channels": state["fc.weight_orig"].shape[0] // (16 * WIDTHS[version, size][0]),
        "latent_size": latent,
        "class_maps": state["alpha1"].shape[1] if version == 2 else None,
        "image_object": categories != COCO_CATEGORIES,
        "max_objects": 8 if categories == COCO_CATEGORIES else 10,
    }
    model = LostGan(published_config(LostGanConfig, settings, str(path)))
    blocks = (r"^res(\d)\.", lambda found: f"blocks.{int(found[1]) - first_block}.")
    load_state(model, rename(state, (*NAMES, blocks)), str(path))
    return model.eval()
