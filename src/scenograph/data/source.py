"""The base class of data sets that can be packed: one class per source, in a file of its own.

A source first plans, in one process: it reads the annotations, decides which pictures are kept and in which split,
and counts what is not. Then ``read`` turns planned items into samples, in as many processes as there are cores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from scenograph.data.picture_files import PictureFiles
from scenograph.data.records import Reasons
from scenograph.errors import UserError
from scenograph.scenes.scene import Scene
from scenograph.scenes.vocabulary import Vocabulary

Item = TypeVar("Item")
Progress = Callable[[str, int], None]
"""Called with what is being read and how many records of it so far."""


@dataclass(frozen=True)
class Sample:
    """One row of a pack.

    ``picture`` is a file, encoded bytes, or pixels. ``size`` is the (width, height) the annotation states, if any: it
    shows whether a picture's EXIF rotation was applied before annotating, and reveals wrong pictures.
    """

    identifier: str
    scene: Scene
    picture: Path | bytes | Image.Image | None = None
    size: tuple[int, int] | None = None
    remarks: tuple[str, ...] = ()
    """Things that were repaired or left out inside this sample, which the summary counts and names some samples of."""


@dataclass
class Plan:
    """What will be packed. ``splits`` holds items that ``Source.read`` understands, small enough to send around."""

    vocabulary: Vocabulary
    splits: Mapping[str, Sequence[Any]]
    dropped: Counter[str] = field(default_factory=Reasons)
    """Why records are left out, and how many; :class:`~scenograph.data.records.Reasons` names some, too."""
    remarks: Reasons = field(default_factory=Reasons)
    """What is noted about records that are kept."""
    published_ids: Mapping[str, int] = field(default_factory=dict)
    """Category name to the index that the data set's publishers use."""


class Options(BaseModel):
    """Base of every source's options; the command line sets them as ``key=value``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outside: bool = Field(default=False, description="also read pictures to which names or links lead out of --root")

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The value of each option that is not given."""
        return {name: field.default for name, field in cls.model_fields.items()}


class Source(ABC):
    """One data set in its official form.

    Args:
        root: The folder of its files.
        options: Of the source's ``options_type``.
        work: A folder for intermediate files.
    """

    title: ClassVar[str]
    options_type: ClassVar[type[Options]] = Options

    def __init__(self, root: Path, options: Any, work: Path) -> None:
        self.root, self.options, self.work = root, options, work
        self.pictures = PictureFiles(root, options.outside)

    def inputs(self) -> list[Path]:
        """Annotation files, which must exist. If one changes, an interrupted pack starts again from the beginning."""
        return []

    @abstractmethod
    def plan(self, progress: Progress) -> Plan:
        """Read the annotations and decide what is packed.

        Args:
            progress: Called with what is being read and how many records of it so far.

        Raises:
            UserError: They are unreadable, or nothing is left to pack.
        """

    @abstractmethod
    def read(self, item: Any) -> Sample:
        """Turn one planned item into a sample, in a worker process.

        Raises:
            Skip: The sample is left out.
        """


class Samples(Source):
    """Samples that exist already, for Python callers: ``Samples(vocabulary, {"train": [...]})``.

    Args:
        vocabulary: All names that the scenes use.
        splits: The samples of each split, by its name.
    """

    title = "samples made in Python"

    def __init__(self, vocabulary: Vocabulary, splits: Mapping[str, Sequence[Sample]]) -> None:
        super().__init__(Path(), Options(), Path())
        self.vocabulary, self.splits = vocabulary, splits

    def plan(self, progress: Progress) -> Plan:  # noqa: D102
        return Plan(self.vocabulary, self.splits)

    def read(self, item: Sample) -> Sample:  # noqa: D102
        return item


def set_aside(items: Sequence[Item], count: int, where: str) -> dict[str, list[Item]]:
    """Split off ``count`` random items for validation, always the same; with 0 all are in ``train``.

    Raises ``UserError``, naming ``where`` they are from, if there are not more.
    """
    if count >= len(items) > 0:
        raise UserError(f"validation={count}: {where} holds only {len(items)}; set aside fewer")
    aside = set(np.random.default_rng(0).permutation(len(items))[:count].tolist())
    splits = {"train": [item for i, item in enumerate(items) if i not in aside]}
    if count:
        splits["validation"] = [item for i, item in enumerate(items) if i in aside]
    return splits
