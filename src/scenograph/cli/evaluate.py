"""``scenograph evaluate``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import console, track, write_files
from scenograph.errors import UserError
from scenograph.files import make_folder

if TYPE_CHECKING:
    from scenograph.scenes.scene import Scene

BATCH = 25

MEANING = {
    "relations": "asked relations that the layout shows",
    "collisions": "objects that another covers by more than three quarters",
    "box_iou": "mean overlap with the true boxes",
    "recall_0.3": "boxes that overlap the true one by more than 0.3",
    "recall_0.5": "boxes that overlap the true one by more than 0.5",
    "category": "objects recognised as the asked category",
    "all": "objects recognised in everything that was asked",
}


def evaluate(
    pack: Annotated[Path, typer.Option("--pack", help="Pack whose scenes are asked for.")],
    model: Annotated[str | None, typer.Option("--model", help="As in generate.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="As in generate.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="As in generate.")] = None,
    split: Annotated[str, typer.Option("--split", help="Which split.")] = "validation",
    scenes: Annotated[int, typer.Option("--scenes", min=1, help="How many scenes.")] = 200,
    classifier: Annotated[
        str | None, typer.Option("--classifier", help="Judge of objects. (default: the shipped one)")
    ] = None,
    true_layout: Annotated[
        bool, typer.Option("--true-layout", help="Give the true boxes and masks instead of the graph alone.")
    ] = False,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="As in generate.")] = None,
    device: Annotated[str, typer.Option("--device", help="As in generate.")] = "auto",
    out: Annotated[Path | None, typer.Option("--out", help="Also write the figures here (.json).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Measure how well pictures do what was asked: relations, overlap, and what a classifier recognises."""
    from dataclasses import replace

    from scenograph.evaluation.agreement import object_agreement
    from scenograph.evaluation.layouts import layout_figures_of_scenes
    from scenograph.models.object_classifier import ObjectClassifier
    from scenograph.models.registry import AutoModel
    from scenograph.pipelines import DEFAULT_CLASSIFIER, Pipeline

    pipe = Pipeline.from_pretrained(model, layout=layout, image=image, device=device)
    judge = AutoModel.from_pretrained(classifier or DEFAULT_CLASSIFIER)
    if not isinstance(judge, ObjectClassifier):
        raise UserError(f"--classifier {classifier}: is a {judge.name}, not an object-classifier")
    true = _scenes(pack, split, scenes)
    hidden = [replace(s, objects=tuple(replace(thing, box=None, mask=None) for thing in s.objects)) for s in true]
    asked = true if true_layout else hidden
    sums: dict[str, list[float]] = {}
    seconds = 0.0
    for start in track(range(0, len(asked), BATCH), "drawing", -(-len(asked) // BATCH)):
        part = asked[start : start + BATCH]
        began = time.perf_counter()
        encoding = pipe.encode_pairs(part, range(start, start + len(part)))
        images = pipe.render(encoding, steps)
        seconds += time.perf_counter() - began
        figures = layout_figures_of_scenes(encoding.scenes, true[start : start + BATCH], judge.vocabulary)
        figures |= object_agreement(images, encoding.scenes, judge)
        for name, (total, count) in figures.items():
            before = sums.get(name, [0.0, 0.0])
            sums[name] = [before[0] + total, before[1] + count]
    means = {name: round(total / max(count, 1.0), 4) for name, (total, count) in sums.items()}
    means["seconds_per_picture"] = round(seconds / len(asked), 4)
    objects = int(sums["all"][1])
    console.print(f"{len(asked)} scenes of {pack} ({split}), {objects} objects judged")
    for name, value in means.items():
        console.print(f"  {name:<20}{value:>8.4f}   {MEANING.get(name, '')}".rstrip())
    if out is not None:
        make_folder(out.parent)
        write_files([(out, (json.dumps(means, indent=1) + "\n").encode())], overwrite)
        console.print(f"wrote {out}")


def _scenes(pack: Path, split: str, count: int) -> list[Scene]:
    """The split's first scenes with a random part of their relations, the same every time."""
    from scenograph.data.loader import PackLoader

    return PackLoader(pack, split, (64, 64), 16, relations="subset").scenes(0, count)
