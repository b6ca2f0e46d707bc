"""``scenograph train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenograph.cli.console import console, progress_bar
from scenograph.cli.figures import print_downloads
from scenograph.cli.options import Device


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Shipped recipe or YAML file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Changes, such as optimizer.lr=2e-4."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Run folder. (default: runs/NAME)")
    ] = None,
    device: Device = "auto",
    resume: Annotated[
        str,
        typer.Option(
            "--resume", metavar="latest|none|PATH", help="Checkpoint to continue from: the newest, none, or PATH."
        ),
    ] = "latest",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the recipe and the data without training.")] = False,
) -> None:
    """Train a model from a recipe, or resume its training.

    An unknown recipe name lists the shipped recipes.

    Curves:             tensorboard --logdir runs

    Several processes:  accelerate launch -m scenograph train RECIPE
    """
    from scenograph.devices import pick_device
    from scenograph.training.recipe import load_recipe
    from scenograph.training.trainer import Trainer

    loaded = load_recipe(recipe, overrides or [])
    folder = out or Path("runs") / loaded.name
    trainer = Trainer(loaded, folder, pick_device(device) if device != "auto" else None, resume)
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    pieces = f"{loaded.training.steps} steps of {loaded.training.batch_size} scenes, on {trainer.accelerator.device}"
    if trainer.begins and loaded.training.start_from:
        pieces += f", from the weights of {loaded.training.start_from}"
    if trainer.accelerator.is_main_process:
        console.print(f"{loaded.name}: {parameters / 1e6:.2f} M parameters, {pieces}")
    if dry_run:
        print_downloads(trainer.objective.downloads())
        if not trainer.objective.downloads():
            trainer.objective.load_networks()  # checks its files
        return
    with progress_bar(" steps", quiet=not trainer.accelerator.is_main_process) as bar:
        task = bar.add_task("training", total=loaded.training.steps)

        def listen(step: int, figures: dict[str, float]) -> None:
            shown = "  ".join(f"{name} {value:.3g}" for name, value in list(figures.items())[:3])
            bar.update(task, completed=step, description=f"training  {shown}")

        model = trainer.run(listen)
    if trainer.accelerator.is_main_process:
        figures = trainer.validation_figures
        width = max(map(len, figures), default=0) + 2
        for name, value in figures.items():
            console.print(f"  {name:<{width}}{value:.4f}")
        console.print(f"wrote {model}  (curves: tensorboard --logdir {folder / 'tensorboard'})")
