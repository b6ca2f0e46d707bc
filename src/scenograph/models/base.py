"""What models share: a validated config, safetensors on disk, and roles such as placing objects and rendering."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from scenograph.errors import UserError, unreadable, validate
from scenograph.files import digest, make_folder, write_atomically
from scenograph.models.sizes import check_numbers, made_for
from scenograph.scenes.batch import SceneBatch
from scenograph.scenes.openraster import Layer
from scenograph.scenes.vocabulary import Vocabulary

Role = Literal["layout", "image"]
Condition = TypeVar("Condition")
Generators = Sequence[torch.Generator] | None
"""One CPU generator per picture, so that a seed gives the same picture in any batch. None samples from torch's own."""

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
"""Channels, layer by layer."""

MISMATCHES = 3
"""Names of each kind that an error message shows."""


class ModelConfig(BaseModel, ABC):
    """The constructor's arguments; ``vocabulary`` as :meth:`Vocabulary.to_dict` gives it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vocabulary: dict[str, Any]
    max_objects: PositiveInt | None = None
    """Most objects of a scene in training. Larger ones bring a warning; None means no limit."""

    @classmethod
    @abstractmethod
    def tiny(cls, vocabulary: Vocabulary) -> Self:
        """Small enough to train a few steps on a CPU in seconds, for tests of every model."""

    @property
    def picture_sides(self) -> tuple[int, int]:
        """Height and width of the pictures that the model learns from: the ``image_size`` of those that have one."""
        size = getattr(self, "image_size", 64)
        return size if isinstance(size, tuple) else (size, size)

    @property
    def mask_side(self) -> int:
        """Side of the masks in a batch."""
        return 16

    @property
    def crop_side(self) -> int | None:
        """Side of the objects' crops in a batch, for models that learn from them."""
        return None

    @property
    def sketch_side(self) -> int | None:
        """Side of the objects' sketches, and of the crops of those without, for models that read both."""
        return None

    @property
    def reads_pictures(self) -> bool:
        """Whether the model learns from the pictures of scenes, unless it is a layout model alone."""
        return True

    @model_validator(mode="after")
    def _within_reason(self) -> Self:
        check_numbers(self)
        return self

    @field_validator("vocabulary")
    @classmethod
    def _names(cls, value: dict[str, Any]) -> dict[str, Any]:
        Vocabulary.from_dict(value)
        return value


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the objects of a batch are."""

    boxes: Tensor
    """(O, 4) x0, y0, x1, y1."""
    masks: Tensor | None = None
    """(O, M, M) in [0, 1], relative to the boxes; None from models without masks."""


@dataclass(frozen=True, kw_only=True)
class Conditioned(Placement, Generic[Condition]):
    """A batch ready to be rendered."""

    condition: Condition
    """What the model renders from, in its own form; an editor may keep it and render it again."""


@dataclass(frozen=True, kw_only=True)
class Rendered(Conditioned[Condition]):
    """A batch with its pictures."""

    images: Tensor
    """(N, 3, H, W) in [-1, 1]."""


class Model(nn.Module):
    """Loading and saving, the same for all models. The roles that a model inherits from declare what it can do.

    Args:
        config: All that its networks are built from, the vocabulary included.
    """

    name: ClassVar[str]
    Config: ClassVar[type[ModelConfig]]
    roles: ClassVar[tuple[Role, ...]] = ()
    """Whether it places objects (``layout``), renders pictures (``image``), or both, by the classes it inherits."""

    not_exported: ClassVar[str] = "it declares no graphs"
    """Why a model without the role ``Exports`` cannot be exported."""

    config: ModelConfig
    shipped_as = ""
    """The name under which it ships, if it was loaded by that."""
    digest = ""
    """SHA-256 of the settings and weights that the model was loaded with; empty if it was not."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        found = {vars(kind).get("role") for kind in cls.__mro__}
        cls.roles = tuple(role for role in get_args(Role) if role in found)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocabulary = Vocabulary.from_dict(config.vocabulary)

    def for_inference(self) -> Self:
        """This model, or a faster copy with equal results that cannot be trained; in eval mode."""
        return self.eval()

    @property
    def called(self) -> str:
        """What messages call it: its own name if it ships, its architecture's if not."""
        return self.shipped_as or self.name

    @staticmethod
    def vocabulary_for(vocabulary: Vocabulary) -> Vocabulary:
        """The vocabulary this model needs to be trained on data with the given one."""
        return vocabulary

    @staticmethod
    def may_lack(key: str) -> bool:
        """Whether a model to start training from may lack these weights, which then begin as those of a new one."""
        return False

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save_pretrained(self, folder: Path, dtype: torch.dtype | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors``.

        Args:
            folder: Made if it is missing; files in it are replaced.
            dtype: Of the floating-point weights on disk, for example ``torch.float16``; by default their own.

        Raises:
            UserError: The folder cannot be written.
        """
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
        """Build a model and load its weights, on the CPU.

        Args:
            folder: Holds ``model.safetensors``.
            config: The values of ``config.json``, without ``model``.

        Returns:
            The model in eval mode, with weights in float32.

        Raises:
            UserError: A setting is wrong, or the weights are missing, damaged, or do not fit.
        """
        checked = validate(cls.Config, config, str(folder / "config.json"))
        path = folder / "model.safetensors"
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise unreadable(f"weights {path}", error) from error
        model = made_for(state, lambda: cls(checked), str(path))
        load_state(
            model,
            {key: value.float() if value.is_floating_point() else value for key, value in state.items()},
            str(path),
        )
        settings = json.dumps(config, sort_keys=True)
        model.digest = hashlib.sha256(f"{cls.name} {settings} {digest(path)}".encode()).hexdigest()
        return model.eval()


class LayoutModel(Model, ABC):
    """A model that places objects."""

    role: ClassVar[Role] = "layout"

    @abstractmethod
    def place(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Choose boxes, and masks in models that have them.

        Args:
            batch: Scenes on the model's device. Boxes that they have are kept.
            generators: One per picture, for models that sample.

        Returns:
            Boxes (O, 4) in fractions of the canvas, and masks (O, M, M) in [0, 1] relative to them or None.
        """

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[Placement]:
        """Place objects in different ways. Models whose boxes do not depend on the seed have one.

        Args:
            batch: As for :meth:`place`.
            count: Placements wanted, at least 1.
            generators: As for :meth:`place`.

        Returns:
            Up to ``count`` placements, as :meth:`place` returns them.
        """
        return [self.place(batch, generators)]

    def forward(self, batch: SceneBatch, generators: Generators = None) -> Any:
        """:meth:`place`."""
        return self.place(batch, generators)


class SampledBoxes(LayoutModel):
    """The role of layout models whose boxes depend on the seed."""

    def candidates(self, batch: SceneBatch, count: int, generators: Generators = None) -> list[Placement]:
        """Place objects several times, one after the other from the same generators.

        Args:
            batch: As for :meth:`place`.
            count: Placements wanted, at least 1.
            generators: As for :meth:`place`.

        Returns:
            ``count`` placements, as :meth:`place` returns them.
        """
        return [self.place(batch, generators) for _ in range(count)]


class ImageModel(Model, ABC, Generic[Condition]):
    """A model that renders pictures, in two steps: scenes to a condition, and the condition to pixels."""

    role: ClassVar[Role] = "image"
    completes_attributes: ClassVar[bool] = True
    """Whether every object wants an attribute of every group; a model that does not has learned from open ones."""

    def draws(self, size: int) -> bool:
        """Whether pictures of this longer side in pixels look like those that the model learned from."""
        return size == max(self.config.picture_sides)

    @abstractmethod
    def condition(
        self, batch: SceneBatch, generators: Generators = None, size: int | None = None
    ) -> Conditioned[Condition]:
        """Turn scenes into what :meth:`render` takes.

        Args:
            batch: Scenes on the model's device, with a box for every object unless the model places objects.
            generators: One per picture, for models that sample latents.
            size: The longer side of the pictures in pixels, one that it :meth:`draws`; by default its own.

        Returns:
            The boxes and masks that the pictures will show, and the condition in the model's own form.

        Raises:
            UserError: The model does not draw this size, or lacks boxes.
        """

    @abstractmethod
    def render(self, condition: Condition, generators: Generators = None, steps: int | None = None) -> Tensor:
        """Render pictures.

        Args:
            condition: From :meth:`condition`.
            generators: One per picture, for models that sample noise.
            steps: Sampling steps of models that have them; by default the model's own.

        Returns:
            Pictures (N, 3, H, W) in [-1, 1].
        """

    def forward(self, batch: SceneBatch, generators: Generators = None) -> Rendered[Condition]:
        """:meth:`condition`, then :meth:`render`."""
        made = self.condition(batch, generators)
        images = self.render(made.condition, generators)
        return Rendered(boxes=made.boxes, masks=made.masks, condition=made.condition, images=images)


class DrawsFromCrops(ABC):  # noqa: B024  # a role without methods of its own
    """The role of image models that draw from a crop of each object, in a batch's ``crops``.

    Whoever makes the batch chooses the crops, of the side ``config.crop_side``; an object without one is drawn from the
    graph alone.
    """

    needs_crops: ClassVar[bool] = True
    """Whether every object should have a crop; models that have learned to draw from names alone need none."""

    def wants_crops(self, batch: SceneBatch) -> Tensor:
        """For which objects (O,) bool of a batch with all boxes a crop is to be chosen; by default, for all."""
        return torch.ones_like(batch.objects, dtype=torch.bool)


class LayeredModel(ImageModel[Condition], ABC):
    """An image model whose pictures are composed of layers, which it can give one by one."""

    @abstractmethod
    def render_layers(
        self, condition: Condition, generators: Generators = None, steps: int | None = None
    ) -> list[list[Layer]]:
        """Render the layers of pictures one by one.

        Args:
            condition: As for :meth:`render`.
            generators: As for :meth:`render`.
            steps: As for :meth:`render`.

        Returns:
            The layers of each picture, the farthest first; merged, they are what :meth:`render` gives.
        """


class ObjectLatents(ABC):
    """The role of image models in which every object, and the picture, has a latent of its own."""

    @property
    @abstractmethod
    def latent_size(self) -> int:
        """Length of the latent of each object, and of the picture."""


class GraphVectors(ABC):
    """The role of models that encode every object of a scene graph together with its relations."""

    @property
    @abstractmethod
    def vector_size(self) -> int:
        """Length of the vector of each object."""

    @abstractmethod
    def graph_vectors(self, batch: SceneBatch) -> Tensor:
        """Vectors (O, D) of the objects of a batch, from categories, attributes and relations alone."""


class EncodesScenes(ABC):
    """The role of models that turn sketched scenes, and photographs of them, into vectors near each other."""

    @property
    @abstractmethod
    def vector_size(self) -> int:
        """Length of the vector of each scene."""

    @abstractmethod
    def scene_vectors(self, batch: SceneBatch) -> Tensor:
        """Vectors (N, D) of the scenes of a batch, to be compared by their Euclidean distance.

        What of the scenes is seen depends on the model: each object's sketch or crop, or the whole picture.
        """


class ShapesObjects(ABC):
    """The role of models that predict masks of objects in given boxes from the objects' sketches or crops."""

    @abstractmethod
    def complete(self, batch: SceneBatch, generators: Generators = None) -> Placement:
        """Masks for the objects of a batch, which have boxes, and each a sketch or a crop.

        Raises ``UserError`` if one lacks them.
        """


class PictureStyles(ABC):
    """The role of image models that read a style off a picture."""

    @abstractmethod
    def style_latents(self, picture: Image.Image, generators: Sequence[torch.Generator]) -> Tensor:
        """Sample the style of a picture.

        Args:
            picture: Of any size.
            generators: N of them, one per style.

        Returns:
            Latents (N, Z) for a batch's ``picture_latents``.

        Raises:
            UserError: The model was made without the network that reads styles.
        """


NO_STYLE = "this model reads no style off a picture; SPADE with an encoder does"


def state_digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names and values of weights."""
    total = hashlib.sha256()
    for name in sorted(state):
        total.update(name.encode())
        total.update(state[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def load_state(model: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load weights.

    Args:
        model: Takes the weights.
        state: Must have exactly its names and shapes, and finite values.
        where: Names the weights at the beginning of error messages.

    Raises:
        UserError: The weights do not fit, or are not finite; one line counts and names the wrong ones.
    """
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
    """Normal noise (count, *shape), sampled on the CPU per picture: the same for a seed on any device, in any batch."""
    if generators is None:
        return torch.randn((count, *shape)).to(device)
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(device)


def noise_per_object(size: int, batch: SceneBatch, generators: Generators) -> Tensor:
    """Normal noise (O, size), sampled per picture for its objects in order."""
    if generators is None:
        return torch.randn((len(batch.objects), size)).to(batch.objects.device)
    counts = torch.bincount(batch.object_to_image, minlength=batch.num_images).tolist()
    rows = [torch.randn((n, size), generator=g) for n, g in zip(counts, generators, strict=True)]
    return torch.cat(rows).to(batch.objects.device)


def object_latents(batch: SceneBatch, size: int, generators: Generators) -> Tensor:
    """The latents (O, size) that the batch gives, or sampled ones."""
    if batch.object_latents is not None:
        return batch.object_latents
    return noise_per_object(size, batch, generators)


def picture_latents(batch: SceneBatch, size: int, generators: Generators) -> Tensor:
    """The latents (N, size) that the batch gives, or sampled ones."""
    if batch.picture_latents is not None:
        return batch.picture_latents
    return noise((size,), batch.num_images, generators, batch.objects.device)


def with_image_objects(batch: SceneBatch) -> SceneBatch:
    """One more object per picture, of category 0 (``__image__``) and as large as the canvas, after all others."""
    count, device = batch.num_images, batch.objects.device
    return replace(
        batch,
        objects=torch.cat([batch.objects, batch.objects.new_zeros(count)]),
        attributes=torch.cat([batch.attributes, batch.attributes.new_full((count, batch.attributes.shape[1]), -1)]),
        object_to_image=torch.cat([batch.object_to_image, torch.arange(count, device=device)]),
        boxes=torch.cat([batch.boxes, batch.boxes.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)]),
        masks=torch.cat([batch.masks, batch.masks.new_ones((count, *batch.masks.shape[1:]))]),
        known_masks=torch.cat([batch.known_masks, batch.known_masks.new_zeros(count)]),
    )


def check_side(size: int | None, sides: tuple[int, int]) -> None:
    """For models that render pictures of one height and width only: raise ``UserError`` for another size."""
    if size not in (None, max(sides)):
        raise UserError(f"picture size {size}: this model draws {sides[1]} x {sides[0]} only; leave the size out")
