"""``scenograph layout``: graphs in, boxes and masks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import batches, parse_seeds, say_written, track, write_files
from scenograph.cli.options import Device, LayoutName, Overwrite, PrecisionName, SceneArgument, takes_options
from scenograph.cli.scene import encoded, offer_to_keep, read_source, roomy_pair_for
from scenograph.files import make_folder
from scenograph.pipelines.options import GenerateOptions

if TYPE_CHECKING:
    from scenograph.scenes.scene import Scene


@takes_options("refine", "keep_contradictions", "candidates")
def layout(
    source: SceneArgument,
    *,
    layout: LayoutName = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="SEEDS", help="Seeds, such as 0-15 or 1,4,8.")] = "0",
    options: GenerateOptions,
    device: Device = "auto",
    precision: PrecisionName = "no",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the scenes and drawings.")] = Path(
        "layouts"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Place the objects of a scene and draw the layouts.

    The scene file that it writes holds boxes and masks. It can be edited,
    placed again, or rendered with scenograph generate. With a Scene Designer as
    --layout, sketched objects get the masks that it predicts.
    """
    from scenograph.devices import pick_device
    from scenograph.pipelines.placing import load_layout_models, place_objects, read_to_place
    from scenograph.pipelines.shaping import say_shapes, with_shapes
    from scenograph.scenes.drawing import draw_layout
    from scenograph.scenes.scene import scenes_to_json
    from scenograph.scenes.synonyms import with_known_names

    model, shapes = load_layout_models(layout or roomy_pair_for(source).layout, pick_device(device), precision)
    scenes, stem = read_source(source, model.vocabulary)
    named = with_known_names(scenes, model.vocabulary)
    scenes = read_to_place(model, named, options.refine, options.keep_contradictions, shapes)
    offer_to_keep(named, scenes)
    if shapes is not None:
        say_shapes(scenes, shapes)
    numbers = parse_seeds(seeds)
    pairs = [(scene, seed) for scene in scenes for seed in numbers]
    placed: list[Scene] = []
    for part in batches(pairs, "placing"):
        asked, numbered = [scene for scene, _ in part], [seed for _, seed in part]
        done = place_objects(model, asked, numbered, options.refine, options.candidates, precision)
        placed += done if shapes is None else with_shapes(done, shapes)
    scene_file = out / f"{stem}.json"
    make_folder(out)
    write_files([(scene_file, scenes_to_json(placed).encode())], overwrite)
    drawings = []
    for number, (scene, (_, seed)) in enumerate(zip(track(placed, "drawing", len(placed)), pairs, strict=True)):
        name = stem if len(scenes) == 1 else f"{stem}-{number // len(numbers)}"
        drawings.append(out / f"{name}-seed{seed}-layout.png")
        write_files([(drawings[-1], encoded(draw_layout(scene)))], overwrite)
    say_written(drawings, [scene_file])
