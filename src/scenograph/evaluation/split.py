"""The scenes of a pack's split as a request for pictures: those that an evaluation renders, to be drawn only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scenograph.data.pack import read_record
from scenograph.errors import UserError, counted
from scenograph.evaluation.layouts import Layouts, given_part
from scenograph.evaluation.protocols import TOLD, Given, default_protocol, find_protocol
from scenograph.evaluation.session import SEED_STEP
from scenograph.evaluation.subject import check_scenes
from scenograph.files import safe_names
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.provenance import Request
from scenograph.scenes.scene import Scene


@dataclass(frozen=True)
class Split:
    """The scenes of a split, as models are asked for them."""

    layouts: Layouts
    given: Given

    @staticmethod
    def of(pack: Path, split: str | None = None, count: int | None = None, given: Given = "graph") -> Split:
        """By the protocol for the pack's data, apart from what is given.

        Args:
            pack: Its folder.
            split: The protocol's without.
            count: The first so many scenes; all without.
            given: What the models are given. Graphs of data that stores no relations are sg2im's, derived from boxes.

        Raises:
            UserError: There is no such pack or split.
        """
        record = read_record(pack)
        changes = {"splits": None if split is None else (split,), "given": given, "repeats": 1}
        protocol = find_protocol(default_protocol(str(record["source"])), changes)
        protocol = protocol.model_copy(update={"layouts": count})
        layouts = Layouts(pack, protocol)
        (name,) = protocol.splits
        if given == "graph" and protocol.relations != "canonical" and not record["splits"][name]["relations"]:
            layouts = Layouts(pack, protocol.model_copy(update={"relations": "sg2im"}))
        return Split(layouts, given)

    @property
    def name(self) -> str:
        """Of the split."""
        return self.layouts.protocol.splits[0]

    def __str__(self) -> str:
        derived = ", relations derived from boxes" if self.layouts.protocol.relations == "sg2im" else ""
        told = f"graphs{derived}" if self.given == "graph" else TOLD[self.given]
        return f"{counted(self.layouts.count, 'scene')} of split {self.name}; the models are given {told}"

    def scenes(self) -> list[Scene]:
        """What the models are given of each scene."""
        chunks = range(self.layouts.chunks)
        return [given_part(scene, self.given) for chunk in chunks for scene in self.layouts.scenes(chunk)]

    def file_names(self) -> list[str]:
        """A name of each scene for its files: its id in the data."""
        pack = self.layouts.parts[0].pack
        without = tuple(name for name in pack.table.column_names if name != "id")
        return safe_names(str(row["id"]) for row in pack.rows(range(self.layouts.count), without))

    def request(
        self, pipe: Pipeline, seeds: list[int], models: dict[str, str | None], options: GenerateOptions
    ) -> Request:
        """A request for a picture of each scene and seed: for seed ``r`` those that an evaluation has as repeat ``r``.

        Args:
            pipe: What will render them.
            seeds: Numbers of repeats; scene i is rendered with ``i + r * SEED_STEP``.
            models: As named, for the record.
            options: Of generation, for the record.

        Raises:
            UserError: A scene has a name that a model does not know, or options contradict what is given.
        """
        if options.refine and self.given != "graph":
            raise UserError(f"--refine moves boxes that models place, of which --given {self.given} leaves none")
        check_scenes(self.layouts, pipe.renderer, pipe.layout)
        stem = safe_names([f"{self.layouts.pack.resolve().name}-{self.name}"])[0]
        digests = pipe.digests(options)
        return Request(self.scenes(), seeds, models, options, stem, digests, self.file_names(), SEED_STEP)
