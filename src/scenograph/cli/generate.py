"""``scenograph generate``: scenes in, pictures out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import batches, console, parse_seeds, say_written, write_files
from scenograph.cli.options import Device, ImageName, LayoutName, ModelName, Overwrite, takes_options
from scenograph.cli.scene import encoded, offer_to_keep, pair_for, read_source
from scenograph.errors import UserError
from scenograph.files import make_folder, would_replace, write_atomically
from scenograph.pipelines.options import GenerateOptions

if TYPE_CHECKING:
    from PIL import Image

    from scenograph.pipelines.pipeline import Pipeline
    from scenograph.pipelines.provenance import PlannedPicture, Request
    from scenograph.scenes.scene import Scene

ON_SHEET = 256
"""Pictures on a contact sheet, the first ones: viewers refuse what is tens of thousands of pixels high."""


@takes_options()
def generate(
    source: Annotated[
        str,
        typer.Argument(metavar="SCENE", help="Scene file (.json), line of text, or generated PNG."),
    ],
    *,
    model: ModelName = None,
    layout: LayoutName = None,
    image: ImageName = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="SEEDS", help="Seeds, such as 0-15 or 1,4,8. (default: 0)"),
    ] = None,
    options: GenerateOptions,
    object_seed: Annotated[
        list[str] | None,
        typer.Option(
            "--object-seed",
            metavar="OBJECT=SEED",
            help="Seed of one object's latent, such as 2=7. Repeatable.",
        ),
    ] = None,
    draw_graph: Annotated[bool, typer.Option("--draw-graph", help="Also draw each scene graph.")] = False,
    draw_layout: Annotated[bool, typer.Option("--draw-layout", help="Also draw each layout.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Also write the layers of each picture (.ora).")] = False,
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", metavar="FILE", help="Also write COCO annotations (.json)."),
    ] = None,
    save_scenes: Annotated[
        Path | None,
        typer.Option("--save-scenes", metavar="FILE", help="Also write the completed scenes (.json)."),
    ] = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the pictures.")] = Path("pictures"),
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the request and write nothing.")] = False,
) -> None:
    """Generate pictures of a scene.

    The same scene and seed give the same picture. Each PNG records both:
    scenograph generate picture.png makes it again.

    Run the same command again to resume after an interruption.
    """
    from scenograph.pipelines.provenance import has_record, plan_pictures, png_bytes

    models = {"model": model, "layout": layout, "image": image}
    pipe, request = _read(source, models, seeds, options, object_seed or [], device)
    if layers:
        pipe.renderer.check_layers()
    pictures = plan_pictures(request, out, overwrite)
    left = [one.path for one in pictures if not one.exists]
    sheet = out / f"{request.stem}-sheet.png"
    if len(pictures) > 1 and sheet.exists() and not overwrite and not has_record(sheet, request.sheet_record()):
        raise would_replace(sheet)
    if dry_run:
        pipe.encode_pairs(request.scenes[:1], request.seeds[:1], **request.options.chosen())
        for path in left:
            console.print(f"would write {path}")
        return
    whole = draw_layout or save_scenes is not None or annotations is not None
    shown = pictures if whole else [one for one in pictures if not one.exists]
    scenes = [
        scene for part in batches(shown, "rendering") for scene in pipe.render_planned(part, **request.options.chosen())
    ]
    paths = [one.path for one in pictures]
    files = _extra_drawings(request, scenes if draw_layout else [], paths, out, draw_graph)
    if layers:
        files += _layer_files(pipe, request, pictures)
    if save_scenes is not None:
        from scenograph.scenes.scene import scenes_to_json

        make_folder(save_scenes.parent)
        files.append((save_scenes, scenes_to_json(scenes).encode()))
    if annotations is not None:
        make_folder(annotations.parent)
        files.append((annotations, _annotations(scenes, annotations, paths)))
    write_files(files, overwrite)
    if len(pictures) > 1:
        files.append((sheet, png_bytes(_sheet(paths[:ON_SHEET], len(request.seeds)), request.sheet_record())))
        write_atomically(*files[-1])
    if len(left) < len(pictures):
        console.print(f"{len(pictures) - len(left)} of {len(pictures)} pictures were there already")
    say_written(left, [path for path, _ in files])


def _read(
    source: str,
    models: dict[str, str | None],
    seeds: str | None,
    options: GenerateOptions,
    object_seeds: list[str],
    device: str,
) -> tuple[Pipeline, Request]:
    """The request, with every name in it checked, and the pipeline that renders it."""
    from scenograph.pipelines.pipeline import Pipeline
    from scenograph.pipelines.provenance import Request, request_from_picture

    request = None
    if source.endswith(".png"):
        wanted = parse_seeds(seeds) if seeds else None
        request = request_from_picture(Path(source), models, wanted, options.chosen())
        models, options = request.models, request.options
    if request is None and not any(models.values()):
        models = _models_for(source, models)
    layout, image = models["layout"], models["image"]
    pipe = Pipeline.from_pretrained(
        models["model"], layout=layout, image=image, device=device, precision=options.precision
    )
    if request is None:
        scenes, stem = read_source(source, pipe.vocabulary)
        request = Request(scenes, parse_seeds(seeds or "0"), models, options, stem)
    request = replace(request, digests=pipe.digests(options.style, request.digests, source))
    if object_seeds:
        request = replace(request, scenes=[_with_object_seeds(scene, object_seeds) for scene in request.scenes])
    scenes = pipe.read(request.scenes, options.refine, options.keep_contradictions)
    offer_to_keep(request.scenes, scenes)
    return pipe, replace(request, scenes=scenes)


def _models_for(source: str, models: dict[str, str | None]) -> dict[str, str | None]:
    """The pair that knows the names of a scene; it is named unless it is the usual one."""
    from scenograph.pipelines.defaults import DEFAULT

    pair = pair_for(source)
    if pair is DEFAULT:
        return models
    console.print(f"models: {pair.layout} and {pair.image} ({pair.about})")
    return {**models, "layout": pair.layout, "image": pair.image}


def _with_object_seeds(scene: Scene, options: list[str]) -> Scene:
    """The scene with ``--object-seed`` options applied."""
    from scenograph.scenes.fields import parse_object_seed

    objects = list(scene.objects)
    for option in options:
        found = re.fullmatch(r"(\d{1,9})=(\d{1,9})(?::(\d{1,9}):(\d?\.?\d{1,9}))?", option)
        if found is None:
            raise UserError(f"--object-seed {option!r}: expected OBJECT=SEED such as 2=7, or 2=7:9:0.5")
        number, seed = int(found[1]), int(found[2])
        value = seed if found[3] is None else [seed, int(found[3]), float(found[4])]
        if number >= len(objects):
            raise UserError(f"--object-seed {option!r}: the scene has objects 0 to {len(objects) - 1}")
        objects[number] = replace(objects[number], seed=parse_object_seed(value, f"--object-seed {option!r}"))
    return replace(scene, objects=tuple(objects))


def _extra_drawings(
    request: Request, placed: list[Scene], pictures: list[Path], out: Path, graph: bool
) -> list[tuple[Path, bytes]]:
    """Graphs, if wanted, and the layout of each picture whose scene is given."""
    from scenograph.scenes.drawing import draw_graph, draw_layout

    files = []
    if graph:
        for number, scene in enumerate(request.scenes):
            files.append((out / f"{request.scene_stem(number)}-graph.png", encoded(draw_graph(scene))))
    for path, scene in zip(pictures, placed, strict=False):
        files.append((path.with_name(f"{path.stem}-layout.png"), encoded(draw_layout(scene))))
    return files


def _layer_files(pipe: Pipeline, request: Request, pictures: list[PlannedPicture]) -> list[tuple[Path, bytes]]:
    """An OpenRaster file beside each picture."""
    from scenograph.scenes.openraster import openraster

    files = []
    for part in batches(pictures, "composing layers"):
        scenes, seeds = [one.scene for one in part], [one.seed for one in part]
        conditioned = pipe.encode_pairs(scenes, seeds, **request.options.chosen())
        for one, layers in zip(part, pipe.layers(conditioned), strict=True):
            files.append((one.path.with_suffix(".ora"), openraster(layers)))
    return files


def _sheet(pictures: list[Path], seeds: int) -> Image.Image:
    from scenograph.data.pictures import read_rgb
    from scenograph.scenes.drawing import contact_sheet

    return contact_sheet([read_rgb(path) for path in pictures], min(seeds, 8) if seeds > 1 else 8)


def _annotations(scenes: list[Scene], path: Path, pictures: list[Path]) -> bytes:
    from scenograph.data.pictures import read_rgb
    from scenograph.scenes.coco import coco_annotations

    width, height = read_rgb(pictures[0]).size
    names = [picture.name if picture.parent == path.parent else str(picture) for picture in pictures]
    return (json.dumps(coco_annotations(scenes, names, width, height), indent=1) + "\n").encode()
