"""The contract of a renderer: anything that makes pictures of complete scenes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from scenograph.errors import UserError
from scenograph.pipelines.defaults import DIFFUSERS
from scenograph.pipelines.latents import with_object_seeds
from scenograph.pipelines.options import OF_DIFFUSION, GenerateOptions
from scenograph.scenes.openraster import Layer
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

LAYERED = "mise-layers and collage"
"""What has layers, for messages."""


@dataclass(frozen=True)
class ConditionedScenes:
    """Scenes ready to be rendered, one per picture."""

    scenes: list[Scene]
    """With every attribute and box decided: what the pictures show."""
    seeds: list[int]
    condition: object
    """What the renderer makes pictures from, in its own form."""
    options: GenerateOptions
    renderer: Renderer | None = None
    """What renders them; the pipeline that encodes them says so."""


@dataclass(frozen=True)
class Step:
    """A sampling step that is done."""

    number: int
    """From 1."""
    of: int
    preview: Callable[[], Image.Image | None]
    """Decodes what the picture is by now, at the cost of about a step; None where the renderer cannot."""


class Renderer(ABC):
    """Scenes to pictures in two steps, so that an editor can keep the costly first one."""

    name: str
    """For messages."""
    digest: str
    """A checksum of everything that decides its pictures."""
    device: torch.device
    places: bool
    """Whether it chooses boxes for objects that have none."""
    crop_side: int | None = None
    """Side of the crops that it draws objects from, which the pipeline chooses where the scene has none; or None."""
    needs_crops: bool = False
    """Whether it draws no object without a crop."""
    completes_attributes: bool = True
    """Whether every object wants an attribute of every group; if not, those left open stay open."""
    slow: bool = False
    """Whether a picture takes so long that it is drawn alone, written at once, and its steps are told."""
    watch: Callable[[Step], None] | None = None
    """Told of the steps of a slow one."""

    def wants_crops(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """For which objects of scenes with all boxes a crop is to be chosen, if it has none; by default, for all."""
        return [[True] * len(scene.objects) for scene in scenes]

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary | None:
        """The names that scenes may use; None for a renderer that takes any."""

    @abstractmethod
    def check(self, scenes: Sequence[Scene]) -> None:
        """Warn about what it will ignore or has not learned in scenes whose names it knows."""

    def check_options(self, options: GenerateOptions) -> None:
        """Raise ``UserError`` for options that it does not take, or that exclude each other, before anything costly.

        By default, for those that only diffusion models take.
        """
        if ignored := sorted(OF_DIFFUSION & options.recorded().keys()):
            raise UserError(
                f"{self.name}: takes no {' or '.join(ignored)}, which diffusion models do; "
                f"leave it out, or name one with --image {DIFFUSERS}ID"
            )

    def has_looks(self, scenes: Sequence[Scene]) -> list[list[bool]]:
        """Of each object, whether its own seed decides its looks; by default, of none.

        Args:
            scenes: Every object has a box, unless the renderer :attr:`places` objects.

        Returns:
            A flag per object, scene by scene.
        """
        return [[False] * len(scene.objects) for scene in scenes]

    def with_looks(self, scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Scene]:
        """The scenes with a seed for each object that :meth:`has_looks`, which keeps those of the picture's seed.

        Pictures stay the same. Another seed for one object redraws that one, and leaving one out or another seed of the
        picture keeps the looks of the others.

        Args:
            scenes: As in :meth:`has_looks`. Seeds that objects have are kept.
            seeds: One per picture.

        Returns:
            The scenes with these seeds.
        """
        return [
            with_object_seeds(scene, [(seed, number) if own else None for number, own in enumerate(row)])
            for scene, seed, row in zip(scenes, seeds, self.has_looks(scenes), strict=True)
        ]

    def digests(self, options: GenerateOptions) -> dict[str, str]:
        """Checksums of what options name beside the model and a style, by what it is; by default, of nothing."""
        return {}

    def repaintable(self, scene: Scene, numbers: Sequence[int], options: GenerateOptions) -> list[int]:
        """Those of the objects that it can paint again in a picture and leave the rest as it is; by default, none.

        It does so if the options ``start``, the picture, and ``repaint``, these numbers, are given.

        Args:
            scene: Every object has a box.
            numbers: Of objects.
            options: Those of generation, without these two.

        Returns:
            Numbers of objects, in ascending order.
        """
        return []

    def stronger(self, options: GenerateOptions, times: int) -> dict[str, Any]:
        """Options by which a scene decides its picture more, for objects that were wrong so often; by default, none.

        Args:
            options: Those that were asked for, from which limits are counted, with ``repaint`` if it does that.
            times: From 1.

        Returns:
            The options that change, by name.
        """
        return {}

    def settle(self, scenes: Sequence[Scene], seeds: Sequence[int], movable: Sequence[Sequence[bool]]) -> list[Scene]:
        """Move objects that a layout model placed to where the renderer shows them; by default, they stay.

        Args:
            scenes: One per picture; every object has a box.
            seeds: One per picture.
            movable: Of each object, whether its box may change.

        Returns:
            The scenes with boxes in fractions of the canvas, as they will be shown.
        """
        return list(scenes)

    @abstractmethod
    def condition(self, scenes: Sequence[Scene], seeds: Sequence[int], options: GenerateOptions) -> ConditionedScenes:
        """What comes before pixels.

        Args:
            scenes: One per picture; every object has a box, unless the renderer :attr:`places` objects.
            seeds: One per picture.
            options: Those of generation.

        Returns:
            The scenes, complete, with the condition.

        Raises:
            UserError: For options that the renderer does not have, such as a size or a style.
        """

    @abstractmethod
    def render(self, conditioned: ConditionedScenes) -> Tensor:
        """Pictures (N, 3, H, W), about [-1, 1]."""

    def check_layers(self) -> None:
        """Raise ``UserError`` if the pictures have no layers."""
        raise UserError(f"{self.name}: its pictures have no layers; those of {LAYERED} have")

    def layers(self, conditioned: ConditionedScenes) -> list[list[Layer]]:
        """The layers of each picture, the farthest first; merged, they are the pictures. Raises as in check_layers."""
        self.check_layers()
        return []
