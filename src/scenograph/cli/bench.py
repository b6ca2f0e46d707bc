"""``scenograph bench``."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from scenograph.cli.console import console, progress_bar, progress_reports
from scenograph.cli.figures import print_evaluated
from scenograph.cli.options import ClassifierName, Device, MemoryName
from scenograph.errors import UserError
from scenograph.files import read_json

if TYPE_CHECKING:
    import torch

    from scenograph.pipelines import Pipeline
    from scenograph.scenes.scene import Scene

app = typer.Typer(no_args_is_help=True, help="Compare models under one training budget.")

SHOWN = (
    "all",
    "category",
    "things",
    "regions",
    "fd_classifier",
    "scene_fd_classifier",
    "precision",
    "recall",
    "authenticity",
    "probe_drop",
    "probe_recolour",
    "probe_move",
)
ENDLESS = 100_000_000
"""Steps that no budget of minutes reaches."""


@app.command("quality")
def quality(
    recipes: Annotated[
        list[str],
        typer.Argument(metavar="RECIPE", help="Shipped recipes or YAML files; collage, which does not train."),
    ],
    pack: Annotated[Path, typer.Option("--pack", metavar="PACK", help="Pack to train and measure on.")],
    minutes: Annotated[
        float, typer.Option("--minutes", metavar="N", min=0.01, help="Minutes of training per model.")
    ] = 10.0,
    scenes: Annotated[int, typer.Option("--scenes", metavar="N", min=2, help="Validation scenes to measure on.")] = 200,
    given: Annotated[
        str, typer.Option("--given", metavar="NAME", help="Model input: graph, boxes or masks.")
    ] = "boxes",
    memory: MemoryName = None,
    classifier: ClassifierName = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder for the results.")] = Path("bench"),
) -> None:
    """Train models for equal times on one pack and compare them.

    Models are measured by the protocol of the pack, picture-book or rendered. For
    example:

    scenograph bench quality sg2im-rendered-64 lama-rendered-64 --pack PACK

    Models that draw from crops take them from --memory, in training too, or else
    from the training split of the pack; collage from --memory, or else from the
    drawings that ship.

    Run the same command again to resume after an interruption.
    """
    from scenograph.data.pack import read_record, read_vocabulary
    from scenograph.devices import pick_device
    from scenograph.evaluation.evaluate import equipped_for, evaluate
    from scenograph.evaluation.layouts import Layouts
    from scenograph.evaluation.pictures import read_picture
    from scenograph.evaluation.protocols import PROTOCOLS, default_protocol, find_protocol
    from scenograph.evaluation.session import picture_file
    from scenograph.evaluation.sheets import sheet_of_many
    from scenograph.evaluation.tools import Tools
    from scenograph.files import write_atomically
    from scenograph.pipelines.defaults import COLLAGE

    if given not in ("graph", "boxes", "masks"):
        raise UserError(f"--given {given!r}: expected graph, boxes or masks")
    where, categories = pick_device(device), read_vocabulary(pack).categories
    changes = {"layouts": scenes, "given": given, "metrics": ("agreement", "quality", "objects", "copies", "probes")}
    name = default_protocol(str(read_record(pack)["source"]))
    # Data whose own protocol needs a download is measured by a classifier, too.
    protocol = find_protocol(name if PROTOCOLS[name].encoder == "classifier" else "rendered", changes)
    tools = Tools(where, classifier)
    tools.load_classifier(categories)
    layouts = Layouts(pack, protocol)
    side: int | None = None
    rows: list[dict[str, Any]] = []
    for recipe in sorted(recipes, key=lambda name: name == COLLAGE):  # last: it is as large as what was trained
        console.print(Text(recipe, "bold"))
        row = _collage(memory) if recipe == COLLAGE else _train(recipe, pack, minutes, out, device, memory)
        pipe = equipped_for(_pipeline(row["model"], memory, where, side), pack)
        folder, names = out / row["name"] / "evaluation", {"image": row.get("about", row["model"])}
        with progress_reports() as progress:
            evaluated = evaluate(pack, pipe, protocol, folder, tools=tools, names=names, progress=progress)
        if evaluated is not None:
            side = max(side or 0, *read_picture(picture_file(folder / "pictures", 0, 0, 1)).size)
            print_evaluated(evaluated)
            seconds = _seconds(pipe, layouts.scenes(0)[0])
            rows.append({**row, "seconds": seconds, "figures": evaluated.report["figures"]})
    if not rows:
        return
    table = _table(rows, minutes, scenes, given)
    write_atomically(out / "bench.json", (json.dumps(rows, indent=1) + "\n").encode())
    write_atomically(out / "bench.md", table.encode())
    sheet = io.BytesIO()
    sheet_of_many(layouts, [out / row["name"] / "evaluation" for row in rows]).save(sheet, "PNG")
    write_atomically(out / "bench.png", sheet.getvalue())
    console.print(table)
    console.print(f"wrote {out / 'bench.md'}, {out / 'bench.json'} and {out / 'bench.png'} (real pictures above)")


def _train(recipe: str, pack: Path, minutes: float, out: Path, device: str, memory: str | None) -> dict[str, Any]:
    """Train for the time given, once; says what came of it."""
    from scenograph.devices import pick_device
    from scenograph.errors import validate
    from scenograph.files import write_atomically
    from scenograph.models.base import DrawsFromCrops
    from scenograph.models.registry import MODELS
    from scenograph.pipelines.defaults import DRAWINGS
    from scenograph.training.recipe import Recipe, load_recipe
    from scenograph.training.trainer import Trainer

    overrides = [f"data.pack={pack}", f"training.steps={ENDLESS}"]
    overrides += ["training.grid_scenes=0", f"training.validate_every={ENDLESS}"]
    loaded = load_recipe(recipe, overrides)
    if memory not in (None, DRAWINGS) and issubclass(MODELS.get(loaded.model["name"], object), DrawsFromCrops):
        loaded = load_recipe(recipe, [*overrides, f"data.memory={memory}"])
    done = out / loaded.name / "trained.json"
    if done.exists():
        result: dict[str, Any] = read_json(done)
        if result["minutes"] != minutes or validate(Recipe, result.get("recipe") or {}, str(done)) != loaded:
            raise UserError(
                f"{done}: trained by another recipe, on another pack or for another time; choose another --out"
            )
        return result
    trainer = Trainer(loaded, out / loaded.name / "run", pick_device(device) if device != "auto" else None)
    with progress_bar() as bar:
        task = bar.add_task("training", total=round(60 * minutes))

        def listen(step: int, figures: dict[str, float]) -> None:
            bar.update(task, completed=round(trainer.seconds), description=f"training, step {step}")

        model = trainer.run(listen, minutes)
    result = {
        "name": loaded.name,
        "model": str(model),
        "minutes": minutes,
        "steps": trainer.step,
        "batch": loaded.training.batch_size,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "recipe": loaded.model_dump(mode="json"),
    }
    write_atomically(done, json.dumps(result).encode())
    return result


def _collage(memory: str | None) -> dict[str, Any]:
    """The row of what is composed from crops."""
    from scenograph.pipelines.defaults import COLLAGE

    crops = "the drawings that ship" if memory is None else f"crops of {Path(memory).name}"
    return {"name": COLLAGE, "about": f"collage of {crops}, not trained", "model": COLLAGE}


def _pipeline(image: str, memory: str | None, device: torch.device, side: int | None) -> Pipeline:
    """What renders; from crops of the memory if it takes any; a collage in pictures with sides of so many pixels."""
    from scenograph.models.base import DrawsFromCrops
    from scenograph.models.registry import MODELS, read_config
    from scenograph.pipelines import Pipeline
    from scenograph.pipelines.defaults import COLLAGE

    if image == COLLAGE:
        pipe = Pipeline.from_pretrained(image=COLLAGE, memory=memory)
        pipe.options = pipe.options.changed(size=side)
        return pipe
    draws = issubclass(MODELS[read_config(image)[0]], DrawsFromCrops)
    return Pipeline.from_pretrained(image, memory=memory if draws else None, device=device)


def _seconds(pipe: Pipeline, scene: Scene) -> float:
    """Time of one picture among sixteen, of three objects with boxes: the best of three."""
    from scenograph.scenes.scene import Scene, SceneObject

    names = [thing.category for thing in scene.objects]
    places = (0.05, 0.35, 0.65)
    things = tuple(SceneObject(names[n % len(names)], box=(x, 0.3, x + 0.25, 0.7)) for n, x in enumerate(places))
    best = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        pipe(Scene(things), seeds=range(16))
        best = min(best, (time.perf_counter() - began) / 16)
    return best


def _table(rows: list[dict[str, Any]], minutes: float, scenes: int, given: str) -> str:
    names = [name for name in SHOWN if any(row["name"] == name for row in rows[0]["figures"])]
    lines = [
        f"{minutes:g} minutes of training each, one machine; {scenes} validation scenes; models are given: {given}.",
        "",
        "| | parameters | steps x batch | seconds per picture | " + " | ".join(names) + " |",
        "|---" * (4 + len(names)) + "|",
    ]
    for row in rows:
        figures = {figure["name"]: figure for figure in row["figures"]}
        trained = "steps" in row
        parameters = f"{row['parameters'] / 1e6:.1f} M" if trained else "-"
        steps = f"{row['steps']} x {row['batch']}" if trained else "-"
        cells = [row.get("about", row["name"]), parameters, steps, f"{row['seconds']:.3f}"]
        for name in names:
            value, error = figures[name]["value"], figures[name]["error"]
            cells.append("-" if value is None else f"{value:.3f}" + ("" if error is None else f" ± {error:.3f}"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
