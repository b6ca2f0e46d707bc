"""What every model shares: a validated config, safetensors on disk, and one form of output."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scenograph.errors import UserError
from scenograph.files import make_folder, write_atomically
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.vocabulary import Vocabulary

Role = Literal["layout", "image"]
Generators = Sequence[torch.Generator] | None
"""One per picture, so that a seed gives the same picture in any batch; None draws from torch's global one."""


class ModelConfig(BaseModel):
    """The constructor's arguments; ``vocabulary`` as :meth:`Vocabulary.to_dict` gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary: dict[str, Any]


@dataclass
class ModelOutput:
    """What a model filled in; None where it has nothing to say."""

    boxes: Tensor | None = None
    """(O, 4) x0, y0, x1, y1."""
    masks: Tensor | None = None
    """(O, M, M) in [0, 1], relative to the boxes."""
    layout: Tensor | None = None
    """(N, C, H, W): the picture's condition, which an editor may keep and render again."""
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

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = Vocabulary.from_dict(config.vocabulary)

    def encode(self, batch: SceneBatch, generators: Generators = None, size: int | None = None) -> ModelOutput:
        """What comes before pixels: boxes and masks, and for image models the layout that :meth:`render` draws.

        Boxes and masks that the scenes have are kept. ``size`` overrides the side of the picture.
        """
        raise TypeError(f"{self.name} does not read scenes")

    def render(self, layout: Tensor, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Draw layouts (N, C, H, W): pictures (N, 3, H, W) in [-1, 1]. ``steps`` is for models that sample."""
        raise TypeError(f"{self.name} draws no pictures")

    def forward(self, batch: SceneBatch, generators: Generators = None) -> ModelOutput:
        """:meth:`encode`, then :meth:`render` if this is an image model."""
        output = self.encode(batch, generators)
        if output.layout is not None:
            output.images = self.render(output.layout, generators)
        return output

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
        try:
            model = cls(cls.Config(**config))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{folder / 'config.json'}: {place}: {first['msg']}") from error
        path = folder / "model.safetensors"
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise UserError(f"cannot read weights {path}: {error}") from error
        load_state(
            model,
            {key: value.float() if value.is_floating_point() else value for key, value in state.items()},
            str(path),
        )
        return model.eval()


def load_state(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load weights exactly; a mismatch is one line that names the first wrong tensor."""
    own = model.state_dict()
    for key in [*own, *state]:
        if key not in state:
            raise UserError(f"{where}: weights of {key!r} are missing")
        if key not in own:
            raise UserError(f"{where}: unknown weights {key!r}; the configuration does not fit")
        if own[key].shape != state[key].shape:
            raise UserError(f"{where}: {key!r} has shape {tuple(state[key].shape)}, not {tuple(own[key].shape)}")
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
