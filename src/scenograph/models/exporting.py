"""How models become graphs of tensors for other runtimes: each declares what goes in, what comes out, and how.

A graph sees a batch of scenes as models do, ragged and flat (see :class:`scenograph.scenes.batch.SceneBatch`), so that
numbers of objects, relations and pictures are free. All randomness goes in: a graph samples nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

from scenograph.models.base import Model
from scenograph.scenes.batch import SceneBatch

Axis = int | str
"""The length of an axis, or the name of one whose length is free."""
FREE = {"pictures": 2, "objects": 5, "relations": 3, "rows": 7, "layers": 3, "height": 256, "width": 384}
"""Lengths of free axes while a graph is recorded. None is 1, which torch would take for a fixed length."""


@dataclass(frozen=True)
class Port:
    """An input or an output of a graph."""

    name: str
    shape: tuple[Axis, ...]
    meaning: str
    """Units, range and what it is, in one sentence."""
    dtype: torch.dtype = torch.float32

    def example(self) -> Tensor:
        """Zeros of this form; graphs are recorded with them, and no shape depends on values."""
        return torch.zeros([FREE[axis] if isinstance(axis, str) else axis for axis in self.shape], dtype=self.dtype)


@dataclass(frozen=True)
class Graph:
    """A part of a model that is recorded as it is: tensors in, tensors out."""

    name: str
    """That of its file."""
    purpose: str
    compute: Callable[..., Tensor | tuple[Tensor, ...]]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, kw_only=True)
class Flow:
    """How a graph that predicts a velocity is followed from noise to a result."""

    graph: str
    state: str
    """Its input that changes: it begins as what ``start`` says, and each step adds the output to it."""
    start: str
    finish: str
    solver: Literal["euler", "heun"]
    steps: int
    """Times are 0, 1 / steps, ..., 1."""
    guidance: float = 1.0
    """1: the velocity is the graph's. Otherwise ``v0 + guidance * (v - v0)``, ``v0`` with a condition of zeros."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All graphs of a model, and how they are used."""

    graphs: tuple[Graph, ...]
    how: tuple[str, ...]
    """What to do, step by step."""
    flow: Flow | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    """Numbers that the steps mention."""


class ComputesGraphs(Protocol):
    """Another runtime than torch, which computes the graphs of one model."""

    def __call__(self, graph: str, batch: SceneBatch, **others: Tensor) -> list[Tensor]:
        """The outputs of a graph, in order.

        Args:
            graph: Its name.
            batch: Its inputs that are fields of a batch, and the number of pictures.
            **others: Its other inputs, by name.
        """
        ...


class Exports(ABC):
    """The role of models that can be exported as graphs."""

    has_runtimes: ClassVar[bool] = False
    """Whether this model uses ``graphs`` where it is given them."""
    graphs: ComputesGraphs | None = None
    """What computes the graphs of this model in torch's place."""

    @abstractmethod
    def exported(self) -> Plan:
        """The graphs of this model, in eval mode.

        Raises:
            UserError: In its configuration it cannot be exported; the message gives the reason.
        """


