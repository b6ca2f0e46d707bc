"""How tests read what the original systems recorded."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from scenograph.models.published.checkpoint import rename
from scenograph.models.published.spade import NAMES, join_modulations
from scenograph.scenes.batch import SceneBatch


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as data:
        return {name: torch.from_numpy(data[name]) for name in data.files}


def unpacked(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(io.BytesIO(gzip.decompress(path.read_bytes())), weights_only=True)


def state(path: Path, prefix: str = "") -> dict[str, torch.Tensor]:
    return {
        key.removeprefix(prefix): value
        for key, value in torch.load(path, weights_only=True).items()
        if key.startswith(prefix)
    }


def settings(folder: Path) -> dict:
    """Of the recorded constructors and of the recording."""
    return json.loads((folder / "config.json").read_text())


def close(actual, expected, tolerance):
    torch.testing.assert_close(actual.detach().float(), expected.float(), atol=tolerance, rtol=0)


def close_to_largest(actual, expected, tolerance):
    close(actual, expected, tolerance * float(expected.abs().max()))


def corners(boxes: torch.Tensor) -> torch.Tensor:
    flat = boxes.float().reshape(-1, 4)
    return torch.cat([flat[:, :2], flat[:, :2] + flat[:, 2:]], dim=1)


def slots(data: dict[str, torch.Tensor], mask_size: int = 16) -> SceneBatch:
    """Every recorded slot as an object, absent ones included: in training they count in the masks' statistics."""
    count, places = data["label"].shape
    z = data.get("z")
    return SceneBatch(
        num_images=count,
        objects=data["label"].flatten(),
        attributes=torch.zeros((count * places, 0), dtype=torch.int64),
        triples=torch.zeros((0, 3), dtype=torch.int64),
        object_to_image=torch.arange(count).repeat_interleave(places),
        triple_to_image=torch.zeros(0, dtype=torch.int64),
        boxes=corners(data["bbox"]),
        masks=torch.ones(count * places, mask_size, mask_size),
        known_masks=torch.zeros(count * places, dtype=torch.bool),
        object_latents=None if z is None else z.flatten(0, 1),
        picture_latents=data.get("z_im"),
    )


def present(batch: SceneBatch) -> SceneBatch:
    """Without absent slots and image objects, as discriminators see it."""
    kept = batch.objects > 0
    return replace(
        batch,
        **{name: getattr(batch, name)[kept] for name in ("objects", "attributes", "object_to_image", "boxes", "masks", "known_masks")},
        object_latents=None,
    )  # fmt: skip


def discriminator_state(recorded: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Their names to ours. The blocks of objects count from another number at every size."""
    numbers = sorted({found[1] for key in recorded if (found := re.search(r"block_obj(\d)", key))})
    names = dict(zip(numbers, ["own", "common", "last"] if len(numbers) == 3 else ["last"], strict=True))
    rules = (
        (r"^(module\.)?obD\.", ""),
        (r"^block_obj(\d)\.", lambda found: f"{names[found[1]]}."),
        (r"^block(\d)\.", lambda found: f"trunk.{int(found[1]) - 1}."),
        (r"\.c_sc\.", ".shortcut."),
        (r"^(l_im|l7|l8)\.", "image_score."),
        (r"^l_obj\.", "object_score."),
        (r"^l_y\.", "category."),
        (r"weight_orig$", "weight"),
    )
    return rename(recorded, rules)


DISCRIMINATOR_NAMES = (
    (r"^discriminator_(\d)\.", r"scales.\1."),
    (r"\.model0\.0\.", ".first."),
    (r"\.model(\d)\.0\.0\.", lambda match: f".middle.{int(match[1]) - 1}."),
    (r"\.model\d\.0\.", ".last."),
    (r"\.weight_orig$", ".weight"),
)


def load_recorded(module, state):
    """Weights under the original's names into a block or a norm."""
    state = {f"x.{key}": value.float() if value.is_floating_point() else value for key, value in state.items()}
    renamed = rename(join_modulations(state), NAMES)
    module.load_state_dict({key.removeprefix("x."): value for key, value in renamed.items()})
    return module
