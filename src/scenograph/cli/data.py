"""``scenograph data``: render scenes, pack data sets, look at packs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenograph.cli.console import console, progress_bar, track, write_files
from scenograph.errors import UserError
from scenograph.files import make_folder

if TYPE_CHECKING:
    from PIL import Image

    from scenograph.data.pack import Pack

app = typer.Typer(no_args_is_help=True, help="Render scenes, pack data sets, look at packs.")


@app.command()
def render(
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, masks and scenes.")] = Path("renders"),
    count: Annotated[int, typer.Option("--count", min=1, help="Number of scenes.")] = 100,
    size: Annotated[int, typer.Option("--size", help="Side of the pictures in pixels.")] = 128,
    samples: Annotated[int, typer.Option("--samples", help="Light paths per pixel: more is less noisy.")] = 64,
    min_objects: Annotated[int, typer.Option("--min-objects", help="Fewest objects in a scene.")] = 1,
    max_objects: Annotated[int, typer.Option("--max-objects", help="Most objects in a scene.")] = 6,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Scene i depends on (seed, i) alone.")] = 0,
    split: Annotated[str, typer.Option("--split", help="Name written into the scenes.")] = "train",
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Without pictures: scenes, boxes and masks only.")
    ] = True,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes. (default: all cores)")] = None,
) -> None:
    """Render CLEVR-style scenes with exact boxes and masks (extra: render). Resumes where it stopped."""
    from scenograph.data.rendered import RenderSettings, render_dataset

    settings = RenderSettings(size, samples, min_objects, max_objects, seed, split, pictures)
    make_folder(out)
    for _ in track(render_dataset(out, count, settings, workers), "rendering", count):
        pass
    console.print(f"wrote {count} scenes to {out}")
    console.print(f"next: scenograph data pack {out} --out packs/NAME")


@app.command()
def pack(
    source: Annotated[Path, typer.Argument(help="A folder made by 'data render', or a CLEVR *_scenes.json.")],
    out: Annotated[Path, typer.Option("--out", help="Pack folder to make.")],
    validation: Annotated[
        Path | None, typer.Option("--validation", help="A second source for the validation split.")
    ] = None,
    validation_count: Annotated[
        int, typer.Option("--validation-count", min=0, help="Without one: how many last scenes to set aside.")
    ] = 0,
    size: Annotated[
        int | None, typer.Option("--size", min=16, help="Shrink larger pictures to this shorter side.")
    ] = None,
) -> None:
    """Convert a data set, once, into the form that training reads."""
    import datasets

    from scenograph.data.clevr import VOCABULARY, read_clevr
    from scenograph.data.pack import write_pack

    if validation is not None:
        splits = {"train": read_clevr(source), "validation": read_clevr(validation)}
    elif validation_count:
        scenes = list(read_clevr(source))
        if len(scenes) <= validation_count:
            raise UserError(f"--validation-count {validation_count}: {source} holds only {len(scenes)} scenes")
        cut = len(scenes) - validation_count
        splits = {"train": iter(scenes[:cut]), "validation": iter(scenes[cut:])}
    else:
        splits = {"train": read_clevr(source)}
    make_folder(out.parent)
    datasets.disable_progress_bars()  # ours says the same in one line
    with progress_bar() as bar:
        task = bar.add_task("packing", total=None)
        counts = write_pack(out, splits, VOCABULARY, lambda done: bar.update(task, completed=done), size)
    console.print(f"wrote {out} ({', '.join(f'{split}: {number}' for split, number in counts.items())})")


@app.command()
def show(
    folder: Annotated[Path, typer.Argument(metavar="PACK", help="A pack folder.")],
    split: Annotated[str, typer.Option("--split", help="Which split.")] = "train",
    count: Annotated[int, typer.Option("--count", min=1, max=256, help="Scenes on the sheet.")] = 16,
    out: Annotated[Path | None, typer.Option("--out", help="Write a sheet of pictures with boxes here (.png).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> None:
    """Say what a pack holds, and draw its first scenes."""
    from scenograph.data.pack import Pack
    from scenograph.scenes.text import scene_to_text

    opened = Pack(folder, split)
    names = opened.vocabulary
    console.print(f"{folder}, {split}: {len(opened)} scenes")
    console.print(
        f"  {len(names.category_index)} categories, {len(names.predicate_index)} predicates, "
        f"attribute groups: {', '.join(names.attributes) or 'none'}"
    )
    scene, picture = opened[0]
    console.print(f"  first: {scene_to_text(scene)[:160]}  {picture.size if picture else 'no picture'}", markup=False)
    if out is not None:
        write_files([(out, _sheet(opened, min(count, len(opened))))], overwrite)
        console.print(f"wrote {out}")


def _sheet(pack: Pack, count: int) -> bytes:
    from scenograph.scenes.drawing import contact_sheet

    stream = io.BytesIO()
    contact_sheet(list(_boxed_pictures(pack, count)), columns=4).save(stream, "PNG")
    return stream.getvalue()


def _boxed_pictures(pack: Pack, count: int) -> Iterator[Image.Image]:
    from PIL import Image, ImageDraw

    from scenograph.scenes.drawing import object_color

    side = 256
    for index in range(count):
        scene, picture = pack[index]
        canvas = (picture or Image.new("RGB", (side, side), "white")).convert("RGB").resize((side, side))
        painter = ImageDraw.Draw(canvas)
        for i, thing in enumerate(scene.objects):
            if thing.box is not None:
                painter.rectangle([side * value for value in thing.box], outline=object_color(scene, i))
        yield canvas
