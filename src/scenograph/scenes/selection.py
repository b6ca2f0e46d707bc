"""Choosing crops for the objects of a scene: what a source of crops does for models that draw from them."""

from __future__ import annotations

from typing import Protocol

from scenograph.scenes.scene import Scene


class GivesCrops(Protocol):
    """A source of crops: the other pictures of a data set, for example, or a memory."""

    @property
    def digest(self) -> str:
        """A checksum of everything that decides its choice."""

    def select(self, scene: Scene, seed: int, exclude: str | None = None) -> Scene:
        """Choose a crop for each object that has none.

        Args:
            scene: With or without boxes.
            seed: The same seed gives the same crops; an object's own seed goes before it.
            exclude: The id of the picture that the scene is of, whose own crops are not chosen.

        Returns:
            The scene with the crops, and where they come from as the objects' ``origin``.
        """
