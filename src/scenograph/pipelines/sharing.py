"""Pictures of a request that the workers of a cluster render."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from functools import lru_cache

from scenograph.data.processes import run_in_processes
from scenograph.devices import Precision
from scenograph.errors import UserError
from scenograph.pipelines.options import GenerateOptions
from scenograph.pipelines.outputs import Outputs
from scenograph.pipelines.pipeline import Pipeline
from scenograph.pipelines.provenance import PlannedPicture

Models = tuple[tuple[str, str | None], ...]
"""The names of a request's models, by what they do."""


def render_on_cluster(outputs: Outputs, address: str, device: str) -> Iterator[None]:
    """Have a cluster render the pictures of a request that are missing.

    Args:
        outputs: Of the request, whose models all workers can read by the same names.
        address: Of the scheduler.
        device: Of each worker, such as ``auto``.

    Yields:
        Nothing, for each batch of pictures that is there.

    Raises:
        UserError: See :func:`~scenograph.data.cluster.run_on_cluster`; a worker has other models by the same names.
    """
    request = outputs.request
    models, options = tuple(request.models.items()), request.options
    tasks = [(models, options, request.digests, device, batch) for batch in outputs.left()]
    yield from run_in_processes(_render, tasks, address)
    outputs.look_again()


def _render(
    models: Models, options: GenerateOptions, digests: dict[str, str], device: str, batch: Sequence[PlannedPicture]
) -> None:
    """In a worker: render a batch."""
    pipe = _pipeline(models, device, options.precision)
    if pipe.digests(options) != digests:
        raise UserError(f"the worker on {socket.gethostname()} has other models by these names; give it the same files")
    pipe.render_planned(batch, **options.chosen())


@lru_cache(maxsize=1)
def _pipeline(models: Models, device: str, precision: Precision) -> Pipeline:
    """Once per worker."""
    return Pipeline.from_pretrained(**dict(models), device=device, precision=precision)  # type: ignore[arg-type]
