"""The contract of a renderer: anything that makes pictures of complete scenes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
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
    own_options: frozenset[str] = frozenset()
    """The options that it takes and most renderers do not."""
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

    def with_looks(self, scenes: Sequence[Scene], seeds: Sequence[int]) -> list[Scene]:
        """Give each object whose looks its own seed decides a seed, so that they stay as they are.

        Then another seed for one object redraws that one, and leaving one out or another seed of the picture keeps the
        looks of the others. By default no object has looks of its own, and scenes stay as they are.

        Args:
            scenes: One per picture; every object has a box. Seeds that objects have are kept.
            seeds: One per picture, from which those of objects are made.

        Returns:
            The scenes with these seeds.
        """
        return list(scenes)

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
