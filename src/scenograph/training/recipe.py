"""A recipe: one YAML file with everything a training run depends on, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)
from yaml import YAMLError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from scenograph.data.loader import ObjectPolicy, RelationPolicy
from scenograph.errors import UserError, reason, suggest, validate
from scenograph.files import is_file
from scenograph.training.objectives.base import Betas, Probability

DEEPEST = 20
"""Levels of the YAML of a recipe."""
MAY_CHANGE = frozenset(
    {
        "data.workers",
        "training.accumulate",
        "training.checkpoint_every",
        "training.grid_scenes",
        "training.log_every",
        "training.max_minutes",
        "training.notify_every",
        "training.precision",
        "training.steps",
        "training.validate_every",
        "training.validation_scenes",
    }
)
"""Settings that may change when a run continues: how long it takes, on what machine, and how often it reports."""


Addresses = Annotated[
    tuple[SecretStr, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)
]
"""One or more, which hold passwords: they are not printed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(_Section):
    """Where scenes come from; see :class:`scenograph.data.loader.PackLoader`."""

    pack: Path
    memory: Path | None = None
    """Models that draw from crops learn from the nearest crops of this memory instead of random ones of the pack."""
    train_split: str = "train"
    validation_split: str = "validation"
    relations: RelationPolicy = "stored"
    max_objects: PositiveInt | None = None
    objects: ObjectPolicy = "random"
    flip: bool = False
    crop: float = Field(default=1.0, ge=0.5, le=1)
    drawings: Path | None = None
    """A pack of single drawings by class: of each object's category a random one is its sketch, another every time."""
    class_map: Path | None = None
    """For which category each class of them stands: a JSON file, ``published`` for Scene Designer's, or our own map."""
    mix: Path | None = None
    """A second pack; its scenes take the place of a tenth of every batch at first, and of 0.6 from half of a run on."""
    workers: NonNegativeInt = 0


class OptimizerRecipe(_Section):
    """Adam (AdamW when ``weight_decay`` is not 0); the rate rises over ``warmup_steps``, then follows the schedule.

    ``constant``; ``linear`` and ``cosine`` fall from step ``fall_from`` on, to ``fall_to`` of the rate at the last step
    but never below ``lowest`` of it; ``milestones`` divides it by ten at each of these steps.
    """

    lr: PositiveFloat = 1e-4
    betas: Betas = (0.9, 0.999)
    epsilon: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.0
    warmup_steps: NonNegativeInt = 0
    schedule: Literal["constant", "linear", "cosine", "milestones"] = "constant"
    fall_from: NonNegativeInt = 0
    fall_to: Probability = 0.0
    lowest: Probability = 0.0
    milestones: tuple[int, ...] = ()
    clip_norm: PositiveFloat | None = None


class TrainingRecipe(_Section):
    """``batch_size`` is the number of scenes of one update, over all processes and ``accumulate`` parts together."""

    steps: PositiveInt
    batch_size: PositiveInt = 32
    accumulate: PositiveInt = 1
    # YAML reads a bare no as false.
    precision: Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(lambda v: "no" if v is False else v)] = "no"
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    seed: NonNegativeInt = 0
    log_every: PositiveInt = 10
    validate_every: PositiveInt = 1000
    validation_scenes: PositiveInt = 256
    checkpoint_every: PositiveInt = 1000
    grid_scenes: NonNegativeInt = 16
    start_from: str | None = None
    """Begin with the weights of another run (its folder: every network's), or of a model as ``--image`` takes it.

    A Scene Designer may begin with Keras' weights of its backbones, a ``.h5`` file.
    """
    max_minutes: PositiveFloat | None = None
    """Stop cleanly, with a checkpoint, after this long; the same command continues."""
    notify: Addresses = Field(default=(), exclude=True)
    """Whom to tell of validations, the end and failures: apprise's addresses. No record of the run holds them."""
    notify_every: PositiveInt | None = None
    """Steps that must lie between two messages about validations; by default every validation is told."""


class Recipe(_Section):
    """``model`` and ``objective`` name a registered one and give its configuration."""

    name: str
    model: dict[str, Any]
    objective: dict[str, Any]
    data: DataRecipe
    optimizer: OptimizerRecipe = OptimizerRecipe()
    training: TrainingRecipe

    @model_validator(mode="after")
    def _rate_falls(self) -> Self:
        start, schedule, steps = self.optimizer.fall_from, self.optimizer.schedule, self.training.steps
        if start and schedule not in ("linear", "cosine"):
            raise ValueError(f"optimizer.fall_from {start}: {schedule!r} does not fall; optimizer.schedule=linear does")
        if start >= steps:
            raise ValueError(f"optimizer.fall_from {start}: training.steps {steps} end before it")
        return self

    def settings(self) -> dict[str, Any]:
        """Each setting by its name on the command line, ``data.flip`` for example."""
        sections = self.model_dump(mode="json", exclude={"name"})
        return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}


def shipped_recipes() -> dict[str, Path]:
    """The recipes in the package, by name."""
    folder = Path(str(files("scenograph") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(source: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe.

    Args:
        source: The name of a shipped recipe, or the path of a YAML file.
        overrides: Settings in the form ``section.name=value``, for example ``optimizer.lr=2e-4``.

    Returns:
        The recipe, with every setting checked.

    Raises:
        UserError: There is no such recipe, or a setting is wrong; the message names it, its value and what is allowed.
    """
    shipped = shipped_recipes()
    path = Path(source)
    if not is_file(path):
        if source not in shipped:
            raise UserError(f"no recipe {source!r}: neither a file nor a shipped recipe {suggest(source, shipped)}")
        path = shipped[source]
    for override in overrides:
        if "=" not in override:
            raise UserError(f"override {override!r}: expected key=value, for example optimizer.lr=2e-4")
    try:
        text = path.read_text(encoding="utf-8-sig")
        _check_plain(text, *(override.partition("=")[2] for override in overrides))
        merged = OmegaConf.merge(OmegaConf.create(text), OmegaConf.from_dotlist(list(overrides)))
        value: object = OmegaConf.to_container(merged, resolve=False)
    except AssertionError:  # OmegaConf's, of a file that is one value
        value = None
    except (OmegaConfBaseException, YAMLError, OSError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"recipe {source}: {reason(error)}") from error
    if not isinstance(value, dict):
        raise UserError(f"recipe {source}: expected sections (model, objective, data, training)")
    return validate(Recipe, cast(dict[str, Any], value), f"recipe {source}")


def _check_plain(*texts: str) -> None:
    """Raise ``ValueError`` for texts whose values stand elsewhere, in other settings or in the environment.

    A recipe may come from anybody: it must neither read variables nor multiply by references to references.
    """
    for text in texts:
        if "${" in text:
            raise ValueError("holds a reference, ${...}, which is not followed; write the value itself")
        level = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, AliasEvent):
                raise ValueError("holds an alias, *name, which is not followed; write the value itself")
            level += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if level > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep; a recipe has four")
