"""What objectives share whose generator learns against discriminators."""

from __future__ import annotations

from torch import nn

from scenograph.training.objectives.base import Objective


class AdversarialObjective(Objective):
    """A phase for the generator, which is the model, then one for each discriminator."""

    discriminators: dict[str, nn.Module]
    """By their phases."""

    @property
    def phases(self) -> tuple[str, ...]:
        """The generator first, then whichever discriminators there are."""
        return ("generator", *self.discriminators)

    def modules(self) -> dict[str, nn.Module]:
        """Phase to module."""
        return {"generator": self.model, **self.discriminators}

    def let_learn(self, phase: str) -> None:
        """Compute gradients of the discriminator of this phase alone, among discriminators."""
        for name, discriminator in self.discriminators.items():
            discriminator.requires_grad_(phase == name)
