"""Every system on this machine's accelerator: is it right there, how fast, and in how much memory?

    python benchmarks/device.py [--device auto] [--minutes 8] [--only lama,mise] [--pack PACK] [--tiny]

Models are those of the recipes for the picture book, of random weights. Without ``--pack`` a few scenes are rendered
first. Checked are, against the CPU: pictures or boxes, and the loss of a training step, both to a thousandth, without
TF32; and that the same seeds give the same bytes twice. Measured are pictures (or layouts) per second in float32, in
bfloat16 and compiled, training steps per second, and the most memory that each took. ``--tiny`` takes the tiny recipes,
for a CPU. What no time is left for has a dash; compiling comes last. The status is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import copy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from side_by_side import training_step, wait
from torch import Tensor

from scenograph.devices import RenderPrecision, half_precision, keep_freed_memory, pick_device
from scenograph.errors import reason
from scenograph.models.base import ImageModel, LayoutModel, Model
from scenograph.scenes.batch import SceneBatch
from scenograph.training.recipe import load_recipe
from scenograph.training.trainer import Trainer

SYSTEMS = {
    "sg2im": "sg2im-picture-book-128",
    "wsgc": "wsgc-picture-book",
    "attspade": "attspade-picture-book-128",
    "pastegan": "pastegan-picture-book-128",
    "lostgan": "lostgan-picture-book-128",
    "lama": "lama-picture-book-128",
    "spade": "spade-picture-book-128",
    "scene-designer": "scene-designer-picture-book",
    "mise-layout": "mise-layout-picture-book",
    "mise": "mise-picture-book-128",
    "mise-layers": "mise-layers-picture-book-128",
}
TINY = {name: f"tiny-{name}" for name in SYSTEMS if name != "mise-layers"}
"""There is no tiny recipe of mise-layers; its own takes a minute on a CPU."""
TOLERANCE = 1e-3
LEVEL = {"sg2im": 2 / 255}
"""sg2im cuts its pictures to 256 levels: where a rounding error decides, they are one level apart."""
WATCHED = 1.0
"""Seconds for which something is repeated to be timed."""
DASH = "-"


@dataclass
class Row:
    """What is known of a system."""

    system: str
    difference: str = DASH
    loss: str = DASH
    same: str = DASH
    half: str = DASH
    speed: str = DASH
    half_speed: str = DASH
    compiled: str = DASH
    steps: str = DASH
    memory: str = DASH
    wrong: str = ""

    HEAD = (
        "| | pictures, boxes: largest difference | loss: difference | same seed, same bytes | bf16: mean difference "
        "| per s, batch 16: float32 | bf16 | compiled | training steps per s, batch 16 | GB: drawing, training |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )

    def __str__(self) -> str:
        cells = (self.difference, self.loss, self.same, self.half, self.speed, self.half_speed)
        return f"| {' | '.join((self.system, *cells, self.compiled, self.steps, self.memory))} |"


class Bench:
    """A system on a device and on the CPU, with equal weights."""

    def __init__(self, row: Row, recipe: str, pack: Path, device: torch.device, folder: Path) -> None:
        self.row, self.device = row, device
        settings = [f"data.pack={pack}", "data.workers=0", "training.precision=no"]
        self.here, self.there = (
            Trainer(load_recipe(recipe, settings), folder / one.type / recipe, one)
            for one in (torch.device("cpu"), device)
        )
        loader = self.there.loaders["train"]
        self.two, self.many = loader.fixed_batch(0, 2), loader.fixed_batch(0, 16).to(device)
        self.model = copy.deepcopy(self.there.model).for_inference()  # training steps come between

    def check(self) -> None:
        """Fill in what is to be right."""
        torch.backends.cudnn.allow_tf32 = False
        here = made(copy.deepcopy(self.here.model).for_inference(), self.two)
        there, again, half = (self._made(self.two, precision) for precision in ("no", "no", "bf16"))
        if here is not None and there is not None and again is not None and half is not None:
            largest = float((here - there.cpu()).abs().max())
            self.row.difference, self.row.same = f"{largest:.1e}", "yes" if torch.equal(there, again) else "no"
            self.row.half = f"{float((half - there).abs().mean()):.1e}"
            if largest > TOLERANCE + LEVEL.get(self.row.system, 0):
                self.row.wrong = "not what the CPU gives"
            if self.row.same == "no":
                self.row.wrong = "the same seeds give other bytes"
        losses = [float(self._step(trainer, self.two)()) for trainer in (self.here, self.there)]
        relative = abs(losses[0] - losses[1]) / max(abs(losses[0]), 1e-6)
        self.row.loss = f"{relative:.1e}"
        if not relative <= TOLERANCE:
            self.row.wrong = f"the loss is {losses[1]:.5g}, on the CPU {losses[0]:.5g}"
        torch.backends.cudnn.allow_tf32 = True

    def measure(self) -> None:
        """Fill in speed and memory, but of what is compiled."""
        memory = []
        reset_memory(self.device)
        if roles(self.model):
            self.row.speed = f"{16 * self._rate(lambda: self._made(self.many, 'no')):.3g}"
            self.row.half_speed = f"{16 * self._rate(lambda: self._made(self.many, 'bf16')):.3g}"
        memory.append(peak(self.device))
        reset_memory(self.device)
        self.row.steps = f"{self._rate(self._step(self.there, self.many)):.3g}"
        memory.append(peak(self.device))
        self.row.memory = ", ".join(memory)

    def compile(self) -> None:
        """Fill in the speed of what is compiled, and how long compiling took."""
        if not roles(self.model):
            return
        run = torch.compile(lambda: made(self.model, self.many))
        start = time.perf_counter()
        try:
            run()
            wait(self.device)
        except Exception as error:  # what a compiler cannot do is told in the table: all else works without it
            self.row.compiled = f"{type(error).__name__}"
            print(f"{self.row.system}: {reason(error)[:500]}", file=sys.stderr)
            return
        took = time.perf_counter() - start
        self.row.compiled = f"{16 * self._rate(run):.3g} (after {took:.0f} s)"

    def _made(self, batch: SceneBatch, precision: RenderPrecision) -> Tensor | None:
        with half_precision(self.device, precision):
            return made(self.model, batch.to(self.device))

    def _step(self, trainer: Trainer, batch: SceneBatch) -> Callable[[], Tensor]:
        run = training_step(trainer.objective, batch.to(trainer.accelerator.device), 1e-4)
        return lambda: torch.as_tensor(run()).detach()

    def _rate(self, run: Callable[[], object]) -> float:
        """Calls per second, after one to warm up."""
        run()
        wait(self.device)
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < WATCHED or not calls:
            run()
            wait(self.device)
            calls += 1
        return calls / (time.perf_counter() - start)


def made(model: Model, batch: SceneBatch) -> Tensor | None:
    """Pictures (N, 3, H, W) in [-1, 1], or boxes (O, 4); None of models that make neither."""
    generators = [torch.Generator().manual_seed(number) for number in range(batch.num_images)]
    with torch.inference_mode():
        if isinstance(model, ImageModel):
            return model.render(model.condition(batch, generators).condition, generators).float()
        if isinstance(model, LayoutModel):
            return model.place(replace(batch, boxes=torch.full_like(batch.boxes, float("nan"))), generators).boxes
    return None


def roles(model: Model) -> bool:
    """Whether a model makes what :func:`made` compares."""
    return isinstance(model, ImageModel | LayoutModel)


def reset_memory(device: torch.device) -> None:
    """Forget the most memory that was taken so far."""
    if device.type != "cpu":
        torch.accelerator.reset_peak_memory_stats()


def peak(device: torch.device) -> str:
    """The most memory that was taken since, in GB; a dash on CPUs."""
    return DASH if device.type == "cpu" else f"{torch.accelerator.max_memory_allocated() / 2**30:.2f}"


def rendered_pack(folder: Path, side: int) -> Path:
    """A pack of a few scenes of the picture book."""
    for words in (
        f"data render picture-book --count 64 --size {side} --out {folder / 'scenes'}",
        f"data pack picture-book --root {folder / 'scenes'} --out {folder / 'pack'}",
    ):
        subprocess.run([sys.executable, "-m", "scenograph", *words.split()], check=True, stdout=subprocess.DEVNULL)
    return folder / "pack"


def main() -> None:
    """Check and measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--only", default="", help="systems, separated by commas")
    parser.add_argument("--pack", type=Path, help="of the picture book, with crops and sketches")
    parser.add_argument("--tiny", action="store_true", help="the tiny recipes, for a CPU")
    options = parser.parse_args()
    recipes = TINY if options.tiny else SYSTEMS
    chosen = options.only.split(",") if options.only else list(recipes)
    if unknown := set(chosen) - set(recipes):
        parser.error(f"--only {', '.join(sorted(unknown))}: choose from {', '.join(recipes)}")
    device, deadline = pick_device(options.device), time.monotonic() + 60 * options.minutes
    keep_freed_memory(device)
    rows = [Row(name) for name in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pack = options.pack or rendered_pack(folder, 64 if options.tiny else 128)
        benches: dict[str, Bench] = {}
        for doing in ("check", "measure", "compile"):
            for row in rows:
                if row.wrong or time.monotonic() > deadline:
                    continue
                try:
                    if row.system not in benches:
                        benches[row.system] = Bench(row, recipes[row.system], pack, device, folder)
                    getattr(benches[row.system], doing)()
                except Exception as error:  # whatever a device does not do, the others are told
                    row.wrong = f"cannot {doing}: {type(error).__name__}: {reason(error)[:200]}"
                print(f"{doing}: {row.system} {row.wrong}", file=sys.stderr, flush=True)
    name = torch.cuda.get_device_name() if device.type == "cuda" else device.type
    print(f"torch {torch.__version__}, {name}{', tiny recipes' if options.tiny else ''}\n\n{Row.HEAD}")
    print(*rows, sep="\n")
    if wrong := [f"{row.system}: {row.wrong}" for row in rows if row.wrong]:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()
