"""What a run is made of before its first step: device, starting weights, vocabulary, data and optimizers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, parse_flag_from_env
from torch import Tensor, nn

from scenograph.data.crops import PackCrops
from scenograph.data.drawings import PackDrawings
from scenograph.data.loader import Mixed, PackLoader
from scenograph.data.pack import read_record, read_vocabulary
from scenograph.devices import keep_freed_memory, pick_device, warn_if_bf16_emulated
from scenograph.errors import UserError, suggest, with_article
from scenograph.models.base import DrawsFromCrops, Model, ModelConfig, load_state
from scenograph.models.published.keras import SUFFIXES
from scenograph.models.registry import AutoModel
from scenograph.retrieval.nearest import NearestInMemory
from scenograph.scenes.geometry import SG2IM_PREDICATES
from scenograph.scenes.selection import GivesCrops
from scenograph.scenes.vocabulary import Vocabulary
from scenograph.training.checkpoints import has_checkpoint, load_checkpoint
from scenograph.training.notifications import Notifier
from scenograph.training.objectives.base import Objective
from scenograph.training.recipe import DataRecipe, OptimizerRecipe, Recipe
from scenograph.training.run_folder import RunFolder

Kind = TypeVar("Kind")

log = logging.getLogger(__name__)

MADE = {"sg2im": "makes one per object from the boxes", "canonical": "makes all that follow from them"}
"""Ways to make relations, and what they make."""
REFUSED = (DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
"""They would divide nothing: objectives call parts of a model by themselves, which such wrappers miss."""
REFUSED_OPTIONS = ("fsdp_offload_params", "fsdp_activation_checkpointing")
"""Of Accelerate's FSDP; they would save no memory here."""
NAMES_SHOWN = 8
"""Missing names that an error message lists."""


def registered(table: Mapping[str, type[Kind]], section: Mapping[str, Any], what: str) -> type[Kind]:
    """The class that a section of a recipe names.

    Args:
        table: Every class by its name.
        section: The recipe's section, whose ``name`` is looked up.
        what: The section's name, for the error message.

    Raises:
        UserError: The table has no such name.
    """
    name = section.get("name")
    if name not in table:
        raise UserError(f"recipe, {what}.name: unknown {what} {name!r} {suggest(str(name), table)}")
    return table[str(name)]


