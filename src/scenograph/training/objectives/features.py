"""What objectives share that compare pictures in the features of VGG19."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from scenograph.nn.perceptual import FeatureStack
from scenograph.pretrained.networks import Download, load_vgg19, missing_weights
from scenograph.training.objectives.base import Objective


class FeatureObjective(Objective):
    """An objective whose configuration has ``feature_weight`` and ``vgg_file``."""

    config: Any

    @property
    def compares_features(self) -> bool:
        """Whether any loss needs the network."""
        return bool(self.config.feature_weight)

    @cached_property
    def vgg(self) -> FeatureStack | None:
        """The network, fetched when it is first asked for; None if no loss needs it."""
        return load_vgg19(self.config.vgg_file) if self.compares_features else None

    def downloads(self) -> Sequence[Download]:
        """VGG19's weights."""
        return missing_weights("vgg19") if self.compares_features and self.config.vgg_file is None else []

    def load_networks(self) -> None:
        """VGG19."""
        _ = self.vgg
