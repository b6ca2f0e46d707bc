"""What is measured, and how, by names: as ``scenograph evaluate`` is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from scenograph.data.pack import read_record, read_vocabulary
from scenograph.devices import Precision
from scenograph.errors import UserError
from scenograph.evaluation.metrics import metric_class
from scenograph.evaluation.protocols import Protocol, default_protocol, find_protocol
from scenograph.models.base import LayoutModel
from scenograph.models.registry import MODELS, read_config
from scenograph.pipelines.defaults import COLLAGE, choose_pair
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.placing import load_layout_model


@dataclass(frozen=True)
class Named:
    """What is measured: models by shipped name, folder or hub id, or a folder of pictures made elsewhere.

    What is not named is that of the shipped pair that knows the data's names. Raises ``UserError`` if both models and
    pictures are named.
    """

    model: str | None = None
    """One that both places and renders."""
    layout: str | None = None
    image: str | None = None
    pictures: Path | None = None
    memory: str | None = None
    """A memory of crops that the image model composes pictures from, or ``drawings``."""

    def __post_init__(self) -> None:
        if self.pictures is not None and (named := self.model or self.layout or self.image or self.memory):
            raise UserError(f"give either pictures ({self.pictures}) or models that draw them ({named}), not both")

    @property
    def layout_alone(self) -> bool:
        """Whether only a layout model is named."""
        return self.layout is not None and self.model is None and self.image is None and self.memory is None

    def protocol(self, pack: Path, name: str | None, changes: Mapping[str, object]) -> Protocol:
        """How to measure.

        Args:
            pack: The folder of the data.
            name: Of a protocol; by default the one for this data and these models.
            changes: Settings of the protocol, by name.

        Returns:
            The protocol, with these settings changed.

        Raises:
            UserError: A name or a value is unknown, or a layout model is named that would place nothing.
        """
        places = self.layout is not None or (
            self.model is not None and "layout" in MODELS[read_config(self.model)[0]].roles
        )
        default = default_protocol(str(read_record(pack)["source"]), places, self.layout_alone)
        chosen = find_protocol(name or default, changes)
        if self.layout is not None and chosen.given != "graph":
            graphs = default_protocol(str(read_record(pack)["source"]), places=True)
            raise UserError(
                f"--layout {self.layout}: protocol {chosen.name} gives the true {chosen.given}, so that it would place "
                f"nothing; add --protocol {graphs} or --given graph, or leave --layout out"
            )
        return chosen

    def load(
        self, pack: Path, protocol: Protocol, device: torch.device, precision: Precision
    ) -> tuple[Pipeline | LayoutModel | Path, dict[str, str | None]]:
        """Load what is measured; a layout model alone if that is all the protocol's metrics need.

        Args:
            pack: The folder of the data, whose names choose the models where none are named.
            protocol: From :meth:`protocol`.
            device: Where the models compute.
            precision: In which they compute.

        Returns:
            The pipeline, the layout model, or the folder of pictures; and the names of its models by ``layout`` and
                ``image``.

        Raises:
            UserError: A model is not there, or cannot do it.
        """
        if self.pictures is not None:
            return self.pictures, {}
        layout, image = self.layout, self.image
        if self.model is None:
            pair = choose_pair("; ".join(read_vocabulary(pack).categories))
            layout, image = layout or pair.layout, image or (pair.image if self.memory is None else COLLAGE)
        names = {
            "layout": layout,
            "image": self.model or (image if self.memory is None else f"{image} of {self.memory}"),
        }
        needs = set().union(*(metric_class(name).needs for name in protocol.metrics))
        if layout and self.layout_alone and protocol.given == "graph" and needs <= {"predicted boxes"}:
            return load_layout_model(layout, device, precision), names
        loaded = Pipeline.from_pretrained(
            self.model, layout=layout, image=image, memory=self.memory, device=device, precision=precision
        )
        return loaded, names