def settings(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section of a recipe without the ``name`` that selects the class: the fields of its configuration."""
    return {key: value for key, value in section.items() if key != "name"}


def new_accelerator(precision: str, device: torch.device | None) -> Accelerator:
    """Accelerate's handle on devices and processes, on the machine's accelerator unless ``device`` is a CPU.

    Warns if a CPU would have to emulate ``precision``. Raises ``UserError`` if Accelerate is told to save memory in a
    way that training does not know.
    """
    AcceleratorState._reset_state()  # the library otherwise keeps the first run's precision for the whole process
    # Accelerate joins processes on CPUs only if told that it is to compute there, even on a machine with nothing else.
    accelerator = Accelerator(mixed_precision=precision, cpu=(device or pick_device()).type == "cpu")
    if accelerator.distributed_type in REFUSED:
        raise UserError(
            f"accelerate is set up for {accelerator.distributed_type.value}, which training does not support; "
            "to divide a model among processes, use accelerate launch --use_fsdp"
        )
    for option in REFUSED_OPTIONS if parse_flag_from_env("ACCELERATE_USE_FSDP") else ():
        if parse_flag_from_env(option.upper()):
            raise UserError(f"accelerate is set up with {option}, which training does not support; leave it out")
    warn_if_bf16_emulated(accelerator.device, precision)
    keep_freed_memory(accelerator.device)
    return accelerator


def starting_model(source: str, kind: type[Model]) -> Model:
    """The model whose weights a new run starts from.

    Args:
        source: A run's folder, or whatever :meth:`~scenograph.models.registry.AutoModel.from_pretrained` takes.
        kind: The class that the recipe trains.

    Raises:
        UserError: There is no such model, or it is of another class.
    """
    is_run = has_checkpoint(Path(source) / "checkpoints")
    try:
        given = AutoModel.from_pretrained(Path(source) / "model" if is_run else source)
    except UserError as error:
        raise UserError(f"training.start_from: {error}") from error
    if type(given) is not kind:
        are = with_article(given.name), with_article(kind.name)
        raise UserError(f"training.start_from {source}: that is {are[0]}, the recipe trains {are[1]}")
    return given


def backbone_file(source: str | None) -> Path | None:
    """The file of Keras' weights that a run starts from, if it is one."""
    return Path(source) if source is not None and Path(source).suffix in SUFFIXES else None


def new_notifier(recipe: Recipe) -> Notifier | None:
    """What tells others of a run, if the recipe names any.

    Raises:
        UserError: An address is of no known kind, or the package that sends is missing.
    """
    training = recipe.training
    addresses = [address.get_secret_value() for address in training.notify]
    return Notifier(addresses, recipe.name, training.notify_every) if addresses else None


def run_vocabulary(recipe: Recipe, kind: type[Model], start: Model | None, begun: RunFolder | None) -> Vocabulary:
    """The names that the run's model learns: the pack's, unless the run builds on a model that has its own.

    Args:
        recipe: Names the pack.
        kind: The class to train, which may add names to the pack's.
        start: The model that a new run starts from, if any.
        begun: The folder of a run that continues; None for a new run.

    Raises:
        UserError: The starting model, or the continued run's, lacks names of the pack.
    """
    own = kind.vocabulary_for(read_vocabulary(recipe.data.pack))
    if start:
        names, where = start.vocabulary, f"training.start_from {recipe.training.start_from}"
    elif begun and (kept := begun.vocabulary()):
        names, where = kept, str(begun.folder)
    else:
        return own
    missing = names.lacks(own)
    if missing:
        raise UserError(
            f"{where}: the model lacks {len(missing)} of the names of the pack {recipe.data.pack} "
            f"({_listed(missing)}); "
            "pack the data without them, or begin a run that starts from nothing"
        )
    return names


def open_pack(recipe: Recipe, kind: type[Model], config: ModelConfig, vocabulary: Vocabulary) -> dict[str, PackLoader]:
    """Loaders of the ``train`` and the ``validation`` scenes, encoded by the model's vocabulary.

    Raises:
        UserError: A pack or a split is missing or damaged, or lacks what the model needs.
    """
    data = recipe.data
    loaders = {
        "train": _opened(data, data.pack, data.train_split, kind, config, trains=True),
        "validation": _opened(data, data.pack, data.validation_split, kind, config, trains=False),
    }
    crops = _crop_source(data, data.pack, kind, config)
    for loader in loaders.values():
        loader.selector, loader.vocabulary = crops, vocabulary
    if data.mix is not None:
        _check_names(data, vocabulary, data.mix)
        other = _opened(data, data.mix, data.train_split, kind, config, trains=True)
        other.selector, other.vocabulary = _crop_source(data, data.mix, kind, config), vocabulary
        loaders["train"].mixed = Mixed(other, recipe.training.steps)
    _warn_without_relations(data, kind, vocabulary)
    return loaders


def _opened(
    data: DataRecipe, folder: Path, split: str, kind: type[Model], config: ModelConfig, trains: bool
) -> PackLoader:
    """A loader of one split, which has what the model needs. Only scenes that train are mirrored and cropped."""
    crop_size, sketch_size = config.crop_side, config.sketch_side
    loader = PackLoader(
        folder,
        split,
        config.picture_sides,
        config.mask_side,
        data.relations,
        data.max_objects,
        data.objects,
        flip=data.flip and trains,
        crop=data.crop if trains else 1.0,
        crop_size=crop_size,
        sketch_size=sketch_size,
    )
    loader.pictures = config.reads_pictures
    if loader.pictures and (kind.roles != ("layout",) or sketch_size):
        loader.pack.check_pictures(f"for {kind.name} to learn from; take a pack with pictures")
    if crop_size and not (issubclass(kind, DrawsFromCrops) and kind.needs_crops):
        wanted = f"has pixels of its own for {kind.name} to learn from; take a picture-book pack, with crops=true"
        loader.pack.check_objects("crops", wanted)
    if sketch_size and data.drawings is not None and folder == data.pack:
        loader.drawings = PackDrawings(data.drawings, split, loader.vocabulary.categories, data.class_map)
    elif sketch_size:
        wanted = f"has a sketch for {kind.name} to learn from; take a picture-book or SketchyCOCO pack"
        loader.pack.check_objects("sketches", wanted + ", or data.drawings=PACK of Quick, Draw!")
    return loader


def _check_names(data: DataRecipe, known: Vocabulary, pack: Path) -> None:
    """Raise ``UserError`` if a mixed pack has names that the model does not know, and that are read."""
    names = read_vocabulary(pack)
    missing = known.lacks(replace(names, predicates=()) if data.relations == "none" else names)
    if missing:
        raise UserError(f"data.mix {pack}: the model lacks {len(missing)} of its names ({_listed(missing)})")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _crop_source(data: DataRecipe, folder: Path, kind: type[Model], config: ModelConfig) -> GivesCrops | None:
    """Where crops come from, for models that need them: those of pictures that are learned from, for all."""
    if issubclass(kind, DrawsFromCrops) and kind.needs_crops and config.crop_side:
        if data.memory is None:
            return PackCrops(folder, data.train_split, config.crop_side)
        if data.workers:
            raise UserError(f"data.workers={data.workers}: crops of data.memory are chosen by one process; take 0")
        return NearestInMemory(data.memory, max(config.picture_sides))
    if data.memory is not None:
        raise UserError(f"data.memory={data.memory}: {kind.name} does not draw from crops; leave it out")
    return None


def _warn_without_relations(data: DataRecipe, kind: type[Model], vocabulary: Vocabulary) -> None:
    """Warn if graphs are to be those of a pack that stores none."""
    stored = read_record(data.pack)["splits"].get(data.train_split, {}).get("relations")
    if stored != 0 or data.relations in ("none", *MADE):
        return
    remedy = f"pack scenes that have some, or a vocabulary with the predicates {', '.join(SG2IM_PREDICATES)}"
    if {*SG2IM_PREDICATES} <= {*vocabulary.predicates}:
        remedy = " and ".join(f"data.relations={name} {how}" for name, how in MADE.items())
    log.warning(
        "data.relations=%s: the pack %s stores no relations, so %s learns from graphs without any; %s",
        data.relations,
        data.pack,
        kind.name,
        remedy,
    )


def new_optimizer(
    options: OptimizerRecipe,
    objective: Objective,
    phase: str,
    named: Iterable[tuple[str, nn.Parameter]],
    accelerator: Accelerator,
) -> Any:
    """A phase's optimizer, of parameters with their names in the phase's module.

    The ``rate`` of each parameter group is its factor of the recipe's learning rate.
    """
    kind = torch.optim.AdamW if options.weight_decay else torch.optim.Adam
    rates, groups = objective.rates(phase), dict[float, list[Tensor]]()
    for name, parameter in named:
        if parameter.requires_grad:
            rate = [factor for part, factor in rates.items() if part in name][-1]
            groups.setdefault(rate, []).append(parameter)
    parameters = [{"params": members, "rate": rate} for rate, members in groups.items()]
    betas, epsilon = objective.betas(phase) or options.betas, objective.epsilon(phase) or options.epsilon
    # The fused kernel passes over each weight once, torch's default ten times.
    optimizer = kind(parameters, lr=options.lr, betas=betas, eps=epsilon, weight_decay=options.weight_decay, fused=True)
    return accelerator.prepare_optimizer(optimizer)


def take_over(given: Model, source: str, models: Iterable[Model], modules: Mapping[str, nn.Module]) -> None:
    """Copy the weights that a new run starts from.

    Args:
        given: The starting model.
        source: Where it came from. If that is a run, its discriminators are copied too.
        models: The new run's model, and its moving average if there is one.
        modules: What the new run trains, by phase.

    Raises:
        UserError: The weights do not fit.
    """
    for model in models:
        own, others = model.config.model_dump(), given.config.model_dump()
        unlike = [f"model.{name}={value}" for name, value in others.items() if value != own[name]]
        where = f"training.start_from {source}" + (f", which has {' '.join(unlike)}" if unlike else "")
        added = {key: value for key, value in model.state_dict().items() if model.may_lack(key)}
        load_state(model, added | given.state_dict(), where)
    state = load_checkpoint(Path(source) / "checkpoints", "modules") or {"modules": {}}
    for phase in state["modules"].keys() & modules.keys():
        load_state(modules[phase], state["modules"][phase], f"{source}, {phase}")
