"""``scenograph compose``: draft, check, repair."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scenograph.cli.console import console, parse_seeds, progress_reports, say_written
from scenograph.cli.options import (
    ClassifierName,
    Device,
    ImageName,
    MemoryName,
    Overwrite,
    SceneArgument,
    takes_options,
)
from scenograph.cli.scene import offer_to_keep, read_source, roomy_pair_for
from scenograph.errors import UserError, counted
from scenograph.files import make_folder
from scenograph.pipelines.options import GenerateOptions

if TYPE_CHECKING:
    from scenograph.evaluation.composing import Composition
    from scenograph.pipelines.pipeline import Pipeline
    from scenograph.pipelines.provenance import Request

MISE = "mise"
"""The name, among drafts, of the layout models that ship, of which the scene decides one."""


@takes_options(
    *("candidates", "refine", "keep_contradictions", "size", "steps", "truncation", "precision", "runtime"),
    *("control", "start", "strength", "prompt", "negative", "guidance", "offload"),
)
def compose(
    source: SceneArgument,
    *,
    draft: Annotated[
        str, typer.Option("--draft", metavar="MODEL", help="Model that drafts layouts; mise is the shipped one.")
    ] = MISE,
    image: ImageName = None,
    memory: MemoryName = None,
    check: Annotated[
        Literal["classifier", "detector", "probes"],
        typer.Option("--check", help="What checks objects and relations."),
    ] = "classifier",
    classifier: ClassifierName = None,
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="MODEL",
            help="OWL-ViT, OWLv2, one of COCO, or one trained here. (default: the shipped one)",
        ),
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", metavar="N", min=1, max=1000, help="Pictures rendered at most.")
    ] = 3,
    seeds: Annotated[
        str, typer.Option("--seeds", metavar="SEEDS", help="Seeds, such as 0-3; a picture for each.")
    ] = "0",
    options: GenerateOptions,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for pictures and reports.")] = Path(
        "composed"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Compose a picture in rounds: draft, render, check, repair.

    The best of several drafts of the layout is rendered, and every object and
    relation of the picture checked. What is wrong is repaired and rendered
    again: other looks, a larger box, another place, another seed; diffusers
    models also paint an object again where it is, and heed the layout more.
    The best round is kept. Beside each picture are those of all rounds, and a
    report.

    --check classifier knows the names of shipped models; detector, what the
    detector knows; probes need no network, but render without each object.
    """
    from scenograph.devices import pick_device
    from scenograph.evaluation import composing
    from scenograph.evaluation.checking import load_checker
    from scenograph.evaluation.tools import Tools
    from scenograph.pipelines.provenance import Request

    numbers = parse_seeds(seeds)
    pipe = _load(source, None if draft == MISE else draft, image, memory, device, options)
    given, stem = read_source(source, pipe.vocabulary)
    scenes = pipe.read(given, options.refine, options.keep_contradictions)
    offer_to_keep(given, scenes)
    pipe.renderer.check_options(options)
    request = Request(scenes, numbers, pipe.names, options, stem, pipe.digests(options))
    how = {"check": check, "classifier": classifier, "detector": detector, "rounds": rounds}
    left = _left(request, how, out, overwrite)
    make_folder(out)
    tools = Tools(device=pick_device(device), classifier_name=classifier, detector_name=detector)
    checker = load_checker(check, scenes, pipe, tools, options.chosen())
    for path, (number, seed, asked) in left.items():
        with progress_reports() as report:
            report("round", 0, rounds)
            told = partial(report, "round", of=rounds)
            made = composing.compose(scenes[number], pipe, checker, rounds, seed, told, **options.chosen())
        _say(made)
        picture, *others = made.save(out, path.stem, overwrite, asked)
        say_written([picture], others[len(made.rounds) :])


def _left(request: Request, how: dict[str, Any], out: Path, overwrite: bool) -> dict[Path, tuple[int, int, str]]:
    """The pictures that are not there yet: of each, the scene's number, the seed, and all that is asked for, in JSON.

    Raises ``UserError`` for a file that was not composed for this.
    """
    from scenograph.pipelines.provenance import has_record
    from scenograph.scenes.png import COMPOSED

    planned = {}
    for number, seed in product(range(len(request.scenes)), request.seeds):
        asked = json.dumps({**json.loads(request.record(number, seed)), **how})
        planned[out / request.file_name(number, seed)] = (number, seed, asked)
    there = [] if overwrite else [path for path in planned if path.exists()]
    for path in there:
        if not has_record(path, planned[path][2], COMPOSED):
            raise UserError(f"{path} exists; add --overwrite, or write to another place")
    if there:
        verb = "was" if len(planned) == 1 else "were"
        console.print(f"{len(there)} of {counted(len(planned), 'picture')} {verb} there already")
    return {path: one for path, one in planned.items() if path not in there}


def _load(
    source: str, layout: str | None, image: str | None, memory: str | None, device: str, options: GenerateOptions
) -> Pipeline:
    """The pipeline of the named models; those that are not named are of the pair that knows the names of a scene."""
    from scenograph.pipelines.defaults import COLLAGE, DIFFUSERS
    from scenograph.pipelines.pipeline import Pipeline

    if image is None and memory is not None:
        image = COLLAGE
    elif image is not None and image.startswith(DIFFUSERS):  # it knows any names, and places none
        layout = layout or roomy_pair_for(source).layout
    elif image is None:
        pair = roomy_pair_for(source)
        layout, image = layout or pair.layout, pair.image
        console.print(f"models: {layout} and {image} ({pair.about})")
    return Pipeline.from_pretrained(
        layout=layout, image=image, memory=memory, device=device, precision=options.precision
    )


def _say(made: Composition) -> None:
    """A line for each round."""
    for number, one in enumerate(made.rounds):
        kept = " (kept)" if number == made.best and len(made.rounds) > 1 else ""
        console.print(f"round {number + 1}{kept}: {one}")
        for change in one.plan.changes:
            console.print(f"  {change}")
