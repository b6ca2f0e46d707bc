"""``scenograph layout``: graphs in, boxes and masks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import batches, parse_seeds, say_written, track, write_files
from scenograph.cli.scene import encoded, read_source
from scenograph.devices import Precision
from scenograph.files import make_folder

if TYPE_CHECKING:
    from scenograph.scenes.scene import Scene


def layout(
    source: Annotated[str, typer.Argument(metavar="SCENE", help="A scene file (.json) or one line of text.")],
    layout: Annotated[
        str | None, typer.Option("--layout", help="Model that places objects. (default: the shipped one)")
    ] = None,
    seeds: Annotated[str, typer.Option("--seeds", help="One layout per seed, for example 0-15.")] = "0",
    refine: Annotated[
        bool, typer.Option("--refine", help="Move placed boxes as little as needed so that every relation holds.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="As in generate.")] = "auto",
    precision: Annotated[
        Precision, typer.Option("--precision", help="Of placing; bf16 is faster where the machine computes in it.")
    ] = "no",
    out: Annotated[Path, typer.Option("--out", help="Folder for scenes and drawings.")] = Path("layouts"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = False,
) -> None:
    """Place the objects of a scene: writes the scenes with boxes and masks, and a drawing of each layout.

    The scene file that comes out is one to edit, draw (generate), or place again.
    """
    from scenograph.devices import pick_device
    from scenograph.pipelines import (
        DEFAULT_LAYOUT,
        check_contradictions,
        check_model_names,
        load_layout_model,
        place_objects,
        warn_of_crowds,
    )
    from scenograph.scenes.canonical import agreed
    from scenograph.scenes.drawing import draw_layout
    from scenograph.scenes.scene import scenes_to_json

    model = load_layout_model(layout or DEFAULT_LAYOUT, pick_device(device), precision)
    scenes, stem = read_source(source, model.vocabulary)
    check_model_names("layout", model, scenes, refine)
    warn_of_crowds(model, scenes)
    if refine:
        check_contradictions(scenes)
    else:
        scenes = agreed(scenes)
    numbers = parse_seeds(seeds)
    pairs = [(scene, seed) for scene in scenes for seed in numbers]
    placed: list[Scene] = []
    for part in batches(pairs, "placing"):
        asked, numbered = [scene for scene, _ in part], [seed for _, seed in part]
        placed += place_objects(model, asked, numbered, refine, precision=precision)
    scene_file = out / f"{stem}.json"
    make_folder(out)
    write_files([(scene_file, scenes_to_json(placed).encode())], overwrite)
    drawings = []
    for number, (scene, (_, seed)) in enumerate(zip(track(placed, "drawing", len(placed)), pairs, strict=True)):
        name = stem if len(scenes) == 1 else f"{stem}-{number // len(numbers)}"
        drawings.append(out / f"{name}-seed{seed}-layout.png")
        write_files([(drawings[-1], encoded(draw_layout(scene)))], overwrite)
    say_written(drawings, [scene_file])
