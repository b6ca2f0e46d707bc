"""How long the studio's service takes, from a client's request to its answer, over HTTP on this machine.

    python benchmarks/studio.py [--repeats 15]

Each request is of another seed or another box, as when a scene is edited, so that nothing is taken from what was kept.
The processor's time is that of the service's process, which tells more than the other on a machine with other work.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from scenograph.studio.client import Scene, Studio

TICKS = os.sysconf("SC_CLK_TCK")
MEADOW: Scene = {
    "objects": ["sky-other", "grass", "tree", "sheep", "cow", "house"],
    "relationships": [[0, "above", 1], [2, "behind", 3], [3, "standing on", 1], [4, "right of", 3], [5, "left of", 2]],
}
CUBES: Scene = {
    "objects": [
        {"category": "cube", "attributes": ["red"], "box": [0.1, 0.35, 0.4, 0.7]},
        {"category": "sphere", "attributes": ["blue"], "box": [0.5, 0.4, 0.75, 0.7]},
        {"category": "cylinder", "attributes": ["green"], "box": [0.65, 0.2, 0.9, 0.5]},
    ]
}
LAYERS = "mise-layers-picture-book-128"


def processor_seconds(process: subprocess.Popen[str]) -> float:
    """What a process has computed so far, on all cores."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measured(process: subprocess.Popen[str], ask: Callable[[int], object], repeats: int) -> tuple[float, float, float]:
    """Milliseconds of a request: the least, the median, and the mean of the processor's."""
    ask(0)
    computed, walls = processor_seconds(process), []
    for number in range(1, repeats + 1):
        began = time.perf_counter()
        ask(number)
        walls.append(1000 * (time.perf_counter() - began))
    return min(walls), statistics.median(walls), 1000 * (processor_seconds(process) - computed) / repeats


def main() -> None:
    """Start a service, ask it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    command = [sys.executable, "-m", "scenograph", "serve", "--port", "0"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as process,
    ):
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None, "the service did not start"
        studio = Studio(found[0])
        placed = studio.place(MEADOW)
        requests: dict[str, Callable[[int], object]] = {
            "a text to a scene": lambda seed: studio.scene("two sheep standing on grass; a tree behind one sheep"),
            "checks of 6 objects": lambda seed: studio.check(placed),
            "layout of 6 objects, 8 candidates": lambda seed: studio.place(MEADOW, seed=seed),
            "draft of it, 2 candidates": lambda seed: studio.place(MEADOW, seed=seed, candidates=2),
            "draft of it, 1 candidate": lambda seed: studio.place(MEADOW, seed=seed, candidates=1),
            "picture, 64 px, collage": lambda seed: studio.picture(placed, seed=seed, size=64),
            "picture, 128 px, collage": lambda seed: studio.picture(placed, seed=seed, size=128),
            "picture, 256 px, collage": lambda seed: studio.picture(placed, seed=seed, size=256),
            "picture, 64 px, mise, 8 steps": lambda seed: studio.picture(CUBES, seed=seed),
            "preview, 64 px, mise, 2 steps": lambda seed: studio.picture(CUBES, seed=seed, steps=2),
            "picture, 128 px, mise-layers, 16 steps": lambda seed: studio.picture(placed, seed=seed, image=LAYERS),
            "preview, 128 px, mise-layers, 4 steps": lambda seed: studio.picture(
                placed, seed=seed, steps=4, image=LAYERS
            ),
        }
        print("| request | least, ms | median, ms | processor, ms |\n|---|---|---|---|")
        for name, ask in requests.items():
            least, median, computed = measured(process, ask, repeats)
            print(f"| {name} | {least:.0f} | {median:.0f} | {computed:.0f} |", flush=True)
        process.terminate()


if __name__ == "__main__":
    main()
