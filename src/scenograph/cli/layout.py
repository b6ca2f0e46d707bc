"""``scenograph layout``: graphs in, boxes and masks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from scenograph.cli.console import batches, parse_names, parse_seeds, parse_size, say_written, track, write_files
from scenograph.cli.options import (
    Device,
    LayoutName,
    Overwrite,
    PlannerName,
    PrecisionName,
    SceneArgument,
    takes_options,
)
from scenograph.cli.scene import encoded, offer_to_keep, planner_of, read_source, roomy_pair_for
from scenograph.files import make_folder
from scenograph.pipelines.options import GenerateOptions

if TYPE_CHECKING:
    from scenograph.scenes.scene import Scene


@takes_options("refine", "keep_contradictions", "candidates", "runtime")
def layout(
    source: SceneArgument,
    *,
    layout: LayoutName = None,
    planner: PlannerName = None,
    seeds: Annotated[str, typer.Option("--seeds", metavar="SEEDS", help="Seeds, such as 0-15 or 1,4,8.")] = "0",
    options: GenerateOptions,
    controls: Annotated[
        str | None,
        typer.Option(
            "--controls",
            metavar="KINDS",
            help="Control pictures to draw: edges, depth, segmentation, scribble, boxes. Separated by commas.",
        ),
    ] = None,
    export: Annotated[
        list[str] | None,
        typer.Option(
            "--export",
            metavar="FORMS",
            help="Files for other tools: gligen, comfyui, comfyui-gligen, invokeai, regional-prompts, coco, svg. "
            "Separated by commas; repeatable.",
        ),
    ] = None,
    size: Annotated[
        str, typer.Option("--size", metavar="N or WxH", help="Pixels of control pictures and of what is exported.")
    ] = "512",
    palette: Annotated[
        str, typer.Option("--palette", help="Colours of segmentation: ade20k, coco-stuff or instances.")
    ] = "ade20k",
    shapes: Annotated[
        Literal["drawings", "boxes"],
        typer.Option(
            "--shapes",
            help="Shapes of things in these: of the drawings that scenograph generate shows, or boxes.",
        ),
    ] = "drawings",
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
    --layout, sketched objects get the masks that it predicts. Control pictures
    and exports let other tools draw the same scene.
    """
    from scenograph.devices import pick_device
    from scenograph.models.runtimes import use_runtime
    from scenograph.pipelines.placing import load_layout_models, place_objects, read_to_place
    from scenograph.pipelines.renderers.collage import CollageRenderer
    from scenograph.pipelines.shaping import say_shapes, with_shapes
    from scenograph.scenes.controls import check_kinds, check_sides, draw_controls
    from scenograph.scenes.drawing import draw_layout
    from scenograph.scenes.exports import check_forms, export_scene
    from scenograph.scenes.palettes import check_palette
    from scenograph.scenes.png import png_of
    from scenograph.scenes.scene import scenes_to_json
    from scenograph.scenes.synonyms import with_known_names

    kinds, forms, (width, height) = parse_names([controls or ""]), parse_names(export or []), parse_size(size)
    check_kinds(kinds)
    check_forms(forms)
    check_palette(palette)
    check_sides(width, height)
    chosen = planner_of(planner, device)
    name = layout or roomy_pair_for(source, chosen).layout
    model, shaper = load_layout_models(name, pick_device(device), precision)
    use_runtime(model, options.runtime)
    scenes, stem = read_source(source, model.vocabulary, chosen)
    named = with_known_names(scenes, model.vocabulary)
    scenes = read_to_place(model, named, options.refine, options.keep_contradictions, shaper)
    offer_to_keep(named, scenes)
    if shaper is not None:
        say_shapes(scenes, shaper)
    numbers = parse_seeds(seeds)
    pairs = [(scene, seed) for scene in scenes for seed in numbers]
    placed: list[Scene] = []
    for part in batches(pairs, "placing"):
        open_scenes, numbered = [scene for scene, _ in part], [seed for _, seed in part]
        done = place_objects(model, open_scenes, numbered, options.refine, options.candidates, precision)
        placed += done if shaper is None else with_shapes(done, shaper)
    scene_file = out / f"{stem}.json"
    make_folder(out)
    write_files([(scene_file, scenes_to_json(placed).encode())], overwrite)
    collage = CollageRenderer() if shapes == "drawings" and (kinds or forms) else None
    drawn, exported = [], []
    for number, (scene, (asked, seed)) in enumerate(zip(track(placed, "drawing", len(placed)), pairs, strict=True)):
        name = f"{stem}-seed{seed}" if len(scenes) == 1 else f"{stem}-{number // len(numbers)}-seed{seed}"
        shown = collage.shaped(scene, seed, [thing.box is None for thing in asked.objects]) if collage else scene
        pictures = {f"{name}-layout.png": encoded(draw_layout(scene))}
        for kind, picture in draw_controls(shown, kinds, width, height, palette).items():
            pictures[f"{name}-{kind}.png"] = png_of(picture)
        files: dict[str, bytes] = {}
        for form in forms:
            files |= export_scene(shown, form, width, height, name)
        write_files([(out / file, content) for file, content in (pictures | files).items()], overwrite)
        drawn += [out / file for file in pictures]
        exported += [out / file for file in files]
    say_written(drawn, [*exported, scene_file])
