"""Options of generation on the command line, made from the one place that declares them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from annotated_types import Ge, Le
from pydantic import ValidationError

from scenograph.data.processes import WHOLE, Part
from scenograph.data.processes import Workers as Sharing
from scenograph.devices import Precision
from scenograph.errors import UserError, rule_and_value
from scenograph.pipelines.options import GenerateOptions

SceneArgument = Annotated[
    str, typer.Argument(metavar="SCENE", help="Scene file (.json), drawing (.svg, .ndjson, .jpg), or a line of text.")
]
ModelName = Annotated[str | None, typer.Option("--model", metavar="MODEL", help="Model that both places and renders.")]
LayoutName = Annotated[
    str | None,
    typer.Option("--layout", metavar="MODEL", help="Model that places objects. (default: the shipped one)"),
]
ImageName = Annotated[
    str | None,
    typer.Option(
        "--image", metavar="MODEL", help="Model that renders pictures, or diffusers:ID. (default: the shipped one)"
    ),
]
MemoryName = Annotated[
    str | None, typer.Option("--memory", metavar="MEMORY", help="Memory of crops to compose pictures from.")
]
ClassifierName = Annotated[
    str | None,
    typer.Option("--classifier", metavar="MODEL", help="Classifier of objects. (default: the shipped one)"),
]
PlannerName = Annotated[
    str | None,
    typer.Option(
        "--planner",
        metavar="PLANNER",
        help="Language model that reads the text: openai:MODEL@URL or transformers:MODEL.",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        "--weights", metavar="NAME=FILE", help="Local file of inception, dinov2, backbone or heads. Repeatable."
    ),
]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="Device, such as cpu, gpu or cuda:1.")]
PrecisionName = Annotated[Precision, typer.Option("--precision", help="bf16 is faster on hardware that supports it.")]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="Parallel processes. (default: all cores)")
]
Cluster = Annotated[
    str | None, typer.Option("--cluster", metavar="ADDRESS", help="Dask scheduler whose workers share the work.")
]
PartName = Annotated[
    str | None,
    typer.Option("--part", metavar="K/N", help="Do only part K of N, or merge all parts: --part merge."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]


def shared_work(workers: int | None, cluster: str | None, part: str | None) -> tuple[Sharing, Part]:
    """Who does the work of a command, and which part of it. Raises ``UserError`` for options that are at odds."""
    if cluster is not None and (workers, part) != (None, None):
        other = "--workers" if part is None else "--part"
        raise UserError(f"--cluster {cluster} shares all of the work among its workers; leave {other} out")
    return cluster or workers or os.cpu_count() or 1, WHOLE if part is None else Part.parse(part)


def takes_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for each of these fields of ``GenerateOptions``, all of them without names.

    The command has a parameter ``options``, in whose place the options of the command line stand; it receives them as
    one object.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = names or tuple(GenerateOptions.model_fields)
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "options":
                parameters += [_parameter(name) for name in fields]
            else:
                by_name = inspect.Parameter.KEYWORD_ONLY
                parameters.append(parameter.replace(kind=by_name, annotation=hints[parameter.name]))

        def run(**values: Any) -> None:
            given = {name: values.pop(name) for name in fields}
            chosen = {name: value for name, value in given.items() if value is not None and value is not False}
            try:
                options = GenerateOptions(**chosen)
            except ValidationError as error:
                first = error.errors()[0]
                flag = str(first["loc"][0]).replace("_", "-")
                raise UserError(f"--{flag}: {rule_and_value(first)}") from error
            command(**values, options=options)

        run.__doc__, run.__name__ = command.__doc__, command.__name__
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    """The option of a field: its flag, type, limits, help and default, which is None where nothing is given."""
    field = GenerateOptions.model_fields[name]
    limits: dict[str, Any] = {}
    for limit in field.metadata:
        if isinstance(limit, Ge):
            limits["min"] = limit.ge
        if isinstance(limit, Le):
            limits["max"] = limit.le
    kind: Any = _kind(field.annotation)
    text = str(field.description)
    if field.default not in (None, False):
        text = f"{text} (default: {field.default})"
    metavar = {int: "N", float: "N", Path: "FILE", list[str]: name.upper()}.get(kind)
    option = typer.Option(f"--{name.replace('_', '-')}", metavar=metavar, help=text, **limits)
    annotation = Annotated[bool, option] if kind is bool else Annotated[kind | None, option]
    default = False if kind is bool else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _kind(annotation: Any) -> Any:
    """What the command line reads: of alternatives the first; several texts where there may be several."""
    if get_origin(annotation) is tuple:
        return list[str]
    if get_origin(annotation) is Literal or not get_args(annotation):
        return annotation
    return _kind(next(kind for kind in get_args(annotation) if kind is not type(None)))
