"""What every model shares: a validated config, safetensors on disk, and one form of output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scenograph.errors import UserError, unreadable, validate
from scenograph.files import digest, make_folder, write_atomically
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

Role = Literal["layout", "image"]
Generators = Sequence[torch.Generator] | None
"""One per picture, so that a seed gives the same picture in any batch; None draws from torch's global one."""

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
"""Channels, layer by layer."""

MISMATCHES = 3
"""Names of each kind that an error message shows."""


class ModelConfig(BaseModel):
    """The constructor's arguments; ``vocabulary`` as :meth:`Vocabulary.to_dict` gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary: dict[str, Any]
    max_objects: PositiveInt | None = None
    """Of a scene in training, at most: drawing or placing more brings a warning. None says nothing."""

    @field_validator("vocabulary")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        Vocabulary.from_dict(value)
        return value


@dataclass
class ModelOutput:
    """What a model filled in; None where it has nothing to say."""

    boxes: Tensor | None = None
    """(O, 4) x0, y0, x1, y1."""
    masks: Tensor | None = None
    """(O, M, M) in [0, 1], relative to the boxes."""
    layout: Any = None
    """The picture's condition in the model's own form (a map (N, C, H, W), or an ``ObjectLayout``), which an editor
    may keep and render again."""
    images: Tensor | None = None
    """(N, 3, H, W) in [-1, 1]."""
    relation_scores: Tensor | None = None
    """(T, P) logits over predicates."""


class Model(nn.Module):
    """Base class. Subclasses set ``name``, ``Config`` and ``roles``; define ``encode``, image models ``render`` too."""

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]
    roles: ClassVar[tuple[Role, ...]]

    config: ModelConfig
    digest = ""
    """SHA-256 of the settings and weights that it was loaded with."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = Vocabulary.from_dict(config.vocabulary)

    def encode(self, batch: SceneBatch, generators: Generators = None, size: int | None = None) -> ModelOutput:
        """What comes before pixels: boxes and masks, and for image models the layout that :meth:`render` draws.

        Boxes and masks that the scenes have are kept. ``size`` overrides the side of the picture.
        """
        raise TypeError(f"{self.name} does not read scenes")

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[ModelOutput]:
        """``count`` outputs of :meth:`encode`, or one where chance decides nothing."""
        return [self.encode(batch, generators) for _ in range(count if self.samples_boxes else 1)]

    def render(self, layout: Any, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Draw layouts: pictures (N, 3, H, W) in [-1, 1]. ``steps`` is for models that sample."""
        raise TypeError(f"{self.name} draws no pictures")

    def style_latents(self, picture: Image.Image, generators: Sequence[torch.Generator]) -> Tensor:
        """The style of a picture, drawn by each generator: latents (N, Z) for a batch's ``picture_latents``.

        Raises ``UserError`` for models that read no style off a picture.
        """
        raise UserError(f"{self.name}: this model reads no style off a picture; SPADE with an encoder does")

    def forward(self, batch: SceneBatch, generators: Generators = None) -> ModelOutput:
        """:meth:`encode`, then :meth:`render` if this is an image model."""
        output = self.encode(batch, generators)
        if output.layout is not None:
            output.images = self.render(output.layout, generators)
        return output

    @property
    def latent_size(self) -> int:
        """How many random numbers decide the looks of each object, and of the picture; 0 if objects have none."""
        return 0

    @property
    def samples_boxes(self) -> bool:
        """Whether the boxes of a layout model depend on the seed."""
        return False

    def for_inference(self) -> Self:
        """This model, or a faster equal one that can only infer; in eval mode."""
        return self.eval()

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary this model needs to be trained on data with the given one."""
        return vocabulary

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save_pretrained(self, folder: Path, dtype: torch.dtype | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors``; floating weights as ``dtype`` if given."""
        make_folder(folder)
        state = {
            key: (value.to(dtype) if dtype and value.is_floating_point() else value).detach().cpu().contiguous()
            for key, value in self.state_dict().items()
        }
        write_atomically(folder / "model.safetensors", save(state))
        config: dict[str, Any] = {"model": self.name, **self.config.model_dump(mode="json")}
        write_atomically(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())

    @classmethod
    def from_folder(cls, folder: Path, config: dict[str, Any]) -> Self:
        """Build from ``config.json``'s values and load ``model.safetensors``; in eval mode."""
        model = cls(validate(cls.Config, config, str(folder / "config.json")))
        path = folder / "model.safetensors"
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise unreadable(f"weights {path}", error) from error
        load_state(
            model,
            {key: value.float() if value.is_floating_point() else value for key, value in state.items()},
            str(path),
        )
        settings = json.dumps(config, sort_keys=True)
        model.digest = hashlib.sha256(f"{cls.name} {settings} {digest(path)}".encode()).hexdigest()
        return model.eval()


def load_state(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load weights exactly; mismatches, and numbers that are not finite, are one line that counts and names them."""
    own = model.state_dict()
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    complaints = [
        f"{len(keys)} {kind} ({', '.join(keys[:MISMATCHES])}{', ...' if len(keys) > MISMATCHES else ''})"
        for kind, keys in (
            ("missing", [key for key in own if key not in state]),
            ("unknown", [key for key in state if key not in own]),
            ("of another shape", shapes),
        )
        if keys
    ]
    if complaints:
        raise UserError(f"{where}: the weights do not fit the configuration: {'; '.join(complaints)}")
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise UserError(
            f"{where}: {len(broken)} of {len(state)} weights, the first of them {broken[0]}, hold numbers that are not "
            "finite: a damaged file, or training that went astray; take an earlier checkpoint"
        )
    model.load_state_dict(state)


def noise(shape: tuple[int, ...], count: int, generators: Generators, device: torch.device) -> Tensor:
    """Normal noise (count, *shape), drawn on the CPU per picture: the same for a seed on any device, in any batch."""
    if generators is None:
        return torch.randn((count, *shape)).to(device)
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)


def noise_per_object(size: int, batch: SceneBatch, generators: Generators) -> Tensor:
    """Normal noise (O, size) drawn picture by picture, for objects in their order within the picture."""
    if generators is None:
        return torch.randn((len(batch.objects), size)).to(batch.objects.device)
    counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).tolist()
    rows = [torch.randn((n, size), generator=g) for n, g in zip(counts, generators, strict=True)]
    return torch.cat(rows).to(batch.objects.device)


def object_latents(batch: SceneBatch, size: int, generators: Generators) -> Tensor:
    """The latents (O, size) that the batch gives, or drawn ones."""
    if batch.object_latents is not None:
        return batch.object_latents
    return noise_per_object(size, batch, generators)


def picture_latents(batch: SceneBatch, size: int, generators: Generators) -> Tensor:
    """The latents (N, size) that the batch gives, or drawn ones."""
    if batch.picture_latents is not None:
        return batch.picture_latents
    return noise((size,), batch.num_images, generators, batch.objects.device)


def with_image_objects(batch: SceneBatch, latents: Tensor, generators: Generators) -> tuple[SceneBatch, Tensor]:
    """One more object per picture, of category 0 (``__image__``) and as large as the canvas, after all others."""
    count, device = batch.num_images, batch.objects.device
    full = replace(
        batch,
        objects=torch.cat([batch.objects, batch.objects.new_zeros(count)]),
        attributes=torch.cat([batch.attributes, batch.attributes.new_full((count, batch.attributes.shape[1]), -1)]),
        object_to_image=torch.cat([batch.object_to_image, torch.arange(count, device=device)]),
        boxes=torch.cat([batch.boxes, batch.boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)]),
        masks=torch.cat([batch.masks, batch.masks.new_ones((count, *batch.masks.shape[1:]))]),
        known_masks=torch.cat([batch.known_masks, batch.known_masks.new_zeros(count)]),
    )
    return full, torch.cat([latents, noise((latents.shape[1],), count, generators, device)])


def check_side(asked: int | None, side: int) -> None:
    """For models that draw one size only: ``UserError`` if another is asked for."""
    if asked not in (None, side):
        raise UserError(f"picture size {asked}: this model draws {side} x {side} only; leave the size out")
