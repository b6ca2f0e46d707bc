"""Generators of NVlabs/SPADE: ``latest_net_G.pth``, with ``opt.txt`` and ``latest_net_E.pth`` beside it."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from scenograph.errors import UserError, unreadable
from scenograph.models.base import load_state
from scenograph.models.published.checkpoint import Rule, importer, published_config, read_checkpoint, rename, tensors
from scenograph.models.spade import Spade, SpadeConfig
from scenograph.nn.spade import DOUBLINGS
from scenograph.scenes.vocabulary import Vocabulary

BLOCKS = ("head_0", "G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3", "up_4")
NAMES: tuple[Rule, ...] = (
    (r"^fc\.", "generator.first."),
    (r"^conv_img\.", "generator.last."),
    *((rf"^{name}\.", f"generator.blocks.{number}.") for number, name in enumerate(BLOCKS)),
    (r"\.(conv|norm)_0\.", r".\g<1>1."),
    (r"\.(conv|norm)_1\.", r".\g<1>2."),
    (r"\.conv_s\.", ".shortcut."),
    (r"\.norm_s\.", ".norm_shortcut."),
    (r"\.param_free_norm\.", ".norm."),
    (r"\.mlp_shared\.0\.", ".shared."),
    (r"\.weight_orig$", ".weight"),
)
"""What the originals call the parts of a generator, and what we do; after :func:`join_modulations`."""
ENCODER_NAMES: tuple[Rule, ...] = (
    (r"^layer(\d)\.(?:\d\.)?0\.", lambda match: f"style.convolutions.{int(match[1]) - 1}."),
    (r"^fc_mu\.", "style.mean."),
    (r"^fc_var\.", "style.log_variance."),
    (r"\.weight_orig$", ".weight"),
)
KNOWN = {182: "coco-stuff", 150: "ade20k", 35: "cityscapes"}
"""Data sets by their number of labels."""
RELEASED = {
    184: {"label_nc": "182", "contain_dontcare_label": "True", "no_instance": "False"},
    151: {"label_nc": "150", "contain_dontcare_label": "True", "no_instance": "True", "dataset_mode": "ade20k"},
    36: {
        "label_nc": "35", "contain_dontcare_label": "False", "no_instance": "False",
        "crop_size": "512", "aspect_ratio": "2.0", "num_upsampling_layers": "more",
    },
}  # fmt: skip
"""Options of the released generators for COCO-Stuff, ADE20K and Cityscapes, by the channels they read."""


@importer
def import_spade(path: Path, vocabulary: Vocabulary | None = None) -> Spade:
    """Import a generator, with its encoder if it renders in styles.

    Args:
        path: ``latest_net_G.pth``. Options that the weights do not show are read from ``opt.txt`` beside it; without
            that file, they are those of the released generator that reads as many channels.
        vocabulary: The names of the labels; by default those of the released generator.

    Returns:
        The model in eval mode.

    Raises:
        UserError: The file, or what must be beside it, is missing or of another form.
    """
    state = tensors(read_checkpoint(path), str(path))
    key = "up_0.norm_0.mlp_shared.0.weight"
    if key not in state or "fc.weight" not in state:
        raise UserError(f"{path}: not a SPADE generator: it holds no weights {key!r}")
    channels_in, kernel = state[key].shape[1:3]
    options = _options(path.parent / "opt.txt") or RELEASED.get(channels_in)
    if options is None:
        raise UserError(f"{path}: reads {channels_in} channels, as no released generator; put its opt.txt beside it")
    unknown, edges = options.get("contain_dontcare_label") == "True", options.get("no_instance") != "True"
    names = _labels(channels_in - unknown - edges, vocabulary, str(path))
    upsampling = options.get("num_upsampling_layers", "normal")
    styled = state["fc.weight"].ndim == 2
    settings = {
        "vocabulary": names.to_dict(),
        "image_size": _size(options, upsampling, path),
        "channels": state["up_3.conv_1.bias"].shape[0],
        "upsampling": upsampling,
        "unknown_label": unknown,
        "edges": edges,
        "latent_size": state["fc.weight"].shape[1] if styled else 0,
        "norm": "batch" if "head_0.norm_0.param_free_norm.running_mean" in state else "instance",
        "kernel": kernel,
        "spectral": "head_0.conv_0.weight_orig" in state,
    }
    model = Spade(published_config(SpadeConfig, settings, str(path)))
    if options.get("dataset_mode") == "ade20k":
        state = _unknown_last(state, len(names.categories))
    weights = rename(join_modulations(state), NAMES)
    if styled:
        encoder = path.with_name(path.name.replace("_G.", "_E."))
        if encoder == path or not encoder.is_file():
            raise UserError(f"{path}: draws in styles; put the encoder, {encoder.name}, beside it")
        weights |= rename(tensors(read_checkpoint(encoder), str(encoder)), ENCODER_NAMES)
    load_state(model, weights, str(path))
    return model.eval()


def join_modulations(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gains and shifts of every norm as one convolution."""
    joined = dict(state)
    for key in [key for key in state if ".mlp_gamma." in key]:
        shift = key.replace(".mlp_gamma.", ".mlp_beta.")
        joined[key.replace(".mlp_gamma.", ".modulation.")] = torch.cat([joined.pop(key), joined.pop(shift)])
    return joined


def _unknown_last(state: dict[str, Tensor], labels: int) -> dict[str, Tensor]:
    """Move the channel of unknown pixels behind those of the labels, in all weights that read label maps.

    In ADE20K's maps 0 is unknown and classes count from 1, and the generator was trained on them unchanged.
    """
    moved = dict(state)
    for key, value in state.items():
        if key.endswith(".mlp_shared.0.weight") or (key == "fc.weight" and value.ndim == 4):
            moved[key] = torch.cat([value[:, 1 : labels + 1], value[:, :1], value[:, labels + 1 :]], dim=1)
    return moved


def _options(path: Path) -> dict[str, str] | None:
    """The table that training wrote, or None if there is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return {m[1]: m[2].strip() for m in re.finditer(r"^\s*(\w+): (.*?)(?:\t\[default: .*\])?$", text, re.MULTILINE)}


def _size(options: dict[str, str], upsampling: str, path: Path) -> tuple[int, int]:
    """Height and width; the original makes them multiples of what the generator starts with."""
    if upsampling not in DOUBLINGS:
        raise UserError(f"{path}: num_upsampling_layers {upsampling!r}: expected one of {', '.join(DOUBLINGS)}")
    try:
        side, aspect = int(options.get("crop_size", "256")), float(options.get("aspect_ratio", "1.0"))
    except ValueError as error:
        raise UserError(f"{path}: crop_size and aspect_ratio in opt.txt beside it: {error}") from error
    width = side >> DOUBLINGS[upsampling]
    return round(width / aspect) << DOUBLINGS[upsampling], width << DOUBLINGS[upsampling]


def _labels(count: int, given: Vocabulary | None, where: str) -> Vocabulary:
    """The names of a generator's labels, of which its file holds none: ``__image__`` is no label."""
    if given is None:
        hint = KNOWN.get(count, "FILE, a vocabulary with that many categories")
        raise UserError(f"{where}: draws {count} labels without their names; give --vocabulary {hint}")
    names = [name for name in given.categories if name != "__image__"]
    # COCO's labels are its category ids less one; "other", which our list ends with, is no label.
    if len(names) == count + 1 and names[-1] == "other":
        names.pop()
    if len(names) != count:
        raise UserError(f"{where}: draws {count} labels; the given vocabulary has {len(names)} categories")
    return Vocabulary(tuple(names), given.predicates)
