"""``scenograph generate``: scenes in, pictures out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from scenograph.cli.console import (
    agreed,
    batches,
    console,
    parse_seeds,
    progress_reports,
    say_part,
    say_written,
    track,
    write_files,
)
from scenograph.cli.options import (
    Cluster,
    Device,
    ImageName,
    LayoutName,
    MemoryName,
    ModelName,
    Overwrite,
    PartName,
    PlannerName,
    shared_work,
    takes_options,
)
from scenograph.cli.scene import offer_to_keep, planner_of, read_source, roomy_pair_for
from scenograph.errors import UserError, counted
from scenograph.files import write_atomically
from scenograph.pipelines.options import GenerateOptions

if TYPE_CHECKING:
    from scenograph.pipelines.outputs import Outputs
    from scenograph.pipelines.pipeline import Pipeline
    from scenograph.pipelines.planner import Planner
    from scenograph.pipelines.provenance import PlannedPicture, Request
    from scenograph.pipelines.renderers.base import ConditionedScenes
    from scenograph.scenes.scene import Scene


@takes_options()
def generate(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SCENE", help="Scene (.json), drawing (.svg, .ndjson, .jpg), line of text, or generated PNG."
        ),
    ] = None,
    *,
    model: ModelName = None,
    layout: LayoutName = None,
    image: ImageName = None,
    planner: PlannerName = None,
    pack: Annotated[
        Path | None, typer.Option("--pack", metavar="PACK", help="Pack whose scenes to generate, instead of SCENE.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="Split of the pack. (default: the one that is evaluated)"),
    ] = None,
    scenes: Annotated[
        int | None, typer.Option("--scenes", metavar="N", min=1, help="Only the first N scenes of the split.")
    ] = None,
    given: Annotated[
        Literal["graph", "boxes", "masks", "sketches"] | None,
        typer.Option("--given", help="What models are given of the pack's scenes. (default: graph)"),
    ] = None,
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
    memory: MemoryName = None,
    pin: Annotated[
        list[str] | None,
        typer.Option("--pin", metavar="OBJECT=CROP", help="Crop of the memory for an object, by its id. Repeatable."),
    ] = None,
    crop: Annotated[
        list[str] | None,
        typer.Option("--crop", metavar="OBJECT=FILE", help="Picture file to show an object with. Repeatable."),
    ] = None,
    draw_crops: Annotated[bool, typer.Option("--draw-crops", help="Also draw the crops of each picture.")] = False,
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
    cluster: Cluster = None,
    part: PartName = None,
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the pictures.")] = Path("pictures"),
    overwrite: Overwrite = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the request, list the files, write none.")] = False,
) -> None:
    """Generate pictures of a scene, or of the scenes of a pack.

    The same scene and seed give the same picture. Each PNG records both:
    scenograph generate picture.png makes it again.

    Run the same command again to resume after an interruption.
    """
    from scenograph.pipelines.outputs import Beside, Outputs
    from scenograph.pipelines.sharing import render_on_cluster

    _, own = shared_work(None, cluster, part)
    models = {"model": model, "layout": layout, "image": image, "memory": memory}
    crops, pins = crop or [], pin or []
    of_crops = memory is not None or bool(crops or pins) or draw_crops or options.of_crops
    if of_crops:
        models = _with_collage(models, source or "")
    if pack is not None and source is None:
        if planner is not None:
            raise UserError("--planner reads a line of text, not the scenes of a pack; leave it out")
        pipe, request = _read_pack(pack, split, scenes, given, models, seeds, options, device, of_crops)
        request = _with_object_seeds(request, object_seed or [])
        pipe.renderer.check(request.scenes)
    else:
        _check_alone(source, pack, {"--split": split, "--scenes": scenes, "--given": given})
        pipe, request = _read(str(source), models, seeds, options, object_seed or [], device, of_crops, planner)
    if crops or pins:
        request = replace(request, scenes=pipe.with_given_crops(request.scenes, crops, pins))
    pipe.renderer.check_options(request.options)
    if layers:
        pipe.renderer.check_layers()
    beside = Beside(draw_graph, draw_layout, layers, draw_crops, annotations, save_scenes)
    outputs = Outputs(request, out, beside, overwrite)
    if dry_run:
        _say_planned(pipe, outputs)
        return
    missing = outputs.missing
    if cluster is not None:
        for _ in track(render_on_cluster(outputs, cluster, device), "rendering", len(outputs.left())):
            pass
    if own.merges:
        outputs.look_again()  # at what the parts rendered, which --overwrite is not to render again
    left = outputs.left(own)
    if own.finishes:
        _finish(pipe, outputs, outputs.batches if outputs.tells_scenes else left, missing)
    else:
        _render(pipe, outputs, left)
        say_part(own, f"{counted(len(outputs.pictures), 'picture')} in {out}")


def _say_planned(pipe: Pipeline, outputs: Outputs) -> None:
    """Name the files that would be written, once the first scene was placed: what would fail fails here."""
    request = outputs.request
    pipe.encode_pairs(request.scenes[:1], [request.seed_of(0, request.seeds[0])], **request.options.chosen())
    for path in outputs.paths:
        console.print(f"would write {path}")


def _render(pipe: Pipeline, outputs: Outputs, left: Sequence[Sequence[PlannedPicture]]) -> list[Scene]:
    """Render batches of pictures, but for those that are there; returns the scenes that they show."""
    chosen = outputs.request.options.chosen()
    if pipe.renderer.slow:
        return _one_by_one(pipe, [one for batch in left for one in batch], chosen)
    return [scene for batch in track(left, "rendering", len(left)) for scene in pipe.render_planned(batch, **chosen)]


def _finish(
    pipe: Pipeline, outputs: Outputs, left: Sequence[Sequence[PlannedPicture]], missing: Sequence[PlannedPicture]
) -> None:
    """Render batches that complete the pictures, and write what goes with all; say what was ``missing`` before."""
    shown = _render(pipe, outputs, left)
    files = [(file.path, file.content(shown)) for file in outputs.others] + _layer_files(pipe, outputs)
    files += _crop_files(pipe, outputs)
    write_files(files, outputs.overwrite)
    written = [path for path, _ in files]
    if outputs.sheet is not None:
        written.append(write_atomically(outputs.sheet, outputs.sheet_bytes()))
    if len(missing) < len(outputs.pictures):
        console.print(f"{len(outputs.pictures) - len(missing)} of {len(outputs.pictures)} pictures were there already")
    say_written([one.path for one in missing], written)


def _one_by_one(pipe: Pipeline, pictures: Sequence[PlannedPicture], chosen: dict[str, Any]) -> list[Scene]:
    """Render pictures that take long, with progress by step; returns what they show."""
    shown: list[Scene] = []
    with progress_reports() as report:
        for number, one in enumerate(pictures, 1):
            what = f"picture {number} of {len(pictures)}"
            pipe.renderer.watch = lambda step, what=what: report(what, step.number, step.of)
            shown += pipe.render_planned([one], **chosen)
    pipe.renderer.watch = None
    return shown


def _check_alone(source: str | None, pack: Path | None, of_packs: dict[str, object]) -> None:
    """Raise ``UserError`` for neither scene nor pack, for both, and for options of packs without one."""
    if source is not None and pack is not None:
        raise UserError(f"give either a scene ({source}) or --pack, not both")
    if given := next((name for name, value in of_packs.items() if value is not None), None):
        raise UserError(f"{given} chooses scenes of a pack; name that with --pack")
    if source is None:
        raise UserError("give a scene file, a line of text or a generated PNG, or a pack with --pack")


def _read_pack(
    pack: Path,
    split: str | None,
    count: int | None,
    given: Literal["graph", "boxes", "masks", "sketches"] | None,
    models: dict[str, str | None],
    seeds: str | None,
    options: GenerateOptions,
    device: str,
    of_crops: bool,
) -> tuple[Pipeline, Request]:
    """The request for the scenes of a pack; models that are not named are those of the pair that knows its names."""
    from scenograph.data.pack import read_vocabulary
    from scenograph.evaluation.split import Split
    from scenograph.pipelines.defaults import choose_pair

    chosen = Split.of(pack, split, count, given or "graph")
    if models["model"] is None:
        pair = choose_pair("; ".join(read_vocabulary(pack).categories))
        models = {**models, "layout": models["layout"] or pair.layout, "image": models["image"] or pair.image}
    models = _with_drawings(models, options) if of_crops else models
    pipe = _load(models, device, options)
    console.print(str(chosen))
    return pipe, chosen.request(pipe, parse_seeds("0" if seeds is None else seeds), models, options)


def _read(
    source: str,
    models: dict[str, str | None],
    seeds: str | None,
    options: GenerateOptions,
    object_seeds: list[str],
    device: str,
    of_crops: bool,
    planner: str | None,
) -> tuple[Pipeline, Request]:
    """The request, with every name in it checked, and the pipeline that renders it."""
    from scenograph.pipelines.defaults import DIFFUSERS
    from scenograph.pipelines.provenance import Request, request_from_picture

    request, chosen = None, planner_of(planner, device)
    if source.endswith(".png"):
        if planner is not None:
            raise UserError(f"--planner reads a line of text, and {source} is a picture; leave --planner out")
        wanted = parse_seeds(seeds) if seeds is not None else None
        request = request_from_picture(Path(source), models, wanted, options.chosen(), agreed)
        models, options = request.models, request.options
    if of_crops:
        models = _with_drawings(models, options)
        request = request and replace(request, models=models)
    if request is None and not any(models.values()):
        models = _models_for(source, models, chosen)
    if str(models["image"]).startswith(DIFFUSERS) and models["layout"] is None:  # it knows any names, and places none
        models = {**models, "layout": roomy_pair_for(source, chosen).layout}
        request = request and replace(request, models=models)
    pipe = _load(models, device, options)
    if request is None:
        scenes, stem = read_source(source, pipe.vocabulary, chosen)
        plan = None if chosen is None else chosen.record(source)
        request = Request(scenes, parse_seeds("0" if seeds is None else seeds), models, options, stem, plan=plan)
    request = replace(request, digests=pipe.digests(options, request.digests, source))
    request = _with_object_seeds(request, object_seeds)
    scenes = pipe.read(request.scenes, options.refine, options.keep_contradictions)
    offer_to_keep(request.scenes, scenes)
    return pipe, replace(request, scenes=scenes)


def _load(models: dict[str, str | None], device: str, options: GenerateOptions) -> Pipeline:
    """The pipeline of these models."""
    from scenograph.pipelines.pipeline import Pipeline

    return Pipeline.from_pretrained(
        models["model"],
        layout=models["layout"],
        image=models["image"],
        memory=models.get("memory"),
        device=device,
        precision=options.precision,
    )


def _models_for(source: str, models: dict[str, str | None], planner: Planner | None) -> dict[str, str | None]:
    """The pair that knows the names of a scene, and as many objects; it is named unless it is the usual one."""
    from scenograph.pipelines.defaults import DEFAULT

    pair = roomy_pair_for(source, planner)
    if pair is DEFAULT:
        return models
    console.print(f"models: {pair.layout} and {pair.image} ({pair.about})")
    return {**models, "layout": pair.layout, "image": pair.image}


def _with_collage(models: dict[str, str | None], source: str) -> dict[str, str | None]:
    """The models with what composes pictures from crops, unless others are named, here or by a picture."""
    from scenograph.pipelines.defaults import COLLAGE

    of_picture = source.endswith(".png") or models["model"] is not None
    return {**models, "image": models["image"] or (None if of_picture else COLLAGE)}


def _with_drawings(models: dict[str, str | None], options: GenerateOptions) -> dict[str, str | None]:
    """The models with a memory: where none is named, the drawings that ship, unless the renderer needs no crops."""
    from scenograph.models.base import DrawsFromCrops
    from scenograph.models.registry import MODELS, read_config
    from scenograph.pipelines.defaults import COLLAGE, DIFFUSERS, DRAWINGS

    name = models["model"] or models["image"]
    ours = name and name != COLLAGE and not name.startswith(DIFFUSERS)
    kind = MODELS[read_config(str(name))[0]] if ours else None
    if kind is not None and issubclass(kind, DrawsFromCrops) and not kind.needs_crops:
        if options.of_crops and models.get("memory") is None:
            raise UserError(
                f"--licence, --temperature and --shadow are of crops, and {name} draws from names without a memory; "
                "name one with --memory, or add --image collage"
            )
        return models
    return {**models, "memory": models.get("memory") or DRAWINGS}


def _with_object_seeds(request: Request, options: list[str]) -> Request:
    """The request with ``--object-seed`` options applied to its scenes."""
    scenes, given = request.scenes, dict[int, str]()
    for option in options:
        found = re.fullmatch(r"(\d{1,9})=(\d{1,9})(?::(\d{1,9})(?::(\d?\.?\d{1,9}))?)?", option)
        if found is None:
            raise UserError(f"--object-seed {option!r}: expected OBJECT=SEED such as 2=7, 2=7:9:0.5 or 2=7:3")
        number, seed = int(found[1]), int(found[2])
        if number in given:
            raise UserError(f"--object-seed {option!r}: object {number} has a seed already, {given[number]!r}")
        given[number] = option
        other, share = found[3], found[4]
        value = seed if other is None else [seed, int(other), *([float(share)] if share else [])]
        for scene in scenes:
            if number >= len(scene.objects):
                raise UserError(f"--object-seed {option!r}: the scene has objects 0 to {len(scene.objects) - 1}")
        scenes = [scene.replace_object(number, seed=value) for scene in scenes]
    return replace(request, scenes=scenes)


def _layer_files(pipe: Pipeline, outputs: Outputs) -> list[tuple[Path, bytes]]:
    """The layers of each picture, if they are wanted."""
    from scenograph.scenes.openraster import openraster

    def composed(conditioned: ConditionedScenes) -> list[bytes]:
        return [openraster(each) for each in pipe.layers(conditioned)]

    return _files_beside(pipe, outputs, outputs.layers, composed, "composing layers")


def _crop_files(pipe: Pipeline, outputs: Outputs) -> list[tuple[Path, bytes]]:
    """A strip of the crops of each picture, if they are wanted."""
    import numpy as np

    from scenograph.scenes.crop_sheets import CropRow, draw_crop_rows
    from scenograph.scenes.png import encode_png

    def drawn(conditioned: ConditionedScenes) -> list[bytes]:
        sheets = []
        for scene, crops in zip(conditioned.scenes, pipe.crops_shown(conditioned), strict=True):
            rows = [
                CropRow(f"{number} {thing.label}", [crop.pixels], [crop.origin.crop or crop.origin.source])
                for number, (thing, crop) in enumerate(zip(scene.objects, crops, strict=True))
                if crop is not None
            ]
            if not rows:
                console.print(Text("note:", "yellow"), "a sheet of crops is empty, as no crop is shown; add --memory")
            sheets.append(encode_png(np.asarray(draw_crop_rows(rows))))
        return sheets

    return _files_beside(pipe, outputs, outputs.crops, drawn, "drawing crops")


def _files_beside(
    pipe: Pipeline,
    outputs: Outputs,
    paths: Sequence[Path],
    contents: Callable[[ConditionedScenes], list[bytes]],
    doing: str,
) -> list[tuple[Path, bytes]]:
    """A file beside each picture, made from its conditioned scene; none without paths."""
    files: list[tuple[Path, bytes]] = []
    for part in batches(list(zip(paths, outputs.pictures, strict=True)) if paths else [], doing):
        scenes, seeds = [one.scene for _, one in part], [one.seed for _, one in part]
        conditioned = pipe.encode_pairs(scenes, seeds, **outputs.request.options.chosen())
        files += zip((path for path, _ in part), contents(conditioned), strict=True)
    return files
