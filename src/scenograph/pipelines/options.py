"""The options of generation, declared once: the pipeline, the command line, the record in a PNG and protocols read it.

Adding an option touches this class and the place that uses it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self, get_args

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from scenograph.devices import RenderPrecision, Runtime
from scenograph.errors import UserError, rule_and_value, suggest

OF_DIFFUSION = frozenset({"control", "start", "repaint", "strength", "prompt", "negative", "guidance", "offload"})
"""Options of diffusion models of other makers."""
LARGEST_GUIDANCE = 50


class GenerateOptions(BaseModel):
    """How pictures are generated, apart from models, scenes and seeds. A description is the option's help text.

    The ``reason`` of an option explains why pictures that were generated with other values of it cannot be compared; an
    option without one belongs to the model that is measured, not to the way it is measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    size: int | None = Field(default=None, ge=8, le=2048, description="Longer side in pixels. (default: the model's)")
    steps: int | None = Field(default=None, ge=1, le=1000, description="Sampling steps. (default: the model's)")
    truncation: float = Field(
        default=2.0,
        ge=0.1,
        le=100,
        description="Largest latent; lower gives less variety.",
        json_schema_extra={"reason": "tamer latents give better single pictures and less variety"},
    )
    """Latents farther from 0 are sampled again, as in LostGAN and LAMA."""
    candidates: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Layouts sampled per picture; the best is kept.",
        json_schema_extra={"reason": "the best of several layouts serves its graph better than the only one"},
    )
    """Only models whose layouts depend on the seed sample more than one."""
    refine: bool = Field(
        default=False,
        description="Move placed boxes so that every relation holds.",
        json_schema_extra={"reason": "boxes that were moved show more relations"},
    )
    keep_contradictions: bool = Field(
        default=False, description="Keep relations that contradict others, as the original models do."
    )
    style: Path | Image.Image | None = Field(
        default=None, description="Picture whose style to copy, for models that can."
    )
    licence: str | None = Field(
        default=None, max_length=200, description="Crops of a memory under these only, as mit,cc0-1.0."
    )
    temperature: float = Field(
        default=0.5,
        ge=0,
        le=100,
        description="Variety of crops of a memory; 0 takes the best.",
        json_schema_extra={"reason": "crops farther from the best give more variety and fit less"},
    )
    published: bool = Field(
        default=False,
        description="Choose crops by graph vectors alone, as PasteGAN does.",
        json_schema_extra={"reason": "other crops are chosen"},
    )
    own_picture: bool = Field(
        default=False,
        description="Allow crops of the picture that a scene of a pack is of.",
        json_schema_extra={"reason": "an object's own crop shows what the picture is compared with"},
    )
    shadow: bool = Field(default=False, description="Let things in a collage of crops cast shadows.")
    precision: RenderPrecision = Field(
        default="no", description="bf16 is faster on hardware that supports it. fp16: for diffusers models."
    )
    runtime: Runtime = Field(
        default="torch", description="onnx computes shipped models faster on CPUs, after exporting them once."
    )
    control: tuple[str, ...] | None = Field(
        default=None,
        description="How a diffusers model sees the layout: KIND, KIND=ID or regions; edges, depth, ... Repeatable.",
    )
    """Each also with ``@WEIGHT`` behind it. Texts are read by the renderer."""
    start: str | Image.Image | None = Field(
        default=None, description="Picture that a diffusers model starts from: a file, collage, or an image model."
    )
    repaint: tuple[int, ...] | None = Field(
        default=None, description="Objects, by number, that are painted again in that picture alone. Repeatable."
    )
    strength: float | None = Field(
        default=None, ge=0.01, le=1, description="How much of that picture is changed, from 0 to 1. Implies a collage."
    )
    prompt: str | None = Field(default=None, max_length=500, description="Style, before a diffusers model's prompt.")
    negative: str | None = Field(default=None, max_length=500, description="What a diffusers model is to avoid.")
    guidance: float | None = Field(
        default=None, ge=0, le=LARGEST_GUIDANCE, description="How closely a diffusers model follows its prompt."
    )
    offload: Literal["model", "sequential"] | None = Field(
        default=None, description="Keep a diffusers model in CPU memory, except the part that computes."
    )

    @field_validator("refine", "keep_contradictions", "shadow", "published", "own_picture", mode="before")
    @classmethod
    def _switch(cls, value: object) -> bool:
        """Settings of protocols come as text, of which others than these say neither yes nor no."""
        if value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise ValueError("expected true or false")
        return value

    @field_validator("repaint", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        """Numbers, or texts that hold several between commas."""
        parts = list(value) if isinstance(value, list | tuple) else [value]
        numbers = [one for part in parts for one in (part.split(",") if isinstance(part, str) else [part])]
        if not all(re.fullmatch(r"\s*\d{1,9}\s*", str(one)) for one in numbers):
            raise ValueError("expected numbers of objects, such as 0,2")
        return tuple(dict.fromkeys(int(str(one)) for one in numbers)) or None

    @field_validator("control", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        """Texts hold several between commas; nothing is no control."""
        parts = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(part, str) for part in parts):
            raise ValueError("expected texts such as 'depth' or 'edges=owner/name'")
        return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip()) or None

    @field_validator("size", "steps", "candidates", "truncation", "temperature", "strength", "guidance", mode="before")
    @classmethod
    def _no_switch(cls, value: object) -> object:
        """True would pass for 1."""
        if isinstance(value, bool):
            raise ValueError("expected a number")
        return value

    @property
    def licences(self) -> frozenset[str]:
        """The licences that :attr:`licence` lists, in lower case; none allows all."""
        names = (name.strip().casefold() for name in (self.licence or "").split(","))
        return frozenset(name for name in names if name)

    @property
    def of_crops(self) -> bool:
        """Whether an option was given that only pictures composed from crops have."""
        return bool({"licence", "temperature", "shadow", "published", "own_picture"} & self.recorded().keys())

    def chosen(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def recorded(self) -> dict[str, Any]:
        """The options that were given, as a picture's record holds them; a switch that is off is not recorded."""
        values = {name: value for name, value in self.chosen().items() if value is not None and value is not False}
        for name in {"style", "start"} & values.keys():
            given = values[name]
            if isinstance(given, Image.Image):
                given = getattr(given, "filename", "") or "(a picture in memory)"
            values[name] = str(given)
        return values

    def changed(self, **changes: Any) -> Self:
        """These options with some changed; None changes nothing. Raises ``UserError`` for unknown names and values."""
        given = {name: value for name, value in changes.items() if value is not None}
        try:
            return type(self).model_validate(self.chosen() | given) if given else self
        except ValidationError as error:
            raise UserError(_complaint(error)) from error


def _complaint(error: ValidationError) -> str:
    """The first wrong option: its name, its value and what is allowed."""
    first = error.errors()[0]
    name, value, limits = str(first["loc"][0]), first["input"], first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        return f"no option {name!r} {suggest(name, GenerateOptions.model_fields)}"
    for limit, word in (("ge", "at least"), ("le", "at most")):
        if limit in limits:
            return f"{name} {value}: must be {word} {limits[limit]:g}"
    if name == "precision":
        return f"unknown precision {value!r}: use {', '.join(get_args(RenderPrecision))}"
    return f"{name}: {rule_and_value(first)}"