class ScenePorts:
    """Makes the graphs of a model that read scenes."""

    def __init__(self, model: Model) -> None:
        vocabulary, config = model.vocabulary, model.config
        self.groups = [len(names) for names in vocabulary.attributes.values()]
        self.mask_side = config.mask_side
        side = config.crop_side or 1
        numbers = f"0 to {len(vocabulary.categories) - 1}"
        most = ", ".join(str(count - 1) for count in self.groups)
        ports = [
            Port("pictures", ("pictures",), "numbers of the pictures: 0, 1, 2, ...", torch.int64),
            Port("objects", ("objects",), f"category of each object, {numbers}", torch.int64),
            Port(
                "attributes",
                ("objects", len(self.groups)),
                f"attributes of each object, at most {most} in the order of the groups, -1 where open",
                torch.int64,
            ),
            Port(
                "object_to_image",
                ("objects",),
                "the picture that each object is in, in ascending order",
                torch.int64,
            ),
            Port(
                "triples",
                ("relations", 3),
                "relations: row of the subject, predicate, row of the object; rows count over all pictures",
                torch.int64,
            ),
            Port("triple_to_image", ("relations",), "the picture that each relation is in", torch.int64),
            Port("boxes", ("objects", 4), "x0, y0, x1, y1 as fractions of the canvas, origin top left"),
            Port(
                "masks",
                ("objects", self.mask_side, self.mask_side),
                "in [0, 1], relative to the boxes; read where known_masks says so",
            ),
            Port("known_masks", ("objects",), "which objects have a mask; the others fill their boxes", torch.bool),
            Port(
                "crops",
                ("objects", 4, side, side),
                "colours and alpha of a crop of each object, in [-1, 1]; alpha is -1 everywhere where there is none",
            ),
        ]
        self.ports = {port.name: port for port in ports}

    def graph(
        self,
        name: str,
        purpose: str,
        compute: Callable[..., Tensor | tuple[Tensor, ...]],
        takes: Sequence[str | Port],
        gives: Sequence[Port],
    ) -> Graph:
        """A graph of scenes.

        Args:
            name: Of its file.
            purpose: In one sentence.
            compute: Called with the batch, then with the tensors of all ports in ``takes`` that are no fields of it.
            takes: Names of a batch's fields, with ``pictures`` where their number counts, and other ports.
            gives: The ports of its results.
        """
        empty = {"attributes"} if not self.groups else set()
        inputs = tuple(self.ports[one] if isinstance(one, str) else one for one in takes if one not in empty)

        def compute_on_batch(*tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
            named = zip(inputs, tensors, strict=True)
            fields = {port.name: tensor for port, tensor in named if port.name in self.ports}
            others = [tensor for port, tensor in zip(inputs, tensors, strict=True) if port.name not in self.ports]
            return compute(self._batch(fields), *others)

        return Graph(name, purpose, compute_on_batch, inputs, tuple(gives))

    def _batch(self, given: dict[str, Tensor]) -> SceneBatch:
        """A batch of the given fields; what is not among them is open."""
        objects, count = given["objects"], given["objects"].shape[0]
        pictures = given.pop("pictures", None)
        open_fields = {
            "attributes": objects.new_full((count, len(self.groups)), -1),
            "triples": objects.new_zeros((0, 3)),
            "object_to_image": torch.zeros_like(objects),
            "boxes": torch.full((count, 4), float("nan")),
            "masks": torch.ones((count, self.mask_side, self.mask_side)),
            "known_masks": torch.zeros_like(objects, dtype=torch.bool),
        }
        fields = open_fields | given
        fields.setdefault("triple_to_image", fields["triples"].new_zeros(fields["triples"].shape[0]))
        if pictures is not None:
            return SceneBatch(num_images=pictures.shape[0], **fields)
        # Recorded graphs that do not take the pictures do not count them.
        return SceneBatch(num_images=1 if is_compiling() else int(fields["object_to_image"].max()) + 1, **fields)


def exported_with_latents(
    model: Model, image_object: bool, compute: Callable[..., tuple[Tensor, Tensor]], noise: Sequence[Port] = ()
) -> Plan:
    """The plan of a generator of boxes, masks and latents, whose objects have a latent each, and the picture as well.

    Args:
        model: With a ``latent_size``.
        image_object: Whether every picture has one more object, which has a latent, too.
        compute: A batch, latents of objects and of pictures, and noise -> pictures, and masks of the objects.
        noise: Ports of further noise.
    """
    length, (height, width) = int(model.config.latent_size), model.config.picture_sides  # type: ignore[attr-defined]
    side = model.config.mask_side
    own = [
        Port("object_latents", ("objects", length), "standard normal numbers, one row per object"),
        Port("image_latents", ("pictures", length), "standard normal numbers, one row per picture"),
        Port("picture_latents", ("pictures", length), "standard normal numbers, one row per picture"),
    ]
    if not image_object:
        del own[1]

    def run(batch: SceneBatch, objects: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        if image_object:
            image, *others = others  # type: ignore[assignment]
            objects = torch.cat([objects, image])
        return compute(batch, objects, *others)

    scene = ("pictures", "objects", "attributes", "object_to_image", "boxes", "masks", "known_masks")
    gives = [
        Port("images", ("pictures", 3, height, width), "pictures in [-1, 1]"),
        Port("shapes", ("objects", side, side), "the masks that the picture shows, in (0, 1), relative to the boxes"),
    ]
    graph = ScenePorts(model).graph("picture", "Renders layouts.", run, [*scene, *own, *noise], gives)
    return Plan(graphs=(graph,), how=("Every object needs a box. Run 'picture' on the scenes and on noise.",))


class Recorded(nn.Module):
    """A graph as a module, which is what torch records."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.compute = graph.compute

    def forward(self, *tensors: Tensor) -> Tensor | tuple[Tensor, ...]:
        """The tensors of the graph's inputs, in order -> those of its outputs."""
        return self.compute(*tensors)
