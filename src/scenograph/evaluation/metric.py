"""What a metric is. A new one is a subclass of :class:`Metric` in a file of its own and a line in ``metrics.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from scenograph.evaluation.encoders import ClassifierEncoder, InceptionEncoder
from scenograph.evaluation.figure import Figure, ratio_figure
from scenograph.evaluation.layouts import Layouts
from scenograph.evaluation.session import Chunk, Evaluation, Progress
from scenograph.evaluation.subject import Subject
from scenograph.evaluation.tools import Tools
from scenograph.pretrained.networks import WEIGHTS, Download
from scenograph.scenes.scoring import Figures

Need = Literal["pictures", "real pictures", "predicted boxes", "rendering"]
"""Pictures to measure; real ones to compare with; boxes that a model chose; a model to render other scenes with."""


class Metric(ABC):
    """One way to measure, made for one evaluation: it holds the networks that it measures with.

    What it finds of each chunk lies in the evaluation's files, so that an evaluation can be continued and shared.
    """

    title: ClassVar[str] = ""
    """Of its figures in a report; its name if empty."""
    needs: ClassVar[frozenset[Need]] = frozenset({"pictures"})
    """Where any of it is missing, the metric is left out and the report says so."""
    order: ClassVar[int] = 100
    """Figures of metrics of lower order come first in a report."""
    headline: ClassVar[tuple[str, ...]] = ()
    """Figures that may stand at the head of a report, the most telling first."""
    versions: ClassVar[Mapping[str, int]] = {}
    """Of figures whose definition has changed: they are not compared with those of another version."""
    reference_settings: ClassVar[tuple[str, ...]] = ()
    """Settings of the protocol that change what :meth:`measure` finds of real pictures."""
    unrefined: ClassVar[str] = ""
    """Why refined boxes cannot be measured, if they cannot."""

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        """Load what it measures with.

        Args:
            layouts: The scenes that are asked for, and the protocol.
            tools: Networks that were named, and the device.

        Raises:
            UserError: A network or a file is missing or damaged.
        """
        self.layouts, self.tools = layouts, tools

    @classmethod
    def why_inapplicable(cls, layouts: Layouts, subject: Subject, tools: Tools) -> str:
        """What it needs that is missing here.

        Args:
            layouts: The scenes that are asked for, and the protocol.
            subject: What is measured.
            tools: Networks that were named, and the device.

        Returns:
            The reason in words, for the report; empty if nothing is missing.
        """
        given = layouts.protocol.given
        if "real pictures" in cls.needs and not layouts.pictured:
            return "the data has no pictures to compare with"
        if "predicted boxes" in cls.needs and subject.pictures is not None:
            return "pictures made elsewhere do not say where their objects are"
        if "predicted boxes" in cls.needs and given != "graph":
            return f"objects are where the {given} that are given have them"
        if "rendering" in cls.needs and subject.pictures is not None:
            return "of pictures made elsewhere no others can be asked for"
        if cls.needs & {"pictures", "rendering"} and not subject.pictured:
            return "a layout model renders no pictures"
        return ""

    @classmethod  # noqa: B027 (most have nothing to check)
    def check(cls, layouts: Layouts, tools: Tools) -> None:
        """Check settings and options. All metrics do so before any loads a network.

        Args:
            layouts: The scenes that are asked for, and the protocol.
            tools: Networks that were named, and the device.

        Raises:
            UserError: A setting or an option does not fit.
        """

    @classmethod
    def downloads(cls, layouts: Layouts, tools: Tools) -> Sequence[Download]:
        """Published networks that making it would fetch.

        Args:
            layouts: The scenes that are asked for, and the protocol.
            tools: Networks that were named, and the device.

        Returns:
            Those that are not on this machine.
        """
        return ()

    def digests(self) -> dict[str, str]:
        """SHA-256 of the networks and files that it measures with: a change of any makes another evaluation."""
        return {}

    def measure(self, chunk: Chunk) -> dict[str, np.ndarray]:
        """Arrays by name of a chunk of pictures: generated ones, and real ones for a metric that compares.

        They are kept until all chunks are measured. Metrics share the names.
        """
        return {}

    @abstractmethod
    def figures(self, evaluation: Evaluation, progress: Progress) -> list[Figure]:
        """Summarise what was measured of all chunks.

        Args:
            evaluation: Holds the arrays that :meth:`measure` made, by name.
            progress: Is called with what is done, how much of it, and of how much.

        Returns:
            Figures, each with what it means.
        """

    def notes(self) -> list[str]:
        """What readers of the report must know of the networks."""
        return []

    def write_files(self, evaluation: Evaluation) -> list[Path]:
        """Write what it has to say beside figures. Returns the paths."""
        return []


class EncoderMetric(Metric):
    """A metric in the features of the protocol's encoder."""

    def __init__(self, layouts: Layouts, tools: Tools) -> None:
        super().__init__(layouts, tools)
        self.encoder = tools.load_encoder(layouts.protocol.encoder, layouts.vocabulary.categories)

    @classmethod
    def why_inapplicable(cls, layouts: Layouts, subject: Subject, tools: Tools) -> str:
        """As in the base class; and a classifier whose features are compared must know the data."""
        if why := super().why_inapplicable(layouts, subject, tools):
            return why
        if layouts.protocol.encoder != "classifier":
            return ""
        why = tools.why_no_classifier(layouts.vocabulary.categories)
        return f"{why}, or take --encoder inception" if why else ""

    @classmethod
    def downloads(cls, layouts: Layouts, tools: Tools) -> Sequence[Download]:
        """The encoder's."""
        return tools.encoder_downloads(layouts.protocol.encoder)

    def digests(self) -> dict[str, str]:
        """The encoder's."""
        return {"encoder": self.encoder.digest}

    def notes(self) -> list[str]:
        """Whether Inception's weights are the published ones, and which classifier was chosen."""
        digest = self.encoder.digest
        if isinstance(self.encoder, ClassifierEncoder):
            return self.tools.remarks()
        if not isinstance(self.encoder, InceptionEncoder) or digest.startswith(WEIGHTS["inception"].sha256):
            return []
        return [f"Inception's weights ({digest[:8]}) are not the published ones: no score of any paper"]


def counted(figures: Figures, repeats: int) -> dict[str, np.ndarray]:
    """Sums and counts per picture as arrays per layout: repeats of one layout are not independent."""
    arrays = {}
    for name, (sums, counts) in figures.items():
        arrays[f"sum {name}"] = sums.reshape(-1, repeats).sum(axis=1)
        arrays[f"count {name}"] = counts.reshape(-1, repeats).sum(axis=1)
    return arrays


def counted_figures(
    evaluation: Evaluation, meanings: Mapping[str, str], nothing: Mapping[str, str], weights: str = ""
) -> list[Figure]:
    """Shares and means of what :func:`counted` kept, by name and meaning, and why there may be nothing to count."""
    return [
        ratio_figure(
            name,
            evaluation.all(f"sum {name}"),
            evaluation.all(f"count {name}"),
            meaning,
            weights,
            nothing.get(name, "no object is counted"),
        )
        for name, meaning in meanings.items()
    ]
